"""What would change if support pulled a lever more often: the arithmetic of what-if (METHODS F).

Only levers graded A or B, one at a time: their estimates overlap (a ticket that is answered sooner
is resolved at first contact more often), so they must not be added up. The share may only go where
the data have been: in every stratum of severity and segment the new share must stay between the
5 % and 95 % points of the chances that its tickets really had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

MIN_STRATUM_SHARE = 0.01
"""Smaller strata do not limit how far a lever may go."""

CERTAIN = 1e-6


@dataclass(frozen=True)
class Change:
    """The expected change in customers who leave within the horizon, per year of tickets."""

    share_before: float
    share_after: float
    tickets: int
    departures: float
    low: float
    high: float


def reach(strata: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The lowest and highest overall share at which every stratum stays where data are."""
    kept = _large(strata)
    shares = np.array([stratum["share"] for stratum in kept])
    low = max(_shift(stratum["share"], stratum["low"]) for stratum in kept)
    high = min(_shift(stratum["share"], stratum["high"]) for stratum in kept)
    weights = np.array([stratum["tickets"] for stratum in kept], dtype=float)
    return (
        float(np.average(_moved(shares, min(low, 0.0)), weights=weights)),
        float(np.average(_moved(shares, max(high, 0.0)), weights=weights)),
    )


def share_of_hours(quantiles: Sequence[float], limit: float, factor: float) -> float:
    """The share of tickets within `limit` hours if every duration were `factor` times as long."""
    grid = np.asarray(quantiles, dtype=float) * factor
    return float(np.mean(grid[1:] <= limit))


def change(lever: Mapping[str, Any], share_after: float) -> Change:
    """The change if the overall share went to `share_after`, with its 95 % interval."""
    moved = (share_after - lever["share"]) * lever["tickets_last_year"]
    edges = sorted((moved * lever["low"], moved * lever["high"]))
    return Change(
        share_before=lever["share"],
        share_after=share_after,
        tickets=lever["tickets_last_year"],
        departures=moved * lever["theta"],
        low=edges[0],
        high=edges[1],
    )


def refusal(lever: Mapping[str, Any], share_after: float) -> tuple[str, str] | None:
    """Why (en, ja) the share may not go there, or None."""
    if lever["grade"] not in ("A", "B"):
        return (
            f"its evidence grade is {lever['grade']}, and only A and B say what a change would do",
            f"エビデンスの等級が{lever['grade']}のため試算できません（A・Bのみ対象）",
        )
    if lever["estimand"] == "ATTE" and share_after > lever["share"]:
        return (
            "its effect is known only for tickets that were exposed, so only having it less often"
            " can be judged",
            "効果は実際に該当したお問い合わせについてのみ推定されているため、減らす方向だけ試算できます",
        )
    low, high = lever["reach"]
    if not low - CERTAIN <= share_after <= high + CERTAIN:
        return (
            f"{share_after:.1%} of tickets is outside what the data support in every stratum of"
            f" severity and segment: {low:.1%} to {high:.1%}",
            f"{share_after:.1%}は、重要度・セグメント別のデータで裏付けられる範囲"
            f"（{low:.1%}～{high:.1%}）の外です",
        )
    return None


def _large(strata: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    total = sum(stratum["tickets"] for stratum in strata)
    return [
        stratum
        for stratum in strata
        if stratum["tickets"] >= MIN_STRATUM_SHARE * total and 0 < stratum["share"] < 1
    ]


def _shift(share: float, to: float) -> float:
    return float(logit(np.clip(to, CERTAIN, 1 - CERTAIN)) - logit(share))


def _moved(shares: np.ndarray, shift: float) -> np.ndarray:
    return np.asarray(expit(logit(shares) + shift))
