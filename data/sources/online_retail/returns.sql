-- One row per credit note ('C...'), with the value of the merchandise given back as a positive amount.
-- Which order it belongs to is not recorded. Postage, manual corrections, fees and discounts are not
-- merchandise (see orders.sql). Nothing here is state at export.
WITH lines AS (
    SELECT DISTINCT *
    FROM read_csv(
        '{root}/*.csv', header = true, auto_detect = false, columns = {
            'InvoiceNo': 'VARCHAR', 'StockCode': 'VARCHAR', 'Description': 'VARCHAR',
            'Quantity': 'BIGINT', 'InvoiceDate': 'TIMESTAMP', 'UnitPrice': 'DECIMAL(12, 3)',
            'CustomerID': 'VARCHAR', 'Country': 'VARCHAR'
        }
    )
    WHERE InvoiceNo LIKE 'C%'
),

typed AS (
    SELECT
        InvoiceNo AS return_id,
        regexp_replace(CustomerID, '\.0$', '') AS customer_id,
        InvoiceDate AT TIME ZONE 'Europe/London' AS credited_at,
        -Quantity * UnitPrice AS amount,
        Quantity < 0 AND UnitPrice > 0 AND upper(StockCode) NOT IN (
            'POST', 'DOT', 'C2', 'M', 'D', 'S', 'B', 'BANK CHARGES', 'AMAZONFEE', 'CRUK'
        ) AS is_return
    FROM lines
)

SELECT
    return_id AS event_id,
    min(customer_id) AS customer_id,
    min(credited_at) AS event_at,
    max(credited_at) AS known_at,
    return_id,
    'refunded' AS kind,
    (sum(amount) FILTER (is_return))::DOUBLE AS amount,
    CASE WHEN NOT bool_or(is_return) THEN 'no merchandise' END AS _reject
FROM typed
GROUP BY return_id
