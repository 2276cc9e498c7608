"""May a challenger replace the champion? A decision on the rows both predicted, out of time.

The rule (METHODS H), on the same test rows:

1. log-loss: the paired, customer-clustered interval of the challenger's gain lies above 0, and the
   gain is positive on each of the last two test dates;
2. value: the interval of the change in expected maximum profit lies above -2 % of the champion's;
3. calibration: slope within 0.85-1.15, calibration in the large within 0.25 log-odds, ECE at most
   0.015 or what chance explains plus 0.008 (METHODS I.13);
4. slices: no slice gains a flag, or a worse flagged figure, and none has a clearly higher log-loss.

Without a champion the challenger must pass 3 and beat the base rate by 1.

It fails closed: a check passes only when its figure exists and lies on the right side, so that
NaN fails; rows without a prediction, too few of them, or a missing column refuse. Nothing is
caught here: an exception reaches the caller, who has promoted nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from models import evaluation, slices, value
from models.value import Costs


@dataclass(frozen=True)
class Rules:
    """The bounds of the gate; the defaults are METHODS H and I.13."""

    profit_loss: float = 0.02
    slope: tuple[float, float] = (0.85, 1.15)
    level: float = 0.25
    ece: float = 0.015
    ece_beyond_chance: float = 0.008
    consecutive_dates: int = 2
    min_events: int = 50


@dataclass(frozen=True)
class Check:
    """One condition: what was measured, in words, and whether it holds."""

    name: str
    passed: bool
    detail: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Decision:
    """Promote or not, and every check that was made."""

    promote: bool
    checks: tuple[Check, ...]

    @property
    def why_not(self) -> tuple[str, ...]:
        """The details of the failed checks."""
        return tuple(f"{check.name}: {check.detail}" for check in self.checks if not check.passed)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a figure that does not exist is None."""
        return {
            "promote": self.promote,
            "checks": [
                asdict(check)
                | {
                    "figures": {
                        name: figure if np.isfinite(figure) else None
                        for name, figure in check.figures.items()
                    }
                }
                for check in self.checks
            ],
        }


def judge(
    rows: pd.DataFrame,
    *,
    has_champion: bool,
    risk_is_one: bool,
    costs: Costs,
    capacity: float,
    dimensions: Sequence[str] = (),
    rules: Rules = Rules(),
    resamples: int = 1000,
    seed: int = 0,
) -> Decision:
    """Decide on `rows`: one per customer and test date, predicted by models that had not seen it.

    Columns: customer_id, as_of, y (0/1), prior and challenger (P(y=1)), champion when there is
    one, and the `dimensions` that slices are made of. `risk_is_one` says whether those to contact
    have y = 1 (churn) or y = 0 (repeat purchase).
    """
    rivals = ["challenger", "champion" if has_champion else "prior"]
    sound = _sound(rows, rivals, dimensions, rules)
    if not sound.passed:
        return Decision(False, (sound,))
    rows = rows.sort_values(["as_of", "customer_id"], kind="stable").reset_index(drop=True)
    checks = [sound, *_log_loss(rows, rivals[1], rules, resamples, seed)]
    checks.append(_calibration(rows, rules, seed))
    if has_champion:
        checks.append(_value(rows, risk_is_one, costs, rules, resamples, seed))
        checks.append(_slices(rows, risk_is_one, capacity, dimensions))
    return Decision(all(check.passed for check in checks), tuple(checks))


def _sound(
    rows: pd.DataFrame, rivals: Sequence[str], dimensions: Sequence[str], rules: Rules
) -> Check:
    """Whether there is enough, whole data to judge by."""

    def found(problem: str, **figures: float) -> Check:
        detail = problem or f"{len(rows)} rows on {rows['as_of'].nunique()} dates"
        return Check("data", not problem, detail, figures)

    absent = sorted({"customer_id", "as_of", "y", *rivals, *dimensions} - set(rows.columns))
    if absent:
        return found(f"there is no {', '.join(absent)} on the test rows")
    if rows.empty:
        return found("there are no test rows")
    if rows[["customer_id", "as_of", "y"]].isna().any(axis=None):
        return found("a test row lacks its customer, as-of date or outcome")
    if not rows["y"].isin([0, 1]).all():
        return found("an outcome is neither 0 nor 1")
    if rows.duplicated(["customer_id", "as_of"]).any():
        return found("a customer is there twice on one as-of date")
    for name in rivals:
        p = rows[name].to_numpy(dtype=np.float64)
        broken = int((~((p >= 0) & (p <= 1))).sum())
        if broken:
            return found(f"{broken} predictions of the {name} are missing or no probabilities")
    events = float(min(rows["y"].sum(), len(rows) - rows["y"].sum()))
    if not events >= rules.min_events:
        return found(
            f"only {events:.0f} rows of the rarer outcome, {rules.min_events} are needed",
            events=events,
        )
    return found("", rows=float(len(rows)), events=events)


def _log_loss(
    rows: pd.DataFrame, rival: str, rules: Rules, resamples: int, seed: int
) -> list[Check]:
    y, customers = rows["y"].to_numpy(), rows["customer_id"].to_numpy()
    mine, other = rows["challenger"].to_numpy(), rows[rival].to_numpy()
    gain = evaluation.paired_gain(y, mine, other, customers, resamples=resamples, seed=seed)
    found = gain["log_loss"]
    checks = [
        Check(
            "log_loss",
            bool(found["low"] > 0),
            f"gain over the {rival} {found['value']:+.5f} [{found['low']:+.5f},"
            f" {found['high']:+.5f}] must lie above 0",
            dict(found),
        )
    ]
    if rival == "champion":
        by_date = _gain_by_date(rows)
        last = by_date[-rules.consecutive_dates :]
        checks.append(
            Check(
                "consecutive_dates",
                len(last) == rules.consecutive_dates and all(gain > 0 for _, gain in last),
                f"the log-loss must fall on the last {rules.consecutive_dates} test dates: "
                + ", ".join(f"{date} {gain:+.5f}" for date, gain in last),
                dict(by_date),
            )
        )
    return checks


def _gain_by_date(rows: pd.DataFrame) -> list[tuple[str, float]]:
    gains = []
    for date, part in rows.groupby("as_of", sort=True):
        challenger, champion = (
            evaluation.point_metrics(part["y"], part[name])["log_loss"]
            for name in ("challenger", "champion")
        )
        gains.append((str(date), champion - challenger))
    return gains


def _calibration(rows: pd.DataFrame, rules: Rules, seed: int) -> Check:
    y, p = rows["y"].to_numpy(), rows["challenger"].to_numpy()
    found = evaluation.point_metrics(y, p)
    slope, level, ece = (
        found[name] for name in ("calibration_slope", "calibration_in_the_large", "ece")
    )
    allowed = max(rules.ece, evaluation.chance_ece(y, p, seed=seed) + rules.ece_beyond_chance)
    low, high = rules.slope
    return Check(
        "calibration",
        bool(low <= slope <= high and abs(level) <= rules.level and ece <= allowed),
        f"slope {slope:.2f} must be within {low}-{high}, level {level:+.2f} within {rules.level}"
        f" log-odds, ECE {ece:.4f} at most {allowed:.4f}",
        {"slope": slope, "level": level, "ece": ece, "ece_allowed": allowed},
    )


def _value(
    rows: pd.DataFrame, risk_is_one: bool, costs: Costs, rules: Rules, resamples: int, seed: int
) -> Check:
    y, challenger, champion = _at_risk(rows, risk_is_one)
    gain = value.paired_empc_gain(
        y,
        challenger,
        champion,
        rows["customer_id"].to_numpy(),
        costs,
        resamples=resamples,
        seed=seed,
    )
    before = value.empc(y, champion, costs)
    least = -rules.profit_loss * before
    return Check(
        "value",
        bool(gain["low"] >= least),
        f"change in expected maximum profit {gain['value']:+.2f} [{gain['low']:+.2f},"
        f" {gain['high']:+.2f}] per customer must lie above {least:+.2f}",
        gain | {"champion": before},
    )


def _slices(
    rows: pd.DataFrame, risk_is_one: bool, capacity: float, dimensions: Sequence[str]
) -> Check:
    y, challenger, champion = _at_risk(rows, risk_is_one)
    customers, as_of = rows["customer_id"].to_numpy(), rows["as_of"].to_numpy()
    parts = {name: rows[name] for name in dimensions}
    now, before = (
        slices.slices(y, p, customers, as_of, parts, capacity=capacity)
        for p in (challenger, champion)
    )
    worse = [
        f"{new['dimension']}={new['value']} ({flag})"
        for (_, new), (_, old) in zip(now.iterrows(), before.iterrows(), strict=True)
        for flag in slices.flags(new)
        if flag not in slices.flags(old) or slices.has_worsened(new, old, flag)
    ]
    worse += [
        f"{name} (log-loss)"
        for name in slices.significantly_worse(y, challenger, champion, customers, parts)
    ]
    judged = int(now["is_judged"].sum())
    detail = f"worse in {', '.join(worse)}" if worse else f"none of {judged} slices is worse"
    return Check("slices", not worse, detail, {"judged": float(judged), "worse": float(len(worse))})


def _at_risk(rows: pd.DataFrame, risk_is_one: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    columns = (rows[name].to_numpy(dtype=np.float64) for name in ("y", "challenger", "champion"))
    y, challenger, champion = (column if risk_is_one else 1 - column for column in columns)
    return y, challenger, champion
