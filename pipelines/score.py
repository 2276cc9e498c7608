"""Stage `score`: the ranked list of each task on one as-of date, with reasons and a next step.

Bucket by bucket: facts -> features -> calibrated probability -> SHAP -> reasons, one small file per
bucket and task in a work folder beside the output. When all buckets are done their customers are
ranked together and the lists are written, still in the work folder, which takes the output's place
at the very end. A run that was killed goes on with the buckets it lacks.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from data import source
from data.errors import InputError
from features.catalog import FAMILIES, Feature
from features.facts import connect
from features.labels import ELIGIBLE, LABELLED, TASKS, label
from features.table import with_features
from features.tone import read_scores
from models import explanation, policy, scoring
from models.estimator import RetentionModel
from models.scoring import Scorer
from pipelines import campaign, engine, featurize, load, params, paths, stage
from pipelines.campaign import Brief
from pipelines.engine import Engine
from pipelines.params import Params
from pipelines.store import Store
from reports.lists import write_list
from reports.wording import Catalog

SEGMENTS = ("segment", "plan", "language", "country", "region", "relationship", "acquisition")
TENURE = "tenure_days"
TENURE_EDGES = {"0-3 months": 90, "3-12 months": 365, "1-2 years": 730, "2+ years": np.inf}

RUN, CONTRACT = "run.json", "contract.json"
PARTS, FINISHED = "parts", "finished"
OURS = {*TASKS, RUN}
"""What a folder of lists holds; a folder with anything else in it is not replaced."""

ROWS_AT_ONCE = 20_000
FEATURES_AT_ONCE = 16
RISK_STEPS = 10**12
LABELLING = ("customers", "subscriptions", "orders", "attributes")
"""The tables that say who is eligible."""

LIBRARIES = ("duckdb", "lightgbm", "numba", "numpy", "pandas", "pyarrow", "scipy", "xlsxwriter")


@dataclass(frozen=True)
class Job:
    """What a worker needs to score a bucket; the same for every bucket.

    `plan` is how features are computed from the tables in `store`, None where they are read from
    its feature table. `to` receives the scored buckets.
    """

    day: str
    at: pd.Timestamp
    plan: Mapping[str, Any] | None
    wanted: tuple[Feature, ...]
    scorers: tuple[Scorer, ...]
    snapshot: bool
    brief: Brief
    store: Store
    to: Store

    @property
    def kept(self) -> list[str]:
        """The features that go with a scored customer as they are."""
        names = (*SEGMENTS, TENURE)
        return [name for name in names if name in {feature.name for feature in self.wanted}]


def main(
    as_of: date | None = None,
    out: Path | None = None,
    languages: Sequence[str] | None = None,
    models: Path | None = None,
    *,
    champion: bool = False,
    chosen: Engine | None = None,
    location: str | None = None,
    past: Sequence[Path] = (),
) -> None:
    """Write run.json and one folder per task under `out` (artifacts/score): list and segments.csv.

    Without `as_of` the last as-of date of the feature table is scored; any other date within the
    data is computed from the canonical tables. `models` is a folder like artifacts/models; with
    `champion` the registered champions are fetched instead. `chosen` works on the buckets, and
    `location` is the folder or address of other tables than artifacts/, whose features are then
    computed. `past` are folders of earlier lists, whose customers are left alone for a while. What
    was in `out` stays there, complete, until the new lists are.
    """
    settings = params.load()
    out = (out or paths.SCORE).resolve()
    said = tuple(dict.fromkeys(languages or settings.score.languages))
    with stage.explained(out), stage.only_writer(out), ExitStack() as stack:
        stage.recover(out)
        _check_replaceable(out)
        if champion:
            models = _champions(stack)
        job, run = _prepared(settings, as_of, said, models or paths.MODELS, location)
        earlier = campaign.read_past(past, settings)
        run["past"] = {one.name: one.digest for one in earlier}
        key = _key(settings, job, run)
        work = _work_folder(out, key)
        to = f"{location.rstrip('/')}/scored-{key[:16]}" if location else str(work / PARTS)
        job = replace(
            job, to=Store(to), scorers=tuple(replace(one, key=key) for one in job.scorers)
        )
        results = _scored_buckets(job, work / PARTS, settings.source.buckets, chosen)
        run["never_seen_in_training"] = _never_seen(job, results)
        _finish(job, work, settings, said, run, campaign.past_listings(earlier, job.day))
        campaign.write_leaving(work / FINISHED, results, job.day)
        stage.swap_in(work / FINISHED, out)
        shutil.rmtree(work)
        if location:
            job.to.remove()
        stage.say(f"score: the lists as of {job.day} are in {paths.shown(out)}")


def _check_replaceable(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; choose a folder with --out")
    strange = {path.name for path in out.iterdir()} - OURS if out.exists() else set()
    if strange:
        raise InputError(
            f"{out} holds {min(strange)}, which is no list and would be lost; choose another folder"
            " with --out"
        )


def _champions(stack: ExitStack) -> Path:
    """A folder like artifacts/models with the registered champion of each task."""
    from pipelines import promote

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="retention-champion-")))
    for task in TASKS:
        if load.skipped(paths.MODELS / task) is None:
            promote.export(task, folder)
        else:
            shutil.copytree(paths.MODELS / task, folder / task)
    return folder


def _prepared(
    settings: Params,
    as_of: date | None,
    languages: tuple[str, ...],
    models: Path,
    location: str | None,
) -> tuple[Job, dict[str, Any]]:
    """Read and check everything before the first bucket is scored.

    Returns the job, and what run.json says of its inputs.
    """
    store = Store(location or str(paths.ARTIFACTS))
    summary = load.summary()
    day = as_of.isoformat() if as_of else summary["as_of"][-1]
    at = load.as_of_times([day], summary["time_zone"])[0]
    supported = load.supported_features(settings, store.read_json(CONTRACT))
    skipped, scorers = scorers_of(settings, models, {f.name: f for f in supported}, at, summary)
    needed = {name for one in scorers for name in scoring.used_features(one.model)}
    brief = campaign.brief(scorers, supported, settings, summary, store.read_json(CONTRACT), at)
    wanted = tuple(f for f in supported if f.name in {*needed, *SEGMENTS, TENURE, *brief.columns})
    is_computed = location is not None or day not in summary["as_of"]
    plan = plan_at(settings, store, at) if is_computed else None
    if plan is None:
        folders = [paths.FEATURES.name]
    else:
        folders = [*plan["folders"], *([paths.TONE.name] if plan["tone"] else [])]
    folders = list(dict.fromkeys([*folders, *brief.folders]))
    job = Job(
        day=day,
        at=at,
        plan=plan,
        wanted=wanted,
        # Models as they were read: what they have cached meanwhile is not worth sending around.
        scorers=tuple(replace(one, model=_bare(one.model)) for one in scorers),
        snapshot=summary["tasks"]["churn"].get("definition") == "snapshot",
        brief=brief,
        store=store,
        to=store,
    )
    run = {
        "as_of": day,
        "source": settings.source.name,
        "languages": list(languages),
        "params": settings.score.model_dump(mode="json"),
        "data": {CONTRACT: _digest(store.read_json(CONTRACT))}
        | {folder: _data_digest(store, folder, settings.source.buckets) for folder in folders},
        "models": {one.task: _about_model(models, one) for one in scorers},
        "skipped": skipped,
    }
    return job, run


def scorers_of(
    settings: Params,
    models: Path,
    meanings: Mapping[str, Feature],
    at: pd.Timestamp,
    summary: Mapping[str, Any],
) -> tuple[dict[str, dict[str, str]], list[Scorer]]:
    """The tasks without a model and why; what scores each of the others."""
    skipped, scorers = {}, []
    for task in TASKS:
        reason = load.skipped(models / task)
        if reason is not None:
            stage.say(f"score {task}: skipped. {reason['en']}")
            skipped[task] = reason
            continue
        model = RetentionModel.load(models / task / paths.PRODUCTION)
        scoring.check_features(task, model, meanings)
        (newest,) = load.as_of_times(
            model.record["about"]["calibration_as_of"][-1:], summary["time_zone"]
        )
        if at < newest:
            stage.say(
                f"score {task}: warning: the model was trained on later data than this as-of date;"
                " this list knows the future and says nothing about how good the model is"
            )
        typical = _typical(task, scoring.used_features(model), newest)
        scorers.append(Scorer(task, "", model, meanings, typical, settings.score.reasons))
    return skipped, scorers


def _bare(model: RetentionModel) -> RetentionModel:
    return RetentionModel(model.text, model.encoder, model.calibrator, model.record)


def _typical(task: str, names: Sequence[str], at: pd.Timestamp) -> dict[str, Any]:
    """The typical retained customer's values on the latest date that the model learned from."""
    typical: dict[str, Any] = {}
    for first in range(0, len(names), FEATURES_AT_ONCE):
        some = names[first : first + FEATURES_AT_ONCE]
        rows = load.feature_rows(task, [at], columns=[task, *some])
        rows = rows[rows[f"{task}_status"] == LABELLED]
        typical |= explanation.typical_values(
            rows[list(some)], rows[task], positive_is_good=task != "churn"
        )
    if all(value is None for value in typical.values()):
        stage.say(
            f"score {task}: warning: artifacts/features has no outcomes on {at.date()}, the last"
            " date the model learned from; reasons will not say what is typical"
        )
    return typical


def plan_at(settings: Params, store: Store, at: pd.Timestamp) -> dict[str, Any]:
    """How features are computed on a date that may not be among the as-of dates."""
    plan = featurize.make_plan(settings, source.load(settings.source.name), store)
    first, last = plan["as_ofs"][0], plan["observed_until"]
    if not first <= at <= last:
        raise InputError(
            f"{at.tz_convert(plan['time_zone']).date()} is outside the data; choose a date between"
            f" {first.date()} and {last.date()}"
        )
    return plan | {"as_ofs": [at.to_pydatetime()]}


def _about_model(models: Path, scorer: Scorer) -> dict[str, Any]:
    manifest = models / scorer.task / paths.PRODUCTION / "manifest.json"
    return {
        "sha256": stage.read_json(manifest)["sha256"]
        | {manifest.name: stage.file_digest(manifest)},
        "calibration_as_of": scorer.model.record["about"]["calibration_as_of"],
    }


def _data_digest(store: Store, folder: str, buckets: int) -> str:
    """SHA-256 over a folder's buckets; on object storage over their names, sizes and times.

    Raises InputError when a bucket is missing.
    """
    names = [bucket_name(bucket) for bucket in range(buckets)]
    listing = {name: [size, time] for name, size, time in store.listing(folder)}
    for name in names:
        if name not in listing:
            raise InputError(
                f"{store.location}/{folder}/{name} does not exist; run `dvc repro`, or, if"
                " source.buckets was changed, ingest again"
            )
    if store.is_remote:
        return _digest([[name, *listing[name]] for name in names])
    root = Path(store.location) / folder
    return _digest([[name, stage.file_digest(root / name)] for name in names])


def bucket_name(bucket: int) -> str:
    """The file of a bucket."""
    return f"bucket={bucket:03d}.parquet"


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _key(settings: Params, job: Job, run: Mapping[str, Any]) -> str:
    """SHA-256 of everything that the scored buckets depend on: data, models, params, code."""
    packages = ("data", "features", "models", "pipelines", "reports")
    code = [
        [str(path.relative_to(paths.ROOT)), stage.file_digest(path)]
        for package in packages
        for path in sorted((paths.ROOT / package).rglob("*"))
        if path.suffix in (".py", ".toml", ".yaml", ".sql")
    ]
    return _digest(
        {
            "run": run,
            "settings": settings.model_dump(mode="json"),
            "typical": {one.task: one.typical for one in job.scorers},
            "code": code,
            "libraries": {name: version(name) for name in LIBRARIES},
        }
    )


def _work_folder(out: Path, key: str) -> Path:
    """The folder beside `out` where a run with this key works; what other runs left there goes."""
    work = out.with_name(f".{out.name}.work")
    note = work / "key"
    if not note.exists() or note.read_text(encoding="utf-8") != key:
        shutil.rmtree(work, ignore_errors=True)
        (work / PARTS).mkdir(parents=True)
        stage.write_text(note, key)
    shutil.rmtree(work / FINISHED, ignore_errors=True)
    return work


def _scored_buckets(
    job: Job, parts: Path, buckets: int, chosen: Engine | None
) -> list[dict[str, Any]]:
    """Score the buckets that are not scored yet; one record per bucket, in order."""
    records = {
        bucket: record
        for bucket in range(buckets)
        if (record := _scored_before(job, parts, bucket)) is not None
    }
    if records:
        stage.say(f"score: {len(records)} of {buckets} buckets were finished by an earlier run")
    began, customers = time.monotonic(), 0
    missing = [bucket for bucket in range(buckets) if bucket not in records]
    for bucket in engine.each_bucket(partial(_score_bucket, job=job), missing, chosen):
        record = _scored_before(job, parts, bucket)
        if record is None:
            raise InputError(
                f"bucket {bucket} was not stored whole in {job.to.location}; run again"
            )
        records[bucket] = record
        customers += max(record["customers"].values(), default=0)
        rate = customers / max(time.monotonic() - began, 1e-9)
        left = (buckets - len(records)) * customers / (len(records) - buckets + len(missing))
        stage.say(
            f"score: bucket {len(records)} of {buckets}; {customers:,} customers, {rate:,.0f} per"
            f" second, about {left / max(rate, 1e-9):,.0f} s left"
        )
    return [records[bucket] for bucket in range(buckets)]


def _scored_before(job: Job, parts: Path, bucket: int) -> dict[str, Any] | None:
    """The record of a bucket whose files are here, or can be fetched, whole; None if not."""
    names = [f"{task}/{bucket_name(bucket)}" for task in [one.task for one in job.scorers]]
    note = parts / f"bucket={bucket:03d}.json"
    for name in (note.name, *names):
        (parts / name).parent.mkdir(parents=True, exist_ok=True)
        if not (parts / name).exists() and not job.to.get(name, parts / name):
            return None
    record = stage.read_json(note)
    if all(stage.file_digest(parts / name) == record["sha256"][name] for name in names):
        return dict(record)
    for name in (note.name, *names):
        (parts / name).unlink()
    return None


def _score_bucket(bucket: int, job: Job) -> int:
    """Score one bucket for every task and store the result, the record of it last."""
    rows = _table_rows(bucket, job) if job.plan is None else _computed_rows(bucket, job, job.plan)
    record: dict[str, Any] = {"customers": {}, "never_seen": {}, "sha256": {}}
    facts = campaign.bucket_facts(job.store, bucket, job.at, job.brief)
    record["leaving"] = campaign.leaving(facts)
    with tempfile.TemporaryDirectory(prefix="retention-scored-") as scratch:
        for scorer in job.scorers:
            eligible = rows[rows[f"{scorer.task}_status"].isin(ELIGIBLE)].reset_index(drop=True)
            if job.snapshot:
                eligible = eligible[eligible[scorer.task] != 1].reset_index(drop=True)
            path, name = Path(scratch) / scorer.task, f"{scorer.task}/{bucket_name(bucket)}"
            table = scoring.scored(scorer, eligible, job.kept)
            table = campaign.with_facts(table, eligible, facts, scorer.task, job.brief)
            pq.write_table(table, path, compression="zstd")
            job.to.put(path, name)
            record["customers"][scorer.task] = len(eligible)
            record["never_seen"][scorer.task] = scoring.never_seen(scorer.model, eligible)
            record["sha256"][name] = stage.file_digest(path)
        note = Path(scratch) / "record"
        stage.write_json(note, record)
        job.to.put(note, f"bucket={bucket:03d}.json")
    return bucket


def _table_rows(bucket: int, job: Job) -> pd.DataFrame:
    """The rows of the feature table of one bucket and date."""
    statuses = [f"{one.task}_status" for one in job.scorers]
    labels = [one.task for one in job.scorers] if job.snapshot else []
    columns = ["customer_id", *(f.name for f in job.wanted), *statuses, *labels]
    return load.bucket_rows(bucket, job.at, columns)


def _computed_rows(bucket: int, job: Job, plan: Mapping[str, Any]) -> pd.DataFrame:
    """The same, computed from what was known of the eligible customers by the date."""
    folders = [*plan["folders"], *([paths.TONE.name] if plan["tone"] else [])]
    statuses = [f"{one.task}_status" for one in job.scorers]
    with job.store.bucket(folders, bucket) as folder, tempfile.TemporaryDirectory() as scratch:
        tables = {
            name: f"read_parquet({_quoted(folder / 'tables' / name / bucket_name(bucket))})"
            for name in (Path(path).name for path in plan["folders"])
        }
        few = {name: tables[name] for name in LABELLING if name in tables}
        with connect(few, plan["time_zone"], plan["calendar"], plan["products"]) as connection:
            rows = label(connection, plan["as_ofs"], plan["outcomes"], plan["observed_until"])
        rows = rows[rows[statuses].isin(ELIGIBLE).any(axis=1)].reset_index(drop=True)
        ids = Path(scratch) / "ids.parquet"
        rows[["customer_id"]].to_parquet(ids)
        # Nothing else can change a feature of these customers, so nothing else is read.
        known = {
            name: f"(SELECT * FROM {relation} WHERE known_at < TIMESTAMPTZ '{job.at.isoformat()}'"
            f" AND customer_id IN (SELECT customer_id FROM read_parquet({_quoted(ids)})))"
            for name, relation in tables.items()
        }
        with connect(known, plan["time_zone"], plan["calendar"], plan["products"]) as connection:
            if plan["tone"]:
                read_scores(connection, folder / paths.TONE.name / bucket_name(bucket))
            return with_features(connection, rows, job.wanted, plan["live_from"])


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _never_seen(job: Job, records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Per task and category feature, the customers by a value that training never saw.

    Raises InputError when a feature has such values only: then it is written in another way.
    """
    out: dict[str, dict[str, Any]] = {}
    for task in [one.task for one in job.scorers]:
        total: dict[str, dict[str, int]] = {}
        for record in records:
            for name, counts in record["never_seen"][task].items():
                mine = total.setdefault(name, {})
                for value, count in counts.items():
                    mine[value] = mine.get(value, 0) + count
        for name, counts in sorted(total.items()):
            known = counts.pop(scoring.ALL)
            if known and sum(counts.values()) == known:
                raise InputError(
                    f"score {task}: no customer's {name} is one that the model was trained on"
                    f" (the data have {min(counts)!r}); write it as in training or train again"
                )
            if counts:
                out.setdefault(task, {})[name] = counts
                stage.say(
                    f"score {task}: warning: {sum(counts.values()):,} of {known:,} customers have a"
                    f" {name} that the model was not trained on, such as {min(counts)!r}"
                )
    return out


def _finish(
    job: Job,
    work: Path,
    settings: Params,
    languages: tuple[str, ...],
    run: dict[str, Any],
    past: pd.DataFrame | None,
) -> None:
    """Rank all customers, plan the contacts, write lists and run.json into the work folder."""
    (work / FINISHED).mkdir()
    for task, reason in run["skipped"].items():
        stage.write_json(work / FINISHED / task / load.SKIPPED, {"skipped": reason})
    about = {"as_of": job.day, "source": run["source"]}
    contacts = campaign.Contacts(settings, job.brief, job.day, past)
    lists = {
        one.task: _finish_task(
            one,
            job,
            work,
            settings,
            contacts,
            languages,
            about | {"model": run["models"][one.task]["sha256"]["model.txt"]},
        )
        for one in job.scorers
    }
    stage.write_json(work / FINISHED / RUN, run | {"lists": lists, "policy": contacts.records})


def _finish_task(
    scorer: Scorer,
    job: Job,
    work: Path,
    settings: Params,
    contacts: campaign.Contacts,
    languages: tuple[str, ...],
    about: Mapping[str, str],
) -> dict[str, int]:
    """Write one task's folder; returns its counts for run.json."""
    folder = work / FINISHED / scorer.task
    files = [
        work / PARTS / scorer.task / bucket_name(bucket)
        for bucket in range(settings.source.buckets)
    ]
    scored = ds.dataset(files, format="parquet").to_table(use_threads=False).combine_chunks()
    if not len(scored):
        raise InputError(f"nobody is eligible for {scorer.task} on {job.day}; choose another date")
    scored = contacts.planned(scorer.task, scored)
    placed = _placed(scored, scorer, settings)
    stage.say(f"score {scorer.task}: writing the list of {len(placed):,} customers")
    write_list(
        _pieces(scored, placed, scorer, job),
        folder,
        task=scorer.task,
        catalog=Catalog(
            {feature.name: feature for feature in job.wanted}, FAMILIES, job.brief.book.texts
        ),
        about=about,
        languages=languages,
        currency=job.store.read_json(CONTRACT)["currency"],
        xlsx_rows=settings.score.xlsx_rows,
    )
    segments(scored, placed["tier"].to_numpy(), job.kept).to_csv(
        folder / "segments.csv", index=False
    )
    tiers = placed["tier"].value_counts()
    counts = {tier: int(tiers.get(tier, 0)) for tier in ("high", "medium", "low")}
    return {"customers": len(placed), **counts}


def _placed(scored: pa.Table, scorer: Scorer, settings: Params) -> pd.DataFrame:
    """Rank and tier of every customer, in the order of `scored`: the one place where customers
    compete with each other."""
    risk = scored["risk"].to_numpy()
    customers = scored["customer_id"].to_numpy()
    record = scorer.model.record
    base_rate = record["positives"]["calibration"] / record["rows"]["calibration"]
    return pd.DataFrame(
        {
            "rank": policy.rank(risk, customers),
            "tier": policy.tiers(
                risk,
                customers,
                base_rate=base_rate if scorer.towards == 1 else 1 - base_rate,
                capacity_share=settings.score.capacity_share,
            ),
        }
    )


def _pieces(scored: pa.Table, placed: pd.DataFrame, scorer: Scorer, job: Job) -> Iterator[pa.Table]:
    """The list, highest risk first, a piece at a time."""
    context = [
        name for name in job.kept if name != TENURE and scored[name].null_count < len(scored)
    ]
    rank, tier = placed["rank"].to_numpy(), placed["tier"].to_numpy()
    order = np.argsort(rank)
    day = date.fromisoformat(job.day)
    for first in range(0, len(order), ROWS_AT_ONCE):
        at = order[first : first + ROWS_AT_ONCE]
        some = scored.take(pa.array(at))
        columns = {
            "rank": pa.array(rank[at]),
            "customer_id": some["customer_id"],
            "as_of": pa.array([day] * len(at), pa.date32()),
            "probability": some["probability"],
            "risk": some["risk"],
            "tier": pa.array(tier[at], pa.string()),
            **{name: some[name] for name in context},
            "reasons": scoring.reasons_of(scorer, some),
            "play": some["play"],
            **{name: some[name] for name in campaign.PLANNED},
        }
        yield pa.table(columns)


def segments(scored: pa.Table, tier: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Mean risk and number of high-risk customers per group, for every grouping there is."""
    # Sums of whole numbers do not depend on the order, and so not on the buckets.
    risk = np.round(scored["risk"].to_numpy() * RISK_STEPS).astype(np.int64)
    parts = []
    for name in names:
        value = scored[name].to_pandas()
        if name == TENURE:
            edges = [0, *TENURE_EDGES.values()]
            value = pd.cut(value, edges, labels=list(TENURE_EDGES), right=False).astype(object)
        frame = pd.DataFrame({"value": value, "risk": risk, "high": tier == "high"})
        table = (
            frame.dropna(subset=["value"])
            .groupby("value", sort=True)
            .agg(customers=("risk", "size"), total=("risk", "sum"), high=("high", "sum"))
            .reset_index()
        )
        parts.append(
            pd.DataFrame(
                {
                    "dimension": "tenure_band" if name == TENURE else name,
                    "value": table["value"],
                    "customers": table["customers"],
                    "mean_risk": table["total"] / RISK_STEPS / table["customers"],
                    "high_risk_customers": table["high"],
                }
            )
        )
    columns = ["dimension", "value", "customers", "mean_risk", "high_risk_customers"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
