"""The embedded world: a seeded company whose true effects are known.

`generate` writes what the company could export, one Parquet file per canonical table;
`data/sources/world` reads it like any other source.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.world.parameters import WARM_UP_MONTHS, WORLDS, World, world_named
from data.world.process import simulate
from data.world.record import MICROSECONDS_PER_HOUR, Recorder, Scene
from data.world.tables import FAULTS, all_tables

__all__ = ["WORLDS", "World", "generate", "stage", "tables"]

FIRST_YEAR = 2023
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


def stage(ids: np.ndarray, *, months: int, seed: int, world: str = "W1") -> Scene:
    """The truth about the customers `ids` (consecutive integers) and how it gets recorded.

    Raises ValueError if the world is unknown or `months` is not positive.
    """
    if months < 1:
        raise ValueError(f"months must be at least 1, not {months}")
    parameters = world_named(world)
    start, end = _month(0), _month(WARM_UP_MONTHS + months)

    def hours(month: int) -> float:
        return (_month(month) - start) / MICROSECONDS_PER_HOUR

    period = hours(WARM_UP_MONTHS + months)
    first, last = parameters.pilot_months
    history = simulate(
        parameters,
        seed,
        ids,
        weeks=int(np.ceil(period / 168)),
        period=period,
        pilot=(hours(first - 1), hours(last)),
        change=np.inf if parameters.change_month is None else hours(parameters.change_month),
    )
    recorder = Recorder(
        world=parameters,
        seed=seed,
        start=start,
        end=end,
        first_customer=int(ids[0]),
        signup=history.people.signup,
        faults=FAULTS,
    )
    return Scene(parameters, seed, history, recorder, period)


def tables(ids: np.ndarray, *, months: int, seed: int, world: str = "W1") -> dict[str, pa.Table]:
    """Raw tables of the customers `ids` (consecutive integers), sorted by customer and time.

    The rows of a customer do not depend on which other customers are asked for.
    Raises ValueError if the world is unknown or `months` is not positive.
    """
    return all_tables(stage(ids, months=months, seed=seed, world=world))


def generate(
    out: Path,
    *,
    customers: int,
    months: int,
    seed: int,
    world: str = "W1",
    progress: Callable[[str], None] | None = None,
) -> None:
    """Write `<table>.parquet` into `out`: what was known before the end of the period.

    The period starts on 2023-01-01 00:00 Asia/Tokyo with six months of warm-up, then lasts
    `months`. The same arguments give the same bytes. Raises ValueError if the world is unknown or
    a number is not positive.
    """
    if customers < 1:
        raise ValueError(f"customers must be at least 1, not {customers}")
    out.mkdir(parents=True, exist_ok=True)
    writers: dict[str, pq.ParquetWriter] = {}
    rows = 0
    try:
        for start in range(1, customers + 1, CHUNK):
            ids = np.arange(start, min(start + CHUNK, customers + 1))
            for name, table in tables(ids, months=months, seed=seed, world=world).items():
                if name not in writers:
                    writers[name] = pq.ParquetWriter(
                        out / f"{name}.parquet", table.schema, compression="zstd"
                    )
                writers[name].write_table(table)
                rows += table.num_rows
            if progress is not None:
                progress(f"world {world}: {ids[-1]:,} of {customers:,} customers, {rows:,} rows")
    finally:
        for writer in writers.values():
            writer.close()
