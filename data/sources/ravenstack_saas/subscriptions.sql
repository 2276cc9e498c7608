-- The account's contract as one subscription: it starts, and starts again, with each subscription taken
-- out, and ends with each dated churn event. Three definitions of churn contradict each other:
-- * accounts.churn_flag: 110 accounts, no date; 35 of them have no churn event at all;
-- * subscriptions.churn_flag and end_date: one of about ten subscriptions that run at once. No account
--   ever loses all of them, so by this nobody would ever leave;
-- * churn_events: dated, 600 events of 352 accounts. The only one that says when, so it is the label.
-- State at export, hence left out: churn_flag, end_date, and plan_tier, seats, mrr_amount, arr_amount,
-- which upgrade_flag and downgrade_flag say have changed since, without a date. Refund and feedback
-- come with the event itself. is_reactivation says that an account had come back before, not when.
WITH changes AS (
    SELECT account_id, subscription_id AS event_id, start_date AS day, 'start' AS kind, NULL AS reason
    FROM read_csv('{root}/ravenstack_subscriptions.csv', header = true)
    UNION ALL
    SELECT
        account_id, churn_event_id AS event_id, churn_date AS day, 'cancel_effective' AS kind,
        reason_code AS reason
    FROM read_csv('{root}/ravenstack_churn_events.csv', header = true)
)

SELECT
    event_id,
    account_id AS customer_id,
    day::TIMESTAMP AT TIME ZONE 'UTC' AS event_at,
    (day + INTERVAL 1 DAY - INTERVAL 1 SECOND) AT TIME ZONE 'UTC' AS known_at,
    account_id AS subscription_id,
    kind,
    reason
FROM changes
