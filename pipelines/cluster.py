"""The only file that imports pyspark: the same work on the same buckets, as Spark tasks.

Started by `spark-submit` or with a `spark.master` in Spark's own configuration it runs on that
cluster; otherwise in Spark's local mode on this machine. See docs/spark.md.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from data.errors import InputError
from pipelines import stage

Result = TypeVar("Result")


def each_bucket(work: Callable[[int], Result], buckets: Sequence[int]) -> list[Result]:
    """`work(bucket)` for each of `buckets`, one Spark task each.

    Raises InputError when pyspark or Java is missing, or with a task's own InputError.
    """
    try:
        from pyspark import SparkConf
        from pyspark.errors import PySparkRuntimeError
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise InputError(
            "the Spark engine needs pyspark; run `pip install '.[spark]'` or use --engine local"
        ) from error
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        raise InputError("the Spark engine needs Java 17 or later on PATH or in JAVA_HOME")

    builder = SparkSession.builder.appName("retention").config("spark.ui.enabled", "false")
    if not SparkConf().contains("spark.master"):
        # The workers of the local mode are children of this process and use its interpreter.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = builder.master(f"local[{stage.workers()}]").config(
            "spark.driver.bindAddress", "127.0.0.1"
        )
    try:
        spark = builder.getOrCreate()
    except PySparkRuntimeError as error:
        raise InputError(f"Spark did not start: {error}") from error
    context = spark.sparkContext
    context.setLogLevel("ERROR")
    stage.say(f"spark: {len(buckets)} buckets on {context.master}")
    try:
        done = context.parallelize(buckets, len(buckets)).map(_guarded(work)).collect()
    finally:
        spark.stop()
    problems = [result for succeeded, result in done if not succeeded]
    if problems:
        raise InputError(problems[0])
    return [result for _, result in done]


def _guarded(work: Callable[[int], Result]) -> Callable[[int], tuple[bool, Any]]:
    """`work`, with an InputError as a value: Spark would retry it and bury it in a Java trace."""

    def run(bucket: int) -> tuple[bool, Any]:
        try:
            return True, work(bucket)
        except InputError as error:
            return False, str(error)

    return run
