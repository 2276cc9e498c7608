"""The stage `audit` on a small shop: it passes what is honest and stops the run at every leak."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import features.facts
from data import source
from data.contracts import TABLE
from data.errors import InputError
from pipelines import audit, featurize, params, paths, stage
from pipelines.store import Store
from tests.features.tables import customer, table

SHOP = "online_retail"  # its calendar: as-of dates in 2011, first trained on 1 January
CUSTOMERS = [f"C{i:03d}" for i in range(200)]
RETURNING = set(CUSTOMERS[::2])
"""They buy every month of 2011. Until then they are like the others, who never buy again."""

Run = Callable[..., dict[str, Any]]


def orders(leak: str | None) -> pd.DataFrame:
    """One order each in December; a monthly one of those who return, one in three known late."""
    rng = np.random.default_rng(5)
    rows = []
    for c in CUSTOMERS:
        first = pd.Timestamp("2010-12-02T10:00Z") + pd.Timedelta(hours=int(rng.integers(24 * 25)))
        times = [first, *(first + pd.DateOffset(months=m) for m in range(1, 12) if c in RETURNING)]
        for m, time in enumerate(times):
            row = {
                "customer_id": c,
                "order_id": f"{c}-{m}",
                "event_id": f"{c}-{m}",
                "event_at": time,
                "known_at": time + pd.Timedelta(days=40 if m and rng.random() < 1 / 3 else 0),
                "status": "placed",
                "amount": float(rng.integers(1, 100)),
                "item_count": float(rng.integers(1, 9)),
            }
            if leak == "value":
                # Overwritten at export with what the customer bought since.
                row["item_count"] = 20.0 if c in RETURNING else 1.0
            if leak == "missing" and c in RETURNING:
                row["discount"] = 1.0
            rows.append(row)
    return table("orders", *rows)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Write the shop's tables and features, run the stage, return audit.json."""
    settings = params.load()
    settings = settings.model_copy(
        update={
            "source": settings.source.model_copy(update={"name": SHOP, "buckets": 1}),
            "audit": settings.audit.model_copy(update={"customers": 80, "as_of_dates": 1}),
            "features": settings.features.model_copy(
                update={"windows": (30, 365)},
            ),
        }
    )
    monkeypatch.setattr(params, "load", lambda: settings)
    monkeypatch.setattr(paths, "ARTIFACTS", tmp_path)
    monkeypatch.setattr(paths, "TABLES", tmp_path / "tables")
    monkeypatch.setattr(paths, "CONTRACT", tmp_path / "contract.json")
    monkeypatch.setattr(paths, "FEATURES", tmp_path / "features")
    monkeypatch.setattr(paths, "FEATURE_SUMMARY", tmp_path / "features" / "summary.json")
    monkeypatch.setattr(paths, "AUDIT", tmp_path / "audit.json")

    def run(leak: str | None = None) -> dict[str, Any]:
        tables = {
            "customers": table("customers", *(customer(c, "2010-12-01") for c in CUSTOMERS)),
            "orders": orders(leak),
        }
        about = {
            "lateness_days_p99": 0.0,
            "first_known_at": "2010-12-01T00:00:00Z",
            "absent_columns": [],
        }
        stage.write_json(
            paths.CONTRACT,
            {"tables": dict.fromkeys(tables, about), "observed_until": "2011-12-09"},
        )
        for name, frame in tables.items():
            assert list(frame) == [column.name for column in TABLE[name].all_columns]
            (paths.TABLES / name).mkdir(parents=True)
            frame.to_parquet(paths.TABLES / name / "bucket=000.parquet")
        write_features(settings)
        audit.main()
        return read()

    return run


def write_features(settings: params.Params) -> None:
    store = Store(str(paths.ARTIFACTS))
    plan = featurize.make_plan(settings, source.load(SHOP), store)
    with stage.fresh_folder(paths.FEATURES) as folder:
        result = featurize._one_bucket(0, plan, store, Store(str(folder)))
        stage.write_json(folder / "summary.json", featurize._summary(plan, [result]))


def read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(paths.AUDIT.read_text(encoding="utf-8"))
    return found


def test_an_honest_shop_passes_with_the_same_evidence_every_time(run: Run) -> None:
    found = run()
    checks = found["checks"]
    assert found["verdict"] == "passed" and found["customers"] == 80
    assert {name: check["verdict"] for name, check in checks.items()} == {
        "stored_table": "passed",
        "shuffled_future": "passed",
        "time_travel": "passed",
        "canary": "passed",
        "single_feature.churn": "passed",
        "missingness.churn": "passed",
        "single_feature.repeat_purchase": "passed",
        "missingness.repeat_purchase": "passed",
    }
    for name in ("shuffled_future", "time_travel"):
        for date in checks[name]["dates"]:
            assert date["rows"] == 80 and sum(date["tables"]["orders"].values()) > 0
    assert "order_count_30d" in checks["canary"]["known_in_time"]["features_caught"]
    # The first model is tested on 1 August: only 1 January has labels that are early enough.
    alone = checks["single_feature.repeat_purchase"]
    assert (alone["first_as_of"], alone["last_as_of"]) == ("2011-01-01", "2011-01-01")
    assert (alone["rows"], alone["positives"]) == (200, 100)
    # By the last dates, which are tested, returning customers are plain to see; not by then.
    assert alone["feature_auc"]["top"][0]["value"] < 0.8
    first = paths.AUDIT.read_bytes()
    audit.main()
    assert paths.AUDIT.read_bytes() == first


def test_a_column_overwritten_at_export_stops_the_run(run: Run) -> None:
    with pytest.raises(InputError) as error:
        run("value")
    assert str(error.value).startswith(
        "audit: item_count_mean_365d as of 2011-01-01 tells churn alone, with an AUC of 1.000"
        " (audit.max_feature_auc is 0.9); declare in data/sources/online_retail when"
    )
    found = read()
    assert found["verdict"] == "failed"
    failed = {name for name, check in found["checks"].items() if check["verdict"] == "failed"}
    assert failed == {"single_feature.churn", "single_feature.repeat_purchase"}


def test_a_column_filled_in_for_one_outcome_stops_the_run(run: Run) -> None:
    with pytest.raises(InputError, match="discount_share_365d as of 2011-01-01 tells"):
        run("missing")
    failures = read()["checks"]["missingness.repeat_purchase"]["failures"]
    assert any("by being missing" in failure for failure in failures)
    assert any("one outcome of repeat_purchase only" in failure for failure in failures)


def test_facts_that_count_from_when_they_happened_stop_the_run(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = features.facts.connect

    def leaky(relations: Mapping[str, str | pd.DataFrame], *calendar: Any) -> Any:
        return connect(
            {
                name: f"(SELECT * REPLACE (event_at AS known_at) FROM {relation})"
                if isinstance(relation, str)
                else relation.assign(known_at=relation["event_at"])
                for name, relation in relations.items()
            },
            *calendar,
        )

    monkeypatch.setattr(features.facts, "connect", leaky)
    monkeypatch.setattr(audit, "connect", leaky)
    with pytest.raises(InputError) as error:
        run()
    line = str(error.value)
    assert line.startswith("audit: order_count_30d as of 2011-") and "\n" not in line
    assert "when the future is shuffled; the stream 'order' must count from the moment" in line
    checks = read()["checks"]
    for name in ("shuffled_future", "time_travel", "canary"):
        assert checks[name]["verdict"] == "failed", name
        example = checks[name]["changes"][0]
        assert example["customer_id"] in CUSTOMERS and example["before"] != example["after"]
    assert checks["stored_table"]["verdict"] == "passed"


def test_a_feature_table_that_the_tables_do_not_give_stops_the_run(run: Run) -> None:
    run()
    path = paths.FEATURES / "bucket=000.parquet"
    rows = pd.read_parquet(path)
    later = rows.groupby("customer_id")["order_count_30d"].shift(-1)
    rows.assign(order_count_30d=later).to_parquet(path)
    with pytest.raises(InputError, match=r"order_count_30d .* run `dvc repro featurize`"):
        audit.main()


def test_an_audit_that_could_not_see_a_leak_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "planted", lambda tables, *_: tables)
    with pytest.raises(InputError, match="the audit cannot see a leak"):
        run()
