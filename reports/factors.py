"""The section on associations: what the model leans on, family by family, and dose-response.

SHAP values describe the model. Nothing here says what would change if support did: that is the
section on estimated effects (`levers`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from reports import charts, sources
from reports.facts import Facts, direction
from reports.page import Figure, Page, Table
from reports.wording import clean

SIGNS = {1: ("↑", "more"), -1: ("↓", "less"), 0: ("–", "unclear")}
FEATURES_PER_FAMILY = 6


def family_figure(p: Page, task: str) -> Figure:
    """Each family's average contribution with interval; its table unfolds to its features."""
    w, explained = p.w, p.facts["tasks"][task]["explained"]
    rows = explained["families"]
    named = [
        {
            **row,
            "row": number,
            "label": w.family(row["family"], p.catalog),
            "value": row["mean_abs_shap"] or 0.0,
            "shown": w.number(row["mean_abs_shap"], _digits(row)),
        }
        for number, row in enumerate(rows)
    ]
    groups = [
        charts.Group(
            w.get(f"families.{key}"), [r for r in named if bool(r["lever"]) is lever], lever
        )
        for key, lever in (("support", True), ("context", False))
    ]
    table, children = [], {}
    for number, row in enumerate(rows):
        source = sources.row(
            f"explanation/{task}/families.csv", family=row["family"], lever=row["lever"]
        )
        table.append(
            [
                p.family(row["family"]),
                w("families.lever" if row["lever"] else "families.not_lever"),
                p.spanned(row, ("mean_abs_shap", "low", "high"), source, p.number, _digits(row)),
                p.percent(row["share"], sources.cell(source, "share"), 0),
            ]
        )
        own = [
            one
            for one in explained["features"]
            if (one["family"], one["lever"]) == (row["family"], row["lever"])
        ]
        children[number] = [_feature(p, task, one) for one in own[:FEATURES_PER_FAMILY]]
    heads = [w(f"families.{key}") for key in ("family", "kind", "strength", "share")]
    title = w("families.figure", title=p.event(task, "title"))
    svg = charts.intervals(
        [group for group in groups if group.rows],
        as_bars=True,
        tick=lambda at: w.number(at, 0 if at == round(at) else 2),
        x_title=w.get("families.x"),
        description=str(w("families.alt", rate=p.event(task, "rate"))),
    )
    return Figure(
        title,
        charts.markup(svg),
        Table(clean(title), heads, table, children=children),
        w("families.note"),
    )


def _digits(row: Facts) -> int:
    return 2 if (row["high"] or 0) >= 0.1 else 3


def _feature(p: Page, task: str, row: Facts) -> list[str]:
    """A feature under its family: name, direction, contribution."""
    source = sources.row(f"explanation/{task}/features.csv", feature=row["feature"])
    return [
        p.feature(row["feature"]),
        _direction(p, task, row),
        p.spanned(row, ("mean_abs_shap", "low", "high"), source, p.number, 3),
        Markup(""),
    ]


def _direction(p: Page, task: str, row: Facts) -> Markup:
    arrow, key = SIGNS[direction(row)]
    words = p.w(f"factors.{key}", rate=p.event(task, "rate"))
    return Markup('<span class="arrow">{}</span> {}').format(arrow, words)


def feature_table(p: Page, task: str, kind: str) -> Table:
    """The strongest single features: `kind` is "support" or "context"."""
    w, rows = p.w, []
    for row in p.facts["tasks"][task]["explained"][kind]:
        source = sources.row(f"explanation/{task}/features.csv", feature=row["feature"])
        cells = [
            p.feature(row["feature"]),
            p.spanned(row, ("mean_abs_shap", "low", "high"), source, p.number, 3),
            _direction(p, task, row),
        ]
        if kind == "support":
            agrees = row["agrees"] if row["better"] else "none"
            cells.append(
                Markup('<span class="agrees {}">{}</span>').format(
                    agrees, w(f"factors.agrees_{agrees}")
                )
            )
        rows.append(cells)
    heads = [w("factors.feature"), w("families.strength"), w("factors.direction")]
    if kind == "support":
        heads.append(w("factors.agrees"))
    key = "features" if kind == "support" else "context"
    return Table(w(f"factors.{key}_title", title=p.event(task, "title")), heads, rows)


def notes(p: Page, task: str) -> list[Markup]:
    """What runs against expectation, and how exact the explanation is."""
    explained = p.facts["tasks"][task]["explained"]
    against = [row for row in explained["support"] if row["agrees"] == "no"]
    names = p.w("page.between").join(p.feature(row["feature"]) for row in against)
    key = "factors.contradictions" if against else "factors.no_contradictions"
    file = f"explanation/{task}/summary.json"
    error = explained["additivity_max_error"]
    return [
        p.w(key, names=names),
        p.w(
            "factors.rows",
            n=p.number(explained["rows"], sources.at(file, "rows")),
            error=p.cite(f"{error:.0e}", error, sources.at(file, "additivity_max_error")),
        ),
    ]


def curves(p: Page, task: str) -> list[Figure]:
    """Dose-response figures of the strongest support factors, on common axes."""
    rows = p.facts["tasks"][task]["explained"]["curves"]
    points = [point for row in rows for point in row["points"]]
    limits = {
        "model": _limits([point[key] for point in points for key in ("shap_low", "shap_high")]),
        "observed": _limits([point["observed_high"] for point in points]),
    }
    return [_curve(p, task, row, limits) for row in rows]


def _curve(p: Page, task: str, row: Facts, limits: Mapping[str, tuple[float, float]]) -> Figure:
    w, name = p.w, row["feature"]
    points, table = [], []
    for number, point in enumerate(row["points"]):
        shown = p.plain_amount(name, point["value"], short=True)
        if point["value"] is None:
            shown = w.get("page.none_recorded")
        points.append({**point, "shown": shown, "row": number})
        source = sources.row(f"explanation/{task}/dependence.csv", feature=name, bin=point["bin"])
        table.append(
            [
                p.amount(name, point["value"], sources.cell(source, "value")),
                p.spanned(
                    point, ("observed_rate", "observed_low", "observed_high"), source, p.percent
                ),
                p.spanned(point, ("shap", "shap_low", "shap_high"), source, p.number, 2),
                p.number(point["n"], sources.cell(source, "n")),
            ]
        )
    heads = [w("dose.value"), w(f"dose.observed_{task}"), w("dose.contribution"), w("dose.n")]
    svg = charts.dependence(
        points,
        is_risk=task == "churn",
        limits=limits,
        ticks={
            "model": lambda at: ("+" if at > 0 else "") + w.number(at, 2),
            "observed": w.percent,
            "n": w.number,
        },
        text={key: w.get(f"dose.{at}") for key, at in (
            ("model", f"model_{task}"), ("observed", f"observed_{task}"), ("n", "n")
        )},
        description=str(w("dose.alt", feature=w.feature(name, p.catalog))),
    )  # fmt: skip
    label = p.feature(name)
    return Figure(label, charts.markup(svg), Table(p.caption(task, label), heads, table))


def _limits(values: Sequence[float | None]) -> tuple[float, float]:
    """A common axis for several charts: all values and zero, with a little air."""
    known = [0.0, *(value for value in values if value is not None)]
    air = 0.05 * (max(known) - min(known)) or 1.0
    return (min(known) - (air if min(known) < 0 else 0.0), max(known) + air)
