"""Stage `explain`: SHAP values of the production model, by feature and by support factor."""

from __future__ import annotations

import numpy as np

from models import explanation
from models.estimator import RetentionModel
from pipelines import load, params, paths, stage, tracking, train


def main(task: str) -> None:
    """Write artifacts/explanation/<task>: families, features, dependence and a summary."""
    settings = params.load()
    folder = paths.EXPLANATION / task
    reason = load.skipped(paths.MODELS / task)
    with stage.fresh_folder(folder) as out:
        if reason is not None:
            stage.write_json(out / "summary.json", {"skipped": reason})
            return
        stage.say(f"explain {task}: reading features")
        wanted = load.catalog(settings)
        tests = train.origins(task, settings)[0]
        rows = load.feature_rows(task, [origin.test for origin in tests])
        tested = [origin.rows(rows)[2] for origin in tests]
        rows = rows.iloc[np.sort(np.concatenate(tested))].reset_index(drop=True)
        rng = np.random.default_rng(settings.explain.seed)
        chosen = np.sort(
            rng.choice(len(rows), min(settings.explain.rows, len(rows)), replace=False)
        )
        rows = rows.iloc[chosen].reset_index(drop=True)
        stage.say(f"explain {task}: {len(rows):,} rows")
        model = RetentionModel.load(paths.MODELS / task / paths.PRODUCTION)
        values, base = model.contributions(rows)
        error = explanation.check_additivity(values, base, model.log_odds(rows))
        names, customers = model.features, rows["customer_id"]
        intervals = {"resamples": settings.explain.resamples, "seed": settings.explain.seed}
        families = explanation.family_importance(values, names, customers, wanted, **intervals)
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
        tables = {"families": families, "features": features, "dependence": dependence}
        for name, table in tables.items():
            stage.write_text(out / f"{name}.csv", table.to_csv(index=False))
        stage.write_json(
            out / "summary.json",
            {
                "skipped": None,
                "rows": len(rows),
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
