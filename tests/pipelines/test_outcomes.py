"""`retention outcomes` and past lists: what is read, what is refused, and what is said."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError
from features.labels import LABELLED, Outcome
from models.policy import CONTACT, HOLD_OUT
from pipelines import campaign, outcomes
from pipelines.campaign import PastList

CHURN = Outcome("churn", "contractual", gap=7, horizon=90, lag=10)


def write(folder: Path, rows: pd.DataFrame, **run: object) -> Path:
    folder = folder / "churn"
    folder.mkdir(parents=True)
    rows.to_parquet(folder / "list.parquet", index=False)
    record = {
        "as_of": "2025-01-01",
        "source": "world",
        "lists": {"churn": {"customers": len(rows)}},
    }
    (folder.parent / "run.json").write_text(json.dumps(record | run), encoding="utf-8")
    return folder


def some_rows(n: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": [f"C{i}" for i in range(n)],
            "as_of": [date(2025, 1, 1)] * n,
            "tier": "high",
            "risk": 0.5,
            "action": [CONTACT, HOLD_OUT, "leave"] * (n // 3),
            "propensity": 0.9,
        }
    )


def test_a_list_is_found_in_its_folder_and_in_the_one_above(tmp_path: Path) -> None:
    folder = write(tmp_path / "jan", some_rows())
    assert campaign.list_folders([tmp_path / "jan"]) == [folder]
    assert campaign.list_folders([folder, tmp_path / "jan"]) == [folder]
    one = campaign.read_list(folder, "world")
    assert (one.name, one.as_of, one.has_plan) == ("churn-2025-01-01", date(2025, 1, 1), True)


@pytest.mark.parametrize(
    ("change", "run", "message"),
    [
        ({}, {"source": "acme"}, "of source 'acme', not of 'world'"),
        ({}, {"lists": {}}, "knows no list 'churn'"),
        ({}, {"as_of": "2025-02-01"}, "another as-of date"),
        ({}, {"lists": {"churn": {"customers": 9}}}, "3 customers where run.json says 9"),
        ({"customer_id": "C0"}, {}, "a customer twice"),
        ({"risk": np.nan}, {}, "between 0 and 1"),
    ],
)
def test_a_list_that_is_not_as_it_was_written_is_refused(
    tmp_path: Path, change: dict, run: dict, message: str
) -> None:
    folder = write(tmp_path / "jan", some_rows().assign(**change), **run)
    with pytest.raises(InputError, match=message):
        campaign.read_list(folder, "world")


def test_a_truncated_or_lonely_list_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "jan", some_rows())
    whole = (folder / "list.parquet").read_bytes()
    (folder / "list.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        campaign.read_list(folder, "world")
    (folder / "list.parquet").write_bytes(whole)
    (folder.parent / "run.json").unlink()
    with pytest.raises(InputError, match=r"run\.json does not exist"):
        campaign.read_list(folder, "world")
    with pytest.raises(InputError, match=r"holds no list\.parquet"):
        campaign.list_folders([tmp_path])


def past(day: date, rows: pd.DataFrame) -> PastList:
    return PastList(f"churn-{day}", "churn", day, rows, "0" * 64)


def test_past_lists_say_how_long_ago_somebody_was_planned_for() -> None:
    lists = [past(date(2025, 1, 1), some_rows()), past(date(2025, 1, 20), some_rows().iloc[:1])]
    found = campaign.past_listings(lists, "2025-01-31")
    assert found is not None
    rows = found.set_index("customer_id")
    assert rows.loc["C0", "days_since_listed"] == 11
    assert rows.loc["C1", "days_since_held_out"] == 30
    assert "C2" not in rows.index
    # A list of the same day or later is no past; without any list nothing can be said.
    later = campaign.past_listings(lists, "2025-01-01")
    assert later is not None and later.empty
    assert campaign.past_listings([], "2025-01-31") is None


def test_outcomes_that_are_not_in_yet_are_refused() -> None:
    one = past(date(2025, 3, 17), some_rows())
    summary = {"observed_until": "2025-07-01"}
    with pytest.raises(
        InputError, match=r"known from 2025-07-02 on, and the data are .* 2025-07-01"
    ):
        outcomes._check_matured([one], {"churn": CHURN}, summary)
    outcomes._check_matured([past(date(2025, 3, 16), some_rows())], {"churn": CHURN}, summary)


def test_only_told_outcomes_count_and_those_of_others_are_not_taken() -> None:
    labels = pd.DataFrame(
        {
            "customer_id": ["C0", "C1", "X"],
            "status": [LABELLED, "gap_exit", LABELLED],
            "y": [1.0, np.nan, 1.0],
        }
    )
    rows = outcomes.joined(past(date(2025, 1, 1), some_rows()), labels, frozenset({"C1"}))
    assert rows["customer_id"].tolist() == ["C0", "C1", "C2"]
    assert rows["bad"].tolist()[0] == 1 and rows["bad"].isna().tolist() == [False, True, True]
    assert rows["contacted"].tolist() == [False, True, False]
    with pytest.raises(InputError, match="none of its customers"):
        outcomes.joined(past(date(2025, 1, 1), some_rows()), labels.iloc[2:], frozenset())


def test_the_file_of_those_contacted(tmp_path: Path) -> None:
    path = tmp_path / "contacted.csv"
    path.write_text("お客様ID,memo\r\nC1,x\r\n C2 ,\r\n,\r\n", encoding="utf-8-sig")
    assert outcomes.read_contacted(path) == {"C1", "C2"}
    path.write_text("id\r\nC1\r\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column called customer_id"):
        outcomes.read_contacted(path)
    path.write_text("customer_id\r\n", encoding="utf-8")
    with pytest.raises(InputError, match="names no customer"):
        outcomes.read_contacted(path)
    with pytest.raises(InputError, match="does not exist"):
        outcomes.read_contacted(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("effect", "said"), [(0.15, "contacting helps"), (0.0, "no difference is seen")]
)
def test_the_answer_in_plain_words(effect: float, said: str) -> None:
    rng = np.random.default_rng(8)
    n = 3_000
    risk = rng.beta(4, 6, n)
    held = rng.random(n) < 0.2
    listed = pd.DataFrame(
        {
            "customer_id": [f"C{i}" for i in range(n)],
            "tier": "high",
            "risk": risk,
            "action": np.where(held, HOLD_OUT, CONTACT),
            "propensity": 0.8,
        }
    )
    left = rng.random(n) < np.clip(risk - np.where(held, 0, effect), 0, 1)
    labels = pd.DataFrame(
        {"customer_id": listed["customer_id"], "status": LABELLED, "y": left.astype(float)}
    )
    reached = frozenset(listed.loc[~held, "customer_id"]) if effect else frozenset()
    rows = outcomes.joined(past(date(2025, 1, 1), listed), labels, reached)
    result = outcomes.assessed(rows, {"churn": CHURN}, resamples=100, seed=1)
    found = result["tasks"]["churn"]["effect"]
    assert found["low"] <= effect <= found["high"]
    json.dumps(result, allow_nan=False)
    text = "\n".join(outcomes.told(result))
    assert said in text
    assert ("no contact is on record" in text) == (effect == 0)
