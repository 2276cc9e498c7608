-- One row per member and month with at least one flight, dated and known at the month's last second.
-- item_count is the number of flights. There is no amount: fares are not in the data, and a distance
-- is not money.
-- Rows repeated exactly are dropped; different rows of one member-month (2,066 of them) are parts of
-- it and summed. Months without a flight are not events: the 34,302 rows after a cancellation are all
-- zero and would give the cancellation away. Were one of them not zero, it would be set aside.
WITH activity AS (
    SELECT DISTINCT * FROM read_csv('{root}/Customer Flight Activity.csv', header = true)
),

months AS (
    SELECT
        "Loyalty Number" AS member,
        make_date(Year, Month, 1) AS month,
        sum("Total Flights") AS flights
    FROM activity
    GROUP BY ALL
    HAVING sum("Total Flights") > 0
),

members AS (
    SELECT
        "Loyalty Number" AS member,
        make_date("Cancellation Year", "Cancellation Month", 1) AS cancelled
    FROM read_csv('{root}/Customer Loyalty History.csv', header = true)
),

dated AS (
    SELECT
        *,
        (month + INTERVAL 1 MONTH - INTERVAL 1 SECOND) AT TIME ZONE 'America/Toronto' AS flown_at
    FROM months
    LEFT JOIN members USING (member)
)

SELECT
    member || '-' || strftime(month, '%Y-%m') AS event_id,
    member::VARCHAR AS customer_id,
    flown_at AS event_at,
    flown_at AS known_at,
    member || '-' || strftime(month, '%Y-%m') AS order_id,
    'placed' AS status,
    flights::BIGINT AS item_count,
    CASE WHEN month > cancelled THEN 'activity after cancellation' END AS _reject
FROM dated
