"""The named worlds: each differs from W1 in what it says and in nothing else."""

from __future__ import annotations

from dataclasses import Field, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from data import world
from data.world.parameters import WARM_UP_MONTHS, WORLDS, World, world_named
from data.world.process import (
    DAY,
    History,
    shock_at_reply,
    shock_at_resolution,
    split_response,
)

IDS = np.arange(1, 1201)
SEED = 5


def history(name: str, months: int = 24, ids: np.ndarray = IDS) -> History:
    return world.stage(ids, months=months, seed=SEED, world=name).history


def tables(name: str) -> dict[str, pa.Table]:
    return world.tables(np.arange(1, 301), months=4, seed=SEED, world=name)


@pytest.fixture(scope="module")
def default() -> History:
    return history("W1")


@pytest.fixture(scope="module")
def default_tables() -> dict[str, pa.Table]:
    return tables("W1")


def test_an_unknown_world_is_refused_with_all_known_names() -> None:
    known = "W0, W1, W2, W3, W4, W5, W6, bot_rollout, jp_only, tiny"
    with pytest.raises(ValueError, match=f"unknown world 'w1'; known worlds: {known}"):
        world_named("w1")


def test_w2_withholds_the_severity_column_and_nothing_else(
    default_tables: dict[str, pa.Table],
) -> None:
    for name, table in tables("W2").items():
        if name == "tickets":
            assert table["severity"].null_count == table.num_rows > 100
            table = table.drop_columns("severity")
            assert table.equals(default_tables[name].drop_columns("severity"))
        else:
            assert table.equals(default_tables[name]), name


def test_w3_always_answers_premium_within_the_hour_and_others_never(default: History) -> None:
    ticket = history("W3").tickets
    assert ticket.first_response[ticket.premium].max() <= 1.0
    assert ticket.first_response[~ticket.premium].min() >= 1.0
    usual = default.tickets
    for premium in (True, False):  # in W1 both happen to both
        fast = usual.first_response[usual.premium == premium] <= 1.0
        assert 0.2 < fast.mean() < 0.8


def test_w3_keeps_the_order_of_the_answers() -> None:
    hours = np.array([0.1, 1.0, 9.0])
    fast = split_response(hours, np.ones(3, bool), 1.0)
    slow = split_response(hours, np.zeros(3, bool), 1.0)
    assert fast == pytest.approx([1 / 11, 0.5, 0.9])
    assert slow == pytest.approx([1.1, 2.0, 10.0])


def test_w4_halves_the_effect_of_resolution_after_month_18() -> None:
    before, after = WORLDS["W4"], WORLDS["W4"].after_change()
    assert after.effect_first_contact_resolution == before.effect_first_contact_resolution / 2
    assert before.change_month == WARM_UP_MONTHS + 18
    ticket = history("W4", months=1).tickets
    difference = shock_at_resolution(after, ticket) - shock_at_resolution(before, ticket)
    assert difference == pytest.approx(np.where(ticket.fcr, -0.15, 0.15))


def test_w4_launches_abroad_and_the_languages_shift_within_two_months() -> None:
    shifted = history("W4")
    people = shifted.people

    def japanese(moment: float) -> float:
        there = (people.signup < moment) & (shifted.left > moment)
        return float((people.language[there] == 0).mean())

    at = shifted.change
    assert japanese(at) == pytest.approx(0.85, abs=0.04)
    assert japanese(at + 60 * DAY) < japanese(at) - 0.07


@pytest.mark.parametrize("name", ["W4", "bot_rollout"])
def test_nothing_differs_before_the_change(default: History, name: str) -> None:
    changed = history(name)
    assert np.isinf(default.change)
    assert changed.change == pytest.approx(731 * DAY)  # 1 January 2025
    both = np.flatnonzero(changed.people.signup == default.people.signup)
    assert both.size > 1000
    week = int(changed.change // 168)
    assert np.array_equal(changed.experience[:week, both], default.experience[:week, both])
    assert not np.array_equal(changed.experience[-1, both], default.experience[-1, both])


def test_w5_a_slow_reply_hurts_premium_twice_as_much(default: History) -> None:
    ticket = default.tickets
    extra = shock_at_reply(WORLDS["W5"], SEED, ticket) - shock_at_reply(WORLDS["W1"], SEED, ticket)
    assert extra == pytest.approx(
        np.where(ticket.premium, -0.13 * np.log1p(ticket.first_response), 0)
    )
    standard = ~default.people.premium
    assert np.array_equal(history("W5").experience[:, standard], default.experience[:, standard])


def test_w6_everything_is_known_when_it_happens() -> None:
    for name, table in tables("W6").items():
        first = table.filter(pc.equal(table["record_version"], 1))
        lag = (first["known_at"].to_numpy() - first["event_at"].to_numpy()) / np.timedelta64(1, "s")
        # A few rows carry a fault on purpose: a wrong clock or a date before sign-up.
        assert (lag == 0).mean() > 0.98, name


def test_bots_meet_most_tickets_in_chat_and_resolve_less() -> None:
    ticket = (rolled_out := history("bot_rollout")).tickets
    new = ticket.week * 168 >= rolled_out.change
    chat = ticket.channel == 0
    assert ticket.bot_first[new].mean() > 0.8 > 0.4 > ticket.bot_first[~new].mean()
    assert chat[new].mean() > chat[~new].mean() + 0.25
    assert ticket.bot_trap[new].mean() > 2 * ticket.bot_trap[~new].mean()
    assert ticket.fcr[new].mean() < ticket.fcr[~new].mean() - 0.03


def test_jp_only_is_japanese() -> None:
    found = tables("jp_only")
    for name in ("customers", "tickets", "messages"):
        assert set(pc.unique(found[name]["language"]).to_pylist()) <= {"ja", None}
    assert not history("jp_only", months=2).tickets.language_mismatch.any()


def test_a_few_hundred_customers_of_tiny_leave_and_buy_often_enough() -> None:
    ids = np.arange(1, 301)
    small, usual = history("tiny", 12, ids), history("W1", 12, ids)
    for count in (
        lambda h: np.isfinite(h.left[h.people.contract]).sum(),
        lambda h: h.tickets.created.size,
    ):
        assert count(small) > 1.5 * count(usual)
    assert np.isfinite(small.left[small.people.contract]).sum() > 80


DOCUMENT = (Path(__file__).parents[2] / "docs" / "world.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("field", fields(World), ids=lambda field: field.name)
def test_the_document_states_every_parameter(field: Field) -> None:
    value = getattr(World(), field.name)
    shown = "nothing" if value == {} else value
    assert f"| `{field.name}` | {shown} |" in DOCUMENT


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_the_document_says_what_each_world_must_teach(name: str) -> None:
    assert f"\n| `{name}` | " in DOCUMENT
