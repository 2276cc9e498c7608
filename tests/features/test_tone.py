from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from data.errors import InputError
from features import tone, transformer
from features.polarity import polarity
from tests.features.tables import customer, database, table

DAY = "2024-05-01"


class Counting:
    """A backend that remembers what it was asked; texts with a ! are bad, with a ? unknown."""

    name, version = "counting", "1"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    def score(self, texts: Sequence[str], languages: Sequence[str | None]) -> np.ndarray:
        self.asked += zip(texts, languages, strict=True)
        return np.array([np.nan if "?" in t else -0.1 if "!" in t else len(t) / 7 for t in texts])


def written(text: str | None, customer_id: str = "C1", **more: Any) -> dict[str, Any]:
    return {
        "customer_id": customer_id,
        "ticket_id": "T1",
        "event_at": DAY,
        "author": "customer",
        "language": "en",
        "text": text,
    } | more


def comment(text: str | None) -> dict[str, Any]:
    return {"customer_id": "C1", "survey_id": "S1", "event_at": DAY, "kind": "csat"} | {
        "action": "answered",
        "comment": text,
    }


def files(folder: Path, /, **tables: pd.DataFrame) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    for name, rows in tables.items():
        rows.to_parquet(folder / f"{name}.parquet")
    return {name: folder / f"{name}.parquet" for name in tables}


def messages(folder: Path, *rows: dict[str, Any]) -> dict[str, Path]:
    return files(folder, messages=table("messages", *rows))


def stored(path: Path, tables: dict[str, Path], backend: tone.Backend) -> Path:
    pq.write_table(tone.score_bucket(tables, backend)[0], path)
    return path


def test_only_what_customers_write_is_scored_and_no_text_is_stored(tmp_path: Path) -> None:
    tables = files(
        tmp_path,
        messages=table(
            "messages",
            written("abc", event_id="M1"),
            written("from us", author="agent"),
            written("beep", author="bot"),
            written(None, event_id="M4"),
        ),
        surveys=table("surveys", comment("ab!"), comment(None)),
    )
    backend = Counting()

    scores, counts, fresh = tone.score_bucket(tables, backend)

    assert sorted(backend.asked) == [("ab!", None), ("abc", "en")]
    assert scores.schema == tone.STORED
    assert scores.drop_columns("text_hash").to_pylist() == [
        {"table": "messages", "event_id": "M1", "record_version": 1, "polarity": 3 / 7},
        {"table": "surveys", "event_id": "surveys-0", "record_version": 1, "polarity": -0.1},
    ]
    assert fresh == 2
    assert counts == [
        tone.Count("messages", "en", written=1, covered=1, negative=0),
        tone.Count("surveys", "unknown", written=1, covered=1, negative=1),
    ]


def test_a_text_is_scored_once_per_language_and_no_score_stays_missing(tmp_path: Path) -> None:
    backend = Counting()
    tables = messages(
        tmp_path,
        written("gift"),
        written("gift"),
        written("gift", language="de"),
        written("what?"),
        written("what?"),
    )

    scores, counts, fresh = tone.score_bucket(tables, backend)

    assert fresh == len(backend.asked) == 3
    assert scores["polarity"].to_pylist() == [4 / 7, 4 / 7, 4 / 7, None, None]
    assert counts == [
        tone.Count("messages", "de", written=1, covered=1, negative=0),
        tone.Count("messages", "en", written=4, covered=2, negative=0),
    ]


def test_texts_scored_earlier_in_any_bucket_are_not_scored_again(tmp_path: Path) -> None:
    rows = [written("old"), written("old?"), written("older", "C2")]
    earlier = [
        stored(tmp_path / "a", messages(tmp_path / "1", *rows[:2]), Counting()),
        stored(tmp_path / "b", messages(tmp_path / "2", *rows[1:]), Counting()),
    ]
    tables = messages(tmp_path / "3", *rows, written("new"))
    first, again = Counting(), Counting()

    without = tone.score_bucket(tables, first)[0]
    scores, _, fresh = tone.score_bucket(tables, again, earlier)

    assert again.asked == [("new", "en")]
    assert fresh == 1
    assert scores.equals(without)
    for name, scored in {"with": scores, "without": without}.items():
        pq.write_table(scored, tmp_path / name)
    assert (tmp_path / "with").read_bytes() == (tmp_path / "without").read_bytes()


def test_scores_of_texts_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    earlier = stored(tmp_path / "a", messages(tmp_path, written("old"), written("x")), Counting())

    scores = tone.score_bucket(messages(tmp_path, written("x")), Counting(), [earlier])[0]

    assert len(scores) == 1


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    rows = [written(text, event_id=text) for text in ("b", "aa", "c?", "dd!")]

    one = tone.score_bucket(messages(tmp_path, *rows), Counting())[0]
    other = tone.score_bucket(messages(tmp_path, *rows[::-1]), Counting())[0]

    assert one.equals(other)


def test_a_source_without_messages_has_no_scores() -> None:
    scores, counts, fresh = tone.score_bucket({}, Counting())

    assert (len(scores), len(counts), fresh) == (0, 0, 0)
    assert scores.schema == tone.STORED


def rows_of(connection: Any, name: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT event_id, polarity FROM {name} ORDER BY 1").fetchall()


def test_features_read_the_stored_scores(tmp_path: Path) -> None:
    tables = {
        "messages": table("messages", written("ab", event_id="M1"), written(None)),
        "surveys": table("surveys", comment("good!")),
    }
    path = stored(tmp_path / "stored", files(tmp_path, **tables), Counting())
    connection = database(customers=table("customers", customer()), **tables)

    tone.read_scores(connection, path)
    tone.score_texts(connection)  # leaves them alone

    assert rows_of(connection, "message_polarity") == [("M1", 2 / 7)]
    assert rows_of(connection, "comment_polarity") == [("surveys-0", -0.1)]


def test_without_stored_scores_the_default_backend_scores(tmp_path: Path) -> None:
    connection = database(
        messages=table("messages", written("Not bad at all", event_id="M1"), written("12345")),
        surveys=table("surveys", comment("とても満足です")),
    )

    tone.score_texts(connection)

    expected = polarity(["Not bad at all", "とても満足です"], ["en", None])
    assert rows_of(connection, "message_polarity") == [("M1", expected[0]), ("messages-1", None)]
    assert rows_of(connection, "comment_polarity") == [("surveys-0", expected[1])]


@pytest.mark.parametrize("now", [written("changed"), written("old", language="ja")])
def test_scores_of_another_text_are_refused(tmp_path: Path, now: dict[str, Any]) -> None:
    path = stored(tmp_path / "stored", messages(tmp_path, written("old")), Counting())
    connection = database(messages=table("messages", now))

    with pytest.raises(InputError, match=r"no score of the text of messages messages-0.*dvc repro"):
        tone.read_scores(connection, path)


def test_missing_scores_name_the_stage(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stage tone"):
        tone.read_scores(database(), tmp_path / "none.parquet")


# Backends


def test_the_default_needs_no_model() -> None:
    chosen = tone.backend("lexicon", None)

    assert chosen.name == "lexicon"
    assert "lexicons sha256:" in chosen.version
    assert chosen.score(["awful"], ["en"]) < 0


@pytest.mark.parametrize(
    ("name", "message"),
    [("transformer", "needs tone.model_dir"), ("oracle", "use lexicon or transformer")],
)
def test_a_backend_that_cannot_be_had_names_the_cure(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tone.backend(name, None)


def model(folder: Path, labels: dict[str, str], **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "config.json").write_text(json.dumps({"id2label": labels} | config))
    return folder


THREE = {"0": "Negative", "1": "NEUTRAL", "2": "positive"}


class Model(transformer.Transformer):
    """A transformer whose graph answers with one row of logits per known text."""

    def __init__(self, folder: Path, answers: dict[str, list[float]]) -> None:
        super().__init__(folder)
        texts = list(answers)
        tokenizer = SimpleNamespace(
            encode=lambda text: SimpleNamespace(
                ids=[texts.index(text)], attention_mask=[1], type_ids=[0]
            )
        )
        session = SimpleNamespace(
            run=lambda _, feed: [np.array([answers[texts[feed["input_ids"][0, 0]]]], np.float32)]
        )
        self._loaded = (tokenizer, session, ("input_ids", "attention_mask"))


def test_a_transformers_tone_is_the_expected_value_of_its_classes(tmp_path: Path) -> None:
    answers = {"good": [-50.0, -50.0, 50.0], "so so": [0.0] * 3, "bad": [np.log(3.0), 0.0, 0.0]}

    scores = Model(model(tmp_path, THREE), answers).score(["good", "so so", "bad", "12 !"], [None])

    np.testing.assert_allclose(scores, [1, 0, -0.4, np.nan], atol=1e-6)


def test_stars_are_evenly_spaced(tmp_path: Path) -> None:
    stars = {str(i): f"{i + 1} star{'s' if i else ''}" for i in range(5)}
    answers = {"fine": [-50.0, -50.0, -50.0, 50.0, -50.0]}

    scores = Model(model(tmp_path, stars), answers).score(["fine"], ["en"])

    np.testing.assert_allclose(scores, [0.5], atol=1e-6)


def test_a_graph_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gives 2 classes and config\.json names 3"):
        Model(model(tmp_path, THREE), {"a": [0.0, 1.0]}).score(["a"], [None])


@pytest.mark.parametrize(
    "labels",
    [{"0": "LABEL_0", "1": "LABEL_1"}, {"0": "positive", "1": "neutral"}, {"1": "negative"}, {}],
)
def test_classes_without_a_meaning_are_refused(tmp_path: Path, labels: dict[str, str]) -> None:
    with pytest.raises(InputError, match="rename them negative, neutral and positive"):
        transformer.Transformer(model(tmp_path, labels))


@pytest.mark.parametrize("config", ["not json", "[]", "{}"])
def test_an_unreadable_config_is_named(tmp_path: Path, config: str) -> None:
    (model(tmp_path, THREE) / "config.json").write_text(config)

    with pytest.raises(InputError, match=r"config\.json"):
        transformer.Transformer(tmp_path)


def test_a_missing_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        tone.backend("transformer", tmp_path / "none")
    (model(tmp_path, THREE) / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.json does not exist.*optimum-cli"):
        tone.backend("transformer", tmp_path)


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(library: str) -> str:
        raise PackageNotFoundError(library)

    monkeypatch.setattr(transformer, "version", absent)
    chosen = transformer.Transformer(model(tmp_path, THREE))

    with pytest.raises(
        InputError, match=r"needs onnxruntime; run `pip install '\.\[transformer\]'"
    ):
        chosen.score(["a"], [None])


def test_the_version_follows_every_file_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformer, "version", lambda library: "1.0")
    versions = {transformer.Transformer(model(tmp_path, THREE)).version}
    for file in ("model.onnx", "model.onnx_data", "tokenizer.json"):
        (tmp_path / file).write_bytes(b"{} ")
        versions.add(transformer.Transformer(tmp_path).version)
    model(tmp_path, THREE, more=1)
    versions.add(transformer.Transformer(tmp_path).version)

    assert len(versions) == 5
    assert all("onnxruntime 1.0; tokenizers 1.0" in version for version in versions)
