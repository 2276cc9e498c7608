"""Sources: one folder each, with `source.yaml` and one SELECT per canonical table it has.

`<table>.sql` is DuckDB SQL that yields the columns of that canonical table (`data.contracts`).
Its only placeholder is `{root}`, the folder the source's files are in. It says itself in which
time zone a time without zone is meant: `InvoiceDate AT TIME ZONE 'Europe/London'`. Databases and
spreadsheets are `inputs` of source.yaml, which a SELECT names like tables.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from data.calendar import WorkingCalendar
from data.contracts import TABLE, TABLES
from data.errors import InputError
from data.readers import Connections, files_named, load_input, matching

SOURCES = Path(__file__).parent / "sources"
PROJECT = Path(__file__).parent.parent
DATASETS_VARIABLE = "RETENTION_DATASETS"
DATASETS_DEFAULT = "../shared/datasets"

_PLACEHOLDER = re.compile(r"\{[A-Za-z_]\w*\}")
_SECRET = re.compile(r"\$\{[A-Za-z_]\w*\}")


class SourceError(InputError):
    """A source cannot be used as it is; the message says what to change."""


class Text(BaseModel):
    """The same sentence in both languages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    en: str
    ja: str


class Input(BaseModel):
    """A database query or a spreadsheet that SELECTs read like a table.

    `postgres` is `${NAME}`: the environment variable that holds the address. `sqlite` and `xlsx`
    are files under the root. `changed` is a query that is cheap and gives something else whenever
    the result of `query` does; without it the whole result is hashed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    postgres: str | None = None
    sqlite: str | None = None
    xlsx: str | None = None
    query: str | None = None
    changed: str | None = None
    sheet: str | None = None

    @property
    def kind(self) -> str:
        return next(k for k in ("postgres", "sqlite", "xlsx") if getattr(self, k) is not None)

    @model_validator(mode="after")
    def _one_kind(self) -> Input:
        given = [k for k in ("postgres", "sqlite", "xlsx") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError("say exactly one of postgres, sqlite, xlsx")
        if self.postgres is not None and not _SECRET.fullmatch(self.postgres):
            raise ValueError(
                "postgres must be '${NAME}': put the address in the environment, never in a file"
            )
        if (self.query is None) != (self.xlsx is not None):
            raise ValueError("a database needs a query, a spreadsheet has none")
        return self


class CustomerAttribute(BaseModel):
    """What an attribute of the table `attributes` is called, and its unit ("category": a word)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["category", "count", "days", "currency", "share", "score", "flag"]
    en: str = Field(min_length=1)
    ja: str = Field(min_length=1)


OUTCOME = "churned"
"""In a snapshot the attribute that is the outcome: 1 or 0, and never a feature."""


def _usual_calendar(values: Mapping[str, Any]) -> WorkingCalendar:
    """Japanese office hours in Japan; elsewhere the same hours without any holidays."""
    if values.get("timezone") == "Asia/Tokyo":
        return WorkingCalendar()
    return WorkingCalendar(country=None, closed=())


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
    calendar: WorkingCalendar = Field(default_factory=_usual_calendar)
    max_quarantined: dict[str, float] = Field(default_factory=dict)
    may_end: tuple[str, ...] = ()
    inputs: dict[str, Input] = Field(default_factory=dict)
    encodings: dict[str, str] = Field(default_factory=dict)
    append_only: bool = False
    pseudonym_key: str | None = None
    attributes: dict[str, CustomerAttribute] = Field(default_factory=dict)
    snapshot: bool = False
    notes: str | None = None

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{value!r} is not a time zone such as 'Asia/Tokyo'") from error
        return value

    @field_validator("inputs")
    @classmethod
    def _names_of_relations(cls, value: dict[str, Input]) -> dict[str, Input]:
        for name in value:
            if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
                raise ValueError(f"{name!r}: name an input in lower case, e.g. crm_orders")
        return value

    @field_validator("encodings")
    @classmethod
    def _encodings_exist(cls, value: dict[str, str]) -> dict[str, str]:
        for pattern, encoding in value.items():
            try:
                codecs.lookup(encoding)
            except LookupError as error:
                raise ValueError(
                    f"{pattern}: {encoding!r} is not an encoding such as cp932 or utf-16"
                ) from error
        return value

    @field_validator("attributes")
    @classmethod
    def _names_of_attributes(
        cls, value: dict[str, CustomerAttribute]
    ) -> dict[str, CustomerAttribute]:
        for name in value:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise ValueError(f"{name!r}: name an attribute in lower case, e.g. seats_used")
            if name == OUTCOME:
                raise ValueError(f"{OUTCOME} is the outcome of a snapshot, never an attribute")
        return value

    @field_validator("pseudonym_key")
    @classmethod
    def _key_is_elsewhere(cls, value: str | None) -> str | None:
        if value is not None and not _SECRET.fullmatch(value):
            raise ValueError("must be '${NAME}': the key is in the environment, never in a file")
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

    @field_validator("may_end")
    @classmethod
    def _tables_that_may_end(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for table in value:
            if table not in TABLE:
                raise ValueError(f"{table!r} is not a canonical table ({', '.join(TABLE)})")
        return value

    @model_validator(mode="after")
    def _dates_in_order(self) -> Source:
        if not self.first_as_of <= self.last_as_of <= self.observed_until:
            raise ValueError("first_as_of <= last_as_of <= observed_until does not hold")
        if self.snapshot and not (
            self.attributes and self.first_as_of == self.last_as_of and self.last_as_of.day == 1
        ):
            raise ValueError(
                "a snapshot has one as-of date, the first of a month, and declares its attributes"
            )
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
    for name in source.inputs:
        if name in TABLE:
            raise SourceError(
                f"{source.name}/source.yaml: inputs.{name} has a canonical table's name; add a"
                f" prefix, e.g. crm_{name}"
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
        for pattern in files_named(source.select(table)):
            if not matching(root, pattern):
                raise SourceError(
                    f"{source.name}/{table}.sql reads {pattern}, which is not in {root}; {cure}"
                )
    return root


def input_files(source: Source, root: Path) -> list[Path]:
    """Every file that the source's SELECTs and inputs read, sorted by its place under `root`."""
    patterns = {p for table in source.tables for p in files_named(source.select(table))}
    patterns |= {given.sqlite or given.xlsx or "" for given in source.inputs.values()} - {""}
    return sorted({path for p in patterns for path in matching(root, p) if path.is_file()})


def inputs_named(source: Source, table: str) -> list[str]:
    """The inputs that one table's SELECT names."""
    select = source.select(table)
    return [name for name in source.inputs if re.search(rf"\b{re.escape(name)}\b", select)]


def fingerprint(source: Source, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What identifies a source's input: number of files, their bytes and one SHA-256 over all.

    The hash runs over the files that the SELECTs name as `'{root}/...'`, each with its name, size
    and content, so it changes with the data and not with where the data lie. A database input
    adds what its `changed` query says, or a hash over its rows that does not depend on their
    order. A source that is generated has no files. Raises InputError for what cannot be read.
    """
    total = hashlib.sha256()
    files: list[Path] = []
    if source.generator is None:
        root = root_of(source, environ)
        files = input_files(source, root)
        for path in files:
            digest = file_sha256(path)
            name = path.relative_to(root).as_posix()
            total.update(f"{name}\n{path.stat().st_size}\n{digest}\n".encode())
        for name, state in _database_states(source, root, environ):
            total.update(f"{name}\n{state}\n".encode())
    return {
        "source": source.name,
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "sha256": total.hexdigest(),
    }


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content. Raises SourceError when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(
            f"{path.name} cannot be read ({error.strerror}); give read permission, or the file"
        ) from error


def _database_states(
    source: Source, root: Path, environ: Mapping[str, str] | None
) -> Iterator[tuple[str, str]]:
    """Per database input: a text that changes when its rows do."""
    chosen = {name: given for name, given in source.inputs.items() if given.postgres is not None}
    if not chosen:
        return
    import duckdb

    connections = Connections.start(environ)
    try:
        with duckdb.connect() as con:
            for name, given in chosen.items():
                asked = given.model_copy(update={"query": given.changed or given.query})
                load_input(con, connections, root, name, asked)
                rows = con.execute(
                    f'SELECT count(*), sum(md5_number_lower(t::VARCHAR)::HUGEINT) FROM "{name}" t'
                ).fetchone()
                yield name, str(rows)
                con.execute(f'DROP TABLE "{name}"')
    finally:
        connections.close()
