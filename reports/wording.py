"""Fixed texts, numbers, dates and units in the reader's language.

Every sentence of the reports lives in `text/<language>.toml`; both files have the same keys.
"""

from __future__ import annotations

import math
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Protocol

from babel import Locale
from babel.dates import format_date, format_skeleton
from babel.numbers import format_currency, format_decimal
from markupsafe import Markup

LANGUAGES = ("en", "ja")
LOCALES = {"en": "en_US", "ja": "ja_JP"}
MISSING = "–"
TEXT_LIMIT = 160
COLUMN_REASON = re.compile(
    r"(\w+) (missing|not an allowed value|not finite|below|above)(?: ([\d.]+))?"
)
# Marks that reorder the text around them; words in right-to-left scripts do not need them.
BIDI_CONTROLS = frozenset(
    map(chr, (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
)


class Words(Protocol):
    """A feature's texts in one language; `reason` may hold `{value}`, `{typical}`, `{window}`."""

    @property
    def label(self) -> str: ...
    @property
    def reason(self) -> str: ...


class Feature(Protocol):
    """What the reports need to know of a feature (`features.catalog.Feature` has it)."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def window(self) -> int | None: ...
    @property
    def lever(self) -> bool: ...
    @property
    def en(self) -> Words: ...
    @property
    def ja(self) -> Words: ...


class Family(Protocol):
    """What the reports need to know of a factor family (`features.declare.Family` has it)."""

    @property
    def en(self) -> str: ...
    @property
    def ja(self) -> str: ...
    @property
    def play_en(self) -> str: ...
    @property
    def play_ja(self) -> str: ...


@dataclass(frozen=True)
class Name:
    """What something declared is called, in both languages; `more` is a sentence about it."""

    en: str
    ja: str
    more_en: str = ""
    more_ja: str = ""
    family: str = ""


@dataclass(frozen=True)
class Line:
    """A benchmark that articles quote, unverified; `low` or `high` None leaves it open."""

    low: float | None
    high: float | None
    en: str
    ja: str


@dataclass(frozen=True)
class Kpi:
    """What the report needs to know of a KPI (`features.kpis.Kpi`)."""

    key: str
    panel: str
    en: str
    ja: str
    unit: str
    better: str | None = None
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Catalog:
    """What a run may speak of, by name: features, families, KPIs, panels, levers, claims.

    `kpis` are `Kpi`s or have the same attributes; `plays` are texts by language. `claims` hold the
    article's sentence and, as `more`, what it was checked with; `caveats` are the reservations
    about claims by code, `reasons` what limits the evidence for a lever, and `claims_rule` says how
    verdicts on claims are made.
    """

    features: Mapping[str, Feature]
    families: Mapping[str, Family]
    plays: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    kpis: Mapping[str, Any] = field(default_factory=dict)
    panels: Mapping[str, Name] = field(default_factory=dict)
    levers: Mapping[str, Name] = field(default_factory=dict)
    claims: Mapping[str, Name] = field(default_factory=dict)
    caveats: Mapping[str, Name] = field(default_factory=dict)
    reasons: Mapping[str, Name] = field(default_factory=dict)
    claims_rule: Name | None = None

    def family_of_lever(self, lever: str) -> str:
        """The factor family a lever of the effects belongs to; the lever itself if none."""
        known = self.levers.get(lever)
        return known.family if known and known.family else lever


@cache
def texts(language: str) -> dict[str, Any]:
    """The nested texts of `text/<language>.toml`."""
    if language not in LANGUAGES:
        raise ValueError(f"no texts for language {language!r}; there are {', '.join(LANGUAGES)}")
    path = Path(__file__).parent / "text" / f"{language}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def clean(value: object, limit: int = TEXT_LIMIT) -> str:
    """Text from data on one line: no control or reordering characters, at most `limit` long."""
    kept = "".join(
        " " if char in "\t\r\n\u2028\u2029" else char
        for char in str(value)[: 4 * limit]
        if char in "\t\r\n"
        or (char not in BIDI_CONTROLS and unicodedata.category(char) not in {"Cc", "Cs", "Cn"})
    ).strip()
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def is_missing(value: object) -> bool:
    """True for None, NaN and pandas' missing marks."""
    return value is None or type(value).__name__ in {"NAType", "NaTType"} or value != value


def as_date(value: object) -> date:
    """The calendar day of an ISO string, date or timestamp."""
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])


@lru_cache(maxsize=200_000)
def _decimal(value: float, digits: int, language: str) -> str:
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    return format_decimal(value, format=pattern, locale=LOCALES[language]).replace("-", "−")


class Wording:
    """The texts and formats of one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.locale = Locale.parse(LOCALES[language])
        self._texts = texts(language)

    def get(self, key: str) -> Any:
        """The text, list or table of texts under a dotted key."""
        found: Any = self._texts
        for part in key.split("."):
            found = found[part]
        return found

    def __call__(self, key: str, **values: object) -> Markup:
        """The text under `key` with its placeholders filled; values are escaped."""
        return Markup(self.get(key)).format(**values)

    def known(self, table: str, key: object) -> str:
        """The text for `key` in `table`, or the key itself if the texts do not know it."""
        return self.get(table).get(str(key)) or clean(key)

    def number(self, value: float | None, digits: int = 0) -> str:
        """A decimal number, or a dash where there is none."""
        if is_missing(value) or not math.isfinite(float(value)):  # type: ignore[arg-type]
            return MISSING
        return _decimal(round(float(value), digits) + 0.0, digits, self.language)  # type: ignore[arg-type]

    def percent(self, value: float | None, digits: int = 0) -> str:
        """A share as per cent."""
        return MISSING if is_missing(value) else f"{self.number(100 * value, digits)}%"  # type: ignore[operator]

    def money(self, value: float | None, currency: str) -> str:
        """A large amount, rounded alike in both languages: ￥1,234万, ¥12.34 million."""
        if is_missing(value):
            return MISSING
        amount = float(value)  # type: ignore[arg-type]
        if currency == "JPY" and self.language == "ja":
            if abs(amount) >= 10_000:
                return f"{self.number(amount / 10_000)}万円"
            return f"{self.number(amount)}円"
        if currency == "JPY" and abs(amount) >= 1_000_000:
            return f"¥{self.number(amount / 1_000_000, 2)} million"
        return format_currency(amount, currency, "¤#,##0", self.locale, currency_digits=False)

    def date(self, value: object) -> str:
        """A day, written out."""
        return format_date(as_date(value), format="long", locale=self.locale)

    def month(self, value: object) -> str:
        """Month and year, short."""
        return format_skeleton("yMMM", as_date(value), locale=self.locale)

    def with_unit(
        self, value: object, unit: str, currency: str = "JPY", *, short: bool = False
    ) -> str:
        """A feature's value with its unit: `3.4 hours`, `25%`, `￥12,000`; text stays text.

        `short` abbreviates units for chart axes. Hours below one are shown as minutes and hours
        beyond three days as days.
        """
        if is_missing(value):
            return self.get("units.missing")
        if isinstance(value, str):
            return clean(value)
        amount = float(value)  # type: ignore[arg-type]
        if unit == "share":
            return self.percent(amount)
        if unit == "currency":
            return format_currency(amount, currency, "¤#,##0", self.locale, currency_digits=False)
        if unit == "hours" and 0 < abs(amount) < 1:
            amount, unit = 60 * amount, "minutes"
        elif unit == "hours" and abs(amount) >= 72:
            amount, unit = amount / 24, "days"
        size = abs(amount)
        whole = amount == round(amount) or size >= 10 or (unit == "days" and size < 0.005)
        digits = 0 if whole else 1 if size >= 1 else 2
        if unit == "minutes" or (unit == "days" and size >= 3):
            digits = 0
        shown = self.number(amount, digits)
        if short and unit in self.get("short_units"):
            return self.get("short_units")[unit].format(value=shown)
        forms = self.get("units").get(unit)
        return forms["one" if shown == "1" else "other"].format(value=shown) if forms else shown

    def feature(self, name: str, catalog: Catalog) -> str:
        """The label of a feature."""
        feature = catalog.features.get(name)
        return clean(name) if feature is None else getattr(feature, self.language).label

    def family(self, key: str, catalog: Catalog) -> str:
        """The name of a factor family."""
        family = catalog.families.get(key)
        return clean(key) if family is None else getattr(family, self.language)

    def reason(self, reason: str) -> str:
        """Why a row was set aside; the contract's own phrases are translated."""
        if reason in self.get("reasons"):
            return self.get("reasons")[reason]
        if found := COLUMN_REASON.fullmatch(reason):
            column, problem, bound = found.groups()
            form = self.get("column_reasons")[problem.replace(" ", "_")]
            return clean(form.format(column=column, bound=bound or ""))
        return clean(reason)

    def warning(self, warning: Mapping[str, Any]) -> str:
        """A warning of the data contract; one whose kind the texts do not know as it is."""
        form = self.get("data.warnings").get(str(warning.get("kind")))
        if form is None:
            return clean(warning["message"], 400)
        shown = {name: self._evidence(name, value) for name, value in warning["values"].items()}
        return clean(form.format(**shown), 400)

    def _evidence(self, name: str, value: object) -> str:
        if isinstance(value, str):
            return self.known("tables", value) if name == "outcome" else clean(value)
        if name in ("share", "rest"):
            return self.percent(value, 1)  # type: ignore[arg-type]
        shown = self.number(value, 1 if isinstance(value, float) else 0)  # type: ignore[arg-type]
        return f"+{shown}" if name == "points" and value > 0 else shown  # type: ignore[operator]

    def category(self, dimension: str, value: object) -> str:
        """A category for people: language and country codes become names."""
        if is_missing(value):
            return self.get("units")["missing"]
        names: dict[str, Any] = {
            "language": self.locale.languages,
            "country": self.locale.territories,
        }
        return clean(names.get(dimension, {}).get(str(value)) or self.known("categories", value))
