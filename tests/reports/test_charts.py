"""Charts are harmless, readable SVG whatever the data say."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from reports import charts

SVG = "{http://www.w3.org/2000/svg}"
ATTACKS = [
    "<script>alert(1)</script>",
    "</svg><script>alert(1)</script>",
    '" onload="alert(1)',
    "'-alert(1)-'",
    "{{7*7}}",
    "${alert(1)}",
    "]]><img src=x onerror=alert(1)>",
    "\u202egnp.exe",
    "x" * 10_000,
    "👩‍💻🛒",
    "名前\x00\x1b",
]


def texts_of(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_name_stays_text(attack: str) -> None:
    rows = [{"label": attack, "value": 0.1, "shown": attack}]
    svg = charts.bars([(attack, True, rows)], x_title=attack, description=attack)
    elements = {element.tag for element in ElementTree.fromstring(svg).iter()}
    assert elements <= {f"{SVG}{tag}" for tag in ("svg", "g", "path", "line", "rect", "text")}
    attributes = {name for e in ElementTree.fromstring(svg).iter() for name in e.attrib}
    assert not any(name.lower().startswith("on") or "href" in name for name in attributes)
    assert all(len(text) <= 200 and "\u202e" not in text for text in texts_of(svg))


def test_japanese_is_text_in_the_readers_fonts() -> None:
    rows = [{"label": "応答の速さ", "value": 0.1, "low": 0.08, "high": 0.12, "shown": "0.10"}]
    svg = charts.bars([("サポート要素", True, rows)], x_title="寄与", description="棒グラフ")
    assert {"応答の速さ", "サポート要素", "寄与"} <= set(texts_of(svg))
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == "棒グラフ"
    assert "Noto Sans CJK JP" in str(root.get("font-family"))


def test_the_same_rows_give_the_same_bytes() -> None:
    rows = [{"label": "a", "value": 0.1, "shown": "0.10"}]
    first, second = (
        charts.bars([("g", False, rows)], x_title="x", description="d") for _ in range(2)
    )
    assert first == second


def test_charts_share_no_identifiers() -> None:
    """Identifiers of two charts on one page would clash."""
    rows = [
        {"share_contacted": 0.1, "share_found": 0.3},
        {"share_contacted": 1.0, "share_found": 1.0},
    ]
    svg = charts.gains(
        rows, capacity=0.1, text={"x": "x", "y": "y", "capacity": "c"}, description="d"
    )
    assert " id=" not in svg and "url(" not in svg


def curve(rows: list[dict[str, Any]]) -> list[str]:
    limits = {"model": (-0.5, 0.5), "observed": (0.0, 0.2)}
    text = {"model": "m", "observed": "o", "n": "n"}
    return texts_of(
        charts.dependence(rows, is_risk=True, limits=limits, text=text, description="d")
    )


def point(value: float | None, shown: str) -> dict[str, Any]:
    measured = {"shap": 0.1, "shap_low": 0.0, "shap_high": 0.2}
    seen = {"observed_rate": 0.1, "observed_low": 0.08, "observed_high": 0.12}
    return {"value": value, "shown": shown, "n": 500, **measured, **seen}


def test_a_dose_response_names_its_values_and_the_customers_without_one() -> None:
    labels = curve([point(None, "none"), point(0.5, "30 min"), point(9.0, "9 h")])
    assert {"none", "30 min", "9 h"} <= set(labels)


def test_close_values_do_not_write_over_each_other() -> None:
    labels = curve(
        [point(1.0, "1,000 points"), point(1.01, "1,010 points"), point(9.0, "9,000 points")]
    )
    assert "1,000 points" in labels and "9,000 points" in labels and "1,010 points" not in labels


def test_a_bin_without_outcomes_is_no_error() -> None:
    unknown = {
        **point(2.0, "2"),
        "observed_rate": None,
        "observed_low": None,
        "observed_high": None,
    }
    assert "2" in curve([point(1.0, "1"), unknown])


def test_a_feature_with_one_value_is_no_error() -> None:
    assert "0" in curve([point(0.0, "0")])
