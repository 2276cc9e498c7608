"""The models against other learners, and the lessons of docs/models.md in figures.

After `dvc repro`:

- `python -m benchmarks.models peers [--minutes 10] [--origins 3]`: FLAML and CatBoost on the same
  matrices, split and calibration, by the Python that RETENTION_PEERS_PYTHON (or `--python`) names,
  with benchmarks/peers.txt installed.
- `python -m benchmarks.models real [--sources cdnow_sample ...]`: the whole pipeline on the public
  data sets, against simple rules and the figures known of them. Needs no `dvc repro`.
- `python -m benchmarks.models splits`: what a random split would have claimed.
- `python -m benchmarks.models speed`: 1,000 resamples of 200,000 rows.
- `python -m benchmarks.models memory [--rows 10000000]`: training on 100 features, streamed.

Each replaces its own section of benchmarks/results/models.md.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import yaml
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from data.errors import InputError
from features.catalog import Feature
from features.labels import LABELLED, TASKS
from models import evaluation, value
from models.calibration import Platt
from models.estimator import Encoder, fixed_settings
from models.splits import CustomerOrigin, Origin
from pipelines import evaluate, load, params, paths, stage, train
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


@dataclass(frozen=True)
class Known:
    """A public data set, what of params.yaml it needs to be otherwise, and what is known of it."""

    source: str
    task: str
    auc: str
    changed: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    note: str = ""


REAL: dict[str, Known] = {
    # A year is short: with two calibration dates one month of customers would be left to train on.
    "online_retail": Known(
        "online_retail",
        "repeat_purchase",
        "none for 60 days",
        {"train": {"calibration_cutoffs": 1}},
        "60 days, one calibration date",
    ),
    # Three spans of 90 + 7 + 10 days do not fit into it, three of 90 + 7 just do.
    "online_retail_90": Known(
        "online_retail",
        "repeat_purchase",
        "about 0.73",
        {
            "labels": {"repeat_purchase_horizon_days": 90, "gap_days": 0, "lag_days": 7},
            "train": {"calibration_cutoffs": 1},
        },
        "90 days, no gap, one calibration date",
    ),
    "cdnow_sample": Known("cdnow_sample", "repeat_purchase", "none; BG/NBD is the reference"),
    "airline_loyalty": Known("airline_loyalty", "churn", "about 0.77"),
    "telco_classic": Known(
        "telco_classic", "churn", "0.84-0.85", {}, "every customer tested once, in fifths"
    ),
}
STEPS = ("source", "ingest", "tone", "featurize")
COPIED = ("benchmarks", "data", "features", "models", "reports", "pipelines")


def real(arguments: argparse.Namespace) -> list[str]:
    """The default settings on data that nobody here made."""
    lines = [
        "Default settings, every test date that a source has. Gain: our AUC minus the rule's, the"
        " rule's log-loss minus ours, paired, 95 % customer-clustered; positive = ours is better."
        " Rules learn from all rows that ours trains or calibrates on. Slope and level (log-odds)"
        " are 1 and 0 for perfect calibration.",
        "",
        "| data | model | AUC | known | log-loss | AUC gain of ours | log-loss gain of ours |"
        " slope | level |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name in arguments.sources:
        known = REAL[name]
        stage.say(f"real: {name}")
        pooled = _in_project(known)
        y, customers = pooled["y"].to_numpy(), pooled["customer_id"].to_numpy()
        title = f"{known.source}, {known.task}" + (f" ({known.note})" if known.note else "")
        title += f", {len(y):,} rows, {int(min(y.sum(), len(y) - y.sum())):,} events"
        for rule in ("model", *RULES):
            if rule not in pooled:
                continue
            p = pooled[rule].to_numpy()
            found = evaluation.point_metrics(y, p)
            gains = " | | |"
            if rule != "model":
                gain = evaluation.paired_gain(
                    y, pooled["model"].to_numpy(), p, customers, resamples=1000, seed=0
                )
                gains = "".join(f" {_shown(gain[key])} |" for key in ("auc", "log_loss"))
                gains = " | " + gains.lstrip()
            first = f"| {title} | ours | " if rule == "model" else f"| | {rule} | "
            lines.append(
                first
                + f"{found['auc']:.4f} | {known.auc if rule == 'model' else ''} |"
                + f" {found['log_loss']:.4f}{gains}"
                + f" {found['calibration_slope']:.2f} | {found['calibration_in_the_large']:+.2f} |"
            )
            stage.say(lines[-1])
    return lines


RULES = ("rfm_logistic", "bg_nbd", "logistic")


def _in_project(known: Known) -> pd.DataFrame:
    """Out-of-time predictions of ours and of the rules, from a project of its own."""
    with tempfile.TemporaryDirectory(prefix="models-") as home:
        project = Path(home)
        for package in COPIED:
            shutil.copytree(
                paths.ROOT / package,
                project / package,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        settings = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
        settings["source"] |= {"name": known.source, "first_as_of": None, "last_as_of": None}
        for section, changed in known.changed.items():
            settings[section] |= changed
        (project / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        datasets = paths.ROOT.parent / "shared" / "datasets"
        environment = {"RETENTION_DATASETS": str(datasets), **os.environ}
        predicted = project / "predicted.parquet"
        commands = [["pipelines.cli", step] for step in STEPS]
        commands.append(["benchmarks.models", "predict", "--task", known.task])
        commands[-1] += ["--to", str(predicted)]
        for command in commands:
            done = subprocess.run(
                [sys.executable, "-m", *command],
                cwd=project,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise InputError(
                    f"{known.source}: {command[:2]} failed: {done.stderr.strip()[-1000:]}"
                )
        return pd.read_parquet(predicted)


def predict(task: str, to: Path) -> None:
    """Within the project of one data set: customer_id, y, "model" and the rules, as Parquet."""
    settings = params.load()
    wanted = load.catalog(settings)
    origins, production, reason = train.origins(task, settings)
    if reason is not None or production is None:
        raise InputError(f"{settings.source.name}: {reason['en'] if reason else 'no origin'}")
    rows = load.feature_rows(task)
    rows = rows[rows[f"{task}_status"] == LABELLED].reset_index(drop=True)
    if isinstance(production, CustomerOrigin):
        _in_fifths(task, settings, rows, production).to_parquet(to)
        return
    zone = load.summary()["time_zone"]
    for origin in origins:
        fit, calibration, _ = origin.rows(rows)
        model = train.fit(task, settings, rows, wanted, origin, fit, calibration)
        model.save(paths.MODELS / task / f"origin-{load.day(origin.test, zone)}")
    evaluate.predictions(task, settings).to_parquet(to)


def _in_fifths(
    task: str, settings: Params, rows: pd.DataFrame, production: CustomerOrigin
) -> pd.DataFrame:
    """A snapshot's customers, each tested once: ours and a logistic regression on everything."""
    wanted = load.catalog(settings)
    y = rows[task].to_numpy(dtype=np.float64)
    parts = []
    for first in range(5):
        origin = Fifths(production.test, production.calibration, production.train, first=first)
        fit, calibration, test = origin.rows(rows)
        known = np.concatenate([fit, calibration])
        model = train.fit(task, settings, rows, wanted, origin, fit, calibration)
        logistic = _one_hot_logistic(wanted).fit(rows.iloc[known], y[known])
        held_out = rows.iloc[test]
        parts.append(
            pd.DataFrame(
                {
                    "customer_id": held_out["customer_id"],
                    "y": y[test],
                    "model": model.predict(held_out),
                    "logistic": logistic.predict_proba(held_out)[:, 1],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class Fifths(CustomerOrigin):
    """The split of a snapshot, turned: fifth `first` tests, the next calibrates, the rest train."""

    first: int = 0

    def rows(self, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions of the training, calibration and test rows."""
        digests = (hashlib.sha256(str(customer).encode()) for customer in rows["customer_id"])
        part = np.array([int.from_bytes(digest.digest()[:4]) % 5 for digest in digests])
        turned = (part - self.first) % 5
        return np.flatnonzero(turned > 1), np.flatnonzero(turned == 1), np.flatnonzero(turned == 0)


def _one_hot_logistic(wanted: Mapping[str, Feature]) -> Pipeline:
    """Logistic regression on every feature: what a snapshot is usually modelled with."""
    categories = [name for name, feature in wanted.items() if feature.unit == "category"]
    numbers = [name for name in wanted if name not in categories]
    columns = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), categories),
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=3000))


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
    parser.add_argument("what", choices=("peers", "real", "splits", "speed", "memory", "predict"))
    parser.add_argument(
        "--python",
        default=os.environ.get("RETENTION_PEERS_PYTHON"),
        help="a Python with benchmarks/peers.txt installed",
    )
    parser.add_argument("--sources", nargs="+", choices=REAL, default=list(REAL))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--origins", type=int, default=3)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--task", choices=TASKS, help="of predict")
    parser.add_argument("--to", type=Path, help="of predict, which `real` calls")
    arguments = parser.parse_args()
    if arguments.what == "predict":
        predict(arguments.task, arguments.to)
        return
    if arguments.what == "peers" and not arguments.python:
        parser.error("peers needs RETENTION_PEERS_PYTHON or --python")
    run = {"peers": peers, "real": real, "splits": splits, "speed": speed, "memory": memory}[
        arguments.what
    ]
    titles = {
        "peers": "Against FLAML and CatBoost",
        "real": "Public data sets",
        "splits": "A random split against a split in time",
        "speed": "Intervals",
        "memory": "Training on more rows than fit in memory",
    }
    _write(titles[arguments.what], run(arguments))


if __name__ == "__main__":
    stage.run(main)
