"""What raw data can and cannot support, before anything is trained: for `retention doctor`.

Everything here looks at all outcomes the data hold, also those that a model will be tested on. It
is for a person to read; nothing of it may choose a feature, a setting or a threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import pandas as pd

from data.calendar import WorkingCalendar
from data.contracts import TABLES, TEXT, TIMESTAMP
from data.readers import files_named
from data.source import Source
from features.audit import strengths
from features.catalog import features
from features.facts import connect, frame_of
from features.labels import LABELLED, Outcome, label

TELLS = 0.9
"""AUC of a single column, or of its being missing, that no honest column of a profile reaches."""
LEAST_ROWS = 30
"""Fewer customers than this share a value, or differ in it, by chance."""
ID_SHARE = 0.95
NIGHT_SHARE = 0.4
DAY_SHARE = 0.9
OUTCOME_TABLES = ("customers", "subscriptions", "orders", "attributes")
TIMED_TABLES = ("orders", "tickets", "messages", "web_sessions", "subscriptions")
NOT_MISSED = ("customers", "attributes")

Suspicion = Literal["outcome", "itself", "missing", "constant", "id"]


@dataclass(frozen=True)
class Suspect:
    """A column to look at: `kind` says why, `auc` how well it alone tells the outcome."""

    where: str
    column: str
    kind: Suspicion
    auc: float | None = None


def outcomes_by_date(
    tables: Path,
    present: Sequence[str],
    as_ofs: Sequence[datetime],
    outcomes: Sequence[Outcome],
    observed_until: datetime,
    zone: str,
) -> pd.DataFrame:
    """The labels of every customer and as-of date, see `features.labels.label`.

    Only the tables that outcomes are made of are opened, all buckets at once.
    """
    relations = {
        name: f"read_parquet('{tables / name}/*.parquet')"
        for name in OUTCOME_TABLES
        if name in present
    }
    with connect(relations, zone, WorkingCalendar(country=None, closed=())) as connection:
        return label(connection, as_ofs, outcomes, observed_until)


def labelled(labels: pd.DataFrame, task: str) -> pd.DataFrame:
    """Per as-of date: customers with an outcome and how many of them had it."""
    rows = labels[labels[f"{task}_status"] == LABELLED]
    found = rows.groupby("as_of")[task].agg(["size", "sum"])
    return found.rename(columns={"size": "customers", "sum": "positives"}).astype("int64")


def suspects(where: str, frame: pd.DataFrame, outcome: pd.Series | None) -> list[Suspect]:
    """The columns of `frame` (one row per customer_id) that look wrong, in its order.

    `outcome` is 1 or 0 by customer_id; without it only constants and ids are found. A time counts
    as a number.
    """
    if len(frame) < LEAST_ROWS:
        return []
    found = []
    y = None if outcome is None else frame["customer_id"].map(outcome)
    for name in frame.columns.drop("customer_id"):
        column = _comparable(frame[name])
        different = column.nunique()
        # A column that some have and some have not is no constant: its being missing may tell.
        if different == 0 or (different == 1 and column.notna().all()):
            found.append(Suspect(where, name, "constant"))
            continue
        is_word = column.dtype == object
        if is_word and different >= ID_SHARE * column.notna().sum() and different >= LEAST_ROWS:
            found.append(Suspect(where, name, "id"))
            continue
        if y is not None and y.notna().any():
            known = y.notna().to_numpy()
            rows = frame.loc[known, ["customer_id"]].assign(**{name: column[known]})
            told = strengths(rows, y[known].to_numpy() == 1, [name], {name} if is_word else set())
            value, missing = (float(told[m].iloc[0]) for m in ("feature_auc", "missing_auc"))
            if value > TELLS:
                itself = different == 2 and value == 1.0
                found.append(Suspect(where, name, "itself" if itself else "outcome", value))
            elif missing > TELLS:
                found.append(Suspect(where, name, "missing", missing))
    return found


def _comparable(column: pd.Series) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column.astype("int64").astype("float64").where(column.notna())
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        return column.astype("float64")
    return column.astype("object").where(column.notna(), None)


def profile_columns(tables: Path, present: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """The customers' own columns, one row per customer: (canonical table, frame)."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    customers = frame_of(
        con,
        f"FROM read_parquet('{tables}/customers/*.parquet')"
        " QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY record_version DESC) = 1",
    )
    own = next(table for table in TABLES if table.name == "customers")
    kept = [c.name for c in own.columns if customers[c.name].notna().any()]
    out = [("customers", customers[["customer_id", *kept]])]
    if "attributes" in present:
        rows = frame_of(
            con,
            "SELECT customer_id, name, number, category FROM"
            f" read_parquet('{tables}/attributes/*.parquet')"
            " QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY record_version DESC) = 1",
        )
        wide = [
            rows[rows[column].notna()].pivot(index="customer_id", columns="name", values=column)
            for column in ("number", "category")
        ]
        out.append(("attributes", pd.concat(wide, axis=1).reset_index()))
    return out


def file_columns(
    source: Source, root: Path, customers: pd.Series
) -> list[tuple[str, pd.DataFrame]]:
    """Files of one row per customer, whether their columns are used or not: (file, frame).

    A file counts when the ids in one of its columns are the customers', each once. Patterns of many
    files are left out: what comes day by day has many rows per customer.
    """
    known = set(customers)
    names = sorted({name for table in source.tables for name in files_named(source.select(table))})
    out = []
    for name in names:
        path = root / name
        if "*" in name or path.suffix.lower() not in (".csv", ".tsv", ".parquet"):
            continue
        read = "read_parquet" if path.suffix.lower() == ".parquet" else "read_csv"
        relation = f"{read}('{path.as_posix()}')"
        with duckdb.connect() as con:
            try:
                rows = con.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0]
                if not 0.5 * len(known) <= rows <= 2 * len(known):
                    continue
                frame = frame_of(con, f"FROM {relation}")
            except duckdb.Error:
                continue  # the ingest reads it with what the SELECT says about it
        for column in frame:
            ids = frame[column].astype(str)
            if ids.is_unique and ids.isin(known).mean() > ID_SHARE:
                out.append((name, frame.assign(customer_id=ids).drop(columns=[column])))
                break
    return out


def begins(contract_tables: Mapping[str, Any]) -> str:
    """When the first event was known: of the tables that are no lists of customers, if any."""
    every = {n: t["first_known_at"] for n, t in contract_tables.items() if t["first_known_at"]}
    lists = ("customers", "subscriptions", "loyalty")  # they tell of beginnings long before
    events = [at for name, at in every.items() if name not in lists]
    return str(min(events or every.values()))


def clock(tables: Path, present: Sequence[str], zone: str) -> list[dict[str, Any]]:
    """Per timed table: share of rows at a day's first or last second, and from 0 to 6 at night."""
    out = []
    for name in TIMED_TABLES:
        if name not in present:
            continue
        row = duckdb.execute(
            "SELECT avg((moment::TIME = '00:00:00' OR moment::TIME = '23:59:59')::INTEGER),"
            " avg((hour(moment) < 6)::INTEGER) FROM (SELECT event_at AT TIME ZONE ? AS moment FROM"
            f" read_parquet('{tables}/{name}/*.parquet'))",
            [zone],
        ).fetchall()[0]
        if row[0] is not None:
            out.append({"table": name, "days_only": row[0], "night": row[1]})
    return out


def missing_tables(
    windows: Sequence[int], present: Sequence[str], absent_columns: Sequence[str]
) -> list[tuple[list[str], int, int]]:
    """What each absent table would add: (it and what it needs, features, support factors)."""
    now = {feature.name for feature in features(windows, present, absent_columns)}
    out = []
    for table in TABLES:
        if table.name in present or table.name in NOT_MISSED:
            continue
        added = _with(table.name, present)
        more = features(windows, [*present, *added], absent_columns)
        new = [feature for feature in more if feature.name not in now]
        if new:
            out.append((added, len(new), sum(feature.lever for feature in new)))
    return sorted(out, key=lambda row: (-row[2], -row[1], row[0]))


def _with(table: str, present: Sequence[str]) -> list[str]:
    """A table and the one it cannot be without: steps and messages belong to tickets."""
    needs = {"ticket_events": "tickets", "messages": "tickets", "qa_reviews": "tickets"}
    other = needs.get(table)
    return [table] if other is None or other in present else [other, table]


def shares(counts: Mapping[str, Any]) -> dict[str, float]:
    """Of a table's rows read: shares set aside, repeated exactly, and pointing to nothing."""
    read = max(1, counts["read"])
    orphans = sum(n for reason, n in counts["reasons"].items() if " unknown" in reason)
    nobody = counts["reasons"].get("customer_id missing", 0)
    return {
        "aside": counts["quarantined"] / read,
        "duplicates": counts["duplicates"] / read,
        "orphans": orphans / read,
        "nobody": nobody / read,
    }


def missing_values(tables: Path, present: Sequence[str]) -> list[tuple[str, str, float]]:
    """Columns that more than half of a table's rows lack: (table, column, share).

    Not of tables with several kinds of rows, most of which have other columns by nature.
    """
    out = []
    for table in TABLES:
        several = any(column.name in ("kind", "action", "name") for column in table.columns)
        if table.name not in present or several:
            continue
        given = [c for c in table.columns if c.type in (TEXT, TIMESTAMP) or not c.required]
        lacking = ", ".join(f'avg(("{c.name}" IS NULL)::INTEGER)' for c in given)
        if not given:
            continue
        row = duckdb.execute(
            f"SELECT {lacking} FROM read_parquet('{tables}/{table.name}/*.parquet')"
        ).fetchall()[0]
        out += [
            (table.name, column.name, share)
            for column, share in zip(given, row, strict=True)
            if share is not None and 0.5 < share < 1
        ]
    return out


def widest(counts: pd.DataFrame) -> pd.Timestamp | None:
    """The as-of date with the most rows of the rarer outcome."""
    if counts.empty:
        return None
    rarer = counts["positives"].clip(upper=counts["customers"] - counts["positives"])
    at: pd.Timestamp = counts.index[int(rarer.to_numpy().argmax())]
    return at if rarer.max() > 0 else None
