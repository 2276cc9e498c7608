"""What a model must beat: the base rate, a recency rule and an RFM logistic regression.

Fairness: the caller gives every baseline all rows the model saw, training *and* calibration.
A baseline has no second stage to calibrate, so holding those rows back would handicap it.
All have one interface: `fit(frame, y, fit_rows)` then `predict(frame)` -> P(y=1), float64 (rows,).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, Self

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression


class Baseline(Protocol):
    """Anything that learns P(y=1) from the rows `fit_rows` of a frame."""

    def fit(self, frame: pd.DataFrame, y: np.ndarray, fit_rows: np.ndarray) -> Self:
        """Learn from the rows at the positions (or mask) `fit_rows`."""
        ...

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """P(y=1) for every row."""
        ...


class Prior:
    """The share of positives among the fitted rows, for everybody."""

    rate_: float

    def fit(self, frame: pd.DataFrame, y: np.ndarray, fit_rows: np.ndarray) -> Self:
        """Learn the rate. Raises ValueError unless the rows hold both outcomes."""
        self.rate_ = float(_outcomes(y, fit_rows).mean())
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """The learned rate for every row."""
        return np.full(len(frame), self.rate_)


class LogLogistic:
    """Logistic regression on standardised log columns, each with a missing indicator.

    A value x enters as sign(x) * log(1 + |x|), because recency, counts and money are skewed and
    money may be negative after refunds. A missing value enters as the mean plus its indicator.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns

    def fit(self, frame: pd.DataFrame, y: np.ndarray, fit_rows: np.ndarray) -> Self:
        """Learn scaling and coefficients. Raises ValueError unless the rows hold both outcomes."""
        outcomes = _outcomes(y, fit_rows)
        logs = self._logs(frame)[fit_rows]
        known = np.isfinite(logs)
        count = np.maximum(known.sum(axis=0), 1)
        self.centre_ = np.where(known, logs, 0).sum(axis=0) / count
        spread = np.sqrt((np.where(known, logs - self.centre_, 0) ** 2).sum(axis=0) / count)
        self.scale_ = np.where(spread > 0, spread, 1)
        self.regression_ = LogisticRegression(max_iter=1000).fit(self._design(logs), outcomes)
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """P(y=1) for every row."""
        return self.regression_.predict_proba(self._design(self._logs(frame)))[:, 1]

    def _logs(self, frame: pd.DataFrame) -> np.ndarray:
        values = frame[list(self.columns)].to_numpy(dtype=np.float64, na_value=np.nan)
        return np.sign(values) * np.log1p(np.abs(values))

    def _design(self, logs: np.ndarray) -> np.ndarray:
        known = np.isfinite(logs)
        standard = np.where(known, (logs - self.centre_) / self.scale_, 0)
        return np.hstack([standard, ~known])


def available_baselines(
    columns: Mapping[str, Sequence[str]], present: Iterable[str]
) -> tuple[dict[str, Baseline], dict[str, str]]:
    """Unfitted baselines this source allows, and a reason for each one it does not.

    `columns` names the candidate columns under "recency", "frequency" and "monetary"; `present`
    is what the feature table has. A baseline uses those of its columns that exist and is left
    out when none does: -> ({"prior": ..., "recency": ..., "rfm_logistic": ...}, {name: reason}).
    """
    have = set(present)
    wanted = {
        "recency": list(columns.get("recency", ())),
        "rfm_logistic": [
            name for key in ("recency", "frequency", "monetary") for name in columns.get(key, ())
        ],
    }
    found: dict[str, Baseline] = {"prior": Prior()}
    left_out: dict[str, str] = {}
    for baseline, names in wanted.items():
        existing = [name for name in dict.fromkeys(names) if name in have]
        if existing:
            found[baseline] = LogLogistic(existing)
        else:
            left_out[baseline] = (
                f"none of its columns exists in this source: {', '.join(names) or 'none named'}"
            )
    return found, left_out


def _outcomes(y: np.ndarray, fit_rows: np.ndarray) -> np.ndarray:
    outcomes = np.asarray(y, dtype=np.float64)[fit_rows]
    if not np.array_equal(np.unique(outcomes), (0.0, 1.0)):
        raise ValueError(
            f"A baseline needs rows of both outcomes, 0 and 1; the {outcomes.size} rows given hold "
            f"{np.unique(outcomes)[:5].tolist()}. Pass only labelled rows or widen the window."
        )
    return outcomes
