"""The leadership report's first page, and what all of its sections are made with.

Every figure is a `<data>` element with its raw value and the address of its source; dates are
`<time>`, names from data and declarations `<bdi>`. What is left are fixed texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from reports import charts, sources
from reports.facts import Facts
from reports.wording import TEXT_LIMIT, Catalog, Wording, clean

DRIVERS = 10
DECLARED_LIMIT = 1000
SHAPES = {"A": "dot", "B": "dot", "C": "ring", "D": "cross"}
"""How a point says how good its evidence is; also in words beside it."""


@dataclass(frozen=True)
class Table:
    """A table for people: cells are text or markup; the first cell of a row is its header.

    `key` names it for a filter of columns, `children` are rows that a row unfolds to, by its index.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    numeric: Sequence[int] = ()
    key: str = ""
    children: Mapping[int, Sequence[Sequence[str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A chart with its title, its reading aid and its data."""

    title: str
    svg: Markup
    table: Table
    note: str = ""


@dataclass
class Page:
    """The facts in one language: what the templates call."""

    facts: Facts
    catalog: Catalog
    w: Wording
    currency: str = field(init=False)

    def __post_init__(self) -> None:
        self.currency = self.facts["contract"].get("currency") or "JPY"

    def cite(self, shown: object, raw: object, source: str) -> Markup:
        """A displayed value with its raw value and where it came from (see `sources`)."""
        if raw is None:
            return Markup("{}").format(shown)
        return Markup('<data value="{}" data-source="artifacts/{}">{}</data>').format(
            raw, source, shown
        )

    def number(self, raw: float | None, source: str, digits: int = 0) -> Markup:
        return self.cite(self.w.number(raw, digits), raw, source)

    def percent(self, raw: float | None, source: str, digits: int = 1) -> Markup:
        return self.cite(self.w.percent(raw, digits), raw, source)

    def hundred(self, raw: float | None, source: str, scale: float = 100) -> Markup:
        """A share as the bare x of "x of 100", with one decimal below ten."""
        if raw is None:
            return Markup(self.w.number(None))
        shown = min(100.0, abs(raw) * scale)
        return self.cite(self.w.number(shown, 1 if shown < 10 else 0), raw, source)

    def money(self, raw: float | None, source: str) -> Markup:
        return self.cite(self.w.money(raw, self.currency), raw, source)

    def name(self, text: object, limit: int = TEXT_LIMIT) -> Markup:
        """A name from data or a declaration: isolated, so that it cannot turn its surroundings."""
        return Markup("<bdi>{}</bdi>").format(clean(text, limit))

    def feature(self, name: str) -> Markup:
        return self.name(self.w.feature(name, self.catalog))

    def family(self, key: str) -> Markup:
        return self.name(self.w.family(key, self.catalog))

    def declared(self, table: Mapping[str, Any], key: str, part: str = "") -> Markup:
        """The name (or its `part`, such as "more_") of something declared; the key if unknown."""
        found = table.get(key)
        return self.name(getattr(found, part + self.w.language) if found else key, DECLARED_LIMIT)

    def panel(self, key: str) -> Markup:
        """The name of a panel of METHODS, as a heading."""
        found = self.catalog.panels.get(key)
        name = clean(getattr(found, self.w.language) if found else key)
        return self.name(name[:1].upper() + name[1:])

    def day(self, value: object) -> Markup:
        return Markup('<time datetime="{}">{}</time>').format(str(value)[:10], self.w.date(value))

    def month(self, value: object) -> Markup:
        return Markup('<time datetime="{}">{}</time>').format(str(value)[:7], self.w.month(value))

    def iso(self, value: object) -> Markup:
        return Markup("<time>{}</time>").format(str(value)[:10])

    def interval(
        self, metric: Mapping[str, Any], source: str, show: Callable[..., Markup], *args: Any
    ) -> Markup:
        """`low to high` of a {value, low, high} entry."""
        return self.w(
            "page.interval",
            low=show(metric["low"], sources.below(source, "low"), *args),
            high=show(metric["high"], sources.below(source, "high"), *args),
        )

    def estimate(self, metric: Mapping[str, Any], source: str, digits: int | None = None) -> Markup:
        """`value (low to high)` of a {value, low, high} entry; small values get more digits."""
        if digits is None:
            digits = 3 if abs(metric["value"] or 0) >= 0.1 else 4
        value = self.number(metric["value"], sources.below(source, "value"), digits)
        if metric["low"] is None:
            return value
        interval = self.interval(metric, source, self.number, digits)
        return self.w("page.value_interval", value=value, interval=interval)

    def spanned(
        self,
        row: Mapping[str, Any],
        columns: tuple[str, str, str],
        source: str,
        show: Callable[..., Markup],
        *args: Any,
    ) -> Markup:
        """`value (low to high)` of three columns of a CSV row."""
        value, low, high = (show(row[name], sources.cell(source, name), *args) for name in columns)
        if row[columns[0]] is None or row[columns[1]] is None:
            return value
        interval = self.w("page.interval", low=low, high=high)
        return self.w("page.value_interval", value=value, interval=interval)

    def event(self, task: str, key: str) -> str:
        """A word about a task's outcome: title, rate, did, will, risk, definition."""
        return self.w.get(f"event.{self.facts['tasks'][task]['event']}.{key}")

    def caption(self, task: str, what: str) -> Markup:
        return self.w("page.caption", title=self.event(task, "title"), what=what)

    def modelled(self) -> list[str]:
        """Tasks that were modelled, in the order of the facts."""
        return [task for task, facts in self.facts["tasks"].items() if not facts["skipped"]]

    def ranked(self) -> list[str]:
        """Tasks whose ranking of customers can be told from chance."""
        tasks = self.facts["tasks"]
        return [task for task in self.modelled() if tasks[task]["verdict"] != "no_signal"]

    def explained(self) -> list[str]:
        """Tasks whose model may be explained: it has a signal and was explained."""
        tasks = self.facts["tasks"]
        return [
            task
            for task in self.modelled()
            if tasks[task]["explained"] and tasks[task]["verdict"] != "no_signal"
        ]

    def skipped(self) -> list[tuple[str, Markup]]:
        """(title, sentence) of each task that was not modelled."""
        return [
            (self.event(task, "title"), self.reason_skipped(facts["skipped"]))
            for task, facts in self.facts["tasks"].items()
            if facts["skipped"]
        ]

    def reason_skipped(self, sentence: Mapping[str, str]) -> Markup:
        """A sentence of an earlier stage that says why it did nothing."""
        return Markup("<bdi>{}</bdi>").format(clean(sentence[self.w.language], 1000))

    def company(self) -> str:
        about, contract = self.facts["about"], self.facts["contract"]
        return clean(about.get("company") or contract["source"])

    def test_dates(self, task: str) -> dict[str, Markup]:
        dates = sorted(self.facts["tasks"][task]["test_as_of"])
        return {"first": self.month(dates[0]), "last": self.month(dates[-1])}

    def grade(self, grade: str) -> Markup:
        """An evidence grade as a badge in words."""
        key = grade.lower()
        return Markup('<span class="grade {}">{}</span>').format(key, self.w(f"grade.{key}"))

    # Findings

    def findings(self) -> list[tuple[Markup, list[Markup], Markup]]:
        """(headline, sentences, grade) of each finding."""
        return [
            (*getattr(self, f"_say_{found['kind']}")(found), self.grade(found["grade"]))
            for found in self.facts["findings"]
        ]

    def _say(self, task: str, key: str, value: Markup, interval: Markup, **words: Any) -> Markup:
        key_of_period = "finding.period_snapshot" if self.is_snapshot(task) else "finding.period"
        period = self.w(key_of_period, interval=interval, **self.test_dates(task))
        return self.w(key, value=value, interval=interval, period=period, **words)

    def is_snapshot(self, task: str) -> bool:
        """Whether a task's outcome is a mark on customers at one moment, without times."""
        return self.facts["tasks"][task]["event"] == "churn_snapshot"

    def has_times(self) -> bool:
        """Whether the dates of this report mean anything."""
        return not any(self.is_snapshot(task) for task in self.facts["tasks"])

    def _say_snapshot(self, found: Facts) -> tuple[Markup, list[Markup]]:
        head = self.w("finding.snapshot_head", title=self.event(found["task"], "title"))
        return head, [self.w("finding.snapshot")]

    def _say_skipped(self, found: Facts) -> tuple[Markup, list[Markup]]:
        sentence = self.reason_skipped(self.facts["tasks"][found["task"]]["skipped"])
        return self.w("finding.skipped_head", title=self.event(found["task"], "title")), [sentence]

    def _say_no_signal(self, found: Facts) -> tuple[Markup, list[Markup]]:
        task = found["task"]
        metric, source = self.metric(task, "auc")
        value = self.hundred(metric["value"], sources.below(source, "value"))
        interval = self.interval(metric, source, self.hundred)
        return self.w("finding.no_signal_head", title=self.event(task, "title")), [
            self._say(task, "finding.no_signal", value, interval),
            self.w("finding.no_signal_then", rate=self.event(task, "rate")),
            self.w("finding.no_signal_lists"),
        ]

    def _say_not_better(self, found: Facts) -> tuple[Markup, list[Markup]]:
        task = found["task"]
        facts = self.facts["tasks"][task]
        metric = facts["gain_over_best_baseline"]["log_loss"]
        source = self.of_metrics(task, "gain_over_best_baseline", "log_loss")
        value = self.number(metric["value"], sources.below(source, "value"), 4)
        interval = self.interval(metric, source, self.number, 4)
        baseline = self.w.known("baselines", facts["best_baseline"])
        return self.w("finding.not_better_head", title=self.event(task, "title")), [
            self._say(task, "finding.not_better", value, interval, baseline=baseline)
        ]

    def _say_found(self, found: Facts) -> tuple[Markup, list[Markup]]:
        task = found["task"]
        metric, source = self.metric(task, "lift_top_decile")
        value = self.hundred(metric["value"], sources.below(source, "value"), 10)
        interval = self.interval(metric, source, self.hundred, 10)
        words = {key: self.event(task, key) for key in ("did", "will")}
        return self.w("finding.found_head", title=self.event(task, "title"), **words), [
            self._say(task, "finding.found", value, interval, **words)
        ]

    def _say_factor(self, found: Facts) -> tuple[Markup, list[Markup]]:
        task = found["task"]
        facts = self.facts["tasks"][task]
        row = facts["explained"]["contrasts"][found["row"]]
        horizon = self.number(
            facts["labels"]["horizon_days"],
            sources.at("features/summary.json", "tasks", task, "horizon_days"),
        )
        words = {"did": self.event(task, "did"), "horizon": horizon}
        sentences = []
        for key in ("first", "second"):
            point = row[key]
            source = sources.row(
                f"explanation/{task}/dependence.csv", feature=row["feature"], bin=point["bin"]
            )
            low, high = (
                self.hundred(point[f"observed_{end}"], sources.cell(source, f"observed_{end}"))
                for end in ("low", "high")
            )
            sentences.append(
                self._say(
                    task,
                    f"finding.factor_{key}",
                    self.hundred(point["observed_rate"], sources.cell(source, "observed_rate")),
                    self.w("page.interval", low=low, high=high),
                    at=self.amount(row["feature"], point["value"], sources.cell(source, "value")),
                    **words,
                )
            )
        if row["agrees"] == "no":
            sentences.append(self.w("finding.factor_against"))
        rate = self.event(task, "rate")
        head = self.w("finding.factor_head", feature=self.feature(row["feature"]), rate=rate)
        return head, sentences

    def _say_no_factor(self, found: Facts) -> tuple[Markup, list[Markup]]:
        task = found["task"]
        rate = self.event(task, "rate")
        return self.w("finding.no_factor_head", title=self.event(task, "title")), [
            self.w("finding.no_factor", rate=rate, **self.test_dates(task))
        ]

    def _say_effect(self, found: Facts) -> tuple[Markup, list[Markup]]:
        row = self.facts["effects"]["rows"][found["row"]]
        lever = self.declared(self.catalog.levers, row["lever"])
        known = self.catalog.levers.get(row["lever"])
        said = getattr(known, f"more_{self.w.language}") if known else row["lever"]
        contrast = self.name(said[:1].upper() + said[1:], DECLARED_LIMIT)
        head = self.w(
            f"finding.effect_head_{found['grade']}", lever=lever, outcome=self.outcome(row)
        )
        return head, [self.effect_sentence(row, contrast)]

    def outcome(self, row: Facts) -> str:
        """What a lever's effect is on, in a word."""
        known = self.w.get("effects.outcomes")
        return known.get(row["outcome"]) or clean(row["outcome"])

    def effect_sentence(self, row: Facts, contrast: Markup) -> Markup:
        """One number, one interval, one population and one period (METHODS F)."""
        source = sources.row("effects/effects.csv", lever=row["lever"], outcome=row["outcome"])
        value, low, high = (
            self.hundred(row[key], sources.cell(source, key)) for key in ("theta", "low", "high")
        )
        less = row["theta"] < 0
        # Beside an effect of fewer, the ends are numbers of fewer too, so that they change places.
        ends = {"low": high, "high": low} if less else {"low": low, "high": high}
        key = "finding.effect_fewer" if less else "finding.effect_more"
        if row["low"] < 0 < row["high"]:
            key = "finding.effect_either"
            ends = {"low": self.signed(row["low"], sources.cell(source, "low")),
                    "high": self.signed(row["high"], sources.cell(source, "high"))}  # fmt: skip
            value = self.signed(row["theta"], sources.cell(source, "theta"))
        return self.w(
            key,
            contrast=contrast,
            value=value,
            interval=self.w("page.interval", **ends),
            horizon=self.number(row["horizon_days"], sources.cell(source, "horizon_days")),
            tickets=self.number(row["tickets"], sources.cell(source, "tickets")),
            outcome=self.outcome(row),
        )

    def signed(self, raw: float | None, source: str, scale: float = 100) -> Markup:
        """A difference per hundred with its sign."""
        if raw is None:
            return Markup(self.w.number(None))
        shown = self.w.number(raw * scale, 1)
        return self.cite(f"+{shown}" if raw > 0 else shown, raw, source)

    def change(self, raw: float | None, source: str) -> Markup:
        """A whole number with its sign."""
        if raw is None:
            return Markup(self.w.number(None))
        shown = self.w.number(raw)
        return self.cite(f"+{shown}" if raw >= 0.5 else shown, raw, source)

    def metric(self, task: str, name: str) -> tuple[Mapping[str, Any], str]:
        """A metric of the model and its address."""
        return self.facts["tasks"][task]["model"][name], self.of_metrics(task, "model", name)

    def of_metrics(self, task: str, *keys: str) -> str:
        """The address of an entry of a task's metrics."""
        return sources.at(f"evaluation/{task}/metrics.json", *keys)

    def amount(self, feature: str, value: object, source: str) -> Markup:
        """A feature's value with its unit."""
        return self.cite(self.plain_amount(feature, value), value, source)

    def plain_amount(self, feature: str, value: object, *, short: bool = False) -> str:
        known = self.catalog.features.get(feature)
        unit = known.unit if known else ""
        return self.w.with_unit(value, unit, self.currency, short=short)

    # What is at stake, and what changed

    def stake(self) -> list[tuple[str, list[tuple[Markup, Markup]]]]:
        """(title, [(figure, what it is)]) of each task whose list can be used."""
        out = []
        for task, row in self.facts["stake"].items():
            source = sources.at("reports/facts.json", "stake", task)
            figures = [
                (
                    self.number(row[key], sources.below(source, key)),
                    self.w(f"stake.{key}", lost=self.event(task, "lost"),
                           horizon=self.horizon(task)),
                )
                for key in ("expected", "high", "expected_high")
            ]  # fmt: skip
            if row["worth"] is not None:
                each = row["customer_value"]
                words = self.w(
                    "stake.worth" if each else "stake.worth_own",
                    each=self.money(each, self.of_metrics(task, "value", "costs", "customer_value"))
                    if each
                    else "",
                )
                figures.append((self.money(row["worth"], sources.below(source, "worth")), words))
            out.append((self.event(task, "title"), figures))
        return out

    def horizon(self, task: str) -> Markup:
        source = sources.at("features/summary.json", "tasks", task, "horizon_days")
        return self.number(self.facts["tasks"][task]["labels"]["horizon_days"], source)

    def drivers(self) -> Figure | None:
        """The effects of all levers on one scale, the best evidence first; None without effects."""
        effects = self.facts["effects"]
        if not effects or not effects["rows"]:
            return None
        # Levers of one outcome share a scale; the first outcome is the one on the first page.
        first = effects["rows"][0]["outcome"]
        rows = [row for row in effects["rows"] if row["outcome"] == first][:DRIVERS]
        marks, table = [], []
        for number, row in enumerate(rows):
            known = row["theta"] is not None
            marks.append(
                {
                    "row": number,
                    "label": self.plain_lever(row["lever"]),
                    "value": 100 * row["theta"] if known else None,
                    "low": 100 * row["low"] if row["low"] is not None else None,
                    "high": 100 * row["high"] if row["high"] is not None else None,
                    "shape": SHAPES[row["grade"]],
                    "tag": self.w.get(f"grade.short_{row['grade'].lower()}"),
                }
            )
            source = sources.row("effects/effects.csv", lever=row["lever"], outcome=row["outcome"])
            table.append(
                [
                    self.declared(self.catalog.levers, row["lever"]),
                    self.spanned(row, ("theta", "low", "high"), source, self.signed),
                    self.grade(row["grade"]),
                    self.number(row["tickets"], sources.cell(source, "tickets")),
                ]
            )
        svg = charts.intervals(
            [charts.Group("", marks)],
            as_bars=False,
            tick=lambda at: self.w.number(at, 0 if at == round(at) else 1),
            x_title=self.w.get("effects.x"),
            description=str(self.w("effects.alt")),
            ends=(self.w.get("effects.fewer"), self.w.get("effects.more")),
        )
        heads = [self.w(f"effects.{key}") for key in ("lever", "per_hundred", "grade", "tickets")]
        title = self.w("effects.figure", outcome=self.outcome(rows[0]))
        return Figure(title, charts.markup(svg), Table(title, heads, table),
                      self.w("effects.figure_note"))  # fmt: skip

    def plain_lever(self, key: str) -> str:
        known = self.catalog.levers.get(key)
        return clean(getattr(known, self.w.language) if known else key)

    def group(self, dimension: str, value: object) -> str:
        """The name of a group of customers."""
        return self.w.category(dimension, value)

    def slice_name(self, dimension: str, value: object) -> Markup:
        """The name of a slice of the evaluation; a date is a date."""
        if dimension == "as_of":
            return self.iso(value)
        return self.name(self.w.category(dimension, value))

    def support_short(self) -> list[Markup]:
        """Per task in one sentence: do support factors improve the prediction at all."""
        return [
            self.w(f"model.short_{self.facts['tasks'][task]['support_adds']}",
                   title=self.event(task, "title"))
            for task in self.ranked()
            if self.facts["tasks"][task]["support_adds"]
        ]  # fmt: skip

    def claims_rule(self) -> Markup:
        """How the verdicts on claims are made."""
        rule = self.catalog.claims_rule
        return self.name(getattr(rule, self.w.language), DECLARED_LIMIT) if rule else Markup("")

    def no_effects(self) -> Markup:
        """Why there are no estimated effects."""
        effects = self.facts["effects"]
        if effects and effects["summary"].get("skipped"):
            return self.reason_skipped(effects["summary"]["skipped"])
        return self.w("effects.none")
