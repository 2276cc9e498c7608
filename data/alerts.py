"""What keeps to the contract but should be looked at: the warnings of an ingest.

A warning is a kind, the figures that are its evidence, and an English sentence; the reports word
the kind in their own language (`reports/text`, `data.warnings`). Everything is computed from the
written tables, `kept_<table>` on the ingest's connection.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from data.contracts import TABLE, TEXT, TIMESTAMP, Table

if TYPE_CHECKING:
    import duckdb

    from data.source import Source

LATENESS_DAYS = 7
OPEN_DAYS = 60
UNKNOWN_LANGUAGE = 0.05
RESPONSE_RATE_CHANGE = 0.10
REPEATED_TEXT = 0.01
MONTHS = 7
LEAST_MONTHS = 3
"""Fewer months before the last one do not say what is usual."""
USUAL_ROWS = 50
"""A table with fewer rows in a usual month can lose half of them by chance: warned of, no error."""

LEAST_ROWS = 20
"""Fewer rows can share a time or an outcome by chance."""
ONE_EXPORT_SHARE = 0.5
TELLS_OUTCOME = 0.98
CATEGORIES = 50

OUTCOMES = {
    "customers": ("subscriptions", "customer_id", "kind IN ('cancel_effective', 'expire')"),
    "subscriptions": ("subscriptions", "customer_id", "kind IN ('cancel_effective', 'expire')"),
    "tickets": ("ticket_events", "ticket_id", "kind IN ('reopened', 'escalated')"),
    "orders": ("returns", "order_id", "true"),
}
"""Per table: where what happened later is written, by which id, and which rows say so."""

MESSAGES = {
    "late": "1 % of the rows became known more than {days} days late",
    "language": "language is unknown in {share} of the rows",
    "few_rows": "the last whole month has {rows} rows, under half of the months before",
    "repeated_text": "{share} repeat a text that the same ticket already has",
    "response_rate": "the response rate of the last whole month is off by {points} points",
    "open_tickets": "{count} are open for more than {days} days",
    "one_known_at": "{share} of the {rows} rows became known at one moment, {at}: it looks like"
    " the date of an export; say in the SELECT when each row was known",
    "known_at_end": "{column} = {value} in {rows} rows, and {share} of them {outcome} later, of"
    " the others {rest}: it looks like the state at the time of export; use it only from the time"
    " it was known",
}


@dataclass(frozen=True)
class Alert:
    """One warning: its kind and the figures of its evidence."""

    table: str
    kind: str
    values: dict[str, Any]

    def entry(self) -> dict[str, Any]:
        """What contract.json holds of it."""
        shown = {name: _shown(name, value) for name, value in self.values.items()}
        return {
            "table": self.table,
            "kind": self.kind,
            "values": self.values,
            "message": MESSAGES[self.kind].format(**shown),
        }


def _shown(name: str, value: Any) -> str:
    if name in ("share", "rest"):
        return f"{value:.1%}"
    if name == "points":
        return f"{value:+.0f}"
    if name == "days" and isinstance(value, float):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def facts(
    con: duckdb.DuckDBPyConnection, source: Source, table: Table, given: set[str]
) -> dict[str, Any]:
    """In one pass over `kept_<table>`: rows, times, lateness, rows per month, languages missing.

    `quartiles` are the quartiles of `known_at` in microseconds.
    """
    edges = _months(source)
    months = ", ".join(
        f"count(*) FILTER (known_at >= {low} AND known_at < {high})"
        for low, high in pairwise(edges)
    )
    language = "language" if "language" in given and _is_text(table, "language") else "''"
    (row,) = con.execute(
        "SELECT count(*), min(epoch_us(known_at)), max(epoch_us(known_at)),"
        " quantile_cont(epoch_us(known_at) - epoch_us(event_at), 0.99),"
        f" count(*) - count({language}), [{months}],"
        f" quantile_disc(epoch_us(known_at), [0.25, 0.5, 0.75]) FROM kept_{table.name}"
    ).fetchall()
    kept, first, last, late, unknown, by_month, quartiles = row
    return {
        "kept": kept,
        "first_known_at": _instant(first),
        "last_known_at": _instant(last),
        "lateness_days_p99": None if late is None else round(late / 86_400_000_000, 3),
        "language_unknown": unknown,
        "by_month": by_month,
        "quartiles": quartiles,
    }


def _is_text(table: Table, name: str) -> bool:
    return any(column.name == name and column.type == TEXT for column in table.columns)


def _instant(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    at = datetime.fromtimestamp(microseconds // 1_000_000, tz=ZoneInfo("UTC"))
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _months(source: Source) -> list[str]:
    """SQL instants at which the last whole months before `observed_until` begin and end."""
    zone, end = ZoneInfo(source.timezone), source.observed_until
    firsts = []
    for back in range(MONTHS, -1, -1):
        year, month = divmod(end.year * 12 + end.month - 1 - back, 12)
        local = datetime.combine(date(year, month + 1, 1), time(), tzinfo=zone)
        firsts.append(f"TIMESTAMPTZ '{local.astimezone(ZoneInfo('UTC')).isoformat()}'")
    return firsts


def find(
    con: duckdb.DuckDBPyConnection, source: Source, tables: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """All warnings, in the contract's order of tables. `tables` holds what `facts` found."""
    found = [alert for name in tables for alert in _of_table(con, source, name, tables[name])]
    if "ticket_events" in tables:
        found += _open_tickets(con, source)
    if "messages" in tables:
        found += _repeated_messages(con)
    if "surveys" in tables:
        found += _response_rate(con, source)
    return [alert.entry() for alert in found]


def _of_table(
    con: duckdb.DuckDBPyConnection, source: Source, name: str, known: dict[str, Any]
) -> Iterator[Alert]:
    late, kept = known["lateness_days_p99"], known["kept"]
    if late is not None and late > LATENESS_DAYS:
        yield Alert(name, "late", {"days": late})
    if kept and known["language_unknown"] > UNKNOWN_LANGUAGE * kept:
        yield Alert(name, "language", {"share": round(known["language_unknown"] / kept, 4)})
    fallen = fall(known["by_month"])
    if fallen is not None:
        yield Alert(name, "few_rows", {"rows": fallen[0], "usual": fallen[1]})
    if kept >= LEAST_ROWS:
        yield from _one_export(con, name, known)
        yield from _tells_outcome(con, name, known["absent_columns"])


def fall(by_month: list[int]) -> tuple[int, float] | None:
    """Rows of the last whole month and of a usual one, if the last has under half; else None.

    Usual is the median of the months before, from the first that has rows.
    """
    *before, last = by_month
    begun = next((i for i, rows in enumerate(before) if rows), len(before))
    if len(before) - begun < LEAST_MONTHS:
        return None
    usual = statistics.median(before[begun:])
    return (last, usual) if last < 0.5 * usual else None


def _one_export(
    con: duckdb.DuckDBPyConnection, name: str, known: dict[str, Any]
) -> Iterator[Alert]:
    """More than half of the rows known at one moment, though they happened on different days.

    If more than half share a value, it is the median and one of the other quartiles.
    """
    kept, (low, at, high) = known["kept"], known["quartiles"]
    if at not in (low, high):
        return
    ((same, older),) = con.execute(
        f"SELECT count(*), count(*) FILTER (epoch_us(event_at) < {at} - 86400000000)"
        f" FROM kept_{name} WHERE epoch_us(known_at) = {at}"
    ).fetchall()
    if same > ONE_EXPORT_SHARE * kept and older > ONE_EXPORT_SHARE * same:
        share = round(same / kept, 4)
        yield Alert(name, "one_known_at", {"share": share, "rows": kept, "at": _instant(at)})


def _tells_outcome(con: duckdb.DuckDBPyConnection, name: str, absent: list[str]) -> Iterator[Alert]:
    """A column of which one value nearly always goes with what happened only later.

    Looked for among the customers of the first bucket, who are a random share of all.
    """
    if name not in OUTCOMES:
        return
    later, key, when = OUTCOMES[name]
    views = {row[0] for row in con.execute("SELECT view_name FROM duckdb_views()").fetchall()}
    if f"kept_{later}" not in views:
        return
    only = "WHERE kind = 'start'" if name == "subscriptions" else ""
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE watched AS SELECT rows.*, happened.at IS NOT NULL AND"
        f" happened.at > rows.known_at AS later FROM (SELECT * FROM first_{name} {only}) AS rows"
        f" LEFT JOIN (SELECT {key} AS id, max(known_at) AS at FROM first_{later}"
        f" WHERE {when} GROUP BY id) AS happened ON happened.id = rows.{key}"
    )
    for column in TABLE[name].columns:
        if column.name in absent or column.name.endswith("_id") or column.name in _STEPS:
            continue
        value = f'"{column.name}"'
        if column.type == TIMESTAMP:
            value = f"if({value} IS NULL, 'empty', 'filled')"
        elif column.type != TEXT:
            continue
        rows = con.execute(
            f"SELECT coalesce({value}, 'empty'), count(*), avg(later::INTEGER)"
            " FROM watched GROUP BY 1 ORDER BY 2 DESC, 1"
        ).fetchall()
        yield from _telling(name, column.name, rows)
    con.execute("DROP TABLE watched")


_STEPS = ("kind", "status", "action")


def _telling(table: str, column: str, rows: list[tuple[str, int, float]]) -> Iterator[Alert]:
    total, happened = sum(n for _, n, _ in rows), sum(n * share for _, n, share in rows)
    if len(rows) > CATEGORIES:
        return
    for value, n, share in rows:
        others = total - n
        if n < LEAST_ROWS or others < LEAST_ROWS or share < TELLS_OUTCOME:
            continue
        rest = (happened - n * share) / others
        if rest <= 1 - share + 0.1:
            values = {"column": column, "value": value, "rows": n, "share": round(share, 4)}
            outcome = OUTCOMES[table][0]
            yield Alert(
                table, "known_at_end", {**values, "rest": round(rest, 4), "outcome": outcome}
            )


def _repeated_messages(con: duckdb.DuckDBPyConnection) -> Iterator[Alert]:
    row = con.execute(
        "SELECT 1 - count(DISTINCT hash(ticket_id, author, text)) / count(*) FROM kept_messages"
        " WHERE text IS NOT NULL"
    ).fetchone()
    share = row[0] if row else None
    if share is not None and share > REPEATED_TEXT:
        yield Alert("messages", "repeated_text", {"share": round(share, 4)})


def _response_rate(con: duckdb.DuckDBPyConnection, source: Source) -> Iterator[Alert]:
    edges = _months(source)
    rates = ", ".join(
        f"count(*) FILTER (action = 'answered' AND {month}) / nullif(count(*) FILTER"
        f" (action = 'sent' AND {month}), 0)"
        for month in (f"known_at >= {low} AND known_at < {high}" for low, high in pairwise(edges))
    )
    row = con.execute(f"SELECT {rates} FROM kept_surveys").fetchone()
    *before, last = (rate or 0.0 for rate in row or ())
    change = last - statistics.median(before)
    if abs(change) > RESPONSE_RATE_CHANGE:
        yield Alert("surveys", "response_rate", {"points": round(100 * change, 1)})


def _open_tickets(con: duckdb.DuckDBPyConnection, source: Source) -> Iterator[Alert]:
    """Tickets neither resolved nor merged, OPEN_DAYS or more before `observed_until`."""
    end = f"(TIMESTAMP '{source.observed_until}' AT TIME ZONE '{source.timezone}')"
    row = con.execute(
        "WITH last AS (SELECT ticket_id, arg_max(kind, (event_at, event_id)) AS kind"
        f" FROM kept_ticket_events WHERE known_at < {end}"
        " AND kind IN ('resolved', 'reopened', 'merged') GROUP BY ticket_id)"
        " SELECT count(DISTINCT ticket_id) FROM kept_tickets LEFT JOIN last USING (ticket_id)"
        f" WHERE coalesce(kind, 'reopened') = 'reopened'"
        f" AND event_at < {end} - INTERVAL {OPEN_DAYS} DAY"
    ).fetchone()
    if row and row[0]:
        yield Alert("tickets", "open_tickets", {"count": row[0], "days": OPEN_DAYS})


def later_times(
    con: duckdb.DuckDBPyConnection, relation: str, known_at: str, least_share: float = 0.01
) -> dict[str, tuple[float, str]]:
    """Time columns of a raw relation that hold times after the row was known.

    Such a column was filled in later (`resolved_at` on rows still new) and tells the future.
    Returns per column the share of filled rows and the first such value as evidence. Planned
    times (a promised delivery, the end of a term) are found too; a person tells them apart.
    """
    found = {}
    for name, type_, *_ in con.execute(f"DESCRIBE FROM {relation}").fetchall():
        if name == known_at or not type_.startswith("TIMESTAMP"):
            continue
        row = con.execute(
            f'SELECT avg(("{name}" > {known_at})::INTEGER),'
            f' min("{name}") FILTER ("{name}" > {known_at})::VARCHAR'
            f' FROM {relation} WHERE "{name}" IS NOT NULL'
        ).fetchone()
        if row and row[0] is not None and row[0] >= least_share:
            found[name] = (row[0], row[1])
    return found
