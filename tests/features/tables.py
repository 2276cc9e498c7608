"""Small canonical tables written out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import duckdb
import pandas as pd
import pytest

from data.calendar import WorkingCalendar
from data.contracts import TABLE, TABLES
from features.aggregates import SHRINKAGE
from features.catalog import features
from features.facts import connect
from features.table import with_features

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
FEATURES = {f.name: f for f in features((30, 90, 180, 365), [t.name for t in TABLES])}

Row = dict[str, Any]


def table(name: str, *rows: dict[str, Any]) -> pd.DataFrame:
    """Canonical rows: what is not given takes a plain default (known when it happened)."""
    out = []
    for i, row in enumerate(rows):
        full: dict[str, Any] = {column.name: None for column in TABLE[name].all_columns}
        full |= {"event_id": f"{name}-{i}", "record_version": 1, "op": "upsert"} | row
        full["known_at"] = full["known_at"] or full["event_at"]
        out.append(full)
    frame = pd.DataFrame(out, columns=[column.name for column in TABLE[name].all_columns])
    for column in TABLE[name].all_columns:
        if column.type == "TIMESTAMPTZ":
            frame[column.name] = pd.to_datetime(frame[column.name], utc=True, format="mixed")
        elif column.type == "VARCHAR":
            frame[column.name] = frame[column.name].astype("string")
    return frame


def customer(customer_id: str = "C1", signup: str = "2020-01-01", **more: Any) -> dict[str, Any]:
    return {
        "event_id": customer_id,
        "customer_id": customer_id,
        "event_at": signup,
        "signup_at": signup,
    } | more


def database(
    time_zone: str = "UTC", calendar: WorkingCalendar | None = None, /, **tables: pd.DataFrame
) -> duckdb.DuckDBPyConnection:
    """A connection with the canonical views over these tables, on the default calendar."""
    return connect(tables, time_zone, calendar or WorkingCalendar())


def value(
    name: str,
    at: str | datetime = AS_OF,
    time_zone: str = "UTC",
    calendar: WorkingCalendar | None = None,
    /,
    **tables: list[Row],
) -> Any:
    """Feature `name` of customer C1 at `at`; every row belongs to C1 unless it says otherwise."""
    filled = {key: [{"customer_id": "C1"} | row for row in rows] for key, rows in tables.items()}
    filled.setdefault("customers", [customer("C1")])
    frames = {key: table(key, *rows) for key, rows in filled.items()}
    connection = database(time_zone, calendar, **frames)
    rows = pd.DataFrame({"customer_id": ["C1"], "as_of": [pd.to_datetime(at, utc=True)]})
    return with_features(connection, rows, [FEATURES[name]], {})[name][0]


def shrunk(k: float, n: int, reference: float) -> Any:
    """A share of k in n, as METHODS A (RATE) shrinks it."""
    return pytest.approx((k + SHRINKAGE * reference) / (n + SHRINKAGE), rel=1e-6)


def ticket(at: str = "2024-05-10T00:00:00", name: str = "T1", **more: Any) -> Row:
    return {"ticket_id": name, "event_id": name, "event_at": at, "channel": "mail"} | more


def step(kind: str, at: str, name: str = "T1", **more: Any) -> Row:
    return {"ticket_id": name, "kind": kind, "event_at": at} | more


def message(author: str, at: str, name: str = "T1", **more: Any) -> Row:
    return {"ticket_id": name, "author": author, "event_at": at} | more


def version(row: Row, number: int, known_at: str, **more: Any) -> Row:
    return row | {"record_version": number, "known_at": known_at} | more
