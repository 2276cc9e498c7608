"""The optional tone backend: a sentiment classifier in a local folder, run by ONNX Runtime.

The folder holds what `optimum-cli export onnx` writes: `model.onnx` (perhaps with
`model.onnx_data`), `tokenizer.json` and `config.json`. Nothing is downloaded and nothing is
unpickled: an ONNX graph and JSON hold no code. The libraries are the extra `[transformer]`.

A text's tone is the mean of its classes' values, weighted by the model's probabilities; the class
names (`id2label` in config.json) tell the values: negative -1, neutral 0, positive 1, and stars
evenly from -1 for one to 1 for five.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import InputError

CLASS_VALUES = {
    "negative": -1.0, "neg": -1.0, "ネガティブ": -1.0,
    "neutral": 0.0, "neu": 0.0, "ニュートラル": 0.0,
    "positive": 1.0, "pos": 1.0, "ポジティブ": 1.0,
    "very negative": -1.0, "very positive": 1.0,
    "1 star": -1.0, "2 stars": -0.5, "3 stars": 0.0, "4 stars": 0.5, "5 stars": 1.0,
}  # fmt: skip
FILES = ("model.onnx", "tokenizer.json", "config.json")
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
LIBRARIES = ("onnxruntime", "tokenizers")
MAX_TOKENS = 512
DECIMALS = 6
"""Scores are rounded: beyond this, processors differ."""


class Transformer:
    """A text classifier exported to ONNX. Every text with a letter in it gets a score."""

    name = "transformer"

    def __init__(self, folder: Path) -> None:
        """Take a model's folder. Raises InputError naming what is missing or not understood."""
        self.folder = folder
        if not folder.is_dir():
            raise InputError(f"tone.model_dir: {folder} is no folder; name one that holds a model")
        for file in FILES:
            if not (folder / file).is_file():
                raise InputError(
                    f"tone.model_dir: {folder / file} does not exist; export the model with"
                    " `optimum-cli export onnx`, which writes " + ", ".join(FILES)
                )
        self._config = _read_json(folder / "config.json", "id2label")
        self._values = _class_values(self._config, folder / "config.json")

    @cached_property
    def version(self) -> str:
        """Versions of the libraries and the hash of the model's files."""
        digest = hashlib.sha256()
        for path in [*sorted(self.folder.glob("model.onnx*")), *map(self.folder.joinpath, FILES)]:
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        libraries = "; ".join(f"{library} {_installed(library)}" for library in LIBRARIES)
        return f"model sha256:{digest.hexdigest()[:16]}; {libraries}"

    def score(self, texts: Sequence[str], languages: Sequence[str | None]) -> np.ndarray:
        """One number in [-1, 1] per text, NaN for a text without a letter. Languages do not matter.

        Texts go through the model one at a time: padding and, in models with quantised
        activations, the neighbours in a batch would change a text's score.
        """
        tokenizer, session, inputs = self._loaded
        result = np.full(len(texts), np.nan)
        for row, text in enumerate(texts):
            if not any(character.isalpha() for character in text):
                continue
            encoded = tokenizer.encode(text)
            columns = {
                "input_ids": encoded.ids,
                "attention_mask": encoded.attention_mask,
                "token_type_ids": encoded.type_ids,
            }
            feed = {name: np.array([columns[name]], dtype=np.int64) for name in inputs}
            logits = np.asarray(session.run(None, feed)[0][0], dtype=np.float64)
            if logits.shape != self._values.shape:
                raise InputError(
                    f"tone.model_dir: model.onnx gives {logits.size} classes and config.json names"
                    f" {self._values.size}; they are not of one model"
                )
            result[row] = round(_expected(logits, self._values), DECIMALS)
        return result

    @cached_property
    def _loaded(self) -> tuple[Any, Any, tuple[str, ...]]:
        for library in LIBRARIES:
            _installed(library)
        import onnxruntime
        import tokenizers
        from onnxruntime.capi import onnxruntime_pybind11_state as problems

        _read_json(self.folder / "tokenizer.json", "model")
        tokenizer = tokenizers.Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        # RoBERTa's position table has two entries that no token can have.
        positions = self._config.get("max_position_embeddings", MAX_TOKENS + 2) - 2
        tokenizer.enable_truncation(min(MAX_TOKENS, positions))
        options = onnxruntime.SessionOptions()
        # One thread: buckets are scored in parallel, and sums keep their order.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(
                str(self.folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except (problems.Fail, problems.InvalidGraph, problems.InvalidProtobuf) as error:
            raise InputError(
                f"tone.model_dir: {self.folder / 'model.onnx'} cannot be read: {error}"
            ) from error
        inputs = tuple(value.name for value in session.get_inputs())
        unknown = sorted(set(inputs) - set(INPUTS))
        if unknown:
            raise InputError(
                f"tone.model_dir: model.onnx asks for {', '.join(unknown)}; a text classifier takes"
                f" {', '.join(INPUTS)}"
            )
        return tokenizer, session, inputs


def _installed(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        raise InputError(
            f"tone.backend: transformer needs {library}; run `pip install '.[transformer]'`"
        ) from None


def _read_json(path: Path, key: str) -> dict[str, Any]:
    """A JSON file whose object holds an object under `key`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"tone.model_dir: {path} is not JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get(key), dict):
        raise InputError(f"tone.model_dir: {path} has no {key}; export the model again")
    return content


def _class_values(config: dict[str, Any], path: Path) -> np.ndarray:
    """The value of each class, in the order of the model's outputs."""
    names = config["id2label"]
    ordered = [names.get(str(number)) for number in range(len(names))]
    values = [
        CLASS_VALUES.get(name.strip().lower().replace("_", " ")) if isinstance(name, str) else None
        for name in ordered
    ]
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known or min(known) >= 0 or max(known) <= 0:
        raise InputError(
            f"tone.model_dir: {path} calls the classes {ordered}; rename them negative, neutral and"
            " positive, or 1 star to 5 stars"
        )
    return np.array(known)


def _expected(logits: np.ndarray, values: np.ndarray) -> float:
    weights = np.exp(logits - logits.max())
    return float(weights @ values / weights.sum())
