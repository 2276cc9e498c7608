"""The leak audit: what its attacks do, what they find, and what a single feature may tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.audit import (
    Tables,
    changes,
    computed,
    known_before,
    planted,
    shuffled_future,
    strengths,
)
from features.catalog import features
from features.labels import Outcome
from tests.features.tables import customer, database, table

AS_OF = pd.Timestamp("2024-06-01", tz="UTC")
CUSTOMERS = [f"C{i:02d}" for i in range(60)]
LEAVERS = CUSTOMERS[::2]
WANTED = features((30, 365), ["customers", "orders", "tickets"])
COLUMNS = [*(feature.name for feature in WANTED), "repeat_purchase_status"]
CATEGORIES = {feature.name for feature in WANTED if feature.unit == "category"}
OUTCOMES = (Outcome("repeat_purchase", "purchase", 7, 60, 10),)


def at(days: float) -> datetime:
    """So many days after the as-of date."""
    return datetime(2024, 6, 1, tzinfo=UTC) + timedelta(days=days)


def order(customer_id: str, event: float, known: float, **more: object) -> dict[str, object]:
    return {
        "customer_id": customer_id,
        "order_id": f"O{customer_id}{event}",
        "event_at": at(event),
        "known_at": at(known),
        "status": "placed",
        "amount": 10.0,
    } | more


def company() -> dict[str, pd.DataFrame]:
    """60 customers; everyone ordered before the as-of date, some orders were recorded late."""
    orders = [order(c, -i - 1, -i - 0.5) for i, c in enumerate(CUSTOMERS)]
    orders += [order(c, -3, 2) for c in CUSTOMERS[:20]]
    orders += [order(c, 5, 5) for c in CUSTOMERS[10:30]]
    # The first order is corrected on the as-of date itself, the second deleted after it.
    orders.append(order("C00", -1, 0, event_id="orders-0", record_version=2, amount=99.0))
    orders.append(order("C01", -2, 9, event_id="orders-1", record_version=2, op="delete"))
    tickets = [
        {"customer_id": c, "ticket_id": f"T{c}", "event_at": at(-9), "channel": "mail"}
        for c in CUSTOMERS[::3]
    ]
    return {
        "customers": table("customers", *(customer(c) for c in CUSTOMERS)),
        "orders": table("orders", *orders),
        "tickets": table("tickets", *tickets),
    }


def features_of(tables: Tables) -> pd.DataFrame:
    return computed(database(**tables), [AS_OF], wanted=WANTED, outcomes=OUTCOMES, live_from={})


def leaky_features_of(tables: Tables) -> pd.DataFrame:
    """The usual mistake: everything counts from when it happened, not from when it was known."""
    return features_of(
        {name: frame.assign(known_at=frame["event_at"]) for name, frame in tables.items()}
    )


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def value(tried: pd.DataFrame, feature: str, measure: str) -> float:
    return dict(zip(tried.index, tried[measure].to_numpy(), strict=True))[feature]


def test_travelling_back_leaves_the_rows_known_before() -> None:
    then, counts = known_before(company(), AS_OF)
    assert (then["orders"]["known_at"] < AS_OF).all()
    assert len(then["orders"]) == 60
    # The correction known at the very as-of date is not yet known, nor is the deletion.
    assert set(then["orders"]["record_version"]) == {1}
    assert counts["orders"] == {"removed": 42, "removed_versions": 2}
    assert counts["tickets"] == {"removed": 0, "removed_versions": 0}


def test_another_future_has_the_same_past() -> None:
    tables = company()
    other, counts = shuffled_future(tables, AS_OF, rng())
    for name, frame in tables.items():
        past = frame[frame["known_at"] < AS_OF].reset_index(drop=True)
        kept = other[name][other[name]["known_at"] < AS_OF].reset_index(drop=True)
        pd.testing.assert_frame_equal(past, kept)
    assert counts["orders"]["dropped"] + counts["orders"]["altered"] == 42
    assert min(counts["orders"].values()) > 0 and counts["tickets"]["inserted"] == 50


def test_another_future_holds_every_trap_and_keeps_the_contract() -> None:
    tables = company()
    other, _ = shuffled_future(tables, AS_OF, rng())
    orders = other["orders"]
    future = orders[orders["known_at"] >= AS_OF]
    revised = future[future["event_id"].isin(orders.loc[orders["known_at"] < AS_OF, "event_id"])]
    assert (future["known_at"] == AS_OF).any()
    assert (future["event_at"] < AS_OF - pd.Timedelta(days=300)).any()
    assert set(revised["op"]) == {"upsert", "delete"}
    assert not orders.duplicated(["event_id", "record_version"]).any()
    assert (orders["event_at"] <= orders["known_at"]).all()
    assert set(future["status"]) == {"placed"}


def test_the_same_seed_makes_the_same_future() -> None:
    one, two = (shuffled_future(company(), AS_OF, rng())[0]["orders"] for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


def test_no_attack_moves_a_feature_or_a_status() -> None:
    today = features_of(company())
    assert changes(today, features_of(known_before(company(), AS_OF)[0]), COLUMNS) == ()
    assert changes(today, features_of(shuffled_future(company(), AS_OF, rng())[0]), COLUMNS) == ()


def test_either_attack_finds_features_that_look_ahead() -> None:
    today = leaky_features_of(company())
    for tables in (
        known_before(company(), AS_OF)[0],
        shuffled_future(company(), AS_OF, rng())[0],
    ):
        found = {
            change.column: change for change in changes(today, leaky_features_of(tables), COLUMNS)
        }
        assert "order_count_30d" in found and "days_since_last_order" in found
        assert "tenure_days" not in found
    # The first 20 customers have an order that was recorded late. To those who look ahead it makes
    # up for C01's deleted one, so 19 counts differ.
    then = changes(today, leaky_features_of(known_before(company(), AS_OF)[0]), ["order_count_30d"])
    assert then[0].rows == 19 and then[0].customer_id == "C00"
    assert (then[0].before, then[0].after) == (2.0, 1.0)


def test_a_copy_of_the_outcome_that_is_known_late_reaches_no_feature() -> None:
    late = features_of(planted(company(), LEAVERS, AS_OF, rng()))
    assert changes(features_of(company()), late, COLUMNS) == ()


def test_the_same_copy_known_in_time_is_caught() -> None:
    in_time = AS_OF - pd.Timedelta(microseconds=1)
    rows = features_of(planted(company(), LEAVERS, in_time, rng()))
    y = rows["customer_id"].isin(LEAVERS).to_numpy()
    tried = strengths(rows, y, [feature.name for feature in WANTED], CATEGORIES)
    assert value(tried, "order_count_30d", "feature_auc") == 1.0
    assert value(tried, "ticket_count_30d", "feature_auc") == 1.0
    assert value(tried, "tenure_days", "feature_auc") < 0.7


def test_a_change_is_any_bit_and_says_where() -> None:
    key = {"customer_id": ["A", "B", "C"], "as_of": [AS_OF] * 3}
    one = pd.DataFrame(key | {"x": [0.0, 1.0, np.nan], "c": ["a", None, "c"]})
    two = pd.DataFrame(key | {"x": [-0.0, 1.0, np.nan], "c": ["a", None, "d"]})
    assert changes(one, one, ["x", "c"]) == ()
    zero, letter = changes(one, two, ["x", "c"])
    assert (zero.column, zero.rows, zero.customer_id) == ("x", 1, "A")
    assert (letter.column, letter.before, letter.after) == ("c", "c", "d")
    (lost,) = changes(one, two[:2].assign(x=one["x"]), ["x", "c"])
    assert (lost.column, lost.customer_id, lost.before, lost.after) == ("row", "C", "present", None)


N = 800
DRAWS = np.random.default_rng(1)
OUTCOME = DRAWS.permutation(N) < 100
ROWS = pd.DataFrame(
    {
        "customer_id": [f"C{i}" for i in range(N)],
        "label_copy": OUTCOME.astype(np.float32),
        "opposite": -OUTCOME.astype(np.float32),
        # Leavers lie in the middle: the value's own order tells nothing.
        "middle": np.where(OUTCOME, 0.0, np.where(np.arange(N) % 2, 5.0, -5.0))
        + DRAWS.normal(size=N) / 10,
        "noise": DRAWS.normal(size=N),
        # Filled in for leavers only, as a reason for leaving is; of those for six in ten.
        "reason": np.where(OUTCOME & (DRAWS.random(N) < 0.6), 1.0, np.nan),
        "all_reasons": np.where(OUTCOME, 1.0, np.nan),
        "never": np.nan,
        "class": np.where(OUTCOME, "left", "stayed"),
        # As many categories as rows: a rate that saw its own row would look perfect.
        "serial_number": [f"S{i}" for i in range(N)],
    }
)
TRIED = strengths(ROWS, OUTCOME, list(ROWS.columns[1:]), {"class", "serial_number"})


@pytest.mark.parametrize("name", ["label_copy", "opposite", "middle", "class"])
def test_a_feature_that_tells_the_outcome_is_seen(name: str) -> None:
    assert value(TRIED, name, "feature_auc") > 0.9


@pytest.mark.parametrize("name", ["noise", "serial_number"])
def test_a_feature_that_tells_nothing_is_not_accused(name: str) -> None:
    assert value(TRIED, name, "feature_auc") < 0.6
    assert value(TRIED, name, "missing_auc") == 0.5


def test_missingness_is_seen_even_where_values_are_few() -> None:
    assert value(TRIED, "all_reasons", "missing_auc") == 1.0
    # Forty leavers in a hundred have no reason: the AUC is far from 1, but nobody else has one.
    assert 0.7 < value(TRIED, "reason", "missing_auc") < 0.9
    assert value(TRIED, "reason", "one_sided_share") == 1.0
    assert np.isnan(value(TRIED, "reason", "feature_auc")) and np.isnan(
        value(TRIED, "never", "feature_auc")
    )
    assert (
        value(TRIED, "noise", "one_sided_share")
        == value(TRIED, "never", "one_sided_share")
        == 0.125
    )


def test_ties_count_one_half() -> None:
    """By hand: 30 of 60 leavers share the value of 30 of 60 stayers, the others lie apart."""
    y = np.repeat([True, False], 60)
    x = np.repeat([2.0, 1.0, 1.0, 0.0], 30)
    rows = pd.DataFrame({"customer_id": [f"C{i}" for i in range(120)], "x": x})
    # Of 3,600 pairs 2,700 are in order and 900 tied.
    assert value(strengths(rows, y, ["x"], set()), "x", "feature_auc") == (2700 + 450) / 3600
