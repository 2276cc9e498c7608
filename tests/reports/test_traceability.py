"""Every figure of the report leads to the artifact it was read from, in both languages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from reports.leadership import build_facts, render
from reports.wording import Catalog
from tests.reports.conftest import results, save
from tests.reports.tracing import DIGIT, Artifacts, Chart, Reading, reads, same, unexplained

LANGUAGES = ("en", "ja")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_figure_is_what_its_artifact_says(
    pages: dict[str, str], saved: Path, language: str
) -> None:
    artifacts = Artifacts(saved)
    page = Reading(pages[language])
    assert len(page.cited) > 1000
    wrong = [
        cited
        for cited in page.cited
        if not same(cited.value, artifacts.value(cited.source))
        or not reads(cited.shown, cited.value)
    ]
    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_other_text_holds_a_figure(pages: dict[str, str], language: str) -> None:
    page = Reading(pages[language])
    loose = [unexplained(text, language) for text in page.loose]
    loose += [unexplained(text, language, page.names) for text in page.labels]
    assert [text for text in loose if text] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_chart_says_nothing_that_its_table_does_not(pages: dict[str, str], language: str) -> None:
    for chart in Reading(pages[language]).charts:
        assert chart.marks and chart.marks <= set(chart.rows)
        assert [
            (row, text)
            for row, text in chart.drawn
            if DIGIT.search(text) and not told(chart, row, text)
        ] == []


def told(chart: Chart, row: int, text: str) -> bool:
    """Whether a row of the table says what the drawing does; a long name may be cut."""
    said = " ".join(chart.rows[row].split())
    return text.rstrip("…") in said or all(
        number in said for number in filter(DIGIT.search, text.split())
    )


def test_both_languages_tell_the_same_figures(pages: dict[str, str]) -> None:
    english, japanese = (
        Counter((cited.source, cited.value) for cited in Reading(pages[language]).cited)
        for language in LANGUAGES
    )
    assert english == japanese


def test_figures_since_an_earlier_report_lead_to_that_report(
    facts: dict[str, Any], catalog: Catalog, tmp_path: Path
) -> None:
    arguments = results(catalog)
    table = arguments["kpis"]["table"]
    moved = (table["kpi"] == "first_response_hours") & (table["dimension"] == "recent")
    table.loc[moved, ["value", "low", "high"]] = [4.1, 3.9, 4.3]
    now = build_facts(**arguments, compared=facts)
    assert [row["kpi"] for row in now["compared"]["kpis"]] == ["first_response_hours"]
    save(arguments, now, tmp_path / "now")
    save(results(catalog), facts, tmp_path / "before")
    artifacts = Artifacts(tmp_path / "now", compared=tmp_path / "before" / "reports")
    page = Reading(render(now, "ja", catalog))
    since = [cited for cited in page.cited if "compared/" in cited.source]
    assert len(since) == 1 + len(now["compared"]["rows"])
    assert all(same(cited.value, artifacts.value(cited.source)) for cited in page.cited)


def test_the_totals_at_stake_are_those_of_the_ranked_list(facts: dict[str, Any]) -> None:
    """Risks 0.9, 0.6, 0.25, 0.1 and 0.05; the first two are of high tier; 30,000 each."""
    stake = facts["stake"]["churn"]
    assert stake["customers"] == 5 and stake["high"] == 2
    assert stake["expected"] == pytest.approx(1.9)
    assert stake["expected_high"] == pytest.approx(1.5)
    assert stake["worth"] == pytest.approx(57_000)


@pytest.mark.parametrize(
    ("shown", "value", "is_right"),
    [("12%", "0.1234", True), ("13%", "0.1234", False), ("−0.8", "-0.0083", True),
     ("475万円", "4746811.0", True), ("1.1 hours", "1.05", True), ("63 minutes", "1.05", True),
     ("3e-13", "3e-13", True), ("7,155", "7154.6", True), ("7,156", "7154.6", False)],
)  # fmt: skip
def test_the_test_can_tell_a_wrong_figure(shown: str, value: str, is_right: bool) -> None:
    assert reads(shown, value) is is_right


def test_the_test_finds_a_figure_without_a_source() -> None:
    page = Reading("<p>Churn is <b>12%</b>, see <data value='1' data-source='x'>1</data>.</p>")
    assert [unexplained(text, "en") for text in page.loose] == ["12%"]
