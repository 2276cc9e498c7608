from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from data import source
from data.source import SourceError

YAML = """\
name: shop
description: {en: A shop, ja: 店}
timezone: Asia/Tokyo
currency: JPY
root: ${RETENTION_DATASETS}/shop
first_as_of: "2024-03-01"
last_as_of: "2024-06-01"
observed_until: "2024-07-01"
"""
CUSTOMERS = "SELECT * FROM read_csv('{root}/customers*.csv')"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    home = tmp_path / "sources" / "shop"
    home.mkdir(parents=True)
    (home / "source.yaml").write_text(YAML, encoding="utf-8")
    (home / "customers.sql").write_text(CUSTOMERS, encoding="utf-8")
    files = tmp_path / "datasets" / "shop"
    files.mkdir(parents=True)
    (files / "customers-1.csv").write_text("customer_id\n1\n", encoding="utf-8")
    return home.parent


def at(tmp_path: Path) -> dict[str, str]:
    return {"RETENTION_DATASETS": str(tmp_path / "datasets")}


def test_a_source_says_what_it_is_and_which_tables_it_has(sources: Path) -> None:
    shop = source.load("shop", sources)
    assert shop.description.ja == "店"
    assert shop.tables == ("customers",)
    assert shop.max_share("customers") == 0.01


@pytest.mark.parametrize("name", source.known())
def test_every_source_of_the_project_loads(name: str) -> None:
    assert "customers" in source.load(name).tables


def test_an_unknown_name_lists_the_known_ones_and_how_to_add_one(sources: Path) -> None:
    with pytest.raises(SourceError, match=r"there are: shop\. To add one, make .*source\.yaml"):
        source.load("shopp", sources)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("currency: JPY", "currencies: JPY"), "shop/source.yaml: curr"),
        (("Asia/Tokyo", "Asia/Tokio"), "'Asia/Tokio' is not a time zone"),
        (('last_as_of: "2024-06-01"', 'last_as_of: "2024-09-01"'), "last_as_of <= observed_until"),
        (("name: shop", "name: store"), "the folder's is not"),
        (("currency: JPY", "currency: JPY\nmax_quarantined: {order: 0.1}"), "not a canonical"),
        (("currency: JPY", "currency: JPY\nmax_quarantined: {orders: 2}"), "not a share"),
    ],
    ids=["typo", "zone", "dates", "name", "table", "share"],
)
def test_a_mistake_in_source_yaml_is_named(
    sources: Path, change: tuple[str, str], message: str
) -> None:
    path = sources / "shop" / "source.yaml"
    path.write_text(YAML.replace(*change), encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        source.load("shop", sources)


def test_a_file_that_is_no_canonical_table_is_an_error(sources: Path) -> None:
    (sources / "shop" / "order.sql").write_text("SELECT 1", encoding="utf-8")
    with pytest.raises(SourceError, match=r"shop/order\.sql: no canonical table of that name"):
        source.load("shop", sources)


def test_only_root_is_a_placeholder_and_struct_literals_are_left_alone(sources: Path) -> None:
    sql = sources / "shop" / "customers.sql"
    sql.write_text("SELECT {'a': 1} FROM read_csv('{root}/c.csv')", encoding="utf-8")
    source.load("shop", sources)
    sql.write_text("SELECT * FROM read_csv('{folder}/c.csv')", encoding="utf-8")
    with pytest.raises(SourceError, match=r"\{folder\} is not a placeholder, only \{root\} is"):
        source.load("shop", sources)


def test_a_source_without_customers_is_an_error(sources: Path) -> None:
    (sources / "shop" / "customers.sql").unlink()
    with pytest.raises(SourceError, match=r"customers\.sql is missing"):
        source.load("shop", sources)


def test_the_root_comes_from_the_environment_or_beside_the_project(
    sources: Path, tmp_path: Path
) -> None:
    shop = source.load("shop", sources)
    assert source.root_of(shop, at(tmp_path)) == tmp_path / "datasets" / "shop"
    default = os.path.normpath(source.PROJECT / "../shared/datasets/shop")
    with pytest.raises(SourceError, match=str(default)):
        source.root_of(shop, {})


def test_a_missing_folder_or_file_names_the_cure(sources: Path, tmp_path: Path) -> None:
    shop = source.load("shop", sources)
    cure = "set RETENTION_DATASETS or edit root in shop/source.yaml"
    with pytest.raises(SourceError, match=f"does not exist; {cure}"):
        source.root_of(shop, {"RETENTION_DATASETS": str(tmp_path / "nowhere")})
    (tmp_path / "datasets" / "shop" / "customers-1.csv").unlink()
    with pytest.raises(SourceError, match=rf"customers\.sql reads customers\*\.csv.*; {cure}"):
        source.root_of(shop, at(tmp_path))


def test_the_fingerprint_follows_the_data_and_not_their_place(
    sources: Path, tmp_path: Path
) -> None:
    shop = source.load("shop", sources)
    before = source.fingerprint(shop, at(tmp_path))
    assert (before["files"], before["bytes"]) == (1, 14)

    moved = tmp_path / "elsewhere"
    (tmp_path / "datasets").rename(moved)
    environ = {"RETENTION_DATASETS": str(moved)}
    assert source.fingerprint(shop, environ) == before

    (moved / "shop" / "README.md").write_text("not read by any SELECT", encoding="utf-8")
    assert source.fingerprint(shop, environ) == before

    (moved / "shop" / "customers-1.csv").write_text("customer_id\n2\n", encoding="utf-8")
    changed = source.fingerprint(shop, environ)
    assert changed["sha256"] != before["sha256"]

    (moved / "shop" / "customers-2.csv").write_text("customer_id\n3\n", encoding="utf-8")
    assert source.fingerprint(shop, environ)["files"] == 2


def test_a_generated_source_has_no_files(sources: Path) -> None:
    path = sources / "shop" / "source.yaml"
    path.write_text(YAML + "generator: world\n", encoding="utf-8")
    assert source.fingerprint(source.load("shop", sources), {})["files"] == 0


def test_loading_a_source_imports_nothing_heavy() -> None:
    heavy = "{'duckdb', 'numpy', 'pandas', 'pyarrow'} & set(sys.modules)"
    code = f"import sys, data.source; data.source.known(); print(sorted({heavy}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source.PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
