"""How well and how fast the default tone backend scores: `python -m benchmarks.tone`.

Prints, per language, on

- the hand-labelled sentences in tests/features/polarity_cases.tsv, which the lexicons' author has
  seen: a regression guard, no validation;
- requests of the embedded world, whose tone is known. No entry was chosen by its phrases, but they
  are one author's sentences too;
- real questions to Mozilla Support (when the data set is there): unlabelled, so coverage only;

the share of texts with the right sign (no score counts as neutral), the share of polar texts that
have a score, the share of polar texts with the opposite sign, and CPU seconds per 10,000 texts.
"""

from __future__ import annotations

import csv
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np

from data import source
from data.world import text
from data.world.parameters import LANGUAGES, PRODUCTS, TOPICS
from features.polarity import polarity

CASES = Path(__file__).parent.parent / "tests" / "features" / "polarity_cases.tsv"
HEADER = "texts\tlanguage\tn\tcovered\tright sign\tpolar covered\topposite\tCPU s per 10,000\n"
NEUTRAL = 0.05
PER_LANGUAGE = 4000


def main() -> None:
    """Print one line per set of texts and language."""
    sys.stdout.write(HEADER)
    with CASES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for language in ("en", "ja", "zh", "ko"):
        mine = [row for row in rows if row["language"] == language]
        _print("cases", language, [r["text"] for r in mine], [r["label"] for r in mine])
    for code, language in enumerate(LANGUAGES):
        texts, labels = world_requests(code)
        _print("world", language, texts, labels)
    folder = source.root_of(source.load("thunderbird_support"))
    if folder.is_dir():
        _print("thunderbird_support", "en", _questions(folder), None)


def world_requests(language: int) -> tuple[list[str], list[str]]:
    """Requests of the embedded world in every tone but sarcasm, and the sign that each is meant in.

    The tone is what the grammar was told; a request also names a fault, whatever its tone.
    """
    count = PER_LANGUAGE
    draw = np.random.default_rng(7)
    tones = draw.integers(0, text.TONES.index("sarcastic"), count)
    lines = text.Lines(
        id=np.arange(count),
        kind=np.full(count, text.KINDS.index("request")),
        language=np.full(count, language),
        topic=draw.integers(0, len(TOPICS), count),
        product=draw.integers(0, PRODUCTS, count),
        tone=tones,
        **{
            name: draw.integers(0, 2, count)
            for name in ("polite", "severe", "empathic", "personal", "solved")
        },
    )
    signs = ("negative", "negative", "neutral", "positive", "positive")
    return text.compose(7, lines).to_pylist(), [signs[tone] for tone in tones]


def _questions(folder: Path) -> list[str]:
    rows = duckdb.execute(
        "SELECT concat_ws(chr(10), title, content)"
        f" FROM read_parquet('{folder / 'questions.parquet'}')"
        " WHERE locale = 'en-US' ORDER BY id LIMIT 8000"
    ).fetchall()
    return [row[0] for row in rows]


def _print(name: str, language: str, texts: Sequence[str], labels: Sequence[str] | None) -> None:
    polarity(["-"], [language])  # load what the language needs
    started = time.process_time()
    scores = polarity(texts, [language] * len(texts))
    seconds = (time.process_time() - started) / len(texts) * 10_000
    covered = ~np.isnan(scores)
    figures = ["", "", ""]
    if labels is not None:
        signs = [_sign(score) for score in scores]
        polar = np.array([label != "neutral" for label in labels])
        right = np.array([sign == label for sign, label in zip(signs, labels, strict=True)])
        opposite = polar & ~right & np.array([sign != "neutral" for sign in signs])
        shares = (right.mean(), covered[polar].mean(), opposite[polar].mean())
        figures = [f"{share:.3f}" for share in shares]
    row = [name, language, str(len(texts)), f"{covered.mean():.3f}", *figures, f"{seconds:.2f}"]
    sys.stdout.write("\t".join(row) + "\n")


def _sign(score: float) -> str:
    if math.isnan(score) or abs(score) <= NEUTRAL:
        return "neutral"
    return "positive" if score > 0 else "negative"


if __name__ == "__main__":
    main()
