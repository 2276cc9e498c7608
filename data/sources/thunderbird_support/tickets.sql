-- One row per question, as asked.
-- State at scrape, hence left out: is_solved, solution (see ticket_events.sql), solved_by, last_answer,
-- num_answers, num_votes, updated, is_archived, is_locked. topic may have been moved by a moderator
-- before the scrape; the earliest copy is taken.
-- Set aside:
-- * 49 questions of 11-13 April 2023 were scraped twice, the second time with `created` seven hours
--   late (answers then seem to precede them): the earlier copy counts;
-- * 117 questions in 7 languages, never one answer, are under one account that stands for many people;
-- * spam, as far as flagged. The flag exists from 2024 on and is only used to remove rows.
WITH questions AS (
    SELECT
        *,
        strptime(created, '%Y-%m-%d %H:%M:%S %z') AS asked_at,
        row_number() OVER (PARTITION BY id ORDER BY strptime(created, '%Y-%m-%d %H:%M:%S %z'), updated) AS copy
    FROM read_parquet('{root}/questions.parquet')
)

SELECT
    id AS event_id,
    creator AS customer_id,
    asked_at AS event_at,
    asked_at AS known_at,
    id AS ticket_id,
    topic,
    'web' AS channel,
    split_part(locale, '-', 1) AS language,
    product AS product_id,
    CASE
        WHEN copy > 1 THEN 'second copy of a question'
        WHEN creator = 'ub7fe9381378adc' THEN 'account of many people'
        WHEN is_spam = 'true' THEN 'spam'
    END AS _reject
FROM questions
