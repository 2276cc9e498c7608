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
    CAST(tier AS BIGINT) AS tier,
    CAST(own_authority AS BOOLEAN) AS own_authority,
    CAST(context_passed AS BOOLEAN) AS context_passed,
    agent_tenure_days,
    agent_training_hours,
    trial,
    rand_arm
FROM read_parquet('{root}/ticket_events/*.parquet')
