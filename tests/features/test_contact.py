"""What features about contacts say about rows written by hand (METHODS A S1-S63, I.5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.calendar import WorkingCalendar
from features.facts import added_up, connect, product_months
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

TOKYO = "Asia/Tokyo"


def call(at: str, name: str | None = "T1", **more: Any) -> Row:
    return {"ticket_id": name, "event_at": at} | more


# The two clocks


@pytest.mark.parametrize(
    ("opened", "replied", "wall", "business"),
    [
        # Friday 17:30 to Monday 09:30 in Tokyo, given in UTC.
        ("2024-05-10T08:30:00", "2024-05-13T00:30:00", 64.0, 1.0),
        # 30 December 10:00 to Thursday 4 January 10:00.
        ("2023-12-30T01:00:00", "2024-01-04T01:00:00", 120.0, 1.0),
        # A Sunday: support opens twelve hours later.
        ("2024-05-12T12:00:00", "2024-05-12T13:00:00", 1.0, 0.0),
        ("2024-05-13T00:00:00", "2024-05-13T00:00:00.000001", 1e-6 / 3600, 1e-6 / 3600),
    ],
)
def test_response_and_resolution_are_told_on_both_clocks(
    opened: str, replied: str, wall: float, business: float
) -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket(opened)],
        "messages": [message("agent", replied)],
        "ticket_events": [step("resolved", replied)],
    }
    for measure, hours in (("", wall), ("_business", business)):
        for kind in ("first_response", "resolution"):
            name = f"{kind}{measure}_hours_typical_365d"
            assert value(name, AS_OF, TOKYO, **rows) == pytest.approx(hours, rel=1e-3, abs=1e-9)


def test_business_hours_are_those_of_the_sources_calendar() -> None:
    always = WorkingCalendar(
        country=None, opens="00:00", closes="24:00", weekdays=(1, 2, 3, 4, 5, 6, 7), closed=()
    )
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-05-11T00:00:00")],
        "messages": [message("agent", "2024-05-12T06:00:00")],
    }
    name = "first_response_business_hours_typical_365d"
    assert value(name, AS_OF, "UTC", always, **rows) == pytest.approx(30)
    assert value(name, **rows) == 0


def test_contacts_outside_business_hours_on_days_off_and_in_the_customers_night() -> None:
    rows: dict[str, list[Row]] = {
        "customers": [customer("C1", time_zone="America/New_York")],
        # In Tokyo: Monday 18:00 and 17:59:59, Saturday 12:00; in New York: 05:00, 04:59, 23:00.
        "tickets": [
            ticket("2024-05-13T09:00:00", "T1"),
            ticket("2024-05-13T08:59:59", "T2"),
            ticket("2024-05-18T03:00:00", "T3"),
        ],
    }
    assert value("off_hours_share_365d", AS_OF, TOKYO, **rows) == shrunk(2, 3, 0.3)
    assert value("weekend_share_365d", AS_OF, TOKYO, **rows) == shrunk(1, 3, 0.2)
    assert value("night_share_365d", AS_OF, TOKYO, **rows) == shrunk(3, 3, 0.1)
    assert value("time_zone_gap_hours", AS_OF, TOKYO, **rows) == 13
    rows["customers"] = [customer("C1", time_zone="Nowhere/Else")]
    assert value("night_share_365d", AS_OF, TOKYO, **rows) == shrunk(0, 3, 0.1)
    assert np.isnan(value("time_zone_gap_hours", AS_OF, TOKYO, **rows))


def test_off_hours_contacts_have_a_response_time_and_a_resolution_rate_of_their_own() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-05-11T12:00:00", "T1"), ticket("2024-05-14T12:00:00", "T2")],
        "messages": [
            message("agent", "2024-05-11T17:00:00", "T1"),
            message("agent", "2024-05-14T13:00:00", "T2"),
        ],
        "ticket_events": [
            step("resolved", "2024-05-11T18:00:00", "T1"),
            step("escalated", "2024-05-14T12:30:00", "T2"),
            step("resolved", "2024-05-14T18:00:00", "T2"),
        ],
    }
    assert value("off_hours_first_response_hours_typical_365d", **rows) == pytest.approx(5)
    name = "off_hours_first_contact_resolution_share_365d"
    assert value(name, **rows) == shrunk(1, 1, 0.8)


# Response


def test_a_reply_that_is_deleted_leaves_the_ticket_unanswered_again() -> None:
    reply = message("agent", "2024-05-10T02:00:00", event_id="M1")
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "messages": [reply, version(reply, 2, "2024-05-20", op="delete")],
    }
    assert value("first_response_hours_last", "2024-05-20", **rows) == pytest.approx(2)
    assert value("awaiting_response_count", "2024-05-20", **rows) == 0
    assert np.isnan(value("first_response_hours_last", **rows))
    assert value("awaiting_response_count", **rows) == 1
    assert value("awaiting_response_days", **rows) == 22


def test_a_reply_that_turns_out_to_be_a_bots_gives_way_to_the_next_one() -> None:
    reply = message("agent", "2024-05-10T02:00:00", event_id="M1")
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "messages": [
            reply,
            version(reply, 2, "2024-05-20", author="bot"),
            message("agent", "2024-05-10T06:00:00"),
        ],
    }
    assert value("first_response_hours_last", "2024-05-20", **rows) == pytest.approx(2)
    assert value("first_response_hours_last", **rows) == pytest.approx(6)


def test_an_answered_call_is_a_human_reply_from_the_end_of_the_wait() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket(channel="phone")],
        "messages": [message("customer", "2024-05-10T00:00:00")],
        "calls": [
            call("2024-05-10T00:00:00", wait_seconds=90, abandoned=True),
            call("2024-05-10T01:00:00", wait_seconds=1800, talk_seconds=60),
        ],
    }
    assert value("first_response_hours_last", **rows) == pytest.approx(1.5)


def test_an_open_wait_counts_with_a_day_and_only_after_a_day() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-05-20", "T1"), ticket("2024-05-30T18:00:00", "T2")],
        "messages": [message("agent", "2024-05-20T04:00:00", "T1")],
    }
    name = "first_response_hours_24h_mean_365d"
    assert value(name, "2024-05-31T18:00:00", **rows) == pytest.approx(4)
    assert value(name, "2024-05-31T18:00:01", **rows) == pytest.approx((4 + 24) / 2)


@pytest.mark.parametrize(("replied", "missed"), [("01:00:00", 0), ("01:00:01", 1)])
def test_a_target_is_missed_at_its_deadline(replied: str, missed: int) -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "messages": [message("agent", f"2024-05-10T{replied}")],
    }
    assert value("slow_response_count_365d", "2024-05-10T01:00:00", **rows) == 0
    assert value("slow_response_count_365d", "2024-05-10T01:00:00.000001", **rows) == missed
    assert value("slow_response_count_365d", **rows) == missed


@pytest.mark.parametrize(("deleted", "answered"), [("11T00:00:00", 0), ("11T00:00:01", 1)])
def test_a_reply_that_is_deleted_before_the_deadline_is_no_answer(
    deleted: str, answered: int
) -> None:
    reply = message("agent", "2024-05-10T02:00:00", event_id="M1")
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "messages": [reply, version(reply, 2, f"2024-05-{deleted}", op="delete")],
    }
    assert value("answered_within_24h_share_90d", **rows) == shrunk(answered, 1, 0.9)


def test_every_message_of_the_customer_waits_for_the_next_human_reply() -> None:
    said = [
        ("customer", "00:00"), ("bot", "00:01"), ("customer", "01:00"), ("agent", "02:00"),
        ("agent", "03:00"), ("customer", "05:00"), ("agent", "11:00"), ("customer", "12:30"),
    ]  # fmt: skip
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "messages": [message(who, f"2024-05-10T{at}") for who, at in said],
        "ticket_events": [step("resolved", "2024-05-10T12:00:00")],
    }
    # Two hours, then six; the message after the resolution waits for nothing.
    assert value("reply_hours_mean_365d", **rows) == pytest.approx(4)
    rows["ticket_events"].append(step("reopened", "2024-05-10T12:31:00"))
    assert value("reply_hours_mean_365d", **rows) == pytest.approx((2 + 6 + 24) / 3)
    assert value("reply_hours_mean_365d", "2024-05-11T12:30:00", **rows) == pytest.approx(4)


def test_the_longest_silence_lasts_until_the_resolution_or_the_fourteenth_day() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-05-13T09:00:00")],
        "messages": [
            message("agent", "2024-05-13T10:00:00"),
            message("agent", "2024-05-14T10:00:00"),
        ],
        "ticket_events": [step("resolved", "2024-05-14T12:00:00")],
    }
    assert value("max_silence_hours_typical_365d", **rows) == pytest.approx(24)
    assert value("max_silence_business_hours_typical_365d", **rows) == pytest.approx(9)
    assert value("updates_per_day_mean_365d", **rows) == 1
    del rows["ticket_events"]
    assert value("max_silence_hours_typical_365d", **rows) == pytest.approx(14 * 24 - 25)
    assert np.isnan(value("max_silence_hours_typical_365d", "2024-05-27T09:00:00", **rows))


def test_channels_are_compared_on_three_responses_or_more() -> None:
    tickets = [
        ticket("2024-05-01", "T1", channel="chat"),
        ticket("2024-05-02", "T2", channel="mail"),
        ticket("2024-05-03", "T3", channel="mail"),
    ]
    replies = [
        message("agent", "2024-05-01T01:00:00", "T1"),
        message("agent", "2024-05-02T08:00:00", "T2"),
        message("agent", "2024-05-03T08:00:00", "T3"),
    ]
    found = value("response_channel_range_hours", tickets=tickets, messages=replies)
    assert found == pytest.approx(7)
    few = value("response_channel_range_hours", tickets=tickets[:2], messages=replies[:2])
    assert np.isnan(few)


# Resolution


def test_waiting_for_the_customer_is_not_resolution_time() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-05-13T09:00:00")],
        "messages": [message("customer", "2024-05-13T15:00:00")],
        "ticket_events": [
            step("pending_customer", "2024-05-13T10:00:00"),
            step("pending_customer", "2024-05-13T16:00:00"),
            step("resolved", "2024-05-13T17:00:00"),
        ],
    }
    # Eight hours, less five until the answer and one until the resolution.
    assert value("resolution_hours_last", **rows) == pytest.approx(2)
    assert value("resolution_business_hours_typical_365d", **rows) == pytest.approx(2)
    assert value("first_resolution_hours_typical_365d", **rows) == pytest.approx(8)
    # An answer that is known later than the resolution is too late to count.
    rows["messages"][0]["known_at"] = "2024-05-14"
    assert value("resolution_hours_last", **rows) == pytest.approx(1)


def test_a_reopening_lets_the_clock_run_on_and_hides_the_resolution_meanwhile() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-05-01")],
        "ticket_events": [
            step("resolved", "2024-05-02"),
            step("reopened", "2024-05-10"),
            step("resolved", "2024-05-11"),
        ],
    }
    found = {day: value("resolution_hours_last", f"2024-{day}", **rows) for day in DAYS}
    assert found["05-03"] == 24 and np.isnan(found["05-10T12:00:00"]) and found["05-12"] == 240
    assert value("open_ticket_age_days", "2024-05-10T12:00:00", **rows) == 9.5
    assert value("first_resolution_hours_typical_365d", **rows) == pytest.approx(24)
    assert value("reopening_count_365d", **rows) == 1


DAYS = ("05-03", "05-10T12:00:00", "05-12")


def test_resolved_by_a_deadline_means_resolved_and_not_open_again() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-05-01")],
        "ticket_events": [step("resolved", "2024-05-01T12:00:00"), step("reopened", "2024-05-03")],
    }
    assert value("slow_resolution_count_365d", **rows) == 0
    assert value("resolved_within_72h_share_365d", **rows) == shrunk(0, 1, 0.9)
    assert value("resolution_hours_72h_mean_365d", **rows) == 72
    assert value("resolved_within_14d_share_365d", **rows) == shrunk(0, 1, 0.95)
    rows["ticket_events"].append(step("resolved", "2024-05-15T00:00:00"))
    assert value("resolved_within_14d_share_365d", **rows) == shrunk(1, 1, 0.95)
    assert np.isnan(value("resolved_within_14d_share_365d", "2024-05-15", **rows))


def solved(**tables: list[Row]) -> float:
    return value("first_contact_resolution_last", **tables)


def test_first_contact_means_one_human_contact() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "ticket_events": [step("resolved", "2024-05-10T09:00:00")],
        "messages": [
            message("customer", "2024-05-10T00:00:00"),
            message("agent", "2024-05-10T01:00:00"),
            message("agent", "2024-05-10T02:00:00"),
            message("customer", "2024-05-10T10:00:00"),
        ],
    }
    assert solved(**rows) == 1
    rows["messages"] += [
        message("customer", "2024-05-10T05:00:00"),
        message("agent", "2024-05-10T06:00:00"),
    ]
    assert solved(**rows) == 0


def test_what_a_bot_settled_alone_is_no_first_contact_resolution() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "ticket_events": [step("resolved", "2024-05-10T09:00:00")],
        "messages": [message("bot", "2024-05-10T01:00:00")],
    }
    assert np.isnan(solved(**rows))
    assert value("bot_resolved_share_365d", **rows) == shrunk(1, 1, 0.2)
    rows["messages"].append(message("agent", "2024-05-10T02:00:00"))
    assert solved(**rows) == 1
    assert value("bot_resolved_share_365d", **rows) == shrunk(0, 1, 0.2)


def test_a_resolution_is_pending_for_seven_days() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "ticket_events": [step("resolved", "2024-05-10T12:00:00")],
    }
    for at, pending in (("2024-05-10T12:00:00", 0), ("2024-05-17T12:00:00", 1), (AS_OF, 0)):
        assert value("first_contact_pending_count", at, **rows) == pending
    assert value("first_contact_pending_days", "2024-05-12T12:00:00", **rows) == 2


def test_tickets_about_other_products_are_other_issues() -> None:
    def rows(product: str | None) -> dict[str, list[Row]]:
        return {
            "tickets": [
                ticket(topic="defect", product_id="P1"),
                ticket("2024-05-12", "T2", topic="defect", product_id=product),
            ],
            "ticket_events": [step("resolved", "2024-05-10T12:00:00")],
        }

    for product, same in (("P1", True), ("P2", False), (None, True)):
        assert (value("repeat_issue_count", **rows(product)) > 0) == same
        assert solved(**rows(product)) == (0 if same else 1)


def test_an_escalation_leads_to_the_second_tier() -> None:
    steps = [step("escalated", "2024-05-10T01:00:00", tier=tier) for tier in (1, 2, None)]
    for escalated, counts in zip(steps, (0, 1, 1), strict=True):
        rows: dict[str, list[Row]] = {"tickets": [ticket()], "ticket_events": [escalated]}
        assert value("escalation_share_365d", **rows) == shrunk(counts, 1, 0.1)
        assert (value("escalation_decayed", **rows) > 0) == bool(counts)


@pytest.mark.parametrize(
    ("more", "alone"),
    [
        ([], 1),
        ([step("escalated", "2024-05-10T02:00:00")], 0),
        ([step("assigned", "2024-05-10T02:00:00", tier=2)], 0),
        ([step("reopened", "2024-05-11")], 0),
    ],
)
def test_settled_on_own_authority(more: list[Row], alone: int) -> None:
    steps = [
        step("decision", "2024-05-10T01:00:00", own_authority=True, tier=1),
        step("resolved", "2024-05-10T03:00:00"),
    ]
    name = "own_authority_share_365d"
    rows: dict[str, list[Row]] = {"tickets": [ticket()], "ticket_events": steps + more}
    assert value(name, **rows) == shrunk(alone, 1, 0.4)
    rows["ticket_events"][0]["own_authority"] = False
    assert value(name, **rows) == shrunk(0, 1, 0.4)


def test_owners_handoffs_and_what_goes_along() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "ticket_events": [
            step("assigned", "2024-05-10T01:00:00", agent_id="A1"),
            step("context_viewed", "2024-05-10T02:00:00", agent_id="A1"),
            step("pending_customer", "2024-05-10T02:30:00"),
            step("transferred", "2024-05-10T03:00:00", agent_id="A2", context_passed=True),
            step("escalated", "2024-05-10T04:00:00", agent_id="A1", context_passed=False),
        ],
        "messages": [
            message("agent", "2024-05-10T05:00:00", asks_again=True),
            message("agent", "2024-05-10T06:00:00", asks_again=False),
        ],
    }
    assert value("owner_changes_mean_365d", **rows) == 2
    assert value("context_passed_share_365d", **rows) == shrunk(1, 2, 0.8)
    assert 1 < value("handoff_decayed", **rows) < 2
    assert 0.5 < value("repeat_info_decayed", **rows) < 1


# Channels, languages, bots, agents


def test_channels_preference_and_language() -> None:
    profile = customer("C1", channel_pref="chat")
    rows: dict[str, list[Row]] = {
        "customers": [profile, version(profile, 2, "2024-05-15", channel_pref="social")],
        "tickets": [
            ticket("2024-05-10", "T1", channel="chat", language="ja"),
            ticket("2024-05-20", "T2", channel="chat", language="ja"),
            ticket("2024-05-21", "T3", channel="in_person"),
        ],
        "messages": [
            message("agent", "2024-05-10", "T1", language="ja", translated=True),
            message("agent", "2024-05-20", "T2", language="en", translated=False),
        ],
    }
    assert value("preferred_channel_share_365d", **rows) == shrunk(1, 3, 0.7)
    assert value("in_person_share_365d", **rows) == pytest.approx(1 / 3)
    assert value("social_share_365d", **rows) == shrunk(0, 3, 0.1)
    assert value("language_match_share_365d", **rows) == shrunk(1, 2, 0.95)
    assert 0.5 < value("other_language_decayed", **rows) < 1
    assert value("translated_share_365d", **rows) == shrunk(1, 2, 0.05)


def bot_tables(turns: int, reply: str | None, severity: int | None) -> dict[str, list[Row]]:
    said = [message("bot", f"2024-05-10T00:{i:02}:00") for i in range(1, turns + 1)]
    said += [message("agent", reply)] if reply else []
    return {"tickets": [ticket(severity=severity)], "messages": said}


@pytest.mark.parametrize(
    ("turns", "reply", "severity", "before", "hours", "trapped"),
    [
        (4, None, 2, 4, 24, True),
        (4, "2024-05-10T02:01:00", 3, 4, 2, True),
        (4, "2024-05-10T00:03:30", 3, 3, 2.5 / 60, False),
        (3, None, 3, 3, 24, False),
        (4, None, 1, 4, 24, False),
        (4, None, None, 4, 24, False),
    ],
)
def test_a_bot_trap_is_a_serious_problem_with_many_turns_and_no_person(
    turns: int, reply: str | None, severity: int | None, before: int, hours: float, trapped: bool
) -> None:
    rows = bot_tables(turns, reply, severity)
    assert value("bot_turns_mean_365d", **rows) == before
    assert value("bot_handoff_hours_mean_365d", **rows) == pytest.approx(hours)
    assert (value("bot_trap_decayed", **rows) > 0) == trapped
    assert np.isnan(value("bot_turns_mean_365d", "2024-05-11T00:00:00", **rows))


def test_what_bots_say_and_how_soon() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "messages": [
            message("bot", "2024-05-10T00:00:05", not_understood=False),
            message("bot", "2024-05-10T00:10:00", not_understood=True),
            message("agent", "2024-05-10T02:00:00", asks_to_clarify=True, corrects=True),
        ],
    }
    assert value("bot_acknowledgement_seconds_mean_365d", **rows) == 5
    assert value("first_response_hours_last", **rows) == pytest.approx(2)
    assert value("bot_not_understood_share_365d", **rows) == shrunk(1, 2, 0.2)
    assert value("bot_reply_share_365d", **rows) == shrunk(2, 3, 0.2)
    assert value("bot_reply_count_365d", **rows) == 2
    assert value("clarifying_question_share_365d", **rows) == shrunk(1, 1, 0.1)
    assert 0.5 < value("correction_decayed", **rows) < 1


def test_who_gives_up_a_call_has_no_waiting_time() -> None:
    rows: dict[str, list[Row]] = {
        "calls": [
            call("2024-05-10", None, wait_seconds=600, abandoned=True),
            call("2024-05-11", None, wait_seconds=60, talk_seconds=240, hold_seconds=30)
            | {"wrap_seconds": 90},
            call("2024-05-12", None, wait_seconds=180, talk_seconds=120, abandoned=False),
        ]
    }
    assert value("call_wait_minutes_mean_365d", **rows) == 2
    assert value("call_abandoned_count_365d", **rows) == 1
    assert value("call_hold_minutes_mean_365d", **rows) == 0.5
    assert value("call_handle_minutes_mean_365d", **rows) == 4


def test_quality_reviews_and_the_agents_experience() -> None:
    scores = {"empathy": 80, "listening": 70, "clarity": None, "tone": 60, "language": 90}
    rows: dict[str, list[Row]] = {
        "tickets": [ticket()],
        "qa_reviews": [{"ticket_id": "T1", "event_at": "2024-05-12"} | scores],
        "ticket_events": [
            step("assigned", "2024-05-10", agent_tenure_days=100, agent_training_hours=4),
            step("escalated", "2024-05-11", agent_tenure_days=900, agent_training_hours=0),
            step("resolved", "2024-05-12", agent_tenure_days=900, agent_training_hours=0),
        ],
    }
    assert value("qa_empathy_mean_365d", **rows) == 80
    assert value("qa_language_mean_365d", **rows) == 90
    assert np.isnan(value("qa_clarity_mean_365d", **rows))
    assert value("agent_tenure_days_mean_365d", **rows) == 500
    assert value("agent_training_hours_mean_365d", **rows) == 2


# Context: load, product, intent


def test_who_speaks_of_leaving_is_marked_apart_from_support() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [
            ticket("2024-05-10", "T1", topic="Cancellation"),
            ticket("2024-05-20", "T2", topic="解約手続き"),
            ticket("2024-05-21", "T3", topic="contract"),
        ],
        "outreach": [
            {"kind": "personal_offer", "campaign": "Retention desk", "event_at": "2024-05-22"},
            {"kind": "personal_offer", "campaign": "spring", "event_at": "2024-05-22"},
        ],
        "subscriptions": [
            {"subscription_id": "S1", "kind": "cancel_request", "event_at": "2024-05-20"}
        ],
    }
    assert value("cancellation_ticket_count_365d", **rows) == 2
    assert value("days_since_cancellation_ticket", **rows) == 12
    assert value("retention_contact_count_365d", **rows) == 1
    assert value("cancel_request_count_365d", **rows) == 1
    for name in ("cancellation_ticket_count_365d", "queue_backlog_mean_365d"):
        assert not FEATURES[name].lever
    assert FEATURES["cancellation_ticket_count_365d"].family == "intent"


def test_the_backlog_that_a_ticket_met() -> None:
    rows = [ticket("2024-05-10", "T1", queue_backlog=10), ticket("2024-05-11", "T2")]
    rows.append(ticket("2024-05-09", "T3", queue_backlog=30))
    assert value("queue_backlog_mean_365d", tickets=rows) == 20
    assert value("queue_backlog_last", tickets=rows) == 10


def complaint_tickets() -> list[Row]:
    """C1 and C2 complain about P1; 20 others ask about P1, five of them complain; 10 about P2."""
    rows = [
        ticket("2024-05-10", "T1", customer_id="C1", product_id="P1", topic="complaint"),
        ticket("2024-05-10", "T2", customer_id="C2", product_id="P2", topic="complaint"),
    ]
    for i in range(30):
        product, topic = ("P1", "complaint" if i < 5 else "howto") if i < 20 else ("P2", "howto")
        rows.append(
            ticket("2024-04-01", f"X{i}", customer_id=f"X{i}", product_id=product, topic=topic)
        )
    return rows


def complaint_rates(at: str, rows: list[Row]) -> list[float]:
    spine = pd.DataFrame({"customer_id": ["C1", "C2"], "as_of": pd.to_datetime([at] * 2, utc=True)})
    connection = database(
        customers=table("customers", customer("C1"), customer("C2")),
        tickets=table("tickets", *rows),
    )
    wanted = [FEATURES["product_complaint_rate"]]
    return with_features(connection, spine, wanted, {})["product_complaint_rate"].tolist()


def test_the_complaint_rate_of_a_product_is_that_of_the_other_customers() -> None:
    rows = complaint_tickets()
    # Of P1's 20 other tickets five; P2 has too few others, so all 31 others count, six complain.
    assert complaint_rates("2024-06-01", rows) == pytest.approx([5 / 20, 6 / 31])
    # Twenty tickets are too few when one is the customer's own: 5 + 1 of 30 others complain.
    one_less = [row for row in rows if row["ticket_id"] != "X19"]
    assert complaint_rates("2024-06-01", one_less) == pytest.approx([6 / 30, 6 / 30])
    # As of the end of the month before, later tickets change nothing; in August most have aged.
    more = [*rows, ticket("2024-06-02", "T9", customer_id="X1", product_id="P1", topic="complaint")]
    assert complaint_rates("2024-06-15", more) == pytest.approx([5 / 20, 6 / 31])
    assert complaint_rates("2024-08-01", rows) == pytest.approx([1.0, 1.0])
    assert np.isnan(complaint_rates("2024-05-01", rows)).all()


def test_the_complaint_rate_does_not_depend_on_the_buckets(tmp_path: Any) -> None:
    rows = complaint_tickets()
    (tmp_path / "tickets").mkdir()
    for bucket in range(3):
        table("tickets", *rows[bucket::3]).to_parquet(
            tmp_path / "tickets" / f"bucket={bucket:03d}.parquet"
        )
    products = added_up(
        product_months(path, "UTC") for path in sorted((tmp_path / "tickets").iterdir())
    )
    spine = pd.DataFrame({"customer_id": ["C1"], "as_of": pd.to_datetime(["2024-06-01"], utc=True)})
    connection = connect(
        {
            "customers": table("customers", customer("C1")),
            "tickets": f"read_parquet('{tmp_path}/tickets/bucket=000.parquet')",
        },
        "UTC",
        WorkingCalendar(),
        products,
    )
    found = with_features(connection, spine, [FEATURES["product_complaint_rate"]], {})
    assert found["product_complaint_rate"].tolist() == pytest.approx([5 / 20])
