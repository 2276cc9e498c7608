"""The models against other learners, and the lessons of docs/models.md in figures.

After `dvc repro`:

- `python -m benchmarks.models peers --python PATH [--minutes 10] [--origins 3]`: FLAML and CatBoost
  on the same matrices, split and calibration; PATH is a Python with benchmarks/peers.txt installed.
- `python -m benchmarks.models splits`: what a random split would have claimed.
- `python -m benchmarks.models speed`: 1,000 resamples of 200,000 rows.
- `python -m benchmarks.models memory [--rows 10000000]`: training on 100 features, streamed.

Each replaces its own section of benchmarks/results/models.md.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from features.labels import LABELLED, TASKS
from models import evaluation, value
from models.calibration import Platt
from models.estimator import Encoder, fixed_settings
from models.splits import Origin
from pipelines import load, params, stage, train
from pipelines.params import Params

RESULTS = Path(__file__).parent / "results" / "models.md"
PEERS = Path(__file__).parent / "peers.py"


def peers(arguments: argparse.Namespace) -> list[str]:
    """Our model and the peers, calibrated alike, on every test origin; paired intervals."""
    settings = params.load()
    lines = [
        f"Test origins pooled: the last {arguments.origins}; {arguments.minutes:g} minutes of"
        " search (wall time) per peer, task and origin on one thread. Every model is trained on"
        " the training dates, chosen (peers) and"
        " calibrated (all, Platt) on the calibration dates. Gain: ours minus the peer's AUC, the"
        " peer's minus our log-loss, with 95 % customer-clustered intervals; positive = ours is"
        " better.",
        "",
        "| task | model | AUC | log-loss | AUC gain of ours | log-loss gain of ours |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for task in TASKS:
        parts = [
            _predicted(task, settings, rows, origin, arguments)
            for rows, origin in _origins(task, settings)[-arguments.origins :]
        ]
        pooled = pd.concat(parts, ignore_index=True)
        y, customers = pooled["y"].to_numpy(), pooled["customer_id"].to_numpy()
        for name in ("ours", "flaml", "catboost"):
            p = pooled[name].to_numpy()
            found = evaluation.point_metrics(y, p)
            line = f"| {task} | {name} | {found['auc']:.4f} | {found['log_loss']:.4f} |"
            if name == "ours":
                lines.append(line + " | |")
                continue
            gain = evaluation.paired_gain(
                y, pooled["ours"].to_numpy(), p, customers, resamples=1000, seed=0
            )
            lines.append(line + "".join(f" {_shown(gain[key])} |" for key in ("auc", "log_loss")))
    return lines


def _predicted(
    task: str, settings: Params, rows: pd.DataFrame, origin: Origin, arguments: argparse.Namespace
) -> pd.DataFrame:
    wanted = load.catalog(settings)
    categories = [name for name, feature in wanted.items() if feature.unit == "category"]
    fit, calibration, test = origin.rows(rows)
    encoder, x_train, _ = Encoder.fit(rows, list(wanted), categories, fit)
    y = rows[task].to_numpy(dtype=np.float64)
    found = pd.DataFrame({"customer_id": rows["customer_id"].to_numpy()[test], "y": y[test]})
    ours = train.fit(task, settings, rows, wanted, origin, fit, calibration)
    found["ours"] = ours.predict(rows.iloc[test])
    with tempfile.TemporaryDirectory() as scratch:
        np.savez(
            Path(scratch) / "data.npz",
            x_train=x_train,
            y_train=y[fit],
            x_calibration=encoder.transform(rows, calibration),
            y_calibration=y[calibration],
            x_test=encoder.transform(rows, test),
        )
        for name in ("flaml", "catboost"):
            stage.say(f"peers: {task}, {origin.test:%Y-%m-%d}, {name}")
            subprocess.run(
                [arguments.python, str(PEERS), name, scratch, str(60 * arguments.minutes)],
                check=True,
            )
            with np.load(Path(scratch) / f"{name}.npz") as margins:
                calibrator = Platt.fit(margins["calibration"], y[calibration])
                found[name] = calibrator.predict(margins["test"])
    return found


def splits(arguments: argparse.Namespace) -> list[str]:
    """The same learner on the same rows, split at random and in time."""
    settings = params.load()
    lines = [
        'The same settings and rows. "Random rows" holds out a fifth of all labelled rows at'
        ' random, "random customers" a fifth of the customers, "in time" is the replay'
        " protocol pooled over the test origins. All are calibrated on rows of their own.",
        "",
        "| task | split | AUC | log-loss skill | calibration in the large | rows tested |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for task in TASKS:
        wanted = load.catalog(settings)
        results = []
        origins = list(_origins(task, settings))
        rows = origins[0][0]
        y = rows[task].to_numpy(dtype=np.float64)
        customers = evaluation.cluster_codes(rows["customer_id"])
        generator = np.random.default_rng(0)
        draws = {
            "random rows": generator.random(len(rows)),
            "random customers": generator.random(customers.max() + 1)[customers],
        }
        for name, draw in draws.items():
            fit, calibration, test = (
                np.flatnonzero((draw >= low) & (draw < high))
                for low, high in ((0.0, 0.65), (0.65, 0.8), (0.8, 1.0))
            )
            model = train.fit(task, settings, rows, wanted, origins[-1][1], fit, calibration)
            results.append((name, y[test], model.predict(rows.iloc[test])))
        timed = [
            (y[test], train.fit(task, settings, rows, wanted, origin, fit, calibration), test)
            for rows, origin in origins
            for fit, calibration, test in [origin.rows(rows)]
        ]
        results.append(
            (
                "in time",
                np.concatenate([truth for truth, _, _ in timed]),
                np.concatenate([model.predict(rows.iloc[test]) for _, model, test in timed]),
            )
        )
        for name, truth, p in results:
            found = evaluation.point_metrics(truth, p)
            rate = truth.mean()
            base = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
            lines.append(
                f"| {task} | {name} | {found['auc']:.3f} | {1 - found['log_loss'] / base:.3f} |"
                f" {found['calibration_in_the_large']:+.3f} | {len(truth):,} |"
            )
    return lines


def speed(arguments: argparse.Namespace) -> list[str]:
    """CPU seconds of every interval on 200,000 rows."""
    generator = np.random.default_rng(0)
    rows = 200_000
    customers = generator.integers(0, rows // 3, rows)
    p = generator.beta(1, 12, rows)
    y = (generator.random(rows) < p).astype(float)
    other = np.clip(p + generator.normal(0, 0.02, rows), 0, 1)
    costs = value.Costs(30_000, 3_000, 200)
    size: dict[str, Any] = {"resamples": 1000, "seed": 0}
    jobs: dict[str, Callable[[], object]] = {
        "all metrics": lambda: evaluation.bootstrap_metrics(y, p, customers, **size),
        "paired log-loss and AUC": lambda: evaluation.paired_gain(y, p, other, customers, **size),
        "EMPC": lambda: value.bootstrap_empc(y, p, customers, costs, **size),
        "profit curve": lambda: value.profit_curve(y, p, customers, costs, **size),
    }
    lines = [
        "1,000 customer-clustered resamples of 200,000 rows of 66,667 customers, one thread.",
        "",
        "| figure | CPU s |",
        "|---|--:|",
    ]
    for name, job in jobs.items():
        size["resamples"] = 1
        job()  # compiles
        size["resamples"] = 1000
        began = time.process_time()
        job()
        lines.append(f"| {name} | {time.process_time() - began:.1f} |")
        stage.say(lines[-1])
    return lines


def memory(arguments: argparse.Namespace) -> list[str]:
    """Training on rows that are made chunk by chunk and never all in memory as numbers."""
    columns, chunk = 100, 250_000
    rows = arguments.rows
    weights = np.random.default_rng(1).normal(0, 0.15, columns)

    def made(index: int) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng([2, index])
        x = generator.standard_normal((chunk, columns), dtype=np.float32)
        return x, (generator.random(chunk) < 1 / (1 + np.exp(2.5 - x @ weights))).astype(np.float32)

    class Chunks(lgb.Sequence):
        """Rows by number, a chunk of them in memory at a time."""

        batch_size = chunk

        def __init__(self, index: int) -> None:
            self.index = index

        def __len__(self) -> int:
            return chunk

        def __getitem__(self, where: Any) -> np.ndarray:
            if cache.get("index") != self.index:
                cache.update(index=self.index, x=made(self.index)[0])
            return cache["x"][where].astype(np.float64)

    cache: dict[str, Any] = {}
    count = rows // chunk
    began, cpu = time.monotonic(), time.process_time()
    y = np.concatenate([made(index)[1] for index in range(count)])
    settings = fixed_settings(7, 1) | {"num_leaves": 16, "learning_rate": 0.1, "max_bin": 255}
    data = lgb.Dataset([Chunks(index) for index in range(count)], y, params=settings)
    data.construct()
    stage.say(f"memory: dataset of {count * chunk:,} rows built")
    lgb.train(settings, data, num_boost_round=arguments.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return [
        f"{count * chunk:,} rows x {columns} features, {arguments.rounds} trees of 16 leaves,"
        f" `lightgbm.Sequence` in chunks of {chunk:,} rows: peak {peak:.2f} GB,"
        f" {time.process_time() - cpu:.0f} CPU s, {time.monotonic() - began:.0f} s on a machine"
        " with other work.",
    ]


def _origins(task: str, settings: Params) -> list[tuple[pd.DataFrame, Origin]]:
    rows = load.feature_rows(task)
    rows = rows[rows[f"{task}_status"] == LABELLED].reset_index(drop=True)
    return [(rows, origin) for origin in train.origins(task, settings)[0]]


def _shown(interval: dict[str, float]) -> str:
    return f"{interval['value']:+.4f} [{interval['low']:+.4f}, {interval['high']:+.4f}]"


def _write(title: str, lines: list[str]) -> None:
    """Replace the section `title` of the results, or add it."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Models\n"
    section = f"## {title}\n\n" + "\n".join(lines) + "\n"
    pattern = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.S | re.M)
    if pattern.search(text):
        text = pattern.sub(lambda _: section + "\n", text)
    else:
        text = text.rstrip("\n") + "\n\n" + section
    stage.write_text(RESULTS, text.rstrip("\n") + "\n")
    sys.stdout.write(section)


def main() -> None:
    """Run one benchmark and write its section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("peers", "splits", "speed", "memory"))
    parser.add_argument("--python", help="a Python with benchmarks/peers.txt installed")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--origins", type=int, default=3)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    if arguments.what == "peers" and not arguments.python:
        parser.error("peers needs --python")
    run = {"peers": peers, "splits": splits, "speed": speed, "memory": memory}[arguments.what]
    titles = {
        "peers": "Against FLAML and CatBoost",
        "splits": "A random split against a split in time",
        "speed": "Intervals",
        "memory": "Training on more rows than fit in memory",
    }
    _write(titles[arguments.what], run(arguments))


if __name__ == "__main__":
    stage.run(main)
