"""RavenStack: the traps of its NOTES, on hand-written rows and on the real files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data import source

if TYPE_CHECKING:
    from tests.data.conftest import Ingest, Ingested

DATASET = "ravenstack_saas"
FILES = {
    "accounts": """\
account_id,account_name,industry,country,signup_date,referral_source,plan_tier,seats,is_trial,churn_flag
A1,Company_1,EdTech,UK,2024-01-10,partner,Basic,9,FALSE,TRUE
A2,Company_2,FinTech,US,2024-01-10,ads,Pro,5,FALSE,FALSE
""",
    "subscriptions": """\
subscription_id,account_id,start_date,end_date,plan_tier,seats,mrr_amount,arr_amount,is_trial,upgrade_flag,downgrade_flag,churn_flag,billing_frequency,auto_renew_flag
S1,A1,2024-01-12,2024-03-01,Pro,9,500,6000,FALSE,TRUE,FALSE,TRUE,monthly,TRUE
S2,A2,2024-01-12,,Pro,9,500,6000,FALSE,FALSE,FALSE,FALSE,monthly,TRUE
S3,A2,2024-06-01,,Pro,9,500,6000,FALSE,FALSE,FALSE,FALSE,monthly,TRUE
""",
    "churn_events": """\
churn_event_id,account_id,churn_date,reason_code,refund_amount_usd,preceding_upgrade_flag,preceding_downgrade_flag,is_reactivation,feedback_text
C1,A2,2024-05-01,pricing,4.03,FALSE,FALSE,FALSE,too expensive
""",
    "support_tickets": """\
ticket_id,account_id,submitted_at,closed_at,resolution_time_hours,priority,first_response_time_minutes,satisfaction_score,escalation_flag
T1,A1,2024-02-01,2024-02-02,27,urgent,74,4,TRUE
T2,A1,2024-01-01,2024-01-01,5,low,10,,FALSE
T3,A2,2024-02-01,2024-02-01,1,medium,90,,FALSE
T4,A2,2024-02-01,2024-02-01,1,medium,-5,,FALSE
""",
    "feature_usage": """\
usage_id,subscription_id,usage_date,feature_name,usage_count,usage_duration_secs,error_count,is_beta_feature
U1,S1,2024-02-01,feature_1,9,100,0,FALSE
U2,S1,2024-01-11,feature_1,9,100,0,FALSE
U3,S1,2024-03-02,feature_1,9,100,0,FALSE
U4,S2,2024-02-01,feature_1,3,100,0,FALSE
U4,S2,2024-02-02,feature_2,4,100,0,FALSE
""",
}


@pytest.fixture
def saas(tmp_path: Path, ingest_small: Ingest) -> Ingested:
    for name, text in FILES.items():
        (tmp_path / f"ravenstack_{name}.csv").write_text(text, encoding="utf-8")
    return ingest_small(source.load(DATASET), tmp_path)


def test_of_three_definitions_of_churn_only_the_dated_one_counts(saas: Ingested) -> None:
    # A1 is flagged as an account and as a subscription, and has no churn event.
    assert saas.rows(
        "SELECT customer_id, kind, strftime(event_at, '%m-%d') FROM subscriptions"
        " ORDER BY customer_id, event_at"
    ) == [
        ("A1", "start", "01-12"),
        ("A2", "start", "01-12"),
        ("A2", "cancel_effective", "05-01"),
        ("A2", "start", "06-01"),
    ]


def test_no_column_that_is_the_state_at_export_arrives(saas: Ingested) -> None:
    absent = saas.contract["tables"]["subscriptions"]["absent_columns"]
    assert {"plan", "price", "term_end"} <= set(absent)
    assert saas.rows("SELECT customer_id, country, segment FROM customers ORDER BY 1") == [
        ("A1", "GB", "EdTech"),
        ("A2", "US", "FinTech"),
    ]


def test_tickets_before_sign_up_are_put_aside_with_all_that_belongs_to_them(saas: Ingested) -> None:
    assert saas.rows("SELECT event_id, rule FROM aside_tickets") == [("T2", "before sign-up")]
    assert saas.rows("SELECT event_id FROM aside_ticket_events") == [("T2-resolved",)]


def test_a_response_before_its_ticket_or_after_the_resolution_is_put_aside(saas: Ingested) -> None:
    rules = dict(saas.rows("SELECT event_id, rule FROM aside_messages"))
    assert rules["T3-response"] == "first response after the resolution"
    assert rules["T4-response"].split("; ")[0] == "response before its ticket"
    assert saas.rows(
        "SELECT ticket_id, strftime(event_at, '%H:%M'), author, text FROM messages"
    ) == [("T1", "01:14", "agent", None)]


def test_a_day_is_known_when_it_is_over_and_a_score_when_the_ticket_is_closed(
    saas: Ingested,
) -> None:
    utc = "strftime(known_at, '%m-%d %H:%M:%S')"
    assert saas.rows(f"SELECT kind, {utc} FROM ticket_events WHERE ticket_id = 'T1'") == [
        ("escalated", "02-02 23:59:59"),
        ("resolved", "02-02 23:59:59"),
    ]
    assert saas.rows(f"SELECT value, {utc} FROM surveys") == [(4.0, "02-02 23:59:59")]


def test_use_outside_its_subscription_and_a_second_row_of_one_id_are_put_aside(
    saas: Ingested,
) -> None:
    assert saas.rows("SELECT event_id, rule FROM aside_web_sessions ORDER BY event_id") == [
        ("U2", "use before its subscription"),
        ("U3", "use after its subscription"),
        ("U4", "conflicting duplicate"),
    ]
    assert saas.rows("SELECT event_id, visits FROM web_sessions ORDER BY 1") == [
        ("U1", 9.0),
        ("U4", 3.0),
    ]


def test_the_real_files_are_accounted_for_to_the_row(ingested: Ingested) -> None:
    tables = ingested.contract["tables"]
    for table in tables.values():
        assert table["read"] == table["kept"] + table["quarantined"] + table["duplicates"]
    assert tables["tickets"]["reasons"] == {"before sign-up": 1_077}
    assert tables["messages"]["reasons"]["first response after the resolution"] == 36
    assert tables["web_sessions"]["read"] == 25_000
    assert tables["web_sessions"]["reasons"]["use before its subscription"] == 19_142
    kinds = dict(ingested.rows("SELECT kind, count(*) FROM subscriptions GROUP BY 1"))
    assert kinds == {"start": 5_000, "cancel_effective": 600}
    assert (
        ingested.value(
            "SELECT count(DISTINCT customer_id) FROM subscriptions WHERE kind = 'cancel_effective'"
        )
        == 352
    )
