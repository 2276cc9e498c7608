-- One row per customer and attribute; `churned` is the outcome and no attribute. An attribute without a
-- value has no row: total_charges is a blank (' ') for the 11 customers in their first month.
WITH customers AS (
    FROM read_csv('{root}/Telco-Customer-Churn.csv', header = true, all_varchar = true)
),

numbers AS (
    SELECT
        customerID AS customer_id,
        SeniorCitizen::DOUBLE AS senior,
        tenure::DOUBLE AS tenure_months,
        MonthlyCharges::DOUBLE AS monthly_charges,
        nullif(trim(TotalCharges), '')::DOUBLE AS total_charges,
        CASE Churn WHEN 'Yes' THEN 1.0 WHEN 'No' THEN 0.0 END AS churned
    FROM customers
),

words AS (
    SELECT
        customerID AS customer_id,
        gender AS gender,
        Partner AS partner,
        Dependents AS dependents,
        PhoneService AS phone_service,
        MultipleLines AS multiple_lines,
        InternetService AS internet_service,
        OnlineSecurity AS online_security,
        OnlineBackup AS online_backup,
        DeviceProtection AS device_protection,
        TechSupport AS tech_support,
        StreamingTV AS streaming_tv,
        StreamingMovies AS streaming_movies,
        Contract AS contract,
        PaperlessBilling AS paperless_billing,
        PaymentMethod AS payment_method
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
    TIMESTAMPTZ '2017-12-31 23:59:59+00' AS event_at,
    TIMESTAMPTZ '2017-12-31 23:59:59+00' AS known_at,
    name,
    number,
    category
FROM attributes
