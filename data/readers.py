"""What a source's SELECTs read: files checked before DuckDB guesses, databases, spreadsheets.

DuckDB reads CSV, TSV, JSON lines and Parquet itself. It skips what it takes for a preamble and it
takes a quote that is never closed for a letter, so a text file is looked at first: what is read
silently wrong is worse than what is not read. Databases and spreadsheets become relations that a
SELECT names like a table. Everything is read in pieces; nothing is held whole in memory.
"""

from __future__ import annotations

import codecs
import csv
import os
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from data.errors import InputError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from data.source import Input, Source

TEXT_FILES = (".csv", ".tsv", ".txt")
CHUNK = 1 << 20
LONGEST_LINE = 2_000_000
ROWS = 50_000
SAMPLE_LINES = 20_480
"""As many lines as DuckDB looks at to guess a file's dialect."""

_FILE = re.compile(r"'\{root\}/([^']+)'")
_OWN_DIALECT = re.compile(r"\b(skip|auto_detect|delim|sep|ignore_errors)\s*=", re.IGNORECASE)
_NO_HEADER = re.compile(r"\bheader\s*=\s*(false|0)\b", re.IGNORECASE)


class ReadError(InputError):
    """A file or database cannot be read as it is; the message names it and the cure."""


def files_named(select: str) -> list[str]:
    """The files and patterns under the root that a SELECT names as `'{root}/...'`."""
    return sorted(set(_FILE.findall(select)))


def matching(root: Path, pattern: str) -> list[Path]:
    """The files a pattern stands for, sorted. Raises ReadError for links in a circle."""
    found = sorted(root.glob(pattern))
    if not found and (root / pattern).is_symlink():
        found = [root / pattern]
    for path in found:
        if path.is_symlink():
            try:
                path.resolve(strict=True)
            except (OSError, RuntimeError) as error:
                name = path.relative_to(root).as_posix()
                raise ReadError(
                    f"{name}: the link leads nowhere or in a circle; point it to the file"
                ) from error
    return found


def lay_out(source: Source, root: Path, folder: Path, only: frozenset[str] | None = None) -> Path:
    """The folder that `{root}` stands for: `root` itself unless files need decoding or leaving out.

    Otherwise `folder` is filled with links to the files that the SELECTs name (`only` those, if
    given, as paths below the root), and files with a declared encoding are decoded to UTF-8.
    """
    if only is None and not source.encodings:
        return root
    patterns = {p for table in source.tables for p in files_named(source.select(table))}
    encodings = {
        path: encoding
        for pattern, encoding in source.encodings.items()
        for path in matching(root, pattern)
    }
    for path in sorted({path for pattern in patterns for path in matching(root, pattern)}):
        name = path.relative_to(root)
        if only is not None and name.as_posix() not in only:
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path in encodings:
            _decode(path, encodings[path], target, name.as_posix())
        else:
            target.symlink_to(path.resolve())
    return folder


def _decode(path: Path, encoding: str, target: Path, name: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with path.open("rb") as stream, target.open("w", encoding="utf-8", newline="") as out:
        while True:
            block = stream.read(CHUNK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                line += block[: error.start].count(b"\n")
                wrong = error.object[error.start]
                raise ReadError(
                    f"{name} line {line}: not {encoding} text (byte {wrong:#04x});"
                    " correct `encodings` in source.yaml or export the file again"
                ) from error
            out.write(text)
            if not block:
                return
            line += block.count(b"\n")


# Text files: what DuckDB would read without complaint, but wrongly.


def check_files(con: duckdb.DuckDBPyConnection, root: Path, select: str) -> None:
    """Look at every file that a SELECT names. Raises ReadError at the first that cannot be read."""
    for pattern in files_named(select):
        paths = matching(root, pattern)
        texts = [path for path in paths if path.suffix.lower() in TEXT_FILES]
        for path in paths:
            name = path.relative_to(root).as_posix()
            try:
                if path in texts:
                    _check_text(con, path, name, select)
                elif path.is_file():
                    with path.open("rb") as stream:
                        stream.read(1)
            except OSError as error:
                raise ReadError(
                    f"{name} cannot be read ({error.strerror}); give the file, and read permission"
                ) from error
        if texts and texts == paths and not any(_has_rows(path) for path in texts):
            raise ReadError(
                f"{pattern} holds a header and no row; export it again, or remove the SELECT if"
                " there is nothing of the kind"
            )


def _has_rows(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.readline()
        return any(line.strip() for line in stream)


def _check_text(con: duckdb.DuckDBPyConnection, path: Path, name: str, select: str) -> None:
    if path.is_dir():
        raise ReadError(
            f"{name} is a folder, not a file; name the files in it: '{{root}}/{name}/*.csv'"
        )
    with path.open("rb") as stream:
        head = stream.read(4)
        if not head:
            raise ReadError(f"{name} is empty; export it again, or take it out of the folder")
        if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise ReadError(_not_utf8(name, 1, "utf-16"))
        stream.seek(0)
        first_quote = _scan(stream, name, "max_line_size" not in select)
    if not _OWN_DIALECT.search(select) and not _NO_HEADER.search(select):
        _check_dialect(con, path, name, _header(path, name), first_quote)


def _scan(stream: BinaryIO, name: str, limited: bool) -> int | None:
    """The line of the first quote, if any. Raises ReadError at a NUL byte or an endless line."""
    line, length, quote = 1, 0, None
    while block := stream.read(CHUNK):
        at = block.find(b"\0")
        if at >= 0:
            raise ReadError(
                f"{name} line {line + block[:at].count(10)}: holds a NUL byte, so the file is"
                " damaged or no text; export it again (or declare utf-16 in `encodings`)"
            )
        end = block.find(b"\n")
        length += len(block) if end < 0 else end
        if limited and length > LONGEST_LINE:
            raise ReadError(
                f"{name} line {line}: a cell is longer than {LONGEST_LINE:,} bytes; shorten it, or"
                " say read_csv(..., max_line_size = 20000000)"
            )
        if quote is None and (at := block.find(b'"')) >= 0:
            quote = line + block[:at].count(10)
        if end >= 0:
            length = len(block) - block.rfind(b"\n") - 1
            line += block.count(10)
    return quote


def _header(path: Path, name: str) -> tuple[str, int]:
    """The delimiter and the number of cells of the first line, whose names must differ."""
    with path.open("rb") as stream:
        raw = stream.readline(CHUNK)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(_not_utf8(name, 1)) from error
    delimiter = max(",;\t|", key=text.count)
    cells = [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter), [])]
    for cell in cells:
        if cell and cells.count(cell) > 1:
            raise ReadError(
                f"{name} line 1: two columns are called {cell!r}; rename one in the file, or give"
                " all names: read_csv(..., names = [...], skip = 1)"
            )
    return delimiter, len(cells)


def _check_dialect(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    name: str,
    header: tuple[str, int],
    first_quote: int | None,
) -> None:
    """DuckDB's guess must skip no line, split as the header does and see the quotes there are."""
    import duckdb

    quoted_path = "'" + path.as_posix().replace("'", "''") + "'"
    try:
        found = con.execute(
            f"SELECT Quote, SkipRows, len(Columns) FROM sniff_csv({quoted_path})"
        ).fetchone()
    except duckdb.Error:
        return  # the SELECT itself will say what is wrong
    assert found is not None
    quote, skipped, columns = found
    blind = first_quote is not None and quote != '"'
    if skipped or blind or columns != header[1]:
        _point_at_line(path, name, header[0])
    if skipped:
        raise ReadError(
            f"{name}: its first {skipped} lines would be skipped as a preamble; delete them, or say"
            f" read_csv(..., skip = {skipped})"
        )
    if blind:
        raise ReadError(
            f"{name} line {first_quote}: a quote that encloses no cell, or that no one closes;"
            " close it, or say how the file quotes: read_csv(..., quote = '\"')"
        )


def _point_at_line(path: Path, name: str, delimiter: str) -> None:
    """Raise ReadError at the first line that has more or fewer cells than the header."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        rows = csv.reader(stream, delimiter=delimiter, strict=True)
        width, line = 0, 1
        try:
            for cells in rows:
                width = width or len(cells)
                if cells and len(cells) != width:
                    raise ReadError(
                        f"{name} line {line}: {len(cells)} cells where the header has {width};"
                        " quote the cell that holds the delimiter, or complete the line"
                    )
                line = rows.line_num + 1
                if line > SAMPLE_LINES:
                    return
        except csv.Error as error:
            raise ReadError(
                f"{name} line {line}: a quote is opened and never closed ({error}); close it, or"
                " say how the file quotes: read_csv(..., quote = '\"')"
            ) from error


def _not_utf8(name: str, line: int, encoding: str = "cp932") -> str:
    return (
        f"{name} line {line}: not UTF-8 text; add its encoding to source.yaml, e.g. encodings:"
        f' {{"{name}": {encoding}}}'
    )


# Databases and spreadsheets: relations.


@dataclass
class Connections:
    """Open database connections of one run, one per address, each in one snapshot."""

    environ: Mapping[str, str]
    _open: dict[str, Any]

    @classmethod
    def start(cls, environ: Mapping[str, str] | None = None) -> Connections:
        return cls(os.environ if environ is None else environ, {})

    def postgres(self, variable: str) -> Any:
        """A connection whose transaction sees one state of the database, read only."""
        if variable not in self._open:
            from adbc_driver_postgresql import dbapi

            con = dbapi.connect(secret(variable, self.environ))
            with con.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                cursor.execute("SET LOCAL TimeZone = 'UTC'")
            self._open[variable] = con
        return self._open[variable]

    def close(self) -> None:
        for con in self._open.values():
            con.close()
        self._open.clear()


def secret(variable: str, environ: Mapping[str, str]) -> str:
    """The value of `${NAME}`. Raises ReadError naming the variable, never a value."""
    name = variable[2:-1]
    value = environ.get(name, "")
    if not value:
        raise ReadError(f"the environment variable {name} is not set; set it and run again")
    return value


def load_input(
    con: duckdb.DuckDBPyConnection,
    connections: Connections,
    root: Path,
    name: str,
    given: Input,
) -> None:
    """Create the temporary table `name` from a database query or a spreadsheet.

    Raises ReadError naming the input; secrets are taken out of what a driver says.
    """
    import adbc_driver_manager
    import duckdb
    import pyarrow as pa

    try:
        with closing(_reader(connections, root, given)) as reader:
            con.register("_input", reader.reader)
            try:
                con.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS FROM _input')
            finally:
                con.unregister("_input")
    except (
        adbc_driver_manager.Error,
        sqlite3.Error,
        duckdb.Error,
        pa.ArrowException,
        OSError,
        zipfile.BadZipFile,
        KeyError,
    ) as error:
        kind = given.kind
        raise ReadError(
            f"input {name} ({kind}): {_without_secret(given, connections.environ, str(error))};"
            f" {_INPUT_CURE[kind]}"
        ) from error


_INPUT_CURE = {
    "postgres": "see that the database is up and the query runs there, then run again",
    "sqlite": "correct the file or the query in source.yaml",
    "xlsx": "correct the file or sheet in source.yaml, or save it again as .xlsx",
}


def _without_secret(given: Input, environ: Mapping[str, str], text: str) -> str:
    text = " ".join(text.split())
    if given.postgres is not None:
        value = environ.get(given.postgres[2:-1], "")
        password = re.search(r"//[^:/@]*:([^@]*)@|password=(\S+)", value)
        for hidden in (value, *(password.groups() if password else ())):
            if hidden:
                text = text.replace(hidden, "***")
    return text[:400]


@dataclass
class _Reader:
    """Record batches and what to close after them."""

    reader: pa.RecordBatchReader
    close: Callable[[], None]


def _reader(connections: Connections, root: Path, given: Input) -> _Reader:
    if given.postgres is not None:
        cursor = connections.postgres(given.postgres).cursor()
        cursor.execute(given.query)
        return _Reader(cursor.fetch_record_batch(), cursor.close)
    if given.sqlite is not None:
        path = _existing(root, given.sqlite)
        # DuckDB pulls the batches from whichever of its threads is free, one at a time.
        con = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False
        )
        cursor = con.execute(str(given.query))
        names = [column[0] for column in cursor.description]
        return _Reader(_typed(names, lambda: con.execute(str(given.query))), con.close)
    from openpyxl import load_workbook

    book = load_workbook(_existing(root, str(given.xlsx)), read_only=True, data_only=True)
    sheet = book[given.sheet] if given.sheet else book.worksheets[0]
    names = [str(cell) for cell in next(sheet.iter_rows(values_only=True), ()) if cell is not None]
    if not names:
        raise KeyError(f"sheet {sheet.title!r} has no header in its first row")

    def rows() -> Iterator[tuple[Any, ...]]:
        for row in sheet.iter_rows(min_row=2, max_col=len(names), values_only=True):
            if any(cell is not None for cell in row):
                yield row

    return _Reader(_typed(names, rows), book.close)


def _existing(root: Path, name: str) -> Path:
    path = root / name
    if not path.is_file():
        raise FileNotFoundError(2, "there is no such file", name)
    return path


def _typed(names: list[str], rows: Callable[[], Iterator[tuple[Any, ...]]]) -> pa.RecordBatchReader:
    """Rows of Python values as typed record batches; a column of several kinds becomes text."""
    import pyarrow as pa

    kinds: list[set[type]] = [set() for _ in names]
    for row in rows():
        for kind, value in zip(kinds, row, strict=False):
            kind.add(type(value))
    types = [_arrow_type(kind - {type(None)}) for kind in kinds]
    schema = pa.schema(list(zip(names, types, strict=True)))

    def batch(part: list[tuple[Any, ...]]) -> pa.RecordBatch:
        columns = [
            pa.array(
                [_as_text(v) for v in values] if type_ == pa.string() else list(values), type=type_
            )
            for values, type_ in zip(zip(*part, strict=True), types, strict=True)
        ]
        return pa.record_batch(columns, schema=schema)

    def batches() -> Iterator[pa.RecordBatch]:
        part: list[tuple[Any, ...]] = []
        for row in rows():
            part.append((*row, *[None] * (len(names) - len(row)))[: len(names)])
            if len(part) == ROWS:
                yield batch(part)
                part = []
        if part:
            yield batch(part)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _arrow_type(kinds: set[type]) -> Any:
    import pyarrow as pa

    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    if kinds and kinds <= {int, float}:
        return pa.float64()
    if kinds and kinds <= {datetime, date}:
        return pa.timestamp("us")
    if kinds == {bytes}:
        return pa.binary()
    return pa.string()


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


# What DuckDB says, in one line with file, column, row and cure.

_CSV_LINE = re.compile(r"CSV Error on Line: (\d+)")
_CSV_FILE = re.compile(r"^\s*file = (.+)$", re.MULTILINE)
_CSV_CELL = re.compile(
    r'Error when converting column "(.+?)"\. Could not convert string "(.*?)" to \'?([A-Z]\w*)',
    re.DOTALL,
)
_PREFIX = re.compile(r"^[A-Z][\w ]*?Error: ")


def explain(error: Exception, root: Path) -> str:
    """A DuckDB error as one line: the file and line if it names them, what is wrong, the cure."""
    text = str(error).replace(f"{root.as_posix()}/", "")
    line, file = _CSV_LINE.search(text), _CSV_FILE.search(text)
    if line and file:
        where = f"{file.group(1).strip()} line {line.group(1)}"
        return f"{where}: {_csv_problem(text, file.group(1).strip())}"
    kind = type(error).__name__
    plain = _PREFIX.sub("", " ".join(text.split("\n\n")[0].replace("^", "").split()))[:300]
    for pattern, cure in _CURES:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            return f"{plain}; {cure}"
    return f"{plain}; {_KIND_CURE.get(kind, 'correct the SELECT')}"


def _csv_problem(text: str, file: str) -> str:
    if cell := _CSV_CELL.search(text):
        column, value, wanted = cell.groups()
        return f"column {column}: {value[:60]!r} is not {wanted}; {_cell_cure(column, wanted)}"
    if "unicode" in text or "utf-8" in text:
        return (
            f'not UTF-8 text; add its encoding to source.yaml, e.g. encodings: {{"{file}": cp932}}'
        )
    if found := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text):
        wanted, given = found.groups()
        return (
            f"{given} cells where the header has {wanted}; quote the cell that holds the delimiter,"
            " or complete the line"
        )
    if "quote" in text:
        return "a quote is opened and never closed; close it, or export the file again"
    if "aximum line size" in text or "Line Size" in text or "buffer" in text.lower():
        return (
            "a cell is longer than DuckDB's 2 MB line; shorten it, or raise it:"
            " read_csv(..., max_line_size = 20000000)"
        )
    first = next((part for part in text.splitlines()[2:] if part.strip()), text)
    return f"{' '.join(first.split())[:200]}; correct the line, or the options of read_csv"


def _cell_cure(column: str, wanted: str) -> str:
    text = f"read it as text (types = {{'{column}': 'VARCHAR'}})"
    if wanted in ("DATE", "TIMESTAMP", "TIME"):
        return f"{text} and parse it: strptime({column}, '%d/%m/%Y %H:%M')"
    return f"{text} and clean it: replace({column}, ',', '')::DOUBLE"


_CURES: tuple[tuple[str, str], ...] = (
    (r"no space left|could not write|file too large", "free space on the disk and run again"),
    (r"failed to offload|out of memory|max_temp_directory|could not allocate",
     "set RETENTION_MEMORY higher (now too little) or free disk space"),
    (r"permission denied|cannot open file|could not open", "give read permission, or the file"),
    (r"magic bytes|too small to be a parquet|failed to read file|parquet|snappy|thrift",
     "the file is cut off or no Parquet; copy or export it again"),
    (r"malformed json|json", "correct that line, or export the file again"),
    (r"gzip", "the file is no gzip; rename it or compress it again"),
    (r"schema mismatch", "export the files with the same columns, or say union_by_name = true"),
    (r"no files found", "put the file there, or correct the pattern in the SELECT"),
    (r"according to format specifier|could not parse string",
     "the column mixes formats: try_strptime(x, ['%Y-%m-%d', '%d/%m/%Y'])"),
    (r"table with name (\w+) does not exist",
     "a SELECT reads files ('{root}/...') and the inputs of source.yaml, nothing else"),
    (r"does not exist at this place",
     "say which hour was meant, or shift it by an hour in the SELECT"),
    (r"requires the extension|in the \w+ extension|extension .* not found",
     "declare databases and spreadsheets under `inputs` in source.yaml; fetch files first"),
)  # fmt: skip
_KIND_CURE = {
    "ParserException": "correct the SQL",
    "BinderException": "correct the name in the SELECT",
    "ConversionException": "correct the value, or use TRY_CAST and say in _reject why it is empty",
}
