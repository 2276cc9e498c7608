"""Every feature once: what it is called, what it means in both languages, who can act on it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from features import (
    agents,
    automation,
    care,
    channels,
    demand,
    digital,
    effort,
    intent,
    loyalty,
    profile,
    purchases,
    resolution,
    responsiveness,
    returns,
    satisfaction,
    season,
    sentiment,
    subscription,
    voice,
)
from features.aggregates import Aggregate
from features.declare import Attribute, Better, Calendar, Declared, Text, Unit
from features.streams import STREAM

_MODULES = (
    responsiveness,
    resolution,
    effort,
    agents,
    automation,
    sentiment,
    satisfaction,
    voice,
    channels,
    digital,
    care,
    returns,
    loyalty,
    purchases,
    subscription,
    profile,
    demand,
    intent,
    season,
)

FAMILIES = {module.FAMILY.key: module.FAMILY for module in _MODULES}

DECLARED: dict[str, tuple[Declared, ...]] = {
    module.FAMILY.key: module.FEATURES for module in _MODULES
}

ATTRIBUTES: dict[str, tuple[Attribute, ...]] = {
    module.FAMILY.key: module.ATTRIBUTES for module in (voice, subscription, profile)
}

CALENDAR: dict[str, tuple[Calendar, ...]] = {season.FAMILY.key: season.CALENDAR}

Source = Declared | Attribute | Calendar

SOURCES: dict[str, tuple[Source, ...]] = {
    family: (*DECLARED[family], *ATTRIBUTES.get(family, ()), *CALENDAR.get(family, ()))
    for family in FAMILIES
}
"""Everything declared, by family, in the order of the feature table."""


@dataclass(frozen=True)
class Feature:
    """One column of the feature table. `window` is in days, None = the whole past.

    `source` is the stream and aggregate to compute, the attribute to look up, or the calendar.
    """

    name: str
    base: str
    family: str
    window: int | None
    unit: Unit
    better: Better | None
    lever: bool
    en: Text
    ja: Text
    source: Source

    @property
    def kind(self) -> str:
        """The measure of the aggregate, "category", "last" or "calendar"."""
        if isinstance(self.source, Declared):
            return self.source.aggregate.measure
        if isinstance(self.source, Attribute):
            return "category" if self.unit == "category" else "last"
        return "calendar"

    @property
    def stream(self) -> str | None:
        """The fact stream that the feature is an aggregate of, if it is one."""
        return self.source.stream if isinstance(self.source, Declared) else None

    @property
    def question(self) -> tuple[Aggregate, int | None]:
        """What the kernel is asked."""
        if not isinstance(self.source, Declared):
            raise TypeError(f"{self.name} is no aggregate")
        return self.source.aggregate, self.window


def features(
    windows: Sequence[int], tables: Collection[str], absent_columns: Collection[str] = ()
) -> tuple[Feature, ...]:
    """All features that a source with these canonical `tables` supports, in catalog order.

    `absent_columns` ("table.column") are the columns that the source's tables do not have.
    """
    out: list[Feature] = []
    for family, declarations in DECLARED.items():
        for declared in declarations:
            needs = set(STREAM[declared.stream].needs)
            if needs <= set(tables) and not set(declared.columns) & set(absent_columns):
                out.extend(_expand(declared, family, windows))
        out.extend(
            _feature(attribute, family, "category")
            for attribute in ATTRIBUTES.get(family, ())
            if attribute.table in tables
            and f"{attribute.table}.{attribute.column}" not in absent_columns
        )
        out.extend(_feature(calendar, family, "days") for calendar in CALENDAR.get(family, ()))
    return tuple(out)


def _expand(declared: Declared, family: str, windows: Sequence[int]) -> list[Feature]:
    spans: dict[str, list[int | None]] = {
        "each": [*sorted(windows)],
        "longest": [max(windows)],
        "none": [None],
    }
    return [
        Feature(
            name=declared.base if window is None else f"{declared.base}_{window}d",
            base=declared.base,
            family=family,
            window=window,
            unit=declared.unit,
            better=declared.better,
            lever=FAMILIES[family].lever,
            en=_text_en(declared, window),
            ja=_text_ja(declared, window),
            source=declared,
        )
        for window in spans[declared.windows]
    ]


def _text_en(source: Source, window: int | None) -> Text:
    label = source.en if window is None else f"{source.en}, last {window} days"
    reason = source.en_reason or label + ": {value}; customers who stay typically have {typical}"
    return Text(label, reason)


def _text_ja(source: Source, window: int | None) -> Text:
    label = source.ja if window is None else f"{source.ja}（直近{window}日）"
    reason = source.ja_reason or label + "：{value}（継続されるお客様の目安：{typical}）"
    return Text(label, reason)


def _feature(source: Attribute | Calendar, family: str, unit: Unit) -> Feature:
    return Feature(
        name=source.base,
        base=source.base,
        family=family,
        window=None,
        unit=unit,
        better=None,
        lever=False,
        en=_text_en(source, None),
        ja=_text_ja(source, None),
        source=source,
    )
