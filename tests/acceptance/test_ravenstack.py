"""Made-up data without any signal, from the files to the report: it says so, and claims nothing."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import Any

import pytest

from data import source
from reports.wording import Wording
from tests.acceptance.project import Project, copied

DATASET = "ravenstack_saas"
SMALL: dict[str, dict[str, Any]] = {
    "source": {"name": DATASET, "buckets": 2},
    "audit": {"customers": 60, "as_of_dates": 1},
    "train": {"test_origins": 2},
    "evaluate": {"resamples": 200},
    "explain": {
        "rows": 200,
        "resamples": 50,
        "dependence_features": 2,
        "refits": 2,
        "refit_rows": 100,
    },
    "effects": {"folds": 2},
}


@pytest.fixture(scope="module")
def saas(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The whole pipeline on the real files, run once."""
    root = source.root_of(source.load(DATASET)).parent
    project = copied(tmp_path_factory.mktemp(DATASET))
    project.set(SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETENTION_DATASETS", os.fspath(root))
        project.run("dvc", "repro", "report")
    return project


def text_of(page: Path) -> str:
    """What a reader sees of a page."""
    plain = re.sub(r"<(script|style)\b.*?</\1>", " ", page.read_text(encoding="utf-8"), flags=re.S)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", plain)))


def test_every_row_of_every_table_is_accounted_for(saas: Project) -> None:
    tables = saas.json("contract.json")["tables"]
    assert tables["tickets"]["read"] == 2000
    for name, table in tables.items():
        assert table["read"] == table["kept"] + table["quarantined"] + table["duplicates"], name


def test_no_metric_claims_skill(saas: Project) -> None:
    metrics = saas.json("evaluation/churn/metrics.json")
    assert metrics["positives"] >= 30  # enough to have seen a signal, had there been one
    auc = metrics["model"]["auc"]
    assert auc["low"] <= 0.5 <= auc["high"]
    assert not metrics["beats_best_baseline"]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_report_says_plainly_that_there_is_no_signal(saas: Project, language: str) -> None:
    words = Wording(language)
    page = text_of(saas.artifacts / f"reports/leadership.{language}.html")
    title = words.get("event.churn_contractual.title")
    assert words.get("finding.no_signal_head").format(title=title) in page
    assert words.get("finding.no_signal_lists") in page
    assert words.get("model.verdict_no_signal") in page
    assert words.get("finding.found_head").format(title=title) not in page
    rate = words.get("event.churn_contractual.rate")
    assert words.get("finding.no_signal_then").format(rate=rate) in page
