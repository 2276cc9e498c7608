"""The section on support KPIs: figures against benchmarks, trends, and groups side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reports import charts, sources
from reports.facts import Facts
from reports.page import Figure, Page, Table
from reports.wording import Kpi, Line, clean

FILE = "kpis/kpis.csv"
DIMENSIONS = ("channel", "segment", "language", "age")
TRENDS = 3
"""Trend figures per panel beside those of the headline."""
HEADLINE = (
    "churn_rate", "repeat_purchase_rate", "first_response_hours", "resolution_hours",
    "first_contact_resolution", "escalation_share", "csat", "nps", "ces", "handling_minutes",
    "cost_per_resolved", "language_match", "bot_resolved", "self_service_success",
    "personal_share", "follow_up_sent",
)  # fmt: skip
"""What a leader asks first; shown at the top if the run has it."""
LEAST_MONTHS = 6
MOST_GROUPS = 8
WEEK_CELLS = 7 * 24
ONE_DIGIT = ("points", "score", "level")


def panels(p: Page) -> list[str]:
    """The panels that have figures, in order, but for the data quality panel (see `caveats`)."""
    if not p.facts["kpis"]:
        return []
    found = {row["panel"] for row in p.facts["kpis"]["rows"] if row["dimension"] == "all"}
    return [key for key in p.catalog.panels if key in found and key != "P15"]


def absent(p: Page) -> list[Markup]:
    """What no figure could be given for, with the reason."""
    if not p.facts["kpis"]:
        return []
    rows = p.facts["kpis"]["summary"].get("absent", [])
    return [Markup("<bdi>{}</bdi>").format(clean(row[p.w.language], 600)) for row in rows]


def rows_of(p: Page, dimension: str) -> dict[str, list[Facts]]:
    """The rows of a dimension by KPI, in the order of the file."""
    out: dict[str, list[Facts]] = {}
    for row in p.facts["kpis"]["rows"]:
        if row["dimension"] == dimension:
            out.setdefault(row["kpi"], []).append(row)
    return out


@dataclass(frozen=True)
class Form:
    """How a KPI's values are written: `raw * by` with `digits`, in `unit`."""

    by: float
    digits: int
    unit: str


def form_of(unit: str, value: float, *others: float | None) -> Form:
    """The form of a value and of what is shown beside it (its interval), in one unit."""
    if unit == "share":
        return Form(100, 1, unit)
    by, shown = 1.0, unit
    if unit == "hours" and 0 < abs(value) < 1:
        by, shown = 60.0, "minutes"
    elif unit == "hours" and abs(value) >= 72:
        by, shown = 1 / 24, "days"
    sizes = [abs(by * one) for one in (value, *others) if one]
    size = max(sizes, default=0.0)
    if unit in ONE_DIGIT:
        digits = 1
    elif unit == "currency" or size >= 10 or all(one == round(one) for one in sizes):
        digits = 0
    else:
        digits = 1 if size >= 1 else 2 if size >= 0.1 else 3
    return Form(by, digits, shown)


def written(p: Page, form: Form, value: float, *, bare: bool = False) -> str:
    """A value in a form; `bare` without its unit, for the ends of an interval."""
    number = p.w.number(value * form.by, form.digits)
    if form.unit == "share":
        return f"{number}%"
    if form.unit == "currency":
        return p.w.with_unit(value, "currency", p.currency)
    forms = p.w.get("units").get(form.unit)
    if bare or form.unit in ONE_DIGIT or forms is None:
        return number
    return forms["one" if number == "1" else "other"].format(value=number)


def shown(p: Page, unit: str, value: float) -> str:
    """A KPI's value with its unit."""
    return written(p, form_of(unit, value), value)


def _cited(p: Page, unit: str, value: float | None, source: str) -> Markup:
    if value is None:
        return Markup(p.w.number(None))
    return p.cite(shown(p, unit, value), value, source)


def address(row: Facts) -> str:
    """Where a KPI row is."""
    keys = {"kpi": row["kpi"], "dimension": row["dimension"], "value_of": row["value_of"] or ""}
    return sources.row(FILE, **keys)


def figure_of(p: Page, kpi: Kpi, row: Facts) -> Markup:
    """`value (low to high)` of a KPI row, with the unit once."""
    value, low, high = (row[name] for name in ("value", "low", "high"))
    if value is None:
        return Markup(p.w.number(None))
    form, source = form_of(kpi.unit, value, low, high), address(row)
    said = p.cite(written(p, form, value), value, sources.cell(source, "value"))
    if low is None or high is None:
        return said
    ends = {
        name: p.cite(written(p, form, row[name], bare=True), row[name], sources.cell(source, name))
        for name in ("low", "high")
    }
    return p.w("page.value_interval", value=said, interval=p.w("page.interval", **ends))


def headline(p: Page) -> Table:
    """The figures that articles give benchmarks for, and the few others a leader asks first."""
    return _table(p, p.w("kpis.headline"), lambda kpi: bool(kpi.lines) or kpi.key in HEADLINE)


def headline_trends(p: Page) -> list[Figure]:
    """Monthly figures of the same."""
    return [
        figure
        for panel in panels(p)
        for figure in _trends(p, lambda kpi, at=panel: kpi.panel == at and (  # type: ignore[misc]
            bool(kpi.lines) or kpi.key in HEADLINE))
    ]  # fmt: skip


def table(p: Page, panel: str) -> Table:
    """One row per KPI of a panel: the last 90 days, the last 365, and the benchmarks."""
    return _table(p, p.panel(panel), lambda kpi: kpi.panel == panel)


def _table(p: Page, caption: str, is_wanted: Callable[[Kpi], bool]) -> Table:
    year, recent = rows_of(p, "all"), rows_of(p, "recent")
    w, rows = p.w, []
    wanted = [
        (kpi, found[0])
        for key, found in year.items()
        if (kpi := p.catalog.kpis.get(key)) is not None and is_wanted(kpi)
    ]
    has_lines = any(kpi.lines for kpi, _ in wanted)
    for kpi, found in wanted:
        now = recent.get(kpi.key)
        cells = [
            p.declared(p.catalog.kpis, kpi.key),
            figure_of(p, kpi, now[0]) if now else Markup(w.number(None)),
            figure_of(p, kpi, found),
            p.number(found["n"], sources.cell(address(found), "n")),
        ]
        if has_lines:
            cells.append(Markup("<br>").join(benchmark(p, kpi, line, found) for line in kpi.lines))
        rows.append(cells)
    keys = ("kpi", "recent", "year", "n", *(["benchmark"] if has_lines else []))
    return Table(caption, [w(f"kpis.{key}") for key in keys], rows)


def benchmark(p: Page, kpi: Kpi, line: Line, row: Facts) -> Markup:
    """A benchmark in its article's words, and whether the year's figure reaches it."""
    said = getattr(line, p.w.language)
    verdict = p.w(f"kpis.{_against(line, row)}")
    return Markup('<bdi>{}</bdi> <span class="against">{}</span>').format(said, verdict)


def _against(line: Line, row: Mapping[str, Any]) -> str:
    """ "met", "missed" or, while the interval reaches over the line, "open"."""
    low, high = row["low"], row["high"]
    if low is None or high is None:
        return "open"
    worst = -float("inf") if line.low is None else line.low
    most = float("inf") if line.high is None else line.high
    if low >= worst and high <= most:
        return "met"
    if high < worst or low > most:
        return "missed"
    return "open"


def trends(p: Page, panel: str) -> list[Figure]:
    """Monthly figures of a panel's first KPIs that the headline does not show already."""
    return _trends(p, lambda kpi: kpi.panel == panel and not kpi.lines
                   and kpi.key not in HEADLINE)[:TRENDS]  # fmt: skip


def _trends(p: Page, is_wanted: Callable[[Kpi], bool]) -> list[Figure]:
    months = rows_of(p, "month")
    return [
        _trend(p, kpi, rows)
        for key, rows in months.items()
        if (kpi := p.catalog.kpis.get(key)) is not None
        and is_wanted(kpi)
        and sum(row["value"] is not None for row in rows) >= LEAST_MONTHS
    ]


def _trend(p: Page, kpi: Kpi, rows: list[Facts]) -> Figure:
    w = p.w
    marks, cells = [], []
    for number, row in enumerate(rows):
        day = f"{row['value_of']}-01"
        marks.append({**row, "row": number, "label": w.month(day)})
        cells.append([p.month(day), figure_of(p, kpi, row), p.number(row["n"], _n(row))])
    numbers = [row[key] for row in rows for key in ("low", "value", "high") if row[key] is not None]
    bounds = [bound for line in kpi.lines for bound in (line.low, line.high) if bound is not None]
    band = next(
        ((line.low, line.high) for line in kpi.lines
         if line.low is not None and line.high is not None), None
    )  # fmt: skip
    # A far benchmark would flatten the trend: it is named in the table, not drawn.
    low, high = min(numbers), max(numbers)
    near = [b for b in bounds if low - 2 * (high - low) <= b <= high + 2 * (high - low)]
    low, high = min([low, *near]), max([high, *near])
    air = 0.08 * ((high - low) or abs(high) or 1.0)
    floor = 0.0 if low >= 0 and low - air < 0.25 * high else low - air
    label = p.declared(p.catalog.kpis, kpi.key)
    form = form_of(kpi.unit, high)
    svg = charts.over_time(
        marks,
        limits=(floor, high + air),
        tick=_tick(p, form, high + air - floor),
        title=w.get("kpis.axis").get(form.unit, ""),
        lines=near,
        band=band if band and near else None,
        description=str(w("kpis.alt", kpi=getattr(kpi, w.language))),
    )
    lines = w("page.comma").join(
        Markup("<bdi>{}</bdi>").format(getattr(line, w.language))
        for line in kpi.lines
        if {line.low, line.high} & set(near)
    )
    note = w("kpis.line_note", lines=lines) if lines else ""
    heads = [w("kpis.month"), w("kpis.value"), w("kpis.n")]
    return Figure(label, charts.markup(svg), Table(label, heads, cells), note)


def _tick(p: Page, form: Form, span: float) -> charts.Shown:
    """Ticks without the unit, with as many digits as steps over `span` need."""
    step = span * form.by / 4
    digits = 0 if step >= 1 else 1 if step >= 0.1 else 2 if step >= 0.01 else 3
    sign = "%" if form.unit == "share" else ""
    return lambda at: p.w.number(at * form.by, digits) + sign


def _n(row: Facts) -> str:
    return sources.cell(address(row), "n")


def groups(p: Page) -> list[tuple[str, Markup, list[tuple[str, Markup]], Table]]:
    """(key, title, columns to choose from, table) of each dimension with at least two groups.

    The headline's figures for the `MOST_GROUPS` groups with the most cases. Columns are keyed by
    position, so that no name from data becomes part of a script's work.
    """
    out = []
    year = rows_of(p, "all")
    for dimension in DIMENSIONS:
        by_kpi = [
            (kpi, {row["value_of"]: row for row in rows})
            for key, rows in rows_of(p, dimension).items()
            if (kpi := p.catalog.kpis.get(key)) is not None
            and (kpi.lines or key in HEADLINE)
            and key in year
            and sum(row["value"] is not None for row in rows) > 1
        ]
        cases: dict[str, int] = {}
        for _, own in by_kpi:
            for name, row in own.items():
                cases[name] = max(cases.get(name, 0), row["n"])
        largest = sorted(cases, key=lambda name: (-cases[name], name))[:MOST_GROUPS]
        names = [name for name in cases if name in largest]
        if len(names) < 2:
            continue
        nothing = Markup(p.w.number(None))
        rows = [
            [
                p.declared(p.catalog.kpis, kpi.key),
                figure_of(p, kpi, year[kpi.key][0]),
                *(figure_of(p, kpi, own[name]) if name in own else nothing for name in names),
            ]
            for kpi, own in by_kpi
        ]
        heads = [p.name(p.group(dimension, name)) for name in names]
        title = p.w("kpis.by", dimension=p.w.known("dimensions", dimension))
        columns = [(str(number), name) for number, name in enumerate(heads, start=2)]
        table = Table(
            title,
            [p.w("kpis.kpi"), p.w("kpis.everybody"), *heads],
            rows,
            p.w("kpis.groups_note"),
            key=dimension,
        )
        out.append((dimension, title, columns, table))
    return out


def weeks(p: Page) -> list[Figure]:
    """Hour by weekday of the KPIs that have it."""
    out = []
    for key, rows in rows_of(p, "hour").items():
        kpi = p.catalog.kpis.get(key)
        cells = {row["value_of"]: row for row in rows}
        if kpi is not None and len(cells) >= WEEK_CELLS // 2:
            out.append(_week(p, kpi, cells))
    return out


def _week(p: Page, kpi: Kpi, cells: Mapping[str, Facts]) -> Figure:
    w = p.w
    days = w.get("kpis.weekdays")
    marks, table = [], []
    for hour in range(24):
        line: list[Markup] = [Markup("<time>{}</time>").format(w("kpis.hour", hour=hour))]
        for day in range(7):
            row = cells.get(f"{day + 1}-{hour:02d}")
            line.append(
                Markup(w.number(None)) if row is None
                else _cited(p, kpi.unit, row["value"], sources.cell(address(row), "value"))
            )  # fmt: skip
            marks.append({"row": hour, "column": day + 1, "day": day, "hour": hour,
                          "value": row["value"] if row else None})  # fmt: skip
        table.append(line)
    label = p.declared(p.catalog.kpis, kpi.key)
    svg = charts.week(
        marks,
        days=days,
        hours=lambda hour: str(w("kpis.hour", hour=hour)),
        description=str(w("kpis.week_alt", kpi=getattr(kpi, w.language))),
    )
    heads = [w("kpis.time"), *days]
    return Figure(label, charts.markup(svg), Table(label, heads, table),
                  w("kpis.week_note"))  # fmt: skip
