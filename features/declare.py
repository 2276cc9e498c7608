"""How a feature is declared: the words that family files are written in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.aggregates import Aggregate

Unit = Literal[
    "hours",
    "minutes",
    "seconds",
    "days",
    "count",
    "share",
    "points",
    "currency",
    "score",
    "tone",
    "level",
    "flag",
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

    The sentence uses `{value}` and `{typical}` (the typical retained customer), both with their
    unit.
    """

    label: str
    reason: str


@dataclass(frozen=True)
class Benchmark:
    """A figure that the literature on support quotes, in the feature's unit; drawn as a line.

    None of them was verified: every display says so. `low` or `high` None leaves it open.
    """

    low: float | None
    high: float | None
    en: str
    ja: str


@dataclass(frozen=True)
class Declared:
    """One feature before its windows are known.

    `windows`: "each" of the configured ones, only the "longest", or "none" for the whole past:
    the only choice for aggregates without a window, and right for the present state (what is
    open, what is held), whatever its age. `better` is the direction that is expected to go with
    retention.
    `en` and `ja` are the label; `en_reason` and `ja_reason` the sentence a retention team reads,
    with `{value}` and `{typical}`, and `{window}` where the feature has one. `items` are the rows
    S1 to S76 of METHODS section A that it measures. `columns` ("table.column") are nullable
    columns without which a source does not have the feature at all.
    """

    base: str
    stream: str
    aggregate: Aggregate
    unit: Unit
    better: Better | None
    en: str
    ja: str
    en_reason: str = ""
    ja_reason: str = ""
    windows: Literal["each", "longest", "none"] = "each"
    items: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    benchmark: Benchmark | None = None

    def __post_init__(self) -> None:
        _check_words(self)
        if self.windows == "none" and self.aggregate.measure == "trend":
            raise ValueError(f"{self.base}: a trend needs a window")
        if self.windows != "none" and not self.aggregate.is_windowed:
            raise ValueError(f"{self.base}: {self.aggregate.measure} takes no window")


@dataclass(frozen=True)
class Attribute:
    """A fact of the customer as known on the as-of date: `column` of `table`'s last record.

    `name` chooses among the rows of a table that holds one attribute per row. A column of words is
    a category.
    """

    base: str
    table: str
    column: str
    en: str
    ja: str
    en_reason: str = ""
    ja_reason: str = ""
    items: tuple[str, ...] = ()
    name: str | None = None

    def __post_init__(self) -> None:
        _check_words(self)


@dataclass(frozen=True)
class Calendar:
    """Days from the as-of date to the end of its year on the source's clock.

    Known beforehand and the same for every customer, so it can only shift or modify the others.
    """

    base: str
    en: str
    ja: str
    en_reason: str = ""
    ja_reason: str = ""
    items: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_words(self)


def _check_words(source: Declared | Attribute | Calendar) -> None:
    """A feature is told in both languages, or it is not declared."""
    words = (source.en, source.ja, source.en_reason, source.ja_reason)
    if not all(text.strip() for text in words):
        raise ValueError(
            f"{source.base}: declare a label and a reason in both English and Japanese"
        )
    for name, reason in (("en_reason", source.en_reason), ("ja_reason", source.ja_reason)):
        if not ("{value}" in reason and "{typical}" in reason):
            raise ValueError(f"{source.base}: {name} needs {{value}} and {{typical}}")


@dataclass(frozen=True)
class Stream:
    """One fact stream: the tables it needs, its value columns and its SELECT.

    `consent` names the column that is 1 while the customer lets the facts be used and 0 when not:
    while its latest value is 0, every feature of the stream is missing.
    """

    name: str
    needs: tuple[str, ...]
    columns: tuple[str, ...]
    sql: str
    consent: str | None = None


def simple(name: str, table: str, where: str = "true", /, **columns: str) -> Stream:
    """A stream with one fact per record version of `table` that satisfies `where`."""
    values = "".join(f", {expression} AS {column}" for column, expression in columns.items())
    sql = (
        f"SELECT customer_id, first_known, known_from, known_until, event_id AS tie{values}"
        f" FROM {table} WHERE {where}"
    )
    return Stream(name, (table,), tuple(columns), sql)


def flag(condition: str) -> str:
    """1 where the condition holds, 0 where it does not, missing where it is unknown."""
    return f"CAST({condition} AS INTEGER)"


def one_if(condition: str) -> str:
    """1 where the condition holds, otherwise missing: for counting."""
    return f"CASE WHEN {condition} THEN 1 END"


def scaled(kind: str) -> str:
    """A survey answer on 0 (worst) to 100 (best)."""
    return (
        f"CASE WHEN kind = '{kind}'"
        " THEN 100 * (value - scale_min) / nullif(scale_max - scale_min, 0) END"
    )
