"""A small company with a feature table and two models, and a process that scores it often.

The process has run once and forks for every further run, so that a run costs little. It has one
worker and one thread, which is what makes forking safe.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from data.contracts import TABLE
from features.labels import IMMATURE, LABELLED
from models.estimator import RetentionModel
from pipelines.campaign import FACTS, NEEDED

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("data", "features", "models", "pipelines", "reports")
TASKS = ("churn", "repeat_purchase")
DAYS = ("2025-01-01", "2025-06-01", "2025-07-01")
"""The last date with outcomes, and two to score."""

BUCKETS = 3
NUMBERS = (
    "ticket_count_90d",
    "ticket_decayed",
    "days_since_last_ticket",
    "escalation_share_90d",
    "days_since_last_escalation",
    "order_count_90d",
    "tenure_days",
)
CATEGORIES = {
    "plan": ("monthly", "yearly"),
    "language": ("en", "ja"),
    "segment": ("a", "b"),
    "country": ("JP", "US"),
    "region": ("north", "south"),
    "relationship": ("none", "contract"),
    "acquisition": ("search", "shop"),
}
TABLES = ("customers", "orders", "subscriptions", "tickets", "ticket_events")

DRIVER = """
import json, os, signal, sys, threading, time
from datetime import date
from pathlib import Path
from pipelines import score, stage

score.main(date.fromisoformat(sys.argv[1]), Path("warm"), ["en"])
print("ready", flush=True)

def run(asked):
    said = os.open(asked["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 2)
    os.environ.update(asked["environment"])
    time.tzset()
    for name, limit in asked["limits"].items():
        import resource
        resource.setrlimit(getattr(resource, name), (limit, limit))
    events = 0

    def die(delay):
        if delay:
            time.sleep(delay)
        os.kill(os.getpid(), signal.SIGKILL)

    def count(event, _):
        nonlocal events
        if event.split(".")[0] in ("open", "os", "shutil", "ctypes"):
            events += 1
            if events == asked["kill_at"]:
                if asked["delay"]:
                    threading.Thread(target=die, args=[asked["delay"]], daemon=True).start()
                else:
                    die(0)

    sys.addaudithook(count)
    code = 0
    try:
        stage.run(lambda: score.main(date.fromisoformat(asked["day"]), Path(asked["out"]), ["en"]))
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        import traceback
        traceback.print_exc()
        code = 1
    counted = events
    Path(asked["said"] + ".events").write_text(str(counted))
    os._exit(code)

for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        run(asked)
    _, status = os.waitpid(child, 0)
    print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)
"""


def write_project(root: Path, customers: int = 24, seed: int = 7) -> None:
    """Code, params and artifacts of a company whose features are drawn at random."""
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["source"] |= {"name": "world", "buckets": BUCKETS}
    # The drawn tenures are days, not years; the model is to speak of everybody.
    values["policy"]["min_tenure_days"] = 0
    (root / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    artifacts = root / "artifacts"
    rows = feature_rows(customers, seed)
    features = artifacts / "features"
    features.mkdir(parents=True)
    for bucket in range(BUCKETS):
        mine = rows[rows["customer_id"].str[1:].astype(int) % BUCKETS == bucket]
        table = pa.Table.from_pandas(mine, preserve_index=False).replace_schema_metadata()
        pq.write_table(table, features / f"bucket={bucket:03d}.parquet")
    write_json(
        features / "summary.json",
        {
            "as_of": list(DAYS),
            "time_zone": "Asia/Tokyo",
            "observed_until": DAYS[-1],
            "tasks": {
                "churn": {"definition": "contractual", "gap_days": 7, "horizon_days": 90},
                "repeat_purchase": {},
            },
        },
    )
    write_json(
        artifacts / "contract.json",
        {
            "currency": "JPY",
            "observed_until": DAYS[-1],
            "tables": {name: {"absent_columns": []} for name in TABLES},
        },
    )
    for name in set(FACTS) & set(TABLES):
        folder = artifacts / "tables" / name
        folder.mkdir(parents=True)
        for bucket in range(BUCKETS):
            pq.write_table(empty_table(name), folder / f"bucket={bucket:03d}.parquet")
    labelled = rows[rows["churn_status"] == LABELLED].reset_index(drop=True)
    every = np.arange(len(labelled))
    for task in TASKS:
        model = RetentionModel.fit(
            labelled,
            labelled[task],
            fit_rows=every[::2],
            calibration_rows=every[1::2],
            features=[*NUMBERS, *CATEGORIES],
            categories=list(CATEGORIES),
            params={"num_iterations": 30, "learning_rate": 0.3, "lambda_l2": 0.0},
            seed=seed,
            about={"calibration_as_of": [DAYS[0]]},
        )
        model.save(artifacts / "models" / task / "production")


def feature_rows(customers: int, seed: int) -> pd.DataFrame:
    """The feature table: many more customers on the first date, for the models to learn from."""
    rng = np.random.default_rng(seed)
    parts = []
    for day in DAYS:
        size = 400 if day == DAYS[0] else customers
        columns: dict[str, Any] = {
            "customer_id": [f"C{i:04d}" for i in range(size)],
            "as_of": pd.Timestamp(day, tz="Asia/Tokyo").tz_convert("UTC"),
        }
        columns |= {n: rng.gamma(2, 3, size).astype("float32") for n in NUMBERS}
        columns |= {n: rng.choice(v, size) for n, v in CATEGORIES.items()}
        for name in (*NEEDED, "first_contact_resolution_last", "open_ticket_count"):
            words = name in ("language", "channel_pref", "segment")
            columns.setdefault(name, np.full(size, None if words else np.nan))
        part = pd.DataFrame(columns)
        part.loc[rng.random(size) < 0.2, "days_since_last_escalation"] = np.nan
        risk = (part["ticket_count_90d"] + 3 * (part["plan"] == "monthly")) / 12
        for task in TASKS:
            part[f"{task}_status"] = LABELLED if day == DAYS[0] else IMMATURE
            happened = (rng.random(size) < risk).astype("float32")
            part[task] = happened if day == DAYS[0] else np.float32("nan")
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values(["customer_id", "as_of"], ignore_index=True)


def empty_table(name: str) -> pa.Table:
    """A canonical table in which nothing is recorded."""
    kinds = {"TIMESTAMPTZ": pa.timestamp("us", tz="UTC"), "VARCHAR": pa.string()}
    kinds |= {"DOUBLE": pa.float64(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_()}
    columns = TABLE[name].all_columns
    return pa.schema([(column.name, kinds[column.type]) for column in columns]).empty_table()


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


class Scoring:
    """Runs of `retention score` in a project."""

    def __init__(self, root: Path, process: subprocess.Popen[str]) -> None:
        self.root = root
        self._process = process

    def start(
        self,
        out: Path,
        *,
        day: str = DAYS[-1],
        kill_at: int = 0,
        delay: float = 0.0,
        environment: Mapping[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        """Begin a run that, if `kill_at` is not 0, is killed at so many uses of files."""
        asked = {
            "day": day,
            "out": str(out),
            "said": str(self.root / "said"),
            "kill_at": kill_at,
            "delay": delay,
            "environment": dict(environment or {}),
            "limits": dict(limits or {}),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()

    def ended(self) -> int:
        """Wait for the run begun last; its exit code, or minus the signal that killed it."""
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def run(self, out: Path, *, expect: int = 0, **how: Any) -> str:
        """A run and what it said."""
        self.start(out, **how)
        code = self.ended()
        said = self.said()
        assert code == expect, said
        return said

    def said(self) -> str:
        return (self.root / "said").read_text(encoding="utf-8")

    def events(self) -> int:
        """How often the run before used files."""
        return int((self.root / "said.events").read_text(encoding="utf-8"))


@contextmanager
def scoring(root: Path) -> Iterator[Scoring]:
    """A project to score in."""
    write_project(root)
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, DAYS[1]],
        cwd=root,
        env={
            **os.environ,
            "PYTHONPATH": str(root),
            "RETENTION_WORKERS": "1",
            "OMP_NUM_THREADS": "1",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield Scoring(root, process)
        assert process.stdin is not None
        process.stdin.close()


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
