-- One row per question and per answer, under the customer who asked. A third of the answers are by the
-- asker, hence author 'customer'; everyone else who replies counts as an agent (in a community forum
-- nothing tells volunteers from passers-by). Answers come in the language of the question's forum.
-- State at scrape, hence left out: num_helpful, num_unhelpful, updated.
-- Set aside as in tickets.sql, and flagged spam among the answers.
WITH questions AS (
    SELECT
        *,
        strptime(created, '%Y-%m-%d %H:%M:%S %z') AS asked_at,
        row_number() OVER (PARTITION BY id ORDER BY strptime(created, '%Y-%m-%d %H:%M:%S %z'), updated) AS copy
    FROM read_parquet('{root}/questions.parquet')
),

written AS (
    SELECT
        'q' || id AS event_id,
        id AS ticket_id,
        creator AS customer_id,
        creator AS writer,
        asked_at AS written_at,
        locale,
        concat_ws(E'\n', title, content) AS text,
        copy > 1 AS is_copy,
        coalesce(is_spam = 'true', false) AS is_spam
    FROM questions
    UNION ALL
    SELECT
        'a' || answers.id AS event_id,
        answers.question_id AS ticket_id,
        questions.creator AS customer_id,
        answers.creator AS writer,
        strptime(answers.created, '%Y-%m-%d %H:%M:%S %z') AS written_at,
        questions.locale,
        answers.content AS text,
        false AS is_copy,
        coalesce(questions.is_spam = 'true' OR answers.is_spam = 'true', false) AS is_spam
    FROM read_parquet('{root}/answers.parquet') AS answers
    LEFT JOIN questions ON questions.id = answers.question_id AND questions.copy = 1
)

SELECT
    event_id,
    customer_id,
    written_at AS event_at,
    written_at AS known_at,
    ticket_id,
    CASE WHEN writer = customer_id THEN 'customer' ELSE 'agent' END AS author,
    true AS is_public,
    split_part(locale, '-', 1) AS language,
    text,
    CASE WHEN writer <> customer_id THEN writer END AS agent_id,
    CASE
        WHEN is_copy THEN 'second copy of a question'
        WHEN customer_id = 'ub7fe9381378adc' THEN 'account of many people'
        WHEN is_spam THEN 'spam'
    END AS _reject
FROM written
