-- One step of one referral.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    referral_id,
    action
FROM read_parquet('{root}/referrals/*.parquet')
