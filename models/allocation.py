"""Which customers to contact, and by which team, so that the most is earned within its hours.

maximise    the sum of the values of the customers contacted
subject to  every customer is contacted at most once, by a team that can; and every team's minutes.

A customer is worth the same to every team, and minutes depend on the customer's kind (language
and channel) and the team only. So whoever is contacted of a kind are its most valuable customers,
and the problem shrinks from one yes or no per customer and team to one count per kind and team:
an integer programme of a few dozen counts whatever the number of customers. What a kind's first k
customers are worth is concave in k, so straight lines from above describe it exactly where they
touch; lines are added until the solution lies on them (Kelley 1960, "The cutting-plane method").

The linear programme is solved first and rounded down, and what is left of the hours is filled by
value per minute. That is the answer where it reaches the bound, or where there are so many
customers that less than SLACK of the bound is at stake. Otherwise HiGHS solves the whole counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import Bounds, LinearConstraint, milp

SLACK = 1e-3
ALWAYS_WHOLE = 2_000
"""Up to so many customers worth contacting the answer is proven to be the best."""
NODES = 5_000
ROUNDS = 200
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Allocation:
    """`team` per customer (-1: nobody), what that is worth, and what no allocation can exceed.

    `bound` is the value of the linear programme that may split customers between teams. `is_exact`
    is True where the value is proven to be the most; otherwise the bound says how much could be
    left, which is less than SLACK of it unless the solver gave up.
    """

    team: np.ndarray
    value: float
    bound: float
    is_exact: bool


def allocate(
    value: ArrayLike, kind: ArrayLike, minutes: ArrayLike, capacity: ArrayLike
) -> Allocation:
    """The most valuable customers within every team's minutes.

    `value` [customers] is what a contact earns; nobody is contacted for 0 or less. `kind`
    [customers] is a row of `minutes` [kinds x teams]: how long a contact takes, NaN where the
    team cannot make it. `capacity` [teams] is in minutes. Of equal values the earlier row is
    contacted. Raises ValueError for anything that is no such table.
    """
    values = np.asarray(value, dtype=np.float64)
    kinds = np.asarray(kind, dtype=np.int64)
    took, hours = np.asarray(minutes, dtype=np.float64), np.asarray(capacity, dtype=np.float64)
    _check(values, kinds, took, hours)
    if not (values > 0).any() or not len(hours):
        return Allocation(np.full(len(values), -1, dtype=np.int64), 0.0, 0.0, True)
    # Kinds that are alike to every team are one kind.
    took, alike = np.unique(took, axis=0, return_inverse=True)
    kinds = alike.reshape(-1)[kinds]
    queues = [_queue(values, kinds == k) for k in range(len(took))]
    problem = _Problem([values[queue] for queue in queues], took, hours)
    split, bound, _ = problem.solve(whole=False)
    counts = problem.filled(np.floor(split + 1e-6).astype(np.int64))
    left = 1 - problem.worth(counts) / bound if bound > 0 else 0.0
    is_exact = left <= TOLERANCE
    few = sum(map(len, queues)) <= ALWAYS_WHOLE
    if not is_exact and (few or left > SLACK):
        better, _, is_proven = problem.solve(whole=True, gap=TOLERANCE if few else SLACK)
        is_exact = few and is_proven
        if problem.worth(better) >= problem.worth(counts):
            counts = better
    team = np.full(len(values), -1, dtype=np.int64)
    for queue, row in zip(queues, counts, strict=True):
        team[queue[: row.sum()]] = np.repeat(np.arange(len(hours)), row)
    earned = float(values[team >= 0].sum())
    return Allocation(team, earned, max(bound, earned), is_exact)


def _check(values: np.ndarray, kinds: np.ndarray, took: np.ndarray, hours: np.ndarray) -> None:
    if took.ndim != 2 or hours.shape != took.shape[1:]:
        raise ValueError("minutes must be a table of kinds x teams, capacity one number per team")
    if values.ndim != 1 or values.shape != kinds.shape:
        raise ValueError("value and kind must have one entry per customer")
    if not np.isfinite(values).all():
        raise ValueError("value must be finite")
    if kinds.size and not (kinds.min() >= 0 and kinds.max() < len(took)):
        raise ValueError("kind must be a row of minutes")
    if (took <= 0).any() or not (np.isfinite(hours).all() and (hours >= 0).all()):
        raise ValueError("a contact must take some time, and capacity must not be negative")


def _queue(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The rows worth contacting among `chosen`, the most valuable first."""
    rows = np.flatnonzero(chosen & (values > 0))
    return rows[np.argsort(-values[rows], kind="stable")]


class _Problem:
    """Counts per kind and team, with the lines from above found so far."""

    def __init__(self, worth: list[np.ndarray], took: np.ndarray, hours: np.ndarray) -> None:
        self.kinds, self.teams = took.shape
        self.hours = hours
        # In units of the best customer, so that the solver's tolerances mean the same everywhere.
        self.unit = max((float(w[0]) for w in worth if w.size), default=1.0)
        self.gain = [np.append(w / self.unit, 0.0) for w in worth]
        self.total = [np.concatenate([[0.0], np.cumsum(gain[:-1])]) for gain in self.gain]
        sizes = np.array([len(gain) - 1 for gain in self.gain], dtype=np.float64)
        able = ~np.isnan(took) & (np.nan_to_num(took, nan=1.0) <= hours)
        self.took = np.where(able, np.nan_to_num(took), 0.0)
        most = np.floor(np.divide(hours, np.where(able, took, 1.0)) + TOLERANCE)
        self.most = np.where(able, np.minimum(most, sizes[:, None]), 0.0)
        self.sizes = sizes
        self.lines: list[tuple[int, int]] = [
            (k, at)
            for k, size in enumerate(sizes.astype(int))
            for at in np.unique(np.linspace(0, size, 17).astype(int)).tolist()
        ]

    def solve(self, *, whole: bool, gap: float = TOLERANCE) -> tuple[np.ndarray, float, bool]:
        """Counts [kinds x teams], their value, and whether that is proven to be the most."""
        for _ in range(ROUNDS):
            counts, told, is_proven = self._solve(whole, gap)
            in_all = counts.sum(axis=1)
            over = [
                (k, int(at))
                for k, at in enumerate(np.floor(in_all + 1e-6))
                if told[k] > self._worth(k, in_all[k]) + TOLERANCE * max(1.0, self.total[k][-1])
            ]
            new = [line for line in over if line not in self.lines]
            if not new:
                break
            self.lines += new
        else:
            is_proven = False
        return counts, float(told.sum()) * self.unit, is_proven

    def worth(self, counts: np.ndarray) -> float:
        """What whole counts [kinds x teams] earn."""
        rows = enumerate(counts.sum(axis=1))
        return float(sum(self.total[k][count] for k, count in rows)) * self.unit

    def filled(self, counts: np.ndarray) -> np.ndarray:
        """`counts` and whoever still fits, each time the one worth most per minute."""
        counts = counts.copy()
        # The solver may use a millionth of a minute too much.
        while ((counts * self.took).sum(axis=0) > self.hours + 1e-6).any():
            team = int(((counts * self.took).sum(axis=0) - self.hours).argmax())
            counts[int(counts[:, team].argmax()), team] -= 1
        while True:
            left = self.hours - (counts * self.took).sum(axis=0)
            gain = np.array([g[at] for g, at in zip(self.gain, counts.sum(axis=1), strict=True)])
            fits = (self.most > 0) & (self.took <= left + TOLERANCE) & (gain > 0)[:, None]
            if not fits.any():
                return counts
            rate = np.where(fits, gain[:, None] / np.where(fits, self.took, 1.0), -1.0)
            counts[np.unravel_index(int(rate.argmax()), rate.shape)] += 1

    def _worth(self, kind: int, count: float) -> float:
        """What the first `count` customers of a kind are worth, straight between whole counts."""
        at = min(int(np.floor(count + 1e-6)), len(self.gain[kind]) - 1)
        return float(self.total[kind][at] + self.gain[kind][at] * max(count - at, 0.0))

    def _solve(self, whole: bool, gap: float) -> tuple[np.ndarray, np.ndarray, bool]:
        pairs = self.kinds * self.teams
        cells = np.arange(pairs).reshape(self.kinds, self.teams)
        of_kind = np.zeros((self.kinds, pairs + self.kinds))
        of_team = np.zeros((self.teams, pairs + self.kinds))
        for k in range(self.kinds):
            of_kind[k, cells[k]] = 1.0
            of_team[np.arange(self.teams), cells[k]] = self.took[k]
        slopes = np.array([self.gain[k][at] for k, at in self.lines])
        heights = np.array([self.total[k][at] - self.gain[k][at] * at for k, at in self.lines])
        above = np.zeros((len(self.lines), pairs + self.kinds))
        for row, (k, _) in enumerate(self.lines):
            above[row, cells[k]] = -slopes[row]
            above[row, pairs + k] = 1.0
        told_most = np.array([total[-1] for total in self.total])
        found = milp(
            np.concatenate([np.zeros(pairs), -np.ones(self.kinds)]),
            integrality=np.concatenate([np.full(pairs, int(whole)), np.zeros(self.kinds)]),
            bounds=Bounds(0.0, np.concatenate([self.most.reshape(-1), told_most])),
            constraints=[
                LinearConstraint(of_kind, ub=self.sizes),
                LinearConstraint(of_team, ub=self.hours),
                LinearConstraint(above, ub=heights),
            ],
            options={"mip_rel_gap": gap, "node_limit": NODES},
        )
        if found.x is None:  # the solver stopped before it had any: contacting nobody is allowed
            return np.zeros((self.kinds, self.teams), dtype=int), np.zeros(self.kinds), False
        counts = found.x[:pairs].reshape(self.kinds, self.teams)
        if whole:
            counts = np.rint(counts).astype(np.int64)
        return counts, found.x[pairs:], found.status == 0
