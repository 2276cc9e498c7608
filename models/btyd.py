"""BG/NBD: who still buys, from recency and frequency alone; the baseline for repeat purchase.

Fader, Hardie and Lee 2005, "Counting Your Customers the Easy Way: An Alternative to the Pareto/NBD
Model". Assumptions, in their numbering: (i) while active a customer buys at a Poisson rate lambda;
(ii) lambda ~ Gamma(r, alpha); (iii) after any purchase a customer becomes inactive with
probability p; (iv) p ~ Beta(a, b); (v) lambda and p are independent.

A customer is (x, t_x, T): repeat purchases x, time of the last one t_x, time since the first T, in
any one unit. Fit the entire acquired cohort: customers picked because they bought recently make
nobody ever leave, and b runs away (METHODS D).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

_START = (1.0, 10.0, 1.0, 2.0)
_BOUND = 12.0


@dataclass(frozen=True)
class BGNBD:
    """Fitted parameters; `alpha` is in the unit of the times, `log_likelihood` of the sample."""

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float

    @classmethod
    def fit(cls, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> Self:
        """Maximum likelihood over all customers; vectors (customers,). Deterministic.

        Raises ValueError for vectors that are no purchase histories or when nobody bought twice.
        """
        repeats, last, age = _checked(x, t_x, T)
        if not (repeats > 0).any():
            raise ValueError("BG/NBD needs customers who bought more than once; there are none")
        # Times in units of their mean, so that one start and one bound suit days and weeks.
        unit = float(age.mean())
        table, count = np.unique(
            np.column_stack([repeats, last / unit, age / unit]), axis=0, return_counts=True
        )
        n = float(count.sum())

        def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = _log_likelihood(np.exp(theta), *table.T)
            # Sums of products, not a matrix product: bits must not depend on threads.
            slope = (gradient * count[:, None]).sum(axis=0)
            return -float((value * count).sum()) / n, -slope * np.exp(theta) / n

        start = np.log([_START[0], _START[1] / 40, *_START[2:]])
        found = minimize(
            loss,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(-_BOUND, _BOUND)] * 4,
            options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9},
        )
        r, alpha, a, b = (float(value) for value in np.exp(found.x))
        # A density of the data in the unit asked for: each repeat purchase has its own dt.
        total = -found.fun * n - float(repeats.sum()) * np.log(unit)
        return cls(r, alpha * unit, a, b, float(total))

    def probability_alive(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> np.ndarray:
        """P(still active at T): float64 (customers,). Without a repeat purchase it is 1."""
        repeats, last, age = _checked(x, t_x, T)
        # log of the odds of having left after the last purchase.
        left = (
            np.log(self.a)
            - np.log(self.b + np.maximum(repeats, 1) - 1)
            + (self.r + repeats) * (np.log(self.alpha + age) - np.log(self.alpha + last))
        )
        return np.where(repeats > 0, 1 / (1 + np.exp(np.minimum(left, 700.0))), 1.0)

    def probability_of_purchase(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, horizon: float
    ) -> np.ndarray:
        """P(at least one purchase in (T, T + horizon]): float64 (customers,).

        An active customer can leave only by buying, so the first purchase is a Gamma-Poisson
        one: P(alive) (1 - ((alpha + T) / (alpha + T + horizon)) ** (r + x)).
        """
        repeats, _, age = _checked(x, t_x, T)
        none = np.exp(
            (self.r + repeats) * (np.log(self.alpha + age) - np.log(self.alpha + age + horizon))
        )
        return self.probability_alive(x, t_x, T) * (1 - none)


def _log_likelihood(
    parameters: np.ndarray, x: np.ndarray, t_x: np.ndarray, T: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Per customer the log-likelihood (rows,) and its gradient in r, alpha, a, b (rows, 4)."""
    r, alpha, a, b = parameters
    repeat = x > 0
    before = np.where(repeat, b + x - 1, 1.0)
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    stays = gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    active = -(r + x) * np.log(alpha + T)
    left = np.where(repeat, np.log(a) - np.log(before) - (r + x) * np.log(alpha + t_x), -np.inf)
    both = np.logaddexp(active, left)
    is_left = np.exp(left - both)
    is_active = 1 - is_left
    gradient = np.column_stack(
        [
            digamma(r + x)
            - digamma(r)
            + np.log(alpha)
            - is_active * np.log(alpha + T)
            - is_left * np.log(alpha + t_x),
            r / alpha - (r + x) * (is_active / (alpha + T) + is_left / (alpha + t_x)),
            digamma(a + b) - digamma(a + b + x) + is_left / a,
            digamma(a + b) + digamma(b + x) - digamma(b) - digamma(a + b + x) - is_left / before,
        ]
    )
    return common + stays + both, gradient


def _checked(
    x: ArrayLike, t_x: ArrayLike, T: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    repeats, last, age = (np.asarray(values, dtype=np.float64) for values in (x, t_x, T))
    if not repeats.shape == last.shape == age.shape or repeats.ndim != 1:
        raise ValueError("x, t_x and T must be vectors of equal length")
    sound = (repeats >= 0) & (last >= 0) & (last <= age) & ((repeats > 0) | (last == 0))
    if not sound.all():
        first = int(np.argmin(sound))
        raise ValueError(
            f"customer {first}: x={repeats[first]}, t_x={last[first]}, T={age[first]} is no "
            "purchase history; 0 <= t_x <= T is needed, and t_x = 0 without a repeat purchase"
        )
    return repeats, last, age
