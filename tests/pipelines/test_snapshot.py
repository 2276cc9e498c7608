"""How a source's own attributes, and a source without times, pass through the stages."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from data import source
from data.errors import InputError
from models.splits import CustomerOrigin
from pipelines import load, params, train

CONTRACT: dict[str, Any] = {
    "tables": {"customers": {"absent_columns": []}, "attributes": {"absent_columns": []}}
}


def acme(**more: Any) -> source.Source:
    values = {
        "folder": "acme",
        "name": "acme",
        "description": {"en": "Acme", "ja": "アクメ"},
        "timezone": "UTC",
        "currency": "USD",
        "root": "acme",
        "first_as_of": date(2024, 6, 1),
        "last_as_of": date(2024, 6, 1),
        "observed_until": date(2024, 6, 1),
        "attributes": {"seats": {"unit": "count", "en": "Seats", "ja": "席数"}},
    }
    return source.Source.model_validate(values | more)


def supported(given: source.Source, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(source, "load", lambda name: given)
    return [feature.name for feature in load.supported_features(params.load(), CONTRACT)]


def test_a_snapshot_has_its_attributes_and_nothing_that_needs_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert supported(acme(snapshot=True), monkeypatch) == ["seats"]


def test_a_source_with_times_has_its_attributes_after_the_common_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = supported(acme(), monkeypatch)
    assert names[-1] == "seats"
    assert "tenure_days" in names


def test_an_attribute_with_the_name_of_a_common_feature_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = {"region": {"unit": "category", "en": "Region", "ja": "地域"}}
    with pytest.raises(InputError, match=r"acme/source\.yaml: attributes\.region has the name"):
        supported(acme(attributes=taken), monkeypatch)


def test_a_snapshot_is_split_by_customer(monkeypatch: pytest.MonkeyPatch) -> None:
    task = {"skipped": None, "definition": "snapshot", "gap_days": 0, "horizon_days": 0}
    monkeypatch.setattr(
        load,
        "summary",
        lambda: {
            "as_of": ["2024-06-01"],
            "time_zone": "UTC",
            "observed_until": "2024-06-01",
            "tasks": {"churn": task | {"lag_days": 0}},
        },
    )
    tests, production, reason = train.origins("churn", params.load())
    assert reason is None
    assert [type(origin) for origin in (*tests, production)] == [CustomerOrigin, CustomerOrigin]
