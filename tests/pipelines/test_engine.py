from __future__ import annotations

import os
from functools import partial

import pytest

from data.errors import InputError
from pipelines import engine
from pipelines.engine import Engine


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
