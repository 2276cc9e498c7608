"""The only hot loop: every aggregate of one stream, for every row, in one pass over its facts.

Facts come sorted by customer and by the time they became known. A row is one customer and one
as-of date. A fact counts for a row when

- it lies before the as-of date and inside the window: `as_of - window <= at < as_of`, and
- its record is the latest one visible then: `known_from < as_of <= known_until`.

What a question looks at is an operand: a column, perhaps transformed, or the moment of the fact.
The operands of one customer become a small table [operands x facts], the latest fact first, where
NaN means missing; of a fact that is not visible everything is missing. All windows of a row begin
at its latest fact, so one walk from there into the past, keeping running numbers, passes the edge
of every window, and the running number at that edge describes that window. Rows are described a
block at a time; then each question turns descriptions into answers, without a branch per row.

Exact quantiles and distinct counts need values in order: each customer's are sorted once, a window
takes those that lie in it, and a narrower window takes from a wider one.

Each answer depends on the facts in its window in a fixed order, latest first, and on nothing else,
so it has the same bytes in whatever bucket, and with whatever other questions, it is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from features.aggregates import HALF_LIFE_DAYS, SHRINKAGE, Aggregate, Measure

DAY_US = 86_400_000_000
"""Microseconds in a day: all times are int64 microseconds since 1970 UTC."""

FOREVER = np.iinfo(np.int64).max

HALF_LIFE_US = HALF_LIFE_DAYS * DAY_US

BLOCK = 64
"""Rows described before their questions are answered: few enough to stay in the cache."""

MOMENT, PLAIN, LOG1P, GROWN = range(4)
"""Forms of an operand: time of the fact in microseconds, column as it is, or see `_derived`."""

NUMBER, TOTAL, LEAST, MOST, DEVIATION, SQUARE = range(6)
"""What describes a window of an operand; the last two are sums of distances to the latest value,
and of their squares."""

# What is answered from a description, ...
COUNT, SUM, MEAN, SHARE, DECAYED, FACTS_TREND, MIN, MAX, STD = range(9)
LAST, DAYS_SINCE, DAYS_UNTIL, DAYS_SINCE_LAST, DAYS_SINCE_FIRST, MEAN_GAP_DAYS = range(9, 15)
# ... and what needs another look at the facts.
TREND, GAP_DAYS_STD, QUANTILE, DISTINCT = range(15, 19)

_CODES: dict[Measure, int] = {
    "count": COUNT,
    "sum": SUM,
    "mean": MEAN,
    "geomean": MEAN,
    "share": SHARE,
    "decayed": DECAYED,
    "min": MIN,
    "max": MAX,
    "std": STD,
    "last": LAST,
    "days_since": DAYS_SINCE,
    "days_until": DAYS_UNTIL,
    "days_since_last": DAYS_SINCE_LAST,
    "days_since_first": DAYS_SINCE_FIRST,
    "mean_gap_days": MEAN_GAP_DAYS,
    "trend": TREND,
    "gap_days_std": GAP_DAYS_STD,
    "quantile": QUANTILE,
    "distinct": DISTINCT,
}

SUMMED, RANGED, SPREAD, LATEST = range(4)
"""The walks over an operand, and who needs them."""

_WALKS = (
    (SUM, MEAN, SHARE, DECAYED, TREND),
    (MIN, MAX, DAYS_SINCE_FIRST, MEAN_GAP_DAYS),
    (STD,),
    (STD, LAST, DAYS_SINCE, DAYS_UNTIL, DAYS_SINCE_LAST),
)


@dataclass(frozen=True)
class Facts:
    """Facts of one stream, sorted by (customer, at).

    `start` [customers + 1] indexes the other arrays by customer; `at`, `known_from`,
    `known_until` [facts] are microseconds; `values` [facts x columns] float64, NaN = missing,
    are not copied when they lie column by column (Fortran order).
    """

    start: np.ndarray
    at: np.ndarray
    known_from: np.ndarray
    known_until: np.ndarray
    values: np.ndarray
    columns: tuple[str, ...]


class _Plan(NamedTuple):
    """What is asked, as arrays.

    Per operand its form, column (-1 = none) and, [walks x operands], how many edges each walk has
    to reach; per edge its distance from the as-of date; per question the rest, edges by index.
    """

    form: np.ndarray
    column: np.ndarray
    reach: np.ndarray
    edges: np.ndarray
    code: np.ndarray
    operand: np.ndarray
    window: np.ndarray
    wider: np.ndarray
    parameter: np.ndarray
    jointly: np.ndarray
    singly: np.ndarray


def aggregate(
    facts: Facts,
    questions: Sequence[tuple[Aggregate, int | None]],
    row_customer: np.ndarray,
    row_as_of: np.ndarray,
) -> np.ndarray:
    """Answer each (aggregate, window in days or None for the whole past) for each row.

    `row_customer` [rows] indexes customers, `row_as_of` [rows] is in microseconds; rows sorted by
    both are answered fastest. Returns float64 [rows x questions] that lie question by question
    (Fortran order); NaN where there is nothing to say.
    """
    plan = _planned(questions, facts.columns)
    # Made here, not in the kernel: numpy asks for large pages, which are much faster to get.
    answers = np.empty((len(questions), row_as_of.size))
    _run(
        _fixed(facts.start, np.int64),
        _fixed(facts.at, np.int64),
        _fixed(facts.known_from, np.int64),
        _fixed(facts.known_until, np.int64),
        _fixed(facts.values.T, np.float64),
        _derived(facts, plan),
        plan,
        _fixed(row_customer, np.int64),
        _fixed(row_as_of, np.int64),
        answers,
    )
    for answer, (question, _) in zip(answers, questions, strict=True):
        if question.measure == "geomean":
            np.expm1(answer, out=answer)
    return answers.T


def _fixed(array: np.ndarray, dtype: type) -> np.ndarray:
    """The array in one type, read-only: whatever it was before, one compiled kernel serves all."""
    view: np.ndarray = np.ascontiguousarray(array, dtype).view()
    view.flags.writeable = False
    return view


def _planned(questions: Sequence[tuple[Aggregate, int | None]], columns: tuple[str, ...]) -> _Plan:
    spans = [np.inf if window is None else float(window) for _, window in questions]
    doubled = [
        2.0 * span if question.measure == "trend" else span
        for (question, _), span in zip(questions, spans, strict=True)
    ]
    # The first edge is the as-of date itself, the last one the beginning of time.
    edges = sorted({0.0, *spans, *doubled, np.inf})
    code = np.array([_code(question) for question, _ in questions], dtype=np.int64)
    looked_at = [_operand(question, columns) for question, _ in questions]
    operands = list(dict.fromkeys(looked_at))
    operand = np.array([operands.index(one) for one in looked_at], dtype=np.int64)
    window = np.array([edges.index(span) for span in spans], dtype=np.int64)
    reach = np.zeros((len(_WALKS), len(operands)), dtype=np.int64)
    for walk, users in enumerate(_WALKS):
        asking = np.isin(code, users)
        np.maximum.at(reach[walk], operand[asking], window[asking] + 1)
    # Operand by operand, wide windows first: a narrower one takes its values from a wider one.
    order = np.lexsort((-window, operand))
    return _Plan(
        form=np.array([form for form, _ in operands], dtype=np.int64),
        column=np.array([column for _, column in operands], dtype=np.int64),
        reach=reach,
        edges=np.array([int(edge) * DAY_US for edge in edges[:-1]], dtype=np.int64),
        code=code,
        operand=operand,
        window=window,
        wider=np.array([edges.index(span) for span in doubled], dtype=np.int64),
        parameter=np.array([question.parameter for question, _ in questions], dtype=np.float64),
        jointly=np.flatnonzero(code < TREND),
        singly=order[code[order] >= TREND],
    )


def _code(question: Aggregate) -> int:
    if question.measure == "trend" and question.column is None:
        return FACTS_TREND
    return _CODES[question.measure]


def _operand(question: Aggregate, columns: tuple[str, ...]) -> tuple[int, int]:
    """The form and the column, -1 = none, that a question looks at."""
    column = -1 if question.column is None else columns.index(question.column)
    if question.measure == "decayed":
        return GROWN, column
    if column == -1:
        return MOMENT, column
    return (LOG1P if question.measure == "geomean" else PLAIN), column


def _derived(facts: Facts, plan: _Plan) -> np.ndarray:
    """The transformed operands [operands x facts]: once per fact, not once per row."""
    out = np.empty((plan.form.size, facts.at.size if plan.form.max(initial=0) > PLAIN else 0))
    for to, form, column in zip(out, plan.form, plan.column, strict=True):
        if form == LOG1P:
            np.log1p(np.maximum(facts.values[:, column], 0.0), out=to)
        elif form == GROWN:
            # A fact halves with every half-life after it, so it doubles with every one before it:
            # scaled up from 1970 here, the sum is scaled down from the as-of date per row.
            np.exp2(facts.at / HALF_LIFE_US, out=to)
            if column >= 0:
                to *= facts.values[:, column]
    return out


@njit(cache=True, error_model="numpy")
def _run(
    start,
    at,
    known_from,
    known_until,
    values,
    derived,
    plan,
    row_customer,
    row_as_of,
    answers,
):
    form, column, reach, edges, code, operand, window, wider, parameter, jointly, singly = plan
    operands = form.size
    longest = 1
    for c in range(start.size - 1):
        longest = max(longest, start[c + 1] - start[c])
    loaded, shown = np.empty((operands, longest)), np.empty((operands, longest))
    present = np.zeros((operands, longest + 1))
    running = np.empty((2, longest + 1))
    ordered = np.empty((operands, longest), dtype=np.int64)
    ordered_size = np.zeros(operands, dtype=np.int64)
    is_ordered = np.zeros(operands, dtype=np.bool_)
    for k in singly:
        is_ordered[operand[k]] |= code[k] == QUANTILE or code[k] == DISTINCT
    picked = np.empty(longest, dtype=np.int64)
    bounds = np.zeros(edges.size + 1, dtype=np.int64)
    described = np.zeros((SQUARE + 1, operands, bounds.size, BLOCK))
    latest = np.empty((operands, BLOCK))
    customer, before, first, size, versioned = -1, 0, 0, 0, False

    for r in range(row_customer.size):
        b, as_of = r % BLOCK, row_as_of[r]
        if row_customer[r] != customer:
            customer = row_customer[r]
            first, size = start[customer], start[customer + 1] - start[customer]
            versioned = _is_versioned(at, known_from, known_until, first, size)
            for c in range(operands):
                _load(at, values, derived, first, size, form[c], column[c], c, loaded)
                if is_ordered[c]:
                    ordered_size[c] = _sort(loaded, c, size, ordered)
            _count_present(loaded, size, present)
            bounds[:] = size
        elif as_of < before:
            bounds[:] = size
        before = as_of
        _advance(at, first + size, as_of, edges, bounds)
        facts = loaded
        if versioned:
            _show(known_from, known_until, first, size, as_of, loaded, shown)
            _count_present(shown, size, present)
            facts = shown

        for c in range(operands):
            for e in range(bounds.size):
                described[NUMBER, c, e, b] = present[c, bounds[e]] - present[c, bounds[0]]
            if reach[SUMMED, c] > 0:
                _sum(facts, c, bounds, reach[SUMMED, c], running, described, b)
            if reach[RANGED, c] > 0:
                _range(facts, c, bounds, reach[RANGED, c], running, described, b)
            if reach[LATEST, c] > 0:
                latest[c, b] = _latest(facts, c, bounds[0], size)
            if reach[SPREAD, c] > 0:
                _spread(facts, c, bounds, reach[SPREAD, c], latest[c, b], running, described, b)

        held, held_window, n = -1, -1, 0
        for k in singly:
            asked, c, w = code[k], operand[k], window[k]
            if asked == TREND:
                mean = described[TOTAL, c, w, b] / described[NUMBER, c, w, b]
                answers[k, r] = mean - _mean(facts, c, bounds[w], bounds[wider[k]])
                continue
            if asked == GAP_DAYS_STD:
                answers[k, r] = _gap_days_std(facts, c, bounds[0], bounds[w])
                continue
            if c != held:
                n = _pick(ordered, ordered_size[c], facts, c, bounds[0], bounds[w], picked)
            elif w != held_window:
                n = _narrow(picked, n, bounds[w])
            held, held_window = c, w
            if asked == QUANTILE:
                answers[k, r] = _quantile(facts, c, picked, n, parameter[k])
            else:
                answers[k, r] = _distinct(facts, c, picked, n)

        if b == BLOCK - 1 or r == row_customer.size - 1:
            for k in jointly:
                _answer(
                    code[k],
                    operand[k],
                    window[k],
                    wider[k],
                    parameter[k],
                    row_as_of,
                    described,
                    latest,
                    k,
                    r - b,
                    b + 1,
                    answers,
                )


@njit(cache=True, error_model="numpy")
def _is_versioned(at, known_from, known_until, first, size):
    """Whether any fact became visible later than its time or was ever superseded."""
    for i in range(first, first + size):
        if known_from[i] > at[i] or known_until[i] != FOREVER:
            return True
    return False


@njit(cache=True, error_model="numpy")
def _load(at, values, derived, first, size, form, column, c, loaded):
    """Fill one operand of a customer's table, the latest fact first."""
    to, last = loaded[c, :size], first + size - 1
    for i in range(size):
        if form == PLAIN:
            to[i] = values[column, last - i]
        elif form == MOMENT:
            to[i] = at[last - i]
        else:
            to[i] = derived[c, last - i]


@njit(cache=True, error_model="numpy")
def _show(known_from, known_until, first, size, as_of, loaded, shown):
    """Copy a customer's table without what is not visible at `as_of`."""
    for i in range(size):
        fact = first + size - 1 - i
        visible = known_from[fact] < as_of and as_of <= known_until[fact]
        for c in range(loaded.shape[0]):
            shown[c, i] = loaded[c, i] if visible else np.nan


@njit(cache=True, error_model="numpy")
def _count_present(table, size, present):
    """`present[c, i]` becomes the number of values among the latest i facts."""
    for c in range(table.shape[0]):
        x, counts, n = table[c, :size], present[c, 1 : size + 1], 0.0
        for i in range(size):
            n += 0.0 if np.isnan(x[i]) else 1.0
            counts[i] = n


@njit(cache=True, error_model="numpy")
def _advance(at, end, as_of, edges, bounds):
    """Move each bound, which may be too old, to the latest fact before its edge.

    A bound counts from the latest fact; the rows of a customer come in rising time, so that over
    all of them a bound passes each fact once.
    """
    for e in range(edges.size):
        bound, moment = bounds[e], as_of - edges[e]
        while bound > 0 and at[end - bound] < moment:
            bound -= 1
        bounds[e] = bound


# Each walk goes from the row's latest fact to the oldest one asked for and notes its running
# number at every fact, rather than stopping at every edge: edges are hard to predict for the
# processor. A missing value is passed over without a branch for the same reason.


@njit(cache=True, error_model="numpy")
def _sum(facts, c, bounds, reach, running, described, b):
    begin, end = bounds[0], bounds[reach - 1]
    x, totals = facts[c, begin:end], running[0, begin + 1 : end + 1]
    total = 0.0
    running[0, begin] = total
    for i in range(x.size):
        total += 0.0 if np.isnan(x[i]) else x[i]
        totals[i] = total
    for e in range(reach):
        described[TOTAL, c, e, b] = running[0, bounds[e]]


@njit(cache=True, error_model="numpy")
def _range(facts, c, bounds, reach, running, described, b):
    begin, end = bounds[0], bounds[reach - 1]
    x = facts[c, begin:end]
    lows, highs = running[0, begin + 1 : end + 1], running[1, begin + 1 : end + 1]
    low, high = np.inf, -np.inf
    running[0, begin], running[1, begin] = low, high
    for i in range(x.size):
        low = x[i] if x[i] < low else low
        high = x[i] if x[i] > high else high
        lows[i], highs[i] = low, high
    for e in range(reach):
        described[LEAST, c, e, b] = running[0, bounds[e]]
        described[MOST, c, e, b] = running[1, bounds[e]]


@njit(cache=True, error_model="numpy")
def _spread(facts, c, bounds, reach, latest, running, described, b):
    """Sums of the distances to the latest value and of their squares.

    The latest value lies in every window that has one. With d its distance to a window's mean and
    S the sum of the n squared distances to that mean, n d^2 <= (n - 1) S: what cancels in
    `squares - distances^2 / n` is at most n times what remains, however large the values are.
    """
    begin, end = bounds[0], bounds[reach - 1]
    x = facts[c, begin:end]
    ones, twos = running[0, begin + 1 : end + 1], running[1, begin + 1 : end + 1]
    one, two = 0.0, 0.0
    running[0, begin], running[1, begin] = one, two
    for i in range(x.size):
        distance = 0.0 if np.isnan(x[i]) else x[i] - latest
        one += distance
        two += distance * distance
        ones[i], twos[i] = one, two
    for e in range(reach):
        described[DEVIATION, c, e, b] = running[0, bounds[e]]
        described[SQUARE, c, e, b] = running[1, bounds[e]]


@njit(cache=True, error_model="numpy")
def _latest(facts, c, begin, end):
    for i in range(begin, end):
        if not np.isnan(facts[c, i]):
            return facts[c, i]
    return np.nan


@njit(cache=True, error_model="numpy")
def _mean(facts, c, begin, end):
    number, total = 0, 0.0
    for i in range(begin, end):
        if not np.isnan(facts[c, i]):
            number += 1
            total += facts[c, i]
    return total / number


@njit(cache=True, error_model="numpy")
def _std(number, deviation, square):
    """Sample standard deviation from the sums of distances to one of the values."""
    if number < 2:
        return np.nan
    return np.sqrt(max(square - deviation * deviation / number, 0.0) / (number - 1))


@njit(cache=True, error_model="numpy")
def _gap_days_std(facts, c, begin, end):
    later, latest_gap, number, one, two = np.nan, np.nan, 0, 0.0, 0.0
    for i in range(begin, end):
        moment = facts[c, i]
        if np.isnan(moment):
            continue
        if not np.isnan(later):
            gap = (later - moment) / DAY_US
            if number == 0:
                latest_gap = gap
            number += 1
            one += gap - latest_gap
            two += (gap - latest_gap) * (gap - latest_gap)
        later = moment
    return _std(number, one, two)


@njit(cache=True, error_model="numpy")
def _sort(loaded, c, size, ordered):
    """Put where a customer's values lie into `ordered[c]`, least first; return their number."""
    x, to, n = loaded[c, :size], ordered[c], 0
    for i in range(size):
        to[n] = i
        n += not np.isnan(x[i])
    to[:n] = to[np.argsort(x[to[:n]])]
    return n


@njit(cache=True, error_model="numpy")
def _pick(ordered, size, facts, c, begin, end, picked):
    """Put the places from `begin` to `end` that have a value into `picked`, keeping their order."""
    n = 0
    for j in range(size):
        i = ordered[c, j]
        picked[n] = i
        n += (begin <= i) & (i < end) & (not np.isnan(facts[c, i]))
    return n


@njit(cache=True, error_model="numpy")
def _narrow(picked, size, end):
    """Keep the places before `end`, in their order; return their number."""
    n = 0
    for j in range(size):
        i = picked[j]
        picked[n] = i
        n += i < end
    return n


@njit(cache=True, error_model="numpy")
def _quantile(facts, c, picked, size, q):
    """Quantile by linear interpolation between neighbours."""
    if size == 0:
        return np.nan
    position = q * (size - 1)
    low = int(np.floor(position))
    below = facts[c, picked[low]]
    above = facts[c, picked[min(low + 1, size - 1)]]
    return below + (position - low) * (above - below)


@njit(cache=True, error_model="numpy")
def _distinct(facts, c, picked, size):
    n = 0
    for j in range(size):
        n += j == 0 or facts[c, picked[j]] != facts[c, picked[j - 1]]
    return n


@njit(cache=True, error_model="numpy")
def _answer(code, c, w, wider, parameter, as_of, described, latest, k, row, size, answers):
    """Answer one question for `size` rows from `row` on: 0 / 0 and NaN mean nothing to say."""
    out, moment, last = answers[k, row : row + size], as_of[row : row + size], latest[c]
    number, total = described[NUMBER, c, w], described[TOTAL, c, w]
    least, most = described[LEAST, c, w], described[MOST, c, w]
    if code == COUNT:
        for b in range(size):
            out[b] = number[b]
    elif code == SUM:
        for b in range(size):
            out[b] = total[b]
    elif code == MEAN:
        for b in range(size):
            out[b] = total[b] / number[b]
    elif code == SHARE:
        for b in range(size):
            shrunk = (total[b] + SHRINKAGE * parameter) / (number[b] + SHRINKAGE)
            out[b] = shrunk if number[b] > 0 else np.nan
    elif code == DECAYED:
        for b in range(size):
            out[b] = total[b] * 2.0 ** (-moment[b] / HALF_LIFE_US)
    elif code == FACTS_TREND:
        for b in range(size):
            out[b] = 2 * number[b] - described[NUMBER, c, wider, b]
    elif code == MIN:
        for b in range(size):
            out[b] = least[b] if number[b] > 0 else np.nan
    elif code == MAX:
        for b in range(size):
            out[b] = most[b] if number[b] > 0 else np.nan
    elif code == STD:
        for b in range(size):
            deviation, square = described[DEVIATION, c, w, b], described[SQUARE, c, w, b]
            out[b] = _std(number[b], deviation, square)
    elif code == LAST:
        for b in range(size):
            out[b] = last[b]
    elif code == DAYS_SINCE:
        for b in range(size):
            out[b] = moment[b] / DAY_US - last[b]
    elif code == DAYS_UNTIL:
        for b in range(size):
            out[b] = last[b] - moment[b] / DAY_US
    elif code == DAYS_SINCE_LAST:
        for b in range(size):
            out[b] = (moment[b] - last[b]) / DAY_US
    elif code == DAYS_SINCE_FIRST:
        for b in range(size):
            out[b] = (moment[b] - least[b]) / DAY_US if number[b] > 0 else np.nan
    elif code == MEAN_GAP_DAYS:
        for b in range(size):
            gaps = number[b] - 1
            out[b] = (most[b] - least[b]) / DAY_US / gaps if gaps > 0 else np.nan
