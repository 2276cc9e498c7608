"""The best possible prediction in the embedded world: Bayes probabilities of both outcomes.

Given what was recorded, a customer's experience is known exactly, so only two things are hidden:
the class and, without a contract, whether the customer is still there. A forward filter over the
weeks weighs both by everything that depends on them (leaving, orders, tickets, visits, joining the
loyalty programme, personal offers). From the state at the as-of date the true process is then
simulated forward with new draws, once per class and rollout. The rollouts draw only what support
does to experience; leaving and buying are integrated over (Rao-Blackwell), week by week.

The oracle knows events from the moment they happened, also those recorded late, and the
parameters: no model can beat it but by luck. What it simplifies is listed in docs/world.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data import world as worlds
from data.world.care import personal_offers, reachable_weeks
from data.world.commerce import ORDER_CANCELLED, Orders, place_orders
from data.world.draws import Array, happens, normal, uniform
from data.world.parameters import World
from data.world.process import (
    ANSWER_DAYS,
    DAY,
    FEEDBACK_DAYS,
    FOLLOW_UP_DAYS,
    ORDER_HOURS,
    TICKET_HOURS,
    WEEK,
    People,
    Tickets,
    acted_on_chance,
    answer_delay,
    enrolment_rate,
    feedback_chance,
    follow_up_chance,
    in_force,
    leaving_hazard,
    load_wave,
    notice_hours,
    offer_chance,
    open_tickets,
    order_rate,
    shock_at_intake,
    shock_at_reply,
    shock_at_resolution,
    shock_of_feedback,
    ticket_hazard,
    usage_rate,
    visit_counts,
)
from data.world.record import Scene

GAP = 7 * DAY
HORIZON = {"churn": 90 * DAY, "repeat_purchase": 60 * DAY}
MIN_TENURE = 28 * DAY
ORDERED_WITHIN = 365 * DAY
LAST_EFFECT = (FEEDBACK_DAYS[1] + ANSWER_DAYS[1]) * DAY  # of a ticket, after its resolution
PAYMENT_GRACE = 10 * DAY  # from a renewal whose payment is lost to the end of the contract
PAID_BY = 4.5 * DAY  # a failed payment that is ever made good is so by then

CHUNK = 5_000  # customers in memory at once
BATCH = 1_000  # customers rolled out at once
FRESH = 100_000_000  # rollout r of customer i draws with the key i + r * FRESH
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)


def oracle(
    *,
    customers: int,
    months: int,
    seed: int,
    world: str = "W1",
    cutoffs: Sequence[datetime],
    rollouts: int = 64,
) -> pd.DataFrame:
    """Bayes probabilities for the customers that `generate` writes with the same arguments.

    One row per eligible customer, as-of date and target, sorted: customer_id, as_of (UTC),
    target ("churn" or "repeat_purchase"), p_hist = P(y = 1 | recorded history), p_state = the same
    for someone who also knows the class and who is still there, mc_se = Monte Carlo standard error
    of p_hist. Churn is P(leaves from day 7 to 97 | not gone by day 7), as labels of leavers inside
    the gap do not exist. Eligibility follows the labels, by event time.

    `cutoffs` must have a time zone and lie inside the period. Raises ValueError otherwise.
    """
    parts: list[pd.DataFrame] = []
    for first in range(1, customers + 1, CHUNK):
        ids = np.arange(first, min(first + CHUNK, customers + 1))
        scene = worlds.stage(ids, months=months, seed=seed, world=world)
        parts.extend(predict(scene, cutoffs, rollouts=range(rollouts)))
    frame = pd.concat(parts, ignore_index=True)
    return frame.sort_values(["target", "as_of", "customer_id"], ignore_index=True)


def write(path: Path, frame: pd.DataFrame) -> None:
    """Write `oracle.parquet`: customer, cutoff (UTC), target, p_hist, p_state, mc_se, ..."""
    columns: dict[str, pa.Array] = {}
    for name, values in frame.items():
        if name == "as_of":
            moments = pa.array(values.dt.tz_convert(None).to_numpy(), pa.timestamp("us"))
            columns["cutoff"] = moments.cast(pa.timestamp("us", tz="UTC"))
        else:
            columns["customer" if name == "customer_id" else str(name)] = pa.array(values)
    pq.write_table(pa.table(columns), path, compression="zstd")


def predict(
    scene: Scene, cutoffs: Sequence[datetime], *, rollouts: range
) -> Iterator[pd.DataFrame]:
    """The rows of `oracle` for one scene, a frame per as-of date and target."""
    record = Record.of(scene)
    moments = [hours_since_start(scene, cutoff) for cutoff in cutoffs]
    beliefs = posterior(record, moments)
    for cutoff, moment, belief in zip(cutoffs, moments, beliefs, strict=True):
        eligible = {
            "churn": may_churn(scene, moment),
            "repeat_purchase": may_buy_again(scene, record.orders, moment),
        }
        wanted = np.flatnonzero(eligible["churn"] | eligible["repeat_purchase"])
        batches = [wanted[at : at + BATCH] for at in range(0, wanted.size, BATCH)]
        rolled = [_roll(scene, rows, moment, rollouts) for rows in batches]
        for target, mask in eligible.items():
            rows = wanted[mask[wanted]]
            if not rows.size:
                continue
            kept = mask[wanted]
            positive, labelled = (
                np.concatenate([part[target][which] for part in rolled], axis=2)[:, :, kept]
                for which in (0, 1)
            )
            weight = belief.alive[:, None, rows]
            yes, known = (weight * positive).sum(axis=0), (weight * labelled).sum(axis=0)
            if target == "repeat_purchase":
                known = np.ones_like(yes)  # those who are gone have a label, too
            p_hist = _ratio(yes.mean(axis=0), known.mean(axis=0))
            error = _ratio(yes - p_hist * known, known.mean(axis=0)).std(axis=0)
            people = scene.history.people
            there = people.contract[rows] | (scene.history.left[rows] > moment)
            own = people.hidden_class[rows], slice(None), np.arange(rows.size)
            p_state = _ratio(positive[own].mean(axis=1), labelled[own].mean(axis=1)) * there
            yield pd.DataFrame(
                {
                    "customer_id": [f"C{number:07d}" for number in people.id[rows]],
                    "as_of": pd.Timestamp(cutoff).tz_convert("UTC"),
                    "target": target,
                    "p_hist": p_hist,
                    "p_state": p_state,
                    "mc_se": error / np.sqrt(max(len(rollouts) - 1, 1)),
                }
            )


def _ratio(part: Array, whole: Array) -> Array:
    """part / whole, 0 where the whole is 0 (a payment is lost for certain: no label follows)."""
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)


def hours_since_start(scene: Scene, moment: datetime) -> float:
    """Hours from the start of the world. Raises ValueError outside the period or without a zone."""
    if moment.tzinfo is None:
        raise ValueError(f"cutoff {moment} has no time zone; give it one")
    start = pd.Timestamp(scene.recorder.start, unit="us", tz="UTC")
    hours = (pd.Timestamp(moment) - start).total_seconds() / 3600.0
    if not 0 <= hours <= scene.period:
        end = start + pd.Timedelta(hours=scene.period)
        raise ValueError(f"cutoff {moment} is outside the period {start} to {end}")
    return hours


def may_churn(scene: Scene, moment: float) -> Array:
    """Eligible for churn: a contract of at least 28 days that nobody has asked to end."""
    history = scene.history
    tenured = history.people.contract & (history.people.signup <= moment - MIN_TENURE)
    return tenured & (history.left > moment) & ~announced_by(scene, moment)


def may_buy_again(scene: Scene, orders: Orders, moment: float) -> Array:
    """Eligible for repeat purchase: an order within the year before that still stands."""
    stands = ~orders.cancelled | (orders.cancelled_at >= moment)
    recent = stands & (orders.at < moment) & (orders.at >= moment - ORDERED_WITHIN)
    eligible = np.zeros(scene.history.people.id.size, dtype=bool)
    eligible[orders.person[recent]] = True
    return eligible


def outcomes(scene: Scene, orders: Orders, moment: float) -> dict[str, Array]:
    """What then happened, by target: 1.0, 0.0, or NaN where there is no label."""
    history = scene.history
    start = moment + GAP
    left = history.left
    gone = (left < start + HORIZON["churn"]) & ~history.involuntary
    churn = np.where(may_churn(scene, moment) & (left >= start), gone.astype(float), np.nan)
    in_window = (orders.at >= start) & (orders.at < start + HORIZON["repeat_purchase"])
    again = np.zeros(left.size)
    again[orders.person[in_window & ~orders.cancelled]] = 1.0
    again[~may_buy_again(scene, orders, moment)] = np.nan
    return {"churn": churn, "repeat_purchase": again}


def announced_by(scene: Scene, moment: float) -> Array:
    """Contract customers whose decision to leave can be read in the history."""
    history = scene.history
    return history.people.contract & (history.decided < moment) & ~history.involuntary


@dataclass(frozen=True)
class Record:
    """What the filter reads, per (week, customer); moments are hours since the week's start."""

    scene: Scene
    people: People  # `enrolled` is inf where the customer had gone before
    orders: Orders
    by_week: Array  # positions of the orders, sorted by week
    first: Array  # of each week, and the end
    ticket_at: Array  # inf where the customer opened none
    visits: Array
    offered: Array
    reachable: Array

    @classmethod
    def of(cls, scene: Scene) -> Record:
        """Collect the record of a scene."""
        history = scene.history
        people = history.people
        shape = history.load.size, people.id.size
        orders = place_orders(scene)
        week = (orders.at // WEEK).astype(int)
        by_week = np.argsort(week, kind="stable")
        ticket_at = np.full(shape, np.inf)
        ticket = history.tickets
        ticket_at[ticket.week, ticket.person] = ticket.created - ticket.week * WEEK
        reachable = reachable_weeks(scene)
        person, moment, _ = personal_offers(scene, reachable)
        offered = np.zeros(shape, dtype=bool)
        offered[(moment // WEEK).astype(int), person] = True
        return cls(
            scene=scene,
            people=replace(
                people, enrolled=np.where(people.enrolled < history.left, people.enrolled, np.inf)
            ),
            orders=orders,
            by_week=by_week,
            first=np.searchsorted(week[by_week], np.arange(shape[0] + 1)),
            ticket_at=ticket_at,
            visits=visit_counts(scene.world, scene.seed, history),
            offered=offered,
            reachable=reachable,
        )

    def orders_of(self, week: int, until: float) -> tuple[Array, Array]:
        """Customer and moment of every order in the first `until` hours of a week."""
        rows = self.by_week[self.first[week] : self.first[week + 1]]
        at = self.orders.at[rows] - week * WEEK
        return self.orders.person[rows[at < until]], at[at < until]


@dataclass(frozen=True)
class Belief:
    """P(class and still there), P(class and gone) given the history: (classes, customers)."""

    alive: Array
    gone: Array

    @property
    def classes(self) -> Array:
        """P(class): (classes, customers)."""
        return self.alive + self.gone

    def update(self, stay: Array, go: Array, gone: Array) -> Belief:
        """Multiply by the likelihoods of a week and normalise."""
        alive, left = self.alive * stay, self.alive * go + self.gone * gone
        total = (alive + left).sum(axis=0)
        return Belief(alive / total, left / total)


def posterior(record: Record, moments: Sequence[float]) -> list[Belief]:
    """The filter's belief at each of the moments (hours since start).

    Customers who have not yet signed up have the belief of their sign-up; of contract customers
    the belief is as of the end of the contract.
    """
    signup = record.people.signup
    share = np.array(record.scene.world.class_share)
    prior = np.repeat(share[:, None] / share.sum(), signup.size, axis=1)
    people = _every_class(record.people)
    joining = _joining(record.scene.world, people, np.minimum(signup, 0.0), np.zeros(signup.size))
    nobody = np.zeros_like(prior)
    belief = Belief(prior, nobody).update(joining, nobody, nobody)
    found: dict[float, Belief] = {}
    week = 0
    for moment in sorted(set(moments)):
        while (week + 1) * WEEK <= moment:
            belief = belief.update(*_evidence(record, week, WEEK))
            week += 1
        elapsed = moment - week * WEEK
        partial = elapsed > 0 and week < record.visits.shape[0]
        found[moment] = belief.update(*_evidence(record, week, elapsed)) if partial else belief
    return [found[moment] for moment in moments]


def _every_class(people: People) -> People:
    """The same people with an axis of classes before the axis of customers."""
    return replace(people, hidden_class=np.arange(4)[:, None])


def _share_by(weights: tuple[float, ...]) -> Array:
    """Share of a week's events that fall before each of its 169 full hours."""
    return np.concatenate([[0.0], np.cumsum(weights)]) / np.sum(weights)


_HOURS = np.arange(169.0)
_ORDERED, _ASKED = _share_by(ORDER_HOURS), _share_by(TICKET_HOURS)


def order_share(until: Array | float) -> Array:
    """Share of a week's orders that fall into its first `until` hours."""
    return np.interp(until, _HOURS, _ORDERED)


def _ticket_share(until: Array | float) -> Array:
    return np.interp(until, _HOURS, _ASKED)


def ticket_share_hours(share: Array) -> Array:
    """Hours of the week by which that share of its tickets has come in."""
    return np.interp(share, _ASKED, _HOURS)


def _joining(world: World, people: People, since: Array, until: Array) -> Array:
    """Likelihood of joining the loyalty programme as recorded between two moments (hours)."""
    rate = enrolment_rate(world, people)
    at = people.enrolled
    joins = (at >= since) & (at < until)
    waited = np.where(at < since, 0.0, np.maximum(np.minimum(at, until) - since, 0.0))
    return np.where(joins, rate, 1.0) * np.exp(-rate * waited / WEEK)


def _evidence(record: Record, week: int, until: float) -> tuple[Array, Array, Array]:
    """Likelihood of what was recorded in the first `until` hours of a week, (classes, customers).

    For customers who stay, who leave unseen in these hours, and who had left unseen before.
    """
    scene, history = record.scene, record.scene.history
    world = in_force(scene.world, week, history.change)
    people = _every_class(record.people)
    start, whole = week * WEEK, until == WEEK
    experience, harm = history.experience[week], history.harm[week]
    contract, present = people.contract, people.signup < start
    # The end of a contract is on record, and nothing happens after it.
    last = np.where(contract, np.clip(history.left - start, 0.0, until), until)

    person, order_at = record.orders_of(week, until)
    placed = np.bincount(person, minlength=contract.size)
    ticket_at = record.ticket_at[week]
    asked = ticket_at < until
    visits = record.visits[week]
    joined_at = people.enrolled - start
    joined = (joined_at >= 0) & (joined_at < until)

    loyal = joined_at <= 0
    orders = order_rate(world, people, experience, harm, loyal, week)
    ticket = ticket_hazard(world, people)
    hazard = leaving_hazard(world, people, experience, harm, week)
    wrote = orders**placed * np.where(asked, ticket, 1.0)

    # Whether a contract customer has decided is on record once it took effect or was announced.
    decided = np.where(contract & ~history.involuntary, history.decided - start, np.inf)
    staying = np.where(decided < until, np.where(decided >= 0, hazard, 1.0), 0.0)
    staying = np.where(decided < until, staying, 1.0 - hazard * last / WEEK)
    stay = staying * wrote * np.exp(-orders * order_share(last))
    stay *= np.where(asked, 1.0, 1.0 - ticket * _ticket_share(last))
    if whole:
        usage = usage_rate(world, people, experience, harm)
        stay *= np.where(last == WEEK, usage**visits * np.exp(-usage), 1.0)
    stay = np.where(present, stay, 1.0)
    stay = stay * _joining(world, people, np.maximum(start, people.signup), start + last)

    # Someone who leaves unseen does so after the last sign of life, and visits end a week early.
    active = np.zeros(contract.size)
    np.maximum.at(active, person, order_at)
    active = np.maximum(active, np.where(asked, ticket_at, 0.0))
    active = np.maximum(active, np.where(joined, joined_at, 0.0))
    quiet = visits == 0 if whole else np.ones(contract.size, dtype=bool)
    go = np.zeros_like(hazard)
    who = np.flatnonzero(present & ~contract & quiet)
    rate = enrolment_rate(world, people)
    silence = np.zeros((4, who.size))
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        at = active[who] + (until - active[who]) * (node + 1) / 2
        waited = np.where(loyal[who], 0.0, np.minimum(np.maximum(joined_at[who], 0.0), at))
        asks = np.where(asked[who], 0.0, ticket[:, who] * _ticket_share(at))
        silence += (
            weight
            / 2
            * np.exp(-orders[:, who] * order_share(at))
            * (1.0 - asks)
            * np.exp(-rate * waited / WEEK)
        )
    go[:, who] = hazard[:, who] * (until - active[who]) / WEEK * silence * wrote[:, who]
    go *= np.where(joined, rate, 1.0)

    offers = np.ones((4, 1))
    if whole:  # an offer is only made to customers who stay all week, which is not yet known
        chance = offer_chance(world, people)
        offers = np.where(record.offered[week], chance, 1.0 - chance)
        offers = np.where(record.reachable[week], offers, 1.0)
    gone = np.where(quiet & (active == 0.0), 1.0, 0.0)
    return stay * offers, go * offers, gone * offers


def _roll(
    scene: Scene, rows: Array, moment: float, rollouts: range
) -> dict[str, tuple[Array, Array]]:
    """Chance per target that y = 1 and that there is a label, each (classes, rollouts, customers).

    For customers `rows` who are there at `moment`, by class and simulated path of support.
    """
    setting = _Setting.of(scene, rows, moment, rollouts)
    classes = [_roll_class(setting, number) for number in range(len(scene.world.class_share))]
    return {
        target: (
            np.stack([found[target][0] for found in classes]),
            np.stack([found[target][1] for found in classes]),
        )
        for target in HORIZON
    }


@dataclass(frozen=True)
class _Setting:
    """The state of some customers at a moment, and what is already on its way to them."""

    scene: Scene
    people: People
    moment: float
    week: int
    weeks: int
    rollouts: Array
    key: Array  # (rollouts, customers): of the new draws
    experience: Array
    harm: Array
    arriving: Array  # (weeks + 1, rollouts, customers), to be added to experience
    hurting: Array  # to be added to harm a week later
    asked: Array  # has opened this week's ticket
    undecided: Array
    ends: Array  # when the customer is known to be gone, inf if that is not known
    load: Array  # (weeks, rollouts)

    @classmethod
    def of(cls, scene: Scene, rows: Array, moment: float, rollouts: range) -> _Setting:
        history, world = scene.history, scene.world
        week = int(moment // WEEK)
        weeks = int(np.ceil((moment + GAP + HORIZON["churn"]) / WEEK)) - week
        numbers = np.array(rollouts) + 1
        people = history.people.at(rows)
        key = people.id[None, :] + numbers[:, None] * FRESH

        position = np.full(history.people.id.size, -1)
        position[rows] = np.arange(rows.size)
        ticket = history.tickets
        recent = (position[ticket.person] >= 0) & (ticket.created < moment)
        recent &= ticket.created + ticket.resolution + LAST_EFFECT >= week * WEEK
        ticket = ticket.at(np.flatnonzero(recent))
        where = position[ticket.person]
        this_week = ticket.week == week
        hurting, asked = np.zeros(rows.size), np.zeros(rows.size, dtype=bool)
        hurting[where[this_week]] = ticket.severity[this_week] == 3
        asked[where[this_week]] = True

        announced = announced_by(scene, moment)[rows]
        left = history.left[rows]
        unpaid = history.involuntary[rows] & (left - PAYMENT_GRACE + PAID_BY < moment)
        known = people.contract & (announced | unpaid | (left <= moment))
        return cls(
            scene=scene,
            people=people,
            moment=moment,
            week=week,
            weeks=weeks,
            rollouts=numbers,
            key=key,
            experience=history.experience[week, rows],
            harm=history.harm[week, rows],
            arriving=_arriving(scene, ticket, where, key, moment, week, weeks),
            hurting=hurting,
            asked=asked,
            undecided=~known,
            ends=np.where(known, left, np.inf),
            load=_future_load(world, scene.seed, history.load, week, weeks, numbers),
        )

    @property
    def elapsed(self) -> float:
        """Hours of the first week that have passed."""
        return self.moment - self.week * WEEK


def _arriving(
    scene: Scene, ticket: Tickets, where: Array, key: Array, moment: float, week: int, weeks: int
) -> Array:
    """Effects of past tickets that reach experience later, (weeks + 1, rollouts, customers).

    How tickets that are open at the moment will be answered and resolved is taken from the truth;
    follow-ups that have not been sent and answers to feedback that have not been given are drawn
    anew, given that they have not.
    """
    seed, change = scene.seed, scene.history.change
    left = scene.history.left[ticket.person]
    certain = np.zeros((weeks + 1, key.shape[1]))
    drawn = np.zeros((weeks + 1, *key.shape))

    def land(at: Array, rows: Array, effect: Array) -> None:
        landing = (at // WEEK).astype(int) + 1 - week
        seen = (landing >= 1) & (landing <= weeks)
        np.add.at(certain, (landing[seen], rows[seen]), effect[seen])

    def land_drawn(comes: Array, at: Array, rows: Array, effect: float) -> None:
        landing = (at // WEEK).astype(int) + 1 - week
        comes = comes & (landing >= 1) & (landing <= weeks)
        rollout, column = np.nonzero(comes)
        np.add.at(drawn, (landing[comes], rollout, rows[column]), effect)

    for number in np.unique(ticket.week):
        world = in_force(scene.world, number, change)
        mine = np.flatnonzero(ticket.week == number)
        part, rows = ticket.at(mine), where[mine]
        land(part.created, rows, shock_at_intake(world, part))
        land(part.created + part.first_response, rows, shock_at_reply(world, seed, part))
        land(part.created + part.resolution, rows, shock_at_resolution(world, part))
        sent = part.follow_up & (part.follow_up_at < moment)
        land(part.follow_up_at[sent], rows[sent], np.full(sent.sum(), world.effect_follow_up))
        given = part.feedback & (part.feedback_at < np.minimum(moment, left[mine]))
        answered = given & (part.answered_at < moment)
        land(part.answered_at[answered], rows[answered], shock_of_feedback(world, part)[answered])
        open_end = np.flatnonzero(~sent & (part.created + part.resolution + 8 * DAY > moment))
        land_drawn(*_follow_ups(world, seed, part.at(open_end), key[:, rows[open_end]], moment),
                   rows[open_end], world.effect_follow_up)  # fmt: skip
        open_end = np.flatnonzero(
            ~answered & (part.created + part.resolution + LAST_EFFECT > moment)
        )
        land_drawn(*_feedback(world, seed, part.at(open_end), given[open_end],
                              key[:, rows[open_end]], moment),
                   rows[open_end], world.effect_feedback)  # fmt: skip
    return certain[:, None, :] + drawn


def _follow_ups(
    world: World, seed: int, ticket: Tickets, draws: Array, moment: float
) -> tuple[Array, Array]:
    """Whether and when follow-ups that have not been sent by `moment` will be, given that."""
    number = ticket.week[None, :]
    done = ticket.created + ticket.resolution
    chance = follow_up_chance(world, ticket.premium, ticket.severity, ticket.load, ticket.in_pilot)
    comes = happens(seed, "follow-up", _still(chance, moment - done, FOLLOW_UP_DAYS), draws, number)
    first, last = (done + day * DAY for day in FOLLOW_UP_DAYS)
    first = np.maximum(first, moment)
    return comes, first + (last - first) * uniform(seed, "follow-up day", draws, number)


def _feedback(
    world: World, seed: int, ticket: Tickets, given: Array, draws: Array, moment: float
) -> tuple[Array, Array]:
    """Whether and when customers will hear that feedback was acted on which is still undecided.

    `given` is True where the feedback has been given by `moment`.
    """
    number = ticket.week[None, :]
    done = ticket.created + ticket.resolution
    chance = _still(feedback_chance(world, ticket.severity, ticket.fcr), moment - done,
                    FEEDBACK_DAYS)  # fmt: skip
    gives = given | happens(seed, "feedback", chance, draws, number)
    first, last = (done + day * DAY for day in FEEDBACK_DAYS)
    first = np.maximum(first, moment)
    at = first + (last - first) * uniform(seed, "feedback day", draws, number)
    at = np.where(given, ticket.feedback_at, at)
    # The day of the decision does not depend on the decision, so waiting tells nothing.
    first, last = (at + answer_delay(np.array(u)) for u in (0.0, 1.0))
    first = np.maximum(first, moment)
    answered = first + (last - first) * uniform(seed, "feedback answer", draws, number)
    acted = acted_on_chance(world, ticket.premium, ticket.load) * world.told_of_action
    return gives & happens(seed, "acted on", acted, draws, number), answered


def _still(chance: Array, waited: Array, days: tuple[float, float]) -> Array:
    """A chance, given that nothing has come after `waited` hours of what comes on these days."""
    passed = np.clip((waited / DAY - days[0]) / (days[1] - days[0]), 0.0, 1.0)
    return chance * (1.0 - passed) / (1.0 - chance * passed)


def _future_load(
    world: World, seed: int, load: Array, week: int, weeks: int, rollouts: Array
) -> Array:
    """The queue of this week and possible queues of those after it, (weeks, rollouts)."""
    now = load[min(week, load.size - 1)] - load_wave(world, week)
    out = np.empty((weeks, rollouts.size))
    carried = np.full(rollouts.size, now)
    for ahead in range(weeks):
        if ahead:
            shock = normal(seed, "future load", rollouts, week + ahead)
            carried = world.load_memory * carried + world.load_shock * shock
        out[ahead] = load_wave(world, week + ahead) + carried
    return out


def _roll_class(setting: _Setting, number: int) -> dict[str, tuple[Array, Array]]:
    """`_roll` for customers who are all of class `number`; same draws for every class."""
    scene, moment, key = setting.scene, setting.moment, setting.key
    people = replace(setting.people, hidden_class=np.full(1, number))
    order_start = moment + GAP
    order_end = order_start + HORIZON["repeat_purchase"]
    experience = np.broadcast_to(setting.experience, key.shape)
    harm = np.broadcast_to(setting.harm, key.shape)
    arriving = setting.arriving.copy()
    hurting = np.broadcast_to(setting.hurting, key.shape)
    wait = -np.log(uniform(scene.seed, "enrol", key)) / enrolment_rate(scene.world, people) * WEEK
    enrolled = np.where(people.enrolled < moment, people.enrolled, moment + wait)

    undecided = np.ones(key.shape)  # chance of having stayed so far
    deciding = np.empty((setting.weeks, *key.shape))
    buying = np.zeros((setting.weeks + 1, *key.shape))  # expected orders in the window so far
    for ahead in range(setting.weeks):
        week = setting.week + ahead
        start, passed = week * WEEK, setting.elapsed if ahead == 0 else 0.0
        world = in_force(scene.world, week, scene.history.change)
        if ahead:
            experience = world.experience_memory * experience + arriving[ahead]
            harm = world.harm_memory * harm + hurting
        hazard = leaving_hazard(world, people, experience, harm, week)
        share = passed / WEEK
        hazard = hazard * (1.0 - share) / (1.0 - hazard * share) * setting.undecided
        deciding[ahead] = undecided * hazard
        undecided = undecided * (1.0 - hazard)

        low, high = np.clip(np.array([order_start, order_end]) - start, passed, WEEK)
        inside = float(order_share(high) - order_share(low))
        buying[ahead + 1] = buying[ahead]
        if inside > 0:
            rate = order_rate(world, people, experience, harm, start >= enrolled, week)
            buying[ahead + 1] += rate * inside * (1.0 - ORDER_CANCELLED)
        hurting = _open_tickets(setting, world, ticket_hazard(world, people), ahead, experience,
                                arriving)  # fmt: skip
    return {
        "churn": _churn(setting, deciding),
        "repeat_purchase": _repeat_purchase(setting, deciding, undecided, buying),
    }


def _open_tickets(
    setting: _Setting, world: World, chance: Array, ahead: int, experience: Array, arriving: Array
) -> Array:
    """Draw and treat the tickets of a week; their effects join `arriving`. Returns the harm."""
    scene, key = setting.scene, setting.key
    week = setting.week + ahead
    hurting = np.zeros(key.shape)
    passed = 0.0
    if ahead == 0:
        passed = float(_ticket_share(setting.elapsed))
        chance = np.where(setting.asked, 0.0, chance * (1 - passed) / (1 - chance * passed))
        hurting += setting.hurting
    rollout, column = np.nonzero(uniform(scene.seed, "ticket", key, week) < chance)
    who = replace(setting.people.at(column), id=key[rollout, column])
    when = passed + (1 - passed) * uniform(scene.seed, "ticket moment", who.id, week)
    created = week * WEEK + ticket_share_hours(when)
    ticket = open_tickets(
        world, scene.seed, who, np.arange(who.id.size), created, week,
        setting.load[ahead, rollout], experience[rollout, column], scene.history.pilot,
    )  # fmt: skip
    for at, effect in (
        (created, shock_at_intake(world, ticket)),
        (created + ticket.first_response, shock_at_reply(world, scene.seed, ticket)),
        (created + ticket.resolution, shock_at_resolution(world, ticket)),
        (ticket.follow_up_at, world.effect_follow_up * ticket.follow_up),
        (ticket.answered_at, shock_of_feedback(world, ticket)),
    ):
        landing = (at // WEEK).astype(int) + 1 - setting.week
        seen = landing <= setting.weeks
        arriving[landing[seen], rollout[seen], column[seen]] += effect[seen]
    hurting[rollout, column] += ticket.severity == 3
    return hurting


def _churn(setting: _Setting, deciding: Array) -> tuple[Array, Array]:
    """Chance of leaving inside the outcome window, and of not being gone before it."""
    world, people = setting.scene.world, setting.people
    opens = setting.moment + GAP
    closes = opens + HORIZON["churn"]
    churns, leaves_early = np.zeros(setting.key.shape), np.zeros(setting.key.shape)
    for ahead, decides in enumerate(deciding):
        start = (setting.week + ahead) * WEEK
        since = max(start, setting.moment)
        paid = _payment_chance(setting, start + WEEK)
        churns += decides * paid * _leaving_share(world, since, start + WEEK, opens, closes)
        leaves_early += decides * _leaving_share(world, since, start + WEEK, -np.inf, opens)
    labelled = (1.0 - leaves_early) * _payment_chance(setting, opens)
    return churns, np.where(people.contract, labelled, 1.0)


def _leaving_share(world: World, since: float, until: float, opens: float, closes: float) -> float:
    """Share of those deciding evenly in [since, until) whose contract ends in [opens, closes)."""
    days = 3 + 21 * (np.arange(210) + 0.5) / 210
    notice = np.concatenate([[0.0], days * DAY])
    overlap = np.minimum(until + notice, closes) - np.maximum(since + notice, opens)
    inside = np.maximum(overlap, 0.0) / (until - since)
    return (1 - world.notice_share) * inside[0] + world.notice_share * float(inside[1:].mean())


def _payment_chance(setting: _Setting, until: float) -> Array:
    """Chance that no lost payment has ended the contract by `until`."""
    world, people = setting.scene.world, setting.people
    renewals = np.floor((until - PAYMENT_GRACE - people.signup) / people.term)
    before = np.floor((setting.moment - PAID_BY - people.signup) / people.term)
    lost = world.payment_failure * world.payment_lost
    return (1.0 - lost) ** np.maximum(renewals - before, 0.0) * (setting.ends > until)


def _repeat_purchase(
    setting: _Setting, deciding: Array, undecided: Array, buying: Array
) -> tuple[Array, Array]:
    """Chance of an order inside the outcome window; everybody has a label."""
    seed, world, people = setting.scene.seed, setting.scene.world, setting.people
    notice = notice_hours(world, seed, replace(people, id=setting.key)) / WEEK
    known_end = (setting.ends - setting.week * WEEK) / WEEK
    silent = undecided * np.exp(-up_to(buying, np.broadcast_to(known_end, notice.shape)))
    for ahead, decides in enumerate(deciding):
        # Within the week of leaving, orders are so few that the middle of the week will do.
        middle = ahead + 0.5 if ahead else (1 + setting.elapsed / WEEK) / 2
        silent += decides * np.exp(-up_to(buying, middle + notice))
    return 1.0 - silent, np.ones(silent.shape)


def up_to(running: Array, weeks: Array) -> Array:
    """A running total (weeks + 1, ...) after a number of weeks, linear within the week."""
    last = len(running) - 1
    weeks = np.clip(weeks, 0.0, last)
    index = np.minimum(weeks.astype(int), last - 1)
    below = np.take_along_axis(running, index[None], axis=0)[0]
    above = np.take_along_axis(running, index[None] + 1, axis=0)[0]
    return below + (weeks - index) * (above - below)
