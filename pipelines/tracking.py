"""MLflow: the only file that imports it. It receives copies; DVC owns the files.

A run is found again by the hash of its model, so stages that come later add to the run of the
model they describe without any file having to carry a run id.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import InputError
from models.estimator import RetentionModel
from pipelines import paths, stage
from pipelines.params import Params

if TYPE_CHECKING:
    from types import ModuleType

CHALLENGER, CHAMPION = "challenger", "champion"
MODEL_TAG = "model_sha256"
MODEL_FOLDER, ORIGINS_FOLDER = "retention_model", "retention_origins"
HISTORY_TAG = "champions"
"""On a registered model: the versions that were champion and could be again, oldest first."""
KEPT_CHAMPIONS = 50


@dataclass(frozen=True)
class Registered:
    """One version in the registry. `sha256` is that of its model text."""

    name: str
    version: int
    run_id: str
    sha256: str


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
    tags = _tags(task, manifest)
    with mlflow.start_run(run_name=f"{task} {manifest['about']['test_as_of']}", tags=tags):
        mlflow.log_params(_flat(settings.model_dump(mode="json")))
        mlflow.log_metrics(
            {f"rows_{name}": float(count) for name, count in manifest["rows"].items()}
            | {f"positives_{name}": float(count) for name, count in manifest["positives"].items()}
        )
        mlflow.log_artifacts(str(folder), MODEL_FOLDER)
        # The gate asks what this run's models would have said on the dates they were tested on.
        for origin in sorted(folder.parent.glob("origin-*")):
            mlflow.log_artifacts(str(origin), f"{ORIGINS_FOLDER}/{origin.name}")
        names = list(model.features)
        version = flavour.log_model(
            model.folded_booster(),
            name="model",
            registered_model_name=registered_name(settings.source.name, task),
            signature=_signature(names),
            pip_requirements=[f"lightgbm=={manifest['lightgbm']}"],
        ).registered_model_version
    name, client = registered_name(settings.source.name, task), mlflow.MlflowClient()
    client.set_model_version_tag(name, str(version), MODEL_TAG, tags[MODEL_TAG])
    client.set_registered_model_alias(name, CHALLENGER, version)


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


def registered(source: str, task: str, alias: str) -> Registered | None:
    """The version with this alias; None when there is no such model or alias.

    Any other failure to answer is an error of MLflow's: not knowing is not "none".
    """
    mlflow = _mlflow()
    from mlflow.exceptions import MlflowException

    name, client = registered_name(source, task), mlflow.MlflowClient()
    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    if alias not in aliases:
        return None
    found = client.get_model_version(name, str(aliases[alias]))
    return Registered(name, int(found.version), found.run_id, found.tags.get(MODEL_TAG, ""))


def registered_version(source: str, task: str, version: int) -> Registered:
    """A version by its number. Raises MLflow's own error when it was deleted."""
    name = registered_name(source, task)
    found = _mlflow().MlflowClient().get_model_version(name, str(version))
    return Registered(name, int(found.version), found.run_id, found.tags.get(MODEL_TAG, ""))


def fetch(chosen: Registered, folder: Path) -> None:
    """Copy the models of a version's run into `folder`, laid out as in artifacts/models/<task>.

    Raises InputError when the run does not hold the model that the registry names.
    """
    mlflow = _mlflow()
    held = {item.path for item in mlflow.artifacts.list_artifacts(run_id=chosen.run_id)}
    if MODEL_FOLDER not in held:
        raise InputError(
            f"the MLflow run of {chosen.name} version {chosen.version} holds no {MODEL_FOLDER}; "
            "restore its artifacts or train the model again"
        )
    wanted = [MODEL_FOLDER, ORIGINS_FOLDER] if ORIGINS_FOLDER in held else [MODEL_FOLDER]
    for path in wanted:
        mlflow.artifacts.download_artifacts(
            run_id=chosen.run_id, artifact_path=path, dst_path=str(folder)
        )
    (folder / MODEL_FOLDER).rename(folder / paths.PRODUCTION)
    if ORIGINS_FOLDER in wanted:
        for origin in (folder / ORIGINS_FOLDER).iterdir():
            origin.rename(folder / origin.name)
    sha = stage.read_json(folder / paths.PRODUCTION / "manifest.json")["sha256"]["model.txt"]
    if sha != chosen.sha256:
        raise InputError(
            f"the files of {chosen.name} version {chosen.version} are not the registered model's; "
            "restore the artifacts of its MLflow run or train the model again"
        )


def champions(source: str, task: str) -> tuple[int, ...]:
    """The versions that have been champion and can be restored, oldest first."""
    client = _mlflow().MlflowClient()
    text = client.get_registered_model(registered_name(source, task)).tags.get(HISTORY_TAG, "")
    return tuple(int(version) for version in text.split(",") if version)


def tag_version(chosen: Registered, tags: Mapping[str, str]) -> None:
    """Note something on a registered version."""
    client = _mlflow().MlflowClient()
    for key, text in tags.items():
        client.set_model_version_tag(chosen.name, str(chosen.version), key, text)


def make_champion(chosen: Registered, history: Sequence[int]) -> None:
    """Point the alias "champion" to a version; `history` is what `champions` says from now on."""
    client = _mlflow().MlflowClient()
    kept = ",".join(str(version) for version in history[-KEPT_CHAMPIONS:])
    # The alias is what counts, so it moves last: an interruption leaves the old champion.
    client.set_registered_model_tag(chosen.name, HISTORY_TAG, kept)
    client.set_registered_model_alias(chosen.name, CHAMPION, str(chosen.version))


@contextmanager
def tuning_run(task: str, settings: Params, about: Mapping[str, str]) -> Iterator[TuningLog]:
    """A run for a search, of which every trial becomes a child run."""
    mlflow = _mlflow()
    experiment = mlflow.set_experiment(f"retention/{settings.source.name}").experiment_id
    with mlflow.start_run(run_name=f"tune {task}", tags={"task": task, **about}) as run:
        yield TuningLog(mlflow.MlflowClient(), experiment, run.info.run_id)


class TuningLog:
    """Writes trials under one run."""

    def __init__(self, client: Any, experiment: str, parent: str) -> None:
        self._client, self._experiment, self._parent = client, experiment, parent

    def trial(
        self,
        number: int,
        settings: Mapping[str, float],
        losses: Mapping[str, float],
        *,
        pruned: bool,
    ) -> None:
        """One child run: the settings as parameters, the losses as metrics."""
        tags = {"mlflow.parentRunId": self._parent, "pruned": str(pruned).lower()}
        run = self._client.create_run(
            self._experiment, run_name=f"trial {number}", tags=tags
        ).info.run_id
        for key, figure in settings.items():
            self._client.log_param(run, key, figure)
        for key, loss in losses.items():
            self._client.log_metric(run, key, loss)
        self._client.set_terminated(run)

    def best(self, settings: Mapping[str, float], loss: float) -> None:
        """Note the chosen settings on the search itself."""
        for key, figure in settings.items():
            self._client.log_param(self._parent, f"best.{key}", figure)
        self._client.log_metric(self._parent, "log_loss", loss)


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
