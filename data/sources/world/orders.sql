-- One version of one order.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    order_id,
    status,
    amount,
    discount,
    item_count,
    category
FROM read_parquet('{root}/orders.parquet')
