"""Stage `tone`: what customers wrote -> a number per message and comment, bucket by bucket.

DVC keeps the earlier output while the stage runs (`persist`), and texts in it that the same backend
scored are not scored again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from features import tone
from pipelines import engine, params, paths, stage


def main() -> None:
    """Write artifacts/tone: one Parquet file per bucket and summary.json."""
    settings = params.load()
    names = tuple(t for t in stage.read_json(paths.CONTRACT)["tables"] if t in tone.WRITTEN)
    name, model = settings.tone.backend, settings.tone.model_dir
    scorer = tone.backend(name, model)
    identity = {"name": scorer.name, "version": scorer.version}
    earlier = _stored_by(identity)
    buckets = settings.source.buckets
    stage.say(f"tone: {name}, {buckets} buckets, {len(earlier)} of an earlier run can be reused")
    counts: list[tone.Count] = []
    scored = 0
    with stage.fresh_folder(paths.TONE) as folder:
        work = partial(tone.store_bucket, paths.TABLES, folder, names, name, model, earlier)
        # A model's folder is on this machine, so the buckets are scored here.
        results = engine.each_bucket(work, buckets, engine.Engine.local)
        for done, (count, fresh) in enumerate(results, start=1):
            counts += count
            scored += fresh
            texts = sum(c.written for c in counts)
            stage.say(f"tone: bucket {done} of {buckets}; {texts} texts, {scored} scored anew")
        summary = {"backend": identity, "coverage": _coverage(counts)}
        stage.write_json(folder / "summary.json", summary)


def _stored_by(identity: dict[str, str]) -> tuple[Path, ...]:
    """The files of the last run if the same backend, in the same version, wrote them."""
    if not paths.TONE_SUMMARY.exists():
        return ()
    if stage.read_json(paths.TONE_SUMMARY)["backend"] != identity:
        return ()
    return tuple(sorted(paths.TONE.glob("bucket=*.parquet")))


def _coverage(counts: Iterable[tone.Count]) -> dict[str, Any]:
    """Per table and language: texts, the share with a score, and of these the negative share."""
    total: Counter[tuple[str, str, str]] = Counter()
    for count in counts:
        key = (count.table, count.language)
        total[*key, "written"] += count.written
        total[*key, "covered"] += count.covered
        total[*key, "negative"] += count.negative
    coverage: dict[str, dict[str, Any]] = {}
    for table, language in sorted({key[:2] for key in total}):
        written, covered, negative = (
            total[table, language, what] for what in ("written", "covered", "negative")
        )
        coverage.setdefault(table, {})[language] = {
            "written": written,
            "covered_share": round(covered / written, 4),
            "negative_share": round(negative / covered, 4) if covered else None,
        }
    return coverage
