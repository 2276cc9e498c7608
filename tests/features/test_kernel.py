"""The kernel against the plainest possible computation of the same definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import aggregates as ask
from features.aggregates import HALF_LIFE_DAYS, SHRINKAGE, Aggregate
from features.kernel import DAY_US, FOREVER, Facts, aggregate

AS_OF = 400 * DAY_US

EVERY_QUESTION = [
    (ask.count(), 30),
    (ask.count("x"), 90),
    (ask.total("x"), 30),
    (ask.mean("x"), 90),
    (ask.geomean("x"), 90),
    (ask.lowest("x"), 365),
    (ask.highest("x"), 30),
    (ask.spread("x"), 365),
    (ask.share("flag", 0.8), 90),
    (ask.quantile("x", 0.9), 365),
    (ask.quantile("x", 0.5), 30),
    (ask.last("x"), None),
    (ask.days_since_last(), None),
    (ask.days_since_first(), None),
    (ask.days_since("x"), None),
    (ask.days_until("x"), None),
    (ask.mean_gap_days(), 365),
    (ask.trend(), 90),
    (ask.trend("x"), 30),
    (ask.decayed(), None),
    (ask.decayed("x"), None),
]


def plainly(
    question: Aggregate,
    window: int | None,
    facts: list[tuple[int, int, int, float, float]],
    as_of: int,
) -> float:
    """One answer, written from the definition: facts are (at, from, until, x, flag)."""
    column = {None: None, "x": 3, "flag": 4}[question.column]

    def inside(low: float, high: float) -> list[tuple[int, int, int, float, float]]:
        return [
            fact
            for fact in facts
            if low <= fact[0] < high
            and fact[1] < as_of <= fact[2]
            and (column is None or not np.isnan(fact[column]))
        ]

    low = -np.inf if window is None else as_of - window * DAY_US
    chosen = inside(low, as_of)
    values = np.array([1.0 if column is None else fact[column] for fact in chosen])
    times = np.array([fact[0] for fact in chosen])
    n = len(chosen)
    match question.measure:
        case "count":
            return n
        case "sum":
            return values.sum()
        case "decayed":
            return float((values * 0.5 ** ((as_of - times) / DAY_US / HALF_LIFE_DAYS)).sum())
        case "trend":
            assert window is not None
            before = inside(as_of - 2 * window * DAY_US, low)
            if column is None:
                return n - len(before)
            if not n or not before:
                return np.nan
            return values.mean() - np.mean([fact[column] for fact in before])
    if n == 0:
        return np.nan
    match question.measure:
        case "mean":
            return values.mean()
        case "geomean":
            return np.expm1(np.log1p(np.maximum(values, 0)).mean())
        case "min":
            return values.min()
        case "max":
            return values.max()
        case "std":
            return values.std(ddof=1) if n > 1 else np.nan
        case "share":
            return (values.sum() + SHRINKAGE * question.parameter) / (n + SHRINKAGE)
        case "quantile":
            return float(np.quantile(values, question.parameter))
        case "last":
            return values[-1]
        case "days_since_last":
            return (as_of - times.max()) / DAY_US
        case "days_since_first":
            return (as_of - times.min()) / DAY_US
        case "days_since":
            return as_of / DAY_US - values[-1]
        case "days_until":
            return values[-1] - as_of / DAY_US
        case "mean_gap_days":
            return (times.max() - times.min()) / DAY_US / (n - 1) if n > 1 else np.nan
    raise AssertionError(question.measure)


def packed(per_customer: list[list[tuple[int, int, int, float, float]]]) -> Facts:
    flat = [fact for facts in per_customer for fact in facts]
    array = np.array(flat, dtype=object).reshape(-1, 5)
    return Facts(
        start=np.cumsum([0, *map(len, per_customer)]),
        at=array[:, 0].astype(np.int64),
        known_from=array[:, 1].astype(np.int64),
        known_until=array[:, 2].astype(np.int64),
        values=array[:, 3:].astype(np.float64),
        columns=("x", "flag"),
    )


# Whole days around the windows' edges, a microsecond to either side of them, and far away.
moments = st.one_of(
    st.builds(
        lambda days, nudge: AS_OF - days * DAY_US + nudge,
        st.sampled_from([0, 1, 30, 60, 90, 180, 365, 399]),
        st.sampled_from([-1, 0, 1]),
    ),
    st.integers(0, 420 * DAY_US),
)
numbers = st.one_of(st.just(float("nan")), st.floats(-5, 1000, width=32))
flags = st.sampled_from([0.0, 1.0, float("nan")])


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, int, int, float, float]]:
    out = []
    for at, delay, life, x, flag in draw(
        st.lists(
            st.tuples(
                moments,
                st.sampled_from([0, 0, 0, DAY_US, 40 * DAY_US]),
                st.sampled_from([None, None, 0, 1, 30 * DAY_US]),
                numbers,
                flags,
            ),
            max_size=12,
        )
    ):
        known = at + delay
        out.append((at, known, FOREVER if life is None else known + life, x, flag))
    return sorted(out, key=lambda fact: fact[:3])


@settings(max_examples=150, deadline=None)
@given(st.lists(histories(), min_size=1, max_size=4), st.integers(-2, 2))
def test_every_aggregate_equals_its_definition(
    customers: list[list[tuple[int, int, int, float, float]]], nudge: int
) -> None:
    as_ofs = np.array([AS_OF - 50 * DAY_US, AS_OF + nudge])
    rows = np.repeat(np.arange(len(customers)), 2)
    answers = aggregate(packed(customers), EVERY_QUESTION, rows, np.tile(as_ofs, len(customers)))
    for row, customer in enumerate(rows):
        for column, (question, window) in enumerate(EVERY_QUESTION):
            expected = plainly(question, window, customers[customer], int(as_ofs[row % 2]))
            assert answers[row, column] == pytest.approx(
                expected, rel=1e-7, abs=1e-6, nan_ok=True
            ), (
                question,
                window,
            )


def counted(at: int, *, known_from: int | None = None, known_until: int = FOREVER) -> float:
    facts = packed([[(at, at if known_from is None else known_from, known_until, 1.0, 1.0)]])
    return aggregate(facts, [(ask.count(), 30)], np.array([0]), np.array([AS_OF]))[0, 0]


def test_windows_are_half_open_to_the_microsecond() -> None:
    start = AS_OF - 30 * DAY_US
    assert counted(start) == 1
    assert counted(start - 1) == 0
    assert counted(AS_OF - 1) == 1
    assert counted(AS_OF) == 0


def test_a_record_counts_only_while_it_was_the_latest_one() -> None:
    at = AS_OF - DAY_US
    assert counted(at, known_from=AS_OF - 1) == 1
    assert counted(at, known_from=AS_OF) == 0
    assert counted(at, known_until=AS_OF) == 1  # superseded at the as-of date: not yet visible
    assert counted(at, known_until=AS_OF - 1) == 0


def test_a_customer_without_facts_has_zero_counts_and_missing_means() -> None:
    facts = packed([[], [(0, 0, FOREVER, 1.0, 1.0)]])
    questions = [
        (ask.count(), 30),
        (ask.total("x"), 30),
        (ask.mean("x"), 30),
        (ask.last("x"), None),
    ]
    answers = aggregate(facts, questions, np.array([0]), np.array([AS_OF]))[0]
    assert list(answers[:2]) == [0, 0] and np.isnan(answers[2:]).all()


def test_a_share_of_few_cases_is_pulled_towards_its_reference() -> None:
    facts = packed([[(AS_OF - DAY_US, 0, FOREVER, 1.0, 1.0)]])
    answer = aggregate(facts, [(ask.share("flag", 0.4), 30)], np.array([0]), np.array([AS_OF]))
    assert answer[0, 0] == pytest.approx((1 + 5 * 0.4) / 6)
