"""Other learners on matrices that benchmarks/models.py wrote; runs in an environment of its own.

`python benchmarks/peers.py flaml|catboost FOLDER SECONDS` reads FOLDER/data.npz and writes the
uncalibrated log-odds of the calibration and test rows to FOLDER/<name>.npz. Both choose their
settings by the log-loss on the calibration rows, which are later than the training rows.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

SEED = 7


def flaml(data: Any, seconds: float) -> Any:
    """FLAML's search over its boosted trees, which take missing values as they are."""
    from flaml import AutoML  # type: ignore[import-not-found]

    model = AutoML()
    model.fit(
        data["x_train"],
        data["y_train"],
        X_val=data["x_calibration"],
        y_val=data["y_calibration"],
        task="classification",
        metric="log_loss",
        estimator_list=["lgbm", "xgboost", "xgb_limitdepth", "catboost"],  # they read NaN
        time_budget=seconds,
        n_jobs=1,
        seed=SEED,
        verbose=0,
    )
    sys.stderr.write(f"flaml: {model.best_estimator} {model.best_config}\n")
    return model


def catboost(data: Any, seconds: float) -> Any:
    """CatBoost, the best of as many random settings as the time allows, stopped early."""
    from catboost import CatBoostClassifier  # type: ignore[import-not-found]

    generator = np.random.default_rng(SEED)
    began, best, least, tried = time.monotonic(), None, np.inf, 0
    while best is None or time.monotonic() - began < seconds:
        settings = {
            "depth": int(generator.integers(3, 8)),
            "learning_rate": float(10 ** generator.uniform(-2, -0.8)),
            "l2_leaf_reg": float(10 ** generator.uniform(0, 2)),
            "rsm": float(generator.uniform(0.1, 1.0)),
            "min_data_in_leaf": int(generator.integers(20, 400)),
        }
        model = CatBoostClassifier(
            iterations=1500,
            early_stopping_rounds=50,
            thread_count=1,
            random_seed=SEED,
            verbose=False,
            allow_writing_files=False,
            **(settings if tried else {}),  # the first trial is CatBoost as it comes
        )
        model.fit(
            data["x_train"],
            data["y_train"],
            eval_set=(data["x_calibration"], data["y_calibration"]),
        )
        loss = model.best_score_["validation"]["Logloss"]
        if loss < least:
            best, least = model, loss
        tried += 1
    sys.stderr.write(f"catboost: {tried} settings, best {best.get_params()}\n")
    return best


def main() -> None:
    """Fit one peer and write its log-odds."""
    name, folder, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    data = np.load(folder / "data.npz")
    model = {"flaml": flaml, "catboost": catboost}[name](data, seconds)
    margins = {}
    for part in ("calibration", "test"):
        p = np.clip(model.predict_proba(data[f"x_{part}"])[:, 1], 1e-9, 1 - 1e-9)
        margins[part] = np.log(p) - np.log1p(-p)
    np.savez(folder / f"{name}.npz", **margins)


if __name__ == "__main__":
    main()
