"""What customers say when asked or in public: surveys, reviews, mentions, referrals, feedback."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.world import text
from data.world.commerce import SUPPLIES, Orders
from data.world.draws import Array, choice, happens, normal, uniform
from data.world.parameters import TOPICS
from data.world.process import DAY, ORDER_HOURS, WEEK, logistic, moment_in_week
from data.world.record import Rows, Scene, constant, label, numbered, row_id, stack
from data.world.support import Story

MODES = ("online", "phone", "paper", "interview")
MODE_SHARE = (0.78, 0.12, 0.06, 0.04)
PLATFORMS = ("x", "instagram", "youtube", "blog")
INCENTED = 0.15  # share of surveys with a promise
INCENTIVE = 0.3  # and what it adds to the log-odds of an answer
COMMENTED = 0.2  # share of answers


@dataclass(frozen=True)
class _Asked:
    """Surveys of one kind, one entry each; moments in hours, feeling on the scale of experience."""

    kind: str
    id: Array
    person: Array  # row of People
    sent_at: Array
    low: float
    high: float
    value: Array  # the answer they would give, before it is rounded to the scale
    feeling: Array
    severe: Array
    topic: Array
    product: Array
    touchpoint: str
    ticket: Array | None = None

    def keep(self, mask: Array) -> _Asked:
        """The surveys for which `mask` is true."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return _Asked(**{n: v[mask] if isinstance(v, np.ndarray) else v for n, v in parts.items()})


def surveys(scene: Scene, story: Story, placed: Orders) -> Rows:
    """CSAT, CES and intent after tickets, CSAT after orders, NPS and trust every quarter.

    Whether people answer depends on how they feel: answers are missing not at random.
    """
    asked = [*_after_tickets(scene, story), _after_orders(scene, placed), *_quarterly(scene)]
    return stack([rows for part in asked for rows in _steps(scene, part)])


def _after_tickets(scene: Scene, story: Story) -> list[_Asked]:
    seed, ticket, key, world = scene.seed, story.ticket, story.key, scene.world
    after = ticket.experience + ticket.shock
    sent_at = story.done + 0.5 + uniform(seed, "survey delay", key)
    reachable = sent_at < scene.seen_leaving()[story.person]

    def about(
        kind: str, slot: int, delay: float, high: float, share: float, value: Array
    ) -> _Asked:
        asked = _Asked(
            kind, key * 40 + slot, story.person, sent_at + delay, 1.0, high, value, after,
            ticket.severity == 3, ticket.topic, ticket.product, "support", key,
        )  # fmt: skip
        return asked.keep(reachable & happens(seed, f"{kind} sent", share, key))

    satisfaction = (
        world.csat_base
        + world.csat_experience * after
        + world.csat_noise * normal(seed, "csat", key)
    )
    ease = (
        world.ces_base
        - 1.2 * ~ticket.fcr
        - 0.6 * ticket.escalated
        - 0.5 * ticket.bot_trap
        - 0.4 * ticket.repeat_info
        + 0.4 * ticket.experience
        + world.ces_noise * normal(seed, "ces", key)
    )
    intent = 3.7 + 0.9 * after + 0.9 * normal(seed, "intent", key)
    return [
        about("csat", 0, 0.0, 5.0, 0.8, satisfaction),
        about("ces", 3, 0.02, 7.0, 0.3, ease),
        about("intent", 6, 0.03, 5.0, 0.15, intent),
    ]


def _after_orders(scene: Scene, placed: Orders) -> _Asked:
    seed, world = scene.seed, scene.world
    chosen = ~placed.cancelled & happens(seed, "purchase survey", 0.06, placed.key)
    sent_at = placed.delivered_at + 1.5 * DAY
    bought = placed.at_rows(chosen & (sent_at < scene.seen_leaving()[placed.person]))
    sent_at = bought.delivered_at + 1.5 * DAY
    feeling = experience_at(scene, bought.person, sent_at)
    value = 4.0 + 0.6 * world.csat_experience * feeling
    value += world.csat_noise * normal(seed, "purchase csat", bought.key)
    return _Asked(
        "csat", bought.key * 40 + 9, bought.person, sent_at, 1.0, 5.0, value, feeling,
        np.zeros(bought.key.size, bool), np.zeros(bought.key.size, int), bought.product % 12,
        "purchase",
    )  # fmt: skip


def _quarterly(scene: Scene) -> list[_Asked]:
    seed, history, world = scene.seed, scene.history, scene.world
    people = history.people
    week = np.arange(history.load.size)[:, None]
    turn = (week - (uniform(seed, "nps turn", people.id) * 13).astype(int)[None, :]) % 13 == 0
    due = (
        turn
        & scene.opted_in()
        & (people.signup < (week - 8) * WEEK)
        & (scene.seen_leaving() > (week + 1) * WEEK)
    )
    person, quarter = np.nonzero(due.T)
    feeling = history.experience[quarter, person]
    key = row_id(people.id[person], quarter, 0)
    loyal = people.enrolled[person] < quarter * WEEK
    likely = world.nps_base + world.nps_experience * feeling + 0.3 * loyal
    likely += world.nps_noise * normal(seed, "nps", key)
    trust = 4.8 + 1.3 * feeling + 1.1 * normal(seed, "trust", key)
    moment = quarter * WEEK + 2 * DAY + 10 + uniform(seed, "nps moment", key)
    nothing = np.zeros(person.size, int)

    def about(kind: str, slot: int, low: float, high: float, value: Array) -> _Asked:
        return _Asked(
            kind, key * 40 + slot, person, moment + 0.001 * slot, low, high, value, feeling,
            nothing == 1, nothing, nothing, "relationship",
        )  # fmt: skip

    return [
        about("nps", 12, 0.0, 10.0, likely),
        about("trust", 15, 1.0, 7.0, trust).keep(happens(seed, "trust sent", 0.2, key)),
    ]


def _steps(scene: Scene, asked: _Asked) -> list[Rows]:
    """Sent, then answered (sometimes with a comment) or expired after two weeks."""
    seed, world = scene.seed, scene.world
    people, left = scene.history.people, scene.history.left[asked.person]
    japanese = people.language[asked.person] == 0
    middle = (asked.low + asked.high) / 2.0 + (0.5 if asked.high == 10.0 else 0.0)
    pulled = middle + world.japanese_compression * (asked.value - middle)
    value = np.clip(np.round(np.where(japanese, pulled, asked.value)), asked.low, asked.high)
    base, angry, happy, harmed = world.csat_response
    incented = happens(seed, "incented", INCENTED, asked.id)
    chance = logistic(
        base
        + angry * (asked.feeling < -0.6)
        + happy * (asked.feeling > 0)
        + harmed * asked.severe
        + INCENTIVE * (incented - INCENTED)
    )
    answer_at = asked.sent_at + np.exp(1.8 + 1.1 * normal(seed, "answer delay", asked.id))
    limit = asked.sent_at + 14 * DAY
    answers = happens(seed, "answers", chance, asked.id) & (answer_at < np.minimum(left, limit))
    mode = choice(seed, "survey mode", MODE_SHARE, asked.id)

    def step(action: str, at: Array, slot: int, where: Array, replied: bool = False) -> Rows:
        rows = np.flatnonzero(where)
        size = rows.size
        comment = (
            _comments(scene, asked, rows, value[rows]) if replied else pa.nulls(size, pa.string())
        )
        return Rows(
            id=asked.id[rows] + slot,
            customer=people.id[asked.person[rows]],
            at=at[rows],
            columns={
                "survey_id": numbered("V", asked.id[rows]),
                "kind": constant(asked.kind, size),
                "action": constant(action, size),
                "scale_min": np.full(size, asked.low),
                "scale_max": np.full(size, asked.high),
                "value": value[rows] if replied else np.full(size, np.nan),
                "touchpoint": constant(asked.touchpoint, size),
                "ticket_id": (
                    pa.nulls(size, pa.string())
                    if asked.ticket is None
                    else numbered("T", asked.ticket[rows])
                ),
                "mode": label(mode[rows], MODES),
                "incented": incented[rows],
                "comment": comment,
            },
        )

    return [
        step("sent", asked.sent_at, 0, np.ones(asked.id.size, bool)),
        step("answered", answer_at, 1, answers, replied=True),
        step("expired", limit, 2, ~answers),
    ]


def _comments(scene: Scene, asked: _Asked, rows: Array, value: Array) -> pa.Array:
    """Free text for a fifth of the answers, null for the others; its tone follows the answer."""
    seed, people = scene.seed, scene.history.people
    key, person = asked.id[rows], asked.person[rows]
    wrote = np.flatnonzero(happens(seed, "comments", COMMENTED, key))
    key, person, about = key[wrote], person[wrote], rows[wrote]
    score = (value[wrote] - asked.low) / (asked.high - asked.low)
    score = 3.4 * (score - 0.52) + 0.7 * normal(seed, "comment tone", key)
    nothing = np.zeros(wrote.size, int)
    written = text.compose(
        seed,
        text.Lines(
            id=key,
            kind=np.full(wrote.size, text.KINDS.index("comment")),
            language=people.language[person],
            topic=asked.topic[about],
            product=asked.product[about],
            tone=text.tone(score),
            polite=people.polite[person].astype(int),
            severe=nothing,
            empathic=nothing,
            personal=nothing,
            solved=nothing,
        ),
    )
    written = pc.if_else(pc.equal(written, ""), None, written)
    position = np.zeros(rows.size, int)
    position[wrote] = np.arange(wrote.size)
    silent = np.ones(rows.size, bool)
    silent[wrote] = False
    return written.take(pa.array(position, mask=silent))


def experience_at(scene: Scene, person: Array, at: Array) -> Array:
    """Experience of these customers (rows of People) at the start of the week of each moment."""
    experience = scene.history.experience
    return experience[np.clip(at // WEEK, 0, len(experience) - 1).astype(int), person]


def reviews(scene: Scene, placed: Orders) -> Rows:
    """Four orders in a hundred are reviewed in public; the company answers nearly half of them."""
    seed, history = scene.seed, scene.history
    key = placed.key
    posted_at = placed.delivered_at + (3 + 12 * uniform(seed, "review after", key)) * DAY
    posted = happens(seed, "review", 0.04, key) & ~placed.cancelled
    posted &= posted_at < np.minimum(history.left[placed.person], scene.period)
    bought, posted_at = placed.at_rows(posted), posted_at[posted]
    key, person = bought.key, bought.person
    feeling = experience_at(scene, person, posted_at)
    defective = history.people.defect[person] & (bought.category != SUPPLIES)
    rating = 4.0 + 0.8 * feeling - 0.7 * defective + 0.9 * normal(seed, "rating", key)
    answered_at = posted_at + np.exp(3.6 + 0.9 * normal(seed, "review answer", key))

    def step(action: str, at: Array, slot: int) -> Rows:
        return Rows(
            id=key * 2 + slot,
            customer=history.people.id[person],
            at=at,
            columns={
                "review_id": numbered("W", key),
                "action": constant(action, key.size),
                "rating": np.clip(np.round(rating), 1, 5),
                "product_id": numbered("P", bought.product + 1, width=2),
            },
        )

    answered = happens(seed, "review answered", 0.45, key)
    return stack([step("posted", posted_at, 0), step("answered", answered_at, 1).keep(answered)])


def _now_and_then(
    scene: Scene, purpose: str, chance: Array | float
) -> tuple[Array, Array, Array, Array]:
    """Customer (row), week, key and moment of what customers rarely do in weeks they are there."""
    history, seed = scene.history, scene.seed
    people = history.people
    week = np.arange(history.load.size)[:, None]
    there = (people.signup < week * WEEK) & (history.left > (week + 1) * WEEK)
    does = there & (uniform(seed, purpose, people.id[None, :], week) < chance)
    person, when = np.nonzero(does.T)
    key = row_id(people.id[person], when, 0)
    at = when * WEEK + moment_in_week(seed, purpose, ORDER_HOURS, key, 0)
    return person, when, key, at


def social_mentions(scene: Scene) -> Rows:
    """Rare public mentions that could be matched to a customer."""
    seed, history = scene.seed, scene.history
    person, week, key, at = _now_and_then(scene, "mention", 0.0015)
    feeling = history.experience[week, person]
    tone = np.clip(0.1 + 0.5 * feeling + 0.5 * normal(seed, "mention tone", key), -1, 1)
    return Rows(
        id=key,
        customer=history.people.id[person],
        at=at,
        columns={
            "platform": label(choice(seed, "platform", (45, 30, 10, 15), key), PLATFORMS),
            "tone": np.round(tone, 2),
        },
    )


def referrals(scene: Scene) -> Rows:
    """Content customers recommend the company; a third of the friends buy within six weeks."""
    seed, history = scene.seed, scene.history
    chance = 0.0018 * np.exp(0.6 * history.experience[:-1])
    person, _, key, at = _now_and_then(scene, "referral", chance)

    def step(action: str, when: Array, slot: int) -> Rows:
        return Rows(
            id=key * 2 + slot,
            customer=history.people.id[person],
            at=when,
            columns={
                "referral_id": numbered("F", key),
                "action": constant(action, key.size),
            },
        )

    converted_at = at + (3 + 37 * uniform(seed, "conversion day", key)) * DAY
    converted = happens(seed, "converted", 0.35, key)
    return stack([step("made", at, 0), step("converted", converted_at, 1).keep(converted)])


def feedback(scene: Scene, story: Story) -> Rows:
    """Given after a ticket, then acted on or declined; of what was acted on most are told."""
    seed, ticket, key = scene.seed, story.ticket, story.key
    given = ticket.feedback & (ticket.feedback_at < story.left)
    answered = given & (ticket.answered_at < scene.seen_leaving()[story.person])
    acted = answered & ticket.acted_on
    attends = given & happens(seed, "session", 0.12, key)
    session_at = ticket.feedback_at + (2 + 4 * uniform(seed, "session day", key)) * DAY

    def step(action: str, at: Array, slot: int, where: Array) -> Rows:
        rows = np.flatnonzero(where)
        return Rows(
            id=key[rows] * 10 + slot,
            customer=story.customer[rows],
            at=at[rows],
            columns={
                "feedback_id": numbered("K", key[rows]),
                "action": constant(action, rows.size),
                "topic": label(ticket.topic[rows], TOPICS),
            },
        )

    return stack(
        [
            step("given", ticket.feedback_at, 0, given),
            step("session_attended", session_at, 1, attends & (session_at < story.left)),
            step("acted_on", ticket.answered_at, 2, acted),
            step("declined", ticket.answered_at, 3, answered & ~ticket.acted_on),
            step("notified", ticket.answered_at, 4, acted & ticket.told),
        ]
    )
