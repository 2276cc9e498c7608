"""Nuisance predictions for double machine learning: cross-fitted, fast, the same bytes every run.

The chance of an outcome or an exposure is the average, on the log-odds scale, of a logistic
regression on natural cubic splines and of a LightGBM model: the first follows smooth policies
exactly, the second finds what bends or interacts. Neither sees the customers it predicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy.linalg import solve
from scipy.special import expit, logit

Folds = Sequence[tuple[np.ndarray, np.ndarray]]
"""Per fold the rows to train on and the rows to predict."""

KNOTS = 4
MAX_LEVELS = 25
MIN_LEVEL_SHARE = 0.003
PENALTY = 20.0
EDGE = 1e-4
MAX_STEPS, LONGEST_STEP, TOLERANCE = 40, 2.0, 1e-4

BOOSTER: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.08,
    "num_leaves": 6,
    "min_data_in_leaf": 100,
    "lambda_l2": 20.0,
    "feature_fraction": 0.5,
    "max_bin": 63,
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 7,
}
ROUNDS = 60
"""Chosen by the log-loss of exposures and outcomes of worlds that no benchmark uses."""


@dataclass(frozen=True)
class Design:
    """The covariates of some rows, twice.

    `smooth` [rows x terms] float64: splines and indicators, standardised, for regressions.
    `plain` [rows x columns] float32: values and level codes, NaN = missing, for trees. `terms`
    and `names` say from which covariate each column comes.
    """

    smooth: np.ndarray
    plain: np.ndarray
    terms: tuple[str, ...]
    names: tuple[str, ...]
    bends: np.ndarray  # [terms] True for the curved parts of a spline

    def rows(self, chosen: np.ndarray) -> Design:
        """The same columns of some rows."""
        return Design(self.smooth[chosen], self.plain[chosen], self.terms, self.names, self.bends)

    def without(self, covariates: Sequence[str]) -> Design:
        """Everything but these covariates."""
        kept = np.array([name not in covariates for name in self.terms])
        plain = np.array([name not in covariates for name in self.names])
        return Design(
            self.smooth[:, kept],
            self.plain[:, plain],
            tuple(name for name in self.terms if name not in covariates),
            tuple(name for name in self.names if name not in covariates),
            self.bends[kept],
        )

    def varying(self) -> Design:
        """Without the columns in which these rows do not differ."""
        kept = np.ptp(self.smooth, axis=0) > 1e-9
        plain = np.array([np.unique(column).size > 1 for column in self.plain.T])
        return Design(
            self.smooth[:, kept],
            self.plain[:, plain],
            tuple(np.array(self.terms, dtype=object)[kept]),
            tuple(np.array(self.names, dtype=object)[plain]),
            self.bends[kept],
        )

    def joined(self, other: Design) -> Design:
        """Both sets of covariates of the same rows."""
        return Design(
            np.hstack([self.smooth, other.smooth]),
            np.hstack([self.plain, other.plain]),
            (*self.terms, *other.terms),
            (*self.names, *other.names),
            np.concatenate([self.bends, other.bends]),
        )


def design(frame: pd.DataFrame, covariates: Sequence[str]) -> Design:
    """Covariates as numbers: strings and few-valued numbers as levels, the others as splines."""
    smooth: list[np.ndarray] = []
    plain: list[np.ndarray] = []
    terms: list[str] = []
    bends: list[bool] = []
    for name in covariates:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column):
            values = column.to_numpy(dtype=float)
            parts, curved = _spline(values)
            coded = values
        else:
            parts, coded = _levels(column)
            curved = 0
        bends.extend([False] * (len(parts) - curved) + [True] * curved)
        plain.append(coded.astype(np.float32))
        smooth.extend(parts)
        terms.extend([name] * len(parts))
    matrix = np.column_stack(smooth) if smooth else np.empty((len(frame), 0))
    spread = matrix.std(axis=0)
    kept = spread > 1e-9
    matrix = (matrix[:, kept] - matrix[:, kept].mean(axis=0)) / spread[kept]
    return Design(
        matrix,
        np.column_stack(plain) if plain else np.empty((len(frame), 0), dtype=np.float32),
        tuple(np.array(terms, dtype=object)[kept]) if terms else (),
        tuple(covariates),
        np.array(bends, dtype=bool)[kept],
    )


def _levels(column: pd.Series) -> tuple[list[np.ndarray], np.ndarray]:
    """An indicator per frequent level; rare ones and missing values share or have their own."""
    text = column.astype("string").fillna("(missing)")
    share = text.value_counts(normalize=True)
    share = share[share >= MIN_LEVEL_SHARE]
    frequent = sorted(share.sort_index().nlargest(MAX_LEVELS, keep="first").index)
    parts = [(text == level).to_numpy(dtype=float) for level in frequent]
    codes = pd.Categorical(text, categories=frequent).codes
    return parts, codes.astype(float)


def _spline(values: np.ndarray) -> tuple[list[np.ndarray], int]:
    """A number as natural cubic spline between its quantiles, and whether it is missing.

    The second value says how many of the columns, the last ones, are curved.
    """
    missing = np.isnan(values)
    known = values[~missing]
    if not known.size:
        return [], 0
    filled = np.where(missing, np.median(known), values)
    distinct = np.unique(known)
    # A handful of rows with an indicator of their own would be fitted one by one.
    parts = [missing.astype(float)] if missing.mean() >= MIN_LEVEL_SHARE else []
    if distinct.size <= 3:
        return [*parts, *((filled == level).astype(float) for level in distinct[1:])], 0
    knots = np.unique(np.quantile(known, np.linspace(0.05, 0.95, KNOTS)))
    width = max(float(knots[-1] - knots[0]), 1e-12)
    scaled = (np.clip(filled, *np.quantile(known, [0.001, 0.999])) - knots[0]) / width
    curves = _natural(scaled, (knots - knots[0]) / width)
    return [*parts, scaled, *curves], len(curves)


def _natural(x: np.ndarray, knots: np.ndarray) -> list[np.ndarray]:
    """Natural cubic spline terms beyond the straight line (Hastie et al., ESL 5.2.1)."""
    if knots.size < 3:
        return []

    def bend(k: int) -> np.ndarray:
        above = np.maximum(x - knots[k], 0.0) ** 3 - np.maximum(x - knots[-1], 0.0) ** 3
        return above / (knots[-1] - knots[k])

    last = bend(knots.size - 2)
    return [bend(k) - last for k in range(knots.size - 2)]


def folds_of(clusters: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The fold (0 to `count` - 1) of each row: all rows of a cluster are in the same one."""
    names, position = np.unique(clusters, return_inverse=True)
    fold = np.arange(names.size) % count
    rng.shuffle(fold)
    return fold[position]


def splits(fold: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of each fold."""
    return [
        (np.flatnonzero(fold != number), np.flatnonzero(fold == number))
        for number in range(int(fold.max()) + 1)
    ]


@dataclass(frozen=True)
class Chances:
    """Cross-fitted probabilities, by the average of both models and by the regression alone."""

    both: np.ndarray
    smooth: np.ndarray


def exposure_chance(x: Design, d: np.ndarray, folds: Folds, *, trees: bool = True) -> Chances:
    """P(exposed | covariates) [rows], from models that did not see the row's customer."""
    smooth, both = np.empty(len(d)), np.empty(len(d))
    start = _regression(x.smooth, d)
    forest = _Forest(x.plain) if trees else None
    for train, test in folds:
        log_odds = _log_odds(_regression(x.smooth[train], d[train], start), x.smooth[test])
        smooth[test] = both[test] = log_odds
        if forest is not None:
            both[test] = (log_odds + forest.log_odds(d, train, test)) / 2
    return Chances(expit(both), expit(smooth))


def outcome_chance(
    x: Design, d: np.ndarray, y: np.ndarray, folds: Folds, *, trees: bool = True
) -> Chances:
    """P(outcome | covariates) [2 x rows] of every row without and with the exposure.

    One model serves both arms, with the exposure as a covariate: where exposures or outcomes are
    rare, a model per arm is mostly noise.
    """
    smooth, both = np.empty((2, len(y))), np.empty((2, len(y)))
    matrix = np.column_stack([d, x.smooth])
    start = _regression(matrix, y)
    forest = _Forest(np.column_stack([d, x.plain])) if trees else None
    for train, test in folds:
        weights = _regression(matrix[train], y[train], start)
        rest = np.concatenate([weights[:1], weights[2:]])
        without = _log_odds(rest, x.smooth[test])
        smooth[:, test] = both[:, test] = without, without + weights[1]
        if forest is not None:
            both[:, test] = (both[:, test] + forest.arms(y, train, test)) / 2
    return Chances(expit(both), expit(smooth))


def mean_value(x: Design, d: np.ndarray, y: np.ndarray, folds: Folds) -> tuple[np.ndarray, ...]:
    """E(number | covariates) of every row without and with the exposure, by ridge regression."""
    both = np.empty((2, len(y)))
    for train, test in folds:
        matrix = np.column_stack([np.ones(train.size), d[train], x.smooth[train]])
        penalty = np.full(matrix.shape[1], PENALTY)
        penalty[:2] = 0.0
        weights = np.linalg.solve(matrix.T @ matrix + np.diag(penalty), matrix.T @ y[train])
        base = weights[0] + x.smooth[test] @ weights[2:]
        both[:, test] = base, base + weights[1]
    return both[0], both[1]


def _regression(x: np.ndarray, y: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Weights (intercept first) of a ridge logistic regression, by Newton's method.

    The optimum is unique; `start` only saves steps on the way there.
    """
    matrix = np.column_stack([np.ones(len(x)), x])
    penalty = np.full(matrix.shape[1], PENALTY)
    penalty[0] = EDGE
    weights = np.zeros(matrix.shape[1]) if start is None else start.copy()
    if start is None:
        weights[0] = logit((y.sum() + 0.5) / (y.size + 1.0))
    for _ in range(MAX_STEPS):
        chance = expit(matrix @ weights)
        slope = matrix.T @ (y - chance) - penalty * weights
        scaled = matrix * np.sqrt(chance * (1.0 - chance))[:, None]
        step = solve(scaled.T @ scaled + np.diag(penalty), slope, assume_a="pos")
        # Far from the optimum a full step may overshoot.
        step *= min(1.0, LONGEST_STEP / max(float(np.abs(step).max()), 1e-12))
        weights += step
        if np.abs(step).max() < TOLERANCE:
            break
    return weights


def _log_odds(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.asarray(weights[0] + x @ weights[1:])


class _Forest:
    """LightGBM on parts of the same rows, binned once."""

    def __init__(self, plain: np.ndarray) -> None:
        self._plain = np.ascontiguousarray(plain, dtype=np.float32)
        self._data = lgb.Dataset(self._plain, params=dict(BOOSTER), free_raw_data=False)
        self._data.construct()

    def log_odds(self, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Log-odds of the test rows."""
        return self._raw(self._fitted(y, train), self._plain[test])

    def arms(self, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Log-odds [2 x rows] of the test rows with the first column set to 0 and to 1."""
        model = self._fitted(y, train)
        rows = self._plain[test]
        out = np.empty((2, len(rows)))
        for arm in (0, 1):
            rows[:, 0] = arm
            out[arm] = self._raw(model, rows)
        return out

    def _fitted(self, y: np.ndarray, train: np.ndarray) -> lgb.Booster:
        part = lgb.Dataset(
            self._plain[train], label=y[train], reference=self._data, params=dict(BOOSTER)
        )
        return lgb.train(dict(BOOSTER), part, num_boost_round=ROUNDS)

    @staticmethod
    def _raw(model: lgb.Booster, rows: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict(rows, raw_score=True, num_threads=1))
