"""Stage `audit`: does anything known only later reach the features? Fails the run if it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from data import source
from data.errors import InputError
from features.audit import (
    MIN_OUTCOMES,
    Change,
    Tables,
    changes,
    computed,
    known_before,
    planted,
    shuffled_future,
    strengths,
)
from features.catalog import Feature
from features.declare import Attribute, Declared
from features.facts import connect
from features.labels import ELIGIBLE, LABELLED, SNAPSHOT
from models.splits import customer_origins, test_origins, why_no_origin
from pipelines import load, params, paths, stage
from pipelines.featurize import make_plan
from pipelines.params import Params
from pipelines.store import Store

TOP = 10
"""Features listed per task, strongest first."""

Compute = Callable[[Tables, Sequence[pd.Timestamp]], pd.DataFrame]


@dataclass(frozen=True)
class Check:
    """One check: its evidence for audit.json, and per feature that fails it one sentence."""

    name: str
    evidence: dict[str, Any]
    failures: tuple[str, ...] = ()
    skipped: str | None = None

    @property
    def verdict(self) -> str:
        return "skipped" if self.skipped else "failed" if self.failures else "passed"


@dataclass(frozen=True)
class Sample:
    """The customers attacked, their canonical tables, and what is computed from these."""

    customers: tuple[str, ...]
    as_ofs: tuple[pd.Timestamp, ...]
    tables: Tables
    stored: pd.DataFrame
    columns: tuple[str, ...]
    compute: Compute
    wanted: dict[str, Feature] = field(repr=False)
    zone: str = "UTC"
    is_snapshot: bool = False


def main() -> None:
    """Write artifacts/audit.json. Raises InputError, after writing it, if any check failed."""
    settings = params.load()
    sample = _sample(settings)
    attacks = _no_attacks() if sample.is_snapshot else _attacks(sample, settings)
    checks = [*attacks, *_telling(sample, settings)]
    failures = [failure for check in checks for failure in check.failures]
    stage.write_json(
        paths.AUDIT,
        {
            "source": settings.source.name,
            "verdict": "failed" if failures else "passed",
            "customers": len(sample.customers),
            "as_of": [load.day(at, sample.zone) for at in sample.as_ofs],
            "checks": {
                check.name: {
                    "verdict": check.verdict,
                    "failures": list(check.failures),
                    "skipped": check.skipped,
                    **check.evidence,
                }
                for check in checks
            },
        },
    )
    for check in checks:
        stage.say(f"audit: {check.name}: {check.verdict}")
    if failures:
        more = f" ({len(failures) - 1} more in {paths.shown(paths.AUDIT)})" * (len(failures) > 1)
        raise InputError(failures[0] + more)


def _sample(settings: Params) -> Sample:
    """A seeded sample of customers, from as few buckets as it takes, and of as-of dates."""
    rng = np.random.default_rng(settings.audit.seed)
    plan = make_plan(settings, source.load(settings.source.name), Store(str(paths.ARTIFACTS)))
    as_ofs: tuple[pd.Timestamp, ...] = ()
    stored, tables, left = [], [], settings.audit.customers
    for bucket in _bucket_order(settings):
        rows = pq.read_table(paths.FEATURES / _file(bucket)).to_pandas()
        as_ofs = as_ofs or _drawn_dates(rows["as_of"], settings.audit.as_of_dates, rng)
        rows = rows[rows["as_of"].isin(as_ofs)]
        customers = np.unique(rows["customer_id"].to_numpy(dtype=object))
        customers = rng.permutation(customers)[:left]
        if customers.size == 0:
            continue
        stored.append(rows[rows["customer_id"].isin(customers)])
        tables.append(_tables_of(bucket, customers))
        left -= len(customers)
        if left == 0:
            break
    if not as_ofs:
        raise InputError(
            "audit: artifacts/features has no rows, so there is nothing to audit; see in"
            " artifacts/features/summary.json why no customer is eligible"
        )
    return Sample(
        customers=tuple(np.unique(np.concatenate([part["customer_id"] for part in stored]))),
        as_ofs=as_ofs,
        tables={
            name: pd.concat([part[name] for part in tables], ignore_index=True)
            for name in tables[0]
        },
        stored=pd.concat(stored, ignore_index=True),
        columns=tuple(feature.name for feature in plan["wanted"])
        + tuple(f"{outcome.task}_status" for outcome in plan["outcomes"]),
        compute=lambda tables, at: _computed(tables, at, plan),
        wanted={feature.name: feature for feature in plan["wanted"]},
        zone=plan["time_zone"],
        is_snapshot=SNAPSHOT in plan["outcomes"],
    )


def _drawn_dates(as_of: pd.Series, n: int, rng: np.random.Generator) -> tuple[pd.Timestamp, ...]:
    """Some of the dates that have rows; after the last of them little is known to be shuffled."""
    dates = sorted(as_of.unique())
    dates = dates[:-1] or dates
    drawn = rng.permutation(len(dates))[:n]
    return tuple(dates[i] for i in sorted(drawn))


def _computed(tables: Tables, as_ofs: Sequence[pd.Timestamp], plan: dict[str, Any]) -> pd.DataFrame:
    connection = connect(tables, plan["time_zone"], plan["calendar"], plan["products"])
    rows = computed(
        connection,
        as_ofs,
        wanted=plan["wanted"],
        outcomes=plan["outcomes"],
        live_from=plan["live_from"],
    )
    connection.close()
    return rows


def _bucket_order(settings: Params) -> np.ndarray:
    """Buckets are shares of the customers by hash: the first few are as good as any sample."""
    return np.random.default_rng([settings.audit.seed, 1]).permutation(settings.source.buckets)


def _file(bucket: int) -> str:
    return f"bucket={bucket:03d}.parquet"


def _tables_of(bucket: int, customers: np.ndarray) -> dict[str, pd.DataFrame]:
    chosen = [("customer_id", "in", list(customers))]
    return {
        folder.name: pq.read_table(folder / _file(bucket), filters=chosen)
        .to_pandas()
        .sort_values(["event_id", "record_version"], kind="stable", ignore_index=True)
        for folder in sorted(paths.TABLES.iterdir())
    }


def _no_attacks() -> list[Check]:
    """A snapshot has no future to attack; what its columns tell alone is looked at all the same."""
    reason = "the source is a snapshot: everything in it is of one moment"
    names = ("stored_table", "shuffled_future", "time_travel", "canary")
    return [Check(name, {}, skipped=reason) for name in names]


def _attacks(sample: Sample, settings: Params) -> list[Check]:
    stage.say(
        f"audit: {len(sample.customers)} customers, {len(sample.as_ofs)} as-of dates,"
        f" {len(sample.wanted)} features"
    )
    today = sample.compute(sample.tables, sample.as_ofs)
    statuses = [column for column in sample.columns if column not in sample.wanted]
    eligible = today[statuses].isin(ELIGIBLE).any(axis=1) if statuses else today.index >= 0
    stored = changes(sample.stored, today[eligible], list(sample.wanted))
    checks = [
        Check(
            "stored_table",
            {"rows": len(sample.stored), "changes": _listed(stored, sample)},
            tuple(
                f"audit: {_told(change, sample)} between artifacts/features and the tables it"
                " should come from; run `dvc repro featurize`"
                for change in stored
            ),
        )
    ]
    for name, attack in (("shuffled_future", shuffled_future), ("time_travel", None)):
        dates: list[dict[str, Any]] = []
        found: list[Change] = []
        for i, at in enumerate(sample.as_ofs):
            if attack is None:
                tables, counts = known_before(sample.tables, at)
            else:
                rng = np.random.default_rng([settings.audit.seed, 2, i])
                tables, counts = attack(sample.tables, at, rng)
            before = today[today["as_of"] == at]
            found += changes(before, sample.compute(tables, [at]), sample.columns)
            dates.append(
                {"as_of": load.day(at, sample.zone), "rows": len(before), "tables": counts}
            )
            stage.say(f"audit: {name} at {load.day(at, sample.zone)}")
        what = "the future is shuffled" if attack else "what was not known yet is removed"
        checks.append(_attacked(name, {"dates": dates}, found, what, sample))
    checks.append(_canary(today, sample, settings))
    return checks


def _canary(today: pd.DataFrame, sample: Sample, settings: Params) -> Check:
    """Rows planted for a random half of the customers: unseen if known late, telling if in time.

    The second half of the check shows that the audit is not blind: the same rows, known a
    microsecond before the as-of date, must make some feature fail the single-feature check.
    """
    at = sample.as_ofs[-1]
    before = today[today["as_of"] == at]
    ids = np.unique(before["customer_id"].to_numpy(dtype=object))
    rng = np.random.default_rng([settings.audit.seed, 3])
    marked = sorted(rng.permutation(ids)[: len(ids) // 2])

    def with_canary(known_at: pd.Timestamp) -> pd.DataFrame:
        rng = np.random.default_rng([settings.audit.seed, 4])
        return sample.compute(planted(sample.tables, marked, known_at, rng), [at])

    found = changes(before, with_canary(at), sample.columns)
    in_time = with_canary(at - pd.Timedelta(microseconds=1))
    moved = changes(before, in_time, list(sample.wanted))
    tried = strengths(
        in_time,
        in_time["customer_id"].isin(marked).to_numpy(),
        [change.column for change in moved if change.column in sample.wanted],
        _categories(sample.wanted),
    )
    caught = tried[tried["feature_auc"] > settings.audit.max_feature_auc]
    check = _attacked(
        "canary",
        {
            "as_of": load.day(at, sample.zone),
            "customers_marked": len(marked),
            "known_in_time": {
                "features_moved": len(tried),
                "features_caught": sorted(caught.index),
            },
        },
        found,
        "rows known only later are planted",
        sample,
    )
    if len(caught) or len(before) < 2 * MIN_OUTCOMES:
        return check
    blind = (
        f"audit: as of {load.day(at, sample.zone)} no feature reaches an AUC of"
        f" {settings.audit.max_feature_auc} for rows planted in time, so the audit cannot see a"
        " leak; raise audit.customers or lower audit.max_feature_auc in params.yaml"
    )
    return Check(check.name, check.evidence, (*check.failures, blind))


def _attacked(
    name: str, evidence: dict[str, Any], found: Sequence[Change], what: str, sample: Sample
) -> Check:
    return Check(
        name,
        evidence | {"changes": _listed(found, sample)},
        tuple(
            f"audit: {_told(change, sample)} when {what}; {_cure(change.column, sample.wanted)}"
            for change in found
        ),
    )


def _told(change: Change, sample: Sample) -> str:
    rows = f"{change.rows} rows" if change.rows > 1 else "1 row"
    what = "whether a customer has a row" if change.column == "row" else change.column
    return (
        f"{what} as of {load.day(change.as_of, sample.zone)} changes in {rows}"
        f" (customer {change.customer_id}: {_shown(change.before)} -> {_shown(change.after)})"
    )


def _shown(value: float | str | None) -> str:
    return "missing" if value is None else value if isinstance(value, str) else f"{value:g}"


def _cure(column: str, wanted: dict[str, Feature]) -> str:
    if column not in wanted:
        return "features/labels.py must decide who is eligible from what was known before"
    return f"{_origin(wanted[column])} must count from the moment it was known, or drop the feature"


def _origin(feature: Feature) -> str:
    """What a feature is computed from."""
    declared = feature.source
    if isinstance(declared, Attribute):
        return f"{declared.table}.{declared.column}"
    if isinstance(declared, Declared):
        return f"the stream {declared.stream!r}"
    return feature.base


def _listed(found: Sequence[Change], sample: Sample) -> list[dict[str, Any]]:
    return [asdict(change) | {"as_of": load.day(change.as_of, sample.zone)} for change in found]


def _telling(sample: Sample, settings: Params) -> list[Check]:
    """Per task, what every feature, and its being missing, tells alone before any test date."""
    summary = load.summary()
    checks = []
    for task, info in summary["tasks"].items():
        dates, reason = _training_dates(info, summary, settings)
        rows = _labelled(task, dates, settings)
        if info.get("definition") == "snapshot":
            rows = rows.iloc[customer_origins(dates[0])[0][0].rows(rows)[0]]
        if reason is None and (rows.empty or rows[task].nunique() < 2):
            reason = "the training dates have labelled rows of one outcome only, or none"
        if reason is not None:
            checks += [Check(f"{name}.{task}", {}, skipped=reason) for name in _MEASURES]
            continue
        stage.say(f"audit: {len(sample.wanted)} features alone on {len(rows):,} rows of {task}")
        y = rows[task].to_numpy() == 1
        tried = strengths(rows, y, list(sample.wanted), _categories(sample.wanted))
        about = {
            "rows": len(rows),
            "positives": int(y.sum()),
            "first_as_of": load.day(dates[0], sample.zone),
            "last_as_of": load.day(dates[-1], sample.zone),
        }
        for name, measures in _MEASURES.items():
            found, evidence = [], dict(about)
            for measure in measures:
                limit = getattr(settings.audit, f"max_{measure}")
                evidence[measure] = {"limit": limit} | _strongest(tried[measure])
                for feature in tried.index[tried[measure] > limit]:
                    day = _worst_day(rows, y, feature, measure, sample)
                    found.append(
                        f"audit: {feature} as of {day} "
                        + _WORDS[measure].format(task=task, value=tried.at[feature, measure])
                        + f" (audit.max_{measure} is {limit});"
                        + f" {_say_when(feature, sample, settings)}"
                    )
            checks.append(Check(f"{name}.{task}", evidence, tuple(found)))
    return checks


_MEASURES = {
    "single_feature": ("feature_auc",),
    "missingness": ("missing_auc", "one_sided_share"),
}

_WORDS = {
    "feature_auc": "tells {task} alone, with an AUC of {value:.3f}",
    "missing_auc": "tells {task} by being missing, with an AUC of {value:.3f}",
    "one_sided_share": "is missing, or is not, for customers of one outcome of {task} only"
    " ({value:.1%} of them)",
}


def _strongest(measured: pd.Series) -> dict[str, Any]:
    top = measured.sort_values(ascending=False, kind="stable").head(TOP).dropna()
    return {
        "top": [{"feature": name, "value": round(float(value), 4)} for name, value in top.items()],
        "not_judged": sorted(measured.index[measured.isna()]),
    }


def _worst_day(rows: pd.DataFrame, y: np.ndarray, name: str, measure: str, sample: Sample) -> str:
    """The as-of date on which the feature tells most; the first where no date tells by itself."""
    by_date = {}
    for at in sorted(rows["as_of"].unique()):
        here = (rows["as_of"] == at).to_numpy()
        one = strengths(rows[here], y[here], [name], _categories(sample.wanted))
        by_date[at] = one[measure].fillna(0.0).iloc[0]
    return load.day(max(by_date, key=by_date.__getitem__), sample.zone)


def _say_when(name: str, sample: Sample, settings: Params) -> str:
    """The cure of a feature that tells too much."""
    return (
        f"declare in data/sources/{settings.source.name} when {_origin(sample.wanted[name])} became"
        " known (known_at), drop the feature, or raise the limit if it is honest"
    )


def _training_dates(
    info: dict[str, Any], summary: dict[str, Any], settings: Params
) -> tuple[tuple[pd.Timestamp, ...], str | None]:
    """The dates that train the first test origin, so that no tested outcome is looked at."""
    if info["skipped"]:
        return (), info["skipped"]["en"]
    zone = summary["time_zone"]
    dates = load.as_of_times(summary["as_of"], zone)
    if info["definition"] == "snapshot":
        return tuple(dates), None
    observed_until = load.as_of_times([summary["observed_until"]], zone)[0]
    span = {
        "label_days": info["gap_days"] + info["horizon_days"] + info["lag_days"],
        "calibration_cutoffs": settings.train.calibration_cutoffs,
    }
    tests = test_origins(dates, observed_until, settings.train.test_origins, **span)
    if tests:
        return tests[0].train, None
    reason = why_no_origin(dates, observed_until=observed_until, timezone=zone, **span)
    return (), reason["en"] if reason else "there is no test origin"


def _labelled(task: str, dates: Sequence[pd.Timestamp], settings: Params) -> pd.DataFrame:
    """At least audit.rows labelled rows of `dates` if there are so many, by whole buckets."""
    if not dates:
        return pd.DataFrame()
    wanted = ds.field("as_of").isin([at.to_pydatetime() for at in dates])
    wanted &= ds.field(f"{task}_status") == LABELLED
    parts, left = [], settings.audit.rows
    for bucket in _bucket_order(settings):
        part = pq.read_table(paths.FEATURES / _file(bucket), filters=wanted).to_pandas()
        parts.append(part)
        left -= len(part)
        if left <= 0:
            break
    return pd.concat(parts, ignore_index=True)


def _categories(wanted: dict[str, Feature]) -> set[str]:
    return {name for name, feature in wanted.items() if feature.unit == "category"}
