"""Stage `explain`: SHAP values of the production model, by feature and by support factor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from features.catalog import Feature
from features.labels import LABELLED
from models import explanation, refits
from models.estimator import RetentionModel
from models.treeshap import NotSupportedError, group_interactions
from pipelines import load, params, paths, stage, tracking, train
from pipelines.params import Params

STRATA = ("plan", "tenure_days", "ticket_severity_decayed")
"""What a family's values are compared within when its part in the probability is measured."""


def main(task: str) -> None:
    """Write artifacts/explanation/<task>: tables of families and features, and a summary."""
    settings = params.load()
    folder = paths.EXPLANATION / task
    reason = load.skipped(paths.MODELS / task)
    with stage.fresh_folder(folder) as out:
        if reason is not None:
            stage.write_json(out / "summary.json", {"skipped": reason})
            return
        stage.say(f"explain {task}: reading features")
        wanted = load.catalog(settings)
        rows = _explained_rows(task, settings)
        stage.say(f"explain {task}: {len(rows):,} rows")
        model = RetentionModel.load(paths.MODELS / task / paths.PRODUCTION)
        values, base = model.contributions(rows)
        error = explanation.check_additivity(values, base, model.log_odds(rows))
        names, customers = model.features, rows["customer_id"]
        intervals = {"resamples": settings.explain.resamples, "seed": settings.explain.seed}
        families = explanation.family_importance(values, names, customers, wanted, **intervals)
        families = _with_refits(task, families, model, rows, wanted, settings)
        features = explanation.feature_importance(
            values,
            names,
            rows,
            customers,
            wanted,
            positive_is_good=task == "repeat_purchase",
            **intervals,
        )
        support = features[features["lever"]]["feature"]
        dependence = explanation.dependence(
            values,
            names,
            rows,
            customers,
            rows[task],
            list(support.head(settings.explain.dependence_features)),
        )
        stage.say(f"explain {task}: interactions and ablation")
        few = rows.head(settings.explain.refit_rows)
        tables = {
            "families": families,
            "features": features,
            "dependence": dependence,
            "interactions": _interactions(model, few, wanted),
            "ablation": explanation.family_ablation(
                model.probability,
                model.encoder.transform(rows),
                names,
                customers,
                wanted,
                _strata(rows),
                towards=1 if task == "churn" else -1,
                seed=settings.explain.seed,
            ),
        }
        for name, table in tables.items():
            stage.write_text(out / f"{name}.csv", table.to_csv(index=False))
        stage.write_json(
            out / "summary.json",
            {
                "skipped": None,
                "rows": len(rows),
                "refits": settings.explain.refits,
                "base_log_odds": base,
                "additivity_max_error": error,
            },
        )
    shares = {
        f"shap_{family}": float(value)
        for family, value in zip(families["family"], families["mean_abs_shap"], strict=True)
    }
    production = paths.MODELS / task / paths.PRODUCTION
    tracking.log_results(task, production, settings, folder, "explanation", metrics=shares)


def _explained_rows(task: str, settings: Params) -> pd.DataFrame:
    """Rows of the test as-of dates, in a random order."""
    tests = train.origins(task, settings)[0]
    rows = load.feature_rows(task, [origin.test for origin in tests])
    tested = np.concatenate([origin.rows(rows)[2] for origin in tests])
    rng = np.random.default_rng(settings.explain.seed)
    chosen = rng.choice(tested, min(settings.explain.rows, len(tested)), replace=False)
    return rows.iloc[chosen].reset_index(drop=True)


def _with_refits(
    task: str,
    families: pd.DataFrame,
    model: RetentionModel,
    rows: pd.DataFrame,
    wanted: Mapping[str, Feature],
    settings: Params,
) -> pd.DataFrame:
    chosen = settings.explain
    stage.say(f"explain {task}: {chosen.refits} refits on resampled customers")
    labelled = load.feature_rows(task)
    labelled = labelled[labelled[f"{task}_status"] == LABELLED].reset_index(drop=True)
    production = train.origins(task, settings)[1]
    assert production is not None, "a trained model has a production origin"
    fitted, calibrated, _ = production.rows(labelled)
    few = rows.head(chosen.refit_rows)
    again = refits.bootstrap_refits(
        model,
        labelled,
        labelled[task],
        labelled["customer_id"],
        fit_rows=fitted,
        calibration_rows=calibrated,
        refits=chosen.refits,
        seed=chosen.seed,
        workers=stage.workers(),
    )
    shadow = refits.shadow_contributions(
        model, labelled, labelled[task], fit_rows=fitted, explained=few, seed=chosen.seed
    )
    return explanation.with_refits(
        families,
        [explanation.family_sizes(m.contributions(few)[0], m.features, wanted) for m in again],
        explanation.family_sizes(shadow, model.features, wanted),
    )


def _interactions(
    model: RetentionModel, rows: pd.DataFrame, wanted: Mapping[str, Feature]
) -> pd.DataFrame:
    names = sorted({wanted[feature].family for feature in model.features})
    group_of = [names.index(wanted[feature].family) for feature in model.features]
    try:
        pairs = group_interactions(
            model.booster, model.encoder.transform(rows), group_of, len(names)
        )
    except NotSupportedError as why:
        stage.say(f"explain: no interactions: the model has {why}")
        return explanation.family_interactions(np.zeros((0, 1)), [])
    return explanation.family_interactions(model.calibrator.slope * pairs, names)


def _strata(rows: pd.DataFrame) -> np.ndarray:
    """Plan, tenure and severity in thirds, as one text per row; whatever of them there is."""
    parts = []
    for name in STRATA:
        if name not in rows:
            continue
        column = rows[name]
        if pd.api.types.is_numeric_dtype(column):
            column = pd.qcut(column.rank(method="first"), 3, labels=False)
        parts.append(column.astype("string").fillna("").to_numpy(dtype=str))
    return np.array(["|".join(row) for row in zip(*parts, strict=True)] or [""] * len(rows))
