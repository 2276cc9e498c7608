"""The monitoring page: what moved, how it is judged, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.wording import MISSING, Catalog, Wording, clean, is_missing

FEATURES_SHOWN = 15
SHARES = ("mean", "mean_reference")
METRICS = {"value", "low", "high", "auc", "usual", "psi"}


def sentence(finding: Mapping[str, Any], language: str) -> dict[str, str]:
    """What was found and what to do: {"what", "todo"}. Features go by their names."""
    return _sentence(finding, Wording(language), Catalog({}, {}))


def _sentence(finding: Mapping[str, Any], w: Wording, catalog: Catalog) -> dict[str, str]:
    check, severity = finding["check"], finding["severity"]
    values = {name: _shown(name, value, w, catalog) for name, value in finding["values"].items()}
    values["task"] = w.get(f"monitor.task_{finding['task']}") if finding["task"] else ""
    return {
        "what": w.get("monitor.said")[f"{check}_{severity}"].format(**values),
        "todo": w.get("monitor.todo_for")[check],
    }


def _shown(name: str, value: Any, w: Wording, catalog: Catalog) -> str:
    if isinstance(value, list):
        return str(w.get("monitor.between").join(w.feature(each, catalog) for each in value))
    if name in ("reference", "as_of"):
        return w.date(value)
    if isinstance(value, str):
        return w.known("tables", value) if name == "table" else clean(value)
    if name in SHARES:
        return w.percent(value, 1)
    if name.endswith("_days"):
        return w.number(value, 1)
    return w.number(value, 2 if name in METRICS else 0)


def monitor_page(
    record: Mapping[str, Any], table: pd.DataFrame, catalog: Catalog, language: str
) -> str:
    """One self-contained HTML page of a run's summary and its table of features."""
    templates = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    w = Wording(language)
    findings = [
        {"severity": each["severity"]} | _sentence(each, w, catalog) for each in record["findings"]
    ]
    return environment.get_template("monitor.html").render(
        language=language,
        css=(templates / "leadership.css").read_text(encoding="utf-8"),
        w=w.get("monitor"),
        title=w.get("monitor.title").format(day=w.date(record["as_of"])),
        severity=record["severity"],
        findings=[each for each in findings if each["severity"] != "ok"],
        quiet=[each for each in findings if each["severity"] == "ok"],
        tasks=[
            _task(name, result, table[table["task"] == name], record["as_of"], w, catalog)
            for name, result in record["tasks"].items()
        ],
        freshness=[
            (
                w.known("tables", each["table"]),
                w.get(f"monitor.{each['severity']}"),
                w.number(each["silent_hours"]),
                w.number(each["usual"]),
            )
            for each in record["freshness"]
        ],
    )


def _task(
    name: str,
    result: Mapping[str, Any],
    table: pd.DataFrame,
    day: str,
    w: Wording,
    catalog: Catalog,
) -> dict[str, Any]:
    task = w.get(f"monitor.task_{name}")
    rank = table["severity"].map({"alarm": 0, "watch": 1, "ok": 2})
    excess = table["psi"] - table["psi_usual"].astype(float)
    order = pd.DataFrame({"rank": rank, "excess": -excess}).sort_values(
        ["rank", "excess"], kind="stable"
    )
    return {
        "name": task,
        "reference": w.get("monitor.reference").format(
            task=task,
            customers=w.number(result["customers"]),
            before=w.number(result["customers_reference"]),
            day=w.date(day),
            reference=w.date(result["reference"]),
            pairs=w.number(len(result["pairs"])),
        ),
        "features": [
            (
                w.feature(row["feature"], catalog),
                w.get(f"monitor.group_{row['group']}"),
                w.get(f"monitor.{row['severity']}"),
                w.number(row["psi"], 3),
                w.number(row["psi_usual"], 3),
                w.number(row["psi_noise"], 3),
                w.percent(row["missing"], 1),
                w.percent(row["missing_reference"], 1),
            )
            for row in table.loc[order.index[:FEATURES_SHOWN]].to_dict("records")
        ],
        "importance": [
            (w.feature(each["feature"], catalog), w.number(each["auc_lost"], 3))
            for each in result["classifier"]["importance"]
        ],
        "outcomes": [_origin(each, w) for each in result["outcomes"]],
    }


def _origin(each: Mapping[str, Any], w: Wording) -> tuple[str, ...]:
    def interval(metric: Mapping[str, Any], digits: int = 2) -> str:
        if is_missing(metric["value"]):
            return MISSING
        shown = {name: w.number(value, digits) for name, value in metric.items()}
        return str(w.get("monitor.from_to").format(**shown))

    return (
        w.date(each["as_of"]),
        w.number(each["customers"]),
        w.get(f"monitor.{each['severity']}"),
        interval(each["calibration_in_the_large"]),
        interval(each["calibration_intercept"]),
        interval(each["calibration_slope"]),
        interval(each["ece"], 3),
        interval(each["auc"]),
        interval(each["lift_top_decile"], 1),
    )
