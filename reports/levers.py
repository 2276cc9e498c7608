"""The sections on estimated effects (apart from SHAP), what-if, and the claims of articles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from reports import sources
from reports.facts import Facts
from reports.page import Page, Table

EFFECTS = "effects/effects.csv"


def effects_table(p: Page) -> Table:
    """Every lever with its naive difference, its estimate, its grade and what limits it."""
    w, rows = p.w, []
    for row in p.facts["effects"]["rows"]:
        source = sources.row(EFFECTS, lever=row["lever"], outcome=row["outcome"])
        name = Markup('{}<span class="plain">{}</span>').format(
            p.declared(p.catalog.levers, row["lever"]),
            p.declared(p.catalog.levers, row["lever"], "more_"),
        )
        rows.append(
            [
                name,
                p.outcome(row),
                p.signed(row["naive"], sources.cell(source, "naive")),
                p.spanned(row, ("theta", "low", "high"), source, p.signed),
                p.hundred(row["mde"], sources.cell(source, "mde")),
                p.number(row["tickets"], sources.cell(source, "tickets")),
                p.grade(row["grade"]),
                reasons(p, row),
            ]
        )
    keys = ("lever", "outcome", "naive", "per_hundred", "mde", "tickets", "grade", "why")
    return Table(p.w.get("effects.table"), [w(f"effects.{key}") for key in keys], rows,
                 w("effects.note"))  # fmt: skip


def reasons(p: Page, row: Facts) -> Markup:
    """Why a lever has no better grade."""
    codes = [code for code in str(row["reasons"] or "").split(";") if code]
    said = [p.declared(p.catalog.reasons, code) for code in codes]
    return Markup("<br>").join(said) if said else p.w("effects.no_reasons")


def checks_table(p: Page) -> Table:
    """The checks behind the grades, for those who audit them."""
    w, rows = p.w, []
    columns: tuple[tuple[str, Any, tuple[Any, ...]], ...] = (
        ("customers", p.number, ()),
        ("treated_share", p.percent, (1,)),
        ("overlap_share", p.percent, (1,)),
        ("ess_share", p.percent, (1,)),
        ("smd_max", p.number, (2,)),
        ("negative_control_p", p.number, (3,)),
        ("placebo_p", p.number, (3,)),
        ("p_holm", p.number, (3,)),
        ("bound_low", p.signed, ()),
        ("bound_high", p.signed, ()),
        ("rv", p.number, (3,)),
    )
    for row in p.facts["effects"]["rows"]:
        source = sources.row(EFFECTS, lever=row["lever"], outcome=row["outcome"])
        cells = [
            show(row.get(name), sources.cell(source, name), *digits)
            for name, show, digits in columns
        ]
        rows.append([p.declared(p.catalog.levers, row["lever"]), *cells])
    heads = [w("effects.lever"), *(w(f"effects.check_{name}") for name, _, _ in columns)]
    numeric = range(1, len(heads))
    return Table(w.get("effects.checks"), heads, rows, w("effects.checks_note"), numeric)


def beside_shap(p: Page) -> Table | None:
    """Each lever's effect beside what SHAP gives its family: two questions, two orders."""
    families = {
        row["family"]: row
        for task in p.explained()
        if task == "churn"
        for row in p.facts["tasks"][task]["explained"]["families"]
        if row["lever"]
    }
    w, rows = p.w, []
    for row in p.facts["effects"]["rows"]:
        family = families.get(p.catalog.family_of_lever(row["lever"]))
        if family is None or row["theta"] is None:
            continue
        source = sources.row(EFFECTS, lever=row["lever"], outcome=row["outcome"])
        shap = sources.row(
            "explanation/churn/families.csv", family=family["family"], lever=family["lever"]
        )
        rows.append(
            [
                p.declared(p.catalog.levers, row["lever"]),
                p.spanned(row, ("theta", "low", "high"), source, p.signed),
                p.family(family["family"]),
                p.number(family["mean_abs_shap"], sources.cell(shap, "mean_abs_shap"), 3),
            ]
        )
    if not rows:
        return None
    keys = ("lever", "per_hundred", "family", "shap")
    return Table(w.get("effects.beside"), [w(f"effects.{key}") for key in keys], rows,
                 w("effects.beside_note"))  # fmt: skip


def claims_table(p: Page) -> Table:
    """The articles' claims, checked on the company's own data."""
    w, rows = p.w, []
    for number, row in enumerate(p.facts["claims"]):
        source = sources.at("kpis/claims.json", number)

        def show(raw: float | None, address: str, unit: str = row["unit"]) -> Markup:
            return p.cite(claimed(p, unit, raw), raw, address)

        own: str | Markup = w.number(None)
        if row["value"] is not None:
            own = show(row["value"], sources.below(source, "value"))
            if row["low"] is not None:
                interval = p.interval(row, source, show)
                own = w("page.value_interval", value=own, interval=interval)
        verdict = row["verdict"].replace(" ", "_")
        rows.append(
            [
                p.declared(p.catalog.claims, row["claim"]),
                p.declared(p.catalog.claims, row["claim"], "more_"),
                own,
                p.number(row["n"], sources.below(source, "n")),
                Markup('<strong class="{}">{}</strong>').format(
                    verdict, w(f"claims.verdict_{verdict}")
                ),
                Markup("<br>").join(p.declared(p.catalog.caveats, code) for code in row["caveats"]),
            ]
        )
    keys = ("claim", "estimand", "own", "n", "verdict", "caveats")
    return Table(w.get("claims.table"), [w(f"claims.{key}") for key in keys], rows)


def claimed(p: Page, unit: str, raw: float | None) -> str | Markup:
    """A claim's figure in its unit; differences of shares in percentage points."""
    if raw is None:
        return p.w.number(None)
    if unit == "share":
        return p.w.percent(raw, 1)
    if unit in ("difference", "points"):
        points = raw * 100 if unit == "difference" else raw
        sign = "+" if points > 0 else ""
        return sign + str(p.w("claims.points", n=p.w.number(points, 1)))
    return p.w.number(raw, 4 if unit == "log_loss" else 2)


def what_if_table(p: Page) -> Table | None:
    """What moving a lever a little would change; None if no lever's evidence allows it."""
    w, rows = p.w, []
    for key, lever in (p.facts["effects"]["summary"].get("levers") or {}).items():
        found = lever.get("what_if")
        if found is None:
            continue
        source = sources.at("effects/summary.json", "levers", key, "what_if")

        def show(name: str, how: Callable[..., Markup], *digits: int) -> Markup:
            return how(found[name], sources.below(source, name), *digits)  # noqa: B023

        rows.append(
            [
                p.declared(p.catalog.levers, key),
                w(
                    "effects.what_if_change",
                    before=show("share_before", p.percent),
                    after=show("share_after", p.percent),
                    tickets=show("tickets_per_year", p.number),
                ),
                w(
                    "page.value_interval",
                    value=show("departures", p.change),
                    interval=w("page.interval", low=show("departures_low", p.change),
                               high=show("departures_high", p.change)),
                ),
                w(
                    "page.value_interval",
                    value=show("value", p.money),
                    interval=w("page.interval", low=show("value_low", p.money),
                               high=show("value_high", p.money)),
                ),
                p.grade(lever["grade"]),
            ]
        )  # fmt: skip
    if not rows:
        return None
    keys = ("lever", "change", "departures", "value", "grade")
    heads = [w(f"effects.{key}") for key in keys]
    each = p.facts["effects"]["summary"]["customer_value"]
    note = w(
        "effects.what_if_note",
        each=p.money(each, sources.at("effects/summary.json", "customer_value")),
        horizon=p.number(
            p.facts["effects"]["summary"]["horizon_days"],
            sources.at("effects/summary.json", "horizon_days"),
        ),
    )
    return Table(w("effects.what_if"), heads, rows, note)


def not_estimated(p: Page) -> list[Markup]:
    """Levers without an estimate, with the reason."""
    return [
        p.w(
            "effects.not_estimated",
            lever=p.declared(p.catalog.levers, key),
            reason=p.name(reason[p.w.language], 400),
        )
        for key, reason in (p.facts["effects"]["summary"].get("skipped_levers") or {}).items()
    ]
