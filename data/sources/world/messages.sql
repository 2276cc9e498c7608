-- One message on a ticket.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    ticket_id,
    author,
    is_public,
    language,
    text,
    agent_id,
    translated,
    asks_again,
    asks_to_clarify,
    not_understood,
    corrects
FROM read_parquet('{root}/messages/*.parquet')
