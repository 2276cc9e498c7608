"""Ingest over small hand-written sources: a shop in Tokyo with customers c1 and c2."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from data.contracts import (
    INTEGER,
    NUMBER,
    ORDERS,
    REFERENCES,
    TABLE,
    TABLES,
    TEXT,
    TIMESTAMP,
    Column,
    Table,
    column_rules,
)
from data.ingest import BUCKET_SQL, IngestError, bucket_file, bucket_of, ingest
from data.source import Source, Text

NOON = "TIMESTAMPTZ '2024-05-10 12:00:00+00'"
CUSTOMERS = """
SELECT id AS event_id, id AS customer_id, born AS event_at, born AS known_at, born AS signup_at
FROM (VALUES ('c1', TIMESTAMPTZ '2024-01-01 00:00:00+00'),
             ('c2', TIMESTAMPTZ '2024-01-01 00:00:00+00')) AS t(id, born)
"""
TICKETS = f"""
SELECT id AS event_id, id AS ticket_id, customer_id, moment AS event_at, moment AS known_at,
       'mail' AS channel
FROM (VALUES ('t1', 'c1', {NOON}), ('t2', 'c2', {NOON})) AS t(id, customer_id, moment)
"""


def orders(*rows: str, columns: str = "event_id, customer_id, event_at, known_at, amount") -> str:
    """A SELECT over rows written as SQL tuples; order_id is the event's."""
    return (
        f"SELECT *, event_id AS order_id, 'placed' AS status"
        f" FROM (VALUES {', '.join(rows)}) AS t({columns})"
    )


@pytest.fixture
def shop(tmp_path: Path) -> Callable[..., Source]:
    def make(**selects: str) -> Source:
        home = tmp_path / "shop"
        home.mkdir(exist_ok=True)
        for table, sql in {"customers": CUSTOMERS, **selects}.items():
            (home / f"{table}.sql").write_text(sql, encoding="utf-8")
        return Source(
            folder=home,
            name="shop",
            description=Text(en="A shop", ja="店"),
            timezone="Asia/Tokyo",
            currency="JPY",
            root=str(tmp_path),
            first_as_of=date.fromisoformat("2024-03-01"),
            last_as_of=date.fromisoformat("2024-06-01"),
            observed_until=date.fromisoformat("2024-08-01"),
        )

    return make


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def ingest_into_tmp(
        source: Source, tolerated: float | None = None, **more: Any
    ) -> dict[str, Any]:
        if tolerated is not None:
            source = source.model_copy(update={"max_quarantined": dict.fromkeys(TABLE, tolerated)})
        return ingest(
            source, tmp_path, tmp_path / "tables", tmp_path / "aside", **{"buckets": 3, **more}
        )

    return ingest_into_tmp


def kept(tmp_path: Path, table: str, columns: str) -> list[tuple[Any, ...]]:
    return query(f"SELECT {columns} FROM '{tmp_path}/tables/{table}/*.parquet' ORDER BY ALL")


def aside(tmp_path: Path, table: str, columns: str, folder: str = "aside") -> list[tuple[Any, ...]]:
    return query(f"SELECT {columns} FROM '{tmp_path}/{folder}/{table}.parquet' ORDER BY ALL")


def query(sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        return con.execute(sql).fetchall()


def sound(column: Column, table: str) -> str:
    """A value the contract accepts, as SQL."""
    fixed = {"customer_id": "'c1'", "ticket_id": "'t1'"}
    if column.name == "event_id" or (column.name == "ticket_id" and table == "tickets"):
        return "'sound-' || i"
    if (table, column.name) == ("attributes", "number"):
        return "NULL::DOUBLE"
    if column.name in fixed:
        return fixed[column.name]
    if column.allowed is not None:
        return f"'{column.allowed[0]}'"
    return {TIMESTAMP: NOON, TEXT: "'text'", NUMBER: "1.0", INTEGER: "1"}.get(column.type, "true")


def faults(table: Table) -> dict[str, dict[str, str]]:
    """Per reason: the columns that a row with that fault has different from a sound row."""
    early = {"event_at": "TIMESTAMPTZ '2023-12-31 23:59:59+00'"}
    faulty = {
        "happened after it was known": {"event_at": f"{NOON} + INTERVAL 301 SECOND"},
        "time outside 1990-2100": {"event_at": "TIMESTAMPTZ '1970-01-01 00:00:00+00'"},
    }
    for column in table.all_columns:
        for rule in column_rules(column):
            wrong = {"missing": "NULL", "value": "'nonsense'", "finite": "'nan'::DOUBLE"}
            if "below" in rule.reason:
                wrong["below"] = str((column.low or 0) - 1)
            if "above" in rule.reason:
                wrong["above"] = str((column.high or 0) + 1)
            kind = next(word for word in wrong if word in rule.reason.split()[1:])
            faulty[rule.reason] = {column.name: wrong[kind]}
    if table.name == "surveys":
        faulty["answer missing or outside its scale"] = {"action": "'answered'", "value": "2"}
    if table.name == "attributes":
        faulty["not exactly one of number and category"] = {"category": "NULL"}
    for reference in REFERENCES:
        if reference.table == table.name:
            faulty[reference.reason] = {reference.column: "'nobody'"}
            if reference.parent == "tickets":
                faulty["ticket of another customer"] = {"ticket_id": "'t2'"}
    for order in ORDERS:
        if order.table == table.name:
            before = {"event_at": f"{NOON} - INTERVAL 1 SECOND"}
            faulty[order.reason] = early if order.parent == "customers" else before
            if order.when != "true":
                faulty[order.reason] = {**faulty[order.reason], "author": "'agent'"}
    del faulty["known_at missing"]
    return faulty


@pytest.mark.parametrize("table", TABLES[1:], ids=lambda table: table.name)
def test_each_rule_puts_aside_exactly_the_row_that_breaks_it(
    table: Table, shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    # 4,000 sound rows, so that one unknown value is below the share that stops the ingest.
    names = [column.name for column in table.all_columns]
    values = {column.name: sound(column, table.name) for column in table.all_columns}
    selects = [f"SELECT {', '.join(f'{values[n]} AS {n}' for n in names)} FROM range(4000) AS r(i)"]
    expected = faults(table)
    for reason, wrong in expected.items():
        row = {**values, "event_id": f"'{reason}'", **wrong}
        if table.name == "tickets":
            row.setdefault("ticket_id", f"'{reason}'")
        columns = ", ".join(f"{row[n]} AS {n}" for n in names)
        selects.append(f"SELECT {columns} FROM range(1) AS r(i)")
    more = {} if table.name == "tickets" else {"tickets": TICKETS}
    contract = run(shop(**more, **{table.name: " UNION ALL ".join(selects)}))

    facts = contract["tables"][table.name]
    assert (facts["kept"], facts["quarantined"]) == (4000, len(expected))
    found = aside(tmp_path, table.name, "coalesce(event_id, 'event_id missing'), rule")
    assert {event for event, _ in found} == set(expected)
    for event, rule in found:
        assert event in rule.split("; ")
    assert set(expected) <= set(facts["reasons"])


def test_a_row_keeps_all_its_reasons_and_its_values_as_text(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    row = f"('o1', 'c9', {NOON}, {NOON}, -5)"
    contract = run(shop(orders=orders(row)), tolerated=1)
    assert aside(tmp_path, "orders", "rule, event_id, event_at, amount") == [
        ("amount below 0; customer unknown", "o1", "2024-05-10 12:00:00+00", "-5.0")
    ]
    assert contract["tables"]["orders"]["reasons"] == {"amount below 0": 1, "customer unknown": 1}


def test_a_source_can_reject_a_row_itself(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    sql = orders(
        f"('o1', 'c1', {NOON}, {NOON}, 5, NULL)",
        f"('o2', 'c1', {NOON}, {NOON}, 5, 'test order')",
        columns="event_id, customer_id, event_at, known_at, amount, _reject",
    )
    contract = run(shop(orders=sql), tolerated=0.5)
    assert aside(tmp_path, "orders", "rule, event_id") == [("test order", "o2")]
    assert contract["tables"]["orders"]["kept"] == 1


def test_rows_of_a_customer_put_aside_follow_their_customer(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    customers = CUSTOMERS.replace(
        "SELECT id", "SELECT CASE WHEN id = 'c2' THEN 'x' END AS _reject, id"
    )
    sql = orders(f"('o1', 'c1', {NOON}, {NOON}, 5)", f"('o2', 'c2', {NOON}, {NOON}, 5)")
    run(shop(customers=customers, orders=sql), tolerated=0.5)
    assert aside(tmp_path, "orders", "rule, event_id") == [("customer unknown", "o2")]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 'o1' AS event_id", r"shop/orders\.sql: column customer_id is missing .*add it"),
        (
            f"SELECT 'o1' AS event_id, 'c1' AS customer_id, {NOON} AS event_at, {NOON} AS known_at,"
            " 'o1' AS order_id, 'placed' AS status, 5 AS ammount",
            r"orders has no column ammount \(did you mean amount\?\); rename it",
        ),
        (
            orders(f"('o1', 'c1', {NOON}, {NOON}, '12,50')"),
            r"column amount is VARCHAR, the contract says DOUBLE .*'12,50'.*make it DOUBLE",
        ),
        (
            orders(f"('o1', 17850.0::DOUBLE, {NOON}, {NOON}, 5)"),
            r"column customer_id is DOUBLE.*'17850\.0'.*cast it to BIGINT",
        ),
        (
            orders("('o1', 'c1', TIMESTAMP '2024-05-10 12:00:00', " + NOON + ", 5)"),
            r"column event_at is TIMESTAMP.*say its zone: event_at::TIMESTAMP AT TIME ZONE"
            r" 'Asia/Tokyo'",
        ),
        ("SELECT * FROM read_csv('{root}/nothing.csv')", r"the SELECT fails: No files"),
        ("SELECT FROM", "the SELECT fails: .*correct the SQL"),
    ],
    ids=["column", "near miss", "number", "float id", "no zone", "no file", "syntax"],
)
def test_a_wrong_select_stops_with_file_column_value_and_cure(
    sql: str, message: str, shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(IngestError, match=message):
        run(shop(orders=sql))


def test_a_severity_between_two_levels_is_not_rounded(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    sql = TICKETS.replace("'mail' AS channel", "'mail' AS channel, 1.5 AS severity")
    with pytest.raises(IngestError, match=r"column severity is DECIMAL.*'1\.5'"):
        run(shop(tickets=sql))


def test_steps_of_tickets_need_the_tickets(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    sql = TICKETS.replace("'mail' AS channel", "'resolved' AS kind")
    with pytest.raises(IngestError, match=r"which the source lacks; add shop/tickets\.sql"):
        run(shop(ticket_events=sql))


def test_one_row_known_at_no_time_stops_whatever_is_tolerated(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    rows = [f"('o{i}', 'c1', {NOON}, {NOON}, 5)" for i in range(99)]
    rows.append(f"('o99', 'c1', {NOON}, NULL, 5)")
    with pytest.raises(IngestError, match=r"known_at missing in 1 of 100 rows.*event o99"):
        run(shop(orders=orders(*rows)), tolerated=1)
    assert aside(tmp_path, "orders", "event_id", folder="aside.failed") == [("o99",)]


def test_an_unknown_value_in_more_than_one_row_of_a_thousand_stops(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    def statuses(rows: int) -> str:
        status = "CASE WHEN i = 0 THEN 'pending' ELSE 'placed' END"
        return (
            f"SELECT 'o' || i AS event_id, 'c1' AS customer_id, {NOON} AS event_at, {NOON} AS"
            f" known_at, 'o' || i AS order_id, {status} AS status FROM range({rows}) AS r(i)"
        )

    facts = run(shop(orders=statuses(1000)))["tables"]["orders"]
    assert facts["reasons"] == {"status not an allowed value": 1}
    with pytest.raises(IngestError, match=r"status not an allowed value in 1 of 999 rows"):
        run(shop(orders=statuses(999)), tolerated=1)


def test_too_many_broken_rows_stop_with_counts_first_row_place_and_cure(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    rows = [f"('o{i}', 'c{i}', {NOON}, {NOON}, {3 - i})" for i in range(1, 5)]
    with pytest.raises(IngestError) as error:
        run(shop(orders=orders(*rows)), tolerated=0.4)
    assert str(error.value) == (
        "shop/orders.sql: 2 of 4 rows (50.0%) break the contract: customer unknown 2, amount below"
        " 0 1 (first: event o3 of customer c3). They are in"
        f" {tmp_path}/aside.failed/orders.parquet; fix the SELECT or raise"
        " max_quarantined.orders (now 0.4) in shop/source.yaml"
    )
    assert aside(tmp_path, "orders", "event_id", folder="aside.failed") == [("o3",), ("o4",)]


def test_a_failure_leaves_earlier_outputs_untouched_and_success_clears_the_failed_rows(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    good = orders(f"('o1', 'c1', {NOON}, {NOON}, 5)", f"('o2', 'c1', {NOON}, {NOON}, -5)")
    run(shop(orders=good), tolerated=0.5)
    before = files(tmp_path / "tables") | files(tmp_path / "aside")

    with pytest.raises(IngestError):
        run(shop(orders=good), tolerated=0.1)
    assert files(tmp_path / "tables") | files(tmp_path / "aside") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["aside", "aside.failed", "shop", "tables"]

    run(shop(orders=good), tolerated=0.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aside", "shop", "tables"]


def test_exact_duplicates_are_removed_and_counted(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    row = f"('o1', 'c1', {NOON}, {NOON}, 5)"
    facts = run(shop(orders=orders(row, row, row)))["tables"]["orders"]
    assert (facts["read"], facts["kept"], facts["duplicates"]) == (3, 1, 2)
    assert kept(tmp_path, "orders", "event_id") == [("o1",)]


def test_of_conflicting_duplicates_the_first_known_sound_one_stays(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    later = f"{NOON} + INTERVAL 1 DAY"
    sql = orders(
        f"('o1', 'c1', {NOON}, {NOON} - INTERVAL 1 MINUTE, -1)",  # broken, so it does not count
        f"('o1', 'c1', {NOON}, {later}, 7)",
        f"('o1', 'c1', {NOON}, {NOON}, 5)",
    )
    facts = run(shop(orders=sql), tolerated=1)["tables"]["orders"]
    assert kept(tmp_path, "orders", "amount") == [(5.0,)]
    assert aside(tmp_path, "orders", "rule, amount") == [
        ("amount below 0", "-1.0"),
        ("conflicting duplicate", "7.0"),
    ]
    assert facts["reasons"]["conflicting duplicate"] == 1


def test_conflicting_duplicates_beyond_the_tolerated_share_stop(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    sql = orders(f"('o1', 'c1', {NOON}, {NOON}, 5)", f"('o1', 'c1', {NOON}, {NOON}, 7)")
    with pytest.raises(IngestError, match="conflicting duplicate 1"):
        run(shop(orders=sql))


def test_a_correction_is_a_version_and_no_duplicate(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    sql = orders(
        f"('o1', 'c1', {NOON}, {NOON}, 5, 1, 'upsert')",
        f"('o1', 'c1', {NOON}, {NOON} + INTERVAL 3 DAY, 4, 2, 'upsert')",
        f"('o1', 'c1', {NOON}, {NOON} + INTERVAL 4 DAY, 4, 3, 'delete')",
        columns="event_id, customer_id, event_at, known_at, amount, record_version, op",
    )
    run(shop(orders=sql))
    assert kept(tmp_path, "orders", "record_version, amount, op") == [
        (1, 5.0, "upsert"),
        (2, 4.0, "upsert"),
        (3, 4.0, "delete"),
    ]


def test_version_and_operation_have_defaults_and_absent_columns_are_empty(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    sql = orders(
        f"('o1', 'c1', {NOON}, {NOON}, NULL)",
        columns="event_id, customer_id, event_at, known_at, op",
    )
    facts = run(shop(orders=sql))["tables"]["orders"]
    assert kept(tmp_path, "orders", "record_version, op, amount") == [(1, "upsert", None)]
    own = [column.name for column in TABLE["orders"].columns]
    assert facts["absent_columns"] == [c for c in own if c not in ("order_id", "status")]


def test_a_reference_left_empty_or_to_a_table_the_source_lacks_is_no_orphan(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    def outreach(ticket: str) -> str:
        return (
            f"SELECT 'e1' AS event_id, 'c1' AS customer_id, {NOON} AS event_at, {NOON} AS known_at,"
            f" 'thank_you' AS kind, {ticket} AS ticket_id"
        )

    assert run(shop(outreach=outreach("'t9'")))["tables"]["outreach"]["kept"] == 1
    assert run(shop(tickets=TICKETS, outreach=outreach("NULL")))["tables"]["outreach"]["kept"] == 1


def test_the_select_decides_the_zone_and_utc_is_stored(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    rows = [
        # Midnight in Tokyo is 15:00 the day before: no summer time there.
        ("tokyo", "TIMESTAMP '2024-07-01 00:00:00' AT TIME ZONE 'Asia/Tokyo'", "2024-06-30 15:00"),
        # London: the same wall clock is an hour earlier in summer.
        (
            "winter",
            "TIMESTAMP '2024-01-10 09:00:00' AT TIME ZONE 'Europe/London'",
            "2024-01-10 09:00",
        ),
        (
            "summer",
            "TIMESTAMP '2024-07-10 09:00:00' AT TIME ZONE 'Europe/London'",
            "2024-07-10 08:00",
        ),
        # 31 March 2024, 01:30 does not exist; it is read as 02:30 summer time.
        ("gap", "TIMESTAMP '2024-03-31 01:30:00' AT TIME ZONE 'Europe/London'", "2024-03-31 01:30"),
        # 27 October 2024, 01:30 happens twice; the later one is taken, so nothing is known early.
        (
            "twice",
            "TIMESTAMP '2024-10-27 01:30:00' AT TIME ZONE 'Europe/London'",
            "2024-10-27 01:30",
        ),
    ]
    run(shop(orders=orders(*(f"('{name}', 'c1', {at}, {at}, 5)" for name, at, _ in rows))))
    stored = kept(tmp_path, "orders", "event_id, strftime(known_at, '%Y-%m-%d %H:%M')")
    assert stored == sorted((name, utc) for name, _, utc in rows)


def test_five_minutes_of_clock_difference_and_the_second_of_sign_up_are_sound(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    signup = "TIMESTAMPTZ '2024-01-01 00:00:00+00'"
    run(
        shop(
            orders=orders(
                f"('late clock', 'c1', {NOON} + INTERVAL 5 MINUTE, {NOON}, 5)",
                f"('at sign-up', 'c1', {signup}, {signup}, 5)",
                f"('second before', 'c1', {signup} - INTERVAL 1 SECOND, {signup}, 5)",
            )
        ),
        tolerated=0.5,
    )
    assert kept(tmp_path, "orders", "event_id") == [("at sign-up",), ("late clock",)]
    assert aside(tmp_path, "orders", "event_id, rule") == [("second before", "before sign-up")]


def many_orders(count: int) -> str:
    return (
        f"SELECT 'o' || i AS event_id, 'c' || (1 + i % 2) AS customer_id, {NOON} +"
        " to_seconds(hash(i) % 999983) AS event_at, event_at AS known_at, 'o' || i AS order_id,"
        f" 'placed' AS status, CASE WHEN i % 200 = 0 THEN -1 ELSE i / 7 END AS amount"
        f" FROM range({count}) AS r(i)"
    )


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


def test_the_bytes_depend_on_the_input_alone(shop: Callable[..., Source], tmp_path: Path) -> None:
    source = shop(orders=many_orders(150_000))
    written = []
    for number, threads in enumerate((1, 4, 4)):
        out, quarantine = tmp_path / f"tables{number}", tmp_path / f"aside{number}"
        contract = ingest(source, tmp_path, out, quarantine, buckets=1, threads=threads)
        written.append((contract, files(out), files(quarantine)))
    assert written[0][0]["tables"]["orders"]["quarantined"] == 750
    assert written[0] == written[1] == written[2]


def test_every_bucket_has_a_file_with_the_contracts_columns_sorted_by_customer_and_time(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    contract = run(shop(orders=many_orders(1000)), buckets=5)
    columns = [column.name for column in TABLE["orders"].all_columns]
    rows = 0
    for bucket in range(5):
        path = bucket_file(tmp_path / "tables", "orders", bucket)
        schema = pq.read_schema(path)
        assert schema.names == columns
        assert str(schema.field("known_at").type) == "timestamp[us, tz=UTC]"
        keys = query(f"SELECT customer_id, epoch_us(known_at), event_id FROM '{path}'")
        assert keys == sorted(keys)
        assert {bucket_of(customer, 5) for customer, _, _ in keys} <= {bucket}
        rows += len(keys)
    assert rows == contract["tables"]["orders"]["kept"] == 995
    assert not (tmp_path / "tables" / "tickets").exists()


def test_the_bucket_is_the_same_in_python_and_sql_and_never_changes() -> None:
    # Pinned: md5("C1") starts with 1a2ddc2d; buckets written today must be found tomorrow.
    assert bucket_of("C1", 1000) == 0x1A2DDC2D % 1000
    ids = ["C1", "12346", "顧客-1", "", "u6e1364d0a376e8"]
    values = ", ".join(f"('{customer}')" for customer in ids)
    for buckets in (1, 7, 64):
        sql = (
            f"SELECT {BUCKET_SQL.format(buckets=buckets)} FROM (VALUES {values}) AS t(customer_id)"
        )
        assert [b for (b,) in query(sql)] == [bucket_of(customer, buckets) for customer in ids]


def test_the_contract_tells_counts_times_lateness_and_what_is_absent(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    lines: list[str] = []
    late = f"{NOON} + INTERVAL 36 HOUR"
    sql = orders(f"('o1', 'c1', {NOON}, {late}, 5)", f"('o2', 'c9', {NOON}, {NOON}, 5)")
    contract = run(shop(orders=sql), tolerated=0.5, progress=lines.append)
    assert contract["tables"]["orders"] == {
        "read": 2,
        "kept": 1,
        "quarantined": 1,
        "duplicates": 0,
        "reasons": {"customer unknown": 1},
        "first_known_at": "2024-05-12T00:00:00Z",
        "last_known_at": "2024-05-12T00:00:00Z",
        "lateness_days_p99": 1.5,
        "absent_columns": [
            column.name
            for column in TABLE["orders"].columns
            if column.name not in ("order_id", "status", "amount")
        ],
    }
    assert contract["observed_until"] == "2024-08-01"
    assert contract["absent"] == [t.name for t in TABLES if t.name not in ("customers", "orders")]
    assert lines == [
        "customers: 2 read, 2 kept, 0 quarantined, 0 duplicates",
        "orders: 2 read, 1 kept, 1 quarantined (customer unknown 1), 0 duplicates",
    ]


def warnings(contract: dict[str, Any], table: str) -> list[str]:
    return [w["message"] for w in contract["warnings"] if w["table"] == table]


def test_warned_of_rows_known_late(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    on_time = run(shop(orders=orders(f"('o1', 'c1', {NOON}, {NOON} + INTERVAL 7 DAY, 5)")))
    assert warnings(on_time, "orders") == []
    late = run(shop(orders=orders(f"('o1', 'c1', {NOON}, {NOON} + INTERVAL 8 DAY, 5)")))
    assert warnings(late, "orders") == ["1 % of the rows became known more than 8.0 days late"]


def test_warned_of_unknown_languages_but_not_of_a_source_that_records_none(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    assert warnings(run(shop(tickets=TICKETS)), "tickets") == []
    half = TICKETS.replace("'mail'", "if(id = 't1', 'ja', NULL) AS language, 'mail'")
    assert warnings(run(shop(tickets=half)), "tickets") == [
        "language is unknown in 50.0% of the rows"
    ]


def test_warned_of_tickets_open_for_sixty_days_before_the_end_of_observation(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    def steps(*rows: str) -> str:
        return (
            "SELECT event_id, event_id[:2] AS ticket_id, customer_id, moment AS event_at,"
            f" moment AS known_at, kind FROM (VALUES {', '.join(rows)})"
            " AS t(event_id, customer_id, kind, moment)"
        )

    resolved = f"('t1-1', 'c1', 'resolved', {NOON} + INTERVAL 1 DAY)"
    reopened = f"('t1-2', 'c1', 'reopened', {NOON} + INTERVAL 2 DAY)"
    one = run(shop(tickets=TICKETS, ticket_events=steps(resolved)))
    assert warnings(one, "tickets") == ["1 are open for more than 60 days"]
    two = run(shop(tickets=TICKETS, ticket_events=steps(resolved, reopened)))
    assert warnings(two, "tickets") == ["2 are open for more than 60 days"]
    young = TICKETS.replace("2024-05-10", "2024-06-10")
    assert (
        warnings(
            run(
                shop(
                    tickets=young,
                    ticket_events=steps(
                        "('t1-1', 'c1', 'assigned', TIMESTAMPTZ '2024-06-20 00:00:00+00')"
                    ),
                )
            ),
            "tickets",
        )
        == []
    )


def test_warned_when_the_last_month_holds_less_than_half_of_the_usual_rows(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    def monthly(last: int) -> str:
        rows = [
            f"('o{month}-{i}', 'c1', TIMESTAMPTZ '2024-{month:02d}-15 00:00:00+00',"
            f" TIMESTAMPTZ '2024-{month:02d}-15 00:00:00+00', 5)"
            for month in range(1, 8)
            for i in range(last if month == 7 else 4)
        ]
        return orders(*rows)

    assert warnings(run(shop(orders=monthly(2))), "orders") == []
    assert warnings(run(shop(orders=monthly(1))), "orders") == [
        "the last whole month has 1 rows, under half of the months before"
    ]


def by_month(*counts: int) -> str:
    """Orders of January to July 2024, so many a month."""
    rows = [
        f"('o{month}-{i}', 'c1', TIMESTAMPTZ '2024-{month:02d}-15 00:00:00+00',"
        f" TIMESTAMPTZ '2024-{month:02d}-15 00:00:00+00', 5)"
        for month, count in enumerate(counts, 1)
        for i in range(count)
    ]
    return orders(*rows)


def test_half_of_a_month_missing_stops_with_figures_and_cure(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    source = shop(orders=by_month(60, 60, 80, 60, 60, 60, 29))
    with pytest.raises(IngestError) as error:
        run(source)
    said = str(error.value)
    assert "29 rows" in said and "under half of the 60 of a usual month" in said
    assert "may_end: [orders]" in said and "observed_until" in said
    assert not (tmp_path / "tables").exists()
    ended = source.model_copy(update={"may_end": ("orders",)})
    assert warnings(run(ended), "orders") == [
        "the last whole month has 29 rows, under half of the months before"
    ]


@pytest.mark.parametrize(
    ("counts", "until"),
    [
        ((60, 60, 60, 60, 60, 60, 30), "2024-08-01"),
        ((60, 60, 60, 60, 60, 60, 10), "2024-07-20"),
        ((0, 0, 0, 0, 90, 90, 10), "2024-08-01"),
        ((300, 0, 0, 0, 0, 0, 0), "2024-08-01"),
        ((40, 40, 40, 40, 40, 40, 5), "2024-08-01"),
    ],
    ids=["just half", "the month is not over", "two months old", "ended long ago", "few anyway"],
)
def test_a_month_that_is_not_over_or_few_rows_are_no_error(
    counts: tuple[int, ...],
    until: str,
    shop: Callable[..., Source],
    run: Callable[..., dict[str, Any]],
) -> None:
    source = shop(orders=by_month(*counts))
    run(source.model_copy(update={"observed_until": date.fromisoformat(until)}))


def test_warned_when_the_response_rate_moves_by_more_than_ten_points(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    def surveys(last: float) -> str:
        share = f"CASE WHEN m = 7 THEN {last} ELSE 0.4 END"
        sent = (
            "SELECT m, i, make_timestamptz(2024, m, 15, 0, 0, 0, 'UTC') AS moment"
            " FROM range(1, 8) AS a(m), range(20) AS b(i)"
        )
        times = "moment AS event_at, moment AS known_at"
        common = f"'c1' AS customer_id, {times}, m || '-' || i AS survey_id"
        return (
            f"WITH s AS ({sent}) SELECT 's' || m || '-' || i AS event_id, {common}, 'csat' AS kind,"
            " 'sent' AS action, 1 AS scale_min, 5 AS scale_max, NULL AS value FROM s UNION ALL"
            f" SELECT 'a' || m || '-' || i, {common}, 'csat', 'answered', 1, 5, 4 FROM s"
            f" WHERE i < 20 * {share}"
        )

    assert warnings(run(shop(surveys=surveys(0.45))), "surveys") == []
    assert warnings(run(shop(surveys=surveys(0.2))), "surveys") == [
        "the response rate of the last whole month is off by -20 points"
    ]


def test_warned_of_texts_repeated_on_one_ticket(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    rows = ", ".join(f"('m{i}', '{'same' if i < 2 else i}')" for i in range(10))
    sql = (
        f"SELECT id AS event_id, 'c1' AS customer_id, {NOON} AS event_at, {NOON} AS known_at,"
        f" 't1' AS ticket_id, 'customer' AS author, text FROM (VALUES {rows}) AS t(id, text)"
    )
    contract = run(shop(tickets=TICKETS, messages=sql))
    assert warnings(contract, "messages") == [
        "10.0% repeat a text that the same ticket already has"
    ]


def test_an_orphan_younger_than_forty_eight_hours_waits_and_does_not_count(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]]
) -> None:
    # The data end on 1 August, 00:00 in Tokyo: 31 July, 15:00 in UTC.
    young = "TIMESTAMPTZ '2024-07-29 15:00:00+00'"
    old = "TIMESTAMPTZ '2024-07-29 14:59:59+00'"
    contract = run(shop(orders=orders(f"('o1', 'c9', {young}, {young}, 5)")))
    assert contract["tables"]["orders"]["reasons"] == {"customer unknown yet": 1}
    with pytest.raises(IngestError, match="customer unknown 1"):
        run(shop(orders=orders(f"('o1', 'c9', {old}, {old}, 5)")))


def test_versions_without_a_first_and_deletions_of_nothing_are_put_aside(
    shop: Callable[..., Source], run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    sql = orders(
        f"('o1', 'c1', {NOON}, {NOON}, 5, 1, 'upsert')",
        f"('o1', 'c1', {NOON}, {NOON}, 5, 3, 'upsert')",
        f"('o2', 'c1', {NOON}, {NOON}, 5, 1, 'delete')",
        f"('o3', 'c1', {NOON}, {NOON}, -5, 1, 'upsert')",  # put aside, but it was there
        f"('o3', 'c1', {NOON}, {NOON}, 5, 2, 'upsert')",
        columns="event_id, customer_id, event_at, known_at, amount, record_version, op",
    )
    run(shop(orders=sql), tolerated=1)
    assert aside(tmp_path, "orders", "event_id, record_version, rule") == [
        ("o1", "3", "an earlier version is missing"),
        ("o2", "1", "deletes what never was"),
        ("o3", "1", "amount below 0"),
    ]


def test_beyond_its_memory_ingest_spills_and_writes_the_same_bytes(
    shop: Callable[..., Source], tmp_path: Path
) -> None:
    source = shop(orders=many_orders(300_000))
    written = []
    for memory in ("80MB", "1GB"):
        out = tmp_path / memory
        ingest(source, tmp_path, out / "t", out / "q", buckets=2, memory=memory)
        written.append(files(out))
    assert written[0] == written[1]
