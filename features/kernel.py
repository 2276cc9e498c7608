"""The only hot loop: every aggregate of one stream, for every row, in one pass over its facts.

Facts come sorted by customer and by the time they became known. A row is one customer and one
as-of date. A fact counts for a row when

- it lies before the as-of date and inside the window: `as_of - window <= at < as_of`, and
- its record is the latest one visible then: `known_from < as_of <= known_until`.

Each fact is put into the narrowest window that holds it; wider windows are running totals over
the narrower ones, so a row costs one visit per fact whatever the number of windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from features.aggregates import HALF_LIFE_DAYS, SHRINKAGE, Aggregate

DAY_US = 86_400_000_000
"""Microseconds in a day: all times are int64 microseconds since 1970 UTC."""

FOREVER = np.iinfo(np.int64).max

_CODES = {
    "count": 0,
    "sum": 1,
    "mean": 2,
    "geomean": 3,
    "min": 4,
    "max": 5,
    "std": 6,
    "share": 7,
    "quantile": 8,
    "last": 9,
    "days_since_last": 10,
    "days_since_first": 11,
    "days_until": 12,
    "mean_gap_days": 13,
    "trend": 14,
    "decayed": 15,
    "days_since": 16,
}


@dataclass(frozen=True)
class Facts:
    """Facts of one stream, sorted by (customer, at).

    `start` [customers + 1] indexes the other arrays by customer; `at`, `known_from`,
    `known_until` [facts] are microseconds; `values` [facts x columns] float64, NaN = missing.
    """

    start: np.ndarray
    at: np.ndarray
    known_from: np.ndarray
    known_until: np.ndarray
    values: np.ndarray
    columns: tuple[str, ...]


def aggregate(
    facts: Facts,
    questions: Sequence[tuple[Aggregate, int | None]],
    row_customer: np.ndarray,
    row_as_of: np.ndarray,
) -> np.ndarray:
    """Answer each (aggregate, window in days or None for the whole past) for each row.

    `row_customer` [rows] indexes customers, `row_as_of` [rows] is in microseconds.
    Returns float64 [rows x questions]; NaN where there is nothing to say.
    """
    edges_days: set[float] = {np.inf}
    for question, window in questions:
        if window is not None:
            edges_days.add(float(window))
            if question.measure == "trend":
                edges_days.add(2.0 * window)
    edges = sorted(edges_days)
    edge_us = np.array([FOREVER if np.isinf(e) else int(e) * DAY_US for e in edges], dtype=np.int64)

    def edge(days: float) -> int:
        return edges.index(float(days))

    codes = np.array([_CODES[question.measure] for question, _ in questions], dtype=np.int64)
    # Column 0 is the facts themselves (always 1); the value columns follow.
    cols = np.array(
        [
            0 if question.column is None else 1 + facts.columns.index(question.column)
            for question, _ in questions
        ],
        dtype=np.int64,
    )
    wins = np.array([edge(np.inf if w is None else w) for _, w in questions], dtype=np.int64)
    wider = np.array(
        [edge(2.0 * w) if q.measure == "trend" and w is not None else 0 for q, w in questions],
        dtype=np.int64,
    )
    parameters = np.array([question.parameter for question, _ in questions], dtype=np.float64)
    return _run(
        facts.start,
        facts.at,
        facts.known_from,
        facts.known_until,
        facts.values,
        row_customer.astype(np.int64),
        row_as_of.astype(np.int64),
        edge_us,
        codes,
        cols,
        wins,
        wider,
        parameters,
    )


@njit(cache=True)
def _quantile(values: np.ndarray, q: float) -> float:
    ordered = np.sort(values)
    position = q * (ordered.size - 1)
    low = int(np.floor(position))
    high = min(low + 1, ordered.size - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])


@njit(cache=True)
def _run(
    start,
    at,
    known_from,
    known_until,
    values,
    row_customer,
    row_as_of,
    edge_us,
    codes,
    cols,
    wins,
    wider,
    parameters,
):
    rows, questions = row_customer.size, codes.size
    windows, columns = edge_us.size, values.shape[1] + 1
    out = np.full((rows, questions), np.nan)
    number = np.zeros((columns, windows))
    total = np.zeros((columns, windows))
    square = np.zeros((columns, windows))
    logs = np.zeros((columns, windows))
    least = np.empty((columns, windows))
    most = np.empty((columns, windows))
    latest = np.empty(columns)
    faded = np.empty(columns)
    first_at = np.empty(windows, dtype=np.int64)
    last_at = np.empty(windows, dtype=np.int64)
    longest = 0
    for c in range(start.size - 1):
        longest = max(longest, start[c + 1] - start[c])
    visible = np.empty(longest, dtype=np.int64)
    holds = np.empty(longest, dtype=np.int64)
    gathered = np.empty(longest)

    for r in range(rows):
        as_of = row_as_of[r]
        number[:] = 0.0
        total[:] = 0.0
        square[:] = 0.0
        logs[:] = 0.0
        least[:] = np.inf
        most[:] = -np.inf
        latest[:] = np.nan
        faded[:] = 0.0
        first_at[:] = FOREVER
        last_at[:] = -FOREVER
        seen = 0
        for i in range(start[row_customer[r]], start[row_customer[r] + 1]):
            if at[i] >= as_of:
                break
            if known_from[i] >= as_of or as_of > known_until[i]:
                continue
            age = as_of - at[i]
            w = 0
            while age > edge_us[w]:
                w += 1
            visible[seen] = i
            holds[seen] = w
            seen += 1
            weight = 2.0 ** (-age / (HALF_LIFE_DAYS * DAY_US))
            first_at[w] = min(first_at[w], at[i])
            last_at[w] = max(last_at[w], at[i])
            for c in range(columns):
                x = 1.0 if c == 0 else values[i, c - 1]
                if np.isnan(x):
                    continue
                number[c, w] += 1.0
                total[c, w] += x
                square[c, w] += x * x
                logs[c, w] += np.log1p(max(x, 0.0))
                least[c, w] = min(least[c, w], x)
                most[c, w] = max(most[c, w], x)
                latest[c] = x
                faded[c] += weight * x
        for w in range(1, windows):
            first_at[w] = min(first_at[w], first_at[w - 1])
            last_at[w] = max(last_at[w], last_at[w - 1])
            for c in range(columns):
                number[c, w] += number[c, w - 1]
                total[c, w] += total[c, w - 1]
                square[c, w] += square[c, w - 1]
                logs[c, w] += logs[c, w - 1]
                least[c, w] = min(least[c, w], least[c, w - 1])
                most[c, w] = max(most[c, w], most[c, w - 1])

        for k in range(questions):
            code, c, w = codes[k], cols[k], wins[k]
            n = number[c, w]
            if code == 0:
                out[r, k] = n
            elif code == 1:
                out[r, k] = total[c, w]
            elif code == 15:
                out[r, k] = faded[c]
            elif code == 14:
                if c == 0:
                    out[r, k] = 2.0 * n - number[c, wider[k]]
                else:
                    before = number[c, wider[k]] - n
                    if n > 0 and before > 0:
                        out[r, k] = total[c, w] / n - (total[c, wider[k]] - total[c, w]) / before
            elif n == 0:
                continue
            elif code == 2:
                out[r, k] = total[c, w] / n
            elif code == 3:
                out[r, k] = np.expm1(logs[c, w] / n)
            elif code == 4:
                out[r, k] = least[c, w]
            elif code == 5:
                out[r, k] = most[c, w]
            elif code == 6:
                if n > 1:
                    centred = square[c, w] - total[c, w] * total[c, w] / n
                    out[r, k] = np.sqrt(max(centred, 0.0) / (n - 1))
            elif code == 7:
                out[r, k] = (total[c, w] + SHRINKAGE * parameters[k]) / (n + SHRINKAGE)
            elif code == 8:
                kept = 0
                for j in range(seen):
                    if holds[j] <= w and not np.isnan(values[visible[j], c - 1]):
                        gathered[kept] = values[visible[j], c - 1]
                        kept += 1
                out[r, k] = _quantile(gathered[:kept], parameters[k])
            elif code == 9:
                out[r, k] = latest[c]
            elif code == 10:
                out[r, k] = (as_of - last_at[w]) / DAY_US
            elif code == 11:
                out[r, k] = (as_of - first_at[w]) / DAY_US
            elif code == 12:
                out[r, k] = latest[c] - as_of / DAY_US
            elif code == 16:
                out[r, k] = as_of / DAY_US - latest[c]
            elif code == 13 and n > 1:
                out[r, k] = (last_at[w] - first_at[w]) / DAY_US / (n - 1)
    return out
