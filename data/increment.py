"""Which files are new since the last ingest, and which buckets their rows can change.

A source that says `append_only` promises that its files are never changed or removed, and that
every row of a SELECT comes from one line of one file. Then only new files are read. A new row can
change the fate of old ones: rows of the same customer (its sign-up), rows with the same event id
(duplicates, versions), and rows that point to the same ticket. All of those are judged again from
what was kept and put aside, by whole buckets; all other buckets stay as they are. The result is
what a full ingest would write, to the byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.contracts import REFERENCES, TABLE
from data.readers import files_named
from data.source import Source, SourceError, file_sha256, input_files

if TYPE_CHECKING:
    import duckdb

STATE = "inputs.json"
"""Beside the tables of an append-only source: the files they were made of."""


@dataclass(frozen=True)
class Plan:
    """What the last ingest left: rows read and columns given per table, and the new files."""

    new: frozenset[str]
    read: dict[str, int]
    duplicates: dict[str, int]
    given: dict[str, list[str]]


def inputs(source: Source, root: Path) -> dict[str, str]:
    """Every file of the source, as a path below `root`, with its SHA-256.

    Raises SourceError when a SELECT of an append-only source cannot be read file by file.
    """
    for table in source.tables:
        if len(files_named(source.select(table))) != 1 or source.inputs:
            raise SourceError(
                f"{source.name}/{table}.sql: with append_only each SELECT reads one file pattern"
                " and no database; remove append_only from source.yaml, or the second pattern"
            )
    return {p.relative_to(root).as_posix(): file_sha256(p) for p in input_files(source, root)}


def recipe(source: Source, buckets: int, versions: Sequence[str]) -> str:
    """SHA-256 over all that turns files into tables, apart from the files."""
    total = hashlib.sha256(json.dumps([buckets, *versions]).encode())
    here = Path(__file__).parent
    code = [here / f"{name}.py" for name in ("contracts", "increment", "ingest", "privacy")]
    for path in [*code, *sorted(p for p in source.folder.rglob("*") if p.is_file())]:
        total.update(f"{path.name}\n{file_sha256(path)}\n".encode())
    return total.hexdigest()


def plan(out: Path, made_by: str, files: dict[str, str]) -> Plan | None:
    """What is new, or None if everything must be read: no state, another recipe, changed files."""
    path = out / STATE
    if not path.exists():
        return None
    state = json.loads(path.read_text(encoding="utf-8"))
    same = all(files.get(name) == digest for name, digest in state["files"].items())
    if state["recipe"] != made_by or not same:
        return None
    new = frozenset(files) - frozenset(state["files"])
    return Plan(new, state["read"], state["duplicates"], state["given"])


def write_state(
    out: Path,
    made_by: str,
    files: dict[str, str],
    tables: dict[str, dict[str, Any]],
    given: dict[str, list[str]],
) -> None:
    """Note what the tables were made of."""
    state = {
        "recipe": made_by,
        "files": files,
        "read": {name: facts["read"] for name, facts in tables.items()},
        "duplicates": {name: facts["duplicates"] for name, facts in tables.items()},
        "given": given,
    }
    text = json.dumps(state, ensure_ascii=False, sort_keys=True, indent=1)
    (out / STATE).write_text(text + "\n", encoding="utf-8", newline="\n")


def touched(con: duckdb.DuckDBPyConnection, tables: Sequence[str], bucket_sql: str) -> set[int]:
    """The buckets whose rows a new row can change.

    Reads the relations `new_<table>` (typed new rows) and `old_<table>` (all rows kept or put
    aside earlier), which have at least event_id and customer_id.
    """
    con.execute("CREATE OR REPLACE TEMP TABLE affected (customer_id VARCHAR)")
    for name in tables:
        con.execute(f"INSERT INTO affected SELECT DISTINCT customer_id FROM new_{name}")
        con.execute(
            f"INSERT INTO affected SELECT DISTINCT customer_id FROM old_{name}"
            f" WHERE event_id IN (SELECT event_id FROM new_{name})"
        )
    if "tickets" in tables:
        con.execute(
            "CREATE OR REPLACE TEMP TABLE affected_tickets AS SELECT DISTINCT ticket_id FROM"
            " (SELECT ticket_id, customer_id FROM new_tickets"
            " UNION ALL SELECT ticket_id, customer_id FROM old_tickets)"
            " WHERE customer_id IN (SELECT customer_id FROM affected) AND ticket_id IS NOT NULL"
        )
        for reference in REFERENCES:
            if reference.parent == "tickets" and reference.table in tables:
                con.execute(
                    f"INSERT INTO affected SELECT DISTINCT customer_id FROM old_{reference.table}"
                    " WHERE ticket_id IN (SELECT ticket_id FROM affected_tickets)"
                )
    rows = con.execute(
        f"SELECT DISTINCT {bucket_sql} FROM affected WHERE customer_id IS NOT NULL"
    ).fetchall()
    return _with_shared_events(con, tables, bucket_sql, {bucket for (bucket,) in rows})


def _with_shared_events(
    con: duckdb.DuckDBPyConnection, tables: Sequence[str], bucket_sql: str, found: set[int]
) -> set[int]:
    """`found` and every bucket that shares an event id with one of them, however far.

    Whoever judges a row again must see all rows with its event id: duplicates and versions.
    """
    groups = [
        set(group)
        for name in tables
        for (group,) in con.execute(
            f"SELECT DISTINCT list_sort(list(DISTINCT {bucket_sql})) FROM old_{name}"
            f" WHERE customer_id IS NOT NULL GROUP BY event_id"
            f" HAVING min({bucket_sql}) <> max({bucket_sql})"
        ).fetchall()
    ]
    while True:
        more = set().union(*(group for group in groups if group & found)) - found
        if not more:
            return found
        found = found | more


def typed_quarantine(path: Path, table: str, reject: str) -> str | None:
    """SQL of a quarantine file's rows in the contract's types, with their `rule`; None if none."""
    if not path.exists():
        return None
    name = "'" + path.as_posix().replace("'", "''") + "'"
    import pyarrow.parquet as pq

    held = set(pq.read_schema(path).names)
    columns = ", ".join(
        f'CAST("{c.name}" AS {c.type}) AS "{c.name}"'
        if c.name in held
        else f'NULL::{c.type} AS "{c.name}"'
        for c in TABLE[table].all_columns
    )
    own = reject if reject in held else f"NULL::VARCHAR AS {reject}"
    return f"SELECT {columns}, {own}, rule FROM read_parquet({name})"
