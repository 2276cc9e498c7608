"""The company's true process: who the customers are, what support does to them, when they leave.

Time is in hours since the start of the world (a Sunday, 00:00 Asia/Tokyo); a week has 168 hours.
Hazards act week by week on the state at the start of the week. Two states are hidden from every
modeller: `experience` decays by 8 % a week and moves when something happens in a ticket, `harm`
decays by 15 % a week and rises by one with every ticket of severity 3. An effect arrives in the
week after its cause was experienced (reply, resolution, follow-up), never before it.

Every number is in `data.world.parameters`; every equation is one function here, so that an oracle
can import them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

import numpy as np

from data.world.draws import Array, choice, happens, normal, poisson, uniform
from data.world.parameters import DEFECTIVE_PRODUCTS, PRODUCTS, TOPICS, World

WEEK = 168.0
DAY = 24.0
FOLLOW_UP_DAYS = (6.0, 8.0)  # after the resolution
FEEDBACK_DAYS = (1.0, 3.0)  # after the resolution
ANSWER_DAYS = (7.0, 35.0)  # after the feedback


def cloglog(eta: Array) -> Array:
    """Probability of at least one event in a week when the log-hazard is `eta`."""
    return -np.expm1(-np.exp(eta))


def logistic(eta: Array) -> Array:
    """Probability whose log-odds are `eta`."""
    return 1.0 / (1.0 + np.exp(-eta))


def season(world: World, week: Array | float) -> Array:
    """Yearly wave on the log scale, highest in week `season_peak_week`."""
    phase = 2.0 * np.pi * (np.asarray(week) - world.season_peak_week) / 52.0
    return world.season_size * np.cos(phase)


def churn_hazard(
    world: World,
    people: People,
    experience: Array,
    harm: Array,
    week: int,
) -> Array:
    """Chance that a contract customer decides in this week to leave."""
    start = week * WEEK
    tenure = np.maximum(start - people.signup, 0.0)
    half_years = np.minimum(tenure / WEEK / 26.0, 4.0)
    to_renewal = people.term - np.mod(start - people.signup, people.term)
    annual = np.where(
        to_renewal <= 3 * WEEK, world.churn_annual_in_window, world.churn_annual_elsewhere
    )
    return cloglog(
        world.churn_base
        + np.take(world.class_churn, people.hidden_class)
        + world.churn_experience * experience
        + world.churn_harm * harm
        + world.churn_tenure * half_years
        + world.churn_premium * people.premium
        + world.churn_season * season(world, week)
        + annual * people.annual
    )


def death_hazard(world: World, people: People, experience: Array, harm: Array) -> Array:
    """Chance that a customer without a contract stops for good in this week."""
    return cloglog(
        world.death_base
        + world.death_class * np.take(world.class_churn, people.hidden_class)
        + world.death_experience * experience
        + world.death_harm * harm
    )


def leaving_hazard(
    world: World, people: People, experience: Array, harm: Array, week: int
) -> Array:
    """Chance of the decision to leave in this week, with or without a contract."""
    return np.where(
        people.contract,
        churn_hazard(world, people, experience, harm, week),
        death_hazard(world, people, experience, harm),
    )


def notice_hours(world: World, seed: int, people: People) -> Array:
    """Hours from the decision to leave until it takes effect; 0 without a notice."""
    announces = people.contract & happens(seed, "notice", world.notice_share, people.id)
    return np.where(announces, (3 + 21 * uniform(seed, "notice days", people.id)) * DAY, 0.0)


def ticket_hazard(world: World, people: People) -> Array:
    """Chance of a new ticket in a week."""
    by_class = np.take(world.class_ticket, people.hidden_class)
    return cloglog(world.ticket_base + by_class + world.ticket_defect * people.defect)


def order_rate(
    world: World, people: People, experience: Array, harm: Array, loyal: Array, week: Array | int
) -> Array:
    """Expected orders per week; inputs broadcast over (weeks, customers)."""
    purchase = _purchase(world, people)
    without = (
        world.order_base
        + world.order_class * purchase
        + world.order_experience * experience
        + world.order_harm * harm
    )
    contract = (
        world.contract_order_base
        + world.contract_order_class * purchase
        + world.contract_order_experience * experience
        + world.contract_order_harm * harm
    )
    lift = np.log1p(world.loyalty_lift) * loyal
    return np.exp(np.where(people.contract, contract, without) + season(world, week) + lift)


def usage_rate(world: World, people: People, experience: Array, harm: Array) -> Array:
    """Expected visits per week."""
    return np.exp(
        world.usage_base
        + world.usage_class * _purchase(world, people)
        + world.usage_experience * experience
        + world.usage_harm * harm
    )


def enrolment_rate(world: World, people: People) -> Array:
    """Rate per week of joining the loyalty programme: buyers join sooner."""
    return np.exp(world.enrol_base + world.enrol_class * _purchase(world, people))


def offer_chance(world: World, people: People) -> Array:
    """Chance of a personal offer in a week; it follows premium and buying."""
    purchase = _purchase(world, people)
    return np.exp(-3.9 + 0.5 * people.premium + 0.5 * purchase)


def _purchase(world: World, people: People) -> Array:
    return np.take(world.class_purchase, people.hidden_class)


def load_wave(world: World, week: Array | int) -> Array:
    """The yearly part of the support load."""
    wave = np.cos(2.0 * np.pi * (np.asarray(week) - world.season_peak_week) / 52.0)
    return world.load_season * wave


def queue_load(world: World, seed: int, weeks: int) -> Array:
    """Support load per week, about -1 to 1: a yearly wave plus persistent shocks."""
    week = np.arange(weeks)
    shocks = world.load_shock * normal(seed, "load", week)
    load = np.empty(weeks)
    carried = 0.0
    for index in range(weeks):
        carried = world.load_memory * carried + shocks[index]
        load[index] = carried
    return load_wave(world, week) + load


@dataclass(frozen=True)
class People:
    """Statics, one entry per customer."""

    id: Array
    hidden_class: Array
    signup: Array  # hours since start, negative before it
    premium: Array
    contract: Array
    annual: Array
    term: Array  # hours
    defect: Array
    language: Array  # index into LANGUAGES
    channel: Array  # preferred, index into CHANNELS
    polite: Array
    enrolled: Array  # hours since start, of joining the loyalty programme

    def at(self, rows: Array) -> People:
        """The same columns for the given rows."""
        return People(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def draw_people(
    world: World, seed: int, ids: Array, period: float, change: float = np.inf
) -> People:
    """Draw the customers `ids` of a world that lasts `period` hours and changes at `change`."""
    hidden = choice(seed, "class", world.class_share, ids)
    years = np.minimum(-np.log(uniform(seed, "tenure", ids)) * world.tenure_years_mean, 6.0)
    present = happens(seed, "present", world.present_at_start, ids)
    later = uniform(seed, "signup", ids) * period
    signup = np.where(present, -years * 365 * DAY - 1.0, later)
    if np.isfinite(change):
        launched = happens(seed, "launched", world.launch_share, ids)
        soon = change + uniform(seed, "launch", ids) * 4 * WEEK
        signup = np.where(launched, soon, signup)
    languages = [
        choice(seed, "language", share, ids)
        for share in (world.language_share, world.after_change().language_share)
    ]
    contract = happens(seed, "contract", world.contract_share, ids)
    annual = contract & happens(seed, "annual", world.annual_share, ids)
    purchase = np.take(world.class_purchase, hidden)
    enrol = cloglog(world.enrol_base + world.enrol_class * purchase)
    weeks_to_enrol = np.log(uniform(seed, "enrol", ids)) / np.log1p(-enrol)
    return People(
        id=ids,
        hidden_class=hidden,
        signup=signup,
        premium=happens(seed, "premium", world.premium_share, ids),
        contract=contract,
        annual=annual,
        term=np.where(annual, 365 * DAY, 30 * DAY),
        defect=happens(seed, "defect", world.defect_share, ids),
        language=np.where(signup < change, *languages),
        channel=choice(seed, "channel", world.channel_share, ids),
        polite=happens(seed, "polite", 0.65, ids),
        enrolled=signup + weeks_to_enrol * WEEK,
    )


def _hour_weights(office: float, evening: float, night: float) -> tuple[float, ...]:
    weights = []
    for hour in range(168):
        day, clock = divmod(hour, 24)
        if 1 <= day <= 5 and 9 <= clock < 18:
            weights.append(office)
        else:
            weights.append(evening if 8 <= clock < 23 else night)
    return tuple(weights)


TICKET_HOURS = _hour_weights(office=1.0, evening=0.28, night=0.06)
ORDER_HOURS = _hour_weights(office=0.8, evening=1.2, night=0.15)


def moment_in_week(
    seed: int, purpose: str, weights: tuple[float, ...], key: Array, counter: Array | int
) -> Array:
    """Hours since Sunday 00:00, drawn by hour of the week."""
    hour = choice(seed, f"{purpose} hour", weights, key, counter)
    return hour + uniform(seed, f"{purpose} minute", key, counter) * 0.999


def is_office_hour(moment: Array) -> Array:
    """09:00-18:00 Monday to Friday; `moment` in hours since the start."""
    day, clock = np.divmod(np.mod(moment, WEEK), 24.0)
    return (day >= 1) & (day <= 5) & (clock >= 9) & (clock < 18)


AGENTS_PER_LANGUAGE = (48, 10, 4, 4)
SENIORS = 12


def agent_empathy(seed: int, agent: Array) -> Array:
    """Standard normal empathy, fixed for each agent."""
    return normal(seed, "agent empathy", agent)


@dataclass(frozen=True)
class Tickets:
    """One entry per issue. Moments are hours since start; durations are hours."""

    person: Array  # row of People
    premium: Array
    week: Array
    created: Array
    severity: Array
    topic: Array
    product: Array
    channel: Array
    load: Array
    bot_first: Array
    bot_trap: Array
    personal: Array
    language_mismatch: Array
    agent: Array
    first_response: Array
    fcr: Array
    escalated: Array
    repeat_info: Array
    resolution: Array
    follow_up: Array
    follow_up_at: Array
    in_pilot: Array
    feedback: Array  # the customer gives some, at `feedback_at`
    feedback_at: Array
    acted_on: Array  # what the company makes of it, at `answered_at`
    told: Array
    answered_at: Array
    experience: Array  # before the ticket
    shock: Array  # what the ticket adds to experience, without follow-up and feedback

    @staticmethod
    def concatenate(parts: list[Tickets]) -> Tickets:
        names = [f.name for f in fields(Tickets)]
        return Tickets(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})

    def at(self, rows: Array) -> Tickets:
        """The same columns for the given rows."""
        return Tickets(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def _draw_topic(seed: int, who: People, week: int) -> Array:
    weights = np.array([0.22, 0.12, 0.14, 0.20, 0.12, 0.12, 0.08])
    weights = np.tile(weights, (who.id.size, 1))
    weights[:, 1] += 0.25 * who.defect
    weights[:, 6] *= who.contract
    edges = np.cumsum(weights, axis=1)
    drawn = uniform(seed, "topic", who.id, week) * edges[:, -1]
    return (drawn[:, None] >= edges).sum(axis=1)


def _draw_product(seed: int, who: People, week: int) -> Array:
    """Most tickets are about the customer's own product of their line."""
    week_or_own = np.where(happens(seed, "own product", 0.8, who.id, week), -1, week)
    u = uniform(seed, "product", who.id, week_or_own)
    sound = PRODUCTS - DEFECTIVE_PRODUCTS
    line_start = np.where(who.defect, sound, 0)
    line_size = np.where(who.defect, DEFECTIVE_PRODUCTS, sound)
    return line_start + (u * line_size).astype(int)


def open_tickets(
    world: World,
    seed: int,
    people: People,
    rows: Array,
    created: Array,
    week: int,
    load: float | Array,
    experience: Array,
    pilot: tuple[float, float],
) -> Tickets:
    """Take in one ticket for each of `rows` at `created` and treat it by the company's policy."""
    who = people.at(rows)
    key = who.id
    topic = _draw_topic(seed, who, week)
    severe = choice(seed, "severity", world.severity_share, key, week)
    severe_defect = choice(seed, "severity", world.severity_share_defect, key, week)
    severity = np.where(topic == TOPICS.index("defect"), severe_defect, severe) + 1
    other_channel = choice(seed, "ticket channel", world.channel_share, key, week)
    preferred = happens(seed, "uses preferred channel", world.preferred_channel, key, week)
    mismatch = happens(
        seed, "language match", np.take(world.language_mismatch, who.language), key, week
    )
    bot_first = happens(seed, "bot first", world.bot_first, key, week)
    trapped = bot_first & (severity > 1) & happens(seed, "bot trap", world.bot_trap, key, week)
    no, nothing = np.zeros(rows.size, dtype=bool), np.zeros(rows.size)
    taken_in = Tickets(
        person=rows,
        premium=who.premium,
        week=np.full(rows.size, week),
        created=created,
        severity=severity,
        topic=topic,
        product=_draw_product(seed, who, week),
        channel=np.where(preferred, who.channel, other_channel),
        load=np.broadcast_to(np.asarray(load, dtype=float), rows.shape),
        bot_first=bot_first,
        bot_trap=trapped,
        language_mismatch=mismatch,
        agent=draw_agent(seed, np.where(mismatch, 0, who.language), key, week),
        in_pilot=(created >= pilot[0]) & (created < pilot[1]),
        experience=experience,
        shock=nothing,
        **dict.fromkeys(
            ("personal", "fcr", "escalated", "repeat_info", "follow_up", "feedback", "acted_on",
             "told"), no,
        ),
        **dict.fromkeys(
            ("first_response", "resolution", "follow_up_at", "feedback_at", "answered_at"), nothing
        ),
    )  # fmt: skip
    return treat(world, seed, taken_in, key)


def draw_agent(seed: int, language: Array, key: Array, week: Array | int) -> Array:
    """The agent who answers, drawn from those of a language."""
    pool = np.take(AGENTS_PER_LANGUAGE, language)
    return language * 100 + (uniform(seed, "agent", key, week) * pool).astype(int)


def treat(
    world: World,
    seed: int,
    ticket: Tickets,
    key: Array,
    fixed: Mapping[str, Array] = MappingProxyType({}),
) -> Tickets:
    """Treat tickets in causal order: each step is drawn from what came before it.

    Draws have the key `key` and the ticket's week as counter. Steps named in `fixed` are not drawn
    but taken from there.
    """
    week = ticket.week

    def step(name: str, draw: Callable[[], Array]) -> Array:
        return fixed[name] if name in fixed else draw()

    def tossed(purpose: str, chance: Array | float) -> Array:
        return happens(seed, purpose, chance, key, week)

    personal = step(
        "personal", lambda: tossed("personal", personal_chance(world, ticket.premium, ticket.load))
    )
    first_response = step(
        "first_response",
        lambda: response_hours(
            world,
            ticket.premium,
            response_mean(world, ticket)
            + world.response_noise * normal(seed, "first response", key, week),
        ),
    )
    slow = np.log(first_response) - 0.7
    fcr = step("fcr", lambda: tossed("fcr", fcr_chance(world, ticket, personal, slow)))
    escalated = step(
        "escalated", lambda: tossed("escalation", escalation_chance(world, ticket, fcr))
    )
    repeat_info = step(
        "repeat_info",
        lambda: escalated & ~fcr & ~personal & tossed("repeat info", world.repeat_info),
    )
    resolution = step(
        "resolution",
        lambda: np.maximum(
            np.exp(
                resolution_mean(world, ticket, slow, fcr, escalated)
                + world.resolution_noise * normal(seed, "resolution", key, week)
            ),
            soonest_resolution(first_response),
        ),
    )
    sent = follow_up_chance(world, ticket.premium, ticket.severity, ticket.load, ticket.in_pilot)
    done = ticket.created + resolution
    follow_up_day = uniform(seed, "follow-up day", key, week)
    feedback_at = done + feedback_delay(uniform(seed, "feedback day", key, week))
    return replace(
        ticket,
        personal=personal,
        first_response=first_response,
        fcr=fcr,
        escalated=escalated,
        repeat_info=repeat_info,
        resolution=resolution,
        follow_up=step("follow_up", lambda: tossed("follow-up", sent)),
        follow_up_at=done
        + (FOLLOW_UP_DAYS[0] + (FOLLOW_UP_DAYS[1] - FOLLOW_UP_DAYS[0]) * follow_up_day) * DAY,
        feedback=step(
            "feedback", lambda: tossed("feedback", feedback_chance(world, ticket.severity, fcr))
        ),
        feedback_at=feedback_at,
        acted_on=step(
            "acted_on",
            lambda: tossed("acted on", acted_on_chance(world, ticket.premium, ticket.load)),
        ),
        told=step("told", lambda: tossed("told", world.told_of_action)),
        answered_at=feedback_at + answer_delay(uniform(seed, "feedback answer", key, week)),
    )


def personal_chance(world: World, premium: Array, load: Array) -> Array:
    """Chance that the agent reads the history before the first reply."""
    return logistic(
        world.personal_base + world.personal_premium * premium + world.personal_load * load
    )


def response_mean(world: World, ticket: Tickets, office: Array | None = None) -> Array:
    """Mean log hours to the first human reply; `office` says whether the office is open."""
    return (
        world.response_base
        + world.response_severity * (ticket.severity - 1.5)
        + world.response_premium * ticket.premium
        + world.response_load * ticket.load
        + world.response_offhours * ~(is_office_hour(ticket.created) if office is None else office)
        + np.take(world.response_channel, ticket.channel)
    )


def response_hours(world: World, premium: Array, log_hours: Array) -> Array:
    """Hours to the first human reply."""
    hours = np.exp(log_hours)
    if world.response_split_hours is None:
        return hours
    return split_response(hours, premium, world.response_split_hours)


def fcr_chance(world: World, ticket: Tickets, personal: Array, slow: Array) -> Array:
    """Chance of a resolution at first contact; `slow` is the log response hours minus 0.7."""
    return logistic(
        world.fcr_base
        + world.fcr_severity * (ticket.severity - 1)
        + world.fcr_personal * personal
        + world.fcr_language_mismatch * ticket.language_mismatch
        + world.fcr_load * ticket.load
        + world.fcr_response * slow
    )


def escalation_chance(world: World, ticket: Tickets, fcr: Array) -> Array:
    """Chance that a ticket is escalated."""
    return logistic(
        world.escalation_base
        + world.escalation_severity * (ticket.severity - 1)
        + world.escalation_fcr * fcr
        + world.escalation_load * ticket.load
        + world.escalation_premium * ticket.premium
    )


def resolution_mean(
    world: World, ticket: Tickets, slow: Array, fcr: Array, escalated: Array
) -> Array:
    """Mean log hours to the resolution."""
    return (
        world.resolution_base
        + world.resolution_severity * (ticket.severity - 1)
        + world.resolution_fcr * fcr
        + world.resolution_escalation * escalated
        + world.resolution_load * ticket.load
        + world.resolution_response * slow
    )


def soonest_resolution(first_response: Array) -> Array:
    """Hours before which nothing is resolved."""
    return first_response * 1.02 + 0.05


def follow_up_chance(
    world: World, premium: Array, severity: Array, load: float | Array, in_pilot: Array
) -> Array:
    """Chance that a ticket is followed up: a fair coin in the pilot."""
    usual = logistic(
        world.follow_up_base
        + world.follow_up_premium * premium
        + world.follow_up_load * load
        + world.follow_up_severe * (severity == 3)
    )
    return np.where(in_pilot, 0.5, usual)


def feedback_chance(world: World, severity: Array, fcr: Array) -> Array:
    """Chance that a customer says what should be better, a day to three after the resolution."""
    return logistic(
        world.feedback_base
        + world.feedback_severe * (severity == 3)
        + world.feedback_unresolved * (1.0 - fcr)
    )


def acted_on_chance(world: World, premium: Array, load: float | Array) -> Array:
    """Chance that the company acts on a piece of feedback, one to five weeks after it came."""
    return logistic(
        world.acted_on_base + world.acted_on_premium * premium + world.acted_on_load * load
    )


def feedback_delay(u: Array) -> Array:
    """Hours from the resolution to the feedback, for a uniform draw."""
    return (FEEDBACK_DAYS[0] + (FEEDBACK_DAYS[1] - FEEDBACK_DAYS[0]) * u) * DAY


def answer_delay(u: Array) -> Array:
    """Hours from the feedback to the decision on it, for a uniform draw."""
    return (ANSWER_DAYS[0] + (ANSWER_DAYS[1] - ANSWER_DAYS[0]) * u) * DAY


def split_response(hours: Array, premium: Array, limit: float) -> Array:
    """Response hours squeezed below `limit` for premium customers, moved above it for others."""
    return np.where(premium, limit * hours / (limit + hours), limit + hours)


def shock_at_intake(world: World, ticket: Tickets) -> Array:
    """What the issue itself does to experience."""
    return world.effect_severity * (ticket.severity - 0.5) + world.effect_bot_trap * ticket.bot_trap


def shock_at_reply(world: World, seed: int, ticket: Tickets) -> Array:
    """What the first human reply does to experience."""
    slow = world.effect_first_response * np.log1p(ticket.first_response)
    return (
        slow * np.where(ticket.premium, world.first_response_for_premium, 1.0)
        + world.effect_personal * ticket.personal
        + world.effect_language_mismatch * ticket.language_mismatch
        + world.effect_empathy * agent_empathy(seed, ticket.agent)
    )


def shock_of_feedback(world: World, ticket: Tickets) -> Array:
    """What hearing that the own feedback was acted on does to experience."""
    return world.effect_feedback * (ticket.feedback & ticket.acted_on & ticket.told)


def shock_at_resolution(world: World, ticket: Tickets) -> Array:
    """What the way it was resolved does to experience."""
    return (
        world.effect_first_contact_resolution * (ticket.fcr - 0.5)
        + world.effect_escalation * ticket.escalated
        + world.effect_time_to_resolution * np.log1p(ticket.resolution / 24.0)
        + world.effect_repeat_info * ticket.repeat_info
    )


@dataclass(frozen=True)
class History:
    """The complete truth of one set of customers."""

    people: People
    load: Array  # per week
    experience: Array  # (weeks + 1, customers), at the start of each week
    harm: Array  # (weeks + 1, customers)
    tickets: Tickets
    decided: Array  # hours since start of the voluntary decision to leave, inf if none
    left: Array  # hours since start from which the customer is gone, inf if still there
    involuntary: Array  # True when the customer left because a payment failed
    pilot: tuple[float, float]  # hours since start, half-open
    change: float  # hours since start, inf if the world does not change


def in_force(world: World, week: int, change: float) -> World:
    """The parameters of a week of a world that changes at `change` hours."""
    return world if week * WEEK < change else world.after_change()


def lost_payment(world: World, seed: int, people: People, period: float) -> Array:
    """When (hours) a failed payment ends the contract, 10 days after the renewal; inf if never."""
    index = first_renewal(people)[:, None] + np.arange(int(period // (30 * DAY)) + 2)
    lost = failed_payment(world, seed, people.id[:, None], index) & payment_is_lost(
        world, seed, people.id[:, None], index
    )
    moment = np.where(lost, people.signup[:, None] + index * people.term[:, None], np.inf)
    return np.where(people.contract, moment.min(axis=1) + 10 * DAY, np.inf)


def first_renewal(people: People) -> Array:
    """Number of the first renewal (1, 2, ...) that falls into the period."""
    return np.maximum(np.ceil(-people.signup / people.term), 1.0).astype(int)


def failed_payment(world: World, seed: int, customer: Array, term: Array) -> Array:
    """True where the payment of the customer's renewal number `term` fails."""
    return happens(seed, "payment fails", world.payment_failure, customer, term)


def payment_is_lost(world: World, seed: int, customer: Array, term: Array) -> Array:
    """True where a failed payment is never made good."""
    return happens(seed, "payment lost", world.payment_lost, customer, term)


def simulate(
    world: World,
    seed: int,
    ids: Array,
    *,
    weeks: int,
    period: float,
    pilot: tuple[float, float],
    change: float = np.inf,
    policy: tuple[int, Callable[[World], World]] | None = None,
) -> History:
    """Run customers `ids` (integers) through `weeks` weeks; any subset gives the same rows.

    Weeks that start at `change` (hours) or later follow `world.after_change()`. From the week
    `policy[0]` on, whatever then holds is altered by `policy[1]`.
    """
    people = draw_people(world, seed, ids, period, change)
    size = ids.size
    load = queue_load(world, seed, weeks)
    experience = np.zeros((weeks + 1, size))
    harm = np.zeros((weeks + 1, size))
    decided = np.full(size, np.inf)
    expiry = lost_payment(world, seed, people, period)
    left = expiry.copy()
    notice = notice_hours(world, seed, people)
    parts: list[Tickets] = []

    def arrive(moment: Array, rows: Array, effect: Array) -> None:
        landing = (moment // WEEK).astype(int) + 1
        seen = landing <= weeks
        experience[landing[seen], rows[seen]] += effect[seen]

    for week in range(weeks):
        start = week * WEEK
        current = in_force(world, week, change)
        if policy is not None and week >= policy[0]:
            current = policy[1](current)
        if week:
            experience[week] += current.experience_memory * experience[week - 1]
            harm[week] += current.harm_memory * harm[week - 1]
        now, hurt = experience[week], harm[week]
        present = (people.signup < start) & (left > start)

        hazard = leaving_hazard(current, people, now, hurt, week)
        leaving = present & np.isinf(decided) & (uniform(seed, "leave", ids, week) < hazard)
        rows = np.flatnonzero(leaving)
        decided[rows] = start + WEEK * uniform(seed, "leave moment", ids[rows], week)
        left[rows] = np.minimum(left[rows], decided[rows] + notice[rows])

        chance = ticket_hazard(current, people)
        rows = np.flatnonzero(present & (uniform(seed, "ticket", ids, week) < chance))
        created = start + moment_in_week(seed, "ticket", TICKET_HOURS, ids[rows], week)
        inside = created < left[rows]
        rows, created = rows[inside], created[inside]
        ticket = open_tickets(
            current, seed, people, rows, created, week, load[week], now[rows], pilot
        )
        at_intake = shock_at_intake(current, ticket)
        at_reply = shock_at_reply(current, seed, ticket)
        at_resolution = shock_at_resolution(current, ticket)
        arrive(created, rows, at_intake)
        arrive(created + ticket.first_response, rows, at_reply)
        arrive(created + ticket.resolution, rows, at_resolution)
        arrive(ticket.follow_up_at, rows, current.effect_follow_up * ticket.follow_up)
        arrive(ticket.answered_at, rows, shock_of_feedback(current, ticket))
        harm[week + 1, rows] += ticket.severity == 3
        parts.append(replace(ticket, shock=at_intake + at_reply + at_resolution))

    involuntary = np.isfinite(left) & (left == expiry)
    return History(
        people=people,
        load=load,
        experience=experience,
        harm=harm,
        tickets=Tickets.concatenate(parts),
        decided=decided,
        left=left,
        involuntary=involuntary,
        pilot=pilot,
        change=change,
    )


def order_counts(world: World, seed: int, history: History) -> Array:
    """Orders per (week, customer), before the customer's own start and end are applied."""
    people = history.people
    weeks = history.load.size
    week = np.arange(weeks)[:, None]
    loyal = week * WEEK >= people.enrolled
    rate = order_rate(world, people, history.experience[:-1], history.harm[:-1], loyal, week)
    present = (people.signup < week * WEEK) & (history.left > week * WEEK)
    return poisson(rate * present, uniform(seed, "orders", people.id[None, :], week))


def visit_counts(world: World, seed: int, history: History) -> Array:
    """Visits per (week, customer), zero unless the customer was there all week."""
    people = history.people
    week = np.arange(history.load.size)[:, None]
    rate = usage_rate(world, people, history.experience[:-1], history.harm[:-1])
    present = (people.signup < week * WEEK) & (history.left >= (week + 1) * WEEK)
    return poisson(rate * present, uniform(seed, "visits", people.id[None, :], week))
