-- Membership as a subscription: start at enrolment, cancel_effective at cancellation, each at the last
-- second of its month. 11 members do both in one month: 'start' sorts before 'stop' by event_id, and
-- no month's first day ever sees them active.
-- State at export, hence left out: Loyalty Card as a plan.
WITH members AS (
    SELECT
        "Loyalty Number"::VARCHAR AS customer_id,
        make_date("Enrollment Year", "Enrollment Month", 1) AS enrolled,
        make_date("Cancellation Year", "Cancellation Month", 1) AS cancelled
    FROM read_csv('{root}/Customer Loyalty History.csv', header = true)
),

changes AS (
    SELECT customer_id, 'start' AS step, 'start' AS kind, enrolled AS month
    FROM members
    UNION ALL
    SELECT customer_id, 'stop' AS step, 'cancel_effective' AS kind, cancelled AS month
    FROM members
    WHERE cancelled IS NOT NULL
),

dated AS (
    SELECT
        *,
        (month + INTERVAL 1 MONTH - INTERVAL 1 SECOND) AT TIME ZONE 'America/Toronto' AS changed_at
    FROM changes
)

SELECT
    customer_id || '-' || step AS event_id,
    customer_id,
    changed_at AS event_at,
    changed_at AS known_at,
    customer_id AS subscription_id,
    kind
FROM dated
