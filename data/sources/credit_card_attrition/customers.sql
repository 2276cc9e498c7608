-- One row per customer. Nothing is known of when anything happened, so everything is dated and known in
-- the last second before the date that stands for the export.
SELECT
    CLIENTNUM AS customer_id,
    CLIENTNUM AS event_id,
    TIMESTAMPTZ '2019-12-31 23:59:59+00' AS event_at,
    TIMESTAMPTZ '2019-12-31 23:59:59+00' AS known_at,
    TIMESTAMPTZ '2019-12-31 23:59:59+00' AS signup_at,
    'contract' AS relationship
FROM read_csv('{root}/credit_card_churn.csv', header = true, all_varchar = true)
