"""A copy of the project to run in, with its own params and outputs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.dataset as ds
import yaml

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, dict[str, Any]] = {
    "source": {"buckets": 3},
    "world": {"customers": 1500},
    "train": {"test_origins": 2},
    "evaluate": {"resamples": 100},
    "explain": {
        "rows": 500,
        "resamples": 50,
        "dependence_features": 3,
        "refits": 3,
        "refit_rows": 300,
    },
    "effects": {"folds": 2},
}


class Project:
    """A copy of the code in a folder of its own, with its own params and outputs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.artifacts = root / "artifacts"

    def set(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        path = self.root / "params.yaml"
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        for section, keys in changes.items():
            values[section] |= keys
        path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")

    def run(self, *command: str, expect: int = 0) -> str:
        """Run a command in the project; returns what it printed, both streams."""
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.root}/mlflow.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def retention(self, *arguments: str, expect: int = 0) -> str:
        return self.run(sys.executable, "-m", "pipelines.cli", *arguments, expect=expect)

    def json(self, name: str) -> Any:
        return json.loads((self.artifacts / name).read_text(encoding="utf-8"))

    def feature_rows(self) -> pd.DataFrame:
        files = sorted(str(path) for path in (self.artifacts / "features").glob("*.parquet"))
        return ds.dataset(files).to_table().to_pandas()


def copied(to: Path) -> Project:
    for name in ("data", "features", "models", "pipelines", "reports"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, to / name)
    project = Project(to)
    project.run("dvc", "init", "--no-scm", "--quiet")
    project.run("dvc", "config", "core.analytics", "false")
    return project
