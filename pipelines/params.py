"""params.yaml, typed, frozen and closed: a typo is an error that names the key."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from data.contracts import CHANNELS, TABLE
from data.errors import InputError
from features.labels import TASKS
from pipelines import paths

Language = Literal["en", "ja"]
OUTREACH_KINDS = TABLE["outreach"].column("kind").allowed or ()
Task = Literal["churn", "repeat_purchase"]
assert set(Task.__args__) == set(TASKS)  # type: ignore[attr-defined]


class ParamsError(InputError):
    """params.yaml cannot be used; the message names the key."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceParams(_Section):
    name: str
    buckets: int = Field(ge=1, le=999)
    first_as_of: date | None
    last_as_of: date | None


class WorldParams(_Section):
    customers: int = Field(ge=1)
    months: int = Field(ge=1)
    seed: int
    name: str


class ToneParams(_Section):
    backend: Literal["lexicon", "transformer"]
    model_dir: Path | None

    @model_validator(mode="after")
    def _has_a_model(self) -> ToneParams:
        if (self.backend == "transformer") != (self.model_dir is not None):
            raise ValueError("backend transformer needs a model_dir, and lexicon has none")
        return self


class FeatureParams(_Section):
    windows: tuple[int, ...]

    @field_validator("windows")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or sorted(set(value)) != list(value) or value[0] < 1:
            raise ValueError("give different whole days, shortest first, e.g. [30, 90, 180, 365]")
        return value


class LabelParams(_Section):
    gap_days: int = Field(ge=0)
    churn_horizon_days: int = Field(ge=1)
    repeat_purchase_horizon_days: int = Field(ge=1)
    # A grace period and an early cancellation are seven days long, and must be over.
    lag_days: int = Field(ge=7)
    inactivity_days: int | None = Field(ge=1)


class AuditParams(_Section):
    customers: int = Field(ge=60)
    as_of_dates: int = Field(ge=1)
    rows: int = Field(ge=100)
    max_feature_auc: float = Field(gt=0.5, le=1)
    max_missing_auc: float = Field(gt=0.5, le=1)
    max_one_sided_share: float = Field(gt=0.5, le=1)
    seed: int


class BoosterParams(_Section):
    rounds: int = Field(ge=1)
    learning_rate: float = Field(gt=0, le=1)
    num_leaves: int = Field(ge=2)
    max_depth: int = Field(ge=1, le=12)
    min_data_in_leaf: int = Field(ge=1)
    lambda_l2: float = Field(ge=0)
    feature_fraction: float = Field(gt=0, le=1)
    window_weight: float = Field(gt=0, le=1)


class TrainParams(_Section):
    test_origins: int = Field(ge=1)
    calibration_cutoffs: int = Field(ge=1)
    seed: int
    churn: BoosterParams
    repeat_purchase: BoosterParams


class EvaluateParams(_Section):
    resamples: int = Field(ge=100)
    seed: int


class CostParams(_Section):
    """What keeping a customer is worth and costs, in the source's currency (METHODS D, EMPC).

    The share of contacted leavers who accept the offer is Beta(accept_alpha, accept_beta).
    """

    customer_value: float = Field(gt=0)
    offer_cost: float = Field(ge=0)
    contact_cost: float = Field(ge=0)
    accept_alpha: float = Field(gt=0)
    accept_beta: float = Field(gt=0)


class ValueParams(_Section):
    churn: CostParams
    repeat_purchase: CostParams


class ExplainParams(_Section):
    rows: int = Field(ge=100)
    resamples: int = Field(ge=50)
    dependence_features: int = Field(ge=1)
    refits: int = Field(ge=2)
    refit_rows: int = Field(ge=100)
    seed: int


class EffectsParams(_Section):
    folds: int = Field(ge=2, le=20)
    repeats: int = Field(ge=1, le=20)
    seed: int = Field(ge=0)


class ScoreParams(_Section):
    capacity_share: float = Field(gt=0, le=1)
    reasons: int = Field(ge=1, le=5)
    xlsx_rows: int = Field(ge=1, le=1_048_575)
    languages: tuple[Language, ...] = Field(min_length=1)


class TeamParams(_Section):
    """Who makes contacts. None: all languages, all channels, or as score.capacity_share says."""

    name: str = Field(min_length=1)
    languages: tuple[str, ...] | None
    channels: tuple[str, ...] | None
    hours_per_week: float | None = Field(ge=0, le=100_000)
    minutes_per_contact: float | dict[str, float]

    @model_validator(mode="after")
    def _channels_are_known(self) -> TeamParams:
        times = self.minutes_per_contact
        named = [*(self.channels or ()), *(times if isinstance(times, dict) else ())]
        for channel in named:
            if channel not in CHANNELS:
                raise ValueError(f"{channel!r} is no channel; there are {', '.join(CHANNELS)}")
        minutes = list(times.values()) if isinstance(times, dict) else [times]
        if not minutes or not all(0 < each <= 10_000 for each in minutes):
            raise ValueError("minutes_per_contact must be above 0")
        return self


class PolicyParams(_Section):
    """Who is contacted and who is left alone (docs/policy.md)."""

    margin: float | None = Field(gt=0, le=1)
    taken_by_stayers: float = Field(ge=0, le=1)
    contact_kinds: tuple[str, ...]
    cooldown_days: float = Field(ge=0)
    held_out_days: float = Field(ge=0)
    holdout_share: float = Field(ge=0, le=0.5)
    min_tenure_days: float = Field(ge=0)
    max_stale_days: float = Field(ge=0)
    resamples: int = Field(ge=100)
    seed: int
    teams: tuple[TeamParams, ...] = Field(min_length=1, max_length=20)

    @model_validator(mode="after")
    def _names_are_known(self) -> PolicyParams:
        names = [team.name for team in self.teams]
        if len(set(names)) < len(names):
            raise ValueError("two teams have the same name; rename one")
        for kind in self.contact_kinds:
            if kind not in OUTREACH_KINDS:
                raise ValueError(f"{kind!r} is no kind of contact: {', '.join(OUTREACH_KINDS)}")
        return self


class MonitorParams(_Section):
    languages: tuple[Language, ...] = Field(min_length=1)
    pairs: int = Field(ge=3)
    rows: int = Field(ge=100)
    resamples: int = Field(ge=100)
    seed: int


class ReportParams(_Section):
    languages: tuple[Language, ...] = Field(min_length=1)


class Params(_Section):
    """All parameters of a run, one section per stage or package."""

    source: SourceParams
    world: WorldParams
    tone: ToneParams
    features: FeatureParams
    labels: LabelParams
    audit: AuditParams
    train: TrainParams
    evaluate: EvaluateParams
    value: ValueParams
    explain: ExplainParams
    effects: EffectsParams
    score: ScoreParams
    policy: PolicyParams
    monitor: MonitorParams
    report: ReportParams


def load(path: Path = paths.PARAMS) -> Params:
    """Read and check params.yaml. Raises ParamsError naming the key and what is wrong."""
    if not path.exists():
        raise ParamsError(f"{path} does not exist; run from the project root")
    try:
        return Params.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ParamsError(f"{path.name} is not valid YAML: {error}") from error
    except ValidationError as error:
        # A typo is both an unknown key and a missing one; the unknown one is what was typed.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        problem = "there is no such parameter" if unknown else first["msg"]
        raise ParamsError(f"{path.name}: {key}: {problem}") from error
