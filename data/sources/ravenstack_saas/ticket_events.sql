-- Resolved: resolution_time_hours after the day began on which the ticket was submitted (closed_at is
-- that day in all 2,000 rows), known when the day is over. Escalated: when is not recorded, only that it
-- was by the time of the resolution, so that is when it counts.
WITH tickets AS (
    SELECT
        *,
        (submitted_at + resolution_time_hours * INTERVAL 1 HOUR) AT TIME ZONE 'UTC' AS resolved_at,
        (closed_at + INTERVAL 1 DAY - INTERVAL 1 SECOND) AT TIME ZONE 'UTC' AS known_at
    FROM read_csv('{root}/ravenstack_support_tickets.csv', header = true)
)

SELECT
    ticket_id || '-' || kind AS event_id,
    account_id AS customer_id,
    resolved_at AS event_at,
    known_at,
    ticket_id,
    kind
FROM tickets, (VALUES ('escalated'), ('resolved')) AS steps (kind)
WHERE kind = 'resolved' OR escalation_flag
