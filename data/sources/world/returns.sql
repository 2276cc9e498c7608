-- One step of one return.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    return_id,
    order_id,
    kind,
    amount,
    kit_used,
    under_warranty
FROM read_parquet('{root}/returns/*.parquet')
