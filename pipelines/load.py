"""What later stages read of what earlier stages wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from data import source
from data.errors import InputError
from features.attributes import attribute_features
from features.catalog import Feature, features
from features.labels import ELIGIBLE
from pipelines import paths, stage
from pipelines.params import Params

SKIPPED = "skipped.json"


def summary() -> dict[str, Any]:
    """artifacts/features/summary.json."""
    return stage.read_json(paths.FEATURE_SUMMARY)


def catalog(settings: Params) -> dict[str, Feature]:
    """The features of this run by name, in catalog order."""
    contract = stage.read_json(paths.CONTRACT)
    return {feature.name: feature for feature in supported_features(settings, contract)}


def supported_features(settings: Params, contract: dict[str, Any]) -> tuple[Feature, ...]:
    """The features that the ingested tables and their columns support, in catalog order."""
    absent = [
        f"{name}.{column}"
        for name, table in contract["tables"].items()
        for column in table["absent_columns"]
    ]
    chosen = source.load(settings.source.name)
    own = attribute_features(chosen)
    if chosen.snapshot:
        return own
    common = features(settings.features.windows, contract["tables"], absent)
    taken = {feature.name for feature in common} & {feature.name for feature in own}
    if taken:
        raise InputError(
            f"{chosen.name}/source.yaml: attributes.{min(taken)} has the name of a feature that"
            " every source may have; call it something else"
        )
    return (*common, *own)


def as_of_times(days: Sequence[str], time_zone: str) -> list[pd.Timestamp]:
    """Local midnights of ISO dates as UTC timestamps."""
    zone = ZoneInfo(time_zone)
    return [
        pd.Timestamp(datetime.fromisoformat(day).replace(tzinfo=zone)).tz_convert("UTC")
        for day in days
    ]


def day(at: pd.Timestamp, time_zone: str) -> str:
    """The local date of an as-of time."""
    return at.tz_convert(time_zone).date().isoformat()


def feature_rows(
    task: str,
    as_ofs: Iterable[pd.Timestamp] | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Rows of the feature table eligible for `task`, sorted by as-of date and customer.

    `columns` are all, or those named besides customer_id, as_of and the task's status.
    """
    files = sorted(str(path) for path in paths.FEATURES.glob("bucket=*.parquet"))
    if not files:
        raise InputError("artifacts/features is empty; run `dvc repro featurize`")
    status = f"{task}_status"
    chosen = ds.field(status).isin(list(ELIGIBLE))
    if as_ofs is not None:
        chosen &= ds.field("as_of").isin([at.to_pydatetime() for at in as_ofs])
    read = None
    if columns is not None:
        read = list(dict.fromkeys(["customer_id", "as_of", status, *columns]))
    return _read(files, read, chosen, ["as_of", "customer_id"])


def bucket_rows(bucket: int, at: pd.Timestamp, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of one bucket of the feature table on one as-of date, sorted by customer.

    Raises InputError when the file is not there, or is not whole, or lacks a column.
    """
    path = paths.FEATURES / f"bucket={bucket:03d}.parquet"
    chosen = ds.field("as_of") == at.to_pydatetime()
    return _read([str(path)], list(columns), chosen, ["customer_id"])


def _read(
    files: list[str], columns: list[str] | None, chosen: ds.Expression, by: list[str]
) -> pd.DataFrame:
    try:
        table = ds.dataset(files, format="parquet").to_table(columns, filter=chosen)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise InputError(
            f"the feature table cannot be read ({str(error).splitlines()[0]});"
            " run `dvc repro featurize`"
        ) from error
    return table.to_pandas().sort_values(by, kind="stable", ignore_index=True)


def skipped(folder: Path) -> dict[str, str] | None:
    """The sentence (en, ja) that says why this task was skipped, or None."""
    path = folder / SKIPPED
    return stage.read_json(path)["skipped"] if path.exists() else None


def folder_digest(folder: Path, pattern: str = "*") -> str:
    """SHA-256 over the names and contents of the files directly in `folder`."""
    total = hashlib.sha256()
    for path in sorted(folder.glob(pattern)):
        if path.is_file():
            total.update(f"{path.name}\n{stage.file_digest(path)}\n".encode())
    return total.hexdigest()
