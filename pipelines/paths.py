"""Every path of the project, once. Relative to the project root, where everything runs."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARAMS = ROOT / "params.yaml"
ARTIFACTS = ROOT / "artifacts"

SOURCE = ARTIFACTS / "source.json"
TABLES = ARTIFACTS / "tables"
QUARANTINE = ARTIFACTS / "quarantine"
CONTRACT = ARTIFACTS / "contract.json"
TONE = ARTIFACTS / "tone"
TONE_SUMMARY = TONE / "summary.json"
FEATURES = ARTIFACTS / "features"
FEATURE_SUMMARY = FEATURES / "summary.json"
AUDIT = ARTIFACTS / "audit.json"
MODELS = ARTIFACTS / "models"
EVALUATION = ARTIFACTS / "evaluation"
EXPLANATION = ARTIFACTS / "explanation"
EFFECTS = ARTIFACTS / "effects"
KPIS = ARTIFACTS / "kpis"
SCORE = ARTIFACTS / "score"
OUTCOMES = ARTIFACTS / "outcomes"
MONITOR = ARTIFACTS / "monitor"
REPORTS = ARTIFACTS / "reports"
PDF = ARTIFACTS / "pdf"
"""Printed reports; no output of a stage."""

TRACKING_DATABASE = ROOT / "mlflow.db"
"""The default MLflow store; not a DVC output. MLFLOW_TRACKING_URI overrides it."""

PRODUCTION = "production"
"""Folder of the model that scores today, beside `origin-<date>` folders of the tested ones."""


def shown(path: Path) -> str:
    """A path as a person at the project root would type it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
