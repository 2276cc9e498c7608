-- One contact that the company started.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    kind,
    action,
    outreach_id,
    ticket_id,
    order_id,
    category,
    campaign,
    arm
FROM read_parquet('{root}/outreach/*.parquet')
