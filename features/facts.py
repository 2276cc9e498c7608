"""Canonical tables -> fact streams: what happened, keyed by the moment it became known.

A stream is one SELECT over the canonical tables of one bucket. It yields, per fact,

- `customer_id`,
- `first_known`: when the fact first became known; windows are measured on this time,
- `known_from`, `known_until`: the span in which this record was the latest one (NULL = still is),
- the stream's own columns (numbers), and `tie`, a text that orders facts known at the same time.

Two kinds of views are prepared for the SELECTs:

- `<table>`: every record version with the span in which it was the latest visible one. A
  corrected order therefore counts with its old value before the correction was known and with
  its new value afterwards.
- `<table>_first`: the first known record of each event, and when the event was `withdrawn`
  (deleted), if ever. Durations and outcomes that combine several rows are built on these, and
  only from rows known by the time the fact itself is keyed to, so that no row which arrives
  later can change a fact that was already visible; it can only end it.

Outcomes that need time to show (was it resolved within three days?) become facts when that time
has passed, never before: that keeps slow cases from being counted as fast ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from data.contracts import TABLES
from features.declare import Stream
from features.kernel import FOREVER, Facts
from features.streams.tickets import PREPARED


def open_bucket(folder: Path, bucket: int, time_zone: str) -> duckdb.DuckDBPyConnection:
    """Connect to one bucket of the canonical tables under `folder`, with all views prepared.

    Tables that the source lacks are empty, so every SELECT runs.
    """
    paths = {
        table.name: folder / table.name / f"bucket={bucket:03d}.parquet"
        for table in TABLES
        if (folder / table.name).is_dir()
    }
    frames = {name: f"read_parquet('{path}')" for name, path in paths.items()}
    return connect(frames, time_zone)


def connect(
    relations: Mapping[str, str | pd.DataFrame], time_zone: str
) -> duckdb.DuckDBPyConnection:
    """Prepare the views over canonical tables given as DuckDB relations or frames."""
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "threads": 1,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET VARIABLE time_zone = ?", [time_zone])
    for table in TABLES:
        relation = relations.get(table.name)
        if isinstance(relation, pd.DataFrame):
            connection.register(f"{table.name}_frame", relation)
            relation = f"{table.name}_frame"
        if relation:
            casts = ", ".join(
                f"CAST({column.name} AS {column.type}) AS {column.name}"
                for column in table.all_columns
            )
            # A version is superseded when any higher version becomes known, in whatever order
            # versions arrive. Nothing is known before it happened.
            connection.execute(f"""
                CREATE TEMP TABLE {table.name}_versions AS
                SELECT *,
                    min(known_from) OVER (versions
                        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS first_known,
                    min(known_from) OVER (versions
                        ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS known_until
                FROM (
                    SELECT *, greatest(known_at, event_at) AS known_from
                    FROM (SELECT {casts} FROM {relation})
                )
                WINDOW versions AS (PARTITION BY event_id ORDER BY record_version)
            """)
        else:
            names = [f"{column.name} {column.type}" for column in table.all_columns]
            spans = [f"{name} TIMESTAMPTZ" for name in ("known_from", "first_known", "known_until")]
            connection.execute(
                f"CREATE TEMP TABLE {table.name}_versions ({', '.join(names + spans)})"
            )
        connection.execute(f"""
            CREATE TEMP VIEW {table.name} AS
            SELECT * FROM {table.name}_versions
            WHERE op = 'upsert' AND (known_until IS NULL OR known_from < known_until)
        """)
        connection.execute(f"""
            CREATE TEMP VIEW {table.name}_first AS
            SELECT * EXCLUDE (first_known, known_until),
                min(known_from) FILTER (
                    op = 'delete' AND (known_until IS NULL OR known_from < known_until)
                ) OVER (PARTITION BY event_id) AS withdrawn
            FROM {table.name}_versions
            QUALIFY row_number() OVER (
                PARTITION BY event_id ORDER BY known_from, record_version DESC) = 1
                AND op = 'upsert'
        """)
    connection.execute(PREPARED)
    return connection


def frame_of(connection: duckdb.DuckDBPyConnection, sql: str) -> pd.DataFrame:
    """The answer to a query; times come as UTC."""
    return connection.sql(sql).to_arrow_table().to_pandas()


def facts(connection: duckdb.DuckDBPyConnection, stream: Stream, customers: np.ndarray) -> Facts:
    """All facts of `stream` for `customers` (sorted ids), sorted by customer and time.

    Facts of customers that are not listed are left out: they have no row to count for.
    """
    values = "".join(f", CAST({column} AS DOUBLE) AS {column}" for column in stream.columns)
    order = ", ".join(
        ("position", "first_known", "known_from", "tie", "known_until", *stream.columns)
    )
    connection.register(
        "wanted", pd.DataFrame({"customer_id": customers, "position": np.arange(len(customers))})
    )
    table = connection.execute(f"""
        SELECT position, epoch_us(first_known) AS first_known, epoch_us(known_from) AS known_from,
               coalesce(epoch_us(known_until::TIMESTAMPTZ), {FOREVER}) AS known_until{values}
        FROM ({stream.sql}) JOIN wanted USING (customer_id)
        WHERE first_known IS NOT NULL
        ORDER BY {order}
    """).fetchnumpy()
    matrix = np.empty((len(table["first_known"]), len(stream.columns)))
    for i, column in enumerate(stream.columns):
        matrix[:, i] = np.ma.filled(table[column], np.nan)
    return Facts(
        start=np.searchsorted(table["position"], np.arange(len(customers) + 1)),
        at=np.asarray(table["first_known"]),
        known_from=np.asarray(table["known_from"]),
        known_until=np.asarray(table["known_until"]),
        values=matrix,
        columns=stream.columns,
    )
