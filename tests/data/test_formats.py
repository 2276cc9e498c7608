"""Every format and system a source may come in gives the same two orders."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest

from data import source
from data.errors import InputError
from data.ingest import IngestError, ingest
from data.source import Input, Source, Text

CUSTOMERS = """
SELECT id AS event_id, id AS customer_id, TIMESTAMPTZ '2024-01-01 00:00:00+00' AS event_at,
       event_at AS known_at, event_at AS signup_at
FROM (VALUES ('007'), ('顧客')) AS t(id)
"""
ROWS = [("1", "007", datetime(2024, 2, 13, 9, 30), 12.5), ("2", "顧客", datetime(2024, 3, 1), 7)]


def orders(relation: str, at: str = "ordered", amount: str = "amount") -> str:
    return (
        "SELECT order_no::VARCHAR AS event_id, order_no::VARCHAR AS order_id, customer AS"
        f" customer_id, {at} AT TIME ZONE 'Asia/Tokyo' AS event_at, event_at AS known_at,"
        f" 'placed' AS status, {amount} AS amount FROM {relation}"
    )


Ingest = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def read(tmp_path: Path) -> Ingest:
    """Ingest customers and orders; returns the orders as they were kept."""

    def run(sql: str, **settings: Any) -> list[tuple[Any, ...]]:
        shop = make(tmp_path, sql, **settings)
        ingest(shop, tmp_path, tmp_path / "tables", tmp_path / "aside", buckets=1)
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            return con.execute(
                "SELECT event_id, customer_id, strftime(event_at, '%Y-%m-%d %H:%M'), amount"
                f" FROM '{tmp_path}/tables/orders/*.parquet' ORDER BY ALL"
            ).fetchall()

    return run


def make(tmp_path: Path, sql: str, **settings: Any) -> Source:
    home = tmp_path / "shop"
    home.mkdir(exist_ok=True)
    (home / "customers.sql").write_text(CUSTOMERS, encoding="utf-8")
    (home / "orders.sql").write_text(sql, encoding="utf-8")
    return Source(
        folder=home,
        name="shop",
        description=Text(en="A shop", ja="店"),
        timezone="Asia/Tokyo",
        currency="JPY",
        root=str(tmp_path),
        first_as_of=date(2024, 3, 1),
        last_as_of=date(2024, 6, 1),
        observed_until=date(2024, 8, 1),
        **settings,
    )


SAME = [("1", "007", "2024-02-13 00:30", 12.5), ("2", "顧客", "2024-02-29 15:00", 7.0)]
CSV = "order_no,customer,ordered,amount\n1,007,2024-02-13 09:30:00,12.5\n2,顧客,2024-03-01,7\n"
DMY = CSV.replace("2024-02-13 09:30:00", "13/02/2024 09:30").replace(
    "2024-03-01", "01/03/2024 00:00"
)
TEXT = "all_varchar = true"
TEXTS = {
    "UTF-8": ("o.csv", CSV.encode(), "read_csv('{root}/o.csv')"),
    "UTF-8 with byte order mark": ("o.csv", CSV.encode("utf-8-sig"), "read_csv('{root}/o.csv')"),
    "line ends of Windows": (
        "o.csv",
        CSV.replace("\n", "\r\n").encode(),
        "read_csv('{root}/o.csv')",
    ),
    "quoted": (
        "o.csv",
        CSV.replace("2,顧客,", '"2","顧客",').encode(),
        "read_csv('{root}/o.csv')",
    ),
    "tabs": ("o.tsv", CSV.replace(",", "\t").encode(), "read_csv('{root}/o.tsv')"),
    "mysql --batch": (
        "o.tsv",
        (CSV + "3,\\N,\\N,\\N\n").replace(",", "\t").encode(),
        "(FROM read_csv('{root}/o.tsv', delim = '\\t', nullstr = ['NULL', '\\N'])"
        " WHERE order_no < 3)",
    ),
    "columns of spaces": (
        "o.txt",
        b"  1   007   20240213T0930     12.5\n  2  \xe9\xa1\xa7\xe5\xae\xa2  20240301T0000   7\n",
        "(SELECT part[1] AS order_no, part[2] AS customer, strptime(part[3], '%Y%m%dT%H%M') AS"
        " ordered, part[4]::DOUBLE AS amount FROM (SELECT regexp_split_to_array(trim(line), '\\s+')"
        " AS part FROM read_csv('{root}/o.txt', columns = {'line': 'VARCHAR'}, delim = '',"
        " quote = '', header = false)))",
    ),
    "JSON lines": (
        "o.jsonl",
        "".join(
            json.dumps({"order_no": no, "customer": of, "ordered": str(at), "amount": n}) + "\n"
            for no, of, at, n in ROWS
        ).encode(),
        "read_json('{root}/o.jsonl')",
    ),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text_files(kind: str, read: Ingest, tmp_path: Path) -> None:
    name, content, relation = TEXTS[kind]
    (tmp_path / name).write_bytes(content)
    assert read(orders(relation, at="ordered::TIMESTAMP")) == SAME


@pytest.mark.parametrize("encoding", ["cp932", "shift_jis", "euc_jp", "utf-16", "utf-8-sig"])
def test_encodings_are_declared_in_the_source(encoding: str, read: Ingest, tmp_path: Path) -> None:
    (tmp_path / "o-1.csv").write_bytes(CSV.encode(encoding))
    sql = orders("read_csv('{root}/o-*.csv')", at="ordered::TIMESTAMP")
    assert read(sql, encodings={"o-*.csv": encoding}) == SAME


def test_days_before_months_and_decimal_commas(read: Ingest, tmp_path: Path) -> None:
    text = DMY.replace(",", ";").replace("12.5", "12,5").replace(";7\n", ";7,00\n")
    (tmp_path / "o.csv").write_text(text, encoding="utf-8")
    sql = orders(
        "read_csv('{root}/o.csv', delim = ';', all_varchar = true)",
        at="strptime(ordered, '%d/%m/%Y %H:%M')",
        amount="replace(amount, ',', '.')::DOUBLE",
    )
    assert read(sql) == SAME


def test_parquet(read: Ingest, tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text(CSV, encoding="utf-8")
    duckdb.execute(f"COPY (FROM '{tmp_path}/o.csv') TO '{tmp_path}/o.parquet'")
    assert read(orders("read_parquet('{root}/o.parquet')", at="ordered::TIMESTAMP")) == SAME


def test_a_spreadsheet(read: Ingest, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.create_sheet("Orders")
    for row in [("order_no", "customer", "ordered", "amount"), *ROWS, (None,) * 4]:
        sheet.append(row)
    book.save(tmp_path / "o.xlsx")
    inputs = {"sheet": Input(xlsx="o.xlsx", sheet="Orders")}
    assert read(orders("sheet"), inputs=inputs) == SAME


def test_a_column_of_numbers_and_words_in_a_spreadsheet_is_text(
    read: Ingest, tmp_path: Path
) -> None:
    book = openpyxl.Workbook()
    for row in [("order_no", "customer"), (17, "007"), ("A-18", "007")]:
        book.worksheets[0].append(row)
    book.save(tmp_path / "o.xlsx")
    sql = orders("sheet", at="TIMESTAMP '2024-03-01'", amount="1.0")
    kept = read(sql, inputs={"sheet": Input(xlsx="o.xlsx")})
    assert [event for event, *_ in kept] == ["17", "A-18"]


def test_sqlite(read: Ingest, tmp_path: Path) -> None:
    con = sqlite3.connect(tmp_path / "shop.db")
    con.execute("CREATE TABLE orders (order_no INTEGER, customer TEXT, ordered TEXT, amount)")
    rows = [(no, customer, at.isoformat(), amount) for no, customer, at, amount in ROWS]
    con.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    con.commit()
    con.close()
    inputs = {"crm_orders": Input(sqlite="shop.db", query="SELECT * FROM orders")}
    assert read(orders("crm_orders", at="ordered::TIMESTAMP"), inputs=inputs) == SAME


# PostgreSQL: a real server.

VALUES = (
    "SELECT * FROM (VALUES (1, '007', TIMESTAMP '2024-02-13 09:30', 12.5::float8),"
    " (2, '顧客', '2024-03-01', 7)) AS t(order_no, customer, ordered, amount)"
)


@pytest.fixture
def crm(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Run statements on the server, which the environment names."""
    from adbc_driver_postgresql import dbapi

    monkeypatch.setenv("SHOP_CRM_URL", postgres)

    def execute(statement: str) -> None:
        with dbapi.connect(postgres, autocommit=True) as con, con.cursor() as cursor:
            for part in statement.split(";"):
                cursor.execute(part)

    return execute


def of_crm(query: str, changed: str | None = None) -> dict[str, Input]:
    return {"crm_orders": Input(postgres="${SHOP_CRM_URL}", query=query, changed=changed)}


def test_postgres(crm: Callable[[str], None], read: Ingest) -> None:
    assert read(orders("crm_orders"), inputs=of_crm(VALUES)) == SAME


def test_postgres_times_with_a_zone_are_instants(crm: Callable[[str], None], read: Ingest) -> None:
    query = VALUES.replace("SELECT *", "SELECT *, ordered AT TIME ZONE 'Asia/Tokyo' AS instant")
    sql = orders("crm_orders").replace("ordered AT TIME ZONE 'Asia/Tokyo'", "instant")
    assert read(sql, inputs=of_crm(query)) == SAME


def test_two_queries_see_one_state_of_the_database(
    crm: Callable[[str], None], postgres: str, tmp_path: Path
) -> None:
    crm("DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT 1 AS a")
    from data.readers import Connections, load_input

    connections = Connections.start({"SHOP_CRM_URL": postgres})
    with duckdb.connect() as con:
        for name in ("first", "second"):
            given = of_crm("SELECT * FROM t")["crm_orders"]
            load_input(con, connections, tmp_path, name, given)
            crm("INSERT INTO t VALUES (2)")
        assert con.execute("SELECT count(*) FROM second").fetchall() == [(1,)]
    connections.close()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "SELECT amounts FROM nowhere",
            r"input crm_orders \(postgres\): .*nowhere.*does not exist",
        ),
        (
            # The server ends the connection when half of the rows have been sent.
            "SELECT i AS order_no, CASE WHEN i = 200000 THEN pg_terminate_backend(pg_backend_pid())"
            " END AS gone FROM generate_series(1, 400000) AS g(i)",
            r"input crm_orders \(postgres\): .*see that the database is up",
        ),
    ],
    ids=["SQL error", "down while reading"],
)
def test_a_database_that_fails_ends_with_one_line_without_its_secrets(
    query: str, message: str, crm: Callable[[str], None], read: Ingest, tmp_path: Path
) -> None:
    with pytest.raises(IngestError, match=message) as error:
        read(orders("crm_orders"), inputs=of_crm(query))
    assert "geheim" not in str(error.value)
    assert not (tmp_path / "tables").exists()


def test_the_fingerprint_follows_the_rows_of_a_database_and_not_their_order(
    crm: Callable[[str], None], tmp_path: Path
) -> None:
    crm("DROP TABLE IF EXISTS shop_orders; CREATE TABLE shop_orders AS " + VALUES)
    shop = make(tmp_path, orders("crm_orders"), inputs=of_crm("SELECT * FROM shop_orders"))
    before = source.fingerprint(shop)["sha256"]
    crm(
        "CREATE TABLE b AS SELECT * FROM shop_orders ORDER BY order_no DESC; DROP TABLE shop_orders"
    )
    crm("ALTER TABLE b RENAME TO shop_orders")
    assert source.fingerprint(shop)["sha256"] == before
    crm("UPDATE shop_orders SET amount = 8 WHERE order_no = 2")
    assert source.fingerprint(shop)["sha256"] != before


def test_a_cheap_question_can_stand_for_the_rows(
    crm: Callable[[str], None], tmp_path: Path
) -> None:
    crm("DROP TABLE IF EXISTS changes; CREATE TABLE changes AS SELECT 1 AS at")
    inputs = of_crm("SELECT pg_sleep(60)", changed="SELECT max(at) FROM changes")
    shop = make(tmp_path, orders("crm_orders"), inputs=inputs)
    before = source.fingerprint(shop)["sha256"]
    crm("INSERT INTO changes VALUES (2)")
    assert source.fingerprint(shop)["sha256"] != before


def test_an_address_that_is_not_in_the_environment_is_named(tmp_path: Path) -> None:
    shop = make(tmp_path, orders("crm_orders"), inputs=of_crm("SELECT 1"))
    with pytest.raises(InputError, match="environment variable SHOP_CRM_URL is not set"):
        source.fingerprint(shop, {})
