"""From ranked customers to a plan of contacts: what the tables and past lists say of each customer,
then one plan over all tasks (docs/policy.md)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.calendar import WorkingCalendar
from data.contracts import TABLES
from data.errors import InputError
from features.catalog import FAMILIES, Feature, features
from features.facts import connect, frame_of
from features.labels import LABELLED, Outcome, label
from features.streams.care import SENT
from models import policy, scoring
from models.policy import CONTACT, HOLD_OUT, Limits, Team
from models.scoring import Scorer
from models.training_range import TrainingRange
from models.value import Costs
from pipelines import load, stage
from pipelines.params import Params
from pipelines.store import Store
from reports import plays
from reports.lists import spreadsheet_safe
from reports.plays import Plays

LEAVING = "ineligible: cancellation already announced"
FACTS = ("customers", "outreach", "subscriptions", "orders")
"""The tables that say who may be contacted."""
NEEDED = ("tenure_days", "open_ticket_count", "order_amount_365d", "subscription_price",
          "language", "channel_pref", "segment")  # fmt: skip
"""The features that the policy reads, where the source has them; the plays read more."""
ASKED = ("contact_opt_in", "days_since_contact", "is_leaving", "unfamiliar_count")
PLANNED = {
    "action": pa.string(),
    "action_reason": pa.string(),
    "team": pa.string(),
    "propensity": pa.float64(),
    "customer_value": pa.float64(),
    "net_value": pa.float64(),
    "value_at_risk": pa.float64(),
    "is_silent": pa.bool_(),
    "is_unfamiliar": pa.bool_(),
}
"""What a plan adds to a list."""
FEATURES_AT_ONCE = 16
LIST_COLUMNS = ("customer_id", "as_of", "tier", "risk", "action", "propensity")


def list_id(task: str, day: str) -> str:
    """What a list is called, in outreach.campaign too: `churn-2025-07-01`."""
    return f"{task}-{day}"


def _read_plays(supported: Collection[Feature]) -> Plays:
    """The plays, checked against the factor families and the features of any source."""
    names: dict[str, list[str]] = {}
    for feature in supported:
        names.setdefault(feature.name, []).append(feature.name)
        if feature.base != feature.name:
            names.setdefault(feature.base, []).append(feature.name)
    return plays.load([key for key, family in FAMILIES.items() if family.lever], names)


@dataclass(frozen=True)
class Brief:
    """What planning needs besides the scores; the same for every bucket.

    `ranges` and `rates` are per task: what the model was trained on, and how often its outcome came
    per segment and in all. `columns` are features that go with every customer, `tables` those of
    FACTS that the source has. `stale_days` is None where the data have no times.
    """

    book: Plays
    ranges: Mapping[str, TrainingRange]
    rates: Mapping[str, tuple[Mapping[str, float], float]]
    columns: tuple[str, ...]
    texts: frozenset[str]
    tables: tuple[str, ...]
    has_consent: bool
    kinds: tuple[str, ...]
    churn: Outcome | None
    stale_days: float | None

    @property
    def folders(self) -> list[str]:
        """Where the facts are, as a store calls it."""
        return [f"tables/{name}" for name in self.tables]


def brief(
    scorers: Sequence[Scorer],
    supported: Sequence[Feature],
    settings: Params,
    summary: Mapping[str, Any],
    contract: Mapping[str, Any],
    at: pd.Timestamp,
) -> Brief:
    """Read and check what planning needs before the first bucket. Raises PlaysError."""
    every = features(settings.features.windows, [table.name for table in TABLES])
    book = _read_plays([*every, *supported])
    have = {feature.name: feature for feature in supported}
    columns = tuple(name for name in dict.fromkeys((*NEEDED, *book.columns)) if name in have)
    about = summary["tasks"].get("churn", {})
    is_contractual = about.get("definition") == "contractual"
    is_snapshot = about.get("definition") == "snapshot"
    zone = summary["time_zone"]
    ranges, rates = {}, {}
    for one in scorers:
        newest = load.as_of_times(one.model.record["about"]["calibration_as_of"][-1:], zone)
        used = scoring.used_features(one.model)
        parts = [used[i : i + FEATURES_AT_ONCE] for i in range(0, len(used), FEATURES_AT_ONCE)]
        ranges[one.task] = TrainingRange.fit(
            load.feature_rows(one.task, newest, columns=part)[list(part)] for part in parts
        )
        known = ["segment"] if "segment" in have else []
        rows = load.feature_rows(one.task, newest, columns=[one.task, *known])
        rows = rows[rows[f"{one.task}_status"] == LABELLED]
        record = one.model.record
        rates[one.task] = (
            policy.base_rates(_column(rows, "segment"), rows[one.task])
            if len(rows)
            else ({}, record["positives"]["calibration"] / record["rows"]["calibration"])
        )
    tables = tuple(name for name in FACTS if name in contract["tables"])
    latest = [table.get("last_known_at") for table in contract["tables"].values()]
    newest_fact = max((pd.Timestamp(text) for text in latest if text), default=None)
    absent = contract["tables"].get("customers", {}).get("absent_columns", [])
    return Brief(
        book=book,
        ranges=ranges,
        rates=rates,
        columns=columns,
        texts=frozenset(name for name in columns if have[name].unit == "category"),
        tables=tables,
        has_consent="contact_opt_in" not in absent,
        kinds=settings.policy.contact_kinds,
        churn=Outcome("churn", "contractual", about["gap_days"], about["horizon_days"], 0)
        if is_contractual
        else None,
        stale_days=None
        if is_snapshot or newest_fact is None
        else max((at - newest_fact) / pd.Timedelta(days=1), 0.0),
    )


def bucket_facts(store: Store, bucket: int, at: pd.Timestamp, one: Brief) -> pd.DataFrame:
    """What the tables said of each customer of a bucket at `at`; see `customer_facts`."""
    with store.bucket(one.folders, bucket) as folder:
        files = {
            name: folder / "tables" / name / f"bucket={bucket:03d}.parquet" for name in one.tables
        }
        facts = customer_facts(
            {name: f"read_parquet({quoted(file)})" for name, file in files.items()},
            at.to_pydatetime(),
            kinds=one.kinds,
            churn=one.churn,
        )
    return facts if one.has_consent else facts.drop(columns="contact_opt_in")


def leaving(facts: pd.DataFrame) -> list[str]:
    """The customers who have announced that they leave: listed, not scored (METHODS C)."""
    if "is_leaving" not in facts:
        return []
    return [str(name) for name in facts.loc[facts["is_leaving"] == 1, "customer_id"]]


def write_leaving(folder: Path, records: Sequence[Mapping[str, Any]], day: str) -> None:
    """Write already_leaving.csv beside the churn list, if there are any and there is such a list.

    Identifiers are text to a spreadsheet, whatever they begin with.
    """
    ids = sorted(name for record in records for name in record["leaving"])
    if ids and (folder / "churn" / "list.parquet").exists():
        lines = ["customer_id,as_of", *(f"{spreadsheet_cell(name)},{day}" for name in ids)]
        text = "\r\n".join(lines) + "\r\n"
        (folder / "churn" / "already_leaving.csv").write_text(
            text, encoding="utf-8-sig", newline=""
        )


def spreadsheet_cell(text: str) -> str:
    """A CSV cell that is not read as a formula."""
    return '"' + str(spreadsheet_safe(text)).replace('"', '""') + '"'


def quoted(path: Path) -> str:
    """A path as SQL text."""
    return "'" + str(path).replace("'", "''") + "'"


def with_facts(
    scored: pa.Table, rows: pd.DataFrame, facts: pd.DataFrame, task: str, one: Brief
) -> pa.Table:
    """`scored` with what `plan` asks of each customer. `rows` are its features, in its order."""
    found = rows[["customer_id"]].merge(facts, on="customer_id", how="left")
    columns: dict[str, pa.Array] = {
        name: pa.array(
            rows[name], pa.string() if name in one.texts else pa.float32(), from_pandas=True
        )
        for name in one.columns
    }
    for name in facts.columns.drop("customer_id"):
        columns[name] = pa.array(found[name], pa.float64(), from_pandas=True)
    columns["unfamiliar_count"] = pa.array(one.ranges[task].count_outside(rows), pa.int64())
    for name, column in columns.items():
        if name not in scored.column_names:
            scored = scored.append_column(name, column)
    return scored


class Contacts:
    """The plans of one day's lists, one task after the other: a customer is planned for once, and
    minutes that one list takes are gone for the next.
    """

    def __init__(self, settings: Params, one: Brief, day: str, past: pd.DataFrame | None) -> None:
        self.records: dict[str, Any] = {}
        self._settings, self._brief, self._day, self._past = settings, one, day, past
        self._taken: set[str] = set()
        self._used: dict[str, float] = {}

    def planned(self, task: str, scored: pa.Table) -> pa.Table:
        """`scored` with PLANNED and the plays, and without an opinion where the model is silent."""
        wanted = {"customer_id", "probability", "risk", "play", *self._brief.columns, *ASKED}
        found, self.records[task] = plan(
            task,
            scored.select([n for n in scored.column_names if n in wanted]).to_pandas(),
            self._settings,
            self._brief.book,
            day=self._day,
            max_unfamiliar=self._brief.ranges[task].most_outside,
            rates=self._brief.rates[task],
            stale_days=self._brief.stale_days,
            past=self._past,
            taken=self._taken,
            used=self._used,
        )
        chosen = found["action"].isin((CONTACT, HOLD_OUT)).to_numpy()
        self._taken |= set(scored["customer_id"].to_numpy(zero_copy_only=False)[chosen])
        for name, minutes in self.records[task]["minutes_used"].items():
            self._used[name] = self._used.get(name, 0.0) + minutes
        silent = pa.array(found["is_silent"])
        for name in scored.column_names:
            if name in ("probability", "risk", "play"):
                kind = scored.schema.field(name).type
                scored = _replaced(scored, name, pa.array(found[name], kind, from_pandas=True))
            elif name.startswith("feature_"):
                column = scored[name].combine_chunks()
                nothing = pa.scalar(None, column.type)
                scored = _replaced(scored, name, pc.if_else(silent, nothing, column))
        for name, kind in PLANNED.items():
            scored = scored.append_column(name, pa.array(found[name], kind, from_pandas=True))
        return scored


def _replaced(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column)


def customer_facts(
    tables: Mapping[str, str],
    at: datetime,
    *,
    kinds: Sequence[str],
    churn: Outcome | None,
) -> pd.DataFrame:
    """What was known of each customer at `at`: one row per customer, sorted.

    `tables` are DuckDB relations of canonical tables of one bucket, those of FACTS that there are.
    Columns: customer_id; contact_opt_in (1, 0 or missing; if the source has customers.
    contact_opt_in); days_since_contact (since the last contact of one of `kinds`; if there is
    outreach); is_leaving (1 where a cancellation was announced; for contractual `churn` only).
    """
    given = {name: tables[name] for name in FACTS if name in tables}
    always = WorkingCalendar(country=None)
    with connect(given, "UTC", always) as connection:
        seen = f"known_from < TIMESTAMPTZ '{at.isoformat()}'" + (
            f" AND (known_until IS NULL OR known_until >= TIMESTAMPTZ '{at.isoformat()}')"
        )
        found = frame_of(
            connection,
            f"""
            SELECT customer_id, arg_max(CAST(contact_opt_in AS INTEGER),
                    (known_from, record_version, event_id))
                    FILTER (contact_opt_in IS NOT NULL) AS contact_opt_in
            FROM customers WHERE {seen} GROUP BY customer_id ORDER BY customer_id
            """,
        )
        if "outreach" in given:
            names = ", ".join(f"'{kind}'" for kind in kinds) or "NULL"
            last = frame_of(
                connection,
                f"""
                SELECT customer_id, (epoch(TIMESTAMPTZ '{at.isoformat()}') - max(epoch(event_at)))
                    / 86400 AS days_since_contact
                FROM outreach WHERE {seen} AND {SENT} AND kind IN ({names})
                GROUP BY customer_id ORDER BY customer_id
                """,
            )
            found = found.merge(last, on="customer_id", how="left")
        if churn is not None and churn.definition == "contractual":
            status = label(connection, [at], [churn], at)
            leaving = status.loc[status["churn_status"] == LEAVING, "customer_id"]
            found["is_leaving"] = found["customer_id"].isin(leaving).astype(int)
    return found


def list_folders(folders: Sequence[Path]) -> list[Path]:
    """The folders with a list.parquet, in `folders` or in their task folders; each once, sorted.

    Raises InputError for a folder without any.
    """
    found: set[Path] = set()
    for folder in folders:
        here = {path.parent for path in [folder / "list.parquet", *folder.glob("*/list.parquet")]}
        here = {path for path in here if (path / "list.parquet").is_file()}
        if not here:
            raise InputError(
                f"{folder} holds no list.parquet; name a folder that `retention score` has written"
            )
        found |= {path.resolve() for path in here}
    return sorted(found)


@dataclass(frozen=True)
class PastList:
    """A list as it was written: `rows` has LIST_COLUMNS (the last two only if it had a plan)."""

    name: str
    task: str
    as_of: date
    rows: pd.DataFrame
    digest: str

    @property
    def has_plan(self) -> bool:
        """Whether the list says who was to be contacted."""
        return "action" in self.rows


def read_list(folder: Path, source: str) -> PastList:
    """Read a list and its run record. Raises InputError when any of it is not as it was written."""
    run = _run_record(folder)
    task, path = folder.name, folder / "list.parquet"
    if run.get("source") != source:
        raise InputError(
            f"{folder} is a list of source {run.get('source')!r}, not of {source!r}; set"
            " source.name in params.yaml, or name other folders"
        )
    if task not in run.get("lists", {}):
        raise InputError(f"{folder.parent / 'run.json'} knows no list {task!r}; restore the folder")
    try:
        schema = pq.read_schema(path)
        columns = [name for name in LIST_COLUMNS if name in schema.names]
        rows = pq.read_table(path, columns=columns).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} cannot be read ({error}); restore it from where lists are kept"
        ) from error
    absent = [name for name in LIST_COLUMNS[:4] if name not in columns]
    if absent:
        raise InputError(f"{path} has no column {absent[0]}; it is no list of this project")
    days = set(rows["as_of"].astype(str))
    problems = {
        f"{len(rows)} customers where run.json says {run['lists'][task].get('customers')}": len(
            rows
        )
        != run["lists"][task].get("customers"),
        "a customer twice": bool(rows["customer_id"].duplicated().any()),
        "a risk that is not between 0 and 1": not rows["risk"].between(0, 1).all(),
        "another as-of date than run.json": days != {run.get("as_of")},
    }
    for problem, is_there in problems.items():
        if is_there:
            raise InputError(f"{path} has {problem}; restore it from where lists are kept")
    day = date.fromisoformat(run["as_of"])
    return PastList(list_id(task, run["as_of"]), task, day, rows, stage.file_digest(path))


def _run_record(folder: Path) -> dict[str, Any]:
    path = folder.parent / "run.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{path} does not exist; a list is read together with its run.json, keep the whole"
            " folder that `retention score` wrote"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); restore the folder") from error
    if not isinstance(found, dict) or not isinstance(found.get("lists"), dict):
        raise InputError(f"{path} is no run record of `retention score`; restore the folder")
    return found


def read_past(folders: Sequence[Path], settings: Params) -> list[PastList]:
    """The lists in `folders`."""
    return [read_list(folder, settings.source.name) for folder in list_folders(folders)]


def past_listings(past: Sequence[PastList], day: str) -> pd.DataFrame | None:
    """Days since each customer was last planned for contact, and was last held out, before `day`.

    Columns: customer_id, days_since_listed, days_since_held_out. Lists of `day` or later, and
    lists without a plan, say nothing. None without any list.
    """
    if not past:
        return None
    parts = []
    for one in past:
        age = (date.fromisoformat(day) - one.as_of).days
        if age > 0 and one.has_plan:
            chosen = one.rows[one.rows["action"].isin((CONTACT, HOLD_OUT))]
            parts.append(chosen[["customer_id", "action"]].assign(age=float(age)))
    if not parts:
        return pd.DataFrame({"customer_id": [], "days_since_listed": [], "days_since_held_out": []})
    rows = pd.concat(parts, ignore_index=True)
    ages = rows.pivot_table(index="customer_id", columns="action", values="age", aggfunc="min")
    ages = ages.reindex(columns=[CONTACT, HOLD_OUT])
    ages.columns = pd.Index(["days_since_listed", "days_since_held_out"])
    return ages.reset_index()


def teams_of(settings: Params, customers: int) -> list[Team]:
    """The teams with their minutes for one list; hours that are not given follow from
    score.capacity_share of `customers`."""
    out = []
    for team in settings.policy.teams:
        per = team.minutes_per_contact
        longest = max(per.values()) if isinstance(per, dict) else per
        minutes = (
            np.floor(settings.score.capacity_share * customers + 1e-9) * longest
            if team.hours_per_week is None
            else 60 * team.hours_per_week
        )
        languages = None if team.languages is None else tuple(team.languages)
        channels = None if team.channels is None else tuple(team.channels)
        out.append(Team(team.name, float(minutes), per, languages, channels))
    return out


def plan(
    task: str,
    scored: pd.DataFrame,
    settings: Params,
    book: Plays,
    *,
    day: str,
    max_unfamiliar: float,
    rates: tuple[Mapping[str, float], float],
    stale_days: float | None,
    past: pd.DataFrame | None,
    taken: Collection[str] = (),
    used: Mapping[str, float] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One task's plan, a row per row of `scored` in its order, and its part of run.json.

    `scored` has customer_id, probability and risk, `play` (the factor family of the main support
    reason, or missing) and what there is of NEEDED, of the plays' columns, of `bucket_facts` and of
    `unfamiliar_count`. `rates` are the base rates of `probability` per segment and over all,
    `stale_days` how old the newest fact is, None where that has no meaning. `past` are the
    `past_listings`, None where no past lists were given. `taken` are customers that another list of
    the same day plans for, `used` the minutes per team that it has taken.

    Columns: probability and risk (the base rate where the model keeps silent), is_silent, PLANNED
    and play (a play's name or None).
    """
    rules = settings.policy
    rows = scored.reset_index(drop=True)
    if past is not None:
        rows = rows.merge(past, on="customer_id", how="left")
    rows["in_other_list"] = rows["customer_id"].isin(list(taken)).astype(int)
    if stale_days is not None:
        rows["stale_days"] = stale_days
    limits = Limits(
        cooldown_days=rules.cooldown_days,
        held_out_days=rules.held_out_days,
        min_tenure_days=rules.min_tenure_days,
        max_stale_days=rules.max_stale_days,
        max_unfamiliar=max_unfamiliar,
    )
    reason, silent, applied = policy.suppress(rows, limits)
    probability = policy.silenced(rows["probability"], silent, _column(rows, "segment"), *rates)
    risk = probability if task == "churn" else 1 - probability
    cost = getattr(settings.value, task)
    costs = Costs(**cost.model_dump())
    values, valued_by = policy.customer_values(
        rows, otherwise=cost.customer_value, margin=rules.margin
    )
    net = policy.net_value(risk, values, costs, rules.taken_by_stayers)
    teams = [
        Team(
            t.name,
            max(t.minutes - (used or {}).get(t.name, 0.0), 0.0),
            t.minutes_per_contact,
            t.languages,
            t.channels,
        )
        for t in teams_of(settings, len(rows))
    ]
    found = policy.contact_plan(
        rows["customer_id"].to_numpy(),
        net,
        reason,
        _column(rows, "language"),
        _column(rows, "channel_pref"),
        teams,
        day=day,
        holdout_share=rules.holdout_share,
        seed=rules.seed,
    )
    chosen, idle = book.choose(rows, rows["play"].tolist())
    chosen[silent.to_numpy()] = None
    out = found.rows.assign(
        probability=probability,
        risk=risk,
        is_silent=silent.to_numpy(),
        customer_value=values,
        value_at_risk=risk * values,
        is_unfamiliar=_unfamiliar(rows, max_unfamiliar),
        play=chosen,
    )
    record = {
        "list": list_id(task, day),
        "actions": _counts(out["action"]),
        "left_alone": _counts(out["action_reason"]),
        "rules": applied,
        "silent": int(silent.sum()),
        "expected_value": found.value,
        "best_possible": found.bound,
        "is_exact": found.is_exact,
        "minutes_used": found.minutes,
        "minutes_there": {team.name: team.minutes for team in teams},
        "customer_value": valued_by,
        "holdout_share": rules.holdout_share,
        "plays_without_data": idle,
    }
    return out, record


def _column(rows: pd.DataFrame, name: str) -> np.ndarray:
    return (
        rows[name] if name in rows else pd.Series(None, index=rows.index, dtype=object)
    ).to_numpy(dtype=object)


def _unfamiliar(rows: pd.DataFrame, most: float) -> np.ndarray:
    if "unfamiliar_count" not in rows:
        return np.zeros(len(rows), dtype=bool)
    return (rows["unfamiliar_count"] > most).to_numpy(dtype=bool)


def _counts(values: pd.Series) -> dict[str, int]:
    return {str(name): int(n) for name, n in sorted(values.dropna().value_counts().items())}
