"""Tickets and their steps as facts (METHODS S6-S11, S14, S15, S32-S38, S41, S62).

A ticket opens with the customer's first contact, so response and resolution are measured from its
opening. Every duration has a wall-clock and, where staff answer for it, a business-hours reading.
"""

from __future__ import annotations

from features.declare import Stream, flag, one_if, simple
from features.streams.care import COMPLAINT

RESOLUTION_TARGET_HOURS = 24
"""A resolution later than this missed its target (METHODS S15, F)."""

NIGHT = (22, 6)
"""From ten in the evening to six in the morning on the customer's clock."""

CANCELLATION = "cancel|terminat|unsubscri|retention|churn|解約|退会|引き?留め"
"""Topics and campaigns about leaving, as a regular expression on lower case (METHODS C)."""

PRODUCT_DAYS = 90
PRODUCT_TICKETS = 20
"""A product's complaint rate is that of 90 days; below 20 tickets that of all products (S32)."""

SAME_ISSUE = """
    other.customer_id = mine.customer_id AND other.ticket_id <> mine.ticket_id
    AND other.topic = mine.topic AND coalesce(other.product_id = mine.product_id, true)
"""
"""Same topic, and not known to be about different products (METHODS S7, S9)."""

PREPARED = f"""
CREATE TEMP TABLE ticket AS
SELECT ticket_id, customer_id, event_at AS opened_at, known_from AS opened_known, withdrawn, topic,
       severity, channel, language, product_id, queue_backlog,
       in_business_hours(event_at) AS in_hours
FROM tickets_first
QUALIFY row_number() OVER (PARTITION BY ticket_id ORDER BY known_from, event_id) = 1;

CREATE TEMP TABLE ticket_step AS
SELECT ticket_id, kind, event_at AS step_at, known_from AS known, event_id, agent_id, tier,
       own_authority
FROM ticket_events_first;

CREATE TEMP TABLE resolution AS
SELECT ticket_id, customer_id, opened_at, topic, withdrawn, step_at AS resolved_at,
       greatest(known, opened_known) AS resolved_known, product_id, in_hours
FROM ticket_step JOIN ticket USING (ticket_id)
WHERE kind = 'resolved' AND step_at >= opened_at
QUALIFY row_number() OVER (PARTITION BY ticket_id ORDER BY known, step_at, event_id) = 1;

CREATE TEMP TABLE closure AS
SELECT ticket_id, customer_id, opened_at, withdrawn, latest.at AS resolved_at,
       latest.is_open AS is_open, latest.known AS first_known, since AS known,
       lead(since) OVER (PARTITION BY ticket_id ORDER BY since, step) AS until
FROM (
    SELECT * FROM (
        SELECT ticket_id, customer_id, opened_at, withdrawn,
               greatest(known, opened_known) AS since, (step_at, event_id) AS step,
               max({{'at': step_at, 'is_open': kind = 'reopened', 'id': event_id,
                     'known': greatest(known, opened_known)}}) OVER (
                   PARTITION BY ticket_id ORDER BY known, step_at, event_id
                   ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS latest
        FROM ticket_step JOIN ticket USING (ticket_id)
        WHERE kind IN ('resolved', 'reopened') AND step_at >= opened_at
    )
    QUALIFY latest IS DISTINCT FROM lag(latest) OVER (PARTITION BY ticket_id ORDER BY since, step)
);

CREATE TEMP TABLE human_reply AS
SELECT ticket_id, ticket.customer_id, opened_at, replied_at,
       greatest(first_known, opened_known) AS entered,
       greatest(known_from, opened_known) AS known, known_until AS gone, event_id
FROM (
    SELECT ticket_id, event_at AS replied_at, first_known, known_from, known_until, event_id
    FROM messages WHERE author = 'agent' AND coalesce(is_public, true)
    UNION ALL
    SELECT ticket_id, event_at + to_seconds(coalesce(wait_seconds, 0)), first_known, known_from,
           known_until, 'call ' || event_id
    FROM calls WHERE NOT coalesce(abandoned, false) AND ticket_id IS NOT NULL
) JOIN ticket USING (ticket_id)
WHERE replied_at >= opened_at AND coalesce(known < gone, true);

CREATE TEMP TABLE response AS
SELECT *, lead(since) OVER (PARTITION BY ticket_id ORDER BY since) AS until
FROM (
    SELECT *, replied_at IS DISTINCT FROM lag(replied_at) OVER changes
        OR row_number() OVER changes = 1 AS is_new
    FROM (
        SELECT ticket.ticket_id, ticket.customer_id, ticket.opened_at, opened_known, withdrawn,
               in_hours, channel, since, min(replied_at) AS replied_at,
               arg_min(entered, (replied_at, entered)) AS first_known
        FROM (
            SELECT ticket_id, opened_known AS since FROM ticket
            UNION SELECT ticket_id, known FROM human_reply
            UNION SELECT ticket_id, gone FROM human_reply WHERE gone IS NOT NULL
        ) AS change
        JOIN ticket ON ticket.ticket_id = change.ticket_id
        LEFT JOIN human_reply AS reply ON reply.ticket_id = change.ticket_id
            AND reply.known <= since AND coalesce(since < gone, true)
        GROUP BY ALL
    )
    WINDOW changes AS (PARTITION BY ticket_id ORDER BY since)
)
WHERE is_new;

CREATE TEMP TABLE exchange AS
SELECT *, by_customer IS DISTINCT FROM lag(by_customer) OVER (
    PARTITION BY ticket_id ORDER BY known, said_at, event_id) AS takes_turn
FROM (
    SELECT ticket_id, author = 'customer' AS by_customer, event_at AS said_at,
           greatest(known_from, opened_known) AS known, event_id
    FROM messages_first JOIN ticket USING (ticket_id)
    WHERE author = 'customer' OR author = 'agent' AND coalesce(is_public, true)
    UNION ALL
    SELECT ticket_id, false, event_at + to_seconds(coalesce(wait_seconds, 0)),
           greatest(known_from, opened_known), 'call ' || event_id
    FROM calls_first JOIN ticket USING (ticket_id) WHERE NOT coalesce(abandoned, false)
);

CREATE TEMP VIEW product_ticket AS
SELECT * FROM (
    SELECT customer_id, product_id, opened_known, withdrawn,
           coalesce({COMPLAINT}, false) AS complains,
           timezone(getvariable('time_zone'),
               date_trunc('month', timezone(getvariable('time_zone'), opened_known))
               + unnest([1, 2, 3, 4]) * INTERVAL 1 MONTH) AS month_at
    FROM ticket WHERE product_id IS NOT NULL
)
WHERE opened_known >= month_at - INTERVAL {PRODUCT_DAYS} DAY AND opened_known < month_at
  AND coalesce(withdrawn >= month_at, true);
"""
"""Tables shared by several streams.

`ticket`: as taken in. `resolution`: the first one of a ticket. `closure`: from `known` to `until`
the latest of a ticket's resolutions and reopenings known is this one. `human_reply`: replies and
answered calls, each while it is the record; a bot's or a system's reply is no human reply (METHODS
S3). `response`: from `since` to `until` the first human reply on record is this one, or there is
none; a reply that arrives late, is corrected or is deleted changes it from then on. `exchange`:
who spoke in the order of becoming known, so that what arrives later changes nothing before it.
`product_ticket`: each ticket once per end of a month of whose last 90 days it is.
"""

PRODUCT_MONTH = """
    SELECT product_id, month_at, count(*) AS tickets, count(*) FILTER (complains) AS complaints
    FROM product_ticket GROUP BY ALL
"""
"""Tickets and complaints of all customers at hand, per product and end of month."""

PENDING = """
    SELECT ticket_id, known, sum(epoch(ended_at - waiting_from)) / 3600 AS hours,
           sum(business_hours(waiting_from, ended_at)) AS business_hours
    FROM (
        SELECT closure.ticket_id, closure.known, pending.step_at AS waiting_from,
               least(resolved_at, min(next_at)) AS ended_at
        FROM closure
        JOIN ticket_step AS pending ON pending.ticket_id = closure.ticket_id
            AND pending.kind = 'pending_customer' AND pending.known <= closure.known
            AND pending.step_at BETWEEN opened_at AND resolved_at
        LEFT JOIN (
            SELECT ticket_id, step_at AS next_at, known AS next_known FROM ticket_step
            UNION ALL
            SELECT ticket_id, said_at, known FROM exchange WHERE by_customer
        ) AS next ON next.ticket_id = closure.ticket_id AND next_at > pending.step_at
            AND next_known <= closure.known
        WHERE NOT is_open
        GROUP BY closure.ticket_id, closure.known, resolved_at, pending.step_at
    )
    GROUP BY ticket_id, known
"""
"""How long a ticket waited for the customer, up to each of its resolutions."""


def _steps_within(interval: str) -> str:
    """A join of each ticket with its steps that happened and were known within `interval`."""
    return f"""
        ticket LEFT JOIN ticket_step AS step
            ON step.ticket_id = ticket.ticket_id AND step_at >= opened_at
            AND step_at <= opened_at + INTERVAL {interval}
            AND known <= opened_known + INTERVAL {interval}
    """


IS_RESOLVED = """
    coalesce(arg_max(kind = 'resolved', (step_at, kind = 'reopened', event_id))
        FILTER (kind IN ('resolved', 'reopened')), false)
"""
"""Whether the latest of a ticket's resolutions and reopenings is a resolution."""

STREAMS: tuple[Stream, ...] = (
    Stream(
        "ticket_opened",
        ("tickets",),
        (
            "severity",
            "backlog",
            "off_hours",
            "weekend",
            "by_phone",
            "by_chat",
            "by_mail",
            "by_social",
            "by_web",
            "in_person",
            "repeats",
            "switches_channel",
        ),
        f"""
        SELECT customer_id, opened_known AS first_known,
               opened_known AS known_from, withdrawn AS known_until,
               ticket_id AS tie, severity, queue_backlog AS backlog,
               {flag("NOT in_hours")} AS off_hours,
               {flag("NOT is_business_day(opened_at)")} AS weekend,
               {flag("channel = 'phone'")} AS by_phone,
               {flag("channel = 'chat'")} AS by_chat,
               {flag("channel = 'mail'")} AS by_mail,
               {flag("channel = 'social'")} AS by_social,
               {flag("channel = 'web'")} AS by_web,
               {flag("channel = 'in_person'")} AS in_person,
               {flag("repeats")} AS repeats,
               {flag("channel <> previous_channel")} AS switches_channel
        FROM (
            SELECT *, lag(channel) OVER (PARTITION BY customer_id ORDER BY opened_known, ticket_id)
                    AS previous_channel,
                EXISTS (SELECT 1 FROM ticket AS other WHERE {SAME_ISSUE}
                    AND other.opened_at BETWEEN mine.opened_at - INTERVAL 30 DAY AND mine.opened_at
                    AND (other.opened_known, other.ticket_id) < (mine.opened_known, mine.ticket_id))
                    AS repeats
            FROM ticket AS mine
        )
        """,
    ),
    Stream(
        "ticket_by_profile",
        ("tickets", "customers"),
        ("preferred", "night", "zone_gap_hours"),
        # The profile as it was known when the ticket was.
        f"""
        SELECT customer_id, opened_known AS first_known, opened_known AS known_from,
               withdrawn AS known_until, ticket_id AS tie,
               {flag("channel = channel_pref")} AS preferred,
               {flag(f"hour(local) >= {NIGHT[0]} OR hour(local) < {NIGHT[1]}")} AS night,
               CASE WHEN zone IS NOT NULL THEN abs(epoch(local - timezone(home, opened_at))) / 3600
                   END AS zone_gap_hours
        FROM (
            SELECT ticket.*, channel_pref, zone.name AS zone, getvariable('time_zone') AS home,
                   timezone(coalesce(zone.name, getvariable('time_zone')), opened_at) AS local
            FROM ticket LEFT JOIN customers AS profile
                ON profile.customer_id = ticket.customer_id AND profile.known_from <= opened_known
                AND coalesce(opened_known < profile.known_until, true)
            LEFT JOIN zone ON zone.name = profile.time_zone
            QUALIFY row_number() OVER (PARTITION BY ticket_id ORDER BY profile.known_from DESC,
                record_version DESC, event_id DESC) = 1
        )
        """,
    ),
    Stream(
        "resolved",
        ("tickets", "ticket_events"),
        ("hours", "business_hours", "log_hours", "within_4h"),
        # The time until the last resolution, less what was spent waiting for the customer. While a
        # ticket is open again it has no resolution time; its clock has run on when it gets one.
        f"""
        SELECT *, ln(1 + hours) AS log_hours, {flag("hours <= 4")} AS within_4h
        FROM (
            SELECT customer_id, first_known, closure.known AS known_from,
                   least(withdrawn, until) AS known_until, closure.ticket_id AS tie,
                   epoch(resolved_at - opened_at) / 3600 - coalesce(hours, 0) AS hours,
                   business_hours(opened_at, resolved_at) - coalesce(pending.business_hours, 0)
                       AS business_hours
            FROM closure LEFT JOIN ({PENDING}) AS pending USING (ticket_id, known)
            WHERE NOT is_open
        )
        """,
    ),
    Stream(
        "first_resolved",
        ("tickets", "ticket_events"),
        ("hours",),
        """
        SELECT customer_id, resolved_known AS first_known, resolved_known AS known_from,
               withdrawn AS known_until, ticket_id AS tie,
               epoch(resolved_at - opened_at) / 3600 AS hours
        FROM resolution
        """,
    ),
    Stream(
        "resolution_target_due",
        ("tickets", "ticket_events"),
        ("missed",),
        f"""
        SELECT customer_id, opened_known + INTERVAL {RESOLUTION_TARGET_HOURS} HOUR AS first_known,
               first_known AS known_from, withdrawn AS known_until, ticket.ticket_id AS tie,
               {one_if(f"NOT {IS_RESOLVED}")} AS missed
        FROM {_steps_within(f"{RESOLUTION_TARGET_HOURS} HOUR")}
        GROUP BY customer_id, ticket.ticket_id, opened_known, withdrawn
        """,
    ),
    Stream(
        "settled_72h",
        ("tickets", "ticket_events"),
        ("resolved", "hours", "escalated", "personal"),
        # A bot that passes the customer on to a person (tier 1) does not escalate (METHODS S10).
        f"""
        SELECT customer_id, opened_known + INTERVAL 72 HOUR AS first_known,
               first_known AS known_from, withdrawn AS known_until, ticket.ticket_id AS tie,
               {flag(IS_RESOLVED)} AS resolved,
               CASE WHEN resolved = 1
                   THEN epoch(max(step_at) FILTER (kind = 'resolved') - opened_at) / 3600
                   ELSE 72 END AS hours,
               {flag("coalesce(bool_or(kind = 'escalated' AND coalesce(tier, 2) >= 2), false)")}
                   AS escalated,
               {flag("coalesce(bool_or(kind = 'context_viewed'), false)")} AS personal
        FROM {_steps_within("72 HOUR")}
        GROUP BY customer_id, ticket.ticket_id, opened_at, opened_known, withdrawn
        """,
    ),
    Stream(
        "settled_14d",
        ("tickets", "ticket_events"),
        ("resolved", "own_authority", "owner_changes"),
        # Solved by the first tier on its own: resolved without escalation, with a decision that
        # nobody had to be asked for.
        f"""
        SELECT customer_id, opened_known + INTERVAL 14 DAY AS first_known,
               first_known AS known_from, withdrawn AS known_until, ticket_id AS tie,
               {flag(IS_RESOLVED)} AS resolved,
               {
            flag(f'''{IS_RESOLVED} AND coalesce(bool_or(own_authority), false)
                   AND NOT coalesce(bool_or(kind = 'escalated' OR tier > 1), false)''')
        }
                   AS own_authority,
               count(*) FILTER (agent_id <> previous_agent) AS owner_changes
        FROM (
            SELECT ticket.customer_id, ticket.ticket_id, opened_known, withdrawn, kind, step_at,
                   event_id, own_authority, tier, agent_id,
                   last_value(agent_id IGNORE NULLS) OVER (
                       PARTITION BY ticket.ticket_id ORDER BY step_at, event_id
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS previous_agent
            FROM {_steps_within("14 DAY")}
        )
        GROUP BY customer_id, ticket_id, opened_known, withdrawn
        """,
    ),
    Stream(
        "first_contact_resolution",
        ("tickets", "ticket_events"),
        ("solved", "solved_off_hours"),
        # Seven days after the first resolution: one human contact, no reopening, transfer or
        # escalation, and no other ticket on the same issue since the first one was opened. What a
        # bot settled alone is left out (METHODS S7).
        f"""
        SELECT *, CASE WHEN NOT in_hours THEN solved END AS solved_off_hours
        FROM (
            SELECT customer_id, due AS first_known, due AS known_from, withdrawn AS known_until,
                   ticket_id AS tie, in_hours,
                   {flag("NOT moved AND NOT came_back AND coalesce(contacts, 0) <= 1")} AS solved
            FROM (
                SELECT *, resolved_known + INTERVAL 7 DAY AS due,
                    EXISTS (SELECT 1 FROM ticket_step AS step
                        WHERE step.ticket_id = mine.ticket_id
                          AND (step.kind IN ('reopened', 'transferred')
                              OR step.kind = 'escalated' AND coalesce(tier, 2) >= 2)
                          AND step.step_at <= resolved_at + INTERVAL 7 DAY
                          AND step.known <= resolved_known + INTERVAL 7 DAY) AS moved,
                    EXISTS (SELECT 1 FROM ticket AS other WHERE {SAME_ISSUE}
                          AND other.opened_at > mine.opened_at
                          AND other.opened_at <= resolved_at + INTERVAL 7 DAY
                          AND other.opened_known <= resolved_known + INTERVAL 7 DAY) AS came_back
                FROM resolution AS mine
            ) AS mine
            LEFT JOIN (
                SELECT ticket_id, count(*) AS contacts
                FROM exchange JOIN resolution USING (ticket_id)
                WHERE NOT by_customer AND takes_turn AND said_at <= resolved_at
                  AND known <= resolved_known + INTERVAL 7 DAY
                GROUP BY ticket_id
            ) USING (ticket_id)
            WHERE contacts > 0 OR NOT EXISTS (SELECT 1 FROM messages_first AS bot
                WHERE bot.ticket_id = mine.ticket_id AND author = 'bot'
                  AND bot.event_at <= resolved_at AND bot.known_from <= due)
        )
        """,
    ),
    Stream(
        "first_contact_pending",
        ("tickets", "ticket_events"),
        (),
        """
        SELECT customer_id, resolved_known AS first_known, resolved_known AS known_from,
               least(withdrawn, resolved_known + INTERVAL 7 DAY) AS known_until, ticket_id AS tie
        FROM resolution
        """,
    ),
    Stream(
        "open_ticket",
        ("tickets", "ticket_events"),
        (),
        # Open from its creation, and again from each reopening, until it is known that it was
        # resolved or merged after that. A ticket is never open twice: a reopening ends the spell
        # before it. Its age runs from its creation, also after a reopening.
        """
        SELECT customer_id, opened_known AS first_known, opened AS known_from,
               least(withdrawn, min(done.known),
                   lead(opened) OVER (PARTITION BY spell.ticket_id ORDER BY opened, since))
                   AS known_until,
               spell.ticket_id || ' ' || since::VARCHAR AS tie
        FROM (
            SELECT ticket_id, customer_id, withdrawn, opened_at AS since, opened_known,
                   opened_known AS opened
            FROM ticket
            UNION
            SELECT ticket_id, customer_id, withdrawn, step_at, opened_known,
                   greatest(known, opened_known)
            FROM ticket JOIN ticket_step USING (ticket_id) WHERE kind = 'reopened'
        ) AS spell
        LEFT JOIN ticket_step AS done
            ON done.ticket_id = spell.ticket_id AND done.kind IN ('resolved', 'merged')
            AND done.step_at >= since
        GROUP BY customer_id, spell.ticket_id, withdrawn, since, opened_known, opened
        """,
    ),
    Stream(
        "followed_up_10d",
        ("tickets", "ticket_events", "outreach"),
        ("followed",),
        f"""
        SELECT resolution.customer_id, resolved_known + INTERVAL 10 DAY AS first_known,
               first_known AS known_from, resolution.withdrawn AS known_until,
               resolution.ticket_id AS tie, {flag("count(sent.event_id) > 0")} AS followed
        FROM resolution LEFT JOIN outreach_first AS sent
            ON sent.ticket_id = resolution.ticket_id AND kind = 'follow_up'
            AND coalesce(action, 'sent') = 'sent'
            AND event_at BETWEEN resolved_at AND resolved_at + INTERVAL 10 DAY
            AND known_from <= resolved_known + INTERVAL 10 DAY
        GROUP BY ALL
        """,
    ),
    simple("reopening", "ticket_events", "kind = 'reopened'"),
    simple("escalation", "ticket_events", "kind = 'escalated' AND coalesce(tier, 2) >= 2"),
    simple(
        "handoff",
        "ticket_events",
        "kind IN ('transferred', 'escalated')",
        context_passed=flag("context_passed"),
    ),
    Stream(
        "product_complaint",
        ("tickets",),
        ("rate",),
        # At the end of each month, about the product of the customer's latest ticket of the last
        # year: complaints among the tickets that the other customers opened in 90 days.
        f"""
        WITH held AS (
            SELECT customer_id, product_id, opened_known, withdrawn,
                   lead(opened_known) OVER (
                       PARTITION BY customer_id ORDER BY opened_known, ticket_id) AS next_known
            FROM ticket WHERE product_id IS NOT NULL
        ), company AS (
            SELECT month_at, sum(tickets) AS tickets, sum(complaints) AS complaints
            FROM product_month GROUP BY month_at
        ), own_product AS (
            SELECT customer_id, product_id, month_at, count(*) AS tickets,
                   count(*) FILTER (complains) AS complaints
            FROM product_ticket GROUP BY ALL
        ), own AS (
            SELECT customer_id, month_at, sum(tickets) AS tickets, sum(complaints) AS complaints
            FROM own_product GROUP BY ALL
        )
        SELECT held.customer_id, company.month_at - INTERVAL 1 MICROSECOND AS first_known,
               first_known AS known_from, NULL AS known_until, product_id AS tie,
               CASE WHEN product.tickets - coalesce(own_product.tickets, 0) >= {PRODUCT_TICKETS}
                   THEN (product.complaints - coalesce(own_product.complaints, 0))
                       / (product.tickets - coalesce(own_product.tickets, 0))
                   ELSE (company.complaints - coalesce(own.complaints, 0))
                       / nullif(company.tickets - coalesce(own.tickets, 0), 0) END AS rate
        FROM held
        JOIN company ON company.month_at > opened_known
            AND company.month_at <= opened_known + INTERVAL 365 DAY
            AND coalesce(company.month_at <= next_known, true)
            AND coalesce(company.month_at <= withdrawn, true)
        LEFT JOIN product_month AS product USING (product_id, month_at)
        LEFT JOIN own_product USING (customer_id, product_id, month_at)
        LEFT JOIN own ON own.customer_id = held.customer_id AND own.month_at = company.month_at
        """,
    ),
    Stream(
        "cancellation_ticket",
        ("tickets",),
        (),
        f"""
        SELECT customer_id, opened_known AS first_known, opened_known AS known_from,
               withdrawn AS known_until, ticket_id AS tie
        FROM ticket WHERE regexp_matches(lower(topic), '{CANCELLATION}')
        """,
    ),
    simple("retention_contact", "outreach", f"regexp_matches(lower(campaign), '{CANCELLATION}')"),
    simple("cancel_request", "subscriptions", "kind = 'cancel_request'"),
)
