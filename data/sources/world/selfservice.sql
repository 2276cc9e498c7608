-- One use of self-service.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    kind,
    article_id
FROM read_parquet('{root}/selfservice/*.parquet')
