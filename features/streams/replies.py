"""What is said on tickets: replies, waits, bots and the customer's messages (METHODS S1-S4,
S39-S42, S45-S47, S55)."""

from __future__ import annotations

from features.declare import Stream, flag, one_if

RESPONSE_TARGET_HOURS = 1
"""A first response later than this missed its target (METHODS S4, S15, F)."""

BOT_TURNS = 3
"""More bot turns than this on a complex problem, with no person, are a trap (METHODS S47)."""

CONSISTENCY_DAYS = 365
CONSISTENCY_MIN = 3
"""Consistency is judged on at least three responses of a year (METHODS S42)."""


def _answered_within(interval: str) -> str:
    """Each ticket with the human replies that were written and on record within `interval`.

    A ticket that itself became known late does not make a late answer punctual.
    """
    return f"""
        ticket LEFT JOIN human_reply AS reply
            ON reply.ticket_id = ticket.ticket_id
            AND replied_at <= ticket.opened_at + INTERVAL {interval}
            AND known <= ticket.opened_known + INTERVAL {interval}
            AND coalesce(gone > ticket.opened_known + INTERVAL {interval}, true)
    """


def _bot_within(interval: str) -> str:
    """Per ticket that a bot answered within `interval`: the bot's turns, the first human reply."""
    return f"""
        SELECT ticket.*, answer.replied_at, began_at, said_at
        FROM ticket
        JOIN (
            SELECT ticket.ticket_id, min(replied_at) AS replied_at
            FROM {_answered_within(interval)} GROUP BY ALL
        ) AS answer ON answer.ticket_id = ticket.ticket_id
        JOIN (
            SELECT bot.ticket_id, min(event_at) AS began_at, list(event_at) AS said_at
            FROM messages_first AS bot JOIN ticket ON ticket.ticket_id = bot.ticket_id
            WHERE author = 'bot' AND coalesce(is_public, true)
              AND event_at BETWEEN opened_at AND opened_at + INTERVAL {interval}
              AND known_from <= opened_known + INTERVAL {interval}
            GROUP BY bot.ticket_id
        ) AS bot ON bot.ticket_id = ticket.ticket_id
    """


STREAMS: tuple[Stream, ...] = (
    Stream(
        "first_response",
        ("tickets", "messages"),
        (
            "hours",
            "business_hours",
            "log_hours",
            "within_15min",
            "within_1h",
            "off_hours_hours",
        ),
        f"""
        SELECT customer_id, first_known, since AS known_from,
               least(withdrawn, until) AS known_until, ticket_id AS tie,
               epoch(replied_at - opened_at) / 3600 AS hours,
               business_hours(opened_at, replied_at) AS business_hours, ln(1 + hours) AS log_hours,
               {flag("hours <= 0.25")} AS within_15min, {flag("hours <= 1")} AS within_1h,
               CASE WHEN NOT in_hours THEN hours END AS off_hours_hours
        FROM response WHERE replied_at IS NOT NULL
        """,
    ),
    Stream(
        "response_due",
        ("tickets", "messages"),
        ("answered", "hours"),
        f"""
        SELECT ticket.customer_id, ticket.opened_known + INTERVAL 24 HOUR AS first_known,
               first_known AS known_from, ticket.withdrawn AS known_until,
               ticket.ticket_id AS tie, {flag("count(replied_at) > 0")} AS answered,
               coalesce(epoch(min(replied_at) - ticket.opened_at) / 3600, 24) AS hours
        FROM {_answered_within("24 HOUR")}
        GROUP BY ticket.customer_id, ticket.ticket_id, ticket.opened_at, ticket.opened_known,
            ticket.withdrawn
        """,
    ),
    Stream(
        "response_target_due",
        ("tickets", "messages"),
        ("missed",),
        f"""
        SELECT ticket.customer_id,
               ticket.opened_known + INTERVAL {RESPONSE_TARGET_HOURS} HOUR AS first_known,
               first_known AS known_from, ticket.withdrawn AS known_until,
               ticket.ticket_id AS tie, {one_if("count(replied_at) = 0")} AS missed
        FROM {_answered_within(f"{RESPONSE_TARGET_HOURS} HOUR")}
        GROUP BY ticket.customer_id, ticket.ticket_id, ticket.opened_known, ticket.withdrawn
        """,
    ),
    Stream(
        "awaiting_response",
        ("tickets", "ticket_events", "messages"),
        (),
        # Its age runs from the opening, also where the only reply turned out to be none.
        """
        SELECT customer_id, opened_known AS first_known, since AS known_from,
               least(withdrawn, until, closed_known) AS known_until, ticket_id AS tie
        FROM response
        LEFT JOIN (
            SELECT ticket_id, min(known) AS closed_known FROM ticket_step
            WHERE kind IN ('resolved', 'merged') GROUP BY ticket_id
        ) USING (ticket_id)
        WHERE replied_at IS NULL
        """,
    ),
    Stream(
        "reply_due",
        ("tickets", "ticket_events", "messages"),
        ("hours",),
        # From the customer's message to the next human reply, judged after a day. Messages after
        # the resolution, such as thanks, wait for nothing unless they reopen the ticket.
        """
        SELECT customer_id, due AS first_known, due AS known_from, withdrawn AS known_until,
               event_id AS tie, coalesce(epoch(replied_at - said_at) / 3600, 24) AS hours
        FROM (
            SELECT turn.*, ticket.customer_id, ticket.withdrawn, min(replied_at) AS replied_at
            FROM (SELECT *, known + INTERVAL 24 HOUR AS due
                  FROM exchange WHERE by_customer AND takes_turn) AS turn
            JOIN ticket ON ticket.ticket_id = turn.ticket_id
            LEFT JOIN human_reply AS reply ON reply.ticket_id = turn.ticket_id
                AND reply.known <= due AND coalesce(gone > due, true)
                AND reply.replied_at BETWEEN said_at AND said_at + INTERVAL 24 HOUR
            GROUP BY ALL
        ) AS turn
        WHERE NOT coalesce((
            SELECT arg_max(kind = 'resolved', (step_at, kind = 'reopened', step.event_id))
            FROM ticket_step AS step
            WHERE step.ticket_id = turn.ticket_id AND step.known <= due
              AND (kind = 'reopened' OR kind = 'resolved' AND step_at <= said_at)), false)
        """,
    ),
    Stream(
        "response_by_channel",
        ("tickets", "messages"),
        ("range",),
        # How far apart the channels' typical response times are, as seen when a response came in.
        f"""
        SELECT customer_id, known AS first_known, known AS known_from, NULL AS known_until,
               ticket_id AS tie, exp(max(level)) - exp(min(level)) AS range
        FROM (
            SELECT now.customer_id, now.ticket_id, now.since AS known, earlier.channel,
                   avg(ln(1 + epoch(earlier.replied_at - earlier.opened_at) / 3600)) AS level,
                   count(*) AS responses
            FROM response AS now JOIN response AS earlier
                ON earlier.customer_id = now.customer_id
                AND earlier.since <= now.since AND earlier.first_known <= now.since
                AND earlier.first_known >= now.since - INTERVAL {CONSISTENCY_DAYS} DAY
                AND coalesce(least(earlier.until, earlier.withdrawn) > now.since, true)
            WHERE now.replied_at IS NOT NULL AND earlier.replied_at IS NOT NULL
            GROUP BY ALL
        )
        GROUP BY customer_id, ticket_id, known
        HAVING count(*) > 1 AND sum(responses) >= {CONSISTENCY_MIN}
        """,
    ),
    Stream(
        "silence_14d",
        ("tickets", "ticket_events", "messages"),
        ("hours", "business_hours", "updates_per_day"),
        # The longest time without a human reply from the opening to the first resolution, or to
        # the fourteenth day while there is none.
        """
        SELECT customer_id, due AS first_known, due AS known_from, withdrawn AS known_until,
               ticket_id AS tie, max(epoch(moment - before)) / 3600 AS hours,
               max(business_hours(before, moment)) AS business_hours,
               (count(*) - 1) / greatest(ceil(epoch(ended_at - opened_at) / 86400), 1)
                   AS updates_per_day
        FROM (
            SELECT *, lag(moment, 1, opened_at) OVER (
                PARTITION BY ticket_id ORDER BY moment) AS before
            FROM (
                WITH span AS (
                    SELECT ticket.ticket_id, ticket.customer_id, ticket.opened_at,
                           ticket.withdrawn, opened_known + INTERVAL 14 DAY AS due,
                           least(ticket.opened_at + INTERVAL 14 DAY, resolved_at) AS ended_at
                    FROM ticket LEFT JOIN resolution
                        ON resolution.ticket_id = ticket.ticket_id
                        AND resolved_known <= opened_known + INTERVAL 14 DAY
                )
                SELECT *, ended_at AS moment FROM span
                UNION ALL
                SELECT span.*, replied_at FROM span JOIN human_reply AS reply
                    ON reply.ticket_id = span.ticket_id AND replied_at <= ended_at
                    AND known <= due AND coalesce(gone > due, true)
            )
        )
        GROUP BY customer_id, ticket_id, due, withdrawn, opened_at, ended_at
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
    Stream(
        "bot_acknowledgement",
        ("tickets", "messages"),
        ("seconds",),
        """
        SELECT ticket.customer_id, greatest(known_from, opened_known) AS first_known,
               first_known AS known_from, least(ticket.withdrawn, bot.withdrawn) AS known_until,
               ticket.ticket_id AS tie, epoch(event_at - opened_at) AS seconds
        FROM messages_first AS bot JOIN ticket USING (ticket_id)
        WHERE author = 'bot' AND coalesce(is_public, true) AND event_at >= opened_at
        QUALIFY row_number() OVER (
            PARTITION BY ticket_id ORDER BY known_from, event_at, event_id) = 1
        """,
    ),
    Stream(
        "bot_due_24h",
        ("tickets", "messages"),
        ("turns", "handoff_hours", "trapped"),
        # The bot's turns before a person answers, and how long it takes from its first turn; a
        # customer nobody has taken over counts with the full day (CENS24h).
        f"""
        SELECT customer_id, opened_known + INTERVAL 24 HOUR AS first_known,
               first_known AS known_from, withdrawn AS known_until, ticket_id AS tie,
               len(list_filter(said_at, lambda said: coalesce(said < replied_at, true))) AS turns,
               CASE WHEN replied_at IS NULL THEN 24
                   ELSE greatest(epoch(replied_at - began_at), 0) / 3600 END AS handoff_hours,
               CASE WHEN turns > {BOT_TURNS} AND severity >= 2 THEN 1 END AS trapped
        FROM ({_bot_within("24 HOUR")})
        """,
    ),
    Stream(
        "bot_settled_72h",
        ("tickets", "ticket_events", "messages"),
        ("resolved_by_bot",),
        # Resolved within three days without any person (MAT3).
        f"""
        SELECT customer_id, opened_known + INTERVAL 72 HOUR AS first_known,
               first_known AS known_from, withdrawn AS known_until, ticket_id AS tie,
               CAST(replied_at IS NULL AND EXISTS (SELECT 1 FROM ticket_step AS step
                   WHERE step.ticket_id = bot.ticket_id AND kind = 'resolved'
                     AND step_at <= opened_at + INTERVAL 72 HOUR
                     AND known <= opened_known + INTERVAL 72 HOUR) AS INTEGER) AS resolved_by_bot
        FROM ({_bot_within("72 HOUR")}) AS bot
        """,
    ),
    Stream(
        "reply",
        ("tickets", "messages"),
        (
            "is_bot",
            "not_understood",
            "in_customer_language",
            "other_language",
            "translated",
            "asks_again",
            "clarifies",
            "corrects",
        ),
        f"""
        SELECT ticket.customer_id, greatest(first_known, opened_known) AS first_known,
               greatest(known_from, opened_known) AS known_from, known_until, event_id AS tie,
               {flag("author = 'bot'")} AS is_bot,
               CASE WHEN author = 'bot' THEN {flag("not_understood")} END AS not_understood,
               CASE WHEN author = 'agent' THEN {flag("message.language = ticket.language")} END
                   AS in_customer_language,
               {one_if("author = 'agent' AND message.language <> ticket.language")}
                   AS other_language,
               CASE WHEN author = 'agent' THEN {flag("translated")} END AS translated,
               {one_if("author = 'agent' AND asks_again")} AS asks_again,
               CASE WHEN author = 'agent' THEN {flag("asks_to_clarify")} END AS clarifies,
               {one_if("author = 'agent' AND corrects")} AS corrects
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
