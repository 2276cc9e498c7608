-- One step of one survey: it is sent, then answered or expired.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    survey_id,
    kind,
    action,
    scale_min,
    scale_max,
    value,
    touchpoint,
    ticket_id,
    mode,
    incented,
    comment
FROM read_parquet('{root}/surveys/*.parquet')
