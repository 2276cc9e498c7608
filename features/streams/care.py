"""What the company does on its own account, service recovery and self-service (METHODS S33,
S48-S56, S68).

One contact may have several steps. Only the sending counts as a contact; that it was opened or
answered says something about the contact, not that there was another one.
"""

from __future__ import annotations

from features.declare import Stream, flag, one_if, scaled, simple

SENT = "coalesce(action, 'sent') = 'sent'"

HELP = "kind IN ('proactive_help', 'usage_tip')"
OFFER = "kind IN ('personal_offer', 'related_offer')"
DELIGHT = "kind IN ('thank_you', 'birthday', 'surprise_discount')"

COMPLAINT = "(severity = 3 OR topic = 'complaint')"
"""What counts as a complaint: the canonical tables have no flag of their own for it."""

OPENED = """
    SELECT outreach_id, customer_id, known_from AS opened_known, event_at AS opened_at,
           action = 'replied' AS is_reply
    FROM outreach_first WHERE action IN ('opened', 'replied') AND outreach_id IS NOT NULL
"""

CSAT = f"""
    SELECT customer_id, ticket_id, event_id, event_at AS answered_at, known_from AS answer_known,
           {scaled("csat")} AS score
    FROM surveys_first WHERE action = 'answered' AND kind = 'csat'
"""


def _follow_up(name: str, day: int) -> Stream:
    """Was there a follow-up on day `day`, three days either way, after a delivery or resolution?

    Due three days after that; what is not due yet is left out (METHODS S54).
    """
    last_day = day + 3
    return Stream(
        name,
        ("tickets", "ticket_events", "orders", "outreach"),
        ("sent", "after_delivery", "after_resolution", "replied"),
        f"""
        WITH due AS (
            SELECT customer_id, 'ticket ' || ticket_id AS about, ticket_id, NULL AS order_id,
                   resolved_at AS done_at, resolved_known AS done_known, withdrawn
            FROM resolution
            UNION ALL
            SELECT customer_id, 'order ' || order_id, NULL, order_id, delivered_at,
                   greatest(known_from, delivered_at), least(withdrawn, cancelled_known)
            FROM orders_first LEFT JOIN (
                SELECT event_id, min(known_from) AS cancelled_known FROM orders_versions
                WHERE status = 'cancelled' AND op = 'upsert' GROUP BY event_id
            ) USING (event_id)
            WHERE status = 'placed' AND delivered_at >= event_at
            QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY known_from, event_id) = 1
        )
        SELECT *, CASE WHEN ticket_id IS NULL THEN sent END AS after_delivery,
               CASE WHEN order_id IS NULL THEN sent END AS after_resolution
        FROM (
            SELECT due.customer_id, done_known + INTERVAL {last_day} DAY AS first_known,
                   first_known AS known_from, due.withdrawn AS known_until, about AS tie,
                   due.ticket_id, due.order_id, {flag("count(follow_up.event_id) > 0")} AS sent,
                   CASE WHEN count(follow_up.outreach_id) > 0 THEN
                       {flag("count(reply.opened_at) > 0")} END AS replied
            FROM due LEFT JOIN outreach_first AS follow_up
                ON follow_up.customer_id = due.customer_id
                AND (follow_up.ticket_id = due.ticket_id OR follow_up.order_id = due.order_id)
                AND kind = 'follow_up' AND {SENT}
                AND event_at BETWEEN done_at + INTERVAL {day - 3} DAY
                    AND done_at + INTERVAL {last_day} DAY
                AND follow_up.known_from <= done_known + INTERVAL {last_day} DAY
            LEFT JOIN ({OPENED}) AS reply
                ON reply.outreach_id = follow_up.outreach_id AND is_reply
                AND opened_known <= done_known + INTERVAL {last_day} DAY
            GROUP BY due.customer_id, done_known, due.withdrawn, about, due.ticket_id, due.order_id
        )
        """,
    )


STREAMS: tuple[Stream, ...] = (
    simple(
        "outreach",
        "outreach",
        SENT,
        follow_up=one_if("kind = 'follow_up'"),
        proactive_help=one_if("kind = 'proactive_help'"),
        usage_tip=one_if("kind = 'usage_tip'"),
        personal_offer=one_if("kind = 'personal_offer'"),
        related_offer=one_if("kind = 'related_offer'"),
        thank_you=one_if("kind = 'thank_you'"),
        birthday=one_if("kind = 'birthday'"),
        surprise_discount=one_if("kind = 'surprise_discount'"),
        sale_notice=one_if("kind = 'sale_notice'"),
    ),
    simple("delight", "outreach", f"{SENT} AND {DELIGHT}"),
    Stream(
        "outreach_due",
        ("outreach",),
        ("opened", "replied"),
        # A reply shows that the message was read. Contacts whose steps cannot be joined say
        # nothing about opening.
        f"""
        SELECT sent.customer_id, sent.known_from + INTERVAL 7 DAY AS first_known,
               first_known AS known_from, sent.withdrawn AS known_until, sent.event_id AS tie,
               {flag("count(opened_known) > 0")} AS opened,
               {flag("coalesce(bool_or(is_reply), false)")} AS replied
        FROM outreach_first AS sent LEFT JOIN ({OPENED}) AS opening
            ON opening.outreach_id = sent.outreach_id
            AND opened_known <= sent.known_from + INTERVAL 7 DAY
        WHERE {SENT} AND sent.outreach_id IS NOT NULL
        GROUP BY sent.customer_id, sent.known_from, sent.withdrawn, sent.event_id
        """,
    ),
    Stream(
        "early_help",
        ("outreach", "tickets"),
        (),
        f"""
        SELECT customer_id, known_from AS first_known, known_from, withdrawn AS known_until,
               event_id AS tie
        FROM outreach_first AS help
        WHERE {SENT} AND {HELP} AND NOT EXISTS (
            SELECT 1 FROM ticket WHERE ticket.customer_id = help.customer_id
              AND opened_at <= help.event_at AND opened_known <= help.known_from)
        """,
    ),
    Stream(
        "offer",
        ("outreach", "orders"),
        ("relevant",),
        # Whether the offer fits what the customer had bought before; missing without a purchase.
        f"""
        SELECT offer.customer_id, offer.known_from AS first_known, offer.known_from,
               offer.withdrawn AS known_until, offer.event_id AS tie,
               CASE WHEN offer.category IS NOT NULL AND count(bought.category) > 0
                   THEN {flag("bool_or(bought.category = offer.category)")} END AS relevant
        FROM outreach_first AS offer LEFT JOIN orders_first AS bought
            ON bought.customer_id = offer.customer_id AND status = 'placed'
            AND bought.event_at <= offer.event_at AND bought.known_from <= offer.known_from
        WHERE {SENT} AND {OFFER}
        GROUP BY offer.customer_id, offer.known_from, offer.withdrawn, offer.event_id,
            offer.category
        """,
    ),
    Stream(
        "offer_due",
        ("outreach", "orders"),
        ("converted",),
        f"""
        SELECT offer.customer_id, offer.known_from + INTERVAL 14 DAY AS first_known,
               first_known AS known_from, offer.withdrawn AS known_until, offer.event_id AS tie,
               {flag("count(bought.event_id) > 0")} AS converted
        FROM outreach_first AS offer LEFT JOIN orders_first AS bought
            ON bought.customer_id = offer.customer_id AND status = 'placed'
            AND bought.event_at > offer.event_at
            AND bought.event_at <= offer.event_at + INTERVAL 14 DAY
            AND bought.known_from <= offer.known_from + INTERVAL 14 DAY
        WHERE {SENT} AND {OFFER}
        GROUP BY offer.customer_id, offer.known_from, offer.withdrawn, offer.event_id
        """,
    ),
    Stream(
        "offer_pending",
        ("outreach",),
        (),
        f"""
        SELECT customer_id, known_from AS first_known, known_from,
               least(withdrawn, known_from + INTERVAL 14 DAY) AS known_until, event_id AS tie
        FROM outreach_first WHERE {SENT} AND {OFFER}
        """,
    ),
    _follow_up("follow_up_7d", 7),
    _follow_up("follow_up_30d", 30),
    Stream(
        "follow_up_checked",
        ("outreach", "tickets"),
        ("found_issue",),
        f"""
        SELECT customer_id, known_from + INTERVAL 7 DAY AS first_known, first_known AS known_from,
               withdrawn AS known_until, event_id AS tie,
               CASE WHEN EXISTS (SELECT 1 FROM ticket
                   WHERE ticket.customer_id = sent.customer_id AND opened_at > sent.event_at
                     AND opened_at <= sent.event_at + INTERVAL 7 DAY
                     AND opened_known <= sent.known_from + INTERVAL 7 DAY) THEN 1 END
                   AS found_issue
        FROM (FROM outreach_first WHERE kind = 'follow_up' AND {SENT}) AS sent
        """,
    ),
    Stream(
        "complaint_due",
        ("tickets", "ticket_events", "surveys"),
        ("recovered", "csat_change"),
        # Not solved within a week is not recovered; solved without an answer is unknown (SURV).
        f"""
        SELECT customer_id, due AS first_known, due AS known_from, withdrawn AS known_until,
               ticket_id AS tie, CASE WHEN NOT solved THEN 0 ELSE {flag("after >= 75")} END
                   AS recovered, after - before AS csat_change
        FROM (
            SELECT complaint.*,
                EXISTS (SELECT 1 FROM resolution WHERE resolution.ticket_id = complaint.ticket_id
                    AND resolved_at <= opened_at + INTERVAL 7 DAY AND resolved_known <= due)
                    AS solved,
                (SELECT arg_min(score, (answered_at, event_id)) FROM ({CSAT}) AS answer
                    WHERE answer.customer_id = complaint.customer_id AND answered_at > opened_at
                      AND answered_at <= opened_at + INTERVAL 14 DAY AND answer_known <= due)
                    AS after,
                (SELECT arg_max(score, (answered_at, event_id)) FROM ({CSAT}) AS answer
                    WHERE answer.customer_id = complaint.customer_id AND answered_at <= opened_at
                      AND answer_known <= due) AS before
            FROM (
                SELECT *, opened_known + INTERVAL 14 DAY AS due FROM ticket WHERE {COMPLAINT}
            ) AS complaint
        )
        """,
    ),
    Stream(
        "complaint",
        ("tickets",),
        (),
        f"""
        SELECT customer_id, opened_known AS first_known, opened_known AS known_from,
               withdrawn AS known_until, ticket_id AS tie
        FROM ticket WHERE {COMPLAINT}
        """,
    ),
    Stream(
        "well_served_60d",
        ("tickets", "ticket_events", "surveys", "orders"),
        ("bought_again",),
        # Tickets solved within three days whose customer then rated the support 75 or more.
        f"""
        SELECT customer_id, due AS first_known, due AS known_from, withdrawn AS known_until,
               ticket_id AS tie,
               CAST(EXISTS (SELECT 1 FROM orders_first AS bought
                   WHERE bought.customer_id = served.customer_id AND status = 'placed'
                     AND bought.event_at > resolved_at
                     AND bought.event_at <= resolved_at + INTERVAL 60 DAY
                     AND bought.known_from <= due) AS INTEGER) AS bought_again
        FROM (
            SELECT *, resolved_known + INTERVAL 60 DAY AS due FROM resolution
            WHERE resolved_at <= opened_at + INTERVAL 72 HOUR
        ) AS served
        WHERE (SELECT arg_min(score, (answered_at, event_id)) FROM ({CSAT}) AS answer
            WHERE answer.ticket_id = served.ticket_id AND answer_known <= due) >= 75
        """,
    ),
    simple(
        "self_service",
        "selfservice",
        guide=one_if("kind IN ('video', 'manual', 'troubleshooter')"),
        community=one_if("kind = 'community'"),
    ),
    Stream(
        "self_service_due",
        ("selfservice", "tickets"),
        ("succeeded",),
        f"""
        SELECT customer_id, known_from + INTERVAL 72 HOUR AS first_known, first_known AS known_from,
               withdrawn AS known_until, event_id AS tie, {flag("NOT asked")} AS succeeded
        FROM (
            SELECT *, EXISTS (SELECT 1 FROM ticket
                WHERE ticket.customer_id = visit.customer_id
                  AND opened_at BETWEEN visit.event_at AND visit.event_at + INTERVAL 72 HOUR
                  AND opened_known <= visit.known_from + INTERVAL 72 HOUR) AS asked
            FROM selfservice_first AS visit
        )
        """,
    ),
)
