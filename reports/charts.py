"""Charts as SVG text. Each function is pure: rows and wording in, one `<svg>` out.

Vega never sees a network address (data are inline), text is emitted as `<text>` in the reader's
own fonts, and every chart reads in grey: meaning is carried by position, shape and outline.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import altair as alt
import vl_convert

from reports.wording import clean

FONTS = (
    "system-ui, -apple-system, 'Segoe UI', 'Noto Sans CJK JP', 'Noto Sans JP', 'Hiragino Sans', "
    "'Yu Gothic', Meiryo, sans-serif"
)
INK, MUTED, GRID = "#1f2933", "#52606d", "#d5dce3"
SUPPORT, CONTEXT, ACCENT = "#0b5d6b", "#7b8794", "#a3420b"
WIDTH = 400
PANEL = 370
EXTENT = {"minExtent": 46, "maxExtent": 46}
SVG = "http://www.w3.org/2000/svg"
# Presentation-only noise of Vega's renderer; the figure carries the chart's one accessible name.
NOISE = re.compile("class|role|pointer-events|aria-.*|version|font-family")
INVISIBLE = ("", "M0,0h0v0h0Z")
LONG_NUMBER = re.compile(r"(\d+\.\d\d)\d+")

PANELS = {
    "model": ("shap", "shap_low", "shap_high"),
    "observed": ("observed_rate", "observed_low", "observed_high"),
}

Row = Mapping[str, Any]


def _svg(chart: alt.TopLevelMixin, description: str) -> str:
    """Vega-Lite -> SVG that scales with its container and has `description` as its name."""
    ElementTree.register_namespace("", SVG)
    configured = chart.configure(
        font="sans-serif",
        background="transparent",
        padding=4,
        view={"stroke": None},
        axis={
            "labelColor": MUTED,
            "labelFontSize": 13,
            "titleColor": INK,
            "titleFontSize": 13,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "gridColor": GRID,
            "domainColor": MUTED,
            "tickColor": MUTED,
        },
        title={"fontSize": 14, "color": INK, "anchor": "start", "fontWeight": "bold"},
        concat={"spacing": 14},
    )
    specification = _cleaned(configured.to_dict(validate=False))
    root = ElementTree.fromstring(vl_convert.vegalite_to_svg(specification))
    _lighten(root)
    root.set("role", "img")
    root.set("aria-label", clean(description, 1000))
    root.set("font-family", FONTS)
    return ElementTree.tostring(root, encoding="unicode")


def _lighten(root: ElementTree.Element) -> None:
    """Remove what Vega writes but nobody sees: about two fifths of the bytes."""
    for element in root.iter():
        for child in [c for c in element if c.get("d") in INVISIBLE or c.get("display") == "none"]:
            element.remove(child)
        for name, value in list(element.attrib.items()):
            if NOISE.fullmatch(name) or (name == "opacity" and value == "1"):
                del element.attrib[name]
            else:
                element.set(name, LONG_NUMBER.sub(r"\1", value))


def _cleaned(node: Any) -> Any:
    """The specification with every text cleaned: a NUL in one would abort the process."""
    if isinstance(node, dict):
        return {key: _cleaned(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_cleaned(value) for value in node]
    return clean(node) if isinstance(node, str) else node


def _data(rows: Sequence[Row]) -> alt.Data:
    return alt.Data(values=[dict(row) for row in rows])


def _axis(title: str | None, **options: Any) -> alt.Axis:
    return alt.Axis(title=title, **options)


def bars(
    groups: Sequence[tuple[str, bool, Sequence[Row]]],
    *,
    x_title: str,
    description: str,
    x_format: str = ".2f",
) -> str:
    """Groups of horizontal bars on one scale, names above the bars.

    `groups` are (title, filled, rows); a row has `label`, `value`, `shown` (the value as text)
    and optionally `low` and `high`. Bars of a group that is not filled are outlined in grey.
    """
    every = [row for _, _, rows in groups for row in rows]
    top = max((row.get("high") or row["value"] or 0 for row in every), default=0) or 1
    scale = alt.Scale(domain=[0, top * 1.16], nice=False)
    panels = []
    for position, (title, filled, rows) in enumerate(groups):
        is_last = position == len(groups) - 1
        values = [{"low": None, "high": None, **row, "row": i} for i, row in enumerate(rows)]
        for value in values:
            value["edge"] = value["high"] if value["high"] is not None else value["value"]
        axis = _axis(
            x_title if is_last else None,
            format=x_format,
            tickCount=5,
            labels=is_last,
            ticks=is_last,
            domain=False,
        )
        base = alt.Chart().encode(y=alt.Y("row:O", axis=None))
        bar = base.mark_bar(
            size=11,
            yOffset=8,
            color=SUPPORT if filled else "#eef1f4",
            stroke=SUPPORT if filled else CONTEXT,
        ).encode(x=alt.X("value:Q", scale=scale, axis=axis))
        ink = INK if filled else MUTED
        error = base.mark_rule(color=INK, strokeWidth=1.5, yOffset=8)
        cap = base.mark_tick(color=INK, size=8, thickness=1.5, yOffset=8)
        panels.append(
            alt.layer(
                bar,
                error.encode(x=alt.X("low:Q", scale=scale), x2="high:Q"),
                cap.encode(x=alt.X("low:Q", scale=scale)),
                cap.encode(x=alt.X("high:Q", scale=scale)),
                base.mark_text(align="left", dy=-8, fontSize=14, limit=WIDTH, color=ink).encode(
                    x=alt.value(0), text="label:N"
                ),
                base.mark_text(align="left", dx=5, dy=8.5, fontSize=13, color=MUTED).encode(
                    x=alt.X("edge:Q", scale=scale), text="shown:N"
                ),
                data=_data(values),
            ).properties(width=WIDTH, height=alt.Step(34), **({"title": title} if title else {}))
        )
    return _svg(alt.vconcat(*panels), description)


def reliability(rows: Sequence[Row], *, text: Mapping[str, str], description: str) -> str:
    """Predicted against observed share per bin (`predicted`, `observed`, `low`, `high`)."""
    top = max(max(row["predicted"], row["high"] or row["observed"]) for row in rows) * 1.05
    scale = alt.Scale(domain=[0, min(1.0, top)], nice=False)
    x = alt.X("predicted:Q", scale=scale, axis=_axis(text["x"], format="%", tickCount=5))
    y: dict[str, Any] = {"scale": scale, "axis": _axis(text["y"], format="%", tickCount=5)}
    base = alt.Chart().encode(x=x)
    ideal = alt.Chart(alt.Data(values=[{"at": 0}, {"at": min(1.0, top)}]))
    return _svg(
        alt.layer(
            ideal.mark_line(color=MUTED, strokeDash=[5, 4], strokeWidth=1.2).encode(
                x=alt.X("at:Q", scale=scale), y=alt.Y("at:Q", scale=scale)
            ),
            base.mark_rule(color=SUPPORT, strokeWidth=1.5).encode(
                y=alt.Y("low:Q", **y), y2="high:Q"
            ),
            base.mark_line(color=SUPPORT, strokeWidth=1.2).encode(y=alt.Y("observed:Q", **y)),
            base.mark_point(color=SUPPORT, filled=True, size=48, opacity=1).encode(
                y=alt.Y("observed:Q", **y)
            ),
            data=_data(rows),
        ).properties(width=WIDTH, height=280),
        description,
    )


def gains(
    rows: Sequence[Row], *, capacity: float, text: Mapping[str, str], description: str
) -> str:
    """Share found against share contacted, chance as dashes, the team's capacity as a rule."""
    values = [{"share_contacted": 0.0, "share_found": 0.0}, *rows]
    full = alt.Scale(domain=[0, 1])
    x: dict[str, Any] = {"scale": full, "axis": _axis(text["x"], format="%", tickCount=5)}
    y = alt.Y("share_found:Q", scale=full, axis=_axis(text["y"], format="%", tickCount=5))
    chance = [{"share_contacted": at, "share_found": at} for at in (0, 1)]
    mark = alt.Chart(_data([{"share_contacted": capacity, "label": text["capacity"]}]))
    return _svg(
        alt.layer(
            alt.Chart(alt.Data(values=chance))
            .mark_line(color=MUTED, strokeDash=[5, 4], strokeWidth=1.2)
            .encode(x=alt.X("share_contacted:Q", **x), y=y),
            alt.Chart(_data(values))
            .mark_line(color=SUPPORT, strokeWidth=2.5)
            .encode(x=alt.X("share_contacted:Q", **x), y=y),
            mark.mark_rule(color=ACCENT, strokeWidth=1.5).encode(x=alt.X("share_contacted:Q", **x)),
            mark.mark_text(align="left", dx=5, color=ACCENT, fontSize=13).encode(
                x=alt.X("share_contacted:Q", **x), y=alt.value(8), text="label:N"
            ),
        ).properties(width=WIDTH, height=280),
        description,
    )


def stability(rows: Sequence[Row], *, text: Mapping[str, str], description: str) -> str:
    """AUC with interval per as-of date (`label`, `auc`, `auc_low`, `auc_high`), 0.5 as dashes."""
    known = [row[key] for row in rows for key in ("auc_low", "auc_high", "auc") if row[key]]
    low, high = min(0.45, *known), min(1.0, max(0.6, *known) + 0.02)
    x = alt.X("label:O", sort=None, axis=_axis(text["x"], labelAngle=0, labelOverlap=True))
    y: dict[str, Any] = {
        "scale": alt.Scale(domain=[low, high], nice=False, zero=False),
        "axis": _axis(text["y"], format=".2f", tickCount=5),
    }
    base = alt.Chart().encode(x=x)
    chance = alt.Chart(alt.Data(values=[{"auc": 0.5}]))
    return _svg(
        alt.layer(
            chance.mark_rule(color=MUTED, strokeDash=[5, 4]).encode(y=alt.Y("auc:Q", **y)),
            base.mark_rule(color=SUPPORT, strokeWidth=1.5).encode(
                y=alt.Y("auc_low:Q", **y), y2="auc_high:Q"
            ),
            base.mark_point(color=SUPPORT, filled=True, size=60, opacity=1).encode(
                y=alt.Y("auc:Q", **y)
            ),
            data=_data(rows),
        ).properties(width=WIDTH, height=200),
        description,
    )


def _spread(values: Sequence[float]) -> list[float]:
    """Values as positions: on a log scale from 0 where one bin dwarfs the middle one."""
    ordered = sorted(abs(value) for value in values)
    middle = ordered[len(ordered) // 2]
    if min(values) < 0 or ordered[-1] <= 5 * middle or middle == 0:
        return [float(value) for value in values]
    unit = max(ordered[len(ordered) // 4], ordered[-1] / 1000)
    return [math.log1p(value / unit) for value in values]


def _width(label: str) -> float:
    """Pixels a chart label may need; full-width characters are twice as wide."""
    return sum(13.0 if ord(char) > 0x2E7F else 7.5 for char in label)


def dependence(
    rows: Sequence[Row],
    *,
    is_risk: bool,
    limits: Mapping[str, tuple[float, float]],
    text: Mapping[str, str],
    description: str,
) -> str:
    """Dose-response of one feature: model, observed share and number of customers per bin.

    A row has `value` (None = nothing recorded), `shown` (the value as text), `n`, `shap`,
    `shap_low`, `shap_high` (log-odds) and `observed_rate`, `observed_low`, `observed_high`.
    `is_risk` draws the curves in the colour of risk; `limits` are the axes of "model" and
    "observed", the same for all charts that are compared.
    """
    known = sorted((row for row in rows if row["value"] is not None), key=lambda r: r["value"])
    absent = [row for row in rows if row["value"] is None]
    at = _spread([row["value"] for row in known]) if known else [0.0]
    span = (at[-1] - at[0]) or 1.0
    left = at[0] - (0.32 if absent else 0.05) * span
    right = at[-1] + 0.05 * span
    values = [{**row, "x": x, "part": "known"} for row, x in zip(known, at, strict=False)]
    values += [{**row, "x": at[0] - 0.23 * span, "part": "absent"} for row in absent]
    ticks: list[tuple[float, str]] = []
    for value in sorted(values, key=lambda v: v["x"]):
        label = str(value["shown"])
        room = (_width(label) + _width(ticks[-1][1])) / 2 + 8 if ticks else 0.0
        if not ticks or (value["x"] - ticks[-1][0]) * PANEL / (right - left) >= room:
            ticks.append((value["x"], label))
    color = ACCENT if is_risk else SUPPORT
    scale = alt.Scale(domain=[left, right], nice=False, zero=False, padding=0)

    grid = _axis(None, labels=False, ticks=False, values=[tick for tick, _ in ticks])

    def curve(panel: str, height: int, label_format: str) -> Any:
        name, low, high = PANELS[panel]
        y: dict[str, Any] = {
            "axis": _axis(text[panel], tickCount=4, format=label_format, **EXTENT),
            "scale": alt.Scale(domain=list(limits[panel]), nice=False),
        }
        base = alt.Chart().encode(x=alt.X("x:Q", scale=scale, axis=grid))
        line = base.transform_filter("datum.part == 'known'")
        layers = [
            base.mark_rule(color=color, strokeWidth=1.5).encode(
                y=alt.Y(f"{low}:Q", **y), y2=f"{high}:Q"
            ),
            line.mark_line(color=color, strokeWidth=1.5).encode(y=alt.Y(f"{name}:Q", **y)),
            base.mark_point(filled=True, size=46, opacity=1, color=color).encode(
                y=alt.Y(f"{name}:Q", **y),
                shape=alt.Shape(
                    "part:N",
                    scale=alt.Scale(domain=["known", "absent"], range=["circle", "diamond"]),
                    legend=None,
                ),
            ),
        ]
        if panel == "model":
            zero = alt.Chart(alt.Data(values=[{"shap": 0}]))
            layers.insert(
                0, zero.mark_rule(color=MUTED, strokeDash=[5, 4]).encode(y=alt.Y("shap:Q", **y))
            )
        return alt.layer(*layers, data=_data(values)).properties(width=PANEL, height=height)

    counts = alt.Chart(_data(values)).encode(x=alt.X("x:Q", scale=scale, axis=None))
    count_axis = _axis(text["n"], tickCount=2, format="~s", **EXTENT)
    labels = alt.Chart(_data([{"x": x, "label": label} for x, label in ticks]))
    return _svg(
        alt.vconcat(
            curve("model", 140, "+.2~f"),
            curve("observed", 100, "%"),
            alt.layer(
                counts.mark_bar(size=10, color="#c3ccd5", stroke=MUTED).encode(
                    y=alt.Y("n:Q", axis=count_axis)
                ),
                labels.mark_text(fontSize=13, color=MUTED, baseline="top", dy=6).encode(
                    x=alt.X("x:Q", scale=scale), y=alt.value(42), text="label:N"
                ),
            ).properties(width=PANEL, height=42),
            spacing=12,
        ),
        description,
    )
