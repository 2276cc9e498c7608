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


WORDS = {
    "topic": ["complaint", "cancellation"],
    "campaign": ["retention"],
    "time_zone": ["Asia/Tokyo", "America/New_York"],
}
"""Values that some feature looks for, besides any other."""


def a_value(rng: np.random.Generator, column: Column) -> Any:
    if column.allowed:
        return str(rng.choice(column.allowed))
    if column.type == "TIMESTAMPTZ":
        return AS_OF + timedelta(days=int(rng.integers(-400, 200)))
    if column.type == "BOOLEAN":
        return bool(rng.integers(2))
    if column.type in ("DOUBLE", "BIGINT"):
        return int(column.low or 0) + int(rng.integers(3))
    if column.name in WORDS and rng.random() < 0.7:
        return str(rng.choice(WORDS[column.name]))
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


def computed(
    tables: dict[str, pd.DataFrame], wanted: Sequence[Feature] | None = None
) -> pd.DataFrame:
    connection = database(**tables)
    customers = sorted(set(tables["customers"]["customer_id"]))
    spine = pd.DataFrame(
        [(c, at) for c in customers for at in AS_OFS], columns=["customer_id", "as_of"]
    )
    spine["as_of"] = pd.to_datetime(spine["as_of"], utc=True)
    return with_features(connection, spine, wanted or all_features(), {})


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
    ("ticket_events", {"ticket_id": "T1", "kind": "resolved"}, "open_ticket_count"),
    ("ticket_events", {"ticket_id": "T1", "kind": "escalated"}, "escalation_decayed"),
    ("ticket_events", {"ticket_id": "T1", "kind": "reopened"}, "reopening_decayed"),
    ("ticket_events", {"ticket_id": "T1", "kind": "transferred"}, "handoff_decayed"),
    (
        "ticket_events",
        {"ticket_id": "T1", "kind": "resolved", "event_at": "2024-05-28"},
        "first_contact_pending_count",
    ),
    ("ticket_events", {"ticket_id": "T1", "kind": "resolved"}, "resolved_within_14d_share_365d"),
    ("ticket_events", {"ticket_id": "T1", "kind": "resolved"}, "slow_resolution_count_365d"),
    (
        "ticket_events",
        {"ticket_id": "T1", "kind": "resolved"},
        "first_resolution_hours_typical_365d",
    ),
    (
        "ticket_events",
        {"ticket_id": "T1", "kind": "resolved"},
        "first_contact_resolution_share_90d",
    ),
    ("ticket_events", {"ticket_id": "T1", "kind": "resolved"}, "max_silence_hours_typical_365d"),
    (
        "ticket_events",
        {"ticket_id": "T1", "kind": "assigned", "agent_tenure_days": 9},
        "agent_tenure_days_mean_365d",
    ),
    (
        "messages",
        {"ticket_id": "T1", "author": "agent", "event_at": "2024-05-10T00:30"},
        "slow_response_count_365d",
    ),
    ("messages", {"ticket_id": "T1", "author": "agent"}, "first_response_hours_24h_mean_365d"),
    ("messages", {"ticket_id": "T1", "author": "agent"}, "awaiting_response_count"),
    ("messages", {"ticket_id": "T1", "author": "customer"}, "reply_hours_mean_365d"),
    ("messages", {"ticket_id": "T1", "author": "customer"}, "customer_messages_mean_365d"),
    ("messages", {"ticket_id": "T1", "author": "bot"}, "bot_acknowledgement_seconds_mean_365d"),
    ("messages", {"ticket_id": "T1", "author": "bot"}, "bot_turns_mean_365d"),
    ("messages", {"ticket_id": "T1", "author": "bot"}, "bot_resolved_share_365d"),
    ("calls", {"ticket_id": "T1", "wait_seconds": 60}, "call_wait_minutes_mean_365d"),
    ("calls", {"ticket_id": "T1", "wait_seconds": 60}, "first_response_hours_last"),
    ("qa_reviews", {"ticket_id": "T1", "empathy": 60}, "qa_empathy_mean_365d"),
    (
        "tickets",
        {"ticket_id": "T9", "channel": "mail", "event_at": "2024-05-09"},
        "night_share_365d",
    ),
    (
        "tickets",
        {"ticket_id": "T9", "channel": "mail", "topic": "cancel"},
        "cancellation_ticket_count_365d",
    ),
    (
        "outreach",
        {"kind": "personal_offer", "campaign": "retention"},
        "retention_contact_count_365d",
    ),
    (
        "subscriptions",
        {"subscription_id": "S9", "kind": "cancel_request"},
        "cancel_request_count_365d",
    ),
    ("tickets", {"ticket_id": "T9", "channel": "mail", "severity": 3}, "complaint_count_365d"),
    ("tickets", {"ticket_id": "T9", "channel": "mail"}, "ticket_before_purchase_count_365d"),
    ("orders", {"order_id": "O9", "status": "placed", "amount": 5}, "net_amount_to_date"),
    ("orders", {"order_id": "O9", "status": "placed", "is_eco": True}, "eco_share_365d"),
    (
        "orders",
        {"order_id": "O9", "status": "placed", "delivered_at": "2024-05-12"},
        "follow_up_due_count_365d",
    ),
    ("returns", {"return_id": "R9", "kind": "requested"}, "refund_within_14d_share_365d"),
    ("returns", {"return_id": "R9", "kind": "requested"}, "return_open_count"),
    ("returns", {"return_id": "R9", "kind": "denied"}, "return_denied_count_365d"),
    ("loyalty", {"kind": "enrol"}, "loyalty_enrolled"),
    ("loyalty", {"kind": "tier", "tier_rank": 2}, "tier_rank_last"),
    ("loyalty", {"kind": "earn", "points": 9, "expires_at": "2024-07-01"}, "points_expiring"),
    (
        "subscriptions",
        {"subscription_id": "S9", "kind": "start", "discount_share": 0.2},
        "subscription_discount_share",
    ),
    ("web_sessions", {"visits": 1, "consent": False}, "visit_count_90d"),
    ("web_sessions", {"visits": 1, "load_ms": 900}, "page_load_seconds_p75_365d"),
    ("selfservice", {"kind": "video"}, "self_service_guide_count_365d"),
    ("outreach", {"kind": "related_offer"}, "offer_converted_share_365d"),
    ("outreach", {"kind": "birthday"}, "delight_count_365d"),
    (
        "outreach",
        {"kind": "usage_tip", "action": "sent", "outreach_id": "X"},
        "outreach_opened_share_365d",
    ),
    ("reviews", {"review_id": "V9", "action": "posted", "rating": 1}, "review_reply_share_365d"),
    ("reviews", {"review_id": "V9", "action": "posted"}, "review_unanswered_count"),
    ("social_mentions", {"tone": -0.5}, "negative_mention_share_365d"),
    ("referrals", {"referral_id": "V9", "action": "made"}, "referral_count_365d"),
    ("feedback", {"feedback_id": "F9", "action": "given"}, "feedback_open_count"),
    ("feedback", {"feedback_id": "F9", "action": "acted_on"}, "feedback_untold_count"),
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
    wanted = [f for f in all_features() if f.name == feature]
    before, after = (computed(tables, wanted)[feature].to_numpy()[-1] for tables in (base, changed))
    assert not (before == after or (np.isnan(before) and np.isnan(after)))
    event_later = event | {"known_at": AS_OF.isoformat()}
    rows_later = [*rows_now[1:], event_later]
    later = computed(base | {name: table(name, *rows_later)}, wanted)[feature].to_numpy()[-1]
    assert later == before or (np.isnan(later) and np.isnan(before))


def test_every_table_of_the_contract_feeds_some_feature() -> None:
    from features.streams import STREAMS

    used = {name for stream in STREAMS for name in stream.needs}
    # What `attributes` holds is declared by a source, see tests/features/test_attributes.py.
    assert used == set(TABLE) - {"attributes"}
