"""`retention tune`: choose a task's booster settings on the past and write them to params.yaml.

Only labels that were known at the first of the last SETTLED_ORIGINS test dates have a say, so no
date that is ever reported as tested does. The search is kept in tuning.db beside the MLflow
database: an interrupted one goes on, and changed features or folds begin a new one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data.errors import InputError
from features.labels import LABELLED
from models import splits, tuning
from models.splits import Origin
from pipelines import load, params, paths, stage, tracking, train
from pipelines.params import Params

SETTLED_ORIGINS = 6
"""METHODS tests on six dates; settings chosen before all six stay valid for fewer."""
FOLDS = 4
STUDIES = paths.ROOT / "tuning.db"


def main(
    task: str, *, trials: int = 40, minutes: float | None = None, write: bool = True
) -> Mapping[str, float]:
    """Search until `trials` trials are done or `minutes` are over; the settings that were best.

    They replace the numbers under train.<task> in params.yaml unless `write` is False. Raises
    InputError when the past is too short to choose on.
    """
    settings = params.load()
    origins = folds(task, settings)
    rows = load.feature_rows(task, {date for fold in origins for date in (*fold.train, fold.test)})
    rows = rows[rows[f"{task}_status"] == LABELLED].reset_index(drop=True)
    wanted = load.catalog(settings)
    stage.say(f"tune {task}: {len(origins)} folds, {len(rows):,} labelled rows, {trials} trials")
    encoded = tuning.folds_of(
        rows,
        rows[task].to_numpy(dtype=np.float64),
        origins,
        features=list(wanted),
        categories=[name for name, feature in wanted.items() if feature.unit == "category"],
        windowed=train.windowed(wanted),
    )
    zone = load.summary()["time_zone"]
    days = [load.day(fold.test, zone) for fold in origins]
    digest = load.folder_digest(paths.FEATURES, "bucket=*.parquet")
    name = (
        f"{settings.source.name} {task} {digest[:12]} {days[0]} {days[-1]} v{tuning.SPACE_VERSION}"
    )
    about = {"source": settings.source.name, "data_sha256": digest, "folds": ", ".join(days)}
    with tracking.tuning_run(task, settings, about) as log:

        def noted(result: tuning.TrialResult) -> None:
            named = {
                f"log_loss {day}": loss for day, loss in zip(days, result.losses, strict=False)
            }
            log.trial(
                result.number,
                result.settings,
                named | {"log_loss": result.loss},
                pruned=result.pruned,
            )
            verdict = "pruned" if result.pruned else "done"
            stage.say(f"tune {task}: trial {result.number} {verdict}, log-loss {result.loss:.5f}")

        results = tuning.search(
            encoded,
            storage=f"sqlite:///{STUDIES}",
            name=name,
            trials=trials,
            minutes=minutes,
            seed=settings.train.seed,
            on_trial=noted,
        )
        best = tuning.best_of(results)
        log.best(best.settings, best.loss)
    chosen = {key: best.settings[key] for key in params.BoosterParams.model_fields}
    stage.say(
        f"tune {task}: best of {len(results)} is trial {best.number}, log-loss {best.loss:.5f}: "
        + ", ".join(f"{key} {number:g}" for key, number in chosen.items())
    )
    if write:
        text = paths.PARAMS.read_text(encoding="utf-8")
        stage.write_text(paths.PARAMS, with_settings(text, ("train", task), chosen))
        stage.say(f"tune {task}: written to {paths.shown(paths.PARAMS)}; `dvc repro` uses them")
    return chosen


def folds(task: str, settings: Params) -> tuple[Origin, ...]:
    """The forward-chaining folds of a search, all before any tested date."""
    summary = load.summary()
    info = summary["tasks"][task]
    if info["skipped"]:
        raise InputError(f"{task} cannot be predicted from this source: {info['skipped']['en']}")
    dates = load.as_of_times(summary["as_of"], summary["time_zone"])
    observed_until = load.as_of_times([summary["observed_until"]], summary["time_zone"])[0]
    label_days = info["gap_days"] + info["horizon_days"] + info["lag_days"]
    tested = splits.test_origins(
        dates,
        observed_until,
        max(SETTLED_ORIGINS, settings.train.test_origins),
        label_days=label_days,
        calibration_cutoffs=settings.train.calibration_cutoffs,
    )
    if not tested:
        raise InputError(f"{task} has no test date, so there is no past to choose settings on")
    found = splits.tuning_folds(dates, tested[0].test, FOLDS, label_days=label_days)
    if not found:
        day = load.day(tested[0].test, summary["time_zone"])
        raise InputError(
            f"no label was complete before the first test date of {task}, {day}, that a model "
            "could have been trained for; keep the settings of params.yaml"
        )
    return found


def with_settings(text: str, section: tuple[str, ...], chosen: Mapping[str, float]) -> str:
    """YAML `text` with numbers under the mapping `section` replaced; all else stays as it is.

    Raises InputError naming the first key that is not there on a line of its own.
    """
    lines = text.split("\n")
    start, indent = 0, -1
    for key in section:
        start, indent = _line_of(lines, key, start, indent)
        start += 1
    for key, number in chosen.items():
        at, _ = _line_of(lines, key, start, indent)
        shown = f"{number:g}"
        lines[at] = re.sub(r"(:\s*)[^\s#]+", rf"\g<1>{shown}", lines[at], count=1)
    return "\n".join(lines)


def _line_of(lines: list[str], key: str, start: int, above: int) -> tuple[int, int]:
    """The line of `key` among those indented deeper than `above` from `start`, and its indent."""
    for at in range(start, len(lines)):
        bare = lines[at].strip()
        if not bare or bare.startswith("#"):
            continue
        indent = len(lines[at]) - len(lines[at].lstrip())
        if indent <= above:
            break
        if re.match(rf"{re.escape(key)}\s*:", bare):
            return at, indent
    raise InputError(f"{Path(paths.PARAMS).name}: there is no line for {key!r} to write to")
