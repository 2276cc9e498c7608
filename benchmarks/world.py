"""The embedded world's marginals beside those of METHODS E, and its true effects.

`python -m benchmarks.world [DIR [customers [world]]]`: prints what the tables of the world look
like; with a folder it also writes the `true_effects.parquet` of METHODS E there (about a minute per
1,000 customers). The seed and months are those of params.yaml. Nothing in the pipeline reads it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from data import world
from data.world import effects
from data.world.oracle import outcomes, place_orders
from data.world.process import WEEK
from pipelines import params, stage

CUSTOMERS = 10_000


def main(folder: Path | None = None, customers: int = CUSTOMERS, name: str = "W1") -> None:
    """Print the marginals and, if a folder is given, write the true effects."""
    settings = params.load().world
    sys.stdout.write(_table(marginals(customers, settings.months, settings.seed, name)))
    if folder is None:
        return
    stage.say("true effects: re-simulating")
    months, seed = settings.months, settings.seed
    found = [effects.true_effects(customers=customers, months=months, seed=seed, world=name)]
    if world.WORLDS[name].change_month is None:
        found.append(
            effects.policy_effects(customers=customers, months=months, seed=seed, world=name)
        )
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.concat(found, ignore_index=True)
    effects.write(folder / "true_effects.parquet", frame)
    shown = frame[(frame["segment"] == "all") & (frame["outcome"] == "churn")]
    columns = ["lever", "estimand", "horizon_d", "rd", "rr", "mc_se", "n", "identified"]
    sys.stdout.write("\n" + shown[columns].to_string(index=False) + "\n")


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
        ("... with a contract", "", f"{np.mean(again, axis=0)[1]:.1%}"),
    ]  # fmt: skip


def _query(tables: dict, sql: str) -> list[tuple]:
    with duckdb.connect() as connection:
        connection.register("surveys", tables["surveys"])
        return connection.sql(sql).fetchall()


def _table(rows: list[tuple[str, str, str]]) -> str:
    lines = ["| marginal | METHODS' prototype | this world |", "|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


if __name__ == "__main__":
    stage.run(
        lambda: main(
            Path(sys.argv[1]) if len(sys.argv) > 1 else None,
            int(sys.argv[2]) if len(sys.argv) > 2 else CUSTOMERS,
            sys.argv[3] if len(sys.argv) > 3 else "W1",
        )
    )
