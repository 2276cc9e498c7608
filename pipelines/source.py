"""Stage `source`: note what the source's files are, so that changed data invalidate the rest."""

from __future__ import annotations

from data import source
from pipelines import params, paths, stage


def main() -> None:
    """Write the fingerprint of the configured source's input files."""
    chosen = source.load(params.load().source.name)
    stage.write_json(paths.SOURCE, source.fingerprint(chosen))
