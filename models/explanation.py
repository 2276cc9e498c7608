"""Which factors the model uses, in which direction, and the reasons it has for one row.

The input is a SHAP matrix `values` [rows x features] on the calibrated log-odds of y = 1, its
columns named by `names`. With a Platt calibrator A * margin + B these are the model's path-
dependent SHAP values times A, exactly. `meanings` tells each feature's family, whether it is a
lever (someone in support can act on it) or context, and its good direction for retention.
`positive_is_good` says whether y = 1 is the good outcome (buys again) or the bad one (leaves).

SHAP describes the model, not the world: it tells what the model pays attention to. Intervals are
95 %, clustered by customer; `low` and `high` hold the model fixed, `refit_low` and `refit_high`
come from models refitted on resampled customers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from models.evaluation import (
    Z_95,
    cluster_codes,
    clustered_standard_error,
    rate_interval,
    resampled_counts,
    weighted_sums,
)

MAX_RANK_WIDTH = 3
"""A family's rank is shown if four in five refits place it within this many ranks."""

_FEATURES_AT_ONCE = 32


class Meaning(Protocol):
    """What a feature stands for."""

    @property
    def family(self) -> str:
        """The factor family it belongs to."""

    @property
    def lever(self) -> bool:
        """True for a support factor someone can act on, False for context."""

    @property
    def better(self) -> str | None:
        """The direction that is good for retention: "higher", "lower", or None."""


def check_additivity(
    values: np.ndarray, base: float, log_odds: ArrayLike, tolerance: float = 1e-10
) -> float:
    """The largest |base + sum of SHAP - log-odds| over the rows.

    Raises ValueError when it exceeds `tolerance` (log-odds) or is not a number.
    """
    gaps = np.abs(base + values.sum(axis=1) - np.asarray(log_odds, dtype=np.float64))
    worst = float(gaps.max(initial=0.0))
    if not worst <= tolerance:
        raise ValueError(
            f"SHAP values do not add up to the score: largest gap {worst:.3g} log-odds, "
            f"tolerance {tolerance:.3g}; explain the same model, calibrator and float32 features "
            "that made the score"
        )
    return worst


def family_importance(
    values: np.ndarray,
    names: Sequence[str],
    customers: ArrayLike,
    meanings: Mapping[str, Meaning],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per family, most important first: family, lever, mean_abs_shap, low, high, share.

    A row's family value is the SIGNED sum of its features' SHAP values; the importance is the
    mean absolute family value. (Adding up mean |SHAP| of features instead would count correlated
    features that cancel each other as important.) `share` is of the total over all families. A
    family with levers and context is two rows. Large families win by size: compare with care.
    """
    _check_columns(values, names, meanings)
    groups = _groups(names, meanings)
    totals = np.column_stack([values[:, columns].sum(axis=1) for _, _, columns in groups])
    mean, low, high = _mean_intervals(np.abs(totals), cluster_codes(customers), resamples, seed)
    table = pd.DataFrame(
        {
            "family": [family for family, _, _ in groups],
            "lever": [lever for _, lever, _ in groups],
            "mean_abs_shap": mean,
            "low": low,
            "high": high,
            "share": mean / mean.sum() if mean.sum() > 0 else np.zeros(len(mean)),
        }
    )
    return _most_important_first(table, "family")


def family_sizes(
    values: np.ndarray, names: Sequence[str], meanings: Mapping[str, Meaning]
) -> dict[tuple[str, bool], float]:
    """Mean absolute signed family value by (family, lever), as in `family_importance`."""
    _check_columns(values, names, meanings)
    return {
        (family, lever): float(np.abs(values[:, columns].sum(axis=1)).mean())
        for family, lever, columns in _groups(names, meanings)
    }


def with_refits(
    families: pd.DataFrame,
    refits: Sequence[Mapping[tuple[str, bool], float]],
    shadow: Mapping[tuple[str, bool], float],
) -> pd.DataFrame:
    """`families` (of `family_importance`) with what refitting and chance do to them.

    Added columns: refit_low, refit_high (95 %), rank, rank_low, rank_high (the middle 80 % of the
    refits' ranks), rank_is_stable (those lie within MAX_RANK_WIDTH of each other; only then should
    the rank be shown), shadow (`family_sizes` of meaningless features, as many as the family has)
    and above_shadow (mean_abs_shap less shadow: families of many features win by size alone).
    """
    if len(refits) < 2:
        raise ValueError(f"at least two refits are needed, got {len(refits)}")
    keys = list(zip(families["family"], families["lever"], strict=True))
    sizes = np.array([[refit[key] for key in keys] for refit in refits])
    middle = sizes.mean(axis=0)
    half = Z_95 * sizes.std(axis=0, ddof=1)
    ranks = rankdata(-sizes, axis=1, method="ordinal")
    low, high = np.quantile(ranks, [0.1, 0.9], axis=0, method="nearest").astype(int)
    by_chance = np.array([shadow[key] for key in keys])
    return families.assign(
        refit_low=np.maximum(middle - half, 0.0),
        refit_high=middle + half,
        rank=np.arange(1, len(keys) + 1),
        rank_low=low,
        rank_high=high,
        rank_is_stable=high - low <= MAX_RANK_WIDTH,
        shadow=by_chance,
        above_shadow=families["mean_abs_shap"].to_numpy() - by_chance,
    )


def family_interactions(pairs: np.ndarray, families: Sequence[str], top: int = 10) -> pd.DataFrame:
    """The pairs of families whose joint effect on the score is largest.

    `pairs` [pairs x rows] are SHAP interactions on the calibrated log-odds, in the order of
    `itertools.combinations` of `families`. Columns: family, other, mean_abs_interaction, largest
    first.
    """
    table = pd.DataFrame(list(combinations(families, 2)), columns=["family", "other"])
    table["mean_abs_interaction"] = np.abs(pairs).mean(axis=1)
    order = np.lexsort((table["other"], table["family"], -table["mean_abs_interaction"]))
    return table.iloc[order].head(top).reset_index(drop=True)


def family_ablation(
    predict: Callable[[np.ndarray], np.ndarray],
    matrix: np.ndarray,
    names: Sequence[str],
    customers: ArrayLike,
    meanings: Mapping[str, Meaning],
    strata: ArrayLike,
    *,
    towards: int,
    seed: int,
    top_share: float = 0.1,
    draws: int = 3,
) -> pd.DataFrame:
    """How far a family moves the probability: what is left when it tells nothing.

    `predict` gives the probability of y = 1 for rows of `matrix` [rows x features], the encoded
    features. Each row's values of the family are replaced, together, by those of a random other row
    of the same stratum (`strata` [rows]: say plan x tenure x severity), `draws` times. Columns,
    for every family of levers, the largest first: family, mean_abs_change (of the probability),
    top_change with top_low and top_high (95 %, clustered): by how much the probability of the bad
    outcome among the `top_share` of rows at highest risk falls on average. `towards` as in
    `reasons`. A statement about the model's probability, not about what would happen.
    """
    rng = np.random.default_rng(seed)
    codes = cluster_codes(customers)
    risk = towards * predict(matrix)
    top = np.argsort(-risk, kind="stable")[: max(1, int(top_share * len(matrix)))]
    by_stratum = np.argsort(pd.factorize(np.asarray(strata), sort=True)[0], kind="stable")
    _, starts = np.unique(np.asarray(strata)[by_stratum], return_index=True)
    partners = []
    for _ in range(draws):
        partner = np.empty(len(matrix), dtype=np.intp)
        for rows in np.split(by_stratum, starts[1:]):
            partner[rows] = rng.permutation(rows)
        partners.append(partner)
    table = []
    for family, lever, columns in _groups(names, meanings):
        if not lever:
            continue
        changes = []
        for partner in partners:
            replaced = matrix.copy()
            replaced[:, columns] = matrix[np.ix_(partner, columns)]
            changes.append(risk - towards * predict(replaced))
        change = np.mean(changes, axis=0)
        half = Z_95 * clustered_standard_error(change[top], codes[top])
        table.append(
            {
                "family": family,
                "mean_abs_change": float(np.abs(changes).mean()),
                "top_change": float(change[top].mean()),
                "top_low": float(change[top].mean() - half),
                "top_high": float(change[top].mean() + half),
            }
        )
    result = pd.DataFrame(
        table, columns=["family", "mean_abs_change", "top_change", "top_low", "top_high"]
    )
    return result.sort_values(
        ["mean_abs_change", "family"], ascending=[False, True], ignore_index=True
    )


def feature_importance(
    values: np.ndarray,
    names: Sequence[str],
    frame: pd.DataFrame,
    customers: ArrayLike,
    meanings: Mapping[str, Meaning],
    *,
    positive_is_good: bool,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per feature, most important first.

    Columns: feature, family, lever, mean_abs_shap, low, high, direction, direction_low,
    direction_high, better, agrees.

    `direction` is the least-squares slope of the SHAP value on the feature's rank among rows
    that have the feature, scaled to [0, 1] (ties share their average rank): log-odds of y = 1
    from the lowest to the highest value. A sign may be claimed only if its interval excludes 0.
    `agrees` compares that sign with the catalog's `better`: "yes", "no", or "unclear" when no
    sign may be claimed or none is expected. Ranks are those of all rows in every resample.
    Category features have no direction (NaN), and a feature that is constant in some resample
    (it varies among a handful of customers) has no interval.
    """
    _check_columns(values, names, meanings)
    codes = cluster_codes(customers)
    mean, low, high = _mean_intervals(np.abs(values), codes, resamples, seed)
    slope = np.full((3, len(names)), np.nan)
    numeric = [i for i, name in enumerate(names) if _is_numeric(frame[name])]
    for start in range(0, len(numeric), _FEATURES_AT_ONCE):
        block = numeric[start : start + _FEATURES_AT_ONCE]
        ranks = np.column_stack([_scaled_ranks(_numbers(frame[names[i]])) for i in block])
        slope[:, block] = _slope_intervals(values[:, block], ranks, codes, resamples, seed)
    expected = [_expected_sign(meanings[name].better, positive_is_good) for name in names]
    table = pd.DataFrame(
        {
            "feature": list(names),
            "family": [meanings[name].family for name in names],
            "lever": [meanings[name].lever for name in names],
            "mean_abs_shap": mean,
            "low": low,
            "high": high,
            "direction": slope[0],
            "direction_low": slope[1],
            "direction_high": slope[2],
            "better": [meanings[name].better for name in names],
            "agrees": [
                _agreement(sign, *bounds)
                for sign, bounds in zip(expected, slope[1:].T, strict=True)
            ],
        }
    )
    return _most_important_first(table, "feature")


def dependence(
    values: np.ndarray,
    names: Sequence[str],
    frame: pd.DataFrame,
    customers: ArrayLike,
    y: ArrayLike,
    features: Sequence[str],
    *,
    max_bins: int = 10,
    min_rows: int = 200,
) -> pd.DataFrame:
    """How the SHAP value and the outcome move with a feature: one row per feature and bin.

    Columns: feature, bin, n, value, shap, shap_low, shap_high, observed_rate, observed_low,
    observed_high. Numeric features: bins "1", "2", ... of about equal size over distinct values
    (equal values share a bin), each with at least `min_rows` rows where there are as many;
    `value` is the bin's median. Category features: one bin per category with at least `min_rows`
    rows (the largest first), the rest in bin "other"; `value` is the category. Missing values
    are the bin "missing" without a value, whatever its size.

    `y` [rows] may be NaN where there is no label; `observed_rate` is over labelled rows (Wilson
    interval at the clustered effective size), the mean SHAP over all (normal interval with the
    clustered standard error). The observed rate is not adjusted for anything.
    """
    outcome = np.asarray(y, dtype=np.float64)
    codes = cluster_codes(customers)
    position = {name: i for i, name in enumerate(names)}
    rows = []
    for feature in features:
        column = frame[feature]
        split = _numeric_bins if _is_numeric(column) else _category_bins
        for label, value, inside in split(column, max_bins, min_rows):
            shap = values[inside, position[feature]]
            half = Z_95 * clustered_standard_error(shap, codes[inside])
            labelled = inside[~np.isnan(outcome[inside])]
            low, high = rate_interval(outcome[labelled], codes[labelled])
            rows.append(
                {
                    "feature": feature,
                    "bin": label,
                    "n": len(inside),
                    "value": value,
                    "shap": shap.mean(),
                    "shap_low": shap.mean() - half,
                    "shap_high": shap.mean() + half,
                    "observed_rate": outcome[labelled].mean() if len(labelled) else np.nan,
                    "observed_low": low,
                    "observed_high": high,
                }
            )
    columns = ["feature", "bin", "n", "value", "shap", "shap_low", "shap_high"]
    columns += ["observed_rate", "observed_low", "observed_high"]
    return pd.DataFrame(rows, columns=columns)


def reasons(
    values: np.ndarray,
    names: Sequence[str],
    meanings: Mapping[str, Meaning],
    *,
    towards: int,
    top: int = 3,
    minimum: float = 0.0,
    present: np.ndarray | None = None,
) -> pd.DataFrame:
    """Why the model expects the bad outcome for a row; one row per row of `values` and reason.

    Columns: row (position in `values`), rank (1 = first to be read), family, feature,
    contribution (signed log-odds of the family), lever.

    `towards` is the harmful sign: +1 for churn, -1 for repeat purchase. A row's reasons are the
    `top` families whose signed sum is harmful by more than `minimum` log-odds, each named by its
    feature with the most harmful value. They are chosen by size alone, then levers are read
    before context, each from the largest down. So a lever never displaces a larger context
    reason, and a row without harmful contribution has no reason. A family with levers and
    context is two, so context never speaks for a lever. Ties go by family name.

    `present` [rows x features] says where a feature has a value. A missing value cannot be told
    to a person as a reason, so it never names one; a family that is harmful only through missing
    values gives no reason.
    """
    _check_columns(values, names, meanings)
    if towards not in (1, -1):
        raise ValueError(f"towards must be +1 or -1, got {towards}")
    if top < 1 or minimum < 0:
        raise ValueError(f"top must be at least 1 and minimum at least 0, got {top}, {minimum}")
    groups = _groups(names, meanings)
    harm = np.empty((len(values), len(groups)))
    worst = np.empty((len(values), len(groups)), dtype=np.intp)
    for g, (_, _, columns) in enumerate(groups):
        block = towards * values[:, columns]
        harm[:, g] = block.sum(axis=1)
        if present is not None:
            block = np.where(present[:, columns], block, 0.0)
            harm[block.max(axis=1) <= 0, g] = 0.0
        worst[:, g] = columns[block.argmax(axis=1)]
    largest = np.argsort(-harm, axis=1, kind="stable")[:, :top]
    row = np.repeat(np.arange(len(values)), largest.shape[1])
    group = largest.ravel()
    kept = harm[row, group] > minimum
    row, group = row[kept], group[kept]
    lever = np.array([lever for _, lever, _ in groups], dtype=bool)[group]
    order = np.lexsort((-harm[row, group], ~lever, row))
    row, group, lever = row[order], group[order], lever[order]
    first = np.searchsorted(row, row)
    return pd.DataFrame(
        {
            "row": row,
            "rank": np.arange(len(row)) - first + 1,
            "family": np.array([family for family, _, _ in groups], dtype=object)[group],
            "feature": np.array(names, dtype=object)[worst[row, group]],
            "contribution": towards * harm[row, group],
            "lever": lever,
        }
    )


def typical_values(
    frame: pd.DataFrame, y: ArrayLike, *, positive_is_good: bool
) -> dict[str, float | str | None]:
    """The typical retained customer's value of each column of `frame`.

    The median over rows with the good outcome, for category columns the most frequent value
    (the first in order among equals). None when no such row has the feature. Rows without a
    label (NaN in `y`) do not count.
    """
    retained = frame[np.asarray(y, dtype=np.float64) == float(positive_is_good)]
    typical: dict[str, float | str | None] = {}
    for name in frame.columns:
        present = retained[name].dropna()
        if present.empty:
            typical[name] = None
        elif _is_numeric(present):
            typical[name] = float(np.median(_numbers(present)))
        else:
            typical[name] = str(present.mode().iloc[0])
    return typical


def _check_columns(
    values: np.ndarray, names: Sequence[str], meanings: Mapping[str, Meaning]
) -> None:
    if values.ndim != 2 or values.shape[1] != len(names):
        raise ValueError(f"values {values.shape} need one column for each of {len(names)} names")
    unknown = [name for name in names if name not in meanings]
    if unknown:
        raise ValueError(f"features without a meaning in the catalog: {', '.join(unknown)}")
    if not np.isfinite(values).all():
        raise ValueError("SHAP values must be finite")


def _groups(
    names: Sequence[str], meanings: Mapping[str, Meaning]
) -> list[tuple[str, bool, np.ndarray]]:
    """(family, lever, column positions), sorted by family."""
    members: dict[tuple[str, bool], list[int]] = {}
    for i, name in enumerate(names):
        members.setdefault((meanings[name].family, meanings[name].lever), []).append(i)
    return [(*key, np.array(columns)) for key, columns in sorted(members.items())]


def _most_important_first(table: pd.DataFrame, name: str) -> pd.DataFrame:
    order = np.lexsort((table[name].to_numpy(dtype=str), -table["mean_abs_shap"].to_numpy()))
    return table.iloc[order].reset_index(drop=True)


def _is_numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column)


def _numbers(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _scaled_ranks(x: np.ndarray) -> np.ndarray:
    """Average rank among the values present, from 0 (lowest) to 1; NaN where missing."""
    ranks = np.full(len(x), np.nan)
    present = ~np.isnan(x)
    ranks[present] = (rankdata(x[present]) - 1) / max(present.sum() - 1, 1)
    return ranks


def _cluster_sums(rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Sum `rows` [rows x columns] within clusters: [clusters x columns]."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return np.add.reduceat(rows[order], starts, axis=0)


def _resampled(sums: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Totals of `sums` [clusters x columns] over resampled clusters: [resamples x columns]."""
    draws = resampled_counts(len(sums), resamples, seed)
    return np.stack([weighted_sums(draw, sums) for draw in draws])


def _mean_intervals(
    rows: np.ndarray, codes: np.ndarray, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of each column and the bounds of its clustered bootstrap interval."""
    sums = _cluster_sums(np.column_stack([rows, np.ones(len(rows))]), codes)
    totals = _resampled(sums, resamples, seed)
    low, high = np.quantile(totals[:, :-1] / totals[:, -1:], (0.025, 0.975), axis=0)
    return rows.mean(axis=0), low, high


def _slope_intervals(
    shap: np.ndarray, ranks: np.ndarray, codes: np.ndarray, resamples: int, seed: int
) -> np.ndarray:
    """Slope of each column of `shap` on `ranks` (NaN left out), with bounds: [3 x features]."""
    present = ~np.isnan(ranks)
    rank = np.where(present, ranks - 0.5, 0.0)
    value = np.where(present, shap - shap.mean(axis=0), 0.0)
    sums = _cluster_sums(np.hstack([present, rank, value, rank**2, rank * value]), codes)
    draws = _slopes(_resampled(sums, resamples, seed))
    slope = _slopes(sums.sum(axis=0, keepdims=True))[0]
    # A resample without a slope makes the interval NaN on purpose: the feature then varies among
    # so few customers that a narrow interval would only repeat what these few show.
    return np.vstack([slope, np.quantile(draws, (0.025, 0.975), axis=0)])


def _slopes(totals: np.ndarray) -> np.ndarray:
    n, rank, value, squares, products = np.split(totals, 5, axis=1)
    spread = n * squares - rank**2
    slopes = np.full(spread.shape, np.nan)
    # What is left of a constant feature is the rounding of two equal products.
    varies = spread > 1e-12 * n * squares
    np.divide(n * products - rank * value, spread, out=slopes, where=varies)
    return slopes


def _expected_sign(better: str | None, positive_is_good: bool) -> int:
    """Sign of the slope of log-odds of y = 1 that fits `better`; 0 when nothing is expected."""
    if better is None:
        return 0
    if better not in ("higher", "lower"):
        raise ValueError(f'better must be "higher", "lower" or None, got {better!r}')
    return 1 if (better == "higher") == positive_is_good else -1


def _agreement(expected: int, low: float, high: float) -> str:
    sign = 1 if low > 0 else -1 if high < 0 else 0
    if sign == 0 or expected == 0:
        return "unclear"
    return "yes" if sign == expected else "no"


def _numeric_bins(
    column: pd.Series, max_bins: int, min_rows: int
) -> list[tuple[str, float | None, np.ndarray]]:
    """(label, median, row positions) per bin, lowest first, then missing."""
    x = _numbers(column)
    present = np.flatnonzero(~np.isnan(x))
    bin_of = _bin_numbers(x[present], max_bins, min_rows)
    bins: list[tuple[str, float | None, np.ndarray]] = []
    for number in range(bin_of.max(initial=-1) + 1):
        inside = present[bin_of == number]
        bins.append((str(number + 1), float(np.median(x[inside])), inside))
    missing = np.flatnonzero(np.isnan(x))
    return [*bins, ("missing", None, missing)] if len(missing) else bins


def _bin_numbers(x: np.ndarray, max_bins: int, min_rows: int) -> np.ndarray:
    """Bin of each value: from the lowest up, each takes its even share of the rows left.

    The share is of what is left, so a value that half of the rows have costs one bin, not five.
    """
    distinct, group, size = np.unique(x, return_inverse=True, return_counts=True)
    upto = np.cumsum(size)
    ends: list[int] = []
    taken = 0
    while taken < len(x):
        share = max(min_rows, (len(x) - taken) / max(max_bins - len(ends), 1))
        over = min(int(np.searchsorted(upto, taken + share)), len(distinct) - 1)
        under = over - 1
        fits = under >= 0 and upto[under] - taken >= min_rows
        if fits and (taken + share) - upto[under] < upto[over] - (taken + share):
            over = under
        if len(x) - upto[over] < min_rows or len(ends) == max_bins - 1:
            over = len(distinct) - 1
        ends.append(over)
        taken = int(upto[over])
    return np.searchsorted(ends, group)


def _category_bins(
    column: pd.Series, max_bins: int, min_rows: int
) -> list[tuple[str, str | None, np.ndarray]]:
    """(label, category, row positions) per category, largest first, then other and missing."""
    codes, categories = pd.factorize(column.astype(object), sort=True)
    size = np.bincount(codes[codes >= 0], minlength=len(categories))
    by_size = np.argsort(-size, kind="stable")
    own_bins = max_bins if len(categories) <= max_bins else max_bins - 1
    own = [c for c in by_size[:own_bins] if size[c] >= min_rows]
    bins: list[tuple[str, str | None, np.ndarray]] = []
    for number, code in enumerate(own, start=1):
        bins.append((str(number), str(categories[code]), np.flatnonzero(codes == code)))
    other = np.flatnonzero((codes >= 0) & ~np.isin(codes, own))
    missing = np.flatnonzero(codes < 0)
    rest = [("other", None, other), ("missing", None, missing)]
    return bins + [entry for entry in rest if len(entry[2])]
