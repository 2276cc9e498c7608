-- One row per question that names a solution: resolved when that answer was written, known then too.
-- The asker marks it later, at a time nobody recorded, so known_at is somewhat early.
-- State at scrape, hence left out: is_solved, updated, last_answer, solved_by.
-- Questions before 2024 have no `solution` column at all, so they are never resolved here.
WITH questions AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY id ORDER BY strptime(created, '%Y-%m-%d %H:%M:%S %z'), updated) AS copy
    FROM read_parquet('{root}/questions.parquet')
),

solved AS (
    SELECT
        questions.id AS ticket_id,
        questions.creator AS customer_id,
        strptime(answers.created, '%Y-%m-%d %H:%M:%S %z') AS resolved_at,
        -- 824 askers found the solution themselves.
        CASE WHEN answers.creator <> questions.creator THEN answers.creator END AS agent_id,
        questions.creator = 'ub7fe9381378adc' AS is_nobody,
        coalesce(questions.is_spam = 'true' OR answers.is_spam = 'true', false) AS is_spam
    FROM questions
    INNER JOIN read_parquet('{root}/answers.parquet') AS answers
        ON questions.solution = answers.id AND questions.id = answers.question_id
    WHERE questions.copy = 1
)

SELECT
    ticket_id || '-resolved' AS event_id,
    customer_id,
    resolved_at AS event_at,
    resolved_at AS known_at,
    ticket_id,
    'resolved' AS kind,
    agent_id,
    CASE
        WHEN is_nobody THEN 'account of many people'
        WHEN is_spam THEN 'spam'
    END AS _reject
FROM solved
