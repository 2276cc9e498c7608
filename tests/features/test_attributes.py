"""Attributes that a source declares, and the outcome of a snapshot."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.calendar import WorkingCalendar
from data.source import CustomerAttribute, Source, Text
from features.attributes import attribute_features
from features.facts import connect
from features.labels import SNAPSHOT, label
from features.table import with_features
from tests.features.tables import customer, table

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
NAMES = {
    "seats": CustomerAttribute(unit="count", en="Seats used", ja="利用席数"),
    "industry": CustomerAttribute(unit="category", en="Industry", ja="業種"),
}


def source(**more: Any) -> Source:
    values = {
        "folder": "acme",
        "name": "acme",
        "description": Text(en="Acme", ja="アクメ"),
        "timezone": "UTC",
        "currency": "USD",
        "root": "acme",
        "first_as_of": date(2024, 6, 1),
        "last_as_of": date(2024, 6, 1),
        "observed_until": date(2024, 6, 1),
        "attributes": NAMES,
    }
    return Source.model_validate(values | more)


def value(who: str, name: str, at: str, given: float | str, **more: Any) -> dict[str, Any]:
    column = "category" if isinstance(given, str) else "number"
    row = {"customer_id": who, "event_id": f"{who}-{name}", "event_at": at, "name": name}
    return row | {"number": None, "category": None} | {column: given} | more


ROWS = (
    value("C1", "seats", "2024-05-01", 5.0),
    value("C1", "seats", "2024-05-20", 7.0, record_version=2),
    value("C1", "seats", "2024-06-01", 9.0, record_version=3),
    value("C1", "industry", "2024-05-01", "banks"),
    value("C2", "industry", "2024-06-01", "shops"),
    value("C1", "churned", "2024-05-01", 1.0),
    value("C2", "churned", "2024-05-01", 0.0),
)


def rows_of(*rows: dict[str, Any]) -> pd.DataFrame:
    tables = {
        "customers": table("customers", *(customer(f"C{i}", "2024-01-01") for i in (1, 2, 3))),
        "attributes": table("attributes", *rows),
    }
    connection = connect(tables, "UTC", WorkingCalendar(country=None, closed=()))
    labels = label(connection, [AS_OF], [SNAPSHOT], AS_OF)
    return with_features(connection, labels, attribute_features(source()), {})


def test_an_attribute_is_the_latest_value_known_before_the_as_of_date() -> None:
    found = rows_of(*ROWS).set_index("customer_id")
    assert found["seats"].tolist()[0] == 7
    assert np.isnan(found["seats"].to_numpy()[1:]).all()
    assert found["industry"].fillna("none").tolist() == ["banks", "none", "none"]


def test_the_outcome_of_a_snapshot_is_its_flag_and_without_one_nobody_is_eligible() -> None:
    found = rows_of(*ROWS).set_index("customer_id")
    assert found["churn_status"].tolist() == [
        "labelled",
        "labelled",
        "ineligible: no outcome recorded",
    ]
    assert found["churn"].tolist()[:2] == [1, 0]
    assert np.isnan(found["churn"].iloc[2])


def test_the_outcome_is_never_a_feature() -> None:
    assert [feature.name for feature in attribute_features(source())] == ["seats", "industry"]
    with pytest.raises(ValueError, match="churned is the outcome"):
        source(attributes=NAMES | {"churned": NAMES["seats"]})


def test_attributes_are_context_told_in_both_languages() -> None:
    for feature in attribute_features(source()):
        assert not feature.lever
        for text in (feature.en, feature.ja):
            assert "{value}" in text.reason and "{typical}" in text.reason


def test_a_snapshot_has_one_date_and_declares_its_attributes() -> None:
    source(snapshot=True)
    wrongs: tuple[dict[str, Any], ...] = ({"attributes": {}}, {"first_as_of": date(2024, 5, 1)})
    for wrong in wrongs:
        with pytest.raises(ValueError, match="a snapshot has one as-of date"):
            source(snapshot=True, **wrong)
