"""What the features about voice, care, commerce and the site say of rows written by hand.

All as of 1 June 2024 unless a test says otherwise; every row belongs to customer C1.
"""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from data.contracts import TABLES
from features.aggregates import SHRINKAGE
from features.catalog import features
from features.table import with_features
from tests.features.tables import customer, database, table

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
FEATURES = {f.name: f for f in features((30, 90, 180, 365), [t.name for t in TABLES])}

Row = dict[str, Any]


@lru_cache(maxsize=4)
def opened(zone: str, written: str) -> duckdb.DuckDBPyConnection:
    """The views over the tables that `written` spells out: one for several questions."""
    tables: dict[str, list[Row]] = ast.literal_eval(written)
    return database(zone, **{key: table(key, *rows) for key, rows in tables.items()})


def value(name: str, at: str | datetime = AS_OF, zone: str = "UTC", /, **tables: list[Row]) -> Any:
    """Feature `name` of customer C1 at `at`."""
    filled = {key: [{"customer_id": "C1"} | row for row in rows] for key, rows in tables.items()}
    filled.setdefault("customers", [customer("C1")])
    connection = opened(zone, repr(filled))
    rows = pd.DataFrame({"customer_id": ["C1"], "as_of": [pd.to_datetime(at, utc=True)]})
    return with_features(connection, rows, [FEATURES[name]], {})[name][0]


def shrunk(k: float, n: int, reference: float) -> Any:
    """A share of k in n, as METHODS A (RATE) shrinks it."""
    return pytest.approx((k + SHRINKAGE * reference) / (n + SHRINKAGE), rel=1e-6)


def answer(kind: str, score: float, at: str = "2024-05-10", **more: Any) -> Row:
    scale = {"scale_min": 0, "scale_max": 10} if kind == "nps" else {"scale_min": 1, "scale_max": 5}
    row = {"survey_id": f"{kind}-{at}", "kind": kind, "action": "answered", "event_at": at}
    return row | scale | {"value": score} | more


def sent_survey(at: str, name: str = "V1", **more: Any) -> Row:
    return {"survey_id": name, "kind": "csat", "action": "sent", "event_at": at} | more


def ticket(at: str = "2024-05-10", name: str = "T1", **more: Any) -> Row:
    return {"ticket_id": name, "event_id": name, "event_at": at, "channel": "mail"} | more


def resolved(at: str, name: str = "T1") -> Row:
    return {"ticket_id": name, "kind": "resolved", "event_at": at}


def order(at: str, name: str = "O1", **more: Any) -> Row:
    return {"order_id": name, "event_id": name, "event_at": at, "status": "placed"} | more


def contact(kind: str, at: str, **more: Any) -> Row:
    return {"kind": kind, "event_at": at} | more


def steps(key: str, name: str, what: str, /, **at: str) -> list[Row]:
    """Steps of one thing: `kind` or `action` -> time."""
    return [{key: name, what: step, "event_at": when} for step, when in at.items()]


# Surveys (S17-S24, S64, S68)


def test_low_ratings_are_counted_and_rated() -> None:
    rows = [answer("csat", 2), answer("csat", 1, "2024-05-12"), answer("csat", 3, "2024-05-13")]
    assert value("csat_low_count_365d", surveys=rows) == 2  # 25 and 0 of 100; 50 is not low
    assert value("csat_low_share_365d", surveys=rows) == shrunk(2, 3, 0.2)
    assert np.isnan(value("csat_mean_365d", surveys=[answer("nps", 5)]))


def test_satisfaction_is_split_by_touchpoint() -> None:
    rows = [
        answer("csat", 5, touchpoint="support"),
        answer("csat", 2, "2024-05-11", touchpoint="purchase"),
        answer("csat", 1, "2024-05-12"),
    ]
    assert value("csat_support_mean_365d", surveys=rows) == 100
    assert value("csat_purchase_mean_365d", surveys=rows) == 25


def test_the_trend_of_satisfaction_compares_two_years() -> None:
    rows = [answer("csat", 5, "2023-02-01"), answer("csat", 3)]
    assert value("csat_trend_365d", surveys=rows) == -50


@pytest.mark.parametrize(("score", "counts"), [(10, 100), (9, 100), (8, 0), (7, 0), (6, -100)])
def test_promoters_passives_and_detractors(score: float, counts: float) -> None:
    assert value("nps_class_last", surveys=[answer("nps", score)]) == counts


def test_the_mean_of_the_classes_is_the_nps() -> None:
    rows = [answer("nps", s, f"2024-05-{10 + s}") for s in (9, 9, 7, 2)]
    rows[1]["event_at"] = "2024-05-09"
    assert value("nps_net_mean_365d", surveys=rows) == 25
    assert value("nps_last", surveys=rows) == 90


def test_effort_trust_and_intention_are_on_0_to_100() -> None:
    rows = [answer(kind, 4) for kind in ("ces", "trust", "intent")]
    for name in ("ces_last", "ces_mean_365d", "trust_last", "trust_mean_365d", "intent_last"):
        assert value(name, surveys=rows) == 75
        assert np.isnan(value(name, surveys=[answer("csat", 4)]))


def test_the_top_two_answers_intend_to_buy_again() -> None:
    rows = [answer("intent", s, f"2024-05-{10 + s}") for s in (5, 4, 3)]
    assert value("intent_top_two_share_365d", surveys=rows) == shrunk(2, 3, 0.6)


def test_surveys_are_told_apart_by_incentive_and_mode() -> None:
    rows = [
        sent_survey("2024-05-01", incented=True, mode="phone"),
        answer("csat", 4, "2024-05-03", survey_id="V1"),
        sent_survey("2024-05-02", "V2", incented=True, mode="online"),
        sent_survey("2024-05-02", "V3", incented=False, mode="paper"),
        sent_survey("2024-05-02", "V4"),
        sent_survey("2024-05-27", "V5", incented=True, mode="phone"),
    ]
    assert value("survey_sent_count_365d", surveys=rows) == 4
    assert value("survey_answer_count_365d", surveys=rows) == 1
    assert value("survey_answer_share_365d", surveys=rows) == shrunk(1, 4, 0.35)
    assert value("survey_incented_share_365d", surveys=rows) == shrunk(2, 3, 0.2)
    assert value("survey_answer_incented_share_365d", surveys=rows) == shrunk(1, 2, 0.45)
    assert value("survey_spoken_share_365d", surveys=rows) == shrunk(1, 3, 0.1)
    assert value("survey_paper_share_365d", surveys=rows) == shrunk(1, 3, 0.1)


def test_only_comments_with_words_count() -> None:
    rows = [answer("csat", 4, comment="Fine"), answer("csat", 4, "2024-05-11", comment=" ")]
    assert value("survey_comment_count_365d", surveys=rows) == 1


def test_the_tone_of_comments() -> None:
    rows = [
        answer("csat", 4, comment="Thank you, great help"),
        answer("csat", 1, "2024-05-11", comment="This is awful"),
        answer("csat", 1, "2024-05-12"),
    ]
    assert value("negative_comment_share_365d", surveys=rows) == shrunk(1, 2, 0.3)
    assert (
        value("comment_tone_last", surveys=rows) < 0 < value("comment_tone_last", surveys=rows[:1])
    )
    assert value("comment_tone_mean_365d", surveys=rows) > value("comment_tone_last", surveys=rows)


# Feedback, reviews, mentions, referrals (S25-S31)


def test_feedback_is_open_until_it_is_decided_and_open_is_not_declined() -> None:
    rows = [
        *steps("feedback_id", "F1", "action", given="2024-05-01", acted_on="2024-05-20"),
        *steps("feedback_id", "F2", "action", given="2024-05-05", declined="2024-05-15"),
        *steps("feedback_id", "F3", "action", given="2024-05-08"),
        *steps("feedback_id", "F4", "action", session_attended="2024-05-09"),
    ]
    assert value("feedback_count_365d", feedback=rows) == 3
    assert value("feedback_session_count_365d", feedback=rows) == 1
    for at, open_now in (("2024-05-10", 3), ("2024-05-16", 2), ("2024-06-01", 1)):
        assert value("feedback_open_count", at, feedback=rows) == open_now
    assert value("feedback_open_days", feedback=rows) == 24
    assert value("feedback_acted_on_count_365d", feedback=rows) == 1
    assert value("feedback_acted_on_share_365d", feedback=rows) == shrunk(1, 2, 0.4)


def test_whoever_was_not_told_is_counted_until_told() -> None:
    rows = steps(
        "feedback_id", "F1", "action", given="2024-01-01", acted_on="2024-05-01",
        notified="2024-05-20",
    )  # fmt: skip
    assert value("feedback_untold_count", "2024-05-10", feedback=rows) == 1
    assert value("feedback_untold_count", feedback=rows) == 0
    assert value("feedback_notified_count_365d", feedback=rows) == 1


def test_the_topic_of_the_latest_feedback() -> None:
    rows = [
        {"feedback_id": f, "action": "given", "event_at": at, "topic": topic}
        for f, at, topic in (("F1", "2024-05-01", "price"), ("F2", "2024-05-20", "app"))
    ]
    assert value("feedback_topic", feedback=rows) == "app"
    assert value("feedback_topic", "2024-05-20", feedback=rows) == "price"


def review(action: str, at: str, name: str = "R1", **more: Any) -> Row:
    return {"review_id": name, "action": action, "event_at": at} | more


def test_stars_are_missing_where_none_were_given() -> None:
    rows = [
        review("posted", "2024-05-01", rating=2),
        review("posted", "2024-05-02", "R2", rating=5),
        review("posted", "2024-05-03", "R3"),
        review("answered", "2024-05-04", "R3"),
    ]
    assert value("review_count_365d", reviews=rows) == 3
    assert value("review_rating_mean_365d", reviews=rows) == 3.5
    assert value("review_rating_last", reviews=rows) == 5
    assert value("negative_review_count_365d", reviews=rows) == 1
    assert np.isnan(value("review_rating_last", reviews=rows[2:]))


def test_a_review_counts_as_unanswered_after_seven_days_with_the_days_it_took() -> None:
    rows = [
        review("posted", "2024-05-01"),
        review("answered", "2024-05-03"),
        review("posted", "2024-05-02", "R2"),
        review("answered", "2024-05-12", "R2"),
        review("posted", "2024-05-28", "R3"),
    ]
    assert value("review_reply_share_365d", reviews=rows) == shrunk(1, 2, 0.5)
    assert value("review_reply_hours_365d", reviews=rows) == (48 + 168) / 2
    assert value("review_unanswered_count", "2024-05-10", reviews=rows) == 1
    assert value("review_unanswered_count", reviews=rows) == 1  # R3
    assert np.isnan(value("review_reply_share_365d", reviews=rows[-1:]))
    known_late = [review("posted", "2024-05-01", known_at="2024-05-10")]
    late = [*known_late, review("answered", "2024-05-12")]
    assert value("review_reply_share_365d", reviews=late) == shrunk(0, 1, 0.5)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        (
            "review_reply_share_365d",
            {"reviews": [review("posted", "2024-04-01"), review("answered", "2024-04-03")]},
        ),
        (
            "referral_converted_share_365d",
            {"referrals": steps("referral_id", "A", "action", made="2024-04-01",
                                converted="2024-04-03")},
        ),
        (
            "refund_within_14d_share_365d",
            {"returns": steps("return_id", "A", "kind", requested="2024-04-01",
                              refunded="2024-04-03")},
        ),
        (
            "outreach_opened_share_365d",
            {"outreach": [
                contact("usage_tip", "2024-04-01", action="sent", outreach_id="X"),
                contact("usage_tip", "2024-04-03", action="opened", outreach_id="X"),
            ]},
        ),
    ],
)  # fmt: skip
def test_what_becomes_known_after_the_verdict_does_not_change_it(
    name: str, rows: dict[str, list[Row]]
) -> None:
    ((table_name, (first, second)),) = rows.items()
    good = value(name, **rows)
    late = value(name, **{table_name: [first, second | {"known_at": "2024-05-20"}]})
    assert late < good


def test_a_customer_without_a_matched_mention_is_unknown_not_silent() -> None:
    assert np.isnan(value("mention_number"))
    assert np.isnan(value("negative_mention_share_365d"))
    rows = [{"event_at": "2024-05-01", "tone": -0.5}, {"event_at": "2024-05-11", "tone": 0.9}]
    assert value("mention_number", social_mentions=rows) == 2
    assert value("mention_number", "2024-05-02", social_mentions=rows) == 1
    assert value("mention_tone_mean_365d", social_mentions=rows) == pytest.approx(0.2)
    assert value("negative_mention_share_365d", social_mentions=rows) == shrunk(1, 2, 0.3)
    assert value("days_since_last_mention", social_mentions=rows) == 21


def test_a_referral_is_judged_after_thirty_days() -> None:
    rows = [
        *steps("referral_id", "A", "action", made="2024-03-01", converted="2024-03-31"),
        *steps("referral_id", "B", "action", made="2024-03-01", converted="2024-04-01"),
        *steps("referral_id", "C", "action", made="2024-05-20", converted="2024-05-21"),
    ]
    assert value("referral_count_365d", referrals=rows) == 3
    assert value("referral_converted_count_365d", referrals=rows) == 1
    assert value("referral_converted_share_365d", referrals=rows) == shrunk(1, 2, 0.3)
    assert value("referral_pending_count", referrals=rows) == 1


# Outreach (S50-S56, S67)


def test_opening_and_answering_are_not_further_contacts() -> None:
    rows = [
        contact("usage_tip", "2024-05-01", action="sent", outreach_id="X"),
        contact("usage_tip", "2024-05-02", action="opened", outreach_id="X"),
        contact("usage_tip", "2024-05-03", action="replied", outreach_id="X"),
        contact("usage_tip", "2024-05-04"),
    ]
    assert value("usage_tip_count_365d", outreach=rows) == 2
    assert value("days_since_last_outreach", outreach=rows) == 28
    assert value("outreach_opened_share_365d", outreach=rows) == shrunk(1, 1, 0.4)
    assert value("outreach_replied_share_365d", outreach=rows) == shrunk(1, 1, 0.1)
    assert np.isnan(value("outreach_opened_share_365d", "2024-05-08", outreach=rows))


def test_an_opening_after_seven_days_is_too_late() -> None:
    rows = [
        contact("usage_tip", "2024-05-01", action="sent", outreach_id="X"),
        contact("usage_tip", "2024-05-08T00:00:01", action="opened", outreach_id="X"),
    ]
    assert value("outreach_opened_share_365d", outreach=rows) == shrunk(0, 1, 0.4)


def test_help_before_the_first_ticket_is_early() -> None:
    rows = [contact("proactive_help", "2024-05-01"), contact("usage_tip", "2024-05-20")]
    assert value("early_help_count", outreach=rows) == 2
    assert value("early_help_count", outreach=rows, tickets=[ticket("2024-05-10")]) == 1
    assert value("early_help_count", outreach=rows, tickets=[ticket("2024-04-10")]) == 0


def test_thanks_perks_and_surprises_by_kind_and_together() -> None:
    kinds = ("thank_you", "birthday", "surprise_discount", "sale_notice", "related_offer")
    rows = [contact(kind, f"2024-05-{10 + i}") for i, kind in enumerate(kinds)]
    for kind in kinds:
        assert value(f"{kind}_count_365d", outreach=rows) == 1
    assert value("delight_count_365d", outreach=rows) == 3
    assert value("days_since_last_delight", outreach=rows) == 20


def test_an_offer_is_relevant_where_the_customer_has_bought_before() -> None:
    rows = [
        contact("related_offer", "2024-05-01", category="tea"),
        contact("personal_offer", "2024-05-02", category="wine"),
        contact("related_offer", "2024-05-03"),
    ]
    orders = [order("2024-04-01", category="tea"), order("2024-05-02T12:00", "O2", category="wine")]
    name = "offer_relevant_share_365d"
    assert value(name, outreach=rows, orders=orders) == shrunk(1, 2, 0.5)
    assert np.isnan(value(name, outreach=rows, orders=[]))


@pytest.mark.parametrize(
    ("bought", "known", "converted"),
    [
        ("2024-05-15", "2024-05-15", 1),
        ("2024-05-15T00:00:01", "2024-05-16", 0),
        ("2024-05-14", "2024-05-16", 0),
        ("2024-04-30", "2024-04-30", 0),
    ],
)
def test_an_offer_converts_within_fourteen_days(bought: str, known: str, converted: int) -> None:
    rows: dict[str, list[Row]] = {
        "outreach": [contact("personal_offer", "2024-05-01")],
        "orders": [order(bought, known_at=known)],
    }
    name = "offer_converted_share_365d"
    assert np.isnan(value(name, "2024-05-15T00:00:00", **rows))
    assert value(name, **rows) == shrunk(converted, 1, 0.15)
    assert value("offer_pending_count", "2024-05-10", **rows) == 1
    assert value("offer_pending_count", **rows) == 0


@pytest.mark.parametrize(
    ("sent", "week", "month"),
    [
        ("2024-04-04T23:59:59", 0, 0),
        ("2024-04-05", 1, 0),
        ("2024-04-11", 1, 0),
        ("2024-04-11T00:00:01", 0, 0),
        ("2024-04-28", 0, 1),
        ("2024-05-04", 0, 1),
        ("2024-05-04T00:00:01", 0, 0),
    ],
)
def test_follow_up_a_week_and_a_month_after_resolution_and_delivery(
    sent: str, week: int, month: int
) -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-03-31")],
        "ticket_events": [resolved("2024-04-01")],
        "orders": [order("2024-03-20", delivered_at="2024-04-01")],
        "outreach": [
            contact("follow_up", sent, ticket_id="T1"),
            contact("follow_up", sent, order_id="O1"),
        ],
    }
    for after in ("resolution", "delivery"):
        assert value(f"follow_up_7d_{after}_share_365d", **rows) == shrunk(week, 1, 0.3)
        assert value(f"follow_up_30d_{after}_share_365d", **rows) == shrunk(month, 1, 0.2)
        assert np.isnan(value(f"follow_up_7d_{after}_share_365d", "2024-04-11", **rows))
    assert value("follow_up_due_count_365d", **rows) == 2
    assert value("follow_up_sent_count_365d", **rows) == 2 * week


def test_no_follow_up_is_due_for_a_cancelled_order_or_one_on_its_way() -> None:
    first = order("2024-04-01", delivered_at="2024-04-10")
    cancelled = first | {"record_version": 2, "known_at": "2024-04-05", "status": "cancelled"}
    on_its_way = order("2024-05-30", "O2", delivered_at="2024-06-10")
    assert value("follow_up_due_count_365d", orders=[first]) == 1
    assert value("follow_up_due_count_365d", orders=[first, cancelled]) == 0
    assert value("follow_up_due_count_365d", orders=[on_its_way]) == 0


def test_an_answered_follow_up() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-03-31")],
        "ticket_events": [resolved("2024-04-01")],
        "outreach": [
            contact("follow_up", "2024-04-08", ticket_id="T1", action="sent", outreach_id="X"),
            contact("follow_up", "2024-04-09", action="replied", outreach_id="X"),
        ],
    }
    assert value("follow_up_replied_share_365d", **rows) == shrunk(1, 1, 0.2)
    rows["outreach"][1]["event_at"] = "2024-04-12"
    assert value("follow_up_replied_share_365d", **rows) == shrunk(0, 1, 0.2)


@pytest.mark.parametrize(
    ("opened", "found"), [("2024-05-10", 0), ("2024-05-16", 1), ("2024-05-17T00:00:01", 0)]
)
def test_a_problem_within_a_week_was_found_by_the_follow_up(opened: str, found: int) -> None:
    rows: dict[str, list[Row]] = {
        "outreach": [contact("follow_up", "2024-05-10")],
        "tickets": [ticket(opened)],
    }
    assert value("follow_up_found_issue_count_365d", **rows) == found
    assert value("follow_up_found_issue_count_365d", "2024-05-17", **rows) == 0


# Service recovery (S33) and buying again (S68)


def test_a_complaint_is_put_right_when_solved_in_a_week_and_rated_well_then() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-05-01", severity=3), ticket("2024-05-01", "T2", severity=1)],
        "ticket_events": [resolved("2024-05-07")],
        "surveys": [answer("csat", 2, "2024-04-01"), answer("csat", 4, "2024-05-08")],
    }
    name = "complaint_recovered_share_365d"
    assert value("complaint_count_365d", **rows) == 1
    assert np.isnan(value(name, "2024-05-15", **rows))
    assert value(name, **rows) == shrunk(1, 1, 0.4)
    assert value("complaint_csat_change_365d", **rows) == 50
    assert np.isnan(value(name, **(rows | {"surveys": []})))  # no answer is no verdict
    late = rows | {"ticket_events": [resolved("2024-05-08T00:00:01")]}
    assert value(name, **late) == shrunk(0, 1, 0.4)
    low = rows | {"surveys": [answer("csat", 3, "2024-05-08")]}
    assert value(name, **low) == shrunk(0, 1, 0.4)


def test_buying_again_after_good_service_takes_sixty_days_to_know() -> None:
    rows: dict[str, list[Row]] = {
        "tickets": [ticket("2024-03-01")],
        "ticket_events": [resolved("2024-03-02")],
        "surveys": [answer("csat", 5, "2024-03-03", ticket_id="T1")],
        "orders": [order("2024-05-01")],
    }
    name = "bought_after_good_service_share_365d"
    assert np.isnan(value(name, "2024-05-01", **rows))
    assert value(name, **rows) == shrunk(1, 1, 0.5)
    assert value(name, **(rows | {"orders": [order("2024-05-02")]})) == shrunk(0, 1, 0.5)
    bad = [answer("csat", 3, "2024-03-03", ticket_id="T1")]
    assert np.isnan(value(name, **(rows | {"surveys": bad})))


# Purchases (S43, S70, S71)


@pytest.mark.parametrize(
    ("orders", "stage"),
    [
        ([], "before"),
        ([order("2024-05-02")], "before"),
        ([order("2024-04-30", delivered_at="2024-05-03")], "during"),
        ([order("2024-04-24T12:00")], "during"),
        ([order("2024-04-10")], "after"),
        ([order("2024-01-10"), order("2024-05-02", "O2")], "before"),
        ([order("2024-04-20"), order("2024-05-09", "O2")], "after"),
        ([order("2024-01-10"), order("2024-05-15T00:00:01", "O2")], "after"),
    ],
)
def test_the_nearest_order_tells_the_stage_of_a_ticket(orders: list[Row], stage: str) -> None:
    found = {
        name: value(f"ticket_{name}_purchase_count_365d", tickets=[ticket("2024-05-01")],
                    orders=orders)
        for name in ("before", "during", "after")
    }  # fmt: skip
    assert found == {"before": 0, "during": 0, "after": 0} | {stage: 1}


def test_value_is_what_was_ordered_less_what_was_paid_back() -> None:
    rows: dict[str, list[Row]] = {
        "orders": [order("2022-05-01", amount=100), order("2024-05-01", "O2", amount=40)],
        "returns": [
            {"return_id": "R", "kind": "requested", "amount": 40, "event_at": "2024-05-02"},
            {"return_id": "R", "kind": "refunded", "amount": 40, "event_at": "2024-05-05"},
        ],
    }
    assert value("net_amount_to_date", **rows) == 100
    assert value("net_amount_365d", **rows) == 0


def test_the_share_of_the_sustainable_range_leaves_unknown_products_out() -> None:
    rows = [
        order("2024-05-01", "A", is_eco=True),
        order("2024-05-02", "B", is_eco=False),
        order("2024-05-03", "C"),
    ]
    assert value("eco_share_365d", orders=rows) == shrunk(1, 2, 0.2)
    assert value("csr_opt_in", customers=[customer("C1", csr_opt_in=True)]) == 1
    assert np.isnan(value("csr_opt_in"))


# Returns (S65)


def test_refunds_are_judged_after_fourteen_days_slow_ones_included() -> None:
    rows = [
        *steps("return_id", "A", "kind", requested="2024-05-01", refunded="2024-05-05"),
        *steps("return_id", "B", "kind", requested="2024-05-01", refunded="2024-05-25"),
        *steps("return_id", "C", "kind", requested="2024-05-01", denied="2024-05-03"),
        *steps("return_id", "D", "kind", requested="2024-05-25", refunded="2024-05-26"),
        *steps("return_id", "E", "kind", requested="2024-05-02", exchanged="2024-05-09"),
    ]
    assert value("refund_within_14d_share_365d", returns=rows) == shrunk(1, 2, 0.8)
    assert value("refund_days_mean_365d", returns=rows) == (4 + 14) / 2
    assert value("return_steps_mean_365d", returns=rows) == (2 + 1 + 2 + 2) / 4
    assert value("return_denied_count_365d", returns=rows) == 1
    assert value("return_exchange_count_365d", returns=rows) == 1
    assert value("return_open_count", "2024-05-04", returns=rows) == 3
    assert value("return_open_days", "2024-05-20", returns=rows) == 19
    assert value("return_open_count", returns=rows) == 0


def test_kit_warranty_and_price_of_a_return() -> None:
    rows: dict[str, list[Row]] = {
        "orders": [order("2024-04-01", amount=100), order("2024-04-02", "O2", amount=300)],
        "returns": [
            {"return_id": "A", "kind": "requested", "event_at": "2024-05-01", "amount": 300}
            | {"kit_used": True, "under_warranty": False},
            {"return_id": "B", "kind": "requested", "event_at": "2024-05-02", "amount": 50},
        ],
    }
    assert value("return_kit_share_365d", **rows) == shrunk(1, 1, 0.5)
    assert value("return_warranty_share_365d", **rows) == shrunk(0, 1, 0.3)
    assert value("return_price_ratio_max_365d", **rows) == pytest.approx(1.5)


# Loyalty and subscription (S66, S67)


def test_whoever_never_enrolled_is_no_member_rather_than_unknown() -> None:
    assert value("loyalty_enrolled") == 0
    rows: list[Row] = [
        {"kind": "enrol", "event_at": "2024-01-01"},
        {"kind": "leave", "event_at": "2024-02-01"},
        {"kind": "enrol", "event_at": "2024-03-01"},
    ]
    for at, enrolled in (("2024-01-15", 1), ("2024-02-15", 0), ("2024-04-01", 1)):
        assert value("loyalty_enrolled", at, loyalty=rows) == enrolled


def test_points_that_expire_within_the_next_ninety_days() -> None:
    def earned(points: float, expires: str | None, at: str = "2024-01-01") -> Row:
        return {"kind": "earn", "points": points, "event_at": at, "expires_at": expires}

    rows = [
        earned(1, "2024-05-31"),
        earned(20, "2024-06-01"),
        earned(300, "2024-08-29T23:59:59"),
        earned(4000, "2024-08-30"),
        earned(50000, None),
        {"kind": "redeem", "points": 21, "event_at": "2024-05-01"},
    ]
    assert value("points_expiring", loyalty=rows) == 320
    assert value("points_balance", loyalty=rows) == 54300


def test_moves_up_and_down_between_tiers() -> None:
    rows: list[Row] = [
        {"kind": "tier", "tier_rank": rank, "event_at": f"2024-0{i + 1}-01"}
        for i, rank in enumerate((1, 2, 2, 1, 3))
    ]
    assert value("tier_rank_last", loyalty=rows) == 3
    assert value("tier_up_count_365d", loyalty=rows) == 2
    assert value("tier_down_count_365d", loyalty=rows) == 1


def test_the_discount_of_the_subscription() -> None:
    rows = [
        {"subscription_id": "S", "kind": kind, "event_at": at, "discount_share": discount}
        for kind, at, discount in (("start", "2024-01-01", 0.3), ("renew", "2024-05-01", 0.1))
    ]
    assert value("subscription_discount_share", subscriptions=rows) == pytest.approx(0.1)
    assert value("subscription_discount_share", "2024-04-01", subscriptions=rows) == pytest.approx(
        0.3
    )


def test_a_term_that_ran_out_without_a_word_shows_as_negative_days() -> None:
    row = {"subscription_id": "S", "kind": "start", "event_at": "2023-05-01"}
    assert value("days_to_renewal", subscriptions=[row | {"term_end": "2024-05-12"}]) == -20


# The site (S44, S72, S73), self-service (S48)


def visit(at: str, **more: Any) -> Row:
    return {"event_at": at, "visits": 1} | more


def test_what_a_visit_tells_of_the_site() -> None:
    rows = [
        visit("2024-05-01", load_ms=1000, device="mobile", page_errors=2, support_searches=1),
        visit("2024-05-02", load_ms=2000, device="desktop", checkout_failures=1),
        visit("2024-05-03", load_ms=3000, payment_failures=1, contact_page_views=3),
        visit("2024-05-04", load_ms=5000, contact_minutes=7),
    ]
    expected = {
        "page_load_seconds_p75_365d": 3.5,
        "page_error_count_365d": 2,
        "checkout_failure_count_365d": 1,
        "checkout_payment_failure_count_365d": 1,
        "support_search_count_365d": 1,
        "contact_page_count_365d": 3,
        "contact_search_minutes_365d": pytest.approx(7),
        "mobile_share_365d": shrunk(1, 2, 0.5),
        "visit_count_90d": 4,
    }
    assert {name: value(name, web_sessions=rows) for name in expected} == expected


def test_refused_tracking_is_missing_and_not_zero() -> None:
    rows = [visit("2024-04-01", page_errors=1), visit("2024-05-01", page_errors=9, consent=False)]
    for name in ("visit_count_365d", "page_error_count_365d", "days_since_last_visit"):
        assert np.isfinite(value(name, "2024-05-01", web_sessions=rows))
        assert np.isnan(value(name, web_sessions=rows))
    again = [*rows, visit("2024-05-20", page_errors=1, consent=True)]
    assert value("page_error_count_365d", web_sessions=again) == 2  # not what was refused
    assert value("visit_count_365d") == 0  # nothing refused: no visits


def test_guides_and_the_community_are_ways_of_self_service() -> None:
    kinds = ("video", "manual", "troubleshooter", "faq", "community")
    rows = [{"kind": kind, "event_at": f"2024-05-0{i + 1}"} for i, kind in enumerate(kinds)]
    assert value("self_service_guide_count_365d", selfservice=rows) == 3
    assert value("self_service_community_count_365d", selfservice=rows) == 1
    assert value("self_service_success_last", selfservice=rows) == 1
    asked = [ticket("2024-05-07T23:00")]
    assert value("self_service_success_last", selfservice=rows, tickets=asked) == 0


# Season


@pytest.mark.parametrize(
    ("at", "zone", "days"),
    [
        ("2024-01-01", "UTC", 366),
        ("2024-12-01", "UTC", 31),
        ("2023-12-31T15:00", "Asia/Tokyo", 366),
        ("2023-12-31T14:00", "UTC", 10 / 24),
    ],
)
def test_the_season_goes_by_the_sources_calendar(at: str, zone: str, days: float) -> None:
    assert value("days_to_year_end", at, zone) == pytest.approx(days, rel=1e-6)
