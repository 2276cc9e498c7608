"""The true effects of support, by re-simulation with common random numbers.

Two estimands. `ticket_ATE` (and `ticket_ATTE`, of the tickets that were really exposed): each
eligible ticket is taken as it came in and as it was treated up to the lever, then treated twice,
with the lever forced to 1 and to 0; later steps, later tickets and the customer's own chance are
drawn anew, with the same draws in both arms. A lever that is a threshold on hours is drawn from
its conditional distribution, cut to the arm. `policy`: a company that pulls the lever on every
ticket from one month on, against the company as it is.

Leaving and buying are integrated over (Rao-Blackwell), so what is left of chance is only how
support will go on. Only tests and benchmarks may read this: a pipeline that did would know the
answer. docs/world.md says how each exposure is read from the canonical tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import ndtr, ndtri

from data import world as worlds
from data.world.commerce import ORDER_CANCELLED
from data.world.draws import Array, normal, uniform
from data.world.oracle import FRESH, order_share, ticket_share_hours, up_to
from data.world.parameters import WORLDS, World
from data.world.process import (
    AGENTS_PER_LANGUAGE,
    DAY,
    WEEK,
    History,
    People,
    Tickets,
    agent_empathy,
    churn_hazard,
    draw_agent,
    in_force,
    is_office_hour,
    leaving_hazard,
    open_tickets,
    order_rate,
    queue_load,
    resolution_mean,
    response_hours,
    response_mean,
    shock_at_intake,
    shock_at_reply,
    shock_at_resolution,
    shock_of_feedback,
    simulate,
    soonest_resolution,
    ticket_hazard,
    treat,
)
from data.world.record import Scene
from data.world.support import QA_EMPATHY, qa_empathy_mean

CHURN_DAYS, PURCHASE_DAYS = 90, 60
LANDMARK_DAYS = 10.0  # after the resolution
LONGEST_RESOLUTION = 14 * DAY  # of tickets that reach the landmark
NOTICE_DAYS = 3.0 + 21.0 * (np.arange(21) + 0.5) / 21.0
CHUNK = 2_500
MOST_ROLLOUTS = 128

STEPS = (
    "personal", "first_response", "fcr", "escalated", "repeat_info", "resolution", "follow_up",
    "feedback", "acted_on", "told",
)  # fmt: skip
INTAKE = (
    "severity", "topic", "product", "channel", "language", "hour", "queue_backlog", "week",
    "segment", "tenure", "prior_experience", "usage_trend",
)  # fmt: skip


@dataclass(frozen=True)
class Lever:
    """One exposure: what is compared, when the clock starts, and what has to be held fixed.

    `step` is the step of treatment that is forced; those before it stay as they were. `starts` is
    "created", "landmark" (resolution + 10 days) or "answered" (decision on the feedback).
    """

    name: str
    contrast: str
    step: str | None
    starts: str
    adjust: tuple[str, ...]
    needs_severity: bool


LEVERS = (
    Lever("personal", "history read before the first reply vs not", "personal", "created",
          INTAKE, False),
    Lever("first_response_1h", "first human reply within 1 h vs later", "first_response",
          "created", (*INTAKE, "personal"), True),
    Lever("first_response_15min", "first human reply within 15 min vs later", "first_response",
          "created", (*INTAKE, "personal"), True),
    Lever("office_hours", "opened in office hours vs outside, same week", None, "created",
          INTAKE, False),
    Lever("language_match", "answered in the customer's language vs in Japanese", None, "created",
          INTAKE, False),
    Lever("empathy", "quality review of empathy at or above the median vs below", None, "created",
          INTAKE, False),
    Lever("bot_trap", "could not get past the bot vs could", None, "created", INTAKE, True),
    Lever("fcr", "resolved at first contact vs not", "fcr", "created",
          (*INTAKE, "personal", "first_response"), True),
    Lever("escalated", "escalated vs not", "escalated", "created",
          (*INTAKE, "personal", "first_response", "fcr"), True),
    Lever("repeat_info", "had to repeat what was said vs not", "repeat_info", "created",
          (*INTAKE, "personal", "first_response", "fcr", "escalated"), False),
    Lever("resolution_24h", "resolved within 24 h vs later", "resolution", "landmark",
          (*INTAKE, "personal", "first_response", "fcr", "escalated"), True),
    Lever("follow_up", "followed up after a week vs not", "follow_up", "landmark",
          (*INTAKE, "personal", "first_response", "fcr", "escalated", "resolution"), True),
    Lever("feedback_acted_on", "feedback acted on and told vs declined", "acted_on", "answered",
          ("segment", "queue_backlog", "week"), False),
)  # fmt: skip
LEVER = {lever.name: lever for lever in LEVERS}

COLUMNS = (
    "world", "seed", "lever", "contrast", "estimand", "population", "outcome", "horizon_d", "rd",
    "rr", "mc_se", "n", "R", "segment", "identified", "adjust_set",
)  # fmt: skip


def true_effects(
    *,
    customers: int,
    months: int,
    seed: int,
    world: str = "W1",
    rollouts: int = 4,
    levers: Sequence[str] = tuple(LEVER),
    max_error: float = np.inf,
) -> pd.DataFrame:
    """`ticket_ATE` and `ticket_ATTE` of every lever, outcome and segment; columns as `COLUMNS`.

    The population are the tickets of the first `customers` customers whose outcome window closes
    within the period: for churn those of contract customers who are there at time zero and have
    not asked to leave, for repeat purchase those of everybody who is there. `rd` is P(y | do 1) -
    P(y | do 0), `rr` their ratio, NaN where the world never lets one of the arms happen; `mc_se`
    is the Monte Carlo standard error of `rd` for these very tickets.

    With `max_error`, a lever whose `mc_se` over all segments is larger is run again with as many
    rollouts as it takes (at most MOST_ROLLOUTS): rare exposures need more than common ones.
    Raises ValueError if `rollouts` is below 2.
    """
    if rollouts < 2:
        raise ValueError("rollouts must be at least 2 to have a standard error")
    used = dict.fromkeys(levers, rollouts)

    def rows_of(name: str) -> list[dict[str, Any]]:
        return list(_summaries(LEVER[name], WORLDS[world], found[name]))

    found = _contrasts(customers, months, seed, world, levers, rollouts)
    for name in levers:
        while _needed(rows_of(name), used[name], max_error) > used[name]:
            used[name] = _needed(rows_of(name), used[name], max_error)
            found |= _contrasts(customers, months, seed, world, [name], used[name])
    rows = [
        {"world": world, "seed": seed, "R": used[name]} | row
        for name in levers
        for row in rows_of(name)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _needed(rows: list[dict[str, Any]], rollouts: int, max_error: float) -> int:
    """How many rollouts bring `mc_se` over all segments down to `max_error`."""
    errors = [row["mc_se"] for row in rows if row["segment"] == "all" and row["mc_se"] > max_error]
    if not errors:
        return rollouts
    # A tenth more than this estimate of the variance asks for, lest it take many rounds.
    return min(int(np.ceil(1.1 * rollouts * (max(errors) / max_error) ** 2)), MOST_ROLLOUTS)


def _contrasts(
    customers: int, months: int, seed: int, world: str, levers: Sequence[str], rollouts: int
) -> dict[str, list[pd.DataFrame]]:
    """Both arms of some levers, one row per ticket that a lever applies to."""
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in levers}
    for first in range(1, customers + 1, CHUNK):
        ids = np.arange(first, min(first + CHUNK, customers + 1))
        scene = worlds.stage(ids, months=months, seed=seed, world=world)
        concerned = _concerned(scene, [LEVER[name] for name in levers])
        for group in _groups(scene, rollouts, concerned):
            for name in levers:
                part = _contrast(group, LEVER[name])
                if part is not None:
                    found[name].append(part)
    return found


def _concerned(scene: Scene, levers: Sequence[Lever]) -> Array:
    """Which tickets one of the levers applies to."""
    history = scene.history
    people, left = history.people.at(history.tickets.person), history.left[history.tickets.person]
    chosen = np.zeros(history.tickets.week.size, dtype=bool)
    for lever in levers:
        chosen |= _population(scene, history.tickets, people, left, lever)[0]
    return chosen


def _summaries(lever: Lever, world: World, parts: list[pd.DataFrame]) -> Iterator[dict]:
    """One row per outcome, population and segment."""
    fixed = {
        "lever": lever.name,
        "contrast": lever.contrast,
        "adjust_set": list(lever.adjust),
    }
    possible = not (lever.step == "first_response" and world.response_split_hours is not None)
    identified = possible and (world.severity_recorded or not lever.needs_severity)
    tickets = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    for outcome, days in (("churn", CHURN_DAYS), ("repeat_purchase", PURCHASE_DAYS)):
        for estimand, population in (("ticket_ATE", "all"), ("ticket_ATTE", "exposed")):
            for segment in ("all", "premium", "standard"):
                if tickets.empty:
                    chosen = tickets
                else:
                    mask = tickets["contract"] if outcome == "churn" else tickets["there"]
                    mask = mask & (tickets["exposed"] | (population == "all"))
                    mask &= (tickets["premium"] == (segment == "premium")) | (segment == "all")
                    chosen = tickets[mask]
                row = {
                    "estimand": estimand,
                    "population": population,
                    "outcome": outcome,
                    "horizon_d": days,
                    "segment": segment,
                    "n": len(chosen),
                    "identified": identified and len(chosen) > 0,
                    "rd": np.nan,
                    "rr": np.nan,
                    "mc_se": np.nan,
                }
                if len(chosen) and possible:
                    one, zero = (chosen[f"{outcome}_{arm}"].mean() for arm in (1, 0))
                    error = np.sqrt(chosen[f"{outcome}_var"].sum()) / len(chosen)
                    row |= {"rd": one - zero, "rr": one / zero, "mc_se": error}
                yield fixed | row


@dataclass(frozen=True)
class _Group:
    """All tickets that came in in one week, each with `rollouts` futures; arrays (R * n,)."""

    scene: Scene
    ticket: Tickets  # as it really went
    people: People
    key: Array
    rollouts: int
    week: int
    weeks: int
    experience: Array
    harm: Array
    arriving: Array  # (weeks + 1, R * n): of other tickets
    hurting: Array  # (weeks + 1, R * n): of all tickets
    decided: Array
    left: Array


def _groups(scene: Scene, rollouts: int, concerned: Array) -> Iterator[_Group]:
    """The tickets that are concerned and whose 90 days end within the period, week by week."""
    history = scene.history
    weeks = int(np.ceil((LONGEST_RESOLUTION + (LANDMARK_DAYS + CHURN_DAYS + 38) * DAY) / WEEK)) + 1
    for week in np.unique(history.tickets.week):
        rows = np.flatnonzero(
            (history.tickets.week == week)
            & (history.tickets.created + CHURN_DAYS * DAY <= scene.period)
            & concerned
        )
        if not rows.size:
            continue
        many = np.tile(rows, rollouts)
        ticket = history.tickets.at(many)
        people = history.people.at(ticket.person)
        fresh = 1 + np.repeat(np.arange(rollouts), rows.size)
        key = people.id + fresh * FRESH
        arriving = np.zeros((weeks + 1, many.size))
        hurting = np.zeros((weeks + 1, many.size))
        _land_past(scene, ticket, week, arriving)
        _land_future(scene, people, key, week, weeks, arriving, hurting)
        hurting[1] += ticket.severity == 3
        yield _Group(
            scene=scene,
            ticket=ticket,
            people=people,
            key=key,
            rollouts=rollouts,
            week=int(week),
            weeks=weeks,
            experience=history.experience[week, ticket.person],
            harm=history.harm[week, ticket.person],
            arriving=arriving,
            hurting=hurting,
            decided=history.decided[ticket.person],
            left=history.left[ticket.person],
        )


def _effects_of(world: World, seed: int, ticket: Tickets) -> tuple[tuple[Array, Array], ...]:
    """Everything tickets do to experience: moments and sizes."""
    return (
        (ticket.created, shock_at_intake(world, ticket)),
        (ticket.created + ticket.first_response, shock_at_reply(world, seed, ticket)),
        (ticket.created + ticket.resolution, shock_at_resolution(world, ticket)),
        (ticket.follow_up_at, world.effect_follow_up * ticket.follow_up),
        (ticket.answered_at, shock_of_feedback(world, ticket)),
    )


def _land(arriving: Array, week: int, at: Array, columns: Array, effect: Array) -> None:
    landing = (at // WEEK).astype(int) + 1 - week
    seen = (landing >= 1) & (landing < len(arriving))
    np.add.at(arriving, (landing[seen], columns[seen]), effect[seen])


def _land_past(scene: Scene, ticket: Tickets, week: int, arriving: Array) -> None:
    """What the same customers' earlier tickets still do, as it really went."""
    history = scene.history
    columns_of: dict[int, list[int]] = {}
    for column, person in enumerate(ticket.person):
        columns_of.setdefault(int(person), []).append(column)
    earlier = (history.tickets.week < week) & (history.tickets.week >= week - 26)
    earlier &= np.isin(history.tickets.person, ticket.person)
    past = history.tickets.at(np.flatnonzero(earlier))
    if not past.week.size:
        return
    columns = np.array([columns_of[int(person)] for person in past.person])  # (tickets, R)
    for number in np.unique(past.week):
        world = in_force(scene.world, number, history.change)
        mine = np.flatnonzero(past.week == number)
        for at, effect in _effects_of(world, scene.seed, past.at(mine)):
            for rollout in range(columns.shape[1]):
                _land(arriving, week, at, columns[mine, rollout], effect)


def _land_future(
    scene: Scene,
    people: People,
    key: Array,
    week: int,
    weeks: int,
    arriving: Array,
    hurting: Array,
) -> None:
    """Draw later tickets. They do not depend on experience, so both arms share them."""
    history = scene.history
    load = history.load
    if week + weeks > load.size:
        load = queue_load(scene.world, scene.seed, week + weeks)
    who_all = replace(people, id=key)
    for ahead in range(1, weeks):
        number = week + ahead
        world = in_force(scene.world, number, history.change)
        chance = ticket_hazard(world, people)
        columns = np.flatnonzero(uniform(scene.seed, "ticket", key, number) < chance)
        if not columns.size:
            continue
        created = number * WEEK + ticket_share_hours(
            uniform(scene.seed, "ticket moment", key[columns], number)
        )
        ticket = open_tickets(
            world, scene.seed, who_all, columns, created, number, load[number],
            np.zeros(columns.size), history.pilot,
        )  # fmt: skip
        for at, effect in _effects_of(world, scene.seed, ticket):
            _land(arriving, week, at, columns, effect)
        hurting[min(ahead + 1, weeks), columns] += ticket.severity == 3


def _contrast(group: _Group, lever: Lever) -> pd.DataFrame | None:
    """Both arms of a lever for the tickets it applies to: one row per ticket."""
    applies, exposed = _population(group.scene, group.ticket, group.people, group.left, lever)
    start = _time_zero(group.ticket, lever)
    there = applies & (group.left > start) & (start + CHURN_DAYS * DAY <= group.scene.period)
    if lever.starts != "created":
        there &= group.ticket.resolution <= LONGEST_RESOLUTION
    kept = np.flatnonzero(there)
    if not kept.size:
        return None
    part = _taken(group, kept)
    arms = {}
    for arm in (1, 0):
        ticket = _forced(part, lever, arm)
        # The clock starts when it really did, in both arms: a season is no effect.
        arms[arm] = _outcomes(part, ticket, start[kept])
    size = kept.size // group.rollouts
    first = kept[:size]
    columns: dict[str, Array] = {
        "premium": group.ticket.premium[first],
        "contract": group.people.contract[first] & (group.decided[first] >= start[first]),
        "there": np.ones(size, dtype=bool),
        "exposed": exposed[first],
    }
    for outcome in ("churn", "repeat_purchase"):
        one, zero = (arms[arm][outcome].reshape(group.rollouts, size) for arm in (1, 0))
        columns[f"{outcome}_1"], columns[f"{outcome}_0"] = one.mean(axis=0), zero.mean(axis=0)
        columns[f"{outcome}_var"] = (one - zero).var(axis=0, ddof=1) / group.rollouts
    return pd.DataFrame(columns)


def _taken(group: _Group, rows: Array) -> _Group:
    """The group's tickets and futures in these columns."""
    return replace(
        group,
        ticket=group.ticket.at(rows),
        people=group.people.at(rows),
        key=group.key[rows],
        experience=group.experience[rows],
        harm=group.harm[rows],
        arriving=group.arriving[:, rows],
        hurting=group.hurting[:, rows],
        decided=group.decided[rows],
        left=group.left[rows],
    )


def _time_zero(ticket: Tickets, lever: Lever) -> Array:
    if lever.starts == "landmark":
        done = np.minimum(ticket.resolution, LONGEST_RESOLUTION)
        return ticket.created + done + LANDMARK_DAYS * DAY
    return ticket.answered_at if lever.starts == "answered" else ticket.created


def _population(
    scene: Scene, ticket: Tickets, people: People, left: Array, lever: Lever
) -> tuple[Array, Array]:
    """Which tickets could have gone either way, and which were exposed."""
    everyone = np.ones(ticket.week.size, dtype=bool)
    match lever.name:
        case "first_response_1h":
            return everyone, ticket.first_response <= 1.0
        case "first_response_15min":
            return everyone, ticket.first_response <= 0.25
        case "office_hours":
            return everyone, is_office_hour(ticket.created)
        case "language_match":
            return people.language > 0, ~ticket.language_mismatch
        case "empathy":
            return everyone, agent_empathy(scene.seed, ticket.agent) >= 0
        case "bot_trap":
            return ticket.bot_first & (ticket.severity > 1), ticket.bot_trap
        case "repeat_info":
            return ticket.escalated & ~ticket.fcr & ~ticket.personal, ticket.repeat_info
        case "resolution_24h":
            soon = soonest_resolution(ticket.first_response) < 24.0
            return soon, ticket.resolution <= 24.0
        case "feedback_acted_on":
            known = ticket.feedback & (ticket.feedback_at < left)
            return known & (ticket.told | ~ticket.acted_on), ticket.acted_on
        case _:
            return everyone, getattr(ticket, lever.name)


def _forced(group: _Group, lever: Lever, arm: int) -> Tickets:
    """The tickets with the lever at `arm`: before it as it was, after it drawn anew."""
    scene, ticket, key = group.scene, group.ticket, group.key
    world = in_force(scene.world, group.week, scene.history.change)
    before = STEPS[: STEPS.index(lever.step)] if lever.step else ()
    fixed: dict[str, Array] = {name: getattr(ticket, name) for name in before}
    truth = np.full(key.size, arm == 1)
    match lever.name:
        case "first_response_1h" | "first_response_15min":
            limit = 1.0 if lever.name == "first_response_1h" else 0.25
            mean = response_mean(world, ticket)
            noise = _cut(scene.seed, "first response", ticket, key, arm,
                         (np.log(limit) - mean) / world.response_noise)  # fmt: skip
            fixed["first_response"] = np.exp(mean + world.response_noise * noise)
        case "office_hours":
            noise = normal(scene.seed, "first response", key, ticket.week)
            mean = response_mean(world, ticket, truth)
            fixed["first_response"] = response_hours(
                world, ticket.premium, mean + world.response_noise * noise
            )
        case "resolution_24h":
            slow = np.log(ticket.first_response) - 0.7
            mean = resolution_mean(world, ticket, slow, ticket.fcr, ticket.escalated)
            noise = _cut(scene.seed, "resolution", ticket, key, arm,
                         (np.log(24.0) - mean) / world.resolution_noise)  # fmt: skip
            fixed["resolution"] = np.maximum(
                np.exp(mean + world.resolution_noise * noise),
                soonest_resolution(ticket.first_response),
            )
        case "language_match":
            spoken = np.where(truth, group.people.language, 0)
            agent = draw_agent(scene.seed, spoken, key, ticket.week)
            ticket = replace(ticket, language_mismatch=~truth, agent=agent)
        case "bot_trap":
            ticket = replace(ticket, bot_trap=truth)
        case "empathy":
            ticket = replace(ticket, agent=_reviewed_agent(group, arm))
        case "feedback_acted_on":
            fixed |= {"acted_on": truth, "told": truth}
        case _:
            fixed[lever.step or lever.name] = truth
    forced = treat(world, scene.seed, ticket, key, fixed)
    if lever.name != "feedback_acted_on":
        return forced
    return replace(forced, feedback_at=ticket.feedback_at, answered_at=ticket.answered_at,
                   follow_up_at=ticket.follow_up_at, resolution=ticket.resolution)  # fmt: skip


def _cut(seed: int, purpose: str, ticket: Tickets, key: Array, arm: int, limit: Array) -> Array:
    """Standard normal draws, cut to at most `limit` (arm 1) or above it (arm 0)."""
    below = np.clip(ndtr(limit), 1e-12, 1 - 1e-12)
    u = uniform(seed, purpose, key, ticket.week)
    return ndtri(u * below if arm else below + u * (1.0 - below))


def _reviewed_agent(group: _Group, arm: int) -> Array:
    """An agent of the same language, drawn as among tickets whose review is in the arm."""
    seed, ticket = group.scene.seed, group.ticket
    spoken = ticket.agent // 100
    u = uniform(seed, "agent", group.key, ticket.week)
    drawn = np.empty(ticket.agent.size, dtype=int)
    every = np.concatenate(
        [100 * code + np.arange(size) for code, size in enumerate(AGENTS_PER_LANGUAGE)]
    )
    median = np.median(qa_empathy_mean(agent_empathy(seed, every[every < 100])))
    for code, size in enumerate(AGENTS_PER_LANGUAGE):
        agents = 100 * code + np.arange(size)
        high = ndtr((qa_empathy_mean(agent_empathy(seed, agents)) - median) / QA_EMPATHY[2])
        weight = np.cumsum(high if arm else 1.0 - high)
        mine = spoken == code
        drawn[mine] = agents[np.searchsorted(weight, u[mine] * weight[-1], side="right")]
    return drawn


def _outcomes(group: _Group, ticket: Tickets, start: Array) -> Mapping[str, Array]:
    """Chance of leaving within 90 days after `start`, and of an order within 60, given there."""
    scene, people = group.scene, group.people
    history, seed = scene.history, scene.seed
    experience, harm = group.experience, group.harm
    columns = np.arange(start.size)
    arriving = group.arriving.copy()
    index_world = in_force(scene.world, group.week, history.change)
    for at, effect in _effects_of(index_world, seed, ticket):
        _land(arriving, group.week, at, columns, effect)
    closes, last_order = start + CHURN_DAYS * DAY, start + PURCHASE_DAYS * DAY
    undecided = np.ones(start.size)
    churn = np.zeros(start.size)
    deciding = np.zeros((group.weeks, start.size))
    middle = np.zeros((group.weeks, start.size))
    buying = np.zeros((group.weeks + 1, start.size))
    for ahead in range(group.weeks):
        number = group.week + ahead
        opens = number * WEEK
        world = in_force(scene.world, number, history.change)
        if ahead:
            experience = world.experience_memory * experience + arriving[ahead]
            harm = world.harm_memory * harm + group.hurting[ahead]
        passed = np.clip((start - opens) / WEEK, 0.0, 1.0)
        hazard = leaving_hazard(world, people, experience, harm, number)
        hazard = hazard * (1.0 - passed) / np.maximum(1.0 - hazard * passed, 1e-12)
        deciding[ahead] = undecided * hazard
        undecided = undecided * (1.0 - hazard)
        since = np.maximum(opens, start)
        churn += deciding[ahead] * _gone_by(world, since, opens + WEEK, closes)
        middle[ahead] = ((since + opens + WEEK) / 2 - group.week * WEEK) / WEEK
        low, high = (np.clip(at - opens, 0.0, WEEK) for at in (start, last_order))
        inside = order_share(high) - order_share(low)
        rate = order_rate(world, people, experience, harm, opens >= people.enrolled, number)
        buying[ahead + 1] = buying[ahead] + rate * inside * (1.0 - ORDER_CANCELLED)
    silent = undecided * np.exp(-buying[-1])
    announced = np.where(people.contract, scene.world.notice_share, 0.0)
    for ahead in range(group.weeks):
        at_once = np.exp(-up_to(buying, middle[ahead]))
        later = np.exp(-up_to(buying, middle[ahead] + 13.5 / 7.0))
        silent += deciding[ahead] * ((1.0 - announced) * at_once + announced * later)
    return {"churn": churn, "repeat_purchase": 1.0 - silent}


def _gone_by(world: World, since: Array, until: float, closes: Array) -> Array:
    """Share of those who decide evenly in [since, until) whose contract has ended by `closes`."""
    span = np.maximum(until - since, 1e-9)
    at_once = np.clip((closes - since) / span, 0.0, 1.0)
    with_notice = np.ones(since.size)
    near = np.flatnonzero(until + 24 * DAY > closes)
    if near.size:
        late = (closes[near] - NOTICE_DAYS[:, None] * DAY - since[near]) / span[near]
        with_notice[near] = np.clip(late, 0.0, 1.0).mean(axis=0)
    return (1.0 - world.notice_share) * at_once + world.notice_share * with_notice


# Policies

POLICIES: dict[str, tuple[str, Callable[[World], Mapping[str, Any]]]] = {
    "personal": ("history read on every ticket", lambda _: {"personal_base": 30.0}),
    "first_response": (
        "replies in half the time",
        lambda now: {"response_base": now.response_base - np.log(2.0)},
    ),
    "fcr": ("every ticket resolved at first contact", lambda _: {"fcr_base": 60.0}),
    "escalated": ("nothing is escalated", lambda _: {"escalation_base": -60.0}),
    "resolution": (
        "resolutions in half the time",
        lambda now: {"resolution_base": now.resolution_base - np.log(2.0)},
    ),
    "follow_up": ("every ticket is followed up", lambda _: {"follow_up_base": 60.0}),
    "language_match": (
        "everybody is answered in their language",
        lambda _: {"language_mismatch": (0.0, 0.0, 0.0, 0.0)},
    ),
    "bot_trap": ("no bot holds anybody up", lambda _: {"bot_trap": 0.0}),
    "repeat_info": ("nobody has to repeat anything", lambda _: {"repeat_info": 0.0}),
    "feedback_acted_on": (
        "all feedback is acted on and answered",
        lambda _: {"acted_on_base": 60.0, "told_of_action": 1.0},
    ),
}
"""What the company does on every ticket from a month on, and how that alters the parameters."""


def policy_effects(
    *,
    customers: int,
    months: int,
    seed: int,
    world: str = "W1",
    from_month: int = 12,
    policies: Sequence[str] = tuple(POLICIES),
    replicates: int = 2,
) -> pd.DataFrame:
    """`policy`: churn of contract customers 90 and 365 days after a policy began.

    `from_month` counts from the first as-of date. The population are contract customers who are
    there when the policy begins; both arms share every draw, and leaving is integrated over. A
    world that changes by itself (W4, bot_rollout) does so in both arms, on its own date: the
    policy then alters what holds after the change as well.
    """
    base = worlds.world_named(world)
    ids = np.arange(1, customers + 1)
    people = np.concatenate([ids + r * FRESH for r in range(replicates)])
    rows = []
    for name in policies:
        contrast, policy = POLICIES[name]
        parts = [
            _policy_risks(base, policy, seed, people[at : at + CHUNK], months, from_month)
            for at in range(0, people.size, CHUNK)
        ]
        weight = np.concatenate([part["weight"] for part in parts])
        for days in (90, 365):
            one, zero = (
                np.concatenate([part[f"{arm}_{days}"] for part in parts]) for arm in (1, 0)
            )
            risk_1, risk_0 = (float(weight @ risk / weight.sum()) for risk in (one, zero))
            spread = weight * ((one - zero) - (risk_1 - risk_0))
            rows.append(
                {
                    "world": world,
                    "seed": seed,
                    "lever": name,
                    "contrast": f"{contrast} vs as it is",
                    "estimand": "policy",
                    "population": "contract customers there at the start",
                    "outcome": "churn",
                    "horizon_d": days,
                    "rd": risk_1 - risk_0,
                    "rr": risk_1 / risk_0,
                    "mc_se": float(np.sqrt((spread**2).sum()) / weight.sum()),
                    "n": round(float(weight.sum()) / replicates),
                    "R": replicates,
                    "segment": "all",
                    "identified": False,
                    "adjust_set": [],
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _policy_risks(
    base: World,
    policy: Callable[[World], Mapping[str, Any]],
    seed: int,
    ids: Array,
    months: int,
    from_month: int,
) -> dict[str, Array]:
    """Chance of being there at the start, and of leaving within 90 and 365 days, in both arms."""
    clock = worlds.Clock.of(base, months)
    begins = clock.hours(worlds.WARM_UP_MONTHS + from_month)
    first = int(np.ceil(begins / WEEK))
    weeks = first + int(np.ceil(365 * DAY / WEEK))
    # Nobody leaves in these runs: the hazards are added up afterwards.
    staying = replace(base, churn_base=-60.0, death_base=-60.0, payment_failure=0.0)
    risks: dict[str, Array] = {}
    for arm in (1, 0):
        history = simulate(
            staying, seed, ids, weeks=weeks, period=clock.period,
            pilot=(clock.pilot[0], min(clock.pilot[1], begins)), change=clock.change,
            policy=(first, lambda now: _pulled(now, policy)) if arm else None,
        )  # fmt: skip
        people = history.people

        def stay(week: int, people: People = people, history: History = history) -> Array:
            hazard = churn_hazard(
                in_force(base, week, clock.change), people, history.experience[week],
                history.harm[week], week,
            )  # fmt: skip
            return 1.0 - hazard

        there = (people.contract & (people.signup < first * WEEK)).astype(float)
        for week in range(first):
            there *= np.where(people.signup < week * WEEK, stay(week), 1.0)
        risks["weight"] = there
        stays = np.ones(ids.size)
        for week in range(first, weeks):
            before = stays
            stays = stays * stay(week)
            for days in (90, 365):
                end = first * WEEK + days * DAY
                if week * WEEK < end <= (week + 1) * WEEK:
                    share = (end - week * WEEK) / WEEK
                    risks[f"{arm}_{days}"] = 1.0 - before + share * (before - stays)
    return risks


def _pulled(now: World, policy: Callable[[World], Mapping[str, Any]]) -> World:
    return replace(now, **policy(now))


def write(path: Path, frame: pd.DataFrame) -> None:
    """Write `true_effects.parquet`."""
    table = pa.Table.from_pandas(frame[list(COLUMNS)], preserve_index=False)
    pq.write_table(table, path, compression="zstd")
