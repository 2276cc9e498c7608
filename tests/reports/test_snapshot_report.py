"""What the report says of a source without times, and of a model without a signal."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

from reports.leadership import build_facts, render
from reports.wording import Catalog


def plain(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))


@pytest.fixture
def snapshot(arguments: dict[str, Any]) -> dict[str, Any]:
    arguments["summary"]["tasks"]["churn"]["definition"] = "snapshot"
    return build_facts(**arguments)


@pytest.fixture
def without_signal(arguments: dict[str, Any]) -> dict[str, Any]:
    metrics = arguments["evaluation"]["churn"]["metrics"]
    metrics["model"]["auc"] = {"value": 0.53, "low": 0.48, "high": 0.58}
    metrics["beats_best_baseline"] = False
    return build_facts(**arguments)


def test_the_first_finding_of_a_snapshot_is_that_nothing_is_tested_over_time(
    snapshot: dict[str, Any],
) -> None:
    assert (snapshot["findings"][0]["kind"], snapshot["findings"][0]["task"]) == (
        "snapshot",
        "churn",
    )
    assert not [f for f in snapshot["findings"] if f["kind"] in ("factor", "no_factor")
                and f["task"] == "churn"]  # fmt: skip


@pytest.mark.parametrize(
    ("language", "said", "not_said"),
    [
        ("en", "nothing here is tested over time", "Data observed until"),
        ("ja", "時間をおいた検証はしていません", "データの最終日"),
    ],
)
def test_a_snapshot_says_so_in_both_languages_and_shows_no_dates(
    snapshot: dict[str, Any], catalog: Catalog, language: str, said: str, not_said: str
) -> None:
    page = plain(render(snapshot, language, catalog))
    findings = page[: page.index("AUC")]
    assert said in findings
    assert not_said not in findings
    assert "60%" in page or "60％" in page


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ("the model found no usable signal", "do not work from it")),
        ("ja", ("予測の手がかりは見つかりませんでした", "お使いにならないでください")),
    ],
)
def test_no_signal_is_said_first_and_nobody_is_pointed_at(
    without_signal: dict[str, Any], catalog: Catalog, language: str, said: tuple[str, ...]
) -> None:
    assert without_signal["findings"][0]["kind"] == "no_signal"
    html = render(without_signal, language, catalog)
    page = plain(html)
    for words in said:
        assert words in page
    assert "score/churn/segments.csv" not in html
    assert "score/repeat_purchase/segments.csv" in html


def test_a_model_without_support_factors_has_no_curves_and_still_a_page(
    arguments: dict[str, Any], catalog: Catalog
) -> None:
    dependence: pd.DataFrame = arguments["explanation"]["churn"]["dependence"]
    arguments["explanation"]["churn"]["dependence"] = dependence.iloc[:0]
    facts = build_facts(**arguments)
    assert facts["tasks"]["churn"]["explained"]["curves"] == []
    assert render(facts, "en", catalog)
