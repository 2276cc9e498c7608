"""The cardinal property: nothing known at or after the as-of date changes any feature."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.contracts import TABLE, TABLES, Column, Table
from features.catalog import Feature, features
from features.labels import Outcome, label
from features.table import with_features
from tests.features.tables import customer, database, table

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
AS_OFS = [AS_OF - timedelta(days=60), AS_OF]
WINDOWS = (30, 90, 180, 365)
OUTCOMES = (
    Outcome("churn", "contractual", 7, 90, 10),
    Outcome("repeat_purchase", "purchase", 7, 60, 10),
)


def all_features() -> tuple[Feature, ...]:
    return features(WINDOWS, [t.name for t in TABLES])


def a_value(rng: np.random.Generator, column: Column) -> Any:
    if column.allowed:
        return str(rng.choice(column.allowed))
    if column.type == "TIMESTAMPTZ":
        return AS_OF + timedelta(days=int(rng.integers(-400, 200)))
    if column.type == "BOOLEAN":
        return bool(rng.integers(2))
    if column.type in ("DOUBLE", "BIGINT"):
        return int(column.low or 0) + int(rng.integers(3))
    if column.name == "text":
        return str(rng.choice(["Thank you, great help", "Still broken, awful", "全然直りません"]))
    if column.name.endswith("_id") and column.name not in ("agent_id", "product_id"):
        return f"{column.name}-{rng.integers(60)}"
    return str(rng.choice(["a", "b"]))


def random_row(
    rng: np.random.Generator, of: Table, customers: int, known_at: datetime
) -> dict[str, Any]:
    lag = timedelta(hours=float(rng.choice([0, 0, 0.5, 30, 24 * 20, 24 * 300])))
    row: dict[str, Any] = {
        "event_id": f"{of.name}-{rng.integers(400)}",
        "record_version": int(rng.choice([1, 1, 1, 2, 3])),
        "customer_id": f"C{rng.integers(customers)}",
        "event_at": known_at - lag,
        "known_at": known_at,
        "op": str(rng.choice(["upsert"] * 9 + ["delete"])),
    }
    return row | {c.name: a_value(rng, c) for c in of.columns if c.required or rng.random() < 0.8}


def random_rows(
    rng: np.random.Generator, of: Table, customers: int, low: int, high: int
) -> list[dict[str, Any]]:
    """120 rows known `low` to `high` hours after the as-of date, most of them close to it."""
    near = min(abs(low), abs(high), 24 * 20) + 24 * 20
    out = []
    for _ in range(120):
        a, b = (max(low, -near), min(high, near)) if rng.random() < 0.7 else (low, high)
        out.append(random_row(rng, of, customers, AS_OF + timedelta(hours=int(rng.integers(a, b)))))
    return out


def unique(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first row of every key, as the contract would have it."""
    kept: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        kept.setdefault((row["event_id"], row.get("record_version", 1)), row)
    return list(kept.values())


def two_futures(
    seed: int, customers: int = 4
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """The same past with two different futures: rows inserted, altered and deleted at random.

    Everything in which they differ is known at or after the as-of date, at the date itself too,
    and may have happened up to 300 days before.
    """
    rng = np.random.default_rng(seed)
    one: dict[str, pd.DataFrame] = {}
    other: dict[str, pd.DataFrame] = {}
    for of in TABLES:
        past = random_rows(rng, of, customers, -24 * 500, 0)
        if of.name == "customers":
            past += [customer(f"C{i}", "2020-01-01") for i in range(customers)]
        if of.name == "tickets":
            for row in past:
                row["ticket_id"] = row["event_id"].replace("tickets", "ticket_id")
        if of.name == "ticket_events":
            # Most outcomes of a ticket start from its resolution.
            for row in past[: len(past) // 2]:
                row["kind"] = "resolved"
        for tables in (one, other):
            future = random_rows(rng, of, customers, 0, 24 * 120)
            tables[of.name] = table(of.name, *unique(past + future))
    return one, other


def computed(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    connection = database(**tables)
    customers = sorted(set(tables["customers"]["customer_id"]))
    spine = pd.DataFrame(
        [(c, at) for c in customers for at in AS_OFS], columns=["customer_id", "as_of"]
    )
    spine["as_of"] = pd.to_datetime(spine["as_of"], utc=True)
    return with_features(connection, spine, all_features(), {})


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32))
def test_the_future_changes_no_feature(seed: int) -> None:
    one, other = (computed(tables) for tables in two_futures(seed))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
def test_the_order_of_rows_changes_no_feature(seed: int) -> None:
    tables, _ = two_futures(seed)
    shuffled = {
        name: frame.sample(frac=1, random_state=seed % 2**31) for name, frame in tables.items()
    }
    pd.testing.assert_frame_equal(computed(tables), computed(shuffled), check_exact=True)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
def test_the_future_changes_nobodys_eligibility(seed: int) -> None:
    statuses = []
    for tables in two_futures(seed, customers=40):
        # With nothing observed yet, an eligible row is immature: no outcome decides its status.
        labels = label(database(**tables), AS_OFS, OUTCOMES, AS_OFS[0])
        statuses.append(labels[["customer_id", "as_of", "churn_status", "repeat_purchase_status"]])
    assert len(set(statuses[0]["churn_status"])) > 1
    pd.testing.assert_frame_equal(statuses[0], statuses[1])


# Anti-vacuity: a table of things that must change a feature when they happen in the past.
CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("tickets", {"ticket_id": "T9", "channel": "mail", "severity": 3}, "ticket_count_90d"),
    ("orders", {"order_id": "O9", "status": "placed", "amount": 5}, "order_count_90d"),
    ("returns", {"return_id": "R9", "kind": "requested", "amount": 5}, "return_count_90d"),
    ("loyalty", {"kind": "earn", "points": 10}, "points_earned_90d"),
    ("loyalty", {"kind": "redeem", "points": 10}, "points_redeemed_90d"),
    ("selfservice", {"kind": "faq"}, "self_service_count_90d"),
    ("web_sessions", {"visits": 3}, "visit_count_90d"),
    ("outreach", {"kind": "follow_up"}, "follow_up_decayed"),
    ("outreach", {"kind": "personal_offer"}, "personal_offer_count_365d"),
    ("subscriptions", {"subscription_id": "S9", "kind": "renew"}, "renewal_count_365d"),
    (
        "surveys",
        {
            "survey_id": "V9",
            "kind": "csat",
            "action": "answered",
            "value": 1,
            "scale_min": 1,
            "scale_max": 5,
        },
        "csat_mean_365d",
    ),
    (
        "messages",
        {"ticket_id": "T1", "author": "customer", "language": "en", "text": "This is awful"},
        "message_tone_mean_90d",
    ),
    ("messages", {"ticket_id": "T1", "author": "agent"}, "first_response_hours_typical_90d"),
    ("messages", {"ticket_id": "T1", "author": "bot"}, "bot_reply_share_365d"),
    ("ticket_events", {"ticket_id": "T1", "kind": "resolved"}, "resolution_hours_typical_90d"),
    ("ticket_events", {"ticket_id": "T1", "kind": "resolved"}, "open_ticket_count_365d"),
    ("ticket_events", {"ticket_id": "T1", "kind": "escalated"}, "escalation_decayed"),
    ("ticket_events", {"ticket_id": "T1", "kind": "reopened"}, "reopening_decayed"),
]


@pytest.mark.parametrize(("name", "row", "feature"), CHANGES)
def test_the_past_does_change_features(name: str, row: dict[str, Any], feature: str) -> None:
    base = {
        "customers": table("customers", customer("C1")),
        "tickets": table(
            "tickets",
            {
                "ticket_id": "T1",
                "customer_id": "C1",
                "event_at": "2024-05-10",
                "channel": "mail",
                "language": "en",
            },
        ),
    }
    event = {"customer_id": "C1", "event_at": "2024-05-10T03:00:00"} | row
    event["event_id"] = "new"
    rows_now = [event] if name != "tickets" else [event, *base["tickets"].to_dict("records")]
    changed = base | {name: table(name, *rows_now)}
    before, after = (computed(tables)[feature].to_numpy()[-1] for tables in (base, changed))
    assert not (before == after or (np.isnan(before) and np.isnan(after)))
    event_later = event | {"known_at": AS_OF.isoformat()}
    rows_later = [*rows_now[1:], event_later]
    later = computed(base | {name: table(name, *rows_later)})[feature].to_numpy()[-1]
    assert later == before or (np.isnan(later) and np.isnan(before))


def test_every_table_of_the_contract_feeds_some_feature() -> None:
    from features.streams import STREAMS

    used = {name for stream in STREAMS for name in stream.needs}
    assert used == set(TABLE)
