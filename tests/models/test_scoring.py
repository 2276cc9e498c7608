"""A scored bucket says what the model says, and a reason is named by what reads plainly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from models import scoring
from models.estimator import ModelError, RetentionModel
from models.scoring import Scorer


@dataclass(frozen=True)
class Meaning:
    family: str
    kind: str = "count"
    unit: str = "count"
    lever: bool = True
    better: str | None = None


MEANINGS = {
    "tickets": Meaning("effort"),
    "tickets_decayed": Meaning("effort", kind="decayed", unit="level"),
    "season": Meaning("season", kind="calendar", lever=False),
    "plan": Meaning("contract", kind="category", unit="category", lever=False),
    "idle": Meaning("effort"),
}
TYPICAL: dict[str, float | str | None] = {
    "tickets": 1.0,
    "tickets_decayed": 1.0,
    "season": 100.0,
    "plan": "yearly",
    "idle": None,
}


def rows(size: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "customer_id": [f"C{i}" for i in range(size)],
            "tickets": rng.integers(0, 9, size).astype("float32"),
            "tickets_decayed": rng.gamma(2, 1, size).astype("float32"),
            "season": rng.choice([30.0, 60.0], size).astype("float32"),
            "plan": rng.choice(["monthly", "yearly"], size),
            "idle": np.where(np.arange(size) == 0, 1.0, 0.0).astype("float32"),
        }
    )


@pytest.fixture(scope="module")
def model() -> RetentionModel:
    frame = rows()
    risk = frame["tickets"] + frame["tickets_decayed"] + 3 * (frame["plan"] == "monthly")
    y = (risk + frame["season"] / 30 > 9).astype(float)
    every = np.arange(len(frame))
    return RetentionModel.fit(
        frame, y, fit_rows=every[::2], calibration_rows=every[1::2], features=list(MEANINGS),
        categories=["plan"], params={"num_iterations": 40, "lambda_l2": 0.0},
    )  # fmt: skip


def scorer(model: RetentionModel, task: str = "churn", key: str = "k") -> Scorer:
    return Scorer(task, key, model, MEANINGS, TYPICAL, top=2)


def test_a_part_has_the_models_own_probability_and_adds_up(model: RetentionModel) -> None:
    frame = rows()
    table = scoring.scored(scorer(model), frame, ["plan"])
    assert table.column_names == [*scorer(model).schema.names, "plan"]
    assert np.array_equal(table["probability"].to_numpy(), model.predict(frame))
    values, _ = model.contributions(frame)
    names = list(model.features)
    reasons = scoring.reasons_of(scorer(model), table).to_pylist()
    for i in (0, 5, 100):
        for reason in reasons[i]:
            family = [n for n in names if MEANINGS[n].family == reason["family"]]
            total = sum(values[i, names.index(n)] for n in family)
            assert reason["contribution"] == pytest.approx(total)
            found = frame[reason["feature"]].iloc[i]
            assert (reason["value_text"] or reason["value"]) == found
            usual = TYPICAL[reason["feature"]]
            assert (reason["typical_text"] or reason["typical"]) == usual


def test_repeat_purchase_turns_risk_and_reasons_round(model: RetentionModel) -> None:
    table = scoring.scored(scorer(model, "repeat_purchase", "r"), rows(), [])
    assert np.array_equal(table["risk"].to_numpy(), 1 - table["probability"].to_numpy())
    contributions = table["contribution_1"].drop_null().to_numpy()
    assert contributions.size and (contributions < 0).all()


def test_rows_are_scored_alike_alone_and_together(model: RetentionModel) -> None:
    frame = rows()
    whole = scoring.scored(scorer(model), frame, [])
    alone = scoring.scored(scorer(model), frame[40:47].reset_index(drop=True), [])
    assert alone.equals(whole.slice(40, 7).combine_chunks())


def test_nobody_gives_an_empty_part_of_the_same_schema(model: RetentionModel) -> None:
    table = scoring.scored(scorer(model), rows().head(0), ["plan"])
    assert len(table) == 0
    assert table.schema == scoring.scored(scorer(model), rows(), ["plan"]).schema
    assert len(scoring.reasons_of(scorer(model), table)) == 0


def test_features_without_a_split_need_not_be_computed(model: RetentionModel) -> None:
    assert "idle" not in scoring.used_features(model)
    frame = rows().drop(columns="idle")
    table = scoring.scored(scorer(model), frame, [])
    assert np.array_equal(table["probability"].to_numpy(), model.predict(rows()))


def test_a_weighted_sum_gives_its_name_only_where_nothing_plainer_does() -> None:
    names = ["tickets", "tickets_decayed", "season"]
    values = np.array([[0.1, 0.5, 0.2], [-0.1, 0.5, 0.2], [0.1, 0.5, 0.2]])
    present = np.array([[True, True, True], [True, True, True], [False, True, True]])
    named = scoring.nameable(values, names, MEANINGS, present, towards=1)
    assert named.tolist() == [[True, False, True], [True, True, True], [False, True, True]]


def test_what_reads_like_the_typical_value_or_is_the_season_is_no_reason() -> None:
    frame = pd.DataFrame(
        {
            "tickets": [1.0, 2.0, np.nan],
            "season": [30.0, 30.0, 30.0],
            "plan": ["yearly", "monthly", None],
        }
    )
    told = scoring.tells_apart(frame, TYPICAL, MEANINGS)
    assert told.tolist() == [[False, False, False], [True, False, True], [False, False, False]]


def test_a_model_of_other_features_is_refused(model: RetentionModel) -> None:
    scoring.check_features("churn", model, MEANINGS)
    fewer = {name: meaning for name, meaning in MEANINGS.items() if name != "tickets"}
    with pytest.raises(ModelError, match="the churn model reads 'tickets', which"):
        scoring.check_features("churn", model, fewer)
    scoring.check_features("churn", model, {n: m for n, m in MEANINGS.items() if n != "idle"})
    other = {**MEANINGS, "tickets": Meaning("effort", unit="category")}
    with pytest.raises(ModelError, match="takes 'tickets' for a number, the data have a category"):
        scoring.check_features("churn", model, other)


def test_values_that_training_never_saw_are_counted(model: RetentionModel) -> None:
    frame = rows(5).assign(
        plan=pd.Series(["weekly", "monthly", None, "weekly", "daily"], dtype=object)
    )
    counts = scoring.never_seen(model, frame)
    assert counts == {"plan": {scoring.ALL: 4, "daily": 1, "weekly": 2}}
