"""Stage `kpis`: from counts to the table of the report."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features import kpis
from features.kpis import KPI, Counted
from pipelines.kpis import COLUMNS, accounting, figures, ordered, summary


def place(key: str, value_of: str, n: float, s: float) -> dict[str, object]:
    """A share of n facts of n customers."""
    return {"kpi": key, "dimension": "channel", "value_of": value_of} | dict(
        zip(kpis.SUMS, (n, n, s, n, s, s, n), strict=True)
    )


def counted(*rows: dict[str, object], durations: pd.DataFrame | None = None) -> Counted:
    empty = pd.DataFrame(columns=[*kpis.PLACE, "hours", "seen", "number"])
    return Counted(pd.DataFrame(rows), empty if durations is None else durations)


def test_small_groups_have_a_number_and_no_value() -> None:
    wanted = (KPI["escalation_share"],)
    table = figures(
        counted(
            place("escalation_share", "chat", 29, 10), place("escalation_share", "mail", 30, 15)
        ),
        wanted,
    )
    assert list(table.columns) == COLUMNS
    chat, mail = table.to_dict("records")
    assert chat["n"] == 29 and np.isnan([chat["value"], chat["low"], chat["high"]]).all()
    assert mail["value"] == 0.5 and mail["low"] < 0.5 < mail["high"]


def test_a_count_is_shown_however_small() -> None:
    (row,) = figures(counted(place("tickets", "chat", 3, 3)), (KPI["tickets"],)).to_dict("records")
    assert row["value"] == 3 and np.isnan(row["low"])


def test_what_never_happened_is_left_out() -> None:
    rows = [place("escalation_share", "chat", 90, 0), place("personal_share", "chat", 90, 30)]
    table = figures(counted(*rows), (KPI["escalation_share"], KPI["personal_share"]))
    assert table["kpi"].tolist() == ["personal_share"]


def test_medians_and_shares_of_one_curve() -> None:
    hours = pd.DataFrame(
        {
            "kpi": "first_response_hours",
            "dimension": "channel",
            "value_of": "mail",
            "hours": [0.5, 2.0, 8.0],
            "seen": [True, True, False],
            "number": [20, 20, 20],
        }
    )
    rows = [
        place("first_response_hours", "mail", 60, 20),
        place("first_response_within_1h", "mail", 60, 20),
    ]
    wanted = (KPI["first_response_hours"], KPI["first_response_within_1h"])
    table = figures(counted(*rows, durations=hours), wanted).set_index("kpi")
    assert table.loc["first_response_hours", "value"] == 2.0
    assert table.loc["first_response_within_1h", "value"] == pytest.approx(1 / 3)


CONTRACT = {
    "tables": {
        "orders": {"read": 200, "quarantined": 2, "duplicates": 10, "lateness_days_p99": 1.5},
        "returns": {"read": 0, "quarantined": 0, "duplicates": 0, "lateness_days_p99": None},
    }
}


def test_data_quality_is_counted_by_table() -> None:
    table = accounting(CONTRACT).set_index(["kpi", "dimension", "value_of"])["value"]
    assert table["rows_quarantined", "table", "orders"] == 0.01
    assert table["rows_duplicated", "all", ""] == 0.05
    assert table["lateness_days", "all", ""] == 1.5
    assert ("rows_quarantined", "table", "returns") not in table.index


def test_what_is_absent_says_why() -> None:
    table = ordered(accounting(CONTRACT))
    found = summary(table, ["orders", "returns", "labels"], "2024-06-01")
    assert found["panels"] == {"P15": ["rows_quarantined", "rows_duplicated", "lateness_days"]}
    absent = {each["kpi"]: each for each in found["absent"]}
    assert absent["nps"]["en"] == "The source has no table surveys."
    assert "単価" in absent["cost_per_resolved"]["ja"]
    assert set(absent) == set(KPI) - set(found["panels"]["P15"]) | {"cost_per_resolved"}
