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

Definition = Literal["contractual", "inactivity", "purchase"]


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
        SELECT customer_id, as_of FROM (
            SELECT customer_id, min(known_from) AS known FROM customers_first GROUP BY customer_id
        ) JOIN as_of_frame ON known < as_of
        ORDER BY customer_id, as_of
    """)
    frame = frame_of(connection, "FROM spine ORDER BY customer_id, as_of")
    for outcome in outcomes:
        sql = _CONTRACTUAL if outcome.definition == "contractual" else _PURCHASE
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
-- The end of a subscription, unless it is taken up again within the grace period.
ending AS (
    SELECT customer_id, subscription_id, event_at AS end_at, coalesce(reason, '') AS reason
    FROM truth WHERE kind IN ('cancel_effective', 'expire') AND NOT EXISTS (
        SELECT 1 FROM truth AS again
        WHERE again.subscription_id = truth.subscription_id
          AND again.kind IN ('start', 'renew', 'resume')
          AND again.event_at BETWEEN truth.event_at
              AND truth.event_at + INTERVAL {GRACE_DAYS} DAY)
),
-- The state of each subscription as visible at the as-of date.
visible AS (
    SELECT spine.customer_id, as_of, subscription_id,
        arg_max(kind, (event_at, known_from)) FILTER (
            kind NOT IN ('cancel_request', 'payment_failed')) AS state,
        max(event_at) FILTER (kind IN ('start', 'renew', 'resume', 'plan_change')) AS kept_at,
        min(event_at) FILTER (kind = 'start') AS started_at,
        max(event_at) FILTER (kind = 'cancel_request') AS requested_at
    FROM spine JOIN subscriptions AS change ON change.customer_id = spine.customer_id
        AND known_from < as_of AND (known_until IS NULL OR as_of <= known_until)
    GROUP BY ALL
),
active AS (
    SELECT *,
        (SELECT min((end_at, reason)) FROM ending
            WHERE ending.subscription_id = visible.subscription_id AND end_at >= kept_at) AS ended
    FROM visible WHERE state NOT IN ('cancel_effective', 'expire') AND kept_at IS NOT NULL
),
customer AS (
    SELECT customer_id, as_of, min(started_at) AS started_at,
        bool_or(coalesce(requested_at >= kept_at, false)) AS leaving,
        -- The customer leaves when the last active subscription has ended.
        CASE WHEN bool_and(ended IS NOT NULL) THEN max(ended) END AS ended
    FROM active GROUP BY ALL
)
SELECT spine.customer_id, spine.as_of,
    CASE WHEN customer.customer_id IS NULL THEN 'no active contract'
         WHEN started_at > spine.as_of - INTERVAL {MIN_TENURE_DAYS} DAY
             THEN 'contract younger than {MIN_TENURE_DAYS} days'
         WHEN leaving THEN 'cancellation already announced' END AS ineligible,
    coalesce(ended[1] < spine.as_of + getvariable('gap'), false) AND NOT comes_back
        AS left_early,
    coalesce(ended[1] < spine.as_of + getvariable('gap') + getvariable('horizon'), false)
        AND NOT coalesce(ended[2] = 'payment_failed', false) AND NOT comes_back AS happened
FROM spine LEFT JOIN customer
    ON customer.customer_id = spine.customer_id AND customer.as_of = spine.as_of,
LATERAL (
    SELECT count(*) > 0 AS comes_back FROM truth
    WHERE truth.customer_id = spine.customer_id AND truth.kind = 'start'
      AND truth.event_at >= spine.as_of
      AND truth.event_at <= customer.ended[1] + INTERVAL {GRACE_DAYS} DAY
)
ORDER BY spine.customer_id, spine.as_of
"""

_PURCHASE = f"""
WITH truth AS (
    SELECT customer_id, event_at, status, known_from FROM orders_versions
    QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY record_version DESC) = 1
        AND op = 'upsert'
),
bought AS (
    SELECT customer_id, event_at FROM truth
    WHERE status = 'placed' OR known_from > event_at + INTERVAL {CANCELLED_SOON_DAYS} DAY
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
