"""The tone of what customers write: each text is scored once, stored, and read by the features.

A backend turns texts into numbers in [-1, 1]; NaN means that it has nothing to say about a text,
which is missing and never neutral. Scores are stored per record with a hash of the text, so that a
text scored before is not scored again; what is stored depends on the tables and the backend alone,
never on what happened to be stored before. Texts themselves go to no output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import InputError
from features import polarity


class Backend(Protocol):
    """Something that scores texts. A text's score depends on the text and its language alone."""

    @property
    def name(self) -> str:
        """What it is called in params.yaml and in the records of a run."""

    @property
    def version(self) -> str:
        """Everything that its scores depend on: rules, libraries, hashes of files."""

    def score(self, texts: Sequence[str], languages: Sequence[str | None]) -> np.ndarray:
        """One number in [-1, 1] per text, NaN where there is nothing to say (float64).

        `languages` are ISO 639-1 codes; None where the source does not tell.
        """


class Lexicon:
    """The default: word lists and rules (`features.polarity`). Needs nothing but the libraries."""

    name = "lexicon"

    @property
    def version(self) -> str:
        """Of rules, lexicons and libraries."""
        return polarity.VERSION

    def score(self, texts: Sequence[str], languages: Sequence[str | None]) -> np.ndarray:
        """See `features.polarity.polarity`."""
        return polarity.polarity(texts, languages)


@cache
def backend(name: str, model: Path | None) -> Backend:
    """The backend called `name`; `model` is the transformer's folder. Raises InputError."""
    if name == Lexicon.name:
        return Lexicon()
    if name == "transformer":
        from features.transformer import Transformer

        if model is None:
            raise InputError(
                "tone.backend: transformer needs tone.model_dir, the folder of an ONNX model"
            )
        return Transformer(model)
    raise InputError(f"tone.backend: there is no backend {name!r}; use lexicon or transformer")


WRITTEN: Mapping[str, str] = {
    "messages": "SELECT event_id, record_version, language, text FROM {relation}"
    " WHERE author = 'customer' AND text IS NOT NULL",
    # Nothing says in which language a comment is; the backend looks at the text.
    "surveys": "SELECT event_id, record_version, NULL AS language, comment AS text FROM {relation}"
    " WHERE comment IS NOT NULL",
}
"""What customers write, per canonical table: event_id, record_version, language, text."""

HASHED = (
    "SELECT *, unhex(left(sha256(concat(coalesce(language, ''), chr(0), text)), 32)) AS text_hash"
)
"""The language counts, because the same letters can be words of two languages."""

STORED = pa.schema(
    [
        ("table", pa.string()),
        ("event_id", pa.string()),
        ("record_version", pa.int64()),
        ("text_hash", pa.binary()),
        ("polarity", pa.float64()),
    ]
)


class Count(NamedTuple):
    """Texts of one table and language: written, with a score, with a negative one."""

    table: str
    language: str
    written: int
    covered: int
    negative: int


def store_bucket(
    tables: Path,
    folder: Path,
    names: Sequence[str],
    backend_name: str,
    model: Path | None,
    earlier: Sequence[Path],
    bucket: int,
) -> tuple[list[Count], int]:
    """Score one bucket of the canonical tables under `tables` into `folder`; see `score_bucket`."""
    file = f"bucket={bucket:03d}.parquet"
    stored, counts, fresh = score_bucket(
        {name: tables / name / file for name in names}, backend(backend_name, model), earlier
    )
    pq.write_table(stored, folder / file, compression="zstd")
    return counts, fresh


def score_bucket(
    tables: Mapping[str, Path], scorer: Backend, earlier: Sequence[Path] = ()
) -> tuple[pa.Table, list[Count], int]:
    """Score what customers wrote in one bucket; `tables` maps canonical tables to Parquet files.

    Returns the scores (schema `STORED`, sorted; polarity is null where the backend has nothing to
    say), the counts per table and language, and how many distinct texts had to be scored, not being
    in the `earlier` files of the same backend.
    """
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    connection.execute("SET threads = 1")
    parts = [
        f"SELECT '{name}' AS \"table\", * FROM ({sql.format(relation=_parquet([tables[name]]))})"
        for name, sql in WRITTEN.items()
        if name in tables
    ]
    if not parts:
        return STORED.empty_table(), [], 0
    connection.execute(
        f"CREATE TEMP TABLE written AS {HASHED} FROM ({' UNION ALL BY NAME '.join(parts)})"
    )
    connection.execute("CREATE TEMP TABLE scores (text_hash BLOB, polarity DOUBLE)")
    if earlier:
        connection.execute(
            "INSERT INTO scores SELECT text_hash, any_value(polarity)"
            f" FROM {_parquet(earlier)} SEMI JOIN written USING (text_hash) GROUP BY text_hash"
        )
    fresh = connection.sql(
        "SELECT text_hash, any_value(language) AS language, any_value(text) AS text"
        " FROM written ANTI JOIN scores USING (text_hash) GROUP BY text_hash ORDER BY text_hash"
    ).to_arrow_table()
    if len(fresh):
        values = scorer.score(fresh["text"].to_pylist(), fresh["language"].to_pylist())
        scored = pa.table(
            {"text_hash": fresh["text_hash"], "polarity": pa.array(values, from_pandas=True)}
        )
        connection.register("scored", scored)
        connection.execute("INSERT INTO scores SELECT * FROM scored")
    stored = connection.sql(
        'SELECT "table", event_id, record_version, text_hash, polarity'
        ' FROM written JOIN scores USING (text_hash) ORDER BY "table", event_id, record_version'
    ).to_arrow_table()
    counts = connection.execute(
        "SELECT \"table\", coalesce(language, 'unknown') AS language, count(*) AS written,"
        " count(polarity) AS covered, count(*) FILTER (polarity < 0) AS negative"
        " FROM written JOIN scores USING (text_hash) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return stored.cast(STORED), [Count(*row) for row in counts], len(fresh)


def _parquet(paths: Sequence[Path]) -> str:
    quoted = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{quoted}])"


def read_scores(connection: duckdb.DuckDBPyConnection, stored: Path) -> None:
    """Create `message_polarity` and `comment_polarity` from a bucket's stored scores.

    `connection` holds the bucket's canonical tables (`features.facts`). Raises InputError when the
    scores are not those of its texts.
    """
    if not stored.exists():
        raise InputError(f"{stored} does not exist; run `dvc repro` (or the stage tone)")
    for table, sql in WRITTEN.items():
        connection.execute(
            f"CREATE TEMP TABLE {_SCORES[table]} AS"
            f" SELECT event_id, record_version, text_hash, polarity FROM {_parquet([stored])}"
            f" WHERE \"table\" = '{table}'"
        )
        unscored = connection.execute(
            f"SELECT min(event_id) FROM"
            f" ({HASHED} FROM ({sql.format(relation=table + '_versions')}))"
            f" ANTI JOIN {_SCORES[table]} USING (event_id, record_version, text_hash)"
        ).fetchall()[0][0]
        if unscored is not None:
            raise InputError(
                f"{stored} has no score of the text of {table} {unscored}: it is older than the"
                " tables; run `dvc repro` (or the stage tone)"
            )


def score_texts(connection: duckdb.DuckDBPyConnection) -> None:
    """Create `message_polarity` and `comment_polarity` from the texts, with the default backend.

    Does nothing where stored scores were read before.
    """
    present = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    for table, sql in WRITTEN.items():
        if (_SCORES[table],) in present:
            continue
        texts = connection.sql(
            f"SELECT * FROM ({sql.format(relation=table + '_versions')}) ORDER BY ALL"
        ).to_arrow_table()
        values = Lexicon().score(texts["text"].to_pylist(), texts["language"].to_pylist())
        scored = texts.select(["event_id", "record_version"]).append_column(
            "polarity", pa.array(values, pa.float64(), from_pandas=True)
        )
        connection.register("scored", scored)
        connection.execute(f"CREATE TEMP TABLE {_SCORES[table]} AS SELECT * FROM scored")
        connection.unregister("scored")


_SCORES = {"messages": "message_polarity", "surveys": "comment_polarity"}
