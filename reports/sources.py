"""Where a figure of the report came from, as an address that a person and a test can follow.

`evaluation/churn/metrics.json#/model/auc/value` is a JSON Pointer (RFC 6901) in an artifact;
`explanation/churn/features.csv?feature=csat_last#mean_abs_shap` is the column of the one row in
which the named columns have these values (percent-encoded).
"""

from __future__ import annotations

import hashlib
from urllib.parse import quote, urlencode

LONGEST = 120
"""A longer key is named by its SHA-256."""


def at(file: str, *keys: object) -> str:
    """The address of a value in a JSON artifact; without keys, the whole of it."""
    return below(f"{file}#", *keys)


def below(address: str, *keys: object) -> str:
    """The address of what lies under another address of a JSON artifact."""
    return address + "".join("/" + _escaped(str(key)) for key in keys)


def row(file: str, **keys: object) -> str:
    """The address of a row of a CSV artifact; `cell` adds the column."""
    named = {name: shortened(str(value)) for name, value in keys.items()}
    return f"{file}?{urlencode(named, quote_via=quote)}"


def cell(address: str, column: str) -> str:
    """The address of a column of a row."""
    return f"{address}#{column}"


def shortened(value: str) -> str:
    """A key as addresses write it."""
    if len(value) <= LONGEST:
        return value
    return "sha256:" + hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def _escaped(key: str) -> str:
    return quote(shortened(key).replace("~", "~0").replace("/", "~1"), safe="~:-")
