"""Stage `score`: the ranked list of each task on one as-of date, with reasons and a next step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.errors import InputError
from features.catalog import FAMILIES, Feature
from features.labels import ELIGIBLE, LABELLED, TASKS
from models import explanation, policy
from models.estimator import RetentionModel
from pipelines import featurize, load, params, paths, stage
from pipelines.params import Params
from reports.lists import write_list
from reports.wording import Catalog

SEGMENTS = ("segment", "plan", "language", "country", "region", "relationship", "acquisition")
TENURE_EDGES = (0, 90, 365, 730, np.inf)


def main(
    as_of: date | None = None,
    out: Path | None = None,
    languages: Sequence[str] | None = None,
    models: Path | None = None,
) -> None:
    """Write one folder per task under `out` (artifacts/score): the list and segments.csv.

    Without `as_of` the last as-of date of the feature table is scored; any other date within the
    data is computed from the canonical tables. `models` is a folder like artifacts/models.
    """
    settings = params.load()
    summary = load.summary()
    zone = summary["time_zone"]
    day = as_of.isoformat() if as_of else summary["as_of"][-1]
    at = load.as_of_times([day], zone)[0]
    with stage.fresh_folder(out or paths.SCORE) as folder:
        for task in TASKS:
            task_folder = folder / task
            model_folder = (models or paths.MODELS) / task
            reason = load.skipped(model_folder)
            if reason is not None:
                stage.say(f"score {task}: skipped. {reason['en']}")
                stage.write_json(task_folder / load.SKIPPED, {"skipped": reason})
                continue
            stage.say(f"score {task}: reading features as of {day}")
            model = RetentionModel.load(model_folder / paths.PRODUCTION)
            if at < load.as_of_times([model.record["about"]["calibration_as_of"][-1]], zone)[0]:
                stage.say(
                    f"score {task}: warning: the model was trained on data after {day}; this list"
                    " knows the future and says nothing about how good the model is"
                )
            rows = _rows(task, at, day, settings, summary)
            stage.say(f"score {task}: {len(rows):,} customers as of {day}")
            ranked = ranked_list(task, model, rows, load.catalog(settings), settings, day)
            write_list(
                ranked,
                task_folder,
                task=task,
                catalog=Catalog(load.catalog(settings), FAMILIES),
                about={
                    "as_of": day,
                    "model": stage.read_json(model_folder / paths.PRODUCTION / "manifest.json")[
                        "sha256"
                    ]["model.txt"],
                    "source": settings.source.name,
                },
                languages=languages or settings.score.languages,
                currency=stage.read_json(paths.CONTRACT)["currency"],
            )
            segments(ranked, rows).to_csv(task_folder / "segments.csv", index=False)


def _rows(
    task: str, at: pd.Timestamp, day: str, settings: Params, summary: Mapping[str, Any]
) -> pd.DataFrame:
    """Feature rows of everyone eligible at the as-of date."""
    if day in summary["as_of"]:
        rows = load.feature_rows(task, [at])
        if summary["tasks"][task]["definition"] == "snapshot":
            rows = rows[rows[task] != 1].reset_index(drop=True)
    else:
        rows = featurize.rows_at(settings, datetime.fromisoformat(day).date())
        rows = rows[rows[f"{task}_status"].isin(ELIGIBLE)].reset_index(drop=True)
    if rows.empty:
        raise InputError(
            f"nobody is eligible for {task} on {day}; choose a date between"
            f" {summary['as_of'][0]} and {summary['observed_until']}"
        )
    return rows


def ranked_list(
    task: str,
    model: RetentionModel,
    rows: pd.DataFrame,
    wanted: Mapping[str, Feature],
    settings: Params,
    day: str,
) -> pd.DataFrame:
    """One row per customer, highest risk first, with probability, risk, tier, reasons and play."""
    churn = task == "churn"
    probability = model.predict(rows)
    risk = probability if churn else 1 - probability
    values, base = model.contributions(rows)
    explanation.check_additivity(values, base, model.log_odds(rows))
    typical = _typical(task, model, settings)
    why = explanation.reasons(
        values,
        model.features,
        wanted,
        towards=1 if churn else -1,
        top=settings.score.reasons,
        present=_tells_apart(rows[list(model.features)], typical),
    )
    record = model.record
    base_rate = record["positives"]["calibration"] / record["rows"]["calibration"]
    customers = rows["customer_id"].to_numpy()
    ranked = pd.DataFrame(
        {
            "rank": policy.rank(risk, customers),
            "customer_id": customers,
            "as_of": date.fromisoformat(day),
            "probability": probability,
            "risk": risk,
            "tier": policy.tiers(
                risk,
                customers,
                base_rate=base_rate if churn else 1 - base_rate,
                capacity_share=settings.score.capacity_share,
            ),
        }
    )
    for name in SEGMENTS:
        if name in rows and rows[name].notna().any():
            ranked[name] = rows[name].to_numpy(dtype=object)
    ranked["reasons"] = pd.Series(_reasons(why, rows, typical), dtype=object)
    no_play: Any = None
    ranked["play"] = policy.next_steps(why, len(rows), {f: f for f in FAMILIES}, no_play=no_play)
    return ranked.sort_values("rank").reset_index(drop=True)


def _tells_apart(frame: pd.DataFrame, typical: Mapping[str, Any]) -> np.ndarray:
    """Where a value can be a reason [rows x features]: it is known, reads unlike the typical one,
    and is not the same for everybody, as the season is."""
    out = np.zeros(frame.shape, dtype=bool)
    for i, name in enumerate(frame.columns):
        column, usual = frame[name], typical[name]
        if column.nunique() < 2:
            continue
        out[:, i] = column.notna()
        if isinstance(usual, str):
            out[:, i] &= (column != usual).to_numpy(dtype=bool, na_value=False)
        elif usual is not None:
            out[:, i] &= ~np.isclose(column.to_numpy(dtype=float), usual, rtol=0.005, atol=1e-6)
    return out


def _typical(task: str, model: RetentionModel, settings: Params) -> dict[str, Any]:
    """The typical retained customer's values on the latest date the model learned from."""
    zone = load.summary()["time_zone"]
    rows = load.feature_rows(
        task, load.as_of_times(model.record["about"]["calibration_as_of"][-1:], zone)
    )
    rows = rows[rows[f"{task}_status"] == LABELLED]
    return explanation.typical_values(
        rows[list(model.features)], rows[task], positive_is_good=task != "churn"
    )


def _reasons(
    why: pd.DataFrame, rows: pd.DataFrame, typical: Mapping[str, Any]
) -> list[list[dict[str, Any]]]:
    out: list[list[dict[str, Any]]] = [[] for _ in range(len(rows))]
    columns = {name: rows[name].to_numpy() for name in why["feature"].unique()}
    for reason in why.to_dict("records"):
        name = reason["feature"]
        value, usual = columns[name][reason["row"]], typical[name]
        out[reason["row"]].append(
            {
                "feature": name,
                "family": reason["family"],
                "lever": bool(reason["lever"]),
                "value": None if isinstance(value, str) else _number(value),
                "value_text": value if isinstance(value, str) else None,
                "typical": None if isinstance(usual, str) else _number(usual),
                "typical_text": usual if isinstance(usual, str) else None,
                "contribution": float(reason["contribution"]),
            }
        )
    return out


def _number(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def segments(ranked: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Mean risk and number of high-risk customers per group, for every grouping there is."""
    by_customer = ranked.set_index("customer_id").loc[rows["customer_id"]]
    groups = {name: rows[name].to_numpy(dtype=object) for name in SEGMENTS if name in rows}
    if "tenure_days" in rows:
        labels = ["0-3 months", "3-12 months", "1-2 years", "2+ years"]
        groups["tenure_band"] = pd.cut(
            rows["tenure_days"], TENURE_EDGES, labels=labels, right=False
        ).to_numpy(dtype=object)
    parts = []
    for dimension, keys in groups.items():
        frame = pd.DataFrame(
            {
                "value": keys,
                "risk": by_customer["risk"].to_numpy(),
                "high": (by_customer["tier"] == "high").to_numpy(),
            }
        ).dropna(subset=["value"])
        table = (
            frame.groupby("value", sort=True)
            .agg(customers=("risk", "size"), mean_risk=("risk", "mean"), high=("high", "sum"))
            .reset_index()
            .rename(columns={"high": "high_risk_customers"})
        )
        parts.append(table.assign(dimension=dimension))
    columns = ["dimension", "value", "customers", "mean_risk", "high_risk_customers"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
