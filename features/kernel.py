"""The only hot loop: every aggregate of one stream, for every row, in one pass over its facts.

Facts come sorted by customer and by the time they became known. A row is one customer and one
as-of date. A fact counts for a row when

- it lies before the as-of date and inside the window: `as_of - window <= at < as_of`, and
- its record is the latest one visible then: `known_from < as_of <= known_until`.

The visible facts of a row are a list in rising time, so a window is the tail of that list from
`oldest[window]` on. For each operand (a column, perhaps transformed) the present values are
gathered once, latest first: a window is then the first `number[window]` of them, and counts,
sums and extremes of all windows come out of the one visit. Only what is asked for is computed.
Each answer depends on the facts in its window in a fixed order and on nothing else, so it has
the same bytes in whatever bucket, and with whatever other questions, it is computed.
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

FEW = 64
"""Up to so many values, inserting them one by one is faster than sorting."""

COUNT, SUM, MEAN, GEOMEAN, SHARE, TREND, DECAYED, MIN, MAX, STD, QUANTILE = range(11)
LAST, DAYS_SINCE, DAYS_UNTIL, DAYS_SINCE_LAST, DAYS_SINCE_FIRST, MEAN_GAP_DAYS = range(11, 17)

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
    # How many windows an operand has to be gathered for: up to the widest asked.
    reach = np.zeros(len(wanted), dtype=np.int64)
    for operand, window in zip(asked, wider, strict=True):
        if operand >= 0:
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
        # Narrow windows first: the sorted values of one are the start for the next.
        np.argsort(windows, kind="stable"),
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
    sequence,
):
    out = np.full((row_customer.size, codes.size), np.nan)
    longest = 1
    for c in range(start.size - 1):
        longest = max(longest, start[c + 1] - start[c])
    visible = np.empty(longest, dtype=np.int64)
    oldest = np.zeros(edges.size + 1, dtype=np.int64)  # the last window is the whole past
    present = np.empty((reach.size, longest))
    ordered = np.empty((reach.size, longest))
    in_order = np.empty(reach.size, dtype=np.int64)
    # Their last row is about the facts themselves.
    number = np.zeros((reach.size + 1, oldest.size), dtype=np.int64)
    total, least, most = np.zeros((3, reach.size + 1, oldest.size))
    customer, first, end, versioned = -1, 0, 0, False

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

        for w in range(oldest.size):
            number[-1, w] = seen - oldest[w]
        for c in range(reach.size):
            _gather(
                operands[c],
                visible,
                oldest[: reach[c]],
                seen,
                present[c],
                number[c],
                total[c],
                least[c],
                most[c],
            )
            in_order[c] = 0

        for k in sequence:
            code, c, w = codes[k], asked[k], windows[k]
            n = number[c, w]
            if code == COUNT:
                out[r, k] = n
            elif code == SUM:
                out[r, k] = total[c, w]
            elif code == DECAYED:
                out[r, k] = total[c, w] * 2.0 ** (-as_of / HALF_LIFE_US)
            elif code == TREND:
                before = number[c, wider[k]] - n
                if c == -1:
                    out[r, k] = n - before
                elif n > 0 and before > 0:
                    earlier = present[c, n : n + before].sum() / before
                    out[r, k] = total[c, w] / n - earlier
            elif n == 0:
                continue
            elif code == MEAN:
                out[r, k] = total[c, w] / n
            elif code == GEOMEAN:
                out[r, k] = np.expm1(total[c, w] / n)
            elif code == SHARE:
                out[r, k] = (total[c, w] + SHRINKAGE * parameters[k]) / (n + SHRINKAGE)
            elif code == MIN:
                out[r, k] = least[c, w]
            elif code == MAX:
                out[r, k] = most[c, w]
            elif code == STD:
                out[r, k] = _std(present[c, :n])
            elif code == QUANTILE:
                _insert(ordered[c], in_order[c], present[c, in_order[c] : n])
                in_order[c] = n
                out[r, k] = _quantile(ordered[c, :n], parameters[k])
            elif code == LAST:
                out[r, k] = present[c, 0]
            elif code == DAYS_SINCE:
                out[r, k] = as_of / DAY_US - present[c, 0]
            elif code == DAYS_UNTIL:
                out[r, k] = present[c, 0] - as_of / DAY_US
            elif code == DAYS_SINCE_LAST:
                out[r, k] = (as_of - at[visible[seen - 1]]) / DAY_US
            elif code == DAYS_SINCE_FIRST:
                out[r, k] = (as_of - at[visible[oldest[w]]]) / DAY_US
            elif code == MEAN_GAP_DAYS and n > 1:
                out[r, k] = (at[visible[seen - 1]] - at[visible[oldest[w]]]) / DAY_US / (n - 1)
    return out


@njit(cache=True)
def _is_versioned(at, known_from, known_until, first, end):
    """Whether any fact became visible later than its time or was ever superseded."""
    late = known_from[first:end] > at[first:end]
    return late.any() or (known_until[first:end] != FOREVER).any()


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
def _gather(x, visible, oldest, seen, present, number, total, least, most):
    """Put the present values of `x` into `present`, latest first; describe every window of them."""
    n, end = 0, seen
    running, low, high = 0.0, np.inf, -np.inf
    for w in range(oldest.size):
        for j in range(end - 1, oldest[w] - 1, -1):
            value = x[visible[j]]
            # Without branches: whether a value is missing is hard to predict.
            there = not np.isnan(value)
            present[n] = value
            n += there
            running += value if there else 0.0
            low = value if value < low else low
            high = value if value > high else high
        end = oldest[w]
        number[w], total[w], least[w], most[w] = n, running, low, high


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
def _quantile(ordered, q):
    """Quantile of sorted values, by linear interpolation between neighbours."""
    position = q * (ordered.size - 1)
    low = int(np.floor(position))
    high = min(low + 1, ordered.size - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])


@njit(cache=True)
def _insert(ordered, size, more):
    """Add the values `more` to the sorted first `size` values of `ordered`."""
    if more.size > FEW:
        ordered[size : size + more.size] = more
        ordered[: size + more.size].sort()
        return
    for value in more:
        j = size
        while j > 0 and ordered[j - 1] > value:
            ordered[j] = ordered[j - 1]
            j -= 1
        ordered[j] = value
        size += 1
