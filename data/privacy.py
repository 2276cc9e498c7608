"""Personal data: keyed pseudonyms, redaction of addresses and numbers, and erasure.

Pseudonym: the first 128 bits of HMAC-SHA-256 (RFC 2104) under a key that only the environment
holds. Free text loses e-mail addresses and telephone numbers before it is first written. Erasure
is a list beside the source, `erased.csv`, that holds hashes of ids, never ids.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from data.contracts import TEXT, Column
from data.errors import InputError

if TYPE_CHECKING:
    import duckdb

    from data.source import Source

ERASED = "erased.csv"
SHARED_IDS = ("agent_id", "product_id", "article_id")
"""Ids that do not belong to one customer and stay as they are under pseudonyms."""
SHORTEST_KEY = 16
ID_COLUMNS = ("customer_id", "Customer", "お客様ID")
"""What tables and lists call the column that says whose row it is."""

EMAIL = r"[\w.%+-]+@[\w-]+(\.[\w-]+)+"
_DIGIT, _GAP = "[0-9０-９]", "[ ()./‐－ー-]{0,2}"
PHONE = (
    rf"(^|[^0-9０-９])(?:[+＋]{_DIGIT}(?:{_GAP}{_DIGIT}){{7,14}}"
    rf"|[(（]?[0０]{_DIGIT}{{1,4}}{_GAP}{_DIGIT}{{1,4}}{_GAP}{_DIGIT}{{3,4}}"
    r"|[(]?[2-9][0-9]{2}[) .-]{1,2}[0-9]{3}[ .-][0-9]{4})"
)


class PrivacyError(InputError):
    """A key is missing or too weak, or a customer to forget is not there."""


def pseudonym(key: str, customer: str) -> str:
    """The 32 hexadecimal digits that stand for an id under `key`."""
    return hmac.new(key.encode(), customer.encode(), hashlib.sha256).hexdigest()[:32]


def key_of(source: Source, environ: Mapping[str, str] | None = None) -> str | None:
    """The source's pseudonym key, or None if it uses none. Raises PrivacyError when it is missing.

    The variable may hold the key or, after an `@`, the path of a file that does.
    """
    if source.pseudonym_key is None:
        return None
    name = source.pseudonym_key[2:-1]
    key = (os.environ if environ is None else environ).get(name, "")
    if key.startswith("@"):
        try:
            key = Path(key[1:]).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise PrivacyError(
                f"the key file that {name} names cannot be read ({error.strerror})"
            ) from error
    if len(key) < SHORTEST_KEY:
        raise PrivacyError(
            f"{source.name}: the environment variable {name} must hold the pseudonym key, at least"
            f" {SHORTEST_KEY} characters; without it nothing is written"
        )
    return key


def prepare(con: duckdb.DuckDBPyConnection, key: str | None) -> None:
    """Give a connection the key, as the two padded blocks of HMAC; it is never part of any SQL."""
    if key is None:
        return
    raw = key.encode()
    block = (hashlib.sha256(raw).digest() if len(raw) > 64 else raw).ljust(64, b"\0")
    for name, mask in (("inner_pad", 0x36), ("outer_pad", 0x5C)):
        con.execute(f"SET VARIABLE {name} = ?", [bytes(byte ^ mask for byte in block)])


def pseudonym_sql(value: str) -> str:
    """DuckDB SQL for `pseudonym`, on a connection that `prepare` has given the key."""
    inner = f"unhex(sha256(getvariable('inner_pad') || encode({value})))"
    return f"left(sha256(getvariable('outer_pad') || {inner}), 32)"


def is_personal_id(column: Column) -> bool:
    """Whether a column holds ids of a customer or of something that is the customer's."""
    return column.name.endswith("_id") and column.name not in SHARED_IDS


def is_free_text(column: Column) -> bool:
    """Whether people can have written anything into a column."""
    return column.type == TEXT and column.allowed is None and not column.name.endswith("_id")


def redacted_sql(value: str) -> str:
    """`value` with e-mail addresses and telephone numbers replaced by `[email]` and `[phone]`."""
    shorter = f"regexp_replace({value}, '{EMAIL}', '[email]', 'g')"
    both = f"regexp_replace({shorter}, '{PHONE}', '\\1[phone]', 'g')"
    # Regular expressions are slow, and most values are too short to hold a number.
    number = f"strlen({value}) > 8 AND regexp_matches({value}, '{PHONE}')"
    suspect = f"strlen({value}) > 4 AND (contains({value}, '@') OR ({number}))"
    return f"CASE WHEN {suspect} THEN {both} ELSE {value} END"


def fingerprint_of(customer: str) -> str:
    """What the erasure list holds of an id: a SHA-256 that says nothing of ids it was not made of.

    Short ids can be guessed and hashed, so the list is to be kept like personal data; with
    pseudonyms the hash is over the pseudonym and useless without the key.
    """
    return hashlib.sha256(f"retention erasure\n{customer}".encode()).hexdigest()


def fingerprint_sql(value: str) -> str:
    """DuckDB SQL for `fingerprint_of`."""
    return f"sha256(E'retention erasure\\n' || {value})"


def erased(folder: Path) -> list[str]:
    """The fingerprints of all customers who were erased from the source in `folder`."""
    path = folder / ERASED
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if any(set(row) != {"requested_on", "fingerprint"} for row in rows):
        raise PrivacyError(f"{path.name}: its columns must be requested_on,fingerprint")
    return [row["fingerprint"] for row in rows]


def log_erasure(folder: Path, customer: str, requested_on: date) -> bool:
    """Add a customer to the erasure list; False if already on it."""
    known, mark = erased(folder), fingerprint_of(customer)
    if mark in known:
        return False
    path = folder / ERASED
    lines = path.read_text(encoding="utf-8") if path.exists() else "requested_on,fingerprint\n"
    temporary = path.with_name(f".{ERASED}.partial")
    temporary.write_text(f"{lines}{requested_on.isoformat()},{mark}\n", encoding="utf-8")
    temporary.replace(path)
    return True


def erase_from(folder: Path, customer: str) -> list[Path]:
    """Remove a customer's rows from every table under `folder`; return the files that changed.

    Parquet and CSV files with a column that says whose row it is are rewritten without the rows,
    in the same order. A workbook beside one of them is deleted: the stage that made it writes it
    again.
    """
    import duckdb

    changed = []
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        for path in sorted(folder.rglob("*")):
            is_table = path.suffix in (".parquet", ".csv") and path.is_file()
            if is_table and _erase_rows(con, path, customer):
                changed.append(path)
    for book in sorted({book for path in changed for book in path.parent.glob("*.xlsx")}):
        book.unlink()
        changed.append(book)
    return changed


def _erase_rows(con: duckdb.DuckDBPyConnection, path: Path, customer: str) -> bool:
    name = "'" + path.as_posix().replace("'", "''") + "'"
    is_parquet = path.suffix == ".parquet"
    reader = f"read_parquet({name})" if is_parquet else f"read_csv({name}, all_varchar = true)"
    columns = [row[0] for row in con.execute(f"DESCRIBE FROM {reader}").fetchall()]
    ids = [column for column in columns if column in ID_COLUMNS]
    if not ids:
        return False
    found = con.execute(
        f'SELECT count(*) FROM {reader} WHERE "{ids[0]}" = ?', [customer]
    ).fetchone()
    if found is None or not found[0]:
        return False
    temporary = path.with_name(f".{path.name}.partial")
    if is_parquet:
        target = "'" + temporary.as_posix().replace("'", "''") + "'"
        con.execute(
            f'COPY (FROM {reader} WHERE "{ids[0]}" IS DISTINCT FROM ?) TO {target}'
            " (FORMAT parquet, COMPRESSION zstd)",
            [customer],
        )
    else:
        raw = path.read_bytes()
        encoding = "utf-8-sig" if raw.startswith(b"\xef\xbb\xbf") else "utf-8"
        rows = list(csv.reader(raw.decode(encoding).splitlines(keepends=True)))
        at = rows[0].index(ids[0])
        with temporary.open("w", encoding=encoding, newline="") as stream:
            ending = "\r\n" if b"\r\n" in raw else "\n"
            csv.writer(stream, lineterminator=ending).writerows(
                row for row in rows if len(row) <= at or row[at] != customer
            )
    temporary.replace(path)
    return True
