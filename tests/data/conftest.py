"""Real datasets for the source tests.

A module that names one (`DATASET = "online_retail"`) gets it ingested once, as the fixture
`ingested`. Without the datasets those tests are left out, unless CI=true: then they run and fail.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data import source
from data.contracts import TABLE
from data.ingest import ingest


@dataclass(frozen=True)
class Ingested:
    """A source's canonical tables and quarantine, open for SQL, and its contract."""

    contract: dict[str, Any]
    con: duckdb.DuckDBPyConnection

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.con.execute(sql).fetchall()

    def value(self, sql: str) -> Any:
        ((value,),) = self.rows(sql)
        return value


def open_ingested(contract: dict[str, Any], out: Path, quarantine: Path) -> Ingested:
    """Views `<table>` and, where rows were put aside, `aside_<table>`; times read as UTC."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    for table in contract["tables"]:
        con.execute(f"CREATE VIEW {table} AS FROM read_parquet('{out}/{table}/*.parquet')")
    for path in quarantine.glob("*.parquet"):
        con.execute(f"CREATE VIEW aside_{path.stem} AS FROM read_parquet('{path}')")
    return Ingested(contract, con)


Ingest = Callable[[source.Source, Path], Ingested]


@pytest.fixture
def ingest_small(tmp_path: Path) -> Ingest:
    """Ingest a source over a few hand-written rows, however many of them are put aside."""

    def run(given: source.Source, root: Path) -> Ingested:
        tolerant = given.model_copy(update={"max_quarantined": dict.fromkeys(TABLE, 1.0)})
        out, quarantine = tmp_path / "tables", tmp_path / "quarantine"
        contract = ingest(tolerant, root, out, quarantine, buckets=2)
        return open_ingested(contract, out, quarantine)

    return run


def _present(dataset: str) -> bool:
    try:
        source.root_of(source.load(dataset))
    except source.SourceError:
        return False
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("CI") == "true":
        return
    absent = [
        item
        for item in items
        if "dataset" in getattr(item, "fixturenames", ())
        and isinstance(item, pytest.Function)
        and not _present(item.module.DATASET)
    ]
    if absent:
        config.hook.pytest_deselected(items=absent)
        items[:] = [item for item in items if item not in absent]


@pytest.fixture(scope="module")
def dataset(request: pytest.FixtureRequest) -> source.Source:
    """The source over the real dataset that the module names."""
    return source.load(request.module.DATASET)


@pytest.fixture(scope="module")
def ingested(dataset: source.Source, tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    folder = tmp_path_factory.mktemp(dataset.name)
    out, quarantine = folder / "tables", folder / "quarantine"
    contract = ingest(dataset, source.root_of(dataset), out, quarantine, buckets=4)
    return open_ingested(contract, out, quarantine)
