"""BG/NBD against the parameters published for the CDNOW sample, and against its own process."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime

from models.btyd import BGNBD, _log_likelihood

DATASETS = Path(os.environ.get("RETENTION_DATASETS", "../shared/datasets"))
SAMPLE = DATASETS / "cdnow_sample" / "CDNOW_sample.txt"
PUBLISHED = BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426, log_likelihood=-9582.4)


@pytest.fixture(scope="module")
def cdnow() -> pd.DataFrame:
    """The 2,357 customers' first 39 weeks (to 30 September 1997), in weeks: x, t_x, T."""
    root = Path(__file__).resolve().parents[2]
    rows = pd.read_csv(
        SAMPLE if SAMPLE.is_absolute() else root / SAMPLE,
        sep=r"\s+",
        header=None,
        names=["master_id", "id", "day", "cds", "dollars"],
        dtype={"master_id": str, "id": str, "day": str},
    )
    days = rows.assign(day=pd.to_datetime(rows["day"], format="%Y%m%d"))
    end = pd.Timestamp("1997-09-30")
    days = days[days["day"] <= end].drop_duplicates(["id", "day"])
    found = days.groupby("id")["day"].agg(["min", "max", "size"])
    return pd.DataFrame(
        {
            "x": found["size"] - 1,
            "t_x": (found["max"] - found["min"]).dt.days / 7,
            "T": (end - found["min"]).dt.days / 7,
        }
    )


def test_the_published_parameters_to_one_percent(cdnow: pd.DataFrame) -> None:
    assert len(cdnow) == 2357
    found = BGNBD.fit(cdnow["x"], cdnow["t_x"], cdnow["T"])
    for name in ("r", "alpha", "a", "b"):
        assert getattr(found, name) == pytest.approx(getattr(PUBLISHED, name), rel=0.01)
    assert found.log_likelihood == pytest.approx(PUBLISHED.log_likelihood, abs=0.1)


def test_days_instead_of_weeks_change_only_the_unit(cdnow: pd.DataFrame) -> None:
    weeks = BGNBD.fit(cdnow["x"], cdnow["t_x"], cdnow["T"])
    days = BGNBD.fit(cdnow["x"], 7 * cdnow["t_x"], 7 * cdnow["T"])
    assert days.alpha == pytest.approx(7 * weeks.alpha, rel=1e-3)
    assert (days.r, days.a, days.b) == pytest.approx((weeks.r, weeks.a, weeks.b), rel=1e-3)


def test_the_gradient_is_that_of_the_likelihood() -> None:
    x, t_x, T = np.array([0.0, 1, 5]), np.array([0.0, 3, 20]), np.array([10.0, 12, 30])
    at = np.array([0.7, 4.0, 0.9, 2.5])
    _, gradient = _log_likelihood(at, x, t_x, T)
    for row in range(3):
        numeric = approx_fprime(at, lambda p, row=row: _log_likelihood(p, x, t_x, T)[0][row], 1e-7)
        assert gradient[row] == pytest.approx(numeric, rel=1e-4, abs=1e-6)


def test_probabilities_by_hand() -> None:
    # r = alpha = a = b = 1, two repeats by 2, observed until 3.
    model = BGNBD(1, 1, 1, 1, 0)
    alive = 1 / (1 + 1 / 2 * (4 / 3) ** 3)
    assert model.probability_alive([2], [2], [3]) == pytest.approx([alive])
    assert model.probability_of_purchase([2], [2], [3], 4) == pytest.approx(
        [alive * (1 - (4 / 8) ** 3)]
    )
    # Nobody can have left without a repeat purchase.
    assert model.probability_alive([0], [0], [3]) == pytest.approx([1])


def test_it_recovers_the_process_it_assumes_and_predicts_it() -> None:
    truth = BGNBD(0.8, 30.0, 0.9, 2.5, 0)
    generator = np.random.default_rng(0)
    n, horizon = 6000, 60.0
    rate, leaves = generator.gamma(truth.r, 1 / truth.alpha, n), generator.beta(truth.a, truth.b, n)
    T = generator.uniform(200, 500, n)
    x, t_x, bought = np.zeros(n), np.zeros(n), np.zeros(n)
    now, active = np.zeros(n), np.ones(n, dtype=bool)
    while active.any():
        now = now + generator.exponential(1 / rate)
        inside, later = active & (now <= T), active & (now > T)
        bought[later & (now <= T + horizon)] = 1
        x, t_x = x + inside, np.where(inside, now, t_x)
        active = inside & (generator.random(n) >= leaves)
    found = BGNBD.fit(x, t_x, T)
    for name in ("r", "alpha", "a", "b"):
        assert getattr(found, name) == pytest.approx(getattr(truth, name), rel=0.2)
    predicted = found.probability_of_purchase(x, t_x, T, horizon)
    for group in np.array_split(np.argsort(predicted), 5):
        assert predicted[group].mean() == pytest.approx(bought[group].mean(), abs=0.03)


@pytest.mark.parametrize(
    ("x", "t_x", "T", "message"),
    [
        ([1], [5], [4], "no purchase history"),
        ([0], [1], [4], "no purchase history"),
        ([1, 2], [1], [4], "equal length"),
        ([0, 0], [0, 0], [4, 5], "more than once"),
    ],
)
def test_what_is_no_history_is_refused(
    x: list[float], t_x: list[float], T: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        BGNBD.fit(x, t_x, T)
