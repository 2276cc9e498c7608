"""The oracle: calibrated, no weaker than anyone, and blind to what happens after the date."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from data import world
from data.world import oracle as module
from data.world.oracle import (
    Record,
    _leaving_share,
    hours_since_start,
    oracle,
    outcomes,
    posterior,
    predict,
)
from data.world.parameters import WORLDS
from data.world.process import DAY, WEEK, Tickets
from data.world.record import Scene

JST = timezone(timedelta(hours=9))
CUSTOMERS, MONTHS, SEED = 2500, 24, 5
CUTOFFS = [datetime(2023, 4, 12, tzinfo=JST) + timedelta(days=98 * step) for step in range(8)]
CHI_SQUARED_8 = 20.09  # 99th percentile
TARGETS = ("churn", "repeat_purchase")


@pytest.fixture(scope="module")
def scene() -> Scene:
    return world.stage(np.arange(1, CUSTOMERS + 1), months=MONTHS, seed=SEED)


@pytest.fixture(scope="module")
def record(scene: Scene) -> Record:
    return Record.of(scene)


@pytest.fixture(scope="module")
def rows(scene: Scene, record: Record) -> pd.DataFrame:
    """Predictions from two independent halves of the rollouts, and the labels."""
    first, second = (
        pd.concat(predict(scene, CUTOFFS, rollouts=part), ignore_index=True)
        for part in (range(0, 8), range(8, 16))
    )
    first["other_half"] = second["p_hist"]
    first["p"] = (first["p_hist"] + second["p_hist"]) / 2
    first["p_state"] = (first["p_state"] + second["p_state"]) / 2
    first["y"] = np.nan
    number = first["customer_id"].str[1:].astype(int).to_numpy() - 1
    for cutoff in CUTOFFS:
        truth = outcomes(scene, record.orders, hours_since_start(scene, cutoff))
        for target in TARGETS:
            mine = (first["target"] == target) & (first["as_of"] == pd.Timestamp(cutoff))
            first.loc[mine, "y"] = truth[target][number[mine]]
    return first[first["y"].notna()]


def of(rows: pd.DataFrame, target: str) -> pd.DataFrame:
    return rows[rows["target"] == target]


# Certification


@pytest.mark.parametrize("target", TARGETS)
def test_as_many_events_happen_as_expected_at_eight_disjoint_dates(
    rows: pd.DataFrame, target: str
) -> None:
    total = 0.0
    for _, part in of(rows, target).groupby("as_of"):
        surprise = part["y"].sum() - part["p"].sum()
        total += surprise**2 / (part["p"] * (1 - part["p"])).sum()
    assert total <= CHI_SQUARED_8


@pytest.mark.parametrize("target", TARGETS)
def test_events_are_as_frequent_as_predicted_at_every_level(
    rows: pd.DataFrame, target: str
) -> None:
    """Hosmer and Lemeshow: eight groups of rising p, 99th percentile of chi-squared.

    Grouped by one half of the rollouts and measured by the other, lest the highest be those with
    the luckiest draws.
    """
    part = of(rows, target)
    total = 0.0
    for _, group in part.groupby(pd.qcut(part["p_hist"].rank(method="first"), 8)):
        p = group["other_half"]
        surprise = group["y"].sum() - p.sum()
        total += surprise**2 / max((p * (1 - p)).sum(), 1e-9)
    assert total <= CHI_SQUARED_8


def test_the_classes_are_as_frequent_as_believed(scene: Scene, record: Record) -> None:
    people = scene.history.people
    for cutoff in (CUTOFFS[0], CUTOFFS[4], CUTOFFS[7]):
        moment = hours_since_start(scene, cutoff)
        [belief] = posterior(record, [moment])
        there = people.signup < moment
        weights = belief.classes[:, there]
        assert weights.sum(axis=0) == pytest.approx(1.0)
        for number, weight in enumerate(weights):
            is_class = people.hidden_class[there] == number
            deviation = np.sqrt((weight * (1 - weight)).sum())
            assert abs(weight.sum() - is_class.sum()) < 3.3 * deviation
    # Two years of history tell most customers apart, and as surely as the belief says.
    surest = weights.max(axis=0)
    right = weights.argmax(axis=0) == people.hidden_class[there]
    assert right.mean() == pytest.approx(surest.mean(), abs=0.025)
    assert right[surest > 0.9].mean() > 0.9
    assert right.mean() > 0.65


def test_whoever_left_unseen_is_believed_gone(scene: Scene, record: Record) -> None:
    moment = hours_since_start(scene, CUTOFFS[5])
    [belief] = posterior(record, [moment])
    people, left = scene.history.people, scene.history.left
    unseen = ~people.contract & (people.signup < moment - 4 * WEEK)
    gone = belief.gone.sum(axis=0)[unseen]
    really = (left <= moment)[unseen]
    assert abs(gone.sum() - really.sum()) < 3.3 * np.sqrt((gone * (1 - gone)).sum())
    assert np.median(gone[really]) > 0.999
    assert np.median(gone[~really]) < 0.05
    assert not belief.gone[:, people.contract].any()


@pytest.mark.parametrize("target", TARGETS)
def test_the_log_loss_is_the_entropy(rows: pd.DataFrame, target: str) -> None:
    part = of(rows, target)
    p, y = np.clip(part["p"], 1e-9, 1 - 1e-9), part["y"]
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    # The loss has mean entropy and, per row, the variance p (1 - p) logit(p)^2.
    deviation = np.sqrt((p * (1 - p) * np.log(p / (1 - p)) ** 2).sum()) / len(p)
    assert abs(log_loss(y, p) - entropy.mean()) < 3.3 * deviation


@pytest.mark.parametrize("target", TARGETS)
def test_halves_of_the_rollouts_agree(rows: pd.DataFrame, target: str) -> None:
    part = of(rows, target)
    first, second = (roc_auc_score(part["y"], part[name]) for name in ("p_hist", "other_half"))
    assert abs(first - second) < 0.01
    spread = (part["p_hist"] - part["other_half"]).std() / np.sqrt(2)
    assert spread == pytest.approx(np.sqrt((part["mc_se"] ** 2).mean()), rel=0.2)


@pytest.mark.parametrize("target", TARGETS)
def test_who_also_knows_the_class_predicts_no_worse(rows: pd.DataFrame, target: str) -> None:
    part = of(rows, target)
    losses = [log_loss(part["y"], np.clip(part[n], 1e-9, 1 - 1e-9)) for n in ("p_state", "p")]
    assert losses[0] < losses[1]
    assert roc_auc_score(part["y"], part["p_state"]) > roc_auc_score(part["y"], part["p"])


# No peeking


def without_the_future(scene: Scene, moment: float) -> Scene:
    """The same history up to `moment`, after which nobody leaves or asks and all is different."""
    history = scene.history
    week = int(moment // WEEK)
    unpaid = history.involuntary & (history.left <= moment + 10 * DAY)
    known = (history.left <= moment) | (history.people.contract & (history.decided < moment))
    keep = known | unpaid
    experience, harm = history.experience.copy(), history.harm.copy()
    experience[week + 1 :], harm[week + 1 :] = 3.0, 0.0
    ticket: Tickets = history.tickets.at(np.flatnonzero(history.tickets.created < moment))
    # How open tickets end is taken from the truth (docs/world.md); what follows them is not.
    ticket = replace(
        ticket,
        follow_up=ticket.follow_up & (ticket.follow_up_at < moment),
        feedback=ticket.feedback & (ticket.feedback_at < moment),
        acted_on=ticket.acted_on & (ticket.answered_at < moment),
        answered_at=np.where(ticket.answered_at < moment, ticket.answered_at, np.inf),
    )
    return replace(
        scene,
        history=replace(
            history,
            load=np.where(np.arange(history.load.size) > week, 9.0, history.load),
            experience=experience,
            harm=harm,
            tickets=ticket,
            decided=np.where(keep, history.decided, np.inf),
            left=np.where(keep, history.left, np.inf),
            involuntary=history.involuntary & keep,
            people=replace(
                history.people,
                enrolled=np.where(
                    history.people.enrolled < moment, history.people.enrolled, np.inf
                ),
            ),
        ),
    )


def test_what_happens_later_changes_no_prediction(scene: Scene) -> None:
    cutoff = CUTOFFS[3]
    other = without_the_future(scene, hours_since_start(scene, cutoff))
    columns = ["customer_id", "target", "p_hist", "mc_se"]
    before, after = (
        pd.concat(predict(s, [cutoff], rollouts=range(3)), ignore_index=True)[columns]
        for s in (scene, other)
    )
    assert len(before) > 1500
    pd.testing.assert_frame_equal(before, after)


# By hand


def test_the_share_that_leaves_inside_the_window() -> None:
    silent, loud = (replace(WORLDS["W1"], notice_share=share) for share in (0.0, 1.0))
    assert _leaving_share(silent, 0, 168, 84, np.inf) == pytest.approx(0.5)
    assert _leaving_share(silent, 0, 168, 200, np.inf) == 0
    # A notice lasts 3 to 24 days: whoever decides on day 0 is gone by day 24.
    assert _leaving_share(loud, 0, 1, 3 * DAY, 24 * DAY + 1) == pytest.approx(1.0)
    assert _leaving_share(loud, 0, 1, 0, 3 * DAY) == 0
    assert _leaving_share(loud, 0, 0.001, 3 * DAY, 10 * DAY) == pytest.approx(7 / 21, abs=1e-4)


def test_with_one_class_there_is_nothing_more_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORLDS, "alike", replace(WORLDS["W1"], class_share=(0.0, 0.0, 1.0, 0.0)))
    found = oracle(customers=200, months=6, seed=1, world="alike", cutoffs=[CUTOFFS[1]], rollouts=2)
    churn = found[found["target"] == "churn"]
    assert len(churn) > 30
    assert np.allclose(churn["p_hist"], churn["p_state"])


def test_one_order_moves_the_belief_by_bayes_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes that differ in orders only: P(k | n orders) follows the Poisson likelihood."""
    flat = (0.0, 0.0, 0.0, 0.0)
    alike = replace(
        WORLDS["W1"],
        class_churn=flat,
        class_ticket=flat,
        usage_class=0.0,
        enrol_class=0.0,
        enrol_base=-30.0,
        ticket_base=-30.0,
        season_size=0.0,
    )
    monkeypatch.setitem(WORLDS, "buyers", alike)
    monkeypatch.setattr(module, "offer_chance", lambda _, people: np.full((4, 1), 0.5))
    scene = world.stage(np.arange(1, 301), months=3, seed=2, world="buyers")
    record = Record.of(scene)
    weeks = 10
    [belief] = posterior(record, [weeks * WEEK])
    who = scene.history.people
    steady = (who.signup < 0) & who.contract & np.isinf(scene.history.left)
    orders = np.bincount(record.orders.person[record.orders.at < weeks * WEEK], minlength=300)
    rate = np.exp(-2.1 + np.array(alike.class_purchase))
    for person in np.flatnonzero(steady)[:20]:
        weight = np.array(alike.class_share) * rate ** orders[person] * np.exp(-weeks * rate)
        assert belief.alive[:, person] == pytest.approx(weight / weight.sum(), rel=1e-9)


# Interface


def test_the_frame_is_the_same_however_customers_are_grouped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found() -> pd.DataFrame:
        return oracle(customers=60, months=6, seed=3, cutoffs=CUTOFFS[1:3], rollouts=2)

    whole = found()
    monkeypatch.setattr(module, "CHUNK", 25)
    monkeypatch.setattr(module, "BATCH", 7)
    pd.testing.assert_frame_equal(found(), whole, rtol=1e-12)
    assert list(whole) == ["customer_id", "as_of", "target", "p_hist", "p_state", "mc_se"]
    assert set(whole["target"]) == set(TARGETS)
    assert set(whole["as_of"]) == {pd.Timestamp(cutoff) for cutoff in CUTOFFS[1:3]}
    assert not whole.duplicated(["customer_id", "as_of", "target"]).any()
    for name in ("p_hist", "p_state"):
        assert whole[name].between(0, 1).all()


def test_the_file_has_the_columns_of_the_format(tmp_path: Path) -> None:
    frame = oracle(customers=30, months=4, seed=3, cutoffs=CUTOFFS[:1], rollouts=2)
    module.write(tmp_path / "oracle.parquet", frame)
    table = pq.read_table(tmp_path / "oracle.parquet")
    names = ["customer", "cutoff", "target", "p_hist", "p_state", "mc_se"]
    assert table.column_names == names
    assert table.num_rows == len(frame) > 0


def test_a_cutoff_needs_a_time_zone_and_must_lie_in_the_period() -> None:
    def ask(cutoff: datetime, world: str = "W1") -> None:
        oracle(customers=5, months=2, seed=1, rollouts=1, cutoffs=[cutoff], world=world)

    with pytest.raises(ValueError, match="no time zone"):
        ask(datetime(2023, 7, 1))
    with pytest.raises(ValueError, match="outside the period"):
        ask(datetime(2024, 7, 1, tzinfo=JST))
    with pytest.raises(ValueError, match="unknown world"):
        ask(datetime(2023, 7, 1, tzinfo=JST), world="W9")


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_every_world_has_an_oracle(name: str) -> None:
    found = oracle(
        customers=60, months=20, seed=4, world=name, cutoffs=[CUTOFFS[6], CUTOFFS[7]], rollouts=2
    )
    assert found["p_hist"].between(0, 1).all()
    assert set(found["target"]) == set(TARGETS)
