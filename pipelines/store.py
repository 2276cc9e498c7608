"""A folder of tables and results that lies here or on object storage.

The layout is that of artifacts/: `contract.json`, `tables/<table>/bucket=NNN.parquet`,
`tone/bucket=NNN.parquet`, `features/bucket=NNN.parquet`. Object storage is reached through Arrow's
file systems, so whatever Arrow can open (`s3://`, `gs://`, `abfs://`, `hdfs://`) works, with that
system's usual credentials.
"""

from __future__ import annotations

import json
import os
import shutil
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
        """Copy a local file to `name`. It appears there whole or not at all."""
        files, root = self._opened()
        if not isinstance(files, fs.LocalFileSystem):
            fs.copy_files(
                str(path),
                f"{root}/{name}",
                source_filesystem=fs.LocalFileSystem(),
                destination_filesystem=files,
            )
            return
        target = Path(root) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(path, partial)
        partial.replace(target)

    def get(self, name: str, path: Path) -> bool:
        """Copy `name` to a local file; False when there is no such thing."""
        files, root = self._opened()
        if files.get_file_info(f"{root}/{name}").type is not fs.FileType.File:
            return False
        fs.copy_files(
            f"{root}/{name}",
            str(path),
            source_filesystem=files,
            destination_filesystem=fs.LocalFileSystem(),
        )
        return True

    def listing(self, folder: str) -> list[tuple[str, int, str]]:
        """Name, size and time of change of each file directly in `folder`, by name."""
        files, root = self._opened()
        found = files.get_file_info(fs.FileSelector(f"{root}/{folder}", allow_not_found=True))
        return sorted(
            (info.base_name, info.size, str(info.mtime_ns))
            for info in found
            if info.type is fs.FileType.File
        )

    def remove(self) -> None:
        """Delete the folder with all that is in it."""
        files, root = self._opened()
        files.delete_dir(root)

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
