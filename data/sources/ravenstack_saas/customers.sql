-- One row per account, from its sign-up. Industry and country hardly ever change.
-- State at export, hence left out: plan_tier, seats, is_trial, and churn_flag, which is the outcome (and
-- contradicts the dated churn events, see subscriptions.sql). account_name says nothing.
SELECT
    account_id AS customer_id,
    account_id AS event_id,
    signup_date::TIMESTAMP AT TIME ZONE 'UTC' AS event_at,
    (signup_date + INTERVAL 1 DAY - INTERVAL 1 SECOND) AT TIME ZONE 'UTC' AS known_at,
    signup_date::TIMESTAMP AT TIME ZONE 'UTC' AS signup_at,
    CASE country WHEN 'UK' THEN 'GB' ELSE country END AS country,
    industry AS segment,
    referral_source AS acquisition,
    'contract' AS relationship
FROM read_csv('{root}/ravenstack_accounts.csv', header = true)
