"""The same model, refitted on resampled customers: how much of it is chance.

An interval with the model held fixed says how a figure would move with other customers to explain;
it does not say how it would move had the model learned from other customers. Each refit draws the
training and calibration customers anew, with replacement, and the booster's own seed with them.

A customer drawn k times weighs k times as much; the bin edges and the encoding stay those of the
model.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from models.calibration import Platt
from models.estimator import GAIN_WEIGHTS, RetentionModel, fixed_settings
from models.evaluation import cluster_codes, resampled_counts
from models.treeshap import TreeExplainer


def bootstrap_refits(
    model: RetentionModel,
    frame: pd.DataFrame,
    y: ArrayLike,
    customers: ArrayLike,
    *,
    fit_rows: np.ndarray,
    calibration_rows: np.ndarray,
    refits: int,
    seed: int,
    workers: int = 1,
) -> tuple[RetentionModel, ...]:
    """`model` refitted `refits` times; the rows and settings are those `model` was fitted with.

    `frame`, `y` (0 or 1 where used) and `customers` have one row each per row of the feature
    table; `fit_rows` and `calibration_rows` are positions in them. The same inputs give the same
    models whatever the number of `workers` (threads).
    """
    outcomes = np.asarray(y, dtype=np.float64)
    codes = cluster_codes(customers)
    data = lgb.Dataset(
        model.encoder.transform(frame, fit_rows),
        outcomes[fit_rows],
        feature_name=list(model.features),
        params=model.record["params"] | fixed_settings(seed, 1),
    ).construct()
    later = model.encoder.transform(frame, calibration_rows)

    def refit(number: int, counts: np.ndarray) -> RetentionModel:
        times = counts[codes[fit_rows]]
        drawn = np.flatnonzero(times)
        settings = model.record["params"] | fixed_settings(model.record["seed"] + 1 + number, 1)
        booster = lgb.train(
            settings, data.subset(drawn.tolist(), settings).set_weight(times[drawn])
        )
        margin = np.asarray(booster.predict(later, raw_score=True, num_threads=1))
        again = np.repeat(np.arange(len(later)), counts[codes[calibration_rows]].astype(np.int64))
        calibrator = Platt.fit(margin[again], outcomes[calibration_rows][again])
        return replace(model, text=booster.model_to_string(), calibrator=calibrator)

    draws = resampled_counts(int(codes.max()) + 1, refits, seed)
    with ThreadPoolExecutor(workers) as pool:
        return tuple(pool.map(refit, range(refits), draws))


def shadow_contributions(
    model: RetentionModel,
    frame: pd.DataFrame,
    y: ArrayLike,
    *,
    fit_rows: np.ndarray,
    explained: pd.DataFrame,
    seed: int,
) -> np.ndarray:
    """SHAP values [rows of `explained` x features] that the same features have with no meaning.

    The model is trained once more with a shadow of every feature beside it: the same columns with
    the rows shuffled together, so that a shadow block varies and correlates as the real one does
    but knows nothing of the outcome. What the shadows of a family of features receive is what a
    family of that size gets by chance (Kursa and Rudnicki 2010, "Boruta").
    """
    rng = np.random.default_rng(seed)
    matrix = model.encoder.transform(frame, fit_rows)
    settings = model.record["params"] | fixed_settings(model.record["seed"], 1)
    if GAIN_WEIGHTS in settings:
        settings[GAIN_WEIGHTS] = [*settings[GAIN_WEIGHTS]] * 2
    booster = lgb.train(
        settings,
        lgb.Dataset(
            np.hstack([matrix, rng.permutation(matrix)]),
            np.asarray(y, dtype=np.float64)[fit_rows],
        ),
    )
    rows = model.encoder.transform(explained)
    values = TreeExplainer(booster).shap_values(np.hstack([rows, rng.permutation(rows)]))
    return model.calibrator.slope * values[:, len(model.features) :]
