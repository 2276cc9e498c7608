"""The plays: what to do for whom, from `text/plays.yaml`, which the team leads edit.

The first play that fits a customer is suggested: its facts hold, and one of the support factors it
answers is the customer's main support reason. Texts are plain text wherever they are shown: markup
and formulas in them stay the characters they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from data.errors import InputError
from reports.wording import LANGUAGES, clean

PATH = Path(__file__).parent / "text" / "plays.yaml"
LONGEST_TEXT = 300
NONE = "none"
KEYS = ("name", "reason", "when", *LANGUAGES)
ORDERED = {
    "above": np.greater,
    "at_least": np.greater_equal,
    "below": np.less,
    "at_most": np.less_equal,
}
OPERATORS = (*ORDERED, "is")


class PlaysError(InputError):
    """The plays cannot be used; the message names the play and the cure."""


@dataclass(frozen=True)
class Condition:
    """A fact about a customer: `column` of the feature table, compared with `value`."""

    column: str
    operator: str
    value: float | str

    def holds(self, rows: pd.DataFrame) -> np.ndarray:
        """Where it holds [bool]; never where the fact is missing."""
        column = rows[self.column]
        if isinstance(self.value, str):
            return (column.astype(object) == self.value).to_numpy(dtype=bool)
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if self.operator == "is":
            return np.isclose(numbers, self.value, rtol=0, atol=1e-6)
        return np.asarray(ORDERED[self.operator](numbers, self.value))


@dataclass(frozen=True)
class Play:
    """One play. `reason` are the factor families it answers; None = whatever the reasons are."""

    name: str
    reason: frozenset[str] | None
    when: tuple[Condition, ...]
    text: Mapping[str, str]


@dataclass(frozen=True)
class Plays:
    """All plays in the order in which they are tried, and the text where none fits."""

    plays: tuple[Play, ...]
    none: Mapping[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the feature table that the plays ask about."""
        return tuple(sorted({c.column for play in self.plays for c in play.when}))

    @property
    def texts(self) -> dict[str, Mapping[str, str]]:
        """The sentences by play and language; those of `none` under "none"."""
        return {play.name: play.text for play in self.plays} | {NONE: self.none}

    def choose(self, rows: pd.DataFrame, family: Sequence[object]) -> tuple[np.ndarray, list[str]]:
        """The name of the play per row of `rows` (object array, None where none fits).

        `family` is the factor family of each row's main support reason, or missing. A play that
        asks about a column which `rows` lack fits nobody; their names are the second value.
        """
        families = pd.Series(list(family), dtype=object).to_numpy()
        chosen = np.full(len(rows), None, dtype=object)
        free = np.ones(len(rows), dtype=bool)
        idle = []
        for play in self.plays:
            if any(condition.column not in rows for condition in play.when):
                idle.append(play.name)
                continue
            fits = free.copy()
            if play.reason is not None:
                fits &= np.isin(families.astype(str), sorted(play.reason))
            for condition in play.when:
                fits &= condition.holds(rows)
            chosen[fits] = play.name
            free &= ~fits
        return chosen, idle


class _Loader(yaml.SafeLoader):
    """YAML in which a key given twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise PlaysError(f"{self.name}: line {line}: {key!r} is given twice; keep one")
        return super().construct_mapping(node, deep)


def load(
    levers: Collection[str], features: Mapping[str, Sequence[str]], path: Path = PATH
) -> Plays:
    """Read and check the plays.

    `levers` are the factor families that support can act on: every one needs a play without
    conditions. `features` maps the names that `when` may use, with or without window, to the
    columns they mean, the longest window last. Raises PlaysError naming the play, what is wrong
    and what would be right.
    """
    if not path.exists():
        raise PlaysError(f"{path} does not exist; restore it (git checkout reports/text)")
    try:
        with path.open(encoding="utf-8") as file:
            loader = _Loader(file)
            loader.name = path.name
            try:
                found = loader.get_single_data()
            finally:
                loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PlaysError(f"{path.name} is not valid YAML in UTF-8: {error}") from error
    check = _Check(path.name, set(levers), features)
    if not (isinstance(found, dict) and set(found) == {"plays", "none"}):
        raise PlaysError(f"{path.name}: needs exactly two parts, `plays` and `none`")
    if not (isinstance(found["plays"], list) and found["plays"]):
        raise PlaysError(f"{path.name}: `plays` must be a list with at least one play")
    plays = tuple(check.play(number, entry) for number, entry in enumerate(found["plays"], start=1))
    names = [play.name for play in plays]
    for name in names:
        if names.count(name) > 1:
            raise PlaysError(f"{path.name}: two plays are called {name}; rename one")
    answered = {key for play in plays if not play.when for key in play.reason or levers}
    for lever in sorted(set(levers) - answered):
        raise PlaysError(
            f"{path.name}: no play without `when` answers the support factor {lever}; add one with"
            f" reason: [{lever}]"
        )
    if not isinstance(found["none"], dict) or set(found["none"]) != set(LANGUAGES):
        raise PlaysError(f"{path.name}: none: needs a text in {' and '.join(LANGUAGES)}, no more")
    return Plays(plays, check.texts("none", found["none"]))


@dataclass(frozen=True)
class _Check:
    file: str
    levers: set[str]
    features: Mapping[str, Sequence[str]]

    def play(self, number: int, entry: Any) -> Play:
        if not (isinstance(entry, dict) and isinstance(entry.get("name"), str)):
            raise PlaysError(f"{self.file}: play {number} needs a name")
        name = clean(entry["name"])
        if name == NONE:
            raise PlaysError(f"{self.file}: play {number} must not be called {NONE}; rename it")
        unknown = sorted(str(key) for key in set(entry) - set(KEYS))
        if unknown:
            raise PlaysError(
                f"{self.file}: {name}: there is no {unknown[0]!r}; a play has {', '.join(KEYS)}"
            )
        return Play(
            name, self._reason(name, entry), self._when(name, entry), self.texts(name, entry)
        )

    def texts(self, name: str, entry: Mapping[str, Any]) -> dict[str, str]:
        out = {}
        for language in LANGUAGES:
            text = entry.get(language)
            if not (isinstance(text, str) and text.strip()):
                raise PlaysError(f"{self.file}: {name}: the text in {language} is missing")
            if len(text) > LONGEST_TEXT:
                raise PlaysError(
                    f"{self.file}: {name}: the text in {language} has {len(text)} characters; use"
                    f" at most {LONGEST_TEXT}"
                )
            out[language] = clean(text, LONGEST_TEXT)
        return out

    def _reason(self, name: str, entry: Mapping[str, Any]) -> frozenset[str] | None:
        given = entry.get("reason")
        if given is None:
            return None
        if not (isinstance(given, list) and given):
            raise PlaysError(f"{self.file}: {name}: reason must be a list, e.g. [resolution]")
        for family in given:
            if family not in self.levers:
                raise PlaysError(
                    f"{self.file}: {name}: {family!r} is no support factor; there are"
                    f" {', '.join(sorted(self.levers))}"
                )
        return frozenset(given)

    def _when(self, name: str, entry: Mapping[str, Any]) -> tuple[Condition, ...]:
        given = entry.get("when", {})
        if not isinstance(given, dict):
            raise PlaysError(
                f"{self.file}: {name}: when must look like {{open_ticket_count: {{at_least: 1}}}}"
            )
        conditions = []
        for feature, test in given.items():
            if feature not in self.features:
                raise PlaysError(
                    f"{self.file}: {name}: there is no feature {feature!r}; docs/features.md lists"
                    " them"
                )
            if not (isinstance(test, dict) and test and set(test) <= set(OPERATORS)):
                raise PlaysError(
                    f"{self.file}: {name}: {feature} needs one of {', '.join(OPERATORS)} and a"
                    " value"
                )
            for operator, value in test.items():
                is_number = isinstance(value, int | float) and not isinstance(value, bool)
                if not (is_number or (operator == "is" and isinstance(value, str))):
                    raise PlaysError(
                        f"{self.file}: {name}: {feature} {operator}: {value!r} is no number"
                    )
                column = self.features[feature][-1]
                conditions.append(
                    Condition(column, operator, value if isinstance(value, str) else float(value))
                )
        return tuple(conditions)
