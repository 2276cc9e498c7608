"""Every feature says what it means in both languages; every row of METHODS A has an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from data.contracts import TABLE, TABLES
from features import describe
from features.aggregates import Measure, count, days_since_last, mean, trend
from features.catalog import SOURCES, Feature, Source, features
from features.coverage import ITEMS, PANELS, answered, measured
from features.declare import Attribute, Benchmark, Calendar, Declared
from features.streams import STREAM
from features.streams.words import WORDS
from reports.lists import reason_sentence

ROOT = Path(__file__).resolve().parents[2]
EVERY = features((30, 90, 180, 365), [table.name for table in TABLES])
BY_NAME = {feature.name: feature for feature in EVERY}
DECLARATIONS = [source for sources in SOURCES.values() for source in sources]
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def blanks(text: str) -> set[str]:
    """The names of a text's placeholders."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


# What is declared


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(EVERY)
    assert len({source.base for source in DECLARATIONS}) == len(DECLARATIONS)


@pytest.mark.parametrize("source", DECLARATIONS, ids=lambda source: source.base)
def test_label_and_reason_are_in_both_languages(source: Source) -> None:
    needed = {"value", "typical"}
    allowed = needed
    if isinstance(source, Declared) and source.windows != "none":
        allowed = needed | {"window"}
    for reason in (source.en_reason, source.ja_reason):
        assert needed <= blanks(reason) <= allowed, reason
    assert ("window" in blanks(source.en_reason)) == ("window" in blanks(source.ja_reason))
    assert JAPANESE.search(source.ja) or source.ja.isupper()
    assert JAPANESE.search(source.ja_reason) and not JAPANESE.search(source.en + source.en_reason)
    assert not re.search(r"  |[.。]$", source.en_reason + source.ja_reason)


WORDS_OF_ORDERS = (
    "Orders",
    "注文回数",
    "Orders: {value}, typically {typical}",
    "注文は{value}回（目安：{typical}回）",
)


@pytest.mark.parametrize("missing", range(4))
def test_a_feature_without_both_languages_cannot_be_declared(missing: int) -> None:
    def declare(words: Sequence[str]) -> list[Callable[[], Source]]:
        en, ja, en_reason, ja_reason = words
        return [
            lambda: Declared("a", "order", count(), "count", None, en, ja, en_reason, ja_reason),
            lambda: Attribute("a", "orders", "category", en, ja, en_reason, ja_reason),
            lambda: Calendar("a", en, ja, en_reason, ja_reason),
        ]

    for sound in declare(WORDS_OF_ORDERS):
        assert sound().base == "a"
    words = list(WORDS_OF_ORDERS)
    words[missing] = " "
    for broken in declare(words):
        with pytest.raises(ValueError, match="both English and Japanese"):
            broken()


@pytest.mark.parametrize("missing", ["{value}", "{typical}"])
def test_a_reason_without_the_values_cannot_be_declared(missing: str) -> None:
    reason = "注文は{value}回（目安：{typical}回）"
    with pytest.raises(ValueError, match="en_reason needs"):
        Declared(
            "a", "order", count(), "count", None, "Orders", "注文", reason.replace(missing, ""),
            reason,
        )  # fmt: skip


def test_windows_fit_the_aggregate() -> None:
    words = ("Orders", "注文", "{value} {typical}", "{value} {typical}")
    with pytest.raises(ValueError, match="takes no window"):
        Declared("a", "order", days_since_last(), "days", None, *words)
    with pytest.raises(ValueError, match="needs a window"):
        Declared("a", "order", trend(), "count", None, *words, windows="none")
    Declared("a", "order", mean("amount"), "count", None, *words, windows="none")


@pytest.mark.parametrize("source", [s for s in DECLARATIONS if isinstance(s, Declared)],
                         ids=lambda source: source.base)  # fmt: skip
def test_needed_columns_are_nullable_columns_of_the_streams_tables(source: Declared) -> None:
    for name in source.columns:
        table, column = name.split(".")
        assert table in STREAM[source.stream].needs, name
        assert not TABLE[table].column(column).required, name
    if source.aggregate.column is not None:
        assert source.aggregate.column in STREAM[source.stream].columns


def test_a_source_without_a_column_does_not_have_its_features() -> None:
    tables = [table.name for table in TABLES]
    absent = ["loyalty.expires_at", "customers.region", "social_mentions.tone"]
    without = {feature.name for feature in features((30,), tables, absent)}
    everything = {feature.name for feature in features((30,), tables)}
    assert everything - without == {
        "points_expiring",
        "region",
        "mention_tone_mean_30d",
        "negative_mention_share_30d",
    }


def test_a_source_of_orders_alone_has_purchases_and_the_season() -> None:
    found = {feature.family for feature in features((30, 90), ["customers", "orders"])}
    assert found == {"purchases", "profile", "season"}


# Reasons as a team reads them


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_feature_can_be_said(language: str) -> None:
    for feature in EVERY:
        value, typical = ("a", "b") if feature.unit == "category" else (3.0, 1.0)
        said = reason_sentence(feature, value, typical, language)
        assert "{" not in said and "nan" not in said
        assert (
            (feature.window is None)
            or ("window" not in blanks(feature.en.reason))
            or (str(feature.window) in said)
        )


@pytest.mark.parametrize(
    ("name", "value", "typical", "en", "ja"),
    [
        (
            "return_count_30d",
            1,
            0,
            "Returns in the last 30 days came to 1; customers who stay typically have 0",
            "直近30日間の返品は1回です（継続されるお客様の目安：0回）",
        ),
        (
            "loyalty_enrolled",
            0,
            1,
            "Member of the loyalty programme: no; customers who stay: typically yes",
            "ロイヤルティ会員かどうか：いいえ（継続されるお客様の目安：はい）",
        ),
        (
            "page_load_seconds_p75_365d",
            4.26,
            1,
            "Three in four pages of the last 365 days were ready within 4.3 seconds;"
            " for customers who stay it is typically 1 second",
            "直近365日間のページ表示時間（75パーセンタイル）は4.3秒です"
            "（継続されるお客様の目安：1秒）",
        ),
    ],
)
def test_reasons_read_as_sentences(
    name: str, value: float, typical: float, en: str, ja: str
) -> None:
    feature = BY_NAME[name]
    assert feature.lever
    assert reason_sentence(feature, value, typical, "en") == en
    assert reason_sentence(feature, value, typical, "ja") == ja


# Coverage


def test_the_rows_are_s1_to_s76() -> None:
    assert [item.key for item in ITEMS] == [f"S{n}" for n in range(1, 77)]
    assert {key for source in DECLARATIONS for key in source.items} <= {item.key for item in ITEMS}
    assert {panel for item in ITEMS for panel in item.panels} <= set(PANELS)


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.key)
def test_every_row_is_measured_or_says_why_not(item: object) -> None:
    from features.coverage import Item

    assert isinstance(item, Item)
    assert item.en and JAPANESE.search(item.ja + "の") and item.panels
    assert bool(item.en_note) == bool(item.ja_note)
    if answered(item) != "features":
        assert item.en_note
    if not item.measurable:
        assert not measured()[item.key]


def test_only_what_no_customer_shows_has_no_features() -> None:
    without = {item.key: answered(item) for item in ITEMS if not measured()[item.key]}
    assert without == {
        "S13": "company",
        "S35": "company",
        "S37": "company",
        "S57": "company",
        "S74": "not measurable",
        "S75": "not measurable",
        "S76": "not measurable",
    }


# The page and the terminal


def test_every_stream_has_words_in_both_languages() -> None:
    assert set(WORDS) == set(STREAM)
    assert all(en and JAPANESE.search(ja) for en, ja in WORDS.values())


def test_every_measure_has_words() -> None:
    assert set(describe.MEASURES) == set(get_args(Measure))


def test_the_page_is_current() -> None:
    written = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    cure = "run `python -m features.describe > docs/features.md`"
    assert written == describe.page(), cure


def test_the_page_names_every_feature_and_row() -> None:
    page = describe.page()
    for source in DECLARATIONS:
        assert f"| `{source.base}" in page
    for item in ITEMS:
        assert f"\n| {item.key} | {item.en} |" in page


def described(feature: Feature, language: describe.Language) -> list[str]:
    return describe.paragraph(feature, language).splitlines()


def test_a_feature_described() -> None:
    assert described(BY_NAME["referral_converted_share_365d"], "en") == [
        "referral_converted_share_365d",
        "  Share of referrals that became customers within 30 days, last 365 days",
        "  family: Feedback, reviews and referrals (voice), lever",
        "  unit: share, higher is better",
        "  window: 365 days",
        "  METHODS rows: S29",
        "  definition: share of referrals made at least 30 days ago with `converted`,"
        " pulled to 30% by 5 pseudo-observations",
        "  reason: {value} of the referrals of the last {window} became customers within 30 days;"
        " for customers who stay it is typically {typical}",
    ]
    assert described(BY_NAME["feedback_topic"], "ja")[1:6] == [
        "  直近のご意見のテーマ",
        "  要素：お客様の声（ご意見・レビュー・紹介） (voice), 背景要因",
        "  単位：区分",
        "  期間：過去すべて",
        "  METHODSの項目：S24",
    ]


def test_what_is_missing_without_consent_says_so() -> None:
    assert describe.definition(BY_NAME["visit_count_30d"].source, "en").endswith(
        "; missing while the customer refuses tracking"
    )


def test_quoted_figures_are_marked_unverified() -> None:
    nps = described(BY_NAME["nps_net_mean_365d"], "en")[-1]
    assert "[≥ 50; figure quoted in the literature, unverified]" in nps
    assert describe.benchmark(Benchmark(None, 4, "Hours", "時間"), "ja") == (
        "時間 [≤ 4; 文献で引用される数値（未検証）]"
    )
    assert describe.benchmark(Benchmark(0.7, 0.9, "FCR", "一次解決率"), "en").startswith(
        "FCR [0.7 - 0.9;"
    )


def test_one_line_per_feature() -> None:
    line = describe.line(BY_NAME["csr_opt_in"], "ja")
    assert line.split("\t") == [
        "csr_opt_in", "profile", "context", "flag", "S71", "サステナビリティ活動への参加",
    ]  # fmt: skip
