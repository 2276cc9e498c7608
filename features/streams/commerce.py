"""Orders, returns, subscriptions, loyalty and visits (METHODS S65-S73)."""

from __future__ import annotations

from features.declare import Stream, flag, one_if, simple

STREAMS: tuple[Stream, ...] = (
    simple(
        "loyalty",
        "loyalty",
        enrolled="CASE kind WHEN 'enrol' THEN 1 WHEN 'leave' THEN 0 END",
        enrolled_day="CASE kind WHEN 'enrol' THEN epoch(event_at) / 86400 END",
        earned="CASE WHEN kind = 'earn' THEN points END",
        redeemed="CASE WHEN kind = 'redeem' THEN points END",
        expired="CASE WHEN kind = 'expire' THEN points END",
        tier_move=one_if("kind = 'tier'"),
    ),
    simple("points_earned", "loyalty", "kind = 'earn'"),
    simple(
        "order",
        "orders",
        "status = 'placed'",
        amount="amount",
        discounted=flag("discount > 0"),
        item_count="item_count",
    ),
    simple("cancelled_order", "orders", "status = 'cancelled'"),
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
        "refund",
        ("returns",),
        ("days",),
        """
        SELECT customer_id, known_from AS first_known, known_from,
               withdrawn AS known_until, event_id AS tie,
               epoch(event_at - asked_at) / 86400 AS days
        FROM (
            SELECT *, min(event_at) FILTER (kind = 'requested')
                OVER (PARTITION BY return_id ORDER BY known_from) AS asked_at
            FROM returns_first
        )
        WHERE kind = 'refunded' AND asked_at <= event_at
        """,
    ),
    simple(
        "subscription",
        "subscriptions",
        started_day="CASE WHEN kind = 'start' THEN epoch(event_at) / 86400 END",
        renewal=one_if("kind = 'renew'"),
        payment_failure=one_if("kind = 'payment_failed'"),
        term_end_day="epoch(term_end) / 86400",
        price="price",
    ),
    simple("visit", "web_sessions", visits="visits"),
    simple("profile", "customers", signup_day="epoch(signup_at) / 86400"),
)
