"""The catalog in words: for the terminal, and as the page docs/features.md.

`python -m features.describe > docs/features.md` writes the page; a test compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Literal

from features.aggregates import HALF_LIFE_DAYS, SHRINKAGE, Aggregate
from features.catalog import FAMILIES, SOURCES, Feature, Source
from features.coverage import ITEMS, PANELS, answered, measured
from features.declare import Attribute, Benchmark, Calendar, Declared
from features.streams import STREAM
from features.streams.words import WORDS

Language = Literal["en", "ja"]

UNVERIFIED = {
    "en": "figure quoted in the literature, unverified",
    "ja": "文献で引用される数値（未検証）",
}

MEASURES: dict[str, tuple[str, str]] = {
    "count": ("number of {what}", "{what}の件数"),
    "sum": ("sum of {column} over {stream}", "{stream}の{column}の合計"),
    "mean": ("mean of {column} over {stream}", "{stream}の{column}の平均"),
    "geomean": (
        "typical {column} of {stream} (back-transformed mean of log(1 + x))",
        "{stream}の{column}の代表値（log(1+x)の平均を戻した値）",
    ),
    "min": ("smallest {column} of {stream}", "{stream}の{column}の最小値"),
    "max": ("largest {column} of {stream}", "{stream}の{column}の最大値"),
    "std": ("standard deviation of {column} over {stream}", "{stream}の{column}の標準偏差"),
    "share": (
        "share of {stream} with {column}, pulled to {reference} by {weight:g} pseudo-observations",
        "{stream}のうち{column}に該当する割合（基準率{reference}へ{weight:g}件分縮約）",
    ),
    "quantile": (
        "{quantile} quantile of {column} over {stream}",
        "{stream}の{column}の{quantile}分位点",
    ),
    "last": ("{column} of the latest of {stream} that has it", "{stream}のうち最新の{column}"),
    "days_since_last": ("days since the latest of {stream}", "最新の{stream}からの日数"),
    "days_since_first": ("days since the first of {stream}", "最初の{stream}からの日数"),
    "days_since": (
        "days from the latest {column} of {stream} to the as-of date",
        "{stream}の最新の{column}から基準日までの日数",
    ),
    "days_until": (
        "days from the as-of date to the latest {column} of {stream}",
        "基準日から{stream}の最新の{column}までの日数",
    ),
    "mean_gap_days": ("mean days between successive {stream}", "{stream}の平均間隔（日）"),
    "gap_days_std": (
        "standard deviation of the days between successive {stream}",
        "{stream}の間隔（日）の標準偏差",
    ),
    "distinct": ("number of different {column} of {stream}", "{stream}の{column}の種類の数"),
    "trend": (
        "{level} in the window less that in the window before it",
        "期間内の{level}と、その前の同じ長さの期間との差",
    ),
    "decayed": (
        "sum of {what}, halved for every {half_life:g} days of age",
        "{what}の合計（{half_life:g}日ごとに半減）",
    ),
}

_TEXT: dict[Language, dict[str, str]] = {
    "en": {
        "family": "family",
        "lever": "lever",
        "context": "context",
        "unit": "unit",
        "unit_better": "{unit}, {better}",
        "colon": ": ",
        "higher": "higher is better",
        "lower": "lower is better",
        "window": "window",
        "days": "{n} days",
        "past": "the whole past",
        "items": "METHODS rows",
        "definition": "definition",
        "reason": "reason",
        "benchmark": "benchmark",
        "attribute": "latest known {column} of {table}",
        "calendar": "days from the as-of date to the end of its year, on the source's clock",
        "refused": "missing while the customer refuses tracking",
    },
    "ja": {
        "family": "要素",
        "lever": "施策の対象",
        "context": "背景要因",
        "unit": "単位",
        "unit_better": "{unit}（{better}）",
        "colon": "：",
        "higher": "高いほど良い",
        "lower": "低いほど良い",
        "window": "期間",
        "days": "{n}日間",
        "past": "過去すべて",
        "items": "METHODSの項目",
        "definition": "定義",
        "reason": "理由文",
        "benchmark": "参考値",
        "attribute": "{table}の{column}のうち基準日までに判明した最新の値",
        "calendar": "基準日からその年の終わりまでの日数（データ元の時刻による）",
        "refused": "お客様が計測を拒否している間は欠損",
    },
}


_UNITS_JA = {
    "hours": "時間",
    "minutes": "分",
    "seconds": "秒",
    "days": "日",
    "count": "件数・回数",
    "share": "割合",
    "points": "ポイント",
    "currency": "金額",
    "score": "点数",
    "tone": "感情（−1〜1）",
    "level": "指標値",
    "flag": "はい・いいえ",
    "category": "区分",
}


def definition(source: Source, language: Language) -> str:
    """What is computed, in words: the aggregate and the fact stream it is taken of."""
    text = _TEXT[language]
    if isinstance(source, Attribute):
        return text["attribute"].format(column=f"`{source.column}`", table=f"`{source.table}`")
    if isinstance(source, Calendar):
        return text["calendar"]
    words = _aggregate(source.aggregate, WORDS[source.stream][language == "ja"], language)
    if STREAM[source.stream].consent is None:
        return words
    return f"{words}; {text['refused']}" if language == "en" else f"{words}。{text['refused']}"


def _aggregate(question: Aggregate, stream: str, language: Language) -> str:
    ja = language == "ja"
    column = f"`{question.column}`"
    what = stream
    if question.column is not None:
        if question.measure == "count":
            what = f"{stream}（{column}に該当）" if ja else f"{stream} with {column}"
        else:
            what = f"{stream}の{column}" if ja else f"{column} over {stream}"
    level = ""
    if question.measure == "trend":
        kind = "count" if question.column is None else "mean"
        level = MEASURES[kind][ja].format(what=what, column=column, stream=stream)
    return MEASURES[question.measure][ja].format(
        what=what,
        column=column,
        stream=stream,
        level=level,
        reference=f"{question.parameter:.0%}",
        quantile=f"{question.parameter:g}",
        weight=SHRINKAGE,
        half_life=HALF_LIFE_DAYS,
    )


def benchmark(figure: Benchmark, language: Language) -> str:
    """A quoted figure with its mark."""
    low, high = figure.low, figure.high
    if low is not None and high is not None:
        span = f"{low:.3g} - {high:.3g}"
    else:
        span = f"≤ {high:.3g}" if low is None else f"≥ {low:.3g}"
    said = figure.ja if language == "ja" else figure.en
    return f"{said} [{span}; {UNVERIFIED[language]}]"


def line(feature: Feature, language: Language) -> str:
    """One feature on one line, fields parted by tabs: name, family, role, unit, rows, label."""
    words = feature.ja if language == "ja" else feature.en
    role = "lever" if feature.lever else "context"
    items = " ".join(feature.source.items)
    return "\t".join((feature.name, feature.family, role, feature.unit, items, words.label))


def paragraph(feature: Feature, language: Language) -> str:
    """Everything about one feature on a few lines."""
    text, source = _TEXT[language], feature.source
    words = feature.ja if language == "ja" else feature.en
    family = FAMILIES[feature.family]
    unit = _UNITS_JA[feature.unit] if language == "ja" else feature.unit
    if feature.better is not None:
        unit = text["unit_better"].format(unit=unit, better=text[feature.better])
    window = text["past"] if feature.window is None else text["days"].format(n=feature.window)
    if isinstance(source, Calendar):
        window = ""
    role = text["lever"] if feature.lever else text["context"]
    facts = {
        "family": f"{family.ja if language == 'ja' else family.en} ({feature.family}), {role}",
        "unit": unit,
        "window": window,
        "items": " ".join(source.items),
        "definition": definition(source, language),
        "reason": words.reason,
    }
    if isinstance(source, Declared) and source.benchmark is not None:
        facts["benchmark"] = benchmark(source.benchmark, language)
    lines = [f"  {text[key]}{text['colon']}{fact}" for key, fact in facts.items() if fact]
    return "\n".join((feature.name, f"  {words.label}", *lines))


def page() -> str:
    """docs/features.md: every declared feature by family, and what became of rows S1 to S76."""
    return "\n".join((*_head(), *_families(), *_coverage())) + "\n"


def _head() -> Iterator[str]:
    sources = [source for entries in SOURCES.values() for source in entries]
    yield "# Features"
    yield ""
    yield (
        f"Generated by `python -m features.describe > docs/features.md`; {len(sources)}"
        f" declarations in {len(FAMILIES)} families. `retention features --describe` prints each"
        " column with its reason sentence, also in Japanese (`--language ja`)."
    )
    yield ""
    yield (
        "Every aggregate sees the facts of one customer that were known strictly before the as-of"
        " date, in the half-open window `[as-of - w, as-of)` on the time they became known. `{w}d`"
        " in a name stands for the configured windows (`features.windows` in params.yaml), `{max}d`"
        " for the longest of them; a name without either looks at the whole past. An outcome that"
        " takes time to show becomes a fact when that time has passed. Nothing to say is missing;"
        " no events is 0 once the tables have begun. A source without the tables or columns that a"
        " feature needs does not have it."
    )
    yield ""
    yield (
        "Levers are what support can act on; context is not. S numbers are rows of METHODS section"
        f" A. A benchmark is a {UNVERIFIED['en']}."
    )


def _families() -> Iterator[str]:
    for family, sources in SOURCES.items():
        about = FAMILIES[family]
        role = "lever" if about.lever else "context"
        yield ""
        yield f"## {about.en} / {about.ja}"
        yield ""
        yield f"`{family}`, {role}."
        if about.play_en:
            yield f"Suggested next step: {about.play_en} / {about.play_ja}"
        yield ""
        yield "| feature | meaning | 意味 | unit | better | rows | definition |"
        yield "|---|---|---|---|---|---|---|"
        for source in sources:
            yield _row(source)


def _row(source: Source) -> str:
    name, unit, better, note = source.base, "category", "", ""
    if isinstance(source, Calendar):
        unit = "days"
    if isinstance(source, Declared):
        name += {"each": "_{w}d", "longest": "_{max}d", "none": ""}[source.windows]
        unit, better = source.unit, source.better or ""
        if source.benchmark is not None:
            note = f". Benchmark: {benchmark(source.benchmark, 'en')}"
    cells = (
        f"`{name}`",
        source.en,
        source.ja,
        unit,
        better,
        " ".join(source.items),
        definition(source, "en") + note,
    )
    return f"| {' | '.join(cells)} |"


def _coverage() -> Iterable[str]:
    names = measured()
    yield ""
    yield "## Coverage of METHODS section A"
    yield ""
    yield (
        'Panels are those that METHODS assigns a row to. "company" marks a row that is about the'
        " company as a whole and has no value per customer."
    )
    yield ""
    yield "| row | what | 項目 | panels | answered by | remark | 備考 |"
    yield "|---|---|---|---|---|---|---|"
    for item in ITEMS:
        by = ", ".join(f"`{name}`" for name in names[item.key]) or answered(item)
        panels = ", ".join(f"{key} {PANELS[key][0]}" for key in item.panels)
        cells = (item.key, item.en, item.ja, panels, by, item.en_note, item.ja_note)
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(page())
