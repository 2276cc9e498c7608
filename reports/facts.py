"""What the leadership report says: results -> facts, independent of language and layout."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.wording import Catalog, is_missing

FINDINGS = 3
CURVES = 6
CHANGES = 4
COMPARED = ("gain_of_support_features", "gain_of_levers")
CLAIMED = ("A", "B")
"""Evidence grades that allow the words "estimated effect"; below them it is an association."""

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
    kpis: Mapping[str, Any] | None = None,
    claims: Sequence[Mapping[str, Any]] | None = None,
    effects: Mapping[str, Any] | None = None,
    scores: Mapping[str, pd.DataFrame] | None = None,
    compared: Facts | None = None,
) -> Facts:
    """Everything the report says, language independent and ready for JSON.

    `contract`, `summary` and the metrics are the JSON artifacts; `evaluation[task]` also holds the
    frames `reliability`, `gains`, `by_as_of`, and `explanation[task]` the `summary` and the frames
    `families`, `features`, `dependence`. A task that was skipped keeps only its sentence. `about`
    names what the report was made from (`data`, `model_churn`, ... -> hash; `company` optional).
    `capacity` is the share of customers the retention team can contact.

    What a run may not have is None: `kpis` (`table` and `summary`), `claims`, `effects` (`table`
    and `summary`), and `scores`, the ranked list of each task, of which totals are kept. `compared`
    is the facts of an earlier report.
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
    dates = sorted(summary["as_of"])
    facts = {
        "about": dict(about),
        "contract": dict(contract),
        "summary": {key: summary[key] for key in ("rows", "customers", "features")},
        "capacity": capacity,
        "period": {"first": dates[0], "last": dates[-1]},
        "tasks": tasks,
        "kpis": None if kpis is None else _kpi_facts(kpis),
        "claims": None if claims is None else list(claims),
        "effects": None if effects is None else _effect_facts(effects),
        "stake": {
            task: _stake(frame, tasks[task])
            for task, frame in (scores or {}).items()
            if not tasks[task]["skipped"] and tasks[task]["verdict"] != "no_signal" and len(frame)
        },
    }
    facts = _plain(facts)
    facts["findings"] = _findings(facts, catalog)
    facts["compared"] = None if compared is None else _comparison(compared, facts)
    return facts


def _kpi_facts(kpis: Mapping[str, Any]) -> Facts:
    """The KPI table as rows, and the headline KPIs of the last 90 days that left the year's range.

    The 90 days are part of the year, which makes an interval that does not touch the year's rarer
    than chance: what is called a change is one.
    """
    rows = _plain(kpis["table"])
    found = {(row["kpi"], row["dimension"]): row for row in rows if row["value_of"] in (None, "")}
    changes = []
    for (kpi, dimension), now in found.items():
        year = found.get((kpi, "all"))
        if dimension != "recent" or year is None or None in (now["low"], year["low"]):
            continue
        if now["low"] > year["high"] or now["high"] < year["low"]:
            width = max(now["high"] - now["low"], 1e-12)
            size = abs(now["value"] - year["value"]) / width
            changes.append({"kpi": kpi, "panel": now["panel"], "size": size})
    changes.sort(key=lambda change: (-change["size"], change["kpi"]))
    return {"summary": kpis["summary"], "rows": rows, "changes": changes}


def _effect_facts(effects: Mapping[str, Any]) -> Facts:
    """The effect of each lever, the best evidence first and the largest effect first."""
    summary = effects["summary"]
    rows = [] if summary.get("skipped") else _plain(effects["table"])
    rows.sort(key=lambda row: (row["grade"], -abs(row["theta"] or 0.0), row["lever"]))
    return {"summary": dict(summary), "rows": rows}


def _stake(ranked: pd.DataFrame, facts: Facts) -> Facts:
    """Totals over a ranked list: customers, those of high tier, expected events and their worth.

    With a column `value_at_risk` in the list (risk times the customer's own value) the worth is
    its sum; otherwise the declared value of a kept customer times the expected number.
    """
    expected = float(ranked["risk"].sum())
    worth, each = None, None
    if "value_at_risk" in ranked and ranked["value_at_risk"].notna().any():
        worth = float(ranked["value_at_risk"].sum())
    elif facts["value"]:
        each = facts["value"]["costs"]["customer_value"]
        worth = expected * each
    high = ranked[ranked["tier"] == "high"]
    return {
        "customers": len(ranked),
        "high": len(high),
        "expected": expected,
        "expected_high": float(high["risk"].sum()),
        "worth": worth,
        "customer_value": each,
    }


def _comparison(before: Facts, now: Facts) -> Facts:
    """Figures of two reports side by side; `path` leads to the figure in either's facts.

    A figure that one of them lacks is left out. KPIs compare the last 90 days of each.
    """
    rows = []
    for task in now["tasks"]:
        for kind, path in (
            ("base_rate", ("tasks", task, "base_rate")),
            ("auc", ("tasks", task, "model", "auc", "value")),
            ("expected", ("stake", task, "expected")),
            ("high", ("stake", task, "high")),
        ):
            values = [_follow(facts, path) for facts in (before, now)]
            if None not in values:
                rows.append({"kind": kind, "task": task, "before": values[0], "now": values[1],
                             "path": list(path)})  # fmt: skip
    kpis = []
    if before.get("kpis") and now["kpis"]:
        past = {
            row["kpi"]: (number, row)
            for number, row in enumerate(before["kpis"]["rows"])
            if row["dimension"] == "recent"
        }
        for row in now["kpis"]["rows"]:
            if row["dimension"] != "recent" or row["kpi"] not in past:
                continue
            number, old = past[row["kpi"]]
            if None in (old["low"], row["low"], old["value"], row["value"]):
                continue
            if row["low"] > old["high"] or row["high"] < old["low"]:
                kpis.append({"kpi": row["kpi"], "panel": row["panel"], "before_row": number,
                             "before": old["value"], "now": row["value"]})  # fmt: skip
    return {"period": before["period"], "rows": rows, "kpis": kpis}


def _follow(facts: Any, path: Sequence[str]) -> Any:
    for key in path:
        if not isinstance(facts, Mapping) or facts.get(key) is None:
            return None
        facts = facts[key]
    return facts


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
        **{key: metrics.get(key) for key in (*COMPARED, "value")},
        "support_adds": _adds(metrics.get("gain_of_support_features")),
        "levers_add": _adds(metrics.get("gain_of_levers")),
        **{key: _plain(evaluation[key]) for key in ("reliability", "gains", "by_as_of")},
        "slices": _plain(evaluation["slices"]) if "slices" in evaluation else [],
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
            "features": [row for row in features if row["mean_abs_shap"]],
            "support": [row for row in features if row["lever"]][:TOP_SUPPORT],
            "context": [row for row in features if not row["lever"]][:TOP_CONTEXT],
            "curves": [{**row, "points": points[row["feature"]]} for row in curves[:CURVES]],
            "contrasts": [
                found for row in curves if (found := _contrast(row, points, catalog)) is not None
            ],
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


def _adds(gain: Mapping[str, Any] | None) -> str | None:
    """ "yes", "no" (beyond doubt worse) or "unclear": do the features lower the log-loss."""
    if not gain or gain["log_loss"]["low"] is None:
        return None
    loss = gain["log_loss"]
    return "yes" if loss["low"] > 0 else "no" if loss["high"] < 0 else "unclear"


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


def _findings(facts: Facts, catalog: Catalog) -> list[Facts]:
    """At most three, of different families: what is wrong, then the best evidence there is.

    Estimated effects (grades A and B) come before associations (C); how well the models predict
    fills what room is left.
    """
    wrong, quality = [], []
    factors: list[Facts] = []
    shown: set[str] = set()
    if facts["effects"]:
        for number, row in enumerate(facts["effects"]["rows"]):
            family = catalog.family_of_lever(row["lever"])
            if row["grade"] in CLAIMED and family not in shown:
                shown.add(family)
                factors.append({"kind": "effect", "task": "", "row": number,
                                "grade": row["grade"].lower()})  # fmt: skip
    associated: list[Facts] = []
    for task, about in facts["tasks"].items():
        if about["skipped"]:
            wrong.append({"kind": "skipped", "task": task, "grade": "d"})
            continue
        is_snapshot = about["event"] == "churn_snapshot"
        if is_snapshot:
            wrong.append({"kind": "snapshot", "task": task, "grade": "d"})
        verdict = about["verdict"]
        if verdict == "better":
            quality.append({"kind": "found", "task": task, "grade": "measured"})
        else:
            grade = "d" if verdict == "no_signal" else "measured"
            wrong.append({"kind": verdict, "task": task, "grade": grade})
        if verdict != "no_signal" and about["explained"] and not is_snapshot:
            contrasts = about["explained"]["contrasts"]
            associated += [
                {"kind": "factor", "task": task, "grade": "c", "row": number,
                 "family": row["family"]}
                for number, row in enumerate(contrasts)
            ]  # fmt: skip
            if not contrasts:
                quality.append({"kind": "no_factor", "task": task, "grade": "d"})
    # The strongest of each task in turn, so that one task does not take all the room.
    for task in facts["tasks"]:
        own = [row for row in associated if row["task"] == task and row["family"] not in shown]
        if own:
            shown.add(own[0]["family"])
            factors.append(own[0])
    for row in associated:
        if row["family"] not in shown:
            shown.add(row["family"])
            factors.append(row)
    room = FINDINGS - len(wrong)
    return [*wrong, *[*factors, *quality][: max(room, 0)]][:FINDINGS]
