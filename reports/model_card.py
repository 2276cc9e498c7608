"""The model card of a task: what the model is for, how good it is, and where it must not be used.

One page of Markdown per language from the same figures. The texts are the templates
`templates/model_card.<language>.md`. After Mitchell et al. 2019, "Model cards for model reporting".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.wording import Wording, clean

METRICS = ("auc", "pr_auc", "lift_top_decile", "log_loss", "brier", "ece", "calibration_slope")
DIGITS = 3


def model_card(
    task: str,
    language: str,
    *,
    metrics: Mapping[str, Any],
    slices: pd.DataFrame,
    manifest: Mapping[str, Any],
    labels: Mapping[str, Any],
) -> str:
    """Markdown; the same arguments give the same bytes.

    `metrics` and `slices` are what stage evaluate wrote, `manifest` is that of the model in use and
    `labels` the task's definition (definition, gap_days, horizon_days, lag_days).
    """
    w = Wording(language)
    event = task if task != "churn" else f"churn_{labels['definition']}"

    def interval(figures: Mapping[str, float | None] | None, digits: int = DIGITS) -> str:
        if figures is None:
            return w.number(None)
        value, low, high = (w.number(figures[key], digits) for key in ("value", "low", "high"))
        return f"{value} [{low}, {high}]"

    def named(key: object, table: str) -> str:
        return w.get("model_card").get(str(key)) or w.known(table, key)

    judged = slices[slices["is_judged"]].astype({"value": str})
    return _template(language).render(
        w=w,
        interval=interval,
        title=w.get(f"event.{event}.title"),
        definition=_definition(w, event, labels),
        is_snapshot=labels["definition"] == "snapshot",
        did=w.get(f"event.{event}.did"),
        metrics=metrics,
        measures=[
            (w.get(f"metrics.{name}.name"), w.get(f"metrics.{name}.plain"), metrics["model"][name])
            for name in METRICS
        ],
        rules=[
            (w.known("baselines", name), figures) for name, figures in metrics["baselines"].items()
        ],
        best_rule=w.known("baselines", metrics["best_baseline"]),
        support=metrics["gain_of_support_features"],
        levers=metrics["gain_of_levers"],
        slices=[
            {
                "dimension": named(row["dimension"], "dimensions"),
                "value": named(row["value"], "categories"),
                "n": row["n"],
                "auc": interval(
                    {"value": row["auc"], "low": row["auc_low"], "high": row["auc_high"]}, 2
                ),
                "level": w.number(row["calibration_in_the_large"], 2),
                "missed": w.percent(row["missed_share"]),
                "flag": row["flag"] if isinstance(row["flag"], str) else "",
            }
            for row in judged.to_dict("records")
        ],
        not_judged=len(slices) - len(judged),
        manifest=manifest,
        source=clean(manifest["about"]["source"]),
        dates={
            part: (min(days), max(days))
            for part in ("train", "calibration")
            if (days := manifest["about"][f"{part}_as_of"])
        }
        | {"test": (metrics["test_as_of"][0], metrics["test_as_of"][-1])},
    )


def _definition(w: Wording, event: str, labels: Mapping[str, Any]) -> str:
    days = {name: labels.get(f"{name}_days") for name in ("gap", "horizon", "lag")}
    return str(w(f"event.{event}.definition", **days))


def _template(language: str) -> Any:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        # Markdown, not a page: text from data passes `clean`, which keeps it on one line.
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template(f"model_card.{language}.md")
