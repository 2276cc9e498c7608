"""What a feature says about rows written by hand (METHODS A and I.5), as of 1 June 2024."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.facts import facts
from features.kernel import DAY_US, FOREVER
from features.streams import STREAM
from features.table import with_features
from tests.features.tables import (
    AS_OF,
    FEATURES,
    Row,
    customer,
    database,
    message,
    shrunk,
    step,
    table,
    ticket,
    value,
    version,
)

# Responsiveness


def test_a_bots_reply_is_no_first_response() -> None:
    replies = [message("bot", "2024-05-10T00:00:05"), message("agent", "2024-05-10T02:00:00")]
    found = value("first_response_hours_last", tickets=[ticket()], messages=replies)
    assert found == pytest.approx(2)


def test_a_note_that_the_customer_cannot_see_is_no_first_response() -> None:
    replies = [
        message("agent", "2024-05-10T00:30:00", is_public=False),
        message("system", "2024-05-10T00:40:00"),
        message("agent", "2024-05-10T03:00:00", is_public=True),
    ]
    found = value("first_response_hours_last", tickets=[ticket()], messages=replies)
    assert found == pytest.approx(3)


def test_an_earlier_reply_that_is_known_late_replaces_the_response_only_then() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "messages": [
            message("agent", "2024-05-10T04:00:00"),
            message("agent", "2024-05-10T01:00:00", known_at="2024-05-20"),
        ],
    }
    for at, hours in (("2024-05-20T00:00:00", 4), ("2024-05-20T00:00:01", 1)):
        assert value("first_response_hours_last", at, **rows) == pytest.approx(hours)
        found = value("first_response_within_1h_share_90d", at, **rows)
        assert found == shrunk(hours == 1, 1, 0.4)


def test_an_answer_is_due_after_24_hours_and_counts_as_late_from_then_on() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "messages": [message("agent", "2024-05-11T00:00:01")],
    }
    name = "answered_within_24h_share_30d"
    assert np.isnan(value(name, "2024-05-11T00:00:00", **rows))
    assert value(name, "2024-05-11T00:00:01", **rows) == shrunk(0, 1, 0.9)
    assert value(name, **rows) == shrunk(0, 1, 0.9)
    rows["messages"] = [message("agent", "2024-05-11T00:00:00")]
    assert value(name, **rows) == shrunk(1, 1, 0.9)


def test_a_ticket_known_late_does_not_make_its_late_answer_punctual() -> None:
    late: dict[str, list[Row]] = {
        "tickets": [ticket(known_at="2024-05-14")],
        "ticket_events": [step("resolved", "2024-05-13T12:00:00")],
        "messages": [message("agent", "2024-05-12")],
    }
    assert value("answered_within_24h_share_30d", **late) == shrunk(0, 1, 0.9)
    assert value("resolved_within_72h_share_30d", **late) == shrunk(0, 1, 0.9)


def test_a_ticket_waits_until_the_first_answer_or_resolution_is_known() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-05-31"), ticket("2024-05-30", "T2"), ticket("2024-05-29", "T3")],
        "messages": [message("agent", "2024-05-31T12:00:00", "T2", known_at="2024-06-01")],
        "ticket_events": [step("merged", "2024-05-30", "T3")],
    }
    assert value("awaiting_response_count", **rows) == 2
    assert value("awaiting_response_days", **rows) == 2
    assert value("awaiting_response_count", "2024-06-01T00:00:01", **rows) == 1


# Resolution


def test_an_open_ticket_is_in_no_mean_and_no_share_but_has_an_age() -> None:
    opened = ticket("2024-05-30T18:00:00", topic="billing")
    rows: dict[str, list[Row]] = {
        "tickets": [opened, ticket("2024-05-20", "T2")],
        "ticket_events": [step("resolved", "2024-05-20T08:00:00", "T2")],
    }
    assert value("resolution_hours_typical_90d", **rows) == pytest.approx(8)
    assert value("open_ticket_count", **rows) == 1
    assert value("open_ticket_age_days", **rows) == pytest.approx(30 / 24)
    assert value("resolved_within_72h_share_90d", **rows) == shrunk(1, 1, 0.9)
    three_days_later = "2024-06-02T18:00:00"
    assert value("resolved_within_72h_share_90d", three_days_later, **rows) == shrunk(1, 1, 0.9)
    due = "2024-06-02T18:00:01"
    assert value("resolved_within_72h_share_90d", due, **rows) == shrunk(1, 2, 0.9)


def test_a_reopened_ticket_is_open_again_and_never_twice() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-05-01")],
        "ticket_events": [
            step("resolved", "2024-05-02"),
            step("reopened", "2024-05-10"),
            step("reopened", "2024-05-11"),
            step("resolved", "2024-05-20"),
        ],
    }
    expected = {"05-02": 1, "05-03": 0, "05-11": 1, "05-12": 1, "05-21": 0}
    found = {day: value("open_ticket_count", f"2024-{day}", **rows) for day in expected}
    assert found == expected
    assert value("reopening_decayed", "2024-05-03", **rows) == 0
    assert value("reopening_decayed", "2024-05-21", **rows) > 1


def test_a_ticket_whose_opening_and_resolution_become_known_together_is_not_open() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-05-10", known_at="2024-05-11")],
        "ticket_events": [step("resolved", "2024-05-10T05:00:00", known_at="2024-05-11")],
    }
    assert value("open_ticket_count", **rows) == 0
    assert value("resolution_hours_last", **rows) == pytest.approx(5)


def test_a_merged_ticket_is_not_open() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "ticket_events": [step("merged", "2024-05-12")],
    }
    assert value("open_ticket_count", "2024-05-12", **rows) == 1
    assert value("open_ticket_count", **rows) == 0


def solved(at: str | datetime = AS_OF, /, **tables: list[Row]) -> float:
    return value("first_contact_resolution_last", at, **tables)


@pytest.mark.parametrize(
    ("again", "topic", "solves"),
    [
        ("2024-05-10T00:30:00", "billing", 0),
        ("2024-05-16T01:00:00", "billing", 0),
        ("2024-05-17T01:00:00", "billing", 0),
        ("2024-05-17T01:00:01", "billing", 1),
        ("2024-05-18T01:00:00", "billing", 1),
        ("2024-05-16T01:00:00", "delivery", 1),
        ("2024-05-16T01:00:00", None, 1),
    ],
)
def test_the_same_topic_within_seven_days_means_it_was_not_solved(
    again: str, topic: str | None, solves: float
) -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [
            ticket("2024-05-10T00:00:00", topic="billing"),
            ticket(again, "T2", topic=topic),
        ],
        "ticket_events": [step("resolved", "2024-05-10T01:00:00")],
    }
    assert solved(**rows) == solves


@pytest.mark.parametrize("at", ["2024-05-20", "2024-07-01"])
def test_a_second_ticket_that_becomes_known_too_late_does_not_undo_a_resolution(at: str) -> None:
    """What was said on 20 May holds on 1 July, although the ticket of 3 May is known by then."""
    tickets = [
        ticket("2024-05-01", topic="billing"),
        ticket("2024-05-03", "T2", topic="billing", known_at="2024-06-15"),
    ]
    steps = [step("resolved", "2024-05-02")]
    assert value("first_contact_resolution_last", at, tickets=tickets, ticket_events=steps) == 1


def test_first_contact_resolution_is_unknown_until_seven_days_have_passed() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "ticket_events": [step("resolved", "2024-05-10T04:00:00")],
    }
    assert np.isnan(solved("2024-05-17T04:00:00", **rows))
    assert solved("2024-05-17T04:00:01", **rows) == 1


@pytest.mark.parametrize(
    ("kind", "at", "solves"),
    [
        ("escalated", "2024-05-10T00:10:00", 0),
        ("transferred", "2024-05-10T00:10:00", 0),
        ("reopened", "2024-05-17T00:59:00", 0),
        ("reopened", "2024-05-17T01:00:01", 1),
        ("assigned", "2024-05-10T00:10:00", 1),
    ],
)
def test_whoever_passes_a_ticket_on_has_not_solved_it(kind: str, at: str, solves: float) -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        # The resolution is known a day late: what happens after seven days is no evidence.
        "ticket_events": [
            step("resolved", "2024-05-10T01:00:00", known_at="2024-05-11T01:00:00"),
            step(kind, at),
        ],
    }
    assert solved(**rows) == solves


# Effort and channels


def test_the_same_topic_within_thirty_days_is_a_repeat() -> None:
    first = ticket("2024-04-01", topic="billing")
    for again, repeats in (("2024-05-01", True), ("2024-05-01T00:00:01", False)):
        rows = [first, ticket(again, "T2", topic="billing")]
        assert (value("repeat_issue_count", tickets=rows) > 0) == repeats
    assert value("repeat_issue_count", tickets=[first, ticket("2024-04-02", "T2")]) == 0


def test_off_hours_are_judged_on_the_sources_clock() -> None:
    # 23:30 UTC on Sunday is 08:30 on Monday in Tokyo; 00:30 UTC is 09:30 there.
    rows = table(
        "tickets",
        ticket("2024-05-12T23:30:00") | {"customer_id": "C1"},
        ticket("2024-05-13T00:30:00", "T2") | {"customer_id": "C1"},
    )
    off = facts(
        database("Asia/Tokyo", tickets=rows),
        STREAM["ticket_opened"],
        np.array(["C1"], dtype=object),
    )
    assert off.values[:, off.columns.index("off_hours")].tolist() == [1, 0]


# Versions and deletions


def test_a_corrected_order_counts_with_the_amount_known_at_the_time() -> None:
    first = {"order_id": "O1", "event_id": "O1", "status": "placed", "amount": 10}
    first["event_at"] = "2024-03-05"
    rows = [first, version(first, 2, "2024-05-20", amount=25)]
    assert value("order_amount_90d", "2024-05-20T00:00:00", orders=rows) == 10
    assert value("order_amount_90d", "2024-05-20T00:00:01", orders=rows) == 25
    # The correction of 20 May does not move the order into the last 30 days.
    assert value("order_amount_30d", "2024-05-21", orders=rows) == 0
    assert value("days_since_last_order", "2024-05-24", orders=rows) == 80


def test_versions_that_arrive_in_the_wrong_order_end_with_the_highest() -> None:
    first = {"order_id": "O1", "event_id": "O1", "status": "placed", "amount": 10}
    first["event_at"] = "2024-05-05"
    rows = [first | {"known_at": "2024-05-20"}, version(first, 2, "2024-05-10", amount=25)]
    for at in ("2024-05-15", "2024-05-25"):
        assert value("order_amount_90d", at, orders=rows) == 25


def test_a_cancelled_order_counts_as_an_order_until_the_cancellation_is_known() -> None:
    first = {"order_id": "O1", "event_id": "O1", "status": "placed", "event_at": "2024-05-05"}
    rows = [first, version(first, 2, "2024-05-20", status="cancelled")]
    assert value("order_count_90d", "2024-05-20", orders=rows) == 1
    assert value("order_count_90d", orders=rows) == 0
    assert value("cancelled_order_count_365d", orders=rows) == 1


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("ticket_count_90d", 1, 0),
        ("open_ticket_count", 1, 0),
        ("awaiting_response_count", 1, 0),
        ("answered_within_24h_share_90d", 0.75, np.nan),
        ("resolved_within_72h_share_90d", 0.75, np.nan),
    ],
)
def test_a_deleted_ticket_counts_until_the_deletion_is_known(
    name: str, before: float, after: float
) -> None:
    rows = [ticket(), version(ticket(), 2, "2024-05-20", op="delete")]
    assert value(name, "2024-05-20", tickets=rows) == pytest.approx(before)
    assert value(name, tickets=rows) == pytest.approx(after, nan_ok=True)


def test_a_deletion_that_a_newer_version_overrides_is_no_deletion() -> None:
    rows = [
        ticket(),
        version(ticket(), 3, "2024-05-12"),
        version(ticket(), 2, "2024-05-20", op="delete"),
    ]
    assert value("ticket_count_90d", tickets=rows) == 1


def test_of_two_versions_known_at_once_the_higher_is_the_first_record() -> None:
    rows = [ticket(channel="phone"), version(ticket(), 2, "2024-05-10", channel="chat")]
    assert value("chat_share_365d", tickets=rows) == shrunk(1, 1, 0.25)


# Surveys


def survey(action: str, at: str, name: str = "V1", **more: Any) -> Row:
    scale = {"scale_min": 1, "scale_max": 5}
    return {"survey_id": name, "kind": "csat", "action": action, "event_at": at} | scale | more


def test_a_survey_answered_on_the_as_of_date_is_not_history() -> None:
    for at, known in (("2024-06-01T00:00:01", False), ("2024-06-01", False), ("2024-05-31", True)):
        found = value("csat_last", surveys=[survey("answered", at, value=4)])
        assert found == 75 if known else np.isnan(found)


def test_silence_is_an_answer_only_after_seven_days() -> None:
    sent = survey("sent", "2024-05-01")
    name = "survey_answer_share_365d"
    assert np.isnan(value(name, "2024-05-08T00:00:00", surveys=[sent]))
    assert value(name, "2024-05-08T00:00:01", surveys=[sent]) == shrunk(0, 1, 0.35)
    for at, answers in (("2024-05-08T00:00:00", 1), ("2024-05-08T00:00:01", 0)):
        rows = [sent, survey("answered", at, value=1)]
        assert value(name, surveys=rows) == shrunk(answers, 1, 0.35)


# Care, returns, loyalty, contract


@pytest.mark.parametrize(
    ("sent", "followed"),
    [
        ("2024-05-11T00:00:00", 1),
        ("2024-05-21T00:00:00", 1),
        ("2024-05-21T00:00:01", 0),
        ("2024-05-10T12:00:00", 0),
    ],
)
def test_a_follow_up_comes_within_ten_days_of_the_resolution(sent: str, followed: int) -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "ticket_events": [step("resolved", "2024-05-11")],
        "outreach": [{"kind": "follow_up", "ticket_id": "T1", "event_at": sent}],
    }
    assert np.isnan(value("follow_up_share_90d", "2024-05-21", **rows))
    assert value("follow_up_share_90d", **rows) == shrunk(followed, 1, 0.4)


def test_refund_days_run_from_the_request_even_if_both_become_known_together() -> None:
    steps = {"requested": "2024-05-01", "received": "2024-05-03", "refunded": "2024-05-07"}
    for known_at in (None, "2024-05-08"):
        rows = [
            {"return_id": "R1", "kind": kind, "event_at": at, "amount": 30, "known_at": known_at}
            | {"event_id": f"{len(steps) - i}"}
            for i, (kind, at) in enumerate(steps.items())
        ]
        assert value("refund_days_mean_365d", returns=rows) == pytest.approx(6)
        assert value("return_count_90d", returns=rows) == 1
        assert value("return_amount_365d", returns=rows) == 30
        assert np.isnan(value("refund_days_mean_365d", "2024-05-07", returns=rows))


def test_loyalty_points_and_membership() -> None:
    rows: list[Row] = [
        {"kind": "enrol", "event_at": "2024-01-01"},
        {"kind": "earn", "points": 100, "event_at": "2024-05-10"},
        {"kind": "earn", "points": 50, "event_at": "2024-03-20"},
        {"kind": "redeem", "points": 30, "event_at": "2024-05-12"},
        {"kind": "leave", "event_at": "2024-05-20"},
    ]
    assert value("loyalty_enrolled", "2024-05-20", loyalty=rows) == 1
    assert value("loyalty_enrolled", loyalty=rows) == 0
    assert value("points_earned_30d", loyalty=rows) == 100
    assert value("points_earned_90d", loyalty=rows) == 150
    assert value("redemption_count_365d", loyalty=rows) == 1


def test_the_renewal_is_due_at_the_end_of_the_latest_term() -> None:
    def row(kind: str, at: str, **more: Any) -> Row:
        return {"subscription_id": "S1", "kind": kind, "event_at": at} | more

    rows = [
        row("start", "2023-06-11", term_end="2024-05-11", plan="basic"),
        row("renew", "2024-05-11", term_end="2024-06-11", plan="basic"),
        row("plan_change", "2024-05-25", plan="premium", known_at="2024-06-01"),
    ]
    assert value("days_to_renewal", subscriptions=rows) == 10
    assert value("days_to_renewal", "2024-05-01", subscriptions=rows) == 10
    assert value("subscription_tenure_days", subscriptions=rows) == 356
    assert value("plan", subscriptions=rows) == "basic"
    assert value("plan", "2024-06-02", subscriptions=rows) == "premium"
    assert pd.isna(value("plan", "2023-06-11", subscriptions=rows))


def test_an_attribute_is_the_one_known_at_the_as_of_date() -> None:
    first = customer("C1", language="ja")
    rows = [first, version(first, 2, "2024-05-20", language="en")]
    assert value("language", "2024-05-20", customers=rows) == "ja"
    assert value("language", customers=rows) == "en"
    missing = [first, version(first, 2, "2024-05-20", language=None)]
    assert pd.isna(value("language", customers=missing))


# What is missing


def test_nothing_is_zero_before_a_table_has_begun() -> None:
    rows = pd.DataFrame(
        {
            "customer_id": ["C1"] * 3,
            "as_of": pd.to_datetime(["2024-04-01", "2024-05-01", "2024-06-01"], utc=True),
        }
    )
    connection = database(
        customers=table("customers", customer("C1")),
        tickets=table("tickets", ticket("2024-03-01") | {"customer_id": "C1"}),
    )
    names = ["order_count_90d", "ticket_count_90d", "customer_messages_mean_365d"]
    live_from = {
        "orders": datetime(2024, 5, 1, tzinfo=UTC),
        "tickets": datetime(2020, 1, 1, tzinfo=UTC),
        "messages": datetime(2024, 5, 31, 23, 59, 59, tzinfo=UTC),
    }
    found = with_features(connection, rows, [FEATURES[name] for name in names], live_from)
    # At the moment of the first fact itself nothing is known yet.
    assert found["order_count_90d"].tolist() == pytest.approx([np.nan, np.nan, 0], nan_ok=True)
    assert found["ticket_count_90d"].tolist() == [1, 1, 0]
    messages = found["customer_messages_mean_365d"].tolist()
    assert messages == pytest.approx([np.nan, np.nan, 0], nan_ok=True)


def test_no_rows_give_no_features() -> None:
    rows = pd.DataFrame({"customer_id": [], "as_of": []}).astype(
        {"customer_id": "object", "as_of": "datetime64[us, UTC]"}
    )
    wanted = [FEATURES["ticket_count_90d"], FEATURES["language"]]
    found = with_features(database(), rows, wanted, {})
    assert list(found.columns) == ["customer_id", "as_of", "ticket_count_90d", "language"]
    assert found.empty


def test_facts_are_sorted_and_keep_to_the_customers_asked_for() -> None:
    rows = table(
        "orders",
        *(
            {"customer_id": c, "order_id": "O", "status": "placed", "event_at": at}
            for c, at in (("C2", "2024-01-02"), ("C1", "1970-01-03"), ("C2", "1970-01-02"))
        ),
    )
    found = facts(database(orders=rows), STREAM["order"], np.array(["C0", "C2"], dtype=object))
    assert found.start.tolist() == [0, 0, 2]
    assert found.at.tolist() == [DAY_US, 19724 * DAY_US]
    assert found.known_from.tolist() == found.at.tolist()
    assert found.known_until.tolist() == [FOREVER, FOREVER]
