"""Incident log: the traps of its NOTES, on hand-written rows and on the real file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data import source

if TYPE_CHECKING:
    from tests.data.conftest import Ingest, Ingested

DATASET = "incident_event_log"
COLUMNS = (
    "number", "ident_state", "active", "reassignment_count", "reopen_count", "sys_mod_count",
    "made_sla", "caller_id", "opened_by", "opened_at", "sys_created_by", "sys_created_at",
    "sys_updated_by", "sys_updated_at", "contact_type", "location", "category", "category",
    "u_symptom", "cmdb_ci", "impact", "urgency", "priority", "assignment_group", "assigned_to",
    "knowledge", "u_priority_confirmation", "notify", "problem_id", "rfc", "vendor", "caused_by",
    "closed_code", "resolved_by", "resolved_at", "closed_at",
)  # fmt: skip


def change(
    number: str, step: int, state: str, time: str, *, caller: str = "7",
    opened: str = "1/3/2016 09:00",
    team: str = "70", agent: str = "?", priority: str = "3", topic: str = "55",
) -> str:  # fmt: skip
    values = dict.fromkeys(COLUMNS, "?") | {
        "number": number, "ident_state": state, "sys_mod_count": str(step), "caller_id": caller,
        "opened_at": opened, "sys_updated_at": time, "contact_type": "Phone", "category": topic,
        "priority": priority, "assignment_group": team, "assigned_to": agent,
        # Written on every row afterwards, on those still new too.
        "resolved_at": "9/3/2016 17:00", "closed_at": "14/3/2016 17:00",
    }  # fmt: skip
    cells = [values[name] for name in COLUMNS]
    cells[17] = "170"
    return ",".join(cells)


@pytest.fixture
def desk(tmp_path: Path, ingest_small: Ingest) -> Ingested:
    rows = [
        change("1", 0, "New", "1/3/2016 09:05", team="?", topic="54"),
        change("1", 1, "Active", "1/3/2016 10:00", agent="31", priority="1"),
        change("1", 2, "Awaiting User Info", "1/3/2016 11:00", agent="31"),
        change("1", 3, "Active", "2/3/2016 09:00", agent="31"),
        change("1", 10, "Resolved", "3/3/2016 09:00", agent="31"),
        change("1", 11, "Active", "9/3/2016 16:59", team="23", agent="31"),
        change("1", 12, "Resolved", "9/3/2016 17:00", team="23", agent="31"),
        change("1", 13, "Closed", "14/3/2016 17:00", team="23", agent="31"),
        change("2", 0, "New", "1/3/2016 08:00", opened="1/3/2016 09:00"),
        change("2", 1, "Active", "1/3/2016 09:30"),
        change("2", 2, "-100", "1/3/2016 09:40"),
        change("2", 3, "Closed", "2/3/2016 09:00"),
        change("3", 0, "New", "2/3/2016 09:05", opened="2/3/2016 09:00", caller="?"),
        change("3", 1, "Closed", "3/3/2016 09:05", opened="2/3/2016 09:00", caller="?"),
    ]
    text = "\n".join([",".join(COLUMNS), *rows]) + "\n"
    (tmp_path / "incident_event_log.csv").write_text(text, encoding="utf-8")
    return ingest_small(source.load(DATASET), tmp_path)


def test_a_resolution_is_the_row_that_says_so_and_not_the_back_filled_time(desk: Ingested) -> None:
    assert desk.rows(
        "SELECT kind, strftime(event_at, '%d %H:%M'), event_at = known_at, agent_id"
        " FROM ticket_events WHERE ticket_id = '1' ORDER BY event_at, kind"
    ) == [
        ("assigned", "01 10:00", True, "31"),
        ("pending_customer", "01 11:00", True, "31"),
        ("resolved", "03 09:00", True, "31"),
        ("reopened", "09 16:59", True, "31"),
        ("transferred", "09 16:59", True, "31"),
        ("resolved", "09 17:00", True, "31"),
    ]


def test_a_ticket_is_as_first_written_down(desk: Ingested) -> None:
    assert desk.rows(
        "SELECT ticket_id, topic, severity, channel, strftime(known_at, '%d %H:%M') FROM tickets"
        " ORDER BY 1"
    ) == [("1", "54", 2, "phone", "01 09:05"), ("2", "55", 2, "phone", "01 09:30")]


def test_a_question_mark_is_missing_also_as_a_caller(desk: Ingested) -> None:
    assert desk.rows("SELECT event_id, customer_id, rule FROM aside_tickets") == [
        ("3", None, "customer_id missing")
    ]
    assert desk.rows("SELECT customer_id FROM customers") == [("7",)]
    assert desk.value("SELECT count(*) FROM ticket_events WHERE agent_id = '?'") == 0


def test_rows_before_their_ticket_and_in_no_known_state_are_put_aside(desk: Ingested) -> None:
    rules = dict(desk.rows("SELECT event_id, rule FROM aside_ticket_events WHERE ticket_id = '2'"))
    assert set(rules) == {"2-1-assigned", "2-3-assigned"}
    assert rules["2-1-assigned"].startswith("updated before its ticket was opened; ")
    assert rules["2-3-assigned"] == "state -100"
    assert desk.rows("SELECT kind FROM ticket_events WHERE ticket_id = '2'") == [("resolved",)]


def test_every_real_ticket_is_kept_or_put_aside(ingested: Ingested) -> None:
    tables = ingested.contract["tables"]
    assert tables["tickets"]["read"] == 24_918
    assert tables["tickets"]["reasons"] == {"customer_id missing": 3}
    assert tables["customers"]["kept"] == 5_244
    reasons = tables["ticket_events"]["reasons"]
    assert reasons["state -100"] == reasons["updated before its ticket was opened"] == 5
    for table in tables.values():
        assert table["read"] == table["kept"] + table["quarantined"] + table["duplicates"]


def test_no_real_resolution_is_known_before_the_log_says_resolved(ingested: Ingested) -> None:
    # NOTES: 1,556 tickets have no resolved_at; the log resolves all of them.
    assert ingested.value(
        "SELECT count(DISTINCT ticket_id) FROM ticket_events WHERE kind = 'resolved'"
    ) == ingested.value("SELECT count(*) FROM tickets")
    assert ingested.rows(
        "SELECT strftime(min(event_at), '%Y-%m-%d %H:%M') FROM ticket_events"
        " WHERE kind = 'resolved' AND ticket_id = '0000102'"
    ) == [("2016-03-14 08:13",)]
