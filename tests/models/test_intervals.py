"""Figures with intervals from sums over customers."""

from __future__ import annotations

import numpy as np
import pytest

from models import intervals
from models.evaluation import clustered_standard_error, rate_interval
from models.intervals import Sums


def sums_of(values: np.ndarray, customers: np.ndarray) -> Sums:
    """What features.kpis adds up, for weights of 1."""
    count = customers.max() + 1
    s = np.bincount(customers, weights=values, minlength=count)
    w = np.bincount(customers, minlength=count).astype(float)
    return Sums(len(values), count, s.sum(), w.sum(), (s * s).sum(), (s * w).sum(), (w * w).sum())


RNG = np.random.default_rng(3)
CUSTOMERS = np.sort(RNG.integers(0, 200, 900))
CUSTOMERS = np.unique(CUSTOMERS, return_inverse=True)[1]
SOLVED = (RNG.random(900) < (0.2 + 0.6 * RNG.random(200))[CUSTOMERS]).astype(float)


def test_a_share_has_the_interval_of_its_rows() -> None:
    value, low, high = intervals.share(sums_of(SOLVED, CUSTOMERS))
    assert value == pytest.approx(SOLVED.mean())
    assert (low, high) == pytest.approx(rate_interval(SOLVED, CUSTOMERS))


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_share_of_nothing_or_everything_has_the_interval_of_its_rows(rate: float) -> None:
    values = np.full(len(CUSTOMERS), rate)
    assert intervals.share(sums_of(values, CUSTOMERS))[1:] == pytest.approx(
        rate_interval(values, CUSTOMERS)
    )


def test_a_mean_has_a_clustered_interval() -> None:
    scores = SOLVED * 50 + RNG.normal(0, 5, len(SOLVED))
    value, low, high = intervals.ratio(sums_of(scores, CUSTOMERS))
    half = intervals.Z_95 * clustered_standard_error(scores, CUSTOMERS)
    assert (low, high) == pytest.approx((value - half, value + half))


def test_repeated_facts_of_a_customer_are_no_evidence() -> None:
    twice = sums_of(np.repeat(SOLVED, 4), np.repeat(CUSTOMERS, 4))
    once = sums_of(SOLVED, CUSTOMERS)
    assert intervals.share(twice) == pytest.approx(intervals.share(once), rel=1e-3)


def test_without_facts_there_is_no_figure() -> None:
    assert np.isnan(intervals.share(Sums(0, 0, 0, 0, 0, 0, 0))).all()


def test_kaplan_meier_of_a_textbook_example() -> None:
    # Remission of leukaemia under 6-MP (Freireich and others 1963), in weeks.
    ended = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    curve = intervals.survival(
        ended + censored,
        [True] * len(ended) + [False] * len(censored),
        np.ones(len(ended) + len(censored)),
    )
    at = dict(zip(curve.times, curve.share, strict=True))
    assert [round(at[week], 4) for week in (6, 7, 10, 13, 16, 22, 23)] == [
        0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482,
    ]  # fmt: skip
    # The log-log interval of R's survfit: 0.620 to 0.952 at six weeks, median 23 (13, none).
    assert 1 - curve.ended_within(6)[2] == pytest.approx(0.620, abs=5e-4)
    assert 1 - curve.ended_within(6)[1] == pytest.approx(0.952, abs=5e-4)
    median, low, high = curve.median()
    assert (median, low) == (23, 13)
    assert np.isnan(high)


def test_an_open_ticket_is_no_fast_ticket() -> None:
    hours, seen = [1.0, 1.0, 2.0, 100.0, 100.0], [True, True, True, False, False]
    assert intervals.survival(hours, seen, np.ones(5)).median()[0] == 2
    # Left out, the open ones would make the median one hour.
    assert intervals.survival(hours[:3], seen[:3], np.ones(3)).median()[0] == 1


def test_a_design_effect_widens_a_curve() -> None:
    hours, seen, number = [1.0, 2.0, 3.0], [True, True, True], [100, 100, 100]
    narrow = intervals.survival(hours, seen, number).ended_within(1)
    wide = intervals.survival(hours, seen, number, design_effect=4).ended_within(1)
    assert wide[0] == narrow[0]
    assert wide[1] < narrow[1] < narrow[2] < wide[2]


def test_nothing_is_said_beyond_the_last_time() -> None:
    curve = intervals.survival([1.0, 5.0], [True, False], [3, 3])
    assert np.isnan(curve.ended_within(6)).all()
