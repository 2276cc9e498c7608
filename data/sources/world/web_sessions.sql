-- One visit, or all visits of one period.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    visits
FROM read_parquet('{root}/web_sessions.parquet')
