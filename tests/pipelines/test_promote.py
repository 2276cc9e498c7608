"""Promotion and rollback against a real registry: a SQLite file, and a tracking server."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from data.errors import InputError
from models.estimator import RetentionModel
from models.splits import Origin
from models.value import Costs
from pipelines import evaluate, load, params, promote, tracking, train
from pipelines.tracking import CHALLENGER, CHAMPION

TASK = "churn"
DATES = [pd.Timestamp(f"2025-0{month}-01", tz="UTC") for month in range(1, 6)]
TESTS = DATES[2:4]
PRODUCTION_DATE = DATES[4]
DIGEST = "the digest of the feature table"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """1,500 customers on five dates; `good` tells most of the risk, `poor` a little."""
    generator = np.random.default_rng(0)
    customers = 1500
    customer = np.tile(np.arange(customers), len(DATES))
    level = generator.normal(-1.6, 1.2, customers)[customer]
    return pd.DataFrame(
        {
            "customer_id": [f"C{c:04d}" for c in customer],
            "as_of": [date for date in DATES for _ in range(customers)],
            "good": level + generator.normal(0, 0.5, len(level)),
            "poor": level + generator.normal(0, 3.0, len(level)),
            "noise": generator.normal(0, 1, len(level)),
            "plan": np.where(customer % 2 == 0, "a", "b"),
            "churn": (generator.random(len(level)) < expit(level)).astype(float),
            "churn_status": "labelled",
        }
    )


@pytest.fixture(scope="module")
def origins() -> tuple[Origin, ...]:
    return tuple(Origin(test, (DATES[1],), (DATES[0],)) for test in TESTS)


@pytest.fixture(scope="module")
def fitted(
    rows: pd.DataFrame, origins: tuple[Origin, ...], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Folders of models as the train stage writes them, one per feature they may use."""
    folders = {}
    for feature in ("good", "poor", "noise"):
        folders[feature] = tmp_path_factory.mktemp(feature) / TASK
        for origin in (*origins, Origin(PRODUCTION_DATE, (DATES[1],), (DATES[0],))):
            fit, calibration, _ = origin.rows(rows)
            is_production = origin.test == PRODUCTION_DATE
            RetentionModel.fit(
                rows,
                rows["churn"],
                fit_rows=fit,
                calibration_rows=calibration,
                features=[feature, "plan"],
                categories=["plan"],
                params={"num_iterations": 40, "learning_rate": 0.1, "lambda_l2": 1.0},
                about={
                    "task": TASK,
                    "source": "world",
                    "test_as_of": f"{origin.test:%Y-%m-%d}",
                    "features_sha256": DIGEST,
                },
            ).save(
                folders[feature]
                / ("production" if is_production else f"origin-{origin.test:%Y-%m-%d}")
            )
    return folders


@pytest.fixture
def project(
    rows: pd.DataFrame,
    origins: tuple[Origin, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Path:
    """The project's outputs, replaced by the table above; the log goes to a folder of its own."""
    monkeypatch.setattr(load, "summary", lambda: {"time_zone": "UTC"})
    monkeypatch.setattr(load, "feature_rows", lambda task: rows)
    monkeypatch.setattr(load, "folder_digest", lambda folder, pattern: DIGEST)
    monkeypatch.setattr(train, "origins", lambda task, settings: (origins, None, None))
    monkeypatch.setattr(evaluate, "costs", lambda task, settings: Costs(130, 15, 1))
    monkeypatch.setattr(promote, "LOG", tmp_path / "promotions.jsonl")
    settings = params.load()
    fewer = settings.evaluate.model_copy(update={"resamples": 100})
    settings = settings.model_copy(update={"evaluate": fewer})
    monkeypatch.setattr(params, "load", lambda: settings)
    return tmp_path


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables; making them takes longer than a test."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        tracking._mlflow().search_experiments()
    return path


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Path) -> str:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    address = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.chdir(tmp_path)
    return address


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Path) -> Iterator[str]:
    """A tracking server of our own on a free port, with its own database and artifacts."""
    shutil.copy(empty_database, tmp_path / "server.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (
        f"mlflow server --host 127.0.0.1 --port {port} --workers 1"
        f" --backend-store-uri sqlite:///{tmp_path}/server.db"
        f" --artifacts-destination {tmp_path}/artifacts"
    )
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            command.split(), env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_up(address, process)
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            yield address
        finally:
            os.killpg(process.pid, 15)
            process.wait(timeout=30)


def _wait_until_up(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the tracking server ended"
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise AssertionError("the tracking server does not answer")


def register(folder: Path) -> None:
    tracking.log_training(TASK, folder / "production", params.load())


def version(alias: str) -> int | None:
    found = tracking.registered("world", TASK, alias)
    return None if found is None else found.version


def log(project: Path) -> list[dict[str, Any]]:
    path = project / "promotions.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def tags(number: int) -> dict[str, str]:
    client = tracking._mlflow().MlflowClient()
    return dict(client.get_model_version("retention-world-churn", str(number)).tags)


def test_a_life_of_promotions_on_a_tracking_server(
    project: Path, fitted: dict[str, Path], server: str, tmp_path: Path
) -> None:
    register(fitted["poor"])
    promote.main(TASK, by="sato", why="first")  # nobody there, calibrated, beats the base rate
    assert (version(CHAMPION), version(CHALLENGER)) == (1, 1)

    register(fitted["noise"])
    with pytest.raises(SystemExit) as refused:
        promote.main(TASK, by="sato", why="try")
    assert refused.value.code == 1
    assert (version(CHAMPION), version(CHALLENGER)) == (1, 2)
    assert tags(2)["gate.action"] == "refuse" and "FAIL" in tags(2)["gate.log_loss"]

    register(fitted["good"])
    promote.main(TASK, by="tanaka", why="better")
    assert version(CHAMPION) == 3
    assert tags(3)["gate.by"] == "tanaka" and tags(3)["gate.previous"] == "1"
    promote.export(TASK, tmp_path / "models")
    exported = RetentionModel.load(tmp_path / "models" / TASK / "production")
    assert exported.text == RetentionModel.load(fitted["good"] / "production").text

    promote.rollback(TASK, by="suzuki", why="complaints")
    assert version(CHAMPION) == 1
    with pytest.raises(InputError, match="the first champion"):
        promote.rollback(TASK)
    assert version(CHAMPION) == 1

    lines = log(project)
    assert [(line["action"], line["version"], line["by"]) for line in lines] == [
        ("promote", 1, "sato"),
        ("refuse", 2, "sato"),
        ("promote", 3, "tanaka"),
        ("rollback", 1, "suzuki"),
    ]
    assert all(line["at"].endswith("+00:00") and line["model_sha256"] for line in lines)
    gain = next(check for check in lines[2]["checks"] if check["name"] == "log_loss")
    assert gain["figures"]["low"] > 0


@pytest.fixture
def one_champion(project: Path, registry: str, fitted: dict[str, Path]) -> dict[str, Path]:
    """Version 1 ("poor") is champion and version 2 ("good") the challenger."""
    register(fitted["poor"])
    promote.main(TASK, by="sato")
    register(fitted["good"])
    return fitted


def test_nothing_that_goes_wrong_promotes(
    one_champion: dict[str, Path],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    def refused(expected: type[BaseException], match: str | None = None) -> None:
        with pytest.raises(expected, match=match):
            promote.main(TASK)
        assert version(CHAMPION) == 1
        assert [line["action"] for line in log(project)] == ["promote"]

    with monkeypatch.context() as patch:  # an error in the middle of the gate
        patch.setattr(promote, "judge", broken)
        refused(ZeroDivisionError)
    with monkeypatch.context() as patch:  # the registry accepts no tag
        patch.setattr(tracking, "tag_version", broken)
        refused(ZeroDivisionError)
    with monkeypatch.context() as patch:  # another feature table than the challenger's
        patch.setattr(load, "folder_digest", lambda folder, pattern: "other")
        refused(InputError, "not the feature table of the challenger")
    with monkeypatch.context() as patch:  # no test date
        patch.setattr(train, "origins", lambda task, settings: ((), None, None))
        refused(InputError, "no test date")
    with monkeypatch.context() as patch:  # the champion's feature is gone from the table
        found = load.feature_rows(TASK).drop(columns="poor")
        patch.setattr(load, "feature_rows", lambda task: found)
        refused(InputError, "lacks 1 feature")

    champion = tracking.registered("world", TASK, CHAMPION)
    assert champion is not None
    client = tracking._mlflow().MlflowClient()
    artifacts = Path(client.get_run(champion.run_id).info.artifact_uri.removeprefix("file://"))
    altered = artifacts / "retention_origins" / "origin-2025-04-01" / "model.txt"
    good = altered.read_bytes()
    altered.write_bytes(good.replace(b"leaf_value=", b"leaf_value=9", 1))
    refused(InputError, "not the file its manifest describes")
    altered.write_bytes(good)
    shutil.move(artifacts / "retention_model", project / "aside")
    refused(InputError, "holds no retention_model")
    shutil.move(project / "aside", artifacts / "retention_model")

    client.delete_registered_model_alias("retention-world-churn", CHAMPION)
    with pytest.raises(InputError, match="the alias 'champion' is gone"):
        promote.main(TASK)
    client.set_registered_model_alias("retention-world-churn", CHAMPION, "1")
    promote.main(TASK)  # with everything in its place it is promoted
    assert version(CHAMPION) == 2
    with pytest.raises(InputError, match="already champion"):
        promote.main(TASK)


def test_an_interrupted_promotion_leaves_the_champion_and_its_way_back(
    one_champion: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    promote.main(TASK)
    register(one_champion["good"])
    found = tracking.registered("world", TASK, CHALLENGER)
    assert found is not None
    # Version 3 was noted as champion but the alias never moved.
    client = tracking._mlflow().MlflowClient()
    client.set_registered_model_tag("retention-world-churn", tracking.HISTORY_TAG, "1,2,3")
    promote.rollback(TASK)
    assert version(CHAMPION) == 1 and tracking.champions("world", TASK) == (1,)


def test_without_a_challenger_it_says_what_to_run(project: Path, registry: str) -> None:
    with pytest.raises(InputError, match="run `dvc repro` first"):
        promote.main(TASK)
    with pytest.raises(InputError, match="no champion"):
        promote.rollback(TASK)
    with pytest.raises(InputError, match="promote one first"):
        promote.export(TASK, project)


def test_a_registry_that_cannot_be_reached_is_not_an_empty_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Exception, match=r"127\.0\.0\.1") as answer:
        promote.main(TASK)
    assert not isinstance(answer.value, InputError)
