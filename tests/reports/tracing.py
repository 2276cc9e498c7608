"""Follows every figure of a report back to its artifact, and finds figures that lead nowhere."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from reports.wording import texts

# Dates, names from data and declarations, hashes; a chart's ticks and category labels are checked
# apart. Everything else with a digit must be a cited figure or a fixed text.
FREE = {"time", "bdi", "code", "style", "script", "title", "option"}
VOID = {"meta", "br", "input", "link", "img"}
DIGIT = re.compile(r"\d")
NUMBER = re.compile(r"[-−+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
# Per cent, minutes, days, ten thousand and million, tenths of a list: how units change a value.
SCALES = (1, 100, 10, 60, 1 / 24, 1e-4, 1e-6, 1000)


@dataclass
class Cited:
    """A `<data>` element: its raw value, address and text."""

    value: str
    source: str
    shown: str = ""


@dataclass
class Chart:
    """A figure: what its drawing says per row, and what its table says per row."""

    drawn: list[tuple[int, str]] = field(default_factory=list)
    rows: dict[int, str] = field(default_factory=dict)
    marks: set[int] = field(default_factory=set)


class Reading(HTMLParser):
    """A page's cited figures, charts, and the texts that hold a digit and no source."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.cited: list[Cited] = []
        self.loose: list[str] = []
        self.labels: list[str] = []
        self.names: set[str] = set()
        self.charts: list[Chart] = []
        self._stack: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in VOID:
            self._stack.append((tag, found))
        if tag == "data":
            self.cited.append(Cited(str(found["value"]), str(found["data-source"])))
        if tag == "figure":
            self.charts.append(Chart())
        if tag == "g" and "data-row" in found:
            self.charts[-1].marks.add(int(str(found["data-row"])))
        if tag == "tr" and "data-index" in found:
            self.charts[-1].rows[int(str(found["data-index"]))] = ""
        if found.get("aria-label"):
            self.labels.append(str(found["aria-label"]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._stack.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        opened, _ = self._stack.pop()
        assert opened == tag, f"<{opened}> closed by </{tag}>"

    def handle_data(self, text: str) -> None:
        tags = [tag for tag, _ in self._stack]
        row = next(
            (a["data-index"] for t, a in self._stack if t == "tr" and "data-index" in a), None
        )
        if row is not None:
            self.charts[-1].rows[int(str(row))] += text
        if "bdi" in tags:
            self.names.add(text)
        if "data" in tags:
            self.cited[-1].shown += text
        elif "svg" in tags:
            self._drawn(text)
        elif not FREE & set(tags) and DIGIT.search(text):
            self.loose.append(text)

    def _drawn(self, text: str) -> None:
        mark = next((a["data-row"] for t, a in self._stack if t == "g" and "data-row" in a), None)
        if mark is not None:
            self.charts[-1].drawn.append((int(str(mark)), text))
        elif self._stack[-1][1].get("class") != "tick" and DIGIT.search(text):
            self.loose.append(text)


@cache
def fixed(language: str) -> tuple[str, ...]:
    """Every piece of fixed text with a digit, the longest first."""
    pieces: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, str):
            pieces.update(p.strip() for p in re.split(r"{\w+}", node) if DIGIT.search(p))
        else:
            for child in node.values() if isinstance(node, dict) else node:
                walk(child)

    walk(texts(language))
    return tuple(sorted(pieces, key=lambda piece: (-len(piece), piece)))


def unexplained(text: str, language: str, names: set[str] = frozenset()) -> str:  # type: ignore[assignment]
    """What is left of a text without fixed texts and names; empty if no digit is left."""
    for piece in (*fixed(language), *sorted(names, key=len, reverse=True)):
        if DIGIT.search(piece):
            text = text.replace(piece, " ")
    return text.strip() if DIGIT.search(text) else ""


class Artifacts:
    """Looks addresses up in a folder of artifacts."""

    def __init__(self, root: Path, **other: Path) -> None:
        self.root, self.other = root, other

    def value(self, source: str) -> Any:
        """The value at an address. Raises LookupError with the address if there is none."""
        address = source.removeprefix("artifacts/")
        file, _, column = address.partition("#")
        name, _, query = file.partition("?")
        path = self.other.get(name.split("/")[0], self.root) / (
            name.split("/", 1)[1] if name.split("/")[0] in self.other else name
        )
        if not path.is_file():
            raise LookupError(source)
        if name.endswith(".json"):
            return _pointer(_json(path), column, source)
        wanted = dict(parse_qsl(query, keep_blank_values=True))
        rows = [row for row in _csv(path) if all(_is(row[k], v) for k, v in wanted.items())]
        if len(rows) != 1 or not wanted:
            raise LookupError(f"{source}: {len(rows)} rows")
        return rows[0][column]


def _is(found: str, wanted: str) -> bool:
    """Whether a cell is what an address names: as text, by its hash, or as the same number."""
    if found == wanted or _hash(found) == wanted:
        return True
    try:
        return float(found) == float(wanted)
    except ValueError:
        return False


def _hash(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _pointer(node: Any, pointer: str, source: str) -> Any:
    for part in pointer.split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(node, list):
            node = node[int(key)]
            continue
        found = [name for name in node if key in (name, _hash(name))]
        if not found:
            raise LookupError(source)
        node = node[found[0]]
    return node


@cache
def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def same(written: str, found: Any) -> bool:
    """Whether a page's raw value is the artifact's."""
    try:
        return float(written) == float(found)
    except (TypeError, ValueError):
        return written == str(found)


def reads(shown: str, value: str) -> bool:
    """Whether a displayed text is the raw value, rounded as far as it is written."""
    try:
        raw = float(value)
    except ValueError:
        return True
    numbers = NUMBER.findall(shown)
    if len(numbers) != 1:
        return False
    text = numbers[0].replace(",", "").replace("−", "-")
    digits = len(text.partition(".")[2]) if "e" not in text else 0
    number = float(text)
    if "e" in text:
        return abs(number - raw) <= 0.5 * 10 ** int(text.partition("e")[2])
    half = 0.5000001 * 10**-digits
    return any(
        abs(abs(number) - abs(raw) * scale) <= half
        or (scale >= 10 and number == 100 <= raw * scale)
        for scale in SCALES
    )
