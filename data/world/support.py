"""What support leaves behind: tickets, their steps, messages, surveys, outreach, self-service."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data.world import text
from data.world.commerce import SUPPLIES, Orders
from data.world.draws import Array, choice, happens, normal, uniform
from data.world.parameters import CHANNELS, LANGUAGES, TOPICS
from data.world.process import (
    DAY,
    ORDER_HOURS,
    SENIORS,
    WEEK,
    Tickets,
    agent_empathy,
    logistic,
    moment_in_week,
    offer_chance,
)
from data.world.record import Rows, Scene, constant, label, numbered, row_id, stack

SELF_SERVICE = ("faq", "video", "manual", "community", "troubleshooter")


@dataclass(frozen=True)
class Story:
    """The moments and identifiers of every issue, one entry each."""

    ticket: Tickets
    person: Array
    customer: Array
    key: Array
    left: Array
    reply: Array
    done: Array
    reopened: Array
    second: Array
    contacted: Array
    again: Array
    again_reply: Array
    first_done: Array
    senior: Array

    def between(self, share: float) -> Array:
        """The moment at this share of the way from first reply to resolution."""
        return self.reply + share * (self.done - self.reply)


def tell(scene: Scene) -> Story:
    """Work out how each issue went: FCR = 0 shows as reopening, second ticket or new contact."""
    history, seed = scene.history, scene.seed
    ticket = history.tickets
    customer = history.people.id[ticket.person]
    key = row_id(customer, ticket.week, 0)
    left = history.left[ticket.person]
    reply = ticket.created + ticket.first_response
    done = ticket.created + ticket.resolution
    again = reply + 0.6 * (done - reply)
    mode = choice(seed, "unresolved how", (0.55, 0.25, 0.20), key)
    unresolved = ~ticket.fcr & (again < left)
    return Story(
        ticket=ticket,
        person=ticket.person,
        customer=customer,
        key=key,
        left=left,
        reply=reply,
        done=done,
        reopened=unresolved & (mode == 0),
        second=unresolved & (mode == 1),
        contacted=unresolved & (mode == 2),
        again=again,
        again_reply=reply + 0.75 * (done - reply),
        first_done=reply + 0.35 * (done - reply),
        senior=900 + (uniform(seed, "senior", key) * SENIORS).astype(int),
    )


def tickets(scene: Scene, story: Story) -> Rows:
    """One row per ticket; a second one where the customer had to come back with a new ticket."""
    seed, ticket, key = scene.seed, story.ticket, story.key
    people = scene.history.people

    def rows(identity: Array, at: Array, topic: Array, version: int, recorded: Array) -> Rows:
        return Rows(
            id=identity,
            customer=story.customer,
            at=at,
            columns={
                "ticket_id": numbered("T", identity),
                "topic": label(topic, TOPICS),
                "severity": np.where(
                    scene.world.severity_recorded, ticket.severity.astype(float), np.nan
                ),
                "channel": label(ticket.channel, CHANNELS),
                "language": label(
                    people.language[story.person],
                    LANGUAGES,
                    happens(seed, "no ticket language", 0.02, key),
                ),
                "product_id": numbered(
                    "P", ticket.product + 1, happens(seed, "no product", 0.1, key), width=2
                ),
            },
            version=version,
            recorded=recorded,
        )

    other = choice(seed, "corrected topic", (1,) * len(TOPICS), key)
    fixed_at = ticket.created + 30.0 * uniform(seed, "topic fixed", key)
    corrected = happens(seed, "topic corrected", 0.01, key)
    miscoded = np.where(corrected, other, ticket.topic)
    return stack(
        [
            rows(key, ticket.created, miscoded, 1, ticket.created),
            rows(key, ticket.created, ticket.topic, 2, fixed_at).keep(corrected),
            rows(key + 1, story.again, ticket.topic, 1, story.again).keep(story.second),
        ]
    )


def ticket_events(scene: Scene, story: Story) -> Rows:
    """Assignment, reading of the history, escalation, resolution and reopening."""
    seed, ticket, key = scene.seed, story.ticket, story.key
    wait = ticket.first_response
    transferred = happens(seed, "transferred", 0.05, key)
    language = ticket.agent // 100 * 100
    first_agent = np.where(
        transferred, language + (uniform(seed, "first agent", key) * 4).astype(int), ticket.agent
    )
    tier = np.where(ticket.escalated, 2, 1)
    holder = np.where(ticket.escalated, story.senior, ticket.agent)

    def step(
        kind: str, at: Array, slot: int, agent: Array, level: Array | int, on: Array | int = 0
    ) -> Rows:
        return Rows(
            id=key * 20 + slot,
            customer=story.customer,
            at=at,
            columns={
                "ticket_id": numbered("T", key + on),
                "kind": constant(kind, key.size),
                "agent_id": numbered("A", agent, width=3),
                "tier": np.broadcast_to(np.asarray(level), key.shape).astype(float),
            },
        )

    taken = ticket.created + wait * np.where(ticket.bot_first, 0.6, 0.4)
    back = story.reopened | story.second
    closing = np.where(back, story.first_done, story.done)
    pending = story.contacted | ticket.repeat_info
    return stack(
        [
            step("assigned", taken, 0, first_agent, 1),
            step("transferred", ticket.created + 0.75 * wait, 1, ticket.agent, 1).keep(transferred),
            step("context_viewed", ticket.created + 0.9 * wait, 2, ticket.agent, 1).keep(
                ticket.personal
            ),
            step("pending_customer", story.between(0.26), 3, holder, tier).keep(pending),
            step("escalated", story.between(0.2), 4, story.senior, 2).keep(ticket.escalated),
            step("resolved", closing, 5, holder, tier),
            step("reopened", story.again, 6, holder, tier).keep(story.reopened),
            step("resolved", story.done, 7, holder, tier).keep(story.reopened),
            step("assigned", story.between(0.65), 8, holder, tier, 1).keep(story.second),
            step("resolved", story.done, 9, holder, tier, 1).keep(story.second),
        ]
    )


def messages(scene: Scene, story: Story) -> Rows:
    """Everything written on the tickets; bots answer at once but only people count as a reply."""
    seed, ticket, key = scene.seed, story.ticket, story.key
    people = scene.history.people
    language = people.language[story.person]
    agent_language = np.where(ticket.language_mismatch, 0, language)
    wait = ticket.first_response
    turn = np.minimum(wait, 1.0) * 0.12
    empathy = agent_empathy(seed, ticket.agent)
    mood = ticket.experience
    after = mood + ticket.shock
    opening = 0.9 * mood - 0.4 * (ticket.severity - 1.5) - 0.25
    done = np.where(story.second, 1, 0)
    thanks_at = story.done + 0.1 + 3.0 * uniform(seed, "thanks at", key)
    thanks = happens(seed, "thanks", np.where(ticket.fcr, 0.38, 0.22), key)
    everywhere = np.ones(key.size, bool)

    parts: list[Rows] = []
    lines: list[text.Lines] = []

    def say(
        author: str,
        kind: str,
        at: Array,
        slot: int,
        where: Array,
        tone: Array | float = 0.0,
        on: Array | int = 0,
        agent: Array | None = None,
        public: bool = True,
    ) -> None:
        by_customer = author == "customer"
        rows = np.flatnonzero(where & (at < story.left) if by_customer else where)
        size = rows.size
        identity = key[rows] * 20 + slot
        spoken = (language if by_customer or author == "bot" else agent_language)[rows]
        noise = 0.7 * normal(seed, "tone", identity) if by_customer else 0.0
        score = np.broadcast_to(np.asarray(tone, dtype=float), key.shape)[rows] + noise
        who = np.zeros(size, int) if agent is None else agent[rows]
        parts.append(
            Rows(
                id=identity,
                customer=story.customer[rows],
                at=at[rows],
                columns={
                    "ticket_id": numbered("T", (key + on)[rows]),
                    "author": constant(author, size),
                    "is_public": np.full(size, public),
                    "language": label(spoken, LANGUAGES),
                    "agent_id": numbered(
                        "B" if author == "bot" else "A", who, np.full(size, by_customer), width=3
                    ),
                },
            )
        )
        lines.append(
            text.Lines(
                id=identity,
                kind=np.full(size, text.KINDS.index(kind)),
                language=spoken,
                topic=ticket.topic[rows],
                product=ticket.product[rows],
                tone=np.searchsorted((-1.0, -0.35, 0.45, 1.1), score),
                polite=people.polite[story.person[rows]].astype(int),
                severe=(ticket.severity[rows] > 1).astype(int),
                empathic=(empathy[rows] + normal(seed, "empathic", identity) > 0.3).astype(int),
                personal=ticket.personal[rows].astype(int),
                solved=ticket.fcr[rows].astype(int),
            )
        )

    seconds = 1 / 3600.0
    say("customer", "request", ticket.created, 0, everywhere, opening)
    acknowledged = ticket.created + np.minimum(
        (5 + 50 * uniform(seed, "ack", key)) * seconds, 0.5 * wait
    )
    say("bot", "bot_ack", acknowledged, 1, ticket.bot_first)
    for attempt in range(3):
        to_bot = ticket.created + turn * (2 * attempt + 1)
        say("customer", "to_bot", to_bot, 2 + 2 * attempt, ticket.bot_trap, opening - 0.2 * attempt)
        say("bot", "bot_loop", to_bot + turn * 0.5, 3 + 2 * attempt, ticket.bot_trap)
    say("agent", "reply", story.reply, 8, everywhere, agent=ticket.agent)
    say("agent", "note", story.between(0.2), 9, ticket.escalated, agent=ticket.agent, public=False)
    say("agent", "ask", story.between(0.25), 10, ticket.repeat_info, agent=story.senior)
    say("customer", "answer", story.between(0.3), 11, ticket.repeat_info, mood - 0.5)
    back = story.reopened | story.second | story.contacted
    say("customer", "chase", story.again, 12, back, after - 0.4, on=done)
    holder = np.where(ticket.escalated, story.senior, ticket.agent)
    say("agent", "second_reply", story.again_reply, 13, back, on=done, agent=holder)
    say("customer", "thanks", thanks_at, 14, thanks, mood + 1.6 * ticket.shock + 1.0, on=done)

    rows = stack(parts)
    script = text.Lines.concatenate(lines)
    written = text.compose(seed, script)
    return Rows(
        id=rows.id,
        customer=rows.customer,
        at=rows.at,
        columns=rows.columns | {"text": written},
    )


def surveys(scene: Scene, story: Story) -> Rows:
    """CSAT and CES after tickets, NPS every quarter; whether people answer depends on S."""
    seed, ticket, key, world = scene.seed, story.ticket, story.key, scene.world
    people, history = scene.history.people, scene.history
    japanese = people.language == 0
    after = ticket.experience + ticket.shock
    sent_at = story.done + 0.5 + uniform(seed, "survey delay", key)
    seen_leaving = scene.seen_leaving()
    reachable = sent_at < seen_leaving[story.person]
    severe = ticket.severity == 3

    def compress(value: Array, middle: float, person: Array) -> Array:
        pulled = middle + world.japanese_compression * (value - middle)
        return np.where(japanese[person], pulled, value)

    satisfaction = (
        world.csat_base
        + world.csat_experience * after
        + world.csat_noise * normal(seed, "csat", key)
    )
    satisfaction = np.clip(np.round(compress(satisfaction, 3.0, story.person)), 1, 5)
    ease = (
        world.ces_base
        - 1.2 * ~ticket.fcr
        - 0.6 * ticket.escalated
        - 0.5 * ticket.bot_trap
        - 0.4 * ticket.repeat_info
        + 0.4 * ticket.experience
        + world.ces_noise * normal(seed, "ces", key)
    )
    ease = np.clip(np.round(compress(ease, 4.0, story.person)), 1, 7)
    csat = _survey(
        scene, "csat", key * 10, story.person, sent_at, 1.0, 5.0, satisfaction, after, severe,
        "support", numbered("T", key),
    )  # fmt: skip
    ces = _survey(
        scene, "ces", key * 10 + 3, story.person, sent_at + 0.02, 1.0, 7.0, ease, after, severe,
        "support", numbered("T", key),
    )  # fmt: skip
    asked_csat = reachable & happens(seed, "csat sent", 0.8, key)
    asked_ces = reachable & happens(seed, "ces sent", 0.3, key)

    week = np.arange(history.load.size)[:, None]
    turn = (week - (uniform(seed, "nps turn", people.id) * 13).astype(int)[None, :]) % 13 == 0
    due = (
        turn
        & scene.opted_in()
        & (people.signup < (week - 8) * WEEK)
        & (seen_leaving > (week + 1) * WEEK)
    )
    person, quarter = np.nonzero(due.T)
    feeling = history.experience[quarter, person]
    identity = row_id(people.id[person], quarter, 0)
    loyal = people.enrolled[person] < quarter * WEEK
    likely = world.nps_base + world.nps_experience * feeling + 0.3 * loyal
    likely += world.nps_noise * normal(seed, "nps", identity)
    likely = np.clip(np.round(compress(likely, 5.5, person)), 0, 10)
    moment = quarter * WEEK + 2 * DAY + 10 + uniform(seed, "nps moment", identity)
    no_ticket = numbered("T", identity, np.ones(person.size, bool))
    never = np.zeros(person.size, bool)
    nps = _survey(
        scene, "nps", identity * 10 + 6, person, moment, 0.0, 10.0, likely, feeling, never,
        "relationship", no_ticket,
    )  # fmt: skip
    return stack(
        [step.keep(asked_csat[mask]) for step, mask in csat]
        + [step.keep(asked_ces[mask]) for step, mask in ces]
        + [step for step, _ in nps]
    )


def _survey(
    scene: Scene,
    kind: str,
    identity: Array,
    person: Array,
    sent_at: Array,
    low: float,
    high: float,
    value: Array,
    feeling: Array,
    severe: Array,
    touchpoint: str,
    ticket_id: pa.Array,
) -> list[tuple[Rows, Array]]:
    """Sent, answered and expired rows, each with the positions they come from."""
    seed, left = scene.seed, scene.history.left[person]
    base, angry, happy, harmed = scene.world.csat_response
    chance = logistic(base + angry * (feeling < -0.6) + happy * (feeling > 0) + harmed * severe)
    answer_at = sent_at + np.exp(1.8 + 1.1 * normal(seed, "answer delay", identity))
    limit = sent_at + 14 * DAY
    answers = happens(seed, "answers", chance, identity) & (answer_at < np.minimum(left, limit))

    def step(action: str, at: Array, slot: int, answer: Array, where: Array) -> tuple[Rows, Array]:
        rows = Rows(
            id=identity + slot,
            customer=scene.history.people.id[person],
            at=at,
            columns={
                "survey_id": numbered("V", identity),
                "kind": constant(kind, identity.size),
                "action": constant(action, identity.size),
                "scale_min": np.full(identity.size, low),
                "scale_max": np.full(identity.size, high),
                "value": answer,
                "touchpoint": constant(touchpoint, identity.size),
                "ticket_id": ticket_id,
            },
        )
        return rows.keep(where), np.flatnonzero(where)

    nothing = np.full(identity.size, np.nan)
    return [
        step("sent", sent_at, 0, nothing, np.ones(identity.size, bool)),
        step("answered", answer_at, 1, value, answers),
        step("expired", limit, 2, nothing, ~answers),
    ]


def outreach(scene: Scene, story: Story, placed: Orders) -> Rows:
    """Follow-ups (a fair coin in the pilot), offers, sale notices, thank-you and help notes."""
    history = scene.history
    people, ticket, key = history.people, story.ticket, story.key
    # The company cannot see that a customer without a contract has gone, and writes anyway.
    seen_leaving = scene.seen_leaving()
    follow_up = Rows(
        id=key * 10,
        customer=story.customer,
        at=ticket.follow_up_at,
        columns={
            "kind": constant("follow_up", key.size),
            "ticket_id": numbered("T", key),
            "campaign": label(np.zeros(key.size, int), ("follow_up_pilot",), ~ticket.in_pilot),
            "arm": label(np.zeros(key.size, int), ("treatment",), ~ticket.in_pilot),
        },
    ).keep(ticket.follow_up & (ticket.follow_up_at < seen_leaving[story.person]))

    week = np.arange(history.load.size)[:, None]
    reachable = reachable_weeks(scene)
    person, moment, identity = personal_offers(scene, reachable)
    offers = _outreach(scene, person, moment, "personal_offer", identity)

    sale = (week % 13 == 5) & reachable
    person, when = np.nonzero(sale.T)
    identity = row_id(people.id[person], when, 0) * 10 + 5
    notices = _outreach(scene, person, when * WEEK + 3 * DAY + 11.0, "sale_notice", identity)
    return stack([follow_up, offers, notices, *_purchase_notes(scene, placed)])


def reachable_weeks(scene: Scene) -> Array:
    """(weeks, customers): may be written to and, as far as the company sees, there all week."""
    week = np.arange(scene.history.load.size)[:, None]
    signup = scene.history.people.signup
    return scene.opted_in() & (signup < week * WEEK) & (scene.seen_leaving() > (week + 1) * WEEK)


def personal_offers(scene: Scene, reachable: Array) -> tuple[Array, Array, Array]:
    """Customer (row), moment (hours) and identifier of every personal offer."""
    people, seed = scene.history.people, scene.seed
    week = np.arange(reachable.shape[0])[:, None]
    chance = offer_chance(scene.world, people)
    offered = reachable & (uniform(seed, "offer", people.id[None, :], week) < chance)
    person, when = np.nonzero(offered.T)
    identity = row_id(people.id[person], when, 0) * 10 + 4
    moment = when * WEEK + moment_in_week(seed, "offer", ORDER_HOURS, identity, 0)
    return person, moment, identity


def _outreach(scene: Scene, person: Array, at: Array, kind: str, identity: Array) -> Rows:
    size = person.size
    return Rows(
        id=identity,
        customer=scene.history.people.id[person],
        at=at,
        columns={
            "kind": constant(kind, size),
            "ticket_id": constant(None, size).dictionary_decode(),
            "campaign": constant(None, size),
            "arm": constant(None, size),
        },
    )


def _purchase_notes(scene: Scene, placed: Orders) -> list[Rows]:
    seed, people = scene.seed, scene.history.people
    kept = placed.at_rows(~placed.cancelled)
    person, key = kept.person, kept.key
    left = scene.seen_leaving()[person]
    thanks_at = kept.at + (2 + 3 * uniform(seed, "thank-you day", key)) * DAY
    help_at = kept.at + (5 + 4 * uniform(seed, "help day", key)) * DAY
    defective = people.defect[person] & (kept.category != SUPPLIES)
    thanked = happens(seed, "thank you", 0.08 + 0.10 * people.premium[person], key)
    helped = happens(seed, "help", np.where(defective, 0.15, 0.03), key)
    thanks = _outreach(scene, person, thanks_at, "thank_you", key * 10 + 1)
    advice = _outreach(scene, person, help_at, "proactive_help", key * 10 + 2)
    return [thanks.keep(thanked & (thanks_at < left)), advice.keep(helped & (help_at < left))]


def selfservice(scene: Scene, story: Story) -> Rows:
    """Articles read on quiet days, and those read shortly before asking a person."""
    seed, history = scene.seed, scene.history
    people = history.people
    week = np.arange(history.load.size)[:, None]
    present = (people.signup < week * WEEK) & (history.left > (week + 1) * WEEK)
    reads = present & (uniform(seed, "reads", people.id[None, :], week) < 0.04)
    person, when = np.nonzero(reads.T)
    identity = row_id(people.id[person], when, 1)
    quiet = when * WEEK + moment_in_week(seed, "reading", ORDER_HOURS, identity, 0)
    before = story.ticket.created - 0.2 - 5.0 * uniform(seed, "read before", story.key)
    tried = happens(seed, "tries alone", 0.3, story.key)
    tried &= before > people.signup[story.person]
    parts = [
        (identity, people.id[person], quiet, np.ones(identity.size, bool)),
        (story.key, story.customer, before, tried),
    ]

    def rows(key: Array, customer: Array, at: Array, where: Array) -> Rows:
        article = (uniform(seed, "article", key) ** 2 * 60).astype(int) + 1
        kind = choice(seed, "article kind", (45, 15, 20, 8, 12), key)
        return Rows(
            id=key,
            customer=customer,
            at=at,
            columns={"kind": label(kind, SELF_SERVICE), "article_id": numbered("H", article)},
        ).keep(where)

    return stack([rows(*part) for part in parts])
