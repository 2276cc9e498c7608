"""What customers do with the company apart from support: profile, contract, orders, visits.

A few customers (`MERGED`) for a while order as guests: those orders stand under a second number
until the company notices, withdraws them there and enters them under the right one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import pyarrow as pa

from data.world.draws import Array, choice, happens, normal, poisson, uniform
from data.world.parameters import CHANNELS, LANGUAGES
from data.world.process import (
    DAY,
    ORDER_HOURS,
    WEEK,
    failed_payment,
    first_renewal,
    moment_in_week,
    order_counts,
    payment_is_lost,
    visit_counts,
)
from data.world.record import GUEST, Rows, Scene, constant, label, numbered, row_id, stack

REGIONS = (
    ("東京都", 22), ("神奈川県", 12), ("大阪府", 12), ("愛知県", 10), ("埼玉県", 9), ("千葉県", 8),
    ("兵庫県", 7), ("北海道", 6), ("福岡県", 6), ("静岡県", 4), ("京都府", 4),
)  # fmt: skip
ACQUISITION = ("search", "referral", "store", "advert", "social")
CATEGORIES = ("kitchen", "air", "cleaning", "wearable", "supplies")
SUPPLIES = CATEGORIES.index("supplies")
CATEGORY_WEIGHT = (18, 14, 10, 12, 46)
CATEGORY_PRICE = (14000.0, 22000.0, 26000.0, 18000.0, 4500.0)
RETURN_STEPS = ("requested", "received", "refunded", "denied", "exchanged")
# The products of each category; customers of the defective line (the last five) buy from it.
PRODUCTS_OF = (
    ((0, 1, 3), (0, 1, 3)),
    ((2, 4), (9,)),
    ((7, 8), (7, 8)),
    ((5, 6), (10, 11)),
    ((12, 13, 14, 15), (12, 13, 14, 15)),
)
ABROAD = (
    (("JP", "Asia/Tokyo"),),
    (("US", "America/Los_Angeles"), ("GB", "Europe/London"), ("AU", "Australia/Sydney")),
    (("CN", "Asia/Shanghai"), ("TW", "Asia/Taipei")),
    (("KR", "Asia/Seoul"),),
)
PLACES = tuple(dict.fromkeys(place for places in ABROAD for place in places))
LIVES_ABROAD = 0.25  # of those who do not speak Japanese
DEVICES = ("mobile", "desktop", "tablet")
MERGED = 0.005  # share of customers who for a while also ordered as guests
GUEST_DAYS = 45.0
TIERS = ("bronze", "silver", "gold")
TIER_POINTS = (0.0, 400.0, 1200.0)
ORDER_CANCELLED = 0.03  # share of orders
CANCEL_REASONS = ("price", "not_needed", "service", "competitor", "moving")


def birth_years(scene: Scene) -> tuple[Array, Array]:
    """Year of birth of every customer, and for whom the company does not know it."""
    key = scene.history.people.id
    born = 1945 + np.floor(60 * uniform(scene.seed, "born", key)).astype(int)
    return born, happens(scene.seed, "no birth year", 0.08, key)


def _green(scene: Scene) -> Array:
    """Who takes part in the sustainability programme."""
    return happens(scene.seed, "green", 0.18, scene.history.people.id)


def _homes(scene: Scene) -> Array:
    """Index into PLACES of where every customer lives: Japan, but for some foreigners."""
    people, seed = scene.history.people, scene.seed
    u = uniform(seed, "abroad", people.id)
    home = np.zeros(people.id.size, int)
    for language, places in enumerate(ABROAD):
        rows = np.flatnonzero((people.language == language) & (u < LIVES_ABROAD) & (language > 0))
        which = (u[rows] / LIVES_ABROAD * len(places)).astype(int)
        home[rows] = PLACES.index(places[0]) + which
    return home


def _merges(scene: Scene, placed: Orders) -> tuple[Array, Array]:
    """When (hours) each customer's guest number is merged, and which orders stand under it."""
    key = scene.history.people.id
    at = 3 * DAY + uniform(scene.seed, "merged at", key) * (scene.joining - 3 * DAY)
    at = np.where(happens(scene.seed, "guest", MERGED, key), at, -np.inf)
    mine = at[placed.person]
    return at, (placed.at < mine) & (placed.at >= mine - GUEST_DAYS * DAY)


def customers(scene: Scene, placed: Orders) -> Rows:
    """One row per customer, a second version for the few who move house, and the guests."""
    people, seed = scene.history.people, scene.seed
    key = people.id
    weights = [weight for _, weight in REGIONS]
    region_names = tuple(name for name, _ in REGIONS)

    home = _homes(scene)
    born, unknown_age = birth_years(scene)
    countries = tuple(country for country, _ in PLACES)
    zones = tuple(zone for _, zone in PLACES)

    def version(number: int, at: Array, recorded: Array) -> Rows:
        region = choice(seed, "region", weights, key, number)
        return Rows(
            id=key,
            customer=key,
            at=at,
            columns={
                "signup_at": scene.recorder.moments(people.signup),
                "language": label(
                    people.language, LANGUAGES, happens(seed, "no language", 0.01, key)
                ),
                "country": label(home, countries),
                "region": label(
                    region, region_names, (home > 0) | happens(seed, "no region", 0.03, key)
                ),
                "segment": label(people.premium.astype(int), ("standard", "premium")),
                "acquisition": label(
                    choice(seed, "acquisition", (30, 12, 18, 28, 12), key),
                    ACQUISITION,
                    happens(seed, "no acquisition", 0.05, key),
                ),
                "relationship": label(people.contract.astype(int), ("noncontract", "contract")),
                "channel_pref": label(
                    people.channel, CHANNELS, happens(seed, "no preference", 0.3, key)
                ),
                "contact_opt_in": scene.opted_in(),
                "time_zone": label(home, zones, happens(seed, "no time zone", 0.04, key)),
                "birth_year": pa.array(born, mask=unknown_age),
                "csr_opt_in": pa.array(_green(scene), mask=happens(seed, "not asked", 0.1, key)),
                "op": constant("upsert", key.size),
            },
            version=number,
            recorded=recorded,
        )

    since = np.maximum(people.signup, 0.0)
    moved_at = since + uniform(seed, "moved at", key) * (scene.joining - since)
    first = version(1, people.signup, people.signup)
    moved = happens(seed, "moved", 0.03, key) & (moved_at < scene.history.left)
    return stack(
        [first, version(2, moved_at, moved_at).keep(moved), *_guests(scene, first, placed)]
    )


def _guests(scene: Scene, profiles: Rows, placed: Orders) -> list[Rows]:
    """The guest numbers: opened with the first order under them, withdrawn by the merge."""
    merged_at, early = _merges(scene, placed)
    first_order = np.full(merged_at.size, np.inf)
    np.minimum.at(first_order, placed.person[early], placed.at[early])
    rows = np.flatnonzero(np.isfinite(first_order))
    known = profiles.take(rows)
    opened = replace(
        known,
        id=known.id + GUEST,
        customer=known.customer + GUEST,
        at=first_order[rows] - 1.0,
        columns=known.columns | {"signup_at": scene.recorder.moments(first_order[rows] - 1.0)},
        recorded=first_order[rows] - 1.0,
    )
    withdrawn = replace(
        opened,
        columns=opened.columns | {"op": constant("delete", rows.size)},
        version=2,
        recorded=merged_at[rows],
    )
    return [opened, withdrawn]


def subscriptions(scene: Scene) -> Rows:
    """Start, renewals, failed payments, requests to cancel and ends of every contract."""
    history, seed = scene.history, scene.seed
    members = np.flatnonzero(history.people.contract)
    people = history.people.at(members)
    left, decided = history.left[members], history.decided[members]
    involuntary = history.involuntary[members]

    def rows(kind: str, who: Array, at: Array, slot: Array, end: Array, reason: pa.Array) -> Rows:
        size = who.size
        annual = people.annual[who].astype(int)
        welcome = (kind == "start") & happens(seed, "welcome price", 0.2, people.id[who])
        discount = np.where(annual == 1, 0.15, 0.0) + 0.10 * welcome
        price = np.where(people.premium[who], 3980.0, 1980.0) * (1.0 - discount)
        return Rows(
            id=people.id[who] * 1000 + slot,
            customer=people.id[who],
            at=at,
            columns={
                "subscription_id": numbered("S", people.id[who], width=7),
                "kind": constant(kind, size),
                "plan": label(annual, ("monthly", "annual")),
                "term_end": scene.recorder.moments(end),
                "price": np.round(price),
                "discount_share": discount,
                "reason": reason,
            },
        )

    everyone = np.arange(members.size)
    no_reason = constant(None, members.size)
    start = rows(
        "start", everyone, people.signup, np.zeros(members.size, int), people.signup + people.term,
        no_reason,
    )  # fmt: skip

    # The last renewal before the period is exported too, so that every term in force is known.
    earliest = np.maximum(first_renewal(people) - 1, 1)
    latest = np.floor((np.minimum(left, scene.period) - people.signup) / people.term).astype(int)
    count = np.maximum(latest - earliest + 1, 0)
    who = np.repeat(everyone, count)
    index = np.repeat(earliest, count) + _count_up(count)
    due = people.signup[who] + index * people.term[who]
    in_period = due >= 0
    failed = in_period & failed_payment(scene.world, seed, people.id[who], index)
    lost = failed & payment_is_lost(scene.world, seed, people.id[who], index)
    paid_at = due + np.where(
        failed, (0.5 + 4 * uniform(seed, "paid after", people.id[who], index)) * DAY, 0.0
    )
    end = due + people.term[who]
    empty = constant(None, who.size)
    renew = rows("renew", who, paid_at, index * 2 + 1, end, empty)
    renew = renew.keep(~lost & (paid_at < left[who]))
    declined = rows("payment_failed", who, due, index * 2 + 2, due, empty).keep(
        failed & (due < left[who])
    )

    reasons = label(choice(seed, "reason", (28, 26, 20, 16, 10), people.id), CANCEL_REASONS)
    leaves = np.isfinite(left) & ~involuntary
    nowhere = np.where(np.isfinite(left), left, 0.0)
    request = rows(
        "cancel_request", everyone, np.where(leaves, decided, 0.0), np.full(members.size, 990),
        nowhere, reasons,
    ).keep(leaves & (left > decided))  # fmt: skip
    cancel = rows(
        "cancel_effective", everyone, nowhere, np.full(members.size, 991), nowhere, reasons
    ).keep(leaves)
    expire = rows(
        "expire", everyone, nowhere, np.full(members.size, 992), nowhere,
        constant("payment_failed", members.size),
    ).keep(involuntary)  # fmt: skip
    return stack([start, renew, declined, request, cancel, expire])


def _count_up(counts: Array) -> Array:
    """0, 1, ... count - 1 for every count, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(counts.sum()) - np.repeat(ends - counts, counts)


@dataclass(frozen=True)
class Orders:
    """Every order placed, sorted by customer and time; moments in hours, money in yen."""

    person: Array  # row of People
    key: Array
    at: Array
    category: Array  # index into CATEGORIES
    product: Array
    delivered_at: Array
    amount: Array
    discount: Array
    cancelled: Array
    cancelled_at: Array

    def at_rows(self, rows: Array) -> Orders:
        """The orders for which `rows` (positions or a mask) selects."""
        return Orders(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def place_orders(scene: Scene) -> Orders:
    """Draw the orders of the period: how many, when, what and for how much."""
    history, seed = scene.history, scene.seed
    people = history.people
    counts = order_counts(scene.world, seed, history).T
    person, week = np.nonzero(counts)
    repeats = counts[person, week]
    person, week, slot = np.repeat(person, repeats), np.repeat(week, repeats), _count_up(repeats)
    key = row_id(people.id[person], week, slot)
    at = week * WEEK + moment_in_week(seed, "order", ORDER_HOURS, key, 0)
    order = np.lexsort((at, person))
    order = order[at[order] < history.left[person[order]]]
    person, key, at = person[order], key[order], at[order]

    category = choice(seed, "category", CATEGORY_WEIGHT, key)
    supplied = people.contract[person] & happens(seed, "supplies", 0.5, key)
    category = np.where(supplied, SUPPLIES, category)
    defect = people.defect[person].astype(int)
    size_of = np.array([[len(line) for line in lines] for lines in PRODUCTS_OF])
    widest = int(size_of.max())
    lookup = np.array(
        [[[*line, *line[:1] * (widest - len(line))] for line in lines] for lines in PRODUCTS_OF]
    )
    pick = (uniform(seed, "main product", key) * size_of[category, defect]).astype(int)
    days = 1 + np.floor(4 * uniform(seed, "delivery days", key))
    price = np.take(CATEGORY_PRICE, category) * np.exp(0.35 * normal(seed, "price", key))
    price = np.round(price * np.where(people.premium[person], 1.25, 1.0), -1)
    discount = np.round(price * np.where(happens(seed, "discounted", 0.22, key), 0.1, 0.0))
    return Orders(
        person=person,
        key=key,
        at=at,
        category=category,
        product=lookup[category, defect, pick],
        delivered_at=(np.floor(at / DAY) + days) * DAY + 12.0,
        amount=price - discount,
        discount=discount,
        cancelled=happens(seed, "order cancelled", ORDER_CANCELLED, key),
        cancelled_at=at + (0.02 + 6.8 * uniform(seed, "cancelled after", key)) * DAY,
    )


def orders(scene: Scene, placed: Orders) -> Rows:
    """One row per order; a cancellation within the week is a second version.

    What was ordered as a guest is withdrawn by the merge and entered again under the true number.
    """
    seed, key = scene.seed, placed.key
    merged_at, as_guest = _merges(scene, placed)
    merged_at = merged_at[placed.person]
    eco = happens(seed, "eco", 0.12 + 0.25 * _green(scene)[placed.person], key)

    def version(
        number: int,
        status: str,
        recorded: Array,
        where: Array,
        guest: bool = False,
        op: str = "upsert",
    ) -> Rows:
        rows = np.flatnonzero(where)
        mine, size = placed.at_rows(rows), rows.size
        return Rows(
            id=key[rows] + guest * GUEST * 1_000_000,
            customer=scene.history.people.id[mine.person] + guest * GUEST,
            at=mine.at,
            columns={
                "order_id": numbered("R", mine.key),
                "status": constant(status, size),
                "amount": mine.amount,
                "discount": mine.discount,
                "item_count": 1.0 + (uniform(seed, "items", mine.key) < 0.25),
                "category": label(
                    mine.category, CATEGORIES, happens(seed, "no category", 0.02, mine.key)
                ),
                "product_id": numbered("P", mine.product + 1, width=2),
                "is_eco": eco[rows],
                "delivered_at": scene.recorder.moments(mine.delivered_at),
                "op": constant(op, size),
            },
            version=number,
            recorded=recorded[rows],
        )

    entered = np.where(as_guest, merged_at, placed.at)
    withdrawn = np.maximum(placed.cancelled_at, entered)
    return stack(
        [
            version(1, "placed", entered, np.ones(key.size, bool)),
            version(2, "cancelled", withdrawn, placed.cancelled),
            version(1, "placed", placed.at, as_guest, guest=True),
            version(2, "placed", merged_at, as_guest, guest=True, op="delete"),
        ]
    )


def returns(scene: Scene, placed: Orders) -> Rows:
    """Requested, received, then refunded, denied or exchanged; likelier in the defective line."""
    seed, people = scene.seed, scene.history.people
    defective = people.defect[placed.person] & (placed.category != SUPPLIES)
    chance = np.where(defective, 0.13, 0.05)
    wanted = ~placed.cancelled & happens(seed, "return", chance, placed.key)
    asked_at = placed.at + (4 + 9 * uniform(seed, "return after", placed.key)) * DAY
    asked = wanted & (asked_at < scene.history.left[placed.person])
    sent_back, requested = placed.at_rows(asked), asked_at[asked]
    key = sent_back.key
    received = requested + (2 + 4 * uniform(seed, "return received", key)) * DAY
    closed = received + np.exp(0.6 + 0.6 * normal(seed, "return closed", key)) * DAY
    kit = happens(seed, "return kit", 0.6, key)
    warranty = happens(seed, "warranty", np.where(defective[asked], 0.4, 0.08), key)
    outcome = choice(seed, "return outcome", (0.72, 0.08, 0.20), key) + 2

    def step(kind: Array, when: Array, slot: int) -> Rows:
        return Rows(
            id=key * 10 + slot,
            customer=people.id[sent_back.person],
            at=when,
            columns={
                "return_id": numbered("X", key),
                "order_id": numbered("R", key),
                "kind": label(kind, RETURN_STEPS),
                "amount": sent_back.amount,
                "kit_used": kit,
                "under_warranty": warranty,
            },
        )

    zeros = np.zeros(key.size, int)
    return stack(
        [step(zeros, requested, 0), step(zeros + 1, received, 1), step(outcome, closed, 2)]
    )


def loyalty(scene: Scene, placed: Orders) -> Rows:
    """Members earn one point per 100 yen; points lapse after a year without an order."""
    history, seed = scene.history, scene.seed
    people = history.people
    joined = np.flatnonzero(people.enrolled < np.minimum(history.left, scene.period))
    member = ~placed.cancelled & (placed.at >= people.enrolled[placed.person])
    paid = placed.at_rows(member)
    person, key, at = paid.person, paid.key, paid.at
    points = np.floor(paid.amount / 100.0)
    first = np.ones(person.size, dtype=bool)
    first[1:] = person[1:] != person[:-1]
    group = np.cumsum(first) - 1
    total = np.cumsum(points)
    earned = total - (total - points)[first][group]
    previous = earned - points
    tier = np.searchsorted(TIER_POINTS, earned, side="right") - 1
    old_tier = np.searchsorted(TIER_POINTS, previous, side="right") - 1

    lapse_at = at + 365 * DAY
    following = np.full(person.size, np.inf)
    following[:-1][~first[1:]] = at[1:][~first[1:]]
    lapses = following > lapse_at
    lapsed_before = np.zeros(person.size, dtype=bool)
    lapsed_before[1:] = lapses[:-1] & ~first[1:]

    # Redeeming, like lapsing, uses up every point earned before this order.
    redeem = ~first & ~lapsed_before & happens(seed, "redeem", 0.10, key)
    used = np.where(redeem | lapsed_before, previous, 0.0)
    used = np.maximum.accumulate(used + group * 1e9) - group * 1e9
    used_before = np.zeros(person.size)
    used_before[1:] = np.where(first[1:], 0.0, used[:-1])
    redeemed = previous - used_before
    balance = earned - used
    lapses &= (balance > 0) & (lapse_at < scene.seen_leaving()[person])

    def movement(kind: str, when: Array, slot: int, moved: Array, level: Array) -> Rows:
        return Rows(
            id=key * 10 + slot,
            customer=people.id[person],
            at=when,
            columns={
                "kind": constant(kind, key.size),
                "points": moved,
                "tier": label(level, TIERS),
                "tier_rank": level + 1.0,
                "expires_at": scene.recorder.moments(
                    lapse_at if kind == "earn" else np.full(key.size, np.nan)
                ),
            },
        )

    nothing = np.full(key.size, np.nan)
    enrol = Rows(
        id=row_id(people.id[joined], -1, 0) * 10,
        customer=people.id[joined],
        at=people.enrolled[joined],
        columns={
            "kind": constant("enrol", joined.size),
            "points": np.full(joined.size, np.nan),
            "tier": constant(TIERS[0], joined.size),
            "tier_rank": np.ones(joined.size),
            "expires_at": scene.recorder.moments(np.full(joined.size, np.nan)),
        },
    )
    return stack(
        [
            enrol,
            movement("earn", at, 1, points, tier),
            movement("redeem", at + 0.001, 2, redeemed, tier).keep(redeem & (redeemed > 0)),
            movement("tier", at + 0.002, 3, nothing, tier).keep(tier > old_tier),
            movement("expire", lapse_at, 4, balance, tier).keep(lapses),
        ]
    )


def web_sessions(scene: Scene) -> Rows:
    """Visits per week, recorded when the week is over; what happened in them only with consent."""
    history, seed = scene.history, scene.seed
    people, ticket = history.people, history.tickets
    counts = visit_counts(scene.world, seed, history).T
    person, week = np.nonzero(counts)
    visits = counts[person, week].astype(float)
    asks = np.zeros(counts.shape, bool)
    asks[ticket.person, ticket.week] = True
    asked = asks[person, week]
    key = row_id(people.id[person], week, 0)
    consent = happens(seed, "consent", 0.85, people.id)[person]
    device = choice(seed, "device", (58, 34, 8), people.id)[person]
    hidden = np.where(consent, 0.0, np.nan)

    def count(purpose: str, rate: Array) -> Array:
        """A rare count, from one draw: the tail of a Poisson of these rates."""
        return poisson(rate, uniform(seed, purpose, key)) + hidden

    connection = 0.8 + 0.5 * uniform(seed, "connection", people.id)
    slow = np.where(device == 0, 1.35, 1.0) * connection[person]
    load_ms = 1300.0 * slow * (0.7 + 0.7 * uniform(seed, "load ms", key))
    views = count("contact page", 0.01 * visits + 1.0 * asked)
    minutes = 2.0 - 14.0 * np.log(uniform(seed, "contact minutes", key))
    return Rows(
        id=key,
        customer=people.id[person],
        at=(week + 1) * WEEK - 1 / 60.0,
        columns={
            "visits": visits,
            "device": label(device, DEVICES, ~consent),
            "load_ms": np.round(load_ms) + hidden,
            "page_errors": count("page errors", 0.04 * visits),
            "support_searches": count("support searches", 0.015 * visits + 0.9 * asked),
            "contact_page_views": views,
            "contact_minutes": np.where(asked & (views > 0), np.round(minutes, 1), np.nan),
            "checkout_failures": count("checkout fails", 0.008 * visits),
            "payment_failures": count("payment fails online", 0.004 * visits),
            "consent": consent,
        },
    )
