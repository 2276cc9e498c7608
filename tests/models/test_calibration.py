"""Platt calibration: recovers a known distortion, never reverses a ranking, never blows up."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from models.calibration import Platt, alternatives


def sample(slope: float, intercept: float, rows: int = 20_000, seed: int = 0):
    rng = np.random.default_rng(seed)
    margin = rng.normal(-2, 1.5, rows)
    y = (rng.random(rows) < expit(slope * margin + intercept)).astype(float)
    return margin, y


def test_a_known_distortion_is_recovered():
    fitted = Platt.fit(*sample(slope=0.6, intercept=-0.4))
    assert fitted.slope == pytest.approx(0.6, abs=0.05)
    assert fitted.intercept == pytest.approx(-0.4, abs=0.1)
    assert fitted.note == ""


def test_the_fit_is_the_maximum_likelihood_fit_up_to_the_smoothing():
    margin, y = sample(slope=1.3, intercept=0.5)
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(margin[:, None], y)
    fitted = Platt.fit(margin, y)
    assert fitted.slope == pytest.approx(reference.coef_[0, 0], rel=2e-3)
    assert fitted.intercept == pytest.approx(reference.intercept_[0], abs=5e-3)


def test_the_mean_prediction_is_the_mean_of_the_smoothed_targets():
    margin, y = sample(slope=0.8, intercept=0.0, rows=500)
    n1, n0 = y.sum(), (1 - y).sum()
    smoothed = (n1 * (n1 + 1) / (n1 + 2) + n0 / (n0 + 2)) / y.size
    assert Platt.fit(margin, y).predict(margin).mean() == pytest.approx(smoothed, abs=1e-12)


def test_platts_smoothing_keeps_a_separable_sample_finite():
    fitted = Platt.fit(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert 0 < fitted.slope < 10
    assert fitted.predict(np.array([2.0]))[0] < 0.9


def test_a_large_margin_scale_does_not_disturb_the_fit():
    margin, y = sample(slope=1.0, intercept=0.0)
    small, large = Platt.fit(margin, y), Platt.fit(margin * 1e6 + 3e6, y)
    np.testing.assert_allclose(small.predict(margin), large.predict(margin * 1e6 + 3e6), atol=1e-9)


def test_a_reversed_sample_keeps_the_ranking_and_says_so():
    margin, y = sample(slope=-0.5, intercept=-3.0)
    fitted = Platt.fit(margin, y)
    assert fitted.slope == 1.0
    assert "not positive" in fitted.note
    assert fitted.predict(margin).mean() == pytest.approx(y.mean(), abs=1e-3)


@pytest.mark.parametrize(
    ("margin", "y", "reason"),
    [
        ([-1.0, 0.0, 1.0], [0.0, 0.0, 0.0], "only one outcome"),
        ([-1.0, 0.0, 1.0], [1.0, 1.0, 1.0], "only one outcome"),
        ([0.5, 0.5, 0.5], [0.0, 1.0, 1.0], "all margins are equal"),
    ],
)
def test_a_sample_without_information_on_the_slope_only_shifts(margin, y, reason):
    fitted = Platt.fit(np.array(margin), np.array(y))
    assert fitted.slope == 1.0
    assert reason in fitted.note
    assert 0 < fitted.predict(np.array(margin)).mean() < 1


def test_equal_margins_get_the_smoothed_rate():
    fitted = Platt.fit(np.full(100, -3.0), np.repeat([1.0, 0.0], [20, 80]))
    target = (20 * 21 / 22 + 80 / 82) / 100
    assert fitted.log_odds(np.array([-3.0]))[0] == pytest.approx(logit(target), abs=1e-9)


def test_predictions_rise_with_the_margin():
    margin = np.linspace(-5, 5, 1001)
    assert (np.diff(Platt(0.3, -1.0).predict(margin)) > 0).all()


def test_two_fits_are_identical_and_survive_json_exactly():
    first, second = Platt.fit(*sample(0.7, 0.1)), Platt.fit(*sample(0.7, 0.1))
    assert first == second
    assert Platt.from_dict(json.loads(json.dumps(first.to_dict()))) == first


@pytest.mark.parametrize("slope", [0.0, -1.0, float("nan"), float("inf")])
def test_a_calibrator_that_could_reverse_a_ranking_cannot_exist(slope):
    with pytest.raises(ValueError, match="positive slope"):
        Platt(slope, 0.0)


def test_unusable_samples_are_refused():
    with pytest.raises(ValueError, match="needs rows"):
        Platt.fit(np.array([]), np.array([]))
    with pytest.raises(ValueError, match="finite margins"):
        Platt.fit(np.array([np.nan, 1.0]), np.array([0.0, 1.0]))
    with pytest.raises(ValueError, match="outcomes 0 or 1"):
        Platt.fit(np.array([0.0, 1.0]), np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match="isotonic"):
        Platt.from_dict({"kind": "isotonic", "slope": 1.0, "intercept": 0.0, "note": ""})


def test_platt_is_enough_where_the_distortion_is_a_line():
    found = alternatives(sample(0.8, -0.3, seed=1), sample(0.8, -0.3, seed=2))
    assert not found["beta"]["is_better"]
    assert not found["isotonic"]["is_better"]
    assert found["isotonic"]["gain"] < found["beta"]["gain"] < 2 * found["beta"]["se"]


def test_a_bent_distortion_is_told_by_both_alternatives():
    def bent(seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        margin = rng.normal(0, 2, 20_000)
        truth = np.where(margin > 0, 0.2, 1.5) * margin
        return margin, (rng.random(20_000) < expit(truth)).astype(float)

    found = alternatives(bent(1), bent(2))
    assert found["beta"]["is_better"] and found["isotonic"]["is_better"]


def test_alternatives_need_both_outcomes_on_either_date():
    margin, y = sample(1.0, 0.0, rows=100)
    with pytest.raises(ValueError, match="both outcomes"):
        alternatives((margin, y), (margin, np.zeros(100)))
