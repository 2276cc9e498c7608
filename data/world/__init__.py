"""The embedded world: a seeded company whose true effects are known.

`generate` writes what the company could export, a folder of Parquet files per canonical table;
`data/sources/world` reads it like any other source. What nobody could export is in
`data.world.oracle` (the best possible predictions) and `data.world.effects` (the true effects).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.world.parameters import WARM_UP_MONTHS, WORLDS, World, world_named
from data.world.process import simulate
from data.world.record import MICROSECONDS_PER_HOUR, Recorder, Scene
from data.world.tables import FAULTS, PREFIXES, all_tables

__all__ = ["TABLE_NAMES", "WORLDS", "World", "generate", "stage", "tables"]

TABLE_NAMES = tuple(PREFIXES)
FIRST_YEAR = 2023
UNIQUE = ("event_id", "event_at", "known_at", "text", "survey_id", "order_id", "outreach_id")
"""Columns in which a value hardly comes twice: building a dictionary of them is lost time."""
CHUNK = 5_000  # customers simulated at once; bounds memory, does not change the rows

_JST = timezone(timedelta(hours=9))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _month(number: int) -> int:
    """Microseconds since the epoch of 00:00 Asia/Tokyo on the first of month `number` (from 0)."""
    year, month = divmod(number, 12)
    start = datetime(FIRST_YEAR + year, month + 1, 1, tzinfo=_JST)
    return (start - _EPOCH) // timedelta(microseconds=1)


def end(months: int) -> date:
    """The local date on which data of `months` months end; nothing later is known."""
    year, month = divmod(WARM_UP_MONTHS + months, 12)
    return date(FIRST_YEAR + year, month + 1, 1)


@dataclass(frozen=True)
class Clock:
    """The moments of a world in hours since its start."""

    period: float
    pilot: tuple[float, float]
    change: float

    @staticmethod
    def hours(month: int) -> float:
        """When month `month` (from 0, warm-up included) begins."""
        return (_month(month) - _month(0)) / MICROSECONDS_PER_HOUR

    @classmethod
    def of(cls, world: World, months: int) -> Clock:
        """The clock of a world that lasts `months` months after the warm-up."""
        first, last = world.pilot_months
        return cls(
            period=cls.hours(WARM_UP_MONTHS + months),
            pilot=(cls.hours(first - 1), cls.hours(last)),
            change=np.inf if world.change_month is None else cls.hours(world.change_month),
        )


def stage(ids: np.ndarray, *, months: int, seed: int, world: str = "W1", run_off: int = 0) -> Scene:
    """The truth about the customers `ids` (consecutive integers) and how it gets recorded.

    With `run_off`, life goes on for so many months after the period, with nobody new: what is
    known before the end of the period stays the same, and later outcomes can be seen.
    Raises ValueError if the world is unknown, `months` not positive or `run_off` negative.
    """
    if months < 1:
        raise ValueError(f"months must be at least 1, not {months}")
    if run_off < 0:
        raise ValueError(f"run_off must not be negative, not {run_off}")
    parameters = world_named(world)
    clock = Clock.of(parameters, months)
    end = WARM_UP_MONTHS + months + run_off
    history = simulate(
        parameters,
        seed,
        ids,
        weeks=int(np.ceil(Clock.hours(end) / 168)),
        period=clock.period,
        pilot=clock.pilot,
        change=clock.change,
    )
    recorder = Recorder(
        world=parameters,
        seed=seed,
        start=_month(0),
        end=_month(end),
        first_customer=int(ids[0]),
        signup=history.people.signup,
        faults=FAULTS,
    )
    return Scene(parameters, seed, history, recorder, Clock.hours(end), clock.period)


def tables(
    ids: np.ndarray, *, months: int, seed: int, world: str = "W1", run_off: int = 0
) -> dict[str, pa.Table]:
    """Raw tables of the customers `ids` (consecutive integers), sorted by customer and time.

    The rows of a customer do not depend on which other customers are asked for. `run_off` as in
    `stage`. Raises ValueError as `stage` does.
    """
    return all_tables(stage(ids, months=months, seed=seed, world=world, run_off=run_off))


def generate(
    out: Path,
    *,
    customers: int,
    months: int,
    seed: int,
    world: str = "W1",
    run_off: int = 0,
    workers: int = 1,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Write `<table>/part-NNNNN.parquet` into `out`: what was known before the end of the period.

    The period starts on 2023-01-01 00:00 Asia/Tokyo with six months of warm-up, then lasts
    `months`, and `run_off` more months in which nobody new comes (only to see late outcomes: a
    run that is to be judged must not read them). The same arguments give the same bytes, whatever
    the number of worker processes; memory is bounded by CHUNK customers per worker. Raises
    ValueError if the world is unknown or a number is not positive, FileExistsError if `out`
    already holds one of the tables.
    """
    if customers < 1:
        raise ValueError(f"customers must be at least 1, not {customers}")
    world_named(world)
    for name in PREFIXES:
        (out / name).mkdir(parents=True)
    parts = [
        _Part(out, number, first, min(first + CHUNK, customers + 1), months, seed, world, run_off)
        for number, first in enumerate(range(1, customers + 1, CHUNK))
    ]
    started, rows = time.monotonic(), 0
    with _mapped(min(workers, len(parts))) as run:
        for part, written in zip(parts, run(_write, parts), strict=True):
            rows += written
            if progress is not None:
                progress(_line(world, part.end - 1, customers, rows, time.monotonic() - started))


@dataclass(frozen=True)
class _Part:
    """One file of every table: the customers [first, end)."""

    out: Path
    number: int
    first: int
    end: int
    months: int
    seed: int
    world: str
    run_off: int


def _write(part: _Part) -> int:
    """Write one part of every table and return its number of rows."""
    ids = np.arange(part.first, part.end)
    made = tables(ids, months=part.months, seed=part.seed, world=part.world, run_off=part.run_off)
    for name, table in made.items():
        pq.write_table(
            table,
            part.out / name / f"part-{part.number:05d}.parquet",
            compression="zstd",
            compression_level=1,
            use_dictionary=[column for column in table.column_names if column not in UNIQUE],
        )
    return sum(table.num_rows for table in made.values())


@contextmanager
def _mapped(workers: int) -> Iterator[Callable[..., Iterable[int]]]:
    """`map` over so many processes, results in order."""
    if workers <= 1:
        yield map
        return
    # A forked child of a process with Arrow threads may hang; a fresh one cannot.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield pool.map


def _line(world: str, done: int, customers: int, rows: int, seconds: float) -> str:
    """How far it is, how fast, and how long it will take."""
    line = f"world {world}: {done:,} of {customers:,} customers, {rows:,} rows"
    if done == customers or seconds <= 0:
        return line
    left = round(seconds * (customers - done) / done)
    return f"{line}, {done / seconds:,.0f} customers/s, {left // 60}:{left % 60:02d} left"
