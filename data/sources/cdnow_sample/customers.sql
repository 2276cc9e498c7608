-- One row per customer, from the first purchase. The first of the two ids is that of the full data set,
-- so a larger sample keeps its names; leading zeros make it a text. Nothing here is state at export.
WITH lines AS (
    SELECT string_split_regex(trim(line), '\s+') AS cell
    FROM read_csv(
        '{root}/CDNOW_sample.txt', header = false, auto_detect = false, delim = E'\x01',
        columns = {'line': 'VARCHAR'}
    )
)

SELECT
    cell[1] AS customer_id,
    cell[1] AS event_id,
    min(strptime(cell[3], '%Y%m%d')) AT TIME ZONE 'America/New_York' AS event_at,
    (min(strptime(cell[3], '%Y%m%d')) + INTERVAL 1 DAY - INTERVAL 1 SECOND)
    AT TIME ZONE 'America/New_York' AS known_at,
    min(strptime(cell[3], '%Y%m%d')) AT TIME ZONE 'America/New_York' AS signup_at,
    'noncontract' AS relationship
FROM lines
GROUP BY cell[1]
