"""Real datasets for the source tests.

A module that names one (`DATASET = "online_retail"`) gets it ingested once, as the fixture
`ingested`. Without the datasets, or without PostgreSQL's programs for the fixture `postgres`, those
tests are left out, unless CI=true: then they run and fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
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
        if isinstance(item, pytest.Function)
        and (
            ("dataset" in item.fixturenames and not _present(item.module.DATASET))
            or ("postgres" in item.fixturenames and postgres_program("initdb") is None)
        )
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


def postgres_program(name: str) -> str | None:
    """A program of the system's PostgreSQL package, which Debian keeps off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a real, empty PostgreSQL server that lives as long as the tests."""
    initdb, control = postgres_program("initdb"), postgres_program("pg_ctl")
    assert initdb is not None and control is not None, "install postgresql"
    # The server refuses to run as root, and a socket's path must be short.
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        Path(folder).chmod(0o777)
        data = f"{folder}/data"

        def run(*command: str) -> None:
            subprocess.run(
                [*user, *command], check=True, stdout=subprocess.DEVNULL, cwd=folder, timeout=60
            )

        run(initdb, "-D", data, "-U", "shop", "-A", "trust", "--no-sync", "-E", "UTF8")
        settings = f"-k {folder} -c listen_addresses= -c fsync=off -c timezone=Asia/Tokyo"
        run(control, "-D", data, "-w", "-l", f"{folder}/log", "-o", settings, "start")
        try:
            yield f"postgresql://shop:geheim@/postgres?host={folder}"
        finally:
            run(control, "-D", data, "-m", "immediate", "-w", "stop")
