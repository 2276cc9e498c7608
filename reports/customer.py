"""One customer on one day: score, reasons, what happened until then, and every feature.

The page and the plain text are rendered from one `View`. What customers wrote is not in it: texts
go no further than the tone step. All values from data are cleaned and, on the page, escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.lists import reason_sentence
from reports.wording import Catalog, Wording, clean, is_missing

MONEY = frozenset({"amount", "price", "discount"})
"""Details in the source's currency."""


@dataclass(frozen=True)
class Event:
    """A record the company had: what happened, when, when it was known, and its details."""

    table: str
    kind: str
    at: datetime
    known: datetime
    details: Mapping[str, object]


@dataclass(frozen=True)
class Score:
    """One task. Without a probability `status` says why there is none (a reason of the labels).

    `reasons` as `models.scoring.REASON`; `contributions` are the features' SHAP values in
    log-odds of the task's outcome, the largest first.
    """

    task: str
    status: str
    probability: float | None = None
    base_rate: float | None = None
    reasons: Sequence[Mapping[str, Any]] = ()
    contributions: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True)
class View:
    """Everything known of a customer on a day. `features` by name, in catalog order."""

    customer_id: str
    as_of: datetime
    time_zone: str
    currency: str
    scores: Sequence[Score]
    timeline: Sequence[Event]
    features: Mapping[str, object]


def customer_text(view: View, catalog: Catalog, language: str) -> str:
    """The view as plain text for a terminal."""
    shown = _Shown(view, catalog, Wording(language))
    lines = [shown.title, ""]
    for score in view.scores:
        lines.append(shown.score(score))
        lines += [f"  - {sentence}" for sentence in shown.reasons(score)]
    lines += ["", shown.w.get("customer.timeline")]
    lines += [f"  {at}  {what}" for at, what, _ in shown.timeline()]
    lines += ["", shown.w.get("customer.features")]
    for family, rows in shown.families():
        lines.append(f"  {family}")
        lines += [f"    {label}: {value}" for label, value, _ in rows]
    return "\n".join(lines) + "\n"


def customer_page(view: View, catalog: Catalog, language: str) -> str:
    """The view as one self-contained HTML page."""
    templates = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(templates), autoescape=True, undefined=StrictUndefined
    )
    w = Wording(language)
    shown = _Shown(view, catalog, w)
    return environment.get_template("customer.html").render(
        language=language,
        css=(templates / "leadership.css").read_text(encoding="utf-8"),
        w=w.get("customer"),
        title=shown.title,
        scores=[(shown.score(score), shown.reasons(score)) for score in view.scores],
        timeline=list(shown.timeline()),
        families=[(family, list(rows)) for family, rows in shown.families()],
        tasks=[w.get(f"customer.task_{score.task}") for score in view.scores if score.reasons],
    )


class _Shown:
    def __init__(self, view: View, catalog: Catalog, w: Wording) -> None:
        self.view, self.catalog, self.w = view, catalog, w
        self._zone = ZoneInfo(view.time_zone)

    @property
    def title(self) -> str:
        day = self.w.date(self.view.as_of.astimezone(self._zone))
        return self.w.get("customer.title").format(id=clean(self.view.customer_id), day=day)

    def score(self, score: Score) -> str:
        task = self.w.get(f"customer.task_{score.task}")
        if score.probability is None:
            why = self.w.reason(score.status)
            return self.w.get("customer.no_score").format(task=task, why=why)
        return self.w.get("customer.score").format(
            task=task,
            probability=self.w.percent(score.probability, 1),
            base_rate=self.w.percent(score.base_rate, 1),
        )

    def reasons(self, score: Score) -> list[str]:
        out = []
        for reason in score.reasons:
            value, typical = (
                reason[name] if is_missing(reason[f"{name}_text"]) else reason[f"{name}_text"]
                for name in ("value", "typical")
            )
            feature = self.catalog.features[reason["feature"]]
            out.append(
                reason_sentence(feature, value, typical, self.w.language, self.view.currency)
            )
        return out

    def timeline(self) -> Iterator[tuple[str, str, str]]:
        """When it happened, what, and when it was known if that was on a later day."""
        for event in self.view.timeline:
            at, known = (time.astimezone(self._zone) for time in (event.at, event.known))
            late = self._time(known) if known.date() > at.date() else ""
            kind = self.w.get("customer.kinds").get(f"{event.table}.{event.kind}")
            what = kind or f"{self.w.known('tables', event.table)}: {clean(event.kind)}"
            details = self.w.get("customer.between").join(
                self.w.get("customer.detail").format(
                    name=self.w.known("customer.details", name), value=self._detail(name, value)
                )
                for name, value in event.details.items()
                if not is_missing(value)
            )
            said = self.w.get("customer.event").format(what=what, details=details)
            yield self._time(at), said if details else what, late

    def families(self) -> Iterator[tuple[str, Iterator[tuple[str, str, list[str]]]]]:
        """The features that have a value, by family: label, value, SHAP value per scored task."""
        by_family: dict[str, list[str]] = {}
        for name, value in self.view.features.items():
            if not is_missing(value):
                by_family.setdefault(self.catalog.features[name].family, []).append(name)  # type: ignore[attr-defined]
        for family, names in by_family.items():
            yield self.w.family(family, self.catalog), map(self._feature, names)

    def _feature(self, name: str) -> tuple[str, str, list[str]]:
        unit = self.catalog.features[name].unit
        value = self.view.features[name]
        text = (
            self.w.category(name, value)
            if isinstance(value, str)
            else self.w.with_unit(value, unit, self.view.currency)
        )
        shares = []
        for score in self.view.scores:
            if score.contributions:
                found = dict(score.contributions).get(name, 0.0)
                shares.append(self.w.number(found, 2) if abs(found) >= 0.005 else "")
        return self.w.feature(name, self.catalog), text, shares

    def _detail(self, name: str, value: object) -> str:
        if isinstance(value, bool):
            return self.w.get("customer.yes" if value else "customer.no")
        if isinstance(value, str):
            return self.w.category("language" if name == "language" else name, value)
        unit = "currency" if name in MONEY else "share" if name == "discount_share" else "number"
        return self.w.with_unit(value, unit, self.view.currency)

    def _time(self, at: datetime) -> str:
        return format_datetime(at, "yyyy-MM-dd HH:mm", locale=self.w.locale)
