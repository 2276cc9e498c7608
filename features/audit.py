"""The leak audit: attacks that must change no feature, and features that tell too much.

Two kinds of leak, two kinds of check. A stream whose SELECT looks at what was not known yet gives
itself away when everything known at or after the as-of date is altered or removed. A column that
a source wrongly claims to have been known earlier survives that, for its rows lie about their
time; what gives it away is that one feature alone, or its being missing, tells the outcome.

`tables` are canonical tables by name; nothing here changes them. `as_of` is always the moment at
which a feature row is computed: what counts is known strictly before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import duckdb
import numpy as np
import pandas as pd

from data.contracts import TABLE
from features.catalog import Feature
from features.labels import Outcome, label
from features.table import with_features

Tables = Mapping[str, pd.DataFrame]
Rows = TypeVar("Rows", pd.DataFrame, pd.Series)
Counts = dict[str, dict[str, int]]
"""Per table, what an attack did to how many rows."""

MEASURES = ("feature_auc", "missing_auc", "one_sided_share")

MIN_ROWS = 50
"""Rows that must be missing (or present) before their outcomes are called one-sided."""
MIN_OUTCOMES = 25
"""Rows of either outcome that an AUC needs."""


def computed(
    connection: duckdb.DuckDBPyConnection,
    as_ofs: Sequence[datetime],
    *,
    wanted: Sequence[Feature],
    outcomes: Sequence[Outcome],
    live_from: Mapping[str, datetime],
) -> pd.DataFrame:
    """Features of every customer known at the as-of dates, and whether each task may use the row.

    Computed as the stage `featurize` does, but standing at the first of the dates, when no
    outcome has been observed, so that no `<task>_status` depends on one.
    """
    rows = label(connection, as_ofs, outcomes, min(as_ofs))
    rows = rows.drop(columns=[outcome.task for outcome in outcomes])
    return with_features(connection, rows, wanted, live_from)


def known_before(tables: Tables, as_of: pd.Timestamp) -> tuple[dict[str, pd.DataFrame], Counts]:
    """The tables as they were at `as_of`: only rows with `known_at` before it.

    Also counts, per table, the rows removed and how many of them corrected or deleted an event
    that was already known.
    """
    out, counts = {}, {}
    for name, frame in tables.items():
        known = frame["known_at"] < as_of
        versions = frame[~known & (frame["record_version"] > 1)]
        out[name] = frame[known].reset_index(drop=True)
        counts[name] = {
            "removed": int((~known).sum()),
            "removed_versions": int(versions["event_id"].isin(out[name]["event_id"]).sum()),
        }
    return out, counts


def shuffled_future(
    tables: Tables, as_of: pd.Timestamp, rng: np.random.Generator
) -> tuple[dict[str, pd.DataFrame], Counts]:
    """The same past with another future.

    Of the rows known at or after `as_of` about a third is dropped and the rest altered: values,
    texts, times and half of the customers are drawn from other rows of the table. New events are
    inserted, and corrections and deletions of events known before. All of it is known at `as_of`
    (some at that very microsecond) or up to 120 days later, and may have happened up to 400 days
    earlier. Counts what was done, per table.
    """
    out, counts = {}, {}
    for name, frame in tables.items():
        future = frame["known_at"] >= as_of
        past, kept = frame[~future], frame[future & (rng.random(len(frame)) < 2 / 3)]
        inserted = _drawn(frame, max(MIN_ROWS, len(frame) // 5) if len(frame) else 0, rng)
        inserted["event_id"] = [f"inserted-{i}" for i in range(len(inserted))]
        inserted["record_version"] = 1
        versions = frame.groupby("event_id")["record_version"].max()
        revised = past[rng.random(len(past)) < 0.2].drop_duplicates("event_id")
        revised = revised.assign(
            record_version=revised["event_id"].map(versions).astype("int64") + 1
        )
        parts = [_altered(part, name, frame, as_of, rng) for part in (kept, inserted, revised)]
        out[name] = pd.concat([past, *parts], ignore_index=True)
        counts[name] = {
            "dropped": int(future.sum()) - len(kept),
            "altered": len(kept),
            "inserted": len(inserted),
            "revised": len(revised),
        }
    return out, counts


def _drawn(frame: Rows, n: int, rng: np.random.Generator) -> Rows:
    return frame.take(rng.integers(len(frame), size=n) if n else []).reset_index(drop=True)


def _altered(
    rows: pd.DataFrame, name: str, pool: pd.DataFrame, as_of: pd.Timestamp, rng: np.random.Generator
) -> pd.DataFrame:
    """`rows` of the table `name` with everything but their key drawn anew."""
    if rows.empty:
        return rows
    n = len(rows)
    out = rows.reset_index(drop=True)
    for column in (*(c.name for c in TABLE[name].columns), "customer_id"):
        drawn = _drawn(pool[column], n, rng)
        # Half keep whom and what they point to, so that the rows of one ticket stay together.
        keep = column.endswith("_id") & (rng.random(n) < 0.5)
        out[column] = out[column].where(keep, drawn)
    known_at = as_of + pd.to_timedelta(rng.integers(120 * 24, size=n), unit="h")
    lag = pd.to_timedelta(rng.choice([0, 0, 1, 30, 24 * 20, 24 * 400], size=n), unit="h")
    out["known_at"] = pd.Series(known_at).where(rng.random(n) < 0.9, as_of).dt.as_unit("us")
    out["event_at"] = (out["known_at"] - lag).dt.as_unit("us")
    out["op"] = pd.Series(rng.choice(["upsert", "delete"], p=[0.85, 0.15], size=n), dtype="str")
    return out


def planted(
    tables: Tables, customers: Sequence[str], known_at: pd.Timestamp, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """The canary: six more rows in every table for each of `customers`, and for nobody else.

    They are copies of other customers' rows that happened over the ten days before `known_at`:
    a copy of the outcome, if `customers` are those whose outcome it is.
    """
    out = {}
    for name, frame in tables.items():
        n = 6 * len(customers) if len(frame) else 0
        rows = _drawn(frame, n, rng)
        rows["customer_id"] = pd.Series(np.tile(customers, 6)[:n], dtype="str")
        rows["event_id"] = [f"planted-{i}" for i in range(n)]
        rows["record_version"], rows["op"] = 1, "upsert"
        rows["known_at"] = known_at
        rows["event_at"] = known_at - pd.to_timedelta(rng.integers(240, size=n), unit="h")
        own_id = f"{name.removesuffix('s')}_id"
        if own_id in rows:
            rows[own_id] = rows["event_id"]
        out[name] = pd.concat([frame, rows], ignore_index=True) if n else frame
    return out


@dataclass(frozen=True)
class Change:
    """A column that is not the same in two feature tables: how often, and the first such row."""

    column: str
    rows: int
    customer_id: str
    as_of: pd.Timestamp
    before: float | str | None
    after: float | str | None


def changes(
    before: pd.DataFrame, after: pd.DataFrame, columns: Sequence[str]
) -> tuple[Change, ...]:
    """The `columns` in which two feature tables differ in any bit, in the order given.

    Rows are matched by customer and as-of date. A row that only one of the tables has is a change
    of the column "row", and comes last.
    """
    key = ["customer_id", "as_of"]
    one, two = (frame.set_index(key).sort_index() for frame in (before, after))
    unmatched = one.index.symmetric_difference(two.index)
    both = one.index.intersection(two.index)
    shared = one.loc[both], two.loc[both]
    found = []
    for column in columns:
        before_bits, after_bits = (_bits(frame[column]) for frame in shared)
        differs = np.flatnonzero(before_bits != after_bits)
        if differs.size:
            first = differs[0]
            customer_id, as_of = both[first]
            values = (_plain(frame[column].iloc[first]) for frame in shared)
            found.append(Change(column, int(differs.size), customer_id, as_of, *values))
    if len(unmatched):
        customer_id, as_of = unmatched[0]
        states = ["present" if unmatched[0] in frame.index else None for frame in (one, two)]
        found.append(Change("row", len(unmatched), customer_id, as_of, *states))
    return tuple(found)


def _bits(values: pd.Series) -> np.ndarray:
    if pd.api.types.is_float_dtype(values.dtype):
        numbers = values.to_numpy(np.float32)
        # Missing is missing: a NaN's own bits say how it came about.
        return np.where(np.isnan(numbers), np.float32(np.nan), numbers).view(np.int32)
    return values.astype("object").where(values.notna(), None).to_numpy(dtype=object)


def _plain(value: Any) -> float | str | None:
    if pd.isna(value):
        return None
    return value if isinstance(value, str) else float(value)


def strengths(
    rows: pd.DataFrame, y: np.ndarray, features: Sequence[str], categories: Collection[str]
) -> pd.DataFrame:
    """What every single feature tells about the outcome `y` (1 or 0), one row per feature.

    - `feature_auc`: AUC of the value over the rows that have one: as it is, or by the outcome rate
      of its twentieth (its category), whichever is higher. The latter sees features that tell
      in their middle; rates come from the other half of the customers. NaN with fewer than
      MIN_OUTCOMES rows of either outcome.
    - `missing_auc`: AUC of the feature's being missing.
    - `one_sided_share`: share of the rarer outcome among the rows where the feature is missing or
      among those where it is not, whichever is higher. NaN where both have fewer than MIN_ROWS.

    Which way a value, or its being missing, points does not matter: an AUC below one half counts
    as the same distance above it.
    """
    y = np.asarray(y, dtype=bool)
    rare = y if y.mean() <= 0.5 else ~y
    half = pd.factorize(rows["customer_id"])[0] % 2
    found = []
    for name in features:
        there = rows[name].notna().to_numpy()
        values, outcome = rows[name][there], y[there]
        if name in categories:
            groups, alone = pd.factorize(values)[0], np.nan
        else:
            x = values.to_numpy(np.float64)
            groups, alone = _twentieths(x), _either_way(auc(x, outcome))
        rates = _outcome_rates(groups, outcome, half[there])
        sides = [rare[side] for side in (there, ~there) if side.sum() >= MIN_ROWS]
        found.append(
            {
                "feature": name,
                "feature_auc": np.fmax(alone, auc(rates, outcome)),
                "missing_auc": _either_way(auc(there, y)),
                "one_sided_share": max((float(side.mean()) for side in sides), default=np.nan),
            }
        )
    return pd.DataFrame(found, columns=["feature", *MEASURES]).set_index("feature")


def _twentieths(x: np.ndarray) -> np.ndarray:
    """Which of up to 20 equal parts of the sorted values each value is in; ties stay together."""
    if x.size == 0:
        return np.zeros(0, dtype=np.int64)
    edges = np.unique(np.quantile(x, np.linspace(0, 1, 21)[1:-1]))
    return np.searchsorted(edges, x, side="right")


def _outcome_rates(groups: np.ndarray, y: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The outcome rate of each row's group among the other half: never from its own outcome."""
    out = np.zeros(len(groups))
    size = int(groups.max(initial=-1)) + 1
    for part in (0, 1):
        other = half != part
        number = np.bincount(groups[other], minlength=size)
        positive = np.bincount(groups[other], weights=y[other], minlength=size)
        overall = y[other].mean() if other.any() else 0.0
        rates = np.where(number > 0, positive / np.maximum(number, 1), overall)
        out[~other] = rates[groups[~other]]
    return out


def auc(x: np.ndarray, y: np.ndarray) -> float:
    """Mann-Whitney AUC of `x` for `y`: ties count one half."""
    positives = int(y.sum())
    negatives = len(y) - positives
    if min(positives, negatives) < MIN_OUTCOMES:
        return float("nan")
    above = pd.Series(x).rank().to_numpy()[y].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def _either_way(value: float) -> float:
    return max(value, 1 - value)
