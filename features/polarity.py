"""Polarity of customer messages: a number in [-1, 1], or NaN where there is nothing to say.

A rule-based scorer, transparent and deterministic; nothing is fitted. It looks words and idioms
up in `polarity_lexicon/<language>.tsv` and sums their valences (about -3 to 3). The sum x becomes
x / sqrt(x^2 + 15), the scale of VADER (Hutto and Gilbert, 2014), so languages share one scale.

- English: VADER's lexicon and rules (negation, intensifiers, "but") on each sentence, corrected for
  support: words such as "please", "help" or "create" are not praise, idioms such as "charged twice"
  are looked up before single words, and a denied function ("won't load") is a complaint.
- Japanese: SudachiPy morphemes (split mode B) reduced to a stream of normalised dictionary forms
  without particles, tense and politeness, so one entry covers all its inflections and spellings.
  Rules handle negation (a praise is negated by a predicate up to three words on, a complaint only
  by an adjacent one: a malfunction with a refusal is two complaints), intensifiers, requests
  and questions ("please solve it" does not say it is solved), and contrast, where the later
  clause counts more.
- Chinese and Korean: a few hundred substrings with local negation and contrast; much coarser.

Formulas (greetings, cushions, closings) carry no sentiment and do not count as coverage.
A text in which no lexicon entry is found, an empty text and an unsupported language give NaN:
missing, never neutral. A text whose found words cancel or are only requested gives 0.

Limits. The lexicons are general support and commerce vocabulary, not tuned to a company's
products; irony, sarcasm and complaints told as bare facts go unseen; a description of a fault
counts as negative, however calm. Long texts saturate. `tests/features/polarity_cases.tsv` is
written by the author of the lexicons, who has seen its errors: it guards against regressions and
is no validation. Unseen text fares worse. On 66 short messages of real users of an e-mail program
(English), labelled before they were scored, the sign agreed on .71; of the 43 polar ones 84 % had
a score and 5 the opposite sign. On 54 new Japanese sentences, before the lexicon learned from
them, it agreed on .85; of the 42 polar ones 88 % had a score and 2 the opposite sign. Label a
sample of your own messages before relying on it; `python -m benchmarks.tone` measures the rest.

A language of None is guessed from the script alone: kana is Japanese, hangul Korean, Han
characters with common Chinese function words Chinese, Latin letters English (French or German
too; they mostly find no entry and give NaN).
"""

from __future__ import annotations

import csv
import hashlib
import html
import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

NAME = "lexicon-rules"
VERSION: str
"""Versions of rules, lexicons (hash of their bytes) and libraries; computed on first use."""

RULES_VERSION = 2
LANGUAGES = ("en", "ja", "ko", "zh")
MAX_CHARACTERS = 4000
"""Characters of a message that are read; the tokenizer refuses very long inputs."""

LEXICON_FOLDER = Path(__file__).with_name("polarity_lexicon")
SCALE = 15.0
EARLIER_CLAUSE, LATER_CLAUSE = 0.5, 1.3
NEGATED_PRAISE, NEGATED_COMPLAINT = -0.9, -0.5

Scorer = Callable[[str], float]


def polarity(texts: Sequence[str | None], languages: Sequence[str | None]) -> np.ndarray:
    """Return one polarity per text: float64 in [-1, 1], NaN where nothing can be said.

    `languages` holds one ISO 639-1 code per text (a region after it is ignored), or None to guess
    from the script. Each distinct pair is scored once. Raises ValueError if lengths differ.
    """
    if len(texts) != len(languages):
        raise ValueError(
            f"{len(texts)} texts but {len(languages)} languages; pass one (or None) per text."
        )
    scorers: dict[str, Scorer] = {}
    scores: dict[tuple[str, str | None], float] = {}
    result = np.full(len(texts), np.nan)
    for row, (text, language) in enumerate(zip(texts, languages, strict=True)):
        if not isinstance(text, str) or not text or text.isspace():
            continue
        pair = (text, language if isinstance(language, str) else None)
        if pair not in scores:
            scores[pair] = _score(*pair, scorers)
        result[row] = scores[pair]
    return result


def detect_language(text: str) -> str | None:
    """Guess the language from the script alone; None where the script does not tell."""
    for language, pattern in _SCRIPTS:
        if pattern.search(text):
            return language
    return None


_SCRIPTS = (
    ("ja", re.compile("[ぁ-んァ-ヴｦ-ﾝ]")),
    ("ko", re.compile("[가-힣]")),
    ("zh", re.compile("[的了吗嗎们們这這没您请請什么]")),
    ("en", re.compile("^[^一-鿿]*[A-Za-z]{2}")),
)


def _score(text: str, language: str | None, scorers: dict[str, Scorer]) -> float:
    text = html.unescape(text[:MAX_CHARACTERS])
    code = re.split("[-_]", language.strip().lower())[0] if language else detect_language(text)
    if code not in LANGUAGES:
        return math.nan
    if code not in scorers:
        scorers[code] = _SCORERS[code]()
    return scorers[code](text)


def _squash(total: float) -> float:
    return total / math.sqrt(total * total + SCALE)


def __getattr__(name: str) -> str:
    # Reading and hashing files while importing would be a side effect, so VERSION is read lazily.
    if name == "VERSION":
        return _version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _version() -> str:
    digest = hashlib.sha256()
    for language in LANGUAGES:
        digest.update((LEXICON_FOLDER / f"{language}.tsv").read_bytes())
    packages = ("vaderSentiment", "SudachiPy", "SudachiDict-core")
    return "; ".join(
        [
            f"rules {RULES_VERSION}",
            f"lexicons sha256:{digest.hexdigest()[:16]}",
            *(f"{package} {version(package)}" for package in packages),
        ]
    )


class Entry(NamedTuple):
    """One lexicon row: role `word` has a valence, `formula` has none, `booster` a multiplier.

    A `function` is what a product or a company does ("load", 返金); denied, it is a complaint of
    its value, else it says nothing. A `denial` denies it in English, a rule does in Japanese.
    """

    text: str
    role: str
    value: float


@cache
def lexicon(language: str) -> tuple[Entry, ...]:
    """Read one lexicon. Raises ValueError for a repeated entry or an unknown role."""
    path = LEXICON_FOLDER / f"{language}.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        entries = tuple(Entry(row["entry"], row["role"], float(row["value"])) for row in rows)
    seen: set[str] = set()
    for entry in entries:
        if entry.text in seen:
            raise ValueError(f"{path.name}: {entry.text!r} is listed twice; keep one row.")
        if entry.role not in ("word", "formula", "booster", "denial", "function"):
            raise ValueError(f"{path.name}: {entry.text!r} has the unknown role {entry.role!r}.")
        seen.add(entry.text)
    return entries


class Phrases:
    """Longest-match lookup of symbol sequences."""

    def __init__(self, phrases: Iterable[tuple[tuple[str, ...], float | None]]) -> None:
        """Take (symbols, value) pairs; the first of two equal sequences wins."""
        self._values: dict[tuple[str, ...], float | None] = {}
        lengths: dict[str, set[int]] = {}
        for symbols, value in phrases:
            self._values.setdefault(symbols, value)
            lengths.setdefault(symbols[0], set()).add(len(symbols))
        self._lengths = {head: sorted(found, reverse=True) for head, found in lengths.items()}
        self.heads = frozenset(lengths)

    def match(self, symbols: Sequence[str], start: int) -> tuple[int, float | None] | None:
        """Return (length, value) of the longest phrase that begins at `start`, if any."""
        for length in self._lengths.get(symbols[start], ()):
            phrase = tuple(symbols[start : start + length])
            if phrase in self._values:
                return length, self._values[phrase]
        return None


# English


def _english() -> Scorer:
    phrases, analyzer, boosters = _english_resources()
    sentences: dict[str, float] = {}

    def score_sentence(text: str) -> float:
        words = text.split()
        bare = [word.lower().strip(_ENGLISH_PUNCTUATION) for word in words]
        kept: list[str] = []
        position = 0
        while position < len(words):
            found = phrases.match(bare, position) if bare[position] in phrases.heads else None
            if found is None:
                kept.append(words[position])
                position += 1
                continue
            length, value = found
            if value is not None:
                kept.append(_phrase_token(value))
            position += length
        lowered = (word.lower().strip(_ENGLISH_PUNCTUATION) for word in kept)
        if not any(word in analyzer.lexicon and word not in boosters for word in lowered):
            return math.nan
        return _unsquash(analyzer.polarity_scores(" ".join(kept))["compound"])

    def score(text: str) -> float:
        total, is_covered = 0.0, False
        for sentence in _ENGLISH_SENTENCE.split(text.replace("’", "'")):
            if sentence not in sentences:
                sentences[sentence] = score_sentence(sentence)
            value = sentences[sentence]
            if math.isnan(value):
                continue
            if _ENGLISH_CONTRAST.match(sentence):
                total, value = EARLIER_CLAUSE * total, LATER_CLAUSE * value
            total += value
            is_covered = True
        return _squash(total) if is_covered else math.nan

    return score


_ENGLISH_PUNCTUATION = '.,;:!?"()[]{}*_~<>-…'
# VADER is made for sentences: over a long text its "but" would weigh everything before and after,
# and its time grows with the square of the length.
_ENGLISH_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_ENGLISH_CONTRAST = re.compile(r"\W*(?:but|however)\b", re.IGNORECASE)


def _unsquash(compound: float) -> float:
    compound = max(-_NEARLY_ONE, min(_NEARLY_ONE, compound))
    return compound * math.sqrt(SCALE) / math.sqrt(1 - compound * compound)


_NEARLY_ONE = 0.9975  # a sum of 54; VADER rounds to four digits


def _phrase_token(value: float) -> str:
    return f"phrase{value:+}"


@cache
def _english_resources():
    from vaderSentiment.vaderSentiment import BOOSTER_DICT, SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    phrases: list[tuple[tuple[str, ...], float | None]] = []
    for entry in lexicon("en"):
        words = tuple(entry.text.split())
        if entry.role == "formula":
            analyzer.lexicon.pop(entry.text, None)
        if len(words) > 1 and entry.role in ("word", "formula"):
            phrases.append((words, _valence(entry)))
        elif entry.role == "word":
            analyzer.lexicon[entry.text] = entry.value
    denials = [entry.text.split() for entry in lexicon("en") if entry.role == "denial"]
    # After the entries of the file, which win.
    phrases += [
        ((*denial, entry.text), entry.value)
        for entry in lexicon("en")
        if entry.role == "function"
        for denial in denials
    ]
    analyzer.lexicon.update({_phrase_token(v): v for _, v in phrases if v is not None})
    return Phrases(phrases), analyzer, frozenset(BOOSTER_DICT)


# Japanese

NOT, BREAK, BUT, IF, REQUEST, REGRET = "<not>", "<break>", "<but>", "<if>", "<request>", "<regret>"
_TE = "<te>"
_CAN = "出来る"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEGATIONS = _words("ない 無い ず ぬ 無し 無くなる 兼ねる まい")
_CONTRAST_PARTICLES = _words("が けれど ものの")
_CONTRAST_CONJUNCTIONS = _words("然し ただ 只 但し でも が だが ですが けれど ところが 尤も")
_REQUESTS = _words("たい 欲しい 願う 御願い 願い 希望")
_REPAIRS = _words("解決 解消 改善 復旧 回復 修復 直る 治る 払拭")
_DROPPED = _words("""
    為る 有る 御座る 居る おる です だ ます た 致す 参る れる られる 御 さん 的 り さ げ そう 等
    こと 事 もの 物 わけ 訳 よう 様 ところ 所 ため 為 点 何 其の 此の
""")
"""Morphemes that leave no symbol: auxiliaries, politeness, formal nouns."""
_LIGHT = _words("""
    出来る 成る 思う 思える 言う 言える 感じる 感じられる 感ずる 覚える 見る 見える 見当たる
    呉れる 貰う もらえる 貰える 頂く いただける 頂ける 下さる 受ける 付く 行く 来る 仕舞う
    出る 起きる 起こる 発生 多い
""")
"""Words between an entry and its negation that do not part them (満足 出来る <not>)."""
_NONI = re.compile("(?<=[たなだいうくすつぬむぐぶる])のに")
"""のに is cut into two particles of other uses; けど says the same ("although") and is not."""
_SENTENCE = re.compile("[。．｡！？!?\n]+")


class Symbol(NamedTuple):
    """What a morpheme contributes: a symbol ('' for none), and whether it can follow て."""

    text: str
    auxiliary: bool
    boost: float = 1.0


class Hit(NamedTuple):
    """A lexicon entry found in a symbol stream, at [start, end)."""

    start: int
    end: int
    value: float


class _Japanese:
    """Dictionary, lexicon and the symbols of the morphemes met so far; one per process."""

    def __init__(self) -> None:
        from sudachipy import Dictionary, SplitMode

        self._dictionary = Dictionary()
        self._mode = SplitMode.B
        self._symbols: dict[int, Symbol] = {}
        self._boosters: dict[str, float] = {}
        tokenizer = self.tokenizer()
        entries = lexicon("ja")
        self._boosters = {
            next(iter(tokenizer.tokenize(entry.text))).normalized_form(): entry.value
            for entry in entries
            if entry.role == "booster"
        }
        self._symbols.clear()
        said = [(entry, tuple(self.stream(entry.text, tokenizer)[0])) for entry in entries]
        self.phrases = Phrases(
            [(symbols, _valence(e)) for e, symbols in said if e.role in ("word", "formula")]
            + [
                ((*symbols, *denial), e.value)
                for e, symbols in said
                if e.role == "function"
                for denial in ((NOT,), (_CAN, NOT))
            ]
        )

    def tokenizer(self):
        """Return a new tokenizer: cheap, and one must not be shared between threads."""
        return self._dictionary.tokenizer(
            self._mode, fields={"pos", "normalized_form", "dictionary_form"}
        )

    def stream(self, sentence: str, tokenizer) -> tuple[list[str], list[float]]:
        """Return the symbols of a sentence and, per symbol, the intensifiers in front of it."""
        symbols: list[str] = []
        boosts: list[float] = []
        boost = 1.0
        after_te = False
        known = self._symbols
        for morpheme in tokenizer.tokenize(_NONI.sub("けど", sentence)):
            word_id = morpheme.word_id()
            found = known.get(word_id)
            if found is None:
                found = self._symbol(morpheme)
                if not morpheme.is_oov():
                    known[word_id] = found
            text, auxiliary, factor = found
            if factor != 1.0:
                boost *= factor
            if text == _TE:
                after_te = True
                continue
            if after_te and (text or auxiliary):
                after_te = False
                if not auxiliary:
                    symbols.append(BREAK)
                    boosts.append(1.0)
            if not text:
                continue
            symbols.append(text)
            boosts.append(boost)
            if text in (BREAK, BUT):
                boost = 1.0
        return symbols, boosts

    def _symbol(self, morpheme) -> Symbol:
        pos = morpheme.part_of_speech()
        surface, normal = morpheme.surface(), morpheme.normalized_form()
        kind, detail = pos[0], pos[1]
        auxiliary = detail == "非自立可能" or kind == "助動詞"
        if normal in self._boosters:
            return Symbol("", auxiliary, self._boosters[normal])
        if kind == "補助記号" and detail in ("読点", "句点"):
            return Symbol(BREAK, auxiliary)
        if kind == "助詞":
            return Symbol(_particle(normal, surface, detail), auxiliary)
        if kind == "接続詞" and normal in _CONTRAST_CONJUNCTIONS:
            return Symbol(BUT, auxiliary)
        if kind == "空白":
            return Symbol("", auxiliary)
        if normal in _NEGATIONS and kind in ("助動詞", "形容詞", "接尾辞", "名詞", "動詞"):
            return Symbol(NOT, True)
        if normal == "た" and surface in ("たら", "だら"):
            return Symbol(IF, auxiliary)
        if normal in _REQUESTS or surface in ("ください", "下さい"):
            return Symbol(REGRET if surface.endswith("かっ") else REQUEST, True)
        if normal in _DROPPED or kind == "接頭辞":
            return Symbol("", auxiliary)
        if kind == "動詞" and _is_potential(morpheme.dictionary_form(), normal):
            return Symbol(morpheme.dictionary_form(), auxiliary)
        return Symbol(normal, auxiliary)


def _valence(entry: Entry) -> float | None:
    return entry.value if entry.role == "word" else None


def _is_potential(dictionary_form: str, normal: str) -> bool:
    # Sudachi normalises 使える ("can use") to 使う ("use"); the difference matters when negated.
    return dictionary_form[-1] != normal[-1]


def _particle(normal: str, surface: str, detail: str) -> str:
    if detail == "終助詞":
        return REQUEST if normal == "か" else ""
    if detail != "接続助詞":
        return ""
    if normal in _CONTRAST_PARTICLES:
        return BUT
    if surface in ("ば", "と"):
        return IF
    if surface in ("て", "で"):
        return _TE
    return BREAK


def _japanese() -> Scorer:
    resources = _japanese_resources()
    tokenizer = resources.tokenizer()
    sentences: dict[str, tuple[float, bool, bool]] = {}

    def score(text: str) -> float:
        total, is_covered = 0.0, False
        for sentence in _SENTENCE.split(text):
            if not sentence:
                continue
            if sentence not in sentences:
                sentences[sentence] = _score_symbols(
                    *resources.stream(sentence, tokenizer), resources.phrases
                )
            value, found, opens_with_contrast = sentences[sentence]
            if found and opens_with_contrast:
                total, value = EARLIER_CLAUSE * total, LATER_CLAUSE * value
            total += value
            is_covered |= found
        return _squash(total) if is_covered else math.nan

    return score


@cache
def _japanese_resources() -> _Japanese:
    return _Japanese()


def _score_symbols(
    symbols: list[str], boosts: list[float], phrases: Phrases
) -> tuple[float, bool, bool]:
    """Return (sum of valences, whether any entry was found, whether it opens with a contrast)."""
    hits, free_negations, requests, contrasts = _find_hits(symbols, boosts, phrases)
    for position in free_negations:
        _negate(hits, position, symbols)
    for position in requests:
        _unsay(hits, position, symbols)
    _settle_repaired(hits, symbols)
    last_contrast = max((at for at in contrasts if at > 0), default=None)
    total = 0.0
    for hit in hits:
        weight = 1.0
        if last_contrast is not None:
            weight = EARLIER_CLAUSE if hit.start < last_contrast else LATER_CLAUSE
        total += weight * hit.value
    return total, bool(hits), 0 in contrasts


def _find_hits(
    symbols: list[str], boosts: list[float], phrases: Phrases
) -> tuple[list[Hit], list[int], list[int], list[int]]:
    """Return lexicon hits (directly negated ones turned) and the markers that no entry used."""
    hits: list[Hit] = []
    negations: list[int] = []
    requests: list[int] = []
    contrasts: list[int] = []
    position = 0
    boosted = 1.0
    heads = phrases.heads
    while position < len(symbols):
        symbol = symbols[position]
        found = phrases.match(symbols, position) if symbol in heads else None
        if found is not None:
            length, value = found
            end = position + length
            if value is None and REQUEST in symbols[position:end]:
                requests.append(position)
            if value is not None:
                boost = boosts[position] / boosted
                boosted = boosts[position]
                value *= min(max(boost, 0.4), 1.8)
                while (negation := _adjacent_negation(symbols, end)) is not None:
                    value *= NEGATED_PRAISE if value > 0 else NEGATED_COMPLAINT
                    end = negation + 1
                hits.append(Hit(position, end, value))
                if value < 0 and NOT in symbols[position:end]:
                    # "Kindly" before "they would not act" is denied together with the act.
                    negations.append(position)
            position = end
            continue
        if symbol == NOT:
            negations.append(position)
        elif symbol == REQUEST:
            requests.append(position)
        elif symbol == BUT:
            contrasts.append(position)
        if symbol in (BUT, BREAK):
            boosted = 1.0
        position += 1
    return hits, negations, requests, contrasts


def _adjacent_negation(symbols: list[str], position: int) -> int | None:
    while position < len(symbols) and symbols[position] in _LIGHT:
        position += 1
    return position if position < len(symbols) and symbols[position] == NOT else None


def _are_close(symbols: list[str], start: int, end: int) -> bool:
    """Whether [start, end) is at most three symbols of one clause."""
    between = symbols[start:end]
    return len(between) <= 3 and BREAK not in between and BUT not in between


def _nearest_praise(hits: list[Hit], position: int, symbols: list[str]) -> int | None:
    """Index of the hit next before `position` if it is positive and close."""
    for index in range(len(hits) - 1, -1, -1):
        hit = hits[index]
        if hit.end <= position:
            return index if hit.value > 0 and _are_close(symbols, hit.end, position) else None
    return None


def _negate(hits: list[Hit], position: int, symbols: list[str]) -> None:
    index = _nearest_praise(hits, position, symbols)
    if index is not None:
        hits[index] = hits[index]._replace(value=NEGATED_PRAISE * hits[index].value)


def _unsay(hits: list[Hit], position: int, symbols: list[str]) -> None:
    while (index := _nearest_praise(hits, position, symbols)) is not None:
        hits[index] = hits[index]._replace(value=0.0)
        position = hits[index].start


def _settle_repaired(hits: list[Hit], symbols: list[str]) -> None:
    """Void the complaint that the same clause reports as repaired ("the fault is gone")."""
    for index in range(1, len(hits)):
        before, repair = hits[index - 1], hits[index]
        if (
            symbols[repair.start] in _REPAIRS
            and repair.value > 0 > before.value
            and _are_close(symbols, before.end, repair.start)
        ):
            hits[index - 1] = before._replace(value=0.0)


# Chinese and Korean


class _Substrings(NamedTuple):
    pattern: re.Pattern[str]
    contrast: re.Pattern[str]
    values: dict[str, float | None]


_NEGATED = {
    "zh": (
        "(?P<before>不(?:太|是很|怎么|怎麼|够|夠|是)?|没有?(?:任何)?|沒有?(?:任何)?|未能?|无|無)?",
        "",
    ),
    "ko": (
        r"(?P<before>\b(?:안|못)\s?)?",
        r"(?P<after>(?:[하되]?지\s?(?:는|도|가)?\s?(?:않|못)|\s?(?:이|가|은|는|도|을|를|한|함)?\s?"
        r"(?:점이|점은|점도|것이|것은)?\s?(?:전혀|별로)?\s?(?:없|못|안\s)))?",
    ),
}
_CONTRAST = {
    "zh": re.compile("但是|但|不过|不過|可是|然而|却|卻"),
    "ko": re.compile("지만|는데|은데|ㄴ데|그러나|하지만|그런데|근데"),
}


def _substring_scorer(language: str) -> Scorer:
    resources = _substring_resources(language)

    def score(text: str) -> float:
        *earlier, last = resources.contrast.split(text)
        total, hits = _score_substrings(last, resources)
        if earlier:
            before, before_hits = _score_substrings(" ".join(earlier), resources)
            total = EARLIER_CLAUSE * before + LATER_CLAUSE * total
            hits += before_hits
        return _squash(total) if hits else math.nan

    return score


@cache
def _substring_resources(language: str) -> _Substrings:
    values = {entry.text: _valence(entry) for entry in lexicon(language)}
    longest_first = sorted(values, key=lambda text: (-len(text), text))
    before, after = _NEGATED[language]
    body = "|".join(map(re.escape, longest_first))
    return _Substrings(re.compile(f"{before}(?P<entry>{body}){after}"), _CONTRAST[language], values)


def _score_substrings(text: str, resources: _Substrings) -> tuple[float, int]:
    total, hits = 0.0, 0
    for found in resources.pattern.finditer(text):
        value = resources.values[found["entry"]]
        if value is None:
            continue
        groups = found.groupdict()
        if groups.get("before") or groups.get("after"):
            value *= NEGATED_PRAISE if value > 0 else NEGATED_COMPLAINT
        total += value
        hits += 1
    return total, hits


_SCORERS: dict[str, Callable[[], Scorer]] = {
    "en": _english,
    "ja": _japanese,
    "ko": lambda: _substring_scorer("ko"),
    "zh": lambda: _substring_scorer("zh"),
}
