"""What the company does on its own account, and what customers look up by themselves.

Only the follow-up a week after a ticket does anything to experience; all other contacts are there
to be told apart from it.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from data.world.commerce import CATEGORIES, SUPPLIES, Orders, birth_years
from data.world.draws import Array, choice, happens, normal, uniform
from data.world.process import DAY, ORDER_HOURS, WEEK, moment_in_week, offer_chance
from data.world.record import Rows, Scene, constant, label, numbered, row_id, stack
from data.world.support import PILOT, Story

SELF_SERVICE = ("faq", "video", "manual", "community", "troubleshooter")
OPENED = 0.38  # of all messages sent, whether or not somebody has silently gone
REPLIED = {"follow_up": 0.18}  # of those opened
REPLIED_ELSE = 0.03


def outreach(scene: Scene, story: Story, placed: Orders) -> Rows:
    """Follow-ups (a fair coin in the pilot), offers, tips, notices; sent, opened and replied to."""
    sent = [
        *_follow_ups(scene, story, placed),
        *_weekly(scene),
        _birthdays(scene),
        *_after_purchase(scene, placed),
    ]
    return stack([step for rows, kind in sent for step in _steps(scene, rows, kind)])


def _contact(
    scene: Scene,
    kind: str,
    person: Array,
    at: Array,
    identity: Array,
    where: Array | None = None,
    *,
    ticket: Array | None = None,
    order: Array | None = None,
    category: Array | None = None,
    in_pilot: Array | None = None,
) -> tuple[Rows, str]:
    """Contacts that go out to customers (rows of People) the company does not know to be gone."""
    # The company cannot see that a customer without a contract has gone, and writes anyway.
    goes = at < scene.seen_leaving()[person]
    rows = np.flatnonzero(goes if where is None else goes & where)
    size = rows.size
    usual = np.ones(size, bool) if in_pilot is None else ~in_pilot[rows]
    empty = pa.nulls(size, pa.string())
    made = Rows(
        id=identity[rows],
        customer=scene.history.people.id[person[rows]],
        at=at[rows],
        columns={
            "kind": constant(kind, size),
            "outreach_id": numbered("M", identity[rows]),
            "ticket_id": empty if ticket is None else numbered("T", ticket[rows]),
            "order_id": empty if order is None else numbered("R", order[rows]),
            "category": (
                constant(None, size) if category is None else label(category[rows], CATEGORIES)
            ),
            "campaign": label(np.zeros(size, int), (PILOT,), usual),
            "arm": label(np.zeros(size, int), ("treatment",), usual),
        },
    )
    return made, kind


def _steps(scene: Scene, sent: Rows, kind: str) -> list[Rows]:
    seed, identity = scene.seed, sent.id
    opened_at = sent.at + np.exp(1.5 + 1.3 * normal(seed, "opened after", identity))
    replied_at = opened_at + np.exp(0.5 + 1.2 * normal(seed, "replied after", identity))
    opened = happens(seed, "opened", OPENED, identity)
    replied = opened & happens(seed, "replied", REPLIED.get(kind, REPLIED_ELSE), identity)

    def step(action: str, at: Array, slot: int, rows: Array) -> Rows:
        part = sent.take(rows)
        return Rows(
            id=part.id * 4 + slot,
            customer=part.customer,
            at=at[rows],
            columns=part.columns | {"action": constant(action, rows.size)},
        )

    return [
        step("sent", sent.at, 0, np.arange(identity.size)),
        step("opened", opened_at, 1, np.flatnonzero(opened)),
        step("replied", replied_at, 2, np.flatnonzero(replied)),
    ]


def _follow_ups(scene: Scene, story: Story, placed: Orders) -> list[tuple[Rows, str]]:
    """A week after a ticket (the lever), a month after some, and after a few deliveries."""
    seed, ticket, key = scene.seed, story.ticket, story.key
    month_on = story.done + (28 + 4 * uniform(seed, "month on", key)) * DAY
    kept = placed.at_rows(~placed.cancelled)
    due = {
        slot: kept.delivered_at + (days + 2 * uniform(seed, f"order day {days}", kept.key)) * DAY
        for slot, days in ((0, 6), (500, 29))
    }
    return [
        _contact(
            scene, "follow_up", story.person, ticket.follow_up_at, key * 10, ticket.follow_up,
            ticket=key, in_pilot=ticket.in_pilot,
        ),
        _contact(
            scene, "follow_up", story.person, month_on, key * 10 + 3,
            happens(seed, "asks again", 0.08, key), ticket=key,
        ),
        *(
            _contact(
                scene, "follow_up", kept.person, at, (kept.key + slot) * 10 + 6,
                happens(seed, f"order follow-up {slot}", 0.05 if slot == 0 else 0.02, kept.key),
                order=kept.key,
            )
            for slot, at in due.items()
        ),
    ]  # fmt: skip


def _weekly(scene: Scene) -> list[tuple[Rows, str]]:
    """Personal offers, a sale every quarter and rare surprise discounts."""
    history, seed = scene.history, scene.seed
    people = history.people
    week = np.arange(history.load.size)[:, None]
    reachable = reachable_weeks(scene)
    person, moment, identity = personal_offers(scene, reachable)
    category = choice(seed, "offer category", (1,) * len(CATEGORIES), identity)
    offers = _contact(scene, "personal_offer", person, moment, identity, category=category)

    person, when = np.nonzero(((week % 13 == 5) & reachable).T)
    identity = row_id(people.id[person], when, 0) * 10 + 5
    notices = _contact(scene, "sale_notice", person, when * WEEK + 3 * DAY + 11.0, identity)

    chance = 0.0015 + 0.0015 * people.premium
    surprised = reachable & (uniform(seed, "surprise", people.id[None, :], week) < chance)
    person, when = np.nonzero(surprised.T)
    identity = row_id(people.id[person], when, 1) * 10 + 9
    moment = when * WEEK + moment_in_week(seed, "surprise", ORDER_HOURS, identity, 0)
    gifts = _contact(scene, "surprise_discount", person, moment, identity)
    return [offers, notices, gifts]


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


def _birthdays(scene: Scene) -> tuple[Rows, str]:
    people, seed = scene.history.people, scene.seed
    _, unknown = birth_years(scene)
    year = np.arange(int(scene.period // (365 * DAY)) + 1)[:, None]
    at = (365 * year + np.floor(365 * uniform(seed, "birthday", people.id))) * DAY + 9.0
    greeted = scene.opted_in() & ~unknown & (people.signup < at) & (at < scene.period)
    greeted &= happens(seed, "greeted", 0.6, people.id[None, :], year)
    person, which = np.nonzero(greeted.T)
    identity = row_id(people.id[person], which, 0) * 10 + 9
    return _contact(scene, "birthday", person, at[which, person], identity)


def _after_purchase(scene: Scene, placed: Orders) -> list[tuple[Rows, str]]:
    seed, people = scene.seed, scene.history.people
    kept = placed.at_rows(~placed.cancelled)
    person, key = kept.person, kept.key
    defective = people.defect[person] & (kept.category != SUPPLIES)
    other = choice(seed, "related category", (1,) * len(CATEGORIES), key)
    related = np.where(happens(seed, "same category", 0.5, key), kept.category, other)

    def contact(
        kind: str, slot: int, purpose: str, first: float, days: float, share: Array | float
    ) -> tuple[Rows, str]:
        at = kept.at + (first + days * uniform(seed, f"{purpose} day", key)) * DAY
        return _contact(
            scene, kind, person, at, key * 10 + slot, happens(seed, purpose, share, key),
            order=key, category=related if kind == "related_offer" else None,
        )  # fmt: skip

    return [
        contact("thank_you", 1, "thank you", 2, 3, 0.08 + 0.10 * people.premium[person]),
        contact("proactive_help", 2, "help", 5, 4, np.where(defective, 0.15, 0.03)),
        contact("related_offer", 7, "related offer", 10, 10, 0.05),
        contact("usage_tip", 8, "usage tip", 3, 3, np.where(kept.category == SUPPLIES, 0.0, 0.1)),
    ]


def selfservice(scene: Scene, story: Story) -> Rows:
    """Articles read on quiet days, more by the young, and those read shortly before asking."""
    seed, history = scene.seed, scene.history
    people = history.people
    week = np.arange(history.load.size)[:, None]
    present = (people.signup < week * WEEK) & (history.left > (week + 1) * WEEK)
    born, _ = birth_years(scene)
    chance = 0.04 * np.exp(0.02 * (born - 1978))
    reads = present & (uniform(seed, "reads", people.id[None, :], week) < chance)
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
