"""The section on the models: what can be believed, for whom, how long, and against what."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from reports import charts, sources
from reports.page import Figure, Page, Table
from reports.wording import clean

CONSTANT_HAS_NONE = ("calibration_slope", "calibration_intercept")
FEW_DIGITS = {"log_loss": 4, "brier": 4, "ece": 4}
TABLE_POINTS = 20


def verdict(p: Page, task: str) -> Markup:
    """Whether the model may be used at all."""
    facts = p.facts["tasks"][task]
    gain = facts["gain_over_best_baseline"]["log_loss"]
    source = p.of_metrics(task, "gain_over_best_baseline", "log_loss")
    return p.w(
        f"model.verdict_{facts['verdict']}",
        baseline=p.w.known("baselines", facts["best_baseline"]),
        value=p.number(gain["value"], sources.below(source, "value"), 4),
        interval=p.interval(gain, source, p.number, 4),
    )


def sentences(p: Page, task: str) -> list[Markup]:
    """What the test holds, how well the model ranks, whether its shares come true, what support
    factors add."""
    facts, did = p.facts["tasks"][task], p.event(task, "did")
    auc, auc_source = p.metric(task, "auc")
    out = [
        p.w(
            "model.sentence_n",
            n=p.number(facts["n"], p.of_metrics(task, "n")),
            positives=p.number(facts["positives"], p.of_metrics(task, "positives")),
            rate=p.hundred(facts["base_rate"], p.of_metrics(task, "base_rate")),
            did=did,
        ),
        p.w(
            "model.sentence_auc",
            value=p.hundred(auc["value"], sources.below(auc_source, "value")),
            interval=p.interval(auc, auc_source, p.hundred),
            did=did,
        ),
    ]
    known = [row for row in facts["reliability"] if row["observed"] is not None]
    if known:
        row = known[-1]
        source = sources.row(f"evaluation/{task}/reliability.csv", bin=row["bin"])
        out.append(
            p.w(
                "model.sentence_calibration",
                did=did,
                predicted=p.hundred(row["predicted"], sources.cell(source, "predicted")),
                observed=p.hundred(row["observed"], sources.cell(source, "observed")),
                low=p.hundred(row["low"], sources.cell(source, "low")),
                high=p.hundred(row["high"], sources.cell(source, "high")),
            )
        )
    out.append(support_sentence(p, task))
    if p.facts["tasks"][task]["levers_add"] is not None:
        out.append(_gain(p, task, "levers_add", "gain_of_levers", "levers"))
    return out


def support_sentence(p: Page, task: str) -> Markup:
    """Whether support records improve the prediction at all, said as plainly as it is."""
    return _gain(p, task, "support_adds", "gain_of_support_features", "support")


def _gain(p: Page, task: str, verdict: str, key: str, words: str) -> Markup:
    facts = p.facts["tasks"][task]
    if facts[verdict] is None:
        return p.w(f"model.{words}_unknown")
    gain = facts[key]["log_loss"]
    source = p.of_metrics(task, key, "log_loss")
    return p.w(
        f"model.{words}_{facts[verdict]}",
        value=p.number(gain["value"], sources.below(source, "value"), 4),
        interval=p.interval(gain, source, p.number, 4),
    )


def metrics_table(p: Page, task: str) -> Table:
    """The model against every baseline."""
    facts, w = p.facts["tasks"][task], p.w
    columns = {"model": facts["model"], **facts["baselines"]}
    heads = [w("model.model"), *(w.known("baselines", name) for name in facts["baselines"])]
    rows = []
    for metric in w.get("metrics"):
        if metric not in facts["model"]:
            continue
        cells = []
        for name, values in columns.items():
            path = (name,) if name == "model" else ("baselines", name)
            if metric not in values or (name == "prior" and metric in CONSTANT_HAS_NONE):
                cells.append(Markup(w.number(None)))
                continue
            source = p.of_metrics(task, *path, metric)
            cells.append(p.estimate(values[metric], source, FEW_DIGITS.get(metric, 2)))
        name = Markup('{}<span class="plain">{}</span>').format(
            w(f"metrics.{metric}.name"), w(f"metrics.{metric}.plain")
        )
        rows.append([name, *cells])
    caption = p.caption(task, w("model.table_title"))
    return Table(caption, [w("model.metric"), *heads], rows, w("model.table_note"))


def slices_table(p: Page, task: str) -> Table | None:
    """Groups the model serves worse, or None if there is none."""
    rows = []
    for row in p.facts["tasks"][task]["slices"]:
        if not row["flag"]:
            continue
        source = sources.row(
            f"evaluation/{task}/slices.csv", dimension=row["dimension"], value=row["value"]
        )
        what = [part.strip() for part in str(row["flag"]).split(",")]
        rows.append(
            [
                Markup("{}{}{}").format(
                    p.w.known("dimensions", row["dimension"]), p.w("model.colon"),
                    p.slice_name(row["dimension"], row["value"]),
                ),
                p.number(row["customers"], sources.cell(source, "customers")),
                p.w("page.comma").join(p.w(f"model.flag_{part}") for part in what),
            ]
        )  # fmt: skip
    if not rows:
        return None
    heads = [p.w("segments.group"), p.w("model.customers"), p.w("model.flag")]
    caption = p.caption(task, p.w("model.slices_title"))
    return Table(caption, heads, rows, p.w("model.slices_note"), numeric=[1])


def has_slices(p: Page, task: str) -> bool:
    """Whether groups were looked at on their own."""
    return bool(p.facts["tasks"][task]["slices"])


def figures(p: Page, task: str) -> list[Figure]:
    """Reliability, gains at capacity, and stability over the test dates."""
    every = (_reliability(p, task), _gains(p, task), _stability(p, task))
    return [figure for figure in every if figure]


def _reliability(p: Page, task: str) -> Figure | None:
    w = p.w
    rows = [row for row in p.facts["tasks"][task]["reliability"] if row["observed"] is not None]
    if not rows:
        return None
    file = f"evaluation/{task}/reliability.csv"
    table = []
    for row in rows:
        source = sources.row(file, bin=row["bin"])
        table.append(
            [
                p.percent(row["predicted"], sources.cell(source, "predicted")),
                p.spanned(row, ("observed", "low", "high"), source, p.percent),
                p.number(row["n"], sources.cell(source, "n")),
            ]
        )
    heads = [w(f"model.{key}") for key in ("predicted", "observed", "customers")]
    svg = charts.reliability(
        [{**row, "row": number} for number, row in enumerate(rows)],
        tick=w.percent,
        text={"x": w.get("model.reliability_x"), "y": w.get("model.reliability_y")},
        description=w.get("model.reliability_alt"),
    )
    return _figure(p, task, "reliability", svg, heads, table, w("model.reliability_note"))


def _gains(p: Page, task: str) -> Figure | None:
    w, rows = p.w, p.facts["tasks"][task]["gains"]
    if not rows:
        return None
    file, capacity = f"evaluation/{task}/gains.csv", p.facts["capacity"]
    nearest = min(rows, key=lambda row: abs(row["share_contacted"] - capacity))
    shown = rows[len(rows) // TABLE_POINTS - 1 :: max(1, len(rows) // TABLE_POINTS)]
    if nearest not in shown:
        shown = sorted([*shown, nearest], key=lambda row: row["share_contacted"])
    position = {row["share_contacted"]: number for number, row in enumerate(shown)}
    table = []
    for row in shown:
        source = sources.row(file, share_contacted=row["share_contacted"])
        table.append(
            [
                p.percent(row["share_contacted"], sources.cell(source, "share_contacted"), 0),
                p.percent(row["share_found"], sources.cell(source, "share_found"), 0),
                p.number(row["lift"], sources.cell(source, "lift"), 2),
            ]
        )
    words = {"bad": p.event(task, "bad")}
    heads = [w(f"model.{key}") for key in ("contacted", "found", "lift")]
    svg = charts.gains(
        [{**row, "row": position.get(row["share_contacted"])} for row in rows],
        capacity=capacity,
        tick=w.percent,
        text={
            "x": w.get("model.gains_x"),
            "y": w.get("model.gains_y"),
            "capacity": str(w("model.gains_capacity", capacity=w.percent(capacity))),
        },
        description=str(w("model.gains_alt", **words)),
    )
    source = sources.row(file, share_contacted=nearest["share_contacted"])
    note = w(
        "model.gains_note",
        capacity=p.percent(nearest["share_contacted"], sources.cell(source, "share_contacted"), 0),
        found=p.hundred(nearest["share_found"], sources.cell(source, "share_found")),
        **words,
    )
    return _figure(p, task, "gains", svg, heads, table, note)


def _stability(p: Page, task: str) -> Figure | None:
    w, rows = p.w, p.facts["tasks"][task]["by_as_of"]
    if not any(row["auc"] is not None for row in rows):
        return None
    known = [row[key] for row in rows for key in ("auc_low", "auc_high", "auc") if row[key]]
    table, marks = [], []
    for number, row in enumerate(rows):
        source = sources.row(f"evaluation/{task}/by_as_of.csv", as_of=row["as_of"])
        table.append(
            [
                p.month(row["as_of"]),
                p.spanned(row, ("auc", "auc_low", "auc_high"), source, p.number, 2),
                p.number(row["n"], sources.cell(source, "n")),
                p.percent(row["base_rate"], sources.cell(source, "base_rate")),
            ]
        )
        marks.append(
            {"row": number, "label": w.month(row["as_of"]), "value": row["auc"],
             "low": row["auc_low"], "high": row["auc_high"]}
        )  # fmt: skip
    heads = [w("model.stability_x"), "AUC", w("model.customers"), w("model.base_rate")]
    svg = charts.over_time(
        marks,
        limits=(min(0.45, *known), min(1.0, max(0.6, *known) + 0.02)),
        tick=lambda at: w.number(at, 2),
        lines=[0.5],
        title=w.get("model.stability_y"),
        x_title=w.get("model.stability_x"),
        description=w.get("model.stability_alt"),
    )
    return _figure(p, task, "stability", svg, heads, table, w("model.stability_note"))


def _figure(
    p: Page,
    task: str,
    key: str,
    svg: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    note: Markup,
) -> Figure:
    shown = p.w(f"model.{key}_title", bad=p.event(task, "bad"))
    table = Table(p.caption(task, clean(shown)), heads, rows)
    return Figure(shown, charts.markup(svg), table, note)
