"""Stage `ingest`: the source's SELECTs -> canonical tables, quarantine and the accounting."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from data import ingest, source, world
from pipelines import params, paths, stage


def main() -> None:
    """Ingest the configured source; the embedded world is generated first."""
    settings = params.load()
    chosen = source.load(settings.source.name)
    with tempfile.TemporaryDirectory(prefix="retention-world-") as generated:
        if chosen.generator is None:
            root = source.root_of(chosen)
        else:
            root = Path(generated)
            end = world.end(settings.world.months)
            chosen = chosen.model_copy(update={"last_as_of": end, "observed_until": end})
            world.generate(
                root,
                customers=settings.world.customers,
                months=settings.world.months,
                seed=settings.world.seed,
                world=settings.world.name,
                workers=stage.workers(),
                progress=stage.say,
            )
        accounting = ingest.ingest(
            chosen,
            root,
            paths.TABLES,
            paths.QUARANTINE,
            buckets=settings.source.buckets,
            progress=stage.say,
            memory=os.environ.get("RETENTION_MEMORY") or ingest.MEMORY,
        )
    for warning in accounting["warnings"]:
        stage.say(f"look at {warning['table']}: {warning['message']}")
    stage.write_json(paths.CONTRACT, accounting)
