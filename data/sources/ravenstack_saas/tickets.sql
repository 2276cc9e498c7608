-- One row per ticket. 1,077 of 2,000 come before their account signed up and are set aside by the
-- contract. severity: low 1, medium 2, high and urgent 3. The channel is not recorded.
-- Later than the ticket, hence elsewhere: closed_at, resolution_time_hours, escalation_flag
-- (ticket_events.sql), first_response_time_minutes (messages.sql), satisfaction_score (surveys.sql).
SELECT
    ticket_id AS event_id,
    account_id AS customer_id,
    submitted_at::TIMESTAMP AT TIME ZONE 'UTC' AS event_at,
    (submitted_at + INTERVAL 1 DAY - INTERVAL 1 SECOND) AT TIME ZONE 'UTC' AS known_at,
    ticket_id,
    CASE priority WHEN 'low' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END AS severity,
    'web' AS channel
FROM read_csv('{root}/ravenstack_support_tickets.csv', header = true)
