from __future__ import annotations

from itertools import combinations
from math import factorial

import lightgbm as lgb
import numpy as np
import pytest

from models import treeshap
from models.treeshap import NotSupportedError, TreeExplainer, group_interactions

FEATURES = 6


def table(rows: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Correlated float32 features with ties, zeros and missing values; interactions in y."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, FEATURES))
    X[:, 1] = np.round(X[:, 0] + X[:, 1])
    X[:, 2] = np.where(rng.random(rows) < 0.4, 0.0, X[:, 2])
    missing = rng.random(X.shape) < 0.1
    missing[:, 5] = False  # a feature without missing values has LightGBM's missing type None
    X[missing] = np.nan
    known = np.nan_to_num(X)
    margin = known[:, 0] + known[:, 1] * known[:, 2] + 2 * np.isnan(X[:, 3]) + known[:, 5]
    return X.astype(np.float32), (margin + rng.logistic(size=rows) > 0).astype(float)


def trained(leaves: int, depth: int, rounds: int = 20) -> lgb.Booster:
    X, y = table()
    settings = {"objective": "binary", "num_leaves": leaves, "max_depth": depth, "verbosity": -1}
    return lgb.train(settings | {"min_data_in_leaf": 5, "seed": 1}, lgb.Dataset(X, y), rounds)


@pytest.mark.parametrize(
    ("leaves", "depth"),
    [(2, 1), (8, 4), (16, 6), (63, 8), (200, -1)],
    ids=["stumps", "one group a tree", "two groups", "many groups", "long paths"],
)
def test_values_equal_those_of_lightgbm(leaves: int, depth: int) -> None:
    booster = trained(leaves, depth)
    X, _ = table(rows=500, seed=1)
    explainer = TreeExplainer(booster)
    expected = np.asarray(booster.predict(X, pred_contrib=True))
    np.testing.assert_allclose(explainer.shap_values(X), expected[:, :-1], rtol=0, atol=1e-12)
    assert explainer.expected_value == pytest.approx(expected[0, -1], abs=1e-12)


def test_values_of_a_small_tree_equal_the_definition() -> None:
    """Shapley's formula over all subsets, with the conditional expectation along the tree."""
    booster = trained(8, 4, rounds=1)
    tree = booster.dump_model()["tree_info"][0]["tree_structure"]
    X, _ = table(rows=20, seed=2)

    def rows(node: dict) -> int:
        return node["internal_count"] if "split_index" in node else node["leaf_count"]

    def worth(node: dict, x: np.ndarray, known: frozenset[int]) -> float:
        if "leaf_value" in node:
            return node["leaf_value"]
        left, right = node["left_child"], node["right_child"]
        if node["split_feature"] in known:
            value = x[node["split_feature"]]
            if np.isnan(value) and node["missing_type"] == "NaN":
                goes_left = node["default_left"]
            else:
                goes_left = np.nan_to_num(value) <= node["threshold"]
            return worth(left if goes_left else right, x, known)
        total = rows(left) * worth(left, x, known) + rows(right) * worth(right, x, known)
        return total / (rows(left) + rows(right))

    expected = np.zeros((len(X), FEATURES))
    for i, x in enumerate(X):
        for j in range(FEATURES):
            for size in range(FEATURES):
                weight = factorial(size) * factorial(FEATURES - size - 1) / factorial(FEATURES)
                for others in combinations([k for k in range(FEATURES) if k != j], size):
                    s = frozenset(others)
                    expected[i, j] += weight * (worth(tree, x, s | {j}) - worth(tree, x, s))
    np.testing.assert_allclose(TreeExplainer(booster).shap_values(X), expected, atol=1e-14)


def test_a_value_on_a_threshold_goes_left_as_in_lightgbm() -> None:
    booster = trained(31, 5)
    thresholds = sorted(
        {
            (node["split_feature"], node["threshold"])
            for tree in booster.dump_model()["tree_info"]
            for node in inner_nodes(tree["tree_structure"])
        }
    )
    X = np.zeros((3 * len(thresholds), FEATURES), dtype=np.float32)
    for i, (feature, threshold) in enumerate(thresholds):
        near = np.float32(min(threshold, 3e38))
        X[3 * i : 3 * i + 3, feature] = [
            np.nextafter(near, np.float32(-9)),
            near,
            np.nextafter(near, np.float32(9)),
        ]
    expected = np.asarray(booster.predict(X, pred_contrib=True))[:, :-1]
    np.testing.assert_allclose(TreeExplainer(booster).shap_values(X), expected, atol=1e-12)


def inner_nodes(node: dict) -> list[dict]:
    if "leaf_value" in node:
        return []
    return [node, *inner_nodes(node["left_child"]), *inner_nodes(node["right_child"])]


def test_threads_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = TreeExplainer(trained(16, 6))
    X, _ = table(rows=1000, seed=3)
    once = explainer.shap_values(X)
    monkeypatch.setattr(treeshap, "ROWS_AT_ONCE", 64)
    np.testing.assert_array_equal(explainer.shap_values(X, threads=2), once)
    np.testing.assert_array_equal(explainer.shap_values(X[500:510]), once[500:510])


def test_a_model_without_a_split_has_no_contributions() -> None:
    X, _ = table(rows=50)
    settings = {"objective": "binary", "verbosity": -1, "min_data_in_leaf": 100}
    booster = lgb.train(settings, lgb.Dataset(X, np.tile([0.0, 1.0], 25)), 3)
    assert not TreeExplainer(booster).shap_values(X).any()


def test_what_cannot_be_tabulated_is_refused() -> None:
    X, y = table()
    X[:, 1] = np.arange(len(X)) % 3
    y = np.where(X[:, 1] == 1, 1.0, y)
    settings = {"objective": "binary", "verbosity": -1}
    for data, more, reason in (
        (lgb.Dataset(X, y, categorical_feature=[1]), {}, "categorical"),
        (lgb.Dataset(X, y), {"zero_as_missing": True}, "zeros"),
        (lgb.Dataset(X, y), {"linear_tree": True}, "linear"),
    ):
        booster = lgb.train(settings | more, data, 5)
        with pytest.raises(NotSupportedError, match=reason):
            TreeExplainer(booster)


@pytest.mark.parametrize(
    "X", [np.zeros((2, FEATURES)), np.zeros((2, FEATURES + 1), dtype=np.float32)]
)
def test_another_type_or_width_is_refused(X: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected float32"):
        TreeExplainer(trained(8, 4)).shap_values(X)


@pytest.mark.parametrize(("leaves", "depth"), [(8, 4), (31, 6)])
def test_interactions_equal_those_of_the_shap_package(leaves: int, depth: int) -> None:
    import shap

    booster = trained(leaves, depth, rounds=5)
    X, _ = table(rows=60, seed=3)
    expected = shap.TreeExplainer(booster).shap_interaction_values(X)
    found = group_interactions(booster, X, range(FEATURES), FEATURES)
    for row, (i, j) in zip(found, combinations(range(FEATURES), 2), strict=True):
        np.testing.assert_allclose(row, 2 * expected[:, i, j], rtol=0, atol=1e-9)
    assert np.abs(found).max() > 0.01


def test_interactions_of_groups_are_the_sums_over_their_features() -> None:
    booster = trained(16, 5, rounds=5)
    X, _ = table(rows=50, seed=4)
    single = group_interactions(booster, X, range(FEATURES), FEATURES)
    pairs = list(combinations(range(FEATURES), 2))
    group_of = [0, 0, 1, 1, 2, 2]
    grouped = group_interactions(booster, X, group_of, 3)
    for row, (a, b) in zip(grouped, combinations(range(3), 2), strict=True):
        inside = [p for p, (i, j) in enumerate(pairs) if {group_of[i], group_of[j]} == {a, b}]
        np.testing.assert_allclose(row, single[inside].sum(axis=0), rtol=0, atol=1e-12)
