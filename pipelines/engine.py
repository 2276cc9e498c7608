"""Where the buckets are worked on: processes of this machine or Spark tasks.

The engine is chosen by `--engine` or RETENTION_ENGINE and not in params.yaml: a bucket's result
depends on its tables and the params alone, so no output and no cache depends on the engine.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
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
    work: Callable[[int], Result], buckets: int | Sequence[int], engine: Engine | None = None
) -> Iterator[Result]:
    """`work(bucket)` for each of `buckets`, or for 0 to `buckets` - 1, in the order they finish.

    `work` is called in other processes, unless there is to be one worker only: it and what it
    returns must be picklable, and small. Raises InputError when a process is killed.
    """
    numbers = range(buckets) if isinstance(buckets, int) else buckets
    if not numbers:
        return
    if chosen(engine) is Engine.spark:
        from pipelines import cluster

        yield from cluster.each_bucket(work, numbers)
        return
    if stage.workers() == 1:
        yield from map(work, numbers)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(stage.workers(), len(numbers)), mp_context=spawn, initializer=_end_with_parent
    ) as pool:
        tasks = [pool.submit(work, bucket) for bucket in numbers]
        try:
            for task in as_completed(tasks):
                yield task.result()
        except BrokenProcessPool as error:
            raise InputError(
                "a worker was killed, most likely for want of memory; set RETENTION_WORKERS lower"
                " or source.buckets higher"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """End this worker when the process that started it is killed: nobody else would."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
