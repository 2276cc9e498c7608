"""How much of the achievable skill the pipeline's models have, in the embedded world.

`python -m benchmarks.science [rollouts]` after `dvc repro` with the source `world`: it takes the
predictions of every test origin and asks the oracle about the same customers on the same dates.
1.00 means as good as anyone could be who knows the whole recorded history and every parameter.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from data.errors import InputError
from data.world.oracle import oracle
from features.labels import TASKS
from models import evaluation
from pipelines import evaluate, load, params, stage
from pipelines.params import Params

ROLLOUTS = 256


def main(rollouts: int = ROLLOUTS) -> None:
    """Print one table per task. Raises InputError unless the artifacts are of the world."""
    settings = params.load()
    if settings.source.name != "world":
        raise InputError(
            f"source.name is {settings.source.name!r}: only the world has an oracle; "
            "run `dvc repro` with the source world first"
        )
    predictions = {task: evaluate.predictions(task, settings) for task in TASKS}
    best = _oracle(predictions, settings, rollouts)
    for task, predicted in predictions.items():
        mine = best[best["target"] == task]
        rows = predicted.merge(mine, on=["customer_id", "as_of"], how="inner")
        lost = len(predicted) - len(rows)
        table = pd.DataFrame(
            [
                {"as of": as_of} | _compared(group)
                for as_of, group in (*rows.groupby("as_of"), ("all", rows))
            ]
        )
        gap = evaluation.paired_gain(
            rows["y"].to_numpy(),
            rows["model"].to_numpy(),
            rows["p_hist"].to_numpy(),
            rows["customer_id"].to_numpy(),
            resamples=settings.evaluate.resamples,
            seed=settings.evaluate.seed,
        )
        lines = [
            f"\n{task}: {len(rows):,} rows ({lost} more that the oracle knows to be ineligible)",
            table.to_string(index=False, float_format=lambda value: f"{value:.4f}"),
            *(
                f"model over oracle, {name}: {gap[name]['value']:+.4f} "
                f"[{gap[name]['low']:+.4f}, {gap[name]['high']:+.4f}]"
                for name in ("auc", "log_loss")
            ),
            f"oracle's Monte Carlo standard error per row: {rows['mc_se'].mean():.4f}",
        ]
        sys.stdout.write("\n".join(lines) + "\n")


def _oracle(predictions: dict[str, pd.DataFrame], settings: Params, rollouts: int) -> pd.DataFrame:
    zone = load.summary()["time_zone"]
    days = sorted(set().union(*(set(part["as_of"]) for part in predictions.values())))
    found = oracle(
        customers=settings.world.customers,
        months=settings.world.months,
        seed=settings.world.seed,
        world=settings.world.name,
        cutoffs=[at.to_pydatetime() for at in load.as_of_times(days, zone)],
        rollouts=rollouts,
    )
    return found.assign(as_of=[load.day(at, zone) for at in found["as_of"]])


def _compared(rows: pd.DataFrame) -> dict[str, float]:
    """The model's and the oracle's figures, and the shares of the achievable."""
    y = rows["y"].to_numpy()
    model, best, state = (
        evaluation.point_metrics(y, rows[name].to_numpy())
        for name in ("model", "p_hist", "p_state")
    )
    base = evaluation.point_metrics(y, np.full(len(y), y.mean()))["log_loss"]
    return {
        "rows": len(rows),
        "rate": y.mean(),
        "auc": model["auc"],
        "oracle auc": best["auc"],
        "class-knowing auc": state["auc"],
        "auc share": (model["auc"] - 0.5) / (best["auc"] - 0.5),
        "log loss": model["log_loss"],
        "oracle log loss": best["log_loss"],
        "log loss share": (base - model["log_loss"]) / (base - best["log_loss"]),
        "lift share": model["lift_top_decile"] / best["lift_top_decile"],
    }


if __name__ == "__main__":
    stage.run(lambda: main(*(int(argument) for argument in sys.argv[1:2])))
