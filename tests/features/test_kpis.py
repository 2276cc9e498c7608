"""KPIs: what they count, when, and for whom."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from data.contracts import TABLES
from features import kpis
from features.coverage import ITEMS, PANELS, SECTIONS, answered, shown
from features.kpis import ACCOUNTING, KPI, KPIS, MISSING, RELATIONS
from tests.features.tables import customer, database, message, step, table, ticket

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
JAPANESE = re.compile("[぀-ヿ一-鿿]|NPS")


def counted(*keys: str, **tables: list[dict[str, Any]]) -> kpis.Counted:
    """The counts of these KPIs; every row belongs to C1 unless it says otherwise."""
    filled = {key: [{"customer_id": "C1"} | row for row in rows] for key, rows in tables.items()}
    filled.setdefault("customers", [customer("C1"), customer("C2")])
    frames = {key: table(key, *rows) for key, rows in filled.items()}
    return kpis.count(database(**frames), [KPI[key] for key in keys], AS_OF, None)


def figures(key: str, dimension: str = "all", **tables: Any) -> dict[str, tuple[float, float]]:
    """What it is the value of -> (facts, sum of values)."""
    rows = counted(key, **tables).sums
    rows = rows[rows["dimension"] == dimension]
    return {row["value_of"]: (row["n"], row["s"]) for row in rows.to_dict("records")}


# Declarations


def test_every_kpi_is_told_in_both_languages() -> None:
    for kpi in KPIS:
        assert kpi.en and JAPANESE.search(kpi.ja), kpi.key
        assert all(line.en and JAPANESE.search(line.ja) for line in kpi.lines)
    assert all(kpi.en and JAPANESE.search(kpi.ja) for kpi in MISSING)


def test_a_kpi_has_one_name_and_a_relation_over_canonical_tables() -> None:
    assert len(KPI) == len(KPIS)
    known = {table.name for table in TABLES} | {"labels"}
    for kpi in KPIS:
        assert kpi.relation == ACCOUNTING or set(RELATIONS[kpi.relation].needs) <= known
    assert {kpi.relation for kpi in KPIS} - {ACCOUNTING} == set(RELATIONS)


def test_every_row_that_names_a_panel_of_kpis_has_a_kpi_there_or_says_why_not() -> None:
    missing = {key for gap in MISSING for key in gap.items}
    for item in ITEMS:
        if any(SECTIONS[panel] == "kpis" for panel in item.panels):
            assert shown()[item.key] or item.key in missing, item.key


def test_a_kpi_is_in_a_panel_of_its_row() -> None:
    panels = {item.key: item.panels for item in ITEMS}
    for kpi in KPIS:
        assert all(kpi.panel in panels[key] for key in kpi.items), kpi.key


def test_all_panels_are_filled() -> None:
    assert list(PANELS) == [f"P{n}" for n in range(1, 16)]
    assert set(SECTIONS) == set(PANELS)
    filled = {kpi.panel for kpi in KPIS}
    assert filled == {panel for panel, section in SECTIONS.items() if section == "kpis"}


def test_every_row_resolves() -> None:
    for item in ITEMS:
        resolved = answered(item) == "features" or shown()[item.key] or item.en_note
        assert resolved, item.key


def test_all_selects_run_on_empty_tables() -> None:
    wanted = [kpi for kpi in KPIS if kpi.relation not in (ACCOUNTING, "label")]
    found = kpis.count(database(customers=table("customers", customer())), wanted, AS_OF, None)
    assert set(found.sums["kpi"]) <= {"self_service_users", "loyalty_members"}


# Maturity and censoring


def test_an_escalation_counts_once_three_days_have_passed() -> None:
    young, old = ticket("2024-05-30T00:00:00", "T1"), ticket("2024-05-20T00:00:00", "T2")
    steps = [step("escalated", "2024-05-30T01:00:00", "T1", tier=2)]
    found = figures("escalation_share", tickets=[young, old], ticket_events=steps)
    assert found == {"": (1, 0)}


def test_a_fact_counts_in_the_month_in_which_it_began() -> None:
    # Settled on 2 May, three days after it was opened in April.
    found = figures(
        "escalation_share", "month", tickets=[ticket("2024-04-29T00:00:00")], ticket_events=[]
    )
    assert found == {"2024-04": (1, 0)}


def test_a_ticket_without_reply_is_waiting_so_far() -> None:
    found = counted(
        "first_response_hours",
        tickets=[ticket("2024-05-31T00:00:00", "T1"), ticket("2024-05-10T00:00:00", "T2")],
        messages=[message("agent", "2024-05-10T02:00:00", "T2")],
    ).durations
    found = found[found["dimension"] == "all"]
    assert {(row.hours, row.seen) for row in found.itertuples()} == {(24, False), (2, True)}


def test_a_reply_that_becomes_known_later_has_not_been_given() -> None:
    late = message("agent", "2024-05-31T02:00:00") | {"known_at": "2024-06-02T00:00:00"}
    found = counted(
        "first_response_hours", tickets=[ticket("2024-05-31T00:00:00")], messages=[late]
    )
    assert not found.durations["seen"].any()


def test_a_reopened_ticket_is_not_resolved() -> None:
    steps = [
        step("resolved", "2024-05-10T05:00:00"),
        step("reopened", "2024-05-11T00:00:00"),
    ]
    found = counted("resolution_hours", tickets=[ticket()], ticket_events=steps).durations
    assert not found["seen"].any()
    steps.append(step("resolved", "2024-05-12T00:00:00"))
    found = counted("resolution_hours", tickets=[ticket()], ticket_events=steps).durations
    assert set(zip(found["hours"], found["seen"], strict=True)) == {(48, True)}


def test_a_survey_that_was_not_answered_has_no_value() -> None:
    survey = {"survey_id": "S1", "kind": "nps", "scale_min": 0, "scale_max": 10}
    rows = [
        survey | {"action": "sent", "event_at": "2024-05-01"},
        survey | {"action": "expired", "event_at": "2024-05-20"},
        survey | {"survey_id": "S2", "action": "answered", "value": 9, "event_at": "2024-05-02"},
        survey | {"survey_id": "S3", "action": "answered", "value": 3, "event_at": "2024-05-02"},
        survey | {"survey_id": "S4", "action": "answered", "value": 8, "event_at": "2024-05-02"},
    ]
    assert figures("nps", surveys=rows) == {"": (3, 0)}


# Places


def test_a_ticket_gives_its_facts_channel_and_language() -> None:
    tickets = [
        ticket(name="T1", channel="chat", language="en"),
        ticket(name="T2", channel="mail") | {"customer_id": "C2"},
    ]
    tables = {"tickets": tickets, "customers": [customer("C1"), customer("C2", language="ja")]}
    assert figures("tickets", "channel", **tables) == {"chat": (1, 1), "mail": (1, 1)}
    # Where the ticket has no language, it is the customer's.
    assert figures("tickets", "language", **tables) == {"en": (1, 1), "ja": (1, 1)}


def test_the_hour_of_the_week_is_when_the_ticket_was_opened() -> None:
    # 10 May 2024 was a Friday.
    assert figures("tickets", "hour", tickets=[ticket("2024-05-10T09:30:00")]) == {"5-09": (1, 1)}


def test_the_year_and_the_last_90_days() -> None:
    tickets = [
        ticket("2024-05-10T00:00:00", "T1"),
        ticket("2023-12-10T00:00:00", "T2"),
        ticket("2023-04-10T00:00:00", "T3"),
    ]
    assert figures("tickets", "all", tickets=tickets)[""] == (2, 2)
    assert figures("tickets", "recent", tickets=tickets)[""] == (1, 1)
    assert set(figures("tickets", "month", tickets=tickets)) == {"2024-05", "2023-12", "2023-04"}


def test_buckets_add_up() -> None:
    one = [ticket(name="T1"), ticket(name="T2")]
    two = [ticket(name="T3") | {"customer_id": "C2"}]
    parts = kpis.together(counted("phone_share", tickets=rows) for rows in (one, two))
    whole = counted("phone_share", tickets=one + two).sums
    merged = whole.merge(parts.sums, on=kpis.PLACE, suffixes=("", "_parts"))
    assert len(merged) == len(whole) == len(parts.sums)
    for name in kpis.SUMS:
        assert merged[name].tolist() == merged[f"{name}_parts"].tolist()


def test_labels_count_only_when_mature() -> None:
    rows = pd.DataFrame(
        {
            "customer_id": ["C1", "C2"],
            "as_of": pd.to_datetime(["2024-01-01", "2024-05-01"], utc=True),
            "churn": [1.0, float("nan")],
            "churn_status": ["labelled", "immature"],
        }
    )
    connection = database(customers=table("customers", customer()))
    connection.register("label_rows", rows)
    found = kpis.count(connection, [KPI["churn_rate"]], AS_OF, "label_rows").sums
    found = found[found["dimension"] == "all"]
    assert found[["n", "s"]].to_numpy().tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("tables", "words"),
    [([], "snapshot"), (["tickets"], "messages"), (["tickets", "messages"], "no value")],
)
def test_an_absent_kpi_says_why(tables: list[str], words: str) -> None:
    en, ja = kpis.why_absent(KPI["first_response_hours"], tables)
    assert words in en and JAPANESE.search(ja)
