"""Every feature once: what it is called, what it means in both languages, who can act on it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from features import (
    care,
    channels,
    effort,
    loyalty,
    profile,
    purchases,
    resolution,
    responsiveness,
    returns,
    satisfaction,
    sentiment,
    subscription,
)
from features.aggregates import Aggregate
from features.declare import Attribute, Better, Declared, Text, Unit
from features.streams import STREAM

_MODULES = (
    responsiveness,
    resolution,
    effort,
    sentiment,
    satisfaction,
    channels,
    care,
    returns,
    loyalty,
    purchases,
    subscription,
    profile,
)

FAMILIES = {module.FAMILY.key: module.FAMILY for module in _MODULES}

DECLARED: dict[str, tuple[Declared, ...]] = {
    module.FAMILY.key: module.FEATURES for module in _MODULES
}

ATTRIBUTES: dict[str, tuple[Attribute, ...]] = {
    module.FAMILY.key: module.ATTRIBUTES for module in (subscription, profile)
}


@dataclass(frozen=True)
class Feature:
    """One column of the feature table. `window` is in days, None = the whole past.

    `source` is the stream and aggregate to compute, or the attribute to look up.
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
    source: Declared | Attribute

    @property
    def kind(self) -> str:
        """The measure of the aggregate, or "category"."""
        if isinstance(self.source, Attribute):
            return "category"
        return self.source.aggregate.measure

    @property
    def question(self) -> tuple[Aggregate, int | None]:
        """What the kernel is asked."""
        if isinstance(self.source, Attribute):
            raise TypeError(f"{self.name} is an attribute, not an aggregate")
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
            _attribute(attribute, family)
            for attribute in ATTRIBUTES.get(family, ())
            if attribute.table in tables
        )
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
            en=_text_en(declared.en, window),
            ja=_text_ja(declared.ja, window),
            source=declared,
        )
        for window in spans[declared.windows]
    ]


def _text_en(label: str, window: int | None) -> Text:
    full = label if window is None else f"{label}, last {window} days"
    return Text(full, full + ": {value}; customers who stay typically have {typical}")


def _text_ja(label: str, window: int | None) -> Text:
    full = label if window is None else f"{label}（直近{window}日）"
    return Text(full, full + "：{value}（継続されるお客様の目安：{typical}）")


def _attribute(attribute: Attribute, family: str) -> Feature:
    return Feature(
        name=attribute.base,
        base=attribute.base,
        family=family,
        window=None,
        unit="category",
        better=None,
        lever=False,
        en=_text_en(attribute.en, None),
        ja=_text_ja(attribute.ja, None),
        source=attribute,
    )
