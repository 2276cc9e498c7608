"""The only hot loop: every aggregate of one stream, for every row, in one pass over its facts.

Facts come sorted by customer and by the time they became known. A row is one customer and one
as-of date. A fact counts for a row when

- it lies before the as-of date and inside the window: `as_of - window <= at < as_of`, and
- its record is the latest one visible then: `known_from < as_of <= known_until`.

The visible facts of a row are a list in rising time, so a window is the tail of that list from
`oldest[window]` on. Counts and sums of all windows come from one visit per fact: each stretch
between two windows' edges is summed once, and wider windows add it to the narrower ones.
Everything else (extremes, spread, quantiles) looks at the tail itself. Only what is asked for is
computed. Each answer depends on its own customer's facts in a fixed order and on nothing else,
so it has the same bytes in whatever bucket it is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from features.aggregates import HALF_LIFE_DAYS, SHRINKAGE, Aggregate, Measure

DAY_US = 86_400_000_000
"""Microseconds in a day: all times are int64 microseconds since 1970 UTC."""

FOREVER = np.iinfo(np.int64).max

HALF_LIFE_US = HALF_LIFE_DAYS * DAY_US

COUNT, SUM, MEAN, GEOMEAN, SHARE, TREND, DECAYED = range(7)  # from running sums
MIN, MAX, STD, QUANTILE = range(7, 11)  # from the values in the window
LAST, DAYS_SINCE, DAYS_UNTIL = range(11, 14)  # from the latest value
DAYS_SINCE_LAST, DAYS_SINCE_FIRST, MEAN_GAP_DAYS = range(14, 17)  # from the times alone

_CODES: dict[Measure, int] = {
    "count": COUNT,
    "sum": SUM,
    "mean": MEAN,
    "geomean": GEOMEAN,
    "share": SHARE,
    "trend": TREND,
    "decayed": DECAYED,
    "min": MIN,
    "max": MAX,
    "std": STD,
    "quantile": QUANTILE,
    "last": LAST,
    "days_since": DAYS_SINCE,
    "days_until": DAYS_UNTIL,
    "days_since_last": DAYS_SINCE_LAST,
    "days_since_first": DAYS_SINCE_FIRST,
    "mean_gap_days": MEAN_GAP_DAYS,
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
    spans = [np.inf if window is None else float(window) for _, window in questions]
    doubled = [
        2.0 * span if question.measure == "trend" else span
        for (question, _), span in zip(questions, spans, strict=True)
    ]
    edges = sorted({*spans, *doubled, np.inf})
    windows = np.array([edges.index(span) for span in spans], dtype=np.int64)
    wider = np.array([edges.index(span) for span in doubled], dtype=np.int64)
    codes = np.array([_CODES[question.measure] for question, _ in questions], dtype=np.int64)

    # Operand -1 is the facts themselves, the others are rows of `operands`.
    wanted = list(dict.fromkeys(filter(None, (_operand(question) for question, _ in questions))))
    operand_of = {None: -1} | {operand: i for i, operand in enumerate(wanted)}
    asked = np.array([operand_of[_operand(question)] for question, _ in questions], dtype=np.int64)
    # How many windows the running sums of an operand have to cover: none beyond the widest asked.
    reach = np.zeros(len(wanted), dtype=np.int64)
    for operand, code, window in zip(asked, codes, wider, strict=True):
        if operand >= 0 and code <= DECAYED:
            reach[operand] = max(reach[operand], window + 1)
    return _run(
        facts.start,
        facts.at,
        facts.known_from,
        facts.known_until,
        _operands(facts, wanted),
        row_customer.astype(np.int64),
        row_as_of.astype(np.int64),
        np.array([int(edge) * DAY_US for edge in edges[:-1]], dtype=np.int64),
        reach,
        codes,
        asked,
        windows,
        wider,
        np.array([question.parameter for question, _ in questions], dtype=np.float64),
    )


def _operand(question: Aggregate) -> tuple[str, str | None] | None:
    """What a question adds up or looks at: a column, perhaps transformed; None = the facts."""
    if question.measure == "decayed":
        return ("grown", question.column)
    if question.column is None:
        return None
    return ("log1p" if question.measure == "geomean" else "plain", question.column)


def _operands(facts: Facts, wanted: Sequence[tuple[str, str | None]]) -> np.ndarray:
    """The operands [operands x facts]: what can be computed once per fact is not done per row."""
    out = np.empty((len(wanted), facts.at.size))
    for i, (form, column) in enumerate(wanted):
        x = 1.0 if column is None else facts.values[:, facts.columns.index(column)]
        if form == "log1p":
            x = np.log1p(np.maximum(x, 0.0))
        elif form == "grown":
            # A fact halves with every half-life after it, so it doubles with every one before it:
            # scaled up from 1970 here, the sum is scaled down from the as-of date per row.
            x = x * np.exp2(facts.at / HALF_LIFE_US)
        out[i] = x
    return out


@njit(cache=True)
def _run(
    start,
    at,
    known_from,
    known_until,
    operands,
    row_customer,
    row_as_of,
    edges,
    reach,
    codes,
    asked,
    windows,
    wider,
    parameters,
):
    out = np.full((row_customer.size, codes.size), np.nan)
    longest = 0
    for c in range(start.size - 1):
        longest = max(longest, start[c + 1] - start[c])
    visible = np.empty(longest, dtype=np.int64)
    buffer = np.empty(longest)
    oldest = np.zeros(edges.size + 1, dtype=np.int64)  # the last window is the whole past
    number = np.zeros((reach.size + 1, edges.size + 1))
    total = np.zeros((reach.size + 1, edges.size + 1))
    customer = -1
    versioned = False

    for r in range(row_customer.size):
        as_of = row_as_of[r]
        if row_customer[r] != customer:
            customer = row_customer[r]
            first, end = start[customer], start[customer + 1]
            versioned = _is_versioned(at, known_from, known_until, first, end)
            for i in range(first, end):
                visible[i - first] = i
        if versioned:
            seen = 0
            for i in range(first, end):
                if at[i] < as_of and known_from[i] < as_of and as_of <= known_until[i]:
                    visible[seen] = i
                    seen += 1
        else:
            seen = _count_before(at, visible, end - first, as_of)
        limit = seen
        for w in range(edges.size):
            limit = _count_before(at, visible, limit, as_of - edges[w])
            oldest[w] = limit

        # Row -1 of `number` counts the facts themselves.
        for w in range(oldest.size):
            number[-1, w] = seen - oldest[w]
        for c in range(reach.size):
            _running_sums(operands[c], visible, oldest, seen, reach[c], number[c], total[c])

        for k in range(codes.size):
            code, c, w = codes[k], asked[k], windows[k]
            n, s = number[c, w], total[c, w]
            tail = visible[oldest[w] : seen]
            if code == COUNT:
                out[r, k] = n
            elif code == SUM:
                out[r, k] = s
            elif code == DECAYED:
                out[r, k] = s * 2.0 ** (-as_of / HALF_LIFE_US)
            elif code == TREND:
                before = number[c, wider[k]] - n
                if c == -1:
                    out[r, k] = n - before
                elif n > 0 and before > 0:
                    out[r, k] = s / n - (total[c, wider[k]] - s) / before
            elif tail.size == 0:
                continue
            elif code == MEAN:
                if n > 0:
                    out[r, k] = s / n
            elif code == GEOMEAN:
                if n > 0:
                    out[r, k] = np.expm1(s / n)
            elif code == SHARE:
                if n > 0:
                    out[r, k] = (s + SHRINKAGE * parameters[k]) / (n + SHRINKAGE)
            elif code == LAST:
                out[r, k] = _latest(operands[c], tail)
            elif code == DAYS_SINCE:
                out[r, k] = as_of / DAY_US - _latest(operands[c], tail)
            elif code == DAYS_UNTIL:
                out[r, k] = _latest(operands[c], tail) - as_of / DAY_US
            elif code == DAYS_SINCE_LAST:
                out[r, k] = (as_of - at[tail[-1]]) / DAY_US
            elif code == DAYS_SINCE_FIRST:
                out[r, k] = (as_of - at[tail[0]]) / DAY_US
            elif code == MEAN_GAP_DAYS:
                if n > 1:
                    out[r, k] = (at[tail[-1]] - at[tail[0]]) / DAY_US / (n - 1)
            else:
                kept = _present(operands[c], tail, buffer)
                if kept == 0:
                    continue
                if code == MIN:
                    out[r, k] = buffer[:kept].min()
                elif code == MAX:
                    out[r, k] = buffer[:kept].max()
                elif code == STD:
                    out[r, k] = _std(buffer[:kept])
                elif code == QUANTILE:
                    out[r, k] = _quantile(buffer[:kept], parameters[k])
    return out


@njit(cache=True)
def _is_versioned(at, known_from, known_until, first, end):
    """Whether any fact became visible later than its time or was ever superseded."""
    for i in range(first, end):
        if known_from[i] > at[i] or known_until[i] != FOREVER:
            return True
    return False


@njit(cache=True)
def _count_before(at, visible, size, moment):
    """How many of the first `size` visible facts lie before `moment`: a binary search."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if at[visible[middle]] < moment:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _running_sums(x, visible, oldest, seen, windows, number, total):
    """Count and sum of the present values of `x` in each of the narrowest `windows`."""
    n, s, end = 0, 0.0, seen
    for w in range(windows):
        stretch = 0.0
        for j in range(oldest[w], end):
            value = x[visible[j]]
            if not np.isnan(value):
                n += 1
                stretch += value
        s += stretch
        end = oldest[w]
        number[w] = n
        total[w] = s


@njit(cache=True)
def _latest(x, tail):
    """The last present value of `x` among the facts `tail`; NaN if there is none."""
    for j in range(tail.size - 1, -1, -1):
        if not np.isnan(x[tail[j]]):
            return x[tail[j]]
    return np.nan


@njit(cache=True)
def _present(x, tail, buffer):
    """Gather the present values of `x` among the facts `tail`; return how many they are."""
    kept = 0
    for j in range(tail.size):
        buffer[kept] = x[tail[j]]
        kept += not np.isnan(buffer[kept])
    return kept


@njit(cache=True)
def _std(values):
    """Sample standard deviation in two passes: the difference of squares cancels for large means.

    The mean is taken from the first value on, so that equal values give exactly 0.
    """
    if values.size < 2:
        return np.nan
    mean = values[0] + (values - values[0]).sum() / values.size
    squares = 0.0
    for value in values:
        squares += (value - mean) ** 2
    return np.sqrt(squares / (values.size - 1))


@njit(cache=True)
def _quantile(values, q):
    """Quantile by linear interpolation between order statistics; reorders `values`."""
    position = q * (values.size - 1)
    low = int(np.floor(position))
    _select(values, low)
    if position == low:
        return values[low]
    return values[low] + (position - low) * (values[low + 1 :].min() - values[low])


@njit(cache=True)
def _select(values, k):
    """Reorder `values` so that the k-th smallest is at k, nothing larger before it (Hoare 1961)."""
    low, high = 0, values.size - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            return
