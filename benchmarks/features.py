"""What the feature kernel costs, next to pandas, DuckDB, Polars, featuretools and bare reading.

    python -m benchmarks.features [--customers 20000] [--growth] [--peers PYTHON] [--only ours ...]

The task: for every customer and each of 12 monthly as-of dates, 11 aggregates of one stream of
events over 7 windows, exact quantiles among them. The events lie in Parquet files bucketed by
customer and sorted by customer and time, as ingest writes them. Every contender runs in a process
of its own, which is charged for everything it does, imports included, but not for the check that
all give the same answers: per feature the number of values and their sum over all rows, and every
single value of the first customers. Before that, each runs on ten customers, so that none is
charged for compiling: Python's bytecode and the kernel's machine code are cached by then.

Polars and featuretools are not among this project's dependencies (featuretools does not run with
its pandas); they run in an interpreter of their own, named by `--peers` or RETENTION_PEERS_PYTHON:

    uv venv --python 3.11 /tmp/peers
    uv pip install --python /tmp/peers/bin/python -r benchmarks/requirements-peers.txt
    python -m benchmarks.features --customers 200000 --growth --peers /tmp/peers/bin/python
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
TINY = 10

FEATURETOOLS_CUSTOMERS = 300
"""What featuretools can do in a minute or two."""

GROWTH = (20_000, 200_000, 1_000_000)

NOTE = (
    "Median CPU of {repeats} runs for ours and the two bounds, one run for the others; peak memory"
    " is the highest. Other work on the machine raises CPU seconds through shared caches, so"
    " compare rows of one table only; wall time is left out because it depends on that work"
    " altogether."
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
        table = _read(path)
        customer = table["customer"].to_numpy()
        start = np.flatnonzero(np.diff(customer, prepend=-1, append=-1))
        at = table["known_at"].cast(pa.int64()).to_numpy()
        values = np.empty((len(columns), at.size))
        for to, column in zip(values, columns, strict=True):
            to[:] = table[column].to_numpy()
        facts = Facts(
            start=start,
            at=at,
            known_from=at,
            known_until=np.full(at.size, FOREVER),
            values=values.T,
            columns=columns,
        )
        ids = customer[start[:-1]]
        row_customer = np.repeat(np.arange(ids.size), as_ofs.size)
        row_as_of = np.tile(as_ofs, ids.size)
        answers = aggregate(facts, questions, row_customer, row_as_of)
        for i in range(as_ofs.size):
            yield ids, i, answers[i :: as_ofs.size]


def _read(path: Path) -> pa.Table:
    # Not pq.read_table, which imports pyarrow's dataset layer and pandas first.
    return pq.ParquetFile(path, memory_map=True).read(use_threads=False)


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


def featuretools(folder: Path) -> Answers:
    """One calculate_feature_matrix per window, with the as-of dates as cutoff times."""
    import pandas as pd

    ft = importlib.import_module("featuretools")
    events = pd.read_parquet(folder).reset_index(names="event")
    events["log_hours"] = np.log1p(events["hours"])
    customers = pd.DataFrame({"customer": events["customer"].unique()})
    entities = ft.EntitySet("events")
    entities.add_dataframe(customers, "customers", index="customer")
    entities.add_dataframe(events, "events", index="event", time_index="known_at")
    entities.add_relationship("customers", "customer", "events", "customer")
    cutoffs = pd.MultiIndex.from_product([customers["customer"], AS_OFS]).to_frame(index=False)
    cutoffs.columns = pd.Index(["customer", "time"])
    primitives = ft.primitives
    numeric = importlib.import_module("woodwork.column_schema").ColumnSchema(
        semantic_tags={"numeric"}
    )

    class P90(primitives.AggregationPrimitive):  # type: ignore[name-defined]
        """The 90th percentile, which featuretools lacks."""

        name = "p90"
        input_types = (numeric,)
        return_type = numeric

        def get_function(self) -> Callable[[Any], float]:
            return lambda column: column.quantile(0.9)

    def over(column: str, primitive: Any) -> Any:
        base = ft.Feature(entities["events"].ww[column])
        return ft.Feature(base, parent_dataframe_name="customers", primitive=primitive)

    asked = [
        over("event", primitives.Count),
        over("amount", primitives.Sum),
        over("amount", primitives.Mean),
        over("amount", primitives.Min),
        over("amount", primitives.Max),
        over("amount", primitives.Std),
        over("fast", primitives.Sum),
        over("hours", primitives.Mean),
        over("log_hours", primitives.Mean),
        over("hours", primitives.Median),
        over("hours", P90),
    ]
    parts = []
    for window in WINDOWS:
        found = ft.calculate_feature_matrix(
            asked,
            entities,
            cutoff_time=cutoffs,
            training_window=f"{window} days",
            include_cutoff_time=False,
            cutoff_time_in_index=True,
        )
        found = found.sort_index()
        part = found[[feature.get_name() for feature in asked]].to_numpy(dtype=np.float64)
        number = np.nan_to_num(part[:, 0])
        part[:, 6] = np.where(number > 0, (part[:, 6] + 5 * REFERENCE) / (number + 5), np.nan)
        part[:, 8] = np.expm1(part[:, 8])
        parts.append(part)
    values = np.column_stack(parts)
    for i, as_of in enumerate(AS_OFS):
        rows = found.index.get_level_values("time") == as_of
        yield found.index.get_level_values("customer")[rows].to_numpy(), i, values[rows]


def scan(folder: Path) -> None:
    """Read every column of every file."""
    for path in sorted(folder.glob("*.parquet")):
        _read(path)


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
    "featuretools": featuretools,
}
LOWER_BOUNDS: dict[str, Callable[[Path], None]] = {
    "scan": scan,
    "scan_and_aggregate": scan_and_aggregate,
}
REPEATED = ("ours", *LOWER_BOUNDS)
ELSEWHERE = ("polars", "featuretools")
PACKAGES = ("numpy", "numba", "pandas", "pyarrow", "duckdb")


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


class Arena:
    """Where contenders run: folders of events made once, and the interpreters to use."""

    def __init__(self, scratch: Path, peers: str | None) -> None:
        self.scratch = scratch
        self.peers = peers
        self.events: dict[int, int] = {}
        # Bytecode is cached wherever and however this is run, as in any installation.
        self.environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(scratch / "bytecode")}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def runs(self, name: str) -> bool:
        """Whether there is an interpreter for this contender."""
        return name not in ELSEWHERE or self.peers is not None

    def folder(self, customers: int) -> Path:
        folder = self.scratch / f"events_{customers}"
        if customers not in self.events:
            folder.mkdir()
            self.events[customers] = generate(folder, customers)
        return folder

    def measure(self, name: str, customers: int) -> dict[str, Any]:
        """Run one contender in a fresh process: CPU seconds, peak GB and the answers' summary."""
        answers = self.scratch / f"{name}_{customers}.npz"
        python = self.peers if name in ELSEWHERE and self.peers else sys.executable
        # The peers' warnings about their own calls are not for the readers of this report.
        quiet = ["-W", "ignore"] if name in ELSEWHERE else []
        command = [python, *quiet, "-m", "benchmarks.features", "--contender", name]
        command += ["--folder", str(self.folder(customers)), "--answers", str(answers)]
        command += ["--customers", str(customers)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        spent: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if name in CONTENDERS:
            spent["answers"] = dict(np.load(answers))
        return spent

    def repeat(self, name: str, customers: int, times: int) -> dict[str, Any]:
        """The median CPU and the highest peak of several runs, after one on ten customers."""
        self.measure(name, TINY)
        tiny = self.measure(name, TINY)
        runs = [self.measure(name, customers) for _ in range(times)]
        cpu = statistics.median(run["cpu"] for run in runs)
        return {
            **runs[0],
            "cpu": cpu,
            "gb": max(run["gb"] for run in runs),
            "per_row": (cpu - tiny["cpu"]) / ((customers - TINY) * AS_OFS.size),
        }


def _contend(name: str, folder: Path, customers: int, answers: Path) -> None:
    checking = 0.0
    if name in CONTENDERS:
        summary, checking = summarise(CONTENDERS[name](folder), customers)
        np.savez(answers, allow_pickle=False, **summary)
    else:
        LOWER_BOUNDS[name](folder)
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = {
        "versions": {
            package: sys.modules[package].__version__
            for package in (*PACKAGES, *ELSEWHERE)
            if package in sys.modules
        },
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


def _agreement(found: dict[str, Any], reference: dict[str, Any]) -> str:
    differing = disagreements(reference, found)
    return "differs: " + ", ".join(differing) if differing else "yes"


def compare(arena: Arena, customers: int, names: list[str], repeats: int) -> list[str]:
    """Run the contenders one after the other; the report as lines of Markdown."""
    spent: dict[str, dict[str, Any]] = {}
    for name in names:
        if arena.runs(name) and name != "featuretools":
            spent[name] = arena.repeat(name, customers, repeats if name in REPEATED else 1)
    reference = next((spent[name] for name in CONTENDERS if name in spent), None)
    lines = [
        f"{customers:,} customers x {AS_OFS.size} monthly as-of dates x {len(NAMES)} windowed"
        f" features ({len(MEASURES)} aggregates, exact quantiles among them, over {len(WINDOWS)}"
        f" windows); {arena.events.get(customers, 0):,} events. CPU seconds of the whole process,"
        " imports included, the check of the answers not.",
        "",
        "| way | CPU s | CPU / ours | peak GB | same answers |",
        "|---|--:|--:|--:|---|",
    ]
    base = spent["ours"]["cpu"] if "ours" in spent else np.nan
    for name, used in spent.items():
        agreed = "-"
        if reference and name in CONTENDERS:
            agreed = _agreement(used["answers"], reference["answers"])
        lines.append(
            f"| {_what(name)} | {used['cpu']:.1f} | {used['cpu'] / base:.2f} |"
            f" {used['gb']:.2f} | {agreed} |"
        )
    rivals = {n: used["cpu"] for n, used in spent.items() if n in CONTENDERS and n != "ours"}
    if rivals and "ours" in spent:
        best = min(rivals, key=lambda name: rivals[name])
        lines += ["", f"Ours needs {rivals[best] / base:.1f} times less CPU than {best}, the next."]
        if "scan_and_aggregate" in spent:
            lines[-1] += (
                f" It needs {base / spent['scan_and_aggregate']['cpu']:.1f} times the CPU of the"
                " bare scan and aggregate."
            )
    versions = {k: v for used in spent.values() for k, v in used["versions"].items()}
    if "featuretools" in names and arena.runs("featuretools") and "ours" in spent:
        small, ours_small = (
            arena.repeat(name, FEATURETOOLS_CUSTOMERS, 1) for name in ("featuretools", "ours")
        )
        agreed = _agreement(small["answers"], ours_small["answers"])
        versions["featuretools"] = small["versions"]["featuretools"]
        lines += [
            "",
            f"{_what('featuretools')} At {FEATURETOOLS_CUSTOMERS} customers: {small['cpu']:.1f}"
            f" CPU s, {small['gb']:.2f} GB; same answers: {agreed}. Per customer and as-of date,"
            f" beyond what {TINY} customers cost, it needs {small['per_row'] * 1e3:.2f} ms, ours at"
            f" {customers:,} customers {spent['ours']['per_row'] * 1e3:.5f} ms:"
            f" {small['per_row'] / max(spent['ours']['per_row'], 1e-9):,.0f} times as much.",
        ]
    left_out = [name for name in names if not arena.runs(name)]
    known = ", ".join(f"{name} {versions[name]}" for name in sorted(versions))
    lines += ["", f"Python {platform.python_version()}, {known}; {os.cpu_count()} CPUs."]
    lines += [NOTE.format(repeats=repeats)]
    lines += [f"Left out for want of `--peers`: {name}." for name in left_out]
    return lines


def _what(name: str) -> str:
    return (
        f"{name}: " + ((CONTENDERS.get(name) or LOWER_BOUNDS[name]).__doc__ or "").splitlines()[0]
    )


def grow(arena: Arena, repeats: int) -> list[str]:
    """Ours at several sizes; the report as lines of Markdown."""
    lines = [
        "## Growth",
        "",
        "| customers | events | CPU s | CPU ms per customer | peak GB |",
        "|--:|--:|--:|--:|--:|",
    ]
    for customers in GROWTH:
        used = arena.repeat("ours", customers, repeats)
        lines.append(
            f"| {customers:,} | {arena.events[customers]:,} | {used['cpu']:.1f} |"
            f" {used['cpu'] / customers * 1e3:.4f} | {used['gb']:.2f} |"
        )
    return lines


def main() -> None:
    """Run the comparison, or one contender of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    everyone = [*CONTENDERS, *LOWER_BOUNDS]
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3, help="runs of ours and of the bounds")
    parser.add_argument("--growth", action="store_true", help="ours at several sizes as well")
    parser.add_argument(
        "--peers",
        default=os.environ.get("RETENTION_PEERS_PYTHON"),
        help="the interpreter that has Polars and featuretools",
    )
    parser.add_argument("--only", nargs="+", choices=everyone, default=everyone)
    parser.add_argument("--contender", choices=everyone, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--answers", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.contender:
        _contend(asked.contender, asked.folder, asked.customers, asked.answers)
        return
    command = f"python -m benchmarks.features --customers {asked.customers}"
    command += " --growth" * asked.growth + " --peers PYTHON" * bool(asked.peers)
    lines = ["# Feature computation", "", f"`{command}`", ""]
    with tempfile.TemporaryDirectory() as scratch:
        arena = Arena(Path(scratch), asked.peers)
        lines += compare(arena, asked.customers, asked.only, asked.repeats)
        if asked.growth:
            lines += ["", *grow(arena, asked.repeats)]
    report = "\n".join(lines) + "\n"
    sys.stdout.write(report)
    if asked.only == everyone:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
