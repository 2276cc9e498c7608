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

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from data.calendar import WorkingCalendar, opening_hours
from data.contracts import TABLES
from features.declare import Stream
from features.kernel import FOREVER, Facts
from features.streams.tickets import PREPARED, PRODUCT_MONTH


def open_bucket(
    folder: Path,
    bucket: int,
    time_zone: str,
    calendar: WorkingCalendar,
    products: pd.DataFrame | None,
) -> duckdb.DuckDBPyConnection:
    """Connect to one bucket of the canonical tables under `folder`, with all views prepared.

    Tables that the source lacks are empty, so every SELECT runs. `products` are the tickets per
    product of all buckets (`product_months`, `added_up`).
    """
    paths = {
        table.name: folder / table.name / f"bucket={bucket:03d}.parquet"
        for table in TABLES
        if (folder / table.name).is_dir()
    }
    frames = {name: f"read_parquet('{path}')" for name, path in paths.items()}
    return connect(frames, time_zone, calendar, products)


def connect(
    relations: Mapping[str, str | pd.DataFrame],
    time_zone: str,
    calendar: WorkingCalendar,
    products: pd.DataFrame | None = None,
) -> duckdb.DuckDBPyConnection:
    """Prepare the views over canonical tables given as DuckDB relations or frames.

    `calendar` says when support is open, on the clocks of `time_zone`. `products` are the tickets
    per product of all customers; None = the customers of these tables are all there are.
    """
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
    _set_calendar(connection, calendar, time_zone)
    connection.execute("CREATE TEMP TABLE zone AS SELECT DISTINCT name FROM pg_timezone_names()")
    connection.execute(PREPARED)
    counts = PRODUCT_MONTH
    if products is not None:
        connection.register("products_frame", products)
        counts = "SELECT * FROM products_frame"
    connection.execute(f"CREATE TEMP TABLE product_month AS {counts}")
    return connection


def product_months(path: Path, time_zone: str) -> pd.DataFrame:
    """Tickets and complaints per product and end of month, in one bucket's file of tickets.

    Columns: product_id, month_at, tickets, complaints. A figure rests on tickets known before its
    month ended, so it holds whatever becomes known later.
    """
    always = WorkingCalendar(country=None)
    connection = connect({"tickets": f"read_parquet('{path}')"}, time_zone, always)
    return frame_of(connection, "SELECT * FROM product_month")


def added_up(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The product months of several buckets as one."""
    keys = ["product_id", "month_at"]
    return pd.concat(parts).groupby(keys, as_index=False)[["tickets", "complaints"]].sum()


CLOCKED = ("tickets", "ticket_events", "messages", "calls")
"""The tables between whose times business hours are measured."""

BUSINESS_HOURS = """
CREATE TEMP MACRO local_day(moment) AS
    1 + date_diff('day', getvariable('open_first'),
                  timezone(getvariable('time_zone'), moment)::DATE);

CREATE TEMP MACRO opened_us(moment) AS
    getvariable('open_before')[local_day(moment)]
    + least(greatest(epoch_us(moment) - getvariable('open_at')[local_day(moment)], 0),
            getvariable('open_length')[local_day(moment)]);

CREATE TEMP MACRO business_hours(since, until) AS
    (opened_us(until) - opened_us(since)) / 3600e6;

CREATE TEMP MACRO is_business_day(moment) AS
    getvariable('open_length')[local_day(moment)] > 0;

CREATE TEMP MACRO in_business_hours(moment) AS
    epoch_us(moment) - getvariable('open_at')[local_day(moment)] >= 0
    AND epoch_us(moment) - getvariable('open_at')[local_day(moment)]
        < getvariable('open_length')[local_day(moment)];
"""
"""`business_hours(since, until)`: hours of opening between two instants, exact to the microsecond.

The opening times of each local day lie in list variables, indexed by `local_day` from 1.
"""


def _set_calendar(
    connection: duckdb.DuckDBPyConnection, calendar: WorkingCalendar, time_zone: str
) -> None:
    """Define `business_hours` and its kin for the days that the tables reach."""
    times = " UNION ALL ".join(f"SELECT event_at FROM {name}_versions" for name in CLOCKED)
    found = connection.execute(
        f"SELECT min(event_at)::DATE, max(event_at)::DATE FROM ({times})"
    ).fetchall()[0]
    first, last = (day or date(2000, 1, 1) for day in found)
    # Local days are up to a day off; an answered call lasts longer than its first instant.
    hours = _opening_hours(
        calendar, first - timedelta(days=2), last + timedelta(days=32), time_zone
    )
    connection.execute("SET VARIABLE open_first = ?", [hours.first])
    for name, values in (
        ("open_at", hours.opens),
        ("open_length", hours.length),
        ("open_before", hours.before),
    ):
        connection.execute(f"SET VARIABLE {name} = ?::BIGINT[]", [list(values)])
    connection.execute(BUSINESS_HOURS)


_opening_hours = lru_cache(maxsize=4)(opening_hours)


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
