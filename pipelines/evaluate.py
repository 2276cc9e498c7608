"""Stage `evaluate`: every test origin's model on its own later customers, against baselines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from features.labels import LABELLED
from models import evaluation
from models.baselines import available_baselines
from models.estimator import RetentionModel
from pipelines import load, params, paths, stage, tracking, train
from pipelines.params import Params


def main(task: str) -> None:
    """Write artifacts/evaluation/<task>: metrics.json and the curves as CSV."""
    settings = params.load()
    folder = paths.EVALUATION / task
    reason = load.skipped(paths.MODELS / task)
    with stage.fresh_folder(folder) as out:
        if reason is not None:
            stage.write_json(out / "metrics.json", {"skipped": reason}, ascii_only=True)
            # DVC draws these files, so they exist even when there is nothing to draw.
            for name, columns in _CURVES.items():
                stage.write_text(out / f"{name}.csv", ",".join(columns) + "\n")
            return
        stage.say(f"evaluate {task}: predicting the test dates")
        pooled = predictions(task, settings)
        stage.say(f"evaluate {task}: {len(pooled):,} rows, {settings.evaluate.resamples} resamples")
        metrics = _metrics(pooled, task, settings)
        stage.write_json(out / "metrics.json", metrics, ascii_only=True)
        y, p, customers = (pooled[c].to_numpy() for c in ("y", "model", "customer_id"))
        # Gains count the customers at risk, so for repeat purchase the risk is not buying.
        at_risk = (y, p) if task == "churn" else (1 - y, 1 - p)
        curves = {
            "reliability": evaluation.reliability(y, p, customers),
            "gains": evaluation.gains(*at_risk),
            "by_as_of": evaluation.by_as_of(
                y,
                p,
                customers,
                pooled["as_of"],
                resamples=settings.evaluate.resamples,
                seed=settings.evaluate.seed,
            ),
        }
        for name, curve in curves.items():
            stage.write_text(out / f"{name}.csv", curve.to_csv(index=False))
    tracking.log_results(
        task,
        paths.MODELS / task / paths.PRODUCTION,
        settings,
        folder,
        "evaluation",
        metrics=_numbers(metrics),
        curves={"gains_by_percent_contacted": curves["gains"]["share_found"].tolist()},
    )


_CURVES = {
    "reliability": ("bin", "n", "predicted", "observed", "low", "high"),
    "gains": ("share_contacted", "share_found", "lift"),
    "by_as_of": (
        "as_of",
        "n",
        "positives",
        "base_rate",
        "auc",
        "auc_low",
        "auc_high",
        "log_loss",
    ),
}


def predictions(task: str, settings: Params) -> pd.DataFrame:
    """Out-of-time predictions pooled over the test origins.

    Columns: customer_id, as_of (ISO date), y, "model" and one per baseline: P(y=1). Baselines are
    fitted on the model's training and calibration rows.
    """
    zone = load.summary()["time_zone"]
    rows = load.feature_rows(task)
    rows = rows[rows[f"{task}_status"] == LABELLED].reset_index(drop=True)
    parts = []
    for origin in train.origins(task, settings)[0]:
        fit, calibration, test = origin.rows(rows["as_of"])
        day = load.day(origin.test, zone)
        held_out = rows.iloc[test]
        part = pd.DataFrame(
            {
                "customer_id": held_out["customer_id"],
                "as_of": day,
                "y": held_out[task].astype("float64"),
                "model": RetentionModel.load(paths.MODELS / task / f"origin-{day}").predict(
                    held_out
                ),
            }
        )
        baselines, _ = available_baselines(_rfm(settings), rows.columns)
        for name, baseline in baselines.items():
            known = np.concatenate([fit, calibration])
            fitted = baseline.fit(rows, rows[task].to_numpy(dtype=float), known)
            part[name] = fitted.predict(held_out)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _rfm(settings: Params) -> dict[str, list[str]]:
    """The columns of the recency rule and of RFM; a source has those of its tables."""
    longest, short = max(settings.features.windows), min(settings.features.windows)
    return {
        "recency": ["days_since_last_order", "days_since_points_earned", "days_since_last_visit"],
        "frequency": [
            f"{name}_{days}d"
            for name in ("order_count", "visit_count", "points_earned")
            for days in (short, longest)
        ],
        "monetary": [f"order_amount_{longest}d"],
    }


def _metrics(pooled: pd.DataFrame, task: str, settings: Params) -> dict[str, Any]:
    resamples, seed = settings.evaluate.resamples, settings.evaluate.seed
    y, customers = pooled["y"].to_numpy(), pooled["customer_id"].to_numpy()
    names = [c for c in pooled.columns if c not in ("customer_id", "as_of", "y", "model")]

    def measured(column: str) -> dict[str, dict[str, float | None]]:
        found = evaluation.bootstrap_metrics(
            y, pooled[column].to_numpy(), customers, resamples=resamples, seed=seed
        )
        return {name: _finite(interval) for name, interval in found.items()}

    baselines = {name: measured(name) for name in names}
    best = min(names, key=lambda name: baselines[name]["log_loss"]["value"] or np.inf)
    gain = evaluation.paired_gain(
        y,
        pooled["model"].to_numpy(),
        pooled[best].to_numpy(),
        customers,
        resamples=resamples,
        seed=seed,
    )
    return {
        "skipped": None,
        "n": len(pooled),
        "customers": int(pooled["customer_id"].nunique()),
        "positives": int(y.sum()),
        "base_rate": float(y.mean()),
        "test_as_of": sorted(pooled["as_of"].unique()),
        "model": measured("model"),
        "baselines": baselines,
        "best_baseline": best,
        "gain_over_best_baseline": {name: _finite(interval) for name, interval in gain.items()},
        "beats_best_baseline": bool(gain["log_loss"]["low"] > 0),
    }


def _finite(interval: dict[str, float]) -> dict[str, float | None]:
    return {key: float(value) if np.isfinite(value) else None for key, value in interval.items()}


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    flat = {"base_rate": metrics["base_rate"], "test_rows": float(metrics["n"])}
    groups = {"": metrics["model"], "gain_": metrics["gain_over_best_baseline"]}
    for prefix, group in groups.items():
        for name, interval in group.items():
            for key, value in interval.items():
                if value is not None:
                    flat[f"{prefix}{name}" if key == "value" else f"{prefix}{name}_{key}"] = value
    return flat
