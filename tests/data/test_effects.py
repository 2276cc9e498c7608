"""True effects: they equal what a randomised company would see, and vanish where nothing acts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data import world
from data.world import effects
from data.world.effects import COLUMNS, LEVER, policy_effects, true_effects
from data.world.parameters import WORLDS
from data.world.process import DAY
from data.world.record import Scene
from data.world.support import tell

# Every treatment is a coin toss that depends on nothing, and there is much to see.
RANDOMISED = replace(
    WORLDS["tiny"],
    personal_base=0.0,
    personal_premium=0.0,
    personal_load=0.0,
    response_severity=0.0,
    response_premium=0.0,
    response_load=0.0,
    response_offhours=0.0,
    response_channel=(0.0, 0.0, 0.0, 0.0),
    fcr_base=0.0,
    fcr_severity=0.0,
    fcr_personal=0.0,
    fcr_language_mismatch=0.0,
    fcr_load=0.0,
    fcr_response=0.0,
    escalation_base=0.0,
    escalation_severity=0.0,
    escalation_fcr=0.0,
    escalation_load=0.0,
    escalation_premium=0.0,
    follow_up_base=0.0,
    follow_up_premium=0.0,
    follow_up_load=0.0,
    follow_up_severe=0.0,
)
TOSSED = ("personal", "first_response_1h", "fcr", "escalated", "follow_up")


@pytest.fixture(scope="module")
def tossed() -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(WORLDS, "tossed", RANDOMISED)
        return true_effects(
            customers=500, months=12, seed=9, world="tossed", rollouts=2, levers=TOSSED
        )


@pytest.fixture(scope="module")
def seen() -> pd.DataFrame:
    """What happened to the tickets of contract customers in the randomised world."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(WORLDS, "tossed", RANDOMISED)
        scene = world.stage(np.arange(1, 20_001), months=12, seed=10, world="tossed")
    history, ticket = scene.history, scene.history.tickets
    frame = pd.DataFrame(
        {
            "personal": ticket.personal,
            "first_response_1h": ticket.first_response <= 1,
            "fcr": ticket.fcr,
            "escalated": ticket.escalated,
            "follow_up": ticket.follow_up,
            "created": ticket.created,
            "landmark": ticket.created + ticket.resolution + 10 * DAY,
            "left": history.left[ticket.person],
            "decided": history.decided[ticket.person],
        }
    )
    return frame[history.people.contract[ticket.person] & ~history.involuntary[ticket.person]]


@pytest.mark.parametrize("lever", TOSSED)
def test_where_treatment_is_a_coin_toss_the_plain_difference_is_the_effect(
    lever: str, tossed: pd.DataFrame, seen: pd.DataFrame
) -> None:
    start = seen["landmark" if lever == "follow_up" else "created"]
    rows = seen[(seen["decided"] >= start) & (start <= (6 + 12 - 3) * 30 * DAY)]
    gone = rows["left"] <= start[rows.index] + 90 * DAY
    exposed = rows[lever]
    difference = gone[exposed].mean() - gone[~exposed].mean()
    error = np.sqrt(gone[exposed].var() / exposed.sum() + gone[~exposed].var() / (~exposed).sum())
    found = tossed.query("lever == @lever and outcome == 'churn' and segment == 'all'")
    truth = found.set_index("estimand").loc["ticket_ATE"]
    assert abs(truth["rd"]) > 4 * error  # there is something to compare
    # The 500 customers of the truth are a sample, too: 3 % of an effect is their own spread.
    assert abs(truth["rd"] - difference) < 3.3 * error + 0.03 * abs(truth["rd"])


def test_in_w0_no_lever_has_an_effect() -> None:
    found = true_effects(customers=60, months=1, seed=3, world="W0", rollouts=2)
    kept = found[found["n"] > 0]
    assert set(kept["lever"]) == set(LEVER)
    assert (kept["rd"] == 0).all()


def test_in_w0_no_policy_has_an_effect() -> None:
    found = policy_effects(
        customers=40, months=4, seed=3, world="W0", from_month=4, policies=["fcr"], replicates=1
    )
    assert (found["rd"] == 0).all()


def only(found: pd.DataFrame, lever: str, segment: str = "all") -> pd.Series:
    """The average effect of a lever on churn."""
    [(_, row)] = found.query(
        "lever == @lever and segment == @segment and outcome == 'churn'"
        " and estimand == 'ticket_ATE'"
    ).iterrows()
    return row


def test_w5_a_slow_reply_costs_premium_customers_more_than_in_w1() -> None:
    usual, special = (
        true_effects(
            customers=400, months=1, seed=3, world=name, rollouts=2, levers=["first_response_1h"]
        )
        for name in ("W1", "W5")
    )
    rises = {
        segment: only(special, "first_response_1h", segment)["rd"]
        / only(usual, "first_response_1h", segment)["rd"]
        for segment in ("premium", "standard")
    }
    assert rises["standard"] == pytest.approx(1.0, abs=0.02)
    assert 1.5 < rises["premium"] < 2.5


def test_w2_and_w3_say_what_cannot_be_identified() -> None:
    levers = ["fcr", "personal", "first_response_1h"]
    hidden, split = (
        true_effects(customers=60, months=1, seed=3, world=name, rollouts=2, levers=levers)
        for name in ("W2", "W3")
    )
    assert not only(hidden, "fcr")["identified"]
    assert only(hidden, "personal")["identified"]
    assert only(hidden, "fcr")["rd"] < -0.03
    assert np.isnan(only(split, "first_response_1h")["rd"])
    assert not only(split, "first_response_1h")["identified"]
    assert only(split, "fcr")["identified"]


def test_effects_do_not_depend_on_how_customers_are_grouped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found() -> pd.DataFrame:
        return true_effects(customers=60, months=1, seed=3, rollouts=2, levers=["fcr"])

    whole = found()
    monkeypatch.setattr(effects, "CHUNK", 17)
    pd.testing.assert_frame_equal(found(), whole, rtol=1e-9)


def test_the_file_has_the_columns_of_the_format(tmp_path: Path) -> None:
    found = true_effects(customers=40, months=1, seed=3, rollouts=2, levers=["escalated"])
    effects.write(tmp_path / "true_effects.parquet", found)
    table = pq.read_table(tmp_path / "true_effects.parquet")
    assert table.column_names == list(COLUMNS)
    assert table["adjust_set"][0].as_py()[-1] == "fcr"
    assert (found.loc[found["n"] > 0, "mc_se"] > 0).all()


def test_rare_exposures_get_as_many_rollouts_as_the_error_asks_for() -> None:
    levers = ["language_match", "resolution_24h"]
    found = true_effects(
        customers=150, months=2, seed=3, rollouts=2, levers=levers, max_error=0.004
    )
    used = found.groupby("lever")["R"].first()
    assert used["language_match"] > 2 == used["resolution_24h"]
    assert found.loc[found["segment"] == "all", "mc_se"].max() <= 0.004
    with pytest.raises(ValueError, match="at least 2"):
        true_effects(customers=10, months=1, seed=3, rollouts=1)


def test_more_rollouts_leave_the_tickets_and_the_effect_the_same() -> None:
    few, many = (
        only(
            true_effects(customers=150, months=2, seed=3, rollouts=r, levers=["escalated"]),
            "escalated",
        )
        for r in (2, 12)
    )
    assert few["n"] == many["n"] > 50
    assert abs(few["rd"] - many["rd"]) < 4 * few["mc_se"]
    assert many["mc_se"] < 0.7 * few["mc_se"]


def test_at_a_landmark_only_tickets_of_those_still_there_count() -> None:
    found = true_effects(
        customers=400, months=4, seed=3, rollouts=2, levers=["follow_up"], world="tiny"
    )
    scene = world.stage(np.arange(1, 401), months=4, seed=3, world="tiny")
    history, ticket = scene.history, scene.history.tickets
    landmark = ticket.created + ticket.resolution + 10 * DAY
    inside = (landmark + 90 * DAY <= scene.period) & (ticket.resolution <= 14 * DAY)
    inside &= history.people.contract[ticket.person]
    active = inside & (history.decided[ticket.person] >= landmark)
    active &= history.left[ticket.person] > landmark
    assert only(found, "follow_up")["n"] == active.sum() < inside.sum()


@pytest.mark.parametrize(("world_name", "changes"), [("W4", "shrinks"), ("bot_rollout", "grows")])
def test_a_policy_meets_what_a_changing_world_makes_of_it(world_name: str, changes: str) -> None:
    """FCR on every ticket is worth less once FCR is, and more once bots resolve less."""
    usual, changed = (
        policy_effects(
            customers=60, months=24, seed=3, world=name, from_month=17, policies=["fcr"],
            replicates=1,
        ).set_index("horizon_d")["rr"]
        for name in ("W1", world_name)
    )  # fmt: skip
    assert changed[90] == pytest.approx(usual[90], abs=0.15)
    assert (changed[365] > usual[365]) == (changes == "shrinks")


def test_pulling_a_good_lever_on_every_ticket_keeps_customers() -> None:
    found = policy_effects(
        customers=150, months=4, seed=3, from_month=4, policies=["fcr", "escalated"], replicates=1
    )
    year = found[found["horizon_d"] == 365].set_index("lever")
    best, second = year["rd"].loc[["fcr", "escalated"]].tolist()
    assert best < second < 0
    assert (found["rr"] < 1).all()


# Every exposure can be read from the canonical tables (docs/world.md)

EXPOSURES = """
    WITH ticket AS (
        SELECT DISTINCT ON (ticket_id) * FROM tickets WHERE record_version = 1 ORDER BY ticket_id
    ),
    reply AS (
        SELECT ticket_id, min(event_at) AS moment, arg_min(language, event_at) AS language
        FROM messages WHERE author = 'agent' AND is_public GROUP BY ticket_id
    ),
    spoken AS (
        SELECT ticket_id,
               count(DISTINCT event_id) FILTER (author = 'agent' AND is_public AND NOT asks_again)
                   AS replies,
               count(DISTINCT event_id) FILTER (author = 'bot') AS bot_messages,
               bool_or(asks_again) AS repeat_info
        FROM messages GROUP BY ticket_id
    ),
    done AS (
        SELECT ticket_id, max(event_at) FILTER (kind = 'resolved') AS moment,
               bool_or(kind = 'context_viewed') AS personal,
               bool_or(kind = 'escalated') AS escalated,
               bool_or(kind = 'reopened') AS reopened
        FROM ticket_events GROUP BY ticket_id
    ),
    again AS (
        SELECT first.ticket_id, min(second_done.moment) AS moment
        FROM ticket AS first JOIN ticket AS second
            ON first.customer_id = second.customer_id AND first.topic = second.topic
            AND second.event_at > first.event_at
        JOIN done ON done.ticket_id = first.ticket_id
            AND second.event_at <= done.moment + INTERVAL 7 DAY
        JOIN done AS second_done ON second_done.ticket_id = second.ticket_id
        GROUP BY first.ticket_id
    ),
    sent AS (
        SELECT ticket_id, bool_or(event_at > moment + INTERVAL 5 DAY
                              AND event_at < moment + INTERVAL 9 DAY) AS follow_up
        FROM (SELECT outreach.ticket_id, outreach.event_at,
                     greatest(done.moment, again.moment) AS moment
              FROM outreach JOIN done USING (ticket_id) LEFT JOIN again USING (ticket_id)
              WHERE kind = 'follow_up' AND action = 'sent')
        GROUP BY ticket_id
    )
    SELECT ticket.ticket_id,
           epoch(reply.moment - ticket.event_at) / 3600 AS first_response,
           epoch(greatest(done.moment, again.moment) - ticket.event_at) / 3600 AS resolution,
           personal, escalated,
           replies = 1 AND NOT reopened AND again.moment IS NULL AS fcr,
           bot_messages > 1 AS bot_trap,
           coalesce(repeat_info, false) AS repeat_info,
           coalesce(follow_up, false) AS follow_up,
           reply.language <> ticket.language AS language_mismatch
    FROM ticket JOIN reply USING (ticket_id) JOIN spoken USING (ticket_id)
    JOIN done USING (ticket_id) LEFT JOIN again USING (ticket_id) LEFT JOIN sent USING (ticket_id)
"""


@pytest.fixture(scope="module")
def told() -> tuple[Scene, dict[str, pa.Table]]:
    ids = np.arange(1, 1501)
    return world.stage(ids, months=8, seed=5), world.tables(ids, months=8, seed=5)


@pytest.fixture(scope="module")
def read(told: tuple[Scene, dict[str, pa.Table]]) -> pd.DataFrame:
    """Truth and what the tables say, one row per ticket well before the end of the data."""
    scene, raw = told
    story = tell(scene)
    names = ("first_response", "resolution", "personal", "escalated", "fcr", "bot_trap",
             "repeat_info", "follow_up", "language_mismatch")  # fmt: skip
    truth = pd.DataFrame({name: getattr(story.ticket, name) for name in names})
    truth["ticket_id"] = [f"T{key}" for key in story.key]
    truth["there"] = story.left > story.done
    truth["settled"] = story.done + 30 * DAY < scene.period
    with duckdb.connect() as connection:
        for name in ("tickets", "messages", "ticket_events", "outreach"):
            connection.register(name, raw[name])
        found = connection.sql(EXPOSURES).df()
    both = truth.merge(found, on="ticket_id", suffixes=("", "_read"))
    assert len(both) > 0.98 * len(truth[truth["settled"]])
    return both[both["settled"] & both["there"]]


@pytest.mark.parametrize(
    "exposure",
    ["personal", "escalated", "fcr", "bot_trap", "repeat_info", "follow_up", "language_mismatch"],
)
def test_an_exposure_can_be_read_from_the_tables(exposure: str, read: pd.DataFrame) -> None:
    rows = read[read[f"{exposure}_read"].notna()]
    agrees = rows[exposure] == rows[f"{exposure}_read"].astype(bool)
    assert agrees.mean() > 0.98, agrees.mean()
    assert agrees[rows[exposure]].mean() > 0.95, agrees[rows[exposure]].mean()


@pytest.mark.parametrize("duration", ["first_response", "resolution"])
def test_a_duration_can_be_read_from_the_tables(duration: str, read: pd.DataFrame) -> None:
    close = (read[duration] - read[f"{duration}_read"]).abs() < 0.01 * read[duration] + 0.01
    assert close.mean() > 0.98
