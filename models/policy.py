"""From risk to work: who is contacted, by whom, who is left alone and why (METHODS G).

`risk` is the probability of the bad outcome: p for churn, 1 - p for repeat purchase. High risk is
not the same as persuadable: tiers only share out the capacity there is, and a random part of those
worth contacting is held out, so that whether contacting helps can be measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from models.allocation import allocate
from models.value import Costs

CONTACT, HOLD_OUT, LEAVE = "contact", "hold_out", "leave"
"""What is to be done: contact; would be contacted but was drawn to be left alone; leave alone."""
NOT_WORTH, NO_TEAM, NO_CAPACITY = "not_worth_it", "no_team", "no_capacity"


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


@dataclass(frozen=True)
class Rule:
    """A reason to leave a customer alone, and the columns it is read from.

    `abstains` marks the rules under which the model itself keeps silent about the customer.
    """

    code: str
    columns: tuple[str, ...]
    applies: Callable[[pd.DataFrame, Limits], pd.Series]
    abstains: bool = False


@dataclass(frozen=True)
class Limits:
    """The rules' figures: days, and how many features may lie outside the training range."""

    cooldown_days: float = 30
    held_out_days: float = 90
    min_tenure_days: float = 28
    max_stale_days: float = 3
    max_unfamiliar: float = np.inf


RULES = (
    Rule("already_leaving", ("is_leaving",), lambda rows, _: rows["is_leaving"] == 1),
    Rule("no_consent", ("contact_opt_in",), lambda rows, _: rows["contact_opt_in"] != 1),
    Rule("open_ticket", ("open_ticket_count",), lambda rows, _: rows["open_ticket_count"] > 0),
    Rule(
        "recent_contact",
        ("days_since_contact",),
        lambda rows, limits: rows["days_since_contact"] < limits.cooldown_days,
    ),
    Rule(
        "on_recent_list",
        ("days_since_listed",),
        lambda rows, limits: rows["days_since_listed"] < limits.cooldown_days,
    ),
    Rule(
        "held_out_before",
        ("days_since_held_out",),
        lambda rows, limits: rows["days_since_held_out"] < limits.held_out_days,
    ),
    Rule("in_other_list", ("in_other_list",), lambda rows, _: rows["in_other_list"] == 1),
    Rule(
        "source_stale",
        ("stale_days",),
        lambda rows, limits: rows["stale_days"] > limits.max_stale_days,
        abstains=True,
    ),
    Rule(
        "too_new",
        ("tenure_days",),
        lambda rows, limits: rows["tenure_days"] < limits.min_tenure_days,
        abstains=True,
    ),
    Rule(
        "unfamiliar",
        ("unfamiliar_count",),
        lambda rows, limits: rows["unfamiliar_count"] > limits.max_unfamiliar,
        abstains=True,
    ),
)
"""Why a customer is left alone; the first that applies is recorded."""

RULE = {rule.code: rule for rule in RULES}


def suppress(rows: pd.DataFrame, limits: Limits) -> tuple[pd.Series, pd.Series, dict[str, str]]:
    """Who is left alone and why: (reason, abstained, what each rule did).

    `reason` is the code of the first rule that applies, missing where none does; `abstained` [bool]
    says that some abstaining rule applies, whatever the first reason is. A rule whose column is not
    there cannot be applied: the third value says so, per rule code, for the run record; otherwise
    it says from which column it was read. A missing value is never a reason, except that consent
    which is not on record is no consent.
    """
    reason = pd.Series(None, index=rows.index, dtype=object)
    abstained = pd.Series(False, index=rows.index)
    record = {}
    for rule in RULES:
        absent = [column for column in rule.columns if column not in rows]
        if absent:
            record[rule.code] = f"cannot be applied: there is no {', '.join(absent)}"
            continue
        applies = rule.applies(rows, limits).fillna(False).astype(bool)
        reason = reason.mask(applies & reason.isna(), rule.code)
        abstained |= applies & rule.abstains
        record[rule.code] = (
            f"read from {', '.join(rule.columns)}: applies to {int(applies.sum())} customers"
        )
    return reason, abstained, record


def customer_values(
    rows: pd.DataFrame, *, otherwise: float, margin: float | None
) -> tuple[np.ndarray, str]:
    """What each customer is worth in the next year, and in words what that was taken from.

    With a `margin` (share of revenue) it is the margin on the net order amount of the last 365 days
    plus twelve times the monthly price, whichever columns there are; `otherwise` where a customer
    has neither on record, and for everybody without a `margin`.
    """
    amounts = [name for name in ("order_amount_365d",) if name in rows]
    prices = [name for name in ("subscription_price",) if name in rows]
    if margin is None or not amounts + prices:
        return np.full(len(rows), float(otherwise)), f"{otherwise:g} for every customer"
    yearly = pd.DataFrame({name: rows[name].astype(float) for name in amounts})
    for name in prices:
        yearly[name] = 12 * rows[name].astype(float)
    revenue = yearly.sum(axis=1, min_count=1)
    values = (margin * revenue).fillna(otherwise).to_numpy()
    return values, f"{margin:g} of {' + 12 x '.join(amounts + prices)}; {otherwise:g} without"


def net_value(
    risk: ArrayLike, customer_value: ArrayLike, costs: Costs, taken_by_stayers: float = 1.0
) -> np.ndarray:
    """What contacting a customer is expected to earn: gamma p (V - d) - (1 - p) d a0 - f.

    gamma is the expected share of leavers who accept, V `customer_value`, d the offer's and f the
    contact's cost, a0 `taken_by_stayers`: the share of those who would have stayed who take the
    offer too (METHODS G). Negative where a contact costs more than it saves.
    """
    p = np.asarray(risk, dtype=np.float64)
    saved = costs.accepted * p * (np.asarray(customer_value, dtype=np.float64) - costs.offer_cost)
    return saved - (1 - p) * costs.offer_cost * taken_by_stayers - costs.contact_cost


@dataclass(frozen=True)
class Team:
    """Who makes contacts. None for `languages` or `channels` means all.

    `minutes` of work in all; `minutes_per_contact` for every contact or by channel.
    """

    name: str
    minutes: float
    minutes_per_contact: float | Mapping[str, float]
    languages: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None

    def takes(self, language: object, channel: object) -> float:
        """Minutes for a customer of this language and preferred channel; NaN if it cannot.

        What is not known about a customer excludes no team; with no known channel a contact takes
        as long as the team's longest.
        """
        if self.languages is not None and not _in(language, self.languages):
            return np.nan
        if self.channels is not None and not _in(channel, self.channels):
            return np.nan
        if not isinstance(self.minutes_per_contact, Mapping):
            return float(self.minutes_per_contact)
        if pd.isna(channel):  # type: ignore[call-overload]
            return float(max(self.minutes_per_contact.values()))
        return float(self.minutes_per_contact.get(str(channel), np.nan))


def _in(value: object, allowed: Sequence[str]) -> bool:
    return bool(pd.isna(value)) or str(value) in allowed  # type: ignore[call-overload]


def held_out(customers: ArrayLike, *, day: str, share: float, seed: int) -> np.ndarray:
    """Who is drawn for the holdout, if worth contacting [bool]: a keyed hash of id and list date.

    The draw depends on nothing else: not on the order of rows, on buckets, or on who else is there.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the held-out share must be at least 0 and below 1, got {share}")
    key = hashlib.blake2b(f"{seed}:{day}".encode(), digest_size=32).digest()
    limit = int(share * 2**64)
    ids = np.asarray(customers, dtype=object)
    return np.fromiter(
        (
            int.from_bytes(hashlib.blake2b(str(i).encode(), digest_size=8, key=key).digest())
            < limit
            for i in ids
        ),
        dtype=bool,
        count=len(ids),
    )


@dataclass(frozen=True)
class Plan:
    """`rows`: action, action_reason, team, propensity, net_value per customer, in the given order.

    `value` is what the contacts are expected to earn; `bound` what no plan within the capacity
    could exceed; `is_exact` says that no other plan earns more.
    """

    rows: pd.DataFrame
    value: float
    bound: float
    is_exact: bool
    minutes: dict[str, float]


def contact_plan(
    customers: ArrayLike,
    net: ArrayLike,
    blocked: pd.Series,
    language: ArrayLike,
    channel: ArrayLike,
    teams: Sequence[Team],
    *,
    day: str,
    holdout_share: float,
    seed: int,
) -> Plan:
    """Who is contacted by which team, who is held out, who is left alone and why.

    One row per customer. `net` is what contacting earns, `blocked` the code of `suppress` or
    missing. Those drawn for the holdout take no time of any team; one of them is held out when the
    plan goes at least as far down among customers of the same language and channel. `propensity` is
    the probability that a customer who was chosen is contacted, missing for the others.
    """
    ids = np.asarray(customers, dtype=object)
    earns = np.asarray(net, dtype=np.float64)
    codes, kinds = _kinds(language, channel)
    minutes = np.array([[team.takes(*kind) for team in teams] for kind in kinds])
    minutes = minutes.reshape(len(kinds), len(teams))
    reachable = (~np.isnan(minutes)).any(axis=1)[codes] if len(ids) else np.zeros(0, dtype=bool)
    reason = blocked.reset_index(drop=True).astype(object)
    reason = reason.where(reason.notna(), None)
    reason[reason.isna() & ~(earns > 0)] = NOT_WORTH
    reason[reason.isna() & ~reachable] = NO_TEAM
    candidates = np.flatnonzero(reason.isna().to_numpy())
    # The identifier decides between equals, so that the order of the rows does not.
    order = np.lexsort((pd.factorize(ids[candidates], sort=True)[0], -earns[candidates]))
    candidates = candidates[order]
    drawn = held_out(ids[candidates], day=day, share=holdout_share, seed=seed)
    free = candidates[~drawn]
    found = allocate(earns[free], codes[free], minutes, [team.minutes for team in teams])

    team = np.full(len(ids), -1)
    team[free] = found.team
    held = _as_far_down(candidates, codes, team, drawn)
    action = np.where(team >= 0, CONTACT, LEAVE).astype(object)
    action[held] = HOLD_OUT
    reason[reason.isna() & (action == LEAVE)] = NO_CAPACITY
    names = np.array([t.name for t in teams] + [None], dtype=object)
    rows = pd.DataFrame(
        {
            "action": action,
            "action_reason": reason,
            "team": names[team],
            "propensity": np.where(action == LEAVE, np.nan, 1 - holdout_share),
            "net_value": earns,
        }
    )
    used = {
        t.name: float(minutes[codes[team == j], j].sum()) if len(ids) else 0.0
        for j, t in enumerate(teams)
    }
    return Plan(rows, found.value, found.bound, found.is_exact, used)


def _kinds(language: ArrayLike, channel: ArrayLike) -> tuple[np.ndarray, list[tuple[object, ...]]]:
    """Which pair of language and channel each customer has, and the pairs."""
    frame = pd.DataFrame(
        {"l": np.asarray(language, dtype=object), "c": np.asarray(channel, dtype=object)}
    )
    codes = frame.groupby(["l", "c"], dropna=False, sort=True).ngroup().to_numpy()
    firsts = np.unique(codes, return_index=True)[1]
    return codes, [tuple(pair) for pair in frame.iloc[firsts].to_numpy().tolist()]


def _as_far_down(
    candidates: np.ndarray, codes: np.ndarray, team: np.ndarray, drawn: np.ndarray
) -> np.ndarray:
    """The drawn candidates (most valuable first) before their kind's last contacted one."""
    place = np.arange(len(candidates))
    last = np.full(codes.max(initial=-1) + 1, -1)
    is_contacted = team[candidates] >= 0
    np.maximum.at(last, codes[candidates[is_contacted]], place[is_contacted])
    # A kind all of whose free candidates are contacted has no last one: it would go on.
    turned_down = np.zeros(len(last), dtype=bool)
    turned_down[codes[candidates[~is_contacted & ~drawn]]] = True
    seen = last >= 0
    kind = codes[candidates]
    inside = (place < last[kind]) | (seen[kind] & ~turned_down[kind])
    return candidates[drawn & inside]


def base_rates(
    groups: ArrayLike, outcomes: ArrayLike, *, least: int = 200
) -> tuple[dict[str, float], float]:
    """The rate of the outcome per group with at least `least` rows, and over all rows.

    What is said of a customer about whom the model keeps silent.
    """
    frame = pd.DataFrame(
        {"group": np.asarray(groups, dtype=object), "y": np.asarray(outcomes, dtype=np.float64)}
    )
    found = frame.groupby("group")["y"].agg(["mean", "size"])
    enough = found[found["size"] >= least]["mean"]
    return {str(group): float(rate) for group, rate in enough.items()}, float(frame["y"].mean())


def silenced(
    probability: ArrayLike,
    abstained: ArrayLike,
    groups: ArrayLike,
    rates: Mapping[str, float],
    overall: float,
) -> np.ndarray:
    """The probabilities, with the base rate of their group for those the model is silent about."""
    rate = pd.Series(np.asarray(groups, dtype=object)).map(rates).astype(float).fillna(overall)
    return np.where(np.asarray(abstained, dtype=bool), rate, np.asarray(probability, dtype=float))
