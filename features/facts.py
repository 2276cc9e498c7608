"""Canonical tables -> fact streams: what happened, keyed by the moment it became known.

A stream is one SELECT over the canonical tables of one bucket. It yields, per fact,

- `customer_id`,
- `first_known`: when the fact first became known; windows are measured on this time,
- `known_from`, `known_until`: the span in which this record was the latest one (NULL = still is),
- the stream's own columns (numbers), and `tie`, a text that orders facts known at the same time.

Two kinds of views are prepared for the SELECTs:

- `<table>`: every record version with the span in which it was the latest visible one. A
  corrected order therefore counts with its old value before the correction was known and with
  its new value afterwards.
- `<table>_first`: the first known record of each event, and when the event was `withdrawn`
  (deleted), if ever. Durations and outcomes that combine several rows are built on these, and
  only from rows known by the time the fact itself is keyed to, so that no row which arrives
  later can change a fact that was already visible; it can only end it.

Outcomes that need time to show (was it resolved within three days?) become facts when that time
has passed, never before: that keeps slow cases from being counted as fast ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from data.contracts import TABLES
from features.kernel import FOREVER, Facts
from features.polarity import polarity


@dataclass(frozen=True)
class Stream:
    """One fact stream: the tables it needs, its value columns and its SELECT."""

    name: str
    needs: tuple[str, ...]
    columns: tuple[str, ...]
    sql: str


def _simple(name: str, table: str, where: str = "true", /, **columns: str) -> Stream:
    """A stream with one fact per record version of `table` that satisfies `where`."""
    values = "".join(f", {expression} AS {column}" for column, expression in columns.items())
    sql = (
        f"SELECT customer_id, first_known, known_from, known_until, event_id AS tie{values}"
        f" FROM {table} WHERE {where}"
    )
    return Stream(name, (table,), tuple(columns), sql)


def _flag(condition: str) -> str:
    return f"CAST({condition} AS INTEGER)"


def _one_if(condition: str) -> str:
    """1 where the condition holds, otherwise missing: for counting."""
    return f"CASE WHEN {condition} THEN 1 END"


def _scaled(kind: str) -> str:
    """A survey answer on 0 (worst) to 100 (best)."""
    return (
        f"CASE WHEN kind = '{kind}'"
        " THEN 100 * (value - scale_min) / nullif(scale_max - scale_min, 0) END"
    )


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
               {_flag("hour(local) NOT BETWEEN 9 AND 17 OR isodow(local) > 5")} AS off_hours,
               {_flag("channel = 'phone'")} AS by_phone,
               {_flag("channel = 'chat'")} AS by_chat,
               {_flag("channel = 'mail'")} AS by_mail,
               {_flag("coalesce(opened_at - same_topic_at <= INTERVAL 30 DAY, false)")} AS repeats,
               {_flag("channel <> previous_channel")} AS switches_channel
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
               ticket_id AS tie, hours, {_flag("hours <= 1")} AS within_1h
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
               ticket.ticket_id AS tie, {_flag("count(replied_at) > 0")} AS answered
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
               {_flag("resolved_at - opened_at <= INTERVAL 24 HOUR")} AS within_24h
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
               {_flag("coalesce(bool_or(kind = 'resolved'), false)")} AS resolved,
               {_flag("coalesce(bool_or(kind = 'escalated'), false)")} AS escalated,
               {_flag("coalesce(bool_or(kind = 'transferred'), false)")} AS transferred,
               {_flag("coalesce(bool_or(kind = 'context_viewed'), false)")} AS personal
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
               {_flag("NOT moved AND NOT came_back")} AS solved
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
               resolution.ticket_id AS tie, {_flag("count(sent.event_id) > 0")} AS followed
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
    _simple("reopening", "ticket_events", "kind = 'reopened'"),
    _simple("escalation", "ticket_events", "kind = 'escalated'"),
    Stream(
        "reply",
        ("tickets", "messages"),
        ("is_bot", "in_customer_language"),
        f"""
        SELECT ticket.customer_id, greatest(first_known, opened_known) AS first_known,
               greatest(known_from, opened_known) AS known_from, known_until, event_id AS tie,
               {_flag("author = 'bot'")} AS is_bot,
               CASE WHEN author = 'agent' THEN {_flag("message.language = ticket.language")} END
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
               {_flag("polarity < 0")} AS negative
        FROM messages LEFT JOIN message_polarity USING (event_id, record_version)
        WHERE author = 'customer'
        """,
    ),
    _simple(
        "survey_answer",
        "surveys",
        "action = 'answered'",
        csat=_scaled("csat"),
        csat_low=f"CASE WHEN kind = 'csat' THEN {_flag(_scaled('csat') + ' <= 25')} END",
        nps=_scaled("nps"),
        ces=_scaled("ces"),
    ),
    Stream(
        "survey_due",
        ("surveys",),
        ("answered",),
        f"""
        SELECT customer_id, sent_known + INTERVAL 7 DAY AS first_known, first_known AS known_from,
               withdrawn AS known_until, survey_id AS tie,
               {_flag("coalesce(answer_known <= sent_known + INTERVAL 7 DAY, false)")} AS answered
        FROM (
            SELECT survey_id, customer_id, known_from AS sent_known, withdrawn FROM surveys_first
            WHERE action = 'sent'
            QUALIFY row_number() OVER (PARTITION BY survey_id ORDER BY known_from, event_id) = 1
        )
        LEFT JOIN (
            SELECT survey_id, min(known_from) AS answer_known FROM surveys_first
            WHERE action = 'answered' GROUP BY survey_id
        ) USING (survey_id)
        """,
    ),
    _simple(
        "outreach",
        "outreach",
        follow_up=_one_if("kind = 'follow_up'"),
        proactive_help=_one_if("kind = 'proactive_help'"),
        personal_offer=_one_if("kind = 'personal_offer'"),
        thank_you=_one_if("kind = 'thank_you'"),
    ),
    _simple(
        "loyalty",
        "loyalty",
        enrolled="CASE kind WHEN 'enrol' THEN 1 WHEN 'leave' THEN 0 END",
        enrolled_day="CASE kind WHEN 'enrol' THEN epoch(event_at) / 86400 END",
        earned="CASE WHEN kind = 'earn' THEN points END",
        redeemed="CASE WHEN kind = 'redeem' THEN points END",
        expired="CASE WHEN kind = 'expire' THEN points END",
        tier_move=_one_if("kind = 'tier'"),
    ),
    _simple("points_earned", "loyalty", "kind = 'earn'"),
    _simple(
        "self_service",
        "selfservice",
    ),
    Stream(
        "self_service_due",
        ("selfservice", "tickets"),
        ("succeeded",),
        f"""
        SELECT customer_id, known_from + INTERVAL 72 HOUR AS first_known, first_known AS known_from,
               withdrawn AS known_until, event_id AS tie, {_flag("NOT asked")} AS succeeded
        FROM (
            SELECT *, EXISTS (SELECT 1 FROM ticket
                WHERE ticket.customer_id = visit.customer_id
                  AND opened_at BETWEEN visit.event_at AND visit.event_at + INTERVAL 72 HOUR
                  AND opened_known <= visit.known_from + INTERVAL 72 HOUR) AS asked
            FROM selfservice_first AS visit
        )
        """,
    ),
    _simple(
        "order",
        "orders",
        "status = 'placed'",
        amount="amount",
        discounted=_flag("discount > 0"),
        item_count="item_count",
    ),
    _simple("cancelled_order", "orders", "status = 'cancelled'"),
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
    _simple(
        "subscription",
        "subscriptions",
        started_day="CASE WHEN kind = 'start' THEN epoch(event_at) / 86400 END",
        renewal=_one_if("kind = 'renew'"),
        payment_failure=_one_if("kind = 'payment_failed'"),
        term_end_day="epoch(term_end) / 86400",
        price="price",
    ),
    _simple("visit", "web_sessions", visits="visits"),
    _simple("profile", "customers", signup_day="epoch(signup_at) / 86400"),
)

STREAM = {stream.name: stream for stream in STREAMS}


def open_bucket(folder: Path, bucket: int, time_zone: str) -> duckdb.DuckDBPyConnection:
    """Connect to one bucket of the canonical tables under `folder`, with all views prepared.

    Tables that the source lacks are empty, so every SELECT runs.
    """
    paths = {
        table.name: folder / table.name / f"bucket={bucket:03d}.parquet"
        for table in TABLES
        if (folder / table.name).is_dir()
    }
    frames = {name: f"read_parquet('{path}')" for name, path in paths.items()}
    return connect(frames, time_zone)


def connect(
    relations: Mapping[str, str | pd.DataFrame], time_zone: str
) -> duckdb.DuckDBPyConnection:
    """Prepare the views over canonical tables given as DuckDB relations or frames."""
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "threads": 1,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET VARIABLE time_zone = ?", [time_zone])
    for table in TABLES:
        relation = relations.get(table.name)
        if isinstance(relation, pd.DataFrame):
            connection.register(f"{table.name}_frame", relation)
            relation = f"{table.name}_frame"
        if relation:
            casts = ", ".join(
                f"CAST({column.name} AS {column.type}) AS {column.name}"
                for column in table.all_columns
            )
            # A version is superseded when any higher version becomes known, in whatever order
            # versions arrive. Nothing is known before it happened.
            connection.execute(f"""
                CREATE TEMP TABLE {table.name}_versions AS
                SELECT *,
                    min(known_from) OVER (versions
                        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS first_known,
                    min(known_from) OVER (versions
                        ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS known_until
                FROM (
                    SELECT *, greatest(known_at, event_at) AS known_from
                    FROM (SELECT {casts} FROM {relation})
                )
                WINDOW versions AS (PARTITION BY event_id ORDER BY record_version)
            """)
        else:
            names = [f"{column.name} {column.type}" for column in table.all_columns]
            spans = [f"{name} TIMESTAMPTZ" for name in ("known_from", "first_known", "known_until")]
            connection.execute(
                f"CREATE TEMP TABLE {table.name}_versions ({', '.join(names + spans)})"
            )
        connection.execute(f"""
            CREATE TEMP VIEW {table.name} AS
            SELECT * FROM {table.name}_versions
            WHERE op = 'upsert' AND (known_until IS NULL OR known_from < known_until)
        """)
        connection.execute(f"""
            CREATE TEMP VIEW {table.name}_first AS
            SELECT * EXCLUDE (first_known, known_until),
                min(known_from) FILTER (
                    op = 'delete' AND (known_until IS NULL OR known_from < known_until)
                ) OVER (PARTITION BY event_id) AS withdrawn
            FROM {table.name}_versions
            QUALIFY row_number() OVER (
                PARTITION BY event_id ORDER BY known_from, record_version DESC) = 1
                AND op = 'upsert'
        """)
    connection.execute(PREPARED)
    return connection


def frame_of(connection: duckdb.DuckDBPyConnection, sql: str) -> pd.DataFrame:
    """The answer to a query; times come as UTC."""
    return connection.sql(sql).to_arrow_table().to_pandas()


def score_messages(connection: duckdb.DuckDBPyConnection) -> None:
    """Create `message_polarity`, the tone of every customer message, from its text."""
    texts = frame_of(
        connection,
        "SELECT event_id, record_version, language, text FROM messages_versions"
        " WHERE author = 'customer' ORDER BY ALL",
    )
    scores = polarity(
        [text if isinstance(text, str) else None for text in texts["text"]],
        [language if isinstance(language, str) else None for language in texts["language"]],
    )
    scored = pd.DataFrame(
        {
            "event_id": texts["event_id"].astype("string"),
            "record_version": texts["record_version"].astype("int64"),
            "polarity": scores,
        }
    )
    connection.register("message_polarity_frame", scored)
    connection.execute(
        "CREATE TEMP TABLE message_polarity AS SELECT event_id, record_version,"
        " CASE WHEN isnan(polarity) THEN NULL ELSE polarity END AS polarity"
        " FROM message_polarity_frame"
    )


def facts(connection: duckdb.DuckDBPyConnection, stream: Stream, customers: np.ndarray) -> Facts:
    """All facts of `stream` for `customers` (sorted ids), sorted by customer and time.

    Facts of customers that are not listed are left out: they have no row to count for.
    """
    values = "".join(f", CAST({column} AS DOUBLE) AS {column}" for column in stream.columns)
    order = ", ".join(
        ("position", "first_known", "known_from", "tie", "known_until", *stream.columns)
    )
    connection.register(
        "wanted", pd.DataFrame({"customer_id": customers, "position": np.arange(len(customers))})
    )
    table = connection.execute(f"""
        SELECT position, epoch_us(first_known) AS first_known, epoch_us(known_from) AS known_from,
               coalesce(epoch_us(known_until::TIMESTAMPTZ), {FOREVER}) AS known_until{values}
        FROM ({stream.sql}) JOIN wanted USING (customer_id)
        WHERE first_known IS NOT NULL
        ORDER BY {order}
    """).fetchnumpy()
    matrix = np.empty((len(table["first_known"]), len(stream.columns)))
    for i, column in enumerate(stream.columns):
        matrix[:, i] = np.ma.filled(table[column], np.nan)
    return Facts(
        start=np.searchsorted(table["position"], np.arange(len(customers) + 1)),
        at=np.asarray(table["first_known"]),
        known_from=np.asarray(table["known_from"]),
        known_until=np.asarray(table["known_until"]),
        values=matrix,
        columns=stream.columns,
    )
