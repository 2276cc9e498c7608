-- One step in the life of a ticket.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    ticket_id,
    kind,
    agent_id,
    CAST(tier AS BIGINT) AS tier
FROM read_parquet('{root}/ticket_events.parquet')
