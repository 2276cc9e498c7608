from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.estimator import RetentionModel
from models.refits import bootstrap_refits, shadow_contributions

SETTINGS = {"num_iterations": 20, "num_leaves": 4, "max_depth": 3, "min_data_in_leaf": 20}


def table(customers: int = 300) -> pd.DataFrame:
    """Two rows per customer; y follows `signal` and not `noise`."""
    rng = np.random.default_rng(3)
    rows = 2 * customers
    signal = rng.normal(size=rows)
    y = rng.random(rows) < 1 / (1 + np.exp(-1.5 * signal))
    return pd.DataFrame(
        {
            "customer_id": np.repeat([f"C{i:04d}" for i in range(customers)], 2),
            "signal": signal,
            "noise": rng.normal(size=rows),
            "y": y.astype(float),
        }
    )


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return table()


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> RetentionModel:
    return RetentionModel.fit(
        frame,
        frame["y"],
        fit_rows=np.arange(400),
        calibration_rows=np.arange(400, 600),
        features=["signal", "noise"],
        params=SETTINGS,
        seed=1,
    )


def refitted(
    model: RetentionModel, frame: pd.DataFrame, workers: int = 1, seed: int = 5
) -> tuple[RetentionModel, ...]:
    return bootstrap_refits(
        model,
        frame,
        frame["y"],
        frame["customer_id"],
        fit_rows=np.arange(400),
        calibration_rows=np.arange(400, 600),
        refits=4,
        seed=seed,
        workers=workers,
    )


def test_the_number_of_workers_changes_no_refit(model: RetentionModel, frame: pd.DataFrame) -> None:
    alone, together = refitted(model, frame), refitted(model, frame, workers=3)
    assert [m.text for m in alone] == [m.text for m in together]
    assert [m.calibrator for m in alone] == [m.calibrator for m in together]


def test_refits_differ_from_each_other_and_from_the_model(
    model: RetentionModel, frame: pd.DataFrame
) -> None:
    texts = {model.text, *(m.text for m in refitted(model, frame))}
    assert len(texts) == 5
    assert refitted(model, frame, seed=6)[0].text not in texts


def test_refits_scatter_as_models_of_independent_samples_do(model: RetentionModel) -> None:
    """The spread over refits of one sample is about the spread over new samples."""
    rows = np.arange(400)
    probe = pd.DataFrame({"signal": [1.0], "noise": [0.0]})

    def fitted(seed: int) -> tuple[RetentionModel, pd.DataFrame]:
        rng = np.random.default_rng(seed)
        signal = rng.normal(size=600)
        new = pd.DataFrame({"signal": signal, "noise": rng.normal(size=600)})
        new["y"] = (rng.random(600) < 1 / (1 + np.exp(-1.5 * signal))).astype(float)
        new["customer_id"] = [f"C{i}" for i in range(600)]
        made = RetentionModel.fit(
            new,
            new["y"],
            fit_rows=rows,
            calibration_rows=np.arange(400, 600),
            features=["signal", "noise"],
            params=SETTINGS,
        )
        return made, new

    truth = np.std([fitted(seed)[0].log_odds(probe)[0] for seed in range(40)])
    made, new = fitted(100)
    again = bootstrap_refits(
        made,
        new,
        new["y"],
        new["customer_id"],
        fit_rows=rows,
        calibration_rows=np.arange(400, 600),
        refits=40,
        seed=1,
    )
    assert 0.5 < np.std([m.log_odds(probe)[0] for m in again]) / truth < 2


def test_shadows_of_a_signal_receive_less_than_the_signal(
    model: RetentionModel, frame: pd.DataFrame
) -> None:
    explained = frame.head(200)
    real, _ = model.contributions(explained)
    shadow = shadow_contributions(
        model, frame, frame["y"], fit_rows=np.arange(400), explained=explained, seed=2
    )
    assert shadow.shape == real.shape
    assert np.abs(shadow[:, 0]).mean() < 0.5 * np.abs(real[:, 0]).mean()
    assert np.abs(shadow).sum() > 0
