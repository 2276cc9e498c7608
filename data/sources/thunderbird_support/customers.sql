-- One row per person who asked, from their first question. Language is the locale of that question.
-- Set aside: people all of whose questions are spam, and one account that is no person (see tickets.sql).
-- Nothing here is state at export, except that spam is flagged some time after the question.
WITH asked AS (
    SELECT
        creator AS customer_id,
        strptime(created, '%Y-%m-%d %H:%M:%S %z') AS asked_at,
        split_part(locale, '-', 1) AS language,
        coalesce(is_spam = 'true', false) AS is_spam
    FROM read_parquet('{root}/questions.parquet')
)

SELECT
    customer_id,
    customer_id AS event_id,
    min(asked_at) AS event_at,
    min(asked_at) AS known_at,
    min(asked_at) AS signup_at,
    arg_min(language, (asked_at, language)) AS language,
    'noncontract' AS relationship,
    CASE
        WHEN customer_id = 'ub7fe9381378adc' THEN 'account of many people'
        WHEN bool_and(is_spam) THEN 'spam'
    END AS _reject
FROM asked
GROUP BY customer_id
