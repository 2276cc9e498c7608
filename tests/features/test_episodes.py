"""The ticket table: exposures from what happened within 72 hours, outcomes from time zero."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from features.episodes import episodes
from features.labels import Outcome
from tests.features.tables import FEATURES, customer, database, message, step, table, ticket

OPENED = "2024-03-01T00:00:00"
UNTIL = datetime(2025, 1, 1, tzinfo=UTC)
CHURN = Outcome("churn", "contractual", gap=0, horizon=90, lag=10)


def contract(kind: str = "start", at: str = "2023-01-01", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "event_at": at, "subscription_id": "S1", "customer_id": "C1"} | more


def rows(**tables: list[dict[str, Any]]) -> pd.DataFrame:
    """The ticket table of customer C1, by ticket."""
    given = {
        "customers": [customer("C1")],
        "subscriptions": [contract()],
        "tickets": [ticket(OPENED, topic="billing")],
    } | tables
    filled = {key: [{"customer_id": "C1"} | row for row in value] for key, value in given.items()}
    frames = {key: table(key, *value) for key, value in filled.items()}
    wanted = [FEATURES["ticket_count_365d"], FEATURES["tenure_days"]]
    return episodes(database("UTC", **frames), CHURN, UNTIL, wanted, {}).set_index("ticket_id")


def one(column: str, **tables: list[dict[str, Any]]) -> Any:
    return rows(**tables)[column]["T1"]


SOLVED = {
    "messages": [message("customer", OPENED), message("agent", "2024-03-01T02:00:00")],
    "ticket_events": [step("resolved", "2024-03-01T03:00:00")],
}


def test_one_answer_that_closes_the_ticket_is_a_resolution_at_first_contact() -> None:
    assert one("fcr", **SOLVED) == 1
    assert one("first_response_hours", **SOLVED) == pytest.approx(2)
    assert one("resolution_hours", **SOLVED) == pytest.approx(3)


@pytest.mark.parametrize(
    ("more", "fcr"),
    [
        ([step("reopened", "2024-03-03T00:00:00")], 0),
        ([step("reopened", "2024-03-05T00:00:00")], 1),
        ([step("escalated", "2024-03-01T02:30:00", tier=2)], 1),
    ],
)
def test_what_happens_after_72_hours_is_no_part_of_the_exposure(more: list, fcr: float) -> None:
    events = SOLVED["ticket_events"] + more
    assert one("fcr", messages=SOLVED["messages"], ticket_events=events) == fcr


def test_a_second_answer_is_no_resolution_at_first_contact() -> None:
    talk = SOLVED["messages"] + [
        message("customer", "2024-03-01T02:10:00"),
        message("agent", "2024-03-01T02:20:00"),
    ]
    assert one("fcr", messages=talk, ticket_events=SOLVED["ticket_events"]) == 0


def test_leaving_early_does_not_make_an_open_ticket_look_resolved() -> None:
    gone = [contract(), contract("cancel_effective", "2024-03-01T12:00:00")]
    found = rows(messages=SOLVED["messages"], subscriptions=gone)
    assert found["fcr"]["T1"] == 0
    assert found["y_created"]["T1"] == 1


@pytest.mark.parametrize(
    ("left", "outcome"),
    [("2024-03-01T00:00:01", 1), ("2024-05-29T23:59:59", 1), ("2024-05-30T00:00:00", 0)],
)
def test_the_outcome_counts_from_the_creation_for_ninety_days(left: str, outcome: float) -> None:
    gone = [contract(), contract("cancel_effective", left)]
    assert one("y_created", subscriptions=gone, **SOLVED) == outcome


def test_a_ticket_whose_ninety_days_are_not_over_is_not_there() -> None:
    assert rows(tickets=[ticket("2024-11-01T00:00:00")]).empty


def test_who_has_announced_to_leave_is_not_there() -> None:
    asked = [contract(), contract("cancel_request", "2024-02-20")]
    assert rows(subscriptions=asked, **SOLVED).empty


def test_who_is_gone_before_the_landmark_has_no_later_outcome() -> None:
    gone = [contract(), contract("cancel_effective", "2024-03-08")]
    found = rows(subscriptions=gone, **SOLVED)
    assert found["y_created"]["T1"] == 1
    assert pd.isna(found["y_landmark"]["T1"])


@pytest.mark.parametrize(("day", "sent"), [(4, 0), (5, 1), (11, 1), (12, 0)])
def test_a_follow_up_is_one_after_a_week(day: int, sent: float) -> None:
    contact = {"kind": "follow_up", "ticket_id": "T1", "event_at": f"2024-03-{day:02d}T03:00:00"}
    assert one("follow_up", outreach=[contact], **SOLVED) == sent


def test_coming_back_about_the_same_issue_opens_no_new_unit() -> None:
    again = [
        ticket(OPENED, topic="billing"),
        ticket("2024-03-02T00:00:00", "T2", topic="billing"),
        ticket("2024-03-02T00:00:00", "T3", topic="delivery"),
    ]
    found = rows(tickets=again, **SOLVED)
    assert list(found.index) == ["T1", "T3"]
    assert found["fcr"]["T1"] == 0


def test_covariates_know_only_what_was_known_before_the_ticket() -> None:
    two = [
        ticket("2024-01-01T00:00:00", "T0", topic="howto"),
        ticket("2024-02-01T00:00:00", "T9", topic="returns", known_at="2024-03-01T00:00:00"),
        ticket(OPENED, topic="billing"),
    ]
    assert one("ticket_count_365d", tickets=two, **SOLVED) == 1


def test_the_arm_is_what_was_drawn_not_what_was_done() -> None:
    drawn = step("decision", "2024-03-01T03:01:00", trial="follow_up_pilot", rand_arm="treatment")
    found = rows(messages=SOLVED["messages"], ticket_events=[*SOLVED["ticket_events"], drawn])
    assert (found["arm"]["T1"], found["follow_up"]["T1"]) == ("treatment", 0)


def test_a_bot_stops_no_clock() -> None:
    talk = [message("bot", "2024-03-01T00:00:05"), *SOLVED["messages"]]
    found = rows(messages=talk, ticket_events=SOLVED["ticket_events"])
    assert found["first_response_hours"]["T1"] == pytest.approx(2)
    assert found["bot_first"]["T1"] == 1
