"""What every stage does at its edge: say how far it is, write whole files or none, fail clearly."""

from __future__ import annotations

import ctypes
import errno
import fcntl
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
    shutil.rmtree(temporary, ignore_errors=True)
    recover(folder)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        swap_in(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def swap_in(new: Path, folder: Path) -> None:
    """Put the folder `new` in the place of `folder`, which is removed if there is one.

    On Linux the two change places in one step, so that a complete folder can be read at every
    moment. Elsewhere there is none for an instant; after a kill in it, `recover` puts the earlier
    one back.
    """
    if not folder.exists():
        new.rename(folder)
    elif _exchange(new, folder):
        shutil.rmtree(new)
    else:
        folder.rename(_aside(folder))
        new.rename(folder)
        shutil.rmtree(_aside(folder))


def recover(folder: Path) -> None:
    """Put back, or tidy away, what a `swap_in` that was killed had put aside."""
    aside = _aside(folder)
    if aside.exists() and not folder.exists():
        aside.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.aside")


_AT_WORKING_FOLDER = -100
_RENAME_EXCHANGE = 2


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; False where the system cannot do that."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    here = _AT_WORKING_FOLDER
    if rename(here, os.fsencode(one), here, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    problem = ctypes.get_errno()
    if problem in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(problem, os.strerror(problem), str(one), None, str(other))


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of an output folder. Raises InputError when another process holds it.

    The system frees the lock when its holder ends, however that happens.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another run is writing {folder}; wait until it has finished, or choose another"
                " folder with --out"
            ) from None
        yield


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """A full disk, or an output that cannot be written, as an InputError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise InputError(
                f"there is no room to write {folder} ({error.strerror}); make some and run the"
                " same command again. What was there before is untouched"
            ) from error
        if error.errno in _NOT_ALLOWED:
            raise InputError(
                f"{error.filename or folder}: {error.strerror}; choose a folder that can be"
                f" written instead of {folder}, or correct its permissions"
            ) from error
        raise


def workers() -> int:
    """Processes to use: RETENTION_WORKERS, or one per core. Results do not depend on it."""
    value = os.environ.get("RETENTION_WORKERS", "")
    if not value:
        return os.cpu_count() or 1
    if not value.isdigit() or int(value) < 1:
        raise InputError(f"RETENTION_WORKERS={value!r} is not a number of processes, e.g. 2")
    return int(value)
