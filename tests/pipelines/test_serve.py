"""A registered model, served by MLflow alone, says what the batch list says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.estimator import RetentionModel
from pipelines import params, tracking

TASK = "churn"


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """600 customers, a tenth of whom never ordered."""
    generator = np.random.default_rng(0)
    order = generator.exponential(40, 600)
    return pd.DataFrame(
        {
            "days_since_last_order": np.where(np.arange(600) % 10 == 0, np.nan, order),
            "ticket_count_30d": generator.poisson(1, 600).astype(float),
            "plan": np.where(np.arange(600) % 3 == 0, "basic", "premium"),
        }
    )


@pytest.fixture(scope="module")
def model(customers: pd.DataFrame) -> RetentionModel:
    risk = customers["days_since_last_order"].fillna(40) / 40 + customers["ticket_count_30d"]
    y = (np.random.default_rng(1).random(600) < risk / 6).astype(float)
    return RetentionModel.fit(
        customers,
        y,
        fit_rows=np.arange(400),
        calibration_rows=np.arange(400, 600),
        features=[str(name) for name in customers],
        categories=["plan"],
        about={"task": TASK, "source": "world", "test_as_of": "2025-01-01", "features_sha256": ""},
    )


@pytest.fixture(scope="module")
def address(model: RetentionModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`mlflow models serve` on a free port, of the model registered in a SQLite file."""
    home = tmp_path_factory.mktemp("serve")
    model.save(home / TASK / "production")
    store = f"sqlite:///{home}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store)
        patch.chdir(home)
        settings = params.load()
        tracking.log_training(TASK, home / TASK / "production", settings)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name = tracking.registered_name(settings.source.name, TASK)
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"),
        *("--model-uri", f"models:/{name}@challenger", "--host", "127.0.0.1", "--port", str(port)),
    ]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": store,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (home / "serve.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=home, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait_until_up(f"http://127.0.0.1:{port}/ping", process, home / "serve.log")
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            # The server starts another process; both are of the session that we began.
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def _wait_until_up(ping: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(ping, timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def served(address: str, model: RetentionModel, customers: pd.DataFrame) -> list[float]:
    """What the server answers, asked as docs/models.md says."""
    encoded = model.encoder.transform(customers).astype(float)
    rows = [[None if np.isnan(value) else value for value in row.tolist()] for row in encoded]
    question = {"dataframe_split": {"columns": list(model.features), "data": rows}}
    request = urllib.request.Request(
        address,
        json.dumps(question).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return list(json.load(answer)["predictions"])


def test_one_customer_gets_the_probability_of_the_list(
    address: str, model: RetentionModel, customers: pd.DataFrame
) -> None:
    one = customers.iloc[[7]]
    assert served(address, model, one) == pytest.approx(model.predict(one), abs=1e-12)


def test_many_customers_get_theirs_also_with_missing_values_and_unknown_categories(
    address: str, model: RetentionModel, customers: pd.DataFrame
) -> None:
    some = customers.iloc[:40].copy()
    assert some["days_since_last_order"].isna().any()
    some.loc[some.index[:5], "ticket_count_30d"] = np.nan
    some.loc[some.index[5:10], "plan"] = "a plan of tomorrow"
    expected = model.predict(some)
    assert len(np.unique(expected)) > 5
    assert served(address, model, some) == pytest.approx(expected, abs=1e-12)
