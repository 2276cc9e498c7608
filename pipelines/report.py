"""Stage `report`: the leadership report, one page per language from one set of facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from data.errors import InputError
from features.catalog import FAMILIES
from features.coverage import PANELS
from features.kpis import KPI
from features.labels import TASKS
from models.claims import CAVEATS, CLAIMS, RULE
from models.effects import LEVERS, REASONS
from pipelines import load, params, paths, pdf, stage, tracking
from pipelines.params import Params
from reports import leadership
from reports.facts import Facts
from reports.model_card import model_card
from reports.wording import Catalog, Name

LEVER_FAMILIES = {
    "personal": "care",
    "first_response_1h": "responsiveness",
    "first_response_15min": "responsiveness",
    "fcr": "resolution",
    "escalated": "effort",
    "repeat_info": "effort",
    "resolution_24h": "resolution",
    "follow_up": "care",
    "language_match": "channels",
    "office_hours": "channels",
    "bot_trap": "automation",
    "empathy": "agents",
    "feedback_acted_on": "voice",
    "loyalty": "loyalty",
    "self_service": "automation",
}
"""The factor family each lever of the effects belongs to."""


def main(compare: Path | None = None, out: Path | None = None, as_pdf: bool = False) -> None:
    """Write leadership.<language>.html, facts.json and model cards to artifacts/reports or `out`.

    `compare` is the facts.json of an earlier report, which then has a section of its own. `as_pdf`
    prints the pages, too: to `out`, or to artifacts/pdf, which is no output of a stage, as
    a browser writes the hour into what it prints.
    """
    settings = params.load()
    catalog = catalog_of(settings)
    facts = leadership.build_facts(
        contract=stage.read_json(paths.CONTRACT),
        summary=load.summary(),
        evaluation={task: _evaluation(task) for task in TASKS},
        explanation={task: _explanation(task) for task in TASKS},
        segments={
            task: _table(paths.SCORE / task / "segments.csv", dtype={"value": str})
            for task in TASKS
            if (paths.SCORE / task / "segments.csv").exists()
        },
        catalog=catalog,
        about=_about(),
        capacity=settings.score.capacity_share,
        kpis=_kpis(),
        claims=_claims(),
        effects=_effects(),
        scores={
            task: pd.read_parquet(paths.SCORE / task / "list.parquet")
            for task in TASKS
            if (paths.SCORE / task / "list.parquet").exists()
        },
        compared=None if compare is None else _earlier(compare),
    )
    stage.say("report: drawing")
    folder = out or paths.REPORTS
    pages = {
        f"leadership.{language}.html": leadership.render(facts, language, catalog)
        for language in settings.report.languages
    }
    cards = {
        f"model_card.{task}.{language}.md": _card(task, language)
        for task in TASKS
        if load.skipped(paths.MODELS / task) is None
        for language in settings.report.languages
    }
    if out is not None:  # A person's folder may hold other things: nothing in it is removed.
        _write(out, facts, pages | cards)
    else:
        with stage.fresh_folder(folder) as fresh:
            _write(fresh, facts, pages | cards)
    for name in pages:
        stage.say(f"report: {paths.shown(folder / name)}")
    if as_pdf:
        for language in settings.report.languages:
            printed = (out or paths.PDF) / f"leadership.{language}.pdf"
            pdf.write(folder / f"leadership.{language}.html", printed)
            stage.say(f"report: {paths.shown(printed)}")
    if out is not None:
        return
    for task in TASKS:
        if load.skipped(paths.MODELS / task) is None:
            model = paths.MODELS / task / paths.PRODUCTION
            tracking.log_results(task, model, settings, paths.REPORTS, "report")


def _write(folder: Path, facts: Facts, texts: dict[str, str]) -> None:
    stage.write_json(folder / "facts.json", facts)
    for name, text in texts.items():
        stage.write_text(folder / name, text)


def _card(task: str, language: str) -> str:
    folder = paths.EVALUATION / task
    return model_card(
        task,
        language,
        metrics=stage.read_json(folder / "metrics.json"),
        slices=pd.read_csv(
            folder / "slices.csv", dtype={"value": str}, keep_default_na=False, na_values=[""]
        ),
        manifest=stage.read_json(paths.MODELS / task / paths.PRODUCTION / "manifest.json"),
        labels=load.summary()["tasks"][task],
    )


def catalog_of(settings: Params) -> Catalog:
    """Everything the report has names for, from where it is declared."""
    return Catalog(
        features=load.catalog(settings),
        families=FAMILIES,
        kpis=KPI,
        panels={key: Name(*names) for key, names in PANELS.items()},
        levers={
            lever.key: Name(
                lever.en,
                lever.ja,
                lever.en_contrast,
                lever.ja_contrast,
                LEVER_FAMILIES.get(lever.key, ""),
            )
            for lever in LEVERS
        },
        claims={
            claim.key: Name(claim.en, claim.ja, claim.estimand_en, claim.estimand_ja)
            for claim in CLAIMS
        },
        caveats={code: Name(*texts) for code, texts in CAVEATS.items()},
        reasons={code: Name(*texts) for code, texts in REASONS.items()},
        claims_rule=Name(**RULE),
    )


def _table(path: Path, **options: Any) -> pd.DataFrame:
    """A CSV artifact with its figures to the last bit, as the report cites them."""
    return pd.read_csv(path, float_precision="round_trip", **options)


def _kpis() -> dict[str, Any] | None:
    if not (paths.KPIS / "kpis.csv").exists():
        return None
    table = _table(paths.KPIS / "kpis.csv", dtype={"value_of": str})
    return {"table": table, "summary": stage.read_json(paths.KPIS / "summary.json")}


def _claims() -> list[dict[str, Any]] | None:
    path = paths.KPIS / "claims.json"
    return stage.read_json(path) if path.exists() else None


def _effects() -> dict[str, Any] | None:
    if not (paths.EFFECTS / "summary.json").exists():
        return None
    summary = stage.read_json(paths.EFFECTS / "summary.json")
    table = paths.EFFECTS / "effects.csv"
    return {"summary": summary, "table": None if summary.get("skipped") else _table(table)}


def _earlier(path: Path) -> Facts:
    facts = stage.read_json(path)
    if not isinstance(facts, dict) or not {"tasks", "period", "stake"} <= set(facts):
        raise InputError(f"--compare {path}: not the facts.json of a report")
    return facts


def _evaluation(task: str) -> dict[str, Any]:
    folder = paths.EVALUATION / task
    curves = ("reliability", "gains", "by_as_of")
    # A flag that is not raised is an empty cell.
    slices = _table(folder / "slices.csv", dtype={"value": str, "flag": str})
    return {
        "metrics": stage.read_json(folder / "metrics.json"),
        "slices": slices.assign(flag=slices["flag"].fillna("")),
        **{name: _table(folder / f"{name}.csv") for name in curves},
    }


def _explanation(task: str) -> dict[str, Any]:
    folder = paths.EXPLANATION / task
    summary = stage.read_json(folder / "summary.json")
    if summary["skipped"]:
        return {"summary": summary}
    tables = ("families", "features", "dependence")
    return {"summary": summary} | {
        # An empty cell of `better` means that no direction is expected.
        name: _table(folder / f"{name}.csv", keep_default_na=True, dtype={"bin": str})
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
