"""`retention outcomes`: what became of the customers on past lists, and did contacting help?"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd

from data.calendar import WorkingCalendar
from data.errors import InputError
from data.privacy import ID_COLUMNS
from features.facts import connect
from features.labels import LABELLED, Outcome, label
from features.streams.care import SENT
from models import outcomes
from models.policy import CONTACT, HOLD_OUT
from pipelines import campaign, load, params, paths, stage
from pipelines.campaign import PastList

LABELLING = ("customers", "subscriptions", "orders", "attributes")


def main(lists: Sequence[Path], contacted: Path | None = None, out: Path | None = None) -> None:
    """Join matured outcomes to past lists; write outcomes.json, tiers.csv and customers.csv.

    `lists` are folders that `retention score` wrote. Who was contacted is read from outreach whose
    campaign is the list's name, or from the CSV file `contacted` with one customer id per row.
    Raises InputError when a list cannot be read or an outcome is not known yet.
    """
    settings = params.load()
    summary = load.summary()
    past = [
        campaign.read_list(folder, settings.source.name) for folder in campaign.list_folders(lists)
    ]
    _check_distinct(past)
    spans = {one.task: _outcome(one.task, summary) for one in past}
    _check_matured(past, spans, summary)
    named = None if contacted is None else read_contacted(contacted)
    parts = []
    for one in past:
        stage.say(f"outcomes: {one.name}: {len(one.rows):,} customers")
        parts.append(
            joined(
                one,
                _labels(one, spans[one.task], settings, summary),
                _reached(one, summary) if named is None else named,
            )
        )
    rows = pd.concat(parts, ignore_index=True)
    if named is not None:
        _check_known(contacted, named, rows)
    result = assessed(rows, spans, resamples=settings.policy.resamples, seed=settings.policy.seed)
    result["lists"] = {one.name: {"sha256": one.digest, "has_plan": one.has_plan} for one in past}
    result["contacts_read_from"] = "outreach" if named is None else "file"
    with stage.fresh_folder(out or paths.OUTCOMES) as folder:
        stage.write_json(folder / "outcomes.json", result)
        outcomes.by_tier(rows).to_csv(folder / "tiers.csv", index=False)
        rows.sort_values(["list", "customer_id"]).to_csv(folder / "customers.csv", index=False)
    sys.stdout.write("\n".join(told(result)) + "\n")


def _check_distinct(past: Sequence[PastList]) -> None:
    names = [one.name for one in past]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two of the folders hold the list {name}; name each list once")


def _outcome(task: str, summary: Mapping[str, Any]) -> Outcome:
    about = summary["tasks"].get(task, {})
    if about.get("skipped") or about.get("definition") in (None, "snapshot"):
        raise InputError(
            f"the outcome of {task} cannot be seen later in this source's data: it has no dates"
        )
    return Outcome(
        task,
        about["definition"],
        gap=about["gap_days"],
        horizon=about["horizon_days"],
        lag=about["lag_days"],
    )


def _check_matured(
    past: Sequence[PastList], spans: Mapping[str, Outcome], summary: Mapping[str, Any]
) -> None:
    until = date.fromisoformat(summary["observed_until"])
    for one in past:
        ready = one.as_of + timedelta(days=spans[one.task].label_days)
        if ready > until:
            raise InputError(
                f"{one.name}: the outcomes are known from {ready} on, and the data are complete"
                f" until {until}; run this again with data until then, or leave this list out"
            )


def _labels(
    one: PastList, outcome: Outcome, settings: params.Params, summary: Mapping[str, Any]
) -> pd.DataFrame:
    """customer_id, status and y of everybody at the list's date, by the latest truth."""
    zone = ZoneInfo(summary["time_zone"])
    at = datetime(one.as_of.year, one.as_of.month, one.as_of.day, tzinfo=zone)
    until = date.fromisoformat(summary["observed_until"])
    parts = []
    for bucket in range(settings.source.buckets):
        tables = {
            name: f"read_parquet('{path}')"
            for name in LABELLING
            if (path := paths.TABLES / name / f"bucket={bucket:03d}.parquet").exists()
        }
        with connect(tables, summary["time_zone"], WorkingCalendar(country=None)) as connection:
            found = label(
                connection,
                [at],
                [outcome],
                datetime(until.year, until.month, until.day, tzinfo=zone),
            )
        parts.append(
            pd.DataFrame(
                {
                    "customer_id": found["customer_id"].astype(object),
                    "status": found[f"{one.task}_status"].astype(object),
                    "y": found[one.task].astype(float),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _reached(one: PastList, summary: Mapping[str, Any]) -> frozenset[str]:
    """The customers with outreach under the list's name, from its date on."""
    folder = paths.TABLES / "outreach"
    if not folder.is_dir():
        return frozenset()
    with duckdb.connect() as connection:
        found = connection.execute(
            f"""
            SELECT DISTINCT customer_id FROM (
                SELECT * FROM read_parquet('{folder}/*.parquet', union_by_name = true)
                QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY record_version DESC) = 1
            ) WHERE op = 'upsert' AND campaign = ? AND {SENT}
                AND event_at >= CAST(? AS TIMESTAMP) AT TIME ZONE ?
            """,
            [one.name, one.as_of.isoformat(), summary["time_zone"]],
        ).fetchall()
    return frozenset(str(row[0]) for row in found)


def read_contacted(path: Path) -> frozenset[str]:
    """The customer ids of a CSV file with a heading that lists use for them.

    Raises InputError when there is no such file, heading or customer.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            heading = next((name for name in reader.fieldnames or () if name in ID_COLUMNS), None)
            if heading is None:
                raise InputError(
                    f"{path} has no column called {' or '.join(ID_COLUMNS)}; give one of them"
                )
            ids = frozenset(text for row in reader if (text := (row[heading] or "").strip()))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; give the CSV file of those contacted") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV file in UTF-8 ({error})") from error
    if not ids:
        raise InputError(f"{path} names no customer; leave --contacted out if nobody was contacted")
    return ids


def _check_known(path: Path | None, named: frozenset[str], rows: pd.DataFrame) -> None:
    strange = sorted(named - set(rows["customer_id"]))
    if len(strange) == len(named):
        raise InputError(
            f"{path}: none of the {len(named)} customers is on these lists (first: {strange[0]});"
            " give ids as the lists have them"
        )
    if strange:
        stage.say(
            f"outcomes: warning: {len(strange)} of the {len(named)} customers contacted are on none"
            f" of these lists (first: {strange[0]})"
        )


def joined(one: PastList, labels: pd.DataFrame, reached: frozenset[str]) -> pd.DataFrame:
    """One row per customer of the list, as models.outcomes wants them, and `contacted`.

    Raises InputError when a customer on the list is not in the data any more.
    """
    rows = one.rows.merge(labels, on="customer_id", how="left", validate="one_to_one")
    gone = rows["status"].isna()
    if gone.all():
        raise InputError(
            f"{one.name}: none of its customers is in the data; was it made of another source, or"
            " with another pseudonym key?"
        )
    bad = rows["y"] if one.task == "churn" else 1 - rows["y"]
    out = pd.DataFrame(
        {
            "list": one.name,
            "task": one.task,
            "customer_id": rows["customer_id"].astype(object),
            "as_of": pd.to_datetime(pd.Series(one.as_of, index=rows.index)),
            "tier": rows["tier"].astype(object),
            "risk": rows["risk"],
            # Erased customers, and those who left before the outcome began, tell nothing.
            "bad": bad.where(rows["status"] == LABELLED),
            "contacted": rows["customer_id"].isin(reached),
        }
    )
    if one.has_plan:
        out["action"] = rows["action"].astype(object)
        out["propensity"] = rows["propensity"]
    return out


def assessed(
    rows: pd.DataFrame, spans: Mapping[str, Outcome], *, resamples: int, seed: int
) -> dict[str, Any]:
    """Everything about each task, ready for JSON."""
    tiers = outcomes.by_tier(rows)
    found: dict[str, Any] = {"tiers": _records(tiers), "tasks": {}}
    for task, part in rows.groupby("task", sort=True):
        span = spans[str(task)]
        made = part[part["action"].notna()] if "action" in part else part.iloc[:0]
        chosen = made[made["action"].isin((CONTACT, HOLD_OUT))] if len(made) else made
        treated = int(part["contacted"].sum()) or int(
            (made["action"] == CONTACT).sum() if len(made) else 0
        )
        found["tasks"][str(task)] = {
            "customers": len(part),
            "evaluable": int(part["bad"].notna().sum()),
            # Contacts that work lower the rate of those contacted, which is no drift.
            "calibration": outcomes.calibration(
                part[~part["contacted"]], resamples=resamples, seed=seed
            ),
            "lift": {
                str(name): outcomes.lift(each, _reached_count(each))
                for name, each in part.groupby("list", sort=True)
            },
            "contacted": treated,
            "reached": outcomes.reached(made) if len(made) else None,
            "effect": outcomes.contact_effect(chosen, days=span.gap + span.horizon).to_dict()
            if len(chosen)
            else None,
        }
    return found


def _reached_count(rows: pd.DataFrame) -> int:
    """How far the list was worked off: those contacted, else those planned, else the high tier."""
    if rows["contacted"].any():
        return int(rows["contacted"].sum())
    if "action" in rows and (rows["action"] == CONTACT).any():
        return int((rows["action"] == CONTACT).sum())
    return int((rows["tier"] == "high").sum())


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(key): None if isinstance(value, float) and np.isnan(value) else value
         for key, value in row.items()}
        for row in table.to_dict("records")
    ]  # fmt: skip


BAD = {"churn": "left", "repeat_purchase": "did not buy again"}


def told(result: Mapping[str, Any]) -> list[str]:
    """The result in plain words, a line each."""
    lines = ["list                        tier    customers  expected   happened (95 % interval)"]
    for row in result["tiers"]:
        happened = (
            "not known of anybody"
            if row["rate"] is None
            else f"{_percent(row['rate'])} ({_percent(row['low'])} to {_percent(row['high'])})"
        )
        lines.append(
            f"{row['list']:<27} {row['tier']:<7} {row['evaluable']:>9}"
            f"  {_percent(row['expected']):>8}   {happened}"
        )
    for task, one in result["tasks"].items():
        lines += [
            f"{task}: {line}" for line in (_calibration(one), *_lift(one), *_effect(task, one))
        ]
    return lines


def _calibration(one: Mapping[str, Any]) -> str:
    found = one["calibration"]
    if found["verdict"] == "too few":
        return f"too few outcomes ({found['bad']}) to say whether the stated risks hold"
    said = {"holds": "the stated risks hold", "drifted": "the stated risks have drifted"}
    level, slope = found["intercept"], found["slope"]
    return (
        f"{said[found['verdict']]}: intercept {level['value']:.2f} ({level['low']:.2f} to"
        f" {level['high']:.2f}, 0 is perfect), slope {slope['value']:.2f} ({slope['low']:.2f} to"
        f" {slope['high']:.2f}, 1 is perfect)"
    )


def _lift(one: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: the {found['reached']} customers at the top had {found['lift']:.1f} times the"
        f" average rate ({found['low']:.1f} to {found['high']:.1f})"
        for name, found in one["lift"].items()
        if found["lift"] is not None
    ]


def _effect(task: str, one: Mapping[str, Any]) -> list[str]:
    effect, reached = one["effect"], one["reached"]
    if effect is None:
        return ["the lists name nobody to be contacted or held out, so nothing is learned of that"]
    planned, held = reached[CONTACT], reached[HOLD_OUT]
    lines = [
        f"{planned['contacted']} of {planned['customers']} planned contacts are on record, and so"
        f" are contacts of {held['contacted']} of {held['customers']} held-out customers"
    ]
    if planned["contacted"] == 0:
        lines.append("no contact is on record, so any difference between the groups is chance")
    if effect["value"] is None:
        return [*lines, "no list has both contacted and held-out customers with known outcomes"]
    kept, low, high = (100 * effect[name] for name in ("value", "low", "high"))
    lines.append(
        f"of 100 customers to be contacted {100 * effect['contacted_rate']:.1f} {BAD[task]}, of 100"
        f" held out {100 * effect['held_out_rate']:.1f}: {kept:+.1f} kept by contacting"
        f" ({low:+.1f} to {high:+.1f})"
    )
    lines.append(
        {
            "helps": "contacting helps",
            "harms": "contacting does harm; stop and find out why",
            "no difference seen": "no difference is seen beyond chance; see the interval",
            "too few": f"too few to judge ({effect['contacted']} contacted,"
            f" {effect['held_out']} held out); keep going",
        }[effect["verdict"]]
    )
    return lines


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}%"
