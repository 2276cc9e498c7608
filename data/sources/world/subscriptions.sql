-- One change of one subscription.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    subscription_id,
    kind,
    plan,
    term_end,
    price,
    discount_share,
    reason
FROM read_parquet('{root}/subscriptions/*.parquet')
