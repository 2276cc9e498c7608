"""The rows on which the articles' claims are checked: what was known when a comparison begins, how
the customer was treated, and what followed (METHODS A, P14).

Every table has `customer_id` and the covariates in COVARIATES that it can have, all of them known
before the comparison begins. An outcome counts only where its time has passed.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import duckdb
import pandas as pd

from features.declare import flag, scaled
from features.facts import frame_of
from features.streams import STREAM
from features.streams.care import COMPLAINT
from features.streams.replies import RESPONSE_TARGET_HOURS

LAG_DAYS = 10
"""How long after an outcome's window its facts may still arrive."""

BUY_DAYS = 60
RETURN_DAYS = 90
LANDMARK_DAYS = 30
"""What became of a piece of feedback is judged so many days after it was given."""

CONTACT_DAYS = 90
JOINED_DAYS = 180
"""A customer's orders are compared so many days before and after joining the programme."""

PROFILE = ("segment", "language", "relationship", "acquisition", "region", "tenure_days")
PAST = ("orders_before", "spent_before", "days_since_order", "tickets_before")
INTAKE = ("topic", "severity", "channel", "backlog", "month")
COVARIATES = (*PROFILE, *PAST, *INTAKE)

_PREPARED = f"""
CREATE OR REPLACE TEMP TABLE bought AS
SELECT customer_id, event_at AS bought_at, amount FROM orders
WHERE status = 'placed' AND known_from < getvariable('as_of')
  AND coalesce(known_until >= getvariable('as_of'), true);

CREATE OR REPLACE TEMP TABLE asked AS
SELECT * FROM ticket
WHERE opened_known < getvariable('as_of') AND coalesce(withdrawn >= getvariable('as_of'), true);

CREATE OR REPLACE TEMP TABLE person AS
SELECT customer_id, signup_at, segment, language, relationship, acquisition, region
FROM customers
WHERE known_from < getvariable('as_of') AND coalesce(known_until >= getvariable('as_of'), true)
QUALIFY row_number() OVER (
    PARTITION BY customer_id ORDER BY known_from DESC, record_version DESC, event_id DESC) = 1;

CREATE OR REPLACE TEMP TABLE span AS
SELECT min(opened_at) + INTERVAL {CONTACT_DAYS} DAY AS first_at,
       getvariable('as_of') - INTERVAL {CONTACT_DAYS + 3 + LAG_DAYS} DAY AS last_at
FROM asked;
"""


def _with_past(rows: str) -> str:
    """`rows` (customer_id, row_id, begins_at, ...) with the customer's profile and past then."""
    return f"""
        WITH base AS ({rows})
        SELECT base.*, segment, language, relationship, acquisition, region,
               epoch(begins_at - signup_at) / 86400 AS tenure_days,
               coalesce(orders_before, 0) AS orders_before,
               coalesce(spent_before, 0) AS spent_before, days_since_order,
               coalesce(tickets_before, 0) AS tickets_before
        FROM base
        JOIN person USING (customer_id)
        LEFT JOIN (
            SELECT row_id,
                   count(*) FILTER (bought_at >= begins_at - INTERVAL 365 DAY) AS orders_before,
                   sum(amount) FILTER (bought_at >= begins_at - INTERVAL 365 DAY) AS spent_before,
                   epoch(any_value(begins_at) - max(bought_at)) / 86400 AS days_since_order
            FROM base JOIN bought ON bought.customer_id = base.customer_id AND bought_at < begins_at
            GROUP BY row_id
        ) USING (row_id)
        LEFT JOIN (
            SELECT row_id, count(*) AS tickets_before
            FROM base JOIN asked ON asked.customer_id = base.customer_id
                AND opened_at >= begins_at - INTERVAL 365 DAY AND opened_at < begins_at
            GROUP BY row_id
        ) USING (row_id)
        ORDER BY customer_id, row_id
    """


def _buys(since: str, days: int) -> str:
    """1 if the customer of `base` ordered within so many days after `since`, else 0."""
    return f"""CAST(EXISTS (SELECT 1 FROM bought WHERE bought.customer_id = base.customer_id
        AND bought_at > {since} AND bought_at <= {since} + INTERVAL {days} DAY) AS INTEGER)"""


def _mature(since: str, days: int) -> str:
    return f"{since} + INTERVAL {days + LAG_DAYS} DAY <= getvariable('as_of')"


def _solved_well(interval: str) -> str:
    return flag(f"coalesce(resolved_at <= opened_at + INTERVAL {interval}, false) AND score >= 75")


_ANSWERS = """
    SELECT ticket_id, customer_id, event_at AS answered_at, kind, {score} AS score,
           value >= scale_max - 1 AS top_two
    FROM surveys
    WHERE action = 'answered' AND ticket_id IS NOT NULL AND known_from < getvariable('as_of')
      AND coalesce(known_until >= getvariable('as_of'), true)
    QUALIFY row_number() OVER (PARTITION BY ticket_id, kind ORDER BY answered_at, event_id) = 1
""".format(score=f"coalesce({scaled('csat')}, {scaled('nps')}, {scaled('intent')})")

_FIRST_RESOLVED = """
    SELECT ticket_id, resolved_at FROM resolution WHERE resolved_known < getvariable('as_of')
"""

_FIRST_REPLY = """
    SELECT ticket_id, min(replied_at) AS replied_at FROM human_reply
    WHERE known < getvariable('as_of') GROUP BY ticket_id
"""

ROWS: dict[str, tuple[tuple[str, ...], str]] = {
    # Per ticket with a rating: how it was served, the rating, whether the customer bought again.
    "rated": (
        ("tickets", "ticket_events", "messages", "surveys", "orders"),
        _with_past(f"""
        SELECT base.customer_id, base.ticket_id AS row_id, opened_at AS begins_at,
               topic, severity, channel, queue_backlog AS backlog, month(opened_at) AS month,
               score, {flag(COMPLAINT)} AS complaint,
               {_solved_well("72 HOUR")} AS well_served, {_solved_well("7 DAY")} AS recovered,
               {flag(f"replied_at > opened_at + INTERVAL {RESPONSE_TARGET_HOURS} HOUR")} AS slow,
               CASE WHEN {_mature("answered_at", BUY_DAYS)}
                   THEN {_buys("answered_at", BUY_DAYS)} END AS bought
        FROM asked AS base
        JOIN ({_ANSWERS}) AS answer ON answer.ticket_id = base.ticket_id AND kind = 'csat'
        LEFT JOIN ({_FIRST_RESOLVED}) AS done ON done.ticket_id = base.ticket_id
        LEFT JOIN ({_FIRST_REPLY}) AS reply ON reply.ticket_id = base.ticket_id
        """),
    ),
    # Per answer about buying again, after a ticket that was solved within three days.
    "intent": (
        ("tickets", "ticket_events", "surveys"),
        f"""
        SELECT base.customer_id, {flag("top_two")} AS would_buy
        FROM asked AS base
        JOIN ({_ANSWERS}) AS answer ON answer.ticket_id = base.ticket_id AND kind = 'intent'
        JOIN ({_FIRST_RESOLVED}) AS done ON done.ticket_id = base.ticket_id
        WHERE resolved_at <= opened_at + INTERVAL 72 HOUR
        ORDER BY base.customer_id, base.ticket_id
        """,
    ),
    # Per ticket solved within three days and rated 75 or more: did the customer buy?
    "well_served": (
        STREAM["well_served_60d"].needs,
        f"""
        SELECT customer_id, bought_again FROM ({STREAM["well_served_60d"].sql})
        WHERE first_known < getvariable('as_of')
          AND coalesce(known_until >= getvariable('as_of'), true)
        ORDER BY customer_id, tie
        """,
    ),
    # Per piece of feedback, thirty days on: acted on and told, or not; then whether they came back.
    "feedback": (
        ("feedback", "orders"),
        _with_past(f"""
        SELECT base.*, {_buys("begins_at", RETURN_DAYS)} AS returned
        FROM (
            SELECT given.customer_id, given.feedback_id AS row_id, any_value(given.topic) AS topic,
                   min(given.event_at) + INTERVAL {LANDMARK_DAYS} DAY AS begins_at,
                   month(min(given.event_at)) AS month,
                   CAST(count(step.event_id) FILTER (step.action = 'acted_on') > 0
                       AND count(step.event_id) FILTER (step.action = 'notified') > 0 AS INTEGER)
                       AS acted_and_told
            FROM feedback_first AS given
            LEFT JOIN feedback_first AS step ON step.feedback_id = given.feedback_id
                AND step.event_at <= given.event_at + INTERVAL {LANDMARK_DAYS} DAY
                AND step.known_from < getvariable('as_of')
            WHERE given.action = 'given' AND given.known_from < getvariable('as_of')
              AND given.withdrawn IS NULL
            GROUP BY given.customer_id, given.feedback_id
        ) AS base
        WHERE {_mature("begins_at", RETURN_DAYS)}
        """),
    ),
    # Per customer: who joined in half a year and who was no member by its end; orders in the year
    # after that. What is adjusted for was known before anyone of them joined.
    "joining": (
        ("customers", "loyalty", "orders"),
        _with_past(f"""
        SELECT base.customer_id, base.customer_id AS row_id,
               getvariable('as_of') - INTERVAL {365 + LAG_DAYS + JOINED_DAYS} DAY AS begins_at,
               {flag("joined_at IS NOT NULL AND joined_at < after_at")} AS joined,
               (SELECT count(*) FROM bought WHERE bought.customer_id = base.customer_id
                   AND bought_at >= after_at AND bought_at < after_at + INTERVAL 365 DAY) AS orders
        FROM (
            SELECT customer_id, joined_at,
                   getvariable('as_of') - INTERVAL {365 + LAG_DAYS} DAY AS after_at
            FROM person LEFT JOIN (
                SELECT customer_id, min(event_at) AS joined_at FROM loyalty_first
                WHERE kind = 'enrol' AND known_from < getvariable('as_of') AND withdrawn IS NULL
                GROUP BY customer_id
            ) USING (customer_id)
            WHERE signup_at < after_at - INTERVAL {JOINED_DAYS} DAY
              AND coalesce(joined_at >= after_at - INTERVAL {JOINED_DAYS} DAY, true)
        ) AS base
        """),
    ),
    # Per customer in the year: members at its start against the others.
    "members": (
        ("customers", "loyalty", "orders"),
        f"""
        SELECT base.customer_id, {flag("coalesce(joined_at < since, false)")} AS member,
               (SELECT count(*) FROM bought WHERE bought.customer_id = base.customer_id
                   AND bought_at >= since AND bought_at < since + INTERVAL 365 DAY) AS orders
        FROM (
            SELECT customer_id, joined_at,
                   getvariable('as_of') - INTERVAL {365 + LAG_DAYS} DAY AS since
            FROM person LEFT JOIN (
                SELECT customer_id, min(event_at) AS joined_at FROM loyalty_first
                WHERE kind = 'enrol' AND known_from < getvariable('as_of') AND withdrawn IS NULL
                GROUP BY customer_id
            ) USING (customer_id)
            WHERE signup_at < since
        ) AS base
        ORDER BY base.customer_id
        """,
    ),
    # Per member: orders so many days before and after joining.
    "joined": (
        ("customers", "loyalty", "orders"),
        f"""
        SELECT base.customer_id,
               count(bought_at) FILTER (bought_at < joined_at) AS before,
               count(bought_at) FILTER (bought_at >= joined_at) AS after
        FROM (
            SELECT customer_id, min(event_at) AS joined_at FROM loyalty_first
            WHERE kind = 'enrol' AND known_from < getvariable('as_of') AND withdrawn IS NULL
            GROUP BY customer_id
        ) AS base
        JOIN person USING (customer_id)
        LEFT JOIN bought ON bought.customer_id = base.customer_id
            AND bought_at >= joined_at - INTERVAL {JOINED_DAYS} DAY
            AND bought_at < joined_at + INTERVAL {JOINED_DAYS} DAY
        WHERE signup_at <= joined_at - INTERVAL {JOINED_DAYS} DAY
          AND joined_at >= (SELECT min(bought_at) FROM bought) + INTERVAL {JOINED_DAYS} DAY
          AND {_mature("joined_at", JOINED_DAYS)}
        GROUP BY base.customer_id ORDER BY base.customer_id
        """,
    ),
    # Per customer: tickets in the 90 days from three days after the first self-service that needed
    # no ticket (that it needed none was asked of those days). Who never used it gets a moment that
    # depends on the id alone.
    "selfservice": (
        ("customers", "selfservice", "tickets", "orders"),
        _with_past(f"""
        SELECT base.customer_id, base.customer_id AS row_id, begins_at, uses,
               month(begins_at) AS month,
               (SELECT count(*) FROM asked WHERE asked.customer_id = base.customer_id
                   AND opened_at >= begins_at + INTERVAL 3 DAY
                   AND opened_at < begins_at + INTERVAL {CONTACT_DAYS + 3} DAY) AS contacts
        FROM (
            WITH success AS (
                SELECT customer_id, min(event_at) AS used_at FROM selfservice_first AS visit
                WHERE known_from < getvariable('as_of') AND NOT EXISTS (
                    SELECT 1 FROM asked WHERE asked.customer_id = visit.customer_id
                      AND opened_at BETWEEN visit.event_at AND visit.event_at + INTERVAL 72 HOUR)
                GROUP BY customer_id
            )
            SELECT customer_id, used_at AS begins_at, 1 AS uses FROM success
            UNION ALL
            SELECT customer_id, first_at + to_seconds(epoch(last_at - first_at)
                * ((('0x' || substr(md5(customer_id), 1, 6))::INTEGER) / 16777216)), 0
            FROM person, span
            WHERE customer_id NOT IN (SELECT customer_id FROM selfservice_first)
        ) AS base
        JOIN person USING (customer_id) CROSS JOIN span
        WHERE begins_at >= first_at AND begins_at <= last_at
          AND signup_at <= begins_at - INTERVAL {CONTACT_DAYS} DAY
        """),
    ),
    # Per answer to "would you recommend us": what the customer had bought and then bought.
    "nps": (
        ("surveys", "orders"),
        _with_past(f"""
        SELECT base.customer_id, base.event_id AS row_id, event_at AS begins_at,
               {scaled("nps")} AS score,
               {_buys("event_at", BUY_DAYS)} AS bought,
               (SELECT coalesce(sum(amount), 0) FROM bought
                   WHERE bought.customer_id = base.customer_id AND bought_at > event_at
                     AND bought_at <= event_at + INTERVAL {RETURN_DAYS} DAY) AS spent
        FROM surveys AS base
        WHERE kind = 'nps' AND action = 'answered' AND known_from < getvariable('as_of')
          AND coalesce(known_until >= getvariable('as_of'), true)
          AND {_mature("event_at", RETURN_DAYS)}
        """),
    ),
}
"""Per table of rows: the canonical tables it needs, and its SELECT."""


def rows(
    connection: duckdb.DuckDBPyConnection, as_of: datetime, tables: Collection[str]
) -> dict[str, pd.DataFrame]:
    """The tables of rows that a bucket of these canonical `tables` has, as known at `as_of`."""
    connection.execute("SET VARIABLE as_of = ?::TIMESTAMPTZ", [as_of.isoformat()])
    connection.execute(_PREPARED)
    return {
        name: frame_of(connection, sql)
        for name, (needs, sql) in ROWS.items()
        if set(needs) <= set(tables)
    }
