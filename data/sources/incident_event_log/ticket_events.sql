-- One row per change between two rows of a ticket, at the time of the later one: another agent, another
-- group of agents, waiting for the user, resolved, open again. Rows that change nothing of this are
-- no events. Resolved is the row that says Resolved (or Closed, where none did): resolved_at is
-- back-filled on every row, 'New' ones included, with the last resolution of a reopened ticket.
-- '?' is missing: a first group is no transfer. The customer is the ticket's, see tickets.sql.
-- Set aside: rows updated before their ticket was opened (5) and rows in state -100 (5).
WITH log AS (
    SELECT
        *,
        strptime(opened_at, '%-d/%-m/%Y %H:%M') AT TIME ZONE 'UTC' AS opened,
        strptime(sys_updated_at, '%-d/%-m/%Y %H:%M') AT TIME ZONE 'UTC' AS updated,
        row_number() OVER (
            PARTITION BY number ORDER BY sys_mod_count::BIGINT, sys_updated_at, ident_state
        ) AS step
    FROM read_csv('{root}/incident_event_log.csv', header = true, delim = ',', all_varchar = true)
),

callers AS (
    SELECT number, arg_min(caller_id, step) FILTER (caller_id <> '?') AS customer_id
    FROM log
    GROUP BY number
),

judged AS (
    SELECT
        *,
        CASE
            WHEN updated < opened THEN 'updated before its ticket was opened'
            WHEN ident_state = '-100' THEN 'state -100'
        END AS problem,
        ident_state IN ('Resolved', 'Closed') AS is_done,
        ident_state = 'Awaiting User Info' AS is_waiting,
        nullif(assignment_group, '?') AS team,
        nullif(assigned_to, '?') AS agent
    FROM log
),

compared AS (
    SELECT
        *,
        lag(is_done, 1, false) OVER rows AS was_done,
        lag(is_waiting, 1, false) OVER rows AS was_waiting,
        lag(team) OVER rows AS team_before,
        lag(agent) OVER rows AS agent_before
    FROM judged
    -- A row set aside is nobody's predecessor.
    WINDOW rows AS (PARTITION BY number, problem ORDER BY step)
),

changes AS (
    SELECT
        *,
        unnest(list_filter([
            CASE WHEN agent <> coalesce(agent_before, '') THEN 'assigned' END,
            CASE WHEN team <> team_before THEN 'transferred' END,
            CASE WHEN is_waiting AND NOT was_waiting THEN 'pending_customer' END,
            CASE WHEN is_done AND NOT was_done THEN 'resolved' END,
            CASE WHEN was_done AND NOT is_done THEN 'reopened' END
        ], lambda kind: kind IS NOT NULL)) AS kind
    FROM compared
    WHERE problem IS NULL
    UNION ALL BY NAME
    SELECT *, 'assigned' AS kind
    FROM compared
    WHERE problem IS NOT NULL
)

SELECT
    number || '-' || step || '-' || kind AS event_id,
    customer_id,
    updated AS event_at,
    updated AS known_at,
    number AS ticket_id,
    kind,
    agent AS agent_id,
    problem AS _reject
FROM changes
LEFT JOIN callers USING (number)
