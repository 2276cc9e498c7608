-- One step of one public review.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    review_id,
    action,
    rating,
    product_id
FROM read_parquet('{root}/reviews/*.parquet')
