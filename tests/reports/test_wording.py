"""Both languages say the same things; data never break out of a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from reports.wording import Wording, clean, texts


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield path, node
    else:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            yield from leaves(value, f"{path}/{key}")


def test_both_languages_have_the_same_keys() -> None:
    assert {key for key, _ in leaves(texts("en"))} == {key for key, _ in leaves(texts("ja"))}


def test_both_languages_ask_for_the_same_figures() -> None:
    """Event words (did, will, bad, risk) may differ by grammar; figures may not."""
    words = {"did", "will", "bad", "risk", "rate", "title", "feature", "baseline", "dimension"}
    english = dict(leaves(texts("en")))
    for key, japanese in leaves(texts("ja")):
        found = [set(re.findall(r"{(\w+)}", text)) - words for text in (english[key], japanese)]
        assert found[0] == found[1], key


def test_nothing_is_left_untranslated() -> None:
    japanese = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
    same_everywhere = {"AUC", "SNS"}
    for key, text in leaves(texts("ja")):
        words = re.sub(r"{\w+}", "", text)
        assert japanese.search(words) or words in same_everywhere or not words.isalpha(), key
    for key, text in leaves(texts("en")):
        assert not japanese.search(text), key


@pytest.mark.parametrize(
    ("language", "word"),
    [("en", r"\bdriv(e|es|er|ers|ing)\b"), ("en", r"\bcause[sd]?\b"), ("ja", "原因")],
)
def test_no_sentence_claims_a_cause(language: str, word: str) -> None:
    claims = [text for _, text in leaves(texts(language)) if re.search(word, text)]
    denials = ("not a cause", "原因ではありません")
    assert all(any(denial in text for denial in denials) for text in claims)


@pytest.mark.parametrize(
    ("value", "unit", "english", "japanese"),
    [
        (3.4, "hours", "3.4 hours", "3.4時間"),
        (1.0, "hours", "1 hour", "1時間"),
        (0.25, "hours", "15 minutes", "15分"),
        (96.0, "hours", "4 days", "4日"),
        (-2.5, "hours", "−2.5 hours", "−2.5時間"),
        (0.256, "share", "26%", "26%"),
        (12_345.6, "currency", "¥12,346", "￥12,346"),
        (1234.0, "points", "1,234 points", "1,234ポイント"),
        (3.0, "count", "3", "3"),
        (-0.004, "tone", "0.00", "0.00"),
        (None, "hours", "no record", "記録なし"),
        (float("nan"), "share", "no record", "記録なし"),
        ("gold", "category", "gold", "gold"),
    ],
)
def test_values_are_written_with_their_unit(
    value: object, unit: str, english: str, japanese: str
) -> None:
    assert Wording("en").with_unit(value, unit) == english
    assert Wording("ja").with_unit(value, unit) == japanese


def test_dates_follow_the_language() -> None:
    assert Wording("en").date("2025-06-01") == "June 1, 2025"
    assert Wording("ja").date("2025-06-01T00:00:00Z") == "2025年6月1日"


def test_codes_become_names_where_the_locale_knows_them() -> None:
    assert Wording("ja").category("language", "ko") == "韓国語"
    assert Wording("en").category("country", "JP") == "Japan"
    assert Wording("en").category("plan", "gold") == "gold"


def test_the_contracts_reasons_are_translated() -> None:
    w = Wording("ja")
    assert w.reason("before sign-up") == "登録日より前"
    assert w.reason("severity above 3") == "severityが3超"
    assert w.reason("some reason of a source") == "some reason of a source"


def test_data_cannot_reorder_break_or_flood_a_line() -> None:
    assert clean("a\u202eb\u2066c\x00d\x1be") == "abcde"
    assert clean("one\r\ntwo\tthree") == "one  two three"
    assert len(clean("x" * 10_000)) == 160
    assert clean("عربي 🛒 👩‍💻 日本語") == "عربي 🛒 👩‍💻 日本語"
    assert clean("\ud800lone") == "lone"


def test_an_unknown_language_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'fr'.*en, ja"):
        texts("fr")
