"""What the leadership report says: results -> facts, independent of language and layout."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.wording import Catalog, is_missing

FINDINGS = 3
CURVES = 6
# Units a reader can picture; a decayed sum or a tone cannot carry a finding in one sentence.
PLAIN_UNITS = ("hours", "days", "count", "share", "points", "score", "currency")
TOP_SUPPORT, TOP_CONTEXT = 10, 5
LEAST_CUSTOMERS = 30

Facts = dict[str, Any]


def build_facts(
    *,
    contract: Mapping[str, Any],
    summary: Mapping[str, Any],
    evaluation: Mapping[str, Mapping[str, Any]],
    explanation: Mapping[str, Mapping[str, Any]],
    segments: Mapping[str, pd.DataFrame],
    catalog: Catalog,
    about: Mapping[str, str],
    capacity: float = 0.1,
) -> Facts:
    """Everything the report says, language independent and ready for JSON.

    `contract`, `summary` and the metrics are the JSON artifacts; `evaluation[task]` also holds the
    frames `reliability`, `gains`, `by_as_of`, and `explanation[task]` the `summary` and the frames
    `families`, `features`, `dependence`. A task that was skipped keeps only its sentence. `about`
    names what the report was made from (`data`, `model_churn`, ... -> hash; `company` optional).
    `capacity` is the share of customers the retention team can contact.
    """
    tasks = {
        task: _task_facts(
            task,
            summary["tasks"][task],
            evaluation.get(task, {}),
            explanation.get(task, {}),
            segments.get(task),
            catalog,
        )
        for task in summary["tasks"]
    }
    _choose_contrasts(tasks)
    dates = sorted(summary["as_of"])
    facts = {
        "about": dict(about),
        "contract": dict(contract),
        "summary": {key: summary[key] for key in ("rows", "customers", "features")},
        "capacity": capacity,
        "period": {"first": dates[0], "last": dates[-1]},
        "tasks": tasks,
    }
    facts["findings"] = _findings(tasks)
    return _plain(facts)


def _choose_contrasts(tasks: Mapping[str, Facts]) -> None:
    """Per task the strongest contrast, of a family that no task before it has shown if it can be:
    two findings should not say the same thing twice."""
    shown: set[str] = set()
    for facts in tasks.values():
        if facts["skipped"] or not facts["explained"]:
            continue
        contrasts = facts["explained"].pop("contrasts")
        if contrasts:
            new = [row for row in contrasts if row["family"] not in shown]
            chosen = (new or contrasts)[0]
            facts["explained"]["contrast"] = chosen
            shown.add(chosen["family"])


def _plain(value: Any) -> Any:
    """Nested plain Python values; what is missing or not finite becomes None."""
    if isinstance(value, pd.DataFrame):
        return [_plain(row) for row in value.to_dict("records")]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if is_missing(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def _task_facts(
    task: str,
    labels: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    explanation: Mapping[str, Any],
    segments: pd.DataFrame | None,
    catalog: Catalog,
) -> Facts:
    metrics = evaluation.get("metrics", {})
    skipped = labels.get("skipped") or metrics.get("skipped")
    event = task if task != "churn" else f"churn_{labels.get('definition', 'contractual')}"
    if skipped:
        return {"skipped": dict(skipped), "event": event}
    facts = {
        "skipped": None,
        "event": event,
        "labels": dict(labels),
        "verdict": _verdict(metrics),
        **{key: metrics[key] for key in ("n", "positives", "base_rate", "model", "baselines")},
        **{key: metrics[key] for key in ("test_as_of", "best_baseline", "gain_over_best_baseline")},
        **{key: _plain(evaluation[key]) for key in ("reliability", "gains", "by_as_of")},
        "segments": [] if segments is None else _plain(segments),
        "explained": None,
    }
    about_rows = explanation.get("summary", {"skipped": True})
    if not about_rows.get("skipped"):
        features = _plain(explanation["features"])
        features.sort(key=lambda row: -(row["mean_abs_shap"] or 0))
        points: dict[str, list[Facts]] = {}
        for row in _plain(_numeric(explanation["dependence"], catalog)):
            points.setdefault(row["feature"], []).append(row)
        curves = [
            row for row in features if row["lever"] and len(points.get(row["feature"], ())) > 1
        ]
        facts["explained"] = {
            **about_rows,
            "families": sorted(
                _plain(explanation["families"]), key=lambda row: -(row["mean_abs_shap"] or 0)
            ),
            "support": [row for row in features if row["lever"]][:TOP_SUPPORT],
            "context": [row for row in features if not row["lever"]][:TOP_CONTEXT],
            "curves": [{**row, "points": points[row["feature"]]} for row in curves[:CURVES]],
            "contrasts": [
                found for row in curves if (found := _contrast(row, points, catalog)) is not None
            ],
            "contrast": None,
        }
    return facts


def _numeric(dependence: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    """The rows of numeric features; a category has no order to draw a curve along."""
    has_order = [
        name in catalog.features and catalog.features[name].unit != "category"
        for name in dependence["feature"]
    ]
    # An empty list would choose no columns instead of no rows.
    rows = dependence[pd.Series(has_order, index=dependence.index, dtype=bool)]
    return rows.assign(value=pd.to_numeric(rows["value"]))


def _verdict(metrics: Mapping[str, Any]) -> str:
    """`no_signal` if the AUC interval reaches 0.5, else whether the best baseline is beaten."""
    low = metrics["model"]["auc"]["low"]
    if low is None or not low > 0.5:
        return "no_signal"
    return "better" if metrics["beats_best_baseline"] else "not_better"


def direction(row: Mapping[str, Any]) -> int:
    """+1 or -1 where the interval of a feature's slope excludes 0, else 0."""
    low, high = row.get("direction_low"), row.get("direction_high")
    if low is None or high is None:
        return 0
    return 1 if low > 0 else -1 if high < 0 else 0


def _contrast(row: Facts, points: Mapping[str, list[Facts]], catalog: Catalog) -> Facts | None:
    """A feature's two outermost bins if model and observation tell the same clear story."""
    if catalog.features[row["feature"]].unit not in PLAIN_UNITS:
        return None
    bins = [
        point
        for point in points[row["feature"]]
        if point["value"] is not None
        and point["observed_low"] is not None
        and point["n"] >= LEAST_CUSTOMERS
    ]
    sign = direction(row)
    if len(bins) < 2 or sign == 0:
        return None
    bins.sort(key=lambda point: sign * point["value"])
    low, high = bins[0], bins[-1]
    if not high["observed_low"] > low["observed_high"]:
        return None
    return {**row, "first": high, "second": low}


def _findings(tasks: Mapping[str, Facts]) -> list[Facts]:
    """At most three: what is wrong first, then how good the models are, then what is associated."""
    wrong, quality, factors = [], [], []
    for task, facts in tasks.items():
        if facts["skipped"]:
            wrong.append({"kind": "skipped", "task": task, "grade": "d"})
            continue
        is_snapshot = facts["event"] == "churn_snapshot"
        if is_snapshot:
            wrong.append({"kind": "snapshot", "task": task, "grade": "d"})
        verdict = facts["verdict"]
        if verdict == "better":
            quality.append({"kind": "found", "task": task, "grade": "measured"})
        else:
            grade = "d" if verdict == "no_signal" else "measured"
            wrong.append({"kind": verdict, "task": task, "grade": grade})
        if verdict != "no_signal" and facts["explained"] and not is_snapshot:
            contrast = facts["explained"]["contrast"]
            factors.append(
                {"kind": "factor" if contrast else "no_factor", "task": task}
                | {"grade": "c" if contrast else "d"}
            )
    room = FINDINGS - len(wrong) - len(factors)
    return [*wrong, *quality[: max(room, 0)], *factors][:FINDINGS]
