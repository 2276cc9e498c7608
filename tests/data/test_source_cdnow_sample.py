"""CDNOW sample: the traps of its NOTES, on hand-written lines and on the real file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data import source

if TYPE_CHECKING:
    from tests.data.conftest import Ingest, Ingested

DATASET = "cdnow_sample"
LINES = (
    " 00004 0001 19970101  2   29.33\r\n"
    " 00004 0001 19970101  2   29.33\r\n"
    " 00004 0001 19970101  1    0.00\r\n"
    " 00021 0002 19970331 10  119.99\r\n"
)


@pytest.fixture
def shop(tmp_path: Path, ingest_small: Ingest) -> Ingested:
    (tmp_path / "CDNOW_sample.txt").write_bytes(LINES.encode())
    return ingest_small(source.load(DATASET), tmp_path)


def test_ids_keep_their_leading_zeros(shop: Ingested) -> None:
    assert shop.rows("SELECT customer_id FROM customers ORDER BY 1") == [("00004",), ("00021",)]


def test_a_line_repeated_exactly_is_a_duplicate_and_another_of_the_day_is_not(
    shop: Ingested,
) -> None:
    assert (
        shop.contract["tables"]["orders"] | {"read": 4, "kept": 3, "duplicates": 1}
        == (shop.contract["tables"]["orders"])
    )
    assert shop.rows("SELECT amount, item_count FROM orders ORDER BY amount") == [
        (0.0, 1.0),
        (29.33, 2.0),
        (119.99, 10.0),
    ]


def test_a_day_is_known_when_it_is_over_in_new_york(shop: Ingested) -> None:
    utc = "strftime({}, '%Y-%m-%d %H:%M:%S')"
    assert shop.rows(
        f"SELECT DISTINCT {utc.format('event_at')}, {utc.format('known_at')} FROM orders"
        " WHERE customer_id = '00004'"
    ) == [("1997-01-01 05:00:00", "1997-01-02 04:59:59")]


def test_the_real_file_is_accounted_for_to_the_line(ingested: Ingested) -> None:
    orders = ingested.contract["tables"]["orders"]
    assert (orders["read"], orders["kept"], orders["quarantined"], orders["duplicates"]) == (
        6_919,
        6_898,
        0,
        21,
    )
    assert ingested.value("SELECT count(*) FROM customers") == 2_357
    assert ingested.value("SELECT count(*) FROM orders WHERE amount = 0") == 8
    assert ingested.value("SELECT max(signup_at) < '1997-04-01 05:00+00' FROM customers")
