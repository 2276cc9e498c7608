"""The model: recorded encoding -> LightGBM on float32 -> Platt calibration, and its files.

On disk a model is a folder of `model.txt` (LightGBM's text format), `calibrator.json` and
`manifest.json` (features, types, categories, parameters, rows, hashes). No pickle, no timestamp.

Rounds are fixed by `num_iterations` instead of stopped early: early stopping needs a slice of
its own, and one that is later than training would have to come out of calibration. With a low
learning rate, strong L2 and shallow trees the loss is flat around the default.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy.special import expit

from data.errors import InputError
from models.calibration import Platt
from models.treeshap import NotSupportedError, TreeExplainer

DEFAULT_PARAMS: Mapping[str, float] = {
    "learning_rate": 0.03,
    "num_iterations": 300,
    "num_leaves": 15,
    "max_depth": 5,  # the cost of SHAP values grows with leaves x depth squared
    "min_data_in_leaf": 200,
    "lambda_l2": 20.0,
    "feature_fraction": 0.4,  # spreads credit over correlated features
    "bagging_fraction": 1.0,
    "bagging_freq": 0,
    "max_bin": 255,
}
MODEL, CALIBRATOR, MANIFEST = "model.txt", "calibrator.json", "manifest.json"
NUMBER, CATEGORY = "number", "category"
MANY_EVENTS = 5_000
SMALL_LEAVES, SMALL_DEPTH = 4, 3
EVENTS_PER_STEP = 180
FEWEST_ROUNDS = 20
GAIN_WEIGHTS = "feature_contri"
"""LightGBM's parameter for the weight of each feature's split gains, in matrix order."""
ADDITIVITY_TOLERANCE = 1e-9
COMPARED_ROWS = 20
Rows = np.ndarray | slice
ALL_ROWS = slice(None)


class ModelError(InputError):
    """A model cannot be fitted, applied or read; the message names the cure."""


@dataclass(frozen=True)
class Encoder:
    """Turns a feature table into the matrix a model was trained on.

    `categories` maps each category feature to its sorted training values: value i is coded i,
    a value never seen len(values), a missing one NaN. Every other feature is a number.
    `if_missing` holds, for features never missing in training, what a missing value becomes:
    the training median, or the code of a value never seen. LightGBM would read it as 0, which
    is "today" for a recency and the first category for a category.
    """

    features: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    if_missing: Mapping[str, float]

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        features: Sequence[str],
        categories: Sequence[str],
        rows: Rows = ALL_ROWS,
    ) -> tuple[Encoder, np.ndarray, dict[str, str]]:
        """Learn the encoding of `features` from some rows.

        Returns the encoder of the features worth keeping, the encoded rows, and the dropped
        features with the reason: "constant" or "all missing".
        """
        if len(set(features)) != len(features):
            raise ModelError("A feature is listed twice; list each feature once.")
        stray = sorted(set(categories) - set(features))
        if stray:
            raise ModelError(f"Category columns that are not features: {stray}; add or drop them.")
        _require(frame, features)
        values = {
            name: tuple(sorted(_strings(frame[name].iloc[rows]).dropna().unique()))
            for name in categories
        }
        matrix = cls(tuple(features), values, {}).transform(frame, rows)
        dropped = _uninformative(features, matrix)
        kept = [position for position, name in enumerate(features) if name not in dropped]
        if dropped:
            matrix = np.ascontiguousarray(matrix[:, kept])
        names = tuple(features[position] for position in kept)
        if_missing = {
            name: float(len(values[name]) if name in values else np.median(column))
            for name, column in zip(names, matrix.T, strict=True)
            if not np.isnan(column).any()
        }
        values = {name: values[name] for name in names if name in values}
        return cls(names, values, if_missing), matrix, dropped

    def transform(self, frame: pd.DataFrame, rows: Rows = ALL_ROWS) -> np.ndarray:
        """C-contiguous float32 matrix (rows, features) in the recorded order.

        The frame may hold more columns, in any order; `rows` are positions or a mask.
        Raises ModelError when a feature is missing, has the wrong type or is infinite.
        """
        _require(frame, self.features)
        count = len(frame.index[rows])
        matrix = np.empty((count, len(self.features)), dtype=np.float32)
        for position, name in enumerate(self.features):
            column = frame[name].iloc[rows]
            if name in self.categories:
                encoded = _codes(column, self.categories[name])
            else:
                encoded = _numbers(column)
            if name in self.if_missing:
                encoded = np.where(np.isnan(encoded), np.float32(self.if_missing[name]), encoded)
            matrix[:, position] = encoded
        infinite = np.isinf(matrix).any(axis=0)
        if infinite.any():
            name = self.features[int(infinite.argmax())]
            raise ModelError(
                f"Feature {name!r} has infinite values; correct its definition "
                "(a division by zero?) and rebuild the features."
            )
        return matrix

    def to_dict(self) -> list[dict[str, Any]]:
        """One entry per feature, in order: name, type, what a category may be, `if_missing`."""
        entries = []
        for name in self.features:
            entry: dict[str, Any] = {"name": name, "type": NUMBER}
            if name in self.categories:
                entry |= {"type": CATEGORY, "values": list(self.categories[name])}
            if name in self.if_missing:
                entry["if_missing"] = self.if_missing[name]
            entries.append(entry)
        return entries

    @classmethod
    def from_dict(cls, entries: Sequence[Mapping[str, Any]]) -> Encoder:
        """Inverse of `to_dict`. Raises KeyError or TypeError on anything else."""
        return cls(
            tuple(entry["name"] for entry in entries),
            {item["name"]: tuple(item["values"]) for item in entries if item["type"] == CATEGORY},
            {item["name"]: item["if_missing"] for item in entries if "if_missing" in item},
        )


@dataclass(frozen=True)
class RetentionModel:
    """A fitted, calibrated model. `text` is LightGBM's own model text.

    `record` says how it was made: about, dropped columns, LightGBM version and parameters, rows
    and positives of fit and calibration.
    """

    text: str
    encoder: Encoder
    calibrator: Platt
    record: Mapping[str, Any]

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        y: np.ndarray | pd.Series,
        *,
        fit_rows: np.ndarray,
        calibration_rows: np.ndarray,
        features: Sequence[str],
        categories: Sequence[str] = (),
        params: Mapping[str, float] | None = None,
        gain_weights: Mapping[str, float] | None = None,
        seed: int = 0,
        threads: int = 1,
        about: Mapping[str, Any] | None = None,
    ) -> RetentionModel:
        """Train on `fit_rows`, calibrate on `calibration_rows` (positions or boolean masks).

        `y` has one value per row of `frame` and is 0 or 1 on the rows used. `params` overrides
        DEFAULT_PARAMS, held within what the rows can teach (see `fitted_settings`).
        A split on a feature in `gain_weights` counts as so much of its gain, on others as all.
        Columns that are all missing or constant on the fit rows are dropped and recorded.
        Same input, seed and threads give the same text. Raises ModelError with the cure.
        """
        outcomes = _outcomes(y, fit_rows, len(frame), "training")
        calibration_outcomes = _outcomes(y, calibration_rows, len(frame), "calibration")
        if np.unique(outcomes).size < 2:
            raise ModelError(
                f"All {outcomes.size} training rows have the same outcome; "
                "train on more as-of dates or skip this task."
            )
        encoder, matrix, dropped = Encoder.fit(frame, features, categories, fit_rows)
        if not encoder.features:
            raise ModelError(
                f"All {len(dropped)} features are constant or missing on the training rows; "
                "check the source's coverage of the training dates."
            )
        settings = fitted_settings(params or {}, outcomes)
        weights = [float((gain_weights or {}).get(name, 1.0)) for name in encoder.features]
        if any(weight != 1 for weight in weights):
            settings[GAIN_WEIGHTS] = weights
        booster = lgb.train(
            settings | fixed_settings(seed, threads),
            lgb.Dataset(matrix, outcomes, feature_name=list(encoder.features)),
        )
        text = booster.model_to_string()
        if booster.feature_name() != list(encoder.features):
            raise ModelError("LightGBM renamed a feature; use letters, digits and underscores.")
        margin = booster.predict(
            encoder.transform(frame, calibration_rows), raw_score=True, num_threads=threads
        )
        record = {
            "about": dict(about or {}),
            "dropped": dropped,
            "lightgbm": lgb.__version__,
            "params": settings,
            "seed": seed,
            "threads": threads,
            "rows": {"fit": outcomes.size, "calibration": calibration_outcomes.size},
            "positives": {
                "fit": int(outcomes.sum()),
                "calibration": int(calibration_outcomes.sum()),
            },
        }
        calibrator = Platt.fit(np.asarray(margin), calibration_outcomes)
        return cls(text, encoder, calibrator, record)

    def retrained(
        self,
        frame: pd.DataFrame,
        y: np.ndarray | pd.Series,
        *,
        fit_rows: np.ndarray,
        calibration_rows: np.ndarray,
        **how: Any,
    ) -> RetentionModel:
        """The same settings trained on its calibration rows too; `how` is as for `fit`.

        `calibration_rows` are those this model was calibrated on, among the `fit_rows`. The new
        booster knows their outcomes, so they cannot be asked again: the calibrator is moved such
        that their log-odds keep the mean and the spread that they had when they were unknown.
        """
        settings = {name: self.record["params"][name] for name in DEFAULT_PARAMS}
        model = RetentionModel.fit(
            frame, y, fit_rows=fit_rows, calibration_rows=calibration_rows, params=settings, **how
        )
        rows = frame.iloc[calibration_rows]
        old, new = self.margin(rows), model.margin(rows)
        varies = np.ptp(old) > 0 and np.ptp(new) > 0
        slope = self.calibrator.slope * (float(old.std() / new.std()) if varies else 1.0)
        intercept = self.calibrator.log_odds(old).mean() - slope * new.mean()
        calibrator = Platt(slope, float(intercept), self.calibrator.note)
        return replace(model, calibrator=calibrator, record={**model.record, "retrained": True})

    @property
    def features(self) -> tuple[str, ...]:
        """The features the model reads, in matrix order (dropped columns are not among them)."""
        return self.encoder.features

    @cached_property
    def booster(self) -> lgb.Booster:
        """The uncalibrated LightGBM model, read back from its text."""
        return lgb.Booster(model_str=self.text)

    def margin(self, frame: pd.DataFrame) -> np.ndarray:
        """Uncalibrated log-odds of y=1, float64 (rows,)."""
        return self._raw(self.encoder.transform(frame))

    def log_odds(self, frame: pd.DataFrame) -> np.ndarray:
        """Calibrated log-odds of y=1, float64 (rows,)."""
        return self.calibrator.log_odds(self.margin(frame))

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Calibrated P(y=1), float64 (rows,)."""
        return expit(self.log_odds(frame))

    def probability(self, matrix: np.ndarray) -> np.ndarray:
        """Calibrated P(y=1), float64 (rows,), of float32 (rows, features) already encoded."""
        return expit(self.calibrator.log_odds(self._raw(matrix)))

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, float]:
        """SHAP values of the calibrated log-odds: float64 (rows, features) and the base value.

        Exact path-dependent TreeSHAP times the calibrator's slope, from `models.treeshap`'s tables,
        or LightGBM's own much slower `pred_contrib` for trees that are too deep for tables. Each
        row plus the base equals `log_odds` within 1e-9, and a few rows are compared with
        `pred_contrib` every time; otherwise ModelError.
        Source: Lundberg et al. 2020, "From local explanations to global understanding".
        """
        matrix = self.encoder.transform(frame)
        slope, intercept = self.calibrator.slope, self.calibrator.intercept
        # The base is the same for every row; asking a blank row makes it known without any.
        blank = np.full((1, len(self.features)), np.nan, dtype=np.float32)
        base = slope * float(self._contrib(blank)[0, -1]) + intercept
        if not len(matrix):
            return np.empty((0, len(self.features))), base
        if self._explainer is None:
            values = slope * self._contrib(matrix)[:, :-1]
        else:
            values = slope * self._explainer.shap_values(matrix, self.record["threads"])
            few = slice(None, None, max(1, len(matrix) // COMPARED_ROWS))
            self._require_close(
                values[few], slope * self._contrib(matrix[few])[:, :-1], "LightGBM's own"
            )
        log_odds = self.calibrator.log_odds(self._raw(matrix))
        self._require_close(values.sum(axis=1) + base, log_odds, "the calibrated log-odds")
        return values, base

    @cached_property
    def _explainer(self) -> TreeExplainer | None:
        try:
            return TreeExplainer(self.booster)
        except NotSupportedError:
            return None

    @staticmethod
    def _require_close(values: np.ndarray, expected: np.ndarray, of_what: str) -> None:
        error = np.abs(values - expected).max()
        if not error <= ADDITIVITY_TOLERANCE:
            raise ModelError(
                f"SHAP values miss {of_what} by up to {error:.1e}; the model text is "
                "inconsistent, train it again."
            )

    def folded_booster(self) -> lgb.Booster:
        """A booster whose own `predict` on the encoded matrix is the calibrated probability.

        Every leaf is scaled by the calibrator's slope and the intercept joins the first tree, so
        anything that reads LightGBM models serves the same numbers without the calibrator.
        """
        folded = lgb.Booster(model_str=self.text)
        for tree in folded.dump_model()["tree_info"]:
            index = tree["tree_index"]
            shift = self.calibrator.intercept if index == 0 else 0.0
            for leaf in range(tree["num_leaves"]):
                value = self.calibrator.slope * folded.get_leaf_output(index, leaf) + shift
                folded.set_leaf_output(index, leaf, value)
        return folded

    def save(self, folder: Path) -> None:
        """Write the three files; an older model in `folder` is replaced as a whole."""
        files = {MODEL: self.text.encode(), CALIBRATOR: _json(self.calibrator.to_dict())}
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        manifest = dict(self.record) | {"features": self.encoder.to_dict(), "sha256": hashes}
        hashes[MANIFEST] = _own_digest(manifest)
        files[MANIFEST] = _json(manifest)

        partial = folder.with_name(f".{folder.name}.partial")
        previous = folder.with_name(f".{folder.name}.previous")
        for leftover in (partial, previous):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, content in files.items():
            (partial / name).write_bytes(content)
        # A folder that is not empty cannot be replaced in one step: step aside, swap, tidy up.
        if folder.exists():
            folder.rename(previous)
        partial.rename(folder)
        shutil.rmtree(previous, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path) -> RetentionModel:
        """Read a saved model. Raises ModelError naming the file that is missing or altered."""
        manifest = _json_object(folder / MANIFEST, _read(folder / MANIFEST))
        digest = _own_digest(manifest)
        contents = {name: _read(folder / name) for name in (MODEL, CALIBRATOR)}
        try:
            encoder = Encoder.from_dict(manifest.pop("features"))
            hashes = dict(manifest.pop("sha256"))
            int(manifest["threads"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{folder / MANIFEST} is incomplete ({error!r}); train the model again."
            ) from error
        for name, content in contents.items():
            if hashlib.sha256(content).hexdigest() != hashes.get(name):
                raise ModelError(
                    f"{folder / name} is not the file its manifest describes; restore the folder "
                    "or train the model again."
                )
        try:
            calibrator = Platt.from_dict(_json_object(folder / CALIBRATOR, contents[CALIBRATOR]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{folder / CALIBRATOR} is unreadable ({error!r}); train the model again."
            ) from error
        model = cls(contents[MODEL].decode(), encoder, calibrator, manifest)
        if model.booster.feature_name() != list(encoder.features):
            raise ModelError(
                f"{folder / MANIFEST} lists other features than {MODEL}; restore the folder or "
                "train the model again."
            )
        if hashes.get(MANIFEST) != digest:
            raise ModelError(
                f"{folder / MANIFEST} was changed after the model was trained; restore the folder "
                "or train the model again."
            )
        return model

    def _raw(self, matrix: np.ndarray) -> np.ndarray:
        return np.asarray(
            self.booster.predict(matrix, raw_score=True, num_threads=self.record["threads"])
        )

    def _contrib(self, matrix: np.ndarray) -> np.ndarray:
        return np.asarray(
            self.booster.predict(matrix, pred_contrib=True, num_threads=self.record["threads"])
        )


def _require(frame: pd.DataFrame, features: Sequence[str]) -> None:
    absent = [name for name in features if name not in frame.columns]
    if absent:
        raise ModelError(
            f"The feature table lacks {len(absent)} feature(s) of the model, first {absent[0]!r}; "
            "rebuild the features from the same source, or retrain without them."
        )


def _strings(column: pd.Series) -> pd.Series:
    if column.isna().all():
        return column.astype(object)
    if pd.api.types.infer_dtype(column.astype(object), skipna=True) != "string":
        raise ModelError(
            f"Category feature {column.name!r} must hold strings or nothing, has {column.dtype}; "
            "cast it in the source's SELECT."
        )
    return column.astype(object)


def _codes(column: pd.Series, values: tuple[str, ...]) -> np.ndarray:
    strings = _strings(column)
    codes = pd.Index(values, dtype=object).get_indexer(pd.Index(strings, dtype=object))
    codes = np.where(codes < 0, len(values), codes).astype(np.float32)
    return np.where(strings.isna(), np.float32(np.nan), codes)


def _numbers(column: pd.Series) -> np.ndarray:
    if column.isna().all():
        return np.full(len(column), np.nan, dtype=np.float32)
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_complex_dtype(column):
        raise ModelError(
            f"Feature {column.name!r} must be a number, has {column.dtype}; cast it in the "
            "source's SELECT or list it among the category columns."
        )
    return column.to_numpy(dtype=np.float32, na_value=np.nan)


def _outcomes(
    y: np.ndarray | pd.Series, rows: np.ndarray, expected: int, purpose: str
) -> np.ndarray:
    outcomes = np.asarray(y, dtype=np.float64)
    if len(outcomes) != expected:
        raise ModelError(f"y has {len(outcomes)} values for {expected} rows; pass one per row.")
    outcomes = outcomes[rows]
    if not outcomes.size or not np.isin(outcomes, (0.0, 1.0)).all():
        raise ModelError(
            f"The {outcomes.size} {purpose} rows must exist and be labelled 0 or 1; pass only rows "
            "whose status is 'labelled'."
        )
    return outcomes


def _uninformative(features: Sequence[str], matrix: np.ndarray) -> dict[str, str]:
    """Columns without a split: one value on all rows, or none (some missing is information)."""
    dropped = {}
    for name, column in zip(features, matrix.T, strict=True):
        missing = np.isnan(column)
        if missing.all():
            dropped[name] = "all missing"
        elif not missing.any() and column.min() == column.max():
            dropped[name] = "constant"
    return dropped


def fixed_settings(seed: int, threads: int) -> dict[str, Any]:
    """The LightGBM parameters that nobody chooses: the objective, and the same bytes every time."""
    return {
        "objective": "binary",
        "deterministic": True,
        # Faster than by row when a tree looks at a quarter of the features.
        "force_col_wise": True,
        "seed": seed,
        "num_threads": threads,
        "verbosity": -1,
    }


def fitted_settings(params: Mapping[str, float], outcomes: np.ndarray) -> dict[str, Any]:
    """DEFAULT_PARAMS with `params` over them, as used on training rows with these outcomes (0, 1).

    What data can teach is counted in rows of the rarer outcome, the events. With fewer than
    MANY_EVENTS a tree has at most SMALL_LEAVES leaves. Rounds times learning rate, how far the
    booster goes from the base rate, is at most events / EVENTS_PER_STEP, but FEWEST_ROUNDS always
    run. `min_data_in_leaf` is at most rows / 40, and at least 5.
    """
    unknown = sorted(set(params) - set(DEFAULT_PARAMS))
    if unknown:
        raise ModelError(f"Unknown model parameter {unknown}; known: {sorted(DEFAULT_PARAMS)}.")
    settings: dict[str, Any] = dict(DEFAULT_PARAMS) | dict(params)
    rows, positives = outcomes.size, int(outcomes.sum())
    events = min(positives, rows - positives)
    settings["min_data_in_leaf"] = max(5, min(int(settings["min_data_in_leaf"]), rows // 40))
    if events < MANY_EVENTS:
        settings["num_leaves"] = min(settings["num_leaves"], SMALL_LEAVES)
        settings["max_depth"] = min(settings["max_depth"], SMALL_DEPTH)
    most = int(events / EVENTS_PER_STEP / settings["learning_rate"])
    settings["num_iterations"] = min(settings["num_iterations"], max(most, FEWEST_ROUNDS))
    return settings


def _json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def _own_digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest apart from this very digest."""
    hashes = manifest.get("sha256")
    others = {k: v for k, v in hashes.items() if k != MANIFEST} if isinstance(hashes, dict) else {}
    return hashlib.sha256(_json(dict(manifest) | {"sha256": others})).hexdigest()


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ModelError(f"{path} does not exist; run the train stage first.")
    return path.read_bytes()


def _json_object(path: Path, content: bytes) -> dict[str, Any]:
    try:
        record = json.loads(content)
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}); train the model again.") from error
    if not isinstance(record, dict):
        raise ModelError(f"{path} is not a JSON object; train the model again.")
    return record
