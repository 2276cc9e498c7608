"""A folder of tables and results that lies here or on object storage.

The layout is that of artifacts/: `contract.json`, `tables/<table>/bucket=NNN.parquet`,
`tone/bucket=NNN.parquet`, `features/bucket=NNN.parquet`. Object storage is reached through Arrow's
file systems, so whatever Arrow can open (`s3://`, `gs://`, `abfs://`, `hdfs://`) works, with that
system's usual credentials.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from data.errors import InputError


@dataclass(frozen=True)
class Store:
    """Where a run's tables and results are: a folder or a URI."""

    location: str

    @property
    def is_remote(self) -> bool:
        return "://" in self.location

    def read_json(self, name: str) -> Any:
        """The JSON file `name`. Raises InputError when it is not there."""
        files, root = self._opened()
        try:
            with files.open_input_stream(f"{root}/{name}") as stream:
                return json.loads(stream.read())
        except FileNotFoundError as error:
            raise InputError(
                f"{self.location}/{name} does not exist; copy artifacts/contract.json,"
                " artifacts/tables and artifacts/tone there (see docs/spark.md)"
            ) from error

    @contextmanager
    def bucket(self, folders: Sequence[str], bucket: int) -> Iterator[Path]:
        """A local folder of the same layout with at least this bucket of the folders named.

        Remote ones, such as `tables/orders`, are copied to a temporary folder, one bucket's worth,
        and removed afterwards.
        """
        if not self.is_remote:
            yield Path(self.location)
            return
        files, root = self._opened()
        with tempfile.TemporaryDirectory(prefix="retention-bucket-") as copied:
            for folder in folders:
                part = f"{folder}/bucket={bucket:03d}.parquet"
                target = Path(copied) / part
                target.parent.mkdir(parents=True)
                try:
                    fs.copy_files(
                        f"{root}/{part}",
                        str(target),
                        source_filesystem=files,
                        destination_filesystem=fs.LocalFileSystem(),
                    )
                except FileNotFoundError as error:
                    raise InputError(
                        f"{self.location}/{part} does not exist; copy the whole of"
                        f" artifacts/{folder} there"
                    ) from error
            yield Path(copied)

    def put(self, path: Path, name: str) -> None:
        """Copy a local file to `name`. An object appears whole or not at all."""
        files, root = self._opened()
        if isinstance(files, fs.LocalFileSystem):
            Path(f"{root}/{name}").parent.mkdir(parents=True, exist_ok=True)
        fs.copy_files(
            str(path),
            f"{root}/{name}",
            source_filesystem=fs.LocalFileSystem(),
            destination_filesystem=files,
        )

    def _opened(self) -> tuple[fs.FileSystem, str]:
        if not self.is_remote:
            return fs.LocalFileSystem(), str(Path(self.location).resolve())
        try:
            files, root = fs.FileSystem.from_uri(self.location)
        except (pa.ArrowInvalid, ValueError) as error:
            raise InputError(
                f"{self.location!r} is not a folder or a URI such as s3://bucket/folder: {error}"
            ) from error
        return files, root.rstrip("/")
