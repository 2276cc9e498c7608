-- One row per customer. Nothing is known of when anything happened, so everything is dated and known in
-- the last second before the date that stands for the export.
SELECT
    customerID AS customer_id,
    customerID AS event_id,
    TIMESTAMPTZ '2017-12-31 23:59:59+00' AS event_at,
    TIMESTAMPTZ '2017-12-31 23:59:59+00' AS known_at,
    TIMESTAMPTZ '2017-12-31 23:59:59+00' AS signup_at,
    'contract' AS relationship
FROM read_csv('{root}/Telco-Customer-Churn.csv', header = true, all_varchar = true)
