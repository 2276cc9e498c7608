"""`retention explain CUSTOMER`: one customer's timeline, features, scores and reasons on a day."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from data import privacy, source
from data.contracts import TABLES
from data.errors import InputError
from features.catalog import FAMILIES
from features.facts import connect, frame_of
from features.labels import ELIGIBLE, label
from features.table import with_features
from features.tone import read_scores
from models import scoring
from pipelines import load, params, paths, score, stage
from pipelines.params import Params
from pipelines.store import Store
from reports.customer import Event, Score, View, customer_page, customer_text
from reports.wording import Catalog

KINDS = {
    "customers": "'profile'",
    "orders": "status",
    "tickets": "'opened'",
    "messages": "author",
    "calls": "CASE WHEN abandoned THEN 'abandoned' ELSE 'answered' END",
    "qa_reviews": "'reviewed'",
    "surveys": "kind || '.' || action",
    "outreach": "kind || '.' || action",
    "web_sessions": "'visit'",
    "reviews": "action",
    "social_mentions": "'mention'",
    "referrals": "action",
    "feedback": "action",
}
"""What a table's row is called; "kind" where nothing is said."""

DETAILS = {
    "customers": ("segment", "relationship", "language", "country"),
    "subscriptions": ("plan", "price", "discount_share", "reason"),
    "orders": ("amount", "discount", "item_count", "category"),
    "returns": ("amount",),
    "tickets": ("topic", "severity", "channel", "language", "product_id"),
    "ticket_events": ("tier",),
    "messages": ("language",),
    "calls": ("wait_seconds", "talk_seconds"),
    "qa_reviews": ("empathy", "clarity"),
    "surveys": ("value", "touchpoint"),
    "outreach": ("campaign",),
    "loyalty": ("points", "tier"),
    "web_sessions": ("visits",),
    "reviews": ("rating",),
    "social_mentions": ("platform",),
    "feedback": ("topic",),
}
"""The columns of a row that the timeline shows. Never what somebody wrote."""


def main(
    customer: str,
    as_of: date | None = None,
    html: Path | None = None,
    language: str = "en",
    models: Path | None = None,
) -> str | None:
    """One customer's view as text, or None when it was written to `html`.

    `customer` is the company's own id, also where outputs hold pseudonyms. Raises InputError when
    nobody has that id or the date is outside the data.
    """
    settings = params.load()
    chosen = source.load(settings.source.name)
    key = privacy.key_of(chosen)
    known_as = customer if key is None else privacy.pseudonym(key, customer)
    bucket = _bucket_of(known_as)
    view = _view(known_as, bucket, as_of, settings, models or paths.MODELS, language)
    catalog = Catalog(load.catalog(settings), FAMILIES)
    if html is None:
        return customer_text(view, catalog, language)
    stage.write_text(html, customer_page(view, catalog, language))
    stage.say(f"explain {customer}: wrote {html}")
    return None


def _bucket_of(customer: str) -> int:
    for path in sorted((paths.TABLES / "customers").glob("bucket=*.parquet")):
        found = duckdb.execute(
            f"SELECT count(*) FROM '{path}' WHERE customer_id = ?", [customer]
        ).fetchone()
        if found is not None and found[0]:
            return int(path.stem.removeprefix("bucket="))
    raise InputError(
        f"there is no customer {customer!r} in artifacts/tables/customers; give the id as the"
        " company's systems have it, and run `dvc repro ingest` if the tables are old"
    )


def _view(
    customer: str,
    bucket: int,
    as_of: date | None,
    settings: Params,
    models: Path,
    language: str,
) -> View:
    summary = load.summary()
    contract = stage.read_json(paths.CONTRACT)
    day = as_of.isoformat() if as_of else summary["as_of"][-1]
    at = load.as_of_times([day], summary["time_zone"])[0]
    supported = {f.name: f for f in load.supported_features(settings, contract)}
    row = _row(customer, bucket, at, settings)
    skipped, scorers = score.scorers_of(settings, models, supported, at, summary)
    scores = [Score(task, reason[language]) for task, reason in skipped.items()]
    scores += [_score(one, row) for one in scorers]
    return View(
        customer_id=customer,
        as_of=at.to_pydatetime(),
        time_zone=summary["time_zone"],
        currency=contract["currency"],
        scores=scores,
        timeline=_timeline(customer, bucket, at, list(contract["tables"])),
        features={name: _plain(row[name].iloc[0]) for name in supported},
    )


def _row(customer: str, bucket: int, at: pd.Timestamp, settings: Params) -> pd.DataFrame:
    """The customer's features and labels at `at`, computed from the canonical tables."""
    plan = score.plan_at(settings, Store(str(paths.ARTIFACTS)), at)
    known = f"known_at < TIMESTAMPTZ '{at.isoformat()}'"
    clocks = plan["time_zone"], plan["calendar"], plan["products"]

    def tables(condition: str) -> dict[str, str]:
        return {
            name: f"(SELECT * FROM read_parquet('{paths.ARTIFACTS}/{folder}/bucket={bucket:03d}"
            f".parquet') WHERE customer_id = {_quoted(customer)} AND {condition})"
            for folder in plan["folders"]
            for name in [Path(folder).name]
        }

    with connect(tables("true"), *clocks) as connection:
        row = label(connection, plan["as_ofs"], plan["outcomes"], plan["observed_until"])
    if row.empty:
        day = load.day(at, plan["time_zone"])
        raise InputError(
            f"customer {customer!r} was not known on {day}; choose another date with --as-of"
        )
    with connect(tables(known), *clocks) as connection:
        if plan["tone"]:
            read_scores(connection, paths.TONE / f"bucket={bucket:03d}.parquet")
        return with_features(connection, row, plan["wanted"], plan["live_from"])


def _score(scorer: scoring.Scorer, row: pd.DataFrame) -> Score:
    status = str(row[f"{scorer.task}_status"].iloc[0])
    if status not in ELIGIBLE:
        return Score(scorer.task, status.removeprefix("ineligible: "))
    scored = scoring.scored(scorer, row, ())
    values, _ = scorer.model.contributions(row)
    record = scorer.model.record
    by_size = sorted(
        zip(scorer.model.features, values[0], strict=True), key=lambda pair: -abs(pair[1])
    )
    return Score(
        scorer.task,
        status,
        probability=float(scored["probability"][0].as_py()),
        base_rate=record["positives"]["calibration"] / record["rows"]["calibration"],
        reasons=scoring.reasons_of(scorer, scored)[0].as_py(),
        contributions=[(name, float(value)) for name, value in by_size],
    )


def _timeline(customer: str, bucket: int, at: pd.Timestamp, present: list[str]) -> list[Event]:
    """The latest version known before `at` of every record, in the order in which they happened."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    events = []
    for table in TABLES:
        if table.name not in present or table.name == "attributes":
            continue
        details = DETAILS.get(table.name, ())
        path = paths.TABLES / table.name / f"bucket={bucket:03d}.parquet"
        rows = frame_of(
            connection,
            f"""
            SELECT event_at, greatest(known_at, event_at) AS known_from, event_id,
                CAST({KINDS.get(table.name, "kind")} AS VARCHAR) AS what
                {"".join(f", {name}" for name in details)}
            FROM read_parquet('{path}')
            WHERE customer_id = {_quoted(customer)}
                AND greatest(known_at, event_at) < TIMESTAMPTZ '{at.isoformat()}'
            QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY record_version DESC) = 1
                AND op = 'upsert'
            """,
        )
        for row in rows.to_dict("records"):
            shown = {name: _plain(row[name]) for name in details}
            known = row["known_from"].to_pydatetime()
            event = Event(
                table.name, str(row["what"]), row["event_at"].to_pydatetime(), known, shown
            )
            events.append((event.at, event.known, table.name, str(row["event_id"]), event))
    return [event for *_, event in sorted(events, key=lambda entry: entry[:4])]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _plain(value: Any) -> Any:
    """A number, text or flag of Python; None where there is none."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
