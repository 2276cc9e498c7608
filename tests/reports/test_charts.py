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


def bars(label: str, **more: Any) -> str:
    rows = [{"row": 0, "label": label, "value": 0.1, "shown": "0.10", **more}]
    return charts.intervals(
        [charts.Group("群", rows)], as_bars=True, tick=str, x_title="寄与", description="棒グラフ"
    )


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_name_stays_text(attack: str) -> None:
    rows = [{"row": 0, "label": attack, "value": 0.1, "shown": attack, "tag": attack}]
    svg = charts.intervals(
        [charts.Group(attack, rows)], as_bars=True, tick=str, x_title=attack, description=attack
    )
    elements = {element.tag for element in ElementTree.fromstring(svg).iter()}
    assert elements <= {f"{SVG}{tag}" for tag in ("svg", "g", "polyline", "line", "rect", "text")}
    attributes = {name for e in ElementTree.fromstring(svg).iter() for name in e.attrib}
    assert not any(name.lower().startswith("on") or "href" in name for name in attributes)
    assert all(len(text) <= 200 and "\u202e" not in text for text in texts_of(svg))


def test_a_drawing_has_one_accessible_name_and_its_texts_in_any_language() -> None:
    svg = bars("応答の速さ", low=0.08, high=0.12)
    assert {"応答の速さ", "群", "寄与"} <= set(texts_of(svg))
    assert ElementTree.fromstring(svg).get("aria-label") == "棒グラフ"


def test_a_long_name_is_cut_where_the_chart_ends() -> None:
    shown = next(
        text for text in texts_of(bars("とても長い名前" * 20)) if text.startswith("とても")
    )
    assert shown.endswith("…") and charts.width_of(shown) <= charts.WIDTH


def test_the_same_rows_give_the_same_bytes() -> None:
    assert bars("a") == bars("a")


def test_a_mark_belongs_to_a_row_of_the_table() -> None:
    groups = list(ElementTree.fromstring(bars("a")).iter(f"{SVG}g"))
    assert [group.get("data-row") for group in groups] == ["0"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (-10, 7, [-10, -5, 0, 5]), (0, 0, [0]),
     (0.02, 0.09, [0.02, 0.04, 0.06, 0.08])],
)  # fmt: skip
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert charts.steps(low, high) == pytest.approx(expected)


def test_what_is_known_to_what_degree_shows_without_colour() -> None:
    """A filled point, a ring and a cross; colour alone says nothing."""
    drawn = {
        shape: charts.intervals(
            [charts.Group("", [{"row": 0, "label": "a", "value": -1.0, "low": -2.0, "high": 0.5,
                                "shape": shape}])],
            as_bars=False, tick=str, x_title="x", description="d", ends=("fewer", "more"),
        )
        for shape in ("dot", "ring", "cross")
    }  # fmt: skip
    assert 'fill="#fff"' in drawn["ring"] and 'fill="#fff"' not in drawn["dot"]
    assert "circle" in drawn["dot"] and "circle" not in drawn["cross"]


def test_a_month_without_a_value_interrupts_the_line() -> None:
    rows = [
        {"row": n, "label": f"m{n}", "value": value, "low": None, "high": None}
        for n, value in enumerate([1.0, 2.0, None, 3.0, 4.0])
    ]
    svg = charts.over_time(rows, limits=(0.0, 5.0), tick=str, description="d", lines=[4.5])
    root = ElementTree.fromstring(svg)
    assert len(list(root.iter(f"{SVG}polyline"))) == 2
    assert len(list(root.iter(f"{SVG}g"))) == 4


def curve(rows: list[dict[str, Any]]) -> list[str]:
    limits = {"model": (-0.5, 0.5), "observed": (0.0, 0.2)}
    text = {"model": "m", "observed": "o", "n": "n"}
    ticks = dict.fromkeys(text, str)
    numbered = [{**row, "row": number} for number, row in enumerate(rows)]
    return texts_of(
        charts.dependence(
            numbered, is_risk=True, limits=limits, ticks=ticks, text=text, description="d"
        )
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
