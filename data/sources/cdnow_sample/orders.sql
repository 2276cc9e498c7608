-- One row per line of the file: an order of so many CDs for so many dollars. Different lines of one day
-- are different orders; the day is all that is known of the time. The event's name is the line's
-- content, so a line repeated exactly is counted as a duplicate and kept once. Orders of 0 dollars
-- are free CDs and stay. Nothing here is state at export.
WITH lines AS (
    SELECT string_split_regex(trim(line), '\s+') AS cell
    FROM read_csv(
        '{root}/CDNOW_sample.txt', header = false, auto_detect = false, delim = E'\x01',
        columns = {'line': 'VARCHAR'}
    )
)

SELECT
    array_to_string([cell[1], cell[3], cell[4], cell[5]], '-') AS event_id,
    cell[1] AS customer_id,
    strptime(cell[3], '%Y%m%d') AT TIME ZONE 'America/New_York' AS event_at,
    (strptime(cell[3], '%Y%m%d') + INTERVAL 1 DAY - INTERVAL 1 SECOND)
    AT TIME ZONE 'America/New_York' AS known_at,
    array_to_string([cell[1], cell[3], cell[4], cell[5]], '-') AS order_id,
    'placed' AS status,
    cell[5]::DOUBLE AS amount,
    cell[4]::BIGINT AS item_count
FROM lines
