"""Effect estimates: they find what is there, equal DoubleML's, and grades admit what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from models import effects, nuisance, scenario
from models.effects import LEVER, LEVERS, REASONS, Contrast, Estimate

TRUE_EFFECT = -0.10


def tickets(size: int = 4000, *, seed: int = 1, hide_severity: bool = False) -> pd.DataFrame:
    """Tickets whose severity makes resolution less likely and leaving more likely."""
    rng = np.random.default_rng(seed)
    severity = rng.choice([1.0, 2.0, 3.0], size, p=[0.6, 0.3, 0.1])
    fcr = (rng.random(size) < expit(1.6 - 1.1 * (severity - 1))).astype(float)
    risk = 0.15 + 0.12 * (severity - 1) + TRUE_EFFECT * fcr
    left = (rng.random(size) < risk).astype(float)
    return pd.DataFrame(
        {
            "customer_id": [f"C{number // 2:05d}" for number in range(size)],
            "severity": np.nan if hide_severity else severity,
            "topic": rng.choice(["delivery", "billing"], size),
            "week": np.sort(rng.uniform(0, 100, size)),
            "fcr": fcr,
            "prior_errors": rng.poisson(np.exp(-0.5 + 0.6 * (severity - 1))).astype(float),
            "y_created": left,
            "y_landmark": left,
            "y_answered": np.nan,
        }
    )


def found(frame: pd.DataFrame, key: str = "fcr") -> Estimate:
    answer = effects.estimate(
        frame, effects.base_design(frame), LEVER[key], folds=3, repeats=1, seed=3
    )
    assert isinstance(answer, Estimate)
    return effects.graded([answer])[0]


@pytest.fixture(scope="module")
def seen() -> Estimate:
    return found(tickets())


@pytest.fixture(scope="module")
def hidden() -> Estimate:
    return found(tickets(hide_severity=True))


def test_the_effect_is_found_where_the_naive_difference_is_not(seen: Estimate) -> None:
    low, high = seen.effect.interval
    assert low < TRUE_EFFECT < high
    assert seen.naive < low


def test_hidden_severity_fires_the_negative_control_and_denies_grade_b(hidden: Estimate) -> None:
    assert hidden.effect.theta < TRUE_EFFECT - 2 * hidden.effect.se
    assert {"negative_control", "missing_confounder"} <= set(hidden.reasons)
    assert hidden.grade == "C"


def test_with_severity_the_negative_control_is_silent(seen: Estimate) -> None:
    assert seen.negative_control is not None
    assert seen.negative_control.p > effects.FIRED


def test_an_exposure_that_nobody_else_can_have_cannot_be_told() -> None:
    frame = tickets()
    frame["segment"] = np.where(np.arange(len(frame)) % 3 == 0, "premium", "standard")
    frame["first_response_hours"] = np.where(frame["segment"] == "premium", 0.5, 3.0)
    answer = found(frame, "first_response_1h")
    assert answer.grade == "D"
    assert "no_overlap" in answer.reasons


def test_estimate_and_bounds_are_those_of_doubleml() -> None:
    frame = tickets(1200)
    part = effects.sample(frame, effects.base_design(frame), LEVER["fcr"])
    assert not isinstance(part, str)
    predicted = effects.predictions(part, folds=3, repeats=1, seed=3)
    model = effects.double_ml(part, predicted, "ATE")
    parts = effects.scores(
        part.y, part.d, predicted.g[:, :, 0], np.clip(predicted.m[:, 0], 0.01, 0.99), "ATE"
    )
    own = effects.contrast(*parts, part.cluster)
    assert own.theta == pytest.approx(model.coef[0], abs=2e-4)
    assert own.se == pytest.approx(model.se[0], rel=0.01)
    model.sensitivity_analysis(cf_y=0.03, cf_d=0.05)
    for level, name in ((0.5, "theta"), (0.95, "ci")):
        theirs = model.sensitivity_params[name]
        assert effects.sensitivity_bound(
            model, part.cluster, predicted.fold, 0.03, 0.05, level=level
        ) == pytest.approx((theirs["lower"][0], theirs["upper"][0]), abs=1e-9)
    assert effects.robustness_value(model) == pytest.approx(
        model.sensitivity_params["rv"][0], abs=1e-3
    )


def test_folds_keep_customers_together() -> None:
    names = np.array(["a", "a", "b", "c", "c", "d"])
    fold = nuisance.folds_of(names, 2, np.random.default_rng(0))
    for name in set(names):
        assert len(set(fold[names == name])) == 1
    for train, test in nuisance.splits(fold):
        assert not set(names[train]) & set(names[test])


def test_the_same_bytes_whatever_was_computed_before() -> None:
    frame = tickets(1200)
    assert found(frame).effect == found(frame).effect


def test_holm_multiplies_the_smallest_p_most() -> None:
    assert effects.holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])


def test_rare_exposure_or_thin_overlap_asks_for_the_effect_on_the_exposed() -> None:
    even = np.full(100, 0.5)
    assert effects.estimand_of(np.repeat([0.0, 1.0], 50), even) == "ATE"
    assert effects.estimand_of(np.repeat([0.0, 1.0], [95, 5]), even) == "ATTE"
    assert effects.estimand_of(np.repeat([0.0, 1.0], 50), np.where(np.arange(100) < 6, 0.99, 0.5)) \
        == "ATTE"  # fmt: skip


CLEAN: dict[str, object] = {
    "negative_control": Contrast(0.0, 1.0),
    "placebo": Contrast(0.0, 1.0),
    "bound": (-0.12, -0.03),
    "effect": Contrast(-0.08, 0.01),
    "ess_share": 0.9,
    "overlap_share": 0.9,
    "smd_max": 0.02,
    "missing": (),
}


@pytest.mark.parametrize(
    ("changed", "grade", "reason"),
    [
        ({}, "B", None),
        ({"rv": 0.0001}, "B", None),
        ({"smd_max": 0.11}, "C", "unbalanced"),
        ({"placebo": Contrast(0.1, 0.01)}, "C", "placebo"),
        ({"negative_control": Contrast(0.1, 0.01)}, "C", "negative_control"),
        ({"negative_control": None}, "B", None),
        ({"bound": (-0.12, 0.01)}, "C", "sensitivity"),
        ({"missing": ("severity",)}, "C", "missing_confounder"),
        ({"key": "loyalty"}, "C", "self_selected"),
        ({"trial_difference": Contrast(0.1, 0.01)}, "C", "trial_disagrees"),
        ({"ess_share": 0.29}, "D", "no_overlap"),
        ({"effect": Contrast(-0.01, 0.01)}, "D", "not_significant"),
        ({"trial": Contrast(-0.05, 0.01)}, "A", "trial"),
        ({"trial": Contrast(-0.01, 0.01)}, "B", None),
    ],
)
def test_grades(seen: Estimate, changed: dict, grade: str, reason: str | None) -> None:
    item = effects.graded([replace(seen, **(CLEAN | changed))])[0]
    assert item.grade == grade
    assert item.reasons == ((reason,) if reason else ())


def test_every_lever_has_words_in_both_languages() -> None:
    for lever in LEVERS:
        assert all((lever.en, lever.ja, lever.en_contrast, lever.ja_contrast))
    assert all(en and ja for en, ja in REASONS.values())


def test_no_lever_is_adjusted_for_what_comes_after_it() -> None:
    order = [
        "personal",
        "first_response_hours",
        "fcr",
        "escalated",
        "resolution_hours",
        "follow_up",
    ]
    for lever in LEVERS:
        own = [order.index(name) for name in lever.reads if name in order]
        before = [order.index(name) for name in lever.upstream if name in order]
        if own and before:
            assert max(before) <= max(own)
        assert "csat_score" not in lever.upstream


STRATA = [
    {"stratum": "low", "tickets": 900, "share": 0.8, "low": 0.7, "high": 0.9},
    {"stratum": "high", "tickets": 100, "share": 0.5, "low": 0.4, "high": 0.6},
]


def test_what_if_stays_where_every_stratum_has_data() -> None:
    low, high = scenario.reach(STRATA)
    odds = 0.6 / 0.4  # of the stratum that reaches its limit first, from odds of one
    assert high == pytest.approx(0.9 * (4 * odds / (1 + 4 * odds)) + 0.1 * 0.6)
    assert low < 0.77 < high


def test_what_if_multiplies_effect_share_and_tickets() -> None:
    lever = {"share": 0.79, "tickets_last_year": 10_000, "theta": -0.09, "low": -0.1, "high": -0.08}
    found = scenario.change(lever, 0.85)
    assert (found.departures, found.low, found.high) == pytest.approx((-54, -60, -48))


@pytest.mark.parametrize(
    ("changed", "after", "refused"),
    [
        ({}, 0.80, None),
        ({}, 0.99, "outside"),
        ({"grade": "C"}, 0.80, "grade is C"),
        ({"estimand": "ATTE"}, 0.80, "exposed"),
        ({"estimand": "ATTE"}, 0.76, None),
    ],
)
def test_what_if_refuses_what_the_data_do_not_support(
    changed: dict, after: float, refused: str | None
) -> None:
    lever = {"grade": "B", "estimand": "ATE", "share": 0.77, "reach": [0.70, 0.84]} | changed
    answer = scenario.refusal(lever, after)
    assert (answer is None) if refused is None else (answer is not None and refused in answer[0])


def test_shorter_hours_move_the_share_within_the_limit() -> None:
    hours = [float(number) for number in range(101)]
    assert scenario.share_of_hours(hours, 10.0, 1.0) == pytest.approx(0.10)
    assert scenario.share_of_hours(hours, 10.0, 0.5) == pytest.approx(0.20)
