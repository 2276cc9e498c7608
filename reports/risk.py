"""The section on who is at risk: averages by group, and what is at stake."""

from __future__ import annotations

from markupsafe import Markup

from reports import charts, sources
from reports.facts import Facts
from reports.page import Figure, Page, Table

LEAST_CUSTOMERS = 30
"""As the texts say."""
TOP_GROUPS = 8


def figures(p: Page, task: str) -> list[Figure]:
    """Average predicted risk by group, one figure per grouping with at least two groups."""
    rows = p.facts["tasks"][task]["segments"]
    dimensions = list(dict.fromkeys(row["dimension"] for row in rows))
    every = (
        _figure(p, task, name, [row for row in rows if row["dimension"] == name])
        for name in dimensions
    )
    return [figure for figure in every if figure]


def _figure(p: Page, task: str, dimension: str, rows: list[Facts]) -> Figure | None:
    w = p.w
    shown = [row for row in rows if row["customers"] >= LEAST_CUSTOMERS]
    if len(shown) < 2:
        return None
    shown.sort(key=lambda row: (-row["mean_risk"], str(row["value"])))
    risk, name = p.event(task, "risk"), w.known("dimensions", dimension)
    has_worth = all(row.get("value_at_risk") is not None for row in shown)
    marks, table = [], []
    for number, row in enumerate(shown):
        label = p.group(dimension, row["value"])
        source = sources.row(
            f"score/{task}/segments.csv", dimension=row["dimension"], value=row["value"]
        )
        cells = [
            p.name(label),
            p.number(row["customers"], sources.cell(source, "customers")),
            p.percent(row["mean_risk"], sources.cell(source, "mean_risk")),
            p.number(row["high_risk_customers"], sources.cell(source, "high_risk_customers")),
        ]
        if has_worth:
            cells.append(p.money(row["value_at_risk"], sources.cell(source, "value_at_risk")))
        table.append(cells)
        marks.append({"row": number, "label": label, "value": row["mean_risk"],
                      "shown": w.percent(row["mean_risk"], 1)})  # fmt: skip
    heads = [w("segments.group"), w("segments.customers"), w("segments.mean_risk", risk=risk),
             w("segments.high")] + ([w("segments.worth")] if has_worth else [])  # fmt: skip
    svg = charts.intervals(
        [charts.Group("", marks[:TOP_GROUPS])],
        as_bars=True,
        tick=w.percent,
        x_title=w.get("segments.x"),
        description=str(w("segments.alt", risk=risk, dimension=name, top=marks[0]["label"])),
    )
    notes = []
    if len(shown) > TOP_GROUPS:
        notes.append(w("segments.more"))
    if len(rows) > len(shown):
        notes.append(w("segments.hidden"))
    title = w("segments.title", dimension=name)
    caption = p.caption(task, title)
    table_ = Table(caption, heads, table, numeric=range(1, len(heads)))
    return Figure(title, charts.markup(svg), table_, Markup(" ").join(notes))
