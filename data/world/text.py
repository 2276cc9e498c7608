"""Message text, composed from the phrases in `phrases/<language>.toml`.

A message is a pattern of slots. What a slot may say depends on the context axes of that slot
(topic, tone, register, ...); an axis level that a language does not distinguish stands under
`any`. Slots are drawn independently, so the grammar spans far more messages than are written.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.world.draws import Array, happens, uniform
from data.world.parameters import LANGUAGES, PRODUCTS, TOPICS

PHRASES = Path(__file__).parent / "phrases"

KINDS = (
    "request", "bot_ack", "bot_loop", "to_bot", "reply", "note", "ask", "answer", "chase",
    "second_reply", "thanks", "bot_fallback", "clarify", "correction", "comment",
)  # fmt: skip
BY_CUSTOMER = ("request", "to_bot", "answer", "chase", "thanks", "comment")
TONES = ("angry", "unhappy", "neutral", "happy", "delighted", "sarcastic")
SARCASTIC = 0.05  # of angry and unhappy messages
SILENT = 0.30  # of customers' messages that say nothing of how they feel
ASIDE = 0.25  # of those that say it one or two steps away from how they feel
TYPOS = 0.05  # of customers' messages

ABOUT_ARTICLE = tuple(TOPICS.index(topic) for topic in ("defect", "howto", "returns"))

LEVELS: dict[str, tuple[str, ...]] = {
    "polite": ("casual", "polite"),
    "topic": TOPICS,
    "about": ("service", "article"),
    "product": tuple(str(number) for number in range(PRODUCTS)),
    "tone": TONES,
    "severe": ("mild", "severe"),
    "personal": ("fresh", "known"),
    "empathic": ("plain", "warm"),
    "solved": ("open", "solved"),
}
AXES: dict[str, tuple[str, ...]] = {
    "opener": ("polite",),
    "opener_again": ("polite",),
    "tried": ("about", "polite"),
    "when": ("topic",),
    "product": ("polite", "topic", "product"),
    "situation": ("polite", "topic"),
    "detail": ("about", "polite"),
    "feeling": ("polite", "tone"),
    "ask": ("polite",),
    "close": ("polite",),
    "answer": ("polite",),
    "comment_more": ("polite",),
    "verdict": ("polite", "tone"),
    "chase": ("about", "polite"),
    "clarify": ("about",),
    "thanks_open": ("polite",),
    "thanks": ("polite", "tone"),
    "close_thanks": ("polite",),
    "apology": ("severe",),
    "history": ("personal",),
    "warmth": ("empathic",),
    "solution": ("solved", "topic"),
}
"""What each slot depends on; a slot that is not listed depends on nothing."""


@dataclass(frozen=True)
class Lines:
    """What has to be said, one entry per message; codes index `KINDS`, `LANGUAGES`, `LEVELS`."""

    id: Array
    kind: Array
    language: Array
    topic: Array
    product: Array
    tone: Array
    polite: Array
    severe: Array
    empathic: Array
    personal: Array
    solved: Array

    @property
    def about(self) -> Array:
        """Whether it is about the article itself, which can be looked at and restarted."""
        return np.isin(self.topic, ABOUT_ARTICLE).astype(int)

    @staticmethod
    def concatenate(parts: list[Lines]) -> Lines:
        """Several scripts as one."""
        names = [f.name for f in fields(Lines)]
        return Lines(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


@dataclass(frozen=True)
class Slot:
    """All phrases of one slot: context -> alternatives -> phrases, as offsets into one array."""

    axes: tuple[str, ...]
    phrases: pa.Array
    first_alternative: Array  # per context, one more at the end
    first_phrase: Array  # per alternative, one more at the end

    def say(self, seed: int, purpose: str, lines: Lines, rows: Array) -> pa.Array:
        """A phrase for each of the rows."""
        context = np.zeros(rows.size, dtype=np.int64)
        for axis in self.axes:
            context = context * len(LEVELS[axis]) + getattr(lines, axis)[rows]
        key = lines.id[rows]
        alternative = _within(self.first_alternative, context, uniform(seed, purpose, key))
        phrase = _within(self.first_phrase, alternative, uniform(seed, purpose, key, 1))
        return self.phrases.take(pa.array(phrase))


def _within(first: Array, group: Array, u: Array) -> Array:
    size = first[group + 1] - first[group]
    return first[group] + (u * size).astype(np.int64)


@dataclass(frozen=True)
class Grammar:
    """Patterns and slots of one language."""

    joiner: str
    typos: tuple[tuple[str, str], ...]  # what is meant, what is typed
    patterns: dict[str, list[list[list[str]]]]  # kind -> patterns -> words -> slots
    slots: dict[str, Slot]


def tone(score: Array) -> Array:
    """Index into `TONES` (without sarcasm) of moods on a scale of about -2 to 2."""
    return np.searchsorted((-1.0, -0.35, 0.45, 1.1), score)


def _find(node: dict | list, path: Sequence[str]) -> list:
    """Follow `path`, or `any` where a level is not distinguished."""
    for level in (*path, "any"):
        if isinstance(node, list):
            return node
        if level not in node and "any" not in node:
            break
        node = node[level] if level in node else node["any"]
    if isinstance(node, list):
        return node
    raise ValueError(f"no phrases for {'.'.join(path)}")


def _slot(name: str, table: dict, joiner: str) -> Slot:
    axes = AXES.get(name, ())
    phrases: list[str] = []
    first_alternative, first_phrase = [0], [0]
    for path in itertools.product(*(LEVELS[axis] for axis in axes)):
        for alternative in _find(table, path):
            parts = [[alternative]] if isinstance(alternative, str) else alternative
            phrases.extend(joiner.join(words) for words in itertools.product(*parts))
            first_phrase.append(len(phrases))
        first_alternative.append(len(first_phrase) - 1)
    return Slot(axes, pa.array(phrases), np.array(first_alternative), np.array(first_phrase))


@cache
def grammar(language: str) -> Grammar:
    """Read the phrases of one language. Raises ValueError where a context has none."""
    content = tomllib.loads((PHRASES / f"{language}.toml").read_text(encoding="utf-8"))
    patterns = {
        kind: [[word.split("+") for word in pattern.split()] for pattern in alternatives]
        for kind, alternatives in content["patterns"].items()
    }
    words = itertools.chain.from_iterable(itertools.chain.from_iterable(patterns.values()))
    used = set(itertools.chain.from_iterable(words))
    slots = {name: _slot(name, content[name], content["joiner"]) for name in sorted(used)}
    typos = tuple((right, wrong) for right, wrong in content["typos"])
    return Grammar(content["joiner"], typos, patterns, slots)


def compose(seed: int, lines: Lines) -> pa.Array:
    """The text of every line. A line's text depends on its own entry alone."""
    if not lines.id.size:
        return pa.array([], pa.string())
    lines = _as_said(seed, lines)
    spoken: list[pa.Array] = []
    positions: list[Array] = []
    group = lines.language * len(KINDS) + lines.kind
    for code in np.unique(group):
        language, kind = divmod(int(code), len(KINDS))
        speech = grammar(LANGUAGES[language])
        patterns = speech.patterns[KINDS[kind]]
        rows = np.flatnonzero(group == code)
        pattern = (uniform(seed, "pattern", lines.id[rows]) * len(patterns)).astype(int)
        for number, words in enumerate(patterns):
            chosen = rows[pattern == number]
            said = [
                pc.binary_join_element_wise(
                    *(speech.slots[slot].say(seed, f"say {slot}", lines, chosen) for slot in word),
                    "",
                )
                for word in words
            ]
            spoken.append(pc.binary_join_element_wise(*said, speech.joiner))
            positions.append(chosen)
    order = np.argsort(np.concatenate(positions), kind="stable")
    text = pa.concat_arrays(spoken).take(pa.array(order))
    text = pc.utf8_trim_whitespace(pc.replace_substring_regex(text, " {2,}", " "))
    return _with_typos(seed, lines, text)


def _as_said(seed: int, lines: Lines) -> Lines:
    """What people show of their mood: some nothing, some more or less of it, some the reverse."""
    neutral, most = TONES.index("neutral"), TONES.index("delighted")
    u = uniform(seed, "shown", lines.id)
    away = np.take((-2, -1, 1, 2), (4 * uniform(seed, "shown away", lines.id)).astype(int))
    shifted = np.clip(lines.tone + away, 0, most)
    tone = np.where(u < SILENT, neutral, np.where(u < SILENT + ASIDE, shifted, lines.tone))
    sarcastic = (tone < neutral) & happens(seed, "sarcasm", SARCASTIC, lines.id)
    return replace(lines, tone=np.where(sarcastic, TONES.index("sarcastic"), tone))


def _with_typos(seed: int, lines: Lines, text: pa.Array) -> pa.Array:
    typing = np.isin(lines.kind, [KINDS.index(kind) for kind in BY_CUSTOMER])
    rows = np.flatnonzero(typing & happens(seed, "typo", TYPOS, lines.id))
    where = uniform(seed, "typo where", lines.id[rows])
    slips = [grammar(LANGUAGES[language]).typos for language in lines.language[rows]]
    originals = text.take(pa.array(rows)).to_pylist()
    changed = [_mistype(*row) for row in zip(originals, slips, where, strict=True)]
    mask = np.zeros(len(text), dtype=bool)
    mask[rows] = True
    return pc.replace_with_mask(text, pa.array(mask), pa.array(changed, pa.string()))


def _mistype(text: str, slips: tuple[tuple[str, str], ...], where: float) -> str:
    """Make one of the slips that the text allows; a text that allows none stays as it is."""
    possible = [(right, wrong) for right, wrong in slips if right in text]
    if not possible:
        return text
    right, wrong = possible[int(where * len(possible))]
    return text.replace(right, wrong, 1)
