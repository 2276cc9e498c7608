"""What happened next, checked on rows written by hand (METHODS C and I.4).

The as-of date is 1 June 2024, the gap 7 days and the horizon 90: the outcome window is
[8 June, 6 September), mature on 16 September.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.labels import (
    Outcome,
    as_of_dates,
    churn_definition,
    inactivity_days,
    label,
)
from tests.features.tables import customer, database, table

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
MATURE = datetime(2024, 9, 16, tzinfo=UTC)
LATER = datetime(2030, 1, 1, tzinfo=UTC)

CHURN = Outcome("churn", "contractual", 7, 90, 10)
SILENCE = Outcome("churn", "inactivity", 7, 120, 10)
BUYS_AGAIN = Outcome("repeat_purchase", "purchase", 7, 60, 10)

LABELLED = "labelled"


def change(kind: str, at: str, subscription: str = "S1", **more: Any) -> dict[str, Any]:
    return {
        "customer_id": "C1",
        "subscription_id": subscription,
        "kind": kind,
        "event_at": at,
    } | more


def order(at: str, status: str = "placed", **more: Any) -> dict[str, Any]:
    return {"customer_id": "C1", "order_id": "O", "status": status, "event_at": at} | more


def outcome_of(
    outcome: Outcome,
    rows: list[dict[str, Any]],
    observed_until: datetime = LATER,
    people: list[dict[str, Any]] | None = None,
) -> tuple[str, float]:
    """Status and label of customer C1 at the as-of date."""
    name = "subscriptions" if outcome.definition == "contractual" else "orders"
    connection = database(
        customers=table("customers", *(people or [customer("C1")])), **{name: table(name, *rows)}
    )
    found = label(connection, [AS_OF], [outcome], observed_until)
    assert len(found) == 1
    return found[f"{outcome.task}_status"][0], found[outcome.task][0]


def churn(*rows: dict[str, Any], observed_until: datetime = LATER) -> tuple[str, float]:
    """The churn outcome of a customer who took a contract in 2023, and then `rows`."""
    return outcome_of(CHURN, [change("start", "2023-01-01"), *rows], observed_until)


def is_missing(found: tuple[str, float], status: str) -> bool:
    return found[0] == status and pd.isna(found[1])


# Contractual churn: what counts as leaving


def test_a_contract_that_runs_on_is_no_churn() -> None:
    assert churn(change("renew", "2024-07-01")) == (LABELLED, 0)


@pytest.mark.parametrize("kind", ["cancel_effective", "expire"])
def test_a_contract_that_ends_in_the_window_is_churn(kind: str) -> None:
    assert churn(change(kind, "2024-07-10")) == (LABELLED, 1)


@pytest.mark.parametrize("kind", ["start", "renew", "resume"])
def test_a_contract_taken_up_within_the_grace_period_is_no_churn(kind: str) -> None:
    assert churn(change("expire", "2024-07-10"), change(kind, "2024-07-16T23:59:59")) == (
        LABELLED,
        0,
    )


def test_a_contract_taken_up_after_the_grace_period_is_churn_and_a_return() -> None:
    assert churn(change("expire", "2024-07-10"), change("renew", "2024-07-17T00:00:01")) == (
        LABELLED,
        1,
    )


def test_an_end_for_a_failed_payment_competes_with_churn() -> None:
    assert churn(
        change("payment_failed", "2024-07-01"),
        change("expire", "2024-07-10", reason="payment_failed"),
    ) == (LABELLED, 0)


def test_a_failed_payment_that_ends_nothing_is_no_churn() -> None:
    assert churn(change("payment_failed", "2024-07-01")) == (LABELLED, 0)


def test_a_voluntary_end_counts_when_another_contract_fails_at_the_same_moment() -> None:
    rows = [
        change("start", "2023-01-01", "S2"),
        change("expire", "2024-07-10", "S1", reason="payment_failed"),
        change("cancel_effective", "2024-07-10", "S2", reason="price"),
    ]
    assert churn(*rows) == (LABELLED, 1)


def test_a_pause_is_no_churn() -> None:
    assert churn(change("pause", "2024-05-01"), change("resume", "2024-08-01")) == (LABELLED, 0)


# The window, to the second and the microsecond


@pytest.mark.parametrize(
    ("ended", "status", "y"),
    [
        ("2024-06-01T00:00:00", "gap_exit", None),
        ("2024-06-07T23:59:59", "gap_exit", None),
        ("2024-06-07T23:59:59.999999", "gap_exit", None),
        ("2024-06-08T00:00:00", LABELLED, 1),
        ("2024-06-08T00:00:00.000001", LABELLED, 1),
        ("2024-06-08T00:00:01", LABELLED, 1),
        ("2024-09-05T23:59:59", LABELLED, 1),
        ("2024-09-05T23:59:59.999999", LABELLED, 1),
        ("2024-09-06T00:00:00", LABELLED, 0),
        ("2024-09-06T00:00:01", LABELLED, 0),
    ],
)
def test_the_churn_window_is_half_open(ended: str, status: str, y: float | None) -> None:
    found = churn(change("cancel_effective", ended))
    assert found == (status, y) if y is not None else is_missing(found, status)


@pytest.mark.parametrize(
    ("bought", "y"),
    [
        ("2024-06-07T23:59:59.999999", 0),
        ("2024-06-08T00:00:00", 1),
        ("2024-08-06T23:59:59.999999", 1),
        ("2024-08-07T00:00:00", 0),
    ],
)
def test_the_purchase_window_is_half_open(bought: str, y: float) -> None:
    assert outcome_of(BUYS_AGAIN, [order("2024-05-01"), order(bought)]) == (LABELLED, y)


@pytest.mark.parametrize("outcome", [CHURN, SILENCE, BUYS_AGAIN])
def test_a_label_is_mature_to_the_microsecond_and_missing_before(outcome: Outcome) -> None:
    rows = (
        [change("start", "2023-01-01"), change("expire", "2024-07-01")]
        if outcome is CHURN
        else [order("2024-05-01"), order("2024-07-01")]
    )
    mature = AS_OF + timedelta(days=outcome.label_days)
    assert outcome_of(outcome, rows, mature)[0] == LABELLED
    before = outcome_of(outcome, rows, mature - timedelta(microseconds=1))
    assert is_missing(before, "immature")


def test_what_happens_after_the_window_and_its_grace_never_matters() -> None:
    later = [
        change("cancel_effective", "2024-09-06"),
        change("start", "2024-10-01", "S2"),
        change("expire", "2024-12-01", "S2"),
    ]
    left = change("cancel_effective", "2024-07-01")
    assert churn(*later) == churn() == (LABELLED, 0)
    assert churn(left, *later[1:]) == churn(left) == (LABELLED, 1)
    bought = [order("2024-05-01"), order("2024-08-07"), order("2025-01-01")]
    assert outcome_of(BUYS_AGAIN, bought) == (LABELLED, 0)


# Who is eligible: only what was visible counts


def ineligible(reason: str) -> str:
    return f"ineligible: {reason}"


@pytest.mark.parametrize(
    ("start", "eligible"),
    [("2024-05-04T00:00:00", True), ("2024-05-04T00:00:00.000001", False)],
)
def test_a_contract_must_be_28_days_old(start: str, eligible: bool) -> None:
    status, _ = outcome_of(CHURN, [change("start", start)])
    assert status == (LABELLED if eligible else ineligible("contract younger than 28 days"))


def test_nobody_without_a_contract_is_eligible() -> None:
    nothing = ineligible("no active contract")
    assert is_missing(outcome_of(CHURN, []), nothing)
    assert is_missing(churn(change("expire", "2024-05-20")), nothing)
    started_later = change("start", "2023-01-01", known_at="2024-06-01")
    assert is_missing(outcome_of(CHURN, [started_later]), nothing)


def test_an_announced_cancellation_is_not_scored() -> None:
    announced = ineligible("cancellation already announced")
    request = change("cancel_request", "2024-05-20")
    end = change("cancel_effective", "2024-07-01")
    assert is_missing(churn(request, end), announced)
    unknown = request | {"known_at": "2024-06-01"}
    assert churn(unknown, end) == (LABELLED, 1)


def test_a_renewal_during_the_notice_does_not_withdraw_the_announcement() -> None:
    request = change("cancel_request", "2024-05-20")
    announced = ineligible("cancellation already announced")
    assert churn(request, change("renew", "2024-05-25"))[0] == announced
    assert churn(request, change("resume", "2024-05-25"))[0] == LABELLED
    assert churn(request, change("plan_change", "2024-05-25"))[0] == LABELLED


def test_a_deleted_request_is_no_request_once_the_deletion_is_known() -> None:
    request = change("cancel_request", "2024-05-20", event_id="r")
    withdrawn = request | {"record_version": 2, "op": "delete"}
    assert churn(request, withdrawn | {"known_at": "2024-05-31"})[0] == LABELLED
    late = churn(request, withdrawn | {"known_at": "2024-06-01"})
    assert late[0] == ineligible("cancellation already announced")


def test_a_customer_who_left_before_anyone_knew_is_a_gap_exit() -> None:
    late = change("cancel_effective", "2024-05-10", known_at="2024-06-20")
    assert is_missing(churn(late), "gap_exit")


def test_a_customer_who_left_and_came_back_is_judged_by_the_new_contract() -> None:
    back = [change("expire", "2024-01-10"), change("start", "2024-03-01")]
    assert churn(*back) == (LABELLED, 0)
    assert churn(*back, change("expire", "2024-07-01")) == (LABELLED, 1)


def test_the_label_follows_the_latest_version_whenever_it_became_known() -> None:
    end = change("cancel_effective", "2024-07-01", event_id="e")
    moved = end | {"record_version": 2, "event_at": "2024-10-01", "known_at": "2025-01-01"}
    assert churn(end, moved) == (LABELLED, 0)
    withdrawn = end | {"record_version": 2, "op": "delete", "known_at": "2025-01-01"}
    assert churn(end, withdrawn) == (LABELLED, 0)
    first_known_last = [moved, end | {"known_at": "2025-02-01"}]
    assert churn(*first_known_last) == (LABELLED, 0)


def test_of_two_changes_at_one_moment_the_higher_event_id_holds() -> None:
    both = [
        change("start", "2024-03-31T23:59:59", event_id="C1-start"),
        change("cancel_effective", "2024-03-31T23:59:59", event_id="C1-stop"),
    ]
    for rows in (both, both[::-1]):
        assert outcome_of(CHURN, rows)[0] == ineligible("no active contract")


def test_a_deleted_customer_is_not_scored() -> None:
    gone = customer("C1", record_version=2, op="delete")
    for known_at, rows in (("2024-05-31", 0), ("2024-06-01", 1)):
        people = [customer("C1"), gone | {"known_at": known_at}]
        connection = database(
            customers=table("customers", *people),
            subscriptions=table("subscriptions", change("start", "2023-01-01")),
        )
        assert len(label(connection, [AS_OF], [CHURN], LATER)) == rows


# Several contracts


def test_only_the_end_of_the_last_contract_is_churn() -> None:
    second = change("start", "2023-05-01", "S2")
    first_ends = change("cancel_effective", "2024-07-01")
    assert churn(second, first_ends) == (LABELLED, 0)
    second_ends = change("cancel_effective", "2024-08-01", "S2")
    assert churn(second, first_ends, second_ends) == (LABELLED, 1)
    after_the_window = change("cancel_effective", "2024-10-01", "S2")
    assert churn(second, first_ends, after_the_window) == (LABELLED, 0)


def test_moving_to_another_plan_by_cancelling_and_starting_is_no_churn() -> None:
    moves = [change("cancel_effective", "2024-07-01"), change("start", "2024-07-05", "S2")]
    assert churn(*moves) == (LABELLED, 0)
    assert churn(moves[0], change("start", "2024-07-01", "S2")) == (LABELLED, 0)
    assert churn(moves[0], change("start", "2024-06-20", "S2")) == (LABELLED, 0)
    assert churn(moves[0], change("start", "2024-07-09", "S2")) == (LABELLED, 1)


def test_leaving_after_a_move_is_still_churn() -> None:
    assert churn(
        change("cancel_effective", "2024-07-01"),
        change("start", "2024-07-01", "S2"),
        change("cancel_effective", "2024-08-15", "S2"),
    ) == (LABELLED, 1)


def test_tenure_goes_on_across_a_move_but_not_across_a_return() -> None:
    move = [change("cancel_effective", "2024-05-20"), change("start", "2024-05-21", "S2")]
    assert churn(*move)[0] == LABELLED
    back = [change("cancel_effective", "2023-05-20"), change("start", "2024-05-21", "S2")]
    assert churn(*back)[0] == ineligible("contract younger than 28 days")


# Purchases


def cancelled(at: str, known_at: str, version: int = 2) -> list[dict[str, Any]]:
    placed = order(at, event_id=at)
    return [
        placed,
        placed | {"record_version": version, "status": "cancelled"} | {"known_at": known_at},
    ]


def test_an_order_cancelled_within_a_week_does_not_count_and_later_does() -> None:
    before = order("2024-05-01")
    soon = cancelled("2024-07-01", "2024-07-08")
    assert outcome_of(BUYS_AGAIN, [before, *soon]) == (LABELLED, 0)
    late = cancelled("2024-07-01", "2024-07-08T00:00:01")
    assert outcome_of(BUYS_AGAIN, [before, *late]) == (LABELLED, 1)


def test_a_correction_after_the_cancellation_does_not_revive_the_order() -> None:
    corrected = order(
        "2024-07-01", "cancelled", event_id="2024-07-01", record_version=3, known_at="2024-12-01"
    )
    rows = [order("2024-05-01"), *cancelled("2024-07-01", "2024-07-02"), corrected]
    assert outcome_of(BUYS_AGAIN, rows) == (LABELLED, 0)
    placed_again = corrected | {"status": "placed"}
    assert outcome_of(BUYS_AGAIN, [*rows[:-1], placed_again]) == (LABELLED, 1)


def test_a_deleted_order_does_not_count() -> None:
    bought = order("2024-07-01", event_id="o")
    deleted = bought | {"record_version": 2, "op": "delete", "known_at": "2024-12-01"}
    assert outcome_of(BUYS_AGAIN, [order("2024-05-01"), bought, deleted]) == (LABELLED, 0)


def test_a_return_does_not_undo_a_purchase() -> None:
    back = {"customer_id": "C1", "return_id": "R1", "kind": "refunded", "event_at": "2024-07-03"}
    connection = database(
        customers=table("customers", customer("C1")),
        orders=table("orders", order("2024-05-01"), order("2024-07-01")),
        returns=table("returns", back),
    )
    assert label(connection, [AS_OF], [BUYS_AGAIN], LATER)["repeat_purchase"].tolist() == [1]


@pytest.mark.parametrize(
    ("bought", "eligible"),
    [
        ("2023-06-02T00:00:00", True),
        ("2023-06-01T23:59:59.999999", False),
        ("2024-05-31T23:59:59.999999", True),
        ("2024-06-01T00:00:00", False),
    ],
)
def test_an_order_in_the_last_365_days_makes_a_customer_eligible(
    bought: str, eligible: bool
) -> None:
    expected = LABELLED if eligible else ineligible("no order in 365 days")
    assert outcome_of(BUYS_AGAIN, [order(bought)])[0] == expected


def test_eligibility_ignores_orders_not_yet_known_and_cancellations_not_yet_known() -> None:
    unknown = order("2024-05-01", known_at="2024-06-01")
    assert outcome_of(BUYS_AGAIN, [unknown])[0] == ineligible("no order in 365 days")
    cancelled_later = cancelled("2024-05-30", "2024-06-01")
    assert outcome_of(BUYS_AGAIN, cancelled_later)[0] == LABELLED
    cancelled_before = cancelled("2024-05-30", "2024-05-31")
    assert outcome_of(BUYS_AGAIN, cancelled_before)[0] == ineligible("no order in 365 days")


def test_inactivity_is_no_purchase_in_its_own_horizon() -> None:
    # 30 August lies beyond the 60 days of repeat purchase and within the 120 of inactivity.
    rows = [order("2024-05-01"), order("2024-08-30")]
    assert outcome_of(BUYS_AGAIN, rows) == (LABELLED, 0)
    assert outcome_of(SILENCE, rows) == (LABELLED, 0)
    assert outcome_of(SILENCE, rows[:1]) == (LABELLED, 1)
    assert outcome_of(SILENCE, [rows[0], order("2024-06-05")]) == (LABELLED, 1)


# The spine and the calendar


def test_there_is_one_row_per_known_customer_and_as_of_date() -> None:
    people = table("customers", customer("C2", "2024-05-15"), customer("C1"))
    connection = database(customers=people)
    dates = [datetime(2024, 5, 1, tzinfo=UTC), AS_OF]
    found = label(connection, dates, [CHURN, BUYS_AGAIN], LATER)
    rows = list(zip(found["customer_id"], found["as_of"].dt.month, strict=True))
    assert rows == [("C1", 5), ("C1", 6), ("C2", 6)]
    assert set(found["churn_status"]) == {"ineligible: no active contract"}


def test_as_of_dates_are_local_midnights_on_both_sides_of_a_clock_change() -> None:
    berlin = as_of_dates(date(2024, 3, 1), date(2024, 4, 1), "Europe/Berlin")
    assert [at.astimezone(UTC) for at in berlin] == [
        datetime(2024, 2, 29, 23, tzinfo=UTC),
        datetime(2024, 3, 31, 22, tzinfo=UTC),
    ]
    tokyo = as_of_dates(date(2024, 12, 2), date(2025, 2, 28), "Asia/Tokyo")
    assert [at.astimezone(UTC) for at in tokyo] == [
        datetime(2024, 12, 31, 15, tzinfo=UTC),
        datetime(2025, 1, 31, 15, tzinfo=UTC),
    ]
    assert as_of_dates(date(2024, 1, 2), date(2024, 1, 31), "UTC") == []


def test_a_window_is_exact_days_even_when_the_clocks_change_inside_it() -> None:
    at = as_of_dates(date(2024, 3, 1), date(2024, 3, 1), "Europe/Berlin")
    expected = {"2024-06-05T22:59:59.999999": 1.0, "2024-06-05T23:00:00": 0.0}
    for ended, y in expected.items():
        connection = database(
            "Europe/Berlin",
            customers=table("customers", customer("C1")),
            subscriptions=table(
                "subscriptions", change("start", "2023-01-01"), change("expire", ended)
            ),
        )
        assert label(connection, at, [CHURN], LATER)["churn"].tolist() == [y]


def test_churn_is_contractual_where_there_are_contracts() -> None:
    assert churn_definition(["orders", "subscriptions"]) == "contractual"
    assert churn_definition(["orders", "tickets"]) == "inactivity"
    assert churn_definition(["tickets"]) is None


@pytest.mark.parametrize(("gap", "days"), [(10, 60), (100, 100), (400, 180)])
def test_the_inactivity_horizon_is_the_90th_percentile_of_gaps_within_bounds(
    tmp_path: Path, gap: int, days: int
) -> None:
    first = datetime(2020, 1, 1, tzinfo=UTC)
    at = [first + timedelta(days=gap * i) for i in range(4)]
    rows = [order(moment.isoformat()) for moment in at]
    # Known too late to count, another customer's order, and a second version: none is a gap.
    rows.append(order((at[-1] + timedelta(days=3000)).isoformat()))
    rows.append(order((at[0] + timedelta(days=1)).isoformat()) | {"customer_id": "C2"})
    rows.append(rows[0] | {"event_id": "orders-0", "record_version": 2, "amount": 5})
    (tmp_path / "orders").mkdir()
    table("orders", *rows).to_parquet(tmp_path / "orders" / "bucket=000.parquet")
    assert inactivity_days(tmp_path, at[-1] + timedelta(days=1)) == days


def test_the_90th_percentile_is_interpolated(tmp_path: Path) -> None:
    gaps = [*range(70, 80), 100]  # p90 of 11 values is the tenth: 79
    moment, rows = datetime(2020, 1, 1, tzinfo=UTC), []
    for gap in [0, *gaps]:
        moment += timedelta(days=gap)
        rows.append(order(moment.isoformat()))
    (tmp_path / "orders").mkdir()
    table("orders", *rows).to_parquet(tmp_path / "orders" / "bucket=000.parquet")
    assert inactivity_days(tmp_path, LATER) == 79
