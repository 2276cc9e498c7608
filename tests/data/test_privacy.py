"""Pseudonyms, redaction and erasure, with planted addresses and numbers."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import openpyxl
import pytest

from data import privacy
from data.ingest import ingest
from data.privacy import PrivacyError
from data.source import Source, Text
from pipelines import forget, paths

KEY = "a key of good length"
CUSTOMERS = """
SELECT id AS event_id, id AS customer_id, TIMESTAMPTZ '2024-01-01 00:00:00+00' AS event_at,
       event_at AS known_at, event_at AS signup_at, note AS segment
FROM (VALUES ('c1', 'call 090-1234-5678'), ('c2', 'plain')) AS t(id, note)
"""
TICKETS = """
SELECT 't1' AS event_id, 't1' AS ticket_id, 'c1' AS customer_id, 'mail' AS channel,
       TIMESTAMPTZ '2024-05-10 12:00:00+00' AS event_at, event_at AS known_at
"""
MESSAGES = """
SELECT 'm' || i AS event_id, 't1' AS ticket_id, customer AS customer_id, 'customer' AS author,
       TIMESTAMPTZ '2024-05-10 12:00:00+00' AS event_at, event_at AS known_at, text
FROM (VALUES (1, 'c1', 'write to taro.yamada+x@example.co.jp or 03-1234-5678'),
             (2, 'c1', 'order 12345 of 2024 came at 9:30'),
             (3, 'c9', 'I am hana@example.com')) AS t(i, customer, text)
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    home = tmp_path / "shop"
    home.mkdir()
    selects = {"customers": CUSTOMERS, "tickets": TICKETS, "messages": MESSAGES}
    for table, sql in selects.items():
        (home / f"{table}.sql").write_text(sql, encoding="utf-8")

    def go(pseudonym_key: str | None = None) -> dict[str, Any]:
        shop = Source(
            folder=home,
            name="shop",
            description=Text(en="A shop", ja="店"),
            timezone="Asia/Tokyo",
            currency="JPY",
            root=str(tmp_path),
            first_as_of=date(2024, 3, 1),
            last_as_of=date(2024, 6, 1),
            observed_until=date(2024, 8, 1),
            max_quarantined={"messages": 1.0},
            pseudonym_key=pseudonym_key,
        )
        return ingest(shop, tmp_path, tmp_path / "out/t", tmp_path / "out/q", buckets=2)

    return go


def everything(tmp_path: Path) -> str:
    """All values of all tables, kept or set aside, as one text."""
    found = []
    for path in sorted((tmp_path / "out").rglob("*.parquet")):
        rows = duckdb.execute(f"SELECT t::VARCHAR FROM '{path}' AS t").fetchall()
        found += [row for (row,) in rows]
    return "\n".join(found)


def test_addresses_and_numbers_are_gone_before_anything_is_written(
    run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    run()
    text = everything(tmp_path)
    for planted in ("taro", "hana@", "1234-5678", "090"):
        assert planted not in text
    assert "write to [email] or [phone]" in text
    assert "call [phone]" in text
    assert "order 12345 of 2024 came at 9:30" in text


@pytest.mark.parametrize(
    "number",
    [
        "03-1234-5678",
        "090 1234 5678",
        "+81 90-1234-5678",
        "(03)1234-5678",
        "０９０－１２３４－５６７８",
        "+49 170 1234567",
        "0170/1234567",
        "(212) 555-0134",
    ],
)
def test_telephone_numbers_of_several_countries(number: str) -> None:
    sql = f"SELECT {privacy.redacted_sql('text')} FROM (SELECT ? AS text)"
    assert duckdb.execute(sql, [f"at {number} please"]).fetchall() == [("at [phone] please",)]


@pytest.mark.parametrize(
    "text", ["2024-05-10", "12,500 yen", "order 20240510", "v1.2.3", "10:30-12:00", "1234567"]
)
def test_dates_amounts_and_order_numbers_are_no_telephone_numbers(text: str) -> None:
    sql = f"SELECT {privacy.redacted_sql('text')} FROM (SELECT ? AS text)"
    assert duckdb.execute(sql, [text]).fetchall() == [(text,)]


def test_pseudonyms_replace_every_id_and_still_join(
    run: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", KEY)
    contract = run("${SHOP_KEY}")
    assert contract["tables"]["messages"]["kept"] == 2
    text = everything(tmp_path)
    assert KEY not in text + str(contract)
    assert not any(id in text for id in ("c1,", "c2,", "t1,", "m1,", "c9,"))
    stands_for = hmac.new(KEY.encode(), b"c1", hashlib.sha256).hexdigest()[:32]
    assert privacy.pseudonym(KEY, "c1") == stands_for
    files = f"'{tmp_path}/out/t/messages/*.parquet'"
    assert duckdb.execute(f"SELECT DISTINCT customer_id FROM {files}").fetchall() == [(stands_for,)]


def test_rows_put_right_under_pseudonyms_are_not_replaced_twice(
    run: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", KEY)
    run("${SHOP_KEY}")
    (tmp_path / "shop" / "corrected").mkdir()
    owner = privacy.pseudonym(KEY, "c1")
    duckdb.execute(
        f"COPY (SELECT * REPLACE ('{owner}' AS customer_id)"
        f" FROM '{tmp_path}/out/q/messages.parquet')"
        f" TO '{tmp_path}/shop/corrected/messages.csv' (HEADER)"
    )
    facts = run("${SHOP_KEY}")["tables"]["messages"]
    assert (facts["kept"], facts["quarantined"]) == (3, 1)
    assert facts["reasons"]["replaced by a corrected row"] == 1


@pytest.mark.parametrize("key", ["", "too short", "@/nowhere/key"])
def test_without_a_good_key_nothing_is_written(
    key: str,
    run: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOP_KEY", key)
    with pytest.raises(PrivacyError, match="SHOP_KEY"):
        run("${SHOP_KEY}")
    assert not (tmp_path / "out").exists()


def test_the_key_may_be_in_a_file(
    run: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n", encoding="utf-8")
    monkeypatch.setenv("SHOP_KEY", f"@{tmp_path}/key")
    run("${SHOP_KEY}")
    assert privacy.pseudonym(KEY, "c2") in everything(tmp_path)


def test_who_was_forgotten_does_not_come_back_from_the_source(
    run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    home = tmp_path / "shop"
    assert privacy.log_erasure(home, "c1", date(2024, 7, 1))
    assert not privacy.log_erasure(home, "c1", date(2024, 7, 2))
    assert "c1" not in (home / "erased.csv").read_text(encoding="utf-8").replace("requested", "")
    contract = run()
    assert "c1" not in everything(tmp_path)
    assert contract["tables"]["customers"]["read"] == 1


def test_forgetting_removes_the_rows_of_one_customer_from_every_output(tmp_path: Path) -> None:
    rows = "SELECT unnest(['c1', 'c2', 'c10']) AS customer_id, 1 AS value"
    duckdb.execute(f"COPY ({rows}) TO '{tmp_path}/features.parquet'")
    (tmp_path / "list.en.csv").write_bytes(b"\xef\xbb\xbfRank,Customer\r\n1,c1\r\n2,c10\r\n")
    (tmp_path / "list.ja.csv").write_text("順位,お客様ID\n1,c2\n", encoding="utf-8")
    book = openpyxl.Workbook()
    book.worksheets[0].append(["c1"])
    book.save(tmp_path / "list.xlsx")
    changed = privacy.erase_from(tmp_path, "c1")
    assert [path.name for path in changed] == ["features.parquet", "list.en.csv", "list.xlsx"]
    kept = duckdb.execute(f"SELECT customer_id FROM '{tmp_path}/features.parquet'").fetchall()
    assert kept == [("c2",), ("c10",)]
    assert (tmp_path / "list.en.csv").read_bytes() == b"\xef\xbb\xbfRank,Customer\r\n2,c10\r\n"
    assert not (tmp_path / "list.xlsx").exists()
    assert (tmp_path / "list.ja.csv").exists()


def test_forget_erases_logs_no_id_and_says_what_to_train_again(
    run: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run()
    home = tmp_path / "shop"
    shop = SimpleNamespace(folder=home, name="shop", pseudonym_key=None)
    monkeypatch.setattr(forget.source, "load", lambda name: shop)
    settings = SimpleNamespace(source=SimpleNamespace(name="shop"))
    monkeypatch.setattr(forget.params, "load", lambda: settings)
    monkeypatch.setattr(paths, "ARTIFACTS", tmp_path / "out")
    monkeypatch.setattr(paths, "TABLES", tmp_path / "out/t")
    monkeypatch.setattr(paths, "MODELS", tmp_path / "out/models")
    (tmp_path / "out/models/churn/production").mkdir(parents=True)
    with pytest.raises(PrivacyError, match="no such customer"):
        forget.main("nobody", date(2024, 7, 1))
    assert not (home / "erased.csv").exists()

    forget.main("c1", date(2024, 7, 1))
    assert "c1" not in everything(tmp_path)
    said = capsys.readouterr().err
    assert "c1" not in said
    for command in (
        "models (churn)",
        "`dvc repro`",
        "`dvc gc --workspace --force`",
        "experiment retention/shop",
        "`mlflow gc --backend-store-uri sqlite:///mlflow.db`",
    ):
        assert command in said
    (line,) = (home / "erased.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert line.startswith("2024-07-01,")
