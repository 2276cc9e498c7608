-- Movements in the programme: enrol, monthly points earned and redeemed, leave; each dated and known
-- at the last second of its month. Duplicates and months after a cancellation as in orders.sql.
-- State at export, hence left out: Loyalty Card as a tier. Dollar Cost Points Redeemed is not points.
WITH activity AS (
    SELECT DISTINCT * FROM read_csv('{root}/Customer Flight Activity.csv', header = true)
),

members AS (
    SELECT
        "Loyalty Number" AS member,
        make_date("Enrollment Year", "Enrollment Month", 1) AS enrolled,
        make_date("Cancellation Year", "Cancellation Month", 1) AS cancelled
    FROM read_csv('{root}/Customer Loyalty History.csv', header = true)
),

months AS (
    SELECT
        "Loyalty Number" AS member,
        make_date(Year, Month, 1) AS month,
        sum("Points Accumulated") AS earned,
        sum("Points Redeemed") AS redeemed
    FROM activity
    GROUP BY ALL
),

movements AS (
    SELECT member, enrolled AS month, 'enrol' AS kind, NULL AS points
    FROM members
    UNION ALL
    SELECT member, month, 'earn' AS kind, earned AS points
    FROM months
    WHERE earned > 0
    UNION ALL
    SELECT member, month, 'redeem' AS kind, redeemed AS points
    FROM months
    WHERE redeemed > 0
    UNION ALL
    SELECT member, cancelled AS month, 'leave' AS kind, NULL AS points
    FROM members
    WHERE cancelled IS NOT NULL
),

dated AS (
    SELECT
        *,
        (month + INTERVAL 1 MONTH - INTERVAL 1 SECOND) AT TIME ZONE 'America/Toronto' AS moved_at
    FROM movements
    LEFT JOIN members USING (member)
)

SELECT
    member || '-' || strftime(month, '%Y-%m') || '-' || kind AS event_id,
    member::VARCHAR AS customer_id,
    moved_at AS event_at,
    moved_at AS known_at,
    kind,
    points::DOUBLE AS points,
    CASE WHEN month > cancelled THEN 'activity after cancellation' END AS _reject
FROM dated
