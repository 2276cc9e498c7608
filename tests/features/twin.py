"""The slow twin of the kernel: every question as plain DuckDB SQL, one SELECT per question.

Needs two relations: `facts` (customer, moment, known_from, known_until, n and the stream's own
columns) and `spine` (spine_id, customer, as_of). Times are microseconds since 1970 UTC; `n`
numbers the facts in the order (customer, moment, ...) in which the kernel gets them.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np

from features.aggregates import Aggregate, count, mean
from features.kernel import DAY_US

ANSWERS = {
    "count": "count(x)",
    "sum": "coalesce(sum(x), 0)",
    "mean": "avg(x)",
    "geomean": "exp(avg(ln(1 + greatest(x, 0))) FILTER (x IS NOT NULL)) - 1",
    "min": "min(x)",
    "max": "max(x)",
    "std": "stddev_samp(x)",
    "share": "(sum(x) + 5 * {q}) / (count(x) + 5)",
    "quantile": "quantile_cont(x, {q})",
    "last": "last(x ORDER BY n)",
    "days_since_last": "(as_of - max(moment)) / {day}",
    "days_since_first": "(as_of - min(moment)) / {day}",
    "days_since": "as_of / {day} - last(x ORDER BY n)",
    "days_until": "last(x ORDER BY n) - as_of / {day}",
    "distinct": "count(DISTINCT x)",
    "gap_days_std": "stddev_samp(gap) / {day}",
    "mean_gap_days": "(max(moment) - min(moment)) / {day} / nullif(count(x) - 1, 0)",
    "decayed": "coalesce(sum(x * 0.5 ** ((as_of - moment) / {day} / 56)), 0)",
}


def select(question: Aggregate, window: int | None) -> str:
    """One question as a SELECT of spine_id and answer, for every row of the spine."""
    if question.measure == "trend":
        assert window is not None
        level = count() if question.column is None else mean(question.column)
        return f"""
            SELECT spine_id, now.answer - before.answer AS answer
            FROM ({_plain(level, 0, window)}) AS now
            JOIN ({_plain(level, window, 2 * window)}) AS before USING (spine_id)
        """
    return _plain(question, 0, window)


def _plain(question: Aggregate, newest: int, oldest: int | None) -> str:
    """The question about the facts known `oldest` to `newest` days before the as-of date."""
    answer = ANSWERS[question.measure].format(q=question.parameter, day=float(DAY_US))
    begin = "" if oldest is None else f"AND moment >= as_of - {oldest * DAY_US}"
    x = "1.0" if question.column is None else f'"{question.column}"'
    return f"""
        SELECT spine_id, {answer} AS answer
        FROM (
            SELECT spine_id, as_of, moment, n, x,
                moment - lag(moment) OVER (PARTITION BY spine_id ORDER BY n) AS gap
            FROM spine LEFT JOIN (
                SELECT customer, moment, known_from, known_until, n, {x} AS x
                FROM facts WHERE {x} IS NOT NULL
            ) AS fact ON fact.customer = spine.customer
                AND moment < as_of - {newest * DAY_US} {begin}
                AND known_from < as_of AND as_of <= known_until
        )
        GROUP BY spine_id, as_of
    """


def answers(
    connection: duckdb.DuckDBPyConnection, questions: Sequence[tuple[Aggregate, int | None]]
) -> np.ndarray:
    """All questions for all rows of `spine` in the order of spine_id; NaN = nothing to say."""
    columns = [
        connection.execute(
            f"SELECT CAST(answer AS DOUBLE) AS answer FROM ({select(*question)}) ORDER BY spine_id"
        ).fetchnumpy()["answer"]
        for question in questions
    ]
    return np.column_stack([np.ma.filled(column, np.nan) for column in columns])
