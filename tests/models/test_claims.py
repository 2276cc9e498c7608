"""The claims check: estimates on made-up companies whose truth is known, and the verdicts."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from features.coverage import ITEMS, SECTIONS
from models import claims
from models.claims import CAVEATS, CLAIM, CLAIMS, VERDICTS, Claim, Estimate, judged

JAPANESE = re.compile("[぀-ヿ一-鿿]")


def claim(claimed: tuple[float | None, float | None], neutral: float | None = None) -> Claim:
    return Claim(
        "made_up", "S68", "en", "ja", "en", "ja", "share", claimed, (), lambda rows: None, neutral
    )


def test_claims_are_told_in_both_languages() -> None:
    assert len(CLAIM) == len(CLAIMS)
    for each in CLAIMS:
        assert each.en and each.estimand_en
        assert JAPANESE.search(each.ja) and JAPANESE.search(each.estimand_ja)
        assert set(each.caveats) <= set(CAVEATS)
    for en, ja in (*CAVEATS.values(), *VERDICTS.values()):
        assert en and JAPANESE.search(ja)


def test_every_row_of_the_claims_panel_has_a_claim_or_is_about_one() -> None:
    checked = {each.item for each in CLAIMS}
    named = {item.key for item in ITEMS if "P14" in item.panels}
    assert checked == named
    assert SECTIONS["P14"] == "claims"


@pytest.mark.parametrize(
    ("low", "value", "high", "verdict"),
    [
        (0.66, 0.70, 0.74, "consistent"),
        (0.60, 0.64, 0.66, "consistent"),
        (0.50, 0.55, 0.60, "inconsistent"),
        (0.76, 0.80, 0.84, "inconsistent"),
        (0.40, 0.60, 0.80, "not testable"),
        (0.10, 0.30, 0.50, "inconsistent"),
    ],
)
def test_a_claim_of_a_figure(low: float, value: float, high: float, verdict: str) -> None:
    found = judged(claim((0.65, 0.75)), Estimate(500, value, low, high))
    assert found["verdict"] == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.05, "consistent"), (-0.05, -0.01, "inconsistent"), (-0.01, 0.05, "not testable")],
)
def test_a_claim_of_a_direction(low: float, high: float, verdict: str) -> None:
    estimate = Estimate(500, (low + high) / 2, low, high)
    assert judged(claim((0.0, None), 0.0), estimate)["verdict"] == verdict


def test_the_other_direction() -> None:
    assert judged(claim((None, 1.0), 1.0), Estimate(9, 0.8, 0.7, 0.9))["verdict"] == "consistent"
    assert judged(claim((None, 1.0), 1.0), Estimate(9, 1.2, 1.1, 1.3))["verdict"] == "inconsistent"


def test_customers_who_cannot_be_compared_decide_nothing() -> None:
    estimate = Estimate(500, 0.2, 0.1, 0.3, ("poor_overlap",))
    assert judged(claim((0.0, None), 0.0), estimate)["verdict"] == "not testable"


def test_without_data_nothing_is_testable_and_each_says_why() -> None:
    for record in claims.check({}):
        assert record["verdict"] == "not testable"
        assert record["value"] is None
        assert {"no_data", "market_level"} & set(record["caveats"])


def company(effect: float, seed: int = 1, rows: int = 6000) -> pd.DataFrame:
    """Feedback of customers of whom frequent buyers are acted on more, and return more anyway."""
    rng = np.random.default_rng(seed)
    orders = rng.poisson(3, rows).astype(float)
    treated = rng.random(rows) < 1 / (1 + np.exp(1.5 - 0.5 * orders))
    returned = rng.random(rows) < np.clip(0.1 + 0.08 * orders + effect * treated, 0, 1)
    return pd.DataFrame(
        {
            "customer_id": [f"C{i // 2}" for i in range(rows)],
            "orders_before": orders,
            "acted_and_told": treated.astype(float),
            "returned": returned.astype(float),
        }
    )


@pytest.mark.parametrize("effect", [0.0, 0.1])
def test_an_adjusted_contrast_finds_the_truth_where_the_plain_one_does_not(effect: float) -> None:
    frame = company(effect)
    found = CLAIM["feedback_contrast"].estimate({"feedback": frame})  # type: ignore[misc]
    assert found is not None and found.low is not None and found.high is not None
    assert found.low < effect < found.high
    plain = frame.groupby("acted_and_told")["returned"].mean().diff().iloc[-1]
    assert plain > found.high


def test_what_was_not_measured_is_not_adjusted_for() -> None:
    hidden = company(0.0).drop(columns="orders_before").assign(tenure_days=1.0)
    found = CLAIM["feedback_contrast"].estimate({"feedback": hidden})  # type: ignore[misc]
    assert found is not None and found.low is not None and found.low > 0


def test_the_same_rows_give_the_same_estimate() -> None:
    frame = company(0.05, rows=1000)
    estimate = claims.contrast("feedback", "acted_and_told", "returned")
    assert estimate({"feedback": frame}) == estimate({"feedback": frame.copy()})


def test_a_ratio_of_orders() -> None:
    rng = np.random.default_rng(2)
    member = np.arange(4000) % 2
    orders = rng.poisson(np.where(member, 3.6, 3.0))
    frame = pd.DataFrame(
        {"customer_id": [f"C{i}" for i in range(4000)], "member": member, "orders": orders}
    )
    found = claims.member_ratio({"members": frame})
    assert found.low is not None and found.high is not None
    assert found.low < 1.2 < found.high
    assert found.high - found.low < 0.1


def test_before_and_after_joining() -> None:
    frame = pd.DataFrame(
        {
            "customer_id": [f"C{i}" for i in range(200)],
            "before": [2, 3] * 100,
            "after": [3, 3] * 100,
        }
    )
    found = claims.joined_ratio({"joined": frame})
    assert found.value == pytest.approx(6 / 5)
    assert found.low is not None and found.high is not None
    assert found.low < 1.2 < found.high


def test_too_few_cases_are_no_estimate() -> None:
    found = CLAIM["feedback_contrast"].estimate({"feedback": company(0.5, rows=60)})  # type: ignore[misc]
    assert found == Estimate(60, caveats=("too_few",))


def answers(weight: float) -> pd.DataFrame:
    """Answers of which `weight` goes into what is bought next; the rest is earlier buying."""
    rng = np.random.default_rng(5)
    n = 3000
    score = rng.integers(0, 11, n) * 10.0
    orders = rng.poisson(2, n).astype(float)
    chance = 1 / (1 + np.exp(-(weight * (score - 50) / 25 + orders - 2)))
    bought = (rng.random(n) < chance).astype(float)
    return pd.DataFrame(
        {
            "customer_id": [f"C{i}" for i in range(n)],
            "row_id": [f"R{i}" for i in range(n)],
            "begins_at": pd.date_range("2023-01-01", periods=n, freq="6h", tz="UTC"),
            "score": score,
            "orders_before": orders,
            "spent_before": orders * 100,
            "days_since_order": 30.0,
            "tenure_days": 400.0,
            "bought": bought,
            "spent": bought * 100,
        }
    )


def test_an_answer_that_tells_something_and_one_that_does_not() -> None:
    for name in ("nps_correlation", "nps_gain"):
        told = judged(CLAIM[name], CLAIM[name].estimate({"nps": answers(1.0)}))  # type: ignore[misc]
        untold = judged(CLAIM[name], CLAIM[name].estimate({"nps": answers(0.0)}))  # type: ignore[misc]
        assert told["verdict"] == "consistent", name
        assert untold["verdict"] != "consistent", name


def test_attitude_against_solution() -> None:
    families = pd.DataFrame(
        {
            "family": ["responsiveness", "care", "resolution", "profile"],
            "mean_abs_shap": [0.2, 0.2, 0.1, 9.0],
            "low": [0.19, 0.19, 0.09, 9.0],
            "high": [0.21, 0.21, 0.11, 9.0],
        }
    )
    found = claims.attitude_share({"families": families})
    assert found.value == pytest.approx(0.8)
    assert found.low == pytest.approx(0.38 / 0.49)
    assert found.high == pytest.approx(0.42 / 0.51)
