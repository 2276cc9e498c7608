"""How a feature is declared: the words that family files are written in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.aggregates import Aggregate

Unit = Literal[
    "hours",
    "days",
    "count",
    "share",
    "points",
    "currency",
    "score",
    "tone",
    "level",
    "category",
]
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Family:
    """A group of features that one support practice moves.

    `lever` is False for context: facts about the customer that support cannot act on. `play_*`
    is the next step suggested when the family is a customer's main reason (METHODS G).
    """

    key: str
    lever: bool
    en: str
    ja: str
    play_en: str = ""
    play_ja: str = ""


@dataclass(frozen=True)
class Text:
    """What a person reads: a label, and the sentence for a customer's reason.

    The sentence may use `{value}`, `{typical}` (the typical retained customer) and `{window}`.
    """

    label: str
    reason: str


@dataclass(frozen=True)
class Declared:
    """One feature before its windows are known.

    `windows`: "each" of the configured ones, only the "longest", or "none" for aggregates that
    look at the whole past. `better` is the direction that is expected to go with retention.
    """

    base: str
    stream: str
    aggregate: Aggregate
    unit: Unit
    better: Better | None
    en: str
    ja: str
    windows: Literal["each", "longest", "none"] = "each"

    def __post_init__(self) -> None:
        if not (self.en.strip() and self.ja.strip()):
            raise ValueError(f"{self.base}: declare a label in both English and Japanese")
        if self.aggregate.is_windowed == (self.windows == "none"):
            kind = "needs a window" if self.aggregate.is_windowed else "takes no window"
            raise ValueError(f"{self.base}: {self.aggregate.measure} {kind}")


@dataclass(frozen=True)
class Attribute:
    """A category of the customer as known on the as-of date: `column` of `table`'s last record."""

    base: str
    table: str
    column: str
    en: str
    ja: str
