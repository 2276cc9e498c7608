"""MLflow: the only file that imports it. It receives copies; DVC owns the files.

A run is found again by the hash of its model, so stages that come later add to the run of the
model they describe without any file having to carry a run id.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.estimator import RetentionModel
from pipelines import paths, stage
from pipelines.params import Params

if TYPE_CHECKING:
    from types import ModuleType

CHALLENGER = "challenger"
MODEL_TAG = "model_sha256"


def registered_name(source: str, task: str) -> str:
    """Name of a task's model in the registry."""
    return f"retention-{source}-{task}".replace("_", "-")


def log_training(task: str, folder: Path, settings: Params) -> None:
    """Start a run with the parameters, hashes and files of the model in `folder`; register it.

    The registered model is the LightGBM booster with its calibration folded in: its own
    `predict` on the encoded features gives the calibrated probability. The new version gets the
    alias "challenger".
    """
    mlflow = _mlflow()
    import mlflow.lightgbm as flavour

    manifest = stage.read_json(folder / "manifest.json")
    model = RetentionModel.load(folder)
    mlflow.set_experiment(f"retention/{settings.source.name}")
    with mlflow.start_run(
        run_name=f"{task} {manifest['about']['test_as_of']}", tags=_tags(task, manifest)
    ):
        mlflow.log_params(_flat(settings.model_dump(mode="json")))
        mlflow.log_metrics(
            {f"rows_{name}": float(count) for name, count in manifest["rows"].items()}
            | {f"positives_{name}": float(count) for name, count in manifest["positives"].items()}
        )
        mlflow.log_artifacts(str(folder), "retention_model")
        names = list(model.features)
        version = flavour.log_model(
            model.folded_booster(),
            name="model",
            registered_model_name=registered_name(settings.source.name, task),
            signature=_signature(names),
            pip_requirements=[f"lightgbm=={manifest['lightgbm']}"],
        ).registered_model_version
    mlflow.MlflowClient().set_registered_model_alias(
        registered_name(settings.source.name, task), CHALLENGER, version
    )


def log_results(
    task: str,
    model_folder: Path,
    settings: Params,
    folder: Path,
    name: str,
    *,
    metrics: Mapping[str, float] | None = None,
    curves: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Add the files of `folder` under `name`, and metrics, to the run of the model.

    A curve is a metric with one value per step 1, 2, ..., which MLflow draws.
    """
    mlflow = _mlflow()
    sha = stage.read_json(model_folder / "manifest.json")["sha256"]["model.txt"]
    experiment = mlflow.set_experiment(f"retention/{settings.source.name}")
    found = mlflow.MlflowClient().search_runs(
        [experiment.experiment_id],
        filter_string=f"tags.{MODEL_TAG} = '{sha}' and tags.task = '{task}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    run = found[0].info.run_id if found else None
    with mlflow.start_run(run_id=run, tags=None if run else {MODEL_TAG: sha, "task": task}):
        mlflow.log_metrics(dict(metrics or {}))
        for curve, values in (curves or {}).items():
            for step, value in enumerate(values, start=1):
                mlflow.log_metric(curve, float(value), step=step, synchronous=False)
        mlflow.flush_async_logging()
        mlflow.log_artifacts(str(folder), name)


def _mlflow() -> ModuleType:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{paths.TRACKING_DATABASE}")
    # MLflow asks git through a library that warns when there is none; `_tags` asks git itself.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow

    return mlflow


def _signature(names: list[str]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    return ModelSignature(
        inputs=Schema([ColSpec(DataType.float, name) for name in names]),
        outputs=Schema([ColSpec(DataType.double)]),
    )


def _tags(task: str, manifest: Mapping[str, Any]) -> dict[str, str]:
    lock = paths.ROOT / "dvc.lock"
    return {
        "task": task,
        "source": manifest["about"]["source"],
        MODEL_TAG: manifest["sha256"]["model.txt"],
        "data_sha256": manifest["about"]["features_sha256"],
        "dvc_lock_sha256": stage.file_digest(lock) if lock.exists() else "none",
        "git_sha": _git("rev-parse", "HEAD") or "none",
        "git_dirty": str(bool(_git("status", "--porcelain", "--untracked-files=no"))).lower(),
    }


def _git(*arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=paths.ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            out |= _flat(item, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = item
    return out
