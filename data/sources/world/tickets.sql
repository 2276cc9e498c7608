-- One version of one support ticket, as taken in.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    ticket_id,
    topic,
    CAST(severity AS BIGINT) AS severity,
    channel,
    language,
    product_id,
    queue_backlog,
    prior_errors
FROM read_parquet('{root}/tickets/*.parquet')
