"""`retention promote`, `rollback` and `champion`: which registered model is the one in use.

Promotion compares what the two models would have said at the time: on every test date of the
challenger, the challenger's model of that date against the newest of the champion's models that
existed then. Nothing is promoted unless `models.gate.judge` says so and every step before it ran.

Each decision is noted as tags on the challenger's version in MLflow and as a line of
promotions.jsonl beside the MLflow database; what is champion is the registry's alias alone.
"""

from __future__ import annotations

import getpass
import json
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.errors import InputError
from features.labels import LABELLED
from models.estimator import RetentionModel
from models.gate import Decision, judge
from models.splits import Origin
from pipelines import evaluate, load, params, paths, stage, tracking, train
from pipelines.params import Params
from pipelines.tracking import CHALLENGER, CHAMPION, Registered

LOG = paths.ROOT / "promotions.jsonl"


def main(task: str, *, by: str | None = None, why: str = "") -> None:
    """Make the challenger the champion if the gate lets it; exit code 1 if it does not.

    Raises InputError, and changes nothing, when there is nothing to compare.
    """
    settings = params.load()
    source = settings.source.name
    challenger = tracking.registered(source, task, CHALLENGER)
    if challenger is None:
        raise InputError(
            f"there is no challenger for {task} of source {source}; run `dvc repro` first"
        )
    champion = tracking.registered(source, task, CHAMPION)
    history = tracking.champions(source, task)
    if champion is None and history:
        raise InputError(
            f"{challenger.name} has had champions ({', '.join(map(str, history))}) but the alias "
            f"{CHAMPION!r} is gone; set it again in MLflow before promoting another"
        )
    if champion is not None and champion.version == challenger.version:
        raise InputError(f"{challenger.name} version {challenger.version} is already champion")

    stage.say(f"promote {task}: comparing {_named(challenger)} with {_named(champion)}")
    decision = _decide(task, settings, challenger, champion)
    record = _record("promote" if decision.promote else "refuse", task, challenger, by, why)
    record |= {"previous": champion.version if champion else None, **decision.to_dict()}
    tracking.tag_version(challenger, _tags(record, decision))
    if decision.promote:
        before = () if champion is None else (*_before(history, champion), champion.version)
        tracking.make_champion(challenger, (*before, challenger.version))
    _append(record)
    for check in decision.checks:
        verdict = "ok  " if check.passed else "FAIL"
        stage.say(f"promote {task}: {verdict} {check.name}: {check.detail}")
    if not decision.promote:
        stage.say(f"promote {task}: refused; {_named(champion)} stays")
        raise SystemExit(1)
    stage.say(f"promote {task}: {_named(challenger)} is champion")


def rollback(task: str, *, by: str | None = None, why: str = "") -> None:
    """Give the alias back to the champion before. Raises InputError when there was none."""
    source = params.load().source.name
    champion = tracking.registered(source, task, CHAMPION)
    if champion is None:
        raise InputError(f"there is no champion for {task} of source {source} to roll back")
    history = _before(tracking.champions(source, task), champion)
    if not history:
        raise InputError(
            f"{_named(champion)} of {champion.name} is the first champion; there is none before it"
        )
    restored = tracking.registered_version(source, task, history[-1])
    record = _record("rollback", task, restored, by, why) | {"previous": champion.version}
    tracking.tag_version(
        restored, {f"rollback.{key}": str(record[key]) for key in ("at", "by", "why", "previous")}
    )
    tracking.make_champion(restored, history)
    _append(record)
    stage.say(f"rollback {task}: {_named(restored)} is champion again, not {_named(champion)}")


def export(task: str, out: Path) -> None:
    """Copy the champion to `out`/<task>, for `retention score --models`."""
    source = params.load().source.name
    champion = tracking.registered(source, task, CHAMPION)
    if champion is None:
        raise InputError(f"there is no champion for {task} of source {source}; promote one first")
    with stage.fresh_folder(out / task) as folder:
        tracking.fetch(champion, folder)
    stage.say(f"champion {task}: {_named(champion)} is in {paths.shown(out / task)}")


def _decide(
    task: str, settings: Params, challenger: Registered, champion: Registered | None
) -> Decision:
    with tempfile.TemporaryDirectory() as scratch:
        folders = {}
        for name, version in ((CHALLENGER, challenger), (CHAMPION, champion)):
            if version is not None:
                folders[name] = Path(scratch) / name
                folders[name].mkdir()
                tracking.fetch(version, folders[name])
        rows, dimensions = _test_rows(task, settings, folders)
    return judge(
        rows,
        has_champion=champion is not None,
        risk_is_one=task == "churn",
        costs=evaluate.costs(task, settings),
        capacity=settings.score.capacity_share,
        dimensions=dimensions,
        resamples=settings.evaluate.resamples,
        seed=settings.evaluate.seed,
    )


def _test_rows(
    task: str, settings: Params, folders: Mapping[str, Path]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The labelled rows of the challenger's test dates with everybody's predictions.

    Dates on which the champion had no model yet are left out. Raises InputError when the feature
    table is not the one the challenger was trained and tested on.
    """
    manifest = stage.read_json(folders[CHALLENGER] / paths.PRODUCTION / "manifest.json")
    if manifest["about"]["features_sha256"] != load.folder_digest(
        paths.FEATURES, "bucket=*.parquet"
    ):
        raise InputError(
            "artifacts/features is not the feature table of the challenger; run `dvc repro`, "
            "which registers a challenger for it, and promote again"
        )
    origins = train.origins(task, settings)[0]
    if not origins:
        raise InputError(f"{task} has no test date, so nothing can be compared")
    zone = load.summary()["time_zone"]
    labelled = load.feature_rows(task)
    labelled = labelled[labelled[f"{task}_status"] == LABELLED].reset_index(drop=True)
    parts = [
        part
        for origin in origins
        if (part := _predicted(task, zone, labelled, origin, folders)) is not None
    ]
    if not parts:
        raise InputError("the champion is newer than every test date; nothing can be compared")
    rows = pd.concat(parts, ignore_index=True)
    known = {"customer_id", "as_of", "y", "prior", CHALLENGER, CHAMPION}
    return rows, ("as_of", *(str(name) for name in rows.columns if name not in known))


def _predicted(
    task: str,
    zone: str,
    labelled: pd.DataFrame,
    origin: Origin,
    folders: Mapping[str, Path],
) -> pd.DataFrame | None:
    fit, calibration, test = origin.rows(labelled)
    held_out, day = labelled.iloc[test], load.day(origin.test, zone)
    y = labelled[task].to_numpy(dtype=np.float64)
    part = pd.DataFrame(
        {
            "customer_id": held_out["customer_id"].to_numpy(),
            "as_of": day,
            "y": y[test],
            "prior": y[np.concatenate([fit, calibration])].mean(),
            CHALLENGER: RetentionModel.load(folders[CHALLENGER] / f"origin-{day}").predict(
                held_out
            ),
        }
    )
    if CHAMPION in folders:
        newest = _newest(folders[CHAMPION], day)
        if newest is None:
            return None
        part[CHAMPION] = RetentionModel.load(newest).predict(held_out)
    return pd.concat([part, evaluate.dimensions(held_out).reset_index(drop=True)], axis=1)


def _newest(folder: Path, day: str) -> Path | None:
    """The latest model of a run made for a date no later than `day` (ISO)."""
    made = {
        stage.read_json(path / "manifest.json")["about"]["test_as_of"]: path
        for path in sorted(folder.iterdir())
        if (path / "manifest.json").exists()
    }
    before = [date for date in made if date <= day]
    return made[max(before)] if before else None


def _before(history: tuple[int, ...], champion: Registered) -> tuple[int, ...]:
    """The champions before this one; all of them when its alias was set by hand."""
    if champion.version not in history:
        return history
    last = len(history) - 1 - history[::-1].index(champion.version)
    return history[:last]


def _record(
    action: str, task: str, version: Registered, by: str | None, why: str
) -> dict[str, Any]:
    return {
        "action": action,
        # The one place that asks the clock: a decision happens when it happens.
        "at": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
        "by": by or getpass.getuser(),
        "why": why,
        "task": task,
        "model": version.name,
        "version": version.version,
        "model_sha256": version.sha256,
    }


def _tags(record: Mapping[str, Any], decision: Decision) -> dict[str, str]:
    tags = {f"gate.{key}": str(record[key]) for key in ("action", "at", "by", "why", "previous")}
    for check in decision.checks:
        tags[f"gate.{check.name}"] = f"{'ok' if check.passed else 'FAIL'}: {check.detail}"[:4000]
    return tags


def _append(record: Mapping[str, Any]) -> None:
    line = json.dumps(record, ensure_ascii=False, sort_keys=True, allow_nan=False)
    with LOG.open("a", encoding="utf-8", newline="\n") as file:
        file.write(line + "\n")


def _named(version: Registered | None) -> str:
    return "the base rate" if version is None else f"version {version.version}"
