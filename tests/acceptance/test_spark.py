"""The Spark engine writes the same bytes as the local one, whatever store it works on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data import source
from data.errors import InputError
from features.labels import ELIGIBLE
from models.estimator import RetentionModel
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


def test_spark_writes_the_lists_of_the_local_engine(tmp_path: Path) -> None:
    """Of the feature table, and of tables in another store on a date that it does not have."""
    project = featurized(tmp_path / "project", WORLD)
    rows = project.feature_rows()
    features = ["ticket_count_90d", "order_count_90d", "tenure_days", "plan"]
    for task in ("churn", "repeat_purchase"):
        mine = rows[rows[f"{task}_status"].isin(ELIGIBLE)].reset_index(drop=True)
        every = np.arange(len(mine))
        model = RetentionModel.fit(
            mine,
            (mine["tenure_days"] > mine["tenure_days"].median()).astype(float),
            fit_rows=every[::2],
            calibration_rows=every[1::2],
            features=features,
            categories=["plan"],
            params={"num_iterations": 20},
            about={"calibration_as_of": ["2024-11-01"]},
        )
        model.save(project.artifacts / "models" / task / "production")
    store = tmp_path / "store"
    for name in ("tables", "tone"):
        shutil.copytree(project.artifacts / name, store / name)
    shutil.copy(project.artifacts / "contract.json", store)
    later = ("--as-of", "2024-12-15", "--store")

    project.retention("score", "--out", "local")
    said = project.retention("score", "--out", "spark", "--engine", "spark")
    assert "2 buckets on local[" in said
    project.retention("score", "--out", "local_later", *later, str(store))
    project.retention("score", "--out", "spark_later", "--engine", "spark", *later, store.as_uri())

    for name in ("", "_later"):
        local, spark = (
            {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for path in sorted(folder.rglob("*"))
                if path.is_file() and path.name != "run.json"
            }
            for folder in (project.root / f"local{name}", project.root / f"spark{name}")
        )
        assert len(local) == 12 and spark == local
    assert not list(store.glob("scored-*"))


def test_the_documented_layout_is_the_one_that_is_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "spark.md").read_text(encoding="utf-8")
    for name in ("contract.json", "artifacts/tables", "artifacts/tone"):
        assert name in page
    with pytest.raises(InputError, match=r"docs/spark.md"):
        Store(tmp_path.as_uri()).read_json("contract.json")
