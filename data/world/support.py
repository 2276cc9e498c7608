"""What support leaves behind: tickets, their steps, messages, calls and quality reviews."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.world import text
from data.world.draws import Array, choice, happens, normal, poisson, uniform
from data.world.parameters import CHANNELS, LANGUAGES, TOPICS
from data.world.process import (
    DAY,
    SENIORS,
    Tickets,
    agent_empathy,
    logistic,
)
from data.world.record import Rows, Scene, constant, label, numbered, row_id, stack

QA_EMPATHY = (68.0, 12.0, 7.0)  # mean score, points per unit of empathy, standard deviation
BACKLOG = (16.0, 22.0, 40.0, 9.0)  # open tickets at average load: chat, phone, mail, social
PILOT = "follow_up_pilot"  # the trial, as outreach.campaign and ticket_events.trial call it
ARMS = ("control", "treatment")


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
    corrected: Array  # the first answer was wrong and is corrected when the customer comes back

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
        corrected=unresolved & happens(seed, "corrected", 0.3, key),
    )


def tickets(scene: Scene, story: Story) -> Rows:
    """One row per ticket; a second one where the customer had to come back with a new ticket."""
    seed, ticket, key = scene.seed, story.ticket, story.key
    people = scene.history.people
    backlog = np.take(BACKLOG, ticket.channel) * np.exp(
        0.9 * ticket.load + 0.12 * normal(seed, "backlog", key)
    )
    errors = poisson(np.exp(-0.5 + 0.6 * (ticket.severity - 1)), uniform(seed, "errors", key))

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
                "queue_backlog": np.round(backlog),
                "prior_errors": errors.astype(float),
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


def agent_facts(seed: int, agent: Array, at: Array) -> tuple[Array, Array]:
    """Days in support and hours of training in the last 90 days, of these agents at these moments.

    Neither does anything to customers.
    """
    hired = -DAY * (60.0 + 1800.0 * uniform(seed, "agent hired", agent) ** 1.5)
    course = np.floor(at / (90 * DAY)).astype(int)
    hours = np.round(16.0 * uniform(seed, "agent training", agent, course) ** 2, 1)
    return np.floor((at - hired) / DAY), hours


def ticket_events(scene: Scene, story: Story) -> Rows:
    """Assignment, reading of the history, escalation, decision, resolution and reopening.

    A ticket of the pilot gets one more decision when it is resolved: the arm it was drawn into,
    whether or not anything is ever sent.
    """
    seed, ticket, key = scene.seed, story.ticket, story.key
    wait = ticket.first_response
    transferred = happens(seed, "transferred", 0.05, key)
    language = ticket.agent // 100 * 100
    first_agent = np.where(
        transferred, language + (uniform(seed, "first agent", key) * 4).astype(int), ticket.agent
    )
    highest = np.where((ticket.severity == 3) & happens(seed, "third tier", 0.3, key), 3, 2)
    tier = np.where(ticket.escalated, highest, 1)
    holder = np.where(ticket.escalated, story.senior, ticket.agent)
    alone = logistic(0.9 - 1.2 * ~ticket.fcr - 3.5 * ticket.escalated)
    handed_over = np.where(
        ticket.repeat_info, 0.0, np.where(happens(seed, "handed over", 0.8, key), 1.0, 0.0)
    )
    unknown = np.full(key.size, np.nan)

    def step(
        kind: str,
        at: Array,
        slot: int,
        agent: Array,
        level: Array | float,
        where: Array | None = None,
        on: Array | int = 0,
        authority: Array = unknown,
        context: Array = unknown,
        drawn: bool = False,
    ) -> Rows:
        rows = np.arange(key.size) if where is None else np.flatnonzero(where)
        tenure, training = agent_facts(seed, agent[rows], at[rows])
        # Nobody decides what is drawn: that step has no agent and no tier.
        nobody = np.full(rows.size, drawn)
        return Rows(
            id=key[rows] * 20 + slot,
            customer=story.customer[rows],
            at=at[rows],
            columns={
                "ticket_id": numbered("T", (key + on)[rows]),
                "kind": constant(kind, rows.size),
                "agent_id": numbered("A", agent[rows], nobody, width=3),
                "tier": np.broadcast_to(np.asarray(level, dtype=float), key.shape)[rows],
                "own_authority": authority[rows],
                "context_passed": context[rows],
                "agent_tenure_days": np.where(nobody, np.nan, tenure),
                "agent_training_hours": np.where(nobody, np.nan, training),
                "trial": constant(PILOT if drawn else None, rows.size),
                "rand_arm": label(ticket.follow_up[rows].astype(int), ARMS, ~nobody),
            },
        )

    taken = ticket.created + wait * np.where(ticket.bot_first, 0.6, 0.4)
    back = story.reopened | story.second
    closing = np.where(back, story.first_done, story.done)
    pending = story.contacted | ticket.repeat_info
    decided = happens(seed, "decision", 0.6, key)
    authority = happens(seed, "own authority", alone, key).astype(float)
    in_trial = ticket.in_pilot & (story.done < scene.seen_leaving()[story.person])
    return stack(
        [
            step("assigned", taken, 0, first_agent, 1),
            step(
                "transferred", ticket.created + 0.75 * wait, 1, ticket.agent, 1, transferred,
                context=handed_over,
            ),
            step("context_viewed", ticket.created + 0.9 * wait, 2, ticket.agent, 1,
                 ticket.personal),
            step("pending_customer", story.between(0.26), 3, holder, tier, pending),
            step("escalated", story.between(0.2), 4, story.senior, tier, ticket.escalated,
                 context=handed_over),
            step("resolved", closing, 5, holder, tier),
            step("reopened", story.again, 6, holder, tier, story.reopened),
            step("resolved", story.done, 7, holder, tier, story.reopened),
            step("assigned", story.between(0.65), 8, holder, tier, story.second, 1),
            step("resolved", story.done, 9, holder, tier, story.second, 1),
            step("decision", story.between(0.3), 10, holder, tier, decided, authority=authority),
            step("decision", story.done + 1 / 60, 11, holder, np.nan, in_trial, drawn=True),
        ]
    )  # fmt: skip


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
    # A translation is no match of language and no mismatch: it does nothing to experience.
    foreign = (language > 0) & ~ticket.language_mismatch
    translated = foreign & happens(seed, "translated", 0.3, key)
    clarifies = ~ticket.fcr & happens(seed, "clarifies", 0.35, key)

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
                    "translated": translated[rows] & (author == "agent") & public,
                    "asks_again": np.full(size, kind == "ask"),
                    "asks_to_clarify": np.full(size, kind == "clarify"),
                    "not_understood": np.full(size, kind == "bot_fallback"),
                    "corrects": np.full(size, kind == "correction"),
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
                tone=text.tone(score),
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
        lost = happens(seed, "not understood", 0.6, key, attempt)
        for kind, where in (("bot_fallback", lost), ("bot_loop", ~lost)):
            say("bot", kind, to_bot + turn * 0.5, 3 + 2 * attempt, ticket.bot_trap & where)
    say("agent", "reply", story.reply, 8, ~clarifies, agent=ticket.agent)
    say("agent", "clarify", story.reply, 8, clarifies, agent=ticket.agent)
    say("agent", "note", story.between(0.2), 9, ticket.escalated, agent=ticket.agent, public=False)
    say("agent", "ask", story.between(0.25), 10, ticket.repeat_info, agent=story.senior)
    say("customer", "answer", story.between(0.3), 11, ticket.repeat_info, mood - 0.5)
    back = story.reopened | story.second | story.contacted
    say("customer", "chase", story.again, 12, back, after - 0.4, on=done)
    holder = np.where(ticket.escalated, story.senior, ticket.agent)
    for kind, where in (("correction", story.corrected), ("second_reply", ~story.corrected)):
        say("agent", kind, story.again_reply, 13, back & where, on=done, agent=holder)
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


def calls(scene: Scene, story: Story) -> Rows:
    """Phone tickets: a first call that may be given up, then the call in which an agent answers.

    Whoever is answered within a quarter of an hour waited in the queue; the others are called back.
    """
    seed, ticket, key = scene.seed, story.ticket, story.key
    phone = ticket.channel == CHANNELS.index("phone")
    at_once = ticket.first_response <= 0.25
    gave_up = phone & ~at_once & happens(seed, "gave up", 0.2, key)
    patience = np.minimum(240.0 * np.exp(0.7 * normal(seed, "patience", key)), 890.0)
    ringing = np.where(at_once, ticket.first_response * 3600.0, 15.0 + 30.0 * patience / 890.0)
    talk = 260.0 * np.exp(
        0.25 * (ticket.severity - 1) + 0.3 * ~ticket.fcr + 0.5 * normal(seed, "talk", key)
    )
    hold = np.where(happens(seed, "held", 0.3, key), 0.4 * talk * uniform(seed, "hold", key), 0.0)
    wrap = 70.0 * np.exp(0.5 * normal(seed, "wrap", key))
    nobody = np.full(key.size, np.nan)

    def call(slot: int, at: Array, where: Array, wait: Array, given_up: bool) -> Rows:
        spoken = [nobody] * 3 if given_up else [talk, hold, wrap]
        lengths = dict(zip(("talk_seconds", "hold_seconds", "wrap_seconds"), spoken, strict=True))
        return Rows(
            id=key * 10 + slot,
            customer=story.customer,
            at=at,
            columns={
                "ticket_id": numbered("T", key),
                "wait_seconds": np.round(wait),
                **{name: np.round(length) for name, length in lengths.items()},
                "abandoned": np.full(key.size, given_up),
                "agent_id": numbered("A", ticket.agent, np.full(key.size, given_up), width=3),
            },
        ).keep(where)

    answered_at = np.where(at_once, ticket.created, story.reply - ringing / 3600.0)
    return stack(
        [
            call(0, ticket.created, gave_up, patience, given_up=True),
            call(1, answered_at, phone & (answered_at < story.left), ringing, given_up=False),
        ]
    )


def qa_empathy_mean(empathy: Array) -> Array:
    """Mean review score of agents of this empathy."""
    return QA_EMPATHY[0] + QA_EMPATHY[1] * empathy


def qa_reviews(scene: Scene, story: Story) -> Rows:
    """One ticket in ten is reviewed, difficult ones more often; scores from 0 to 100.

    This is the only place where an agent's empathy is measured.
    """
    seed, ticket, key = scene.seed, story.ticket, story.key
    chance = logistic(-2.5 + 0.5 * ticket.escalated + 0.3 * (ticket.severity - 1))
    reviewed = np.flatnonzero(happens(seed, "reviewed", chance, key))
    ticket, key = ticket.at(reviewed), key[reviewed]
    day = happens(seed, "good day", 0.5, key)  # a good day shows in every soft skill

    def score(name: str, middle: Array | float, spread: float = 9.0) -> Array:
        return np.clip(np.round(middle + 4.0 * day + spread * normal(seed, f"qa {name}", key)),
                       0, 100)  # fmt: skip

    empathy = agent_empathy(seed, ticket.agent)
    return Rows(
        id=key,
        customer=story.customer[reviewed],
        at=story.done[reviewed] + (2 + 4 * uniform(seed, "review day", key)) * DAY,
        columns={
            "ticket_id": numbered("T", key),
            "agent_id": numbered("A", ticket.agent, width=3),
            "empathy": score("empathy", qa_empathy_mean(empathy) - 2.0, QA_EMPATHY[2]),
            "listening": score("listening", 70.0 + 3.0 * empathy - 5.0 * ~ticket.fcr),
            "clarity": score("clarity", 74.0),
            "accuracy": score("accuracy", 84.0 - 22.0 * story.corrected[reviewed]),
            "tone": score("tone", 76.0 + 2.0 * empathy),
            "language": score("language", np.where(ticket.language_mismatch, 45.0, 86.0)),
        },
    )
