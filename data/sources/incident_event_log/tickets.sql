-- One row per ticket, as first written down, known from then: the log has a row per change, and topic,
-- channel and priority may change later. The caller is the first one named; three tickets name
-- nobody ('?') and are set aside. Five rows updated before their ticket was opened date nothing.
-- severity: priority 1 and 2 (critical, high) are 3, 3 (moderate) is 2, 4 (low) is 1.
-- Back-filled on every row, hence left out: resolved_at, closed_at, closed_code, resolved_by. Final only
-- on the last row, hence left out: made_sla. IVR is a phone menu; a direct opening is typed in.
WITH log AS (
    SELECT
        *,
        strptime(opened_at, '%-d/%-m/%Y %H:%M') AT TIME ZONE 'UTC' AS opened,
        strptime(sys_updated_at, '%-d/%-m/%Y %H:%M') AT TIME ZONE 'UTC' AS updated,
        (sys_mod_count::BIGINT, updated) AS step
    FROM read_csv('{root}/incident_event_log.csv', header = true, delim = ',', all_varchar = true)
)

SELECT
    number AS event_id,
    arg_min(caller_id, step) FILTER (caller_id <> '?') AS customer_id,
    min(opened) AS event_at,
    min(updated) FILTER (updated >= opened) AS known_at,
    number AS ticket_id,
    nullif(arg_min(category, step), '?') AS topic,
    CASE arg_min(priority, step)
        WHEN '1' THEN 3 WHEN '2' THEN 3 WHEN '3' THEN 2 WHEN '4' THEN 1
    END AS severity,
    CASE arg_min(contact_type, step)
        WHEN 'Phone' THEN 'phone' WHEN 'IVR' THEN 'phone' WHEN 'Email' THEN 'mail'
        WHEN 'Self service' THEN 'web' WHEN 'Direct opening' THEN 'web'
    END AS channel
FROM log
GROUP BY number
