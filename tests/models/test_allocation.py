"""Who is contacted by which team: the best there is, within every team's minutes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from models.allocation import SLACK, allocate

NO = float("nan")


def best_by_trying_all(
    value: np.ndarray, kind: np.ndarray, minutes: np.ndarray, capacity: np.ndarray
) -> float:
    plans = np.array(list(itertools.product(range(-1, len(capacity)), repeat=len(value))))
    fits = np.ones(len(plans), dtype=bool)
    for team, most in enumerate(capacity):
        takes = np.nan_to_num(minutes[kind, team], nan=1e9)
        fits &= ((plans == team) * takes).sum(axis=1) <= most
    return float(((plans >= 0) * value).sum(axis=1)[fits].max())


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    customers, teams, kinds = rng.integers(1, 7), rng.integers(1, 4), rng.integers(1, 4)
    minutes = rng.integers(1, 20, (kinds, teams)).astype(float)
    minutes[rng.random((kinds, teams)) < 0.25] = NO
    return (
        np.round(rng.normal(3, 5, customers), 2),
        rng.integers(0, kinds, customers),
        minutes,
        rng.integers(0, 50, teams).astype(float),
    )


def greedy(value: np.ndarray, kind: np.ndarray, minutes: np.ndarray, capacity: np.ndarray) -> float:
    """By value per minute, each to the first team with room."""
    left, earned = capacity.copy(), 0.0
    rate = value / np.nanmin(np.where(np.isnan(minutes), np.inf, minutes), axis=1)[kind]
    for row in np.argsort(-rate):
        for team in range(len(left)):
            takes = minutes[kind[row], team]
            if value[row] > 0 and takes <= left[team]:
                left[team] -= takes
                earned += value[row]
                break
    return earned


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_200_small_cases_are_as_good_as_trying_everything(first: int) -> None:
    for seed in range(first, first + 50):
        value, kind, minutes, capacity = random_case(seed)
        found = allocate(value, kind, minutes, capacity)
        best = best_by_trying_all(value, kind, minutes, capacity)
        assert found.is_exact
        assert found.value == pytest.approx(best, abs=1e-7)
        assert found.bound >= best - 1e-7
        assert found.value >= greedy(value, kind, minutes, capacity) - 1e-7
        for team, most in enumerate(capacity):
            assert minutes[kind[found.team == team], team].sum() <= most
        assert not np.isnan(minutes[kind, found.team][found.team >= 0]).any()


def test_the_scarce_speaker_is_kept_for_those_who_need_one() -> None:
    # Customers 0 and 1 speak Japanese only; customer 2 speaks anything and is worth most.
    found = allocate([5, 4, 9], [0, 0, 1], np.array([[10, NO], [10, 10]]), [20, 10])
    assert found.team.tolist() == [0, 0, 1]
    assert found.value == 18 == found.bound


def test_two_short_contacts_beat_a_long_one() -> None:
    found = allocate([10, 6, 6], [0, 1, 1], [[30], [15]], [30])
    assert found.team.tolist() == [-1, 0, 0]
    assert found.is_exact and found.value == 12


def test_nobody_is_contacted_for_nothing() -> None:
    assert allocate([0, -1, 2], [0, 0, 0], [[1]], [99]).team.tolist() == [-1, -1, 0]
    assert allocate([], [], np.empty((0, 1)), [99]).value == 0


def test_among_equals_the_earlier_row_goes_first() -> None:
    assert allocate([3, 3, 3], [0, 0, 0], [[10]], [20]).team.tolist() == [0, 0, -1]


def test_a_large_case_keeps_to_its_hours_and_near_the_bound() -> None:
    rng = np.random.default_rng(3)
    customers, kinds, teams = 40_000, 30, 4
    value = rng.gamma(1, 1000, customers) - 500
    kind = rng.integers(0, kinds, customers)
    minutes = rng.uniform(5, 30, (kinds, teams)).round(1)
    minutes[rng.random((kinds, teams)) < 0.4] = NO
    capacity = rng.uniform(2_000, 12_000, teams).round()
    found = allocate(value, kind, minutes, capacity)
    assert (1 - SLACK) * found.bound <= found.value <= found.bound
    assert found.value >= greedy(value, kind, minutes, capacity)
    for team, most in enumerate(capacity):
        chosen = kind[found.team == team]
        assert not np.isnan(minutes[chosen, team]).any()
        assert minutes[chosen, team].sum() <= most + 1e-6
    assert (value[found.team >= 0] > 0).all()


@pytest.mark.parametrize(
    ("value", "kind", "minutes", "capacity", "message"),
    [
        ([1.0, 2.0], [0], [[5]], [10], "per customer"),
        ([np.nan], [0], [[5]], [10], "finite"),
        ([1.0], [1], [[5]], [10], "row of minutes"),
        ([1.0], [0], [[0]], [10], "some time"),
        ([1.0], [0], [[5]], [-1], "negative"),
        ([1.0], [0], [[5]], [1, 2], "per team"),
    ],
)
def test_what_is_no_table_is_refused(value, kind, minutes, capacity, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        allocate(value, kind, minutes, capacity)
