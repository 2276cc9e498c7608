"""The search: folds that end before the test, trials that go on, prune and repeat themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from models import splits, tuning
from models.splits import label_end, tuning_folds
from models.tuning import Fold, TrialResult, best_of, folds_of, losses_by_round, search

DATES = [pd.Timestamp(f"{2023 + m // 12}-{m % 12 + 1:02d}-01", tz="UTC") for m in range(24)]
LABEL_DAYS = 107


@pytest.fixture(scope="module")
def folds() -> list[Fold]:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "as_of": [date for date in DATES[:8] for _ in range(300)],
            "signal": generator.normal(0, 1, 2400),
            "noise": generator.normal(0, 1, 2400),
        }
    )
    y = (generator.random(2400) < expit(frame["signal"] - 1)).to_numpy(dtype=float)
    origins = tuning_folds(DATES[:8], DATES[10], 2, label_days=LABEL_DAYS)
    return folds_of(frame, y, origins, features=["signal", "noise"], categories=[])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "CHECKPOINTS", (5, 10, 20))


def test_no_fold_sees_a_label_that_was_unknown_at_the_first_test_date() -> None:
    first = splits.test_origins(DATES, DATES[-1], 6, label_days=LABEL_DAYS)[0].test
    folds = tuning_folds(DATES, first, 4, label_days=LABEL_DAYS)
    assert len(folds) == 4
    for fold in folds:
        assert label_end(fold.test, LABEL_DAYS) <= first
        assert all(label_end(date, LABEL_DAYS) <= fold.test for date in fold.train)
    assert [fold.test for fold in folds] == [d for d in DATES if d <= folds[-1].test][-4:]


def test_a_short_past_gives_fewer_folds() -> None:
    assert tuning_folds(DATES[:8], DATES[9], 4, label_days=LABEL_DAYS)[0].train == (DATES[0],)
    assert tuning_folds(DATES[:3], DATES[9], 4, label_days=LABEL_DAYS) == ()


def test_the_loss_is_what_calibration_cannot_repair(folds: list[Fold], quick: None) -> None:
    fold = folds[0]
    losses = losses_by_round(fold, {"min_data_in_leaf": 20, "learning_rate": 0.1}, seed=0)
    rate = fold.y_test.mean()
    base = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    assert len(losses) == 3 and losses.min() < 0.93 * base
    blind = fold.__class__(**{**fold.__dict__, "x_test": np.zeros_like(fold.x_test)})
    # A model that ranks nobody is recalibrated to the base rate and to nothing worse.
    assert losses_by_round(blind, {}, seed=0) == pytest.approx([base] * 3, abs=2e-3)


def test_a_search_repeats_itself_and_begins_with_the_defaults(
    folds: list[Fold], quick: None
) -> None:
    first, again = (
        search(folds, storage=None, name="s", trials=4, minutes=None, seed=3) for _ in range(2)
    )
    assert first == again and len(first) == 4
    assert first[0].settings["num_leaves"] == tuning.DEFAULT_PARAMS["num_leaves"]
    assert {result.settings["num_leaves"] for result in first} != {15}
    assert best_of(first).loss <= first[0].loss


def test_an_interrupted_search_goes_on(folds: list[Fold], quick: None, tmp_path: Path) -> None:
    storage, seen = f"sqlite:///{tmp_path}/tuning.db", []
    for trials in (2, 3, 3):
        results = search(
            folds,
            storage=storage,
            name="s",
            trials=trials,
            minutes=None,
            seed=3,
            on_trial=lambda result: seen.append(result.number),
        )
    assert seen == [0, 1, 2] and [result.number for result in results] == [0, 1, 2]


def test_a_budget_in_minutes_ends_the_search(folds: list[Fold], quick: None) -> None:
    results = search(folds, storage=None, name="s", trials=1000, minutes=0.005, seed=3)
    assert 1 <= len(results) < 1000


def test_hopeless_trials_stop_early_and_are_never_the_best() -> None:
    pruned = TrialResult(1, {}, 0.1, (0.1,), True)
    whole = TrialResult(0, {}, 0.2, (0.2, 0.2), False)
    assert best_of([whole, pruned]) is whole
    with pytest.raises(ValueError, match="allow more trials"):
        best_of([pruned])
