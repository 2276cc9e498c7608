"""One row per support issue: what was known when it came in, how it was treated, what followed.

The table on which effects are estimated (METHODS F, target-trial emulation). The unit is a ticket,
time zero its creation. Whoever comes back about the same issue opens no new unit.

Exposures are read from the latest truth, but only from what happened within 72 hours of time zero;
an exposure that takes longer (time to resolution, follow-up, an answer to feedback) starts a later
clock, its landmark, and counts only customers who are still there then. Resolution at first contact
is read from how the ticket was closed, not from seven days without another contact: people who
leave cannot come back, so early leavers would look as if their issue had been resolved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import duckdb
import pandas as pd

from features.catalog import Feature
from features.declare import flag
from features.facts import frame_of
from features.labels import Outcome, label_rows
from features.streams.replies import BOT_TURNS
from features.streams.tickets import IS_RESOLVED, SAME_ISSUE
from features.table import with_features

FIXED_HOURS = 72
"""An exposure that is not settled so long after creation needs a landmark."""

LANDMARK_DAYS = 10
"""Days from the resolution to the landmark: a follow-up after a week has been sent or not."""

LONGEST_RESOLUTION_DAYS = 14
"""Issues that take longer do not reach the landmark."""

FOLLOW_UP_DAYS = (4, 10)
"""A follow-up after a week: seven days after the resolution, three either way."""

PRIOR = (
    "segment",
    "plan",
    "relationship",
    "acquisition",
    "tenure_days",
    "subscription_tenure_days",
    "days_to_renewal",
    "subscription_price",
    "subscription_discount_share",
    "payment_failure_count_365d",
    "ticket_decayed",
    "ticket_count_365d",
    "days_since_last_ticket",
    "ticket_severity_decayed",
    "first_response_decayed",
    "first_response_within_1h_share_365d",
    "solved_first_time_decayed",
    "resolved_decayed",
    "escalation_decayed",
    "resolution_decayed",
    "csat_last",
    "nps_last",
    "order_decayed",
    "days_since_last_order",
    "order_count_365d",
    "visit_decayed",
    "visit_trend_90d",
    "days_since_last_visit",
    "loyalty_enrolled",
    "self_service_count_30d",
)
"""Features, as of time zero, that describe the customer and what happened before (METHODS F)."""

INTAKE = (
    "severity",
    "topic",
    "product_id",
    "channel",
    "language",
    "queue_backlog",
    "hour",
    "weekday",
    "office_hours",
    "bot_first",
    "week",
)
"""Columns that are known when the ticket comes in."""

EXPOSURES = (
    "personal",
    "first_response_hours",
    "language_match",
    "bot_trap",
    "fcr",
    "escalated",
    "repeat_info",
    "resolution_hours",
    "follow_up",
    "trial",
    "arm",
    "empathy_score",
    "feedback_acted_on",
)
"""Columns that say how the ticket was treated."""

NEGATIVE_CONTROLS = ("prior_errors", "next_first_response_hours")

_WITHIN = f"INTERVAL {FIXED_HOURS} HOUR"

_EPISODE = f"""
CREATE OR REPLACE TEMP TABLE episode AS
WITH mine AS (
    SELECT ticket.*, first(errors.prior_errors) AS prior_errors
    FROM ticket LEFT JOIN tickets_first AS errors
        ON errors.ticket_id = ticket.ticket_id AND errors.known_from = opened_known
    WHERE ticket.withdrawn IS NULL
    GROUP BY ALL
),
closed AS (
    SELECT ticket_id, min(step_at) FILTER (kind = 'resolved') AS first_at
    FROM ticket_step GROUP BY ticket_id
),
-- Whoever opens another ticket on an issue that is open or was just closed comes back.
again AS (
    SELECT mine.ticket_id, other.ticket_id AS of_ticket, mine.opened_at AS again_at
    FROM mine JOIN mine AS other ON {SAME_ISSUE} AND other.opened_at < mine.opened_at
    LEFT JOIN closed ON closed.ticket_id = other.ticket_id
    WHERE mine.opened_at <= least(coalesce(first_at, 'infinity'::TIMESTAMPTZ),
        other.opened_at + INTERVAL {LONGEST_RESOLUTION_DAYS} DAY) + INTERVAL 7 DAY
),
issue_step AS (
    SELECT ticket_id AS unit, kind, step_at, event_id FROM ticket_step
    UNION ALL
    SELECT of_ticket, kind, step_at, event_id FROM again JOIN ticket_step USING (ticket_id)
    WHERE kind IN ('resolved', 'reopened')
),
reply AS (
    SELECT ticket_id, min(replied_at) AS replied_at
    FROM human_reply WHERE gone IS NULL GROUP BY ticket_id
),
spoken AS (
    SELECT ticket_id, arg_min(language, (event_at, event_id)) FILTER (
               author = 'agent' AND coalesce(is_public, true)) AS reply_language,
           bool_or(author = 'bot') AS bot_spoke,
           min(event_at) FILTER (author = 'bot') AS bot_at
    FROM messages_first WHERE withdrawn IS NULL GROUP BY ticket_id
),
said AS (
    SELECT message.ticket_id,
           count(*) FILTER (author = 'bot' AND event_at < coalesce(replied_at, event_at + {_WITHIN})
               AND event_at <= opened_at + {_WITHIN}) AS bot_turns,
           bool_or(coalesce(asks_again, false) AND event_at <= opened_at + {_WITHIN}) AS asked_again
    FROM messages_first AS message JOIN mine USING (ticket_id) LEFT JOIN reply USING (ticket_id)
    WHERE message.withdrawn IS NULL GROUP BY message.ticket_id
),
turn AS (
    SELECT ticket_id, NOT by_customer AND by_customer IS DISTINCT FROM lag(by_customer) OVER (
        PARTITION BY ticket_id ORDER BY said_at, by_customer DESC, event_id) AS is_contact
    FROM exchange JOIN mine USING (ticket_id)
    WHERE said_at <= opened_at + {_WITHIN}
),
contact AS (
    SELECT ticket_id, count(*) FILTER (is_contact) AS contacts FROM turn GROUP BY ticket_id
),
early AS (
    SELECT mine.ticket_id,
           {IS_RESOLVED} AS is_closed,
           coalesce(bool_or(kind = 'reopened'), false) AS reopened,
           coalesce(bool_or(kind = 'escalated' AND coalesce(tier, 2) >= 2), false) AS escalated,
           coalesce(bool_or(kind = 'context_viewed'
               AND step_at <= coalesce(replied_at, step_at)), false) AS personal
    FROM mine LEFT JOIN reply USING (ticket_id)
    LEFT JOIN ticket_step AS step ON step.ticket_id = mine.ticket_id
        AND step_at BETWEEN opened_at AND opened_at + {_WITHIN}
    GROUP BY mine.ticket_id
),
done AS (
    SELECT unit AS ticket_id, {IS_RESOLVED} AS is_closed,
           max(step_at) FILTER (kind = 'resolved') AS resolved_at
    FROM issue_step JOIN mine ON mine.ticket_id = unit
    WHERE step_at BETWEEN opened_at AND opened_at + INTERVAL {LONGEST_RESOLUTION_DAYS} DAY
    GROUP BY unit
),
sent AS (
    SELECT done.ticket_id, bool_or(event_at BETWEEN resolved_at + INTERVAL {FOLLOW_UP_DAYS[0]} DAY
               AND resolved_at + INTERVAL {FOLLOW_UP_DAYS[1]} DAY) AS follow_up
    FROM done JOIN outreach_first AS outreach ON outreach.ticket_id = done.ticket_id
    WHERE kind = 'follow_up' AND coalesce(action, 'sent') = 'sent' AND outreach.withdrawn IS NULL
    GROUP BY done.ticket_id
),
drawn AS (
    SELECT ticket_id, arg_min(trial, (event_at, event_id)) AS trial,
           arg_min(rand_arm, (event_at, event_id)) AS arm
    FROM ticket_events_first WHERE rand_arm IS NOT NULL AND withdrawn IS NULL GROUP BY ticket_id
),
review AS (
    SELECT ticket_id, avg(empathy) AS empathy_score
    FROM qa_reviews_first WHERE withdrawn IS NULL GROUP BY ticket_id
),
-- Feedback names no ticket: it is about the issue that had just been resolved.
feedback_item AS (
    SELECT customer_id, feedback_id, min(event_at) FILTER (action = 'given') AS given_at,
           min(event_at) FILTER (action IN ('acted_on', 'declined')) AS answered_at,
           bool_or(action = 'acted_on') AS acted_on, bool_or(action = 'notified') AS notified
    FROM feedback_first WHERE withdrawn IS NULL GROUP BY ALL
),
answer AS (
    SELECT arg_max(done.ticket_id, resolved_at) AS ticket_id,
           first(answered_at) AS answered_at, first(acted_on) AS acted_on
    FROM feedback_item JOIN mine USING (customer_id) JOIN done USING (ticket_id)
    WHERE given_at BETWEEN resolved_at AND resolved_at + INTERVAL 7 DAY
      AND answered_at IS NOT NULL AND (notified OR NOT acted_on)
    GROUP BY feedback_id
    QUALIFY row_number() OVER (
        PARTITION BY arg_max(done.ticket_id, resolved_at) ORDER BY first(answered_at)) = 1
)
SELECT mine.customer_id, mine.ticket_id, mine.opened_at,
       CASE WHEN done.is_closed THEN resolved_at END AS resolved_at, answer.answered_at,
       severity::DOUBLE AS severity, topic, product_id, channel, mine.language,
       queue_backlog::DOUBLE AS queue_backlog,
       hour(local) + minute(local) / 60.0 AS hour, isodow(local)::DOUBLE AS weekday,
       {flag("in_hours")}::DOUBLE AS office_hours,
       {flag("bot_spoke AND bot_at <= coalesce(replied_at, bot_at)")}::DOUBLE AS bot_first,
       epoch(mine.opened_at) / 604800 AS week,
       {flag("early.personal")}::DOUBLE AS personal,
       epoch(replied_at - mine.opened_at) / 3600 AS first_response_hours,
       {flag("reply_language = mine.language")}::DOUBLE AS language_match,
       {flag(f"bot_turns > {BOT_TURNS}")}::DOUBLE AS bot_trap,
       CASE WHEN coalesce(contacts, 0) > 0 OR NOT coalesce(bot_spoke, false) THEN
           {
    flag(
        '''early.is_closed AND NOT early.reopened AND coalesce(contacts, 0) <= 1
           AND again.ticket_id IS NULL'''
    )
}
           END::DOUBLE AS fcr,
       {flag("early.escalated")}::DOUBLE AS escalated,
       {flag("asked_again")}::DOUBLE AS repeat_info,
       CASE WHEN done.is_closed THEN epoch(resolved_at - mine.opened_at) / 3600 END
           AS resolution_hours,
       {flag("coalesce(follow_up, false)")}::DOUBLE AS follow_up,
       trial, arm,
       empathy_score,
       {flag("answer.acted_on")}::DOUBLE AS feedback_acted_on,
       prior_errors::DOUBLE AS prior_errors,
       lead(epoch(replied_at - mine.opened_at) / 3600) OVER (
           PARTITION BY mine.customer_id ORDER BY mine.opened_at, mine.ticket_id)
           AS next_first_response_hours
FROM (SELECT *, timezone(getvariable('time_zone'), opened_at) AS local FROM mine) AS mine
JOIN early USING (ticket_id)
LEFT JOIN reply USING (ticket_id) LEFT JOIN spoken USING (ticket_id)
LEFT JOIN said USING (ticket_id) LEFT JOIN contact USING (ticket_id)
LEFT JOIN done USING (ticket_id) LEFT JOIN sent USING (ticket_id)
LEFT JOIN drawn USING (ticket_id) LEFT JOIN review USING (ticket_id)
LEFT JOIN answer USING (ticket_id)
LEFT JOIN (
    SELECT of_ticket AS ticket_id FROM again JOIN mine ON mine.ticket_id = of_ticket
    WHERE again_at <= opened_at + {_WITHIN} GROUP BY of_ticket
) AS again USING (ticket_id)
WHERE mine.ticket_id NOT IN (SELECT ticket_id FROM again)
"""


def episodes(
    connection: duckdb.DuckDBPyConnection,
    outcome: Outcome,
    observed_until: datetime,
    wanted: Sequence[Feature],
    live_from: Mapping[str, datetime],
) -> pd.DataFrame:
    """One row per ticket that is eligible at its creation, with its outcome known; sorted.

    `connection` holds one bucket's canonical views. Columns: customer_id, ticket_id, opened_at,
    `INTAKE`, `EXPOSURES`, `NEGATIVE_CONTROLS`, the `wanted` features as of the creation, and per
    clock `y_<clock>`: 1 if the outcome happened within the horizon after it, 0 if not, NaN where
    the customer was not eligible then or the window is not over.
    """
    connection.execute(_EPISODE)
    rows = frame_of(connection, "FROM episode ORDER BY customer_id, opened_at, ticket_id")
    moments = {
        "created": rows["opened_at"],
        "landmark": rows["resolved_at"] + pd.Timedelta(days=LANDMARK_DAYS),
        "answered": rows["answered_at"],
    }
    for clock, moment in moments.items():
        rows[f"y_{clock}"] = _outcome(connection, rows, moment, outcome, observed_until)
    rows = rows[rows["y_created"].notna()].reset_index(drop=True)
    rows = rows.rename(columns={"opened_at": "as_of"})
    rows = with_features(connection, rows, wanted, live_from)
    return rows.rename(columns={"as_of": "opened_at"}).drop(columns=["resolved_at", "answered_at"])


def _outcome(
    connection: duckdb.DuckDBPyConnection,
    rows: pd.DataFrame,
    moment: pd.Series,
    outcome: Outcome,
    observed_until: datetime,
) -> pd.Series:
    known = moment.notna()
    asked = pd.DataFrame({"customer_id": rows["customer_id"], "as_of": moment})[known]
    labels = label_rows(connection, asked, [outcome], observed_until)
    key = pd.MultiIndex.from_frame(asked)
    found = labels.set_index(["customer_id", "as_of"])[outcome.task]
    return pd.Series(found.reindex(key).to_numpy(), index=asked.index).reindex(rows.index)
