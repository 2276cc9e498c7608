from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.policy import (
    Limits,
    Plan,
    Team,
    base_rates,
    contact_plan,
    customer_values,
    held_out,
    net_value,
    next_steps,
    rank,
    silenced,
    suppress,
    tiers,
)
from models.value import Costs

DRAWN = [2, 5, 7, 19, 21, 27, 35]


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


COSTS = Costs(customer_value=30_000, offer_cost=3_000, contact_cost=200)
DESK = Team("desk", minutes=30, minutes_per_contact=10)


def test_the_worth_of_a_contact_by_hand() -> None:
    # 0.3 x 0.5 x 27,000 - 0.5 x 3,000 - 200 and 0.3 x 0.1 x 27,000 - 0.9 x 3,000 - 200
    assert net_value([0.5, 0.1], 30_000, COSTS) == pytest.approx([2_350, -2_090])
    # Nobody who would stay takes the offer.
    assert net_value([0.5], 30_000, COSTS, taken_by_stayers=0) == pytest.approx([3_850])


def test_a_customers_value_is_the_margin_on_what_they_bring_in() -> None:
    rows = pd.DataFrame(
        {"order_amount_365d": [1_000.0, np.nan, np.nan], "subscription_price": [50.0, 50.0, np.nan]}
    )
    values, said = customer_values(rows, otherwise=70, margin=0.5)
    assert values.tolist() == [800, 300, 70]
    assert said == "0.5 of order_amount_365d + 12 x subscription_price; 70 without"
    assert customer_values(rows, otherwise=70, margin=None)[0].tolist() == [70, 70, 70]


def test_each_customer_left_alone_has_the_first_reason() -> None:
    rows = pd.DataFrame(
        {
            "is_leaving": [1, 0, 0, 0, 0, 0, 0, 0, 0],
            "contact_opt_in": [0.0, 0.0, np.nan, 1, 1, 1, 1, 1, 1],
            "open_ticket_count": [0, 1, 0, 1, 0, 0, 0, 0, np.nan],
            "days_since_contact": [np.nan, 3, 3, 3, 29.9, 30, 5_000, np.nan, np.nan],
            "days_since_listed": [np.nan] * 5 + [31, 7, np.nan, np.nan],
            "tenure_days": [99.0, 99, 99, 3, 99, 99, 99, 27, 28],
        }
    )
    reason, silent, record = suppress(rows, Limits())
    assert reason.where(reason.notna(), "-").tolist() == [
        "already_leaving",
        "no_consent",
        "no_consent",
        "open_ticket",
        "recent_contact",
        "-",
        "on_recent_list",
        "too_new",
        "-",
    ]
    # The model is silent about a new customer even where another reason comes first.
    assert silent.tolist() == [False, False, False, True, False, False, False, True, False]
    assert record["open_ticket"] == "read from open_ticket_count: applies to 2 customers"
    assert record["held_out_before"] == "cannot be applied: there is no days_since_held_out"


def test_the_holdout_is_the_customers_own_and_changes_with_the_list() -> None:
    ids = [f"C{i}" for i in range(20_000)]
    drawn = held_out(ids, day="2025-07-01", share=0.1, seed=7)
    assert 0.094 < drawn.mean() < 0.106
    shuffle = np.random.default_rng(0).permutation(len(ids))
    again = held_out(np.array(ids, dtype=object)[shuffle], day="2025-07-01", share=0.1, seed=7)
    assert (again == drawn[shuffle]).all()
    later = held_out(ids, day="2025-08-01", share=0.1, seed=7)
    assert 0.08 < later[drawn].mean() < 0.12
    assert not held_out(ids, day="2025-07-01", share=0, seed=7).any()
    # A draw once made must not change with a release: it is what outcomes are compared by.
    assert np.flatnonzero(held_out(ids[:50], day="2025-07-01", share=0.1, seed=7)).tolist() == DRAWN


def plan_of(net: list[float], teams: list[Team], share: float = 0.0, **columns: list) -> Plan:
    rows = len(net)
    return contact_plan(
        [f"C{i}" for i in range(rows)],
        net,
        pd.Series(columns.get("blocked", [None] * rows), dtype=object),
        columns.get("language", [None] * rows),
        columns.get("channel", [None] * rows),
        teams,
        day="2025-07-01",
        holdout_share=share,
        seed=7,
    )


def test_a_plan_says_for_everybody_what_and_why() -> None:
    plan = plan_of(
        [50, 40, 30, 20, 10, -5, 60, 70],
        [DESK, Team("ja desk", 10, 10, languages=("ja",), channels=("phone",))],
        language=["en", "en", "en", "en", "ja", "en", "zh", "en"],
        channel=["mail", "mail", "mail", "mail", "phone", "mail", "mail", "mail"],
        blocked=[None] * 7 + ["open_ticket"],
    )
    rows = plan.rows
    assert rows["action"].tolist() == [
        "contact", "contact", "leave", "leave", "contact", "leave", "contact", "leave",
    ]  # fmt: skip
    assert rows["team"].where(rows["team"].notna(), "-").tolist() == [
        "desk", "desk", "-", "-", "ja desk", "-", "desk", "-",
    ]  # fmt: skip
    assert rows["action_reason"].where(rows["action_reason"].notna(), "-").tolist() == [
        "-", "-", "no_capacity", "no_capacity", "-", "not_worth_it", "-", "open_ticket",
    ]  # fmt: skip
    assert plan.value == 160 and plan.is_exact
    assert plan.minutes == {"desk": 30.0, "ja desk": 10.0}


def test_a_customer_whom_no_team_can_talk_to_is_said_to_be_one() -> None:
    team = Team("ja desk", 100, {"phone": 15, "mail": 5}, languages=("ja",))
    plan = plan_of(
        [5, 5, 5, 5],
        [team],
        language=["ja", "ko", "ja", None],
        channel=["mail", "mail", "chat", None],
    )
    assert plan.rows["action_reason"].where(plan.rows["action_reason"].notna(), "-").tolist() == [
        "-", "no_team", "no_team", "-",
    ]  # fmt: skip
    # Without a known channel the contact may turn out to be the longest.
    assert plan.minutes == {"ja desk": 20.0}


def test_the_held_out_take_no_time_and_are_those_who_would_have_been_contacted() -> None:
    rng = np.random.default_rng(5)
    net = rng.normal(0, 100, 4_000).tolist()
    team = Team("desk", minutes=5_000, minutes_per_contact=10)
    plan = plan_of(net, [team], share=0.1)
    rows = plan.rows
    contacted, held = rows[rows["action"] == "contact"], rows[rows["action"] == "hold_out"]
    assert len(contacted) == 500
    assert 35 < len(held) < 75
    assert held["net_value"].min() > contacted["net_value"].min()
    assert held["team"].isna().all()
    assert (rows.loc[rows["action"] != "leave", "propensity"] == 0.9).all()
    assert rows.loc[rows["action"] == "leave", "propensity"].isna().all()
    # With nobody turned down for want of time, everybody worth it who was drawn is held out.
    free = plan_of(net, [Team("desk", 1e6, 10)], share=0.1).rows
    drawn = held_out([f"C{i}" for i in range(4_000)], day="2025-07-01", share=0.1, seed=7)
    assert (free["action"] == "hold_out").tolist() == (drawn & (np.array(net) > 0)).tolist()


def test_a_plan_does_not_depend_on_the_order_of_the_rows() -> None:
    rng = np.random.default_rng(6)
    ids = np.array([f"C{i}" for i in range(500)], dtype=object)
    net = rng.integers(-3, 9, 500).astype(float)
    language = rng.choice(["ja", "en", "zh"], 500).astype(object)
    teams = [Team("a", 200, 7, languages=("ja", "en")), Team("b", 100, 5, languages=("zh", "en"))]

    def actions(order: np.ndarray) -> dict[str, tuple[object, ...]]:
        plan = contact_plan(
            ids[order], net[order], pd.Series([None] * 500, dtype=object), language[order],
            np.full(500, None), teams, day="2025-07-01", holdout_share=0.1, seed=1,
        )  # fmt: skip
        kept = plan.rows[["action", "team"]].astype(str)
        return dict(zip(ids[order], kept.itertuples(index=False, name=None), strict=True))

    assert actions(np.arange(500)) == actions(rng.permutation(500))


def test_a_silent_model_leaves_the_base_rate_of_the_segment() -> None:
    segments = ["a"] * 300 + ["b"] * 10
    rates, overall = base_rates(segments, [1.0] * 60 + [0.0] * 240 + [1.0] * 10)
    assert rates == {"a": 0.2} and overall == pytest.approx(70 / 310)
    said = silenced([0.9, 0.9, 0.9], [True, True, False], ["a", "b", "a"], rates, overall)
    assert said.tolist() == pytest.approx([0.2, 70 / 310, 0.9])
