"""Monitoring of small companies: quiet where nothing changes, alarmed where something does."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import yaml

from data.errors import InputError
from pipelines import monitor, paths
from pipelines.monitor import freshness, offset_severity
from tests.acceptance.project import Project, copied

ROOT = Path(__file__).resolve().parents[2]
CUTOFFS = 8
DRIVER = """
import json, sys
from datetime import date
from pathlib import Path

from features.labels import LABELLED
from models.splits import replay_origin
from pipelines import featurize, load, monitor, params, paths, train

KEEP = ("language", "plan", "acquisition", "channel_pref", "ticket_count", "bot_reply_share",
        "bot_turns_mean", "bot_not_understood_share", "chat_share", "order_count",
        "first_response_within_1h_share", "tenure_days")
every = load.supported_features
load.supported_features = lambda settings, contract: tuple(
    f for f in every(settings, contract) if f.base in KEEP
)
featurize.main()
settings, summary = params.load(), load.summary()
info = summary["tasks"]["churn"]
span = info["gap_days"] + info["horizon_days"] + info["lag_days"]
times = load.as_of_times(summary["as_of"], summary["time_zone"])
rows = load.feature_rows("churn")
rows = rows[rows["churn_status"] == LABELLED].reset_index(drop=True)
said = {}
for day in sys.argv[1:]:
    at = load.as_of_times([day], summary["time_zone"])[0]
    origin = replay_origin(times, at, label_days=span, calibration_cutoffs=2)
    fitted, calibrated, _ = origin.rows(rows)
    model = train.fit("churn", settings, rows, load.catalog(settings), origin, fitted, calibrated)
    for name in ("production", f"origin-{day}"):
        model.save(paths.MODELS / "churn" / name)
    alarmed = monitor.main(date.fromisoformat(day))
    said[day] = json.loads((paths.MONITOR / "summary.json").read_text(encoding="utf-8"))
    assert alarmed == (said[day]["severity"] == "alarm")
Path("said.json").write_text(json.dumps(said), encoding="utf-8")
"""
DAYS = ("2024-12-01", *(f"2025-{month:02d}-01" for month in range(1, 8)))
CHANGE_SHOWS = ("2025-02-01", "2025-03-01")
"""The first two dates after W4 and bot_rollout become other worlds."""

WORLDS = {"W4": (2000, CHANGE_SHOWS), "bot_rollout": (2000, CHANGE_SHOWS), "W1": (900, DAYS)}


Lived = tuple[Project, dict[str, dict[str, Any]]]


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """Three companies, monitored on some dates one after the other; the last one's files stay."""
    project = copied(tmp_path_factory.mktemp("monitored"))
    said = {}
    for world, (customers, days) in WORLDS.items():
        project.set(
            {
                "source": {"buckets": 1},
                "world": {"name": world, "customers": customers, "seed": 11},
                "features": {"windows": [30, 90, 365]},
                "monitor": {"rows": 600, "resamples": 100},
            }
        )
        project.retention("ingest")
        project.retention("tone")
        project.run(sys.executable, "-c", DRIVER, *days)
        said[world] = json.loads((project.root / "said.json").read_text(encoding="utf-8"))
    return project, said


def alarms(said: dict[str, Any]) -> set[str]:
    return {each["check"] for each in said["findings"] if each["severity"] == "alarm"}


def test_where_nothing_changes_at_most_one_of_eight_dates_alarms(
    lived: Lived,
) -> None:
    said = lived[1]["W1"]
    assert len(said) == CUTOFFS
    assert sum(bool(alarms(each)) for each in said.values()) <= 1


@pytest.mark.parametrize(
    ("world", "check"), [("W4", "features_new"), ("bot_rollout", "features_contact")]
)
def test_a_change_alarms_within_two_dates(lived: Lived, world: str, check: str) -> None:
    assert check in set().union(*map(alarms, lived[1][world].values()))


def test_the_exit_code_says_whether_anything_alarms(
    lived: Lived,
) -> None:
    """A dead feed is the plainest alarm: the tickets of the last weeks are lost."""
    project, said = lived
    assert said["W1"][DAYS[-1]]["severity"] != "alarm"
    before = contents(project.artifacts / "monitor")
    project.retention("monitor", expect=0)
    assert contents(project.artifacts / "monitor") == before
    for path in (project.artifacts / "tables" / "tickets").glob("*.parquet"):
        rows = pd.read_parquet(path)
        whole = path.read_bytes()
        rows[rows["known_at"] < pd.Timestamp("2025-06-10", tz="UTC")].to_parquet(path)
        try:
            project.retention("monitor", expect=3)
        finally:
            path.write_bytes(whole)
    assert "freshness" in alarms(project.json("monitor/summary.json"))
    for language, word in (("en", "ALARM"), ("ja", "警報")):
        page = project.artifacts / "monitor" / f"page.{language}.html"
        assert word in page.read_text(encoding="utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--as-of", "2025-06-15"], "none of them"),
        (["--as-of", "2024-01-01"], "knows dates until"),
        (["--models", "nowhere"], "no task has a model"),
        (["--out", "artifacts"], "no output of this command"),
    ],
)
def test_bad_input_ends_with_exit_code_2_and_the_cure(
    lived: Lived,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    says: str,
) -> None:
    project, _ = lived
    for name in ("FEATURES", "FEATURE_SUMMARY", "CONTRACT", "TABLES", "MODELS", "MONITOR"):
        place = getattr(paths, name).relative_to(paths.ROOT)
        monkeypatch.setattr(paths, name, project.root / place)
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    as_of = date.fromisoformat(given["--as-of"]) if "--as-of" in given else None
    models = project.root / given["--models"] if "--models" in given else None
    out = project.root / given["--out"] if "--out" in given else None
    with pytest.raises(InputError, match=says):
        monitor.main(as_of, out, models)


def table(folder: Path, name: str, *times: str) -> None:
    (folder / name).mkdir(parents=True)
    known = ", ".join(f"TIMESTAMPTZ '{time}+00'" for time in times)
    duckdb.execute(
        f"COPY (SELECT unnest([{known}]) AS known_at)"
        f" TO '{folder / name / 'bucket=000.parquet'}' (FORMAT parquet)"
    )


def test_a_table_is_silent_by_its_own_history(tmp_path: Path) -> None:
    daily = [f"2025-05-{day:02d} 12:00:00" for day in range(1, 31)]
    weekly = [f"2025-{m:02d}-{d:02d} 12:00:00" for m in range(1, 6) for d in (2, 9, 16, 23)]
    table(tmp_path, "orders", *daily, "2025-06-09 12:00:00")
    table(tmp_path, "tickets", *daily)
    table(tmp_path, "surveys", *weekly)
    table(tmp_path, "calls", *daily)
    at = pd.Timestamp("2025-06-04", tz="UTC")
    tables = dict.fromkeys(("orders", "tickets", "surveys", "calls"))
    found = {each["table"]: each for each in freshness(tmp_path, tables, at, ["calls"])}
    # What became known after the as-of date does not make a table fresh.
    assert found["orders"]["severity"] == found["tickets"]["severity"] == "alarm"
    assert found["tickets"]["silent_hours"] == 24 * 4 + 11 and found["tickets"]["usual"] == 24
    assert found["surveys"]["severity"] == "watch"
    assert found["calls"]["severity"] == "ok"


def test_a_level_no_season_explains_alarms() -> None:
    off = {"value": 0.5, "low": 0.35, "high": 0.65}
    assert offset_severity(off, [0.1, 0.3, 0.2]) == "alarm"
    assert offset_severity(off, [0.1, 0.4, 0.2]) == "watch"
    assert offset_severity(off, [0.1]) == "watch"
    assert offset_severity({"value": 0.1, "low": -0.1, "high": 0.3}, [0.0, 0.0, 0.0]) == "ok"
    assert offset_severity({"value": -0.5, "low": -0.65, "high": -0.35}, [0.1, 0.3, 0.2]) == "alarm"


def example(kind: str) -> str:
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"```{kind}\n(.*?)```", page, flags=re.S)
    return found


def test_the_cron_line_is_a_schedule_and_a_shell_command() -> None:
    fields = example("cron").strip().split(maxsplit=5)
    assert fields[:5] == ["0", "6", "*", "*", "1"]
    # To cron an unescaped per cent sign ends the command.
    assert "%" not in fields[5]
    subprocess.run(["sh", "-n", "-c", fields[5]], check=True)


@pytest.mark.parametrize(("code", "mails"), [(0, False), (2, True), (3, True)])
def test_the_cron_line_mails_the_exit_code(tmp_path: Path, code: int, mails: bool) -> None:
    bin_ = tmp_path / "retention" / ".venv" / "bin"
    bin_.mkdir(parents=True)
    script(bin_ / "retention", f'[ "$1" = score ] || exit {code}')
    script(tmp_path / "mail", f'echo "$2" > {tmp_path}/mailed')
    environment = {"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = example("cron").strip().split(maxsplit=5)[5]
    subprocess.run(["sh", "-c", command], check=True, env=environment)
    mailed = tmp_path / "mailed"
    assert mailed.exists() == mails
    assert not mails or mailed.read_text().strip() == f"retention: exit code {code}"


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_airflow_example_compiles_and_runs_both_commands() -> None:
    tree = ast.parse(example("python"))
    words = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert {"retention score", "retention monitor"} <= set(words)


@pytest.mark.parametrize("code", [0, 2, 3])
def test_the_workflow_example_ends_with_the_exit_code(tmp_path: Path, code: int) -> None:
    workflow = yaml.safe_load(example("yaml"))
    steps = {each.get("name"): each for each in workflow["jobs"]["score"]["steps"]}
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").write_text("")
    script(tmp_path / "retention", f"exit {code}")
    output = tmp_path / "output"
    environment = {"GITHUB_OUTPUT": str(output), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-e", "-c", steps["Monitor"]["run"]],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code
    assert output.read_text() == f"code={code}\n"
    assert ("::warning::" in done.stdout) == (code == 3)
