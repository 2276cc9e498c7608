"""As-of dates x customers -> the feature table, one bucket at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from data.calendar import WorkingCalendar
from features.aggregates import last
from features.catalog import Feature
from features.declare import Attribute, Calendar
from features.facts import facts, frame_of, open_bucket
from features.kernel import aggregate
from features.labels import ELIGIBLE, Outcome, label
from features.streams import STREAM
from features.tone import read_scores, score_texts


def bucket_table(
    folder: Path,
    bucket: int,
    *,
    as_ofs: Sequence[datetime],
    observed_until: datetime,
    time_zone: str,
    calendar: WorkingCalendar,
    products: pd.DataFrame | None,
    wanted: Sequence[Feature],
    outcomes: Sequence[Outcome],
    live_from: Mapping[str, datetime],
    scores: Path | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features and labels of one bucket of the canonical tables under `folder`.

    Returns the feature table, one row per customer and as-of date at which the customer is
    eligible for some task (for any, if the source supports no task), and the counts of every
    status per task and as-of date. `live_from` says per table when its data begin: until
    all tables of a feature have begun it is missing, never 0. `scores` is the bucket's stored tone
    of messages; without it the default backend scores them here. `calendar` says when support is
    open, `products` are the tickets per product of all buckets (`features.facts.product_months`).
    """
    connection = open_bucket(folder, bucket, time_zone, calendar, products)
    if scores is not None:
        read_scores(connection, scores)
    labels = label(connection, as_ofs, outcomes, observed_until)
    return (
        with_features(connection, _eligible(labels, outcomes), wanted, live_from),
        _status_counts(labels, outcomes),
    )


def _eligible(labels: pd.DataFrame, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    if not outcomes:
        return labels
    keep = np.zeros(len(labels), dtype=bool)
    for outcome in outcomes:
        keep |= labels[f"{outcome.task}_status"].isin(ELIGIBLE).to_numpy()
    return labels[keep].reset_index(drop=True)


def _status_counts(labels: pd.DataFrame, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    parts = []
    for outcome in outcomes:
        grouped = labels.groupby(["as_of", f"{outcome.task}_status"])[outcome.task]
        part = grouped.agg(rows="size", positives="sum").reset_index()
        part.columns = pd.Index(["as_of", "status", "rows", "positives"])
        parts.append(part.assign(task=outcome.task))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def with_features(
    connection: duckdb.DuckDBPyConnection,
    rows: pd.DataFrame,
    wanted: Sequence[Feature],
    live_from: Mapping[str, datetime],
) -> pd.DataFrame:
    """`rows` (customer_id, as_of, ...; sorted) with the `wanted` features after `as_of`.

    Facts known strictly before a row's as-of date, and nothing else, decide its features.
    """
    customers, positions = np.unique(
        rows["customer_id"].to_numpy(dtype=object), return_inverse=True
    )
    as_of = rows["as_of"].dt.as_unit("us").astype("int64").to_numpy()
    streams = {f.stream for f in wanted if f.stream is not None}
    if {"customer_message", "survey_comment"} & streams:
        score_texts(connection)

    columns: dict[str, np.ndarray | pd.Series] = {}
    for name in sorted(streams):
        asked = [f for f in wanted if f.stream == name]
        questions = [f.question for f in asked]
        consent = STREAM[name].consent
        if consent is not None:
            questions.append((last(consent), None))
        answers = aggregate(facts(connection, STREAM[name], customers), questions, positions, as_of)
        if consent is not None:
            answers[answers[:, -1] == 0] = np.nan
        begins = [live_from[table] for table in STREAM[name].needs if table in live_from]
        if begins:
            # Without one of its tables a stream is not empty but unknown: before the first
            # message was recorded, no ticket can be said to be unanswered.
            answers[as_of <= pd.Timestamp(max(begins)).value // 1000] = np.nan
        for i, feature in enumerate(asked):
            columns[feature.name] = answers[:, i].astype(np.float32)
    attributes = [f for f in wanted if isinstance(f.source, Attribute)]
    if attributes:
        columns.update(_attributes(connection, rows, attributes))
    for feature in wanted:
        if isinstance(feature.source, Calendar):
            columns[feature.name] = _days_to_year_end(connection, rows)
    ordered = pd.DataFrame({f.name: columns[f.name] for f in wanted}, index=rows.index)
    outcome_columns = [c for c in rows.columns if c not in ("customer_id", "as_of")]
    return pd.concat([rows[["customer_id", "as_of"]], ordered, rows[outcome_columns]], axis=1)


def _days_to_year_end(connection: duckdb.DuckDBPyConnection, rows: pd.DataFrame) -> np.ndarray:
    """Days from each as-of date to the end of its year, by the source's clock: 0 to 366."""
    zone = connection.execute("SELECT getvariable('time_zone')").fetchall()[0][0]
    local = rows["as_of"].dt.tz_convert(zone).dt.tz_localize(None)
    next_year = pd.to_datetime((local.dt.year + 1).astype(str) + "-01-01")
    return ((next_year - local) / pd.Timedelta(days=1)).to_numpy(dtype=np.float32)


def _attributes(
    connection: duckdb.DuckDBPyConnection, rows: pd.DataFrame, wanted: Sequence[Feature]
) -> dict[str, pd.Series]:
    """The latest visible value of each attribute, per row."""
    connection.register(
        "attribute_rows", rows[["customer_id", "as_of"]].assign(n=np.arange(len(rows)))
    )
    out = {}
    for feature in wanted:
        source = feature.source
        assert isinstance(source, Attribute)
        chosen = "" if source.name is None else f" AND name = '{source.name}'"
        found = frame_of(
            connection,
            f"""
            SELECT n, arg_max({source.column}, (known_from, record_version, event_id)) AS value
            FROM attribute_rows LEFT JOIN (
                SELECT * FROM {source.table} WHERE {source.column} IS NOT NULL{chosen}
            ) AS record ON record.customer_id = attribute_rows.customer_id
                AND known_from < as_of AND (known_until IS NULL OR as_of <= known_until)
            GROUP BY n ORDER BY n
        """,
        )
        kind = object if feature.unit == "category" else np.float32
        out[feature.name] = pd.Series(found["value"].to_numpy(dtype=kind), index=rows.index)
    return out
