"""Matured outcomes against past lists: by tier, calibration, lift, and the effect of contacting."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.outcomes import (
    by_tier,
    calibration,
    contact_effect,
    first_listings,
    lift,
    reached,
    wilson,
)

LIST = "churn-2025-01-01"


def listed(rows: list[tuple], name: str = LIST, day: str = "2025-01-01") -> pd.DataFrame:
    columns = ["customer_id", "tier", "risk", "bad", "action"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(list=name, as_of=pd.Timestamp(day), task="churn", contacted=False)


def simulated(
    seed: int, effect: float, customers: int = 4_000, share: float = 0.1, days: int = 1
) -> pd.DataFrame:
    """Lists on which contacting lowers a risk of 0.4 on average by `effect`."""
    rng = np.random.default_rng(seed)
    parts = []
    for month in range(days):
        risk = rng.beta(4, 6, customers)
        held = rng.random(customers) < share
        bad = rng.random(customers) < np.clip(risk - np.where(held, 0, effect), 0, 1)
        parts.append(
            listed(
                [
                    (f"{month}-{i}", "high", r, float(b), "hold_out" if h else "contact")
                    for i, (r, b, h) in enumerate(zip(risk, bad, held, strict=True))
                ],
                name=f"list {month}",
                day=f"2025-0{month + 1}-01",
            )
        )
    return pd.concat(parts, ignore_index=True)


def test_wilsons_interval_by_the_book() -> None:
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0, 1)


def test_each_tier_says_what_happened_and_what_was_expected() -> None:
    rows = listed(
        [
            ("a", "low", 0.1, 0, "leave"),
            ("b", "high", 0.6, 1, "contact"),
            ("c", "high", 0.8, 0, "contact"),
            ("d", "high", 0.9, np.nan, "contact"),
        ]
    )
    table = by_tier(rows).set_index("tier")
    assert list(table.index) == ["high", "low"]
    high = table.loc["high"]
    assert (high["customers"], high["evaluable"], high["bad"]) == (3, 2, 1)
    assert (high["rate"], high["expected"]) == (0.5, pytest.approx(0.7))
    assert high["low"] < 0.5 < high["high"]


def test_two_rates_are_compared_as_newcombe_does() -> None:
    # Newcombe 1998 (comparison of two proportions), method 10: 56/70 - 48/80, 0.0524 to 0.3339.
    rows = listed(
        [(f"h{i}", "high", 0.5, float(i < 56), "hold_out") for i in range(70)]
        + [(f"c{i}", "high", 0.5, float(i < 48), "contact") for i in range(80)]
    )
    effect = contact_effect(rows, days=97)
    assert effect.value == pytest.approx(0.2)
    assert (effect.low, effect.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert effect.verdict == "helps"


@pytest.mark.parametrize("effect", [0.0, 0.1, -0.1])
def test_a_known_effect_is_covered_about_as_often_as_promised(effect: float) -> None:
    found = [contact_effect(simulated(seed, effect, days=2), days=97) for seed in range(20)]
    bounds = [(one.low, one.high) for one in found if one.low is not None and one.high is not None]
    covered = sum(low <= effect <= high for low, high in bounds)
    assert covered >= 17
    verdicts = [one.verdict for one in found]
    wanted = {0.0: "no difference seen", 0.1: "helps", -0.1: "harms"}[effect]
    assert verdicts.count(wanted) >= 17


def test_lists_with_different_holdouts_are_not_mixed_up() -> None:
    # The second list has riskier customers and holds out half: pooling would say 'helps'.
    rows = pd.concat(
        [
            listed(
                [(f"a{i}", "high", 0.2, float(i % 5 == 0), "contact") for i in range(900)]
                + [(f"b{i}", "high", 0.2, float(i % 5 == 0), "hold_out") for i in range(100)]
            ),
            listed(
                [(f"c{i}", "high", 0.6, float(i % 5 > 1), "contact") for i in range(500)]
                + [(f"d{i}", "high", 0.6, float(i % 5 > 1), "hold_out") for i in range(500)],
                name="churn-2025-06-01",
                day="2025-06-01",
            ),
        ]
    )
    effect = contact_effect(rows, days=97)
    assert effect.value == pytest.approx(0, abs=1e-12)
    assert effect.verdict == "no difference seen"


def test_a_customer_counts_once_while_the_same_outcome_would_be_counted_again() -> None:
    rows = pd.concat(
        [
            listed([("a", "high", 0.5, 1, "contact")], "x", "2025-01-01"),
            listed([("a", "high", 0.5, 1, "hold_out")], "y", "2025-02-01"),
            listed([("a", "high", 0.5, 0, "hold_out")], "z", "2025-05-01"),
        ],
        ignore_index=True,
    )
    assert first_listings(rows, 97)["list"].tolist() == ["x", "z"]


def test_who_was_left_alone_for_a_reason_says_nothing_about_contacting() -> None:
    rows = simulated(1, 0.1)
    alone = listed([(f"x{i}", "high", 0.4, 1.0, "leave") for i in range(500)])
    assert contact_effect(pd.concat([rows, alone]), days=97) == contact_effect(rows, days=97)


def test_few_customers_give_an_interval_and_no_verdict() -> None:
    rows = simulated(2, 0.3, customers=60)
    effect = contact_effect(rows, days=97)
    assert effect.verdict == "too few" and effect.value is not None
    only = rows[rows["action"] == "contact"]
    assert contact_effect(only, days=97).value is None


def test_calibration_holds_or_has_drifted() -> None:
    rng = np.random.default_rng(4)
    risk = rng.beta(2, 6, 6_000)

    def with_rate(rate: np.ndarray) -> pd.DataFrame:
        bad = rng.random(6_000) < rate
        pairs = enumerate(zip(risk, bad, strict=True))
        return listed([(str(i), "low", r, float(b), "leave") for i, (r, b) in pairs])

    assert calibration(with_rate(risk), resamples=200, seed=1)["verdict"] == "holds"
    drifted = calibration(with_rate(np.minimum(1.5 * risk, 1)), resamples=200, seed=1)
    assert drifted["verdict"] == "drifted" and drifted["intercept"]["low"] > 0
    assert calibration(with_rate(0 * risk), resamples=200, seed=1)["verdict"] == "too few"


def test_lift_is_that_of_as_many_as_were_reached() -> None:
    rows = listed([(str(i), "low", 1 - i / 100, float(i < 10), "leave") for i in range(100)])
    found = lift(rows, 10)
    assert (found["rate"], found["overall"], found["lift"]) == (1, 0.1, 10)
    assert lift(rows, 50)["lift"] == 2
    assert lift(rows.assign(bad=np.nan), 10)["lift"] is None


def test_those_reached_are_counted_by_what_was_planned() -> None:
    rows = listed(
        [
            ("a", "high", 0.5, 1, "contact"),
            ("b", "high", 0.5, 1, "hold_out"),
            ("c", "low", 0.1, 0, "leave"),
        ]
    ).assign(contacted=[True, True, False])
    assert reached(rows) == {
        "contact": {"customers": 1, "contacted": 1},
        "hold_out": {"customers": 1, "contacted": 1},
        "others": {"customers": 1, "contacted": 0},
    }
