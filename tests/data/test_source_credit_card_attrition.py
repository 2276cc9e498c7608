"""Credit card snapshot: the traps of its NOTES, on hand-written rows and on the real file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data import source

if TYPE_CHECKING:
    from tests.data.conftest import Ingest, Ingested

DATASET = "credit_card_attrition"
BAYES = "Naive_Bayes_Classifier_Attrition_Flag_Card_Category_Contacts_Count_12_mon_1"
ROWS = f"""\
"CLIENTNUM","Attrition_Flag","Customer_Age","Gender","Dependent_count","Education_Level",\
"Marital_Status","Income_Category","Card_Category","Months_on_book","Total_Relationship_Count",\
"Months_Inactive_12_mon","Contacts_Count_12_mon","Credit_Limit","Total_Revolving_Bal",\
"Avg_Open_To_Buy","Total_Amt_Chng_Q4_Q1","Total_Trans_Amt","Total_Trans_Ct",\
"Total_Ct_Chng_Q4_Q1","Avg_Utilization_Ratio","{BAYES}"
768805383,"Existing Customer",45,"M",3,"High School","Married","$60K - $80K","Blue",39,5,1,3,12691,\
777,11914,1.335,1144,42,1.625,0.061,9.3448e-05
818770008,"Attrited Customer",49,"F",5,"Unknown","Single","Unknown","Blue",44,6,1,2,8256,864,7392,\
1.541,1291,33,3.714,0.105,0.99991
"""


@pytest.fixture
def cards(tmp_path: Path, ingest_small: Ingest) -> Ingested:
    (tmp_path / "credit_card_churn.csv").write_text(ROWS, encoding="utf-8")
    return ingest_small(source.load(DATASET), tmp_path)


def test_the_columns_that_another_model_made_from_the_outcome_do_not_arrive(
    cards: Ingested,
) -> None:
    given = {name for (name,) in cards.rows("SELECT DISTINCT name FROM attributes")}
    assert given == set(source.load(DATASET).attributes) | {"churned"}
    assert not any("bayes" in name for name in given)
    assert cards.value("SELECT count(*) FROM attributes WHERE number IN (0.99991, 9.3448e-05)") == 0


def test_the_flag_in_words_becomes_the_outcome(cards: Ingested) -> None:
    assert cards.rows(
        "SELECT customer_id, number FROM attributes WHERE name = 'churned' ORDER BY 1"
    ) == [("768805383", 0.0), ("818770008", 1.0)]


def test_unknown_is_missing(cards: Ingested) -> None:
    assert cards.rows(
        "SELECT customer_id FROM attributes WHERE name IN ('education', 'income') ORDER BY 1"
    ) == [("768805383",), ("768805383",)]


def test_every_real_customer_and_attribute_is_there(ingested: Ingested) -> None:
    tables = ingested.contract["tables"]
    assert (tables["customers"]["kept"], tables["customers"]["quarantined"]) == (10_127, 0)
    unknown = 1_519 + 749 + 1_112
    assert tables["attributes"]["read"] == tables["attributes"]["kept"] == 20 * 10_127 - unknown
    assert ingested.value("SELECT sum(number) FROM attributes WHERE name = 'churned'") == 1_627
