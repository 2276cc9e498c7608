from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from models.explanation import (
    check_additivity,
    dependence,
    family_ablation,
    family_importance,
    family_interactions,
    family_sizes,
    feature_importance,
    reasons,
    typical_values,
    with_refits,
)


class Meaning(NamedTuple):
    family: str
    lever: bool
    better: str | None


MEANINGS = {
    "wait_mean": Meaning("responsiveness", True, "lower"),
    "wait_p90": Meaning("responsiveness", True, "lower"),
    "fcr": Meaning("resolution", True, "higher"),
    "tenure": Meaning("profile", False, None),
}
NAMES = list(MEANINGS)


def test_family_importance_is_the_mean_size_of_the_signed_sum() -> None:
    values = np.array([[2.0, -2.0, 0.5, 1.0], [3.0, -1.0, -0.5, 0.0]])
    table = family_importance(values, NAMES, ["a", "b"], MEANINGS, resamples=20)
    # Response times cancel in the first row: |0| and |2|, not |2| + |2| and |3| + |1|.
    assert table["family"].tolist() == ["responsiveness", "profile", "resolution"]
    assert table["mean_abs_shap"].tolist() == [1.0, 0.5, 0.5]
    assert table["share"].tolist() == [0.5, 0.25, 0.25]
    assert table["lever"].tolist() == [True, False, True]
    assert (table["low"] <= table["mean_abs_shap"]).all()
    assert (table["high"] >= table["mean_abs_shap"]).all()


def test_a_family_of_levers_and_context_is_kept_apart() -> None:
    mixed = {"a": Meaning("effort", True, None), "b": Meaning("effort", False, None)}
    table = family_importance(np.array([[1.0, 3.0]]), ["a", "b"], ["x"], mixed, resamples=5)
    assert table[["family", "lever", "mean_abs_shap"]].to_numpy().tolist() == [
        ["effort", False, 3.0],
        ["effort", True, 1.0],
    ]


def test_family_intervals_are_clustered_by_customer() -> None:
    values = np.random.default_rng(0).normal(size=(200, 4))
    customers = np.arange(200)
    once = family_importance(values, NAMES, customers, MEANINGS, resamples=200)
    copied = family_importance(
        np.repeat(values, 4, axis=0), NAMES, np.repeat(customers, 4), MEANINGS, resamples=200
    )
    pd.testing.assert_frame_equal(once, copied)
    naive = family_importance(
        np.repeat(values, 4, axis=0), NAMES, np.arange(800), MEANINGS, resamples=200
    )
    assert (copied["high"] - copied["low"] > 1.6 * (naive["high"] - naive["low"])).all()


def sloping(rows: int, seed: int) -> tuple[np.ndarray, pd.DataFrame]:
    """SHAP values that rise with waiting, fall with FCR and ignore tenure.

    Features are evenly spaced on [0, 1], so that a value is its own scaled rank.
    """
    generator = np.random.default_rng(seed)
    grid = np.tile(np.linspace(0, 1, rows)[:, None], 4)
    frame = pd.DataFrame(generator.permuted(grid, axis=0), columns=NAMES).astype("float32")
    values = generator.normal(0, 0.1, (rows, 4))
    values[:, 0] += frame["wait_mean"]
    values[:, 1] += frame["wait_p90"]
    values[:, 2] -= frame["fcr"]
    return values, frame


def test_direction_is_the_slope_on_the_scaled_rank() -> None:
    values = np.array([[0.0], [1.0], [2.0], [7.0]])
    frame = pd.DataFrame({"tenure": [10.0, 20.0, 1000.0, np.nan]})
    table = feature_importance(
        values, ["tenure"], frame, list("abcd"), MEANINGS, positive_is_good=False, resamples=5
    )
    # Ranks 0, 1/2, 1 for the three rows that have a value: SHAP rises by 2 from end to end.
    assert table.loc[0, "direction"] == pytest.approx(2.0)
    assert table.loc[0, "mean_abs_shap"] == 2.5


@pytest.mark.parametrize(("positive_is_good", "expected"), [(False, "yes"), (True, "no")])
def test_agreement_depends_on_whether_the_outcome_is_good(
    positive_is_good: bool, expected: str
) -> None:
    values, frame = sloping(400, seed=1)
    table = feature_importance(
        values, NAMES, frame, np.arange(400), MEANINGS, positive_is_good=positive_is_good
    ).set_index("feature")
    # Long waits push towards y = 1: right if that means leaving, wrong if it means buying again.
    assert table["direction"]["wait_mean"] == pytest.approx(1.0, abs=0.05)
    assert table["direction"]["fcr"] == pytest.approx(-1.0, abs=0.05)
    assert table["agrees"]["wait_mean"] == table["agrees"]["fcr"] == expected
    assert table["agrees"]["tenure"] == "unclear"
    inside = table["direction"].between(table["direction_low"], table["direction_high"])
    assert inside.all()


def test_no_sign_is_claimed_from_noise() -> None:
    claimed = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        frame = pd.DataFrame({"fcr": generator.random(150)})
        table = feature_importance(
            generator.normal(size=(150, 1)),
            ["fcr"],
            frame,
            np.arange(150),
            MEANINGS,
            positive_is_good=False,
            resamples=200,
        )
        claimed += int(table["agrees"][0] != "unclear")
    assert claimed <= 7


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1.0] * 50, dtype="float32"),
        pd.Series([np.nan] * 50, dtype="float32"),
        pd.Series([0.0] * 49 + [1.0], dtype="float32"),
        pd.Series(["ja", "en"] * 25),
    ],
    ids=["constant", "all missing", "one customer differs", "category"],
)
def test_no_direction_is_claimed_without_variation(column: pd.Series) -> None:
    values = np.where(np.arange(50) == 49, 5.0, 0.0)[:, None]
    table = feature_importance(
        values,
        ["fcr"],
        pd.DataFrame({"fcr": column}),
        np.arange(50),
        MEANINGS,
        positive_is_good=False,
        resamples=100,
    )
    assert table["direction_low"].isna().all()
    assert table.loc[0, "agrees"] == "unclear"


def test_importance_is_repeatable_and_hardly_depends_on_the_order_of_rows() -> None:
    values, frame = sloping(300, seed=2)
    customers = np.array([f"C{i % 90}" for i in range(300)], dtype=object)
    shuffle = np.random.default_rng(0).permutation(300)

    def table(i: np.ndarray) -> pd.DataFrame:
        return feature_importance(
            values[i], NAMES, frame.iloc[i], customers[i], MEANINGS, positive_is_good=False
        )

    straight = np.arange(300)
    assert table(straight).to_csv() == table(straight).to_csv()
    pd.testing.assert_frame_equal(table(straight), table(shuffle), rtol=1e-12)


def test_dependence_bins_by_hand() -> None:
    frame = pd.DataFrame({"fcr": [0.0, 0.0, 0.0, 1.0, 2.0, np.nan]})
    table = dependence(
        np.array([[1.0], [2.0], [3.0], [5.0], [7.0], [9.0]]),
        ["fcr"],
        frame,
        list("abcdef"),
        [0, 1, np.nan, 1, 1, np.nan],
        ["fcr"],
        max_bins=3,
        min_rows=2,
    )
    assert table["bin"].tolist() == ["1", "2", "missing"]
    assert table["n"].tolist() == [3, 2, 1]
    assert table["value"].tolist()[:2] == [0.0, 1.5]
    assert np.isnan(table["value"].tolist()[2])
    assert table["shap"].tolist() == [2.0, 6.0, 9.0]
    # Unlabelled rows have a SHAP value but no outcome.
    assert table["observed_rate"].tolist()[:2] == [0.5, 1.0]
    assert table["observed_rate"].isna().tolist() == [False, False, True]
    assert table["observed_low"][0] < 0.5 < table["observed_high"][0]
    half = 1.959964 * np.sqrt(3 / 2 * 2) / 3
    assert table.loc[0, "shap_high"] == pytest.approx(2.0 + half)


@pytest.mark.parametrize("zero_share", [0.0, 0.5, 0.9, 0.999])
def test_dependence_bins_are_large_enough_and_keep_equal_values_together(
    zero_share: float,
) -> None:
    generator = np.random.default_rng(3)
    x = np.where(generator.random(5000) < zero_share, 0.0, generator.exponential(5, 5000))
    table = dependence(
        np.zeros((5000, 1)),
        ["fcr"],
        pd.DataFrame({"fcr": np.round(x, 1)}),
        np.arange(5000),
        np.zeros(5000),
        ["fcr"],
    )
    assert table["n"].sum() == 5000
    assert table["n"].min() >= 200
    assert len(table) <= 10
    assert table["value"].is_monotonic_increasing
    assert table["value"].is_unique
    # A value most rows share costs one bin; the others still show the rest.
    assert len(table) >= {0.0: 10, 0.5: 9, 0.9: 3, 0.999: 1}[zero_share]


def test_dependence_of_a_category_has_one_bin_for_each_frequent_value() -> None:
    language = ["ja"] * 6 + ["en"] * 3 + ["zh", "ko"] + [None]
    table = dependence(
        np.arange(12.0)[:, None],
        ["language"],
        pd.DataFrame({"language": language}),
        np.arange(12),
        np.zeros(12),
        ["language"],
        min_rows=2,
    )
    assert table["bin"].tolist() == ["1", "2", "other", "missing"]
    assert table["value"].tolist()[:2] == ["ja", "en"]
    assert table["n"].tolist() == [6, 3, 2, 1]


def test_reasons_by_hand() -> None:
    values = np.array(
        [
            # wait_mean, wait_p90, fcr, tenure
            [0.5, 0.1, 0.2, 0.9],
            [0.4, -0.6, 0.3, -1.0],
            [-0.1, -0.1, -0.1, -0.1],
        ]
    )
    table = reasons(values, NAMES, MEANINGS, towards=+1)
    rows = table.drop(columns="contribution").to_numpy().tolist()
    assert rows == [
        # Levers first, the largest first; context after them although it is larger.
        [0, 1, "responsiveness", "wait_mean", True],
        [0, 2, "resolution", "fcr", True],
        [0, 3, "profile", "tenure", False],
        # Waiting helps on balance in this row, so it is no reason in spite of one harmful part.
        [1, 1, "resolution", "fcr", True],
    ]
    assert table["contribution"].tolist() == pytest.approx([0.6, 0.2, 0.9, 0.3])


def test_towards_minus_one_explains_a_low_probability() -> None:
    table = reasons(np.array([[0.5, 0.1, -0.2, -0.3]]), NAMES, MEANINGS, towards=-1)
    assert table["feature"].tolist() == ["fcr", "tenure"]
    assert table["contribution"].tolist() == [-0.2, -0.3]


def test_a_small_lever_does_not_displace_a_larger_context_reason() -> None:
    meanings = {name: Meaning(name, name.startswith("lever"), None) for name in ("a", "b", "lever")}
    table = reasons(np.array([[0.9, 0.8, 0.001]]), list(meanings), meanings, towards=1, top=2)
    assert table["family"].tolist() == ["a", "b"]
    assert not table["lever"].any()


def test_contributions_up_to_the_minimum_are_no_reason() -> None:
    table = reasons(np.array([[0.0, 0.05, 0.2, 0.0]]), NAMES, MEANINGS, towards=1, minimum=0.05)
    assert table["family"].tolist() == ["resolution"]


def test_reasons_agree_in_sign_with_what_they_explain() -> None:
    generator = np.random.default_rng(4)
    names = [f"f{i}" for i in range(30)]
    meanings = {name: Meaning(f"family{i % 7}", i % 7 < 5, None) for i, name in enumerate(names)}
    values = generator.normal(size=(500, 30))
    for towards in (1, -1):
        table = reasons(values, names, meanings, towards=towards)
        assert (towards * table["contribution"] > 0).all()
        named = values[table["row"], table["feature"].map(names.index)]
        assert (towards * named > 0).all()
        assert table.groupby("row")["rank"].max().max() == 3
        assert not table.duplicated(["row", "family"]).any()
        assert (table["family"] == table["feature"].map(lambda name: meanings[name].family)).all()
        # Levers come first, in falling order within each kind.
        size = towards * table["contribution"]
        same = (table["row"].diff() == 0) & (table["lever"] == table["lever"].shift())
        assert (size.diff()[same] <= 0).all()
        later = (table["row"].diff() == 0) & ~same
        assert not table["lever"][later].any()


def test_nothing_to_explain_gives_no_reasons() -> None:
    assert reasons(np.empty((0, 4)), NAMES, MEANINGS, towards=1).empty
    assert reasons(np.zeros((3, 4)), NAMES, MEANINGS, towards=1).empty


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        (np.zeros((2, 3)), NAMES, "one column"),
        (np.zeros((2, 1)), ["unheard_of"], "unheard_of"),
        (np.full((2, 4), np.nan), NAMES, "finite"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(
    values: np.ndarray, names: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        reasons(values, names, MEANINGS, towards=1)


def test_additivity_is_checked_and_its_error_reported() -> None:
    values = np.array([[1.0, 2.0], [0.5, -0.5]])
    assert check_additivity(values, -1.0, [2.0, -1.0]) == 0.0
    with pytest.raises(ValueError, match=r"largest gap 0\.25"):
        check_additivity(values, -1.0, [2.0, -1.25])
    with pytest.raises(ValueError, match="do not add up"):
        check_additivity(values, np.nan, [2.0, -1.0])


def test_the_typical_customer_is_one_who_stayed() -> None:
    frame = pd.DataFrame(
        {
            "wait_mean": pd.Series([1.0, 3.0, np.nan, 50.0, 60.0], dtype="float32"),
            "language": ["ja", "en", "ja", "zh", "zh"],
            "never": [np.nan, np.nan, np.nan, 1.0, 1.0],
        }
    )
    left = [0, 0, 0, 1, np.nan]
    typical = typical_values(frame, left, positive_is_good=False)
    assert typical == {"wait_mean": 2.0, "language": "ja", "never": None}
    bought = [0, 0, 0, 1, np.nan]
    assert typical_values(frame, bought, positive_is_good=True)["wait_mean"] == 50.0


def test_shap_library_agrees_with_the_model_and_with_family_sums() -> None:
    import shap

    generator = np.random.default_rng(5)
    frame = pd.DataFrame(generator.random((400, 4)), columns=NAMES).astype("float32")
    frame.loc[::9, "fcr"] = np.nan
    y = generator.random(400) < 0.2 + 0.5 * frame["wait_mean"] * frame["wait_p90"]
    booster = lgb.train(
        {"objective": "binary", "num_leaves": 7, "verbose": -1, "seed": 0, "num_threads": 1},
        lgb.Dataset(frame, y),
        num_boost_round=30,
    )
    contributions = np.asarray(booster.predict(frame, pred_contrib=True))
    margin = np.asarray(booster.predict(frame, raw_score=True))
    slope, intercept = 0.8, -0.3
    values = slope * contributions[:, :-1]
    base = slope * contributions[0, -1] + intercept
    assert check_additivity(values, base, slope * margin + intercept) <= 1e-10
    with pytest.raises(ValueError, match="do not add up"):
        check_additivity(contributions[:, :-1], base, slope * margin + intercept)

    explainer = shap.TreeExplainer(booster, feature_perturbation="tree_path_dependent")
    library = slope * np.asarray(explainer.shap_values(frame, check_additivity=True))
    np.testing.assert_allclose(values, library, atol=1e-10)
    families = family_importance(values, NAMES, np.arange(400), MEANINGS, resamples=5)
    by_family = families.set_index("family")["mean_abs_shap"]
    waiting = np.abs(library[:, 0] + library[:, 1]).mean()
    assert by_family["responsiveness"] == pytest.approx(waiting, abs=1e-10)
    told = reasons(values, NAMES, MEANINGS, towards=1, top=4)
    harmful = told.groupby("row")["contribution"].sum().reindex(range(400), fill_value=0.0)
    family_sums = np.column_stack([library[:, 0] + library[:, 1], library[:, 2:]])
    np.testing.assert_allclose(harmful, np.maximum(family_sums, 0).sum(axis=1), atol=1e-10)


def test_a_missing_value_never_names_a_reason() -> None:
    values = np.array([[0.5, 0.1, 0.3], [0.5, -0.1, 0.3]])
    present = np.array([[False, True, True], [False, True, True]])
    meanings = {
        "a": SimpleNamespace(family="returns", lever=True, better=None),
        "b": SimpleNamespace(family="returns", lever=True, better=None),
        "c": SimpleNamespace(family="profile", lever=False, better=None),
    }
    found = reasons(values, ["a", "b", "c"], meanings, towards=1, minimum=0.0, present=present)
    assert found[["row", "family", "feature"]].to_numpy().tolist() == [
        [0, "returns", "b"],
        [0, "profile", "c"],
        [1, "profile", "c"],
    ]


def test_a_rank_that_refits_do_not_keep_is_not_shown() -> None:
    values = np.array([[3.0, 0.0, 2.0, 1.0], [-3.0, 0.0, 2.0, -1.0]])
    table = family_importance(values, NAMES, ["a", "b"], MEANINGS, resamples=20)
    first, second, third = zip(table["family"], table["lever"], strict=True)
    steady = [{first: 3.0 + d, second: 2.0 + d, third: 1.0} for d in (0.0, 0.1, 0.2, 0.3, 0.4)]
    out = with_refits(table, steady, {first: 0.5, second: 0.0, third: 1.0})
    assert out["rank"].tolist() == out["rank_low"].tolist() == out["rank_high"].tolist()
    assert out["rank_is_stable"].all()
    assert out["above_shadow"].tolist() == [2.5, 2.0, 0.0]
    # 0.0 to 0.4: mean 0.2, standard deviation 0.158.
    assert out["refit_low"].iloc[0] == pytest.approx(3.2 - 1.96 * 0.15811, abs=1e-3)
    assert out["refit_high"].iloc[0] == pytest.approx(3.2 + 1.96 * 0.15811, abs=1e-3)

    wide = pd.concat([table] * 3, ignore_index=True)
    wide["family"] = [f"f{i}" for i in range(9)]
    keys = [(f"f{i}", lever) for i, lever in enumerate(wide["lever"])]
    up = {key: float(9 - i) for i, key in enumerate(keys)}
    down = {key: float(i) for i, key in enumerate(keys)}
    unsteady = with_refits(wide, [up, down, up, down], dict.fromkeys(keys, 0.0))
    assert not unsteady["rank_is_stable"].iloc[0]
    assert unsteady["rank_is_stable"].iloc[4]  # the one in the middle stays there


def test_family_sizes_are_those_of_family_importance() -> None:
    values = np.array([[2.0, -2.0, 0.5, 1.0], [3.0, -1.0, -0.5, 0.0]])
    table = family_importance(values, NAMES, ["a", "b"], MEANINGS, resamples=20)
    keys = zip(table["family"], table["lever"], strict=True)
    assert dict(zip(keys, table["mean_abs_shap"], strict=True)) == family_sizes(
        values, NAMES, MEANINGS
    )


def test_interactions_are_listed_from_the_largest() -> None:
    pairs = np.array([[0.1, -0.1], [0.5, -0.7], [0.0, 0.0]])
    table = family_interactions(pairs, ["care", "effort", "resolution"], top=2)
    assert table.to_numpy().tolist() == [["care", "resolution", 0.6], ["care", "effort", 0.1]]


def test_ablation_measures_what_a_family_adds_within_its_stratum() -> None:
    """The probability is the waiting time of the row; in stratum b everybody waits equally."""
    wait = np.array([0.1, 0.9, 0.1, 0.9, 0.5, 0.5])
    matrix = np.column_stack([wait, np.zeros(6), np.arange(6.0), np.zeros(6)])
    table = family_ablation(
        lambda rows: rows[:, 0],
        matrix,
        NAMES,
        list("uvwxyz"),
        MEANINGS,
        ["a", "a", "a", "a", "b", "b"],
        towards=1,
        seed=0,
        top_share=0.34,
        draws=400,
    ).set_index("family")
    assert list(table.index) == ["responsiveness", "resolution"]  # levers only
    # A row of stratum a meets the other value half of the time, at a distance of 0.8.
    assert table.loc["responsiveness", "mean_abs_change"] == pytest.approx(4 / 6 * 0.4, abs=0.02)
    # The two riskiest rows fall from 0.9 to 0.5 on average.
    assert table.loc["responsiveness", "top_change"] == pytest.approx(0.4, abs=0.03)
    assert table.loc["resolution", "mean_abs_change"] == 0.0
