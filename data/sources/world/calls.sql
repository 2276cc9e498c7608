-- One phone call.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    ticket_id,
    wait_seconds,
    talk_seconds,
    hold_seconds,
    wrap_seconds,
    abandoned,
    agent_id
FROM read_parquet('{root}/calls/*.parquet')
