"""What `retention doctor` says of small sources whose faults are known."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from data import source
from pipelines import doctor, params
from reports.wording import Wording

HEAD = """\
name: shop
description: {{en: A shop, ja: 店}}
timezone: {zone}
currency: JPY
root: {root}
first_as_of: "2022-04-01"
last_as_of: "{last}"
observed_until: "{last}"
calendar: {{country: null, closed: []}}
"""
CUSTOMERS = """\
SELECT id AS customer_id, id AS event_id, joined AT TIME ZONE 'Asia/Tokyo' AS event_at,
    joined AT TIME ZONE 'Asia/Tokyo' AS known_at, joined AT TIME ZONE 'Asia/Tokyo' AS signup_at
FROM read_csv('{root}/customers.csv')
"""
ORDERS = """\
SELECT id AS event_id, nullif(customer, '') AS customer_id, id AS order_id, 'placed' AS status,
    placed AT TIME ZONE 'Asia/Tokyo' AS event_at, placed AT TIME ZONE 'Asia/Tokyo' AS known_at
FROM read_csv('{root}/orders.csv', all_varchar = false, types = {'customer': 'VARCHAR'})
"""


class Shop:
    """A source in a folder, made of a few files, and what the doctor says of it."""

    def __init__(self, folder: Path) -> None:
        self.home, self.root = folder / "sources" / "shop", folder / "files"
        self.work = folder / "work"
        for path in (self.home, self.root, self.work):
            path.mkdir(parents=True)

    def yaml(self, last: str = "2023-07-01", zone: str = "Asia/Tokyo", more: str = "") -> None:
        head = HEAD.format(root=self.root, last=last, zone=zone)
        (self.home / "source.yaml").write_text(head + more, encoding="utf-8")

    def table(self, name: str, select: str, *rows: str) -> None:
        (self.home / f"{name}.sql").write_text(select, encoding="utf-8")
        if rows:
            (self.root / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")

    def customers(self, n: int = 200) -> None:
        days = [f"C{i},2022-01-{1 + i % 28:02d} 10:00:00" for i in range(n)]
        self.table("customers", CUSTOMERS, "id,joined", *days)

    def orders(self, *, hour: int = 14, nobody: int = 0, months: int = 18) -> None:
        """Everybody orders in February and March 2022; every fourth customer never again."""
        rows = [
            f"O{i}-{m},C{i},{2022 + m // 12}-{1 + m % 12:02d}-{2 + i % 20:02d} {hour:02d}:30:00"
            for m in range(1, months)
            for i in range(200)
            if m < 3 or i % 4
        ]
        rows += [f"N{i},,2022-05-05 12:00:00" for i in range(nobody)]
        self.table("orders", ORDERS, "id,customer,placed", *rows)

    def said(self, language: str = "en") -> list[str]:
        chosen = source.load("shop", self.home.parent)
        found = doctor.examine(chosen, params.load(), self.work)
        return list(doctor.lines(found, Wording(language)))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path)
    made.yaml()
    made.customers()
    return made


def only(said: list[str], *words: str) -> str:
    found = [line for line in said if all(word in line for word in words)]
    assert len(found) == 1, (words, found, said)
    return found[0]


def test_enough_history_can_be_modelled_and_every_date_has_its_base_rate(shop: Shop) -> None:
    shop.orders()
    said = shop.said()
    can = only(said, "Repeat purchase: can be modelled")
    assert "3 later dates can test it" in can
    # Of the 200 customers 150 order in September, which is within 7 to 67 days of 1 August.
    rows = [line.split() for line in said if line.strip().startswith("2022-08-01")]
    assert ["2022-08-01", "200", "150", "75.0%"] in rows


def test_a_short_history_cannot_and_it_says_how_much_is_missing(shop: Shop) -> None:
    shop.yaml(last="2022-07-01")
    shop.orders(months=6)
    said = shop.said()
    line = only(said, "stop", "Repeat purchase: cannot be modelled")
    assert "more months of data are needed" in line
    only(said, "look", "On 4 of 4 as-of dates less than the longest window of 365 days")


def test_without_orders_and_subscriptions_it_asks_for_them_first(shop: Shop) -> None:
    said = shop.said()
    only(said, "stop", "orders or subscriptions: without either")
    only(said, "stop", "Churn: cannot be modelled. There are neither subscriptions nor orders")
    only(said, "look", "nothing can be said about support")


def test_the_table_that_adds_most_support_factors_comes_first_with_what_it_needs(
    shop: Shop,
) -> None:
    shop.orders()
    said = shop.said()
    start = said.index("\nWhat would add most")
    assert said[start + 1].split(":")[0].strip() == "Tickets + Messages"


def test_rows_beyond_the_tolerated_share_are_told_instead_of_stopping(shop: Shop) -> None:
    shop.orders(nobody=400)
    line = only(shop.said(), "stop  Orders")
    assert "1% are tolerated" in line
    assert "name no customer" in line
    assert "customer_id missing 400" in line


@pytest.mark.parametrize(("hour", "asks"), [(14, False), (3, True)])
def test_orders_at_night_put_the_time_zone_in_question(shop: Shop, hour: int, asks: bool) -> None:
    shop.orders(hour=hour)
    found = [line for line in shop.said() if "Is Asia/Tokyo the right time zone?" in line]
    assert bool(found) is asks


ATTRIBUTES = """\
SELECT id || '-' || name AS event_id, id AS customer_id, name, number,
    TIMESTAMPTZ '2022-03-31 00:00Z' AS event_at, TIMESTAMPTZ '2022-03-31 00:00Z' AS known_at,
    NULL::VARCHAR AS category
FROM (UNPIVOT (SELECT id, left_us::DOUBLE AS churned, spend::DOUBLE AS spend, guess::DOUBLE AS guess
    FROM read_csv('{root}/customers.csv')) ON churned, spend, guess INTO NAME name VALUE number)
"""


def snapshot(shop: Shop, n: int = 300) -> None:
    """Spend says a little, `guess` is another model's answer, `closed` was filled in afterwards."""
    rng = random.Random(7)
    rows = ["id,joined,left_us,spend,guess,land,note,closed"]
    for i in range(n):
        left = i % 4 == 0
        guess = 0.9 + rng.random() / 10 if left else rng.random() / 10
        closed = f"2022-03-{1 + i % 28:02d}" if left else ""
        spend = 100 * rng.random() - 20 * left
        rows.append(
            f"C{i},2022-01-01 10:00:00,{int(left)},{spend:.1f},{guess:.4f},JP,n{i},{closed}"
        )
    shop.yaml(
        last="2022-04-01",
        more="snapshot: true\nattributes:\n  spend: {unit: currency, en: Spend, ja: 利用額}\n"
        "  guess: {unit: score, en: Guess, ja: 推定}\n",
    )
    shop.table("customers", CUSTOMERS, *rows)
    shop.table("attributes", ATTRIBUTES)


def test_a_column_made_from_the_outcome_is_named_wherever_it_is(shop: Shop) -> None:
    snapshot(shop)
    said = shop.said()
    only(said, "stop", "customers.csv: guess alone tells Churn (snapshot) (AUC 1.00)")
    only(said, "stop", "attributes: guess alone tells Churn (snapshot) (AUC 1.00)")
    only(said, "stop", "customers.csv: whether closed is filled tells Churn (snapshot) alone")
    only(said, "ok", "customers.csv: left_us is the outcome")
    only(said, "look", "customers.csv: land is the same for everybody")
    only(said, "look", "customers.csv: note differs for nearly every customer")
    assert not [line for line in said if "spend" in line]


def test_a_snapshot_can_be_modelled_but_not_tested_over_time(shop: Shop) -> None:
    snapshot(shop)
    said = shop.said()
    only(said, "300 customers at one moment, 75 of them had left (25.0%)")
    # 60 % of 75 are 45 customers who left: too few to learn from.
    only(said, "stop", "Only 45 customer records of the rarer outcome")
    snapshot(shop, n=2_000)
    only(
        shop.said(), "ok", "can be modelled, but only tested on other customers of the same moment"
    )


def test_attributes_that_are_not_declared_or_not_delivered_are_named(shop: Shop) -> None:
    snapshot(shop)
    path = shop.home / "source.yaml"
    text = path.read_text(encoding="utf-8").replace("  guess:", "  seats:")
    path.write_text(text, encoding="utf-8")
    said = shop.said()
    only(said, "look", "guess are in the table but not declared")
    only(said, "look", "seats are declared in source.yaml but not in the table")


def test_both_languages_say_the_same(shop: Shop) -> None:
    snapshot(shop)
    en, ja = shop.said("en"), shop.said("ja")
    assert len(en) == len(ja)
    assert any("一時点のデータ" in line for line in ja)
    assert not [line for line in ja if "cannot" in line or " rows " in line]


def test_the_command_writes_to_standard_output_and_changes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot(shop)
    load: Any = source.load
    monkeypatch.setattr(source, "load", lambda name: load(name, shop.home.parent))
    before = sorted(shop.root.rglob("*"))
    doctor.main("shop", "ja")
    assert "モデル化できるもの" in capsys.readouterr().out
    assert sorted(shop.root.rglob("*")) == before
