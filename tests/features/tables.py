"""Small canonical tables written out by hand."""

from __future__ import annotations

from typing import Any

import duckdb
import pandas as pd

from data.contracts import TABLE
from features.facts import connect

UTC = "UTC"


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


def database(time_zone: str = UTC, /, **tables: pd.DataFrame) -> duckdb.DuckDBPyConnection:
    """A connection with the canonical views over these tables."""
    return connect(tables, time_zone)
