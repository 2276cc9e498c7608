-- One version of one order.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    op,
    order_id,
    status,
    amount,
    discount,
    item_count,
    category,
    product_id,
    is_eco,
    delivered_at
FROM read_parquet('{root}/orders/*.parquet')
