"""How good are the probabilities: metrics with customer-clustered 95 % intervals.

Everything here takes arrays of equal length, one entry per row (customer and as-of date):
`y` 0/1, `p` the probability of y = 1, `customers` the identifiers rows are clustered by. Tied
probabilities are one group throughout, so the order of the rows never matters. What is undefined
(AUC of one class) is NaN.

Intervals are percentile intervals of the bootstrap that draws customers, not rows, with
replacement: one customer's rows overlap in time and are far from independent. They say how much
the figure would move with other customers, not with another training run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import ArrayLike
from scipy.special import expit

METRICS = (
    "auc",
    "pr_auc",
    "log_loss",
    "brier",
    "ece",
    "lift_top_decile",
    "calibration_slope",
    "calibration_intercept",
    "lift_top_5_percent",
    "lift_top_20_percent",
    "calibration_in_the_large",
    "brier_reliability",
    "brier_resolution",
    "brier_uncertainty",
)
ECE_BINS = 15
TOP_SHARES = np.array([0.05, 0.1, 0.2])
Z_95 = 1.959963984540054

_EPSILON = np.finfo(np.float64).eps
_NAN = float("nan")


def point_metrics(y: ArrayLike, p: ArrayLike, weights: ArrayLike | None = None) -> dict[str, float]:
    """All `METRICS` of one set of predictions; `weights` [rows] are sampling weights >= 0.

    - auc: a random positive outranks a random negative; a tie counts one half.
    - pr_auc: average precision, sum over thresholds of (recall step) x precision.
    - log_loss, brier: means; probabilities are kept 2.2e-16 away from 0 and 1 in the log.
    - ece: debiased calibration error over 15 equal-mass bins (Broecker 2012; Ferro and Fricker
      2012; found reliable by Roelofs et al. 2022), in units of probability:
      sqrt(max(0, sum_b W_b / W * (d_b^2 - v_b))) with d_b = mean(p) - mean(y) in bin b and
      v_b = r (1 - r) / (n_b - 1) the sampling variance of the bin's rate r, which a plain ECE
      mistakes for miscalibration. n_b is the number of rows, with weights (sum w)^2 / sum w^2. It
      is a root mean square, so at least as large as the mean absolute gap. Rows with equal p
      share the bin of their middle rank. A bin of one row has no v_b and none is subtracted.
      v_b takes rows as independent: where one customer's rows move together it is too small
      and the error is overstated.
    - lift_top_decile (and lift_top_5_percent, lift_top_20_percent): rate among the 10 % with the
      highest p over the overall rate, expected over random orders of tied rows.
    - calibration_slope, calibration_intercept: b and a of logit P(y=1) = a + b logit(p), fitted
      together (Cox 1958); 1 and 0 when calibrated.
    - calibration_in_the_large: a of logit P(y=1) = a + logit(p), the slope held at 1: how far
      the probabilities are off on the whole, in log-odds; 0 when calibrated.
    - brier_reliability, brier_resolution, brier_uncertainty: Brier = reliability - resolution +
      uncertainty (Murphy 1973). Reliability is the ECE's square before it is cut at 0, so it
      may come out slightly negative; uncertainty is r (1 - r) of the overall rate r; resolution
      is what remains, and so holds the variance within bins too (Stephenson et al. 2008).

    Raises ValueError for unequal lengths, y other than 0/1 or p outside [0, 1].
    """
    y_, p_ = _checked(y, p)
    w = np.ones(len(y_)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(w) != len(y_) or not np.all(w >= 0) or not np.all(np.isfinite(w)):
        raise ValueError("weights must be finite, >= 0 and one per row")
    y_, p_, w = y_[w > 0], p_[w > 0], w[w > 0]
    order = np.lexsort((w, y_, p_))
    y_, p_, w = y_[order], p_[order], w[order]
    if not len(y_):
        return dict.fromkeys(METRICS, _NAN)
    ranking = _Ranking.of(y_, p_, np.arange(len(y_)))
    auc, pr_auc, lift_5, lift_10, lift_20, squared_error = ranking.measure(w)
    intercept, slope = _recalibration(y_, p_, w)
    total = w.sum()
    brier = _dot(w, (p_ - y_) ** 2) / total
    rate = _dot(w, y_) / total
    return {
        "auc": auc,
        "pr_auc": pr_auc,
        "log_loss": _dot(w, _log_loss(y_, p_)) / total,
        "brier": brier,
        "ece": float(np.sqrt(max(squared_error, 0.0))),
        "lift_top_decile": lift_10,
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "lift_top_5_percent": lift_5,
        "lift_top_20_percent": lift_20,
        "calibration_in_the_large": _level(y_, p_, w),
        "brier_reliability": squared_error,
        "brier_resolution": squared_error + rate * (1 - rate) - brier,
        "brier_uncertainty": rate * (1 - rate),
    }


def bootstrap_metrics(
    y: ArrayLike, p: ArrayLike, customers: ArrayLike, *, resamples: int, seed: int
) -> dict[str, dict[str, float]]:
    """`point_metrics` with intervals: {metric: {"value", "low", "high"}}.

    Rank metrics and ECE are recomputed for every resample. Slope and intercept take one Newton
    step from the estimate on all rows, with the resample's score and information (Davidson and
    MacKinnon 1999): exact up to O(1 / n), where the interval's width is O(1 / sqrt(n)). The
    squared ECE of a resample carries the sampling noise of the data on top of its own, so its
    distribution is moved to be centred on the estimate before the square root. Resamples for
    which a metric is undefined are left out of its interval.
    """
    y_, p_, codes = _in_one_order(y, p, customers)
    value = point_metrics(y_, p_)
    if not len(y_):
        return {name: _interval(value[name], np.empty(0)) for name in METRICS}
    ranking = _Ranking.of(y_, p_, codes)
    sums = _cluster_sums(
        codes,
        np.ones(len(y_)),
        y_,
        _log_loss(y_, p_),
        (p_ - y_) ** 2,
        *_score_and_information(y_, p_, value["calibration_intercept"], value["calibration_slope"]),
        *_score_and_information(y_, p_, value["calibration_in_the_large"], 1.0)[::2][:2],
    )
    ranks = np.empty((resamples, 6))
    totals = np.empty((resamples, sums.shape[1]))
    for r, counts in enumerate(resampled_counts(len(sums), resamples, seed)):
        ranks[r] = ranking.measure(counts)
        totals[r] = weighted_sums(counts, sums)
    n, positives, log_loss, brier, *recalibrated, level_score, level_info = totals.T
    score_0, score_1, info_00, info_01, info_11 = recalibrated
    one_class = (positives == 0) | (positives == n)
    determinant = info_00 * info_11 - info_01**2
    determinant[one_class | (determinant <= 0)] = np.nan
    level_info[one_class | (level_info <= 0)] = np.nan
    squared_error = ranks[:, 5] + (value["brier_reliability"] - ranks[:, 5].mean())
    uncertainty = positives / n * (1 - positives / n)
    draws = {
        "auc": ranks[:, 0],
        "pr_auc": ranks[:, 1],
        "log_loss": log_loss / n,
        "brier": brier / n,
        "ece": np.sqrt(np.maximum(squared_error, 0.0)),
        "lift_top_decile": ranks[:, 3],
        "lift_top_5_percent": ranks[:, 2],
        "lift_top_20_percent": ranks[:, 4],
        "calibration_in_the_large": value["calibration_in_the_large"] + level_score / level_info,
        "brier_reliability": squared_error,
        "brier_resolution": squared_error + uncertainty - brier / n,
        "brier_uncertainty": uncertainty,
        "calibration_slope": value["calibration_slope"]
        + (info_00 * score_1 - info_01 * score_0) / determinant,
        "calibration_intercept": value["calibration_intercept"]
        + (info_11 * score_0 - info_01 * score_1) / determinant,
    }
    return {name: _interval(value[name], draws[name]) for name in METRICS}


def chance_ece(y: ArrayLike, p: ArrayLike, *, simulations: int = 200, seed: int = 0) -> float:
    """The 95 % quantile of the ECE if every p were exactly right: outcomes drawn from p.

    An ECE below it cannot be told from perfect calibration. Rows are drawn independently, so
    where one customer's outcomes move together it is a little too low. NaN without rows.
    """
    y_, p_ = _checked(y, p)
    if not len(y_):
        return _NAN
    order = np.argsort(p_, kind="stable")
    p_ = p_[order]
    ones = np.ones(len(p_))
    generator = np.random.default_rng(seed)
    ranking = _Ranking.of(y_[order], p_, np.arange(len(p_)))
    found = np.empty(simulations)
    for i in range(simulations):
        drawn = generator.random(len(p_)) < ranking.p
        found[i] = ranking._replace(y=drawn).measure(ones)[5]
    return float(np.sqrt(np.quantile(np.maximum(found, 0.0), 0.95)))


def spiegelhalter_z(y: ArrayLike, p: ArrayLike) -> float:
    """Spiegelhalter's z: standard normal when every p is right and rows are independent.

    sum((y - p)(1 - 2p)) / sqrt(sum((1 - 2p)^2 p (1 - p))). NaN when all p are 0, 0.5 or 1.
    Source: Spiegelhalter 1986.
    """
    y_, p_ = _checked(y, p)
    order = np.lexsort((y_, p_))
    y_, p_ = y_[order], p_[order]
    variance = float(((1 - 2 * p_) ** 2 * p_ * (1 - p_)).sum())
    return float(((y_ - p_) * (1 - 2 * p_)).sum() / np.sqrt(variance)) if variance > 0 else _NAN


def paired_gain(
    y: ArrayLike,
    p_model: ArrayLike,
    p_baseline: ArrayLike,
    customers: ArrayLike,
    *,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, float]]:
    """How much better the model is than the baseline on the same rows; positive = better.

    {"log_loss": baseline minus model, "auc": model minus baseline}, each {"value", "low",
    "high"}. Both are measured on the same resampled customers, so what they share cancels.
    """
    y_, model = _checked(y, p_model)
    _, baseline = _checked(y, p_baseline)
    codes = _checked_codes(customers, len(y_))
    if not len(y_):
        return {name: _interval(_NAN, np.empty(0)) for name in ("log_loss", "auc")}
    order = np.lexsort((baseline, y_, model))
    y_, model, baseline, codes = y_[order], model[order], baseline[order], codes[order]
    rankings = [_Ranking.of(*_in_one_order(y_, p, codes)) for p in (model, baseline)]
    sums = _cluster_sums(codes, np.ones(len(y_)), _log_loss(y_, baseline) - _log_loss(y_, model))

    def gain(counts: np.ndarray) -> tuple[float, float]:
        n, loss = weighted_sums(counts, sums)
        better, worse = (ranking.measure(counts)[0] for ranking in rankings)
        return float(loss / n), better - worse

    value = gain(np.ones(len(sums)))
    draws = np.array([gain(counts) for counts in resampled_counts(len(sums), resamples, seed)])
    return {
        "log_loss": _interval(value[0], draws[:, 0]),
        "auc": _interval(value[1], draws[:, 1]),
    }


def reliability(
    y: ArrayLike, p: ArrayLike, customers: ArrayLike | None = None, bins: int = 10
) -> pd.DataFrame:
    """One row per equal-mass bin of p, lowest first: bin, n, predicted, observed, low, high.

    The interval is `rate_interval`, clustered when `customers` are given. Rows with equal p
    share a bin, so there may be fewer bins than asked for.
    """
    clusters = np.arange(len(np.asarray(y))) if customers is None else customers
    y_, p_, codes = _in_one_order(y, p, clusters)
    _, tie, size = np.unique(p_, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(size) - size / 2
    bin_of = (middle_rank * bins / max(len(y_), 1)).astype(int)[tie]
    rows = []
    for number, index in enumerate(np.unique(bin_of), start=1):
        inside = bin_of == index
        low, high = rate_interval(y_[inside], codes[inside])
        rows.append((number, int(inside.sum()), p_[inside].mean(), y_[inside].mean(), low, high))
    return pd.DataFrame(rows, columns=["bin", "n", "predicted", "observed", "low", "high"])


def gains(y: ArrayLike, p: ArrayLike) -> pd.DataFrame:
    """The gains curve at 1 %, 2 %, ... 100 %: share_contacted, share_found, lift.

    Contacting the rows with the highest p first finds `share_found` of those with y = 1, expected
    over random orders of tied rows. Where low p is the risk, pass 1 - y and 1 - p.
    """
    y_, p_ = _checked(y, p)
    share = np.arange(1, 101) / 100
    found = np.full(100, np.nan)
    if y_.sum() > 0:
        _, tie, size = np.unique(-p_, return_inverse=True, return_counts=True)
        contacted = np.concatenate(([0], np.cumsum(size)))
        positives = np.concatenate(([0], np.cumsum(np.bincount(tie, weights=y_))))
        found = np.interp(share * len(y_), contacted, positives) / positives[-1]
    return pd.DataFrame({"share_contacted": share, "share_found": found, "lift": found / share})


def by_as_of(
    y: ArrayLike,
    p: ArrayLike,
    customers: ArrayLike,
    as_of: ArrayLike,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per as-of date, earliest first; the values of `as_of` are kept as they are.

    Columns: as_of, n, positives, base_rate, auc, auc_low, auc_high, log_loss.
    """
    y_, p_ = _checked(y, p)
    ids = _checked_codes(customers, len(y_))
    group, dates = pd.factorize(pd.Series(as_of), sort=True)
    rows = []
    for number, date in enumerate(dates):
        inside = group == number
        metrics = bootstrap_metrics(
            y_[inside], p_[inside], ids[inside], resamples=resamples, seed=seed
        )
        auc = metrics["auc"]
        rows.append(
            {
                "as_of": date,
                "n": int(inside.sum()),
                "positives": int(y_[inside].sum()),
                "base_rate": y_[inside].mean(),
                "auc": auc["value"],
                "auc_low": auc["low"],
                "auc_high": auc["high"],
                "log_loss": metrics["log_loss"]["value"],
            }
        )
    columns = ["as_of", "n", "positives", "base_rate", "auc", "auc_low", "auc_high", "log_loss"]
    return pd.DataFrame(rows, columns=columns)


def rate_interval(y: ArrayLike, clusters: ArrayLike) -> tuple[float, float]:
    """Wilson score 95 % interval of mean(y), y 0/1, at the effective number of rows.

    The effective number is rows / design effect, the design effect being the cluster-robust over
    the binomial variance, at least 1. For a rate of 0 or 1, which shows no variance, it is the
    number of clusters. `clusters` [rows] are identifiers. (NaN, NaN) without rows.
    """
    values = np.asarray(y, dtype=np.float64)
    if not len(values):
        return _NAN, _NAN
    rate = values.mean()
    count = len(np.unique(np.asarray(clusters)))
    effective = float(count)
    if 0 < rate < 1 and count > 1:
        # n - 1, as the clustered estimate is unbiased too: independent rows have effect 1.
        independent = rate * (1 - rate) / (len(values) - 1)
        design = clustered_standard_error(values, clusters) ** 2 / independent
        effective = len(values) / max(design, 1.0)
    share = Z_95**2 / effective
    centre = (rate + share / 2) / (1 + share)
    half = Z_95 * np.sqrt(rate * (1 - rate) / effective + share / (4 * effective)) / (1 + share)
    return float(max(centre - half, 0.0)), float(min(centre + half, 1.0))


def clustered_standard_error(values: ArrayLike, clusters: ArrayLike) -> float:
    """Standard error of the mean of `values` [rows], robust to dependence within a cluster.

    The linearised (sandwich) estimate with factor C / (C - 1); NaN with fewer than 2 clusters.
    """
    x = np.asarray(values, dtype=np.float64)
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    count = codes.max(initial=-1) + 1
    if count < 2:
        return _NAN
    residuals = np.bincount(codes, weights=x - x.mean())
    return float(np.sqrt(count / (count - 1) * _dot(residuals, residuals)) / len(x))


def cluster_codes(customers: ArrayLike) -> np.ndarray:
    """Number the customers 0, 1, ... in the order of their identifiers; int64 [rows].

    Raises ValueError when an identifier is missing.
    """
    codes, _ = pd.factorize(np.asarray(customers), sort=True)
    if (codes < 0).any():
        raise ValueError("customers: an identifier is missing; every row needs one")
    return codes.astype(np.int64)


def resampled_counts(clusters: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Per resample, how often each cluster was drawn: float64 [clusters], adding to `clusters`.

    The same seed and number of clusters give the same draws, whatever is measured on them.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = generator.integers(0, clusters, size=clusters, dtype=np.int32)
        yield np.bincount(drawn, minlength=clusters).astype(np.float64)


@njit(cache=True)
def weighted_sums(weights: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sum of `weights` [rows] times each column of `columns` [rows x columns], in row order.

    A matrix product would round according to the number of threads the machine has.
    """
    total = np.zeros(columns.shape[1])
    for i in range(len(weights)):
        if weights[i] != 0.0:
            for k in range(columns.shape[1]):
                total[k] += weights[i] * columns[i, k]
    return total


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum())


class _Ranking(NamedTuple):
    """Rows from the highest p down, ready to be measured under many weightings of clusters."""

    y: np.ndarray
    p: np.ndarray
    cluster: np.ndarray
    ends_tie: np.ndarray
    cluster_size: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, p: np.ndarray, codes: np.ndarray) -> _Ranking:
        """Rows must come sorted by p, lowest first."""
        p = np.ascontiguousarray(p[::-1])
        ends_tie = np.append(p[1:] != p[:-1], True)
        cluster = np.ascontiguousarray(codes[::-1]).astype(np.int32)
        size = np.bincount(cluster).astype(np.float64)
        return cls(np.ascontiguousarray(y[::-1]) == 1, p, cluster, ends_tie, size)

    def measure(self, weights: np.ndarray) -> tuple[float, float, float, float, float, float]:
        """AUC, average precision, lift of the top 5, 10 and 20 %, and squared ECE.

        `weights` [clusters] float64 count every row of a cluster that often.
        """
        return _measure(
            self.y, self.p, self.cluster, self.ends_tie, weights, _dot(weights, self.cluster_size)
        )


@njit(cache=True)
def _measure(
    y: np.ndarray,
    p: np.ndarray,
    cluster: np.ndarray,
    ends_tie: np.ndarray,
    weights: np.ndarray,
    total: float,
) -> tuple[float, float, float, float, float, float]:
    cutoffs = total * TOP_SHARES
    found = np.zeros(len(cutoffs))
    above = positives_above = 0.0
    pairs = precision = squared_error = 0.0
    tie = tie_positives = tie_squares = 0.0
    current = -1
    in_bin = bin_positives = bin_predicted = bin_squares = 0.0
    for i in range(len(p)):
        w = weights[cluster[i]]
        tie += w
        tie_squares += w * w
        if y[i]:
            tie_positives += w
        if not ends_tie[i] or tie == 0.0:
            continue
        pairs += (tie - tie_positives) * (positives_above + 0.5 * tie_positives)
        if tie_positives > 0.0:
            precision += tie_positives * (positives_above + tie_positives) / (above + tie)
            for k in range(len(cutoffs)):
                if above < cutoffs[k]:
                    found[k] += tie_positives * min(1.0, (cutoffs[k] - above) / tie)
        middle_rank = total - above - 0.5 * tie
        index = min(max(int(middle_rank * ECE_BINS / total), 0), ECE_BINS - 1)
        if index != current:
            squared_error += _bin_error(in_bin, bin_positives, bin_predicted, bin_squares)
            in_bin = bin_positives = bin_predicted = bin_squares = 0.0
            current = index
        in_bin += tie
        bin_positives += tie_positives
        bin_predicted += tie * p[i]
        bin_squares += tie_squares
        above += tie
        positives_above += tie_positives
        tie = tie_positives = tie_squares = 0.0
    squared_error += _bin_error(in_bin, bin_positives, bin_predicted, bin_squares)
    if positives_above == 0.0:
        return np.nan, np.nan, np.nan, np.nan, np.nan, squared_error / total
    negatives = above - positives_above
    auc = pairs / (positives_above * negatives) if negatives > 0.0 else np.nan
    lift = (found / cutoffs) / (positives_above / total)
    average = precision / positives_above
    return auc, average, lift[0], lift[1], lift[2], squared_error / total


@njit(cache=True)
def _bin_error(weight: float, positives: float, predicted: float, squares: float) -> float:
    """Weight times (squared gap minus the sampling variance of the bin's rate)."""
    if weight == 0.0:
        return 0.0
    rate = positives / weight
    gap = predicted / weight - rate
    rows = weight * weight / squares
    variance = rate * (1.0 - rate) / (rows - 1.0) if rows > 1.0 else 0.0
    return weight * (gap * gap - variance)


def _checked(y: ArrayLike, p: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    y_ = np.asarray(y, dtype=np.float64)
    p_ = np.asarray(p, dtype=np.float64)
    if y_.ndim != 1 or y_.shape != p_.shape:
        raise ValueError(f"y and p must be equally long vectors, got {y_.shape} and {p_.shape}")
    if not np.isin(y_, (0.0, 1.0)).all():
        raise ValueError("y must be 0 or 1; leave out rows without a label")
    if not ((p_ >= 0) & (p_ <= 1)).all():
        raise ValueError("p must be probabilities in [0, 1] without missing values")
    return y_, p_


def _checked_codes(customers: ArrayLike, rows: int) -> np.ndarray:
    codes = cluster_codes(customers)
    if len(codes) != rows:
        raise ValueError(f"customers must have one entry per row: {len(codes)} for {rows} rows")
    return codes


def _in_one_order(
    y: ArrayLike, p: ArrayLike, customers: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort by p, y and customer, so that sums round alike however the rows came."""
    y_, p_ = _checked(y, p)
    codes = _checked_codes(customers, len(y_))
    order = np.lexsort((codes, y_, p_))
    return y_[order], p_[order], codes[order]


def _cluster_sums(codes: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """Sum each of `columns` [rows] within clusters: [clusters x columns]."""
    return np.column_stack([np.bincount(codes, weights=column) for column in columns])


def _interval(value: float, draws: np.ndarray) -> dict[str, float]:
    defined = draws[np.isfinite(draws)]
    if not len(defined) or not np.isfinite(value):
        return {"value": value, "low": _NAN, "high": _NAN}
    low, high = np.quantile(defined, (0.025, 0.975))
    return {"value": value, "low": float(low), "high": float(high)}


def _clipped(p: np.ndarray) -> np.ndarray:
    return np.clip(p, _EPSILON, 1 - _EPSILON)


def _log_loss(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    clipped = _clipped(p)
    return -np.where(y == 1, np.log(clipped), np.log1p(-clipped))


def _logit(p: np.ndarray) -> np.ndarray:
    clipped = _clipped(p)
    return np.log(clipped) - np.log1p(-clipped)


def _score_and_information(
    y: np.ndarray, p: np.ndarray, intercept: float, slope: float
) -> tuple[np.ndarray, ...]:
    """Row contributions to the two scores and the three entries of the information matrix."""
    x = _logit(p)
    fitted = expit(intercept + slope * x)
    residual, variance = y - fitted, fitted * (1 - fitted)
    return residual, residual * x, variance, variance * x, variance * x * x


def _level(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Maximum-likelihood a of logit P(y=1) = a + logit(p), by Newton; NaN with one class."""
    if y.min() == y.max():
        return _NAN
    x = _logit(p)
    # The score falls monotonically in a, so bracketing steps of at most 2 always arrive.
    level = 0.0
    for _ in range(200):
        fitted = expit(level + x)
        information = _dot(w, fitted * (1 - fitted))
        step = _dot(w, y - fitted) / max(information, _EPSILON)
        step = min(max(step, -2.0), 2.0)
        level += step
        if abs(step) <= 1e-10 * (1 + abs(level)):
            return level
    return _NAN


def _recalibration(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Maximum-likelihood (a, b) of logit P(y=1) = a + b logit(p), by Newton with halved steps.

    (NaN, NaN) when there is no unique finite solution: one class, one value of p, separation.
    """
    x = _logit(p)
    if y.min() == y.max() or x.min() == x.max():
        return _NAN, _NAN

    def loss(theta: np.ndarray) -> float:
        eta = theta[0] + theta[1] * x
        return _dot(w, np.logaddexp(0.0, eta) - y * eta)

    theta = np.array([0.0, 1.0])
    current = loss(theta)
    for _ in range(50):
        rows = _score_and_information(y, p, theta[0], theta[1])
        score_0, score_1, info_00, info_01, info_11 = (_dot(w, row) for row in rows)
        determinant = info_00 * info_11 - info_01**2
        if determinant <= 1e-12 * info_00 * info_11:
            return _NAN, _NAN
        step = np.array(
            [info_11 * score_0 - info_01 * score_1, info_00 * score_1 - info_01 * score_0]
        )
        step /= determinant
        if np.abs(step).max() <= 1e-9 * (1 + np.abs(theta).max()):
            return float(theta[0]), float(theta[1])
        while (candidate := loss(theta + step)) > current * (1 + 1e-12) and (
            np.abs(step).max() > 1e-9
        ):
            step /= 2
        theta, current = theta + step, candidate
    return _NAN, _NAN
