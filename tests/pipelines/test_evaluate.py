"""What the evaluation makes of the tables: slices and purchase histories, on rows by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.contracts import TABLE
from features.catalog import features
from pipelines import evaluate, paths, train


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def row(histories: pd.DataFrame, customer: str) -> list[float]:
    return list(histories.to_numpy()[histories.index.get_loc(customer)])


def test_slices_are_made_of_what_the_source_has() -> None:
    rows = pd.DataFrame(
        {
            "plan": ["annual", None, "monthly"],
            "tenure_days": [10.0, 400.0, np.nan],
            "ticket_count_30d": [0.0, 0.0, 0.0],
            "ticket_count_365d": [0.0, 2.0, np.nan],
        },
        index=[5, 7, 9],
    )
    found = evaluate.dimensions(rows)
    assert list(found) == ["slice_plan", "slice_tenure", "slice_ticketed"]
    assert found["slice_tenure"].tolist()[:2] == ["under 3 months", "1-2 years"]
    assert found["slice_ticketed"].tolist()[:2] == ["no", "yes"]
    assert found.loc[9, ["slice_tenure", "slice_ticketed"]].isna().all()
    assert found["slice_plan"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("days", "band"),
    [(0, "under 3 months"), (92, "3-12 months"), (366, "1-2 years"), (731, "2 years or more")],
)
def test_tenure_bands_begin_where_they_say(days: float, band: str) -> None:
    found = evaluate.dimensions(pd.DataFrame({"tenure_days": [days]}))
    assert found["slice_tenure"].tolist() == [band]


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Customer a buys twice on 1 January and once on 11; b's only order is cancelled on 20."""
    rows = pd.DataFrame(
        [
            ("1", 1, "a", "2025-01-01 09:00", "2025-01-01 09:00", "upsert", "placed"),
            ("2", 1, "a", "2025-01-01 18:00", "2025-01-01 18:00", "upsert", "placed"),
            ("3", 1, "a", "2025-01-11 09:00", "2025-01-13 09:00", "upsert", "placed"),
            ("4", 1, "b", "2025-01-05 09:00", "2025-01-05 09:00", "upsert", "placed"),
            ("4", 2, "b", "2025-01-05 09:00", "2025-01-20 09:00", "upsert", "cancelled"),
            ("5", 1, "c", "2025-01-02 09:00", "2025-01-02 09:00", "upsert", "placed"),
            ("5", 2, "c", "2025-01-02 09:00", "2025-01-20 09:00", "delete", "placed"),
        ],
        columns=[
            "event_id",
            "record_version",
            "customer_id",
            "event_at",
            "known_at",
            "op",
            "status",
        ],
    )
    for column in ("event_at", "known_at"):
        rows[column] = pd.to_datetime(rows[column], utc=True)
    folder = tmp_path / "orders"
    folder.mkdir()
    rows.iloc[:3].to_parquet(folder / "bucket=000.parquet")
    rows.iloc[3:].to_parquet(folder / "bucket=001.parquet")
    monkeypatch.setattr(paths, "TABLES", tmp_path)


def test_purchase_histories_hold_what_was_known_and_no_more(orders: None) -> None:
    early = evaluate.order_histories(at("2025-01-12"))
    assert row(early, "a") == [0, 0, 11]  # the third order became known on the 13th
    assert row(early, "b") == [0, 0, 7] and row(early, "c") == [0, 0, 10]
    late = evaluate.order_histories(at("2025-01-21"))
    assert late.index.tolist() == ["a"]  # b's order was cancelled, c's deleted
    assert row(late, "a") == [1, 10, 20]  # two orders on a day count once


def test_the_same_customers_are_held_out_whatever_the_rows() -> None:
    customers = pd.Series([f"C{i}" for i in range(2000)])
    held_out = evaluate._held_out(customers)
    assert 0.17 < held_out.mean() < 0.23
    again = evaluate._held_out(customers[::-1])
    assert (again[::-1] == held_out).all()


def names_of(*, support: bool) -> set[str]:
    found = features((30, 365), list(TABLE))
    return {feature.name for feature in found if evaluate.is_support_history(feature) is support}


def test_support_history_is_what_a_support_table_tells_lever_or_not() -> None:
    support, other = names_of(support=True), names_of(support=False)
    assert {"ticket_severity_decayed", "cancellation_ticket_count_365d"} <= support
    assert {
        "bought_after_good_service_share_365d",
        "csat_mean_365d",
        "follow_up_decayed",
    } <= support
    assert {"plan", "order_count_365d", "visit_decayed", "days_to_renewal"} <= other
    assert {"points_earned_365d", "days_to_year_end", "language"} <= other


def test_only_support_factors_over_a_window_are_weighed_down() -> None:
    wanted = {feature.name: feature for feature in features((30, 365), list(TABLE))}
    found = set(train.windowed(wanted))
    assert "csat_mean_365d" in found
    assert not found & {"order_count_365d", "ticket_decayed", "csat_last", "plan"}
