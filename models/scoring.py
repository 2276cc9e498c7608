"""Rows of features -> calibrated probability and reasons: what is known of a customer alone.

A bucket is scored on its own, and its result is small: one row per customer, where a reason is the
position of a feature among the model's, its value and the family's contribution. What depends on
all customers (rank, tier) and what is the same for all (a feature's name, its typical value) comes
when all buckets are done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import expit

from models import explanation, policy
from models.estimator import ModelError, RetentionModel

REASON = pa.struct(
    [
        ("contribution", pa.float64()),
        ("family", pa.string()),
        ("feature", pa.string()),
        ("lever", pa.bool_()),
        ("typical", pa.float64()),
        ("typical_text", pa.string()),
        ("value", pa.float64()),
        ("value_text", pa.string()),
    ]
)


class Meaning(explanation.Meaning, Protocol):
    """What scoring needs to know of a feature (`features.catalog.Feature` has it)."""

    @property
    def unit(self) -> str:
        """ "category" where the values are words."""

    @property
    def kind(self) -> str:
        """How it is computed: "calendar", "decayed", ..."""


@dataclass(frozen=True)
class Scorer:
    """A task's model and what its reasons are made of.

    `meanings` are those of the features that the run's data support, `typical` the values of the
    typical retained customer, `top` the number of reasons. `key` stands for all of it.
    """

    task: str
    key: str
    model: RetentionModel = field(compare=False, repr=False)
    meanings: Mapping[str, Meaning] = field(compare=False, repr=False)
    typical: Mapping[str, float | str | None] = field(compare=False, repr=False)
    top: int = field(compare=False)

    @property
    def towards(self) -> int:
        """The sign of what is bad: 1 where the model predicts the bad outcome."""
        return 1 if self.task == "churn" else -1

    @property
    def schema(self) -> pa.Schema:
        """The columns of `scored`, before any that are kept as they are."""
        columns = [
            ("customer_id", pa.string()),
            ("probability", pa.float64()),
            ("risk", pa.float64()),
            ("play", pa.string()),
        ]
        for place in range(1, self.top + 1):
            columns += [
                (f"feature_{place}", pa.int16()),
                (f"value_{place}", pa.float64()),
                (f"text_{place}", pa.string()),
                (f"contribution_{place}", pa.float64()),
            ]
        return pa.schema(columns)


def used_features(model: RetentionModel) -> tuple[str, ...]:
    """The features that some tree asks for; the others cannot change a prediction."""
    splits = model.booster.feature_importance("split")
    return tuple(name for name, count in zip(model.features, splits, strict=True) if count)


def check_features(task: str, model: RetentionModel, meanings: Mapping[str, Meaning]) -> None:
    """Whether the data support what the model reads. Raises ModelError naming the feature."""
    cure = f"score with a model of this source and these params, or run `retention train {task}`"
    for name in used_features(model):
        if name not in meanings:
            raise ModelError(
                f"the {task} model reads {name!r}, which the tables and windows of this run do not"
                f" give; {cure}"
            )
    for name in model.features:
        if name not in meanings:
            continue
        wanted = name in model.encoder.categories
        if wanted != (meanings[name].unit == "category"):
            kinds = ("a number", "a category")
            raise ModelError(
                f"the {task} model takes {name!r} for {kinds[wanted]}, the data have"
                f" {kinds[not wanted]}; {cure}"
            )


@lru_cache(maxsize=4)
def _kept(scorer: Scorer) -> Scorer:
    """The first scorer with this key in this process: its tables are built once, not per bucket."""
    return scorer


def scored(scorer: Scorer, rows: pd.DataFrame, keep: Sequence[str]) -> pa.Table:
    """One row per row of `rows`, in their order: `scorer.schema`, then the columns `keep`.

    `rows` has customer_id and at least the `used_features`. Raises ModelError.
    """
    scorer = _kept(scorer)
    model = scorer.model
    used = list(used_features(model))
    frame = rows.reindex(columns=list(model.features))
    values, _ = model.contributions(frame)
    values = values[:, np.flatnonzero(np.isin(model.features, used))]
    probability = expit(model.log_odds(frame))
    present = tells_apart(frame[used], scorer.typical, scorer.meanings)
    why = explanation.reasons(
        values,
        used,
        scorer.meanings,
        towards=scorer.towards,
        top=scorer.top,
        present=nameable(values, used, scorer.meanings, present, towards=scorer.towards),
    )
    families = sorted({meaning.family for meaning in scorer.meanings.values()})
    no_play: Any = None
    columns: dict[str, Any] = {
        "customer_id": rows["customer_id"],
        "probability": probability,
        "risk": probability if scorer.towards == 1 else 1 - probability,
        "play": policy.next_steps(why, len(rows), {f: f for f in families}, no_play=no_play),
        **_places(why, frame, scorer),
    }
    arrays = [pa.array(columns[name.name], name.type, from_pandas=True) for name in scorer.schema]
    table = pa.table(arrays, schema=scorer.schema)
    for name in keep:
        kind = pa.string() if scorer.meanings[name].unit == "category" else pa.float32()
        table = table.append_column(name, pa.array(rows[name], kind, from_pandas=True))
    return table


def tells_apart(
    frame: pd.DataFrame, typical: Mapping[str, Any], meanings: Mapping[str, Meaning]
) -> np.ndarray:
    """Where a value can be a reason [rows x features]: it is known, reads unlike the typical one,
    and is not the same for everybody, as the season is."""
    out = np.zeros(frame.shape, dtype=bool)
    for i, name in enumerate(frame.columns):
        column, usual = frame[name], typical[name]
        if meanings[name].kind == "calendar":
            continue
        out[:, i] = column.notna()
        if isinstance(usual, str):
            out[:, i] &= (column != usual).to_numpy(dtype=bool, na_value=False)
        elif usual is not None and out[:, i].any():
            numbers = column.to_numpy(dtype=float, na_value=np.nan)
            out[:, i] &= ~np.isclose(numbers, usual, rtol=0.005, atol=1e-6)
    return out


def nameable(
    values: np.ndarray,
    names: Sequence[str],
    meanings: Mapping[str, Meaning],
    present: np.ndarray,
    *,
    towards: int,
) -> np.ndarray:
    """`present` without the weighted sums of a family that has a plainer harmful value to name.

    "Five tickets in the last 90 days" says more to a person than a sum weighted by recency.
    """
    harmful = present & (towards * values > 0)
    weighted = np.array([meanings[name].kind == "decayed" for name in names])
    kinds = [(meanings[name].family, meanings[name].lever) for name in names]
    out = present.copy()
    for kind in dict.fromkeys(kinds):
        inside = np.array([one == kind for one in kinds])
        has_plain = harmful[:, inside & ~weighted].any(axis=1)
        out[np.ix_(has_plain, inside & weighted)] = False
    return out


def _places(why: pd.DataFrame, frame: pd.DataFrame, scorer: Scorer) -> dict[str, Any]:
    """The columns of the reasons: missing where a row has fewer of them."""
    rows, top = len(frame), scorer.top
    row, place = why["row"].to_numpy(), why["rank"].to_numpy() - 1
    position = pd.Index(scorer.model.features).get_indexer(pd.Index(why["feature"]))
    value = np.full(len(why), np.nan)
    text = np.full(len(why), None, dtype=object)
    for at in np.unique(position):
        name, here = scorer.model.features[at], position == at
        found = frame[name].to_numpy(dtype=object if _is_text(scorer, name) else float)
        (text if _is_text(scorer, name) else value)[here] = found[row[here]]

    def laid_out(flat: Any, empty: Any) -> np.ndarray:
        out = np.full((rows, top), empty, dtype=np.asarray(flat).dtype)
        out[row, place] = flat
        return out

    parts = {
        "feature": laid_out(position.astype(float), np.nan),
        "value": laid_out(value, np.nan),
        "text": laid_out(text, None),
        "contribution": laid_out(why["contribution"].to_numpy(dtype=float), np.nan),
    }
    return {
        f"{name}_{i + 1}": _whole(part[:, i]) if name == "feature" else part[:, i]
        for name, part in parts.items()
        for i in range(top)
    }


def _whole(numbers: np.ndarray) -> pa.Array:
    missing = np.isnan(numbers)
    return pa.array(np.where(missing, 0, numbers).astype(np.int16), pa.int16(), mask=missing)


def _is_text(scorer: Scorer, name: str) -> bool:
    return name in scorer.model.encoder.categories


def reasons_of(scorer: Scorer, table: pa.Table) -> pa.Array:
    """The reasons of scored rows as lists of `REASON`, first to be read first."""
    names = np.array(scorer.model.features, dtype=object)
    position = np.stack(
        [table[f"feature_{i}"].to_numpy(zero_copy_only=False) for i in _range(scorer)], axis=1
    ).astype(float)
    known = ~np.isnan(position)
    feature = position[known].astype(np.intp)
    meanings = [scorer.meanings.get(name) for name in names]
    usual = [scorer.typical.get(name) for name in names]

    def flat(name: str) -> np.ndarray:
        columns = [table[f"{name}_{i}"].to_numpy(zero_copy_only=False) for i in _range(scorer)]
        return np.stack(columns, axis=1)[known]

    def of_feature(values: Sequence[Any]) -> np.ndarray:
        return np.array(values, dtype=object)[feature]

    fields = {
        "contribution": flat("contribution"),
        "family": of_feature([m and m.family for m in meanings]),
        "feature": names[feature],
        "lever": of_feature([m and m.lever for m in meanings]),
        "typical": of_feature([None if isinstance(u, str) else u for u in usual]),
        "typical_text": of_feature([u if isinstance(u, str) else None for u in usual]),
        "value": flat("value"),
        "value_text": flat("text"),
    }
    structs = pa.StructArray.from_arrays(
        [pa.array(fields[f.name], f.type, from_pandas=True) for f in REASON], fields=list(REASON)
    )
    offsets = np.concatenate([[0], np.cumsum(known.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), structs)


def _range(scorer: Scorer) -> range:
    return range(1, scorer.top + 1)


ALL = ""
"""The key under which `never_seen` counts the customers that have any value."""


def never_seen(model: RetentionModel, rows: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Per category feature the model uses, the customers by a value it was not trained on, and all
    that have a value under ALL."""
    used = set(used_features(model))
    out: dict[str, dict[str, int]] = {}
    for name, known in model.encoder.categories.items():
        if name in used:
            values = rows[name].dropna()
            strange = Counter(values[~values.isin(list(known))].astype(str))
            out[name] = {ALL: len(values), **dict(sorted(strange.items()))}
    return out
