"""Is a customer like those the model learned from? A cheap stand-in for an isolation score.

Per feature the range of the training rows without the outermost 0.1 % at either end; per customer
the number of features outside, where a category never seen counts too. Customers with more of them
than 99.5 % of the training rows are unfamiliar: the model's answer is extrapolated. One comparison
per cell, so a million customers take seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

TRIMMED = 0.001
FAMILIAR = 0.995


@dataclass(frozen=True)
class TrainingRange:
    """The usual range of every number, the known values of every category, and the limit."""

    low: Mapping[str, float]
    high: Mapping[str, float]
    known: Mapping[str, frozenset[str]]
    most_outside: int

    @classmethod
    def fit(cls, parts: Iterable[pd.DataFrame]) -> TrainingRange:
        """Learn the ranges from training rows, given as frames of the same rows, some features
        each, so that not all need to be in memory.

        A feature that is the same for all of them, as the season is on one date, has no range.
        """
        low: dict[str, float] = {}
        high: dict[str, float] = {}
        known: dict[str, frozenset[str]] = {}
        outside = np.zeros(0, dtype=np.int64)
        for rows in parts:
            learned = _ranges(rows)
            counts = learned.count_outside(rows)
            outside = counts if not outside.size else outside + counts
            low |= learned.low
            high |= learned.high
            known |= learned.known
        most = int(np.quantile(outside, FAMILIAR, method="higher")) if outside.size else 0
        return cls(low, high, known, most)

    def count_outside(self, rows: pd.DataFrame) -> np.ndarray:
        """Features outside the range, per row; int64. A missing value is never outside."""
        total = np.zeros(len(rows), dtype=np.int64)
        for name, low in self.low.items():
            numbers = rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
            total += (numbers < low) | (numbers > self.high[name])
        for name, values in self.known.items():
            words = rows[name]
            total += (words.notna() & ~words.astype(str).isin(values)).to_numpy()
        return total


def _ranges(rows: pd.DataFrame) -> TrainingRange:
    low, high, known = {}, {}, {}
    for name in rows.columns:
        column = rows[name].dropna()
        if column.nunique() < 2:
            continue
        if pd.api.types.is_numeric_dtype(column):
            ends = np.quantile(column.to_numpy(np.float64), (TRIMMED, 1 - TRIMMED))
            low[name], high[name] = map(float, ends)
        else:
            known[name] = frozenset(column.astype(str))
    return TrainingRange(low, high, known, 0)
