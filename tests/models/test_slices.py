"""Slices: figures by hand, intervals against the bootstrap, flags that fire when they should."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models.evaluation import point_metrics, resampled_counts
from models.slices import contacted, has_worsened, significantly_worse, slices

ROWS = 6000


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """2,000 customers on three dates, a third of them on plan "b"; p is exactly right."""
    generator = np.random.default_rng(0)
    customer = np.tile(np.arange(2000), 3)
    p = expit(generator.normal(-1.5, 1, 2000)[customer] + generator.normal(0, 0.3, ROWS))
    return pd.DataFrame(
        {
            "customer": customer,
            "as_of": np.repeat(["2025-01-01", "2025-02-01", "2025-03-01"], 2000),
            "plan": np.where(customer % 3 == 0, "b", "a"),
            "p": p,
            "y": (generator.random(ROWS) < p).astype(float),
        }
    )


def table(rows: pd.DataFrame, p: np.ndarray, capacity: float = 0.1) -> pd.DataFrame:
    found = slices(
        rows["y"], p, rows["customer"], rows["as_of"], {"plan": rows["plan"]}, capacity=capacity
    )
    return found.set_index("value")


def test_the_team_reaches_the_riskiest_of_each_date_and_ties_share() -> None:
    p = np.array([0.9, 0.1, 0.5, 0.4, 0.8, 0.3, 0.3, 0.3])
    as_of = ["jan"] * 4 + ["feb"] * 4
    assert contacted(p, as_of, 0.25).tolist() == [1, 0, 0, 0, 1, 0, 0, 0]
    assert contacted(p, as_of, 0.5).tolist() == pytest.approx([1, 0, 1, 0, 1] + [1 / 3] * 3)


def test_missed_share_by_hand() -> None:
    # 400 rows on one date, the first 200 are contacted. Plan a has 60 at risk among them and 20
    # beyond, plan b 90 and 30: a quarter of either is missed, and of all.
    plan = np.array((["a"] * 80 + ["b"] * 120) * 2)
    y = np.zeros(400)
    y[:60] = y[80:170] = y[200:220] = y[280:310] = 1
    p = np.where(np.arange(400) < 200, 0.9, 0.1) + np.linspace(0.01, 0, 400)
    found = slices(y, p, np.arange(400), ["jan"] * 400, {"plan": plan}, capacity=0.5)
    assert found["events"].tolist() == [80, 120]
    assert found["missed_share"].tolist() == pytest.approx([20 / 80, 30 / 120])
    assert found["missed_gap"].tolist() == pytest.approx([0, 0])


def test_a_slice_of_few_events_is_listed_and_not_judged(rows: pd.DataFrame) -> None:
    part = rows.assign(plan=rows["plan"].where(rows["customer"] >= 30))
    found = table(part, part["p"].to_numpy())
    assert list(found.index) == ["a", "b", "unknown"]
    assert not found.loc["unknown", "is_judged"] and found.loc["unknown", "flag"] == ""
    assert found["auc"].isna().tolist() == [False, False, True]
    assert found["n"].tolist()[2] == 90


def test_a_right_model_is_flagged_nowhere_and_agrees_with_the_pooled_metrics(
    rows: pd.DataFrame,
) -> None:
    found = table(rows, rows["p"].to_numpy())
    assert set(found["flag"]) == {""}
    mine = rows[rows["plan"] == "b"]
    assert found.loc["b", "auc"] == pytest.approx(point_metrics(mine["y"], mine["p"])["auc"])


@pytest.mark.parametrize("figure", ["auc", "calibration_in_the_large", "missed_gap"])
def test_intervals_are_those_of_the_customer_bootstrap(rows: pd.DataFrame, figure: str) -> None:
    p = rows["p"].to_numpy()
    reached = contacted(p, rows["as_of"], 0.1)
    y, inside = rows["y"].to_numpy(), (rows["plan"] == "b").to_numpy()
    draws = []
    for counts in resampled_counts(2000, 150, seed=1):
        w = counts[rows["customer"]]
        if figure == "missed_gap":
            miss = w * y * (1 - reached)
            part = miss[inside].sum() / (w * y)[inside].sum()
            draws.append(part - miss.sum() / (w * y).sum())
        else:
            draws.append(point_metrics(y[inside], p[inside], w[inside])[figure])
    found = table(rows, p).loc["b"]
    width = found[f"{figure}_high"] - found[f"{figure}_low"]
    assert width == pytest.approx(2 * 1.96 * np.std(draws), rel=0.2)


def test_probabilities_off_in_one_plan_are_flagged_there_only(rows: pd.DataFrame) -> None:
    p = expit(logit(rows["p"]) + 0.6 * (rows["plan"] == "b"))
    found = table(rows, p.to_numpy(), capacity=0.9)
    assert found.loc["a", "flag"] == "" and found.loc["b", "flag"] == "level"
    assert found.loc["b", "calibration_in_the_large"] == pytest.approx(-0.6, abs=0.2)


def test_a_plan_ranked_too_low_is_flagged_as_missed(rows: pd.DataFrame) -> None:
    p = expit(logit(rows["p"]) - 1.0 * (rows["plan"] == "b"))
    assert "missed" in str(table(rows, p.to_numpy(), capacity=0.3)["flag"]["b"])


def test_a_flag_worsens_only_beyond_a_tenth_of_its_bound() -> None:
    old = pd.Series({"calibration_in_the_large": -0.40})
    assert not has_worsened(pd.Series({"calibration_in_the_large": 0.42}), old, "level")
    assert has_worsened(pd.Series({"calibration_in_the_large": 0.45}), old, "level")
    assert has_worsened(pd.Series({"calibration_in_the_large": np.nan}), old, "level")


def test_a_slice_whose_log_loss_rises_is_named_and_noise_is_not(rows: pd.DataFrame) -> None:
    noise = np.random.default_rng(2).normal(0, 1.5, ROWS) * (rows["plan"] == "b")
    worse = expit(logit(rows["p"]) + noise)
    parts = {"plan": rows["plan"], "as_of": rows["as_of"]}
    named = significantly_worse(rows["y"], worse, rows["p"], rows["customer"], parts)
    assert "plan=b" in named and "plan=a" not in named
    other_way = significantly_worse(rows["y"], rows["p"], worse, rows["customer"], parts)
    same = significantly_worse(rows["y"], rows["p"], rows["p"], rows["customer"], parts)
    assert other_way == same == ()


def test_the_order_of_rows_changes_nothing(rows: pd.DataFrame) -> None:
    shuffled = rows.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        table(rows, rows["p"].to_numpy()), table(shuffled, shuffled["p"].to_numpy()), rtol=1e-12
    )
