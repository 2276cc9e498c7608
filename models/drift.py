"""Has the population moved away from the one a model was trained on, by more than it always does?

Season and queue load move every company: in an embedded world in which nothing changes, single
features reach a population stability index (PSI) of 0.36 within months (METHODS H). So a distance
is never judged by an absolute cut-off. It is compared with the same distance between pairs of
earlier dates that lie as far apart (`lag_pairs`), and alarms above the largest of these by a
margin (`judged`).

All distances are between two sets of rows with one row per customer each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy.stats import chi2, ks_2samp, norm, rankdata

from features.catalog import Feature
from features.declare import Attribute
from models.estimator import Encoder, fixed_settings

Severity = Literal["ok", "watch", "alarm"]

DECILES = 10
PSI_MARGIN = 0.10
AUC_MARGIN = 0.03
MISSING_MARGIN = 0.10
LEVEL = 0.99
LEAST_PAIRS = 3
"""Fewer earlier pairs do not say what is usual: nothing alarms."""

LEAST_ROWS = 30
"""Of either side; a share of fewer says nothing."""

WHOLE_PAST = ("decayed", "count")
"""Aggregates over the whole past that do not grow with it: decayed sums, and what is open now."""

DECAY_DAYS = 365
"""A decayed sum has forgotten 99 % of what lies further back. After half a year the tenth that is
left is enough for a classifier: no customer's sum can be below it."""

TREES = {"num_leaves": 8, "learning_rate": 0.1, "min_data_in_leaf": 20, "feature_fraction": 0.5}
ROUNDS = 40
FOLDS = 5


def compared(feature: Feature) -> bool:
    """Whether the feature stays as it is while nothing changes.

    The calendar, tenure, and whatever adds up or waits over the whole past (totals, recencies,
    the last answer, missing until the first) move by construction and are not compared.
    """
    if feature.window is not None or isinstance(feature.source, Attribute):
        return True
    return feature.kind in WHOLE_PAST


def settled_days(feature: Feature) -> int:
    """Days of record a feature needs until its distribution no longer grows with the record."""
    if feature.window is not None:
        # A trend compares a window with the one before it.
        return feature.window * (2 if feature.kind == "trend" else 1)
    return DECAY_DAYS if feature.kind in WHOLE_PAST else 0


@dataclass(frozen=True)
class Bins:
    """The bins of one feature: deciles with ties merged, or the categories, and one for missing.

    `edges` are upper ends, `values` the categories; a category that is not among them has a bin.
    """

    edges: tuple[float, ...] = ()
    values: tuple[str, ...] | None = None

    @classmethod
    def of(cls, column: pd.Series, *, category: bool) -> Bins:
        """The bins of the rows a model was trained on."""
        if category:
            return cls(values=tuple(sorted(column.dropna().astype(str).unique())))
        present = column.to_numpy(dtype=np.float64, na_value=np.nan)
        present = present[~np.isnan(present)]
        if not len(present):
            return cls()
        cuts = np.quantile(present, np.arange(1, DECILES) / DECILES, method="inverted_cdf")
        # A cut at the largest value would leave nothing above it.
        return cls(edges=tuple(float(cut) for cut in np.unique(cuts) if cut < present.max()))

    def counts(self, column: pd.Series) -> np.ndarray:
        """Rows per bin, the missing ones last: float64 [bins]."""
        if self.values is not None:
            words = column.astype(object)
            code = pd.Index(self.values, dtype=object).get_indexer(pd.Index(words, dtype=object))
            size = len(self.values) + 2
            code = np.where(words.isna(), size - 1, np.where(code < 0, size - 2, code))
        else:
            numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
            size = len(self.edges) + 2
            code = np.where(np.isnan(numbers), size - 1, np.searchsorted(self.edges, numbers))
        return np.bincount(code, minlength=size).astype(np.float64)


def psi(reference: np.ndarray, now: np.ndarray) -> float:
    """Population stability index of two vectors of counts over the same bins.

    sum (q - p) ln(q / p). Every bin that either side uses counts half a row more, so that a
    category seen for the first time has a finite distance. NaN without rows.
    """
    used = (reference + now) > 0
    if not reference.sum() or not now.sum():
        return float("nan")
    p, q = reference[used] + 0.5, now[used] + 0.5
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def psi_bound(reference: np.ndarray, now: np.ndarray, level: float = LEVEL) -> float:
    """What the PSI stays below with probability `level` when both sides are one population.

    chi2_{B-1} (1/n + 1/m) with B the bins in use. Source: Yurdakul 2018. Both sides share most
    customers, so it is on the safe side for monthly dates.
    """
    bins = int(((reference + now) > 0).sum())
    n, m = reference.sum(), now.sum()
    if bins < 2 or not n or not m:
        return 0.0
    return float(chi2.ppf(level, bins - 1) * (1 / n + 1 / m))


def share_bound(share: float, n: float, m: float, tried: int) -> float:
    """What the difference of two shares of `n` and `m` rows stays below by chance.

    With probability LEVEL for all of `tried` such differences together; normal approximation.
    """
    spread = np.sqrt(share * (1 - share) * (1 / n + 1 / m))
    return float(norm.ppf(1 - (1 - LEVEL) / (2 * tried)) * spread)


def ks(reference: pd.Series, now: pd.Series) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance of the values present and its asymptotic p-value; NaN if none."""
    a, b = (
        column.dropna().to_numpy(dtype=np.float64, na_value=np.nan) for column in (reference, now)
    )
    # The p-value of one value against one is not defined.
    if min(len(a), len(b)) < 2:
        return float("nan"), float("nan")
    found = ks_2samp(a, b, method="asymp")
    return float(found.statistic), float(found.pvalue)


def benjamini_hochberg(p: Sequence[float]) -> np.ndarray:
    """The q-value of every p-value: the false discovery rate at which it is found; NaN stays."""
    values = np.asarray(p, dtype=np.float64)
    out = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    if len(known):
        order = known[np.argsort(-values[known], kind="stable")]
        scaled = values[order] * len(known) / np.arange(len(known), 0, -1)
        out[order] = np.minimum(np.minimum.accumulate(scaled), 1.0)
    return out


@dataclass(frozen=True)
class TwoSample:
    """How well a classifier tells two populations apart. `importance` is AUC lost by shuffling."""

    auc: float
    importance: dict[str, float]


def two_sample(
    reference: pd.DataFrame,
    now: pd.DataFrame,
    features: Sequence[str],
    categories: Sequence[str] = (),
    *,
    seed: int,
    attribute: bool = False,
    threads: int = 1,
) -> TwoSample:
    """Classifier two-sample test of two frames (customer_id and `features`).

    LightGBM, 5 folds by customer: a customer on both sides is in one fold. The AUC is over the
    rows out of fold; 0.5 when nothing differs. With `attribute`, permutation importance of every
    feature that some tree splits on, by shuffling it out of fold. Same input, same result.
    Source: Lopez-Paz and Oquab 2017.
    """
    both = pd.concat([reference, now], ignore_index=True)
    y = np.repeat([0.0, 1.0], [len(reference), len(now)])
    encoder, matrix, _ = Encoder.fit(both, list(features), list(categories))
    if not encoder.features or min(len(reference), len(now)) < LEAST_ROWS:
        return TwoSample(float("nan"), {})
    codes, customers = pd.factorize(both["customer_id"], sort=True)
    generator = np.random.default_rng(seed)
    fold = (generator.permutation(len(customers)) % FOLDS)[codes]
    settings = TREES | fixed_settings(seed, threads)
    margin = np.empty(len(y))
    boosters = []
    for number in range(FOLDS):
        inside = fold == number
        data = lgb.Dataset(matrix[~inside], y[~inside], params={"max_bin": 63})
        booster = lgb.train(settings | {"max_bin": 63}, data, num_boost_round=ROUNDS)
        margin[inside] = booster.predict(matrix[inside], raw_score=True, num_threads=threads)
        boosters.append(booster)
    value = _auc(y, margin)
    importance: dict[str, float] = {}
    if attribute:
        splits = np.sum([booster.feature_importance("split") for booster in boosters], axis=0)
        for column in np.flatnonzero(splits):
            shuffled = margin.copy()
            for number, booster in enumerate(boosters):
                rows = np.flatnonzero(fold == number)
                changed = matrix[rows].copy()
                changed[:, column] = changed[generator.permutation(len(rows)), column]
                shuffled[rows] = booster.predict(changed, raw_score=True, num_threads=threads)
            importance[encoder.features[column]] = value - _auc(y, shuffled)
    return TwoSample(value, importance)


def _auc(y: np.ndarray, score: np.ndarray) -> float:
    positives = y.sum()
    ranks = rankdata(score)[y == 1].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * (len(y) - positives)))


def lag_pairs(days: Iterable[str], reference: str, at: str) -> list[tuple[str, str]]:
    """Earlier pairs (older, newer) of as-of dates as many months apart as `reference` and `at`.

    `days` are ISO dates, one a month at most. The newer date is before `at`, so the pairs hold
    nothing of the change looked for. Once a year of pairs exists, those that end in the same
    season (the same calendar month or one beside it, of an earlier year) are taken alone, if
    there are enough of them: they share the season's own move.
    """
    months = {_month(day): day for day in days if day < at}
    end = _month(at)
    lag = end - _month(reference)
    pairs = [
        (months[month - lag], day) for month, day in sorted(months.items()) if month - lag in months
    ]
    season = [
        pair
        for pair in pairs
        if end - _month(pair[1]) >= 11 and (_month(pair[1]) - end + 1) % 12 <= 2
    ]
    return season if len(season) >= LEAST_PAIRS else pairs


def _month(day: str) -> int:
    return 12 * int(day[:4]) + int(day[5:7])


def judged(
    value: float, earlier: Sequence[float], *, margin: float, noise: float = 0.0
) -> tuple[Severity, float | None]:
    """The severity of a distance and the largest of the `earlier` ones (None if there are none).

    `alarm` above the largest by more than `margin` and above `noise`, what sampling alone would
    give; `watch` above the largest by more than half the margin. Without enough earlier pairs
    nothing is said to be unusual.
    """
    known = [each for each in earlier if not np.isnan(each)]
    largest = max(known) if known else None
    if largest is None or len(known) < LEAST_PAIRS or np.isnan(value) or value <= noise:
        return "ok", largest
    excess = value - largest
    return ("alarm" if excess > margin else "watch" if excess > margin / 2 else "ok"), largest


def worst(severities: Iterable[Severity]) -> Severity:
    """The most severe; ok without any."""
    rank: dict[Severity, int] = {"ok": 0, "watch": 1, "alarm": 2}
    return max(severities, key=rank.__getitem__, default="ok")
