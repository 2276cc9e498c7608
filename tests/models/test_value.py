"""Money: a golden value, a numerical integral, and curves worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from models.value import Costs, bootstrap_empc, empc, paired_empc_gain, profit_curve

GOLDEN = Costs(200, 10, 1)
Y = np.array([0, 1, 0, 1, 0, 1, 0, 1])
P = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9])


def simulated(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    p = generator.beta(1, 12, rows)
    return (generator.random(rows) < p).astype(float), p


def test_the_published_definition_on_eight_rows() -> None:
    assert empc(Y, P, GOLDEN) == pytest.approx(23.875593, abs=5e-7)


def test_it_is_the_integral_of_the_best_profit_over_the_acceptance() -> None:
    y, p = simulated(400, seed=1)
    p = np.round(p, 2)  # with ties
    costs = Costs(30_000, 3_000, 200)
    order = np.argsort(-p)
    ends = np.append(np.flatnonzero(np.diff(p[order])) + 1, len(p))
    leavers = np.concatenate(([0], np.cumsum(y[order])[ends - 1]))
    others = np.concatenate(([0], ends)) - leavers

    def best(gamma: float) -> float:
        gain = gamma * (costs.customer_value - costs.offer_cost) - costs.contact_cost
        return float((gain * leavers - (costs.offer_cost + costs.contact_cost) * others).max())

    expected, _ = quad(lambda g: best(g) * beta.pdf(g, 6, 14), 0, 1, limit=500, epsabs=1e-6)
    assert empc(y, p, costs) == pytest.approx(expected / len(y), rel=1e-5)


def test_only_the_order_of_the_scores_matters() -> None:
    y, p = simulated(500, seed=2)
    assert empc(y, p**3 / 7, GOLDEN) == pytest.approx(empc(y, p, GOLDEN))
    assert empc(y, p, GOLDEN) > empc(y, np.full(500, 0.5), GOLDEN)


def test_contacting_nobody_is_free_when_nothing_pays() -> None:
    assert empc([0, 0, 1], [0.1, 0.2, 0.3], Costs(11, 10, 100)) == 0.0


def test_the_profit_curve_by_hand() -> None:
    # 10 rows, leavers ranked 1 and 3. A saved leaver: .3 * (100 - 10) - 1 = 26; another: -11.
    y = np.array([1, 0, 1] + [0] * 7)
    p = np.linspace(0.9, 0.1, 10)
    curve = profit_curve(y, p, np.arange(10), Costs(100, 10, 1), resamples=100, seed=0)
    at = curve.set_index(curve["share_contacted"].round(2))["profit"]
    assert at[0.10] == pytest.approx(26 / 10)
    assert at[0.20] == pytest.approx((26 - 11) / 10)
    assert at[0.25] == pytest.approx((26 - 11 + 0.5 * 26) / 10)  # half of the third row
    assert at[1.00] == pytest.approx((2 * 26 - 8 * 11) / 10)
    assert curve["random"].iloc[49] == pytest.approx(at[1.00] / 2)
    assert (curve["low"] <= curve["high"]).all()


def test_the_interval_holds_the_value_and_shrinks_with_customers() -> None:
    costs = Costs(200, 10, 1)
    widths = []
    for rows in (1000, 16_000):
        y, p = simulated(rows, seed=3)
        found = bootstrap_empc(y, p, np.arange(rows), costs, resamples=200, seed=0)
        assert found["low"] < found["value"] < found["high"]
        widths.append(found["high"] - found["low"])
    assert 2.5 < widths[0] / widths[1] < 6


def test_the_gain_is_paired() -> None:
    y, p = simulated(3000, seed=4)
    customers = np.arange(3000) // 3
    costs = Costs(200, 10, 1)
    same = paired_empc_gain(y, p, p, customers, costs, resamples=100, seed=0)
    assert same == {"value": 0.0, "low": 0.0, "high": 0.0}
    shuffled = np.random.default_rng(0).permutation(p)
    worse = paired_empc_gain(y, shuffled, p, customers, costs, resamples=100, seed=0)
    assert worse["high"] < 0


@pytest.mark.parametrize("amounts", [(10, 10, 1), (10, 20, 1), (10, -1, 1), (10, 1, -1)])
def test_impossible_costs_are_refused(amounts: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="worth more than the offer"):
        Costs(*amounts)
