"""Exact path-dependent TreeSHAP for LightGBM models, by looking it up in tables.

Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for
trees", algorithm 1. At one leaf, the worth of a set of features S is the leaf's value times, for
every feature k on its path, o_k if k is in S and z_k if it is not, where o_k is 1 if the row
satisfies all of the path's conditions on k, else 0, and z_k is the share of the training rows that
went along the path there. The Shapley value of feature j among the d features of that path is

    value * (o_j - z_j) * integral over t from 0 to 1 of the product over k <> j of
                                                        (o_k * t + z_k * (1 - t)),

a polynomial of degree d - 1, which Gauss-Legendre quadrature with d / 2 points integrates exactly
(Yu et al. 2022, "Linear TreeShap").

All of it depends on a row only through which conditions the row satisfies. So each tree is cut
into groups of leaves with few conditions between them, the values of a group are tabulated once
per model for every combination of these, and a row costs one look-up per group.

The result equals LightGBM's `pred_contrib` up to rounding; `tests/models/test_treeshap.py` and
whoever explains a model check that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations, pairwise

import lightgbm as lgb
import numpy as np
from numba import njit

GROUP_CONDITIONS = 9
"""A group's table has 2 to the power of its conditions rows; a core's cache holds 2^9 of them."""

MAX_PATH_FEATURES = 12
"""A leaf with more features on its path would need too large a table."""

ROWS_AT_ONCE = 2048

_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_ZERO, _MISSING_NAN = 1, 2
_ZERO = np.float32(1e-35)
"""LightGBM reads values up to this size as 0 when it predicts."""


class NotSupportedError(ValueError):
    """The model has trees that cannot be tabulated; use LightGBM's `pred_contrib`."""


class TreeExplainer:
    """SHAP values of a LightGBM model with one output, on its margin (log-odds).

    Building it takes about a second per 20,000 leaves of depth 8. `expected_value` is the mean
    margin over the training rows. Raises NotSupportedError for categorical splits, zeros as missing
    values, linear leaves, several outputs, and paths with more than 12 different features.
    """

    def __init__(self, booster: lgb.Booster) -> None:
        if booster.num_model_per_iteration() != 1:
            raise NotSupportedError("a model with several outputs")
        trees = _trees(booster)
        self.features = booster.num_feature()
        self.expected_value = sum(tree.expected_value for tree in trees)
        groups = [group for tree in trees for group in tree.groups()]
        self._conditions = np.array(
            [condition for group in groups for condition in group.conditions], dtype=_CONDITION
        )
        self._groups = np.zeros(len(groups) + 1, dtype=_GROUP)
        for name, sizes in (
            ("condition", [len(group.conditions) for group in groups]),
            ("column", [len(group.columns) for group in groups]),
            ("value", [group.table.size for group in groups]),
        ):
            self._groups[name][1:] = np.cumsum(sizes, dtype=np.int64)
        self._columns = np.concatenate([[0], *(group.columns for group in groups)])[1:].astype(
            np.int64
        )
        self._values = np.concatenate([[0.0], *(group.table.ravel() for group in groups)])[1:]

    def shap_values(self, X: np.ndarray, threads: int = 1) -> np.ndarray:
        """SHAP values [rows x features], float64, of float32 `X` [rows x features]; NaN = missing.

        Independent of `threads`, byte for byte. Raises ValueError for another type or width.
        """
        if X.dtype != np.float32 or X.ndim != 2 or X.shape[1] != self.features:
            raise ValueError(
                f"expected float32 [rows x {self.features}], got {X.dtype} {list(X.shape)}"
            )
        out = np.zeros((len(X), self.features))

        def explain(first: int) -> None:
            block = slice(first, first + ROWS_AT_ONCE)
            by_feature = np.ascontiguousarray(X[block].T)
            _look_up(
                by_feature, self._conditions, self._groups, self._columns, self._values, out[block]
            )

        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(explain, range(0, len(X), ROWS_AT_ONCE)):
                pass
        return out


def group_interactions(
    booster: lgb.Booster, X: np.ndarray, group_of: Sequence[int], groups: int
) -> np.ndarray:
    """SHAP interactions between groups of features, float64 [pairs x rows], on the margin.

    `X` as for `shap_values`; `group_of` numbers each feature's group from 0. The pairs are those
    of `itertools.combinations(range(groups), 2)`. A pair's value is the part of its two groups'
    SHAP values that neither has without the other: the sum over their features i and j of
    Lundberg's 2 * Phi_ij. At one leaf that is

        value * (o_i - z_i) * (o_j - z_j) * integral of the product over the other k

    in the notation at the head of this file, as the weights s! (d - 2 - s)! / (d - 1)! of the
    interaction index are the same integral's moments. Cost: leaves x pairs on a path x rows.
    Raises NotSupportedError as `TreeExplainer` does.
    """
    pair = np.full((groups, groups), -1)
    first, second = np.triu_indices(groups, 1)
    pair[first, second] = pair[second, first] = np.arange(len(first))
    out = np.zeros((len(first), len(X)))
    by_feature = np.ascontiguousarray(X.T)
    for tree in _trees(booster):
        if tree.leaf_value.size < 2:
            continue
        for leaf, steps in tree.leaves():
            features, shares = tree.features_on(steps)
            if len({group_of[f] for f in features}) < 2:
                continue
            holds = np.ones((len(features), len(X)))
            for step in steps:
                condition = np.array([tree.condition(step.node, step.left, 0)], dtype=_CONDITION)
                fails = np.zeros(len(X), dtype=np.int32)
                feature = int(tree.feature[step.node])
                _mark(fails, by_feature[feature], condition[0])
                holds[features.index(feature)] *= fails == 0
            points, weights = np.polynomial.legendre.leggauss(max(1, len(features) // 2))
            points, weights = (points + 1) / 2, weights / 2
            for i, j in combinations(range(len(features)), 2):
                at = pair[group_of[features[i]], group_of[features[j]]]
                if at < 0:
                    continue
                others = [k for k in range(len(features)) if k not in (i, j)]
                rest = sum(
                    weight * np.prod(holds[others] * t + shares[others, None] * (1 - t), axis=0)
                    for t, weight in zip(points, weights, strict=True)
                )
                both = (holds[i] - shares[i]) * (holds[j] - shares[j])
                out[at] += tree.leaf_value[leaf] * both * rest
    return out


_CONDITION = np.dtype(
    [
        ("feature", np.int32),
        ("threshold", np.float32),
        ("missing_is_left", np.bool_),
        ("left", np.bool_),  # the side on which the condition holds
        ("bit", np.int32),  # the bit of the table's row that is set where it does not hold
    ]
)
_GROUP = np.dtype([("condition", np.int64), ("column", np.int64), ("value", np.int64)])
"""Where each group's conditions, columns and table values begin; the last entry is their end."""


@dataclass(frozen=True)
class _Group:
    """Leaves of one tree; `table` [2^bits x columns] holds the SHAP values of `columns`."""

    conditions: list[tuple[int, np.float32, bool, bool, int]]
    columns: np.ndarray
    table: np.ndarray


@dataclass(frozen=True)
class _Step:
    """One condition on a path: the node, the side taken, the share of its rows that took it."""

    node: int
    left: bool
    share: float


@dataclass(frozen=True)
class _Tree:
    """One tree as LightGBM writes it; a child below 0 is the leaf ~child."""

    feature: np.ndarray
    threshold: np.ndarray
    decision: np.ndarray
    left: np.ndarray
    right: np.ndarray
    count: np.ndarray
    leaf_value: np.ndarray
    leaf_count: np.ndarray

    @property
    def expected_value(self) -> float:
        if self.leaf_value.size == 1:
            return float(self.leaf_value[0])
        return float(self.leaf_value @ self.leaf_count / self.leaf_count.sum())

    def groups(self) -> Iterator[_Group]:
        """Disjoint groups of leaves that together are the tree."""
        if self.leaf_value.size > 1:
            yield from self._groups_below(0, [])

    def leaves(self) -> Iterator[tuple[int, list[_Step]]]:
        """Every leaf of a tree that has splits, with the steps of its path."""
        yield from self._leaves_below(0, [])

    def _groups_below(self, node: int, path: list[_Step]) -> Iterator[_Group]:
        if node < 0:
            yield self._group_of_leaf(~node, path)
            return
        inner = self._inner_nodes(node)
        if len(path) + len(inner) <= GROUP_CONDITIONS:
            yield self._group_of_nodes([*(step.node for step in path), *inner], node, path)
            return
        for step, child in self._children(node):
            yield from self._groups_below(child, [*path, step])

    def _children(self, node: int) -> tuple[tuple[_Step, int], tuple[_Step, int]]:
        total = self._rows(node)
        left, right = int(self.left[node]), int(self.right[node])
        return (
            (_Step(node, True, self._rows(left) / total), left),
            (_Step(node, False, self._rows(right) / total), right),
        )

    def _rows(self, node: int) -> float:
        return float(self.count[node] if node >= 0 else self.leaf_count[~node])

    def _inner_nodes(self, node: int) -> list[int]:
        if node < 0:
            return []
        children = (int(self.left[node]), int(self.right[node]))
        return [node, *(inner for child in children for inner in self._inner_nodes(child))]

    def _leaves_below(self, node: int, path: list[_Step]) -> Iterator[tuple[int, list[_Step]]]:
        if node < 0:
            yield ~node, path
            return
        for step, child in self._children(node):
            yield from self._leaves_below(child, [*path, step])

    def _group_of_nodes(self, nodes: list[int], below: int, path: list[_Step]) -> _Group:
        """All leaves below a node; one bit per condition, set where a row goes right."""
        columns = np.unique(self.feature[nodes])
        table = np.zeros((2 ** len(nodes), columns.size))
        bit_of = {node: bit for bit, node in enumerate(nodes)}
        patterns = np.arange(len(table))
        for leaf, steps in self._leaves_below(below, path):
            features, shares = self.features_on(steps)
            holds = np.ones((len(features), len(table)), dtype=bool)
            for step in steps:
                goes_left = (patterns >> bit_of[step.node]) & 1 == 0
                holds[features.index(int(self.feature[step.node]))] &= goes_left == step.left
            which = np.left_shift(1, np.arange(len(features))) @ holds
            values = _leaf_table(shares, float(self.leaf_value[leaf]))
            table[:, np.searchsorted(columns, features)] += values[which]
        return _Group([self.condition(n, True, bit_of[n]) for n in nodes], columns, table)

    def _group_of_leaf(self, leaf: int, steps: list[_Step]) -> _Group:
        """A leaf on a long path; one bit per feature, set where a row leaves the path at it."""
        features, shares = self.features_on(steps)
        values = _leaf_table(shares, float(self.leaf_value[leaf]))
        conditions = [
            self.condition(step.node, step.left, features.index(int(self.feature[step.node])))
            for step in steps
        ]
        return _Group(conditions, np.array(features), values[::-1])  # from "holds" to "fails"

    def features_on(self, steps: list[_Step]) -> tuple[list[int], np.ndarray]:
        """The different features of a path and the share of rows that went along at each."""
        shares: dict[int, float] = {}
        for step in steps:
            feature = int(self.feature[step.node])
            shares[feature] = shares.get(feature, 1.0) * step.share
        if len(shares) > MAX_PATH_FEATURES:
            raise NotSupportedError(f"a path with {len(shares)} different features")
        return list(shares), np.array(list(shares.values()))

    def condition(self, node: int, left: bool, bit: int) -> tuple[int, np.float32, bool, bool, int]:
        """The fields of `_CONDITION` for taking one side of a node."""
        threshold = self.threshold[node]
        # The largest float32 up to the threshold splits float32 values exactly as it does.
        single = np.float32(threshold)
        if single > threshold:
            single = np.nextafter(single, np.float32(-np.inf))
        if 0 <= single < _ZERO:
            single = _ZERO
        elif -_ZERO <= single < 0:
            single = np.nextafter(-_ZERO, np.float32(-np.inf))
        if (self.decision[node] >> 2) & 3 == _MISSING_NAN:
            missing_is_left = bool(self.decision[node] & _DEFAULT_LEFT)
        else:
            missing_is_left = bool(threshold >= 0.0)  # LightGBM reads a missing value as 0
        return int(self.feature[node]), single, missing_is_left, left, bit


def _trees(booster: lgb.Booster) -> list[_Tree]:
    """The trees of a model, from its text."""
    trees = []
    text = booster.model_to_string(num_iteration=-1)
    starts = [i for i in range(len(text)) if text.startswith("\nTree=", i)]
    for start, end in pairwise([*starts, text.index("\nend of trees")]):
        fields = dict(
            line.split("=", 1) for line in text[start:end].strip().splitlines() if "=" in line
        )

        def numbers(name: str, kind: type, fields: dict[str, str] = fields) -> np.ndarray:
            return np.array(fields.get(name, "").split(), dtype=kind)

        tree = _Tree(
            feature=numbers("split_feature", np.int64),
            threshold=numbers("threshold", np.float64),
            decision=numbers("decision_type", np.int64),
            left=numbers("left_child", np.int64),
            right=numbers("right_child", np.int64),
            count=numbers("internal_count", np.float64),
            leaf_value=numbers("leaf_value", np.float64),
            leaf_count=numbers("leaf_count", np.float64),
        )
        if (tree.decision & _CATEGORICAL).any():
            raise NotSupportedError("a categorical split")
        if ((tree.decision >> 2) & 3 == _MISSING_ZERO).any():
            raise NotSupportedError("zeros as missing values")
        if fields.get("is_linear", "0") != "0":
            raise NotSupportedError("linear leaves")
        trees.append(tree)
    return trees


@njit(cache=True)
def _fill(out, shares, points, weights):
    d = shares.size
    before = np.empty(d + 1)
    for pattern in range(out.shape[0]):
        for q in range(points.size):
            t = points[q]
            before[0] = 1.0
            for k in range(d):
                held = (pattern >> k) & 1
                before[k + 1] = before[k] * (held * t + shares[k] * (1.0 - t))
            after = weights[q]
            for j in range(d - 1, -1, -1):
                held = (pattern >> j) & 1
                out[pattern, j] += (held - shares[j]) * before[j] * after
                after *= held * t + shares[j] * (1.0 - t)


def _leaf_table(shares: np.ndarray, value: float) -> np.ndarray:
    """SHAP values [2^d x d] of one leaf; bit k of the row is set where its conditions on k hold."""
    points, weights = np.polynomial.legendre.leggauss((shares.size + 1) // 2)
    out = np.zeros((2**shares.size, shares.size))
    _fill(out, shares, (points + 1) / 2, weights / 2)
    return out * value


@njit(cache=True, nogil=True)
def _look_up(by_feature, conditions, groups, columns, values, out):
    rows = by_feature.shape[1]
    fails = np.empty(rows, dtype=np.int32)
    for g in range(groups.size - 1):
        fails[:] = 0
        for c in range(groups[g].condition, groups[g + 1].condition):
            _mark(fails, by_feature[conditions[c].feature], conditions[c])
        first = groups[g].column
        width = groups[g + 1].column - first
        start = groups[g].value
        for r in range(rows):
            at = start + np.int64(fails[r]) * width
            for j in range(width):
                out[r, columns[first + j]] += values[at + j]


@njit(cache=True, nogil=True)
def _mark(fails, x, condition):
    """Set the condition's bit in every row in which it does not hold. Plain loops: these are the
    ones that the compiler can turn into vector instructions."""
    threshold = condition.threshold
    bit = np.int32(1 << condition.bit)
    if condition.missing_is_left:
        if condition.left:
            for r in range(x.size):
                fails[r] |= bit if x[r] > threshold else np.int32(0)
        else:
            for r in range(x.size):
                fails[r] |= np.int32(0) if x[r] > threshold else bit
    elif condition.left:
        for r in range(x.size):
            fails[r] |= np.int32(0) if x[r] <= threshold else bit
    else:
        for r in range(x.size):
            fails[r] |= bit if x[r] <= threshold else np.int32(0)
