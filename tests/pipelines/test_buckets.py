from __future__ import annotations

from pathlib import Path

import pandas as pd

from data import ingest, source, world
from pipelines import featurize, params, stage
from pipelines.store import Store

MONTHS = 24


def features(raw: Path, run: Path, buckets: int) -> pd.DataFrame:
    """Every feature of the world under `raw` at two dates, from so many buckets."""
    end = world.end(MONTHS)
    chosen = source.load("world").model_copy(update={"last_as_of": end, "observed_until": end})
    contract = ingest.ingest(chosen, raw, run / "tables", run / "quarantine", buckets=buckets)
    stage.write_json(run / "contract.json", contract)
    stage.write_json(run / "tone" / "summary.json", {"backend": None})  # scored on the fly
    settings = params.load()
    settings = settings.model_copy(
        update={"source": settings.source.model_copy(update={"buckets": buckets})}
    )
    store = Store(str(run))
    plan = featurize.make_plan(settings, chosen, store)
    plan |= {"as_ofs": plan["as_ofs"][-6:-4]}
    parts = [featurize._bucket(bucket, plan, store)[0] for bucket in range(buckets)]
    return pd.concat(parts).sort_values(["customer_id", "as_of"], ignore_index=True)


def test_the_number_of_buckets_changes_no_feature(tmp_path: Path) -> None:
    world.generate(tmp_path / "raw", customers=250, months=MONTHS, seed=7)
    one = features(tmp_path / "raw", tmp_path / "one", 1)
    three = features(tmp_path / "raw", tmp_path / "three", 3)
    assert len(one) > 200
    pd.testing.assert_frame_equal(one, three, check_exact=True)
