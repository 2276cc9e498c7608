"""The retention team's ranked list, as Parquet for machines and CSV and Excel for people."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from functools import lru_cache
from itertools import chain, tee
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter
from xlsxwriter.exceptions import FileCreateError

from reports.wording import (
    LANGUAGES,
    TEXT_LIMIT,
    Catalog,
    Feature,
    Wording,
    as_date,
    clean,
    is_missing,
)

CONTEXT = ("segment", "language", "plan")
PLANNED = ("action", "team", "action_reason")
REASONS = 3
XLSX_ROWS = 50_000
# A fixed creation date keeps the workbook's bytes the same on every run.
CREATED = datetime(2000, 1, 1)
# OWASP, "CSV injection": a leading one of these makes a spreadsheet read the cell as a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
WIDTHS = {"rank": 7, "customer_id": 18, "as_of": 12, "probability": 14, "risk": 14, "tier": 9}
WIDE = 46
SENTENCES = ("play", *(f"reason_{i + 1}" for i in range(REASONS)))


def write_list(
    ranked: pd.DataFrame | Iterable[pa.Table],
    folder: Path,
    *,
    task: str,
    catalog: Catalog,
    about: Mapping[str, str],
    languages: Sequence[str] = LANGUAGES,
    currency: str = "JPY",
    time_zone: str = "UTC",
    xlsx_rows: int = XLSX_ROWS,
) -> list[Path]:
    """Write one task's list; returns the files written, each replaced as a whole.

    `ranked` has one row per customer, highest risk first: `rank`, `customer_id`, `as_of`,
    `probability` (of y = 1), `risk` (of the bad outcome), `tier` (high, medium, low), any of
    `segment`, `language`, `plan`, `reasons` (a list of dicts, of which three are shown: feature,
    family, lever, value, typical, contribution; value_text and typical_text for categories) and
    `play` (a family's key or None). It may come in pieces of one schema, at least one, and is held
    in memory piece by piece. `as_of` is shown as the day it is in `time_zone`. `list.parquet`
    holds the rows as they are, a row group per piece; the CSV and Excel files say it in words,
    Excel for the first `xlsx_rows` customers.
    """
    if isinstance(ranked, pd.DataFrame):
        ranked = [pa.Table.from_pandas(ranked, preserve_index=False)]
    pieces = iter(ranked)
    first = next(pieces)
    folder.mkdir(parents=True, exist_ok=True)
    names = ["list.parquet"]
    with ExitStack() as stack:
        to_parquet = stack.enter_context(_parquet(folder / names[0], first.schema))
        words = []
        for language in languages:
            w = Wording(language)
            columns = _columns(first.column_names, task, w)
            names += [f"list.{language}.csv", f"list.{language}.xlsx"]
            words.append(
                (
                    _Rows(list(columns), catalog, w, currency, time_zone),
                    stack.enter_context(_csv(folder / names[-2], columns)),
                    stack.enter_context(
                        _xlsx(folder / names[-1], columns, w, xlsx_rows, task, about)
                    ),
                )
            )
        for piece in chain([first], pieces):
            to_parquet(piece)
            frame = piece.to_pandas()
            for rows, to_csv, to_xlsx in words:
                cells = list(rows.of(frame))
                to_csv(cells)
                to_xlsx(cells)
    return [folder / name for name in names]


def reason_sentence(
    feature: Feature, value: object, typical: object, language: str, currency: str = "JPY"
) -> str:
    """A customer's reason in one sentence, with the typical retained customer's value.

    A missing value is said to be missing. A reason that is context, not something support can
    act on, says so.
    """
    w = Wording(language)
    words = getattr(feature, language)
    shown, usual = (
        w.category(feature.name, x)
        if isinstance(x, str)
        else w.with_unit(x, feature.unit, currency)
        for x in (value, typical)
    )
    if is_missing(value):
        sentence = w.get("list.missing_value").format(label=words.label, typical=usual)
    elif is_missing(typical):
        sentence = w.get("list.missing_typical").format(label=words.label, value=shown)
    else:
        sentence = words.reason.format(
            value=shown,
            typical=usual,
            window=w.with_unit(feature.window, "window") if feature.window else "",
        )
    return sentence if feature.lever else w.get("list.context_reason").format(sentence=sentence)


def reads_alike(
    feature: Feature, value: object, typical: object, language: str, currency: str = "JPY"
) -> bool:
    """Whether a value and the typical one look the same once they are written out."""
    if is_missing(value) or is_missing(typical):
        return False
    w = Wording(language)
    shown, usual = (w.with_unit(x, feature.unit, currency) for x in (value, typical))
    return shown == usual


def spreadsheet_safe(cell: object) -> object:
    """Text that would be read as a formula gets a leading apostrophe; all else is unchanged."""
    if isinstance(cell, str) and cell.startswith(FORMULA_STARTS):
        return "'" + cell
    return cell


def _columns(given: Sequence[str], task: str, w: Wording) -> dict[str, str]:
    """Column -> heading, in the order of the list."""
    context = [name for name in CONTEXT if name in given]
    names = ["rank", "customer_id", "tier", "risk"]
    # The probability of churn is the risk itself; that of buying again is not.
    names += [*([] if task == "churn" else ["probability"]), *context]
    names += [*(f"reason_{i + 1}" for i in range(REASONS)), "play"]
    names += [*(name for name in PLANNED if name in given), "as_of"]
    by_task = {"risk", "probability"}
    return {n: w.get(f"list.{n}_{task}" if n in by_task else f"list.{n}") for n in names}


class _Rows:
    """The list's rows as typed cells, in words of one language."""

    def __init__(
        self,
        names: Sequence[str],
        catalog: Catalog,
        w: Wording,
        currency: str,
        time_zone: str,
    ) -> None:
        self.names, self.w = names, w
        self._catalog, self._zone = catalog, ZoneInfo(time_zone)
        self._sentence = lru_cache(maxsize=100_000)(
            lambda name, value, typical: self._say(name, value, typical, currency)
        )
        self._shown = self._shows()

    def of(self, frame: pd.DataFrame) -> Iterator[list[object]]:
        """The cells of each row of a piece of the list."""
        told = iter(tee(map(self._told, frame["reasons"]), REASONS))
        cells = [
            self._place(next(told), int(name.removeprefix("reason_")) - 1)
            if name.startswith("reason_")
            else self._cells(frame[name], name)
            for name in self.names
        ]
        return (list(row) for row in zip(*cells, strict=True))

    def _cells(self, column: pd.Series, name: str) -> Iterator[object]:
        show = self._shown.get(name)
        values = column.tolist()
        return (show(value) for value in values) if show else iter(values)

    def _shows(self) -> dict[str, Callable[[Any], object]]:
        context = {
            name: lru_cache(maxsize=10_000)(lambda value, n=name: self.w.category(n, value))
            for name in CONTEXT
        }
        return {
            **context,
            "customer_id": _identifier,
            "as_of": lru_cache(maxsize=1000)(self._day),
            "tier": lambda tier: self.w.get("list.tiers")[tier],
            "play": lru_cache(maxsize=1000)(self._play),
            "action": lambda action: self.w.get("list.actions")[action],
            "team": lambda team: "" if is_missing(team) else clean(team),
            "action_reason": lambda why: "" if is_missing(why) else self.w.known("list.why", why),
        }

    def _day(self, at: Any) -> date:
        return as_date(at.astimezone(self._zone) if getattr(at, "tzinfo", None) else at)

    def _play(self, name: object) -> str:
        texts = self._catalog.plays.get("none" if is_missing(name) else str(name))
        if texts is not None:
            return texts[self.w.language]
        return self._play_of_family(name)

    def _play_of_family(self, family: object) -> str:
        known = None if is_missing(family) else self._catalog.families.get(str(family))
        if known is None:
            return self.w.get("list.no_play")
        return getattr(known, f"play_{self.w.language}") or self.w.get("list.no_play")

    @staticmethod
    def _place(told: Iterator[list[str]], place: int) -> Iterator[object]:
        return (sentences[place] if len(sentences) > place else "" for sentences in told)

    def _told(self, reasons: Sequence[Mapping[str, Any]] | None) -> list[str]:
        """The sentences of a customer's reasons; one whose two values read alike says nothing."""
        if reasons is None:
            return []
        sentences = []
        for reason in reasons:
            value, typical = (
                reason.get(f"{key}_text") or _rounded(reason[key]) for key in ("value", "typical")
            )
            sentences.append(self._sentence(reason["feature"], value, typical))
        return [sentence for sentence in sentences if sentence]

    def _say(self, name: str, value: object, typical: object, currency: str) -> str:
        feature = self._catalog.features[name]
        if reads_alike(feature, value, typical, self.w.language, currency):
            return ""
        return clean(reason_sentence(feature, value, typical, self.w.language, currency), 400)


def _identifier(value: object) -> str:
    """`clean`, which most identifiers are already."""
    text = str(value)
    plain = len(text) <= TEXT_LIMIT and text.isascii() and text.isprintable()
    return text if plain and text == text.strip() else clean(text)


def _rounded(value: object) -> object:
    """The digits that are shown, so that equal sentences are put into words once."""
    if is_missing(value) or isinstance(value, str):
        return None if is_missing(value) else value
    number = float(value)  # type: ignore[arg-type]
    return round(number) if abs(number) >= 100 else float(f"{number:.3g}")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place if the block succeeds."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _parquet(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    with (
        _replacing(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        yield lambda piece: writer.write_table(piece, row_group_size=max(1, len(piece)))


@contextmanager
def _csv(path: Path, columns: Mapping[str, str]) -> Iterator[Callable[[list[list[object]]], None]]:
    """UTF-8 with BOM and CRLF, which is what Excel opens without asking."""
    percent = [name in {"risk", "probability"} for name in columns]
    with (
        _replacing(path) as temporary,
        temporary.open("w", encoding="utf-8-sig", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(columns.values())

        def add(rows: list[list[object]]) -> None:
            writer.writerows(
                [
                    f"{cell:.4f}" if is_share else spreadsheet_safe(cell)
                    for cell, is_share in zip(row, percent, strict=True)
                ]
                for row in rows
            )

        yield add


@contextmanager
def _xlsx(
    path: Path,
    columns: Mapping[str, str],
    w: Wording,
    most: int,
    task: str,
    about: Mapping[str, str],
) -> Iterator[Callable[[list[list[object]]], None]]:
    """A workbook of the first `most` rows with a legend."""
    with _replacing(path) as temporary:
        options = {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "tmpdir": str(path.parent),
        }
        book = xlsxwriter.Workbook(str(temporary), options)
        sheet = _Sheet(book, columns, w, most, task)
        yield sheet.add
        sheet.close()
        _write_legend(book, columns, w, task, about, (sheet.rows, sheet.offered))
        try:
            book.close()
        except FileCreateError as error:
            # It wraps the system's own error, which says whether the disk is full.
            raise error.args[0] from error


class _Sheet:
    """The list in a workbook: frozen header, filters, typed columns."""

    def __init__(
        self, book: Any, columns: Mapping[str, str], w: Wording, most: int, task: str
    ) -> None:
        self.rows = self.offered = 0
        self._most, self._columns = most, list(columns)
        book.set_properties({"title": w.get(f"list.title_{task}"), "created": CREATED})
        sheet = self._sheet = book.add_worksheet(w.get("list.sheet"))
        top = {"valign": "top"}
        header = book.add_format(
            {"bold": True, "bg_color": "#0B5D6B", "font_color": "#FFFFFF", "text_wrap": True, **top}
        )
        plain, wrapped = book.add_format(top), book.add_format({"text_wrap": True, **top})
        formats = {
            "rank": book.add_format({"num_format": "#,##0", **top}),
            "risk": book.add_format({"num_format": "0.0%", **top}),
            "probability": book.add_format({"num_format": "0.0%", **top}),
            "as_of": book.add_format({"num_format": "yyyy-mm-dd", "align": "left", **top}),
        }
        formats |= dict.fromkeys(SENTENCES, wrapped)
        self._tiers = _tier_formats(book, w)
        for at, (name, heading) in enumerate(columns.items()):
            width = WIDE if name in SENTENCES else WIDTHS.get(name, 14)
            sheet.set_column(at, at, width)
            sheet.write_string(0, at, heading, header)
        sheet.freeze_panes(1, 2)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(0)
        writers = {"rank": sheet.write_number, "risk": sheet.write_number}
        writers |= {"probability": sheet.write_number, "as_of": sheet.write_datetime}
        self._cells = [
            (at, writers.get(name, sheet.write_string), formats.get(name, plain))
            for at, name in enumerate(columns)
        ]
        self._tier_at = self._columns.index("tier")

    def add(self, rows: list[list[object]]) -> None:
        """Write the rows there is room for."""
        self.offered += len(rows)
        for row in rows[: self._most - self.rows]:
            self.rows += 1
            tier = self._tiers[str(row[self._tier_at])]
            self._cells[self._tier_at] = (self._tier_at, self._sheet.write_string, tier)
            for at, write, style in self._cells:
                write(self.rows, at, row[at], style)

    def close(self) -> None:
        """Put filters on the rows there are."""
        self._sheet.autofilter(0, 0, max(self.rows, 1), len(self._columns) - 1)


def _tier_formats(book: Any, w: Wording) -> dict[str, Any]:
    """Dark, mid and white cells: the order reads in grey as in colour."""
    colours = {"high": ("#8C2D04", "#FFFFFF"), "medium": ("#FDD0A2", "#1F2933")}
    formats = {}
    for tier, label in w.get("list.tiers").items():
        style: dict[str, Any] = {"valign": "top", "align": "center", "bold": tier == "high"}
        if tier in colours:
            style["bg_color"], style["font_color"] = colours[tier]
        formats[label] = book.add_format(style)
    return formats


def _write_legend(
    book: Any,
    columns: Mapping[str, str],
    w: Wording,
    task: str,
    about: Mapping[str, str],
    count: tuple[int, int],
) -> None:
    sheet = book.add_worksheet(w.get("list.legend_sheet"))
    title = book.add_format({"bold": True, "font_size": 14})
    bold = book.add_format({"bold": True, "valign": "top"})
    wrapped = book.add_format({"text_wrap": True, "valign": "top"})
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, 1, 100)
    meaning = w.get("list.meaning")
    kinds = dict.fromkeys(CONTEXT, "context") | {f"reason_{i + 1}": "reason" for i in range(3)}
    tiers = w.get("list.tiers")
    blocks: list[tuple[str, list[tuple[str, str]]]] = [
        ("reasons", [("", text) for text in w.get("list.reason_notes").values()]),
        ("tiers", [(tiers[tier], text) for tier, text in w.get("list.tier_meaning").items()]),
        ("columns", [(head, meaning[kinds.get(name, name)]) for name, head in columns.items()]),
        ("made_from", [(w.known("about", key), clean(about[key])) for key in sorted(about)]),
    ]
    sheet.write_string(0, 0, w.get(f"list.title_{task}"), title)
    line = 1
    if count[0] < count[1]:
        shown, total = (w.number(number) for number in count)
        sheet.write_string(line, 0, w.get("list.truncated").format(shown=shown, total=total))
        line += 1
    for heading, pairs in blocks:
        line += 1
        sheet.write_string(line, 0, w.get(f"list.legend.{heading}"), bold)
        for left, right in pairs:
            line += 1
            sheet.write_string(line, 0, left, wrapped)
            sheet.write_string(line, 1, right, wrapped)
        line += 1
