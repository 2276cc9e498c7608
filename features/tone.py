"""The tone of every customer message of a bucket."""

from __future__ import annotations

import duckdb
import pandas as pd

from features.facts import frame_of
from features.polarity import polarity


def score_messages(connection: duckdb.DuckDBPyConnection) -> None:
    """Create `message_polarity`, the tone of every customer message, from its text."""
    texts = frame_of(
        connection,
        "SELECT event_id, record_version, language, text FROM messages_versions"
        " WHERE author = 'customer' ORDER BY ALL",
    )
    scores = polarity(
        [text if isinstance(text, str) else None for text in texts["text"]],
        [language if isinstance(language, str) else None for language in texts["language"]],
    )
    scored = pd.DataFrame(
        {
            "event_id": texts["event_id"].astype("string"),
            "record_version": texts["record_version"].astype("int64"),
            "polarity": scores,
        }
    )
    connection.register("message_polarity_frame", scored)
    connection.execute(
        "CREATE TEMP TABLE message_polarity AS SELECT event_id, record_version,"
        " CASE WHEN isnan(polarity) THEN NULL ELSE polarity END AS polarity"
        " FROM message_polarity_frame"
    )
