"""Stage `report`: the leadership report, one page per language from one set of facts."""

from __future__ import annotations

from typing import Any

import pandas as pd

from features.catalog import FAMILIES
from features.labels import TASKS
from pipelines import load, params, paths, stage, tracking
from reports import leadership
from reports.wording import Catalog


def main() -> None:
    """Write artifacts/reports: leadership.<language>.html and facts.json."""
    settings = params.load()
    catalog = Catalog(load.catalog(settings), FAMILIES)
    facts = leadership.build_facts(
        contract=stage.read_json(paths.CONTRACT),
        summary=load.summary(),
        evaluation={task: _evaluation(task) for task in TASKS},
        explanation={task: _explanation(task) for task in TASKS},
        segments={
            task: pd.read_csv(paths.SCORE / task / "segments.csv", dtype={"value": str})
            for task in TASKS
            if (paths.SCORE / task / "segments.csv").exists()
        },
        catalog=catalog,
        about=_about(),
        capacity=settings.score.capacity_share,
    )
    stage.say("report: drawing")
    with stage.fresh_folder(paths.REPORTS) as out:
        stage.write_json(out / "facts.json", facts)
        for language in settings.report.languages:
            page = leadership.render(facts, language, catalog)
            stage.write_text(out / f"leadership.{language}.html", page)
            stage.say(f"report: {paths.shown(paths.REPORTS / f'leadership.{language}.html')}")
    for task in TASKS:
        if load.skipped(paths.MODELS / task) is None:
            model = paths.MODELS / task / paths.PRODUCTION
            tracking.log_results(task, model, settings, paths.REPORTS, "report")


def _evaluation(task: str) -> dict[str, Any]:
    folder = paths.EVALUATION / task
    curves = ("reliability", "gains", "by_as_of")
    return {"metrics": stage.read_json(folder / "metrics.json")} | {
        name: pd.read_csv(folder / f"{name}.csv") for name in curves
    }


def _explanation(task: str) -> dict[str, Any]:
    folder = paths.EXPLANATION / task
    summary = stage.read_json(folder / "summary.json")
    if summary["skipped"]:
        return {"summary": summary}
    tables = ("families", "features", "dependence")
    return {"summary": summary} | {
        # An empty cell of `better` means that no direction is expected.
        name: pd.read_csv(folder / f"{name}.csv", keep_default_na=True, dtype={"bin": str})
        for name in tables
    }


def _about() -> dict[str, str]:
    """Hashes that say exactly what the report was made from."""
    about = {"data": load.folder_digest(paths.FEATURES, "bucket=*.parquet")[:16]}
    for task in TASKS:
        manifest = paths.MODELS / task / paths.PRODUCTION / "manifest.json"
        if manifest.exists():
            about[f"model_{task}"] = stage.read_json(manifest)["sha256"]["model.txt"][:16]
    return about
