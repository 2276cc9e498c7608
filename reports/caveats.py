"""The section on data and method: what was read, set aside, defined, and what it is good for."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from reports import sources
from reports.page import Page, Table
from reports.wording import MISSING, clean


def tables(p: Page) -> Table:
    """Rows read, kept, set aside and why, per canonical table."""
    w, rows = p.w, []
    for name, table in p.facts["contract"]["tables"].items():
        source = sources.at("contract.json", "tables", name)
        reasons = [
            w(
                "data.reason_count",
                reason=p.name(w.reason(reason)),
                n=p.number(n, sources.below(source, "reasons", reason)),
            )
            for reason, n in table["reasons"].items()
        ]
        known: str = MISSING
        if table["first_known_at"] and table["last_known_at"]:
            first, last = (p.iso(table[f"{end}_known_at"]) for end in ("first", "last"))
            known = w("page.interval", low=first, high=last)
        rows.append(
            [
                p.name(w.known("tables", name)),
                *(
                    p.number(table[key], sources.below(source, key))
                    for key in ("read", "kept", "quarantined", "duplicates")
                ),
                Markup("<br>").join(reasons) if reasons else MISSING,
                known,
            ]
        )
    keys = ("table", "read", "kept", "quarantined", "duplicates", "reasons", "known")
    heads = [w(f"data.{key}") for key in keys]
    return Table(w("data.tables_caption"), heads, rows, numeric=range(1, 5))


def labels(p: Page, task: str) -> Table:
    """Customers eligible, with outcome and with the event, per as-of date."""
    w = p.w
    keys = ("eligible", "labelled", "positives", "immature", "gap_exits")
    rows = []
    for number, row in enumerate(p.facts["tasks"][task]["labels"]["by_as_of"]):
        source = sources.at("features/summary.json", "tasks", task, "by_as_of", number)
        cells = [p.number(row[key], sources.below(source, key)) for key in keys]
        rows.append([p.iso(row["as_of"]), *cells])
    heads = [w("data.as_of")]
    heads += [w(f"data.{key}", did=p.event(task, "did")) for key in keys]
    caption = w("data.labels_table", title=p.event(task, "title"))
    return Table(caption, heads, rows, w("data.labels_note"), range(1, 6))


def ineligible(p: Page, task: str) -> list[Markup]:
    """Why customers were not eligible, with counts."""
    counts = p.facts["tasks"][task]["labels"].get("ineligible") or {}
    source = sources.at("features/summary.json", "tasks", task, "ineligible")
    return [
        p.w(
            "data.ineligible",
            reason=p.name(p.w.reason(reason)),
            n=p.number(n, sources.below(source, reason)),
        )
        for reason, n in counts.items()
    ]


def definition(p: Page, task: str) -> Markup:
    """How the outcome is defined, with its days."""
    labels = p.facts["tasks"][task]["labels"]
    source = sources.at("features/summary.json", "tasks", task)
    key = f"event.{p.facts['tasks'][task]['event']}.definition"
    days = {
        name: p.number(labels[f"{name}_days"], sources.below(source, f"{name}_days"))
        for name in ("gap", "horizon", "lag")
    }
    return p.w(key, **days)


def warnings(p: Page) -> list[Markup]:
    """The data contract's warnings."""
    return [
        p.w(
            "data.warning",
            table=p.name(p.w.known("tables", warning["table"])),
            message=p.name(p.w.warning(warning)),
        )
        for warning in p.facts["contract"]["warnings"]
    ]


def names(p: Page, table: str, keys: Sequence[str]) -> Markup:
    """Known names of `keys`, as a list in one line."""
    return p.w("page.comma").join(p.name(p.w.known(table, key)) for key in keys)


def made_from(p: Page) -> list[tuple[str, str]]:
    """(name, value) of what the report was made from."""
    about = p.facts["about"]
    return [(p.w.known("about", key), clean(value))
            for key, value in sorted(about.items()) if key != "company"]  # fmt: skip
