"""Stage `featurize`: canonical tables -> feature table with labels, bucket by bucket."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data import source
from data.errors import InputError
from features import polarity
from features.catalog import Feature
from features.labels import (
    ELIGIBLE,
    GAP_EXIT,
    IMMATURE,
    LABELLED,
    TASKS,
    Outcome,
    as_of_dates,
    churn_definition,
    inactivity_days,
)
from features.table import bucket_table
from pipelines import load, params, paths, stage
from pipelines.params import Params


def main() -> None:
    """Write artifacts/features: one Parquet file per bucket and summary.json."""
    settings = params.load()
    plan = make_plan(settings, source.load(settings.source.name), stage.read_json(paths.CONTRACT))
    buckets = settings.source.buckets
    stage.say(
        f"featurize: {len(plan['wanted'])} features x {len(plan['as_ofs'])} as-of dates,"
        f" {buckets} buckets"
    )
    with stage.fresh_folder(paths.FEATURES) as folder:
        results = []
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(stage.workers(), buckets), mp_context=spawn) as pool:
            tasks = [pool.submit(_one_bucket, folder, bucket, plan) for bucket in range(buckets)]
            for done, task in enumerate(as_completed(tasks), start=1):
                results.append(task.result())
                stage.say(f"featurize: bucket {done} of {buckets}")
        stage.write_json(folder / "summary.json", _summary(plan, results))


def rows_at(settings: Params, day: date) -> pd.DataFrame:
    """Feature rows on one date that is not among the as-of dates, computed from the tables."""
    chosen = source.load(settings.source.name)
    plan = make_plan(settings, chosen, stage.read_json(paths.CONTRACT))
    at = _midnight(day, chosen.timezone)
    if not plan["as_ofs"][0] <= at <= plan["observed_until"]:
        raise InputError(
            f"{day} is outside the data; choose a date between {_day(plan['as_ofs'][0])}"
            f" and {_day(plan['observed_until'])}"
        )
    parts = []
    for bucket in range(settings.source.buckets):
        parts.append(_bucket(bucket, plan | {"as_ofs": [at]})[0])
        stage.say(f"features as of {day}: bucket {bucket + 1} of {settings.source.buckets}")
    rows = pd.concat(parts, ignore_index=True)
    return rows.sort_values("customer_id", kind="stable").reset_index(drop=True)


def make_plan(settings: Params, chosen: source.Source, contract: dict[str, Any]) -> dict[str, Any]:
    """Everything a bucket needs to know: dates, features, outcomes; the same for every bucket."""
    zone = chosen.timezone
    present = list(contract["tables"])
    observed_until = _midnight(date.fromisoformat(contract["observed_until"]), zone)
    # A generated source ends where the generator was told to stop.
    last = chosen.last_as_of if chosen.generator is None else observed_until.date()
    as_ofs = [
        at
        for at in as_of_dates(
            settings.source.first_as_of or chosen.first_as_of,
            settings.source.last_as_of or last,
            zone,
        )
        if at <= observed_until
    ]
    if not as_ofs:
        raise InputError(
            f"no first of a month lies between {chosen.first_as_of} and {chosen.last_as_of};"
            f" set source.first_as_of and source.last_as_of in params.yaml"
        )
    lateness = [t["lateness_days_p99"] or 0.0 for t in contract["tables"].values()]
    lag = max(settings.labels.lag_days, int(np.ceil(max(lateness))))
    return {
        "as_ofs": as_ofs,
        "time_zone": zone,
        "observed_until": observed_until,
        "wanted": load.supported_features(settings, contract),
        "outcomes": _outcomes(settings, present, as_ofs, lag),
        "live_from": {
            name: _time(table["first_known_at"])
            for name, table in contract["tables"].items()
            if table["first_known_at"]
        },
    }


def _outcomes(
    settings: Params, present: list[str], as_ofs: list[datetime], lag: int
) -> tuple[Outcome, ...]:
    gap = settings.labels.gap_days
    out = []
    definition = churn_definition(present)
    if definition is not None:
        horizon = settings.labels.churn_horizon_days
        if definition == "inactivity":
            # Frozen at the middle as-of date, before any date on which a model is tested.
            horizon = settings.labels.inactivity_days or inactivity_days(
                paths.TABLES, as_ofs[len(as_ofs) // 2]
            )
        out.append(Outcome("churn", definition, gap, horizon, lag))
    if "orders" in present:
        horizon = settings.labels.repeat_purchase_horizon_days
        out.append(Outcome("repeat_purchase", "purchase", gap, horizon, lag))
    return tuple(out)


def _bucket(bucket: int, plan: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    return bucket_table(
        paths.TABLES,
        bucket,
        as_ofs=plan["as_ofs"],
        observed_until=plan["observed_until"],
        time_zone=plan["time_zone"],
        wanted=plan["wanted"],
        outcomes=plan["outcomes"],
        live_from=plan["live_from"],
    )


def _one_bucket(folder: Path, bucket: int, plan: dict[str, Any]) -> dict[str, Any]:
    table, counts = _bucket(bucket, plan)
    write_table(folder / f"bucket={bucket:03d}.parquet", table, plan["wanted"], plan["outcomes"])
    return {
        "bucket": bucket,
        "rows": len(table),
        "customers": table["customer_id"].nunique(),
        "counts": counts,
    }


def write_table(
    path: Path, table: pd.DataFrame, wanted: tuple[Feature, ...], outcomes: tuple[Outcome, ...]
) -> None:
    """Write one bucket with a schema that does not depend on what happens to be in it."""
    fields = [("customer_id", pa.string()), ("as_of", pa.timestamp("us", tz="UTC"))]
    fields += [(f.name, pa.string() if f.unit == "category" else pa.float32()) for f in wanted]
    for outcome in outcomes:
        fields += [(f"{outcome.task}_status", pa.string()), (outcome.task, pa.float32())]
    pq.write_table(
        pa.Table.from_pandas(
            table, schema=pa.schema(fields), preserve_index=False
        ).replace_schema_metadata(),
        path,
        compression="zstd",
    )


def _summary(plan: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    counts = pd.concat([result["counts"] for result in results], ignore_index=True)
    by_task = {outcome.task: outcome for outcome in plan["outcomes"]}
    return {
        "as_of": [_day(at) for at in plan["as_ofs"]],
        "rows": sum(result["rows"] for result in results),
        "customers": sum(result["customers"] for result in results),
        "features": len(plan["wanted"]),
        "feature_names": [feature.name for feature in plan["wanted"]],
        "observed_until": _day(plan["observed_until"]),
        "time_zone": plan["time_zone"],
        "polarity": {"name": polarity.NAME, "version": polarity.VERSION},
        "tasks": {
            task: _task_summary(by_task[task], counts[counts["task"] == task], plan["as_ofs"])
            if task in by_task
            else {"skipped": _NO_LABEL[task]}
            for task in TASKS
        },
    }


_NO_LABEL = {
    "churn": {
        "en": "Churn was not modelled: the source has neither subscriptions nor orders, so there is"
        " no record of who left.",
        "ja": "契約・注文のデータがなく、離脱を確認できないため、解約モデルは作成していません。",
    },
    "repeat_purchase": {
        "en": "Repeat purchase was not modelled: the source has no orders.",
        "ja": "注文のデータがないため、リピート購入モデルは作成していません。",
    },
}


def _task_summary(outcome: Outcome, counts: pd.DataFrame, as_ofs: list[datetime]) -> dict[str, Any]:
    by_as_of = []
    for at in as_ofs:
        here = (
            counts[counts["as_of"] == pd.Timestamp(at)]
            .groupby("status")[["rows", "positives"]]
            .sum()
        )

        def rows(status: str, here: pd.DataFrame = here) -> int:
            return int(here["rows"].get(status, 0))

        by_as_of.append(
            {
                "as_of": _day(at),
                "eligible": sum(rows(status) for status in ELIGIBLE),
                "labelled": rows(LABELLED),
                "positives": int(here["positives"].get(LABELLED, 0)),
                "immature": rows(IMMATURE),
                "gap_exits": rows(GAP_EXIT),
            }
        )
    reasons = counts[counts["status"].str.startswith("ineligible: ")]
    ineligible = reasons.groupby(reasons["status"].str.removeprefix("ineligible: "))["rows"].sum()
    return {
        "skipped": None,
        "definition": outcome.definition,
        "gap_days": outcome.gap,
        "horizon_days": outcome.horizon,
        "lag_days": outcome.lag,
        "by_as_of": by_as_of,
        "ineligible": {str(reason): int(n) for reason, n in ineligible.items()},
    }


def _midnight(day: date, zone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _day(at: datetime) -> str:
    return at.date().isoformat()
