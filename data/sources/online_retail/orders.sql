-- One row per invoice that is not a credit note ('C...').
-- amount: merchandise with a positive quantity and price. Not merchandise: postage and carriage
-- (POST, DOT, C2), manual corrections (M), discounts (D), samples (S), fees (BANK CHARGES, AMAZONFEE,
-- CRUK) and bad debt (B, on invoices 'A...'). Lines at price 0 are gifts and stock corrections.
-- item_count: different products among the lines that count. Nothing here is state at export.
WITH lines AS (
    -- Lines repeated exactly are entry errors as far as anyone can tell: counted once.
    SELECT DISTINCT *
    FROM read_csv(
        '{root}/*.csv', header = true, auto_detect = false, columns = {
            'InvoiceNo': 'VARCHAR', 'StockCode': 'VARCHAR', 'Description': 'VARCHAR',
            'Quantity': 'BIGINT', 'InvoiceDate': 'TIMESTAMP', 'UnitPrice': 'DECIMAL(12, 3)',
            'CustomerID': 'VARCHAR', 'Country': 'VARCHAR'
        }
    )
    WHERE InvoiceNo NOT LIKE 'C%'
),

typed AS (
    SELECT
        InvoiceNo AS order_id,
        regexp_replace(CustomerID, '\.0$', '') AS customer_id,
        InvoiceDate AT TIME ZONE 'Europe/London' AS invoiced_at,
        upper(StockCode) AS product,
        -- Prices are decimals, so the sum does not depend on the order of the lines.
        Quantity * UnitPrice AS amount,
        Quantity > 0 AND UnitPrice > 0 AND upper(StockCode) NOT IN (
            'POST', 'DOT', 'C2', 'M', 'D', 'S', 'B', 'BANK CHARGES', 'AMAZONFEE', 'CRUK'
        ) AS is_sale
    FROM lines
)

SELECT
    order_id AS event_id,
    min(customer_id) AS customer_id,
    min(invoiced_at) AS event_at,
    -- 43 invoices carry two neighbouring minutes: complete at the second.
    max(invoiced_at) AS known_at,
    order_id,
    'placed' AS status,
    (sum(amount) FILTER (is_sale))::DOUBLE AS amount,
    count(DISTINCT product) FILTER (is_sale) AS item_count,
    CASE
        WHEN order_id LIKE 'A%' THEN 'bad-debt adjustment'
        WHEN NOT bool_or(is_sale) THEN 'no merchandise'
    END AS _reject
FROM typed
GROUP BY order_id
