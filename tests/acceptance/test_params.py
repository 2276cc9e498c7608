"""params.yaml is closed, and what it says reaches the data."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from data import source, world
from data.errors import InputError
from pipelines import params, paths


def written(tmp_path: Path, **changes: object) -> Path:
    values = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
    for key, value in changes.items():
        section, name = key.split("__")
        values[section][name] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_the_committed_params_are_valid_and_name_a_source() -> None:
    assert params.load().source.name in source.known()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__test_orgins": 3}, "train.test_orgins: there is no such parameter"),
        ({"train__churn": {"rounds": 0}}, "train.churn.rounds"),
        ({"features__windows": [90, 30]}, "features.windows"),
        ({"source__first_as_of": "March"}, "source.first_as_of"),
        ({"score__languages": ["fr"]}, "score.languages"),
        ({"labels__lag_days": 2}, "labels.lag_days"),
    ],
)
def test_a_mistake_names_the_key(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        params.load(written(tmp_path, **changes))


def test_params_cannot_be_changed_after_loading() -> None:
    with pytest.raises(ValueError, match="frozen"):
        params.load().train.seed = 1


def test_the_world_ends_when_source_yaml_says_for_the_default_months() -> None:
    chosen = source.load("world")
    months = params.load().world.months
    assert world.end(months) == chosen.observed_until == chosen.last_as_of
    assert world.end(6) == date(2024, 1, 1)
    assert world.end(18) == date(2025, 1, 1)
