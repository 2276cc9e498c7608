"""The whole pipeline on a small embedded world, run by DVC in a project of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow.dataset as ds
import pytest

from models.estimator import RetentionModel
from tests.acceptance.project import SMALL, Project, copied

TASKS = ("churn", "repeat_purchase")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small world, reproduced once for all tests of this file."""
    project = copied(tmp_path_factory.mktemp("project"))
    project.set(SMALL)
    project.run("dvc", "repro")
    return project


def test_every_row_read_is_accounted_for(project: Project) -> None:
    tables = project.json("contract.json")["tables"]
    assert len(tables) == 18
    for name, table in tables.items():
        assert table["read"] == table["kept"] + table["quarantined"] + table["duplicates"], name
        kept = ds.dataset(project.artifacts / "tables" / name, format="parquet").count_rows()
        assert kept == table["kept"]
    assert sum(table["quarantined"] for table in tables.values()) > 0


def test_every_family_has_features_in_the_table(project: Project) -> None:
    from features.catalog import FAMILIES, features

    columns = set(project.feature_rows().columns)
    present = project.json("contract.json")["tables"]
    for family in FAMILIES:
        names = [f.name for f in features((30, 90, 180, 365), present) if f.family == family]
        assert names and set(names) <= columns, family


def test_immature_labels_are_missing_and_counted(project: Project) -> None:
    rows = project.feature_rows()
    summary = project.json("features/summary.json")
    for task in TASKS:
        immature = rows[rows[f"{task}_status"] == "immature"]
        assert len(immature) > 0 and immature[task].isna().all()
        counted = sum(entry["immature"] for entry in summary["tasks"][task]["by_as_of"])
        assert counted == len(immature)


@pytest.mark.parametrize("task", TASKS)
def test_out_of_time_skill_is_real_and_not_too_good(project: Project, task: str) -> None:
    metrics = project.json(f"evaluation/{task}/metrics.json")
    assert metrics["positives"] >= 30
    # Nobody can know more than the process tells: its class-knowing bound for churn is about .8.
    assert 0.55 < metrics["model"]["auc"]["value"] < 0.9
    rivals = {"prior", "recency", "rfm_logistic"}
    if task == "repeat_purchase":
        rivals.add("bg_nbd")
    assert set(metrics["baselines"]) == rivals


@pytest.mark.parametrize("task", TASKS)
def test_training_ends_before_testing_begins(project: Project, task: str) -> None:
    info = project.json("features/summary.json")["tasks"][task]
    span = pd.Timedelta(days=info["gap_days"] + info["horizon_days"] + info["lag_days"])
    for folder in (project.artifacts / "models" / task).iterdir():
        about = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["about"]
        train, calibration = (max(about[f"{k}_as_of"]) for k in ("train", "calibration"))
        first = min(about["calibration_as_of"])
        assert pd.Timestamp(train) + span <= pd.Timestamp(first)
        assert pd.Timestamp(calibration) + span <= pd.Timestamp(about["test_as_of"])


@pytest.mark.parametrize("task", TASKS)
def test_the_list_says_what_the_model_says(project: Project, task: str) -> None:
    listed = pd.read_parquet(project.artifacts / "score" / task / "list.parquet")
    rows = project.feature_rows()
    rows = rows[rows["as_of"] == rows["as_of"].max()].set_index("customer_id")
    model = RetentionModel.load(project.artifacts / "models" / task / "production")
    predicted = model.predict(rows.loc[listed["customer_id"]])
    # Where the model keeps silent the list has the segment's base rate, and no reasons.
    judged = ~listed["is_silent"].to_numpy()
    assert judged.mean() > 0.9
    np.testing.assert_allclose(listed["probability"][judged], predicted[judged], rtol=0, atol=1e-12)
    assert (listed["reasons"][~judged].str.len() == 0).all()
    assert listed["risk"].is_monotonic_decreasing
    assert list(listed["rank"]) == list(range(1, len(listed) + 1))
    assert set(listed["tier"]) <= {"high", "medium", "low"}
    assert (listed["tier"] == "high").sum() <= 0.1 * len(listed)
    harmful = 1 if task == "churn" else -1
    signs = {np.sign(r["contribution"]) for reasons in listed["reasons"] for r in reasons}
    assert signs == {harmful}


@pytest.mark.parametrize("task", TASKS)
def test_the_registered_model_predicts_the_list(project: Project, task: str) -> None:
    code = f"""
import mlflow, mlflow.lightgbm, numpy as np, pandas as pd, pyarrow.dataset as ds
from pathlib import Path
from models.estimator import RetentionModel
booster = mlflow.lightgbm.load_model("models:/retention-world-{task.replace("_", "-")}@challenger")
files = sorted(str(p) for p in Path("artifacts/features").glob("*.parquet"))
rows = ds.dataset(files).to_table().to_pandas()
rows = rows[rows["as_of"] == rows["as_of"].max()].set_index("customer_id")
listed = pd.read_parquet("artifacts/score/{task}/list.parquet").query("not is_silent")
encoder = RetentionModel.load(Path("artifacts/models/{task}/production")).encoder
p = booster.predict(encoder.transform(rows.loc[listed["customer_id"]]))
print("largest difference", np.abs(p - listed["probability"]).max())
assert np.abs(p - listed["probability"]).max() < 1e-9
run = mlflow.search_runs(search_all_experiments=True, filter_string="tags.task = '{task}'").iloc[0]
assert run["metrics.auc"] > 0.5 and run["params.world.customers"] == "1500"
assert run["tags.data_sha256"] and run["tags.git_sha"] and run["tags.model_sha256"]
found = set()
def walk(path):
    for item in mlflow.artifacts.list_artifacts(run_id=run["run_id"], artifact_path=path):
        found.add(item.path)
        if item.is_dir: walk(item.path)
walk(None)
wanted = {{"retention_model/model.txt", "retention_model/calibrator.json",
    "retention_model/manifest.json", "evaluation/metrics.json", "evaluation/reliability.csv",
    "explanation/families.csv", "explanation/dependence.csv", "report/leadership.ja.html"}}
assert wanted <= found, wanted - found
curve = mlflow.MlflowClient().get_metric_history(run["run_id"], "gains_by_percent_contacted")
assert [point.step for point in curve] == list(range(1, 101)) and curve[-1].value == 1.0
"""
    assert "largest difference" in project.run(sys.executable, "-c", code)


@pytest.mark.parametrize("task", TASKS)
def test_lists_open_in_a_spreadsheet_in_both_languages(project: Project, task: str) -> None:
    folder = project.artifacts / "score" / task
    for language in ("en", "ja"):
        raw = (folder / f"list.{language}.csv").read_bytes()
        assert raw.startswith(b"\xef\xbb\xbf")
        book = openpyxl.load_workbook(folder / f"list.{language}.xlsx")
        assert book.worksheets[0].max_row == len(pd.read_parquet(folder / "list.parquet")) + 1
        assert book.worksheets[0].freeze_panes


def test_shap_values_add_up_to_the_score(project: Project) -> None:
    for task in TASKS:
        assert project.json(f"explanation/{task}/summary.json")["additivity_max_error"] < 1e-9
        families = pd.read_csv(project.artifacts / "explanation" / task / "families.csv")
        assert families["share"].sum() == pytest.approx(1)
        assert families["lever"].any() and not families["lever"].all()


def test_reports_are_self_contained_pages_with_the_same_facts(project: Project) -> None:
    for language in ("en", "ja"):
        page = (project.artifacts / "reports" / f"leadership.{language}.html").read_text("utf-8")
        assert f'lang="{language}"' in page
        for fetched in ("<script src", "@import", 'src="http', 'href="http', "<link", "fetch("):
            assert fetched not in page, fetched
        assert len(page.encode()) < 3_000_000


def test_a_second_run_does_nothing(project: Project) -> None:
    again = project.run("dvc", "repro")
    ran = [line for line in again.splitlines() if line.startswith("Running stage")]
    assert ran == ["Running stage 'source':"]  # it looks whether the data changed


def test_the_same_inputs_give_the_same_bytes(project: Project, tmp_path: Path) -> None:
    """In one process instead of DVC's many, with one worker instead of one per core."""
    other = copied(tmp_path)
    other.set(SMALL)
    stages = "source.main(); ingest.main(); tone.main(); featurize.main(); audit.main()"
    for stage in ("train", "evaluate", "explain"):
        stages += "".join(f"; {stage}.main({task!r})" for task in TASKS)
    stages += "; effects.main(); kpis.main(); score.main(); report.main()"
    names = "source, ingest, tone, featurize, audit, train, evaluate, explain, effects, kpis"
    code = f"from pipelines import {names}, score, report\nif __name__ == '__main__':\n    {stages}"
    script = other.root / "all_stages.py"
    script.write_text(f"{code}\n", encoding="utf-8")
    other.run("env", "RETENTION_WORKERS=1", "PYTHONPATH=.", sys.executable, script.name)

    def contents(folder: Path) -> dict[str, bytes]:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    first, second = contents(project.artifacts), contents(other.artifacts)
    assert list(first) == list(second) and len(first) > 100
    assert [name for name in first if first[name] != second[name]] == []


def test_any_date_can_be_scored_without_touching_the_last_list(
    project: Project, tmp_path: Path
) -> None:
    before = (project.artifacts / "score" / "churn" / "list.parquet").read_bytes()
    arguments = ("score", "--out", str(tmp_path / "list"), "--language", "ja")
    project.retention(*arguments, "--as-of", "2025-06-15")
    listed = pd.read_parquet(tmp_path / "list" / "churn" / "list.parquet")
    assert set(listed["as_of"].astype(str)) == {"2025-06-15"}
    assert not (tmp_path / "list" / "churn" / "list.en.csv").exists()
    assert (project.artifacts / "score" / "churn" / "list.parquet").read_bytes() == before


def test_a_date_outside_the_data_is_refused_with_the_range(project: Project) -> None:
    answer = project.retention("score", "--as-of", "2031-01-01", expect=2)
    assert "choose a date between 2023-07-01 and 2025-07-01" in answer
    assert "Traceback" not in answer


def test_a_typo_in_params_is_an_error_that_names_the_key(project: Project) -> None:
    path = project.root / "params.yaml"
    good = path.read_text("utf-8")
    path.write_text(good.replace("resamples: 100", "resample: 100"), "utf-8")
    try:
        answer = project.retention("evaluate", "churn", expect=2)
    finally:
        path.write_text(good, "utf-8")
    assert "evaluate.resample" in answer and "Traceback" not in answer


def test_an_altered_model_is_refused_and_the_list_stays(project: Project) -> None:
    model = project.artifacts / "models" / "churn" / "production" / "model.txt"
    listed = project.artifacts / "score" / "churn" / "list.parquet"
    good, before = model.read_bytes(), listed.read_bytes()
    model.chmod(0o644)
    model.write_bytes(good.replace(b"leaf_value=", b"leaf_value=9", 1))
    try:
        answer = project.retention("score", expect=2)
    finally:
        model.write_bytes(good)
    assert "model.txt" in answer and "Traceback" not in answer
    assert listed.read_bytes() == before


def test_an_unknown_source_names_the_known_ones(project: Project) -> None:
    path = project.root / "params.yaml"
    good = path.read_text("utf-8")
    path.write_text(good.replace("name: world", "name: wrold"), "utf-8")
    try:
        answer = project.retention("ingest", expect=2)
    finally:
        path.write_text(good, "utf-8")
    assert "wrold" in answer and "online_retail" in answer


def test_one_customer_is_explained_as_the_list_says(project: Project) -> None:
    """Features computed for one customer alone give the list's probability and first reason."""
    listed = pd.read_parquet(project.artifacts / "score" / "churn" / "list.parquet")
    judged = listed[(listed["action_reason"] != "unfamiliar") & (listed["reasons"].str.len() > 0)]
    customer = judged.iloc[0]
    text = project.retention("explain", customer["customer_id"])
    assert f"Risk of leaving: {100 * customer['probability']:.1f}%" in text
    assert "What the company knew" in text
    page = project.root / "customer.html"
    project.retention("explain", customer["customer_id"], "--language", "ja", "--html", str(page))
    assert f"解約リスク：{100 * customer['probability']:.1f}%" in page.read_text(encoding="utf-8")
    said = project.retention("explain", "nobody", expect=2)
    assert "there is no customer 'nobody'" in said
    said = project.retention("explain", customer["customer_id"], "--as-of", "1999-01-01", expect=2)
    assert "outside the data" in said
