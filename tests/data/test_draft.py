"""Drafting a source from files: small exports in English and Japanese."""

from __future__ import annotations

from pathlib import Path

import pytest

from data import draft, source
from data.contracts import TABLE
from data.ingest import ingest
from data.source import SourceError
from pipelines import doctor, params
from reports.wording import Wording

CUSTOMERS = "Customer No,Registered At,Country,Loyalty Shade\n" + "".join(
    f"C{i},2022-01-{1 + i % 28:02d} 10:00:00,DE,blue\n" for i in range(40)
)
ORDERS = "Order Number,Customer No,Order Date,Total,State\n" + "".join(
    f"O{i}-{m},C{i},2022-{m:02d}-{2 + i % 20:02d},{5 + i}.50,{'paid' if i else 'canceled'}\n"
    for m in range(2, 13)
    for i in range(40)
)
JAPANESE = "問い合わせ番号,顧客番号,受付日時,受付方法,件名\n" + "".join(
    f"T{i},C{i},2022-05-{1 + i % 28:02d} 09:30:00,{'メール' if i % 2 else '電話'},返品について\n"
    for i in range(40)
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "customers.csv").write_text(CUSTOMERS, encoding="utf-8")
    (folder / "orders_2022.csv").write_text(ORDERS, encoding="utf-8")
    (folder / "問い合わせ.csv").write_bytes(JAPANESE.encode("cp932"))
    return folder


def drafted(tmp_path: Path, *paths: Path) -> source.Source:
    draft.draft("acme", paths, timezone="Asia/Tokyo", currency="JPY", folder=tmp_path / "s")
    return source.load("acme", tmp_path / "s")


def test_a_draft_of_simple_exports_ingests_as_it_stands(files: Path, tmp_path: Path) -> None:
    acme = drafted(tmp_path, *files.iterdir())
    assert acme.tables == ("customers", "orders", "tickets")
    contract = ingest(acme, source.root_of(acme), tmp_path / "t", tmp_path / "q", buckets=2)
    kept = {name: table["kept"] for name, table in contract["tables"].items()}
    assert kept == {"customers": 40, "orders": 440, "tickets": 40}
    assert acme.encodings == {"問い合わせ.csv": "cp932"}
    assert (acme.timezone, acme.currency) == ("Asia/Tokyo", "JPY")


def test_the_doctor_reads_a_draft(files: Path, tmp_path: Path) -> None:
    acme = drafted(tmp_path, *files.iterdir())
    found = doctor.examine(acme, params.load(), tmp_path / "work")
    assert not [
        line
        for line in doctor.lines(found, Wording("en"))
        if "rows read" in line and "stop" in line
    ]


def test_every_guess_is_marked_and_what_nobody_knows_is_listed(files: Path, tmp_path: Path) -> None:
    acme = drafted(tmp_path, files / "customers.csv", files / "orders_2022.csv")
    customers, orders = acme.select("customers"), acme.select("orders")
    assert '"Loyalty Shade" (VARCHAR)' in customers.split("SELECT")[0]
    for select in (customers, orders):
        columns = select.split("SELECT\n")[1].split("\nFROM")[0].splitlines()
        assert columns and all("REVIEW" in line for line in columns)
    assert "WHEN 'canceled' THEN 'cancelled'" in orders
    assert "WHEN 'paid' THEN 'placed'" in orders


def test_a_day_counts_from_when_it_is_over(files: Path, tmp_path: Path) -> None:
    orders = drafted(tmp_path, files / "customers.csv", files / "orders_2022.csv").select("orders")
    known = next(line for line in orders.splitlines() if " AS known_at" in line)
    assert "+ INTERVAL 1 DAY - INTERVAL 1 SECOND" in known


def test_without_a_file_of_customers_they_begin_with_their_first_row(
    files: Path, tmp_path: Path
) -> None:
    acme = drafted(tmp_path, files / "orders_2022.csv")
    contract = ingest(acme, source.root_of(acme), tmp_path / "t", tmp_path / "q", buckets=1)
    assert contract["tables"]["customers"]["kept"] == 40
    assert contract["tables"]["orders"]["kept"] == 440


def test_nothing_that_is_there_is_written_over(files: Path, tmp_path: Path) -> None:
    drafted(tmp_path, files / "orders_2022.csv")
    before = {p: p.read_bytes() for p in (tmp_path / "s" / "acme").iterdir()}
    with pytest.raises(SourceError, match="is there already"):
        drafted(tmp_path, files / "customers.csv")
    assert {p: p.read_bytes() for p in (tmp_path / "s" / "acme").iterdir()} == before


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("weather.csv", "station,rain\n1,2\n", "no canonical table is recognised"),
        ("orders.csv", "no,total\n1,2\n", "no column is recognised as customer_id or event_at"),
        ("orders.xlsx", "", "no file that can be drafted from"),
    ],
)
def test_what_cannot_be_guessed_is_named_with_the_way_out(
    name: str, content: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match=says):
        drafted(tmp_path, tmp_path / name)
    assert not (tmp_path / "s").exists()


def test_no_synonym_stands_for_a_column_the_contract_lacks() -> None:
    columns = {column.name for table in TABLE.values() for column in table.all_columns}
    assert set(draft.SYNONYMS) <= columns
    assert set(draft.FILES) | set(draft.TIMES) <= set(TABLE)
    allowed = {v for t in TABLE.values() for c in t.all_columns for v in c.allowed or ()}
    assert set(draft.VALUES) <= allowed


@pytest.mark.parametrize(
    ("header", "is_known_as"),
    [("Order Number", "order_number"), ("顧客ＩＤ", "顧客id"), ("InvoiceDate", "invoice_date")],
)
def test_headers_are_compared_in_one_form(header: str, is_known_as: str) -> None:
    assert draft.plain(header) == is_known_as
