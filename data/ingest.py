"""Source -> canonical tables, checked against the contract, bucketed by customer.

    read -> types -> exact duplicates -> rules -> conflicting duplicates -> buckets + quarantine

Everything runs inside DuckDB. What a valid row is stands in `data.contracts`; this file only
loops over it. A row that breaks a rule is kept aside with its reasons, and every row read is
accounted for: read = kept + quarantined + duplicates.
"""

from __future__ import annotations

import difflib
import hashlib
import shutil
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from data.contracts import (
    DEFAULTS,
    INTEGER,
    KEY,
    ORDERS,
    REFERENCES,
    TABLE,
    TABLES,
    TEXT,
    TIMESTAMP,
    Column,
    Reference,
    Table,
)
from data.errors import InputError
from data.source import Source

BUCKET_SQL = "CAST('0x' || left(md5(customer_id), 8) AS BIGINT) % {buckets}"
"""The bucket of a row in DuckDB SQL; the same number as `bucket_of`."""
SORT = ("customer_id", "known_at", "event_id", "record_version")
CONFLICT = "conflicting duplicate"
LATENESS_DAYS = 7
OPEN_DAYS = 60
UNKNOWN_LANGUAGE = 0.05
RESPONSE_RATE_CHANGE = 0.10

REPEATED_TEXT = 0.01

REJECT = "_reject"
"""The one column beyond the contract a SELECT may yield: its own reason to put a row aside."""

# What DuckDB calls the contract's types where it does not use the same word.
_TYPE_NAME = {TIMESTAMP: "TIMESTAMP WITH TIME ZONE"}
_FRACTIONAL = ("DOUBLE", "FLOAT", "DECIMAL")


class IngestError(InputError):
    """The source breaks the contract; the message names table, column, first value and cure."""


def bucket_of(customer_id: str, buckets: int) -> int:
    """The bucket a customer is in: first 32 bits of the id's MD5 (UTF-8) modulo `buckets`."""
    digest = hashlib.md5(customer_id.encode(), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % buckets


def bucket_file(folder: Path, table: str, bucket: int) -> Path:
    """Where one bucket of one canonical table is."""
    return folder / table / f"bucket={bucket:03d}.parquet"


@dataclass(frozen=True)
class _Run:
    """One ingest: where it reads from and where it writes before the final swap."""

    con: duckdb.DuckDBPyConnection
    source: Source
    root: Path
    out: Path
    quarantine: Path
    failed: Path
    buckets: int


@dataclass(frozen=True)
class _Select:
    """One table of a run: its contract and the columns (name -> type) its SELECT yields."""

    run: _Run
    table: Table
    given: dict[str, str]

    @property
    def file(self) -> str:
        return f"{self.run.source.name}/{self.table.name}.sql"


def ingest(
    source: Source,
    root: Path,
    out: Path,
    quarantine: Path,
    *,
    buckets: int,
    progress: Callable[[str], None] | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Write `out/<table>/bucket=NNN.parquet` and `quarantine/<table>.parquet`; return the contract.

    One bucket file holds the contract's columns in the contract's order, sorted by customer_id,
    known_at, event_id, record_version; every bucket has a file, even an empty one. A table the
    source lacks has no folder. A quarantine file has `rule` (all reasons, joined by '; ') and the
    source's columns as text; a table without broken rows has none. Both folders are replaced
    only when everything succeeded, and their bytes depend on the input alone. The returned dict
    is what artifacts/contract.json holds; `reasons` count a row once per reason it has.

    Raises IngestError; the rows that caused it are then in the folder `<quarantine>.failed`.
    """
    failed = _sibling(quarantine, "failed")
    staged = _fresh(_sibling(out, "partial"))
    aside = _fresh(_sibling(quarantine, "partial"))
    spill = _fresh(_sibling(out, "spill"))
    tables: dict[str, dict[str, Any]] = {}
    try:
        with _connect(spill, threads) as con:
            run = _Run(con, source, root, staged, aside, failed, buckets)
            for name in source.tables:
                tables[name] = _ingest_table(run, TABLE[name])
                if progress is not None:
                    progress(_line(name, tables[name]))
            warnings = _warnings(run, tables)
        _swap(staged, out)
        _swap(aside, quarantine)
        shutil.rmtree(failed, ignore_errors=True)
    except IngestError:
        if any(aside.iterdir()):
            _swap(aside, failed)
        raise
    finally:
        for folder in (staged, aside, spill):
            shutil.rmtree(folder, ignore_errors=True)
    return {
        "source": source.name,
        "description": source.description.model_dump(),
        "timezone": source.timezone,
        "currency": source.currency,
        "observed_until": source.observed_until.isoformat(),
        "tables": tables,
        "absent": [table.name for table in TABLES if table.name not in tables],
        "warnings": warnings,
    }


def _sibling(folder: Path, suffix: str) -> Path:
    return folder.with_name(f"{folder.name}.{suffix}")


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _swap(staged: Path, final: Path) -> None:
    old = _sibling(final, "old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    staged.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _connect(spill: Path, threads: int | None) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": str(spill),
        }
    )
    con.execute("SET TimeZone = 'UTC'")
    if threads is not None:
        con.execute(f"SET threads = {threads}")
    return con


def _ingest_table(run: _Run, table: Table) -> dict[str, Any]:
    con = run.con
    select = _read(run, table)
    read = _scalar(con, "SELECT count(*) FROM raw")
    _check_columns(select)
    _check_types(select)
    _judge(select)
    distinct = _scalar(con, "SELECT count(*) FROM judged")
    reasons = _reasons(con)
    quarantined = _write_quarantine(select)
    _stop_on_too_many(select, read, quarantined, reasons)
    _keep(select)
    _write_buckets(select)
    kept = _scalar(con, f"SELECT count(*) FROM kept_{table.name}")
    duplicates = read - distinct
    if read != kept + quarantined + duplicates:
        raise AssertionError(f"{table.name}: {read} <> {kept} + {quarantined} + {duplicates}")
    first, last, lateness = _row(
        con,
        "SELECT strftime(min(known_at), '%Y-%m-%dT%H:%M:%SZ'),"
        " strftime(max(known_at), '%Y-%m-%dT%H:%M:%SZ'),"
        " round(quantile_cont(epoch(known_at) - epoch(event_at), 0.99) / 86400, 3)"
        f" FROM kept_{table.name}",
    )
    con.execute("DROP TABLE judged")
    return {
        "read": read,
        "kept": kept,
        "quarantined": quarantined,
        "duplicates": duplicates,
        "reasons": {reason: count for reason, (count, _) in reasons.items()},
        "first_known_at": first,
        "last_known_at": last,
        "lateness_days_p99": lateness,
        "absent_columns": [c.name for c in table.columns if c.name not in select.given],
    }


def _read(run: _Run, table: Table) -> _Select:
    """Table `raw`: what the SELECT yields, as it is."""
    folder = run.root.as_posix().replace("'", "''")
    sql = run.source.select(table.name).replace("{root}", folder).strip().rstrip(";")
    try:
        run.con.execute(f"CREATE TEMP TABLE raw AS\n{sql}")
    except duckdb.Error as error:
        reason = " ".join(str(error).replace("^", "").split())
        raise IngestError(
            f"{run.source.name}/{table.name}.sql: the SELECT fails: {reason}"
        ) from error
    types = run.con.execute("SELECT column_name, column_type FROM (DESCRIBE raw)").fetchall()
    return _Select(run, table, dict(types))


def _check_columns(select: _Select) -> None:
    table, source = select.table, select.run.source
    names = [column.name for column in table.all_columns]
    for column in table.all_columns:
        if column.required and column.name not in select.given:
            raise IngestError(
                f"{select.file}: column {column.name} is missing ({column.meaning}); add it to"
                " the SELECT"
            )
    for name in select.given:
        if name not in names and name != REJECT:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
            raise IngestError(
                f"{select.file}: {table.name} has no column {name} ({hint}); rename it in the"
                " SELECT or leave it out"
            )
    for reference in REFERENCES:
        points = reference.table == table.name and table.column(reference.column).required
        if points and reference.parent not in source.tables:
            raise IngestError(
                f"{select.file}: {reference.column} points to {reference.parent}, which the source"
                f" lacks; add {source.name}/{reference.parent}.sql or remove this file"
            )


def _check_types(select: _Select) -> None:
    """Stop at the first column that cannot become what the contract says."""
    for column in select.table.all_columns:
        given = select.given.get(column.name)
        if given is None or given == _TYPE_NAME.get(column.type, column.type):
            continue
        unfit, cure = _unfit(column, given, select.run.source.timezone)
        values = select.run.con.execute(
            f'SELECT CAST("{column.name}" AS VARCHAR) FROM raw'
            f' WHERE "{column.name}" IS NOT NULL AND ({unfit}) ORDER BY 1 LIMIT 1'
        ).fetchall()
        if values:
            raise IngestError(
                f"{select.file}: column {column.name} is {given}, the contract says {column.type}"
                f" (first value that does not fit: {values[0][0]!r}); {cure}"
            )


def _unfit(column: Column, given: str, timezone: str) -> tuple[str, str]:
    """When a value of type `given` does not fit the column (SQL), and what to do about it."""
    value = f'"{column.name}"'
    if column.type == TIMESTAMP:
        return "true", f"say its zone: {column.name}::TIMESTAMP AT TIME ZONE '{timezone}'"
    if column.type == TEXT and given.startswith(_FRACTIONAL):
        return "true", "cast it to BIGINT or DECIMAL text yourself, or 17 becomes '17.0'"
    unfit = f"TRY_CAST({value} AS {column.type}) IS NULL"
    if column.type == INTEGER and given.startswith(_FRACTIONAL):
        unfit += f" OR TRY_CAST({value} AS {column.type}) <> {value}"
    return unfit, f"make it {column.type} in the SELECT"


def _judge(select: _Select) -> None:
    """Table `judged`: every different row once, typed, with `rule` = its reasons or ''."""
    columns = ", ".join(_typed(select, column) for column in select.table.all_columns)
    reject = f"CAST({REJECT if REJECT in select.given else 'NULL'} AS VARCHAR)"
    cases = [(f"replace({REJECT}, '; ', ', ')", f"{REJECT} <> ''")]
    cases += [(f"'{rule.reason}'", rule.broken) for rule in select.table.all_rules]
    joins = ""
    for reference in _references(select):
        parent = reference.parent
        joins += f" LEFT JOIN parent_{parent} ON parent_{parent}.key = given.{reference.column}"
        cases += [(f"'{reason}'", broken) for reason, broken in _parent_rules(reference)]
    rule = ", ".join(f"CASE WHEN {broken} THEN {reason} END" for reason, broken in cases)
    select.run.con.execute(
        f"CREATE TEMP TABLE judged AS SELECT given.*, concat_ws('; ', {rule}) AS rule"
        f" FROM (SELECT DISTINCT {columns}, nullif({reject}, '') AS {REJECT} FROM raw) AS given"
        f"{joins}"
    )
    select.run.con.execute("DROP TABLE raw")
    _mark_conflicts(select)


def _typed(select: _Select, column: Column) -> str:
    value = f'"{column.name}"' if column.name in select.given else "NULL"
    typed = f"CAST({value} AS {column.type})"
    if column.name in DEFAULTS:
        typed = f"coalesce({typed}, {DEFAULTS[column.name]})"
    return f'{typed} AS "{column.name}"'


def _references(select: _Select) -> list[Reference]:
    """Where this table points to, as far as the source has the other table."""
    return [
        reference
        for reference in REFERENCES
        if reference.table == select.table.name and reference.parent in select.run.source.tables
    ]


def _parent_rules(reference: Reference) -> list[tuple[str, str]]:
    """Reason and SQL condition of what can be wrong between a row and the row it points to."""
    parent = f"parent_{reference.parent}"
    rules = [(reference.reason, f"given.{reference.column} IS NOT NULL AND {parent}.key IS NULL")]
    if reference.parent != "customers":
        foreign = f"{parent}.customer <> given.customer_id"
        rules.append((f"{reference.reason.split()[0]} of another customer", foreign))
    for order in ORDERS:
        if (order.table, order.parent) == (reference.table, reference.parent):
            early = f"given.event_at < {parent}.first_{order.parent_time}"
            rules.append((order.reason, f"({order.when}) AND {early}"))
    return rules


def _mark_conflicts(select: _Select) -> None:
    """Of sound rows with one key but different content only the first known one stays sound."""
    key = ", ".join(KEY)
    order = ", ".join(["known_at", *(f'"{c.name}"' for c in select.table.all_columns)])
    select.run.con.execute(
        f"UPDATE judged SET rule = '{CONFLICT}' WHERE rowid IN (SELECT id FROM (SELECT rowid AS id,"
        f" row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS nth FROM judged"
        f" WHERE rule = '' AND ({key}) IN"
        f" (SELECT ({key}) FROM judged WHERE rule = '' GROUP BY {key} HAVING count(*) > 1))"
        " WHERE nth > 1)"
    )


def _reasons(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, int]]:
    """Per reason: rows that have it, and how many of those the source did not reject itself."""
    rows = con.execute(
        f"SELECT reason, count(*), count(*) FILTER (own) FROM (SELECT {REJECT} IS NULL AS own,"
        " unnest(string_split(rule, '; ')) AS reason FROM judged WHERE rule <> '')"
        " GROUP BY reason ORDER BY count(*) DESC, reason"
    ).fetchall()
    return {reason: (count, own) for reason, count, own in rows}


def _write_quarantine(select: _Select) -> int:
    """Put the broken rows aside, as text; return how many they are."""
    con = select.run.con
    count = _scalar(con, "SELECT count(*) FROM judged WHERE rule <> ''")
    if count:
        given = [c.name for c in select.table.all_columns if c.name in select.given]
        texts = ", ".join(f'CAST("{name}" AS VARCHAR) AS "{name}"' for name in given)
        target = _quoted(select.run.quarantine / f"{select.table.name}.parquet")
        con.execute(
            f"COPY (SELECT rule, {texts} FROM judged WHERE rule <> '' ORDER BY ALL) TO {target}"
            " (FORMAT parquet, COMPRESSION zstd)"
        )
    return int(count)


def _stop_on_too_many(
    select: _Select, read: int, quarantined: int, reasons: dict[str, tuple[int, int]]
) -> None:
    table, source = select.table, select.run.source
    where = f"They are in {select.run.failed / table.name}.parquet; fix the SELECT"
    for rule in table.all_rules:
        count = reasons.get(rule.reason, (0, 0))[1]
        if rule.max_share is not None and count > rule.max_share * read:
            raise IngestError(
                f"{select.file}: {rule.reason} in {count} of {read} rows, at most"
                f" {rule.max_share:.1%} may be (first: {_first(select, rule.reason)}). {where}"
            )
    limit = source.max_share(table.name)
    if quarantined > limit * read:
        counts = ", ".join(f"{reason} {count}" for reason, (count, _) in reasons.items())
        raise IngestError(
            f"{select.file}: {quarantined} of {read} rows ({quarantined / read:.1%}) break the"
            f" contract: {counts} (first: {_first(select, next(iter(reasons)))}). {where} or raise"
            f" max_quarantined.{table.name} (now {limit:g}) in {source.name}/source.yaml"
        )


def _first(select: _Select, reason: str) -> str:
    event, customer = _row(
        select.run.con,
        "SELECT event_id, customer_id FROM judged WHERE list_contains(string_split(rule, '; '), ?)"
        " ORDER BY ALL LIMIT 1",
        [reason],
    )
    return f"event {event} of customer {customer}"


def _keep(select: _Select) -> None:
    """Table `kept_<table>`: the sound rows; `parent_<table>` if other tables point to it."""
    con, name = select.run.con, select.table.name
    bucket = BUCKET_SQL.format(buckets=select.run.buckets)
    columns = ", ".join(f'"{column.name}"' for column in select.table.all_columns)
    con.execute(
        f"CREATE TEMP TABLE kept_{name} AS SELECT {columns}, {bucket} AS bucket FROM judged"
        " WHERE rule = '' ORDER BY bucket"
    )
    keys = {reference.column for reference in REFERENCES if reference.parent == name}
    for key in keys:
        times = sorted({order.parent_time for order in ORDERS if order.parent == name})
        firsts = "".join(f", min({time}) AS first_{time}" for time in times)
        con.execute(
            f"CREATE TEMP TABLE parent_{name} AS SELECT {key} AS key, min(customer_id) AS customer"
            f"{firsts} FROM kept_{name} GROUP BY {key}"
        )


def _write_buckets(select: _Select) -> None:
    run, name = select.run, select.table.name
    (run.out / name).mkdir()
    for bucket in range(run.buckets):
        run.con.execute(
            f"COPY (SELECT * EXCLUDE (bucket) FROM kept_{name} WHERE bucket = {bucket}"
            f" ORDER BY {', '.join(SORT)}) TO {_quoted(bucket_file(run.out, name, bucket))}"
            " (FORMAT parquet, COMPRESSION zstd)"
        )


def _warnings(run: _Run, tables: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """What keeps to the contract but should be looked at, per table."""
    found = [(name, text) for name in tables for text in _table_warnings(run, name, tables[name])]
    if "ticket_events" in tables:
        found += [("tickets", text) for text in _open_tickets(run)]
    if "messages" in tables:
        found += [("messages", text) for text in _repeated_messages(run)]
    if "surveys" in tables:
        found += [("surveys", text) for text in _response_rate(run)]
    return [{"table": table, "message": message} for table, message in found]


def _table_warnings(run: _Run, name: str, facts: dict[str, Any]) -> Iterator[str]:
    late = facts["lateness_days_p99"]
    if late is not None and late > LATENESS_DAYS:
        yield f"1 % of the rows became known more than {late:.1f} days late"
    columns = {column.name for column in TABLE[name].columns} - set(facts["absent_columns"])
    if "language" in columns and facts["kept"]:
        share = _scalar(run.con, f"SELECT avg((language IS NULL)::INTEGER) FROM kept_{name}")
        if share > UNKNOWN_LANGUAGE:
            yield f"language is unknown in {share:.1%} of the rows"
    *before, last = _by_month(run, name, "count(*)")
    if last < 0.5 * statistics.median(before):
        yield f"the last whole month has {last:g} rows, under half of the months before"


def _repeated_messages(run: _Run) -> Iterator[str]:
    share = _scalar(
        run.con,
        "SELECT 1 - count(DISTINCT (ticket_id, author, text)) / count(*) FROM kept_messages"
        " WHERE text IS NOT NULL",
    )
    if share is not None and share > REPEATED_TEXT:
        yield f"{share:.1%} repeat a text that the same ticket already has"


def _response_rate(run: _Run) -> Iterator[str]:
    sent, answered = (f"count(*) FILTER (action = '{step}')" for step in ("sent", "answered"))
    *before, last = _by_month(run, "surveys", f"{answered} / nullif({sent}, 0)")
    change = last - statistics.median(before)
    if abs(change) > RESPONSE_RATE_CHANGE:
        yield f"the response rate of the last whole month is off by {100 * change:+.0f} points"


def _open_tickets(run: _Run) -> Iterator[str]:
    """Tickets neither resolved nor merged, OPEN_DAYS or more before `observed_until`."""
    end = f"(TIMESTAMP '{run.source.observed_until}' AT TIME ZONE '{run.source.timezone}')"
    count = _scalar(
        run.con,
        "WITH last AS (SELECT ticket_id, arg_max(kind, (event_at, event_id)) AS kind"
        f" FROM kept_ticket_events WHERE known_at < {end}"
        " AND kind IN ('resolved', 'reopened', 'merged') GROUP BY ticket_id)"
        " SELECT count(DISTINCT ticket_id) FROM kept_tickets LEFT JOIN last USING (ticket_id)"
        f" WHERE coalesce(kind, 'reopened') = 'reopened'"
        f" AND event_at < {end} - INTERVAL {OPEN_DAYS} DAY",
    )
    if count:
        yield f"{count:,} are open for more than {OPEN_DAYS} days"


def _by_month(run: _Run, table: str, measure: str) -> list[float]:
    """The measure in each of the seven last whole months before `observed_until`, oldest first."""
    end = f"date_trunc('month', DATE '{run.source.observed_until}')"
    month = f"date_trunc('month', known_at AT TIME ZONE '{run.source.timezone}')"
    rows = run.con.execute(
        "SELECT coalesce(value, 0) FROM range("
        f"({end} - INTERVAL 7 MONTH)::TIMESTAMP, {end}::TIMESTAMP, INTERVAL 1 MONTH) AS m(month)"
        f" LEFT JOIN (SELECT {month} AS month, {measure} AS value FROM kept_{table} GROUP BY 1)"
        " USING (month) ORDER BY month"
    ).fetchall()
    return [float(value) for (value,) in rows]


def _line(name: str, facts: dict[str, Any]) -> str:
    why = ", ".join(f"{reason} {count:,}" for reason, count in facts["reasons"].items())
    return (
        f"{name}: {facts['read']:,} read, {facts['kept']:,} kept, {facts['quarantined']:,}"
        f" quarantined{f' ({why})' if why else ''}, {facts['duplicates']:,} duplicates"
    )


def _quoted(path: Path) -> str:
    return "'" + path.as_posix().replace("'", "''") + "'"


def _row(
    con: duckdb.DuckDBPyConnection, sql: str, values: list[str] | None = None
) -> tuple[Any, ...]:
    row = con.execute(sql, values).fetchone()
    if row is None:
        raise AssertionError(f"no row from: {sql}")
    return row


def _scalar(con: duckdb.DuckDBPyConnection, sql: str) -> Any:
    return _row(con, sql)[0]
