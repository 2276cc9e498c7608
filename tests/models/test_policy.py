from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.policy import next_steps, rank, tiers


def test_rank_is_by_risk_then_by_customer_id() -> None:
    assert rank([0.2, 0.9, 0.2, 0.5], ["d", "c", "a", "b"]).tolist() == [4, 1, 3, 2]


def test_rank_does_not_depend_on_the_order_of_rows() -> None:
    risk = np.array([0.3, 0.3, 0.1, 0.3, 0.7])
    customers = np.array(list("ecbda"), dtype=object)
    shuffle = np.array([3, 0, 4, 2, 1])
    assert (rank(risk[shuffle], customers[shuffle]) == rank(risk, customers)[shuffle]).all()


@pytest.mark.parametrize(
    ("risk", "customers", "message"),
    [
        ([0.1, 0.2], ["a", "a"], "per customer"),
        ([0.1, 0.2], ["a"], "per customer"),
        ([0.1, np.nan], ["a", "b"], "finite"),
    ],
)
def test_what_cannot_be_ranked_is_refused(
    risk: list[float], customers: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rank(risk, customers)


def test_high_needs_both_capacity_and_more_than_the_base_rate() -> None:
    risk = [0.9, 0.8, 0.3, 0.1, 0.05]
    customers = list("abcde")
    assert tiers(risk, customers, base_rate=0.2, capacity_share=0.4).tolist() == [
        "high",
        "high",
        "medium",
        "low",
        "low",
    ]
    # Spare capacity does not turn low risk into high risk.
    assert tiers(risk, customers, base_rate=0.2, capacity_share=1.0).tolist() == [
        "high",
        "high",
        "high",
        "low",
        "low",
    ]
    assert "high" not in tiers(risk, customers, base_rate=0.2, capacity_share=0.0)


def test_ties_at_the_edge_of_capacity_go_to_the_first_customer_id() -> None:
    tier = tiers([0.5, 0.5, 0.5], ["c", "a", "b"], base_rate=0.1, capacity_share=2 / 3)
    assert tier.tolist() == ["medium", "high", "high"]


def test_a_whole_number_of_customers_survives_rounding() -> None:
    customers = [f"{i:03d}" for i in range(100)]
    tier = tiers(np.linspace(1, 0.5, 100), customers, base_rate=0.1, capacity_share=0.29)
    assert (tier == "high").sum() == 29


def test_capacity_is_a_share() -> None:
    with pytest.raises(ValueError, match="capacity_share"):
        tiers([0.5], ["a"], base_rate=0.1, capacity_share=5)


def test_the_next_step_is_the_play_of_the_first_lever() -> None:
    reasons = pd.DataFrame(
        [
            (0, 1, "resolution", True),
            (0, 2, "effort", True),
            (1, 2, "effort", True),
            (1, 1, "profile", False),
            (2, 1, "profile", False),
        ],
        columns=["row", "rank", "family", "lever"],
    )
    plays = {"resolution": "senior fix", "effort": "call back"}
    steps = next_steps(reasons, 4, plays, no_play="no support play")
    # Row 2 has context reasons only, row 3 has none.
    assert steps.tolist() == ["senior fix", "call back", "no support play", "no support play"]


def test_nobody_to_help_needs_no_step() -> None:
    empty = pd.DataFrame({"row": [], "rank": [], "family": [], "lever": np.array([], dtype=bool)})
    assert next_steps(empty.astype({"row": int}), 2, {}, no_play="none").tolist() == ["none"] * 2
