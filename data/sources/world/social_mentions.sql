-- One public mention that could be matched to the customer.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    platform,
    tone
FROM read_parquet('{root}/social_mentions/*.parquet')
