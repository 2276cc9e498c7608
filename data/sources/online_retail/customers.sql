-- One row per customer, from the first invoice that names them, be it a sale or a credit note:
-- 145 customers return something before their first sale here, so they bought before the data start.
-- Columns are named here, not guessed from 305 files: six times as fast. CustomerID reads like 17850.0.
-- Nothing here is state at export. Country is that of the first invoice (8 customers change later).
WITH invoices AS (
    SELECT
        regexp_replace(CustomerID, '\.0$', '') AS customer_id,
        -- The shop's clock without a zone. In the hour that British Summer Time repeats, DuckDB
        -- takes the later of the two instants, so nothing is known too early.
        InvoiceDate AT TIME ZONE 'Europe/London' AS invoiced_at,
        CASE WHEN Country NOT IN ('Unspecified', 'European Community') THEN Country END AS country
    FROM read_csv(
        '{root}/*.csv', header = true, auto_detect = false, columns = {
            'InvoiceNo': 'VARCHAR', 'StockCode': 'VARCHAR', 'Description': 'VARCHAR',
            'Quantity': 'BIGINT', 'InvoiceDate': 'TIMESTAMP', 'UnitPrice': 'DECIMAL(12, 3)',
            'CustomerID': 'VARCHAR', 'Country': 'VARCHAR'
        }
    )
    WHERE CustomerID IS NOT NULL
)

SELECT
    customer_id,
    customer_id AS event_id,
    min(invoiced_at) AS event_at,
    min(invoiced_at) AS known_at,
    min(invoiced_at) AS signup_at,
    arg_min(country, (invoiced_at, country)) AS country,
    'noncontract' AS relationship
FROM invoices
GROUP BY customer_id
