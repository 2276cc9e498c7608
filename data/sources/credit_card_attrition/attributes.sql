-- One row per customer and attribute; `churned` is the outcome and no attribute. The two columns
-- Naive_Bayes_Classifier_... are another model's answer, made from the outcome: not read.
-- 'Unknown' is missing, and has no row.
WITH customers AS (
    FROM read_csv('{root}/credit_card_churn.csv', header = true, all_varchar = true)
),

numbers AS (
    SELECT
        CLIENTNUM AS customer_id,
        Customer_Age::DOUBLE AS age,
        Dependent_count::DOUBLE AS dependents,
        Months_on_book::DOUBLE AS months_on_book,
        Total_Relationship_Count::DOUBLE AS products,
        Months_Inactive_12_mon::DOUBLE AS months_inactive,
        Contacts_Count_12_mon::DOUBLE AS contacts,
        Credit_Limit::DOUBLE AS credit_limit,
        Total_Revolving_Bal::DOUBLE AS revolving_balance,
        Avg_Open_To_Buy::DOUBLE AS open_to_buy,
        Total_Amt_Chng_Q4_Q1::DOUBLE AS amount_change,
        Total_Trans_Amt::DOUBLE AS amount,
        Total_Trans_Ct::DOUBLE AS transactions,
        Total_Ct_Chng_Q4_Q1::DOUBLE AS transactions_change,
        Avg_Utilization_Ratio::DOUBLE AS utilization,
        CASE Attrition_Flag
            WHEN 'Attrited Customer' THEN 1.0 WHEN 'Existing Customer' THEN 0.0
        END AS churned
    FROM customers
),

words AS (
    SELECT
        CLIENTNUM AS customer_id,
        nullif(Gender, 'Unknown') AS gender,
        nullif(Education_Level, 'Unknown') AS education,
        nullif(Marital_Status, 'Unknown') AS marital_status,
        nullif(Income_Category, 'Unknown') AS income,
        nullif(Card_Category, 'Unknown') AS card
    FROM customers
),

attributes AS (
    UNPIVOT numbers ON COLUMNS(* EXCLUDE customer_id) INTO NAME name VALUE number
    UNION ALL BY NAME
    UNPIVOT words ON COLUMNS(* EXCLUDE customer_id) INTO NAME name VALUE category
)

SELECT
    customer_id || '-' || name AS event_id,
    customer_id,
    TIMESTAMPTZ '2019-12-31 23:59:59+00' AS event_at,
    TIMESTAMPTZ '2019-12-31 23:59:59+00' AS known_at,
    name,
    number,
    category
FROM attributes
