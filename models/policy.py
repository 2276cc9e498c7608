"""From risk to work: who is contacted first, and what to try.

`risk` is the probability of the bad outcome: p for churn, 1 - p for repeat purchase. High risk is
not the same as persuadable; tiers only share out the capacity there is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def rank(risk: ArrayLike, customers: ArrayLike) -> np.ndarray:
    """1 for the highest risk, then 2, 3, ...; equal risks in order of customer id.

    One row per customer; int64 [rows]. Raises ValueError when a customer appears twice, since
    then the order of ties would depend on the order of the rows.
    """
    risks = np.asarray(risk, dtype=np.float64)
    codes, ids = pd.factorize(np.asarray(customers), sort=True)
    if len(ids) != len(risks) or len(codes) != len(risks):
        raise ValueError("ranking needs one row, one risk and one identifier per customer")
    if not np.isfinite(risks).all():
        raise ValueError("risk must be finite")
    ranks = np.empty(len(risks), dtype=np.int64)
    ranks[np.lexsort((codes, -risks))] = np.arange(1, len(risks) + 1)
    return ranks


def tiers(
    risk: ArrayLike, customers: ArrayLike, *, base_rate: float, capacity_share: float
) -> np.ndarray:
    """ "high", "medium" or "low" per row (object array).

    high: above the base rate and among the first `capacity_share` (0 to 1, rounded down to whole
    customers) by `rank`; medium: above the base rate; low: the rest. `base_rate` is that of the
    bad outcome.
    """
    if not 0 <= capacity_share <= 1:
        raise ValueError(f"capacity_share must be between 0 and 1, got {capacity_share}")
    risks = np.asarray(risk, dtype=np.float64)
    # 0.29 * 100 is 28.999...: a whole number of customers must not be lost to rounding.
    capacity = int(np.floor(capacity_share * len(risks) + 1e-9))
    above = risks > base_rate
    tier = np.where(above, "medium", "low").astype(object)
    tier[above & (rank(risks, customers) <= capacity)] = "high"
    return tier


def next_steps(
    reasons: pd.DataFrame, rows: int, plays: Mapping[str, str], *, no_play: str
) -> np.ndarray:
    """The suggested next step of each of `rows` rows (object array).

    It is the play of the family of the row's first reason that is a lever (`reasons` as
    `models.explanation.reasons` returns them), and `no_play` for a row that has context reasons
    only, or none.
    """
    steps = np.full(rows, no_play, dtype=object)
    first = reasons[reasons["lever"]].sort_values(["row", "rank"]).drop_duplicates("row")
    steps[first["row"].to_numpy()] = [plays[family] for family in first["family"]]
    return steps
