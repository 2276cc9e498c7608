"""The kernel against the plainest possible computation of the same definitions."""

from __future__ import annotations

import dataclasses
import statistics

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
    (ask.gap_days_std(), 365),
    (ask.distinct("x"), 365),
    (ask.distinct("flag"), 90),
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
        case "distinct":
            return len(set(values))
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
        case "gap_days_std":
            return (np.diff(times) / DAY_US).std(ddof=1) if n > 2 else np.nan
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
                expected, rel=1e-9, abs=1e-9, nan_ok=True
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


def history(*values: float, seed: int = 0) -> list[tuple[int, int, int, float, float]]:
    """One fact per value, all within the 30 days before the as-of date, in rising time."""
    rng = np.random.default_rng(seed)
    times = np.sort(AS_OF - 1 - rng.integers(0, 29 * DAY_US, len(values)))
    return [(int(t), int(t), FOREVER, v, 1.0) for t, v in zip(times, values, strict=True)]


def answer(
    facts: list[tuple[int, int, int, float, float]], question: Aggregate, window: int | None = 30
) -> float:
    return aggregate(packed([facts]), [(question, window)], np.array([0]), np.array([AS_OF]))[0, 0]


def test_the_spread_of_large_values_keeps_its_digits() -> None:
    steps = [0.0, 1.0, 3.0, 0.5, 7.0, 2.0]
    large = [1e9 + step for step in steps]
    assert answer(history(*large), ask.spread("x")) == pytest.approx(
        statistics.stdev(steps), rel=1e-12
    )


def test_equal_values_have_no_spread_at_all() -> None:
    assert answer(history(0.1, 0.1, 0.1, 0.1, 0.1, 0.1), ask.spread("x")) == 0.0


@pytest.mark.parametrize("size", [2, 10, 1000])
def test_the_spread_keeps_its_digits_when_the_latest_value_is_far_from_all_others(
    size: int,
) -> None:
    values = [*np.random.default_rng(size).normal(0, 1, size - 1), 1e9]
    assert answer(history(*values), ask.spread("x")) == pytest.approx(
        statistics.stdev(values), rel=1e-11
    )


def test_distinct_counts_each_value_once_and_nothing_where_none_is() -> None:
    facts = history(2.0, float("nan"), 1.0, 2.0, -0.0, 0.0, 1.0)
    assert answer(facts, ask.distinct("x")) == 3
    assert answer(facts, ask.distinct("x"), 0) == 0
    assert answer([], ask.distinct("x")) == 0


def test_the_gaps_of_a_window_are_those_between_two_facts_in_it() -> None:
    days = (50, 29, 21, 9, 8)
    facts = [(AS_OF - day * DAY_US, 0, FOREVER, 1.0, 1.0) for day in days]
    assert answer(facts, ask.mean_gap_days()) == pytest.approx((8 + 12 + 1) / 3)
    assert answer(facts, ask.gap_days_std()) == pytest.approx(statistics.stdev([8, 12, 1]))
    assert np.isnan(answer(facts[-2:], ask.gap_days_std()))  # one gap has no spread


def test_a_record_that_is_not_visible_leaves_no_gap_of_its_own() -> None:
    days = (29, 20, 15, 9)
    facts = [(AS_OF - day * DAY_US, 0, FOREVER, 1.0, 1.0) for day in days]
    facts[2] = (facts[2][0], 0, AS_OF - 1, 1.0, 1.0)
    assert answer(facts, ask.gap_days_std()) == pytest.approx(statistics.stdev([9, 11]))
    assert answer(facts, ask.distinct("x")) == 1
    assert answer(facts, ask.count()) == 3


def test_a_huge_value_before_the_window_does_not_disturb_the_sum_in_it() -> None:
    before = AS_OF - 31 * DAY_US
    facts = [(before, before, FOREVER, 1e18, 1.0), *history(0.1, 0.2)]
    assert answer(facts, ask.total("x")) == pytest.approx(0.3, rel=1e-15)
    assert answer(facts, ask.trend("x")) == pytest.approx(0.15 - 1e18)


@pytest.mark.parametrize("size", [1, 2, 3, 63, 64, 65, 66, 200, 1000])
@pytest.mark.parametrize("q", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_quantiles_of_few_and_of_many_values_are_exact(size: int, q: float) -> None:
    values = np.random.default_rng(size).choice([1.0, 2.0, 2.5, 9.0, -4.0], size)
    values[:: max(size // 3, 2)] += np.linspace(0, 1, values[:: max(size // 3, 2)].size)
    assert answer(history(*values), ask.quantile("x", q)) == pytest.approx(
        np.quantile(values, q), rel=1e-12
    )


def test_quantiles_of_several_windows_may_be_asked_in_any_order() -> None:
    rng = np.random.default_rng(5)
    times = np.sort(AS_OF - rng.integers(1, 300 * DAY_US, 300))
    facts = [(int(t), int(t), FOREVER, float(rng.normal()), 1.0) for t in times]
    questions = [(ask.quantile("x", 0.5), window) for window in (90, 30, 365, 30, 180)]
    answers = aggregate(packed([facts]), questions, np.array([0]), np.array([AS_OF]))[0]
    for (question, window), found in zip(questions, answers, strict=True):
        assert found == pytest.approx(plainly(question, window, facts, AS_OF), rel=1e-12)


def crowd() -> tuple[Facts, np.ndarray, np.ndarray]:
    """Forty customers, some with corrected records, and four as-of dates each."""
    rng = np.random.default_rng(11)
    customers = []
    for customer in range(40):
        facts = []
        for at in np.sort(rng.integers(0, 420 * DAY_US, rng.integers(0, 90))):
            late = 10 * DAY_US if customer % 3 == 0 and rng.random() < 0.3 else 0
            x = float("nan") if rng.random() < 0.2 else float(rng.normal(5, 100))
            facts.append((int(at), int(at) + late, FOREVER, x, 1.0))
        customers.append(facts)
    as_ofs = np.array([200, 300, 399, 400]) * DAY_US
    return packed(customers), np.repeat(np.arange(40), 4), np.tile(as_ofs, 40)


def test_an_answer_has_the_same_bytes_in_any_bucket() -> None:
    facts, customer, as_of = crowd()
    together = aggregate(facts, EVERY_QUESTION, customer, as_of)
    for c in range(40):
        few = slice(facts.start[c], facts.start[c + 1])
        alone = Facts(
            np.array([0, few.stop - few.start]),
            facts.at[few].copy(),
            facts.known_from[few].copy(),
            facts.known_until[few].copy(),
            facts.values[few].copy(),
            facts.columns,
        )
        rows = customer == c
        answers = aggregate(alone, EVERY_QUESTION, np.zeros(4, dtype=np.int64), as_of[rows])
        assert answers.tobytes() == together[rows].tobytes()


def test_the_order_of_rows_and_of_questions_changes_no_byte() -> None:
    facts, customer, as_of = crowd()
    expected = aggregate(facts, EVERY_QUESTION, customer, as_of)
    rng = np.random.default_rng(1)
    rows, order = rng.permutation(customer.size), rng.permutation(len(EVERY_QUESTION))
    shuffled = aggregate(facts, [EVERY_QUESTION[k] for k in order], customer[rows], as_of[rows])
    assert shuffled.tobytes() == np.ascontiguousarray(expected[rows][:, order]).tobytes()


def test_how_the_arrays_lie_in_memory_changes_no_byte() -> None:
    facts, customer, as_of = crowd()
    expected = aggregate(facts, EVERY_QUESTION, customer, as_of)
    for order in ("C", "F"):
        values = np.array(facts.values, order=order)
        values.flags.writeable = False
        other = dataclasses.replace(facts, values=values)
        assert aggregate(other, EVERY_QUESTION, customer, as_of).tobytes() == expected.tobytes()


def test_an_answer_does_not_depend_on_what_else_is_asked() -> None:
    facts, customer, as_of = crowd()
    together = aggregate(facts, EVERY_QUESTION, customer, as_of)
    for k, question in enumerate(EVERY_QUESTION):
        alone = aggregate(facts, [question], customer, as_of)[:, 0]
        assert alone.tobytes() == together[:, k].tobytes()
