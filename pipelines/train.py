"""Stage `train`: one calibrated LightGBM model per origin of the replay protocol.

Each test origin rehearses production as it would have been on that date; the production model
is the same procedure on the last as-of date, and is the one that scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.catalog import Feature
from features.labels import LABELLED
from models.calibration import alternatives
from models.estimator import RetentionModel
from models.splits import (
    MIN_EVENTS,
    Origin,
    customer_origins,
    production_origin,
    test_origins,
    why_no_origin,
)
from pipelines import load, params, paths, stage, tracking
from pipelines.params import Params

RETRAINED_ABOVE = 0.2
"""Of the rows with a known outcome: more than this share is too many to calibrate with alone."""


def main(task: str) -> None:
    """Write artifacts/models/<task>: the production model and one per test origin."""
    settings = params.load()
    folder = paths.MODELS / task
    with stage.fresh_folder(folder) as out:
        reason = _train(task, settings, out)
        if reason is not None:
            stage.say(f"train {task}: skipped. {reason['en']}")
            stage.write_json(out / load.SKIPPED, {"skipped": reason})
    if reason is None:
        stage.say(f"train {task}: recording in MLflow")
        tracking.log_training(task, folder / paths.PRODUCTION, settings)


def origins(task: str, settings: Params) -> tuple[tuple[Origin, ...], Origin | None, Any]:
    """Test origins, the production origin, and if there are none the reason (en, ja)."""
    summary = load.summary()
    info = summary["tasks"][task]
    if info["skipped"]:
        return (), None, info["skipped"]
    dates = load.as_of_times(summary["as_of"], summary["time_zone"])
    if info["definition"] == "snapshot":
        return *customer_origins(dates[-1]), None
    observed_until = load.as_of_times([summary["observed_until"]], summary["time_zone"])[0]
    span = {
        "label_days": info["gap_days"] + info["horizon_days"] + info["lag_days"],
        "calibration_cutoffs": settings.train.calibration_cutoffs,
    }
    tests = test_origins(dates, observed_until, settings.train.test_origins, **span)
    production = production_origin(dates, **span)
    if tests and production:
        return tests, production, None
    reason = why_no_origin(
        dates,
        observed_until=None if production is None else observed_until,
        timezone=summary["time_zone"],
        **span,
    )
    return (), None, reason


def _train(task: str, settings: Params, out: Path) -> dict[str, str] | None:
    tests, production, reason = origins(task, settings)
    if reason is not None or production is None:
        return reason
    stage.say(f"train {task}: reading features")
    zone = load.summary()["time_zone"]
    rows = load.feature_rows(task)
    rows = rows[rows[f"{task}_status"] == LABELLED].reset_index(drop=True)
    wanted = load.catalog(settings)
    jobs = {}
    for origin in (*tests, production):
        train, calibration, _ = origin.rows(rows)
        reason = _too_few(rows[task].to_numpy(), train, calibration)
        if reason is not None:
            return reason
        name = paths.PRODUCTION if origin is production else f"origin-{load.day(origin.test, zone)}"
        jobs[name] = (origin, train, calibration)
    stage.say(f"train {task}: {len(jobs)} models, {len(rows):,} labelled rows")
    # LightGBM works outside the interpreter's lock: an origin per thread, each on one core.
    with ThreadPoolExecutor(stage.workers()) as pool:
        jobs_of = {
            pool.submit(fit, task, settings, rows, wanted, *job): name for name, job in jobs.items()
        }
        for done in as_completed(jobs_of):
            name = jobs_of[done]
            done.result().save(out / name)
            stage.say(f"train {task}: {name}, {len(jobs[name][1]):,} rows")
    return None


def fit(
    task: str,
    settings: Params,
    rows: pd.DataFrame,
    wanted: dict[str, Any],
    origin: Origin,
    train: np.ndarray,
    calibration: np.ndarray,
) -> RetentionModel:
    """The task's model of one origin, on `train` and `calibration` positions of `rows`.

    Where the calibration rows are a large part of all, the trees learn from them too in the end.
    """
    zone = load.summary()["time_zone"]
    booster = getattr(settings.train, task)

    def day(at: pd.Timestamp) -> str:
        return load.day(at, zone)

    how: dict[str, Any] = {
        "calibration_rows": calibration,
        "features": list(wanted),
        "categories": [name for name, feature in wanted.items() if feature.unit == "category"],
        "gain_weights": dict.fromkeys(windowed(wanted), booster.window_weight),
        "seed": settings.train.seed,
        "threads": 1,
        "about": {
            "task": task,
            "source": settings.source.name,
            "test_as_of": day(origin.test),
            "calibration_as_of": [day(at) for at in origin.calibration],
            "train_as_of": [day(at) for at in origin.train],
            "features_sha256": load.folder_digest(paths.FEATURES, "bucket=*.parquet"),
        },
    }
    model = RetentionModel.fit(
        rows,
        rows[task],
        fit_rows=train,
        params={
            "num_iterations": booster.rounds,
            **booster.model_dump(exclude={"rounds", "window_weight"}),
        },
        **how,
    )
    checked = _other_calibrators(model, rows.iloc[calibration], task)
    if len(calibration) > RETRAINED_ABOVE * (len(train) + len(calibration)):
        known = np.concatenate([train, calibration])
        model = model.retrained(rows, rows[task], fit_rows=known, **how)
    return replace(model, record={**model.record, "calibration_alternatives": checked})


def _other_calibrators(
    model: RetentionModel, rows: pd.DataFrame, task: str
) -> dict[str, dict[str, float | bool]] | None:
    """How other calibrators fare from the earlier calibration dates to the last; None if only one.

    Snapshots have one date, and a date on which nobody left compares nothing.
    """
    last = (rows["as_of"] == rows["as_of"].max()).to_numpy()
    y = rows[task].to_numpy(dtype=np.float64)
    if not all(0 < y[part].sum() < len(y[part]) for part in (~last, last)):
        return None
    margin = model.margin(rows)
    return alternatives((margin[~last], y[~last]), (margin[last], y[last]))


def windowed(wanted: Mapping[str, Feature]) -> tuple[str, ...]:
    """Support factors measured over a window: many, slow and alike, so they win splits by chance.

    Monthly rows of a customer share most of a year's window, and a departure is the outcome of
    several of them, so chance agrees with itself. Features of the present state, decayed sums and
    context are few.
    """
    return tuple(
        name for name, feature in wanted.items() if feature.lever and feature.window is not None
    )


def _too_few(y: np.ndarray, train: np.ndarray, calibration: np.ndarray) -> dict[str, str] | None:
    fewest = int(min(y[train].sum(), len(train) - y[train].sum()))
    both = 0 < y[calibration].sum() < len(calibration)
    if fewest >= MIN_EVENTS and both:
        return None
    return {
        "en": f"Only {fewest} customers of the rarer outcome are in the training dates (at least"
        f" {MIN_EVENTS} are needed, and some of both outcomes to calibrate), so no model was made.",
        "ja": f"学習期間に少ない側の結果が{fewest}件しかなく（{MIN_EVENTS}件以上と、"
        "較正期間に両方の結果が必要）、モデルは作成していません。",
    }
