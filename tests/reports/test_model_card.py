"""The model card: the same figures in either language, and nothing hidden."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

from models.slices import COLUMNS
from reports.model_card import METRICS, model_card

TRUTH = {"value": 0.7654, "low": 0.7012, "high": 0.8123}
GAIN = {"log_loss": {"value": 0.0123, "low": 0.0101, "high": 0.0145}, "auc": TRUTH}


def metrics(**other: Any) -> dict[str, Any]:
    return {
        "model": dict.fromkeys(METRICS, TRUTH),
        "baselines": {"prior": {"auc": TRUTH, "log_loss": TRUTH}},
        "best_baseline": "prior",
        "beats_best_baseline": True,
        "gain_over_best_baseline": GAIN,
        "gain_of_support_features": GAIN,
        "gain_of_levers": None,
        "customer_disjoint": {"gain_of_having_seen_them": GAIN, "memorises_identity": False},
        "n": 8346,
        "positives": 472,
        "customers": 3620,
        "base_rate": 0.0566,
        "test_as_of": ["2025-01-01", "2025-03-01"],
    } | other


def slices() -> pd.DataFrame:
    row = dict.fromkeys(COLUMNS, 0.25) | {"dimension": "plan", "n": 700, "is_judged": True}
    return pd.DataFrame(
        [
            row | {"value": "annual", "flag": "level, missed"},
            row | {"value": "monthly", "flag": float("nan")},
            row | {"value": "trial", "is_judged": False, "flag": float("nan")},
        ]
    )


MANIFEST: dict[str, Any] = {
    "about": {
        "source": "acme",
        "train_as_of": ["2023-07-01", "2024-10-01"],
        "calibration_as_of": ["2025-02-01", "2025-03-01"],
        "features_sha256": "f" * 64,
    },
    "features": [{"name": "a"}, {"name": "b"}],
    "rows": {"fit": 42878, "calibration": 5568},
    "positives": {"fit": 2606, "calibration": 300},
    "sha256": {"model.txt": "a" * 64},
    "lightgbm": "4.7.0",
    "seed": 7,
}
LABELS = {"definition": "contractual", "gap_days": 7, "horizon_days": 90, "lag_days": 10}


def card(language: str, **other: Any) -> str:
    return model_card(
        "churn",
        language,
        metrics=metrics(**other),
        slices=slices(),
        manifest=MANIFEST,
        labels=LABELS,
    )


def test_both_languages_carry_the_same_figures() -> None:
    figures = [
        re.findall(r"\d+\.\d+|\d{1,3}(?:,\d{3})+", card(language)) for language in ["en", "ja"]
    ]
    assert sorted(figures[0]) == sorted(figures[1])
    assert "0.765 [0.701, 0.812]" in card("en") and "0.0123 [0.0101, 0.0145]" in card("ja")


@pytest.mark.parametrize("language", ["en", "ja"])
def test_it_names_the_model_the_data_and_the_flags(language: str) -> None:
    page = card(language)
    assert "a" * 64 in page and "f" * 64 in page and "model_sha256" in page
    assert "annual" in page and "trial" not in page
    assert "{" not in page and "nan" not in page.lower().split()


def test_a_model_that_loses_says_so_first() -> None:
    assert "NOT reliably better" in card("en", beats_best_baseline=False)
    assert "規則の方を使って" in card("ja", beats_best_baseline=False)


def test_a_source_without_support_tables_shows_a_dash_for_their_worth() -> None:
    assert "makes log loss smaller by –" in card("en", gain_of_support_features=None)


def test_groups_are_named_in_the_language_of_the_card() -> None:
    row = dict.fromkeys(COLUMNS, 0.25) | {"n": 700, "is_judged": True, "flag": float("nan")}
    table = pd.DataFrame(
        [
            row | {"dimension": "tenure", "value": "2 years or more"},
            row | {"dimension": "ticketed", "value": "yes"},
        ]
    )
    page = model_card(
        "churn", "ja", metrics=metrics(), slices=table, manifest=MANIFEST, labels=LABELS
    )
    assert "利用期間 | 2年以上" in page and "問い合わせの有無 | あり" in page
