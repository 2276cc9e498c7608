"""Stage `featurize`: canonical tables -> feature table with labels, bucket by bucket."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data import source
from data.errors import InputError
from features.catalog import Feature
from features.facts import added_up, product_months
from features.labels import (
    ELIGIBLE,
    GAP_EXIT,
    IMMATURE,
    LABELLED,
    SNAPSHOT,
    TASKS,
    Outcome,
    as_of_dates,
    churn_definition,
    inactivity_days,
)
from features.table import bucket_table
from features.tone import WRITTEN
from pipelines import engine, load, params, paths, stage
from pipelines.engine import Engine
from pipelines.params import Params
from pipelines.store import Store


def main(chosen: Engine | None = None, location: str | None = None) -> None:
    """Write features/: one Parquet file per bucket, then summary.json.

    `chosen` is what works on the buckets, `location` the folder or address of another store than
    artifacts/. There a run is complete when its summary is.
    """
    settings = params.load()
    store = Store(location or str(paths.ARTIFACTS))
    plan = make_plan(settings, source.load(settings.source.name), store)
    buckets = settings.source.buckets
    stage.say(
        f"featurize: {len(plan['wanted'])} features x {len(plan['as_ofs'])} as-of dates,"
        f" {buckets} buckets"
    )
    with ExitStack() as stack:
        if location is None:
            folder = stack.enter_context(stage.fresh_folder(paths.FEATURES))
            to = Store(str(folder))
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            to = Store(f"{location.rstrip('/')}/features")
        work = partial(_one_bucket, plan=plan, store=store, to=to)
        results = []
        for result in engine.each_bucket(work, buckets, chosen):
            results.append(result)
            stage.say(f"featurize: bucket {len(results)} of {buckets}")
        stage.write_json(folder / "summary.json", _summary(plan, results))
        if location is not None:
            to.put(folder / "summary.json", "summary.json")


def make_plan(settings: Params, chosen: source.Source, store: Store) -> dict[str, Any]:
    """Everything a bucket needs to know: dates, features, outcomes; the same for every bucket."""
    contract = store.read_json("contract.json")
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
        "calendar": chosen.calendar,
        "products": _products(settings, store, zone) if "tickets" in present else None,
        "observed_until": observed_until,
        "wanted": load.supported_features(settings, contract),
        "outcomes": (SNAPSHOT,)
        if chosen.snapshot
        else outcomes(settings, present, as_ofs, lag, store),
        "folders": [f"tables/{table}" for table in present],
        # Which backend scored the texts; None where there are none.
        "tone": store.read_json("tone/summary.json")["backend"]
        if any(table in WRITTEN for table in present)
        else None,
        "live_from": {
            name: _time(table["first_known_at"])
            for name, table in contract["tables"].items()
            if table["first_known_at"]
        },
    }


def _products(settings: Params, store: Store, zone: str) -> pd.DataFrame:
    if not store.is_remote:
        # Ten buckets at a time: preparing a connection costs more than reading one.
        folder = Path(store.location) / "tables" / "tickets"
        tens = range((settings.source.buckets + 9) // 10)
        return added_up(product_months(folder / f"bucket={ten:02d}?.parquet", zone) for ten in tens)
    parts = []
    for bucket in range(settings.source.buckets):
        with store.bucket(["tables/tickets"], bucket) as folder:
            path = folder / "tables" / "tickets" / f"bucket={bucket:03d}.parquet"
            parts.append(product_months(path, zone))
    return added_up(parts)


def outcomes(
    settings: Params, present: list[str], as_ofs: list[datetime], lag: int, store: Store
) -> tuple[Outcome, ...]:
    """What the tables that are `present` allow to predict, and over which spans."""
    gap = settings.labels.gap_days
    out = []
    definition = churn_definition(present)
    if definition is not None:
        horizon = settings.labels.churn_horizon_days
        if definition == "inactivity":
            # Frozen at the middle as-of date, before any date on which a model is tested.
            horizon = settings.labels.inactivity_days or _inactivity_days(
                store, as_ofs[len(as_ofs) // 2]
            )
        out.append(Outcome("churn", definition, gap, horizon, lag))
    if "orders" in present:
        horizon = settings.labels.repeat_purchase_horizon_days
        out.append(Outcome("repeat_purchase", "purchase", gap, horizon, lag))
    return tuple(out)


def _inactivity_days(store: Store, at: datetime) -> int:
    if store.is_remote:
        raise InputError(
            "labels.inactivity_days is null, and the tables are not on this machine to find it;"
            " set it in params.yaml (90 is METHODS' middle)"
        )
    return inactivity_days(Path(store.location) / "tables", at)


def _bucket(bucket: int, plan: dict[str, Any], store: Store) -> tuple[pd.DataFrame, pd.DataFrame]:
    folders = [*plan["folders"], *(["tone"] if plan["tone"] else [])]
    with store.bucket(folders, bucket) as folder:
        return bucket_table(
            folder / "tables",
            bucket,
            as_ofs=plan["as_ofs"],
            observed_until=plan["observed_until"],
            time_zone=plan["time_zone"],
            calendar=plan["calendar"],
            products=plan["products"],
            wanted=plan["wanted"],
            outcomes=plan["outcomes"],
            live_from=plan["live_from"],
            scores=folder / "tone" / f"bucket={bucket:03d}.parquet" if plan["tone"] else None,
        )


def _one_bucket(bucket: int, plan: dict[str, Any], store: Store, to: Store) -> dict[str, Any]:
    table, counts = _bucket(bucket, plan, store)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"bucket={bucket:03d}.parquet"
        write_table(path, table, plan["wanted"], plan["outcomes"])
        to.put(path, path.name)
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
        "polarity": plan["tone"],
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
