"""What can be asked of a fact stream: the vocabulary in which features are declared.

An aggregate looks at the facts of one customer that were visible at an as-of date and lie in
the half-open window `[as_of - window, as_of)`. Each function here returns a plain description;
`features.kernel` computes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Measure = Literal[
    "count",
    "sum",
    "mean",
    "geomean",
    "min",
    "max",
    "std",
    "share",
    "quantile",
    "last",
    "days_since_last",
    "days_since_first",
    "days_since",
    "days_until",
    "mean_gap_days",
    "gap_days_std",
    "distinct",
    "trend",
    "decayed",
]

SHRINKAGE = 5.0
"""Pseudo-observations that pull a share towards its reference rate (METHODS A, RATE)."""

HALF_LIFE_DAYS = 56.0
"""Half-life of the exponentially decayed sums (METHODS A, conventions)."""


@dataclass(frozen=True)
class Aggregate:
    """One question about a stream. `column` None means the facts themselves are counted.

    `parameter` is the quantile (0 to 1) or the reference rate of a share.
    """

    measure: Measure
    column: str | None = None
    parameter: float = 0.0

    @property
    def is_windowed(self) -> bool:
        """Whether the answer depends on a window; the others look at the whole past."""
        return self.measure not in (
            "last",
            "days_since_last",
            "days_since_first",
            "days_since",
            "days_until",
            "decayed",
        )


def count(column: str | None = None) -> Aggregate:
    """Number of facts, or of facts in which `column` is not missing."""
    return Aggregate("count", column)


def total(column: str) -> Aggregate:
    """Sum of `column`."""
    return Aggregate("sum", column)


def mean(column: str) -> Aggregate:
    """Mean of `column` over the facts that have it."""
    return Aggregate("mean", column)


def geomean(column: str) -> Aggregate:
    """`expm1(mean(log1p(x)))`: the typical value of a skewed duration, in its own unit."""
    return Aggregate("geomean", column)


def lowest(column: str) -> Aggregate:
    """Smallest value."""
    return Aggregate("min", column)


def highest(column: str) -> Aggregate:
    """Largest value."""
    return Aggregate("max", column)


def spread(column: str) -> Aggregate:
    """Sample standard deviation; missing below two values."""
    return Aggregate("std", column)


def share(column: str, reference: float) -> Aggregate:
    """`(k + 5 * reference) / (n + 5)` for a 0/1 column; missing when n = 0 (METHODS A, RATE).

    The reference rate is declared, not fitted, so it cannot carry information from the future.
    """
    return Aggregate("share", column, reference)


def quantile(column: str, q: float) -> Aggregate:
    """Exact quantile with linear interpolation (numpy's default definition)."""
    return Aggregate("quantile", column, q)


def distinct(column: str) -> Aggregate:
    """Number of different values of `column`; the values stand for themselves or for codes."""
    return Aggregate("distinct", column)


def last(column: str) -> Aggregate:
    """Value of the latest fact that has one, over the whole past."""
    return Aggregate("last", column)


def days_since_last() -> Aggregate:
    """Days from the latest fact to the as-of date."""
    return Aggregate("days_since_last")


def days_since_first() -> Aggregate:
    """Days from the first visible fact to the as-of date; on open items the age of the oldest."""
    return Aggregate("days_since_first")


def days_since(column: str) -> Aggregate:
    """As-of date minus the latest value of `column` (days since 1970 UTC)."""
    return Aggregate("days_since", column)


def days_until(column: str) -> Aggregate:
    """Latest value of `column` (days since 1970 UTC) minus the as-of date."""
    return Aggregate("days_until", column)


def mean_gap_days() -> Aggregate:
    """Mean days between successive facts; missing below two facts."""
    return Aggregate("mean_gap_days")


def gap_days_std() -> Aggregate:
    """Sample standard deviation of the days between successive facts; missing below three facts."""
    return Aggregate("gap_days_std")


def trend(column: str | None = None) -> Aggregate:
    """Mean of `column` (or number of facts) in the window minus that of the window before it."""
    return Aggregate("trend", column)


def decayed(column: str | None = None) -> Aggregate:
    """Sum of `column` (or of ones), each halved for every 56 days since the fact was known."""
    return Aggregate("decayed", column)
