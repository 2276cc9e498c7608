"""What every stage does at its edge: say how far it is, write whole files or none, fail clearly."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.errors import InputError

_STARTED = time.monotonic()


def say(line: str) -> None:
    """One line of progress on standard error, with the seconds since the start."""
    print(f"[{time.monotonic() - _STARTED:6.1f}s] {line}", file=sys.stderr, flush=True)


def run(stage: Callable[[], None]) -> None:
    """Run a stage as a command: exit code 2 and one line when a person can mend the cause."""
    try:
        stage()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file or leave the earlier one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    temporary.replace(path)


def write_json(path: Path, value: Any, *, ascii_only: bool = False) -> None:
    """Write JSON with sorted keys; NaN and infinity are an error.

    `ascii_only` escapes all else: DVC takes a metrics file with much Japanese for a binary one.
    """
    text = json.dumps(value, ensure_ascii=ascii_only, sort_keys=True, indent=1, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read what an earlier stage wrote. Raises InputError when it has not run."""
    if not path.exists():
        raise InputError(f"{path} does not exist yet; run `dvc repro` (or the stage that makes it)")
    return json.loads(path.read_text(encoding="utf-8"))


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary sibling that replaces `folder` only when the block ends without error."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if folder.exists():
            folder.replace(old)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def workers() -> int:
    """Processes to use: RETENTION_WORKERS, or one per core. Results do not depend on it."""
    value = os.environ.get("RETENTION_WORKERS", "")
    if not value:
        return os.cpu_count() or 1
    if not value.isdigit() or int(value) < 1:
        raise InputError(f"RETENTION_WORKERS={value!r} is not a number of processes, e.g. 2")
    return int(value)
