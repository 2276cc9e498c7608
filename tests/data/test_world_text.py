"""Message text: every context can be said, and a line depends on its own entry alone."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from data.world.parameters import LANGUAGES, PRODUCTS, TOPICS
from data.world.text import KINDS, TONES, Lines, _mistype, compose, grammar

ANGRY, DELIGHTED = TONES.index("angry"), TONES.index("delighted")


def lines(size: int, **codes: int | np.ndarray) -> Lines:
    """Lines numbered from 1 with the given codes, 0 where nothing is said."""
    columns = {f.name: np.broadcast_to(codes.get(f.name, 0), size) for f in fields(Lines)}
    return Lines(**{**columns, "id": np.arange(1, size + 1)})


@pytest.mark.parametrize("language", range(len(LANGUAGES)), ids=LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_language_has_words_for_every_kind_of_message(language: int, kind: str) -> None:
    topic, product, tone = np.meshgrid(range(len(TOPICS)), range(PRODUCTS), range(5))
    script = lines(
        topic.size,
        language=language,
        kind=KINDS.index(kind),
        topic=topic.ravel(),
        product=product.ravel(),
        tone=tone.ravel(),
    )
    said = compose(1, script).to_pylist()
    assert all(said)
    untidy = sum("  " in text or text != text.strip() for text in said)
    assert untidy < 0.03 * len(said)  # typos only


def test_a_line_does_not_depend_on_the_lines_beside_it() -> None:
    rng = np.random.default_rng(0)
    script = lines(
        500,
        language=rng.integers(0, len(LANGUAGES), 500),
        kind=rng.integers(0, len(KINDS), 500),
        topic=rng.integers(0, len(TOPICS), 500),
        tone=rng.integers(0, 5, 500),
    )
    some = np.array([3, 77, 400])
    alone = Lines(**{f.name: getattr(script, f.name)[some] for f in fields(Lines)})
    whole = compose(1, script).to_pylist()
    assert compose(1, alone).to_pylist() == [whole[row] for row in some]


def test_angry_customers_and_delighted_ones_use_other_words() -> None:
    thanks = KINDS.index("thanks")
    angry = compose(1, lines(400, kind=thanks, polite=1, tone=ANGRY)).to_pylist()
    delighted = compose(1, lines(400, kind=thanks, polite=1, tone=DELIGHTED)).to_pylist()
    assert sum("失望" in text for text in angry) > 20
    assert not any("失望" in text for text in delighted)
    assert sum("感激" in text or "感謝" in text for text in delighted) > 40


def test_some_say_nothing_of_their_mood_and_some_the_reverse() -> None:
    script = lines(1000, kind=KINDS.index("thanks"), polite=1, tone=ANGRY)
    said = compose(1, script).to_pylist()

    def share(*words: str) -> float:
        return float(np.mean([any(word in text for word in words) for text in said]))

    assert (
        0.1 < share("承知しました", "確認できました", "了解", "様子を見ます", "試してみます") < 0.4
    )
    assert (
        share("失望", "利用したくありません", "時間がかかりすぎ", "納得", "信頼は", "ことはない")
        > 0.3
    )
    assert 0.005 < share("さすがの速さ", "立派な") < 0.1


def test_the_unhappy_are_sometimes_polite() -> None:
    script = lines(1000, kind=KINDS.index("thanks"), polite=1, tone=TONES.index("unhappy"))
    said = compose(1, script).to_pylist()
    glad = ("感謝", "的確な", "直りました", "解決しました", "わかりやすい", "問題なく")
    assert 0.01 < np.mean([any(word in text for word in glad) for text in said]) < 0.2


@pytest.mark.parametrize("language", [0, 1], ids=LANGUAGES[:2])
def test_a_bag_of_words_does_not_know_the_mood(language: int) -> None:
    """Words betray the mood, but not to the last customer: an AUC of 0.80 to 0.95."""
    rng = np.random.default_rng(0)
    size = 12_000
    tone = rng.choice([0, 1, 3, 4], size, p=[0.2, 0.3, 0.3, 0.2])
    kinds = [KINDS.index(kind) for kind in ("request", "chase", "thanks", "comment")]
    script = lines(
        size,
        language=language,
        kind=rng.choice(kinds, size),
        topic=rng.integers(0, len(TOPICS), size),
        product=rng.integers(0, PRODUCTS, size),
        polite=rng.integers(0, 2, size),
        tone=tone,
    )
    said = np.array(compose(1, script).to_pylist(), dtype=object)
    kept = said != ""
    said, content = said[kept], (tone > 2)[kept]
    words = (
        CountVectorizer(analyzer="char", ngram_range=(1, 3), min_df=3)
        if language == 0
        else CountVectorizer(ngram_range=(1, 2), min_df=3)
    )
    seen = words.fit_transform(said[:9000])
    model = LogisticRegression(C=0.5, max_iter=1000, solver="liblinear").fit(seen, content[:9000])
    score = model.decision_function(words.transform(said[9000:]))
    assert 0.80 < roc_auc_score(content[9000:], score) < 0.95


@pytest.mark.parametrize("language", LANGUAGES)
def test_slips_are_those_of_the_language(language: str) -> None:
    for right, wrong in grammar(language).typos:
        assert right and right != wrong
        assert _mistype(f"x{right}y", ((right, wrong),), 0.5) == f"x{wrong}y"
    assert _mistype("!", grammar(language).typos, 0.5) == "!"


def test_register_follows_the_customer() -> None:
    request = KINDS.index("request")
    polite = "".join(compose(1, lines(300, kind=request, polite=1)).to_pylist())
    casual = "".join(compose(1, lines(300, kind=request, polite=0)).to_pylist())
    assert polite.count("ております") > 20
    assert casual.count("ております") == 0


def test_the_grammar_spans_far_more_requests_than_anyone_could_memorise() -> None:
    japanese = grammar("ja")
    names = ("opener", "when", "situation", "feeling")
    slots = (len(japanese.slots[name].phrases) for name in names)
    assert np.prod([float(size) for size in slots]) > 100_000


def test_a_few_customers_mistype_and_agents_do_not() -> None:
    bot = compose(1, lines(2000, kind=KINDS.index("bot_ack"), language=1)).to_pylist()
    customers = compose(1, lines(2000, kind=KINDS.index("to_bot"), language=1)).to_pylist()
    right = set(grammar("en").slots["to_bot"].phrases.to_pylist())
    assert set(bot) == set(grammar("en").slots["bot_ack"].phrases.to_pylist())
    assert 0.02 < np.mean([text not in right for text in customers]) < 0.08
