"""Tickets, their steps, replies and messages as facts (METHODS S1-S12, S32-S47, S55-S63)."""

from __future__ import annotations

from features.declare import Stream, flag, simple

PREPARED = """
CREATE TEMP TABLE ticket AS
SELECT ticket_id, customer_id, event_at AS opened_at, known_from AS opened_known, withdrawn, topic,
       severity, channel, language
FROM tickets_first
QUALIFY row_number() OVER (PARTITION BY ticket_id ORDER BY known_from, event_id) = 1;

CREATE TEMP TABLE ticket_step AS
SELECT ticket_id, kind, event_at AS step_at, known_from AS known, event_id
FROM ticket_events_first;

CREATE TEMP TABLE resolution AS
SELECT ticket_id, customer_id, opened_at, topic, withdrawn, step_at AS resolved_at,
       greatest(known, opened_known) AS resolved_known
FROM ticket_step JOIN ticket USING (ticket_id)
WHERE kind = 'resolved' AND step_at >= opened_at
QUALIFY row_number() OVER (PARTITION BY ticket_id ORDER BY known, step_at, event_id) = 1;

CREATE TEMP TABLE human_reply AS
SELECT ticket_id, ticket.customer_id, opened_at, opened_known, ticket.withdrawn,
       event_at AS replied_at, greatest(known_from, opened_known) AS known
FROM messages_first AS message JOIN ticket USING (ticket_id)
WHERE author = 'agent' AND coalesce(is_public, true) AND event_at >= opened_at;
"""
"""Tables shared by several streams. A bot's or a system's reply is no human reply (METHODS S3)."""

STREAMS: tuple[Stream, ...] = (
    Stream(
        "ticket_opened",
        ("tickets",),
        ("severity", "off_hours", "by_phone", "by_chat", "by_mail", "repeats", "switches_channel"),
        f"""
        SELECT customer_id, opened_known AS first_known,
               opened_known AS known_from, withdrawn AS known_until,
               ticket_id AS tie, severity,
               {flag("hour(local) NOT BETWEEN 9 AND 17 OR isodow(local) > 5")} AS off_hours,
               {flag("channel = 'phone'")} AS by_phone,
               {flag("channel = 'chat'")} AS by_chat,
               {flag("channel = 'mail'")} AS by_mail,
               {flag("coalesce(opened_at - same_topic_at <= INTERVAL 30 DAY, false)")} AS repeats,
               {flag("channel <> previous_channel")} AS switches_channel
        FROM (
            SELECT *, timezone(getvariable('time_zone'), opened_at) AS local,
                   lag(channel) OVER (PARTITION BY customer_id ORDER BY opened_known, ticket_id)
                       AS previous_channel,
                   CASE WHEN topic IS NOT NULL THEN max(opened_at) OVER (
                       PARTITION BY customer_id, topic ORDER BY opened_known, ticket_id
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) END AS same_topic_at
            FROM ticket
        )
        """,
    ),
    Stream(
        "first_response",
        ("tickets", "messages"),
        ("hours", "within_1h"),
        # A reply that was written earlier but arrives later in the data replaces the fact from
        # the moment it is known: a running minimum in the order of becoming known.
        f"""
        SELECT customer_id, known AS first_known, known AS known_from,
               least(withdrawn, lead(known) OVER (
                   PARTITION BY ticket_id ORDER BY known, replied_at DESC)) AS known_until,
               ticket_id AS tie, hours, {flag("hours <= 1")} AS within_1h
        FROM (
            SELECT *, epoch(replied_at - opened_at) / 3600 AS hours,
                   min(replied_at) OVER (PARTITION BY ticket_id ORDER BY known, replied_at DESC
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earliest_before
            FROM human_reply
        )
        WHERE earliest_before IS NULL OR replied_at < earliest_before
        """,
    ),
    Stream(
        "response_due",
        ("tickets", "messages"),
        ("answered",),
        # Written within a day and known within a day: a ticket that itself became known late
        # does not make a late answer punctual.
        f"""
        SELECT ticket.customer_id, ticket.opened_known + INTERVAL 24 HOUR AS first_known,
               first_known AS known_from, ticket.withdrawn AS known_until,
               ticket.ticket_id AS tie, {flag("count(replied_at) > 0")} AS answered
        FROM ticket LEFT JOIN human_reply AS reply
            ON reply.ticket_id = ticket.ticket_id
            AND replied_at <= ticket.opened_at + INTERVAL 24 HOUR
            AND known <= ticket.opened_known + INTERVAL 24 HOUR
        GROUP BY ALL
        """,
    ),
    Stream(
        "awaiting_response",
        ("tickets", "ticket_events", "messages"),
        (),
        """
        SELECT customer_id, opened_known AS first_known, opened_known AS known_from,
               least(withdrawn, reply_known, closed_known) AS known_until, ticket_id AS tie
        FROM ticket
        LEFT JOIN (
            SELECT ticket_id, min(known) AS reply_known FROM human_reply GROUP BY ticket_id
        ) USING (ticket_id)
        LEFT JOIN (
            SELECT ticket_id, min(known) AS closed_known FROM ticket_step
            WHERE kind IN ('resolved', 'merged') GROUP BY ticket_id
        ) USING (ticket_id)
        """,
    ),
    Stream(
        "resolved",
        ("tickets", "ticket_events"),
        ("hours", "within_24h"),
        f"""
        SELECT customer_id, resolved_known AS first_known, resolved_known AS known_from,
               withdrawn AS known_until, ticket_id AS tie,
               epoch(resolved_at - opened_at) / 3600 AS hours,
               {flag("resolved_at - opened_at <= INTERVAL 24 HOUR")} AS within_24h
        FROM resolution
        """,
    ),
    Stream(
        "settled_72h",
        ("tickets", "ticket_events"),
        ("resolved", "escalated", "transferred", "personal"),
        f"""
        SELECT customer_id, opened_known + INTERVAL 72 HOUR AS first_known,
               first_known AS known_from, withdrawn AS known_until, ticket.ticket_id AS tie,
               {flag("coalesce(bool_or(kind = 'resolved'), false)")} AS resolved,
               {flag("coalesce(bool_or(kind = 'escalated'), false)")} AS escalated,
               {flag("coalesce(bool_or(kind = 'transferred'), false)")} AS transferred,
               {flag("coalesce(bool_or(kind = 'context_viewed'), false)")} AS personal
        FROM ticket LEFT JOIN ticket_step
            ON ticket_step.ticket_id = ticket.ticket_id
            AND step_at <= opened_at + INTERVAL 72 HOUR
            AND known <= opened_known + INTERVAL 72 HOUR
        GROUP BY customer_id, ticket.ticket_id, opened_known, withdrawn
        """,
    ),
    Stream(
        "first_contact_resolution",
        ("tickets", "ticket_events"),
        ("solved",),
        # Seven days after the first resolution: no reopening, transfer or escalation, and no
        # other ticket on the same topic since the first one was opened (METHODS S7).
        f"""
        SELECT customer_id, resolved_known + INTERVAL 7 DAY AS first_known,
               first_known AS known_from, withdrawn AS known_until, ticket_id AS tie,
               {flag("NOT moved AND NOT came_back")} AS solved
        FROM (
            SELECT *,
                EXISTS (SELECT 1 FROM ticket_step AS step
                    WHERE step.ticket_id = resolution.ticket_id
                      AND step.kind IN ('reopened', 'escalated', 'transferred')
                      AND step.step_at <= resolved_at + INTERVAL 7 DAY
                      AND step.known <= resolved_known + INTERVAL 7 DAY) AS moved,
                EXISTS (SELECT 1 FROM ticket AS other
                    WHERE other.customer_id = resolution.customer_id
                      AND other.topic = resolution.topic
                      AND other.ticket_id <> resolution.ticket_id
                      AND other.opened_at > resolution.opened_at
                      AND other.opened_at <= resolved_at + INTERVAL 7 DAY
                      AND other.opened_known <= resolved_known + INTERVAL 7 DAY) AS came_back
            FROM resolution
        )
        """,
    ),
    Stream(
        "open_ticket",
        ("tickets", "ticket_events"),
        (),
        # Open from its creation, and again from each reopening, until it is known that it was
        # resolved or merged after that. A ticket is never open twice: a reopening ends the spell
        # before it.
        """
        SELECT customer_id, opened AS first_known, opened AS known_from,
               least(withdrawn, min(done.known),
                   lead(opened) OVER (PARTITION BY spell.ticket_id ORDER BY opened, since))
                   AS known_until,
               spell.ticket_id || ' ' || since::VARCHAR AS tie
        FROM (
            SELECT ticket_id, customer_id, withdrawn, opened_at AS since, opened_known AS opened
            FROM ticket
            UNION
            SELECT ticket_id, customer_id, withdrawn, step_at, greatest(known, opened_known)
            FROM ticket JOIN ticket_step USING (ticket_id) WHERE kind = 'reopened'
        ) AS spell
        LEFT JOIN ticket_step AS done
            ON done.ticket_id = spell.ticket_id AND done.kind IN ('resolved', 'merged')
            AND done.step_at >= since
        GROUP BY customer_id, spell.ticket_id, withdrawn, since, opened
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
            AND event_at BETWEEN resolved_at AND resolved_at + INTERVAL 10 DAY
            AND known_from <= resolved_known + INTERVAL 10 DAY
        GROUP BY ALL
        """,
    ),
    Stream(
        "handled_14d",
        ("tickets", "messages"),
        ("customer_messages", "agents"),
        """
        SELECT ticket.customer_id, opened_known + INTERVAL 14 DAY AS first_known,
               first_known AS known_from, ticket.withdrawn AS known_until,
               ticket.ticket_id AS tie,
               count(*) FILTER (author = 'customer') AS customer_messages,
               count(DISTINCT agent_id) FILTER (author = 'agent') AS agents
        FROM ticket LEFT JOIN messages_first AS message
            ON message.ticket_id = ticket.ticket_id
            AND known_from <= opened_known + INTERVAL 14 DAY
        GROUP BY ticket.customer_id, ticket.ticket_id, opened_known, ticket.withdrawn
        """,
    ),
    simple("reopening", "ticket_events", "kind = 'reopened'"),
    simple("escalation", "ticket_events", "kind = 'escalated'"),
    Stream(
        "reply",
        ("tickets", "messages"),
        ("is_bot", "in_customer_language"),
        f"""
        SELECT ticket.customer_id, greatest(first_known, opened_known) AS first_known,
               greatest(known_from, opened_known) AS known_from, known_until, event_id AS tie,
               {flag("author = 'bot'")} AS is_bot,
               CASE WHEN author = 'agent' THEN {flag("message.language = ticket.language")} END
                   AS in_customer_language
        FROM messages AS message JOIN ticket USING (ticket_id)
        WHERE author IN ('agent', 'bot') AND coalesce(is_public, true)
        """,
    ),
    Stream(
        "customer_message",
        ("messages",),
        ("polarity", "negative"),
        f"""
        SELECT customer_id, first_known, known_from, known_until, event_id AS tie, polarity,
               {flag("polarity < 0")} AS negative
        FROM messages LEFT JOIN message_polarity USING (event_id, record_version)
        WHERE author = 'customer'
        """,
    ),
)
