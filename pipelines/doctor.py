"""`retention doctor`: what a source's data can and cannot support, before anything is trained."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow.parquet as pq

from data import alerts, ingest, source
from data.contracts import TABLE
from data.errors import InputError
from data.source import OUTCOME, Source
from features import preflight
from features.labels import SNAPSHOT, TASKS, Outcome, as_of_dates
from models.splits import MIN_EVENTS, Origin, production_origin, test_origins, why_no_origin
from pipelines import load, params, paths, stage
from pipelines.featurize import outcomes
from pipelines.params import Params
from pipelines.store import Store
from reports.wording import Wording

SUPPORT = ("tickets", "messages", "calls", "surveys")
SHOWN = 5
RARE = 0.02
NOTABLE = 0.005

Level = Literal["ok", "look", "stop", ""]


@dataclass(frozen=True)
class Line:
    """One sentence and how much it matters; a line without a level continues the one before."""

    level: Level
    text: str


@dataclass(frozen=True)
class Examined:
    """An ingested source with the labels that its tables give."""

    source: Source
    settings: Params
    contract: dict[str, Any]
    tables: Path
    root: Path | None
    as_ofs: list[datetime]
    observed_until: datetime
    outcomes: tuple[Outcome, ...]
    labels: pd.DataFrame

    @property
    def present(self) -> list[str]:
        return list(self.contract["tables"])


def main(name: str | None = None, language: str = "en") -> None:
    """Print what can be modelled from a source (the configured one by default) and what is wrong.

    The source is ingested into a temporary folder; nothing of the project changes. Rows beyond the
    tolerated share are reported instead of stopping. Raises InputError for what cannot be read.
    """
    settings = params.load()
    chosen = source.load(name or settings.source.name)
    with tempfile.TemporaryDirectory(prefix="retention-doctor-") as folder:
        found = examine(chosen, settings, Path(folder))
        sys.stdout.write("\n".join(lines(found, Wording(language))) + "\n")


def examine(chosen: Source, settings: Params, folder: Path) -> Examined:
    """Ingest into `folder` and label every customer on every as-of date."""
    root = None
    if chosen.generator is None:
        root, tables = source.root_of(chosen), folder / "tables"
        tolerant = chosen.model_copy(
            update={"max_quarantined": dict.fromkeys(TABLE, 1.0), "may_end": tuple(TABLE)}
        )
        contract = ingest.ingest(tolerant, root, tables, folder / "quarantine", buckets=1)
    else:
        contract, tables = stage.read_json(paths.CONTRACT), paths.TABLES
        if contract["source"] != chosen.name:
            raise InputError(
                f"{chosen.name} is generated and artifacts/tables holds {contract['source']};"
                f" run `retention ingest` with source.name: {chosen.name} first"
            )
        _check_age(contract)
    zone, present = chosen.timezone, list(contract["tables"])
    until = load.as_of_times([contract["observed_until"]], zone)[0]
    last = (
        chosen.last_as_of
        if chosen.generator is None
        else date.fromisoformat(contract["observed_until"])
    )
    as_ofs = [at for at in as_of_dates(chosen.first_as_of, last, zone) if at <= until]
    late = max(table["lateness_days_p99"] or 0.0 for table in contract["tables"].values())
    lag = max(settings.labels.lag_days, int(-(-late // 1)))
    if not as_ofs:
        raise InputError(f"{chosen.name}/source.yaml: no first of a month is an as-of date")
    asked = (
        (SNAPSHOT,)
        if chosen.snapshot
        else outcomes(settings, present, as_ofs, lag, Store(str(tables.parent)))
    )
    labels = preflight.outcomes_by_date(tables, present, as_ofs, asked, until, zone)
    return Examined(chosen, settings, contract, tables, root, as_ofs, until, asked, labels)


def _check_age(contract: Mapping[str, Any]) -> None:
    for name in contract["tables"]:
        file = next(iter(sorted((paths.TABLES / name).glob("bucket=*.parquet"))), None)
        columns = set() if file is None else set(pq.read_schema(file).names)
        if not {column.name for column in TABLE[name].all_columns} <= columns:
            raise InputError(
                f"artifacts/tables/{name} is of an earlier contract; run `retention ingest` again"
            )


def lines(found: Examined, w: Wording) -> Iterator[str]:
    """The whole examination in one language, line by line."""
    yield f"{found.source.name}: {found.contract['description'][w.language]}"
    for section, part in (
        ("data", _data),
        ("times", _times),
        ("outcomes", _outcomes),
        ("columns", _columns),
        ("more", _more),
        ("verdict", _verdict),
    ):
        told = list(part(found, w))
        if told:
            yield f"\n{w.get(f'doctor.{section}')}"
        for line in told:
            mark = w.get(f"doctor.{line.level}") if line.level else ""
            yield f"  {mark:<5} {line.text}".rstrip()


def _say(w: Wording, key: str, **words: Any) -> str:
    return str(w.get(f"doctor.{key}")).format(**words)


# Data


def _data(found: Examined, w: Wording) -> Iterator[Line]:
    for name, table in found.contract["tables"].items():
        yield _table(found, name, table, w)
    for warning in found.contract["warnings"]:
        level: Level = "stop" if _stops(found.source, warning) else "look"
        yield Line(level, f"{w.known('tables', warning['table'])}: {w.warning(warning)}")
    for table_name, column, share in preflight.missing_values(found.tables, found.present):
        words = {"table": table_name, "column": column, "share": w.percent(share)}
        yield Line("look", _say(w, "lacking", **words))


def _stops(chosen: Source, warning: Mapping[str, Any]) -> bool:
    """Whether an ingest ends at what the doctor goes on with."""
    fallen = warning["kind"] == "few_rows" and warning["values"]["usual"] >= alerts.USUAL_ROWS
    return fallen and warning["table"] not in chosen.may_end


def _table(found: Examined, name: str, table: Mapping[str, Any], w: Wording) -> Line:
    share, limit = preflight.shares(table), found.source.max_share(name)
    reasons = list(table["reasons"].items())[:SHOWN]
    told = ", ".join(f"{w.reason(reason)} {w.number(n)}" for reason, n in reasons)
    numbers = {key: w.number(table[key]) for key in ("read", "kept")}
    parts = [_say(w, "table", table=w.known("tables", name), **numbers)]
    if share["aside"] > limit:
        words = {"share": w.percent(share["aside"], 1), "limit": w.percent(limit)}
        parts.append(_say(w, "aside_limit", reasons=told, **words))
    elif table["quarantined"]:
        parts.append(_say(w, "aside", share=w.percent(share["aside"], 1), reasons=told))
    parts += [
        _say(w, key, share=w.percent(share[key], 1))
        for key in ("duplicates", "orphans", "nobody")
        if share[key] > NOTABLE
    ]
    level: Level = "stop" if share["aside"] > limit else "look" if len(parts) > 1 else "ok"
    return Line(level, ("、" if w.language == "ja" else "; ").join(parts))


# Times


def _times(found: Examined, w: Wording) -> Iterator[Line]:
    zone = found.source.timezone
    yield Line("ok", _say(w, "zone", zone=zone))
    if found.source.snapshot:
        return
    seen = preflight.clock(found.tables, found.present, zone)
    for table in seen:
        words = {"table": w.known("tables", table["table"]), "zone": zone}
        if table["days_only"] > preflight.DAY_SHARE:
            yield Line("ok", _say(w, "days_only", share=w.percent(table["days_only"]), **words))
        # Where some tables have days only, times of day are made up and say nothing of a zone.
        elif table["night"] > preflight.NIGHT_SHARE and not any(
            other["days_only"] > preflight.DAY_SHARE for other in seen
        ):
            yield Line("look", _say(w, "night", share=w.percent(table["night"]), **words))
    begins = preflight.begins(found.contract["tables"])
    first = datetime.fromisoformat(begins).astimezone(ZoneInfo(zone))
    yield Line(
        "ok",
        _say(
            w,
            "history",
            first=first.date().isoformat(),
            first_as_of=found.as_ofs[0].date().isoformat(),
            last_as_of=found.as_ofs[-1].date().isoformat(),
            n=len(found.as_ofs),
            until=found.contract["observed_until"],
        ),
    )
    longest = max(found.settings.features.windows)
    short = sum((at - first).days < longest for at in found.as_ofs)
    if short:
        text = _say(w, "window", n=short, all=len(found.as_ofs), days=longest)
        yield Line("look", text)


# Outcomes


def _title(outcome: Outcome, w: Wording) -> str:
    return str(w.get(f"event.{_event(outcome)}.title"))


def _event(outcome: Outcome) -> str:
    return outcome.task if outcome.task != "churn" else f"churn_{outcome.definition}"


def _outcomes(found: Examined, w: Wording) -> Iterator[Line]:
    asked = {outcome.task: outcome for outcome in found.outcomes}
    for task in TASKS:
        if task not in asked:
            continue
        outcome = asked[task]
        counts = preflight.labelled(found.labels, task)
        words = {"title": _title(outcome, w), "did": w.get(f"event.{_event(outcome)}.did")}
        customers, positives = int(counts["customers"].sum()), int(counts["positives"].sum())
        if not customers:
            status = found.labels[f"{task}_status"].value_counts().head(SHOWN)
            reasons = ", ".join(f"{name} {n:,}" for name, n in status.items())
            yield Line("stop", _say(w, "nothing_labelled", reasons=reasons, **words))
            continue
        yield Line(
            "ok",
            _say(
                w,
                "snapshot" if outcome is SNAPSHOT else "dated",
                customers=w.number(customers),
                positives=w.number(positives),
                rate=w.percent(positives / customers, 1),
                dates=len(counts),
                **words,
            ),
        )
        if outcome is not SNAPSHOT:
            yield from _by_date(counts, found.source.timezone, w)


def _by_date(counts: pd.DataFrame, zone: str, w: Wording) -> Iterator[Line]:
    yield Line("", _say(w, "rates_head"))
    for at, row in counts.iterrows():
        day = load.day(pd.Timestamp(str(at)), zone)
        rate = w.percent(row["positives"] / row["customers"], 1)
        yield Line("", f"{day}  {row['customers']:>11,}  {row['positives']:>12,}  {rate:>6}")


# Columns


def _columns(found: Examined, w: Wording) -> Iterator[Line]:
    outcome, y = _told(found)
    title = _title(outcome, w) if outcome else ""
    frames = preflight.profile_columns(found.tables, found.present)
    given = dict(frames).get("attributes")
    frames = [(name, frame.drop(columns=[OUTCOME], errors="ignore")) for name, frame in frames]
    if found.root is not None:
        frames += preflight.file_columns(found.source, found.root, frames[0][1]["customer_id"])
    any_found = False
    for where, frame in frames:
        for suspect in preflight.suspects(where, frame, y):
            if where == "customers" and suspect.kind == "constant":
                continue  # the SELECT itself says so: one country, one relationship
            any_found = True
            auc = "" if suspect.auc is None else w.number(suspect.auc, 2)
            words = {"where": where, "column": suspect.column, "auc": auc, "title": title}
            level: Level = "stop" if suspect.kind in ("outcome", "missing") else "look"
            if suspect.kind == "itself":
                level = "ok"
            yield Line(level, _say(w, suspect.kind, **words))
    declared = set(found.source.attributes)
    if given is not None or declared:
        names = set() if given is None else set(given.columns) - {"customer_id", OUTCOME}
        for key, which in (("undeclared", names - declared), ("undelivered", declared - names)):
            if which:
                any_found = True
                yield Line("look", _say(w, key, names=", ".join(sorted(which))))
    if not any_found:
        yield Line("ok", _say(w, "no_suspects"))


def _told(found: Examined) -> tuple[Outcome | None, pd.Series | None]:
    """The first outcome there is and who had it, on the date with most of the rarer kind."""
    for outcome in found.outcomes:
        at = preflight.widest(preflight.labelled(found.labels, outcome.task))
        if at is not None:
            rows = found.labels[found.labels["as_of"] == at]
            return outcome, rows.set_index("customer_id")[outcome.task].dropna()
    return None, None


# What would add most, and what can be modelled


def _more(found: Examined, w: Wording) -> Iterator[Line]:
    if not found.outcomes:
        yield Line("stop", _say(w, "add_outcome"))
    absent = [
        f"{name}.{column}"
        for name, table in found.contract["tables"].items()
        for column in table["absent_columns"]
    ]
    windows = found.settings.features.windows
    added = preflight.missing_tables(windows, found.present, absent)
    for names, n, levers in added[:SHOWN]:
        table = " + ".join(w.known("tables", name) for name in names)
        yield Line("", _say(w, "add", table=table, n=n, levers=levers))
    if not added:
        yield Line("ok", _say(w, "add_none"))


def _verdict(found: Examined, w: Wording) -> Iterator[Line]:
    asked = {outcome.task: outcome for outcome in found.outcomes}
    for task in TASKS:
        if task in asked:
            yield from _task(found, asked[task], w)
        else:
            yield Line("stop", _say(w, f"no_{task}"))
    if not set(SUPPORT) & set(found.present):
        yield Line("look", _say(w, "no_support"))


def _task(found: Examined, outcome: Outcome, w: Wording) -> Iterator[Line]:
    title = _title(outcome, w)
    counts = preflight.labelled(found.labels, outcome.task)
    if outcome is SNAPSHOT:
        events = int(0.6 * _rarer(counts, list(counts.index)))
        if events < MIN_EVENTS:
            yield Line("stop", _say(w, "few", title=title, events=events, least=MIN_EVENTS))
        else:
            yield Line("ok", _say(w, "can_snapshot", title=title))
        return
    zone, origins = found.source.timezone, _origins(found, outcome)
    if isinstance(origins, dict):
        yield Line("stop", _say(w, "cannot", title=title, reason=origins[w.language]))
        return
    events = min(_rarer(counts, list(origin.train)) for origin in origins)
    if events < MIN_EVENTS:
        yield Line("stop", _say(w, "few", title=title, events=events, least=MIN_EVENTS))
        return
    yield Line(
        "ok",
        _say(
            w,
            "can",
            title=title,
            n=len(origins),
            first=load.day(origins[0].test, zone),
            last=load.day(origins[-1].test, zone),
            events=w.number(events),
        ),
    )
    if counts["positives"].sum() < RARE * counts["customers"].sum():
        yield Line("look", _say(w, "rare", did=w.get(f"event.{_event(outcome)}.did")))


def _rarer(counts: pd.DataFrame, dates: list[pd.Timestamp]) -> int:
    rows = counts[counts.index.isin(dates)]
    positives = int(rows["positives"].sum())
    return min(positives, int(rows["customers"].sum()) - positives)


def _origins(found: Examined, outcome: Outcome) -> tuple[Origin, ...] | dict[str, str]:
    """The test origins, or why there is none (en, ja), as the stage `train` sees it."""
    dates = [pd.Timestamp(at).tz_convert("UTC") for at in found.as_ofs]
    until = pd.Timestamp(found.observed_until)
    span = {
        "label_days": outcome.label_days,
        "calibration_cutoffs": found.settings.train.calibration_cutoffs,
    }
    tests = test_origins(dates, until, found.settings.train.test_origins, **span)
    production = production_origin(dates, **span)
    if tests and production:
        return tests
    reason = why_no_origin(
        dates,
        observed_until=None if production is None else until,
        timezone=found.source.timezone,
        **span,
    )
    return reason or {"en": "", "ja": ""}
