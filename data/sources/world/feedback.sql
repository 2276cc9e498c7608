-- One step of one piece of feedback.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    feedback_id,
    action,
    topic
FROM read_parquet('{root}/feedback/*.parquet')
