"""Warnings: what they say, in both languages, and columns that know the future."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data import alerts
from data.ingest import ingest
from data.source import Source, Text
from reports.wording import LANGUAGES, Wording

CUSTOMERS = """
SELECT 'c' || i AS event_id, 'c' || i AS customer_id, TIMESTAMPTZ '2024-01-01 00:00:00+00'
       + to_days(i::INTEGER) AS event_at, {known} AS known_at, event_at AS signup_at,
       {segment} AS segment
FROM range(100) AS r(i)
"""
CANCELLED = """
SELECT 's' || i AS event_id, 's' || i AS subscription_id, 'c' || i AS customer_id,
       TIMESTAMPTZ '2024-06-01 00:00:00+00' AS event_at, event_at AS known_at,
       'cancel_effective' AS kind
FROM range(100) AS r(i) WHERE i % 4 = 0
"""


def warnings(tmp_path: Path, **selects: str) -> list[dict[str, Any]]:
    """All warnings but the one of a last month with few rows, which this small shop always has."""
    for table, sql in selects.items():
        (tmp_path / f"{table}.sql").write_text(sql, encoding="utf-8")
    shop = Source(
        folder=tmp_path,
        name=tmp_path.name,
        description=Text(en="A shop", ja="店"),
        timezone="Asia/Tokyo",
        currency="JPY",
        root=str(tmp_path),
        first_as_of=date(2024, 3, 1),
        last_as_of=date(2024, 6, 1),
        observed_until=date(2024, 8, 1),
    )
    found = ingest(shop, tmp_path, tmp_path / "t", tmp_path / "q", buckets=1)["warnings"]
    return [warning for warning in found if warning["kind"] != "few_rows"]


def test_a_segment_that_only_those_have_who_leave_later_is_named_with_evidence(
    tmp_path: Path,
) -> None:
    state = "if(i % 4 = 0, 'former', 'active')"
    customers = CUSTOMERS.format(known="event_at", segment=state)
    (found,) = warnings(tmp_path, customers=customers, subscriptions=CANCELLED)
    assert found["kind"] == "known_at_end"
    assert found["values"] == {
        "column": "segment",
        "value": "former",
        "rows": 25,
        "share": 1.0,
        "rest": 0.0,
        "outcome": "subscriptions",
    }


@pytest.mark.parametrize(
    "segment",
    ["if(i % 3 = 0, 'gold', 'plain')", "if(i % 4 = 0 OR i % 7 = 0, 'gold', 'plain')", "NULL"],
    ids=["unrelated", "related", "empty"],
)
def test_a_segment_that_merely_goes_with_leaving_is_none(segment: str, tmp_path: Path) -> None:
    customers = CUSTOMERS.format(known="event_at", segment=segment)
    assert warnings(tmp_path, customers=customers, subscriptions=CANCELLED) == []


def test_rows_of_many_days_known_at_one_moment_look_like_an_export(tmp_path: Path) -> None:
    export = "TIMESTAMPTZ '2024-07-31 15:00:00+00'"
    customers = CUSTOMERS.format(known=export, segment="'x'")
    kinds = {w["kind"]: w["values"] for w in warnings(tmp_path, customers=customers)}
    assert kinds["one_known_at"] == {"share": 1.0, "rows": 100, "at": "2024-07-31T15:00:00Z"}


def test_a_nightly_load_of_the_same_day_is_no_export(tmp_path: Path) -> None:
    night = "TIMESTAMPTZ '2024-05-01 00:00:00+00'"
    customers = CUSTOMERS.format(known=night, segment="'x'").replace(
        "+ to_days(i::INTEGER)", "+ INTERVAL 120 DAY + to_seconds(i::INTEGER)"
    )
    assert warnings(tmp_path, customers=customers) == []


def test_a_time_filled_in_later_is_found_in_a_raw_log() -> None:
    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE log AS SELECT * FROM (VALUES"
            " ('New', TIMESTAMP '2016-03-01 09:00', TIMESTAMP '2016-03-04 11:00', NULL),"
            " ('Closed', '2016-03-05 09:00', '2016-03-04 11:00', TIMESTAMP '2016-03-05 08:59'))"
            " AS t(state, updated_at, resolved_at, closed_at)"
        )
        found = alerts.later_times(con, "log", "updated_at")
    assert found == {"resolved_at": (0.5, "2016-03-04 11:00:00")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_warning_has_a_text_with_its_evidence(language: str) -> None:
    wording = Wording(language)
    assert set(wording.get("data.warnings")) == set(alerts.MESSAGES)
    evidence: dict[str, dict[str, Any]] = {
        "late": {"days": 8.1},
        "language": {"share": 0.125},
        "few_rows": {"rows": 1234, "usual": 5000.0},
        "repeated_text": {"share": 0.02},
        "response_rate": {"points": -12.0},
        "open_tickets": {"count": 56, "days": 60},
        "one_known_at": {"share": 1.0, "rows": 100, "at": "2024-07-31T15:00:00Z"},
        "known_at_end": {
            "column": "segment",
            "value": "former",
            "rows": 25,
            "share": 1.0,
            "rest": 0.02,
            "outcome": "subscriptions",
        },
    }
    for kind, values in evidence.items():
        entry = alerts.Alert("customers", kind, values).entry()
        text = wording.warning(entry)
        assert "{" not in text + entry["message"]
        figures = {"language": "12.5%", "few_rows": "1,234", "known_at_end": "former"}
        assert figures.get(kind, "") in text


def test_a_warning_of_another_version_is_shown_as_it_is() -> None:
    assert Wording("ja").warning({"table": "orders", "message": "as it is"}) == "as it is"
