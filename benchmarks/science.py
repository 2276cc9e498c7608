"""How much of the achievable skill the pipeline's models have, in worlds whose truth is known.

`python -m benchmarks.science [--seeds 11 12 13] [--worlds W1] [--customers 10000] [--origins 6]`

Every world and seed is run through the pipeline of this checkout in a project of its own; the
predictions of all test origins are then set beside those of an exact oracle for the same customers
and dates. 1.00 means as good as anyone could be who knows the whole recorded history and every
parameter of the process. `--write` puts the table into benchmarks/results/science.md. One seed
takes about three minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy.stats import spearmanr

from data.errors import InputError
from data.world.effects import LEVER, true_effects
from data.world.oracle import oracle
from features.labels import TASKS
from models import evaluation
from pipelines import evaluate, load, params, paths, stage

PACKAGES = ("data", "features", "models", "reports", "pipelines", "benchmarks")
STAGES = ("ingest", "tone", "featurize", "train churn", "train repeat_purchase", "explain churn")
RESULTS = paths.ROOT / "benchmarks" / "results" / "science.md"
NEEDED = {"churn": (0.90, 0.75, 0.85), "repeat_purchase": (0.93, 0.85, np.nan)}
"""Shares METHODS I.12 asks for in W1: of AUC - 0.5, of log-loss skill, of the lift."""
FAMILY_OF = {
    "first_response_1h": "responsiveness",
    "fcr": "resolution",
    "escalated": "resolution",
    "resolution_24h": "resolution",
    "repeat_info": "effort",
    "bot_trap": "automation",
    "language_match": "channels",
    "personal": "care",
    "follow_up": "care",
    "empathy": "agents",
    "feedback_acted_on": "voice",
}
"""The family of features that shows a lever."""
EFFECT_CUSTOMERS = 1_000
BEATEN_BY = 2.0  # standard errors: a model that beats the oracle by more is leaking


def main(arguments: list[str]) -> None:
    """Run all worlds and seeds, or judge the run in this project (`--judge FILE`)."""
    asked = _parser().parse_args(arguments)
    if asked.judge is not None:
        asked.judge.write_text(json.dumps(judge(asked.rollouts), sort_keys=True), encoding="utf-8")
        return
    rows = []
    for name in asked.worlds:
        for seed in asked.seeds:
            stage.say(f"science: world {name}, seed {seed}")
            rows.extend(run(name, seed, asked.customers, asked.origins, asked.rollouts))
            sys.stdout.write(_lines(pd.DataFrame(rows[-len(TASKS) :])) + "\n\n")
    page = _page(pd.DataFrame(rows), shlex.join(["python", "-m", "benchmarks.science", *arguments]))
    sys.stdout.write(page)
    if asked.write:
        stage.write_text(RESULTS, page)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.science", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11])
    parser.add_argument("--worlds", nargs="+", default=["W1"])
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--origins", type=int, default=6)
    parser.add_argument("--rollouts", type=int, default=64)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    return parser


def run(name: str, seed: int, customers: int, origins: int, rollouts: int) -> list[dict[str, Any]]:
    """One world and seed through the pipeline in a project of its own; one row per task."""
    with tempfile.TemporaryDirectory(prefix="science-") as home:
        project = Path(home)
        for package in PACKAGES:
            shutil.copytree(
                paths.ROOT / package,
                project / package,
                ignore=shutil.ignore_patterns("__pycache__", "results"),
            )
        settings = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
        settings["source"] |= {"name": "world", "first_as_of": None, "last_as_of": None}
        settings["world"] |= {"name": name, "seed": seed, "customers": customers}
        settings["train"]["test_origins"] = origins
        (project / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        for step in STAGES:
            _call(project, "pipelines.cli", *step.split())
        answer = project / "judged.json"
        _call(project, "benchmarks.science", "--judge", str(answer), "--rollouts", str(rollouts))
        found = json.loads(answer.read_text(encoding="utf-8"))
    return [{"world": name, "seed": seed, "task": task} | found[task] for task in TASKS]


def _call(project: Path, module: str, *arguments: str) -> None:
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InputError(f"{module} {' '.join(arguments)} failed: {done.stderr.strip()[-2000:]}")


def judge(rollouts: int) -> dict[str, dict[str, Any]]:
    """Per task, the figures of this project's run beside the oracle's."""
    settings = params.load()
    zone = load.summary()["time_zone"]
    predictions = {task: evaluate.predictions(task, settings) for task in TASKS}
    days = sorted(set().union(*(set(part["as_of"]) for part in predictions.values())))
    best = oracle(
        customers=settings.world.customers,
        months=settings.world.months,
        seed=settings.world.seed,
        world=settings.world.name,
        cutoffs=[at.to_pydatetime() for at in load.as_of_times(days, zone)],
        rollouts=rollouts,
    )
    best = best.assign(as_of=[load.day(at, zone) for at in best["as_of"]])
    found: dict[str, dict[str, Any]] = {}
    for task, predicted in predictions.items():
        mine = best[best["target"] == task]
        rows = predicted.merge(mine, on=["customer_id", "as_of"], how="inner")
        found[task] = compared(rows) | {
            "origins": int(rows["as_of"].nunique()),
            "unmatched": len(predicted) - len(rows),
            "oracle mc se": float(rows["mc_se"].mean()),
        }
        found[task] |= _beats(rows, settings.evaluate.resamples, settings.evaluate.seed)
    found["churn"]["rank agreement"] = _rank_agreement(settings)
    return found


def compared(rows: pd.DataFrame) -> dict[str, Any]:
    """The model's and the oracle's figures, and the shares of the achievable."""
    y = rows["y"].to_numpy()
    model, best, state = (
        evaluation.point_metrics(y, rows[name].to_numpy())
        for name in ("model", "p_hist", "p_state")
    )
    base = evaluation.point_metrics(y, np.full(len(y), y.mean()))["log_loss"]
    return {
        "rows": len(rows),
        "rate": float(y.mean()),
        "auc": model["auc"],
        "oracle auc": best["auc"],
        "class-knowing auc": state["auc"],
        "auc share": (model["auc"] - 0.5) / (best["auc"] - 0.5),
        "log loss": model["log_loss"],
        "oracle log loss": best["log_loss"],
        "log loss share": (base - model["log_loss"]) / (base - best["log_loss"]),
        "lift share": model["lift_top_decile"] / best["lift_top_decile"],
        "slope": model["calibration_slope"],
        "oracle slope": best["calibration_slope"],
    }


def _beats(rows: pd.DataFrame, resamples: int, seed: int) -> dict[str, Any]:
    """How far the model is from the oracle, and whether it is ahead by more than chance."""
    gap = evaluation.paired_gain(
        rows["y"].to_numpy(),
        rows["model"].to_numpy(),
        rows["p_hist"].to_numpy(),
        rows["customer_id"].to_numpy(),
        resamples=resamples,
        seed=seed,
    )["auc"]
    error = (gap["high"] - gap["low"]) / (2 * 1.959964)
    return {
        "auc gap": gap["value"],
        "auc gap low": gap["low"],
        "auc gap high": gap["high"],
        "beats the oracle": bool(gap["value"] > BEATEN_BY * error),
    }


def _rank_agreement(settings: params.Params) -> float:
    """Spearman correlation of SHAP and true effects over the families of levers, NaN in W0."""
    truth = true_effects(
        customers=min(EFFECT_CUSTOMERS, settings.world.customers),
        months=settings.world.months,
        seed=settings.world.seed,
        world=settings.world.name,
        rollouts=2,
        levers=[name for name in LEVER if name in FAMILY_OF],
    ).query("outcome == 'churn' and segment == 'all' and estimand == 'ticket_ATE'")
    size = truth.assign(family=truth["lever"].map(FAMILY_OF), size=truth["rd"].abs())
    largest = size.groupby("family")["size"].max()
    shap = pd.read_csv(paths.EXPLANATION / "churn" / "families.csv")
    shap = shap[shap["lever"]].set_index("family")
    both = pd.concat([largest, shap["mean_abs_shap"]], axis=1, join="inner").dropna()
    if both["size"].max() == 0:
        return float("nan")
    return float(spearmanr(both["size"], both["mean_abs_shap"]).statistic)


SHOWN = ("auc", "oracle auc", "auc share", "log loss share", "lift share", "slope")


def _lines(frame: pd.DataFrame) -> str:
    columns = ["world", "seed", "task", "origins", "rows", "rate", *SHOWN, "auc gap high"]
    return frame[columns].to_string(index=False, float_format=lambda value: f"{value:.3f}")


def _page(frame: pd.DataFrame, command: str) -> str:
    """benchmarks/results/science.md."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("lightgbm", "numpy", "pandas"))
    lines = [
        "# Share of the achievable skill",
        "",
        f"`{command}`, {datetime.now(UTC).date().isoformat()}, Python"
        f" {platform.python_version()}, {packages}.",
        "",
        "A share of 1.00 is the oracle's: (AUC - 0.5) / (oracle's AUC - 0.5), log-loss gained over"
        " the base rate, lift of the top tenth. Pooled over the test origins of a seed; mean over"
        " seeds, and the range.",
        "",
        "| world | task | seeds | origins | AUC | oracle AUC | AUC share | log-loss share"
        " | lift share | slope | beats the oracle |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += list(_rows(frame))
    agreement = frame.dropna(subset=["rank agreement"]) if "rank agreement" in frame else frame[:0]
    for name, part in agreement.groupby("world", sort=False):
        lines.append("")
        lines.append(
            f"{name}: Spearman correlation of SHAP importance and true effect (churn, per ticket)"
            f" over {len(set(FAMILY_OF.values()))} families of levers:"
            f" {_spread(part['rank agreement'])}. SHAP describes the model, not effects."
        )
    lines += ["", *_verdict(frame)]
    return "\n".join(lines) + "\n"


def _rows(frame: pd.DataFrame) -> Iterator[str]:
    for (name, task), part in frame.groupby(["world", "task"], sort=False):
        shares = " | ".join(
            _spread(part[column])
            for column in (
                "auc",
                "oracle auc",
                "auc share",
                "log loss share",
                "lift share",
                "slope",
            )
        )
        yield (
            f"| {name} | {task} | {len(part)} | {part['origins'].min()} | {shares}"
            f" | {int(part['beats the oracle'].sum())} of {len(part)} |"
        )


def _spread(values: pd.Series) -> str:
    if len(values) == 1:
        return f"{values.iloc[0]:.3f}"
    return f"{values.mean():.3f} ({values.min():.3f}-{values.max():.3f})"


def _verdict(frame: pd.DataFrame) -> Iterator[str]:
    """Whether W1 reaches what METHODS I.12 asks for."""
    for task, needed in NEEDED.items():
        part = frame[(frame["world"] == "W1") & (frame["task"] == task)]
        if part.empty:
            continue
        columns = ("auc share", "log loss share", "lift share")
        said = []
        for column, low in zip(columns, needed, strict=True):
            mean = part[column].mean()
            if np.isfinite(low):
                said.append(f"{column} {mean:.3f} ({'reaches' if mean >= low else 'misses'} {low})")
        yield f"W1 {task}: {', '.join(said)}."


if __name__ == "__main__":
    stage.run(lambda: main(sys.argv[1:]))
