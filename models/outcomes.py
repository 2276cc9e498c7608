"""Did the lists help? Matured outcomes against what past lists said and what was done (METHODS G).

Every function takes a frame with one row per customer and list: `list`, `customer_id`, `as_of`,
`task`, `tier`, `risk` (the probability of the bad outcome as listed), `bad` (1 when it came, 0 when
not, NaN when the outcome cannot be told) and, from lists with a plan, `action`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from models.evaluation import bootstrap_metrics
from models.policy import CONTACT, HOLD_OUT

TIERS = ("high", "medium", "low")
Z = float(norm.ppf(0.975))
FEWEST = 30
"""An arm with fewer customers gives an interval, but no verdict."""


def wilson(bad: float, rows: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate; (0, 1) without rows (Wilson 1927)."""
    if rows == 0:
        return 0.0, 1.0
    rate = bad / rows
    centre = rate + Z**2 / (2 * rows)
    half = Z * np.sqrt(rate * (1 - rate) / rows + Z**2 / (4 * rows**2))
    scale = 1 + Z**2 / rows
    # At 0 or all of the rows the end is exact, and rounding must not move it past.
    low = 0.0 if bad == 0 else (centre - half) / scale
    high = 1.0 if bad == rows else (centre + half) / scale
    return float(low), float(high)


def by_tier(rows: pd.DataFrame) -> pd.DataFrame:
    """Per list and tier: customers, evaluable, bad, rate, low, high, expected (mean risk listed).

    `customers` counts everybody on the list, the rest only those whose outcome can be told.
    """
    out = []
    for (name, tier), part in rows.groupby(["list", "tier"], sort=True):
        told = part[part["bad"].notna()]
        bad, count = float(told["bad"].sum()), len(told)
        low, high = wilson(bad, count)
        out.append(
            {
                "list": name,
                "tier": tier,
                "customers": len(part),
                "evaluable": count,
                "bad": int(bad),
                "rate": bad / count if count else np.nan,
                "low": low,
                "high": high,
                "expected": float(told["risk"].mean()) if count else np.nan,
            }
        )
    table = pd.DataFrame(out)
    order = table["tier"].map({tier: place for place, tier in enumerate(TIERS)})
    return (
        table.assign(order=order)
        .sort_values(["list", "order", "tier"], kind="stable")
        .drop(columns="order")
        .reset_index(drop=True)
    )


def calibration(rows: pd.DataFrame, *, resamples: int, seed: int) -> dict[str, Any]:
    """How the listed risks hold: intercept (at slope 1) and slope with intervals, and a verdict.

    0 and 1 are perfect. "drifted" when an interval leaves out its perfect value, "holds" when not,
    "too few" with fewer than FEWEST of either outcome.
    """
    told = rows[rows["bad"].notna()]
    bad = int(told["bad"].sum())
    if min(bad, len(told) - bad) < FEWEST:
        return {"rows": len(told), "bad": bad, "verdict": "too few"}
    risk = told["risk"].clip(1e-6, 1 - 1e-6)
    found = bootstrap_metrics(
        told["bad"], risk, told["customer_id"], resamples=resamples, seed=seed
    )
    level, slope = found["calibration_in_the_large"], found["calibration_slope"]
    holds = level["low"] <= 0 <= level["high"] and slope["low"] <= 1 <= slope["high"]
    return {
        "rows": len(told),
        "bad": bad,
        "intercept": level,
        "slope": slope,
        "verdict": "holds" if holds else "drifted",
    }


def lift(rows: pd.DataFrame, reached: int) -> dict[str, Any]:
    """The rate among the `reached` highest risks of the list, against the rate of all.

    Contacting lowers the rate of those contacted, so with a helpful contact this is an
    underestimate of how well the list ranks.
    """
    told = rows[rows["bad"].notna()].sort_values(["risk", "customer_id"], ascending=[False, True])
    top = told.head(reached)
    overall = float(told["bad"].mean()) if len(told) else np.nan
    rate = float(top["bad"].mean()) if len(top) else np.nan
    low, high = wilson(float(top["bad"].sum()), len(top))
    known = bool(len(top)) and overall > 0
    return {
        "reached": len(top),
        "share": len(top) / len(told) if len(told) else None,
        "rate": rate if len(top) else None,
        "overall": overall if len(told) else None,
        "lift": rate / overall if known else None,
        "low": low / overall if known else None,
        "high": high / overall if known else None,
    }


@dataclass(frozen=True)
class Effect:
    """How much lower the rate of the bad outcome is among those to be contacted.

    `value` is the rate of the held out less that of the contacted (positive = contacting helps),
    [`low`, `high`] its 95 % interval, by intention to treat: everybody counts as planned, whether
    reached or not. `verdict`: "helps", "harms", "no difference seen" or "too few".
    """

    contacted: int
    held_out: int
    contacted_rate: float | None
    held_out_rate: float | None
    value: float | None
    low: float | None
    high: float | None
    verdict: str
    left_out: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def first_listings(rows: pd.DataFrame, days: int) -> pd.DataFrame:
    """Each customer's plan once: later ones within `days`, when the same outcome would be counted
    again, are left out.
    """
    ordered = rows.sort_values(["as_of", "customer_id"], kind="stable")
    kept: list[int] = []
    last: dict[str, pd.Timestamp] = {}
    span = pd.Timedelta(days=days)
    for index, customer, at in zip(
        ordered.index, ordered["customer_id"], pd.to_datetime(ordered["as_of"]), strict=True
    ):
        if customer not in last or at >= last[customer] + span:
            last[customer] = at
            kept.append(index)
    return rows.loc[sorted(kept)]


def contact_effect(rows: pd.DataFrame, *, days: int) -> Effect:
    """The effect of the plan to contact, against the random holdout.

    Only customers drawn at random for one or the other count, in their first list within `days`.
    Lists are strata, weighted by n1 n2 / (n1 + n2), since the share held out may differ; the
    interval combines the rates' Wilson intervals (Newcombe 1998, method 10, for one list; Zou,
    Huang and Zhang 2009 for the weighted sum).
    """
    planned = rows[rows["action"].isin((CONTACT, HOLD_OUT))]
    first = first_listings(planned, days)
    told = first[first["bad"].notna()]
    value = below = above = total = 0.0
    counts = {CONTACT: 0, HOLD_OUT: 0}
    rates = {CONTACT: 0.0, HOLD_OUT: 0.0}
    for _, part in told.groupby("list", sort=True):
        arm = {name: part.loc[part["action"] == name, "bad"] for name in counts}
        treated, kept = len(arm[CONTACT]), len(arm[HOLD_OUT])
        if not (treated and kept):
            continue
        weight = treated * kept / (treated + kept)
        p1, p0 = float(arm[CONTACT].mean()), float(arm[HOLD_OUT].mean())
        low1, high1 = wilson(float(arm[CONTACT].sum()), treated)
        low0, high0 = wilson(float(arm[HOLD_OUT].sum()), kept)
        value += weight * (p0 - p1)
        below += weight**2 * ((p0 - low0) ** 2 + (high1 - p1) ** 2)
        above += weight**2 * ((high0 - p0) ** 2 + (p1 - low1) ** 2)
        total += weight
        for name, rate in ((CONTACT, p1), (HOLD_OUT, p0)):
            counts[name] += len(arm[name])
            rates[name] += weight * rate
    left_out = len(planned) - sum(counts.values())
    if not total:
        arms = {name: int((told["action"] == name).sum()) for name in counts}
        return Effect(
            arms[CONTACT], arms[HOLD_OUT], None, None, None, None, None, "too few",
            len(planned) - sum(arms.values()),
        )  # fmt: skip
    low, high = value / total - np.sqrt(below) / total, value / total + np.sqrt(above) / total
    verdict = "helps" if low > 0 else "harms" if high < 0 else "no difference seen"
    return Effect(
        contacted=counts[CONTACT],
        held_out=counts[HOLD_OUT],
        contacted_rate=rates[CONTACT] / total,
        held_out_rate=rates[HOLD_OUT] / total,
        value=value / total,
        low=float(low),
        high=float(high),
        verdict=verdict if min(counts.values()) >= FEWEST else "too few",
        left_out=left_out,
    )


def reached(rows: pd.DataFrame) -> dict[str, Any]:
    """How many of each arm were in fact contacted (`contacted`, bool): who took the treatment."""
    out = {}
    for name in (CONTACT, HOLD_OUT):
        arm = rows[rows["action"] == name]
        out[name] = {"customers": len(arm), "contacted": int(arm["contacted"].sum())}
    other = rows[~rows["action"].isin((CONTACT, HOLD_OUT))]
    out["others"] = {"customers": len(other), "contacted": int(other["contacted"].sum())}
    return out
