"""Online Retail: the traps of its NOTES, on hand-written rows and on the real files."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data import source

if TYPE_CHECKING:
    from tests.data.conftest import Ingest, Ingested

DATASET = "online_retail"
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
NOT_MERCHANDISE = {
    "POST", "DOT", "C2", "M", "D", "S", "B", "BANK CHARGES", "AMAZONFEE", "CRUK",
}  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path, ingest_small: Ingest) -> Ingested:
    files = {
        "2011-03-25.csv": """\
1,A1,VASE,2,2011-03-25 09:00:00,1.50,100.0,France
1,A1,VASE,2,2011-03-25 09:00:00,1.50,100.0,France
1,a1,VASE,1,2011-03-25 09:01:00,1.50,100.0,France
1,B2,"CUP, RED",3,2011-03-25 09:00:00,2.00,100.0,France
1,POST,POSTAGE,1,2011-03-25 09:00:00,18.00,100.0,France
1,C3,GIFT,1,2011-03-25 09:00:00,0.00,100.0,France
2,B2,"CUP, RED",3,2011-03-25 10:00:00,2.00,,United Kingdom
A3,B,Adjust bad debt,1,2011-03-25 11:00:00,11062.06,,United Kingdom
4,M,Manual,1,2011-03-25 12:00:00,99.00,100.0,France
""",
        "2011-07-04.csv": """\
C5,B2,"CUP, RED",-1,2011-07-04 09:00:00,2.00,100.0,Spain
C5,POST,POSTAGE,-1,2011-07-04 09:00:00,18.00,100.0,Spain
C6,D,Discount,-1,2011-07-04 09:30:00,20.00,100.0,France
C7,B2,"CUP, RED",-1,2011-07-04 10:00:00,2.00,200.0,Unspecified
8,B2,"CUP, RED",5,2011-07-05 10:00:00,2.00,200.0,Belgium
""",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(HEADER + text, encoding="utf-8")
    return ingest_small(source.load(DATASET), tmp_path)


def test_an_order_is_its_merchandise_each_line_once(shop: Ingested) -> None:
    # 2 x 1.50 once, 1 x 1.50 a minute later, 3 x 2.00; no postage, no gift. A1 and a1 are one.
    assert shop.rows("SELECT order_id, customer_id, amount, item_count FROM orders ORDER BY 1") == [
        ("1", "100", 10.5, 2.0),
        ("8", "200", 10.0, 1.0),
    ]


def test_invoices_without_customer_or_merchandise_are_put_aside_with_the_reason(
    shop: Ingested,
) -> None:
    assert shop.rows("SELECT event_id, rule FROM aside_orders ORDER BY 1") == [
        ("2", "customer_id missing"),
        ("4", "no merchandise"),
        ("A3", "bad-debt adjustment; customer_id missing"),
    ]


def test_a_credit_note_is_a_return_with_a_positive_amount(shop: Ingested) -> None:
    assert shop.rows("SELECT return_id, kind, amount FROM returns ORDER BY 1") == [
        ("C5", "refunded", 2.0),
        ("C7", "refunded", 2.0),
    ]
    assert shop.rows("SELECT event_id, rule FROM aside_returns") == [("C6", "no merchandise")]


def test_a_customer_begins_with_the_first_invoice_even_if_it_is_a_credit_note(
    shop: Ingested,
) -> None:
    # Country as known then: not the later Spain of C5; C7's is not specified, so the next one.
    assert shop.rows(
        "SELECT customer_id, strftime(signup_at, '%Y-%m-%d %H:%M'), country FROM customers"
        " ORDER BY 1"
    ) == [("100", "2011-03-25 09:00", "France"), ("200", "2011-07-04 09:00", "Belgium")]


def test_summer_time_moves_the_clock_and_an_invoice_is_known_when_complete(shop: Ingested) -> None:
    utc = "strftime(event_at, '%H:%M'), strftime(known_at, '%H:%M')"
    assert shop.rows(f"SELECT {utc} FROM orders WHERE order_id = '1'") == [("09:00", "09:01")]
    assert shop.rows(f"SELECT {utc} FROM returns WHERE return_id = 'C5'") == [("08:00", "08:00")]


def test_every_invoice_is_kept_or_put_aside(ingested: Ingested) -> None:
    orders, returns = ingested.contract["tables"]["orders"], ingested.contract["tables"]["returns"]
    assert orders["read"] + returns["read"] == 25_900
    assert (orders["kept"], orders["reasons"]["customer_id missing"]) == (18_402, 3_528)
    assert (returns["kept"], returns["reasons"]["customer_id missing"]) == (3_383, 182)
    assert ingested.value("SELECT count(*) FROM customers") == 4_372


def test_amounts_of_the_first_day_agree_with_a_plain_reading_of_its_file(
    dataset: source.Source, ingested: Ingested
) -> None:
    path = source.root_of(dataset) / "2010-12-01.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        lines = {tuple(row.items()) for row in csv.DictReader(stream)}
    expected: dict[str, Decimal] = {}
    for line in map(dict, lines):
        price, quantity = Decimal(line["UnitPrice"]), int(line["Quantity"])
        goods = line["StockCode"].upper() not in NOT_MERCHANDISE
        if line["CustomerID"] and goods and price > 0 and quantity > 0:
            number = line["InvoiceNo"]
            expected[number] = expected.get(number, Decimal(0)) + price * quantity
    found = ingested.rows("SELECT order_id, amount FROM orders WHERE event_at < '2010-12-02'")
    assert {number: float(amount) for number, amount in expected.items()} == dict(found)
    assert expected["536365"] == Decimal("139.12")


def test_all_files_have_the_columns_in_the_order_the_selects_name_them(
    dataset: source.Source,
) -> None:
    headers = set()
    for path in source.root_of(dataset).glob("*.csv"):
        with path.open(encoding="utf-8") as stream:
            headers.add(stream.readline())
    assert headers == {HEADER}


def test_no_customer_is_a_float_and_nothing_is_bought_in_the_small_hours(
    ingested: Ingested,
) -> None:
    assert (
        ingested.value("SELECT count(*) FROM customers WHERE NOT customer_id ~ '^[0-9]{5}$'") == 0
    )
    hours = "extract(hour FROM event_at AT TIME ZONE 'Europe/London')"
    assert ingested.rows(f"SELECT min({hours}), max({hours}) FROM orders") == [(6, 20)]
