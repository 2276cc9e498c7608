"""`retention monitor`: is the model still looking at the customers it was trained for?

Compares the customers of one as-of date with the production model's last training date, everything
against earlier dates that lie as far apart (`models.drift`); checks that each table still arrives,
and how the predictions whose outcomes are complete by then turned out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from data import source
from data.errors import InputError
from features.catalog import FAMILIES, Feature
from features.declare import Attribute
from features.labels import LABELLED, TASKS
from features.streams import STREAM
from models import drift
from models.drift import Bins, Severity, judged
from models.estimator import MANIFEST, RetentionModel
from models.evaluation import bootstrap_metrics
from models.splits import DAY, label_end
from pipelines import load, params, paths, stage
from pipelines.params import MonitorParams, Params
from reports.monitor import monitor_page, sentence
from reports.wording import Catalog

NEW_DATES = 3
"""A newcomer is a customer who was not there so many as-of dates ago."""

RECENT_DAYS = 60
"""A recent ticket came within the shortest window of at least so many days."""

SILENCE_FACTOR = 2.0
"""A table is silent when nothing came for so many times its longest gap of the last year."""

LEAST_SILENCE_HOURS = 24.0
LEAST_EVENTS = 20
SCORE = "score"
COLUMNS = (
    "task",
    "group",
    "feature",
    "severity",
    "psi",
    "psi_usual",
    "psi_noise",
    "psi_noise_group",
    "missing",
    "missing_reference",
    "missing_usual",
    "ks",
    "ks_p",
    "ks_q",
    "n_reference",
    "n",
    "pairs",
)
Finding = dict[str, Any]


def main(as_of: date | None = None, out: Path | None = None, models: Path | None = None) -> bool:
    """Write summary.json, features.csv and a page per language; True if anything alarms.

    `as_of` is a date of the feature table, the last if not given. Raises InputError when it is
    not, when there is nothing to compare with, or when no task has a model.
    """
    settings = params.load()
    summary = load.summary()
    chosen = source.load(settings.source.name)
    day = _chosen_day(as_of, summary, snapshot=chosen.snapshot)
    at = load.as_of_times([day], summary["time_zone"])[0]
    contract = stage.read_json(paths.CONTRACT)
    findings: list[Finding] = []
    tasks: dict[str, Any] = {}
    tables = []
    for task in TASKS:
        home = (models or paths.MODELS) / task
        if load.skipped(home) or not (home / paths.PRODUCTION / MANIFEST).exists():
            continue
        stage.say(f"monitor {task}: {day}")
        result, table, found = _task(task, day, home, settings, summary, contract)
        tasks[task] = result
        tables.append(table)
        findings += found
    if not tasks:
        raise InputError(f"no task has a model in {models or paths.MODELS}; run `dvc repro train`")
    fresh = freshness(paths.TABLES, contract["tables"], at, chosen.may_end)
    findings += _freshness_findings(fresh)
    findings.sort(key=lambda each: _ORDER[each["severity"]])
    record: dict[str, Any] = {
        "as_of": day,
        "source": settings.source.name,
        "severity": drift.worst(each["severity"] for each in findings),
        "findings": [each | {n: sentence(each, n) for n in ("en", "ja")} for each in findings],
        "tasks": tasks,
        "freshness": fresh,
    }
    table = pd.concat(tables, ignore_index=True)
    catalog = Catalog(load.catalog(settings), FAMILIES)
    folder = out or paths.MONITOR
    _check_folder(folder)
    with stage.fresh_folder(folder) as new:
        stage.write_json(new / "summary.json", record)
        stage.write_text(new / "features.csv", table.to_csv(index=False, float_format="%.6g"))
        for language in settings.monitor.languages:
            page = monitor_page(record, table, catalog, language)
            stage.write_text(new / f"page.{language}.html", page)
    for each in record["findings"]:
        if each["severity"] != "ok":
            stage.say(f"monitor: {each['severity']}: {each['en']['what']}")
    stage.say(f"monitor: {record['severity']}, {paths.shown(folder.resolve())}")
    return bool(record["severity"] == "alarm")


_ORDER: dict[Severity, int] = {"alarm": 0, "watch": 1, "ok": 2}


def _check_folder(folder: Path) -> None:
    ours = {"summary.json", "features.csv"}
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; choose another folder with --out")
    there = {path.name for path in folder.iterdir()} if folder.exists() else set()
    stray = sorted(name for name in there - ours if not name.startswith("page."))
    if stray:
        raise InputError(
            f"{folder} holds {stray[0]}, which is no output of this command; choose another folder"
            " with --out"
        )


def _chosen_day(as_of: date | None, summary: Mapping[str, Any], *, snapshot: bool) -> str:
    days = summary["as_of"]
    if snapshot:
        raise InputError("a snapshot has one date: there is nothing earlier to compare it with")
    if as_of is None:
        return str(days[-1])
    if as_of.isoformat() not in days:
        raise InputError(
            f"--as-of {as_of}: the feature table has {len(days)} as-of dates from {days[0]} to"
            f" {days[-1]}, and this is none of them; choose one, or run `dvc repro featurize`"
        )
    return as_of.isoformat()


def _task(
    task: str,
    day: str,
    home: Path,
    settings: Params,
    summary: Mapping[str, Any],
    contract: Mapping[str, Any],
) -> tuple[dict[str, Any], pd.DataFrame, list[Finding]]:
    model = RetentionModel.load(home / paths.PRODUCTION)
    about = model.record["about"]
    trained, calibrated = about["train_as_of"][-1], about["calibration_as_of"][-1]
    if calibrated >= day:
        raise InputError(
            f"the production model of {task} knows dates until {calibrated}, so it cannot be"
            f" monitored as of {day}; choose a later --as-of or an earlier model with --models"
        )
    features = {
        name: f for name, f in load.catalog(settings).items() if name in summary["feature_names"]
    }
    watched = [f for f in features.values() if drift.compared(f)]
    known = [each for each in summary["as_of"] if each <= day]
    rows = load.feature_rows(task, load.as_of_times(known, summary["time_zone"]))
    rows["day"] = rows["as_of"].dt.tz_convert(summary["time_zone"]).dt.strftime("%Y-%m-%d")
    by_day = {str(key): part for key, part in rows.groupby("day")}
    if trained not in by_day or day not in by_day:
        raise InputError(
            f"the feature table has no {task} customers on {trained} or {day}; the model is of"
            " other data, run `dvc repro`"
        )
    pairs = drift.lag_pairs(by_day, trained, day)[-settings.monitor.pairs :]
    begins = {
        name: pd.Timestamp(each["first_known_at"])
        for name, each in contract["tables"].items()
        if each["first_known_at"]
    }
    table = feature_table(by_day, trained, day, pairs, watched, begins, summary["time_zone"])
    table.insert(0, "task", task)
    classifier = two_samples(by_day, trained, day, pairs, watched, begins, settings.monitor)
    score = _scores(model, by_day, calibrated, day, settings.monitor)
    outcomes = _outcomes(task, home, by_day, day, summary, settings.monitor)
    result = {
        "reference": trained,
        "calibrated": calibrated,
        "pairs": [list(pair) for pair in pairs],
        "customers": len(by_day[day]),
        "customers_reference": len(by_day[trained]),
        "classifier": classifier,
        "score": score,
        "outcomes": outcomes,
        "labels": _labels(summary["tasks"][task], day, summary["time_zone"]),
    }
    return result, table, _findings(task, result, table)


def settled(
    feature: Feature,
    day: str,
    begins: Mapping[str, pd.Timestamp],
    zone: str,
    at_most: int | None = None,
) -> bool:
    """Whether the feature's tables had been recorded long enough on `day`.

    Long enough is as `models.drift.settled_days` says, or `at_most` so many days.
    """
    needed = drift.settled_days(feature)
    if at_most is not None:
        needed = min(needed, at_most)
    if isinstance(feature.source, Attribute) or feature.stream is None:
        return True
    starts = [begins[name] for name in STREAM[feature.stream].needs if name in begins]
    at = pd.Timestamp(day, tz=zone)
    return not starts or bool(round((at - max(starts)) / DAY) >= needed)


@dataclass(frozen=True)
class Group:
    """Some of the customers of a date, and the features on which they are compared.

    `chosen` gives None where the date is too early to tell who belongs. Of a longer window only
    `settled_days` must have been recorded, for nothing of these customers lies further back.
    """

    chosen: Callable[[str], pd.DataFrame | None]
    features: tuple[Feature, ...]
    settled_days: int | None = None


def groups(by_day: Mapping[str, pd.DataFrame], watched: Sequence[Feature]) -> dict[str, Group]:
    """Who is compared on which features, by the name of the group.

    A change of who comes shows first among newcomers. One of how support works shows first among
    those whose every ticket of the longest window is a recent one: their features over any window
    tell of recent support alone. Among all customers both drown.
    """
    days = sorted(by_day)

    def newcomers(day: str) -> pd.DataFrame | None:
        place = days.index(day) - NEW_DATES
        if place < 0:
            return None
        return by_day[day][~by_day[day]["customer_id"].isin(by_day[days[place]]["customer_id"])]

    out = {
        "all": Group(by_day.get, tuple(watched)),
        "new": Group(newcomers, tuple(f for f in watched if f.unit == "category")),
    }
    counts = {f.window: f.name for f in watched if f.base == "ticket_count" and f.window}
    recent = min((window for window in counts if window >= RECENT_DAYS), default=None)
    if recent is not None and recent < max(counts):
        lately, ever = counts[recent], counts[max(counts)]

        def contact(day: str) -> pd.DataFrame:
            rows = by_day[day]
            return rows[(rows[lately] > 0) & (rows[lately] == rows[ever])]

        about = tuple(
            f
            for f in watched
            if f.lever and f.kind != "trend" and f.stream and "tickets" in STREAM[f.stream].needs
        )
        out["contact"] = Group(contact, about, recent)
    return out


def feature_table(
    by_day: Mapping[str, pd.DataFrame],
    reference: str,
    day: str,
    pairs: Sequence[tuple[str, str]],
    watched: Sequence[Feature],
    begins: Mapping[str, pd.Timestamp],
    zone: str,
) -> pd.DataFrame:
    """One row per group and feature: distances now, what is usual at this lag, and the severity."""
    out = []
    for name, group in groups(by_day, watched).items():
        sides = {
            each: group.chosen(each) for each in {reference, day, *(d for p in pairs for d in p)}
        }
        before, now = sides[reference], sides[day]
        if before is None or now is None or min(len(before), len(now)) < drift.LEAST_ROWS:
            continue
        features = [
            f for f in group.features if settled(f, reference, begins, zone, group.settled_days)
        ]
        for feature in features:
            usable = [
                (a, b)
                for a, b in pairs
                if settled(feature, a, begins, zone, group.settled_days)
                and all(s is not None and len(s) >= drift.LEAST_ROWS for s in (sides[a], sides[b]))
            ]
            out.append(
                {"group": name}
                | _feature_row(feature, sides, reference, day, usable, len(features))
            )
    table = pd.DataFrame(out, columns=list(COLUMNS[1:]))
    for name in table["group"].unique():
        inside = table["group"] == name
        table.loc[inside, "ks_q"] = drift.benjamini_hochberg(table.loc[inside, "ks_p"].tolist())
    return table


def _feature_row(
    feature: Feature,
    sides: Mapping[str, pd.DataFrame | None],
    reference: str,
    day: str,
    pairs: Sequence[tuple[str, str]],
    tried: int,
) -> dict[str, Any]:
    """One feature of a group in which `tried` of them are looked at."""

    def column(each: str) -> pd.Series:
        side = sides[each]
        assert side is not None
        return side[feature.name]

    category = feature.unit == "category"
    bins = Bins.of(column(reference), category=category)
    counts = {
        each: bins.counts(column(each)) for each in {reference, day, *(d for p in pairs for d in p)}
    }
    missing = {each: float(c[-1] / c.sum()) for each, c in counts.items()}
    sizes = counts[reference], counts[day]
    value, noise = drift.psi(*sizes), drift.psi_bound(*sizes)
    # So many features are looked at that one in a hundred would pass the bound of each.
    noise_group = drift.psi_bound(*sizes, level=1 - (1 - drift.LEVEL) / tried)
    severity, usual = judged(
        value,
        [drift.psi(counts[a], counts[b]) for a, b in pairs],
        margin=drift.PSI_MARGIN,
        noise=noise_group,
    )
    missing_noise = drift.share_bound(missing[reference], sizes[0].sum(), sizes[1].sum(), tried)
    moved, missing_usual = judged(
        abs(missing[day] - missing[reference]),
        [abs(missing[b] - missing[a]) for a, b in pairs],
        margin=drift.MISSING_MARGIN,
        noise=missing_noise,
    )
    distance, p = (float("nan"),) * 2 if category else drift.ks(column(reference), column(day))
    return {
        "feature": feature.name,
        "severity": drift.worst([severity, moved]),
        "psi": value,
        "psi_usual": usual,
        "psi_noise": noise,
        "psi_noise_group": noise_group,
        "missing": missing[day],
        "missing_reference": missing[reference],
        "missing_usual": missing_usual,
        "ks": distance,
        "ks_p": p,
        "ks_q": float("nan"),
        "n_reference": int(counts[reference].sum()),
        "n": int(counts[day].sum()),
        "pairs": len(pairs),
    }


def two_samples(
    by_day: Mapping[str, pd.DataFrame],
    reference: str,
    day: str,
    pairs: Sequence[tuple[str, str]],
    watched: Sequence[Feature],
    begins: Mapping[str, pd.Timestamp],
    wanted: MonitorParams,
) -> dict[str, Any]:
    """The classifier two-sample test now and on the earlier pairs, and what it goes by.

    On the features that were settled on the first date of all, so that every pair is asked the
    same.
    """
    first = min([reference, *(a for a, _ in pairs)])
    features = [f for f in watched if settled(f, first, begins, "UTC")]
    names = [f.name for f in features]
    categories = [f.name for f in features if f.unit == "category"]

    def test(a: str, b: str, *, attribute: bool = False) -> drift.TwoSample:
        before, now = (_some(by_day[each], wanted.rows) for each in (a, b))
        return drift.two_sample(
            before, now, names, categories, seed=wanted.seed, attribute=attribute
        )

    earlier = [test(a, b).auc for a, b in pairs]
    now = test(reference, day)
    severity, usual = judged(now.auc, earlier, margin=drift.AUC_MARGIN)
    importance: dict[str, float] = {}
    if severity != "ok":
        importance = test(reference, day, attribute=True).importance
    top = sorted(importance.items(), key=lambda item: (-item[1], item[0]))[:10]
    return {
        "severity": severity,
        "auc": _number(now.auc),
        "usual": usual,
        "earlier": [_number(each) for each in earlier],
        "features": len(names),
        "importance": [{"feature": name, "auc_lost": value} for name, value in top],
    }


def _some(rows: pd.DataFrame, limit: int) -> pd.DataFrame:
    """At most so many customers, the same ones on every date, by a hash of their id."""
    if len(rows) <= limit:
        return rows
    digests = [hashlib.sha256(str(each).encode()).digest() for each in rows["customer_id"]]
    chosen = sorted(range(len(rows)), key=digests.__getitem__)[:limit]
    return rows.iloc[sorted(chosen)]


def _scores(
    model: RetentionModel,
    by_day: Mapping[str, pd.DataFrame],
    calibrated: str,
    day: str,
    wanted: MonitorParams,
) -> dict[str, Any]:
    """The PSI of the probabilities since the last calibration date."""
    pairs = drift.lag_pairs(by_day, calibrated, day)[-wanted.pairs :]
    days = {calibrated, day, *(d for pair in pairs for d in pair)}
    p = {each: pd.Series(model.predict(by_day[each])) for each in sorted(days)}
    bins = Bins.of(p[calibrated], category=False)
    counts = {each: bins.counts(values) for each, values in p.items()}
    value = drift.psi(counts[calibrated], counts[day])
    noise = drift.psi_bound(counts[calibrated], counts[day])
    earlier = [drift.psi(counts[a], counts[b]) for a, b in pairs]
    severity, usual = judged(value, earlier, margin=drift.PSI_MARGIN, noise=noise)
    return {
        "severity": severity,
        "psi": _number(value),
        "usual": usual,
        "noise": noise,
        "mean": float(p[day].mean()),
        "mean_reference": float(p[calibrated].mean()),
    }


def _outcomes(
    task: str,
    home: Path,
    by_day: Mapping[str, pd.DataFrame],
    day: str,
    summary: Mapping[str, Any],
    wanted: MonitorParams,
) -> list[dict[str, Any]]:
    """Per origin whose outcomes are complete: how the model of that date did, oldest first.

    The predicted level may be off by as much as the rate of outcomes ever moved between a
    calibration date and a scoring date this far apart; `alarm` when the interval of the offset
    lies beyond that, on the newest date.
    """
    due = _due(summary["tasks"][task], summary["as_of"], day, summary["time_zone"])
    rates = {
        each["as_of"]: _log_odds(each["positives"], each["labelled"])
        for each in summary["tasks"][task]["by_as_of"]
        if each["as_of"] in due and each["labelled"]
    }
    out = []
    for folder in sorted(home.glob("origin-*")):
        tested = folder.name.removeprefix("origin-")
        if tested not in due or tested not in by_day:
            continue
        rows = by_day[tested]
        rows = rows[rows[f"{task}_status"] == LABELLED]
        y = rows[task].to_numpy(dtype=np.float64)
        if not 0 < y.sum() < len(y):
            continue
        model = RetentionModel.load(folder)
        found = bootstrap_metrics(
            y,
            model.predict(rows),
            rows["customer_id"],
            resamples=wanted.resamples,
            seed=wanted.seed,
        )
        calibrated = model.record["about"]["calibration_as_of"][-1]
        pairs = drift.lag_pairs(rates, calibrated, tested)
        moves = [abs(rates[b] - rates[a]) for a, b in pairs]
        offset = found["calibration_in_the_large"]
        out.append(
            {
                "as_of": tested,
                "customers": len(y),
                "positives": int(y.sum()),
                "severity": offset_severity(offset, moves),
                "usual": max(moves) if moves else None,
            }
            | {name: {k: _number(v) for k, v in found[name].items()} for name in SHOWN_METRICS}
        )
    return out


SHOWN_METRICS = (
    "auc",
    "calibration_in_the_large",
    "calibration_intercept",
    "calibration_slope",
    "ece",
    "lift_top_decile",
)


def offset_severity(offset: Mapping[str, float], moves: Sequence[float]) -> Severity:
    """The severity of a level of predictions that is off by `offset` (value, low, high; log-odds).

    `moves` are the absolute moves of the outcome's log-odds over the same lag in the past.
    """
    nearest = max(offset["low"], -offset["high"])
    if not nearest > 0:
        return "ok"
    enough = len(moves) >= drift.LEAST_PAIRS
    return "alarm" if enough and nearest > max(moves) else "watch"


def _log_odds(positives: float, rows: float) -> float:
    return float(np.log((positives + 0.5) / (rows - positives + 0.5)))


def _due(info: Mapping[str, Any], days: Sequence[str], day: str, zone: str) -> list[str]:
    """The as-of dates whose outcomes must be complete on `day`."""
    span = info["gap_days"] + info["horizon_days"] + info["lag_days"]
    at = load.as_of_times([day], zone)[0]
    times = zip(days, load.as_of_times(days, zone), strict=True)
    return [each for each, time in times if round((at - label_end(time, span)) / DAY) >= 0]


def _labels(info: Mapping[str, Any], day: str, zone: str) -> dict[str, Any]:
    """Whether outcomes arrive: the dates that are due, and those of them that are not complete."""
    by_day = {each["as_of"]: each for each in info["by_as_of"]}
    due = _due(info, list(by_day), day, zone)
    late = [each for each in due if by_day[each]["immature"]]
    severity: Severity = "alarm" if len(late) >= 2 else "watch" if late else "ok"
    done = [each for each in due if each not in late]
    newest = by_day[done[-1]] if done else None
    return {
        "severity": severity,
        "due": len(due),
        "late": late,
        "newest": None if newest is None else newest["as_of"],
        "rate": newest["positives"] / newest["labelled"] if newest and newest["labelled"] else None,
    }


def freshness(
    folder: Path, tables: Mapping[str, Any], at: pd.Timestamp, may_end: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Per table: hours since its last row became known before `at`, and the longest earlier gap.

    The gaps are those of the year before the last row, by the hour. Tables that may end, have few
    rows or came in one delivery are not judged.
    """
    out = []
    for name in tables:
        hours: Any = duckdb.execute(
            f"""
            SELECT DISTINCT epoch(known_at)::BIGINT // 3600 AS hour
            FROM read_parquet('{folder}/{name}/*.parquet')
            WHERE known_at < TIMESTAMPTZ '{at.isoformat()}' ORDER BY hour
            """
        ).fetchnumpy()["hour"]
        if not len(hours):
            continue
        silent = float(at.timestamp() / 3600 - hours[-1] - 1)
        gaps = np.diff(hours[hours >= hours[-1] - 365 * 24])
        usual = float(gaps.max()) if len(gaps) else None
        severity: Severity = "ok"
        if usual is not None and len(hours) >= LEAST_EVENTS and name not in may_end:
            limit = max(usual, LEAST_SILENCE_HOURS)
            severity = (
                "alarm" if silent > SILENCE_FACTOR * limit else "watch" if silent > limit else "ok"
            )
        out.append(
            {"table": name, "severity": severity, "silent_hours": max(silent, 0.0), "usual": usual}
        )
    return out


def _findings(task: str, result: Mapping[str, Any], table: pd.DataFrame) -> list[Finding]:
    """What there is to say of a task, one entry per check."""
    out: list[Finding] = []
    for group in table["group"].unique():
        inside = table[table["group"] == group]
        severity = drift.worst(inside["severity"])
        moved = inside[inside["severity"] == severity] if severity != "ok" else inside.iloc[:0]
        order = (moved["psi"] - moved["psi_usual"].astype(float)).sort_values(
            ascending=False, kind="stable"
        )
        out.append(
            {
                "check": f"features_{group}",
                "task": task,
                "severity": severity,
                "values": {
                    "count": len(moved),
                    "features": len(inside),
                    "names": moved.loc[order.index, "feature"].tolist()[:5],
                    "reference": result["reference"],
                    "pairs": len(result["pairs"]),
                },
            }
        )
    for check in ("classifier", "score", "labels"):
        values = {k: v for k, v in result[check].items() if not isinstance(v, list)}
        values["late"] = len(result[check].get("late", ()))
        values["pairs"] = len(result["pairs"])
        severity = values.pop("severity")
        out.append({"check": check, "task": task, "severity": severity, "values": values})
    if result["outcomes"]:
        newest = result["outcomes"][-1]
        values = {"as_of": newest["as_of"], "usual": newest["usual"]}
        values |= newest["calibration_in_the_large"]
        out.append(
            {
                "check": "calibration",
                "task": task,
                "severity": newest["severity"],
                "values": values,
            }
        )
    return out


def _freshness_findings(fresh: Sequence[dict[str, Any]]) -> list[Finding]:
    late = [each for each in fresh if each["severity"] != "ok"]
    if not late:
        values: dict[str, Any] = {"table": "", "tables": len(fresh)}
        return [{"check": "freshness", "task": None, "severity": "ok", "values": values}]
    return [
        {
            "check": "freshness",
            "task": None,
            "severity": each["severity"],
            "values": {
                "table": each["table"],
                "silent_days": each["silent_hours"] / 24,
                "usual_days": each["usual"] / 24,
                "tables": len(fresh),
            },
        }
        for each in late
    ]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
