"""Where the buckets are worked on: processes of this machine or Spark tasks.

The engine is chosen by `--engine` or RETENTION_ENGINE and not in params.yaml: a bucket's result
depends on its tables and the params alone, so no output and no cache depends on the engine.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from enum import StrEnum
from typing import TypeVar

from data.errors import InputError
from pipelines import stage

VARIABLE = "RETENTION_ENGINE"

Result = TypeVar("Result")


class Engine(StrEnum):
    """What works on the buckets."""

    local = "local"
    spark = "spark"


def chosen(engine: Engine | None = None) -> Engine:
    """The engine asked for, else RETENTION_ENGINE, else local. Raises InputError."""
    value = engine or os.environ.get(VARIABLE) or Engine.local
    if value not in list(Engine):
        raise InputError(f"{VARIABLE}={value!r} is not an engine; set it to local or spark")
    return Engine(value)


def each_bucket(
    work: Callable[[int], Result], buckets: int, engine: Engine | None = None
) -> Iterator[Result]:
    """`work(bucket)` for buckets 0 to `buckets` - 1, in whatever order they finish.

    `work` is called in other processes: it and what it returns must be picklable, and small.
    """
    if chosen(engine) is Engine.spark:
        from pipelines import cluster

        yield from cluster.each_bucket(work, buckets)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(stage.workers(), buckets), mp_context=spawn) as pool:
        tasks = [pool.submit(work, bucket) for bucket in range(buckets)]
        try:
            for task in as_completed(tasks):
                yield task.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
