"""What exact SHAP values cost: the tables of `models.treeshap` next to the libraries.

Each contender explains the same model and the first of the same rows in a process of its own; slow
ones explain fewer rows, and the figure is rows per CPU second. Agreement is checked on the rows
that all explained. `woodelf` (pip install woodelf-explainer) is left out when it is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import lightgbm as lgb
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "shap.md"
FEATURES = 80
SHAPES = {"deep": (63, 8, 400), "default": (16, 6, 250)}
"""Leaves, depth limit and number of trees: the hard case, and about this project's own models."""

Explain = Callable[[np.ndarray], np.ndarray]


def ours(booster: lgb.Booster) -> Explain:
    """Tables built once per model, one look-up per row and group of leaves."""
    from models.treeshap import TreeExplainer

    return TreeExplainer(booster).shap_values


def pred_contrib(booster: lgb.Booster) -> Explain:
    """LightGBM's own path-dependent TreeSHAP."""
    return lambda X: np.asarray(booster.predict(X, pred_contrib=True, num_threads=1))[:, :-1]


def shap(booster: lgb.Booster) -> Explain:
    """shap.TreeExplainer, tree_path_dependent."""
    import shap as library

    explainer = library.TreeExplainer(booster, feature_perturbation="tree_path_dependent")
    return lambda X: np.asarray(explainer.shap_values(X)).reshape(len(X), FEATURES)


def woodelf(booster: lgb.Booster) -> Explain:
    """woodelf-explainer, path dependent."""
    import pandas as pd
    from woodelf import WoodelfExplainer

    explainer = WoodelfExplainer(booster)
    return lambda X: np.asarray(
        explainer.shap_values(pd.DataFrame(X, columns=booster.feature_name()))
    )


CONTENDERS: dict[str, tuple[Callable[[lgb.Booster], Explain], int]] = {
    "ours": (ours, 200_000),
    "woodelf": (woodelf, 20_000),
    "pred_contrib": (pred_contrib, 1_000),
    "shap": (shap, 1_000),
}
"""Each contender and the most rows it explains."""


def rows(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Float32 features, a tenth of them missing, and an outcome with interactions."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(number, FEATURES)).astype(np.float32)
    X[rng.random(X.shape, dtype=np.float32) < 0.1] = np.nan
    known = np.nan_to_num(X[:, :20])
    margin = (
        known[:, 0] + known[:, 1] * known[:, 2] + np.sin(3 * known[:, 3]) + known[:, 4:].mean(1)
    )
    return X, (margin + rng.logistic(size=number) > 0.5).astype(float)


def contend(name: str, model: Path, answers: Path, most: int) -> None:
    """Explain, and print what it cost as JSON: the run of one contender's process."""
    make, limit = CONTENDERS[name]
    X, _ = rows(most, seed=1)
    booster = lgb.Booster(model_file=model)
    began = time.process_time()
    explain = make(booster)
    explain(X[:10])  # compiles what is compiled; its cost counts as building
    built = time.process_time()
    values = explain(X[:limit])
    done = time.process_time()
    np.save(answers, values[:1_000], allow_pickle=False)
    spent = {
        "build": built - began,
        "rows": len(values),
        "rows_per_second": len(values) / (done - built),
        "gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    sys.stdout.write(json.dumps(spent))


def compare(shape: str, most: int) -> list[str]:
    """Run all contenders on one shape of model; the lines of its table."""
    leaves, depth, trees = SHAPES[shape]
    lines = [
        "",
        f"## {trees} trees of at most {leaves} leaves and depth {depth}, {FEATURES} features",
        "",
        "| way | rows per CPU s | x shap | build CPU s | peak GB | largest difference |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "model.txt"
        settings = {
            "objective": "binary",
            "num_leaves": leaves,
            "max_depth": depth,
            "min_data_in_leaf": 20,
            "feature_fraction": 0.5,
            "learning_rate": 0.05,
            "verbosity": -1,
            "seed": 7,
        }
        X, y = rows(60_000, seed=0)
        lgb.train(settings, lgb.Dataset(X, y), trees).save_model(model)
        spent, values = {}, {}
        for name in CONTENDERS:
            if name == "woodelf" and not importlib.util.find_spec("woodelf"):
                continue
            answers = Path(scratch) / f"{name}.npy"
            command = [sys.executable, "-m", "benchmarks.shap", "--contender", name]
            command += ["--model", str(model), "--answers", str(answers), "--rows", str(most)]
            done = subprocess.run(
                command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            spent[name] = json.loads(done.stdout)
            values[name] = np.load(answers)
    for name, cost in spent.items():
        what = (CONTENDERS[name][0].__doc__ or "").strip().rstrip(".")
        apart = np.abs(values[name][:1_000] - values["pred_contrib"]).max()
        ratio = cost["rows_per_second"] / spent["shap"]["rows_per_second"]
        lines.append(
            f"| {name}: {what} | {cost['rows_per_second']:,.0f} | {ratio:,.1f} |"
            f" {cost['build']:.1f} | {cost['gb']:.2f} | {apart:.0e} |"
        )
    return lines


def main() -> None:
    """Run the comparison, or one contender of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=200_000, help="rows to explain at most")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--answers", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.contender:
        contend(asked.contender, asked.model, asked.answers, asked.rows)
        return
    packages = ", ".join(f"{p} {version(p)}" for p in ("lightgbm", "numba", "numpy", "shap"))
    lines = [
        "# SHAP values",
        "",
        "`python -m benchmarks.shap`",
        "",
        "One thread each; differences are to LightGBM's `pred_contrib` on 1,000 rows, in log-odds.",
        *(line for shape in SHAPES for line in compare(shape, asked.rows)),
        "",
        f"{packages}. CPU seconds depend on the machine: compare rows of one table.",
    ]
    report = "\n".join(lines) + "\n"
    sys.stdout.write(report)
    RESULTS.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
