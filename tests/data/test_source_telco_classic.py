"""Telco snapshot: the traps of its NOTES, on hand-written rows and on the real file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data import source

if TYPE_CHECKING:
    from tests.data.conftest import Ingest, Ingested

DATASET = "telco_classic"
ROWS = """\
customerID,gender,SeniorCitizen,Partner,Dependents,tenure,PhoneService,MultipleLines,\
InternetService,OnlineSecurity,OnlineBackup,DeviceProtection,TechSupport,StreamingTV,\
StreamingMovies,Contract,PaperlessBilling,PaymentMethod,MonthlyCharges,TotalCharges,Churn
1-A,Female,0,Yes,No,1,No,No phone service,DSL,No,Yes,No,No,No,No,Month-to-month,Yes,Mailed check,\
29.85,29.85,Yes
2-B,Male,1,No,No,0,Yes,No,DSL,Yes,No,Yes,No,No,No,Two year,No,Mailed check,56.95, ,No
"""


@pytest.fixture
def telco(tmp_path: Path, ingest_small: Ingest) -> Ingested:
    (tmp_path / "Telco-Customer-Churn.csv").write_text(ROWS, encoding="utf-8")
    return ingest_small(source.load(DATASET), tmp_path)


def test_a_blank_total_is_missing_and_not_zero(telco: Ingested) -> None:
    assert telco.rows(
        "SELECT customer_id, number FROM attributes WHERE name = 'total_charges'"
    ) == [("1-A", 29.85)]


def test_the_flag_is_the_outcome_and_no_attribute(telco: Ingested) -> None:
    assert telco.rows(
        "SELECT customer_id, number FROM attributes WHERE name = 'churned' ORDER BY 1"
    ) == [("1-A", 1.0), ("2-B", 0.0)]
    declared = set(source.load(DATASET).attributes)
    given = {name for (name,) in telco.rows("SELECT DISTINCT name FROM attributes")}
    assert given == declared | {"churned"}


def test_words_are_categories_and_numbers_are_numbers(telco: Ingested) -> None:
    assert telco.rows(
        "SELECT name, number, category FROM attributes WHERE customer_id = '2-B'"
        " AND name IN ('contract', 'senior') ORDER BY 1"
    ) == [("contract", None, "Two year"), ("senior", 1.0, None)]


def test_everything_is_known_before_the_one_date(telco: Ingested) -> None:
    at = source.load(DATASET).last_as_of
    assert telco.value(f"SELECT bool_and(known_at < TIMESTAMPTZ '{at} 00:00+00') FROM attributes")


def test_every_real_customer_and_attribute_is_there(ingested: Ingested) -> None:
    tables = ingested.contract["tables"]
    assert (tables["customers"]["kept"], tables["customers"]["quarantined"]) == (7_043, 0)
    # 19 attributes and the outcome, without the 11 blank totals.
    assert tables["attributes"]["read"] == tables["attributes"]["kept"] == 20 * 7_043 - 11
    assert ingested.value("SELECT sum(number) FROM attributes WHERE name = 'churned'") == 1_869
