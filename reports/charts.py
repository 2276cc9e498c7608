"""Charts as SVG text. Each function is pure: rows and wording in, one `<svg>` out.

Nothing is fetched, text is `<text>` in the reader's own fonts, and every chart reads in grey:
meaning is carried by position, shape and outline. A mark of row i is a group with `data-row="i"`:
row i of the table under the chart holds its figures, and is what a tooltip shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape

from reports.wording import clean

INK, MUTED, GRID = "#1f2933", "#52606d", "#d5dce3"
SUPPORT, PALE, ACCENT = "#0b5d6b", "#eef1f4", "#a3420b"
WIDTH = 360
LEFT, RIGHT = 44, 10
LABEL_LIMIT = 44

Row = Mapping[str, Any]
Shown = Callable[[float], str]


class Drawing:
    """An SVG being drawn. Coordinates are pixels of a drawing `WIDTH` wide."""

    def __init__(self, width: float = WIDTH) -> None:
        self.width = width
        self.parts: list[str] = []

    def _add(self, tag: str, attributes: Mapping[str, Any], text: str | None = None) -> None:
        named = "".join(
            f' {name.rstrip("_").replace("_", "-")}="{escape(_coordinate(value))}"'
            for name, value in attributes.items()
            if value is not None
        )
        end = "/>" if text is None else f">{escape(text)}</{tag}>"
        self.parts.append(f"<{tag}{named}{end}")

    def line(self, x1: float, y1: float, x2: float, y2: float, **style: Any) -> None:
        self._add("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "stroke": INK, **style})

    def rect(self, x: float, y: float, width: float, height: float, **style: Any) -> None:
        size = {"width": max(width, 0), "height": max(height, 0)}
        self._add("rect", {"x": x, "y": y, **size, **style})

    def path(self, points: Sequence[tuple[float, float]], **style: Any) -> None:
        steps = " ".join(f"{_coordinate(x)},{_coordinate(y)}" for x, y in points)
        self._add("polyline", {"points": steps, "fill": "none", "stroke": SUPPORT, **style})

    def text(self, x: float, y: float, text: object, **style: Any) -> None:
        self._add("text", {"x": x, "y": y, **style}, clean(text))

    def symbol(self, shape: str, x: float, y: float, color: str) -> None:
        """A point: "dot", "ring", "diamond" or "cross"; told apart without colour."""
        if shape == "diamond":
            corners = [(x, y - 5), (x + 5, y), (x, y + 5), (x - 5, y)]
            steps = " ".join(f"{_coordinate(a)},{_coordinate(b)}" for a, b in corners)
            self._add("polygon", {"points": steps, "fill": color})
        elif shape == "cross":
            self.line(x - 4, y - 4, x + 4, y + 4, stroke=color, stroke_width=2)
            self.line(x - 4, y + 4, x + 4, y - 4, stroke=color, stroke_width=2)
        else:
            fill = "#fff" if shape == "ring" else color
            self._add("circle", {"cx": x, "cy": y, "r": 4, "fill": fill, "stroke": color,
                                 "stroke_width": 1.8})  # fmt: skip

    @contextmanager
    def mark(
        self, row: int, hit: tuple[float, float, float, float], column: int | None = None
    ) -> Iterator[None]:
        """What is drawn inside belongs to `row` of the table, or to the one cell at `column`.

        `hit` (x, y, width, height) feels the pointer.
        """
        one = "" if column is None else f' data-column="{column}"'
        self.parts.append(f'<g data-row="{row}"{one}>')
        self.rect(*hit, class_="hit")
        yield
        self.parts.append("</g>")

    def done(self, height: float, description: str) -> str:
        name = escape(clean(description, 1000))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {height:.0f}"'
            f' role="img" aria-label="{name}">{"".join(self.parts)}</svg>'
        )


def _coordinate(value: Any) -> Any:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


def steps(low: float, high: float, count: int = 5) -> list[float]:
    """Round values within `[low, high]`, about `count` of them, 1, 2 or 5 times a power of 10."""
    raw = (high - low) / max(count, 1)
    if not raw > 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * by for by in (1, 2, 5, 10) if power * by >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


@dataclass(frozen=True)
class Scale:
    """Values in `[low, high]` to pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + share * (self.end - self.start)


def width_of(label: str) -> float:
    """Pixels a chart label may need; full-width characters are twice as wide."""
    return sum(12.5 if ord(char) > 0x2E7F else 6.8 for char in label)


def shorten(label: object, room: float) -> str:
    """A label cut to `room` pixels, with an ellipsis where something is missing."""
    text = clean(label)
    if width_of(text) <= room:
        return text
    while text and width_of(text) > room - 12:
        text = text[:-1]
    return text + "…"


@dataclass(frozen=True)
class Group:
    """Rows under a heading. Rows of a group that is not `filled` are outlined in grey."""

    title: str
    rows: Sequence[Row]
    filled: bool = True


def intervals(
    groups: Sequence[Group],
    *,
    as_bars: bool,
    tick: Shown,
    x_title: str,
    description: str,
    ends: tuple[str, str] | None = None,
) -> str:
    """Values with intervals on one scale that contains zero, names above them.

    A row has `label`, `value`, `shown` (the value as text) and `row` (of the table below), and
    optionally `low`, `high`, `shape` (see `Drawing.symbol`) and `tag`, a short note at the right.
    Bars start at zero; otherwise each value is a point. `ends` name the left and right of zero.
    """
    every = [row for group in groups for row in group.rows]
    numbers = [0.0]
    for row in every:
        numbers += [v for k in ("value", "low", "high") if (v := row.get(k)) is not None]
    low, high = min(numbers), max(numbers)
    air = 0.04 * ((high - low) or 1.0)
    room = 46 if as_bars else 12
    x = Scale(low - (air if low < 0 else 0), high + air, 6, WIDTH - room)
    draw, y = Drawing(), 4.0
    ticks = steps(x.low, x.high)
    height = sum(20 * bool(group.title) + 34 * len(group.rows) for group in groups) + 6
    for at in ticks:
        draw.line(x(at), 4, x(at), height, stroke=GRID)
    if low < 0:
        draw.line(x(0), 4, x(0), height, stroke=MUTED, stroke_dasharray="5 4")
    for group in groups:
        if group.title:
            draw.text(2, y + 13, group.title, font_weight=700)
            y += 20
        for row in group.rows:
            with draw.mark(row["row"], (0, y, WIDTH, 34)):
                _interval_row(draw, x, y, row, as_bars, group.filled)
            y += 34
    y += 14
    for at in ticks:
        draw.text(x(at), y, tick(at), class_="tick", text_anchor="middle")
    y += 18
    if ends:
        draw.text(2, y, f"← {ends[0]}", fill=MUTED)
        draw.text(WIDTH - 2, y, f"{ends[1]} →", text_anchor="end", fill=MUTED)
        y += 17
    draw.text(WIDTH / 2, y, x_title, text_anchor="middle")
    return draw.done(y + 8, description)


def _interval_row(draw: Drawing, x: Scale, y: float, row: Row, as_bars: bool, filled: bool) -> None:
    tag = clean(row.get("tag") or "")
    room = WIDTH - 10 - (width_of(tag) + 10 if tag else 0)
    draw.text(2, y + 12, shorten(row["label"], room), fill=INK if filled else MUTED)
    if tag:
        draw.text(WIDTH - 2, y + 12, tag, text_anchor="end", fill=MUTED, font_size=11)
    value, low, high = row["value"], row.get("low"), row.get("high")
    if value is None:
        return
    middle = y + 23
    if as_bars:
        start, end = sorted((x(0), x(value)))
        fill = SUPPORT if filled else PALE
        draw.rect(
            start, middle - 5, end - start, 10, fill=fill, stroke=SUPPORT if filled else MUTED
        )
    if low is not None and high is not None:
        draw.line(x(low), middle, x(high), middle, stroke_width=1.6)
        for edge in (low, high):
            draw.line(x(edge), middle - 4, x(edge), middle + 4, stroke_width=1.6)
    if as_bars:
        edge = x(max(value, high if high is not None else value))
        draw.text(edge + 5, middle + 4, row["shown"], fill=MUTED)
    else:
        draw.symbol(row.get("shape", "dot"), x(value), middle, SUPPORT if filled else MUTED)


@dataclass(frozen=True)
class Axis:
    """One axis: its range, how values are written, its title and the number of ticks."""

    low: float
    high: float
    shown: Shown
    title: str = ""
    count: int = 5


@dataclass
class Panel:
    """A rectangle with axes. `top` and `bottom` are pixels; x positions are shared by panels."""

    draw: Drawing
    x: Scale
    top: float
    bottom: float
    y_axis: Axis
    y: Scale = field(init=False)

    def __post_init__(self) -> None:
        axis = self.y_axis
        self.y = Scale(axis.low, axis.high, self.bottom, self.top)
        for at in steps(axis.low, axis.high, axis.count):
            self.draw.line(self.x.start, self.y(at), self.x.end, self.y(at), stroke=GRID)
            self.draw.text(
                self.x.start - 5, self.y(at) + 4, axis.shown(at), class_="tick", text_anchor="end"
            )
        if axis.title:
            self.draw.text(2, self.top - 9, axis.title)
        self.draw.line(self.x.start, self.bottom, self.x.end, self.bottom, stroke=MUTED)

    def points(
        self,
        rows: Sequence[Row],
        x: str,
        y: str,
        low: str | None = None,
        high: str | None = None,
        *,
        joined: bool = False,
        color: str = SUPPORT,
    ) -> None:
        """Points with intervals; a row has `row` and optionally `shape`. None is left out.

        `joined` draws a line through all but diamonds, broken where a value is missing.
        """
        run: list[tuple[float, float]] = []
        for row in rows:
            if row[y] is None:
                _close(self.draw, run, color)
            elif joined and row.get("shape") != "diamond":
                run.append((self.x(row[x]), self.y(row[y])))
        _close(self.draw, run, color)
        half = max(4.0, min(24.0, 0.5 * (self.x.end - self.x.start) / max(len(rows), 1)))
        for row in rows:
            if row[y] is None:
                continue
            at = self.x(row[x])
            with self.draw.mark(
                row["row"], (at - half, self.top, 2 * half, self.bottom - self.top)
            ):
                if low and high and row[low] is not None and row[high] is not None:
                    ends = (self.y(row[high]), self.y(row[low]))
                    self.draw.line(at, ends[0], at, ends[1], stroke=color, stroke_width=1.6)
                self.draw.symbol(row.get("shape", "dot"), at, self.y(row[y]), color)

    def labels(self, at: Sequence[tuple[float, str]], title: str = "") -> None:
        """Names under the axis, as many as fit."""
        edge = -math.inf
        for value, label in at:
            x, half = self.x(value), width_of(label) / 2
            x = min(max(x, half), self.draw.width - half)
            if x - half > edge + 8:
                self.draw.text(x, self.bottom + 15, label, class_="tick", text_anchor="middle")
                edge = x + half
        if title:
            self.draw.text(
                (self.x.start + self.x.end) / 2, self.bottom + 33, title, text_anchor="middle"
            )


def _close(draw: Drawing, run: list[tuple[float, float]], color: str) -> None:
    if len(run) > 1:
        draw.path(run, stroke=color, stroke_width=1.6)
    run.clear()


def _panel(axis: Axis, x: tuple[float, float], height: float) -> Panel:
    draw = Drawing()
    top = 24 if axis.title else 10
    return Panel(draw, Scale(*x, LEFT, WIDTH - RIGHT), top, top + height, axis)


def reliability(
    rows: Sequence[Row], *, tick: Shown, text: Mapping[str, str], description: str
) -> str:
    """Predicted against observed share per bin (`predicted`, `observed`, `low`, `high`)."""
    top = max(max(row["predicted"], row["high"] or row["observed"]) for row in rows) * 1.05
    top = min(1.0, top) or 1.0
    panel = _panel(Axis(0, top, tick, text["y"]), (0, top), 230)
    panel.draw.line(
        panel.x(0), panel.y(0), panel.x(top), panel.y(top), stroke=MUTED, stroke_dasharray="5 4"
    )
    panel.points(rows, "predicted", "observed", "low", "high", joined=True)
    panel.labels([(at, tick(at)) for at in steps(0, top)], text["x"])
    return panel.draw.done(panel.bottom + 44, description)


def gains(
    rows: Sequence[Row],
    *,
    capacity: float,
    tick: Shown,
    text: Mapping[str, str],
    description: str,
) -> str:
    """Share found against share contacted, chance as dashes, the team's capacity as a rule.

    Rows with `row` None shape the curve but are not marked.
    """
    panel = _panel(Axis(0, 1, tick, text["y"]), (0, 1), 230)
    draw, x, y = panel.draw, panel.x, panel.y
    draw.line(x(0), y(0), x(1), y(1), stroke=MUTED, stroke_dasharray="5 4")
    curve = [(x(0), y(0))] + [(x(r["share_contacted"]), y(r["share_found"])) for r in rows]
    draw.path(curve, stroke_width=2.4)
    draw.line(x(capacity), y(0), x(capacity), y(1), stroke=ACCENT, stroke_width=1.6)
    right = capacity < 0.6
    draw.text(x(capacity) + (6 if right else -6), y(0) - 8, text["capacity"], fill=ACCENT,
              class_="tick", text_anchor="start" if right else "end")  # fmt: skip
    panel.points([row for row in rows if row["row"] is not None], "share_contacted", "share_found")
    panel.labels([(at, tick(at)) for at in steps(0, 1)], text["x"])
    return draw.done(panel.bottom + 44, description)


def over_time(
    rows: Sequence[Row],
    *,
    limits: tuple[float, float],
    tick: Shown,
    description: str,
    lines: Sequence[float] = (),
    band: tuple[float, float] | None = None,
    title: str = "",
    x_title: str = "",
    height: float = 150,
) -> str:
    """`value` with `low` and `high` per date (`label`), in the order of the rows.

    Dashes mark `lines`, grey hatching between two dashes a `band`: benchmarks, or chance.
    """
    panel = _panel(Axis(*limits, tick, title, 4), (-0.5, len(rows) - 0.5), height)
    draw, x, y = panel.draw, panel.x, panel.y
    if band:
        low, high = max(band[0], limits[0]), min(band[1], limits[1])
        draw.rect(x.start, y(high), x.end - x.start, y(low) - y(high), fill="#e3e8ec")
    for at in lines:
        if limits[0] <= at <= limits[1]:
            draw.line(x.start, y(at), x.end, y(at), stroke=ACCENT, stroke_dasharray="6 4",
                      stroke_width=1.5)  # fmt: skip
    placed = [{**row, "x": number} for number, row in enumerate(rows)]
    panel.points(placed, "x", "value", "low", "high", joined=True)
    panel.labels([(row["x"], row["label"]) for row in placed], x_title)
    return draw.done(panel.bottom + (44 if x_title else 24), description)


def spread(values: Sequence[float]) -> list[float]:
    """Values as positions: on a log scale from 0 where one bin dwarfs the middle one."""
    ordered = sorted(abs(value) for value in values)
    middle = ordered[len(ordered) // 2]
    if min(values) < 0 or ordered[-1] <= 5 * middle or middle == 0:
        return [float(value) for value in values]
    unit = max(ordered[len(ordered) // 4], ordered[-1] / 1000)
    return [math.log1p(value / unit) for value in values]


def dependence(
    rows: Sequence[Row],
    *,
    is_risk: bool,
    limits: Mapping[str, tuple[float, float]],
    ticks: Mapping[str, Shown],
    text: Mapping[str, str],
    description: str,
) -> str:
    """Dose-response of one feature: observed share, model and number of customers per bin.

    A row has `value` (None = nothing recorded, drawn as a diamond), `shown` (the value as text),
    `row`, `n`, `shap`, `shap_low`, `shap_high` (log-odds), `observed_rate`, `observed_low` and
    `observed_high`. `is_risk` draws the curves in the colour of risk; `limits` are the axes of
    "model" and "observed", the same for all charts that are compared; `ticks` write both.
    """
    known = sorted((row for row in rows if row["value"] is not None), key=lambda r: r["value"])
    absent = [row for row in rows if row["value"] is None]
    at = spread([row["value"] for row in known]) if known else [0.0]
    span = (at[-1] - at[0]) or 1.0
    x = Scale(at[0] - (0.34 if absent else 0.07) * span, at[-1] + 0.07 * span, LEFT, WIDTH - RIGHT)
    values: list[dict[str, Any]] = [
        {**row, "x": at[0] - 0.25 * span, "shape": "diamond"} for row in absent
    ]
    values += [{**row, "x": place, "shape": "dot"} for row, place in zip(known, at, strict=False)]
    color = ACCENT if is_risk else SUPPORT
    draw = Drawing()
    observed = Panel(
        draw, x, 24, 134, Axis(*limits["observed"], ticks["observed"], text["observed"], 4)
    )
    observed.points(values, "x", "observed_rate", "observed_low", "observed_high", joined=True,
                    color=color)  # fmt: skip
    model = Panel(draw, x, 176, 276, Axis(*limits["model"], ticks["model"], text["model"], 4))
    draw.line(x.start, model.y(0), x.end, model.y(0), stroke=MUTED, stroke_dasharray="5 4")
    model.points(values, "x", "shap", "shap_low", "shap_high", joined=True, color=color)
    most = max((row["n"] or 0 for row in values), default=1) or 1
    counts = Panel(draw, x, 314, 346, Axis(0, most, ticks["n"], text["n"], 2))
    for row in values:
        height = 32 * (row["n"] or 0) / most
        draw.rect(x(row["x"]) - 5, 346 - height, 10, height, fill="#c3ccd5", stroke=MUTED)
    counts.labels([(row["x"], str(row["shown"])) for row in values])
    return draw.done(370, description)


def week(cells: Sequence[Row], *, days: Sequence[str], hours: Shown, description: str) -> str:
    """Seven rows of 24 cells, the darker the larger.

    A cell has `day` 0-6, `hour`, `value`, and `row` and `column` of the table.
    One without a value is crossed out.
    """
    draw = Drawing()
    side = (WIDTH - 32) / 24
    known = [cell["value"] for cell in cells if cell["value"] is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    for cell in cells:
        x, y = 30 + side * cell["hour"], 4 + side * cell["day"]
        with draw.mark(cell["row"], (x, y, side, side), cell["column"]):
            if cell["value"] is None:
                draw.line(x + 3, y + 3, x + side - 3, y + side - 3, stroke=MUTED)
                continue
            share = (cell["value"] - low) / ((high - low) or 1.0)
            shade = "#" + "".join(
                f"{round(a + share * (b - a)):02x}" for a, b in ((238, 6), (241, 62), (244, 74))
            )
            draw.rect(x + 0.5, y + 0.5, side - 1, side - 1, fill=shade, stroke=GRID)
    for number, day in enumerate(days):
        draw.text(26, 4 + side * (number + 0.75), day, class_="tick", text_anchor="end")
    for hour in range(0, 24, 6):
        draw.text(30 + side * hour, 4 + side * 7 + 15, hours(hour), class_="tick")
    return draw.done(4 + side * 7 + 22, description)


def markup(svg: str) -> Markup:
    """A finished drawing, for a template: everything in it was escaped when it was drawn."""
    return Markup(svg)
