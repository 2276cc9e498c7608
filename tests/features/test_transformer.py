"""The transformer backend on a real, tiny ONNX graph that is built here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from data.errors import InputError
from features import tone
from features.transformer import Transformer

VOCABULARY = {"[UNK]": 0, "[CLS]": 1, "good": 2, "bad": 3, "fine": 4}
# Logits for negative, neutral, positive per token; a text's are the mean over its tokens.
LOGITS = np.array([[0, 0, 0], [0, 0, 0], [-9, 0, 9], [9, 0, -9], [0, 6, 6]], np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path, ("input_ids", "attention_mask"))


def save(folder: Path, inputs: tuple[str, ...]) -> Path:
    int64 = [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "t"]) for n in inputs]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["weights"]),
        helper.make_node("Mul", ["tokens", "weights"], ["seen"]),
        helper.make_node("ReduceMean", ["seen", "middle"], ["logits"], keepdims=0),
    ]
    constants = [
        numpy_helper.from_array(LOGITS, "table"),
        numpy_helper.from_array(np.array([2]), "last"),
        numpy_helper.from_array(np.array([1]), "middle"),
    ]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 3])
    graph = helper.make_graph(nodes, "tiny", int64, [logits], constants)
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "model.onnx")
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    labels = {"0": "negative", "1": "neutral", "2": "positive"}
    config = {"id2label": labels, "max_position_embeddings": 10}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_local_model_scores_texts(folder: Path) -> None:
    chosen = tone.backend("transformer", folder)

    scores = chosen.score(["good good", "bad", "so what", "123"], ["en", None, "ja", "en"])

    mean = np.array([-6.0, 0.0, 6.0])  # of [CLS] good good
    expected = (np.exp(mean) / np.exp(mean).sum()) @ [-1, 0, 1]
    assert scores[0] == pytest.approx(expected, abs=1e-6)
    assert scores[1] < -0.9
    assert scores[2] == 0
    assert np.isnan(scores[3])
    assert chosen.version.startswith("model sha256:")


def test_a_texts_score_does_not_depend_on_its_neighbours(folder: Path) -> None:
    texts = ["good", "fine " * 6, "bad fine good"]
    model = Transformer(folder)

    together = model.score(texts, [None] * 3)
    alone = [model.score([text], [None])[0] for text in texts]

    np.testing.assert_array_equal(together, alone)


def test_a_long_text_is_read_up_to_what_the_model_can_take(folder: Path) -> None:
    model = Transformer(folder)

    long, cut = model.score(["good " * 100, "good " * 7], [None] * 2)

    assert long == cut  # 8 positions, one of them [CLS]


def test_a_graph_with_other_inputs_is_refused(tmp_path: Path) -> None:
    save(tmp_path, ("input_ids", "attention_mask", "pixels"))

    with pytest.raises(InputError, match="asks for pixels; a text classifier takes"):
        Transformer(tmp_path).score(["good"], [None])


def test_a_file_that_is_no_graph_is_an_input_error(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not a graph")

    with pytest.raises(InputError, match=r"model\.onnx"):
        Transformer(folder).score(["good"], [None])


def test_a_file_that_is_no_tokenizer_is_an_input_error(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")

    with pytest.raises(InputError, match=r"tokenizer\.json"):
        Transformer(folder).score(["good"], [None])
