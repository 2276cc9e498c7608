"""Platt calibration: P(y=1) = 1 / (1 + exp(-(slope * margin + intercept))), slope > 0.

It acts on the model's margin (log-odds), so calibrated log-odds stay a sum over features and
SHAP values times the slope are exact; a positive slope never changes a ranking.

Decisions. Targets are smoothed as in Platt (1999): (P+1)/(P+2) for the P positives, 1/(N+2) for
the N negatives. On thousands of rows that is invisible; on separable or one-sided samples it
keeps the fit finite. When the slope would not be positive, or cannot be estimated because the
sample has one outcome or one margin, slope 1 is kept and only the intercept is fitted, which
corrects the mean and leaves the ranking; `note` says so.
`alternatives` asks, forward in time, whether a more flexible shape (beta, isotonic) would have been
better by more than a standard error (METHODS D). It is reported with the model and does not change
it: only a straight line in the log-odds keeps SHAP values exact and lets the booster itself carry
the calibration.
Source: Platt 1999; Kull, Silva Filho and Flach 2017, "Beta calibration"; damped Newton steps as in
Lin, Lin and Weng 2007, "A note on Platt's probabilistic outputs for support vector machines".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, log_expit
from sklearn.isotonic import IsotonicRegression

MAX_STEPS = 100
TOLERANCE = 1e-10


@dataclass(frozen=True)
class Platt:
    """A fitted calibrator. `note` is empty unless the slope had to be given up."""

    slope: float
    intercept: float
    note: str = ""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept) and self.slope > 0):
            raise ValueError(
                f"A calibrator needs a positive slope and a finite intercept, got "
                f"{self.slope} and {self.intercept}; fit it again."
            )

    @classmethod
    def fit(cls, margin: np.ndarray, y: np.ndarray) -> Platt:
        """Fit on margins (log-odds) and outcomes 0/1 of rows the model was not trained on.

        Deterministic. Raises ValueError when the sample is empty or not finite.
        """
        margin = np.asarray(margin, dtype=np.float64)
        y = np.asarray(y, dtype=np.float64)
        if margin.size == 0 or margin.shape != y.shape or margin.ndim != 1:
            raise ValueError(f"Calibration needs rows: got {margin.shape} and {y.shape}.")
        if not np.isfinite(margin).all() or not np.isin(y, (0.0, 1.0)).all():
            raise ValueError("Calibration needs finite margins and outcomes 0 or 1.")
        positives = y.sum()
        negatives = y.size - positives
        target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
        ones = np.ones_like(margin)

        if positives == 0 or negatives == 0:
            reason = "the calibration rows have only one outcome"
        elif np.ptp(margin) == 0:
            reason = "all margins are equal"
        else:
            # Centred and scaled margins keep the 2 x 2 Newton system well conditioned.
            centre, scale = margin.mean(), margin.std()
            columns = np.column_stack([(margin - centre) / scale, ones])
            slope, level = _fit_logistic(columns, np.zeros_like(margin), target)
            slope = slope / scale
            if slope > 0:
                return cls(float(slope), float(level - slope * centre))
            reason = f"the fitted slope was {slope:.3g}, not positive"
        (intercept,) = _fit_logistic(ones[:, None], margin, target)
        return cls(1.0, float(intercept), f"Slope kept at 1, intercept fitted: {reason}.")

    def log_odds(self, margin: np.ndarray) -> np.ndarray:
        """Calibrated log-odds of y=1, same shape as `margin`."""
        return self.slope * np.asarray(margin, dtype=np.float64) + self.intercept

    def predict(self, margin: np.ndarray) -> np.ndarray:
        """Calibrated P(y=1), same shape as `margin`."""
        return expit(self.log_odds(margin))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "kind": "platt",
            "slope": self.slope,
            "intercept": self.intercept,
            "note": self.note,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Platt:
        """Inverse of `to_dict`, exact. Raises ValueError or KeyError on anything else."""
        if record["kind"] != "platt":
            raise ValueError(f"unknown calibrator kind {record['kind']!r}, expected 'platt'")
        return cls(float(record["slope"]), float(record["intercept"]), str(record["note"]))


def alternatives(
    earlier: tuple[np.ndarray, np.ndarray], later: tuple[np.ndarray, np.ndarray]
) -> dict[str, dict[str, float | bool]]:
    """What beta and isotonic calibration gain over Platt's when fitted earlier and used later.

    Each argument is (margins, outcomes 0/1) of one date, a row per customer. Per alternative:
    `gain`, the mean log-loss saved per row on the later date, its standard error `se`, and
    `is_better`: whether the gain exceeds it. Raises ValueError like `Platt.fit`, and when either
    date has one outcome only.
    """
    (margin, y), (new, y_new) = (
        (np.asarray(m, dtype=np.float64), np.asarray(t, dtype=np.float64))
        for m, t in (earlier, later)
    )
    if min(np.unique(y).size, np.unique(y_new).size) < 2:
        raise ValueError("Calibrators are compared on dates with both outcomes.")
    platt = _losses(Platt.fit(margin, y).log_odds(new), y_new)
    found: dict[str, dict[str, float | bool]] = {}
    for name, log_odds in (
        ("beta", _beta(margin, y, new)),
        ("isotonic", _isotonic(margin, y, new)),
    ):
        saved = platt - _losses(log_odds, y_new)
        gain, se = float(saved.mean()), float(saved.std(ddof=1) / np.sqrt(saved.size))
        found[name] = {"gain": gain, "se": se, "is_better": gain > se}
    return found


def _losses(log_odds: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, log_odds) - y * log_odds


def _beta(margin: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Log-odds a log(p) - b log(1 - p) + c with a, b >= 0: a different slope at either end."""
    used = [0, 1]
    while True:
        both, both_new = (
            np.column_stack([log_expit(m), -log_expit(-m), np.ones_like(m)]) for m in (margin, new)
        )
        columns = [*used, 2]
        coefficients = _fit_logistic(both[:, columns], np.zeros_like(margin), y)
        wrong = [column for column, value in zip(used, coefficients, strict=False) if value < 0]
        if not wrong:
            return (both_new[:, columns] * coefficients).sum(axis=1)
        used.remove(wrong[0])


def _isotonic(margin: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """A rising step function; its ends are kept as far from 0 and 1 as the rows can tell."""
    least = 1 / (y.size + 2)
    fitted = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip").fit(margin, y)
    p = np.clip(fitted.predict(new), least, 1 - least)
    return np.log(p) - np.log1p(-p)


def _fit_logistic(columns: np.ndarray, offset: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Maximum likelihood coefficients of logit(target) = offset + columns @ coefficients."""

    def loss(coefficients: np.ndarray) -> float:
        eta = offset + (columns * coefficients).sum(axis=1)
        return float((np.logaddexp(0, eta) - target * eta).sum())

    coefficients = np.zeros(columns.shape[1])
    value = loss(coefficients)
    for _ in range(MAX_STEPS):
        p = expit(offset + (columns * coefficients).sum(axis=1))
        # Plain sums instead of matrix products: the result must not depend on BLAS threads.
        gradient = (columns * (p - target)[:, None]).sum(axis=0)
        weighted = columns * (p * (1 - p))[:, None]
        hessian = (weighted[:, :, None] * columns[:, None, :]).sum(axis=0)
        hessian += 1e-12 * np.eye(len(hessian))
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (new := loss(coefficients - size * step)) > value * (1 + 1e-12) and size > 1e-12:
            size /= 2
        coefficients, value = coefficients - size * step, new
        if np.abs(size * step).max() < TOLERANCE:
            break
    return coefficients
