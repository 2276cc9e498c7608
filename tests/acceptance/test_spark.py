"""The Spark engine writes the same bytes as the local one, whatever store it works on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from data import source
from data.errors import InputError
from pipelines.store import Store
from tests.acceptance.project import ROOT, Project, copied

WORLD: dict[str, dict[str, Any]] = {
    "source": {"buckets": 2, "first_as_of": "2024-11-01", "last_as_of": "2025-01-01"},
    "world": {"customers": 300},
}
AIRLINE: dict[str, dict[str, Any]] = {
    "source": {
        "name": "airline_loyalty",
        "buckets": 2,
        "first_as_of": "2018-05-01",
        "last_as_of": "2018-06-01",
    },
}


def featurized(to: Path, changes: dict[str, dict[str, Any]]) -> Project:
    """A project with its features computed by the local engine."""
    project = copied(to)
    project.set(changes)
    for stage in ("source", "ingest", "tone", "featurize"):
        project.retention(stage)
    return project


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("changes", [WORLD, AIRLINE], ids=["world", "airline"])
def test_spark_writes_the_bytes_of_the_local_engine(
    changes: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The copied project has no neighbours: say where the real data lie from here.
    if "name" in changes["source"]:
        root = source.root_of(source.load("airline_loyalty"))
        monkeypatch.setenv(source.DATASETS_VARIABLE, str(root.parent))
    project = featurized(tmp_path / "project", changes)
    store = tmp_path / "store"
    for name in ("tables", "tone"):
        shutil.copytree(project.artifacts / name, store / name)
    shutil.copy(project.artifacts / "contract.json", store)

    said = project.retention("featurize", "--engine", "spark", "--store", store.as_uri())

    assert "2 buckets on local[" in said
    local, spark = contents(project.artifacts / "features"), contents(store / "features")
    assert sorted(local) == ["bucket=000.parquet", "bucket=001.parquet", "summary.json"]
    assert spark == local


def test_the_documented_layout_is_the_one_that_is_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "spark.md").read_text(encoding="utf-8")
    for name in ("contract.json", "artifacts/tables", "artifacts/tone"):
        assert name in page
    with pytest.raises(InputError, match=r"docs/spark.md"):
        Store(tmp_path.as_uri()).read_json("contract.json")
