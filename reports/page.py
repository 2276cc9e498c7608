"""The leadership report's facts in one language: sentences, tables and figures for the template.

Every number is wrapped in `<data>` with its raw value and the artifact it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape

from reports import charts
from reports.facts import LEAST_CUSTOMERS, Facts, direction
from reports.wording import MISSING, Catalog, Wording, clean

CONSTANT_HAS_NONE = ("calibration_slope", "calibration_intercept")
TOP_GROUPS = 8


@dataclass(frozen=True)
class Table:
    """A table for people: cells are text or markup; the first cell of a row is its header."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    numeric: Sequence[int] = ()


@dataclass(frozen=True)
class Figure:
    """A chart with its title, its reading aid and its data."""

    title: str
    svg: Markup
    table: Table
    note: str = ""
    data_from: str = ""


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
        """A displayed value with its raw value and the artifact it came from."""
        value = "" if raw is None else raw
        return Markup('<data value="{}" data-from="{}">{}</data>').format(
            value, f"artifacts/{source}", shown
        )

    def number(self, raw: float | None, source: str, digits: int = 0) -> Markup:
        return self.cite(self.w.number(raw, digits), raw, source)

    def hundred(self, raw: float | None, source: str, scale: float = 100) -> Markup:
        """A share as the bare x of "x of 100", with one decimal below ten."""
        if raw is None:
            return self.cite(self.w.number(None), raw, source)
        shown = min(100.0, raw * scale)
        return self.cite(self.w.number(shown, 1 if shown < 10 else 0), raw, source)

    def interval(
        self, metric: Mapping[str, Any], source: str, show: Callable[..., Markup], *args: Any
    ) -> Markup:
        """`low to high` of a {value, low, high} entry."""
        return self.w(
            "page.interval",
            low=show(metric["low"], f"{source}.low", *args),
            high=show(metric["high"], f"{source}.high", *args),
        )

    def estimate(self, metric: Mapping[str, Any], source: str, digits: int | None = None) -> Markup:
        """`value (low to high)` of a {value, low, high} entry; small values get more digits."""
        if digits is None:
            digits = 3 if abs(metric["value"] or 0) >= 0.1 else 4
        value = self.number(metric["value"], f"{source}.value", digits)
        if metric["low"] is None:
            return value
        interval = self.interval(metric, source, self.number, digits)
        return self.w("page.value_interval", value=value, interval=interval)

    def event(self, task: str, key: str) -> str:
        """A word about a task's outcome: title, rate, did, will, risk, definition."""
        return self.w.get(f"event.{self.facts['tasks'][task]['event']}.{key}")

    def _caption(self, task: str, what: str) -> Markup:
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

    def skipped(self) -> list[tuple[str, str]]:
        """(title, sentence) of each task that was not modelled."""
        return [
            (self.event(task, "title"), clean(facts["skipped"][self.w.language], 1000))
            for task, facts in self.facts["tasks"].items()
            if facts["skipped"]
        ]

    def company(self) -> str:
        about, contract = self.facts["about"], self.facts["contract"]
        return clean(about.get("company") or contract["source"])

    def _test_dates(self, task: str) -> dict[str, str]:
        dates = sorted(self.facts["tasks"][task]["test_as_of"])
        return {"first": self.w.month(dates[0]), "last": self.w.month(dates[-1])}

    # Findings

    def findings(self) -> list[tuple[Markup, list[Markup], str]]:
        """(headline, sentences, grade) of each finding."""
        return [
            (*getattr(self, f"_say_{finding['kind']}")(finding["task"]), finding["grade"])
            for finding in self.facts["findings"]
        ]

    def _say(self, task: str, key: str, value: Markup, interval: Markup, **words: Any) -> Markup:
        key_of_period = "finding.period_snapshot" if self.is_snapshot(task) else "finding.period"
        period = self.w(key_of_period, interval=interval, **self._test_dates(task))
        return self.w(key, value=value, interval=interval, period=period, **words)

    def is_snapshot(self, task: str) -> bool:
        """Whether a task's outcome is a mark on customers at one moment, without times."""
        return self.facts["tasks"][task]["event"] == "churn_snapshot"

    def has_times(self) -> bool:
        """Whether the dates of this report mean anything."""
        return not any(self.is_snapshot(task) for task in self.facts["tasks"])

    def _say_snapshot(self, task: str) -> tuple[Markup, list[Markup]]:
        head = self.w("finding.snapshot_head", title=self.event(task, "title"))
        return head, [self.w("finding.snapshot")]

    def _say_skipped(self, task: str) -> tuple[Markup, list[Markup]]:
        sentence = clean(self.facts["tasks"][task]["skipped"][self.w.language], 1000)
        head = self.w("finding.skipped_head", title=self.event(task, "title"))
        return head, [escape(sentence)]

    def _say_no_signal(self, task: str) -> tuple[Markup, list[Markup]]:
        metric, source = self._metric(task, "auc")
        value = self.hundred(metric["value"], f"{source}.value")
        interval = self.interval(metric, source, self.hundred)
        return self.w("finding.no_signal_head", title=self.event(task, "title")), [
            self._say(task, "finding.no_signal", value, interval),
            self.w("finding.no_signal_then", rate=self.event(task, "rate")),
            self.w("finding.no_signal_lists"),
        ]

    def _say_not_better(self, task: str) -> tuple[Markup, list[Markup]]:
        facts = self.facts["tasks"][task]
        metric = facts["gain_over_best_baseline"]["log_loss"]
        source = f"evaluation/{task}/metrics.json#gain_over_best_baseline.log_loss"
        value = self.number(metric["value"], f"{source}.value", 4)
        interval = self.interval(metric, source, self.number, 4)
        baseline = self.w.known("baselines", facts["best_baseline"])
        return self.w("finding.not_better_head", title=self.event(task, "title")), [
            self._say(task, "finding.not_better", value, interval, baseline=baseline)
        ]

    def _say_found(self, task: str) -> tuple[Markup, list[Markup]]:
        metric, source = self._metric(task, "lift_top_decile")
        value = self.hundred(metric["value"], f"{source}.value", 10)
        interval = self.interval(metric, source, self.hundred, 10)
        words = {key: self.event(task, key) for key in ("did", "will")}
        return self.w("finding.found_head", title=self.event(task, "title")), [
            self._say(task, "finding.found", value, interval, **words)
        ]

    def _say_factor(self, task: str) -> tuple[Markup, list[Markup]]:
        facts = self.facts["tasks"][task]
        row = facts["explained"]["contrast"]
        feature = self.w.feature(row["feature"], self.catalog)
        words = {"did": self.event(task, "did"), "horizon": facts["labels"]["horizon_days"]}
        sentences = []
        for key in ("first", "second"):
            point = row[key]
            source = f"explanation/{task}/dependence.csv#{row['feature']}/{point['bin']}/observed"
            metric = {"low": point["observed_low"], "high": point["observed_high"]}
            sentences.append(
                self._say(
                    task,
                    f"finding.factor_{key}",
                    self.hundred(point["observed_rate"], f"{source}_rate"),
                    self.interval(metric, source, self.hundred),
                    at=self.amount(row["feature"], point["value"]),
                    **words,
                )
            )
        if row["agrees"] == "no":
            sentences.append(self.w("finding.factor_against"))
        head = self.w("finding.factor_head", feature=feature, rate=self.event(task, "rate"))
        return head, sentences

    def _say_no_factor(self, task: str) -> tuple[Markup, list[Markup]]:
        rate = self.event(task, "rate")
        return self.w("finding.no_factor_head", title=self.event(task, "title")), [
            self.w("finding.no_factor", rate=rate, **self._test_dates(task))
        ]

    def _metric(self, task: str, name: str) -> tuple[Mapping[str, Any], str]:
        metric = self.facts["tasks"][task]["model"][name]
        return metric, f"evaluation/{task}/metrics.json#model.{name}"

    def amount(self, feature: str, value: object, *, short: bool = False) -> str:
        """A feature's value with its unit."""
        known = self.catalog.features.get(feature)
        unit = known.unit if known else ""
        return self.w.with_unit(value, unit, self.currency, short=short)

    # Models

    def model_sentences(self, task: str) -> list[Markup]:
        """The verdict, then what the test holds and how well the model ranks."""
        facts = self.facts["tasks"][task]
        source = f"evaluation/{task}/metrics.json"
        did = self.event(task, "did")
        gain = facts["gain_over_best_baseline"]["log_loss"]
        gain_source = f"{source}#gain_over_best_baseline.log_loss"
        auc, auc_source = self._metric(task, "auc")
        return [
            self.w(
                f"model.verdict_{facts['verdict']}",
                baseline=self.w.known("baselines", facts["best_baseline"]),
                value=self.number(gain["value"], f"{gain_source}.value", 4),
                interval=self.interval(gain, gain_source, self.number, 4),
            ),
            self.w(
                "model.sentence_n",
                n=self.number(facts["n"], f"{source}#n"),
                positives=self.number(facts["positives"], f"{source}#positives"),
                rate=self.hundred(facts["base_rate"], f"{source}#base_rate"),
                did=did,
            ),
            self.w(
                "model.sentence_auc",
                value=self.hundred(auc["value"], f"{auc_source}.value"),
                interval=self.interval(auc, auc_source, self.hundred),
                did=did,
            ),
            self.w("model.sentence_calibration"),
        ]

    def metrics_table(self, task: str) -> Table:
        facts, w = self.facts["tasks"][task], self.w
        columns = {"model": facts["model"], **facts["baselines"]}
        heads = [w("model.model"), *(w.known("baselines", name) for name in facts["baselines"])]
        rows = []
        for metric in w.get("metrics"):
            if metric not in facts["model"]:
                continue
            digits = {"log_loss": 4, "brier": 4, "ece": 4}.get(metric, 2)
            source = f"evaluation/{task}/metrics.json"
            cells = [
                self.estimate(
                    values[metric],
                    f"{source}#{name if name == 'model' else f'baselines.{name}'}.{metric}",
                    digits,
                )
                if metric in values and not (name == "prior" and metric in CONSTANT_HAS_NONE)
                else Markup(w.number(None))
                for name, values in columns.items()
            ]
            name = Markup('{}<span class="plain">{}</span>').format(
                w(f"metrics.{metric}.name"), w(f"metrics.{metric}.plain")
            )
            rows.append([name, *cells])
        caption = self._caption(task, w("model.table_title"))
        return Table(caption, [w("model.metric"), *heads], rows, w("model.table_note"))

    def model_figures(self, task: str) -> list[Figure]:
        return [
            figure
            for figure in (self._reliability(task), self._gains(task), self._stability(task))
            if figure
        ]

    def _reliability(self, task: str) -> Figure | None:
        w, every = self.w, self.facts["tasks"][task]["reliability"]
        rows = [row for row in every if row["observed"] is not None]
        if not rows:
            return None
        source = f"evaluation/{task}/reliability.csv"
        seen = [row["observed"] for row in rows]
        alt = w("model.reliability_alt", n=len(rows), low=w.percent(min(seen), 1),
                high=w.percent(max(seen), 1))  # fmt: skip
        text = {"x": w.get("model.reliability_x"), "y": w.get("model.reliability_y")}
        table = [
            [
                w.percent(row["predicted"], 1),
                self._share_interval(row, "observed", "low", "high", f"{source}#{row['bin']}"),
                self.number(row["n"], f"{source}#{row['bin']}/n"),
            ]
            for row in rows
        ]
        heads = [w(f"model.{key}") for key in ("predicted", "observed", "customers")]
        return self._figure(
            task,
            "model.reliability_title",
            charts.reliability(rows, text=text, description=str(alt)),
            heads,
            table,
            w("model.reliability_note"),
            source,
        )

    def _gains(self, task: str) -> Figure | None:
        w, rows = self.w, self.facts["tasks"][task]["gains"]
        if not rows:
            return None
        source = f"evaluation/{task}/gains.csv"
        share = self.facts["capacity"]
        capacity = w.percent(share)
        at = min(rows, key=lambda row: abs(row["share_contacted"] - share))
        words = {"bad": self.event(task, "bad"), "capacity": capacity}
        text = {"x": w.get("model.gains_x"), "y": w.get("model.gains_y")}
        text["capacity"] = str(w("model.gains_capacity", capacity=capacity))
        alt = str(w("model.gains_alt", found=w.percent(at["share_found"]), **words))
        shown = rows[:: max(1, len(rows) // 20)]
        table = [
            [
                w.percent(row["share_contacted"]),
                self.cite(w.percent(row["share_found"]), row["share_found"], source),
                self.number(row["lift"], source, 2),
            ]
            for row in shown
        ]
        heads = [w(f"model.{key}") for key in ("contacted", "found", "lift")]
        svg = charts.gains(rows, capacity=share, text=text, description=alt)
        note = w("model.gains_note", **words)
        return self._figure(task, "model.gains_title", svg, heads, table, note, source)

    def _stability(self, task: str) -> Figure | None:
        w, rows = self.w, self.facts["tasks"][task]["by_as_of"]
        known = [row["auc"] for row in rows if row["auc"] is not None]
        if not known:
            return None
        source = f"evaluation/{task}/by_as_of.csv"
        alt = w("model.stability_alt", n=len(rows), low=w.number(min(known), 2),
                high=w.number(max(known), 2))  # fmt: skip
        text = {"x": w.get("model.stability_x"), "y": w.get("model.stability_y")}
        labelled = [{**row, "label": w.month(row["as_of"])} for row in rows]
        table = []
        for row in rows:
            key = f"{source}#{str(row['as_of'])[:10]}"
            auc = {"value": row["auc"], "low": row["auc_low"], "high": row["auc_high"]}
            table.append(
                [
                    w.month(row["as_of"]),
                    self.estimate(auc, f"{key}/auc", 2),
                    self.number(row["n"], f"{key}/n"),
                    self.cite(w.percent(row["base_rate"], 1), row["base_rate"], f"{key}/base_rate"),
                ]
            )
        heads = [w("model.stability_x"), "AUC", w("model.customers"), w("model.base_rate")]
        svg = charts.stability(labelled, text=text, description=str(alt))
        note = w("model.stability_note")
        return self._figure(task, "model.stability_title", svg, heads, table, note, source)

    def _figure(
        self,
        task: str,
        title: str,
        svg: str,
        heads: Sequence[str],
        rows: Sequence[Sequence[str]],
        note: Markup,
        source: str,
    ) -> Figure:
        shown = self.w(title, bad=self.event(task, "bad"))
        caption = self._caption(task, shown)
        return Figure(shown, Markup(svg), Table(caption, heads, rows), note, f"artifacts/{source}")

    def _share_interval(self, row: Facts, value: str, low: str, high: str, source: str) -> Markup:
        """`12% (10% to 14%)` of three columns of a row."""
        shares = {
            key: self.cite(self.w.percent(row[key], 1), row[key], f"{source}/{key}")
            for key in (value, low, high)
        }
        interval = self.w("page.interval", low=shares[low], high=shares[high])
        return self.w("page.value_interval", value=shares[value], interval=interval)

    # Factors

    def family_figure(self, task: str) -> Figure:
        w, rows = self.w, self.facts["tasks"][task]["explained"]["families"]
        source = f"explanation/{task}/families.csv"
        named = [
            {
                **row,
                "label": w.family(row["family"], self.catalog),
                "value": row["mean_abs_shap"] or 0.0,
                "shown": w.number(row["mean_abs_shap"], 2 if (row["high"] or 0) >= 0.1 else 3),
            }
            for row in rows
        ]
        groups = [
            (w.get(f"families.{key}"), lever, [row for row in named if bool(row["lever"]) is lever])
            for key, lever in (("support", True), ("context", False))
        ]
        top = next((row["label"] for row in named if row["lever"]), "")
        rate = self.event(task, "rate")
        alt = str(w("families.alt", n=len(rows), rate=rate, top=top))
        table = [
            [
                row["label"],
                w("families.lever" if row["lever"] else "families.not_lever"),
                self.estimate(
                    {"value": row["mean_abs_shap"], "low": row["low"], "high": row["high"]},
                    f"{source}#{row['family']}/mean_abs_shap",
                ),
                self.cite(w.percent(row["share"]), row["share"], f"{source}#{row['family']}/share"),
            ]
            for row in named
        ]
        heads = [w(f"families.{key}") for key in ("family", "kind", "strength", "share")]
        title = w("families.figure", title=self.event(task, "title"))
        svg = charts.bars(
            [group for group in groups if group[2]],
            x_title=w.get("families.x"),
            description=alt,
        )
        return Figure(title, Markup(svg), Table(title, heads, table), "", f"artifacts/{source}")

    def feature_table(self, task: str, kind: str) -> Table:
        """The strongest single features: `kind` is "support" or "context"."""
        w = self.w
        rate = self.event(task, "rate")
        rows = []
        for row in self.facts["tasks"][task]["explained"][kind]:
            source = f"explanation/{task}/features.csv#{row['feature']}"
            sign = {1: ("↑", "more"), -1: ("↓", "less"), 0: ("–", "unclear")}[direction(row)]
            words = w(f"factors.{sign[1]}", rate=rate)
            cells = [
                w.feature(row["feature"], self.catalog),
                self.estimate(
                    {"value": row["mean_abs_shap"], "low": row["low"], "high": row["high"]},
                    f"{source}/mean_abs_shap",
                ),
                Markup('<span class="arrow">{}</span> {}').format(sign[0], words),
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
        return Table(w(f"factors.{'features' if kind == 'support' else 'context'}_title",
                       title=self.event(task, "title")), heads, rows)  # fmt: skip

    def factor_notes(self, task: str) -> list[Markup]:
        """What runs against expectation, and how exact the explanation is."""
        explained = self.facts["tasks"][task]["explained"]
        against = sum(row["agrees"] == "no" for row in explained["support"])
        key = "factors.contradictions" if against else "factors.no_contradictions"
        source = f"explanation/{task}/summary.json"
        error = explained["additivity_max_error"]
        return [
            self.w(key, n=against),
            self.w(
                "factors.rows",
                n=self.number(explained["rows"], f"{source}#rows"),
                error=self.cite(f"{error:.0e}", error, f"{source}#additivity_max_error"),
            ),
        ]

    def curves(self, task: str) -> list[Figure]:
        """Dose-response figures of the strongest support factors."""
        rows = self.facts["tasks"][task]["explained"]["curves"]
        points = [point for row in rows for point in row["points"]]
        limits = {
            "model": _limits([point[key] for point in points for key in ("shap_low", "shap_high")]),
            "observed": _limits([point["observed_high"] for point in points]),
        }
        return [self._curve(task, row, limits) for row in rows]

    def _curve(self, task: str, row: Facts, limits: Mapping[str, tuple[float, float]]) -> Figure:
        w, name = self.w, row["feature"]
        source = f"explanation/{task}/dependence.csv"
        label = w.feature(name, self.catalog)
        points = [
            {**point, "shown": self.amount(name, point["value"], short=True)}
            for point in row["points"]
        ]
        for point in points:
            if point["value"] is None:
                point["shown"] = w.get("page.none_recorded")
        seen = [point["observed_rate"] for point in points if point["observed_rate"] is not None]
        alt = w("dose.alt", feature=label, n=len(points), low=w.percent(min(seen, default=None)),
                high=w.percent(max(seen, default=None)))  # fmt: skip
        table = []
        for point in points:
            key = f"{source}#{name}/{point['bin']}"
            shap = {"value": point["shap"], "low": point["shap_low"], "high": point["shap_high"]}
            table.append(
                [
                    self.amount(name, point["value"]),
                    self.estimate(shap, f"{key}/shap", 2),
                    self._share_interval(
                        point, "observed_rate", "observed_low", "observed_high", key
                    ),
                    self.number(point["n"], f"{key}/n"),
                ]
            )
        heads = [w("dose.value"), w("dose.contribution"), w(f"dose.observed_{task}"), w("dose.n")]
        text = {
            "model": w.get(f"dose.model_{task}"),
            "observed": w.get(f"dose.observed_{task}"),
            "n": w.get("dose.n"),
        }
        svg = charts.dependence(
            points, is_risk=task == "churn", limits=limits, text=text, description=str(alt)
        )
        caption = self._caption(task, label)
        return Figure(
            label, Markup(svg), Table(caption, heads, table), data_from=f"artifacts/{source}"
        )

    # Segments

    def segment_figures(self, task: str) -> list[Figure]:
        rows = self.facts["tasks"][task]["segments"]
        dimensions = list(dict.fromkeys(row["dimension"] for row in rows))
        figures = (
            self._segment(task, name, [row for row in rows if row["dimension"] == name])
            for name in dimensions
        )
        return [figure for figure in figures if figure]

    def _segment(self, task: str, dimension: str, rows: list[Facts]) -> Figure | None:
        w = self.w
        shown = [row for row in rows if row["customers"] >= LEAST_CUSTOMERS]
        if len(shown) < 2:
            return None
        source = f"score/{task}/segments.csv"
        shown.sort(key=lambda row: -row["mean_risk"])
        risk, name = self.event(task, "risk"), w.known("dimensions", dimension)
        named = [
            {
                "label": w.category(dimension, row["value"]),
                "value": row["mean_risk"],
                "shown": w.percent(row["mean_risk"], 1),
            }
            for row in shown
        ]
        table = []
        for row in shown:
            label = w.category(dimension, row["value"])
            key = f"{source}#{clean(dimension)}/{clean(row['value'])}"
            table.append(
                [
                    Markup("<bdi>{}</bdi>").format(label),
                    self.number(row["customers"], f"{key}/customers"),
                    self.cite(w.percent(row["mean_risk"], 1), row["mean_risk"], f"{key}/mean_risk"),
                    self.number(row["high_risk_customers"], f"{key}/high_risk_customers"),
                ]
            )
        heads = [w("segments.group"), w("segments.customers"), w("segments.mean_risk", risk=risk),
                 w("segments.high")]  # fmt: skip
        words = {"risk": risk, "dimension": name, "top": named[0]["label"]}
        svg = charts.bars(
            [("", True, named[:TOP_GROUPS])],
            x_title=w.get("segments.x"),
            x_format=".0%",
            description=str(w("segments.alt", **words)),
        )
        hidden = len(rows) - len(shown)
        note = w("segments.hidden", n=hidden, least=LEAST_CUSTOMERS) if hidden else ""
        title = w("segments.title", dimension=name)
        caption = self._caption(task, title)
        return Figure(
            title,
            Markup(svg),
            Table(caption, heads, table, numeric=range(1, 4)),
            note,
            f"artifacts/{source}",
        )

    # Data

    def tables_table(self) -> Table:
        w = self.w
        rows = []
        for name, table in self.facts["contract"]["tables"].items():
            source = f"contract.json#tables.{clean(name)}"
            reasons = [
                w(
                    "data.reason_count",
                    reason=w.reason(reason),
                    n=self.number(n, f"{source}.reasons.{clean(reason)}"),
                )
                for reason, n in table["reasons"].items()
            ]
            known = MISSING
            if table["first_known_at"] and table["last_known_at"]:
                first, last = (str(table[f"{end}_known_at"])[:10] for end in ("first", "last"))
                known = w("page.interval", low=first, high=last)
            rows.append(
                [
                    w.known("tables", name),
                    *(
                        self.number(table[key], f"{source}.{key}")
                        for key in ("read", "kept", "quarantined", "duplicates")
                    ),
                    Markup("<br>").join(reasons) if reasons else MISSING,
                    known,
                ]
            )
        keys = ("table", "read", "kept", "quarantined", "duplicates", "reasons", "known")
        heads = [w(f"data.{key}") for key in keys]
        return Table(w("data.tables_caption"), heads, rows, numeric=range(1, 5))

    def labels_table(self, task: str) -> Table:
        w = self.w
        keys = ("eligible", "labelled", "positives", "immature", "gap_exits")
        rows = []
        for row in self.facts["tasks"][task]["labels"]["by_as_of"]:
            day = str(row["as_of"])[:10]
            source = f"features/summary.json#tasks.{task}.by_as_of.{day}"
            rows.append([day, *(self.number(row[key], f"{source}.{key}") for key in keys)])
        heads = [w("data.as_of")]
        heads += [w(f"data.{key}", did=self.event(task, "did")) for key in keys]
        caption = w("data.labels_table", title=self.event(task, "title"))
        return Table(caption, heads, rows, w("data.labels_note"), range(1, 6))

    def ineligible(self, task: str) -> list[Markup]:
        """Why customers were not eligible, with counts."""
        counts = self.facts["tasks"][task]["labels"].get("ineligible") or {}
        source = f"features/summary.json#tasks.{task}.ineligible"
        return [
            self.w(
                "data.ineligible",
                reason=self.w.reason(reason),
                n=self.number(n, f"{source}.{clean(reason)}"),
            )
            for reason, n in counts.items()
        ]

    def definition(self, task: str) -> Markup:
        labels = self.facts["tasks"][task]["labels"]
        source = f"features/summary.json#tasks.{task}"
        key = f"event.{self.facts['tasks'][task]['event']}.definition"
        return self.w(
            key,
            gap=self.number(labels["gap_days"], f"{source}.gap_days"),
            horizon=self.number(labels["horizon_days"], f"{source}.horizon_days"),
            lag=self.number(labels["lag_days"], f"{source}.lag_days"),
        )

    def names(self, table: str, keys: Sequence[str]) -> str:
        """Known names of `keys`, as a list in one line."""
        return ("、" if self.w.language == "ja" else ", ").join(
            self.w.known(table, k) for k in keys
        )

    def made_from(self) -> list[tuple[str, str]]:
        """(name, value) of what the report was made from."""
        about = self.facts["about"]
        return [
            (self.w.known("about", key), clean(value))
            for key, value in sorted(about.items())
            if key != "company"
        ]


def _limits(values: Sequence[float | None]) -> tuple[float, float]:
    """A common axis for several charts: all values and zero, with a little air."""
    known = [0.0, *(value for value in values if value is not None)]
    air = 0.05 * (max(known) - min(known)) or 1.0
    return (min(known) - (air if min(known) < 0 else 0.0), max(known) + air)
