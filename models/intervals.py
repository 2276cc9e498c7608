"""Figures of a company with 95 % intervals, from sums over customers.

The sums (features.kpis.SUMS) add up over any split of the customers, so nothing here needs the
facts themselves. Facts of one customer are taken to be dependent, customers to be independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

Z_95 = 1.959963984540054

Interval = tuple[float, float, float]
"""Value, low and high; NaN where there is none."""

_NAN = float("nan")


@dataclass(frozen=True)
class Sums:
    """Sums over customers c of a value s_c and a weight w_c; `n` facts of `customers` customers."""

    n: float
    customers: float
    s: float
    w: float
    ss: float
    sw: float
    ww: float

    @property
    def ratio(self) -> float:
        """Sum of values over sum of weights; NaN without weight."""
        return self.s / self.w if self.w > 0 else _NAN

    @property
    def variance(self) -> float:
        """Of the ratio: the linearised clustered estimate with factor C / (C - 1).

        NaN with fewer than two customers.
        """
        if not (self.customers > 1 and self.w > 0):
            return _NAN
        r = self.ratio
        residual = max(self.ss - 2 * r * self.sw + r * r * self.ww, 0.0)
        return self.customers / (self.customers - 1) * residual / self.w**2

    @property
    def design_effect(self) -> float:
        """Of a share: clustered over binomial variance, at least 1; 1 for a share of 0 or 1."""
        if not (0 < self.ratio < 1 and self.n > 1 and self.customers > 1):
            return 1.0
        return max(self.variance / (self.ratio * (1 - self.ratio) / (self.n - 1)), 1.0)


def ratio(sums: Sums) -> Interval:
    """Ratio of sums, normal interval."""
    half = Z_95 * float(np.sqrt(sums.variance))
    return sums.ratio, sums.ratio - half, sums.ratio + half


def share(sums: Sums) -> Interval:
    """Mean of 0 and 1: Wilson's interval at the effective number of facts.

    The same interval as `models.evaluation.rate_interval`. For 0 and 1, which show no variance,
    the effective number is that of the customers.
    """
    p = sums.ratio
    if not sums.n:
        return _NAN, _NAN, _NAN
    effective = sums.n / sums.design_effect if 0 < p < 1 and sums.customers > 1 else sums.customers
    z = Z_95**2 / effective
    centre = (p + z / 2) / (1 + z)
    half = Z_95 * np.sqrt(p * (1 - p) / effective + z / (4 * effective)) / (1 + z)
    return p, float(max(centre - half, 0.0)), float(min(centre + half, 1.0))


@dataclass(frozen=True)
class Survival:
    """A Kaplan-Meier curve: after `times[i]` the share `share[i]` has not ended.

    `low` and `high` are its log-log interval (Kalbfleisch and Prentice 1980), Greenwood's variance
    times a design effect.
    """

    times: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def median(self) -> Interval:
        """Shortest time after which at most half have not ended, with the interval of Brookmeyer
        and Crowley (1982): the times at which the band crosses one half. NaN where never.
        """
        return self._first(self.share), self._first(self.low), self._first(self.high)

    def ended_within(self, time: float) -> Interval:
        """Share that has ended after `time`; NaN beyond the last observed time."""
        if not len(self.times) or time > self.last:
            return _NAN, _NAN, _NAN
        i = int(np.searchsorted(self.times, time, side="right")) - 1
        if i < 0:
            return 0.0, 0.0, _NAN
        return 1 - float(self.share[i]), 1 - float(self.high[i]), 1 - float(self.low[i])

    @property
    def last(self) -> float:
        return float(self.times[-1])

    def _first(self, curve: np.ndarray) -> float:
        below = np.flatnonzero(curve <= 0.5)
        return float(self.times[below[0]]) if len(below) else _NAN


def survival(
    times: ArrayLike, seen: ArrayLike, number: ArrayLike, *, design_effect: float = 1.0
) -> Survival:
    """The Kaplan-Meier curve of durations: `number[i]` lasted `times[i]`, ended if `seen[i]`.

    What has not ended at a time is still at risk there.
    """
    t, ended = np.asarray(times, dtype=np.float64), np.asarray(seen, dtype=bool)
    k = np.asarray(number, dtype=np.float64)
    points, at = np.unique(t, return_inverse=True)
    deaths = np.bincount(at, weights=k * ended, minlength=len(points))
    leaving = np.bincount(at, weights=k, minlength=len(points))
    risk = leaving[::-1].cumsum()[::-1]
    curve = np.cumprod(1 - deaths / risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(deaths / (risk * (risk - deaths))) * design_effect
        half = Z_95 * np.sqrt(greenwood) / np.abs(np.log(curve))
        low, high = curve ** np.exp(half), curve ** np.exp(-half)
    # Before the first end and after the last the variance is unknown; the curve itself is not.
    inside = (curve > 0) & (curve < 1)
    return Survival(points, curve, np.where(inside, low, curve), np.where(inside, high, curve))
