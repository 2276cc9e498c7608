-- One row per caller, from the first ticket that names them; '?' is missing and no caller. location is
-- left out: it is that of the ticket.
WITH log AS (
    SELECT
        caller_id,
        strptime(opened_at, '%-d/%-m/%Y %H:%M') AT TIME ZONE 'UTC' AS opened,
        strptime(sys_updated_at, '%-d/%-m/%Y %H:%M') AT TIME ZONE 'UTC' AS updated
    FROM read_csv('{root}/incident_event_log.csv', header = true, delim = ',', all_varchar = true)
    WHERE caller_id <> '?'
)

SELECT
    caller_id AS customer_id,
    caller_id AS event_id,
    min(opened) AS event_at,
    min(updated) FILTER (updated >= opened) AS known_at,
    min(opened) AS signup_at,
    'noncontract' AS relationship
FROM log
GROUP BY caller_id
