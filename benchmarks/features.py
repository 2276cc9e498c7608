"""What the feature kernel costs, next to pandas, DuckDB, Polars and the bare reading of the data.

    python -m benchmarks.features [--customers 20000] [--only ours duckdb ...]

The task: for every customer and each of 12 monthly as-of dates, 11 aggregates of one stream of
events over 7 windows, exact quantiles among them. The events lie in Parquet files bucketed by
customer and sorted by customer and time, as ingest writes them. Every contender runs in a process
of its own, which is charged for everything it does, imports included, but not for the check that
all give the same answers: per feature the number of values and their sum over all rows, and every
single value of the first customers.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "features.md"

DAY_US = 86_400_000_000
AS_OFS = np.arange("2024-01", "2025-01", dtype="datetime64[M]").astype("datetime64[us]")
FIRST_DAY = np.datetime64("2023-01-01", "us")
WINDOWS = (7, 14, 30, 60, 90, 180, 365)
MEASURES = (
    "count",
    "amount_sum",
    "amount_mean",
    "amount_min",
    "amount_max",
    "amount_std",
    "fast_share",
    "hours_mean",
    "hours_geomean",
    "hours_p50",
    "hours_p90",
)
NAMES = tuple(f"{measure}_{window}d" for window in WINDOWS for measure in MEASURES)
REFERENCE = 0.4
EVENTS_PER_CUSTOMER = 70
CUSTOMERS_PER_BUCKET = 6_250
CHECKED_CUSTOMERS = 500

NOTE = (
    "One run each. Other work on the machine raises CPU seconds through shared caches, so compare"
    " rows of one table only; wall time is left out because it depends on that work altogether."
)

Answers = Iterator[tuple[np.ndarray, int, np.ndarray]]
"""Parts of the feature table: customers [n], the index of the as-of date, values [n x features].

Customers that a part leaves out have no event in its widest window.
"""


def generate(folder: Path, customers: int) -> int:
    """Write the events of customers 0, 1, ... under `folder`; return how many there are."""
    events = 0
    for bucket, first in enumerate(range(0, customers, CUSTOMERS_PER_BUCKET)):
        rng = np.random.default_rng([20240101, bucket])
        here = np.arange(first, min(first + CUSTOMERS_PER_BUCKET, customers))
        # Few customers are busy: a gamma-Poisson number of events, spread over two years.
        counts = rng.poisson(rng.gamma(1.5, EVENTS_PER_CUSTOMER / 1.5, here.size))
        customer = np.repeat(here, counts).astype(np.int32)
        days = int((AS_OFS[-1] - FIRST_DAY) / np.timedelta64(1, "D")) + 31
        at = rng.integers(0, days * DAY_US, customer.size)
        order = np.lexsort((at, customer))
        hours = np.round(rng.lognormal(1.0, 1.2, customer.size), 3)
        table = pa.table(
            {
                "customer": customer[order],
                "known_at": FIRST_DAY + at[order].astype("timedelta64[us]"),
                "amount": np.round(rng.lognormal(3.0, 1.0, customer.size), 2),
                "hours": pa.array(hours, mask=rng.random(customer.size) < 0.4),
                "fast": (rng.random(customer.size) < 0.4).astype(np.float64),
            }
        )
        pq.write_table(table, folder / f"bucket={bucket:03d}.parquet")
        events += customer.size
    return events


def ours(folder: Path) -> Answers:
    """The feature kernel, bucket by bucket."""
    from features import aggregates as ask
    from features.kernel import FOREVER, Facts, aggregate

    questions = [
        (question, window)
        for window in WINDOWS
        for question in (
            ask.count(),
            ask.total("amount"),
            ask.mean("amount"),
            ask.lowest("amount"),
            ask.highest("amount"),
            ask.spread("amount"),
            ask.share("fast", REFERENCE),
            ask.mean("hours"),
            ask.geomean("hours"),
            ask.quantile("hours", 0.5),
            ask.quantile("hours", 0.9),
        )
    ]
    columns = ("amount", "hours", "fast")
    as_ofs = AS_OFS.astype(np.int64)
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path, use_threads=False)
        ids, start = np.unique(table["customer"].to_numpy(), return_index=True)
        at = table["known_at"].cast(pa.int64()).to_numpy().copy()  # writable: one compiled kernel
        facts = Facts(
            start=np.append(start, at.size),
            at=at,
            known_from=at,
            known_until=np.full(at.size, FOREVER),
            values=np.column_stack([table[column].to_numpy() for column in columns]),
            columns=columns,
        )
        row_customer = np.repeat(np.arange(ids.size), as_ofs.size)
        row_as_of = np.tile(as_ofs, ids.size)
        values = aggregate(facts, questions, row_customer, row_as_of)
        for i in range(as_ofs.size):
            yield ids, i, values[i :: as_ofs.size]


def pandas(folder: Path) -> Answers:
    """One groupby per as-of date and window, on one frame of all events."""
    import pandas as pd

    events = pd.read_parquet(folder)
    events["log_hours"] = np.log1p(events["hours"])
    for i, as_of in enumerate(AS_OFS):
        parts = []
        until = pd.Timestamp(as_of)
        for window in WINDOWS:
            since = until - pd.Timedelta(days=window)
            groups = events[(events["known_at"] >= since) & (events["known_at"] < until)].groupby(
                "customer"
            )
            part = groups.agg(
                count=("amount", "size"),
                amount_sum=("amount", "sum"),
                amount_mean=("amount", "mean"),
                amount_min=("amount", "min"),
                amount_max=("amount", "max"),
                amount_std=("amount", "std"),
                fast_share=("fast", "sum"),
                hours_mean=("hours", "mean"),
                hours_geomean=("log_hours", "mean"),
            )
            part["fast_share"] = (part["fast_share"] + 5 * REFERENCE) / (part["count"] + 5)
            part["hours_geomean"] = np.expm1(part["hours_geomean"])
            part["hours_p50"] = groups["hours"].quantile(0.5)
            part["hours_p90"] = groups["hours"].quantile(0.9)
            parts.append(part)
        joined = pd.concat(parts, axis=1).sort_index()
        yield joined.index.to_numpy(), i, joined.to_numpy(dtype=np.float64)


def _duckdb_columns(until: str) -> str:
    columns = []
    for window in WINDOWS:
        inside = f"FILTER (known_at >= {until} - INTERVAL {window} DAY)"
        columns += [
            f"count(*) {inside}",
            f"sum(amount) {inside}",
            f"avg(amount) {inside}",
            f"min(amount) {inside}",
            f"max(amount) {inside}",
            f"stddev_samp(amount) {inside}",
            f"(sum(fast) {inside} + {5 * REFERENCE}) / (count(*) {inside} + 5)",
            f"avg(hours) {inside}",
            f"exp(avg(ln(1 + hours)) {inside}) - 1",
            f"quantile_cont(hours, 0.5) {inside}",
            f"quantile_cont(hours, 0.9) {inside}",
        ]
    return ", ".join(f"{sql} AS {name}" for sql, name in zip(columns, NAMES, strict=True))


def _matrix(found: dict[str, np.ndarray]) -> np.ndarray:
    return np.column_stack([np.ma.filled(found[name].astype(np.float64), np.nan) for name in NAMES])


def duckdb(folder: Path) -> Answers:
    """One SELECT per bucket: events joined to as-of dates, filtered aggregates.

    Cheaper than one SELECT per as-of date over all files (19 against 21 CPU s, 20,000 customers).
    """
    connection = importlib.import_module("duckdb").connect()
    dates = ", ".join(f"({i}, TIMESTAMP '{as_of}')" for i, as_of in enumerate(AS_OFS))
    for path in sorted(folder.glob("*.parquet")):
        found = connection.sql(f"""
            SELECT customer, i, {_duckdb_columns("until")}
            FROM read_parquet('{path}') JOIN (VALUES {dates}) AS dates (i, until)
                ON known_at >= until - INTERVAL {max(WINDOWS)} DAY AND known_at < until
            GROUP BY customer, i, until
        """).fetchnumpy()
        values = _matrix(found)
        for i in range(AS_OFS.size):
            rows = found["i"] == i
            yield found["customer"][rows], i, values[rows]


def polars(folder: Path) -> Answers:
    """One lazy group_by per as-of date and window, on one frame of all events."""
    pl = importlib.import_module("polars")
    events = pl.read_parquet(f"{folder}/*.parquet", hive_partitioning=False)
    amount, hours, fast = pl.col("amount"), pl.col("hours"), pl.col("fast")
    for i, as_of in enumerate(AS_OFS):
        joined: Any = None
        for window in WINDOWS:
            since = as_of - np.timedelta64(window, "D")
            inside = (pl.col("known_at") >= since.item()) & (pl.col("known_at") < as_of.item())
            measured = (
                pl.len().cast(pl.Float64),
                amount.sum(),
                amount.mean(),
                amount.min(),
                amount.max(),
                amount.std(),
                (fast.sum() + 5 * REFERENCE) / (pl.len() + 5),
                hours.mean(),
                hours.log1p().mean().exp() - 1,
                hours.quantile(0.5, "linear"),
                hours.quantile(0.9, "linear"),
            )
            named = [
                column.alias(f"{name}_{window}d")
                for column, name in zip(measured, MEASURES, strict=True)
            ]
            part = events.lazy().filter(inside).group_by("customer").agg(named)
            joined = part if joined is None else part.join(joined, on="customer", how="left")
        found = joined.collect().select(["customer", *NAMES])
        values = found.select(NAMES).cast(pl.Float64).to_numpy()
        yield found["customer"].to_numpy(), i, values


def scan(folder: Path) -> None:
    """Read every column of every file."""
    for path in sorted(folder.glob("*.parquet")):
        pq.read_table(path)


def scan_and_aggregate(folder: Path) -> None:
    """Read every file; one DuckDB hash aggregate by customer and month."""
    importlib.import_module("duckdb").sql(f"""
        SELECT customer, date_trunc('month', known_at) AS month, count(*), sum(amount), min(amount),
               max(amount), sum(hours), count(hours), sum(fast)
        FROM read_parquet('{folder}/*.parquet') GROUP BY ALL
    """).fetchnumpy()


CONTENDERS: dict[str, Callable[[Path], Answers]] = {
    "ours": ours,
    "pandas": pandas,
    "duckdb": duckdb,
    "polars": polars,
}
LOWER_BOUNDS: dict[str, Callable[[Path], None]] = {
    "scan": scan,
    "scan_and_aggregate": scan_and_aggregate,
}


def summarise(answers: Answers, customers: int) -> tuple[dict[str, np.ndarray], float]:
    """Per feature the values' number and sum over all rows, and all values of a few customers.

    Also returns the CPU seconds that this took, the making of the answers not counted.
    """
    spent = 0.0
    zero = np.array([name.startswith(("count", "amount_sum")) for name in NAMES])
    number, total = np.zeros(len(NAMES)), np.zeros(len(NAMES))
    checked = np.full((AS_OFS.size, min(CHECKED_CUSTOMERS, customers), len(NAMES)), np.nan)
    checked[:, :, zero] = 0.0
    for ids, i, values in answers:
        began = time.process_time()
        number += np.count_nonzero(~np.isnan(values) & ~(zero & (values == 0)), axis=0)
        total += np.nansum(values, axis=0)
        few = ids < checked.shape[1]
        rows = values[few]
        rows[:, zero] = np.nan_to_num(rows[:, zero])
        checked[i, ids[few]] = rows
        spent += time.process_time() - began
    return {"number": number, "total": total, "checked": checked}, spent


def measure(name: str, folder: Path, customers: int, answers: Path) -> dict[str, float]:
    """Run one contender in a fresh process; its CPU seconds and peak memory in GB."""
    command = [sys.executable, "-m", "benchmarks.features", "--contender", name]
    command += ["--folder", str(folder), "--customers", str(customers), "--answers", str(answers)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def _contend(name: str, folder: Path, customers: int, answers: Path) -> None:
    checking = 0.0
    if name in CONTENDERS:
        summary, checking = summarise(CONTENDERS[name](folder), customers)
        np.savez(answers, allow_pickle=False, **summary)
    else:
        LOWER_BOUNDS[name](folder)
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = {
        "cpu": used.ru_utime + used.ru_stime - checking,
        "gb": used.ru_maxrss / 1e6,
    }
    sys.stdout.write(json.dumps(spent))


def disagreements(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Features on which two contenders differ by more than rounding."""
    return [
        name
        for i, name in enumerate(NAMES)
        if one["number"][i] != other["number"][i]
        or not np.isclose(one["total"][i], other["total"][i], rtol=1e-9)
        or not np.allclose(
            one["checked"][:, :, i], other["checked"][:, :, i], 1e-9, 1e-9, equal_nan=True
        )
    ]


def compare(customers: int, names: list[str]) -> str:
    """Run the contenders one after the other; the report as Markdown."""
    available = [n for n in names if n != "polars" or importlib.util.find_spec("polars")]
    spent: dict[str, dict[str, float]] = {}
    agreed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "events"
        folder.mkdir()
        events = generate(folder, customers)
        # Compiles the kernel into numba's cache, which any later process finds ready.
        tiny = Path(scratch) / "tiny"
        tiny.mkdir()
        generate(tiny, 10)
        measure("ours", tiny, 10, Path(scratch) / "tiny.npz")
        reference = None
        for name in available:
            answers = Path(scratch) / f"{name}.npz"
            spent[name] = measure(name, folder, customers, answers)
            agreed[name] = "-"
            if name in CONTENDERS:
                found = dict(np.load(answers))
                reference = reference or found
                differing = disagreements(reference, found)
                agreed[name] = "differs: " + ", ".join(differing) if differing else "yes"
    return _report(customers, events, spent, agreed, set(names) - set(available))


def _report(
    customers: int,
    events: int,
    spent: dict[str, dict[str, float]],
    agreed: dict[str, str],
    left_out: set[str],
) -> str:
    packages = ("numpy", "numba", "pandas", "pyarrow", "duckdb", "polars")
    installed = [p for p in packages if p not in left_out]
    versions = ", ".join(f"{p} {version(p)}" for p in installed if importlib.util.find_spec(p))
    lines = [
        "# Feature computation",
        "",
        f"`python -m benchmarks.features --customers {customers}`",
        "",
        f"{customers:,} customers x {AS_OFS.size} monthly as-of dates x {len(NAMES)} windowed"
        f" features ({len(MEASURES)} aggregates, exact quantiles among them, over {len(WINDOWS)}"
        f" windows); {events:,} events. CPU seconds of the whole process, imports"
        " included, the check of the answers not.",
        "",
        "| way | CPU s | CPU / ours | peak GB | same answers |",
        "|---|--:|--:|--:|---|",
    ]
    base = spent["ours"]["cpu"] if "ours" in spent else np.nan
    for name, used in spent.items():
        what = ((CONTENDERS.get(name) or LOWER_BOUNDS[name]).__doc__ or "").splitlines()[0]
        lines.append(
            f"| {name}: {what} | {used['cpu']:.1f} | {used['cpu'] / base:.2f} |"
            f" {used['gb']:.2f} | {agreed[name]} |"
        )
    lines += ["", f"Python {platform.python_version()}, {versions}; {os.cpu_count()} CPUs."]
    lines += [NOTE]
    lines += [f"Left out because it is not installed: {name}." for name in sorted(left_out)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the comparison, or one contender of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    everyone = [*CONTENDERS, *LOWER_BOUNDS]
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--only", nargs="+", choices=everyone, default=everyone)
    parser.add_argument("--contender", choices=everyone, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--answers", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.contender:
        _contend(asked.contender, asked.folder, asked.customers, asked.answers)
        return
    report = compare(asked.customers, asked.only)
    sys.stdout.write(report)
    if asked.only == everyone:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
