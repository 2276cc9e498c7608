"""What happened after the as-of date: churn and repeat purchase, eligibility and maturity.

Definitions are those of METHODS C. Whether a customer is eligible uses only what was visible at
the as-of date; what then happened uses the latest truth. An outcome whose window is not yet
fully observed is immature: missing, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd

from data.source import OUTCOME
from features.facts import frame_of

TASKS = ("churn", "repeat_purchase")

LABELLED = "labelled"
IMMATURE = "immature"
GAP_EXIT = "gap_exit"
ELIGIBLE = (LABELLED, IMMATURE, GAP_EXIT)

MIN_TENURE_DAYS = 28
GRACE_DAYS = 7
ACTIVE_ORDER_DAYS = 365
CANCELLED_SOON_DAYS = 7

Definition = Literal["contractual", "inactivity", "purchase", "snapshot"]


@dataclass(frozen=True)
class Outcome:
    """One task's outcome: what counts and when. All spans in days.

    The outcome window is `[as_of + gap, as_of + gap + horizon)`; it is mature `lag` days after
    its end.
    """

    task: str
    definition: Definition
    gap: int
    horizon: int
    lag: int

    @property
    def label_days(self) -> int:
        """Days from an as-of date until its labels are mature."""
        return self.gap + self.horizon + self.lag


SNAPSHOT = Outcome("churn", "snapshot", gap=0, horizon=0, lag=0)
"""Who had left when a snapshot was taken: no window, for nothing in it has a time."""


def as_of_dates(first: date, last: date, time_zone: str) -> list[datetime]:
    """Local midnights of the first of each month from `first` to `last`, both included."""
    zone = ZoneInfo(time_zone)
    out: list[datetime] = []
    year, month = first.year, first.month + (first.day > 1)
    while True:
        year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
        if date(year, month, 1) > last:
            return out
        out.append(datetime(year, month, 1, tzinfo=zone))
        month += 1


def churn_definition(tables: Sequence[str]) -> Definition | None:
    """Contractual where there are subscriptions, inactivity where there are only orders."""
    if "subscriptions" in tables:
        return "contractual"
    return "inactivity" if "orders" in tables else None


def inactivity_days(tables: Path, before: datetime, low: int = 60, high: int = 180) -> int:
    """The horizon after which silence counts as churn: p90 of the gaps between a customer's
    orders that were known `before`, clipped to [low, high] days (METHODS C).
    """
    row = duckdb.execute(f"""
        SELECT quantile_cont(gap, 0.9) FROM (
            SELECT (epoch(event_at) - lag(epoch(event_at))
                OVER (PARTITION BY customer_id ORDER BY event_at, event_id)) / 86400 AS gap
            FROM read_parquet('{tables}/orders/*.parquet')
            WHERE status = 'placed' AND record_version = 1
              AND known_at < TIMESTAMPTZ '{before.isoformat()}'
        ) WHERE gap > 0
    """).fetchone()
    p90 = row[0] if row and row[0] is not None else low
    return int(np.clip(round(p90), low, high))


def label(
    connection: duckdb.DuckDBPyConnection,
    as_ofs: Sequence[datetime],
    outcomes: Sequence[Outcome],
    observed_until: datetime,
) -> pd.DataFrame:
    """One row per customer and as-of date at which the customer was known.

    Columns: customer_id, as_of, and per outcome `<task>_status` (labelled, immature, gap_exit or
    "ineligible: <reason>") and `<task>` (float32 1/0, NaN unless labelled). Sorted.
    """
    connection.register(
        "as_of_frame", pd.DataFrame({"as_of": pd.to_datetime(list(as_ofs), utc=True)})
    )
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE spine AS
        SELECT DISTINCT customer_id, as_of FROM customers JOIN as_of_frame
            ON known_from < as_of AND (known_until IS NULL OR as_of <= known_until)
        ORDER BY customer_id, as_of
    """)
    return _labelled(connection, outcomes, observed_until)


def label_rows(
    connection: duckdb.DuckDBPyConnection,
    rows: pd.DataFrame,
    outcomes: Sequence[Outcome],
    observed_until: datetime,
) -> pd.DataFrame:
    """As `label`, for the moments in `rows` (customer_id, as_of): a moment per row, not a grid."""
    connection.register("moment_frame", rows[["customer_id", "as_of"]])
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE spine AS
        SELECT DISTINCT customer_id, CAST(as_of AS TIMESTAMPTZ) AS as_of FROM moment_frame
        ORDER BY customer_id, as_of
    """)
    return _labelled(connection, outcomes, observed_until)


def _labelled(
    connection: duckdb.DuckDBPyConnection, outcomes: Sequence[Outcome], observed_until: datetime
) -> pd.DataFrame:
    """The outcomes of the rows of `spine`."""
    frame = frame_of(connection, "FROM spine ORDER BY customer_id, as_of")
    for outcome in outcomes:
        sql = _SQL[outcome.definition]
        connection.execute("SET VARIABLE gap = ?", [timedelta(days=outcome.gap)])
        connection.execute("SET VARIABLE horizon = ?", [timedelta(days=outcome.horizon)])
        found = frame_of(connection, sql)
        if not (
            found["customer_id"].equals(frame["customer_id"])
            and found["as_of"].equals(frame["as_of"])
        ):
            raise AssertionError(f"{outcome.task}: labels do not line up with the spine")
        mature_at = pd.to_datetime(frame["as_of"]) + pd.Timedelta(days=outcome.label_days)
        happened = found["happened"].astype("float32")
        if outcome.definition == "inactivity":
            happened = 1 - happened
        eligible = found["ineligible"].isna()
        mature = mature_at <= pd.Timestamp(observed_until)
        status = np.select(
            [~eligible, ~mature, found["left_early"].astype(bool)],
            ["ineligible: " + found["ineligible"].fillna("").astype(str), IMMATURE, GAP_EXIT],
            LABELLED,
        )
        frame[f"{outcome.task}_status"] = status
        frame[outcome.task] = happened.where(status == LABELLED, np.nan).astype("float32")
    return frame


_CONTRACTUAL = f"""
WITH truth AS (
    SELECT * FROM subscriptions_versions
    QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY record_version DESC) = 1
        AND op = 'upsert'
),
-- Each change of state and the time until which it held.
state AS (
    SELECT customer_id, event_at AS since, kind NOT IN ('cancel_effective', 'expire') AS runs,
        lead(event_at) OVER (PARTITION BY customer_id, subscription_id ORDER BY event_at, event_id)
            AS until,
        coalesce(reason = 'payment_failed', false) AS is_involuntary
    FROM truth WHERE kind NOT IN ('cancel_request', 'payment_failed')
),
-- A subscription ended, none of the customer's others ran then, and none was taken up within the
-- grace period: renewing late or moving to another contract is not leaving.
departure AS (
    SELECT customer_id, since AS left_at, is_involuntary FROM state
    WHERE NOT runs AND NOT EXISTS (
        SELECT 1 FROM state AS other
        WHERE other.customer_id = state.customer_id AND other.runs
          AND other.since <= state.since + INTERVAL {GRACE_DAYS} DAY
          AND coalesce(other.until > state.since, true))
),
-- The first departure after which the customer had not come back by the as-of date.
leaving AS (
    SELECT spine.customer_id, as_of, min((left_at, is_involuntary)) AS exit
    FROM spine JOIN departure USING (customer_id)
    WHERE NOT EXISTS (
        SELECT 1 FROM state WHERE state.customer_id = spine.customer_id AND runs
          AND since > left_at AND since < as_of)
    GROUP BY ALL
),
-- The state of each subscription as visible at the as-of date. Of two changes at the same time
-- the one with the higher event_id holds, here as in `state`.
visible AS (
    SELECT spine.customer_id, as_of, subscription_id,
        arg_max(kind, (event_at, event_id)) FILTER (
            kind NOT IN ('cancel_request', 'payment_failed'))
            NOT IN ('cancel_effective', 'expire') AS runs,
        min(event_at) FILTER (kind IN ('start', 'renew', 'resume', 'plan_change')) AS started_at,
        max(event_at) FILTER (kind IN ('cancel_effective', 'expire')) AS ended_at,
        max(event_at) FILTER (kind IN ('start', 'resume', 'plan_change')) AS taken_up_at,
        max(event_at) FILTER (kind = 'cancel_request') AS requested_at
    FROM spine JOIN subscriptions AS change ON change.customer_id = spine.customer_id
        AND known_from < as_of AND (known_until IS NULL OR as_of <= known_until)
    GROUP BY ALL HAVING started_at IS NOT NULL
),
-- Tenure goes on when one contract follows another within the grace period.
sequence AS (
    SELECT *, coalesce(started_at - INTERVAL {GRACE_DAYS} DAY > max(
            CASE WHEN runs THEN 'infinity'::TIMESTAMPTZ ELSE ended_at END) OVER (
        PARTITION BY customer_id, as_of ORDER BY started_at, subscription_id
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true) AS is_new_beginning
    FROM visible
),
customer AS (
    SELECT customer_id, as_of, max(started_at) FILTER (is_new_beginning) AS since,
        -- A renewal does not withdraw the announcement: terms renew during a period of notice.
        bool_or(runs AND coalesce(requested_at >= greatest(taken_up_at, ended_at),
            requested_at IS NOT NULL)) AS is_announced
    FROM sequence GROUP BY ALL HAVING bool_or(runs)
)
SELECT spine.customer_id, spine.as_of,
    CASE WHEN customer.customer_id IS NULL THEN 'no active contract'
         WHEN customer.since > spine.as_of - INTERVAL {MIN_TENURE_DAYS} DAY
             THEN 'contract younger than {MIN_TENURE_DAYS} days'
         WHEN is_announced THEN 'cancellation already announced' END AS ineligible,
    coalesce(exit[1] < spine.as_of + getvariable('gap'), false) AS left_early,
    coalesce(exit[1] < spine.as_of + getvariable('gap') + getvariable('horizon')
        AND NOT exit[2], false) AS happened
FROM spine
LEFT JOIN customer ON customer.customer_id = spine.customer_id AND customer.as_of = spine.as_of
LEFT JOIN leaving ON leaving.customer_id = spine.customer_id AND leaving.as_of = spine.as_of
ORDER BY spine.customer_id, spine.as_of
"""

_PURCHASE = f"""
WITH truth AS (
    SELECT customer_id, event_at, status,
        min(known_from) FILTER (status = 'cancelled' AND op = 'upsert')
            OVER (PARTITION BY event_id) AS cancelled_at
    FROM orders_versions
    QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY record_version DESC) = 1
        AND op = 'upsert'
),
bought AS (
    SELECT customer_id, event_at FROM truth
    WHERE status = 'placed' OR cancelled_at > event_at + INTERVAL {CANCELLED_SOON_DAYS} DAY
),
visible AS (
    SELECT DISTINCT spine.customer_id, as_of
    FROM spine JOIN orders ON orders.customer_id = spine.customer_id AND status = 'placed'
        AND known_from < as_of AND (known_until IS NULL OR as_of <= known_until)
        AND event_at >= as_of - INTERVAL {ACTIVE_ORDER_DAYS} DAY
),
again AS (
    SELECT DISTINCT spine.customer_id, as_of
    FROM spine JOIN bought ON bought.customer_id = spine.customer_id
        AND event_at >= as_of + getvariable('gap')
        AND event_at < as_of + getvariable('gap') + getvariable('horizon')
)
SELECT spine.customer_id, spine.as_of,
    CASE WHEN visible.customer_id IS NULL THEN 'no order in {ACTIVE_ORDER_DAYS} days' END
        AS ineligible,
    false AS left_early,
    again.customer_id IS NOT NULL AS happened
FROM spine
LEFT JOIN visible ON visible.customer_id = spine.customer_id AND visible.as_of = spine.as_of
LEFT JOIN again ON again.customer_id = spine.customer_id AND again.as_of = spine.as_of
ORDER BY spine.customer_id, spine.as_of
"""

# Who had left by the time of a snapshot: the attribute that the source calls its outcome.
_SNAPSHOT = f"""
SELECT spine.customer_id, spine.as_of,
    CASE WHEN outcome.churned IS NULL THEN 'no outcome recorded' END AS ineligible,
    false AS left_early,
    coalesce(outcome.churned = 1, false) AS happened
FROM spine LEFT JOIN (
    SELECT customer_id, arg_max(number, (known_from, record_version, event_id)) AS churned
    FROM attributes WHERE name = '{OUTCOME}' AND known_until IS NULL GROUP BY customer_id
) AS outcome USING (customer_id)
ORDER BY spine.customer_id, spine.as_of
"""

_SQL: dict[Definition, str] = {
    "contractual": _CONTRACTUAL,
    "inactivity": _PURCHASE,
    "purchase": _PURCHASE,
    "snapshot": _SNAPSHOT,
}
