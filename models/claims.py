"""The articles' claims as questions to the company's own data (METHODS A, P14).

Each claim is an estimand with a denominator, an interval and a verdict by one stated rule (RULE).
Adjusted contrasts are augmented inverse-probability-weighted means (Robins, Rotnitzky and Zhao
1994) with cross-fitted nuisances, so no customer is judged by a model that saw them; intervals are
clustered by customer. None of it is an experiment: what a claim says about causes stays open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from features.claims import COVARIATES
from models import nuisance
from models.evaluation import (
    Z_95,
    cluster_codes,
    clustered_standard_error,
    paired_gain,
    rate_interval,
)

Verdict = Literal["consistent", "inconsistent", "not testable"]

MIN_ROWS = 100
MIN_CUSTOMERS = 50
MIN_ARM = 30
"""Below these a comparison is not made."""

COARSE = 0.15
"""An interval that meets the claim's range but reaches further to either side confirms nothing."""

FOLDS = 5
EDGE = 0.02
"""Chances of being treated are kept this far from 0 and 1."""

ROWS_USED = 60_000
"""Customers beyond so many rows are left out of an adjusted comparison, at random."""

SEED = 7

VERDICTS: dict[str, tuple[str, str]] = {
    "consistent": ("consistent with the claim", "主張と整合"),
    "inconsistent": ("not consistent with the claim", "主張と不整合"),
    "not testable": ("not testable on these data", "このデータでは検証不可"),
}

RULE = {
    "en": (
        "A claim of a figure is consistent if the 95% interval meets the range that the claim's"
        " “about” allows, and inconsistent if it does not. A claim of a direction is consistent if"
        " the whole interval lies on its side, and inconsistent if it lies on the other. A claim"
        " is not testable if the data are absent or too few, if the interval of a figure meets the"
        " range only because it is wide (more than 0.15 to a side), if that of a direction"
        " reaches to both sides, or if treated and untreated customers cannot be compared."
    ),
    "ja": (
        "数値の主張は、95%信頼区間が主張の「約」の範囲と重なれば整合、重ならなければ不整合とします。"
        "方向の主張は、区間全体が主張の側にあれば整合、反対側にあれば不整合とします。"
        "データがないか少なすぎる場合、数値の区間が広い（片側0.15超）ために重なる場合、方向の区間が両側にまたがる場合、比較できるお客様が限られる場合は"
        "検証不可とします。"
    ),
}

CAVEATS: dict[str, tuple[str, str]] = {
    "intention": ("An intention is not a purchase.", "意向は購入そのものではありません。"),
    "answerers": (
        "Only customers who answered are known; others may differ.",
        "回答したお客様のみの結果であり、未回答のお客様は異なる可能性があります。",
    ),
    "recovery": (
        "Recovery lifts satisfaction, but not reliably repurchase (de Matos and others 2007).",
        "挽回は満足度を高めますが、再購入を確実に高めるとは限りません（de Matosら 2007）。",
    ),
    "base_rate": (
        "Customers also buy again without any of this; the share alone is no effect.",
        "この対応がなくても再購入はあり、割合だけでは効果とはいえません。",
    ),
    "selected": (
        "Who was treated was not left to chance; what was not measured may explain the difference.",
        "対象は無作為に選ばれておらず、測定していない要因が差を説明する可能性があります。",
    ),
    "self_selected": (
        "Customers chose it themselves; more loyal or easier cases do so more often.",
        "お客様自身の選択であり、もともと愛着のある方や容易な問題ほど選ばれやすい傾向があります。",
    ),
    "grade_c": (
        "At most an association (grade C) without an experiment.",
        "実験がない限り、せいぜい関連（評価C）です。",
    ),
    "before_after": (
        "Customers join when they buy more, and return to their usual level afterwards.",
        "購入が増えた時期に加入し、その後平常に戻る傾向があります。",
    ),
    "model_use": (
        "It is how the churn model weighs factors, not what customers say matters to them.",
        "解約モデルが要因をどう重み付けるかであり、お客様自身が述べた重要度ではありません。",
    ),
    "no_stated_importance": (
        "There is no survey that asks what matters.",
        "何を重視するかを尋ねたアンケートはありません。",
    ),
    "poor_overlap": (
        "Treated and untreated customers differ so much that few can be compared.",
        "対象と非対象のお客様の差が大きく、比較できる方が限られます。",
    ),
    "first_days_out": (
        "The three days after the use are left out: that there was no ticket then is what made it"
        " a success.",
        "利用後3日間は除きます（その間に問い合わせがないことが自己解決の定義であるため）。",
    ),
    "no_data": ("The source has no such data.", "データ元に該当データがありません。"),
    "too_few": ("Too few cases.", "件数が不足しています。"),
    "too_wide": ("The interval is too wide to decide.", "区間が広く判断できません。"),
    "cannot_tell": (
        "The interval reaches to both sides; that is not the same as no difference.",
        "区間が両側にまたがります（差がないという意味ではありません）。",
    ),
    "market_level": (
        "It is about companies or markets, not about this company's customers.",
        "企業や市場全体についての主張であり、この会社のお客様のデータでは確かめられません。",
    ),
    "unsourced": (
        "The article gives no source that could be checked.",
        "元記事に確認できる出典がありません。",
    ),
}


@dataclass(frozen=True)
class Estimate:
    """n rows, the estimate and its 95 % interval; `caveats` are what was found on the way."""

    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    caveats: tuple[str, ...] = ()


Rows = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Claim:
    """One claim and how it is checked.

    `en` and `ja` say the claim, `estimand_*` what is estimated, over whom and how long. `claimed`
    is the range that the claim allows, None = open. With `neutral` it is a claim of a direction:
    of more (or less) than that. `estimate` takes all rows; None = no data here could test it.
    """

    key: str
    item: str
    en: str
    ja: str
    estimand_en: str
    estimand_ja: str
    unit: Literal["share", "difference", "ratio", "correlation", "points", "log_loss"]
    claimed: tuple[float | None, float | None]
    caveats: tuple[str, ...]
    estimate: Callable[[Rows], Estimate | None] | None = field(compare=False)
    neutral: float | None = None


def check(rows: Rows) -> list[dict[str, Any]]:
    """Every claim with its estimate and verdict, in declared order, ready for JSON.

    `rows` are features.claims.ROWS of all customers by name, and "families": family,
    mean_abs_shap, low, high of the churn model, with rows explained as attribute `n`.
    """
    return [judged(claim, claim.estimate(rows) if claim.estimate else None) for claim in CLAIMS]


def judged(claim: Claim, found: Estimate | None) -> dict[str, Any]:
    """The claim's record. See RULE."""
    estimate = found or Estimate(0, caveats=("no_data",) if claim.estimate else ())
    verdict, why = _verdict(claim, estimate)
    return {
        "claim": claim.key,
        "item": claim.item,
        "estimand": claim.estimand_en,
        "kind": claim.unit,
        "unit": claim.unit,
        "n": estimate.n,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "claimed": list(claim.claimed),
        "verdict": verdict,
        "caveats": list(dict.fromkeys((*why, *estimate.caveats, *claim.caveats))),
    }


def _verdict(claim: Claim, found: Estimate) -> tuple[Verdict, tuple[str, ...]]:
    if found.value is None or found.low is None or found.high is None:
        return "not testable", ()
    if "poor_overlap" in found.caveats:
        return "not testable", ()
    low, high = claim.claimed
    if claim.neutral is not None:
        if found.low <= claim.neutral <= found.high:
            return "not testable", ("cannot_tell",)
        is_more = found.low > claim.neutral
        return ("consistent" if is_more == (low is not None) else "inconsistent"), ()
    if (high is not None and found.low > high) or (low is not None and found.high < low):
        return "inconsistent", ()
    if max(found.high - found.value, found.value - found.low) > COARSE:
        return "not testable", ("too_wide",)
    return "consistent", ()


# How the estimates are made


def _enough(frame: pd.DataFrame | None) -> Estimate | None:
    """Why a table cannot be used; None if it can."""
    if frame is None:
        return Estimate(0, caveats=("no_data",))
    if len(frame) < MIN_ROWS or frame["customer_id"].nunique() < MIN_CUSTOMERS:
        return Estimate(len(frame), caveats=("too_few",))
    return None


def share_of(table: str, column: str, where: Callable[[pd.DataFrame], Any] | None = None) -> Any:
    """The mean of a column of 0 and 1, with `rate_interval`."""

    def estimate(rows: Rows) -> Estimate:
        frame = rows.get(table)
        if frame is not None:
            frame = frame[where(frame)] if where else frame
            frame = frame[frame[column].notna()]
        lacking = _enough(frame)
        if lacking or frame is None:
            return lacking or Estimate(0)
        low, high = rate_interval(frame[column], frame["customer_id"])
        return Estimate(len(frame), float(frame[column].mean()), low, high)

    return estimate


def contrast(
    table: str,
    treated: str,
    outcome: str,
    where: Callable[[pd.DataFrame], Any] | None = None,
    *,
    as_ratio: bool = False,
) -> Any:
    """Adjusted difference (or ratio) of the mean outcome, all treated against none treated."""

    def estimate(rows: Rows) -> Estimate:
        frame = rows.get(table)
        if frame is not None:
            frame = frame[where(frame)] if where else frame
            frame = frame[frame[outcome].notna() & frame[treated].notna()]
        lacking = _enough(frame)
        if lacking or frame is None:
            return lacking or Estimate(0)
        frame = _within_bound(frame).reset_index(drop=True)
        d = frame[treated].to_numpy(dtype=float)
        if min(d.sum(), (1 - d).sum()) < MIN_ARM:
            return Estimate(len(frame), caveats=("too_few",))
        return aipw(frame, d, frame[outcome].to_numpy(dtype=float), as_ratio=as_ratio)

    return estimate


def aipw(frame: pd.DataFrame, d: np.ndarray, y: np.ndarray, *, as_ratio: bool = False) -> Estimate:
    """AIPW difference (or ratio) of mean outcomes; interval clustered by `customer_id`.

    `frame` holds the covariates (those of features.claims.COVARIATES that it has), `d` 0/1 [rows],
    `y` [rows] 0/1 or a number. The ratio's interval is symmetric in its logarithm.
    """
    customers = frame["customer_id"]
    names = [
        name
        for name in COVARIATES
        if name in frame.columns and frame[name].nunique(dropna=False) > 1
    ]
    x = nuisance.design(frame, names)
    fold = nuisance.folds_of(customers.to_numpy(), FOLDS, np.random.default_rng(SEED))
    folds = nuisance.splits(fold)
    chance = nuisance.exposure_chance(x, d, folds, trees=False).smooth
    is_rate = bool(np.isin(y, (0, 1)).all())
    none, all_ = (
        nuisance.outcome_chance(x, d, y, folds, trees=False).smooth
        if is_rate
        else nuisance.mean_value(x, d, y, folds)
    )
    inside = (chance > EDGE) & (chance < 1 - EDGE)
    caveats = ("poor_overlap",) if inside.mean() < 0.9 else ()
    e = np.clip(chance, EDGE, 1 - EDGE)
    with_it = all_ + d * (y - all_) / e
    without = none + (1 - d) * (y - none) / (1 - e)
    if not as_ratio:
        value = float((with_it - without).mean())
        half = Z_95 * clustered_standard_error(with_it - without, customers)
        return Estimate(len(y), value, value - half, value + half, caveats)
    a, b = float(with_it.mean()), float(without.mean())
    if min(a, b) <= 0:
        return Estimate(len(y), caveats=("too_few",))
    half = Z_95 * clustered_standard_error(with_it / a - without / b, customers)
    value = a / b
    return Estimate(
        len(y), value, float(value * np.exp(-half)), float(value * np.exp(half)), caveats
    )


def _within_bound(frame: pd.DataFrame) -> pd.DataFrame:
    """All rows of as many customers, drawn at random, as fit ROWS_USED."""
    if len(frame) <= ROWS_USED:
        return frame
    codes = cluster_codes(frame["customer_id"])
    order = np.random.default_rng(SEED).permutation(codes.max() + 1)
    sizes = np.bincount(codes)[order]
    kept = order[: int(np.searchsorted(np.cumsum(sizes), ROWS_USED, side="right"))]
    return frame[np.isin(codes, kept)]


def ratio_of_rates(before: np.ndarray, after: np.ndarray) -> tuple[float, np.ndarray]:
    """Log of sum(after) / sum(before), and each row's influence on it (sums to 0)."""
    a, b = after.sum(), before.sum()
    return float(np.log(a / b)), after / a - before / b


def joined_ratio(rows: Rows) -> Estimate:
    """Orders after over orders before joining, of the same customers."""
    frame = rows.get("joined")
    lacking = _enough(frame)
    if lacking or frame is None:
        return lacking or Estimate(0)
    before, after = (frame[name].to_numpy(dtype=float) for name in ("before", "after"))
    if min(before.sum(), after.sum()) < MIN_ARM:
        return Estimate(len(frame), caveats=("too_few",))
    return _exponentiated(len(frame), *ratio_of_rates(before, after))


def member_ratio(rows: Rows) -> Estimate:
    """Orders per member over orders per other customer, as they are."""
    frame = rows.get("members")
    lacking = _enough(frame)
    if lacking or frame is None:
        return lacking or Estimate(0)
    member = frame["member"].to_numpy(dtype=bool)
    orders = frame["orders"].to_numpy(dtype=float)
    if min(member.sum(), (~member).sum()) < MIN_ARM or not (orders[~member].sum()):
        return Estimate(len(frame), caveats=("too_few",))
    means = [orders[group].mean() for group in (member, ~member)]
    influence = np.where(
        member,
        (orders / means[0] - 1) / member.sum(),
        -(orders / means[1] - 1) / (~member).sum(),
    )
    return _exponentiated(len(frame), float(np.log(means[0] / means[1])), influence)


def _exponentiated(n: int, log_ratio: float, influence: np.ndarray) -> Estimate:
    """The ratio with an interval symmetric in its logarithm; influences are independent."""
    half = Z_95 * float(np.sqrt((influence**2).sum()))
    value = np.exp(log_ratio)
    return Estimate(n, float(value), float(value * np.exp(-half)), float(value * np.exp(half)))


def nps_correlation(rows: Rows) -> Estimate:
    """Spearman's correlation of the answer with the spending of the next 90 days."""
    frame = rows.get("nps")
    lacking = _enough(frame)
    if lacking or frame is None:
        return lacking or Estimate(0)
    x, y = (rankdata(frame[name].to_numpy(dtype=float)) for name in ("score", "spent"))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Estimate(len(frame), caveats=("too_few",))
    x, y = ((values - values.mean()) / values.std() for values in (x, y))
    value = float((x * y).mean())
    # The influence of a row on a correlation (of the ranks, taken as given).
    influence = x * y - value * (x**2 + y**2) / 2
    half = Z_95 * clustered_standard_error(influence, frame["customer_id"])
    return Estimate(len(frame), value, value - half, value + half)


def nps_gain(rows: Rows) -> Estimate:
    """How much log-loss of the repurchase falls when the answer joins what was bought before.

    Fitted on the earlier two thirds of the answers, measured on the later third; answers whose
    outcome reached into the later third train nothing.
    """
    frame = rows.get("nps")
    lacking = _enough(frame)
    if lacking or frame is None:
        return lacking or Estimate(0)
    frame = frame.sort_values(["begins_at", "row_id"], kind="stable")
    start = frame["begins_at"].iloc[len(frame) * 2 // 3]
    train = (frame["begins_at"] < start - pd.Timedelta(days=60)).to_numpy()
    test = (frame["begins_at"] >= start).to_numpy()
    y = frame["bought"].to_numpy(dtype=float)
    if min(train.sum(), test.sum()) < MIN_ROWS or len(set(y[train])) < 2 or len(set(y[test])) < 2:
        return Estimate(len(frame), caveats=("too_few",))
    past = np.column_stack(
        [
            np.log1p(frame["orders_before"].to_numpy(dtype=float)),
            np.log1p(frame["spent_before"].to_numpy(dtype=float)),
            np.log1p(frame["days_since_order"].fillna(365).to_numpy(dtype=float)),
            np.log1p(frame["tenure_days"].clip(lower=0).to_numpy(dtype=float)),
        ]
    )
    with_answer = np.column_stack([past, frame["score"].to_numpy(dtype=float)])
    chances = [_fitted(x, y, train)[test] for x in (with_answer, past)]
    found = paired_gain(
        y[test], chances[0], chances[1], frame["customer_id"][test], resamples=200, seed=SEED
    )["log_loss"]
    return Estimate(int(test.sum()), found["value"], found["low"], found["high"])


def _fitted(x: np.ndarray, y: np.ndarray, train: np.ndarray) -> np.ndarray:
    scale = x[train].std(axis=0)
    z = (x - x[train].mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    return np.asarray(LogisticRegression().fit(z[train], y[train]).predict_proba(z)[:, 1])


ATTITUDE = ("responsiveness", "effort", "sentiment", "care", "agents")
QUALITY = ("resolution", "automation", "returns")
"""Factor families about how customers are treated, and about whether the problem is solved."""


def attitude_share(rows: Rows) -> Estimate:
    """Mean absolute SHAP of ATTITUDE over that of ATTITUDE and QUALITY, in the churn model.

    The interval pairs each side's lower end with the other's upper one: wider than 95 %.
    """
    frame = rows.get("families")
    if frame is None:
        return Estimate(0, caveats=("no_data",))
    by_family = frame.set_index("family")
    n = int(frame.attrs.get("n", 0))
    how, what = (by_family[by_family.index.isin(families)] for families in (ATTITUDE, QUALITY))
    if not (how["mean_abs_shap"].sum() > 0 and what["mean_abs_shap"].sum() > 0):
        return Estimate(n, caveats=("too_few",))

    def part(a: str, b: str) -> float:
        return float(how[a].sum() / (how[a].sum() + what[b].sum()))

    return Estimate(
        n, part("mean_abs_shap", "mean_abs_shap"), part("low", "high"), part("high", "low")
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "rebuy_intent",
        "S68",
        "About 70% of customers would buy again after proper after-sales service",
        "適切なアフターサービスを受けたお客様の約70%が再購入したいと考える",
        "Share who answer 4 or 5 of 5 (the two best) to whether they would buy again, among answers"
        " about a ticket resolved within 72 hours",
        "72時間以内に解決した問い合わせについて、再購入意向に上位2段階で答えた割合",
        "share",
        (0.65, 0.75),
        ("intention", "answerers"),
        share_of("intent", "would_buy"),
    ),
    Claim(
        "rebuy_behaviour",
        "S68",
        "About 70% of customers buy again after proper after-sales service",
        "適切なアフターサービスを受けたお客様の約70%が再購入する",
        "Share who order within 60 days of the resolution, among tickets resolved within 72 hours"
        " and rated 75 or more",
        "72時間以内に解決しCSAT 75以上の問い合わせのうち、解決後60日以内に注文した割合",
        "share",
        (0.65, 0.75),
        ("base_rate", "answerers"),
        share_of("well_served", "bought_again"),
    ),
    Claim(
        "rebuy_contrast",
        "S68",
        "Proper after-sales service makes customers buy again",
        "適切なアフターサービスは再購入を増やす",
        "Difference in orders within 60 days of the rating, rated tickets resolved within 72 hours"
        " with 75 or more against all other rated tickets, adjusted for customer and issue",
        "評価後60日以内の注文率の差（72時間以内に解決しCSAT 75以上の問い合わせと、その他の評価済み"
        "の問い合わせ。お客様と内容の違いを調整）",
        "difference",
        (0.0, None),
        ("recovery", "answerers", "selected"),
        contrast("rated", "well_served", "bought"),
        0.0,
    ),
    Claim(
        "feedback_share",
        "S30",
        "49% of customers come back if their feedback leads to an improvement",
        "ご意見が改善につながれば49%のお客様が戻ってくる",
        "Share who order within 90 days, among feedback that was acted on and answered within 30"
        " days of being given",
        "30日以内に反映し報告したご意見のうち、その後90日以内に注文した割合",
        "share",
        (0.44, 0.54),
        ("base_rate", "selected"),
        share_of("feedback", "returned", lambda frame: frame["acted_and_told"] == 1),
    ),
    Claim(
        "feedback_contrast",
        "S30",
        "Acting on feedback makes customers come back",
        "ご意見を反映するとお客様が戻ってくる",
        "Difference in orders within 90 days, feedback acted on and answered within 30 days against"
        " other feedback, adjusted for customer and topic",
        "90日以内の注文率の差（30日以内に反映し報告したご意見とその他。お客様と内容の違いを調整）",
        "difference",
        (0.0, None),
        ("selected",),
        contrast("feedback", "acted_and_told", "returned"),
        0.0,
    ),
    Claim(
        "loyalty_naive",
        "S66",
        "Members of a loyalty programme buy about 20% more often",
        "ロイヤルティプログラム会員は購入頻度が約20%高い",
        "Orders per member over orders per other customer in one year, as they are",
        "会員1人あたりと非会員1人あたりの年間注文数の比（調整なし）",
        "ratio",
        (1.15, 1.25),
        ("self_selected", "grade_c"),
        member_ratio,
    ),
    Claim(
        "loyalty_within",
        "S66",
        "Joining a loyalty programme raises the frequency of purchases by about 20%",
        "ロイヤルティプログラムに加入すると購入頻度が約20%上がる",
        "Orders in the 180 days after joining over the 180 days before, of the same customers",
        "同じお客様の加入後180日と加入前180日の注文数の比",
        "ratio",
        (1.15, 1.25),
        ("before_after", "self_selected", "grade_c"),
        joined_ratio,
    ),
    Claim(
        "loyalty_adjusted",
        "S66",
        "Joining a loyalty programme raises the frequency of purchases by about 20%",
        "ロイヤルティプログラムに加入すると購入頻度が約20%上がる",
        "Orders in the following year, customers who joined within half a year over those who did"
        " not, adjusted for what was known before any of them joined",
        "半年間に加入したお客様と加入しなかったお客様の翌年の注文数の比（加入前の状況を調整）",
        "ratio",
        (1.15, 1.25),
        ("self_selected", "grade_c"),
        contrast("joining", "joined", "orders", as_ratio=True),
    ),
    Claim(
        "attitude",
        "S58",
        "About 80% value the attitude of service over the quality of the product",
        "約80%が品質よりも対応の姿勢を重視する",
        "Part of how customers are treated in what the churn model takes from treatment and"
        " solution together (mean absolute SHAP)",
        "解約モデルにおける「対応の仕方」と「解決」のうち「対応の仕方」の重み（平均絶対SHAP値）",
        "share",
        (0.75, 0.85),
        ("model_use", "no_stated_importance"),
        attitude_share,
    ),
    Claim(
        "self_service",
        "S49",
        "Self-service reduces contacts with support",
        "セルフサービスは問い合わせを減らす",
        "Tickets in the 90 days after the first successful self-service over those of customers who"
        " never used it, adjusted for what was known before",
        "初めて自己解決した後90日間の問い合わせ数の、未利用のお客様に対する比（それ以前の状況を調整）",
        "ratio",
        (None, 1.0),
        ("first_days_out", "self_selected"),
        contrast("selfservice", "uses", "contacts", as_ratio=True),
        1.0,
    ),
    Claim(
        "nps_correlation",
        "S22",
        "The net promoter score goes with business performance",
        "NPSは業績と相関する",
        "Rank correlation of the answer with the customer's spending in the next 90 days",
        "回答とその後90日間の購入額との順位相関",
        "correlation",
        (0.0, None),
        ("answerers",),
        nps_correlation,
        0.0,
    ),
    Claim(
        "nps_gain",
        "S22",
        "The net promoter score predicts performance beyond what is already known",
        "NPSは既知の情報を超えて業績を予測する",
        "Gain in log-loss of an order within 60 days when the answer is added to earlier purchases,"
        " on later answers",
        "購入履歴に回答を加えたときの、60日以内の注文の予測の改善（後の期間での対数損失）",
        "log_loss",
        (0.0, None),
        ("answerers",),
        nps_gain,
        0.0,
    ),
    Claim(
        "slow_reply",
        "S4",
        "A slow first response lowers satisfaction",
        "初回応答が遅いと満足度が下がる",
        "Difference in CSAT (0 to 100), first human reply after more than an hour against within an"
        " hour, adjusted for customer and issue",
        "CSAT（0〜100）の差（初回応答が1時間超と1時間以内。お客様と内容の違いを調整）",
        "points",
        (None, 0.0),
        ("answerers", "selected"),
        contrast("rated", "slow", "score"),
        0.0,
    ),
    Claim(
        "service_recovery",
        "S33",
        "A complaint handled well makes customers buy again",
        "苦情に適切に対応すると再購入につながる",
        "Difference in orders within 60 days of the rating, complaints solved within 7 days with 75"
        " or more against other rated complaints, adjusted for customer and issue",
        "評価後60日以内の注文率の差（7日以内に解決しCSAT 75以上の苦情とその他の評価済みの苦情。"
        "お客様と内容の違いを調整）",
        "difference",
        (0.0, None),
        ("recovery", "answerers", "selected"),
        contrast("rated", "recovered", "bought", lambda frame: frame["complaint"] == 1),
        0.0,
    ),
    *(
        Claim(
            key,
            item,
            en,
            ja,
            "None: it takes other companies' data",
            "なし（他社のデータが必要）",
            "share",
            (None, None),
            ("market_level", "unsourced"),
            None,
        )
        for key, item, en, ja in (
            (
                "personalisation_profit",
                "S75",
                "Companies that personalise earn more",
                "個別対応を行う企業は利益が高い",
            ),
            (
                "quality_support_loyalty",
                "S75",
                "Companies with excellent support have more loyal customers",
                "優れたサポートの企業は顧客の愛着が高い",
            ),
            (
                "feedback_sales",
                "S75",
                "Companies that use customer feedback sell more",
                "お客様の声を活用する企業は売上が伸びる",
            ),
            (
                "csr_preference",
                "S75",
                "Consumers prefer companies that act responsibly",
                "消費者は社会的責任を果たす企業を選ぶ",
            ),
            (
                "competitive_edge",
                "S76",
                "Good support is a competitive edge",
                "優れたサポートは競争優位になる",
            ),
        )
    ),
)

CLAIM = {claim.key: claim for claim in CLAIMS}
