"""Source -> canonical tables, checked against the contract, bucketed by customer.

    look at the files -> read, type and judge, sorted -> duplicates -> buckets + quarantine

Everything runs inside DuckDB, which spills to disk beyond its memory limit. What a valid row is
stands in `data.contracts`; this file only loops over it. A row that breaks a rule is kept aside
with its reasons, and every row read is accounted for: read = kept + quarantined + duplicates.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from data import alerts, increment, privacy, readers
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
from data.source import Source, inputs_named

BUCKET_SQL = "CAST('0x' || left(md5(customer_id), 8) AS BIGINT) % {buckets}"
"""The bucket of a row in DuckDB SQL; the same number as `bucket_of`."""
SORT = ("customer_id", "known_at", "event_id", "record_version")
CONFLICT = "conflicting duplicate"
REPLACED = "replaced by a corrected row"
AHEAD = "known a year after the data end"
YEAR_AHEAD = 366
GAP = "an earlier version is missing"
NOTHING_TO_DELETE = "deletes what never was"
ARRIVING_HOURS = 48
MEMORY = "1700MB"
"""What DuckDB may hold; the process as a whole stays below 2 GB. Beyond it, it spills to disk."""

REJECT = "_reject"
"""The one column beyond the contract a SELECT may yield: its own reason to put a row aside."""
CORRECTED = "_corrected"
"""Marks the rows that a person has put right, while they are judged."""

# What DuckDB calls the contract's types where it does not use the same word.
_TYPE_NAME = {TIMESTAMP: "TIMESTAMP WITH TIME ZONE"}
_FRACTIONAL = ("DOUBLE", "FLOAT", "DECIMAL")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER")
_NUMERIC = (*_WHOLE, "BIGINT", *_FRACTIONAL)
# Ids rarely repeat, so a dictionary of them costs time and saves nothing.
_PARQUET = (
    "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARQUET_VERSION v2,"
    " DICTIONARY_SIZE_LIMIT 1000)"
)


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
    connections: readers.Connections
    key: str | None
    earlier: Path
    set_aside: Path
    plan: increment.Plan | None = None
    touched: set[int] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Select:
    """One table of a run: its contract and the columns (name -> type) its SELECT yields."""

    run: _Run
    table: Table
    sql: str
    given: dict[str, str]

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def file(self) -> str:
        return f"{self.run.source.name}/{self.table.name}.sql"

    @property
    def columns(self) -> list[Column]:
        """The contract's columns that the source gives."""
        return [c for c in self.table.all_columns if c.name in self.given]

    @property
    def key(self) -> str:
        """The columns of the key that are given, for SQL; the others are the same in every row."""
        return ", ".join(name for name in KEY if name in self.given)

    @property
    def whole(self) -> str:
        """All columns of the contract from `judged`, for SQL: what is not given by its default."""
        return ", ".join(
            f'"{c.name}"'
            if c.name in self.given
            else f'CAST({DEFAULTS.get(c.name, "NULL")} AS {c.type}) AS "{c.name}"'
            for c in self.table.all_columns
        )


def ingest(
    source: Source,
    root: Path,
    out: Path,
    quarantine: Path,
    *,
    buckets: int,
    progress: Callable[[str], None] | None = None,
    threads: int | None = None,
    memory: str = MEMORY,
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
    key = privacy.key_of(source)
    failed = _sibling(quarantine, "failed")
    staged, aside, spill = (
        _sibling(out, "partial"),
        _sibling(quarantine, "partial"),
        _sibling(out, "spill"),
    )
    connections = readers.Connections.start()
    tables: dict[str, dict[str, Any]] = {}
    try:
        for folder in (staged, aside, spill):
            _fresh(folder)
        files = increment.inputs(source, root) if source.append_only else {}
        made_by = increment.recipe(source, buckets, _versions(key)) if source.append_only else ""
        plan = increment.plan(out, made_by, files) if source.append_only else None
        laid_out = readers.lay_out(source, root, spill / "files", plan.new if plan else None)
        with _connect(spill, threads, memory) as con:
            privacy.prepare(con, key)
            _erased(con, source)
            run = _Run(
                con,
                source,
                laid_out,
                staged,
                aside,
                failed,
                buckets,
                connections,
                key,
                out,
                quarantine,
                plan,
            )
            selects = [_prepare(run, TABLE[name]) for name in source.tables] if plan else []
            if plan:
                _find_touched(run, selects)
            given = {}
            for number, name in enumerate(source.tables):
                select = selects[number] if plan else _prepare(run, TABLE[name])
                tables[name] = _ingest_table(select)
                given[name] = list(select.given)
                if progress is not None:
                    progress(_line(name, tables[name]))
            warnings = alerts.find(con, source, tables)
        if source.append_only:
            increment.write_state(staged, made_by, files, tables, given)
        _swap(staged, out)
        _swap(aside, quarantine)
        shutil.rmtree(failed, ignore_errors=True)
    except OSError as error:
        raise IngestError(
            f"{out.parent} cannot be written ({error.strerror or error}); free space on the disk"
            " or give write permission, and run again"
        ) from error
    except IngestError:
        if aside.is_dir() and any(aside.iterdir()):
            _swap(aside, failed)
        raise
    finally:
        connections.close()
        for folder in (staged, aside, spill):
            shutil.rmtree(folder, ignore_errors=True)
    for counts in tables.values():
        for passing in ("language_unknown", "by_month", "quartiles"):
            del counts[passing]
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


def _versions(key: str | None) -> list[str]:
    stands_for = privacy.fingerprint_of(privacy.pseudonym(key, "recipe")) if key else ""
    return [duckdb.__version__, stands_for]


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


def _connect(spill: Path, threads: int | None, memory: str) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": str(spill),
        }
    )
    con.execute("SET TimeZone = 'UTC'")
    try:
        con.execute(f"SET memory_limit = '{memory}'")
    except duckdb.Error as error:
        con.close()
        raise IngestError(f"{memory!r} is not an amount of memory such as '4GB'") from error
    # With a single thread DuckDB cuts Parquet row groups elsewhere: the bytes would differ.
    con.execute(f"SET threads = {max(2, threads or os.cpu_count() or 2)}")
    # A wall clock that summer time skipped is an error here, not the next hour.
    con.execute(
        "CREATE TEMP MACRO local_time(clock, zone) AS CASE"
        " WHEN (clock::TIMESTAMP AT TIME ZONE zone) AT TIME ZONE zone = clock::TIMESTAMP"
        " THEN clock::TIMESTAMP AT TIME ZONE zone"
        " ELSE (clock::VARCHAR || ' does not exist at this place: ' || zone"
        " || ' skipped that hour')::TIMESTAMPTZ END"
    )
    return con


def _erased(con: duckdb.DuckDBPyConnection, source: Source) -> None:
    marks = privacy.erased(source.folder)
    con.execute("CREATE TEMP TABLE erased (mark VARCHAR)")
    if marks:
        con.executemany("INSERT INTO erased VALUES (?)", [(mark,) for mark in marks])


def _ingest_table(select: _Select) -> dict[str, Any]:
    run, table = select.run, select.table
    try:
        _read(select)
        read = _rows_read(select)
        if not read and run.source.generator is None and not privacy.erased(run.source.folder):
            raise IngestError(
                f"{select.file}: it yields no row ({_files(select)} hold only headers, or no row"
                " that the SELECT wants); export them again, or remove the file if there is"
                " nothing of the kind"
            )
        duplicates = _set_aside(select)
        quarantined = _write_quarantine(select)
        reasons = _reasons(run.con)
        _stop_on_too_many(select, read, quarantined, reasons)
        _stop_on_addresses(select)
        _write_buckets(select)
    except duckdb.Error as error:
        raise IngestError(f"{select.file}: {readers.explain(error, run.root)}") from error
    facts = alerts.facts(run.con, run.source, table, set(select.given))
    _stop_on_few_rows(select, facts["by_month"])
    kept = facts["kept"]
    if read != kept + quarantined + duplicates:
        raise AssertionError(f"{table.name}: {read} <> {kept} + {quarantined} + {duplicates}")
    run.con.execute("DROP TABLE judged; DROP TABLE aside; DROP TABLE quarantined")
    _keep_parents(run, table)
    return {
        "read": read,
        "kept": kept,
        "quarantined": quarantined,
        "duplicates": duplicates,
        "reasons": {reason: count for reason, (count, _) in reasons.items()},
        "absent_columns": [c.name for c in table.columns if c.name not in select.given],
        **facts,
    }


def _rows_read(select: _Select) -> int:
    plan, con = select.run.plan, select.run.con
    if plan is None:
        return int(_scalar(con, "SELECT count(*) FROM judged"))
    new = _scalar(con, f"SELECT count(*) FROM new_{select.name}")
    return int(plan.read[select.name] + new)


# Reading again: only new files, and the rows whose fate they can change.


def _find_touched(run: _Run, selects: list[_Select]) -> None:
    """Relations `new_`, `old_` and `again_<table>`; fills `run.touched`."""
    bucket = BUCKET_SQL.format(buckets=run.buckets)
    for select in selects:
        names = ", ".join(f'"{c.name}"' for c in select.table.all_columns)
        try:
            run.con.execute(f"CREATE TEMP TABLE new_{select.name} AS {_given(select)}")
        except duckdb.Error as error:
            _check_types(select)
            reason = readers.explain(error, run.root)
            raise IngestError(f"{select.file}: the SELECT fails: {reason}") from error
        kept = _quoted(run.earlier / select.name / "*.parquet")
        aside = increment.typed_quarantine(
            run.set_aside / f"{select.name}.parquet", select.name, REJECT
        )
        rows = f"SELECT {names}, NULL::VARCHAR AS {REJECT}, NULL AS rule FROM read_parquet({kept})"
        rows += f" UNION ALL BY NAME ({aside})" if aside else ""
        run.con.execute(f"CREATE TEMP VIEW old_{select.name} AS {rows}")
    run.touched.update(increment.touched(run.con, [select.name for select in selects], bucket))
    chosen = ", ".join(map(str, sorted(run.touched))) or "-1"
    for select in selects:
        run.con.execute(
            f"CREATE TEMP VIEW again_{select.name} AS SELECT * EXCLUDE (rule)"
            f" FROM old_{select.name} WHERE coalesce({bucket} IN ({chosen}), true)"
        )
        run.con.execute(
            f"CREATE TEMP VIEW carried_{select.name} AS SELECT * FROM old_{select.name}"
            f" WHERE rule IS NOT NULL AND coalesce({bucket} NOT IN ({chosen}), false)"
        )


# Reading: the SELECT as it is, then as the contract types it.


def _prepare(run: _Run, table: Table) -> _Select:
    """Look at the files, load the inputs, bind the SELECT and check its columns."""
    sql = run.source.select(table.name).strip().rstrip(";")
    file = f"{run.source.name}/{table.name}.sql"
    if run.plan is not None and not any(
        readers.matching(run.root, pattern) for pattern in readers.files_named(sql)
    ):
        return _nothing_new(run, table, run.plan.given[table.name])
    try:
        readers.check_files(run.con, run.root, sql)
        for name in inputs_named(run.source, table.name):
            if name not in run.loaded:
                readers.load_input(
                    run.con, run.connections, run.root, name, run.source.inputs[name]
                )
                run.loaded.add(name)
    except readers.ReadError as error:
        raise IngestError(f"{file}: {error}") from error
    sql = sql.replace("{root}", run.root.as_posix().replace("'", "''"))
    try:
        columns = run.con.execute(f"DESCRIBE FROM (\n{sql}\n)").fetchall()
        corrected = _corrected(run, table)
        if corrected is not None:
            sql = _with_corrected(run, sql, corrected, [name for name, *_ in columns])
            columns = run.con.execute(f"DESCRIBE FROM (\n{sql}\n)").fetchall()
    except duckdb.Error as error:
        reason = readers.explain(error, run.root)
        raise IngestError(f"{file}: the SELECT fails: {reason}") from error
    select = _Select(run, table, sql, {name: type_ for name, type_, *_ in columns})
    _check_columns(select)
    return select


def _nothing_new(run: _Run, table: Table, given: list[str]) -> _Select:
    """A SELECT of no rows with the columns of earlier ones."""
    types = {c.name: _TYPE_NAME.get(c.type, c.type) for c in table.all_columns}
    types[REJECT] = TEXT
    columns = ", ".join(f'NULL::{types[name]} AS "{name}"' for name in given)
    sql = f"SELECT {columns} WHERE false"
    return _Select(run, table, sql, {name: types[name] for name in given})


def _corrected(run: _Run, table: Table) -> str | None:
    """Table `corrected_<table>` of the rows a person has put right, in the contract's types.

    They lie in `corrected/<table>.csv` or `.parquet` beside the SELECTs, in the form of the
    quarantine. None if there are none.
    """
    folder = run.source.folder / "corrected"
    found = [folder / f"{table.name}.{ending}" for ending in ("csv", "parquet")]
    found = [path for path in found if path.exists()]
    if not found:
        return None
    where = f"corrected/{found[0].name}"
    if len(found) > 1:
        raise IngestError(f"{where} is there twice, as CSV and as Parquet; remove one")
    reader = (
        f"read_csv({_quoted(found[0])}, all_varchar = true, header = true, delim = ',')"
        if found[0].suffix == ".csv"
        else f"read_parquet({_quoted(found[0])})"
    )
    name = f"corrected_{table.name}"
    try:
        given = {row[0] for row in run.con.execute(f"DESCRIBE FROM {reader}").fetchall()}
        known = {column.name for column in table.all_columns} | {"rule"}
        if given - known or not {"event_id"} <= given:
            raise IngestError(
                f"{where}: its columns must be those of the quarantine ({sorted(given - known)}"
                " are not, event_id must be)"
            )
        columns = ", ".join(
            f'CAST("{c.name}" AS {c.type}) AS "{c.name}"'
            for c in table.all_columns
            if c.name in given
        )
        run.con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {columns} FROM {reader}")
    except duckdb.Error as error:
        raise IngestError(f"{where}: {readers.explain(error, run.source.folder)}") from error
    return name


def _with_corrected(run: _Run, sql: str, corrected: str, given: list[str]) -> str:
    """The SELECT's rows and the corrected ones; what a corrected row replaces is put aside."""
    # Under pseudonyms the quarantine, and so the corrected rows, hold pseudonyms.
    event = "source_row.event_id::VARCHAR"
    same = f"fixed.event_id = {event if run.key is None else privacy.pseudonym_sql(event)}"
    if "record_version" in given:
        same += " AND coalesce(fixed.record_version, 1) = coalesce(source_row.record_version, 1)"
    own = f"nullif({REJECT}::VARCHAR, '')" if REJECT in given else "NULL"
    others = f"* EXCLUDE ({REJECT})" if REJECT in given else "*"
    marked = (
        f"SELECT {others}, CASE WHEN EXISTS (SELECT 1 FROM {corrected} AS fixed WHERE {same})"
        f" THEN '{REPLACED}' ELSE {own} END AS {REJECT}, false AS {CORRECTED}"
        f" FROM (\n{sql}\n) AS source_row"
    )
    if run.plan is not None:  # the corrected rows themselves are among those kept already
        return marked
    fixed = f"SELECT *, NULL AS {REJECT}, true AS {CORRECTED} FROM {corrected}"
    return f"{marked} UNION ALL BY NAME {fixed}"


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
        if name not in (*names, REJECT, CORRECTED):
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


def _read(select: _Select) -> None:
    """Table `judged`: every row typed, with `is_aside` where it breaks a rule, in bucket order.

    For all tables but customers the order begins with the customer's place in all buckets, an
    integer; customers are put in order themselves.
    """
    run, columns = select.run, select.columns
    held = ", ".join(f'given."{column.name}"' for column in columns)
    held += f", given.{REJECT}" if REJECT in select.given else ""
    broken = " OR ".join(f"({condition})" for _, condition in _conditions(select))
    joins = "".join(_join(reference) for reference in _references(select))
    is_customers = select.table.name == "customers"
    place = (
        f"{BUCKET_SQL.format(buckets=run.buckets)}" if is_customers else "parent_customers.place"
    )
    order = ["place"]
    order += [n for n in SORT if n in select.given and (is_customers or n != "customer_id")]
    sql = (
        f"CREATE OR REPLACE TEMP TABLE judged AS SELECT {held}, {place} AS place,"
        f" coalesce({broken}, false) AS is_aside FROM ({_rows(select)}) AS given{joins}"
        f" ORDER BY {', '.join(order)}"
    )
    try:
        run.con.execute(sql)
    except duckdb.Error as error:
        _check_types(select)
        reason = readers.explain(error, run.root)
        raise IngestError(f"{select.file}: the SELECT fails: {reason}") from error


def _rows(select: _Select) -> str:
    """The rows to judge: all of the SELECT, or the new ones and those they can change."""
    if select.run.plan is None:
        return _given(select)
    return f"FROM new_{select.name} UNION ALL BY NAME FROM again_{select.name}"


def _given(select: _Select) -> str:
    """The SELECT with the contract's columns and types; what it lacks is null."""
    columns = ", ".join(
        f'{_typed(select, column)} AS "{column.name}"' for column in select.table.all_columns
    )
    reject = f"CAST({REJECT} AS VARCHAR)" if REJECT in select.given else "NULL::VARCHAR"
    rows = f"SELECT {columns}, nullif({reject}, '') AS {REJECT} FROM (\n{select.sql}\n) AS raw"
    if privacy.erased(select.run.source.folder):
        mark = privacy.fingerprint_sql("customer_id")
        rows = f"SELECT * FROM ({rows}) WHERE {mark} NOT IN (SELECT mark FROM erased)"
    return rows


def _typed(select: _Select, column: Column) -> str:
    """SQL of a column in the contract's type; a value that does not fit ends the query."""
    if column.name not in select.given:
        return f"CAST({DEFAULTS.get(column.name, 'NULL')} AS {column.type})"
    given, value = select.given[column.name], f'raw."{column.name}"'
    if given == _TYPE_NAME.get(column.type, column.type):
        typed = value
    elif unfit := _unfit(column, given):
        typed = (
            f"CASE WHEN {value} IS NOT NULL AND ({unfit}) THEN error('{column.name}')"
            f" ELSE TRY_CAST({value} AS {column.type}) END"
        )
    else:
        typed = f"CAST({value} AS {column.type})"
    if column.name in DEFAULTS:
        typed = f"coalesce({typed}, {DEFAULTS[column.name]})"
    if select.run.key is not None and privacy.is_personal_id(column):
        stands_for = privacy.pseudonym_sql(typed)
        corrected = f"raw.{CORRECTED}" if CORRECTED in select.given else "false"
        typed = f"CASE WHEN {corrected} THEN {typed} ELSE {stands_for} END"
    if privacy.is_free_text(column):
        typed = privacy.redacted_sql(typed)
    return typed


def _unfit(column: Column, given: str) -> str | None:
    """When a value of type `given` does not fit the column (SQL); None if every one does."""
    value = f'raw."{column.name}"'
    if column.type == TIMESTAMP:
        return "true"
    if column.type == TEXT:
        return "true" if given.startswith(_FRACTIONAL) else None
    if (column.type == INTEGER and given in _WHOLE) or (
        column.type == "DOUBLE" and given.startswith(_NUMERIC)
    ):
        return None
    unfit = f"TRY_CAST({value} AS {column.type}) IS NULL"
    if column.type == INTEGER and given.startswith(_FRACTIONAL):
        unfit += f" OR TRY_CAST({value} AS {column.type}) <> {value}"
    return unfit


def _cure(column: Column, given: str, timezone: str) -> str:
    if column.type == TIMESTAMP and given == "VARCHAR":
        return (
            f"parse it and say its zone: strptime({column.name}, '%Y-%m-%d %H:%M:%S') AT TIME ZONE"
            f" '{timezone}'"
        )
    if column.type == TIMESTAMP:
        return f"say its zone: {column.name}::TIMESTAMP AT TIME ZONE '{timezone}'"
    if column.type == TEXT:
        return "cast it to BIGINT or DECIMAL text yourself, or 17 becomes '17.0'"
    return f"make it {column.type} in the SELECT"


def _check_types(select: _Select) -> None:
    """Stop at the first column that cannot become what the contract says."""
    for column in select.table.all_columns:
        given = select.given.get(column.name)
        if given is None or given == _TYPE_NAME.get(column.type, column.type):
            continue
        unfit = _unfit(column, given)
        if unfit is None:
            continue
        values = select.run.con.execute(
            f'SELECT CAST(raw."{column.name}" AS VARCHAR) AS value, CAST(event_id AS VARCHAR)'
            f' FROM (\n{select.sql}\n) AS raw WHERE raw."{column.name}" IS NOT NULL AND ({unfit})'
            " ORDER BY ALL LIMIT 1"
        ).fetchall()
        if values:
            ((value, event),) = values
            raise IngestError(
                f"{select.file}: column {column.name} is {given}, the contract says {column.type}"
                f" (first value that does not fit: {value!r}, event {event});"
                f" {_cure(column, given, select.run.source.timezone)}"
            )


# Judging: which rows are put aside, and why.


def _conditions(select: _Select) -> list[tuple[str, str]]:
    """SQL of every reason to put a row `given` aside, and of when it applies."""
    found = [(f"replace({REJECT}, '; ', ', ')", f"{REJECT} <> ''")]
    found += [(f"'{rule.reason}'", rule.broken) for rule in select.table.all_rules]
    end = f"TIMESTAMPTZ '{select.run.source.observed_until}' + INTERVAL {YEAR_AHEAD} DAY"
    found.append((f"'{AHEAD}'", f"known_at > {end}"))
    for reference in _references(select):
        found += [
            (f"'{reason}'", broken) for reason, broken in _parent_rules(reference, select.run)
        ]
    return found


def _references(select: _Select) -> list[Reference]:
    """Where this table points to, as far as the source has the other table."""
    return [
        reference
        for reference in REFERENCES
        if reference.table == select.table.name
        and reference.parent in select.run.source.tables
        and (reference.column in select.given)
    ]


def _join(reference: Reference) -> str:
    parent = f"parent_{reference.parent}"
    return f" LEFT JOIN {parent} ON {parent}.key = given.{reference.column}"


def _parent_rules(reference: Reference, run: _Run) -> list[tuple[str, str]]:
    """Reason and SQL condition of what can be wrong between a row and the row it points to."""
    parent = f"parent_{reference.parent}"
    orphan = f"given.{reference.column} IS NOT NULL AND {parent}.key IS NULL"
    fresh = f"coalesce(given.known_at >= {_arriving(run)}, false)"
    rules = [
        (reference.reason, f"{orphan} AND NOT {fresh}"),
        (reference.arriving, f"{orphan} AND {fresh}"),
    ]
    if reference.parent != "customers":
        foreign = f"{parent}.customer <> given.customer_id"
        rules.append((f"{reference.reason.split()[0]} of another customer", foreign))
    for order in ORDERS:
        if (order.table, order.parent) == (reference.table, reference.parent):
            early = f"given.event_at < {parent}.first_{order.parent_time}"
            rules.append((order.reason, f"({order.when}) AND {early}"))
    return rules


def _arriving(run: _Run) -> str:
    """From when on a row's parent may simply not have been exported yet (a constant in SQL)."""
    at = _scalar(
        run.con,
        f"SELECT (TIMESTAMP '{run.source.observed_until}' AT TIME ZONE '{run.source.timezone}'"
        f" - INTERVAL {ARRIVING_HOURS} HOUR)::VARCHAR",
    )
    return f"TIMESTAMPTZ '{at}'"


def _set_aside(select: _Select) -> int:
    """Table `aside` (id, rule): rows that are not kept; exact duplicates have no rule.

    Returns how many duplicates there are.
    """
    con = select.run.con
    con.execute("CREATE OR REPLACE TEMP TABLE aside (id BIGINT, rule VARCHAR)")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE repeated AS SELECT hash({select.key}) AS mark"
        " FROM judged GROUP BY mark HAVING count(*) > 1"
    )
    duplicates = 0
    if _scalar(con, "SELECT count(*) FROM repeated"):
        # First which rows, then their columns: most rows are not repeated.
        con.execute(
            "CREATE OR REPLACE TEMP TABLE doubtful AS SELECT rowid AS id FROM judged"
            f" WHERE hash({select.key}) IN (SELECT mark FROM repeated)"
        )
        con.execute(
            "CREATE OR REPLACE TEMP TABLE twins AS SELECT rowid AS id, judged.* FROM judged"
            " WHERE rowid IN (SELECT id FROM doubtful)"
        )
        own = [REJECT] if REJECT in select.given else []
        same = ", ".join([f'"{column.name}"' for column in select.columns] + own)
        con.execute(
            "INSERT INTO aside SELECT id, NULL FROM twins"
            f" QUALIFY row_number() OVER (PARTITION BY {same} ORDER BY id) > 1"
        )
        duplicates = _scalar(con, "SELECT count(*) FROM aside")
        # Of sound rows with one key but different content only the first known one stays.
        order = ["known_at", *(f'"{column.name}"' for column in select.columns)]
        con.execute(
            f"INSERT INTO aside SELECT id, '{CONFLICT}' FROM twins"
            " WHERE NOT is_aside AND id NOT IN (SELECT id FROM aside)"
            f" QUALIFY row_number() OVER (PARTITION BY {select.key}"
            f" ORDER BY {', '.join(order)}) > 1"
        )
        con.execute("DROP TABLE twins")
    if _scalar(con, "SELECT count(*) FROM judged WHERE is_aside"):
        _give_reasons(select)
    _check_versions(select)
    con.execute("UPDATE judged SET is_aside = true WHERE rowid IN (SELECT id FROM aside)")
    plan = select.run.plan
    return int(duplicates) + (plan.duplicates[select.name] if plan else 0)


def _check_versions(select: _Select) -> None:
    """Put aside versions that lack an earlier one and deletions of events that never were.

    All versions count that were read, also those put aside for other reasons.
    """
    if "record_version" not in select.given:
        return
    withdrawn = "op = 'delete'" if "op" in select.given else "false"
    select.run.con.execute(
        f"INSERT INTO aside SELECT id, CASE WHEN is_delete AND nth = 1 THEN '{NOTHING_TO_DELETE}'"
        f" ELSE '{GAP}' END FROM (SELECT rowid AS id, is_aside, record_version,"
        f" {withdrawn} AS is_delete, dense_rank() OVER (PARTITION BY event_id"
        " ORDER BY record_version) AS nth FROM judged WHERE event_id IN"
        f" (SELECT event_id FROM judged WHERE record_version > 1 OR {withdrawn}))"
        " WHERE NOT is_aside AND (nth <> record_version OR (is_delete AND nth = 1))"
        " AND id NOT IN (SELECT id FROM aside)"
    )


def _reject(select: _Select) -> str:
    """The source's own reason in `judged`, for SQL."""
    return REJECT if REJECT in select.given else f"NULL::VARCHAR AS {REJECT}"


def _give_reasons(select: _Select) -> None:
    rule = ", ".join(f"CASE WHEN {broken} THEN {why} END" for why, broken in _conditions(select))
    joins = "".join(_join(reference) for reference in _references(select))
    select.run.con.execute(
        f"INSERT INTO aside SELECT id, concat_ws('; ', {rule})"
        f" FROM (SELECT rowid AS id, {_reject(select)}, {select.whole} FROM judged WHERE is_aside"
        f" AND rowid NOT IN (SELECT id FROM aside)) AS given{joins}"
    )


def _reasons(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, int]]:
    """Per reason: rows that have it, and how many of those the source did not reject itself."""
    rows = con.execute(
        "SELECT reason, count(*), count(*) FILTER (own) FROM (SELECT"
        f" {REJECT} IS NULL AS own, unnest(string_split(rule, '; ')) AS reason FROM quarantined)"
        " GROUP BY reason ORDER BY count(*) DESC, reason"
    ).fetchall()
    return {reason: (count, own) for reason, count, own in rows}


def _write_quarantine(select: _Select) -> int:
    """Table `quarantined`: the broken rows as text, also in a file; returns how many they are."""
    con, source = select.run.con, select.run.source
    texts = ", ".join(f'CAST("{c.name}" AS VARCHAR) AS "{c.name}"' for c in select.columns)
    carried = ""
    if select.run.plan is not None:
        carried = f" UNION ALL BY NAME SELECT rule, {texts}, {REJECT} FROM carried_{select.name}"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE quarantined AS SELECT rule, {texts}, {_reject(select)}"
        f" FROM judged JOIN aside ON judged.rowid = aside.id WHERE rule <> ''{carried}"
    )
    count = _scalar(con, "SELECT count(*) FROM quarantined")
    if count:
        # To judge a row again takes the source's own reason apart from the contract's.
        columns = "*" if source.append_only else f"* EXCLUDE ({REJECT})"
        target = _quoted(select.run.quarantine / f"{select.name}.parquet")
        con.execute(
            f"COPY (SELECT {columns} FROM quarantined ORDER BY ALL) TO {target}"
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
    dealt_with = [REPLACED, *(r.arriving for r in REFERENCES if r.table == table.name)]
    uncounted = " OR ".join(
        f"rule = '{reason}' OR starts_with(rule, '{reason}; ')" for reason in dealt_with
    )
    counted = _scalar(select.run.con, f"SELECT count(*) FROM quarantined WHERE NOT ({uncounted})")
    limit = source.max_share(table.name)
    if counted > limit * read:
        counts = ", ".join(f"{reason} {count}" for reason, (count, _) in reasons.items())
        raise IngestError(
            f"{select.file}: {counted} of {read} rows ({counted / read:.1%}) break the"
            f" contract: {counts} (first: {_first(select, next(iter(reasons)))}). {where} or raise"
            f" max_quarantined.{table.name} (now {limit:g}) in {source.name}/source.yaml"
        )


def _stop_on_few_rows(select: _Select, by_month: list[int]) -> None:
    """Half a month that is taken for a whole one would look like customers who left."""
    source, table = select.run.source, select.name
    fallen = alerts.fall(by_month)
    if fallen is None or fallen[1] < alerts.USUAL_ROWS or table in source.may_end:
        return
    raise IngestError(
        f"{select.file}: the last whole month before {source.observed_until} (observed_until) has"
        f" {fallen[0]:,} rows ({_files(select)}), under half of the {fallen[1]:,.0f} of a usual"
        f" month; export the missing rows, or set observed_until in {source.name}/source.yaml to"
        f" where the data end, or say there may_end: [{table}] if they are all there"
    )


def _stop_on_addresses(select: _Select) -> None:
    """E-mail addresses as ids would end up in every list and report."""
    if select.table.name == "customers" and _scalar(
        select.run.con,
        f"SELECT count(*) FROM judged WHERE regexp_matches(customer_id, '{privacy.EMAIL}')",
    ):
        raise IngestError(
            f"{select.file}: column customer_id holds e-mail addresses, which would be in every"
            f" list and report; give another id, or set pseudonym_key in"
            f" {select.run.source.name}/source.yaml"
        )


def _files(select: _Select) -> str:
    source, table = select.run.source, select.table.name
    named = readers.files_named(source.select(table)) + inputs_named(source, table)
    return ", ".join(named) or "its inputs"


def _first(select: _Select, reason: str) -> str:
    event, customer = _row(
        select.run.con,
        "SELECT event_id, customer_id FROM quarantined"
        " WHERE list_contains(string_split(rule, '; '), ?) ORDER BY ALL LIMIT 1",
        [reason],
    )
    shown = [_visible(str(value)) for value in (event, customer)]
    hint = "" if shown == [str(event), str(customer)] else INVISIBLE_CURE
    return f"event {shown[0]} of customer {shown[1]}{hint}"


INVISIBLE_CURE = (
    "; it holds a character that nobody sees: clean ids with"
    " regexp_replace(trim(id), '[^[:print:]]|\\u200b|\\ufeff', '', 'g')"
)


def _visible(text: str) -> str:
    """Text in which characters that cannot be seen are written as escapes."""
    return "".join(
        c if c.isprintable() and c != "\u3000" else c.encode("unicode_escape").decode()
        for c in text
    )


# Writing.


def _write_buckets(select: _Select) -> None:
    run, table = select.run, select.table
    (run.out / table.name).mkdir()
    for bucket, (low, high) in enumerate(_places(run, table)):
        path = bucket_file(run.out, table.name, bucket)
        if run.plan is not None and bucket not in run.touched:
            shutil.copy2(bucket_file(run.earlier, table.name, bucket), path)
            continue
        rows = (
            f"SELECT {select.whole} FROM judged WHERE NOT is_aside"
            f" AND place BETWEEN {low} AND {high}"
        )
        if run.source.append_only:
            # Where DuckDB cuts row groups depends on where the rows lay; alone they lie the same.
            run.con.execute(f"CREATE OR REPLACE TEMP TABLE one_bucket AS {rows}")
            rows = "FROM one_bucket"
        run.con.execute(f"COPY ({rows}) TO {_quoted(path)} {_PARQUET}")
    run.con.execute(
        f"CREATE OR REPLACE TEMP VIEW kept_{table.name} AS"
        f" FROM read_parquet({_quoted(run.out / table.name / '*.parquet')})"
    )
    first = _quoted(bucket_file(run.out, table.name, 0))
    run.con.execute(f"CREATE OR REPLACE TEMP VIEW first_{table.name} AS FROM read_parquet({first})")


def _places(run: _Run, table: Table) -> list[tuple[int, int]]:
    """Per bucket: the first and last value of `place` in it."""
    if table.name == "customers":
        return [(bucket, bucket) for bucket in range(run.buckets)]
    found = {
        bucket: (low, high)
        for bucket, low, high in run.con.execute(
            "SELECT bucket, min(place), max(place) FROM parent_customers GROUP BY bucket"
        ).fetchall()
    }
    return [found.get(bucket, (0, -1)) for bucket in range(run.buckets)]


def _keep_parents(run: _Run, table: Table) -> None:
    """Table `parent_<table>`: what rows of other tables are compared with."""
    keys = {
        reference.column
        for reference in REFERENCES
        if reference.parent == table.name and reference.table in run.source.tables
    }
    for key in keys:
        times = sorted({order.parent_time for order in ORDERS if order.parent == table.name})
        firsts = "".join(f", min({time}) AS first_{time}" for time in times)
        bucket = (
            f", {BUCKET_SQL.format(buckets=run.buckets)} AS bucket" if key == "customer_id" else ""
        )
        place = ", row_number() OVER (ORDER BY bucket, key)::INTEGER AS place" if bucket else ""
        run.con.execute(
            f"CREATE TEMP TABLE parent_{table.name} AS SELECT *{place} FROM (SELECT {key} AS key,"
            f" min(customer_id) AS customer{firsts}{bucket} FROM kept_{table.name} GROUP BY {key})"
        )


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
