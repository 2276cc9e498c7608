"""What `retention score` refuses, what it says, and what is left when it cannot go on."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.estimator import RetentionModel
from pipelines import stage
from tests.pipelines.lists_project import DAYS, TASKS, Scoring, contents, scoring


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scoring]:
    with scoring(tmp_path_factory.mktemp("scored") / "project") as running:
        yield running


@pytest.fixture
def lists(project: Scoring, tmp_path: Path) -> Path:
    """A folder with the lists of a month before."""
    return shutil.copytree(project.root / "warm", tmp_path / "lists")


@pytest.fixture
def spoil(project: Scoring) -> Iterator[Callable[[str, bytes | None], None]]:
    """Replace or remove a file under artifacts until the test is over."""
    before: dict[Path, bytes] = {}

    def change(name: str, content: bytes | None) -> None:
        path = project.root / "artifacts" / name
        before[path] = path.read_bytes()
        path.unlink() if content is None else path.write_bytes(content)

    yield change
    for path, content in before.items():
        path.write_bytes(content)


def test_the_list_says_what_the_model_says(project: Scoring, lists: Path) -> None:
    project.run(lists)
    parts = sorted((project.root / "artifacts" / "features").glob("*.parquet"))
    rows = pd.concat(map(pd.read_parquet, parts))
    rows = rows[rows["as_of"] == rows["as_of"].max()].set_index("customer_id")
    for task in TASKS:
        listed = pd.read_parquet(lists / task / "list.parquet")
        model = RetentionModel.load(project.root / "artifacts" / "models" / task / "production")
        expected = model.predict(rows.loc[listed["customer_id"]])
        assert np.array_equal(listed["probability"], expected)
        assert list(listed["rank"]) == list(range(1, len(rows) + 1))
        assert listed["risk"].is_monotonic_decreasing
    record = json.loads((lists / "run.json").read_text())
    assert record["as_of"] == DAYS[-1] and record["lists"]["churn"]["customers"] == len(rows)


def test_the_same_inputs_give_the_same_bytes_in_any_time_zone(
    project: Scoring, tmp_path: Path
) -> None:
    project.run(tmp_path / "one")
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles"):
        project.run(tmp_path / "two", environment={"TZ": zone})
        assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_second_run_at_the_same_time_is_refused(project: Scoring, lists: Path) -> None:
    before = contents(lists)
    with stage.only_writer(lists):
        said = project.run(lists, expect=2)
    assert "another run is writing" in said and "--out" in said
    assert contents(lists) == before
    project.run(lists)
    with (lists.parent / ".lists.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_work_of_other_inputs_is_not_taken_over(project: Scoring, tmp_path: Path) -> None:
    out, work = tmp_path / "lists", tmp_path / ".lists.work"
    project.run(out)
    events = project.events()
    project.run(tmp_path / "lists", kill_at=events * 2 // 3, expect=-9)
    assert list((work / "parts").glob("bucket=*.json"))
    said = project.run(out, day=DAYS[1])
    assert "earlier run" not in said
    assert contents(out) == contents(project.root / "warm")


def test_a_part_that_is_not_whole_is_scored_again(project: Scoring, tmp_path: Path) -> None:
    out, parts = tmp_path / "lists", tmp_path / ".lists.work" / "parts"
    project.run(out)
    whole, events = contents(out), project.events()
    project.run(out, kill_at=events * 2 // 3, expect=-9)
    part = next((parts / "churn").glob("bucket=*.parquet"))
    part.write_bytes(part.read_bytes()[:-9])
    project.run(out)
    assert contents(out) == whole


def test_a_full_disk_is_said_and_the_earlier_list_stays(project: Scoring, lists: Path) -> None:
    before = contents(lists)
    said = project.run(lists, expect=2, limits={"RLIMIT_FSIZE": 3000})
    assert "there is no room to write" in said and "Traceback" not in said
    assert contents(lists) == before
    project.run(lists)


def test_an_output_that_cannot_be_written_is_said(project: Scoring, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    said = project.run(tmp_path / "file", expect=2)
    assert "is a file; choose a folder with --out" in said
    said = project.run(Path("/sys/lists"), expect=2)
    assert "choose a folder that can be written" in said and "Traceback" not in said


def test_a_folder_of_other_things_is_not_replaced(project: Scoring, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    said = project.run(tmp_path / "mine", expect=2)
    assert "holds thesis.tex, which is no list" in said
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "mine"


Spoil = Callable[[str, bytes | None], None]
MODEL = "models/churn/production/"


def test_a_missing_or_broken_bucket_is_named(project: Scoring, lists: Path, spoil: Spoil) -> None:
    before = contents(lists)
    spoil("features/bucket=001.parquet", None)
    assert "features/bucket=001.parquet does not exist" in project.run(lists, expect=2)
    (project.root / "artifacts" / "features" / "bucket=001.parquet").write_bytes(b"PAR1")
    said = project.run(lists, expect=2)
    assert "features/bucket=001.parquet" in said and "dvc repro featurize" in said
    assert "Traceback" not in said
    assert contents(lists) == before


def test_a_truncated_model_is_refused(project: Scoring, lists: Path, spoil: Spoil) -> None:
    before = contents(lists)
    text = (project.root / "artifacts" / MODEL / "model.txt").read_bytes()
    spoil(MODEL + "model.txt", text[: len(text) // 2])
    said = project.run(lists, expect=2)
    assert "model.txt is not the file its manifest describes" in said
    assert contents(lists) == before


def manifest_of(project: Scoring) -> dict[str, list[dict[str, object]]]:
    path = project.root / "artifacts" / MODEL / "manifest.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("how", ["order", "category", "number", "cut"])
def test_a_changed_manifest_is_refused(
    how: str, project: Scoring, lists: Path, spoil: Spoil
) -> None:
    before, manifest = contents(lists), manifest_of(project)
    features = manifest["features"]
    if how == "order":
        features.reverse()
    for entry in features:
        if how == "category" and entry["name"] == "plan":
            entry["values"] = list(reversed(entry["values"]))  # type: ignore[call-overload]
        if how == "number" and entry["name"] == "plan":
            entry["type"] = "number"
    content = json.dumps(manifest).encode()
    spoil(MODEL + "manifest.json", content[:-40] if how == "cut" else content)
    said = project.run(lists, expect=2)
    assert "manifest.json" in said and "train" in said and "Traceback" not in said
    assert contents(lists) == before


def test_a_model_of_other_features_is_refused(project: Scoring, lists: Path, spoil: Spoil) -> None:
    contract = json.loads((project.root / "artifacts" / "contract.json").read_text())
    del contract["tables"]["tickets"]
    spoil("contract.json", json.dumps(contract).encode())
    said = project.run(lists, expect=2)
    assert "the churn model reads" in said and "which the tables and windows of this run" in said


def rewritten(project: Scoring, spoil: Spoil, bucket: int, value: str) -> None:
    name = f"features/bucket={bucket:03d}.parquet"
    path = project.root / "artifacts" / name
    rows = pd.read_parquet(path).assign(plan=value)
    spoil(name, path.read_bytes())
    rows.to_parquet(path, index=False)


def test_a_category_never_seen_is_warned_of_and_noted(
    project: Scoring, lists: Path, spoil: Spoil
) -> None:
    rewritten(project, spoil, 1, "weekly")
    said = project.run(lists)
    assert (
        "8 of 24 customers have a plan that the model was not trained on, such as 'weekly'" in said
    )
    record = json.loads((lists / "run.json").read_text())
    assert record["never_seen_in_training"]["churn"] == {"plan": {"weekly": 8}}


def test_categories_that_are_all_unknown_are_refused(
    project: Scoring, lists: Path, spoil: Spoil
) -> None:
    before = contents(lists)
    for bucket in range(3):
        rewritten(project, spoil, bucket, "Monthly")
    said = project.run(lists, expect=2)
    assert "no customer's plan is one that the model was trained on" in said
    assert "'Monthly'" in said
    assert contents(lists) == before
