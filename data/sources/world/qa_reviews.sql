-- One quality review of one handled ticket; scores from 0 to 100.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    'upsert' AS op,
    ticket_id,
    agent_id,
    empathy,
    listening,
    clarity,
    accuracy,
    tone,
    language
FROM read_parquet('{root}/qa_reviews/*.parquet')
