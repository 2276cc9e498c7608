"""Airline loyalty: the traps of its NOTES, on hand-written rows and on the real files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data import source

if TYPE_CHECKING:
    from tests.data.conftest import Ingest, Ingested

DATASET = "airline_loyalty"
MEMBERS = """\
Loyalty Number,Country,Province,City,Postal Code,Gender,Education,Salary,Marital Status,\
Loyalty Card,CLV,Enrollment Type,Enrollment Year,Enrollment Month,Cancellation Year,\
Cancellation Month
1,Canada,Ontario,Toronto,M2Z 4K1,Female,College,,Single,Star,3839.14,Standard,2016,12,2017,3
2,Canada,Quebec,Montreal,H2T 2J6,Male,Bachelor,-5000,Married,Aurora,9999.99,2018 Promotion,2017,7,,
3,Canada,Alberta,Banff,T4V 1D4,Male,Bachelor,50000,Married,Nova,1.00,Standard,2017,7,2017,7
"""
# Member, year, month, own flights, with companions, total, distance, earned, redeemed, dollars.
ACTIVITY = """\
Loyalty Number,Year,Month,Flights Booked,Flights with Companions,Total Flights,Distance,\
Points Accumulated,Points Redeemed,Dollar Cost Points Redeemed
1,2017,1,2,0,2,1000,100.5,0,0
1,2017,1,2,0,2,1000,100.5,0,0
1,2017,2,3,1,4,2000,200,300,24
1,2017,2,1,0,1,500,50,0,0
1,2017,3,0,0,0,0,0,0,0
1,2017,4,0,0,0,0,0,0,0
1,2017,5,1,0,1,400,40,0,0
2,2017,6,1,0,1,400,40,0,0
2,2017,7,5,0,5,2500,250,0,0
"""


@pytest.fixture
def airline(tmp_path: Path, ingest_small: Ingest) -> Ingested:
    (tmp_path / "Customer Loyalty History.csv").write_text(MEMBERS, encoding="utf-8")
    (tmp_path / "Customer Flight Activity.csv").write_text(ACTIVITY, encoding="utf-8")
    return ingest_small(source.load(DATASET), tmp_path)


def test_a_month_is_known_at_its_last_second_in_toronto(airline: Ingested) -> None:
    utc = "strftime(known_at, '%Y-%m-%d %H:%M:%S')"
    assert airline.rows(
        f"SELECT customer_id, kind, {utc}, event_at = known_at FROM subscriptions"
        " ORDER BY customer_id, event_id"
    ) == [
        ("1", "start", "2017-01-01 04:59:59", True),
        ("1", "cancel_effective", "2017-04-01 03:59:59", True),
        ("2", "start", "2017-08-01 03:59:59", True),
        ("3", "start", "2017-08-01 03:59:59", True),
        ("3", "cancel_effective", "2017-08-01 03:59:59", True),
    ]


def test_equal_rows_of_a_month_count_once_and_different_ones_are_summed(airline: Ingested) -> None:
    assert airline.rows("SELECT order_id, item_count, amount FROM orders ORDER BY 1") == [
        ("1-2017-01", 2.0, None),
        ("1-2017-02", 5.0, None),
        ("2-2017-07", 5.0, None),
    ]
    assert airline.rows(
        "SELECT event_id, kind, points FROM loyalty WHERE points IS NOT NULL ORDER BY 1"
    ) == [
        ("1-2017-01-earn", "earn", 100.5),
        ("1-2017-02-earn", "earn", 250.0),
        ("1-2017-02-redeem", "redeem", 300.0),
        ("2-2017-07-earn", "earn", 250.0),
    ]


def test_flights_after_cancellation_or_before_enrolment_are_put_aside(airline: Ingested) -> None:
    assert airline.rows("SELECT event_id, rule FROM aside_orders ORDER BY 1") == [
        ("1-2017-05", "activity after cancellation"),
        ("2-2017-06", "before sign-up"),
    ]
    assert airline.rows("SELECT event_id, rule FROM aside_loyalty ORDER BY 1") == [
        ("1-2017-05-earn", "activity after cancellation"),
        ("2-2017-06-earn", "before sign-up"),
    ]


def test_what_is_state_at_export_does_not_arrive(airline: Ingested) -> None:
    assert airline.rows("SELECT DISTINCT segment, language, country FROM customers") == [
        (None, None, "CA")
    ]
    assert airline.rows("SELECT DISTINCT plan, price FROM subscriptions") == [(None, None)]
    assert airline.rows("SELECT DISTINCT tier FROM loyalty") == [(None,)]
    assert airline.rows("SELECT customer_id, region, acquisition FROM customers ORDER BY 1") == [
        ("1", "Ontario", "Standard"),
        ("2", "Quebec", "2018 Promotion"),
        ("3", "Alberta", "Standard"),
    ]


def test_the_real_members_and_cancellations_are_all_there(ingested: Ingested) -> None:
    assert ingested.value("SELECT count(*) FROM customers") == 16_737
    kinds = dict(ingested.rows("SELECT kind, count(*) FROM subscriptions GROUP BY 1"))
    assert kinds == {"start": 16_737, "cancel_effective": 2_067}
    local = "strftime(known_at AT TIME ZONE 'America/Toronto', '%H:%M:%S')"
    assert ingested.rows(f"SELECT DISTINCT {local} FROM orders") == [("23:59:59",)]


def test_the_months_after_a_cancellation_leave_no_trace(ingested: Ingested) -> None:
    left = (
        "SELECT customer_id, known_at AS left_at FROM subscriptions WHERE kind = 'cancel_effective'"
    )
    for table in ("orders", "loyalty"):
        late = f"SELECT count(*) FROM {table} JOIN ({left}) USING (customer_id)"
        assert ingested.value(f"{late} WHERE known_at > left_at") == 0
        assert set(ingested.contract["tables"][table]["reasons"]) == {"before sign-up"}


def test_members_who_join_and_leave_in_one_month_start_before_they_stop(ingested: Ingested) -> None:
    assert ingested.rows(
        "SELECT kinds, count(*) FROM (SELECT list(kind ORDER BY known_at, event_id) AS kinds FROM"
        " subscriptions GROUP BY customer_id, known_at HAVING count(*) > 1) GROUP BY 1"
    ) == [(["start", "cancel_effective"], 11)]
