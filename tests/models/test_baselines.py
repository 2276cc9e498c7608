"""The baselines a model must beat."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from models.baselines import LogLogistic, Prior, available_baselines

COLUMNS = {
    "recency": ["days_since_last_order", "days_since_last_visit"],
    "frequency": ["order_count_365d"],
    "monetary": ["order_amount_sum_365d"],
}


def table(rows: int = 3000, seed: int = 1) -> tuple[pd.DataFrame, np.ndarray]:
    """Churn rises with the log of recency and falls with the log of frequency."""
    rng = np.random.default_rng(seed)
    recency = rng.exponential(60, rows).astype(np.float32)
    frequency = rng.poisson(3, rows).astype(np.float32)
    money = (rng.normal(50, 40, rows) * frequency).astype(np.float32)
    y = rng.random(rows) < expit(-4 + np.log1p(recency) - np.log1p(frequency))
    frame = pd.DataFrame(
        {
            "days_since_last_order": recency,
            "order_count_365d": frequency,
            "order_amount_sum_365d": money,
        }
    )
    return frame, y.astype(float)


ALL = np.arange(3000)


def test_the_prior_is_the_share_of_positives_among_the_fitted_rows():
    frame = pd.DataFrame({"x": [0.0] * 5})
    y = np.array([1.0, 0.0, 0.0, 0.0, np.nan])
    prior = Prior().fit(frame, y, np.array([0, 1, 2, 3]))
    assert prior.predict(frame).tolist() == [0.25] * 5


def test_recency_ranks_by_recency_and_is_calibrated_in_the_large():
    frame, y = table()
    p = LogLogistic(["days_since_last_order"]).fit(frame, y, ALL).predict(frame)
    order = np.argsort(frame["days_since_last_order"].to_numpy(), kind="stable")
    assert (np.diff(p[order]) >= 0).all()
    assert p.mean() == pytest.approx(y.mean(), abs=1e-4)


def test_rfm_uses_more_than_recency():
    frame, y = table()
    found, left_out = available_baselines(COLUMNS, frame.columns)
    auc = {name: roc_auc_score(y, b.fit(frame, y, ALL).predict(frame)) for name, b in found.items()}
    assert left_out == {}
    assert auc["prior"] == 0.5 < 0.6 < auc["recency"] < auc["rfm_logistic"] - 0.03


def test_a_missing_value_has_its_own_effect():
    # Those without any order leave far more often than the average customer.
    frame, y = table()
    never = np.arange(3000) % 5 == 0
    frame.loc[never, "days_since_last_order"] = np.nan
    y[never] = np.random.default_rng(3).random(never.sum()) < 0.9
    p = LogLogistic(["days_since_last_order"]).fit(frame, y, ALL).predict(frame)
    assert p[never] == pytest.approx(0.9, abs=0.05)
    assert p[~never].mean() == pytest.approx(y[~never].mean(), abs=0.01)


def test_only_the_fitted_rows_teach():
    frame, y = table()
    half = np.arange(1500)
    p = LogLogistic(["days_since_last_order"]).fit(frame, y, half).predict(frame)
    frame_changed, y_changed = frame.copy(), y.copy()
    frame_changed.loc[1500:, "days_since_last_order"] *= 10
    y_changed[1500:] = np.nan
    changed = LogLogistic(["days_since_last_order"]).fit(frame_changed, y_changed, half)
    np.testing.assert_array_equal(changed.predict(frame)[half], p[half])


def test_a_mask_selects_the_same_rows_as_positions():
    frame, y = table()
    mask = np.arange(3000) < 1000
    by_mask = LogLogistic(["order_count_365d"]).fit(frame, y, mask).predict(frame)
    by_position = LogLogistic(["order_count_365d"]).fit(frame, y, np.arange(1000)).predict(frame)
    np.testing.assert_array_equal(by_mask, by_position)


def test_columns_all_missing_or_constant_in_the_fit_do_no_harm():
    frame, y = table()
    frame["order_count_365d"] = np.float32(2)
    frame["order_amount_sum_365d"] = np.float32(np.nan)
    names = list(frame.columns)
    p = LogLogistic(names).fit(frame, y, ALL).predict(frame)
    alone = LogLogistic(names[:1]).fit(frame, y, ALL).predict(frame)
    np.testing.assert_allclose(p, alone, atol=1e-3)


def test_a_net_refund_is_the_opposite_of_a_purchase_of_the_same_size():
    frame = pd.DataFrame({"amount": [-500.0, -50.0, 0.0, 50.0, 500.0] * 40})
    y = np.array([1.0, 1.0, 0.0, 0.0, 0.0] * 40)
    p = LogLogistic(["amount"]).fit(frame, y, np.arange(200)).predict(frame)[:5]
    assert (np.diff(p) < 0).all()


def test_two_fits_are_identical():
    frame, y = table()
    first = LogLogistic(list(frame.columns)).fit(frame, y, ALL).predict(frame)
    second = LogLogistic(list(frame.columns)).fit(frame, y, ALL).predict(frame)
    np.testing.assert_array_equal(first, second)


def test_a_baseline_without_columns_is_left_out_and_reported():
    found, left_out = available_baselines(COLUMNS, ["order_count_365d", "tenure_days"])
    assert list(found) == ["prior", "rfm_logistic"]
    assert left_out == {
        "recency": "none of its columns exists in this source: "
        "days_since_last_order, days_since_last_visit"
    }
    found, left_out = available_baselines({}, ["tenure_days"])
    assert list(found) == ["prior"] and set(left_out) == {"recency", "rfm_logistic"}


@pytest.mark.parametrize("baseline", [Prior(), LogLogistic(["days_since_last_order"])])
@pytest.mark.parametrize("y", [np.zeros(3000), np.full(3000, np.nan)])
def test_rows_without_both_outcomes_are_refused(baseline, y):
    frame, _ = table()
    with pytest.raises(ValueError, match="both outcomes"):
        baseline.fit(frame, y, ALL)
