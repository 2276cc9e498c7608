-- One row per member, dated and known at the last second of the month of enrolment.
-- State at export, hence left out: Loyalty Card (its date is unknown), CLV (all flights ever booked,
-- future ones included), Salary, Education, Marital Status, City, Postal Code.
-- Province is state at export too; it is kept because a home province hardly ever changes.
-- Enrollment Type is settled at enrolment.
WITH members AS (
    SELECT
        "Loyalty Number"::VARCHAR AS customer_id,
        Province AS region,
        "Enrollment Type" AS acquisition,
        -- Month ends on Toronto's clock, so on UTC they move with daylight saving time.
        (make_date("Enrollment Year", "Enrollment Month", 1) + INTERVAL 1 MONTH - INTERVAL 1 SECOND)
        AT TIME ZONE 'America/Toronto' AS enrolled_at
    FROM read_csv('{root}/Customer Loyalty History.csv', header = true)
)

SELECT
    customer_id,
    customer_id AS event_id,
    enrolled_at AS event_at,
    enrolled_at AS known_at,
    enrolled_at AS signup_at,
    'CA' AS country,
    region,
    acquisition,
    'contract' AS relationship
FROM members
