"""The embedded world: what it looks like beside METHODS E, what it costs, and its truth as files.

    python -m benchmarks.world marginals [--world W1] [--customers 10000] [--write]
    python -m benchmarks.world scale [--customers 1000000] [--write]
    python -m benchmarks.world truth DIR [--worlds W0 W1 W2 W3 W5] [--customers 4000]

`marginals` prints what the truth behind the tables looks like. `scale` writes a world of 24 months
into a temporary folder (about 5 GB for a million customers) and says how fast and in how much
memory. `truth` writes the `true_effects.parquet` (per ticket and policies) and `oracle.parquet` of
METHODS E into DIR: nothing in the pipeline reads them. Seed and months are those of params.yaml;
`--write` puts a table into benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shlex
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from datetime import time as clock
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from data import world
from data.world import effects, oracle
from data.world.oracle import hours_since_start, outcomes, place_orders
from data.world.process import WEEK
from pipelines import params, paths, stage

RESULTS = paths.ROOT / "benchmarks" / "results"
ZONE = ZoneInfo("Asia/Tokyo")
ORACLE_CUSTOMERS = 4_000  # for the marginals
ORACLE_MONTHS = (9, 12, 15, 18)
MAX_ERROR = 0.0005  # METHODS E


def main(arguments: list[str]) -> None:
    """Run one of the three."""
    asked = _parser().parse_args(arguments)
    command = shlex.join(["python", "-m", "benchmarks.world", *arguments])
    settings = params.load().world
    if asked.what == "truth":
        truth(asked.folder, asked.worlds, asked.customers, settings.months, settings.seed)
        return
    if asked.what == "marginals":
        rows = marginals(asked.customers, settings.months, settings.seed, asked.world)
        page = _page(f"The world {asked.world} beside METHODS E", command, _table(rows))
        target = RESULTS / "world.md"
    else:
        found = scale(asked.customers, settings.months, settings.seed)
        page = _page("What a large world costs", command, found)
        target = RESULTS / "world_scale.md"
    sys.stdout.write(page)
    if asked.write:
        stage.write_text(target, page)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.world")
    what = parser.add_subparsers(dest="what", required=True)
    shape = what.add_parser("marginals", help="what the world looks like")
    shape.add_argument("--world", default="W1")
    shape.add_argument("--customers", type=int, default=10_000)
    cost = what.add_parser("scale", help="speed and memory of a large world")
    cost.add_argument("--customers", type=int, default=1_000_000)
    for part in (shape, cost):
        part.add_argument("--write", action="store_true")
    known = what.add_parser("truth", help="true effects and oracle as files")
    known.add_argument("folder", type=Path)
    known.add_argument("--worlds", nargs="+", default=["W0", "W1", "W2", "W3", "W5"])
    known.add_argument("--customers", type=int, default=4_000)
    return parser


def _page(title: str, command: str, table: str) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pyarrow"))
    return (
        f"# {title}\n\n`{command}`, {datetime.now(UTC).date().isoformat()}, Python"
        f" {platform.python_version()}, {packages}, {os.cpu_count()} cores.\n\n{table}"
    )


def scale(customers: int, months: int, seed: int) -> str:
    """Write a world and say what it took; memory is the most all processes could have held."""
    folder = Path(tempfile.mkdtemp(prefix="world-"))
    workers = stage.workers()
    try:
        before, started = _cpu(), time.monotonic()
        world.generate(
            folder / "out", customers=customers, months=months, seed=seed, workers=workers,
            progress=stage.say,
        )  # fmt: skip
        wall, used = time.monotonic() - started, _cpu() - before
        files = [path.stat().st_size for path in folder.rglob("*.parquet")]
    finally:
        shutil.rmtree(folder)
    own, child = (
        resource.getrusage(who).ru_maxrss / 2**20
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    peak = own + (workers * child if workers > 1 else 0.0)
    rows = {
        "customers": f"{customers:,}",
        "months": f"{months}",
        "processes": f"{workers}",
        "wall seconds": f"{wall:,.0f}",
        "CPU seconds": f"{used:,.0f}",
        "customers per second": f"{customers / wall:,.0f}",
        "customers per CPU second": f"{customers / used:,.0f}",
        "peak GB, all processes together, at most": f"{peak:.2f}",
        "GB written": f"{sum(files) / 1e9:.1f}",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())]) + "\n"


def _cpu() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in usage)


def truth(folder: Path, names: list[str], customers: int, months: int, seed: int) -> None:
    """Write `true_effects.parquet` and `oracle.parquet` of these worlds, a row per world each."""
    found, best = [], []
    for name in names:
        stage.say(f"world {name}: true effects per ticket")
        found.append(
            effects.true_effects(
                customers=customers, months=months, seed=seed, world=name, rollouts=2,
                max_error=MAX_ERROR,
            )
        )  # fmt: skip
        stage.say(f"world {name}: true effects of policies")
        found.append(
            effects.policy_effects(customers=customers, months=months, seed=seed, world=name)
        )
        stage.say(f"world {name}: oracle")
        best.append(
            oracle.oracle(
                customers=customers, months=months, seed=seed, world=name,
                cutoffs=[_first_of(month) for month in range(15, months - 3)],
            ).assign(world=name)
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.concat(found, ignore_index=True)
    effects.write(folder / "true_effects.parquet", frame)
    oracle.write(folder / "oracle.parquet", pd.concat(best, ignore_index=True))
    shown = frame[(frame["segment"] == "all") & (frame["outcome"] == "churn")]
    columns = ["world", "lever", "estimand", "horizon_d", "rd", "rr", "mc_se", "R", "n",
               "identified"]  # fmt: skip
    sys.stdout.write(shown[columns].to_string(index=False) + "\n")


def _first_of(month: int) -> datetime:
    """The as-of date after `month` months (from 0) of dates, 00:00 in Tokyo."""
    return datetime.combine(world.end(month), clock(), ZONE)


def marginals(customers: int, months: int, seed: int, name: str) -> list[tuple[str, str, str]]:
    """What it is, what METHODS' prototype had, what this world has."""
    ids = np.arange(1, customers + 1)
    scene = world.stage(ids, months=months, seed=seed, world=name)
    history, ticket = scene.history, scene.history.tickets
    start = np.arange(history.load.size)[:, None] * WEEK
    there = ((history.people.signup < start) & (history.left > start)).sum()
    first = ticket.first_response
    usual = ticket.follow_up[~ticket.in_pilot]
    without = ~history.people.contract
    orders = place_orders(scene)
    churn, again = [], []
    for month in range(6, 6 + months - 4):
        truth = outcomes(scene, orders, world.Clock.hours(month))
        churn.append(np.nanmean(truth["churn"]))
        again.append([np.nanmean(truth["repeat_purchase"][who]) for who in (without, ~without)])
    ((answered, score),) = _query(
        world.tables(ids[:2000], months=months, seed=seed, world=name),
        "SELECT count(*) FILTER (action = 'answered') / count(*) FILTER (action = 'sent'),"
        " avg(value) FILTER (action = 'answered' AND value <= 5)"
        " FROM surveys WHERE kind = 'csat' AND touchpoint = 'support'",
    )
    return [
        ("tickets a year", "3.3", f"{ticket.week.size / there * 52:.2f}"),
        ("human first response, median", "1.4 h", f"{np.median(first):.2f} h"),
        ("... within 1 h", "39 %", f"{(first <= 1).mean():.1%}"),
        ("... within 15 min", "7 %", f"{(first <= 0.25).mean():.1%}"),
        ("FCR", "79 %", f"{ticket.fcr.mean():.1%}"),
        ("escalated", "10 %", f"{ticket.escalated.mean():.1%}"),
        ("time to resolution, median", "3.4 h", f"{np.median(ticket.resolution):.2f} h"),
        ("followed up, outside the pilot", "42 %", f"{usual.mean():.1%}"),
        ("feedback after a ticket", "", f"{ticket.feedback.mean():.1%}"),
        ("... acted on", "", f"{ticket.acted_on[ticket.feedback].mean():.1%}"),
        ("CSAT answered", "34 %", f"{answered:.1%}"),
        ("CSAT, mean of answers", "3.4", f"{score:.2f}"),
        ("churn in 90 days, by month", "5-8 %", f"{min(churn):.1%}-{max(churn):.1%}"),
        ("repeat purchase in 60 days, no contract", "29 %", f"{np.mean(again, axis=0)[0]:.1%}"),
        ("... by month", "", f"{np.min(again, axis=0)[0]:.1%}-{np.max(again, axis=0)[0]:.1%}"),
        ("... with a contract", "", f"{np.mean(again, axis=0)[1]:.1%}"),
        *_oracle_aucs(min(customers, ORACLE_CUSTOMERS), months, seed, name),
    ]  # fmt: skip


def _oracle_aucs(customers: int, months: int, seed: int, name: str) -> list[tuple[str, str, str]]:
    """How well the outcomes can be predicted at all, pooled over a few dates."""
    cutoffs = [_first_of(month) for month in ORACLE_MONTHS if month <= months - 4]
    best = oracle.oracle(
        customers=customers, months=months, seed=seed, world=name, cutoffs=cutoffs, rollouts=16
    )
    scene = world.stage(np.arange(1, customers + 1), months=months, seed=seed, world=name)
    orders = place_orders(scene)
    number = best["customer_id"].str[1:].astype(int).to_numpy() - 1
    y = np.full(len(best), np.nan)
    for cutoff in cutoffs:
        truth = outcomes(scene, orders, hours_since_start(scene, cutoff))
        for target, label in truth.items():
            mine = (best["as_of"] == cutoff) & (best["target"] == target)
            y[mine] = label[number[mine]]
    best = best.assign(y=y).dropna()
    without = ~scene.history.people.contract[best["customer_id"].str[1:].astype(int) - 1]
    kinds = {
        ("AUC of the oracle, churn", ".76-.79"): best["target"] == "churn",
        ("... repeat purchase, no contract", ".71-.72"): (best["target"] != "churn") & without,
        ("... repeat purchase, everybody", ""): best["target"] != "churn",
    }
    return [
        (*names, f"{roc_auc_score(best['y'][mask], best['p_hist'][mask]):.3f}")
        for names, mask in kinds.items()
    ]


def _query(tables: dict, sql: str) -> list[tuple]:
    with duckdb.connect() as connection:
        connection.register("surveys", tables["surveys"])
        return connection.sql(sql).fetchall()


def _table(rows: list[tuple[str, str, str]]) -> str:
    lines = ["| marginal | METHODS' prototype | this world |", "|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


if __name__ == "__main__":
    stage.run(lambda: main(sys.argv[1:]))
