"""Bad input, kind by kind: each run of the stage ends with one line and changes no output.

A shop in Berlin with two CSV files ingests well. Each case spoils one thing and says what the
message must name: the file, the column or line, what is wrong, and what to do about it.
"""

from __future__ import annotations

import dataclasses
import os
import re
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import duckdb
import openpyxl
import pytest

from data import source
from pipelines import ingest, params, paths, stage

YAML = """\
name: shop
description: {en: A shop, ja: 店}
timezone: Europe/Berlin
currency: EUR
root: ${RETENTION_DATASETS}
first_as_of: "2024-03-01"
last_as_of: "2024-06-01"
observed_until: "2024-08-01"
"""
CUSTOMERS_SQL = """\
SELECT id AS event_id, id AS customer_id, joined AT TIME ZONE 'Europe/Berlin' AS event_at,
       event_at AS known_at, event_at AS signup_at
FROM read_csv('{root}/customers.csv')
"""
ORDERS_SQL = """\
SELECT order_no AS event_id, order_no AS order_id, customer AS customer_id,
       ordered AT TIME ZONE 'Europe/Berlin' AS event_at, event_at AS known_at, 'placed' AS status,
       amount
FROM read_csv('{root}/orders.csv')
"""
TYPED_SQL = ORDERS_SQL.replace(
    "orders.csv'", "orders.csv', types = {'amount': 'DOUBLE', 'ordered': 'TIMESTAMP'}"
)
VERSIONS_SQL = ORDERS_SQL.replace("amount\n", "version AS record_version, op\n")
HEADER = "order_no,customer,ordered,amount\n"
CUSTOMERS = "id,joined\nc1,2024-01-05 10:00:00\nc2,2024-01-06 11:00:00\n"
ORDERS = HEADER + "".join(
    f"o{i},c{1 + i % 2},2024-02-{1 + i % 28:02d} 12:00:00,{i}.50\n" for i in range(40)
)
LINES = ORDERS.splitlines(keepends=True)
T = "2024-02-10 12:00:00"


def orders(*lines: str, header: str = HEADER) -> str:
    return header + "".join(f"{line}\n" for line in lines)


def with_line(line: str, at: int = 20) -> str:
    """The sound orders with one line replaced; line 1 is the header."""
    return "".join([*LINES[: at - 1], f"{line}\n", *LINES[at:]])


@dataclass(frozen=True)
class Case:
    """What is spoilt, and what the one line must say."""

    name: str
    says: str
    files: dict[str, str | bytes] = field(default_factory=dict)
    sql: dict[str, str] = field(default_factory=dict)
    yaml: str = ""
    spoil: Callable[[Path], object] | None = None
    environ: dict[str, str] = field(default_factory=dict)
    unprivileged: bool = False


def parquet(folder: Path) -> Path:
    rows = (
        "SELECT 'o' || i AS order_no, 'c1' AS customer, TIMESTAMP '2024-02-10 12:00:00' AS ordered,"
        " hash(i) / 7.0 AS amount FROM range(5000) AS r(i)"
    )
    duckdb.execute(f"COPY ({rows}) TO '{folder}/orders.parquet' (FORMAT parquet)")
    return folder / "orders.parquet"


def cut_short(folder: Path) -> None:
    path = parquet(folder)
    path.write_bytes(path.read_bytes()[:-200])


def damaged(folder: Path) -> None:
    path = parquet(folder)
    content = bytearray(path.read_bytes())
    content[40:4000] = b"\xff" * 3960
    path.write_bytes(content)


def workbook(folder: Path) -> None:
    openpyxl.Workbook().save(folder / "orders.xlsx")


def database(folder: Path) -> None:
    with sqlite3.connect(folder / "shop.db") as con:
        con.execute("CREATE TABLE orders (order_no TEXT)")
    con.close()


def loop(folder: Path) -> None:
    (folder / "orders.csv").unlink()
    (folder / "orders.csv").symlink_to("orders.csv")


def a_folder(folder: Path) -> None:
    (folder / "orders.csv").unlink()
    (folder / "orders.csv").mkdir()


def from_input(more: str) -> str:
    return ORDERS_SQL.replace("read_csv('{root}/orders.csv')", more)


def from_parquet() -> str:
    return from_input("read_parquet('{root}/orders.parquet')")


CSV = "orders.csv"
CASES = [
    # The file as a whole.
    Case("empty file", r"orders\.csv is empty; export it again", {CSV: b""}),
    Case("header only", r"orders\.csv holds a header and no row; export it again", {CSV: HEADER}),
    Case(
        "file missing",
        r"reads orders\.csv, which is not in .*; set",
        spoil=lambda f: (f / CSV).unlink(),
    ),
    Case(
        "folder missing",
        r"its folder .* does not exist; set RETENTION_DATASETS",
        spoil=shutil.rmtree,
    ),
    Case(
        "a folder in place of a file", r"orders\.csv is a folder, not a file; name", spoil=a_folder
    ),
    Case("links in a circle", r"orders\.csv: the link leads .* in a circle; point", spoil=loop),
    Case(
        "no permission",
        r"orders\.csv cannot be read \(Permission denied\); give",
        spoil=lambda f: (f / CSV).chmod(0),
        unprivileged=True,
    ),
    Case(
        "compressed by name only",
        r"orders\.csv\.gz; the file is no gzip; rename",
        {"orders.csv.gz": ORDERS},
        {"orders": ORDERS_SQL.replace(CSV, CSV + ".gz")},
    ),
    Case(
        "NUL byte",
        r"orders\.csv line 20: holds a NUL byte.*export it again",
        {CSV: with_line(f"o\0x,c1,{T},5")},
    ),
    Case(
        "10 MB cell",
        r"orders\.csv line \d+: a cell is longer.*max_line_size",
        {CSV: with_line("x" * 10_000_000 + f",c1,{T},5")},
    ),
    # Encodings.
    Case(
        "Shift_JIS taken for UTF-8",
        r"orders\.csv line \d+: not UTF-8.*encodings: .*cp932",
        {CSV: ORDERS.replace("o7,", "注文,").encode("cp932")},
    ),
    Case(
        "UTF-16 taken for UTF-8",
        r"orders\.csv line 1: not UTF-8.*encodings: .*utf-16",
        {CSV: ORDERS.encode("utf-16")},
    ),
    Case(
        "wrong encoding declared",
        r"orders\.csv line 8: not cp932 text.*correct `encodings`",
        {CSV: ORDERS.encode().replace(b"o6,", b"\x81\x01,")},
        yaml='encodings: {"orders.csv": cp932}',
    ),
    Case(
        "encoding unknown",
        r"source\.yaml: encodings: .*'sjiss' is not an encoding",
        yaml='encodings: {"orders.csv": sjiss}',
    ),
    # The table in the file.
    Case(
        "duplicate header",
        r"orders\.csv line 1: two columns are called 'amount'; rename",
        {CSV: ORDERS.replace("order_no,customer", "amount,customer", 1)},
    ),
    Case(
        "missing column",
        r"orders\.sql: .*\"?customer\"? not found.*correct the name",
        {CSV: ORDERS.replace("customer", "client", 1)},
    ),
    Case(
        "column renamed in one of two files",
        r"orders-2\.csv.*(missing|mismatch).*same columns",
        {"orders-1.csv": ORDERS, "orders-2.csv": ORDERS.replace("amount", "total", 1)},
        {"orders": ORDERS_SQL.replace(CSV, "orders-*.csv")},
    ),
    Case(
        "ragged rows, too long",
        r"orders\.csv line 20: 5 cells where the header has 4; quote",
        {CSV: with_line(f"o18,c1,{T},5,extra")},
    ),
    Case(
        "ragged rows, too short",
        r"orders\.csv line 20: 3 cells where the header has 4; .*complete",
        {CSV: with_line(f"o18,c1,{T}")},
    ),
    Case(
        "quote never closed",
        r"orders\.csv line 20: a quote .*close it",
        {CSV: with_line(f'"o18,c1,{T},5')},
    ),
    Case(
        "preamble above the header",
        r"orders\.csv.*(skip|cells)",
        {CSV: "Shop export\nMay\n" + ORDERS},
    ),
    # Values that are not of their type.
    Case(
        "wrong type",
        r"orders\.csv line 20: column amount: 'five' is not DOUBLE; read it as text",
        {CSV: with_line(f"o18,c1,{T},five")},
        {"orders": TYPED_SQL},
    ),
    Case(
        "wrong type, guessed as text",
        r"column amount is VARCHAR.*DOUBLE.*'five', event o18\); make it",
        {CSV: with_line(f"o18,c1,{T},five")},
    ),
    Case(
        "thousand separators",
        r"column amount is VARCHAR.*'1,234\.50', event o18\)",
        {CSV: with_line(f'o18,c1,{T},"1,234.50"')},
    ),
    Case(
        "comma decimals",
        r"column amount is VARCHAR.*'12,50'",
        {CSV: with_line(f'o18,c1,{T},"12,50"')},
    ),
    Case(
        "mixed date formats",
        r"orders\.csv line \d+: column ordered: .* is not TIMESTAMP; .*strptime",
        {CSV: with_line("o18,c1,13/02/2024 12:00,5")},
        {"orders": TYPED_SQL},
    ),
    Case(
        "mixed date formats in strptime",
        r"orders\.sql: .*13/02/2024.*mixes formats: try_strptime",
        {CSV: with_line("o18,c1,13/02/2024 12:00:00,5")},
        {
            "orders": ORDERS_SQL.replace(
                "ordered AT", "strptime(ordered, '%Y-%m-%d %H:%M:%S') AT"
            ).replace(CSV + "'", CSV + "', all_varchar = true")
        },
    ),
    Case(
        "no time zone",
        r"column event_at is TIMESTAMP.*say its zone: .*'Europe/Berlin'",
        sql={"orders": ORDERS_SQL.replace("AT TIME ZONE 'Europe/Berlin'", "")},
    ),
    Case(
        "hour skipped by summer time",
        r"2024-03-31 02:30:00 does not exist .*Europe/Berlin.*say which hour",
        {CSV: with_line("o18,c1,2024-03-31 02:30:00,5")},
        {
            "orders": ORDERS_SQL.replace(
                "ordered AT TIME ZONE 'Europe/Berlin'", "local_time(ordered, 'Europe/Berlin')"
            )
        },
    ),
    Case(
        "ids read as fractions",
        r"column customer_id is DOUBLE.*'17850\.0'.*cast it",
        {CSV: orders(f"o1,17850.0,{T},5")},
    ),
    # Values that no row may have.
    Case(
        "infinite amount",
        r"amount not finite 1 \(first: event o18 .*fix the SELECT or raise",
        {CSV: with_line(f"o18,c1,{T},inf")},
    ),
    Case("amount that is no number", r"amount not finite 1", {CSV: with_line(f"o18,c1,{T},nan")}),
    Case(
        "negative money", r"amount below 0 1 \(first: event o18", {CSV: with_line(f"o18,c1,{T},-5")}
    ),
    Case(
        "year 9999", r"time outside 1990-2100 1", {CSV: with_line("o18,c1,9999-12-31 00:00:00,5")}
    ),
    Case(
        "year 1900", r"time outside 1990-2100 1", {CSV: with_line("o18,c1,1900-01-01 00:00:00,5")}
    ),
    Case(
        "future dates",
        r"known a year after the data end 1",
        {CSV: with_line("o18,c1,2042-02-10 12:00:00,5")},
    ),
    Case(
        "known at no time",
        r"known_at missing in 1 of 40 rows.*event o18",
        {CSV: with_line("o18,c1,,5")},
    ),
    Case(
        "known before it happened",
        r"happened after it was known 40",
        sql={
            "orders": ORDERS_SQL.replace(
                "event_at AS known_at", "event_at - INTERVAL 1 DAY AS known_at"
            )
        },
    ),
    Case("before sign-up", r"before sign-up 1", {CSV: with_line("o18,c1,2023-12-01 12:00:00,5")}),
    Case(
        "value nobody defined",
        r"status not an allowed value in 40 of 40 rows.*fix the SELECT",
        sql={"orders": ORDERS_SQL.replace("'placed'", "'plcaed'")},
    ),
    # Keys.
    Case(
        "nothing that is wanted",
        r"orders\.sql: it yields no row \(orders\.csv hold.*remove the file",
        sql={"orders": ORDERS_SQL + "WHERE amount > 1000"},
    ),
    Case(
        "orphans",
        r"customer unknown 1 \(first: event o18 of customer c99",
        {CSV: with_line(f"o18,c99,{T},5")},
    ),
    Case(
        "zero-width space in an id",
        r"customer c1\\u200b; it holds a character that nobody sees: clean",
        {CSV: with_line(f"o18,c1\u200b,{T},5")},
    ),
    Case(
        "duplicate ids",
        r"conflicting duplicate 1 \(first: event o17",
        {CSV: with_line(f"o17,c1,{T},5")},
    ),
    Case("missing ids", r"customer_id missing 1", {CSV: with_line(f"o18,,{T},5")}),
    Case(
        "version missing",
        r"an earlier version is missing 1 \(first: event o1 ",
        {
            CSV: orders(
                f"o1,c1,{T},1,upsert",
                f"o1,c1,{T},3,upsert",
                f"o2,c1,{T},1,upsert",
                header="order_no,customer,ordered,version,op\n",
            )
        },
        {"orders": VERSIONS_SQL},
    ),
    Case(
        "deleted before it was",
        r"deletes what never was 1 \(first: event o2 ",
        {
            CSV: orders(
                f"o1,c1,{T},1,upsert",
                f"o2,c1,{T},1,delete",
                header="order_no,customer,ordered,version,op\n",
            )
        },
        {"orders": VERSIONS_SQL},
    ),
    Case(
        "a table that reads itself",
        r"Table with name orders does not exist.*reads files",
        sql={"orders": "SELECT * FROM orders"},
    ),
    # Parquet, JSON, spreadsheets, SQLite.
    Case(
        "Parquet cut short",
        r"orders\.parquet.*cut off or no Parquet; copy",
        sql={"orders": from_parquet()},
        spoil=cut_short,
    ),
    Case(
        "Parquet damaged",
        r"orders\.parquet.*(copy or export it again)",
        sql={"orders": from_parquet()},
        spoil=damaged,
    ),
    Case(
        "not Parquet",
        r"orders\.parquet.*no Parquet",
        {"orders.parquet": "a,b\n1,2\n"},
        {"orders": from_parquet()},
    ),
    Case(
        "JSON line broken",
        r"orders\.jsonl.*line 3.*correct that line",
        {"orders.jsonl": '{"order_no": "o1"}\n{"order_no": \n'},
        {"orders": from_input("read_json('{root}/orders.jsonl')")},
    ),
    Case(
        "spreadsheet without header",
        r"input sheet \(xlsx\): .*no header.*correct the file or sheet",
        sql={"orders": from_input("sheet")},
        yaml="inputs: {sheet: {xlsx: orders.xlsx}}",
        spoil=workbook,
    ),
    Case(
        "no spreadsheet",
        r"input sheet \(xlsx\): .*save it again",
        {"orders.xlsx": "a,b"},
        {"orders": from_input("sheet")},
        "inputs: {sheet: {xlsx: orders.xlsx}}",
    ),
    Case(
        "SQL error in a database",
        r"input crm \(sqlite\): no such column: amounts; correct",
        sql={"orders": from_input("crm")},
        yaml="inputs: {crm: {sqlite: shop.db, query: SELECT amounts FROM orders}}",
        spoil=database,
    ),
    Case(
        "database address in a file",
        r"inputs\.crm.*put the address in the environment",
        sql={"orders": from_input("crm")},
        yaml="inputs: {crm: {postgres: 'postgresql://u:geheim@db/x', query: SELECT 1}}",
    ),
    Case(
        "database address missing",
        r"input crm|environment variable SHOP_CRM_URL is not set; set it",
        sql={"orders": from_input("crm")},
        yaml="inputs: {crm: {postgres: '${SHOP_CRM_URL}', query: SELECT 1 AS a}}",
    ),
    Case(
        "database down",
        r"input crm \(postgres\): .*see that the database is up",
        sql={"orders": from_input("crm")},
        yaml="inputs: {crm: {postgres: '${SHOP_CRM_URL}', query: SELECT 1 AS a}}",
        environ={"SHOP_CRM_URL": "postgresql://u:geheim@127.0.0.1:1/x"},
    ),
    # SQL and settings.
    Case(
        "SQL error",
        r"orders\.sql: the SELECT fails: syntax error.*correct the SQL",
        sql={"orders": "SELEC 1"},
    ),
    Case(
        "two statements",
        r"orders\.sql: the SELECT fails: syntax error",
        sql={"orders": ORDERS_SQL + "; DROP TABLE judged"},
    ),
    Case(
        "column not in the contract",
        r"orders has no column ammount \(did you mean amount\?\)",
        sql={"orders": ORDERS_SQL.replace("       amount\n", "       amount AS ammount\n")},
    ),
    Case(
        "file on the network",
        r"requires the extension httpfs.*fetch files first",
        sql={"orders": from_input("read_csv('https://example.com/o.csv')")},
    ),
    Case(
        "no table of that name", r"shop/order\.sql: no canonical table", sql={"order": ORDERS_SQL}
    ),
    Case("settings with a typo", r"source\.yaml: currencies", yaml="currencies: EUR"),
    Case(
        "no pseudonym key",
        r"environment variable SHOP_KEY must hold the pseudonym key",
        yaml="pseudonym_key: ${SHOP_KEY}",
    ),
    Case(
        "e-mail addresses as ids",
        r"customers\.sql: .*e-mail address.*pseudonym_key",
        {"customers.csv": CUSTOMERS + "a.b@example.com,2024-01-06 11:00:00\n"},
    ),
    Case(
        "memory of no amount",
        r"'lots' is not an amount of memory such as '4GB'",
        environ={"RETENTION_MEMORY": "lots"},
    ),
]


@pytest.fixture(scope="module")
def company() -> Iterator[Path]:
    """A folder that anybody may read, with the outputs of one good run."""
    with tempfile.TemporaryDirectory(prefix="retention-bad-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        write(folder, Case("sound", ""))
        with at(folder, {}):
            ingest.main()
        yield folder


def write(folder: Path, case: Case) -> None:
    for part in ("sources/shop", "files"):
        shutil.rmtree(folder / part, ignore_errors=True)
        (folder / part).mkdir(parents=True)
    files = {"customers.csv": CUSTOMERS, "orders.csv": ORDERS, **case.files}
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / "files" / name).write_bytes(raw)
    for table, sql in {"customers": CUSTOMERS_SQL, "orders": ORDERS_SQL, **case.sql}.items():
        (folder / f"sources/shop/{table}.sql").write_text(sql, encoding="utf-8")
    (folder / "sources/shop/source.yaml").write_text(YAML + case.yaml, encoding="utf-8")
    (folder / "artifacts").mkdir(exist_ok=True)
    if case.spoil is not None:
        case.spoil(folder / "files")
    if case.unprivileged:
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir() and os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)


NOBODY = 65534


@contextmanager
def at(folder: Path, environ: dict[str, str], unprivileged: bool = False) -> Iterator[None]:
    """The stage as it runs in a company's own checkout; `unprivileged`: never as root."""
    with pytest.MonkeyPatch.context() as patch:
        load = source.load
        patch.setattr(source, "load", lambda name: load(name, folder / "sources"))
        settings = SimpleNamespace(source=SimpleNamespace(name="shop", buckets=2))
        patch.setattr(params, "load", lambda: settings)
        for name in ("TABLES", "QUARANTINE"):
            patch.setattr(paths, name, folder / "artifacts" / name.lower())
        patch.setattr(paths, "CONTRACT", folder / "artifacts" / "contract.json")
        for name, value in {"RETENTION_DATASETS": str(folder / "files"), **environ}.items():
            patch.setenv(name, value)
        patch.setattr(tempfile, "tempdir", str(folder))
        user = os.geteuid()
        if user == 0 and unprivileged:
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(user)


def outputs(folder: Path) -> dict[str, bytes]:
    kept = ("artifacts/tables/", "artifacts/quarantine/", "artifacts/contract.json")
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name.startswith(kept)}


def message_of(folder: Path, case: Case, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the stage; it must end with code 2 and one line of error, and leave nothing behind."""
    before = outputs(folder)
    capsys.readouterr()
    with at(folder, case.environ, case.unprivileged), pytest.raises(SystemExit) as end:
        stage.run(ingest.main)
    assert end.value.code == 2
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("[")]
    assert len(said) == 1
    assert outputs(folder) == before
    rest = {path.name for path in (folder / "artifacts").iterdir()}
    assert rest <= {"tables", "quarantine", "contract.json", "quarantine.failed"}
    return said[0]


def test_the_battery_has_at_least_forty_different_kinds() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_ends_with_one_line_that_names_place_and_cure(
    case: Case, company: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(company, case)
    message = message_of(company, case, capsys)
    assert re.search(case.says, message), message
    assert "geheim" not in message
    assert len(message) < 700


def test_a_full_disk_leaves_the_earlier_outputs(
    company: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "".join(f"p{i},c1,{T},{i}\n" for i in range(20_000))
    case = Case("full", "", {"orders.csv": HEADER + lines})
    write(company, case)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        message = message_of(company, case, capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert re.search(r"free space on the disk", message), message


def test_byte_order_marks_line_ends_and_semicolons_are_no_faults(company: Path) -> None:
    for content in (
        b"\xef\xbb\xbf" + ORDERS.encode(),
        ORDERS.replace("\n", "\r\n").encode(),
        ORDERS.replace(",", ";").encode(),
        ORDERS.replace(",c1,", ',"c1",').encode(),
    ):
        write(company, dataclasses.replace(CASES[0], files={"orders.csv": content}))
        with at(company, {}):
            ingest.main()
        orders = f"'{company}/artifacts/tables/orders/*.parquet'"
        kept = duckdb.execute(f"SELECT count(*), sum(amount) FROM {orders}").fetchall()
        assert kept == [(40, 800.0)]
