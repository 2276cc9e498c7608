"""What a support lever does to churn: levers, estimates, checks and evidence grades (METHODS F).

Double machine learning on one row per ticket (`features.episodes`), in the order in which support
happens: intake, personal, first response, resolution at first contact, escalation, time to
resolution, follow-up. A lever is adjusted for everything before it and nothing after it. Effects
are risk differences of churn per ticket; a positive one means that more customers leave.

Estimates, standard errors (clustered by customer) and sensitivity bounds are DoubleML's; the
nuisance predictions are handed over (`models.nuisance`). Grades: A randomised, B estimated effect
(all checks pass), C associated with, D cannot tell. The robustness value never gates: with a hidden
confounder it may rise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from doubleml import DoubleMLData, DoubleMLIRM
from doubleml.utils import DMLDummyClassifier, DMLDummyRegressor, PSProcessorConfig
from doubleml.utils.gain_statistics import gain_statistics
from scipy.stats import norm

from features.episodes import INTAKE, PRIOR
from models import nuisance
from models.nuisance import Design

Grade = Literal["A", "B", "C", "D"]
Estimand = Literal["ATE", "ATTE"]

CLIP = 0.01
INSIDE = (0.05, 0.95)
"""Chances of exposure outside are thin overlap."""

RARE = 0.10
THIN = 0.05
"""ATTE if fewer than RARE are exposed or more than THIN of the chances lie outside INSIDE."""

MIN_ESS, MAX_SMD = 0.30, 0.10
ALPHA = 0.05
FIRED = 0.01
"""A control that should show nothing and does, below this p-value, speaks against the estimate."""

PLACEBOS = 9
MIN_ROWS, MIN_ARM, MIN_EVENTS = 500, 60, 40
POWER = norm.ppf(1 - ALPHA / 2) + norm.ppf(0.8)


@dataclass(frozen=True)
class Lever:
    """One exposure: what is compared, among which tickets, from when, and adjusted for what.

    `exposure` gives 1, 0 or NaN per ticket; `among` which tickets could have gone either way.
    `upstream` are steps before the lever, `left_out` intake that is the lever itself. `needs` are
    columns without which what decides the exposure is not seen. `is_selected` marks levers that
    customers choose for reasons nobody records: graded C at best. `trial` is the name with which
    a randomised trial of the lever begins.
    """

    key: str
    clock: Literal["created", "landmark", "answered"]
    exposure: Callable[[pd.DataFrame], pd.Series]
    en: str
    ja: str
    en_contrast: str
    ja_contrast: str
    reads: tuple[str, ...]
    upstream: tuple[str, ...] = ()
    among: Callable[[pd.DataFrame], pd.Series] | None = None
    population: str = "all"
    needs: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    weigh: tuple[str, ...] = ()
    is_selected: bool = False
    trial: str = ""


def _at_most(column: str, limit: float) -> Callable[[pd.DataFrame], pd.Series]:
    """1 if the duration is at most `limit`; what never ended is longer."""
    return lambda frame: (frame[column] <= limit).astype(float)


def _flag(column: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda frame: frame[column]


def _other_language(frame: pd.DataFrame) -> pd.Series:
    known = frame["language"].dropna()
    return frame["language"].notna() & (
        frame["language"] != (known.mode().min() if len(known) else "")
    )


AT_REPLY = ("personal", "language_match", "first_response_hours")

LEVERS: tuple[Lever, ...] = (
    Lever(
        "personal", "created", _flag("personal"),
        "Personal handling", "個別対応",
        "history read before the first reply, against not read",
        "初回応答前に履歴を確認した場合と、しなかった場合の比較",
        ("personal",),
    ),
    Lever(
        "first_response_1h", "created", _at_most("first_response_hours", 1.0),
        "First reply within 1 hour", "1時間以内の初回応答",
        "first human reply within 1 hour, against later",
        "担当者の初回応答が1時間以内の場合と、それより遅い場合の比較",
        ("first_response_hours",), ("personal",), needs=("severity",),
    ),
    Lever(
        "first_response_15min", "created", _at_most("first_response_hours", 0.25),
        "First reply within 15 minutes", "15分以内の初回応答",
        "first human reply within 15 minutes, against later",
        "担当者の初回応答が15分以内の場合と、それより遅い場合の比較",
        ("first_response_hours",), ("personal",), needs=("severity",),
    ),
    Lever(
        "fcr", "created", _flag("fcr"),
        "Resolved at first contact", "一次解決",
        "resolved at first contact, against not",
        "最初の対応で解決した場合と、しなかった場合の比較",
        ("fcr",), AT_REPLY, needs=("severity",),
    ),
    Lever(
        "escalated", "created", _flag("escalated"),
        "Escalation", "エスカレーション",
        "escalated, against not",
        "エスカレーションした場合と、しなかった場合の比較",
        ("escalated",), (*AT_REPLY, "fcr"), needs=("severity",),
    ),
    Lever(
        "repeat_info", "created", _flag("repeat_info"),
        "Information asked twice", "同じ情報の再確認",
        "the customer had to repeat what was said, against not",
        "お客様が同じ説明を繰り返す必要があった場合と、なかった場合の比較",
        ("repeat_info",), ("language_match", "first_response_hours"),
        among=lambda frame: (frame["escalated"] == 1) & (frame["fcr"] == 0)
        & (frame["personal"] == 0),
        population="escalated, not resolved at first contact, history not read",
    ),
    Lever(
        "resolution_24h", "landmark", _at_most("resolution_hours", 24.0),
        "Resolved within 24 hours", "24時間以内の解決",
        "resolved within 24 hours, against later",
        "24時間以内に解決した場合と、それより遅い場合の比較",
        ("resolution_hours",), (*AT_REPLY, "fcr", "escalated"),
        among=lambda frame: frame["first_response_hours"] < 23,
        population="answered within 23 h, resolved within 14 days, still customers 10 days later",
        needs=("severity",),
    ),
    Lever(
        "follow_up", "landmark", _flag("follow_up"),
        "Follow-up after a week", "1週間後のフォローアップ",
        "followed up a week after the resolution, against not",
        "解決の1週間後にフォローアップした場合と、しなかった場合の比較",
        ("follow_up", "resolution_hours"), (*AT_REPLY, "fcr", "escalated", "resolution_hours"),
        population="resolved within 14 days, still customers 10 days later",
        needs=("severity",), trial="follow_up",
    ),
    Lever(
        "language_match", "created", _flag("language_match"),
        "Reply in the customer's language", "お客様の言語での応対",
        "answered in the customer's language, against another",
        "お客様の言語で応答した場合と、別の言語で応答した場合の比較",
        ("language_match",), among=_other_language,
        population="tickets in other languages than the most common one",
    ),
    Lever(
        "office_hours", "created", _flag("office_hours"),
        "Opened while support is open", "営業時間内の受付",
        "opened in business hours, against outside",
        "営業時間内に受け付けた場合と、時間外の場合の比較",
        ("office_hours",), left_out=("hour", "weekday", "office_hours"),
    ),
    Lever(
        "bot_trap", "created", _flag("bot_trap"),
        "Stuck with the bot", "ボットでの行き詰まり",
        "could not get past the bot, against could",
        "ボットから先に進めなかった場合と、進めた場合の比較",
        ("bot_trap",),
        among=lambda frame: (frame["bot_first"] == 1) & ~(frame["severity"] < 2),
        population="met by a bot with a problem of medium or high severity",
        needs=("severity",),
    ),
    Lever(
        "empathy", "created",
        lambda frame: (frame["empathy_score"] >= frame["empathy_score"].median())
        .astype(float).where(frame["empathy_score"].notna()),
        "Empathy", "共感",
        "quality review of empathy at or above the median, against below",
        "品質評価の共感スコアが中央値以上の場合と、未満の場合の比較",
        ("empathy_score",), population="tickets with a quality review, weighted to all",
        weigh=("severity", "escalated", "fcr", "channel", "topic"),
    ),
    Lever(
        "feedback_acted_on", "answered", _flag("feedback_acted_on"),
        "Feedback acted on", "ご意見の反映",
        "feedback acted on and the customer told, against declined",
        "ご意見を反映してお知らせした場合と、見送った場合の比較",
        ("feedback_acted_on",), ("fcr", "escalated", "resolution_hours"),
        population="tickets followed by feedback that was answered",
    ),
    Lever(
        "loyalty", "created", _flag("loyalty_enrolled"),
        "Loyalty programme", "ロイヤルティプログラム",
        "member when the ticket was opened, against not",
        "受付時点で会員の場合と、会員でない場合の比較",
        ("loyalty_enrolled",), left_out=("loyalty_enrolled",), is_selected=True,
    ),
    Lever(
        "self_service", "created",
        lambda frame: (frame["self_service_count_30d"] > 0)
        .astype(float).where(frame["self_service_count_30d"].notna()),
        "Self-service", "セルフサービス",
        "used self-service in the 30 days before the ticket, against not",
        "受付前30日間にセルフサービスを利用した場合と、しなかった場合の比較",
        ("self_service_count_30d",), left_out=("self_service_count_30d",), is_selected=True,
    ),
)  # fmt: skip
LEVER = {lever.key: lever for lever in LEVERS}

REASONS: dict[str, tuple[str, str]] = {
    "no_data": ("the source does not record it", "データに記録がありません"),
    "too_few": ("too few tickets, exposures or departures", "件数が不足しています"),
    "no_overlap": (
        "hardly any ticket could have gone either way",
        "どちらの対応もあり得たお問い合わせがほとんどありません",
    ),
    "not_significant": (
        "chance alone could explain the difference",
        "差が偶然で説明できる範囲です",
    ),
    "unbalanced": (
        "the groups still differ after weighting",
        "重み付け後も両群に差が残っています",
    ),
    "negative_control": (
        "errors logged before the ticket differ, too: a confounder is hidden",
        "受付前のエラー記録にも差があり、未観測の交絡が疑われます",
    ),
    "placebo": ("a random exposure shows an effect", "無作為な割り当てにも差が出ています"),
    "sensitivity": (
        "a confounder as strong as the strongest recorded one could explain it",
        "記録済みの最も強い交絡と同程度の未観測要因で説明できます",
    ),
    "missing_confounder": (
        "the severity at intake, which decides the handling, is not recorded",
        "対応を左右する受付時の重要度が記録されていません",
    ),
    "self_selected": (
        "customers choose it themselves; only an experiment could tell",
        "お客様自身の選択であり、実験でのみ検証できます",
    ),
    "trial_disagrees": (
        "the randomised trial says something else",
        "無作為化試験の結果と一致しません",
    ),
    "trial": ("randomised trial", "無作為化試験"),
}
"""What a reason code in the table means, in English and Japanese."""


@dataclass(frozen=True)
class Sample:
    """The tickets of one lever as arrays, in the order of the table."""

    lever: Lever
    frame: pd.DataFrame
    y: np.ndarray
    d: np.ndarray
    cluster: np.ndarray
    weight: np.ndarray
    randomised: np.ndarray  # the chance of exposure in a trial, NaN outside one
    x: Design
    covariates: tuple[str, ...]
    benchmark: str | None


@dataclass(frozen=True)
class Contrast:
    """An estimate with its standard error."""

    theta: float
    se: float
    rows: int = 0

    @property
    def interval(self) -> tuple[float, float]:
        half = float(norm.ppf(1 - ALPHA / 2)) * self.se
        return self.theta - half, self.theta + half

    @property
    def p(self) -> float:
        return float(2 * norm.sf(abs(self.theta) / self.se)) if self.se > 0 else 1.0


@dataclass(frozen=True)
class Estimate:
    """What was found about one lever; `grade` and `reasons` follow from `graded`."""

    key: str
    estimand: Estimand
    effect: Contrast
    tickets: int
    customers: int
    treated_share: float
    naive: float
    ess_share: float
    overlap_share: float
    smd_max: float
    smd_worst: str
    negative_control: Contrast | None
    placebo: Contrast
    rv: float
    benchmark: str | None
    cf_y: float
    cf_d: float
    bound: tuple[float, float]
    bound_twice: tuple[float, float]
    trial: Contrast | None
    trial_difference: Contrast | None
    halves: tuple[float, float]
    overlap: dict[str, list[float]]
    adjusted_for: tuple[str, ...]
    missing: tuple[str, ...]
    strata: list[dict[str, Any]] = field(default_factory=list)
    tickets_last_year: int = 0
    hours: list[float] | None = None
    p_holm: float = 1.0
    grade: Grade = "D"
    reasons: tuple[str, ...] = ()

    @property
    def lever(self) -> Lever:
        """What was estimated."""
        return LEVER[self.key]

    @property
    def shown(self) -> Contrast:
        """The contrast that the grade is about: a trial's own where there is one."""
        return self.trial if self.grade == "A" and self.trial is not None else self.effect

    @property
    def mde(self) -> float:
        """The smallest effect that would have been found with 80 % power."""
        return float(POWER * self.effect.se)


def covariates_of(frame: pd.DataFrame) -> tuple[str, ...]:
    """Intake and prior experience that vary in this source, in the declared order."""
    names = [name for name in (*INTAKE, *PRIOR) if name in frame.columns]
    return tuple(name for name in names if frame[name].nunique(dropna=False) > 1)


def base_design(frame: pd.DataFrame) -> Design:
    """The covariates that every lever is adjusted for, of all tickets."""
    return nuisance.design(frame, covariates_of(frame))


def sample(frame: pd.DataFrame, base: Design, lever: Lever) -> Sample | str:
    """The tickets on which `lever` can be estimated, or the reason why it cannot."""
    absent = [name for name in lever.reads if name not in frame or frame[name].isna().all()]
    if absent:
        return "no_data"
    d = lever.exposure(frame)
    y = frame[f"y_{lever.clock}"]
    chosen = d.notna() & y.notna()
    if lever.among is not None:
        chosen &= lever.among(frame)
    rows = np.flatnonzero(chosen.to_numpy())
    exposed, happened = d.to_numpy(dtype=float)[rows], y.to_numpy(dtype=float)[rows]
    if rows.size and exposed.min() == exposed.max():
        return "no_data"
    arms = (exposed == 1).sum(), (exposed == 0).sum()
    if rows.size < MIN_ROWS or min(arms) < MIN_ARM or happened.sum() < MIN_EVENTS:
        return "too_few"
    part = frame.iloc[rows].reset_index(drop=True)
    upstream = [
        name for name in lever.upstream if name in part and part[name].nunique(dropna=False) > 1
    ]
    x = base.rows(rows).without(lever.left_out)
    if upstream:
        x = x.joined(nuisance.design(part, upstream))
    x = x.varying()
    return Sample(
        lever=lever,
        frame=part,
        y=happened,
        d=exposed,
        cluster=np.unique(part["customer_id"].to_numpy(dtype=object), return_inverse=True)[1],
        weight=_sampling_weight(frame, rows, lever),
        randomised=_randomised(part, lever),
        x=x,
        covariates=tuple(dict.fromkeys(x.terms)),
        benchmark=next(
            (name for name in ("severity", "topic", "product_id") if name in x.terms), None
        ),
    )


def _sampling_weight(frame: pd.DataFrame, rows: np.ndarray, lever: Lever) -> np.ndarray:
    """One over the chance of being reviewed, so that reviewed tickets stand for all of them."""
    known = [name for name in lever.weigh if name in frame and frame[name].notna().any()]
    if not known:
        return np.ones(rows.size)
    seen = np.zeros(len(frame))
    seen[rows] = 1.0
    everyone = nuisance.design(frame, known)
    fold = nuisance.folds_of(frame["customer_id"].to_numpy(), 5, np.random.default_rng(0))
    chance = nuisance.exposure_chance(everyone, seen, nuisance.splits(fold), trees=False).smooth
    weight = 1.0 / np.clip(chance[rows], 0.02, 1.0)
    return np.asarray(weight / weight.mean())


def _randomised(frame: pd.DataFrame, lever: Lever) -> np.ndarray:
    """The share drawn into the treatment arm, for tickets of a trial of this lever."""
    chance = np.full(len(frame), np.nan)
    if lever.trial and "trial" in frame:
        mine = frame["trial"].str.startswith(lever.trial).fillna(False).to_numpy(dtype=bool)
        if mine.any():
            chance[mine] = (frame["arm"][mine] == "treatment").mean()
    return chance


@dataclass(frozen=True)
class Nuisances:
    """Cross-fitted predictions [rows x repeats] and the splits they were made on."""

    fold: np.ndarray
    m: np.ndarray
    g: np.ndarray  # [2 x rows x repeats]
    m_smooth: np.ndarray  # [rows], first repeat: by the regression alone
    g_smooth: np.ndarray


def predictions(part: Sample, folds: int, repeats: int, seed: int) -> Nuisances:
    """Chances of exposure and outcome of every ticket; a trial's chances are what was drawn."""
    fold = np.empty((len(part.y), repeats), dtype=int)
    m = np.empty((len(part.y), repeats))
    g = np.empty((2, len(part.y), repeats))
    smooth: list[np.ndarray] = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        fold[:, repeat] = nuisance.folds_of(part.cluster, folds, rng)
        splits = nuisance.splits(fold[:, repeat])
        exposed = nuisance.exposure_chance(part.x, part.d, splits)
        outcome = nuisance.outcome_chance(part.x, part.d, part.y, splits)
        m[:, repeat] = _with_trial(exposed.both, part.randomised)
        g[:, :, repeat] = outcome.both
        if not repeat:
            smooth = [_with_trial(exposed.smooth, part.randomised), outcome.smooth]
    return Nuisances(fold, m, g, smooth[0], smooth[1])


def _with_trial(chance: np.ndarray, randomised: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(randomised), chance, randomised)


def estimand_of(d: np.ndarray, m: np.ndarray) -> Estimand:
    """The effect on all tickets, or on the exposed ones where overlap is thin."""
    outside = np.mean((m < INSIDE[0]) | (m > INSIDE[1]))
    return "ATTE" if d.mean() < RARE or outside > THIN else "ATE"


def estimate(
    frame: pd.DataFrame, base: Design, lever: Lever, *, folds: int, repeats: int, seed: int
) -> Estimate | str:
    """Estimate the effect of one lever and check it, or say why not (a key of `REASONS`)."""
    part = sample(frame, base, lever)
    if isinstance(part, str):
        return part
    found = predictions(part, folds, repeats, seed)
    estimand = estimand_of(part.d, found.m[:, 0])
    model = double_ml(part, found, estimand)
    effect = Contrast(float(model.coef[0]), float(model.se[0]), len(part.y))
    m, g = np.clip(found.m[:, 0], CLIP, 1 - CLIP), found.g[:, :, 0]
    smd_max, smd_worst = _worst_balance(part, m, estimand)
    bounds = _sensitivity(part, found, model, estimand)
    trial = _trial(part)
    return Estimate(
        key=lever.key,
        estimand=estimand,
        effect=effect,
        tickets=len(part.y),
        customers=int(part.cluster.max()) + 1,
        treated_share=float(part.d.mean()),
        naive=float(part.y[part.d == 1].mean() - part.y[part.d == 0].mean()),
        ess_share=_ess(part.d, m, estimand),
        overlap_share=float(np.mean((m >= INSIDE[0]) & (m <= INSIDE[1]))),
        smd_max=smd_max,
        smd_worst=smd_worst,
        negative_control=_negative_control(part, found, m, estimand),
        placebo=_placebo(part, g, m, seed),
        benchmark=part.benchmark,
        **bounds,
        trial=trial,
        trial_difference=_difference(part, g, m, estimand, trial),
        halves=_halves(part, g, m, estimand),
        overlap=_histogram(part.d, found.m[:, 0]),
        adjusted_for=part.covariates,
        missing=tuple(name for name in lever.needs if name not in part.x.terms),
        strata=_strata(part, found.m[:, 0]),
        tickets_last_year=int((part.frame["week"] > part.frame["week"].max() - 365 / 7).sum()),
        hours=_hours(part),
    )


def double_ml(part: Sample, found: Nuisances, estimand: Estimand) -> DoubleMLIRM:
    """DoubleML's interactive regression model, fitted on these predictions and splits."""
    return _fitted(part, found.fold, found.m, found.g, estimand)


def _fitted(
    part: Sample, fold: np.ndarray, m: np.ndarray, g: np.ndarray, estimand: Estimand
) -> DoubleMLIRM:
    # The covariates live in the predictions; DoubleML only wants to see that there are some.
    data = DoubleMLData(
        pd.DataFrame({"y": part.y, "d": part.d, "x": 0.0, "customer": part.cluster}),
        y_col="y",
        d_cols="d",
        x_cols=["x"],
        cluster_cols="customer",
    )
    model = DoubleMLIRM(
        data,
        DMLDummyRegressor(),
        DMLDummyClassifier(),
        n_folds=int(fold.max()) + 1,
        n_rep=fold.shape[1],
        score=estimand,
        weights=part.weight,
        ps_processor_config=PSProcessorConfig(clipping_threshold=CLIP),
        draw_sample_splitting=False,
    )
    names = np.arange(part.cluster.max() + 1)
    fold_of_cluster = np.empty((names.size, fold.shape[1]), dtype=int)
    fold_of_cluster[part.cluster] = fold
    model.set_sample_splitting(
        [nuisance.splits(fold[:, repeat]) for repeat in range(fold.shape[1])],
        [
            [([names[at != number]], [names[at == number]]) for number in range(at.max() + 1)]
            for at in fold_of_cluster.T
        ],
    )
    model.fit(external_predictions={"d": {"ml_m": m, "ml_g0": g[0], "ml_g1": g[1]}})
    return model


def scores(
    y: np.ndarray,
    d: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    estimand: Estimand,
    weight: np.ndarray | float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The doubly robust numerator and denominator of each row: theta is the ratio of their sums."""
    weights = np.broadcast_to(np.asarray(weight, dtype=float), y.shape)
    if estimand == "ATE":
        gain = g[1] - g[0] + d * (y - g[1]) / m - (1 - d) * (y - g[0]) / (1 - m)
        return weights * gain, weights
    return weights * (d - m) / (1 - m) * (y - g[0]), weights * d


def contrast(numerator: np.ndarray, denominator: np.ndarray, cluster: np.ndarray) -> Contrast:
    """The ratio of sums with a standard error clustered by customer."""
    total = float(denominator.sum())
    theta = float(numerator.sum()) / total
    sums = np.bincount(cluster, weights=numerator - theta * denominator)
    return Contrast(theta, float(np.sqrt((sums**2).sum())) / total, len(numerator))


def _weights(d: np.ndarray, m: np.ndarray, estimand: Estimand) -> np.ndarray:
    if estimand == "ATE":
        return np.asarray(d / m + (1 - d) / (1 - m))
    return np.asarray(np.where(d == 1, 1.0, m / (1 - m)))


def _ess(d: np.ndarray, m: np.ndarray, estimand: Estimand) -> float:
    """Kish's effective sample size after weighting, as a share of the smaller of both arms'."""
    weight = _weights(d, m, estimand)
    arms = [weight[d == arm] for arm in ((0.0,) if estimand == "ATTE" else (0.0, 1.0))]
    return min(float(part.sum() ** 2 / (part**2).sum() / part.size) for part in arms)


def _worst_balance(part: Sample, m: np.ndarray, estimand: Estimand) -> tuple[float, str]:
    """The largest standardised mean difference of a covariate after weighting, and whose it is."""
    weight = _weights(part.d, m, estimand) * part.weight
    values = part.x.smooth
    one, zero = part.d == 1, part.d == 0
    means = [np.average(values[arm], axis=0, weights=weight[arm]) for arm in (one, zero)]
    spread = np.sqrt((values[one].var(axis=0) + values[zero].var(axis=0)) / 2)
    # A level that one of the arms hardly has cannot be balanced, nor does it matter much.
    common = (spread > 0.1) & ~part.x.bends
    distance = np.where(common, np.abs(means[0] - means[1]) / np.maximum(spread, 1e-9), 0.0)
    worst = int(np.argmax(distance))
    return float(distance[worst]), part.x.terms[worst]


def _negative_control(
    part: Sample, found: Nuisances, m: np.ndarray, estimand: Estimand
) -> Contrast | None:
    """The "effect" on errors logged before the ticket, which nothing after it can have changed."""
    values = part.frame["prior_errors"].to_numpy(dtype=float)
    known = ~np.isnan(values)
    if known.mean() < 0.5 or np.nanstd(values) == 0:
        return None
    rows = np.flatnonzero(known)
    fold = found.fold[rows, 0]
    g = np.array(
        nuisance.mean_value(part.x.rows(rows), part.d[rows], values[rows], nuisance.splits(fold))
    )
    parts = scores(values[rows], part.d[rows], g, m[rows], estimand, part.weight[rows])
    return contrast(*parts, part.cluster[rows])


def _placebo(part: Sample, g: np.ndarray, m: np.ndarray, seed: int) -> Contrast:
    """The "effect" of an exposure drawn by lot, as common as the real one.

    The middle one of several draws: a broken estimator fails in most, chance now and then in one.
    """
    share = float(np.clip(part.d.mean(), CLIP, 1 - CLIP))
    expected = m * g[1] + (1 - m) * g[0]
    outcomes, chance = np.array([expected, expected]), np.full(m.size, share)
    rng = np.random.default_rng([seed, 991])
    found = []
    for _ in range(PLACEBOS):
        drawn = (rng.random(part.d.size) < share).astype(float)
        parts = scores(part.y, drawn, outcomes, chance, "ATE", part.weight)
        found.append(contrast(*parts, part.cluster))
    return sorted(found, key=lambda one: one.p)[PLACEBOS // 2]


def _sensitivity(
    part: Sample, found: Nuisances, model: DoubleMLIRM, estimand: Estimand
) -> dict[str, Any]:
    """Bounds if something hidden were as strong as the strongest recorded confounder, and twice.

    Its strength is what leaving it out costs the regressions (the same class on both sides).
    """
    if part.benchmark is None:
        return {"rv": np.nan, "cf_y": np.nan, "cf_d": np.nan,
                "bound": (np.nan, np.nan), "bound_twice": (np.nan, np.nan)}  # fmt: skip
    fold = found.fold[:, :1]
    splits = nuisance.splits(fold[:, 0])
    short = part.x.without((part.benchmark,))
    m = _with_trial(
        nuisance.exposure_chance(short, part.d, splits, trees=False).smooth, part.randomised
    )
    g = nuisance.outcome_chance(short, part.d, part.y, splits, trees=False).smooth
    long_model = _fitted(part, fold, found.m_smooth[:, None], found.g_smooth[:, :, None], estimand)
    short_model = _fitted(part, fold, m[:, None], g[:, :, None], estimand)
    gain = gain_statistics(dml_long=long_model, dml_short=short_model)
    cf_y, cf_d = float(gain["cf_y"][0]), float(gain["cf_d"][0])
    return {
        "rv": robustness_value(model),
        "cf_y": cf_y,
        "cf_d": cf_d,
        "bound": sensitivity_bound(model, part.cluster, found.fold, cf_y, cf_d),
        "bound_twice": sensitivity_bound(model, part.cluster, found.fold, 2 * cf_y, 2 * cf_d),
    }


def sensitivity_bound(
    model: DoubleMLIRM,
    cluster: np.ndarray,
    fold: np.ndarray,
    cf_y: float,
    cf_d: float,
    *,
    level: float = 0.5,
) -> tuple[float, float]:
    """The bounds of DoubleML's `sensitivity_analysis`, without its loop over customers.

    `cf_y` and `cf_d` are the shares of what is left of outcome and exposure that something hidden
    would explain (Chernozhukov et al. 2022); both are cut at 0.99. `level` is that of the one-sided
    confidence bounds; at 0.5 they are the bounds of the effect itself. Grades use these, because
    chance has a test of its own.
    """
    cf_y, cf_d = min(cf_y, 0.99), min(cf_d, 0.99)
    strength = np.sqrt(cf_y * cf_d / (1.0 - cf_d))
    elements, psi = model.framework.sensitivity_elements, model.framework.scaled_psi
    found = []
    for repeat in range(fold.shape[1]):
        bias = strength * float(elements["max_bias"][0, 0, repeat])
        bend = strength * elements["psi_max_bias"][:, 0, repeat]
        theta = float(model.framework.all_thetas[0, repeat])
        here = psi[:, 0, repeat]
        errors = [
            _cluster_error(here + sign * bend, cluster, fold[:, repeat]) for sign in (-1.0, 1.0)
        ]
        reach = float(norm.ppf(level))
        found.append((theta - bias - reach * errors[0], theta + bias + reach * errors[1]))
    low, high = np.median(np.array(found), axis=0)
    return float(low), float(high)


def _cluster_error(psi: np.ndarray, cluster: np.ndarray, fold: np.ndarray) -> float:
    """DoubleML's one-way clustered standard error of a score whose derivative is 1."""
    sums = np.bincount(cluster, weights=psi)
    of_cluster = np.empty(sums.size, dtype=int)
    of_cluster[cluster] = fold
    size = np.bincount(of_cluster)
    spread = float((sums**2 / size[of_cluster]).sum()) / size.size
    scale = float((np.bincount(fold) / size).mean())
    return float(np.sqrt(spread / scale**2 / sums.size))


def robustness_value(model: DoubleMLIRM) -> float:
    """How strong something hidden would have to be, in outcome and exposure alike, to explain all.

    Printed, never a gate: with a hidden confounder it may be larger than without.
    """
    bias = model.framework.sensitivity_elements["max_bias"][0, 0]
    strength = float(np.median(np.abs(model.framework.all_thetas[0]) / bias)) ** 2
    return (np.sqrt(strength**2 + 4 * strength) - strength) / 2


def _trial(part: Sample) -> Contrast | None:
    """Arms as they were drawn, whatever was then done (intention to treat)."""
    rows = np.flatnonzero(~np.isnan(part.randomised))
    if rows.size < MIN_ROWS:
        return None
    drawn = (part.frame["arm"].iloc[rows] == "treatment").to_numpy(dtype=float)
    y = part.y[rows]
    g = np.array([np.full(rows.size, y[drawn == arm].mean()) for arm in (0, 1)])
    parts = scores(y, drawn, g, part.randomised[rows], "ATE")
    return contrast(*parts, part.cluster[rows])


def _difference(
    part: Sample, g: np.ndarray, m: np.ndarray, estimand: Estimand, trial: Contrast | None
) -> Contrast | None:
    """The estimate from the tickets outside the trial less what the trial says."""
    if trial is None:
        return None
    rows = np.flatnonzero(np.isnan(part.randomised))
    if rows.size < MIN_ROWS:
        return None
    parts = scores(part.y[rows], part.d[rows], g[:, rows], m[rows], estimand, part.weight[rows])
    outside = contrast(*parts, part.cluster[rows])
    return Contrast(outside.theta - trial.theta, float(np.hypot(outside.se, trial.se)), rows.size)


def _halves(part: Sample, g: np.ndarray, m: np.ndarray, estimand: Estimand) -> tuple[float, float]:
    """The estimate in the earlier and in the later half of the tickets."""
    late = (part.frame["week"] > part.frame["week"].median()).to_numpy()
    found = []
    for half in (~late, late):
        parts = scores(part.y[half], part.d[half], g[:, half], m[half], estimand,
                       part.weight[half])  # fmt: skip
        total = parts[1].sum()
        found.append(float(parts[0].sum() / total) if total else float("nan"))
    return found[0], found[1]


def _histogram(d: np.ndarray, m: np.ndarray) -> dict[str, list[float]]:
    edges = np.linspace(0.0, 1.0, 21)
    return {
        "edges": [round(float(edge), 2) for edge in edges],
        "exposed": [float(n) for n in np.histogram(m[d == 1], edges)[0]],
        "unexposed": [float(n) for n in np.histogram(m[d == 0], edges)[0]],
    }


def _strata(part: Sample, m: np.ndarray) -> list[dict[str, Any]]:
    """Per severity and segment how often the lever is pulled, and how often it could be.

    `low` and `high` are the 5 % and 95 % points of the chance of exposure among its tickets: what
    support has been seen to manage under the circumstances that occur there.
    """
    keys = [name for name in ("severity", "segment") if name in part.frame]
    label = pd.Series("", index=part.frame.index)
    for key in keys:
        label = label + " " + part.frame[key].astype("string").fillna("-").astype(object)
    out = []
    for name in sorted(label.unique()):
        rows = (label == name).to_numpy()
        low, high = np.quantile(m[rows], [0.05, 0.95])
        out.append(
            {
                "stratum": name.strip(),
                "tickets": int(rows.sum()),
                "share": float(part.d[rows].mean()),
                "low": float(low),
                "high": float(high),
            }
        )
    return out


def _hours(part: Sample) -> list[float] | None:
    """The percentiles (0 to 100) of the duration behind the lever, None where there is none."""
    name = part.lever.reads[0]
    if not name.endswith("_hours"):
        return None
    values = part.frame[name].fillna(np.inf).to_numpy(dtype=float)
    found = np.quantile(values, np.linspace(0, 1, 101), method="lower")
    return [float(round(value, 4)) for value in np.minimum(found, 1e6)]


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's adjusted p-values."""
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, dtype=float)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def graded(found: Iterable[Estimate]) -> list[Estimate]:
    """The same estimates with p-values corrected for how many levers were tried, and grades.

    Levers that customers choose themselves are not part of the family: no test of theirs says
    anything about an effect.
    """
    everything = list(found)
    family = [item for item in everything if not item.lever.is_selected]
    adjusted = dict(
        zip((item.lever.key for item in family), holm([item.effect.p for item in family]),
            strict=True)
    )  # fmt: skip
    return [_graded(item, adjusted.get(item.lever.key, item.effect.p)) for item in everything]


def _graded(item: Estimate, p_holm: float) -> Estimate:
    if item.trial is not None and item.trial.p < ALPHA:
        grade: Grade = "A"
        reasons: tuple[str, ...] = ("trial",)
    else:
        unknown, doubts = cannot_tell(item, float(p_holm)), against(item)
        grade = "D" if unknown else "C" if doubts else "B"
        reasons = (*unknown, *doubts)
    return replace(item, p_holm=float(p_holm), grade=grade, reasons=reasons)


def cannot_tell(item: Estimate, p_holm: float) -> tuple[str, ...]:
    """Why nothing can be said about the lever: grade D."""
    found = []
    if item.ess_share < MIN_ESS or item.overlap_share < 0.5:
        found.append("no_overlap")
    if p_holm >= ALPHA:
        found.append("not_significant")
    return tuple(found)


def against(item: Estimate) -> tuple[str, ...]:
    """Why the difference may not be an effect: grade C at best."""
    control, difference = item.negative_control, item.trial_difference
    low, high = item.bound
    checks = {
        "missing_confounder": bool(item.missing),
        "self_selected": item.lever.is_selected,
        "unbalanced": item.smd_max > MAX_SMD,
        "negative_control": control is not None and control.p < FIRED,
        "placebo": item.placebo.p < FIRED,
        "sensitivity": not (low > 0 or high < 0),
        "trial_disagrees": difference is not None and difference.p < ALPHA,
    }
    return tuple(reason for reason, fired in checks.items() if fired)
