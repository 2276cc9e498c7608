from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)

from models.evaluation import (
    METRICS,
    bootstrap_metrics,
    by_as_of,
    chance_ece,
    clustered_standard_error,
    gains,
    paired_gain,
    point_metrics,
    rate_interval,
    reliability,
    resampled_counts,
    spiegelhalter_z,
)


def simulated(
    rows: int, seed: int, *, ties: bool = False, per_customer: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y, p, customers of a calibrated model; a customer's rows are copies of each other."""
    generator = np.random.default_rng(seed)
    p = expit(generator.normal(-1.5, 1.0, rows))
    if ties:
        p = np.round(p, 1)
    y = (generator.random(rows) < p).astype(float)
    customers = np.array([f"C{i:05d}" for i in range(rows)], dtype=object)
    return (
        np.repeat(y, per_customer),
        np.repeat(p, per_customer),
        np.repeat(customers, per_customer),
    )


def plain_ece(y: np.ndarray, p: np.ndarray) -> float:
    parts = np.array_split(np.argsort(p), 15)
    return sum(len(i) * abs(p[i].mean() - y[i].mean()) for i in parts) / len(p)


def test_four_rows_by_hand() -> None:
    metrics = point_metrics([1, 0, 1, 0], [0.9, 0.8, 0.4, 0.1])
    # (0.9 > 0.8), (0.9 > 0.1), (0.4 > 0.1) of four pairs; precision 1 and 2/3 at the positives.
    assert metrics["auc"] == 3 / 4
    assert metrics["pr_auc"] == pytest.approx((1 + 2 / 3) / 2)
    assert metrics["brier"] == pytest.approx((0.01 + 0.64 + 0.36 + 0.01) / 4)
    assert metrics["log_loss"] == pytest.approx(-np.log(0.9 * 0.2 * 0.4 * 0.9) / 4)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_equal_the_reference_implementations(ties: bool, weighted: bool) -> None:
    y, p, _ = simulated(500, seed=1, ties=ties)
    weights = np.random.default_rng(2).integers(0, 4, 500) / 2 if weighted else np.ones(500)
    metrics = point_metrics(y, p, weights if weighted else None)
    assert metrics["auc"] == pytest.approx(roc_auc_score(y, p, sample_weight=weights))
    assert metrics["pr_auc"] == pytest.approx(average_precision_score(y, p, sample_weight=weights))
    assert metrics["brier"] == pytest.approx(brier_score_loss(y, p, sample_weight=weights))
    assert metrics["log_loss"] == pytest.approx(log_loss(y, p, sample_weight=weights))


def test_slope_and_intercept_equal_an_unpenalised_logistic_regression_on_the_logit() -> None:
    y, p, _ = simulated(2000, seed=3)
    overconfident = expit(0.3 + 1.6 * logit(p))
    metrics = point_metrics(y, overconfident)
    fit = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    fit.fit(logit(overconfident)[:, None], y)
    assert metrics["calibration_slope"] == pytest.approx(fit.coef_[0, 0], abs=1e-6)
    assert metrics["calibration_intercept"] == pytest.approx(fit.intercept_[0], abs=1e-6)
    # Stretching the logit divides the slope and shifts the intercept, exactly.
    before = point_metrics(y, p)
    slope = before["calibration_slope"] / 1.6
    assert metrics["calibration_slope"] == pytest.approx(slope)
    assert metrics["calibration_intercept"] == pytest.approx(
        before["calibration_intercept"] - 0.3 * slope
    )


def test_a_calibrated_oracle_has_slope_one_and_intercept_zero_on_average() -> None:
    fits = [point_metrics(*simulated(2000, seed)[:2]) for seed in range(60)]
    for name, truth in (("calibration_slope", 1.0), ("calibration_intercept", 0.0)):
        values = np.array([fit[name] for fit in fits])
        assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(60)


def test_tied_rows_share_the_top_decile_in_proportion() -> None:
    # The top decile of 20 rows is 2: the row at 0.9 and one of the four at 0.8, two of which
    # are positive: 1.5 found of 2, where 4 of 20 are positive overall.
    p = [0.9] + [0.8] * 4 + [0.1] * 15
    y = [1] + [1, 1, 0, 0] + [1] + [0] * 14
    assert point_metrics(y, p)["lift_top_decile"] == pytest.approx((1.5 / 2) / (4 / 20))


def test_calibration_error_by_hand_on_two_tied_groups() -> None:
    p = [0.2] * 100 + [0.6] * 100
    y = [1] * 40 + [0] * 60 + [1] * 50 + [0] * 50
    expected = 0.5 * (0.2**2 - 0.24 / 99) + 0.5 * (0.1**2 - 0.25 / 99)
    assert point_metrics(y, p)["ece"] == pytest.approx(np.sqrt(expected))


def test_a_calibrated_oracle_has_a_calibration_error_of_about_zero() -> None:
    debiased, plain = [], []
    for seed in range(40):
        y, p, _ = simulated(5000, seed)
        debiased.append(point_metrics(y, p)["ece"])
        plain.append(plain_ece(y, p))
    assert np.median(debiased) < 0.004
    assert np.mean(debiased) < np.mean(plain) / 2


def test_a_constant_shift_is_measured_as_it_is() -> None:
    y, p, _ = simulated(100_000, seed=4)
    assert point_metrics(y, np.minimum(p + 0.03, 1))["ece"] == pytest.approx(0.03, abs=0.003)


@pytest.mark.parametrize(
    ("y", "p", "undefined"),
    [
        ([], [], set(METRICS)),
        (
            [0, 0, 0],
            [0.1, 0.2, 0.3],
            {name for name in METRICS if name.startswith(("lift", "calibration"))}
            | {"auc", "pr_auc"},
        ),
        (
            [1, 1],
            [0.1, 1.0],
            {"auc"} | {name for name in METRICS if name.startswith("calibration")},
        ),
        ([0, 1, 0, 1], [0.3] * 4, {"calibration_slope", "calibration_intercept"}),
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], {"calibration_slope", "calibration_intercept"}),
        ([0, 1], [1.0, 0.0], {"calibration_slope", "calibration_intercept"}),
    ],
    ids=["no rows", "no positive", "no negative", "constant p", "separated", "certain and wrong"],
)
def test_what_is_undefined_is_nan_without_a_warning(
    y: list[int], p: list[float], undefined: set[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = point_metrics(y, p)
        intervals = bootstrap_metrics(y, p, list("abcdef")[: len(y)], resamples=20, seed=0)
    assert {name for name in METRICS if np.isnan(metrics[name])} == undefined
    assert {name for name in METRICS if np.isnan(intervals[name]["low"])} >= undefined
    assert tuple(intervals) == METRICS


@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        ([0, 1], [0.5], "equally long"),
        ([0, np.nan], [0.5, 0.5], "0 or 1"),
        ([0, 1], [0.5, np.nan], "probabilities"),
        ([0, 1], [0.5, 1.5], "probabilities"),
    ],
)
def test_broken_input_is_refused(y: list[float], p: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        point_metrics(y, p)


def test_a_row_without_customer_is_refused() -> None:
    with pytest.raises(ValueError, match="identifier is missing"):
        bootstrap_metrics(
            [0, 1], [0.1, 0.2], np.array(["a", None], dtype=object), resamples=5, seed=0
        )


def test_the_order_of_rows_changes_no_bit() -> None:
    # Many rows per customer with tied p and both outcomes: sums would round differently.
    y, p, _ = simulated(800, seed=5, ties=True)
    customers = np.array([f"C{i % 20}" for i in range(800)], dtype=object)
    other = np.clip(p + 0.05, 0, 1)
    shuffle = np.random.default_rng(0).permutation(len(y))
    a, b = (
        (
            point_metrics(y[i], p[i]),
            bootstrap_metrics(y[i], p[i], customers[i], resamples=50, seed=1),
            paired_gain(y[i], p[i], other[i], customers[i], resamples=50, seed=1),
            reliability(y[i], p[i], customers[i]).to_csv(),
            gains(y[i], p[i]).to_csv(),
        )
        for i in (np.arange(len(y)), shuffle)
    )
    assert a == b


def test_the_seed_decides_the_resamples() -> None:
    y, p, customers = simulated(300, seed=6)
    first, again, other = (
        bootstrap_metrics(y, p, customers, resamples=50, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["auc"]["low"] != other["auc"]["low"]
    assert first["auc"]["value"] == other["auc"]["value"]


def test_intervals_equal_those_of_refitting_every_resample() -> None:
    y, p, customers = simulated(1500, seed=7, ties=False)
    intervals = bootstrap_metrics(y, p, customers, resamples=200, seed=3)
    draws = [point_metrics(y, p, counts) for counts in resampled_counts(len(y), 200, 3)]
    for name in METRICS:
        low, high = np.quantile([draw[name] for draw in draws], (0.025, 0.975))
        # Calibration takes one Newton step; the squared ECE is re-centred and tested elsewhere.
        slack = 0.05 * (high - low) if name.startswith("calibration") else 1e-12
        if name not in ("ece", "brier_reliability", "brier_resolution"):
            assert intervals[name]["low"] == pytest.approx(low, abs=slack)
            assert intervals[name]["high"] == pytest.approx(high, abs=slack)


def test_the_brier_score_is_reliability_minus_resolution_plus_uncertainty() -> None:
    # Two groups: predicted .2 and .6, observed .4 and .5, overall .45. By hand, without noise:
    # reliability (.2^2 + .1^2) / 2, resolution .05^2, uncertainty .45 * .55.
    p = [0.2] * 1000 + [0.6] * 1000
    y = ([1] * 400 + [0] * 600) + ([1] * 500 + [0] * 500)
    found = point_metrics(y, p)
    assert found["brier_reliability"] == pytest.approx(0.025, abs=3e-4)
    assert found["brier_resolution"] == pytest.approx(0.0025, abs=3e-4)
    assert found["brier_uncertainty"] == pytest.approx(0.2475)
    assert found["brier"] == pytest.approx(
        found["brier_reliability"] - found["brier_resolution"] + found["brier_uncertainty"]
    )


def test_calibration_in_the_large_is_the_shift_in_log_odds() -> None:
    # A constant 0.2 where 0.5 happen: logit(.5) - logit(.2) = log 4.
    found = point_metrics([0, 1] * 50, [0.2] * 100)
    assert found["calibration_in_the_large"] == pytest.approx(np.log(4))
    far_off = point_metrics([0, 1] * 50, [1e-9] * 100)
    assert far_off["calibration_in_the_large"] == pytest.approx(np.log(1e9), rel=1e-6)


def test_lift_at_5_and_20_percent_by_hand() -> None:
    p = np.linspace(0.95, 0.05, 20)
    y = [1, 0, 1, 1] + [0] * 15 + [1]
    found = point_metrics(y, p)
    assert found["lift_top_5_percent"] == pytest.approx(1 / (4 / 20))
    assert found["lift_top_20_percent"] == pytest.approx((3 / 4) / (4 / 20))


def test_an_ece_within_chance_is_told_from_one_beyond_it() -> None:
    y, p, _ = simulated(5000, seed=12)
    chance = chance_ece(y, p)
    assert point_metrics(y, p)["ece"] < chance < 0.02
    assert point_metrics(y, np.minimum(p + 0.03, 1))["ece"] > chance


def test_spiegelhalters_z_by_hand_and_its_spread_under_calibration() -> None:
    # (1 - .2) * .6 + (0 - .9) * -.8 over sqrt(.36 * .16 + .64 * .09).
    assert spiegelhalter_z([1, 0], [0.2, 0.9]) == pytest.approx(1.2 / np.sqrt(0.1152))
    z = [spiegelhalter_z(*simulated(2000, seed)[:2]) for seed in range(60)]
    assert abs(np.mean(z)) < 0.4 and 0.75 < np.std(z) < 1.25


def test_copies_of_a_customers_row_add_no_certainty() -> None:
    y, p, customers = simulated(300, seed=8)
    once = bootstrap_metrics(y, p, customers, resamples=200, seed=0)
    y4, p4, customers4 = (np.repeat(array, 4) for array in (y, p, customers))
    clustered = bootstrap_metrics(y4, p4, customers4, resamples=200, seed=0)
    as_if_independent = bootstrap_metrics(y4, p4, np.arange(len(y4)), resamples=200, seed=0)

    def width(intervals: dict[str, dict[str, float]], name: str) -> float:
        return intervals[name]["high"] - intervals[name]["low"]

    for name in ("auc", "pr_auc", "log_loss", "brier", "calibration_slope"):
        assert width(clustered, name) == pytest.approx(width(once, name))
        assert width(clustered, name) > 1.6 * width(as_if_independent, name)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    generator = np.random.default_rng(9)
    truth = {"auc": norm.cdf(1 / np.sqrt(2)), "calibration_slope": 1.0}
    truth["calibration_intercept"] = 0.0
    covered = dict.fromkeys(truth, 0)
    trials = 150
    for trial in range(trials):
        # Binormal scores with equal variance: logit P(y = 1 | x) = x - 1/2.
        y = (generator.random(200) < 0.5).astype(float)
        p = expit(generator.normal(y, 1.0) - 0.5)
        y, p, customers = (np.repeat(array, 3) for array in (y, p, np.arange(200)))
        intervals = bootstrap_metrics(y, p, customers, resamples=150, seed=trial)
        for name, value in truth.items():
            covered[name] += intervals[name]["low"] <= value <= intervals[name]["high"]
    for name in truth:
        assert 0.87 <= covered[name] / trials <= 0.995, name


def test_the_interval_of_the_calibration_error_is_not_pushed_up_by_resampling() -> None:
    reaches_zero, upper = 0, []
    for seed in range(20):
        y, p, customers = simulated(4000, seed)
        ece = bootstrap_metrics(y, p, customers, resamples=60, seed=0)["ece"]
        reaches_zero += ece["low"] == 0.0
        upper.append(ece["high"])
        assert ece["low"] <= ece["value"] <= ece["high"]
    assert reaches_zero >= 17
    assert np.mean(upper) < 0.03


def test_the_calibration_error_lies_in_its_interval_when_customers_repeat() -> None:
    for seed in range(10):
        y, p, customers = simulated(400, seed, per_customer=10)
        ece = bootstrap_metrics(y, p, customers, resamples=100, seed=0)["ece"]
        assert ece["low"] < ece["value"] < ece["high"]


def test_gain_is_positive_for_the_better_model_and_beats_unpaired_intervals() -> None:
    y, p, customers = simulated(2000, seed=10)
    worse = expit(0.7 * logit(p) + np.random.default_rng(0).normal(0, 0.5, len(p)))
    gain = paired_gain(y, p, worse, customers, resamples=200, seed=0)
    model = bootstrap_metrics(y, p, customers, resamples=200, seed=0)
    baseline = bootstrap_metrics(y, worse, customers, resamples=200, seed=0)
    for name, sign in (("auc", 1), ("log_loss", -1)):
        difference = sign * (model[name]["value"] - baseline[name]["value"])
        assert gain[name]["value"] == pytest.approx(difference)
        assert 0 < gain[name]["low"] < gain[name]["value"] < gain[name]["high"]
        paired_width = gain[name]["high"] - gain[name]["low"]
        assert paired_width < model[name]["high"] - model[name]["low"]
    opposite = paired_gain(y, worse, p, customers, resamples=200, seed=0)
    assert opposite["auc"]["high"] == pytest.approx(-gain["auc"]["low"])


def test_a_model_gains_exactly_nothing_over_itself() -> None:
    y, p, customers = simulated(200, seed=11)
    gain = paired_gain(y, p, p, customers, resamples=20, seed=0)
    assert gain["auc"] == gain["log_loss"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_reliability_by_hand() -> None:
    table = reliability([0, 1, 0, 1, 1, 1], [0.1, 0.3, 0.3, 0.3, 0.8, 0.9], bins=2)
    # The three rows at 0.3 have middle rank 2.5 of 6: all of them are in the lower bin.
    assert table["n"].tolist() == [4, 2]
    assert table["bin"].tolist() == [1, 2]
    assert table["predicted"].tolist() == pytest.approx([0.25, 0.85])
    assert table["observed"].tolist() == [0.5, 1.0]
    assert (table["low"] < table["observed"]).all()


def test_reliability_intervals_widen_for_repeated_customers() -> None:
    y, p, customers = simulated(300, seed=12, per_customer=4)
    clustered, independent = reliability(y, p, customers), reliability(y, p)
    narrow = independent["high"] - independent["low"]
    assert (clustered["high"] - clustered["low"] > 1.5 * narrow).all()


def test_wilson_interval_of_ten_in_fifty() -> None:
    y = [1] * 10 + [0] * 40
    assert rate_interval(y, range(50)) == pytest.approx((0.11244, 0.33037), abs=1e-5)


def test_a_rate_of_zero_is_as_uncertain_as_its_number_of_customers() -> None:
    assert rate_interval([0] * 30, range(30)) == rate_interval([0] * 90, np.repeat(range(30), 3))
    assert rate_interval([0] * 30, range(30))[1] == pytest.approx(3.8415 / 33.8415, abs=1e-4)


def test_clustered_standard_error_by_hand() -> None:
    # Residuals from the mean 3: cluster a -2 and -1, cluster b +3; C / (C - 1) = 2.
    assert clustered_standard_error([1, 2, 6], list("aab")) == pytest.approx(np.sqrt(2 * 18) / 3)
    assert np.isnan(clustered_standard_error([1, 2], ["a", "a"]))


def test_gains_by_hand() -> None:
    y = np.zeros(100)
    y[[0, 1, 50, 60]] = 1
    table = gains(y, np.linspace(1, 0, 100))
    assert table["share_contacted"].tolist() == [i / 100 for i in range(1, 101)]
    found, lift = table["share_found"].to_numpy(), table["lift"].to_numpy()
    assert found[[0, 1, 49, 50, 59, 60, 99]].tolist() == [0.25, 0.5, 0.5, 0.75, 0.75, 1.0, 1.0]
    assert lift[[1, 99]].tolist() == [25.0, 1.0]


def test_gains_of_equal_probabilities_are_those_of_chance() -> None:
    table = gains([1] + [0] * 9, [0.3] * 10)
    assert table["share_found"].to_numpy() == pytest.approx(table["share_contacted"].to_numpy())
    assert gains([0, 0], [0.1, 0.2])["share_found"].isna().all()


def test_by_as_of_measures_each_date_on_its_own() -> None:
    y, p, customers = simulated(600, seed=13)
    as_of = np.repeat(["2024-02-01", "2024-01-01", "2024-03-01"], 200)
    y[as_of == "2024-03-01"] = 0
    table = by_as_of(y, p, customers, as_of, resamples=50, seed=0)
    assert table["as_of"].tolist() == ["2024-01-01", "2024-02-01", "2024-03-01"]
    january = as_of == "2024-01-01"
    expected = bootstrap_metrics(y[january], p[january], customers[january], resamples=50, seed=0)
    assert table.loc[0, "auc"] == expected["auc"]["value"]
    assert table.loc[0, "auc_low"] == expected["auc"]["low"]
    assert table.loc[0, "log_loss"] == expected["log_loss"]["value"]
    assert table.loc[0, "positives"] == y[january].sum()
    assert table.loc[2, "n"] == 200
    assert table["auc"].isna().tolist() == [False, False, True]


def test_by_as_of_keeps_instants_with_their_time_zone() -> None:
    instants = pd.Series(pd.to_datetime(["2023-12-31T15:00Z", "2024-01-31T15:00Z"] * 3))
    table = by_as_of([0, 1, 1, 0, 0, 1], [0.1] * 6, list("abcdef"), instants, resamples=5)
    assert table["as_of"].tolist() == list(instants[:2])
