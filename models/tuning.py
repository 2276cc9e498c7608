"""Booster settings chosen on the past: Optuna over forward-chaining folds.

The folds (`splits.tuning_folds`) end before the first test origin begins, so no tested date has a
say. A trial is one setting of the trees, trained once per fold for the most rounds and measured at
every checkpoint on the way, so the number of rounds costs nothing extra. Its loss is the mean over
folds of the log-loss after a Platt fit on the fold's own test rows: the model is calibrated later
whatever the setting, so the trees are judged by what calibration cannot repair.

The learning rate is not searched: with rounds free it only trades time for smoothness. The ranges
keep METHODS' regularisation (at least 200 rows per leaf, at most 0.4 of the features per tree).
Source: Akiba et al. 2019, "Optuna"; Bergstra et al. 2011 for the TPE sampler.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna
import pandas as pd
from optuna.trial import TrialState

from models.calibration import Platt
from models.estimator import DEFAULT_PARAMS, GAIN_WEIGHTS, Encoder, fitted_settings, fixed_settings
from models.splits import Origin

LEARNING_RATE = 0.03
CHECKPOINTS = tuple(range(50, 601, 50))
SEARCHED = ("num_leaves", "max_depth", "min_data_in_leaf", "lambda_l2", "feature_fraction")
WINDOW_WEIGHTS = (1.0, 0.5, 0.25)
SPACE_VERSION = 2
"""Part of a study's name: another space or loss is another study."""


@dataclass(frozen=True)
class Fold:
    """One forward step, encoded: training matrix and outcomes, test matrix and outcomes.

    `windowed` are the features whose split gains the setting `window_weight` weighs.
    """

    test: pd.Timestamp
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    features: tuple[str, ...]
    windowed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class TrialResult:
    """One finished trial. `losses` has one value per fold that ran; a pruned trial has fewer."""

    number: int
    settings: Mapping[str, float]
    loss: float
    losses: tuple[float, ...]
    pruned: bool


def folds_of(
    frame: pd.DataFrame,
    y: np.ndarray,
    origins: Sequence[Origin],
    *,
    features: Sequence[str],
    categories: Sequence[str],
    windowed: Collection[str] = (),
) -> list[Fold]:
    """Encode each fold once, with an encoder learned on its own training rows."""
    folds = []
    for origin in origins:
        train, _, test = origin.rows(frame)
        encoder, matrix, _ = Encoder.fit(frame, features, categories, train)
        folds.append(
            Fold(
                origin.test,
                matrix,
                np.asarray(y[train], dtype=np.float64),
                encoder.transform(frame, test),
                np.asarray(y[test], dtype=np.float64),
                encoder.features,
                frozenset(windowed),
            )
        )
    return folds


def losses_by_round(
    fold: Fold, settings: Mapping[str, float], *, seed: int, threads: int = 1
) -> np.ndarray:
    """Recalibrated log-loss of the fold's test rows at every checkpoint: float64 [checkpoints]."""
    chosen = dict(settings) | {"num_iterations": CHECKPOINTS[-1]}
    weight = chosen.pop("window_weight", 1.0)
    params = fitted_settings(chosen, fold.y) | fixed_settings(seed, threads)
    if weight != 1:
        params[GAIN_WEIGHTS] = [weight if name in fold.windowed else 1.0 for name in fold.features]
    booster = lgb.train(params, lgb.Dataset(fold.x, fold.y, feature_name=list(fold.features)))
    margin = np.zeros(len(fold.y_test))
    losses = []
    for start, stop in zip((0, *CHECKPOINTS[:-1]), CHECKPOINTS, strict=True):
        # A booster that stopped growing early has nothing to add after its last tree.
        if start < booster.num_trees():
            margin = margin + booster.predict(
                fold.x_test,
                raw_score=True,
                start_iteration=start,
                num_iteration=stop - start,
                num_threads=threads,
            )
        eta = Platt.fit(margin, fold.y_test).log_odds(margin)
        losses.append(float((np.logaddexp(0.0, eta) - fold.y_test * eta).mean()))
    return np.array(losses)


def search(
    folds: Sequence[Fold],
    *,
    storage: str | None,
    name: str,
    trials: int,
    minutes: float | None,
    seed: int,
    on_trial: Callable[[TrialResult], None] = lambda result: None,
) -> list[TrialResult]:
    """Run up to `trials` trials in all, or for so many `minutes`; every finished trial in order.

    With a `storage` (a database address) an interrupted search goes on where it stopped: trials
    finished earlier under this `name` count. The first trial is DEFAULT_PARAMS, so the outcome
    is never worse than them on the folds. Hopeless trials stop after a fold (median rule).
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    done = 0
    if storage is not None and name in optuna.get_all_study_names(storage):
        done = len(_finished(optuna.load_study(study_name=name, storage=storage)))
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        # A sampler that begins again with the same seed would repeat its first draws.
        sampler=optuna.samplers.TPESampler(seed=seed + done, n_startup_trials=10),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=8),
        load_if_exists=True,
    )
    if not study.trials:
        study.enqueue_trial({key: DEFAULT_PARAMS[key] for key in SEARCHED} | {"window_weight": 1.0})

    def objective(trial: optuna.Trial) -> float:
        settings = _suggested(trial)
        curves: list[np.ndarray] = []
        for step, fold in enumerate(folds):
            curves.append(losses_by_round(fold, settings, seed=seed))
            mean = np.mean(curves, axis=0)
            best = int(mean.argmin())
            trial.set_user_attr("rounds", CHECKPOINTS[best])
            trial.set_user_attr("losses", [float(curve[best]) for curve in curves])
            trial.set_user_attr("settings", settings)
            trial.report(float(mean[best]), step)
            if step + 1 < len(folds) and trial.should_prune():
                raise optuna.TrialPruned
        return float(mean[best])

    study.optimize(
        objective,
        n_trials=max(trials - done, 0),
        timeout=None if minutes is None else 60 * minutes,
        callbacks=[lambda _, trial: on_trial(_result(trial))],
    )
    return [_result(trial) for trial in _finished(study)]


def best_of(results: Sequence[TrialResult]) -> TrialResult:
    """The trial with the lowest loss over all folds. Raises ValueError when none finished."""
    whole = [result for result in results if not result.pruned]
    if not whole:
        raise ValueError("no trial ran on all folds; allow more trials or minutes")
    return min(whole, key=lambda result: (result.loss, result.number))


def _suggested(trial: optuna.Trial) -> dict[str, float]:
    """What a trial tries, rounded so that what is written down is what was tried."""
    return {
        "learning_rate": LEARNING_RATE,
        "num_leaves": trial.suggest_int("num_leaves", 4, 31, log=True),
        "max_depth": trial.suggest_int("max_depth", 2, 6),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 200, 2000, log=True),
        "lambda_l2": _rounded(trial.suggest_float("lambda_l2", 1.0, 200.0, log=True)),
        "feature_fraction": _rounded(trial.suggest_float("feature_fraction", 0.1, 0.4)),
        "window_weight": trial.suggest_categorical("window_weight", WINDOW_WEIGHTS),
    }


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))


def _result(trial: optuna.trial.FrozenTrial) -> TrialResult:
    attributes: dict[str, Any] = trial.user_attrs
    losses = tuple(attributes["losses"])
    return TrialResult(
        trial.number,
        {"rounds": attributes["rounds"], **attributes["settings"]},
        float(np.mean(losses)),
        losses,
        trial.state == TrialState.PRUNED,
    )
