"""How often monitoring alarms when nothing has changed, and how soon when something has.

`python -m benchmarks.monitoring [--worlds W1 W4 bot_rollout] [--seeds 11] [--customers 2000]`

Every world and seed is made and featurized in a project of its own. Then the last eight as-of dates
are lived through one after the other: on each, the churn model is trained as it would have been on
that day, and `retention monitor` compares. W1 does not change; W4 and bot_rollout change on
1 January 2025, so the first date that can show it is 1 February. `--write` puts the table into
benchmarks/results/monitoring.md. One world and seed takes about three minutes of CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from data.errors import InputError
from features.labels import LABELLED
from models.splits import replay_origin
from pipelines import load, monitor, params, paths, stage, train

PACKAGES = ("data", "features", "models", "reports", "pipelines", "benchmarks")
STAGES = ("ingest", "tone", "featurize")
RESULTS = paths.ROOT / "benchmarks" / "results" / "monitoring.md"
TASK = "churn"
CUTOFFS = 8
CHANGED = {"W4": "2025-01-01", "bot_rollout": "2025-01-01"}
"""From when a world is another one."""


def main(arguments: list[str]) -> None:
    """Live through all worlds and seeds, or through this project's (`--judge FILE`)."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitoring", description=__doc__)
    parser.add_argument("--worlds", nargs="+", default=["W1", "W4", "bot_rollout"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[11])
    parser.add_argument("--customers", type=int, default=2_000)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.judge is not None:
        asked.judge.write_text(json.dumps(judge(), sort_keys=True), encoding="utf-8")
        return
    found = []
    for name in asked.worlds:
        for seed in asked.seeds:
            stage.say(f"monitoring: world {name}, seed {seed}")
            found.append((name, seed, run(name, seed, asked.customers)))
    command = shlex.join(["python", "-m", "benchmarks.monitoring", *arguments])
    text = page(found, asked.customers, command)
    sys.stdout.write(text)
    if asked.write:
        stage.write_text(RESULTS, text)


def run(name: str, seed: int, customers: int) -> list[dict[str, Any]]:
    """One world through the pipeline in a project of its own; an entry per as-of date."""
    with tempfile.TemporaryDirectory(prefix="monitoring-") as home:
        project = Path(home)
        for package in PACKAGES:
            ignored = shutil.ignore_patterns("__pycache__", "results")
            shutil.copytree(paths.ROOT / package, project / package, ignore=ignored)
        settings = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
        settings["source"] |= {"name": "world", "first_as_of": None, "last_as_of": None}
        settings["world"] |= {"name": name, "seed": seed, "customers": customers}
        (project / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        for step in STAGES:
            _call(project, "pipelines.cli", step)
        answer = project / "judged.json"
        _call(project, "benchmarks.monitoring", "--judge", str(answer))
        judged: list[dict[str, Any]] = json.loads(answer.read_text(encoding="utf-8"))
    return judged


def _call(project: Path, module: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=project,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InputError(f"{module} {shlex.join(arguments)} failed: {done.stderr[-2000:]}")


def judge() -> list[dict[str, Any]]:
    """What monitoring says on the last dates of the project in the working directory."""
    settings = params.load()
    summary = load.summary()
    info = summary["tasks"][TASK]
    span = info["gap_days"] + info["horizon_days"] + info["lag_days"]
    times = load.as_of_times(summary["as_of"], summary["time_zone"])
    rows = load.feature_rows(TASK)
    rows = rows[rows[f"{TASK}_status"] == LABELLED].reset_index(drop=True)
    wanted = load.catalog(settings)
    models = paths.ARTIFACTS / "lived"
    out = []
    for day, at in list(zip(summary["as_of"], times, strict=True))[-CUTOFFS:]:
        origin = replay_origin(
            times,
            at,
            label_days=span,
            calibration_cutoffs=settings.train.calibration_cutoffs,
        )
        if origin is None:
            continue
        fitted, calibrated, _ = origin.rows(rows)
        model = train.fit(TASK, settings, rows, wanted, origin, fitted, calibrated)
        # The model of a date is the tested origin of that date once its outcomes are complete.
        for name in (paths.PRODUCTION, f"origin-{day}"):
            model.save(models / TASK / name)
        folder = paths.ARTIFACTS / "lived_out"
        monitor.main(date.fromisoformat(day), folder, models)
        said = stage.read_json(folder / "summary.json")
        out.append({"as_of": day, "severity": said["severity"], "findings": said["findings"]})
        stage.say(f"{day}: {said['severity']}")
    return out


def page(found: list[tuple[str, int, list[dict[str, Any]]]], customers: int, command: str) -> str:
    """The results as Markdown."""
    lines = [
        "# Monitoring",
        "",
        f"`{command}`: {customers:,} customers, the last {CUTOFFS} as-of dates, churn.",
        "",
        "| world | seed | alarms | first alarm | dates after the change | checks that alarmed |",
        "|---|---|---|---|---|---|",
    ]
    for name, seed, dates in found:
        alarmed = [each for each in dates if each["severity"] == "alarm"]
        checks = sorted(
            {
                finding["check"]
                for each in alarmed
                for finding in each["findings"]
                if finding["severity"] == "alarm"
            }
        )
        after = "–"
        changed = CHANGED.get(name)
        first = alarmed[0]["as_of"] if alarmed else "–"
        if changed is not None:
            later = [each["as_of"] for each in dates if each["as_of"] > changed]
            true = [each["as_of"] for each in alarmed if each["as_of"] > changed]
            after = str(later.index(true[0]) + 1) if true else "never"
        shown = f"{len(alarmed)} of {len(dates)}"
        lines.append(
            f"| {name} | {seed} | {shown} | {first} | {after} | {', '.join(checks) or '–'} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    stage.run(lambda: main(sys.argv[1:]))
