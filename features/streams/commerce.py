"""Orders, returns, subscriptions, loyalty and visits (METHODS S43, S44, S65-S73)."""

from __future__ import annotations

from features.declare import Stream, flag, one_if, simple

REFUND_DAYS = 14
"""A return is judged so many days after it was asked for (METHODS S65, CENS14d)."""

EXPIRING_DAYS = 90
"""Points count as expiring so many days ahead (METHODS S66)."""

DELIVERY_DAYS = 7
"""How long an order without a delivery date is taken to be under way."""

STAGE_DAYS = 14
"""How long after a ticket the next order is waited for (METHODS S43)."""

TRACKED = "consent IS DISTINCT FROM false"
"""Whether a visit may be used: the customer has not refused tracking."""

STREAMS: tuple[Stream, ...] = (
    simple(
        "loyalty",
        "loyalty",
        enrolled_day="CASE kind WHEN 'enrol' THEN epoch(event_at) / 86400 END",
        earned="CASE WHEN kind = 'earn' THEN points END",
        redeemed="CASE WHEN kind = 'redeem' THEN points END",
        expired="CASE WHEN kind = 'expire' THEN points END",
        balance="CASE WHEN kind = 'earn' THEN points"
        " WHEN kind IN ('redeem', 'expire') THEN -points END",
        tier_move=one_if("kind = 'tier'"),
        tier_rank="tier_rank",
    ),
    Stream(
        "membership",
        ("loyalty",),
        (),
        # From joining until leaving or joining again: of a customer who never joined there is
        # nothing, so the number of current memberships is 0 and not missing.
        """
        SELECT customer_id, known_from AS first_known, known_from,
               least(withdrawn, next_known) AS known_until, event_id AS tie
        FROM (
            SELECT *, lead(known_from) OVER (
                PARTITION BY customer_id ORDER BY known_from, event_at, event_id) AS next_known
            FROM loyalty_first WHERE kind IN ('enrol', 'leave')
        )
        WHERE kind = 'enrol'
        """,
    ),
    Stream(
        "tier_change",
        ("loyalty",),
        ("up", "down"),
        f"""
        SELECT customer_id, known_from AS first_known, known_from, withdrawn AS known_until,
               event_id AS tie, {one_if("tier_rank > before")} AS up,
               {one_if("tier_rank < before")} AS down
        FROM (
            SELECT *, lag(tier_rank) OVER (
                PARTITION BY customer_id ORDER BY known_from, event_at, event_id) AS before
            FROM loyalty_first WHERE kind = 'tier' AND tier_rank IS NOT NULL
        )
        """,
    ),
    simple("points_earned", "loyalty", "kind = 'earn'"),
    Stream(
        "points_expiring",
        ("loyalty",),
        ("points",),
        # Visible from the moment when the date of expiry comes near until that date. Which
        # points a redemption uses up is not in the data, so redemptions are not subtracted.
        f"""
        SELECT customer_id, greatest(first_known, near) AS first_known,
               greatest(known_from, near) AS known_from, least(known_until, expires_at)
                   AS known_until, event_id AS tie, points
        FROM (
            SELECT *, expires_at - INTERVAL {EXPIRING_DAYS} DAY AS near
            FROM loyalty WHERE kind = 'earn' AND expires_at IS NOT NULL
        )
        """,
    ),
    simple(
        "order",
        "orders",
        "status = 'placed'",
        amount="amount",
        discounted=flag("discount > 0"),
        item_count="item_count",
        eco=flag("is_eco"),
    ),
    simple("cancelled_order", "orders", "status = 'cancelled'"),
    Stream(
        "payment",
        ("orders", "returns"),
        ("net",),
        """
        SELECT customer_id, first_known, known_from, known_until, 'order ' || event_id AS tie,
               amount AS net
        FROM orders WHERE status = 'placed'
        UNION ALL
        SELECT customer_id, first_known, known_from, known_until, 'refund ' || event_id, -amount
        FROM returns WHERE kind = 'refunded'
        """,
    ),
    Stream(
        "contact_stage",
        ("tickets", "orders"),
        ("before", "during", "after"),
        # The order nearest to the ticket decides; one that follows it is waited for.
        f"""
        SELECT customer_id, due AS first_known, due AS known_from, withdrawn AS known_until,
               ticket_id AS tie, {one_if("stage = 0")} AS before, {one_if("stage = 1")} AS during,
               {one_if("stage = 2")} AS after
        FROM (
            SELECT *, CASE WHEN arrived_at IS NULL THEN 0 WHEN opened_at <= arrived_at THEN 1
                WHEN next_at - opened_at < opened_at - arrived_at THEN 0 ELSE 2 END AS stage
            FROM (
                SELECT ticket.*, opened_known + INTERVAL {STAGE_DAYS} DAY AS due,
                    max(greatest(bought.event_at, coalesce(delivered_at,
                        bought.event_at + INTERVAL {DELIVERY_DAYS} DAY)))
                        FILTER (bought.event_at <= opened_at) AS arrived_at,
                    min(bought.event_at) FILTER (bought.event_at > opened_at) AS next_at
                FROM ticket LEFT JOIN orders_first AS bought
                    ON bought.customer_id = ticket.customer_id AND status = 'placed'
                    AND bought.event_at <= opened_at + INTERVAL {STAGE_DAYS} DAY
                    AND bought.known_from <= opened_known + INTERVAL {STAGE_DAYS} DAY
                GROUP BY ALL
            )
        )
        """,
    ),
    Stream(
        "return",
        ("returns",),
        ("amount",),
        """
        SELECT customer_id, known_from AS first_known, known_from,
               withdrawn AS known_until, return_id AS tie, amount
        FROM returns_first
        QUALIFY row_number() OVER (PARTITION BY return_id ORDER BY known_from, event_id) = 1
        """,
    ),
    Stream(
        "return_price",
        ("orders", "returns"),
        ("ratio",),
        # How costly the item is, against the customer's own orders known when it came back.
        """
        SELECT back.customer_id, back.known_from AS first_known, back.known_from,
               back.withdrawn AS known_until, return_id AS tie,
               any_value(back.amount) / nullif(avg(bought.amount), 0) AS ratio
        FROM (
            FROM returns_first
            QUALIFY row_number() OVER (PARTITION BY return_id ORDER BY known_from, event_id) = 1
        ) AS back
        JOIN orders_first AS bought ON bought.customer_id = back.customer_id
            AND status = 'placed' AND bought.known_from <= back.known_from
        GROUP BY back.customer_id, back.known_from, back.withdrawn, return_id
        """,
    ),
    Stream(
        "return_due",
        ("returns",),
        ("refunded", "days", "steps", "kit", "warranty"),
        # Returns that were refused or exchanged are owed no refund; slow refunds enter with the
        # days they have taken so far, never left out (CENS14d).
        f"""
        SELECT customer_id, asked_known + INTERVAL {REFUND_DAYS} DAY AS first_known,
               first_known AS known_from, withdrawn AS known_until, return_id AS tie,
               CASE WHEN refunded_at IS NOT NULL THEN 1 WHEN NOT settled THEN 0 END AS refunded,
               CASE WHEN refunded_at IS NOT NULL THEN epoch(refunded_at - asked_at) / 86400
                   WHEN NOT settled THEN {REFUND_DAYS} END AS days,
               steps, {flag("kit")} AS kit, {flag("warranty")} AS warranty
        FROM (
            SELECT asked.customer_id, asked.return_id, asked.known_from AS asked_known,
                asked.event_at AS asked_at, asked.withdrawn,
                min(step.event_at) FILTER (step.kind = 'refunded') AS refunded_at,
                bool_or(step.kind IN ('denied', 'exchanged')) AS settled,
                count(*) AS steps, bool_or(step.kit_used) AS kit,
                bool_or(step.under_warranty) AS warranty
            FROM (
                FROM returns_first WHERE kind = 'requested'
                QUALIFY row_number() OVER (PARTITION BY return_id ORDER BY known_from, event_id) = 1
            ) AS asked
            JOIN returns_first AS step ON step.return_id = asked.return_id
                AND step.event_at >= asked.event_at
                AND step.event_at <= asked.event_at + INTERVAL {REFUND_DAYS} DAY
                AND step.known_from <= asked.known_from + INTERVAL {REFUND_DAYS} DAY
            GROUP BY asked.customer_id, asked.return_id, asked.known_from, asked.event_at,
                asked.withdrawn
        )
        """,
    ),
    Stream(
        "return_open",
        ("returns",),
        (),
        """
        SELECT customer_id, known_from AS first_known, known_from,
               least(withdrawn, settled_known) AS known_until, return_id AS tie
        FROM (
            SELECT *, min(known_from) FILTER (kind IN ('refunded', 'denied', 'exchanged'))
                OVER (PARTITION BY return_id) AS settled_known
            FROM returns_first
        )
        WHERE kind = 'requested' AND coalesce(known_from < settled_known, true)
        QUALIFY row_number() OVER (PARTITION BY return_id ORDER BY known_from, event_id) = 1
        """,
    ),
    simple(
        "return_step",
        "returns",
        denied=one_if("kind = 'denied'"),
        exchanged=one_if("kind = 'exchanged'"),
    ),
    simple(
        "subscription",
        "subscriptions",
        started_day="CASE WHEN kind = 'start' THEN epoch(event_at) / 86400 END",
        renewal=one_if("kind = 'renew'"),
        payment_failure=one_if("kind = 'payment_failed'"),
        term_end_day="epoch(term_end) / 86400",
        price="price",
        discount="discount_share",
    ),
    Stream(
        "visit",
        ("web_sessions",),
        (
            "visits",
            "allowed",
            "load_seconds",
            "page_errors",
            "mobile",
            "searches",
            "contact_page",
            "contact_minutes",
            "checkout_failures",
            "payment_failures",
        ),
        f"""
        SELECT customer_id, first_known, known_from, known_until, event_id AS tie,
               visits, {flag("consent")} AS allowed, load_ms / 1000 AS load_seconds, page_errors,
               {flag("device = 'mobile'")} AS mobile, support_searches AS searches,
               contact_page_views AS contact_page, contact_minutes, checkout_failures,
               payment_failures
        FROM web_sessions WHERE {TRACKED}
        UNION ALL
        SELECT customer_id, first_known, known_from, known_until, event_id, NULL, 0, NULL, NULL,
               NULL, NULL, NULL, NULL, NULL, NULL
        FROM web_sessions WHERE NOT consent
        """,
        consent="allowed",
    ),
    simple(
        "profile",
        "customers",
        signup_day="epoch(signup_at) / 86400",
        csr=flag("csr_opt_in"),
    ),
)
