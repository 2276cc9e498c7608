-- One contact that the company started.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    kind,
    ticket_id,
    campaign,
    arm
FROM read_parquet('{root}/outreach.parquet')
