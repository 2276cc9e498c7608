"""What the search writes down: the numbers, and nothing else of params.yaml."""

from __future__ import annotations

import pytest
import yaml

from data.errors import InputError
from pipelines import params, paths
from pipelines.tune import with_settings

TEXT = """\
# Settings.
train:
  seed: 7
  # Chosen by hand.
  churn:
    rounds: 200  # trees
    learning_rate: 0.03

    lambda_l2: 20
  repeat_purchase:
    rounds: 250
evaluate:
  rounds: 1
"""


def test_numbers_are_replaced_and_comments_stay() -> None:
    found = with_settings(TEXT, ("train", "churn"), {"rounds": 450, "lambda_l2": 3.5})
    assert found == TEXT.replace("rounds: 200  # trees", "rounds: 450  # trees").replace(
        "lambda_l2: 20", "lambda_l2: 3.5"
    )


def test_the_other_tasks_numbers_stay() -> None:
    found = yaml.safe_load(with_settings(TEXT, ("train", "repeat_purchase"), {"rounds": 9}))
    assert found["train"]["repeat_purchase"] == {"rounds": 9}
    assert found["train"]["churn"]["rounds"] == 200 and found["evaluate"]["rounds"] == 1


@pytest.mark.parametrize(
    ("section", "key"),
    [(("train", "churn"), "max_depth"), (("train", "other"), "rounds"), (("no",), "rounds")],
)
def test_a_key_that_is_not_there_is_named(section: tuple[str, ...], key: str) -> None:
    missing = key if section == ("train", "churn") else section[-1]
    with pytest.raises(InputError, match=f"no line for '{missing}'"):
        with_settings(TEXT, section, {key: 1})


def test_the_projects_own_file_can_be_written(tmp_path) -> None:
    chosen = {
        "rounds": 350,
        "learning_rate": 0.03,
        "num_leaves": 5,
        "max_depth": 3,
        "min_data_in_leaf": 300,
        "lambda_l2": 0.15,
        "feature_fraction": 0.21,
        "window_weight": 0.5,
    }
    text = paths.PARAMS.read_text(encoding="utf-8")
    path = tmp_path / "params.yaml"
    path.write_text(with_settings(text, ("train", "churn"), chosen), encoding="utf-8")
    before, after = params.load(), params.load(path)
    assert after.train.churn.model_dump() == chosen
    assert after.train.repeat_purchase == before.train.repeat_purchase
    assert len(path.read_text("utf-8").splitlines()) == len(text.splitlines())
