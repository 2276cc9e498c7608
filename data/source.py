"""Sources: one folder each, with `source.yaml` and one SELECT per canonical table it has.

`<table>.sql` is DuckDB SQL that yields the columns of that canonical table (`data.contracts`).
Its only placeholder is `{root}`, the folder the source's files are in. It says itself in which
time zone a time without zone is meant: `InvoiceDate AT TIME ZONE 'Europe/London'`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from data.contracts import TABLE, TABLES
from data.errors import InputError

SOURCES = Path(__file__).parent / "sources"
PROJECT = Path(__file__).parent.parent
DATASETS_VARIABLE = "RETENTION_DATASETS"
DATASETS_DEFAULT = "../shared/datasets"

_PLACEHOLDER = re.compile(r"\{[A-Za-z_]\w*\}")
_FILE = re.compile(r"'\{root\}/([^']+)'")


class SourceError(InputError):
    """A source cannot be used as it is; the message says what to change."""


class Text(BaseModel):
    """The same sentence in both languages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    en: str
    ja: str


class Source(BaseModel):
    """What `source.yaml` says, and the folder it is in. Dates are local midnights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path
    name: str
    description: Text
    timezone: str
    currency: str
    root: str
    generator: str | None = None
    first_as_of: date
    last_as_of: date
    observed_until: date
    max_quarantined: dict[str, float] = Field(default_factory=dict)
    notes: str | None = None

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{value!r} is not a time zone such as 'Asia/Tokyo'") from error
        return value

    @field_validator("max_quarantined")
    @classmethod
    def _shares_of_tables(cls, value: dict[str, float]) -> dict[str, float]:
        for table, share in value.items():
            if table not in TABLE:
                raise ValueError(f"{table!r} is not a canonical table ({', '.join(TABLE)})")
            if not 0 <= share <= 1:
                raise ValueError(f"{table}: {share} is not a share between 0 and 1")
        return value

    @model_validator(mode="after")
    def _dates_in_order(self) -> Source:
        if not self.first_as_of <= self.last_as_of <= self.observed_until:
            raise ValueError("first_as_of <= last_as_of <= observed_until does not hold")
        return self

    @property
    def tables(self) -> tuple[str, ...]:
        """The canonical tables this source has a SELECT for, in contract order."""
        return tuple(table.name for table in TABLES if self.select_file(table.name).exists())

    def select_file(self, table: str) -> Path:
        return self.folder / f"{table}.sql"

    def select(self, table: str) -> str:
        """The SELECT of one table, `{root}` not yet filled in."""
        return self.select_file(table).read_text(encoding="utf-8")

    def max_share(self, table: str) -> float:
        """Share of a table's rows that may be quarantined before ingest stops."""
        return self.max_quarantined.get(table, 0.01)


def known(folder: Path = SOURCES) -> list[str]:
    """Names of the sources there are."""
    return sorted(path.parent.name for path in folder.glob("*/source.yaml"))


def load(name: str, folder: Path = SOURCES) -> Source:
    """Read and check one source. Raises SourceError with the cure."""
    home = folder / name
    if name not in known(folder):
        raise SourceError(
            f"no source {name!r}; there are: {', '.join(known(folder)) or 'none'}. To add one, make"
            f" {home}/ with source.yaml and one <table>.sql per table you have (copy an existing"
            " folder and change it)."
        )
    try:
        values = yaml.safe_load((home / "source.yaml").read_text(encoding="utf-8"))
        source = Source.model_validate({**values, "folder": home})
    except (yaml.YAMLError, TypeError) as error:
        raise SourceError(f"{name}/source.yaml is not a YAML mapping: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise SourceError(f"{name}/source.yaml: {key}: {first['msg']}") from error
    _check_folder(source)
    return source


def _check_folder(source: Source) -> None:
    home = source.folder
    if source.name != home.name:
        raise SourceError(f"{home.name}/source.yaml: name is {source.name!r}, the folder's is not")
    for path in sorted(home.glob("*.sql")):
        if path.stem not in TABLE:
            raise SourceError(
                f"{source.name}/{path.name}: no canonical table of that name; rename the file to"
                f" one of {', '.join(TABLE)}"
            )
        for placeholder in _PLACEHOLDER.findall(source.select(path.stem)):
            if placeholder != "{root}":
                raise SourceError(
                    f"{source.name}/{path.name}: {placeholder} is not a placeholder,"
                    " only {root} is"
                )
    if "customers" not in source.tables:
        raise SourceError(f"{source.name}: customers.sql is missing; every source needs one")


def root_of(source: Source, environ: Mapping[str, str] | None = None) -> Path:
    """The folder a source's files are in. Raises SourceError when it or a file is missing.

    Not for a source with a generator: whoever runs the generator knows where it wrote.
    """
    settings = os.environ if environ is None else environ
    datasets = settings.get(DATASETS_VARIABLE) or DATASETS_DEFAULT
    root = Path(
        os.path.normpath(PROJECT / source.root.replace(f"${{{DATASETS_VARIABLE}}}", datasets))
    )
    cure = f"set {DATASETS_VARIABLE} or edit root in {source.name}/source.yaml"
    if not root.is_dir():
        raise SourceError(f"{source.name}: its folder {root} does not exist; {cure}")
    for table in source.tables:
        for pattern in _files_named(source, table):
            if not any(root.glob(pattern)):
                raise SourceError(
                    f"{source.name}/{table}.sql reads {pattern}, which is not in {root}; {cure}"
                )
    return root


def _files_named(source: Source, table: str) -> list[str]:
    return sorted(set(_FILE.findall(source.select(table))))


def fingerprint(source: Source, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What identifies a source's input: number of files, their bytes and one SHA-256 over all.

    The hash runs over the files that the SELECTs name as `'{root}/...'`, each with its name, size
    and content, so it changes with the data and not with where the data lie. A source that is
    generated has no files.
    """
    total = hashlib.sha256()
    files: list[Path] = []
    if source.generator is None:
        root = root_of(source, environ)
        patterns = {p for table in source.tables for p in _files_named(source, table)}
        files = sorted({path for p in patterns for path in root.glob(p) if path.is_file()})
        for path in files:
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            name = path.relative_to(root).as_posix()
            total.update(f"{name}\n{path.stat().st_size}\n{content}\n".encode())
    return {
        "source": source.name,
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "sha256": total.hexdigest(),
    }
