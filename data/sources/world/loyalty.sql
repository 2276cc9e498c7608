-- One movement in the loyalty programme.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    kind,
    points,
    tier,
    CAST(tier_rank AS BIGINT) AS tier_rank,
    expires_at
FROM read_parquet('{root}/loyalty/*.parquet')
