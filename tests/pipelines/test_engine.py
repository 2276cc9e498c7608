from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from data.errors import InputError
from pipelines import engine
from pipelines.engine import Engine

ROOT = Path(__file__).resolve().parents[2]


def squared(bucket: int, plus: int = 0) -> int:
    return bucket * bucket + plus


def refused(bucket: int) -> int:
    if bucket == 2:
        raise InputError("tables/orders/bucket=002.parquet is broken; run `dvc repro ingest`")
    return bucket


@pytest.mark.parametrize("chosen", Engine)
def test_every_bucket_is_worked_on_once(chosen: Engine) -> None:
    done = engine.each_bucket(partial(squared, plus=1), 5, chosen)
    assert sorted(done) == [1, 2, 5, 10, 17]


@pytest.mark.parametrize("chosen", Engine)
def test_what_is_wrong_in_a_bucket_is_said_in_one_line(chosen: Engine) -> None:
    with pytest.raises(InputError, match=r"^tables/orders/bucket=002.parquet is broken"):
        list(engine.each_bucket(refused, 4, chosen))


def killed(bucket: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return bucket


def test_a_killed_worker_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_WORKERS", "2")
    with pytest.raises(InputError, match=r"set RETENTION_WORKERS lower or source.buckets higher"):
        list(engine.each_bucket(killed, 2, Engine.local))


def told(bucket: int, folder: Path) -> int:
    (folder / str(os.getpid())).touch()
    time.sleep(60)
    return bucket


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = f"""
from functools import partial
from pathlib import Path
from pipelines import engine
from tests.pipelines.test_engine import told
if __name__ == "__main__":
    list(engine.each_bucket(partial(told, folder=Path({str(tmp_path)!r})), 2))
"""
    environment = {**os.environ, "RETENTION_WORKERS": "2", "RETENTION_ENGINE": "local"}
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
    while len(workers := [int(path.name) for path in tmp_path.iterdir()]) < 2:
        assert parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    until = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_only_the_buckets_named_are_worked_on() -> None:
    assert sorted(engine.each_bucket(squared, [1, 3], Engine.local)) == [1, 9]
    assert list(engine.each_bucket(squared, [], Engine.local)) == []


def test_the_engine_asked_for_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.chosen() is Engine.local
    monkeypatch.setenv(engine.VARIABLE, "spark")
    assert engine.chosen() is Engine.spark
    assert engine.chosen(Engine.local) is Engine.local


def test_an_unknown_engine_is_refused_with_the_ones_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(engine.VARIABLE, "ray")
    with pytest.raises(InputError, match=r"'ray' is not an engine; set it to local or spark"):
        engine.chosen()


def test_spark_without_java_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(InputError, match="needs Java 17"):
        list(engine.each_bucket(squared, 1, Engine.spark))
