"""What changed: within the year, and since an earlier report if there is one."""

from __future__ import annotations

from markupsafe import Markup

from reports import panels, sources
from reports.facts import CHANGES
from reports.page import Page, Table


def within_year(p: Page) -> list[Markup]:
    """The KPIs whose last 90 days left the year's interval, strongest first."""
    if not p.facts["kpis"]:
        return []
    out: list[Markup] = []
    panels_shown: set[str] = set()
    year, recent = panels.rows_of(p, "all"), panels.rows_of(p, "recent")
    by_hour = panels.rows_of(p, "hour")
    for change in p.facts["kpis"]["changes"]:
        kpi = p.catalog.kpis.get(change["kpi"])
        # One figure per panel: its others mostly say the same.
        if kpi is None or kpi.better is None or kpi.key in by_hour or kpi.panel in panels_shown:
            continue
        panels_shown.add(kpi.panel)
        now, before = recent[kpi.key][0], year[kpi.key][0]
        up = now["value"] > before["value"]
        out.append(
            p.w(
                "change.better" if up == (kpi.better == "higher") else "change.worse",
                kpi=p.declared(p.catalog.kpis, kpi.key),
                now=panels.figure_of(p, kpi, now),
                year=panels.figure_of(p, kpi, before),
            )
        )
    return out[:CHANGES]


def since_table(p: Page) -> Table | None:
    """This report beside an earlier one, if that was given."""
    compared, w = p.facts["compared"], p.w
    if compared is None:
        return None
    rows: list[list[Markup]] = []
    for row in compared["rows"]:
        digits = 2 if row["kind"] == "auc" else 0
        cells = []
        for moment, file in (("before", "compared/facts.json"), ("now", "reports/facts.json")):
            address = sources.at(file, *row["path"])
            cells.append(
                p.percent(row[moment], address)
                if row["kind"] == "base_rate"
                else p.number(row[moment], address, digits)
            )
        rows.append([w(f"change.{row['kind']}", title=p.event(row["task"], "title")), *cells])
    for row in compared["kpis"]:
        kpi = p.catalog.kpis.get(row["kpi"])
        if kpi is None:
            continue
        then = sources.at("compared/facts.json", "kpis", "rows", row["before_row"], "value")
        now = sources.row(panels.FILE, kpi=kpi.key, dimension="recent", value_of="")
        rows.append(
            [
                p.declared(p.catalog.kpis, kpi.key),
                p.cite(panels.shown(p, kpi.unit, row["before"]), row["before"], then),
                p.cite(panels.shown(p, kpi.unit, row["now"]), row["now"],
                       sources.cell(now, "value")),
            ]
        )  # fmt: skip
    heads = [
        w("change.what"),
        w("change.then", day=p.day(compared["period"]["last"])),
        w("change.now", day=p.day(p.facts["period"]["last"])),
    ]
    return Table(w("change.compared"), heads, rows, w("change.compared_note"), (1, 2))
