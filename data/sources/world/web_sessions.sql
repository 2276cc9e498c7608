-- One visit, or all visits of one period.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    visits,
    device,
    load_ms,
    page_errors,
    support_searches,
    contact_page_views,
    contact_minutes,
    checkout_failures,
    payment_failures,
    consent
FROM read_parquet('{root}/web_sessions/*.parquet')
