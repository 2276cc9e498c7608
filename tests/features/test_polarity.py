from __future__ import annotations

import csv
import math
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import polarity as module
from features.polarity import Entry, detect_language, lexicon, polarity

CASES = Path(__file__).with_name("polarity_cases.tsv")
ROOT = Path(__file__).parents[2]
THRESHOLD = 0.05  # VADER's own limit between neutral and polar


def cases(language: str) -> list[tuple[str, str]]:
    with CASES.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["text"], row["label"]) for row in rows if row["language"] == language]


def score(text: str | None, language: str | None) -> float:
    return float(polarity([text], [language])[0])


def sign(value: float) -> str:
    if value > THRESHOLD:
        return "positive"
    return "negative" if value < -THRESHOLD else "neutral"


@pytest.mark.parametrize(("language", "at_least"), [("ja", 80), ("en", 80), ("zh", 20), ("ko", 20)])
def test_sign_and_coverage_on_the_hand_labelled_cases(language: str, at_least: int) -> None:
    labelled = cases(language)
    scores = [score(text, language) for text, _ in labelled]

    missed = [
        (text, label, value)
        for (text, label), value in zip(labelled, scores, strict=True)
        if sign(value) != label
    ]
    accuracy = 1 - len(missed) / len(labelled)
    covered = [
        not math.isnan(value)
        for (_, label), value in zip(labelled, scores, strict=True)
        if label != "neutral"
    ]
    coverage = sum(covered) / len(covered)
    report = f"{language}: accuracy {accuracy:.3f}, coverage {coverage:.3f}, missed {missed}"

    assert len(labelled) >= at_least
    assert accuracy >= 0.85, report
    assert coverage >= 0.85, report


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("全然解決しませんでした", "negative"),
        ("問題なく使えました", "positive"),
        ("待たされました", "negative"),
        ("電話が繋がらない", "negative"),
        ("電話がつながりません", "negative"),
        ("返事がまだ来ていません", "negative"),
        ("二度と使いません", "negative"),
        ("分かりにくい", "negative"),
        ("使いづらい", "negative"),
        ("分かりにくくはありません", "positive"),
        ("使えないことはない", "positive"),
        ("親切に対応してくれませんでした", "negative"),
        ("不具合が直りました", "positive"),
        ("不具合が直りません", "negative"),
        ("エラーが出なくなりました", "positive"),
        ("対応は丁寧でしたが、解決しませんでした", "negative"),
        ("時間はかかりましたけど、無事に解決して満足です", "positive"),
        ("時間がかかった。でも、とても満足です", "positive"),
        ("壊れて使えない", "negative"),
        ("期待していたのに", "negative"),
        ("ポイントが付与されていません", "negative"),
        ("画面が表示できません", "negative"),
        ("ここまで丁寧なサポートは他にありません", "positive"),
    ],
)
def test_japanese_idioms_negation_and_contrast(text: str, expected: str) -> None:
    assert sign(score(text, "ja")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Not bad at all", "positive"),
        ("No problems so far", "positive"),
        ("Still not working", "negative"),
        ("Got no reply", "negative"),
        ("I was charged twice!", "negative"),
        ("Thanks for nothing", "negative"),
        ("The agent was polite but nothing was resolved", "negative"),
        ("It doesn’t work", "negative"),
        ("The page won't load", "negative"),
        ("It fails to sync with my phone", "negative"),
        ("No, this did not help", "negative"),
        ("It was easy to install.\nBut it no longer connects and the app is useless.", "negative"),
    ],
)
def test_english_idioms_negation_and_contrast(text: str, expected: str) -> None:
    assert sign(score(text, "en")) == expected


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I would like to request a refund", "en"),
        ("Refund", "en"),
        ("Please help me with my order", "en"),
        ("Thank you in advance", "en"),
        ("Kind regards", "en"),
        ("How do I create, save and load a file?", "en"),
        ("Any help would be much appreciated", "en"),
        ("お世話になっております。", "ja"),
        ("よろしくお願いいたします。", "ja"),
        ("恐れ入りますが、領収書をお送りください。", "ja"),
        ("ご返信いただけますと幸いです。", "ja"),
        ("画面を表示してポイントを付与します。", "ja"),
        ("请问怎么退款？", "zh"),
        ("안녕하세요. 확인 부탁드립니다.", "ko"),
    ],
)
def test_requests_and_polite_formulas_are_missing_not_neutral(text: str, language: str) -> None:
    assert math.isnan(score(text, language))


@pytest.mark.parametrize(
    "text",
    ["早く解決してください", "丁寧な対応をお願いします", "問題なく使いたいです", "満足できますか"],
)
def test_praise_that_is_only_asked_for_is_not_praise(text: str) -> None:
    assert not score(text, "ja") > 0


def test_intensifiers_order_the_scores() -> None:
    mild, plain, strong = polarity(
        ["少し不満です", "不満です", "非常に不満です"], ["ja", "ja", "ja"]
    )

    assert strong < plain < mild < 0


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (None, "en"),
        ("", "ja"),
        ("  \n", "ja"),
        ("12345", None),
        ("très bien", "fr"),
        ("注文番号は一二三です", "ja"),
    ],
)
def test_nothing_to_say_is_nan(text: str | None, language: str | None) -> None:
    assert math.isnan(score(text, language))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("対応が良い", "ja"),
        ("サポート", "ja"),
        ("매우 만족", "ko"),
        ("我很满意这个服务", "zh"),
        ("very good", "en"),
        ("返金希望", None),
        ("123 !?", None),
    ],
)
def test_script_tells_the_language(text: str, language: str | None) -> None:
    assert detect_language(text) == language


def test_a_missing_language_is_detected_and_a_region_is_ignored() -> None:
    text = "とても満足です"

    detected, plain, regional = polarity([text] * 3, [None, "ja", "ja-JP"])

    assert detected == plain == regional > 0


def test_scores_stand_in_the_order_of_the_texts_whatever_else_is_scored() -> None:
    texts = ["great", None, "最悪です", "great", "awful"]
    languages = ["en", "en", "ja", "en", "en"]

    together = polarity(texts, languages)
    alone = [score(*pair) for pair in zip(texts, languages, strict=True)]

    assert together.dtype == np.float64
    np.testing.assert_array_equal(together, alone)
    assert together[0] == together[3]


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 texts but 1 languages"):
        polarity(["a", "b"], ["en"])


def test_each_sentence_of_a_long_message_counts_for_itself() -> None:
    bad = "The update is awful."
    alone, twice, with_filler = (
        score(text, "en") for text in (bad, f"{bad} {bad}", f"I use two screens. {bad}")
    )

    assert twice < alone < 0
    assert with_filler == alone


def test_an_html_entity_is_read_as_its_character() -> None:
    assert score("It works&nbsp;!", "en") == score("It works !", "en") > 0


@settings(max_examples=150, deadline=None)
@given(st.text(), st.sampled_from([None, "en", "ja", "ko", "zh"]))
def test_any_text_gives_nan_or_a_value_within_bounds(text: str, language: str | None) -> None:
    value = score(text, language)

    assert math.isnan(value) or -1 <= value <= 1


@pytest.mark.parametrize("language", ["en", "ja", "ko", "zh"])
def test_very_long_messages_are_read_up_to_the_limit(language: str) -> None:
    assert not math.isnan(score("good 좋아요 满意 満足" + "a満 " * 50_000, language))


def words(language: str) -> Iterator[Entry]:
    return (entry for entry in lexicon(language) if entry.role == "word")


@pytest.mark.parametrize("language", ["en", "ja", "ko", "zh"])
def test_every_word_of_a_lexicon_scores_with_its_own_sign(language: str) -> None:
    entries = list(words(language))
    scores = polarity([entry.text for entry in entries], [language] * len(entries))

    wrong = [
        (entry.text, value)
        for entry, value in zip(entries, scores, strict=True)
        if not value * entry.value > 0
    ]
    assert wrong == []


@pytest.mark.parametrize("language", ["en", "ja", "ko", "zh"])
def test_valences_stay_on_the_scale(language: str) -> None:
    assert all(1 <= abs(entry.value) <= 3 for entry in words(language))
    assert all(entry.value == 0 for entry in lexicon(language) if entry.role == "formula")


def test_no_two_japanese_entries_reduce_to_the_same_symbols() -> None:
    resources = module._japanese_resources()
    tokenizer = resources.tokenizer()
    streams: dict[tuple[str, ...], list[str]] = {}
    for entry in lexicon("ja"):
        if entry.role in ("word", "formula"):
            stream = tuple(resources.stream(entry.text, tokenizer)[0])
            streams.setdefault(stream, []).append(entry.text)

    assert [entries for entries in streams.values() if len(entries) > 1] == []
    assert () not in streams


def test_every_japanese_intensifier_is_one_morpheme() -> None:
    tokenizer = module._japanese_resources().tokenizer()

    boosters = [entry.text for entry in lexicon("ja") if entry.role == "booster"]

    assert [text for text in boosters if len(tokenizer.tokenize(text)) > 1] == []


def test_a_repeated_entry_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xx.tsv").write_text("entry\trole\tvalue\ngood\tword\t1\ngood\tword\t2\n")
    monkeypatch.setattr(module, "LEXICON_FOLDER", tmp_path)

    with pytest.raises(ValueError, match="'good' is listed twice"):
        lexicon("xx")


def test_the_version_names_the_libraries_and_the_lexicons() -> None:
    assert module.VERSION == module.VERSION
    for part in (
        "rules ",
        "lexicons sha256:",
        "vaderSentiment ",
        "SudachiPy ",
        "SudachiDict-core ",
    ):
        assert part in module.VERSION


def test_import_loads_no_dictionary() -> None:
    code = (
        "import sys, features.polarity;"
        "assert not {'sudachipy', 'vaderSentiment'} & set(sys.modules), 'loaded at import'"
    )

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_spawned_worker_gives_the_same_scores() -> None:
    texts, languages = ["Not bad at all", "対応が遅い"], ["en", "ja"]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        remote = pool.apply(polarity, (texts, languages))

    np.testing.assert_array_equal(remote, polarity(texts, languages))
