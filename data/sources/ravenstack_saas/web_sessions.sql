-- One row per feature and day of use; visits is how often. Under which account is in the subscriptions.
-- 21 ids stand on two different rows: the contract keeps the first and sets the other aside. Errors and
-- duration of use have no canonical column. Set aside: use before its subscription began
-- (19,142 rows, which says how these data were made) or after it had ended.
WITH uses AS (
    SELECT * FROM read_csv('{root}/ravenstack_feature_usage.csv', header = true)
),

subscriptions AS (
    SELECT * FROM read_csv('{root}/ravenstack_subscriptions.csv', header = true)
)

SELECT
    usage_id AS event_id,
    account_id AS customer_id,
    usage_date::TIMESTAMP AT TIME ZONE 'UTC' AS event_at,
    (usage_date + INTERVAL 1 DAY - INTERVAL 1 SECOND) AT TIME ZONE 'UTC' AS known_at,
    usage_count AS visits,
    CASE
        WHEN usage_date < start_date THEN 'use before its subscription'
        WHEN usage_date > end_date THEN 'use after its subscription'
    END AS _reject
FROM uses
LEFT JOIN subscriptions USING (subscription_id)
