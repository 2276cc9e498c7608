"""The way back from the quarantine: a person puts rows right and the next ingest takes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data.ingest import IngestError, ingest
from data.source import Source, Text

CUSTOMERS = """
SELECT 'c' || i AS event_id, 'c' || i AS customer_id, TIMESTAMPTZ '2024-01-01 00:00:00+00'
       AS event_at, event_at AS known_at, event_at AS signup_at FROM range(3) AS r(i)
"""
ORDERS = """
SELECT id AS event_id, id AS order_id, customer AS customer_id, 'placed' AS status, amount,
       TIMESTAMPTZ '2024-05-10 12:00:00+00' AS event_at, event_at AS known_at
FROM (VALUES ('o1', 'c1', 5), ('o2', 'c1', -7), ('o3', 'c9', 9)) AS t(id, customer, amount)
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    (tmp_path / "corrected").mkdir()
    (tmp_path / "customers.sql").write_text(CUSTOMERS, encoding="utf-8")
    (tmp_path / "orders.sql").write_text(ORDERS, encoding="utf-8")

    def go(tolerated: float = 1.0) -> dict[str, Any]:
        shop = Source(
            folder=tmp_path,
            name=tmp_path.name,
            description=Text(en="A shop", ja="店"),
            timezone="Asia/Tokyo",
            currency="JPY",
            root=str(tmp_path),
            first_as_of=date(2024, 3, 1),
            last_as_of=date(2024, 6, 1),
            observed_until=date(2024, 8, 1),
            max_quarantined={"orders": tolerated},
        )
        return ingest(shop, tmp_path, tmp_path / "t", tmp_path / "q", buckets=1)["tables"]["orders"]

    return go


def orders(tmp_path: Path) -> list[tuple[Any, ...]]:
    rows = f"SELECT event_id, customer_id, amount FROM '{tmp_path}/t/orders/*.parquet' ORDER BY 1"
    return duckdb.execute(rows).fetchall()


def put_right(tmp_path: Path, change: str, ending: str) -> None:
    options = "HEADER" if ending == "csv" else "FORMAT parquet"
    duckdb.execute(
        f"COPY (SELECT {change} FROM '{tmp_path}/q/orders.parquet')"
        f" TO '{tmp_path}/corrected/orders.{ending}' ({options})"
    )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_rows_put_right_are_kept_and_the_broken_ones_no_longer_count(
    ending: str, run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    assert run()["reasons"] == {"amount below 0": 1, "customer unknown": 1}
    put_right(
        tmp_path,
        "* REPLACE (if(event_id = 'o2', '7', amount) AS amount, 'c1' AS customer_id)",
        ending,
    )
    facts = run(tolerated=0.0)
    assert orders(tmp_path) == [("o1", "c1", 5.0), ("o2", "c1", 7.0), ("o3", "c1", 9.0)]
    assert (facts["read"], facts["kept"], facts["quarantined"]) == (5, 3, 2)
    assert facts["reasons"]["replaced by a corrected row"] == 2


def test_a_corrected_row_is_judged_like_any_other(
    run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    run()
    put_right(tmp_path, "* REPLACE ('-8' AS amount)", "csv")
    with pytest.raises(IngestError, match=r"2 of 5 rows .*amount below 0"):
        run(tolerated=0.3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("event_id,amont\no2,7\n", r"corrected/orders\.csv: its columns must be .*'amont'"),
        ("event_id,amount\no2,seven\n", r"corrected/orders\.csv: .*seven"),
    ],
)
def test_a_faulty_correction_is_named(
    content: str, message: str, run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "corrected" / "orders.csv").write_text(content, encoding="utf-8")
    with pytest.raises(IngestError, match=message):
        run()
