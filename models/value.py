"""What a ranking is worth in money: expected maximum profit, and profit by share contacted.

The campaign: contact a customer at cost f and offer an incentive of cost d. A customer who would
have left takes it with probability gamma and then keeps their value V; one who would have stayed
takes it anyway. Per contacted customer that is gamma (V - d) - f for a leaver and -(d + f) for
others. gamma is uncertain, Beta(alpha, beta).

`y` is 1 for those at risk and `p` ranks them: where low p is the risk, pass 1 - y and 1 - p.
Amounts are per row (customer and as-of date), in the currency of the costs. Only the order of p
matters here, never its level. Tied p are one group, contacted together.
Source: Verbraken, Verbeke and Baesens 2013, "A novel profit maximizing metric for measuring
classification performance of customer churn prediction models".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import ArrayLike
from scipy.special import betainc

from models.evaluation import cluster_codes, resampled_counts

SHARES = np.arange(1, 101) / 100


@dataclass(frozen=True)
class Costs:
    """What a saved customer is worth and a contact costs, in one currency.

    `customer_value` V, `offer_cost` d, `contact_cost` f; the offer saves a leaver with
    probability Beta(`accept_alpha`, `accept_beta`).
    """

    customer_value: float
    offer_cost: float
    contact_cost: float
    accept_alpha: float = 6.0
    accept_beta: float = 14.0

    def __post_init__(self) -> None:
        amounts = (self.customer_value - self.offer_cost, self.offer_cost, self.contact_cost)
        if not (min(amounts) >= 0 and self.customer_value > self.offer_cost):
            raise ValueError(
                "a customer must be worth more than the offer, and no cost may be negative: "
                f"value {self.customer_value}, offer {self.offer_cost}, contact {self.contact_cost}"
            )
        if not min(self.accept_alpha, self.accept_beta) > 0:
            raise ValueError("accept_alpha and accept_beta must be positive")

    @property
    def accepted(self) -> float:
        """The expected share of leavers whom the offer keeps."""
        return self.accept_alpha / (self.accept_alpha + self.accept_beta)


def empc(y: ArrayLike, p: ArrayLike, costs: Costs) -> float:
    """Expected maximum profit per row, contacting the most profitable share for every gamma.

    The expectation over gamma of the profit at its best threshold. NaN without rows.
    """
    y_, p_ = _checked(y, p)
    if not len(y_):
        return float("nan")
    return _Ranked.of(y_, p_, np.arange(len(y_))).empc(np.ones(len(y_)), costs)


def bootstrap_empc(
    y: ArrayLike, p: ArrayLike, customers: ArrayLike, costs: Costs, *, resamples: int, seed: int
) -> dict[str, float]:
    """`empc` with the 95 % interval of resampled customers: {"value", "low", "high"}."""
    y_, p_ = _checked(y, p)
    codes = cluster_codes(customers)
    ranked = _Ranked.of(y_, p_, codes)
    clusters = codes.max(initial=-1) + 1
    draws = [ranked.empc(counts, costs) for counts in resampled_counts(clusters, resamples, seed)]
    low, high = np.quantile(draws, (0.025, 0.975))
    return {
        "value": ranked.empc(np.ones(clusters), costs),
        "low": float(low),
        "high": float(high),
    }


def paired_empc_gain(
    y: ArrayLike,
    p_new: ArrayLike,
    p_old: ArrayLike,
    customers: ArrayLike,
    costs: Costs,
    *,
    resamples: int,
    seed: int,
) -> dict[str, float]:
    """EMPC of `p_new` minus that of `p_old`, on the same resampled customers, per row.

    {"value", "low", "high"}, in the currency of the costs; positive = the new one earns more.
    """
    y_, new = _checked(y, p_new)
    _, old = _checked(y, p_old)
    codes = cluster_codes(customers)
    ranked = [_Ranked.of(y_, p, codes) for p in (new, old)]
    clusters = codes.max(initial=-1) + 1

    def gain(counts: np.ndarray) -> float:
        new_profit, old_profit = (ranking.empc(counts, costs) for ranking in ranked)
        return new_profit - old_profit

    draws = [gain(counts) for counts in resampled_counts(clusters, resamples, seed)]
    low, high = np.quantile(draws, (0.025, 0.975))
    return {"value": gain(np.ones(clusters)), "low": float(low), "high": float(high)}


def profit_curve(
    y: ArrayLike, p: ArrayLike, customers: ArrayLike, costs: Costs, *, resamples: int, seed: int
) -> pd.DataFrame:
    """Profit per row when the riskiest 1 %, 2 %, ... 100 % are contacted, gamma at its mean.

    Columns: share_contacted, profit, low, high, random (contacting as many at random).
    """
    y_, p_ = _checked(y, p)
    codes = cluster_codes(customers)
    ranked = _Ranked.of(y_, p_, codes)
    clusters = codes.max(initial=-1) + 1
    value = ranked.profits(np.ones(clusters), costs)
    draws = np.array(
        [ranked.profits(counts, costs) for counts in resampled_counts(clusters, resamples, seed)]
    )
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    return pd.DataFrame(
        {
            "share_contacted": SHARES,
            "profit": value,
            "low": low,
            "high": high,
            "random": SHARES * value[-1],
        }
    )


@dataclass(frozen=True)
class _Ranked:
    """Rows from the highest p down, ready for many weightings of clusters."""

    y: np.ndarray
    cluster: np.ndarray
    ends_tie: np.ndarray
    cluster_size: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, p: np.ndarray, codes: np.ndarray) -> _Ranked:
        if len(codes) != len(y):
            raise ValueError(f"customers must have one entry per row: {len(codes)} for {len(y)}")
        order = np.lexsort((codes, y, -p))
        p = p[order]
        return cls(
            y[order] == 1,
            codes[order].astype(np.int32),
            np.append(p[1:] != p[:-1], True),
            np.bincount(codes).astype(np.float64),
        )

    def empc(self, weights: np.ndarray, costs: Costs) -> float:
        total = float((weights * self.cluster_size).sum())
        leavers, others = _hull(self.y, self.cluster, self.ends_tie, weights)
        # On the hull, the best threshold for any gamma takes the segments that pay for
        # themselves, so the maximum is a sum over segments of max(0, gain * gamma - cost).
        gain = (costs.customer_value - costs.offer_cost) * leavers
        cost = costs.contact_cost * leavers + (costs.offer_cost + costs.contact_cost) * others
        worth = cost < gain
        gain, cost = gain[worth], cost[worth]
        a, b = costs.accept_alpha, costs.accept_beta
        threshold = cost / gain
        mean_above = costs.accepted * (1 - betainc(a + 1, b, threshold))
        above = 1 - betainc(a, b, threshold)
        return float((gain * mean_above - cost * above).sum() / total)

    def profits(self, weights: np.ndarray, costs: Costs) -> np.ndarray:
        total = float((weights * self.cluster_size).sum())
        leavers, others = _contacted(self.y, self.cluster, self.ends_tie, weights, SHARES * total)
        per_leaver = costs.accepted * (costs.customer_value - costs.offer_cost) - costs.contact_cost
        return (per_leaver * leavers - (costs.offer_cost + costs.contact_cost) * others) / total


@njit(cache=True)
def _hull(
    y: np.ndarray, cluster: np.ndarray, ends_tie: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Leavers and others in each segment of the ROC curve's convex hull, steepest first."""
    leavers = np.empty(len(y))
    others = np.empty(len(y))
    top = -1
    yes = no = 0.0
    for i in range(len(y)):
        w = weights[cluster[i]]
        if y[i]:
            yes += w
        else:
            no += w
        if not ends_tie[i]:
            continue
        if yes + no > 0.0:
            top += 1
            leavers[top] = yes
            others[top] = no
            # A segment with a rate no lower than the one before belongs to it.
            while top > 0 and (
                leavers[top] * (leavers[top - 1] + others[top - 1])
                >= leavers[top - 1] * (leavers[top] + others[top])
            ):
                leavers[top - 1] += leavers[top]
                others[top - 1] += others[top]
                top -= 1
        yes = no = 0.0
    return leavers[: top + 1].copy(), others[: top + 1].copy()


@njit(cache=True)
def _contacted(
    y: np.ndarray,
    cluster: np.ndarray,
    ends_tie: np.ndarray,
    weights: np.ndarray,
    cutoffs: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Leavers and others among the first `cutoffs` rows, expected over orders within ties."""
    leavers = np.empty(len(cutoffs))
    others = np.empty(len(cutoffs))
    k = 0
    yes_above = no_above = yes = no = 0.0
    for i in range(len(y)):
        w = weights[cluster[i]]
        if y[i]:
            yes += w
        else:
            no += w
        if not ends_tie[i]:
            continue
        size = yes + no
        while k < len(cutoffs) and size > 0.0 and cutoffs[k] <= yes_above + no_above + size:
            share = max(cutoffs[k] - yes_above - no_above, 0.0) / size
            leavers[k] = yes_above + share * yes
            others[k] = no_above + share * no
            k += 1
        yes_above += yes
        no_above += no
        yes = no = 0.0
    while k < len(cutoffs):
        leavers[k] = yes_above
        others[k] = no_above
        k += 1
    return leavers, others


def _checked(y: ArrayLike, p: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    y_ = np.asarray(y, dtype=np.float64)
    p_ = np.asarray(p, dtype=np.float64)
    if y_.ndim != 1 or y_.shape != p_.shape:
        raise ValueError(f"y and p must be equally long vectors, got {y_.shape} and {p_.shape}")
    if not np.isin(y_, (0.0, 1.0)).all():
        raise ValueError("y must be 0 or 1; leave out rows without a label")
    if not np.isfinite(p_).all():
        raise ValueError("p must be finite")
    return y_, p_
