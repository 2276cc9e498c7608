"""Message text: every context can be said, and a line depends on its own entry alone."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from data.world.parameters import LANGUAGES, PRODUCTS, TOPICS
from data.world.text import KINDS, TONES, Lines, compose, grammar

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
