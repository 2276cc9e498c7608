"""Does the model serve every group of customers: discrimination, level and misses by slice.

One row per value of each dimension (plan, language, as-of date, ...). A slice with fewer than 50
rows of the rarer outcome is listed but not judged. It is flagged when its probabilities are off
by more than 0.3 in log-odds, or when the team at its capacity misses more than 10 percentage
points more of the slice's customers at risk than of all; either beyond its interval (METHODS D).

Intervals are value -+ 1.96 cluster-robust standard errors of the linearised figure: what the
customer bootstrap gives to first order, without resampling a hundred slices a thousand times.
Source for the AUC: Obuchowski 1997, "Nonparametric analysis of clustered ROC curve data".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit, logit, ndtri
from scipy.stats import rankdata

from models.evaluation import Z_95, cluster_codes, point_metrics

MIN_EVENTS = 50
MAX_LEVEL = 0.3
"""Log-odds by which a slice's probabilities may be off on the whole."""
MAX_MISSED = 0.1
"""How much more of a slice's customers at risk than of all may be missed at capacity."""

UNKNOWN = "unknown"
COLUMNS = (
    "dimension",
    "value",
    "n",
    "customers",
    "events",
    "base_rate",
    "is_judged",
    "auc",
    "auc_low",
    "auc_high",
    "calibration_in_the_large",
    "calibration_in_the_large_low",
    "calibration_in_the_large_high",
    "missed_share",
    "missed_gap",
    "missed_gap_low",
    "missed_gap_high",
    "flag",
)


def slices(
    y: ArrayLike,
    p: ArrayLike,
    customers: ArrayLike,
    as_of: ArrayLike,
    dimensions: Mapping[str, ArrayLike],
    *,
    capacity: float,
) -> pd.DataFrame:
    """One row per dimension and value, in the order of `dimensions` and of the values; COLUMNS.

    `y` is 1 for those at risk and `p` their probability; `dimensions` hold one value per row, a
    missing one is the slice "unknown". The team contacts the `capacity` share of the customers of
    each as-of date with the highest p. `missed_share` is the share of a slice's rows at risk
    it does not reach, `missed_gap` that minus the share over all rows. `flag` is "", "level",
    "missed" or "level, missed". The figures of a slice that is not judged are NaN.
    """
    y_ = np.asarray(y, dtype=np.float64)
    p_ = np.asarray(p, dtype=np.float64)
    codes = cluster_codes(customers)
    reached = contacted(p_, as_of, capacity)
    missed = y_ * (1 - reached)
    # The sampling error of the overall share is part of the gap's.
    overall = missed.sum() / max(y_.sum(), 1.0)
    overall_pull = (missed - overall * y_) / max(y_.sum(), 1.0)
    rows = []
    for dimension, values in dimensions.items():
        for value, inside in _parts(values):
            row: dict[str, object] = {
                "dimension": dimension,
                "value": value,
                "n": int(inside.sum()),
                "customers": len(np.unique(codes[inside])),
                "events": _events(y_[inside]),
                "base_rate": float(y_[inside].mean()),
            }
            if _events(y_[inside]) >= MIN_EVENTS:
                row |= {"is_judged": True}
                row |= _judged(y_, p_, codes, missed, overall, overall_pull, inside)
            else:
                row |= {"is_judged": False, "flag": ""}
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def contacted(p: np.ndarray, as_of: ArrayLike, capacity: float) -> np.ndarray:
    """Probability that each row is contacted: float64 (rows,).

    1 for the rows with the highest p of their as-of date up to `capacity` of them, 0 for the
    others; rows tied at the border share what is left.
    """
    if not 0 < capacity <= 1:
        raise ValueError(f"capacity must be a share of customers in (0, 1], got {capacity}")
    rows = pd.DataFrame({"p": p, "as_of": np.asarray(as_of)})
    dates = rows.groupby("as_of")["p"]
    places = capacity * dates.transform("size")
    ties = rows.groupby(["as_of", "p"])["p"].transform("size")
    above = dates.rank(method="min", ascending=False) - 1
    return np.clip(((places - above) / ties).to_numpy(), 0.0, 1.0)


def significantly_worse(
    y: ArrayLike,
    p_new: ArrayLike,
    p_old: ArrayLike,
    customers: ArrayLike,
    dimensions: Mapping[str, ArrayLike],
    *,
    error_rate: float = 0.05,
) -> tuple[str, ...]:
    """Slices ("dimension=value") whose log-loss the new probabilities clearly raise.

    One-sided at `error_rate` shared among all slices judged (Bonferroni), so that equal models
    are accused of any slice at most that often.
    """
    y_ = np.asarray(y, dtype=np.float64)
    codes = cluster_codes(customers)
    loss = [
        -np.log(np.where(y_ == 1, q, 1 - q))
        for q in (
            np.clip(np.asarray(p, dtype=np.float64), 1e-15, 1 - 1e-15) for p in (p_new, p_old)
        )
    ]
    harm = loss[0] - loss[1]
    scores = {}
    for dimension, values in dimensions.items():
        for value, inside in _parts(values):
            if _events(y_[inside]) >= MIN_EVENTS:
                mean = harm[inside].mean()
                error = _error(codes[inside], (harm[inside] - mean) / inside.sum())
                scores[f"{dimension}={value}"] = mean / error if error > 0 else 0.0
    if not scores:
        return ()
    limit = float(ndtri(1 - error_rate / len(scores)))
    return tuple(name for name, score in scores.items() if score > limit)


def flags(row: pd.Series) -> tuple[str, ...]:
    """The flags of a row of `slices`: "level", "missed", both or none."""
    return tuple(filter(None, str(row["flag"]).split(", ")))


def has_worsened(new: pd.Series, old: pd.Series, flag: str) -> bool:
    """Whether the figure behind a flag is off by more than before plus a tenth of its bound."""
    figure, bound = {
        "level": ("calibration_in_the_large", MAX_LEVEL),
        "missed": ("missed_gap", MAX_MISSED),
    }[flag]
    return not abs(new[figure]) <= abs(old[figure]) + bound / 10


def _parts(values: ArrayLike) -> list[tuple[str, np.ndarray]]:
    labels = pd.Series(np.asarray(values, dtype=object))
    texts = labels.where(labels.notna(), UNKNOWN).astype(str).to_numpy()
    return [(value, texts == value) for value in sorted(set(texts))]


def _events(y: np.ndarray) -> int:
    return int(min(y.sum(), len(y) - y.sum()))


def _judged(
    y: np.ndarray,
    p: np.ndarray,
    codes: np.ndarray,
    missed: np.ndarray,
    overall: float,
    overall_pull: np.ndarray,
    inside: np.ndarray,
) -> dict[str, object]:
    auc, auc_error = _auc(y[inside], p[inside], codes[inside])
    level = point_metrics(y[inside], p[inside])["calibration_in_the_large"]
    fitted = expit(level + logit(np.clip(p[inside], 1e-15, 1 - 1e-15)))
    information = (fitted * (1 - fitted)).sum()
    level_error = _error(codes[inside], (y[inside] - fitted) / information)
    events = y[inside].sum()
    share = missed[inside].sum() / events
    pull = -overall_pull
    pull[inside] += (missed[inside] - share * y[inside]) / events
    gap, gap_error = share - overall, _error(codes, pull)
    flags = [
        name
        for name, excess in (
            ("level", abs(level) > MAX_LEVEL and abs(level) > Z_95 * level_error),
            ("missed", gap > MAX_MISSED and gap > Z_95 * gap_error),
        )
        if excess
    ]
    return {
        "auc": auc,
        "auc_low": auc - Z_95 * auc_error,
        "auc_high": auc + Z_95 * auc_error,
        "calibration_in_the_large": level,
        "calibration_in_the_large_low": level - Z_95 * level_error,
        "calibration_in_the_large_high": level + Z_95 * level_error,
        "missed_share": share,
        "missed_gap": gap,
        "missed_gap_low": gap - Z_95 * gap_error,
        "missed_gap_high": gap + Z_95 * gap_error,
        "flag": ", ".join(flags),
    }


def _auc(y: np.ndarray, p: np.ndarray, codes: np.ndarray) -> tuple[float, float]:
    """The AUC and its cluster-robust standard error, from the placement of every row."""
    positive = y == 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    everywhere = rankdata(p)
    placement = np.empty(len(y))
    # Of a positive: the share of negatives below it; of a negative: of positives above it.
    placement[positive] = (everywhere[positive] - rankdata(p[positive])) / negatives
    placement[~positive] = 1 - (everywhere[~positive] - rankdata(p[~positive])) / positives
    auc = placement[positive].mean()
    pull = (placement - auc) / np.where(positive, positives, negatives)
    return float(auc), _error(codes, pull)


def _error(codes: np.ndarray, pull: np.ndarray) -> float:
    """Cluster-robust standard error of a figure whose rows pull it by `pull`."""
    _, within = np.unique(codes, return_inverse=True)
    sums = np.bincount(within, weights=pull)
    count = len(sums)
    return float(np.sqrt(count / max(count - 1, 1) * (sums * sums).sum()))
