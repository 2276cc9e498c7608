"""Every declared feature: the kernel and the plain SQL twin give the same answer."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
import pandas as pd
import pytest

from data.contracts import TABLES
from features import aggregates as ask
from features.aggregates import Aggregate
from features.catalog import features
from features.declare import Stream
from features.kernel import DAY_US, FOREVER, Facts, aggregate
from features.streams import STREAMS
from tests.features import twin

WINDOWS = (30, 90, 180, 365)
CUSTOMERS = 14
AS_OFS = np.array([500, 560, 561, 700], dtype=np.int64) * DAY_US + 7
EDGES = (0, *WINDOWS, *(2 * window for window in WINDOWS))

Question = tuple[Aggregate, int | None]


def random_times(rng: np.random.Generator, size: int) -> np.ndarray:
    """Half of them within a microsecond of some window's edge, with many ties."""
    edges = rng.choice(AS_OFS, size) - rng.choice(EDGES, size) * DAY_US + rng.integers(-1, 2, size)
    anywhere = rng.integers(0, 800, size) * DAY_US + rng.integers(0, 2, size) * 1_234_567
    return np.where(rng.random(size) < 0.5, edges, anywhere)


def random_values(rng: np.random.Generator, size: int) -> np.ndarray:
    """Small whole numbers, skewed positive ones or large ones of either sign; some missing."""
    kind = rng.integers(3)
    if kind == 0:
        values = rng.integers(-1, 3, size).astype(float)
    elif kind == 1:
        values = rng.lognormal(2, 2, size)
    else:
        values = rng.choice([-1, 1]) * 1e6 + rng.normal(0, 300, size)
    return np.where(rng.random(size) < 0.25, np.nan, values)


def random_facts(stream: Stream, seed: int) -> pd.DataFrame:
    """Facts of a stream; one customer in seven has none, one in two has corrected records."""
    rng = np.random.default_rng(seed)
    size = 40 * CUSTOMERS
    customer = rng.choice([c for c in range(CUSTOMERS) if c % 7 != 3], size)
    at = random_times(rng, size)
    corrected = (customer % 2 == 0) & (rng.random(size) < 0.5)
    late = np.where(corrected, rng.choice([0, 1, 20 * DAY_US, 100 * DAY_US], size), 0)
    life = rng.choice([1, DAY_US, 60 * DAY_US, 400 * DAY_US], size)
    dated = rng.choice(AS_OFS, size)  # superseded just before, at or after an as-of date
    until = np.where(rng.random(size) < 0.5, at + late + life, dated + rng.integers(-1, 2, size))
    until = np.where(corrected & (until > at + late), until, FOREVER)
    columns = {column: random_values(rng, size) for column in stream.columns}
    frame = pd.DataFrame(
        {"customer": customer, "at": at, "known_from": at + late, "known_until": until} | columns
    )
    frame = frame.sort_values(["customer", "at", "known_from"], kind="stable", ignore_index=True)
    return frame.assign(n=frame.index)


def both(
    frame: pd.DataFrame, columns: tuple[str, ...], questions: Sequence[Question]
) -> tuple[np.ndarray, np.ndarray]:
    """The kernel's and the twin's answers: [customers x as-of dates, questions]."""
    customer, as_of = np.repeat(np.arange(CUSTOMERS), AS_OFS.size), np.tile(AS_OFS, CUSTOMERS)
    facts = Facts(
        start=np.searchsorted(frame["customer"], np.arange(CUSTOMERS + 1)),
        at=frame["at"].to_numpy(copy=True),
        known_from=frame["known_from"].to_numpy(copy=True),
        known_until=frame["known_until"].to_numpy(copy=True),
        values=frame[list(columns)].to_numpy(dtype=float),
        columns=columns,
    )
    connection = duckdb.connect(config={"threads": 1})
    spine = pd.DataFrame({"customer": customer, "as_of": as_of})
    connection.register("spine_frame", spine.assign(spine_id=spine.index))
    connection.register("facts_frame", frame.rename(columns={"at": "moment"}))
    null_for_nan = ", ".join(
        f'CASE WHEN NOT isnan("{column}") THEN "{column}" END AS "{column}"' for column in columns
    )
    replaced = f"REPLACE ({null_for_nan})" if columns else ""
    connection.execute(f"CREATE TABLE facts AS SELECT * {replaced} FROM facts_frame")
    connection.execute("CREATE TABLE spine AS SELECT * FROM spine_frame")
    return aggregate(facts, questions, customer, as_of), twin.answers(connection, questions)


def assert_same(
    kernel: np.ndarray, sql: np.ndarray, questions: Sequence[Question], frame: pd.DataFrame
) -> None:
    for i, (question, window) in enumerate(questions):
        # A sum of values of both signs is only as exact as its largest term.
        values = 1.0 if question.column is None else frame[question.column].abs().max()
        counts = question.measure == "count" or (question.measure, question.column) == (
            "trend",
            None,
        )
        rtol, atol = (0.0, 0.0) if counts else (1e-9, 1e-12 * values)
        np.testing.assert_allclose(
            kernel[:, i], sql[:, i], rtol=rtol, atol=atol, err_msg=f"{question} {window}"
        )


def declared(stream: str) -> list[Question]:
    everything = features(WINDOWS, [table.name for table in TABLES])
    return [feature.question for feature in everything if feature.stream == stream]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_every_declared_feature_equals_its_twin(stream: Stream) -> None:
    questions = declared(stream.name)
    assert questions, "no feature asks about this stream: delete it"
    frame = random_facts(stream, seed=len(questions))
    kernel, sql = both(frame, stream.columns, questions)
    assert_same(kernel, sql, questions, frame)


@pytest.mark.parametrize("seed", range(6))
def test_every_measure_equals_its_twin(seed: int) -> None:
    questions: list[Question] = [
        (question, window)
        for window in (30, 180)
        for question in (
            ask.count(),
            ask.count("x"),
            ask.total("x"),
            ask.mean("x"),
            ask.geomean("x"),
            ask.lowest("x"),
            ask.highest("x"),
            ask.spread("x"),
            ask.share("x", 0.7),
            ask.quantile("x", 0.9),
            ask.quantile("x", 0.25),
            ask.mean_gap_days(),
            ask.gap_days_std(),
            ask.distinct("x"),
            ask.trend(),
            ask.trend("x"),
        )
    ]
    questions += [
        (question, None)
        for question in (
            ask.mean("x"),
            ask.quantile("x", 0.5),
            ask.last("x"),
            ask.days_since("x"),
            ask.days_until("x"),
            ask.days_since_last(),
            ask.days_since_first(),
            ask.decayed(),
            ask.decayed("x"),
        )
    ]
    frame = random_facts(Stream("any", (), ("x",), ""), seed)
    kernel, sql = both(frame, ("x",), questions)
    assert_same(kernel, sql, questions, frame)


def test_the_random_facts_reach_every_corner() -> None:
    frame = random_facts(Stream("any", (), ("x",), ""), 0)
    ties = frame.duplicated(["customer", "at"])
    on_an_edge = frame["at"].isin([at - edge * DAY_US for at in AS_OFS for edge in EDGES])
    assert ties.sum() > 20 and on_an_edge.sum() > 20 and frame["x"].isna().sum() > 20
    assert (frame["known_until"] < FOREVER).sum() > 20
    assert frame["known_until"].isin(AS_OFS).any()
    assert set(range(CUSTOMERS)) - set(frame["customer"])
