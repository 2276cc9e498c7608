from __future__ import annotations

import duckdb
import pytest

from data.contracts import (
    DEFAULTS,
    EVENT_COLUMNS,
    KEY,
    ORDERS,
    REFERENCES,
    TABLE,
    TABLES,
    Column,
    Table,
    column_rules,
)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_columns_and_reasons_of_a_table_are_told_apart(table: Table) -> None:
    names = [column.name for column in table.all_columns]
    reasons = [rule.reason for rule in table.all_rules]
    assert len(set(names)) == len(names)
    assert len(set(reasons)) == len(reasons)
    assert not any(";" in reason or "'" in reason for reason in reasons)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_rule_is_an_expression_over_the_tables_own_columns(table: Table) -> None:
    columns = ", ".join(f'"{column.name}" {column.type}' for column in table.all_columns)
    with duckdb.connect() as con:
        con.execute(f"CREATE TABLE t ({columns})")
        for rule in table.all_rules:
            con.execute(f"SELECT count(*) FROM t WHERE {rule.broken}")


def test_a_table_points_only_to_tables_that_come_before_it() -> None:
    position = {table.name: place for place, table in enumerate(TABLES)}
    for reference in REFERENCES:
        assert position[reference.parent] < position[reference.table]
        TABLE[reference.table].column(reference.column)
        TABLE[reference.parent].column(reference.column)
    for order in ORDERS:
        TABLE[order.parent].column(order.parent_time)
        assert any(
            (r.table, r.column, r.parent) == (order.table, order.column, order.parent)
            for r in REFERENCES
        )


def test_every_event_says_who_when_and_since_when_it_is_known() -> None:
    required = {column.name for column in EVENT_COLUMNS if column.required}
    assert required == {"event_id", "customer_id", "event_at", "known_at"}
    names = {column.name for column in EVENT_COLUMNS}
    assert set(KEY) <= names
    assert set(DEFAULTS) == names - required


@pytest.mark.parametrize(
    ("column", "broken", "sound"),
    [
        (Column("x", "VARCHAR", "", required=True), ["NULL", "''", "' '"], ["'a'"]),
        (Column("x", "VARCHAR", "", allowed=("a", "b")), ["'c'", "'A'", "''"], ["'a'", "NULL"]),
        (Column("x", "DOUBLE", "", low=0), ["-0.01", "'nan'", "'inf'"], ["0", "NULL"]),
        (Column("x", "BIGINT", "", low=1, high=3), ["0", "4"], ["1", "3", "NULL"]),
    ],
    ids=["required", "allowed", "amount", "scale"],
)
def test_a_declared_column_refuses_exactly_what_it_declares(
    column: Column, broken: list[str], sound: list[str]
) -> None:
    condition = " OR ".join(f"coalesce({rule.broken}, false)" for rule in column_rules(column))
    with duckdb.connect() as con:
        for value in broken + sound:
            sql = f"SELECT {condition} FROM (SELECT CAST({value} AS {column.type}) AS x)"
            assert con.execute(sql).fetchall() == [(value in broken,)], value


def test_an_unknown_availability_time_is_never_tolerated() -> None:
    (rule,) = column_rules(TABLE["orders"].column("known_at"))
    assert rule.max_share == 0
