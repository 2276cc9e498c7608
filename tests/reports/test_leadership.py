"""What the leadership report says, in which order, and what it refuses to say."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest

from reports.leadership import build_facts, render
from reports.wording import Catalog

ATTACK = (
    '</svg><script>alert("x")</script><img src=x onerror=alert(1)>" onmouseover="alert(2)\u202e🛒'
)


class Outline(HTMLParser):
    """Elements, headings and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def brief(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts without the many charts that a test does not look at."""
    for task in facts["tasks"].values():
        if task.get("explained"):
            task["explained"]["curves"] = task["explained"]["curves"][:1]
    return facts


def findings(arguments: dict[str, Any]) -> list[tuple[str, str]]:
    return [(found["kind"], found["task"]) for found in build_facts(**arguments)["findings"]]


def test_facts_are_plain_json(facts: dict[str, Any]) -> None:
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_estimated_effects_come_before_associations(arguments: dict[str, Any]) -> None:
    """Of the levers, two are of grade B; the association is of a family neither belongs to."""
    found = build_facts(**arguments)["findings"]
    assert [(one["kind"], one["grade"]) for one in found] == [
        ("effect", "b"),
        ("effect", "b"),
        ("factor", "c"),
    ]
    assert found[2]["family"] not in ("resolution", "effort")


def test_without_effects_the_findings_are_associations_of_different_families(
    arguments: dict[str, Any],
) -> None:
    arguments["effects"] = None
    found = build_facts(**arguments)["findings"]
    assert [one["kind"] for one in found] == ["factor", "factor", "factor"]
    assert len({one["family"] for one in found}) == 3


def test_without_anything_else_the_quality_of_the_models_is_the_finding(
    arguments: dict[str, Any],
) -> None:
    arguments["effects"] = None
    for task in ("churn", "repeat_purchase"):
        dependence = arguments["explanation"][task]["dependence"]
        dependence["observed_low"], dependence["observed_high"] = 0.0, 1.0
    assert findings(arguments)[0] == ("found", "churn")


def test_below_grade_b_nothing_is_called_an_effect(
    arguments: dict[str, Any], catalog: Catalog
) -> None:
    arguments["effects"]["table"]["grade"] = "C"
    facts = brief(build_facts(**arguments))
    assert {one["kind"] for one in facts["findings"]} == {"factor"}
    english, japanese = (render(facts, language, catalog) for language in ("en", "ja"))
    first_page = english[english.index('id="findings"') : english.index("<nav")]
    assert "effect_head" not in first_page and "estimated effect on" not in first_page
    assert "Grade B" not in first_page
    assert "評価B" not in japanese[japanese.index('id="findings"') : japanese.index("<nav")]


def test_a_model_that_does_not_beat_a_simple_rule_says_so_first(arguments: dict[str, Any]) -> None:
    metrics = arguments["evaluation"]["repeat_purchase"]["metrics"]
    metrics["beats_best_baseline"] = False
    assert findings(arguments)[0] == ("not_better", "repeat_purchase")


def test_without_signal_no_factor_is_named(arguments: dict[str, Any], catalog: Catalog) -> None:
    auc = arguments["evaluation"]["churn"]["metrics"]["model"]["auc"]
    auc |= {"value": 0.512, "low": 0.496, "high": 0.528}
    facts = brief(build_facts(**arguments))
    assert [f["kind"] for f in facts["findings"] if f["task"] == "churn"] == ["no_signal"]
    page = render(facts, "en", catalog)
    assert "No usable signal" in page
    assert "artifacts/explanation/churn" not in page
    assert "artifacts/explanation/repeat_purchase" in page


def test_a_skipped_task_is_one_plain_sentence(arguments: dict[str, Any], catalog: Catalog) -> None:
    sentence = {"en": "There are no orders.", "ja": "注文のデータがありません。"}
    arguments["summary"]["tasks"]["repeat_purchase"] = {"skipped": sentence}
    for part in ("evaluation", "explanation", "segments"):
        del arguments[part]["repeat_purchase"]
    facts = brief(build_facts(**arguments))
    assert facts["tasks"]["repeat_purchase"] == {"skipped": sentence, "event": "repeat_purchase"}
    for language, said in sentence.items():
        page = render(facts, language, catalog)
        assert said in page
        assert "artifacts/evaluation/repeat_purchase" not in page


def test_every_task_may_be_skipped(arguments: dict[str, Any], catalog: Catalog) -> None:
    skipped = {"en": "No data.", "ja": "データがありません。"}
    for task in ("churn", "repeat_purchase"):
        arguments["summary"]["tasks"][task] = {"skipped": skipped}
    assert "データがありません。" in render(build_facts(**arguments), "ja", catalog)


def test_a_factor_is_named_only_if_model_and_observation_agree(arguments: dict[str, Any]) -> None:
    arguments["effects"] = None
    for task in ("churn", "repeat_purchase"):
        dependence = arguments["explanation"][task]["dependence"]
        dependence["observed_low"], dependence["observed_high"] = 0.0, 1.0
    assert ("no_factor", "churn") in findings(arguments)


def test_the_contrast_starts_with_the_less_welcome_end(facts: dict[str, Any]) -> None:
    contrast = facts["tasks"]["churn"]["explained"]["contrasts"][0]
    assert contrast["feature"] == "first_response_hours_typical_90d"
    assert (contrast["first"]["value"], contrast["second"]["value"]) == (38.0, 0.2)


def test_a_factor_against_expectation_is_marked(pages: dict[str, str]) -> None:
    assert '<span class="agrees no">against expectation</span>' in pages["en"]
    assert '<span class="agrees no">想定と逆</span>' in pages["ja"]


def test_a_finding_has_one_interval_and_one_period_per_sentence(pages: dict[str, str]) -> None:
    text = re.sub("<[^>]+>", "", pages["en"])
    assert (
        "Solved in one contact, against not: of 100 tickets, 9.1 fewer customers are lost to churn"
        " within 90 days (95% interval 8.3 to 9.9 fewer; 14,200 tickets)." in text
    )
    japanese = re.sub("<[^>]+>", "", pages["ja"])
    assert "90日以内の解約が9.1人少なくなります（95%信頼区間 8.3〜9.9人減" in japanese


def test_what_support_factors_add_is_said_as_it_is(pages: dict[str, str]) -> None:
    """0.0031 (0.0020 to 0.0042) for churn; -0.0002 (-0.0011 to 0.0007) for repeat purchase."""
    text = re.sub("<[^>]+>", "", pages["en"])
    assert "Churn: knowing about support makes the prediction better." in text
    assert "Repeat purchase: knowing about support makes the prediction neither measurably" in text
    assert "Records of support do not measurably improve this prediction" in text


@pytest.mark.parametrize("missing", ["kpis", "claims", "effects", "scores"])
def test_what_a_run_does_not_have_is_said_in_one_line(
    arguments: dict[str, Any], catalog: Catalog, missing: str
) -> None:
    arguments[missing] = None
    facts = brief(build_facts(**arguments))
    said = {
        "kpis": "サポート指標がありません",
        "claims": "今回は検証していません",
        "effects": "今回は推定していません",
        "scores": "使えるリストはありません",
    }[missing]
    assert said in render(facts, "ja", catalog)


def test_effects_that_were_skipped_give_the_reason(
    arguments: dict[str, Any], catalog: Catalog
) -> None:
    reason = {"en": "There are no tickets.", "ja": "問い合わせがありません。"}
    arguments["effects"] = {"summary": {"skipped": reason}, "table": pd.DataFrame()}
    assert "問い合わせがありません。" in render(brief(build_facts(**arguments)), "ja", catalog)


def test_the_same_facts_give_the_same_bytes(arguments: dict[str, Any], catalog: Catalog) -> None:
    first, second = (
        render(brief(build_facts(**copy.deepcopy(arguments))), "ja", catalog) for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_page_is_one_sound_self_contained_file(pages: dict[str, str], language: str) -> None:
    page = pages[language]
    outline = Outline(page)
    assert f'<html lang="{language}">' in page
    assert len(page.encode()) < 3_000_000
    assert not {"link", "img", "iframe", "object"} & set(outline.tags)
    assert outline.tags.count("script") == 1 and "script-src 'sha256-" in page
    addresses = {value for name, value in outline.attributes if name in ("href", "src")}
    assert all(str(address).startswith("#") for address in addresses)
    levels = [int(tag[1]) for tag in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert {"header", "main", "nav", "footer"} <= set(outline.tags)
    counts = [outline.tags.count(tag) for tag in ("figure", "figcaption", "svg")]
    assert len(set(counts)) == 1 and counts[0] > 20
    assert outline.tags.count("table") == outline.tags.count("caption")
    identifiers = [value for name, value in outline.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))


def test_text_from_data_is_harmless(arguments: dict[str, Any], catalog: Catalog) -> None:
    segments = arguments["segments"]["churn"]
    segments.loc[0, ["dimension", "value"]] = ATTACK, ATTACK
    segments.loc[1, ["dimension", "value"]] = ATTACK, "w" * 10_000
    contract = arguments["contract"]
    contract["source"] = contract["description"]["en"] = ATTACK
    contract["tables"][ATTACK] = {**contract["tables"]["tickets"], "reasons": {ATTACK: 3}}
    contract["absent"] = [ATTACK]
    contract["warnings"] = [{"table": ATTACK, "message": ATTACK}]
    del arguments["about"]["company"]
    arguments["about"][ATTACK] = ATTACK
    arguments["summary"]["tasks"]["churn"]["ineligible"] = {ATTACK: 1}
    arguments["summary"]["tasks"]["repeat_purchase"] = {"skipped": {"en": ATTACK, "ja": ATTACK}}
    kpis = arguments["kpis"]["table"]
    kpis["value_of"] = kpis["value_of"].replace(
        {"mail": ATTACK, "phone": "=1+1", "chat": "w" * 10_000}
    )
    arguments["kpis"]["summary"]["absent"][0]["en"] = ATTACK
    arguments["claims"][0] |= {"claim": ATTACK, "caveats": [ATTACK]}
    effects = arguments["effects"]["table"]
    effects.loc[0, ["lever", "outcome", "reasons"]] = ATTACK
    slices = arguments["evaluation"]["churn"]["slices"]
    slices.loc[1, ["dimension", "value"]] = ATTACK
    page = render(brief(build_facts(**arguments)), "en", catalog)
    outline = Outline(page)
    assert outline.tags.count("script") == 1 and "img" not in outline.tags
    assert not [name for name, _ in outline.attributes if name.startswith("on")]
    assert "\u202e" not in page
    assert "w" * 1100 not in page
    assert "&lt;script&gt;" in page


def test_small_groups_are_counted_but_not_shown(pages: dict[str, str]) -> None:
    assert "Korean" in pages["en"] and "Chinese" not in pages["en"]
    assert "Groups with fewer than 30 customers are not shown." in pages["en"]


def test_a_finding_needs_a_unit_a_reader_can_picture(
    arguments: dict[str, Any], catalog: Catalog
) -> None:
    name = "first_response_hours_typical_90d"
    known: Any = catalog.features[name]
    vague = replace(known, unit="level")
    arguments["catalog"] = Catalog({**catalog.features, name: vague}, catalog.families)
    contrast = build_facts(**arguments)["tasks"]["churn"]["explained"]["contrasts"][0]
    assert contrast["feature"] == "first_contact_resolution_share_90d"


def test_missing_metrics_do_not_break_the_page(arguments: dict[str, Any], catalog: Catalog) -> None:
    metrics = arguments["evaluation"]["churn"]["metrics"]
    nothing = {"value": None, "low": None, "high": None}
    for name in ("calibration_slope", "auc", "lift_top_decile"):
        metrics["model"][name] = nothing
    arguments["evaluation"]["churn"]["by_as_of"][["auc", "auc_low", "auc_high"]] = float("nan")
    arguments["explanation"]["churn"]["features"]["direction_low"] = float("nan")
    facts = brief(build_facts(**arguments))
    assert facts["findings"][0]["kind"] == "no_signal"
    assert "–" in render(facts, "ja", catalog)
