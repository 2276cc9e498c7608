"""What the embedded company records besides tickets and orders, against the truth behind it."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from data import world
from data.contracts import TABLE
from data.world.parameters import WORLDS
from data.world.process import agent_empathy, shock_of_feedback
from data.world.record import Scene
from data.world.support import tell

IDS = np.arange(1, 4001)
MONTHS, SEED = 6, 5


@pytest.fixture(scope="module")
def scene() -> Scene:
    return world.stage(IDS, months=MONTHS, seed=SEED)


@pytest.fixture(scope="module")
def db() -> duckdb.DuckDBPyConnection:
    """Every raw table as a view, without the rows that are exported twice."""
    connection = duckdb.connect()
    for name, table in world.tables(IDS, months=MONTHS, seed=SEED).items():
        connection.register(f"raw_{name}", table)
        connection.execute(f"CREATE VIEW {name} AS SELECT DISTINCT * FROM raw_{name}")
    return connection


def number(db: duckdb.DuckDBPyConnection, sql: str) -> float:
    [(value,)] = db.execute(sql).fetchall()
    return float(value)


def test_reviews_measure_the_empathy_of_agents(db: duckdb.DuckDBPyConnection) -> None:
    rows = db.execute(
        "SELECT agent_id, avg(empathy), avg(clarity) FROM qa_reviews"
        " GROUP BY agent_id HAVING count(*) >= 10 ORDER BY agent_id"
    ).fetchall()
    agents = np.array([int(row[0][1:]) for row in rows])
    truth = agent_empathy(SEED, agents)
    assert agents.size > 30
    assert np.corrcoef(truth, [row[1] for row in rows])[0, 1] > 0.9
    assert abs(np.corrcoef(truth, [row[2] for row in rows])[0, 1]) < 0.5


def test_one_ticket_in_ten_is_reviewed_and_escalated_ones_more_often(
    db: duckdb.DuckDBPyConnection,
) -> None:
    share = number(
        db,
        "SELECT (SELECT count(*) FROM qa_reviews) / count(DISTINCT ticket_id) FROM tickets",
    )
    assert share == pytest.approx(0.09, abs=0.02)
    rates = dict(
        db.execute(
            "SELECT ticket_id IN (SELECT ticket_id FROM ticket_events WHERE kind = 'escalated'),"
            " avg((ticket_id IN (SELECT ticket_id FROM qa_reviews))::INT) FROM tickets GROUP BY 1"
        ).fetchall()
    )
    assert rates[True] > 1.3 * rates[False]


def test_the_backlog_shows_the_load_of_the_queue(
    scene: Scene, db: duckdb.DuckDBPyConnection
) -> None:
    weeks, backlog = zip(
        *db.execute(
            "SELECT floor(epoch(event_at - TIMESTAMPTZ '2022-12-31 15:00:00+00') / 604800)::INT,"
            " avg(ln(queue_backlog + 1)) FROM tickets WHERE channel = 'mail' AND record_version = 1"
            " AND event_at >= TIMESTAMPTZ '2022-12-31 15:00:00+00' AND event_at <= known_at"
            " GROUP BY 1 ORDER BY 1"
        ).fetchall(),
        strict=True,
    )
    assert np.corrcoef(scene.history.load[list(weeks)], backlog)[0, 1] > 0.95


def test_prior_errors_follow_severity_alone(db: duckdb.DuckDBPyConnection) -> None:
    """Poisson with mean exp(-0.5 + 0.6 (severity - 1)): 0.61, 1.11, 2.01."""
    rows = db.execute(
        "SELECT severity::INT, avg(prior_errors) FROM tickets WHERE severity BETWEEN 1 AND 3"
        " GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert [row[1] for row in rows] == pytest.approx([0.61, 1.11, 2.01], abs=0.15)
    [(slope,)] = db.execute(
        "SELECT corr(prior_errors, queue_backlog) FROM tickets WHERE severity = 1"
    ).fetchall()
    assert abs(slope) < 0.04


def test_only_phone_tickets_have_calls_and_only_answered_ones_talk(
    db: duckdb.DuckDBPyConnection,
) -> None:
    assert not number(
        db,
        "SELECT count(*) FROM calls JOIN tickets USING (ticket_id)"
        " WHERE tickets.channel <> 'phone'",
    )
    assert number(db, "SELECT avg(abandoned::INT) FROM calls") == pytest.approx(0.15, abs=0.04)
    assert not number(db, "SELECT count(*) FROM calls WHERE abandoned <> (talk_seconds IS NULL)")
    assert number(db, "SELECT max(wait_seconds) FROM calls") <= 900


def test_feedback_is_answered_once_and_only_what_is_told_is_felt(
    scene: Scene, db: duckdb.DuckDBPyConnection
) -> None:
    ticket = scene.history.tickets
    felt = shock_of_feedback(WORLDS["W1"], ticket) > 0
    assert felt.mean() == pytest.approx(0.13 * 0.47 * 0.8, abs=0.02)
    [(both, told, acted, given)] = db.execute(
        """
        SELECT count(*) FILTER (acted AND declined), count(*) FILTER (told AND NOT acted),
               avg(acted::INT) FILTER (acted OR declined), count(*)
        FROM (
            SELECT bool_or(action = 'acted_on') AS acted, bool_or(action = 'declined') AS declined,
                   bool_or(action = 'notified') AS told
            FROM feedback WHERE event_at < TIMESTAMPTZ '2023-11-01 00:00:00+00'
            GROUP BY feedback_id
        )
        """
    ).fetchall()
    assert given > 200
    assert both == 0
    assert told <= 0.02 * given  # late rows
    assert acted == pytest.approx(0.47, abs=0.06)


def test_orders_as_a_guest_end_up_once_under_the_true_customer(
    db: duckdb.DuckDBPyConnection,
) -> None:
    rows = db.execute(
        """
        WITH latest AS (
            SELECT DISTINCT ON (event_id) * FROM orders ORDER BY event_id, record_version DESC
        )
        SELECT order_id,
               count(*) FILTER (op = 'upsert'),
               count(*) FILTER (op = 'delete'),
               min(customer_id) FILTER (op = 'upsert'),
               min(customer_id) FILTER (op = 'delete')
        FROM latest GROUP BY order_id HAVING count(*) FILTER (op = 'delete') > 0
        """
    ).fetchall()
    assert len(rows) > 5
    for _, kept, withdrawn, customer, guest in rows:
        assert withdrawn == 1
        assert kept in (0, 1)  # 0 where the second entry is not known yet
        if kept:
            assert int(guest[1:]) == int(customer[1:]) + 5_000_000
    guests = number(db, "SELECT count(DISTINCT customer_id) FROM customers WHERE op = 'delete'")
    assert 2 <= guests <= 0.008 * IDS.size


def test_details_of_visits_need_consent_and_visits_do_not(db: duckdb.DuckDBPyConnection) -> None:
    assert number(db, "SELECT avg(consent::INT) FROM web_sessions") == pytest.approx(0.85, abs=0.03)
    assert not number(db, "SELECT count(*) FROM web_sessions WHERE visits IS NULL")
    details = ("device", "load_ms", "page_errors", "support_searches", "checkout_failures")
    for column in details:
        assert not number(
            db, f"SELECT count(*) FROM web_sessions WHERE consent = ({column} IS NULL)"
        ), column


def test_whoever_asks_looks_for_help_first(db: duckdb.DuckDBPyConnection) -> None:
    rows = dict(
        db.execute(
            "SELECT contact_minutes IS NOT NULL, avg(support_searches) FROM web_sessions"
            " WHERE consent GROUP BY 1"
        ).fetchall()
    )
    assert rows[True] > 5 * rows[False]


def test_messages_are_opened_after_they_were_sent_and_by_a_third(
    db: duckdb.DuckDBPyConnection,
) -> None:
    [(sent, opened, replied, early)] = db.execute(
        """
        SELECT count(*), avg((opened IS NOT NULL)::INT), avg((replied IS NOT NULL)::INT),
               count(*) FILTER (opened < sent OR replied < opened)
        FROM (
            SELECT min(event_at) FILTER (action = 'sent') AS sent,
                   min(event_at) FILTER (action = 'opened') AS opened,
                   min(event_at) FILTER (action = 'replied') AS replied
            FROM outreach WHERE event_at > TIMESTAMPTZ '2022-12-31 15:00:00+00'
              AND event_at <= known_at
            GROUP BY outreach_id
        ) WHERE sent < TIMESTAMPTZ '2023-12-01 00:00:00+00'
        """
    ).fetchall()
    assert sent > 5000
    assert opened == pytest.approx(0.38, abs=0.03)
    assert 0.005 < replied < 0.05
    assert early < 0.001 * sent  # a few rows bear a wrong date on purpose


def test_the_pilot_has_an_arm_and_nothing_else_has(db: duckdb.DuckDBPyConnection) -> None:
    rows = db.execute(
        "SELECT kind, count(*), count(arm) FROM outreach WHERE action = 'sent' GROUP BY kind"
    ).fetchall()
    arms = {kind: (sent, arm) for kind, sent, arm in rows}
    assert len(arms) == 9
    assert arms.pop("follow_up")[1] > 0
    assert not any(arm for _, arm in arms.values())


def test_every_ticket_of_the_pilot_shows_its_arm_whether_or_not_it_was_followed_up(
    scene: Scene, db: duckdb.DuckDBPyConnection
) -> None:
    drawn = db.execute(
        """
        SELECT drawn.ticket_id, any_value(rand_arm), any_value(trial), any_value(kind),
               bool_or(sent.ticket_id IS NOT NULL), count(DISTINCT rand_arm),
               bool_or(agent_id IS NOT NULL OR tier IS NOT NULL)
        FROM ticket_events AS drawn LEFT JOIN (
            FROM outreach SELECT ticket_id WHERE arm = 'treatment' AND action = 'sent'
        ) AS sent USING (ticket_id)
        WHERE rand_arm IS NOT NULL GROUP BY drawn.ticket_id
        """
    ).fetchall()
    arms = {ticket: arm for ticket, arm, *_ in drawn}
    assert {row[2:4] for row in drawn} == {("follow_up_pilot", "decision")}
    assert {row[5:] for row in drawn} == {(1, False)}
    # Both arms, as the coin fell: nearly all of one and none of the other were followed up.
    sent = {arm: np.mean([row[4] for row in drawn if row[1] == arm]) for arm in arms.values()}
    assert sent["control"] == 0
    assert sent["treatment"] > 0.9  # the latest are not due before the end
    story = tell(scene)
    truth = {
        f"T{key}": bool(way) for key, way in zip(story.key, story.ticket.follow_up, strict=True)
    }
    pilot = story.ticket.in_pilot & (story.done < scene.seen_leaving()[story.person])
    assert len(drawn) == pytest.approx(pilot.sum(), rel=0.03)  # the latest are not known yet
    assert all(truth[ticket] == (arm == "treatment") for ticket, arm in arms.items())
    assert np.mean([truth[ticket] for ticket in arms]) == pytest.approx(0.5, abs=0.05)


def test_answers_to_every_question_follow_experience(
    scene: Scene, db: duckdb.DuckDBPyConnection
) -> None:
    rows = db.execute(
        """
        SELECT kind, customer_id, avg(value) FROM surveys
        WHERE action = 'answered' AND value <= scale_max AND customer_id IN
            (SELECT customer_id FROM customers)
        GROUP BY kind, customer_id
        """
    ).fetchall()
    mood = scene.history.experience.mean(axis=0)
    for kind in ("csat", "nps", "ces", "trust", "intent"):
        mine = [(mood[int(who[1:]) - 1], value) for name, who, value in rows if name == kind]
        assert len(mine) > 100, kind
        assert np.corrcoef(np.array(mine).T)[0, 1] > 0.1, kind


def test_a_fifth_of_the_answers_come_with_a_comment(db: duckdb.DuckDBPyConnection) -> None:
    shares = dict(
        db.execute(
            "SELECT action, avg((comment IS NOT NULL)::INT) FROM surveys GROUP BY action"
        ).fetchall()
    )
    assert shares["answered"] == pytest.approx(0.2, abs=0.03)
    assert shares["sent"] == shares["expired"] == 0


def test_points_expire_a_year_after_they_were_earned(db: duckdb.DuckDBPyConnection) -> None:
    [(earned, right)] = db.execute(
        "SELECT count(*), avg((abs(epoch(expires_at - event_at) / 86400 - 365) < 0.01)::INT)"
        " FROM loyalty WHERE kind = 'earn' AND event_at > TIMESTAMPTZ '2022-12-31 15:00:00+00'"
    ).fetchall()
    assert earned > 1000
    assert right > 0.995


def test_every_new_column_has_values(db: duckdb.DuckDBPyConnection) -> None:
    """A column that is declared and never filled would make a feature of nothing."""
    for name in world.TABLE_NAMES:
        found: pa.Table = db.sql(f"FROM {name}").to_arrow_table()
        for column in TABLE[name].columns:
            values = found[column.name]
            assert values.null_count < len(values), (name, column.name)
