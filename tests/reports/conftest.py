"""A small company's results, in the shapes the pipeline writes them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports.leadership import build_facts, render
from reports.wording import LANGUAGES, Catalog, Kpi, Line, Name


@dataclass(frozen=True)
class Words:
    label: str
    reason: str


@dataclass(frozen=True)
class Feature:
    name: str
    family: str
    unit: str
    better: str | None
    lever: bool
    en: Words
    ja: Words
    window: int | None = 90


@dataclass(frozen=True)
class Family:
    en: str
    ja: str
    lever: bool
    play_en: str = ""
    play_ja: str = ""


FAMILIES = {
    "responsiveness": Family(
        "Response time",
        "応答の速さ",
        True,
        "Have the owner call back within one hour.",
        "担当者から1時間以内に折り返しご連絡ください。",
    ),
    "resolution": Family(
        "Resolution", "解決", True, "Have a senior agent fix it.", "上級担当者が解決してください。"
    ),
    "effort": Family(
        "Customer effort and escalation",
        "お客様の手間・エスカレーション",
        True,
        "Name one owner.",
        "担当者を一人に定めてください。",
    ),
    "satisfaction": Family("Stated satisfaction", "満足度アンケート", True, "Call.", "お電話を。"),
    "care": Family("Follow-up and personal care", "フォローアップ", True, "Thank.", "お礼を。"),
    "loyalty": Family("Loyalty programme", "ロイヤルティプログラム", True, "Invite.", "ご案内を。"),
    "sentiment": Family("Tone of messages", "メッセージの感情", True, "Read.", "ご確認を。"),
    "channels": Family(
        "Channels, hours and language", "チャネル・時間帯・言語", True, "Ask.", "確認を。"
    ),
    "returns": Family("Returns and refunds", "返品・返金", True, "Refund.", "返金を。"),
    "purchases": Family("Purchases", "購入履歴", False),
    "subscription": Family("Contract", "契約", False),
    "profile": Family("Profile and usage", "属性・利用状況", False),
}

# name, family, unit, better, en label, ja label, mean_abs_shap, slope, agrees
ROWS: list[tuple[str, str, str, str | None, str, str, float, float, str]] = [
    ("first_response_hours_typical_90d", "responsiveness", "hours", "lower",
     "Typical first response time (last 90 days)", "初回応答時間（代表値、直近90日）",
     0.16, 0.55, "yes"),
    ("first_contact_resolution_share_90d", "resolution", "share", "higher",
     "First-contact resolution (last 90 days)", "一次解決率（直近90日）", 0.13, -0.45, "yes"),
    ("csat_last", "satisfaction", "score", "higher",
     "Latest customer satisfaction (CSAT, 0-100)", "直近の顧客満足度（CSAT、0〜100）",
     0.08, -0.3, "yes"),
    ("escalation_share_180d", "effort", "share", "lower",
     "Escalated tickets (last 180 days)", "エスカレーション率（直近180日）", 0.06, 0.24, "yes"),
    ("follow_up_count_90d", "care", "count", "higher",
     "Follow-ups received (last 90 days)", "フォローアップの回数（直近90日）", 0.05, 0.2, "no"),
    ("points_earned_180d", "loyalty", "points", "higher",
     "Points earned (last 180 days)", "獲得ポイント（直近180日）", 0.03, -0.02, "unclear"),
    ("days_to_renewal", "subscription", "days", None,
     "Days until the paid term ends", "契約更新までの日数", 0.31, -0.9, "unclear"),
    ("amount_sum_180d", "purchases", "currency", "higher",
     "Amount bought (last 180 days)", "購入金額（直近180日）", 0.22, -0.6, "yes"),
    ("language", "profile", "category", None, "Language", "言語", 0.02, 0.0, "unclear"),
]  # fmt: skip

BINS: dict[str, list[float | None]] = {
    "hours": [None, 0.2, 0.6, 1.1, 1.9, 3.4, 6.2, 14.0, 38.0],
    "share": [None, 0.0, 0.25, 0.5, 0.75, 1.0],
    "score": [None, 0.0, 25.0, 50.0, 75.0, 100.0],
    "count": [0.0, 1.0, 2.0, 3.0],
    "points": [0.0, 40.0, 180.0, 520.0, 2400.0],
}


KPIS = {
    kpi.key: kpi
    for kpi in (
        Kpi("churn_rate", "P1", "Churn rate", "解約率", "share", "lower"),
        Kpi("first_response_hours", "P2", "First response time, median of 24 h",
            "初回応答時間（24時間での中央値）", "hours", "lower",
            (Line(None, 0.25, "Within 15 minutes", "15分以内"),)),
        Kpi("first_contact_resolution", "P3", "First-contact resolution", "一次解決率", "share",
            "higher", (Line(0.7, 0.9, "70 to 90%", "70〜90%"),)),
        Kpi("nps", "P4", "Net promoter score (NPS)", "NPS", "points", "higher",
            (Line(50, None, "50 or more is very good", "50以上で非常に良い"),)),
        Kpi("tickets", "P5", "Tickets", "問い合わせ件数", "count"),
    )
}  # fmt: skip
PANELS = {
    "P1": Name("retention", "継続"),
    "P2": Name("response", "応答"),
    "P3": Name("resolution", "解決"),
    "P4": Name("voice of the customer", "お客様の声"),
    "P5": Name("channel, 24 h and language", "チャネル・24時間・言語"),
}
LEVERS = {
    "fcr": Name("Resolved at first contact", "一次解決", "Solved in one contact, against not",
                "最初の対応で解決した場合とそうでない場合の比較", "resolution"),
    "escalated": Name("Escalated", "エスカレーション", "Escalated, against not",
                      "エスカレーションした場合としなかった場合の比較", "effort"),
    "fast_reply": Name("Reply within the hour", "1時間以内の応答", "A reply within the hour",
                       "1時間以内に応答した場合の比較", "responsiveness"),
    "loyalty": Name("Loyalty enrolment", "会員登録", "Enrolled, against not",
                    "登録している場合の比較", "loyalty"),
}  # fmt: skip
CLAIMS = {
    "rebuy": Name("About 70% buy again", "約70%が再購入", "Share who bought within 60 days",
                  "60日以内に購入した割合"),
    "attitude": Name("80% value attitude", "80%が態度を重視", "Ratio of contributions", "寄与の比"),
}  # fmt: skip
CAVEATS = {"selection": Name("Who answers is not random.", "回答者は無作為ではありません。")}
REASONS = {
    "negative_control": Name("A control that must be null is not.", "陰性対照に差があります。"),
    "power": Name("Too few tickets.", "件数が不足しています。"),
}
MONTHS = [f"2024-{month:02d}" for month in range(7, 13)] + [f"2025-0{m}" for m in range(1, 7)]


def kpi_table() -> pd.DataFrame:
    level = {"churn_rate": 0.061, "first_response_hours": 1.56, "first_contact_resolution": 0.694,
             "nps": -25.7}  # fmt: skip
    rows: list[tuple[Any, ...]] = []
    for key, at in level.items():
        half, panel = abs(at) * 0.04, KPIS[key].panel
        # First-contact resolution has risen; everything else is as it was.
        recent = at + (3 * half if key == "first_contact_resolution" else 0)
        rows.append((panel, key, "all", "", 14_280, at, at - half, at + half))
        rows.append((panel, key, "recent", "", 3371, recent, recent - half, recent + half))
        for number, month in enumerate(MONTHS):
            value = at * (1 + 0.1 * math.sin(number))
            rows.append((panel, key, "month", month, 1200, value, value - half, value + half))
        for channel, by in (("mail", 1.4), ("phone", 0.8), ("chat", 0.6)):
            rows.append(
                (panel, key, "channel", channel, 4300, at * by, at * by - half, at * by + half)
            )
        rows.append((panel, key, "channel", "in_person", 12, None, None, None))
    rows.append(("P5", "tickets", "all", "", 14_280, 14_280, None, None))
    for day in range(1, 8):
        for hour in range(24):
            count = 10 * day + hour
            rows.append(("P5", "tickets", "hour", f"{day}-{hour:02d}", count, count, None, None))
    columns = ["panel", "kpi", "dimension", "value_of", "n", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def claims() -> list[dict[str, Any]]:
    return [
        {"claim": "rebuy", "n": 812, "value": 0.642, "low": 0.61, "high": 0.674, "unit": "share",
         "claimed": [0.65, 0.75], "verdict": "consistent", "caveats": ["selection"]},
        {"claim": "attitude", "n": 0, "value": None, "low": None, "high": None, "unit": "share",
         "claimed": [0.8, None], "verdict": "not testable", "caveats": []},
    ]  # fmt: skip


def effect_table() -> pd.DataFrame:
    rows = []
    for lever, naive, theta, se, grade, reasons in (
        ("fcr", -0.11, -0.091, 0.004, "B", ""),
        ("escalated", 0.04, 0.056, 0.007, "B", ""),
        ("fast_reply", -0.049, -0.019, 0.005, "C", "negative_control"),
        ("loyalty", -0.02, -0.004, 0.006, "D", "power;not_identified"),
    ):
        rows.append(
            {"lever": lever, "outcome": "churn", "estimand": "ATE", "population": "tickets",
             "horizon_days": 90, "tickets": 14_200, "customers": 3900, "treated_share": 0.42,
             "naive": naive, "theta": theta, "se": se, "low": theta - 1.96 * se,
             "high": theta + 1.96 * se, "p_holm": 0.001, "mde": 2.8 * se, "ess_share": 0.62,
             "overlap_share": 0.91, "smd_max": 0.04, "negative_control_p": 0.41,
             "placebo_p": 0.52, "rv": 0.05, "bound_low": theta - 0.01, "bound_high": theta + 0.01,
             "grade": grade, "reasons": reasons, "adjust_set": "intake"}
        )  # fmt: skip
    return pd.DataFrame(rows)


def effect_summary() -> dict[str, Any]:
    panel = {"share_before": 0.69, "share_after": 0.74, "tickets_per_year": 14_200,
             "departures": -64.6, "departures_low": -70.2, "departures_high": -59.1,
             "value": 1_938_000.0, "value_low": 1_773_000.0, "value_high": 2_106_000.0}  # fmt: skip
    return {
        "skipped": None,
        "horizon_days": 90,
        "customer_value": 30_000,
        "levers": {
            "fcr": {"grade": "B", "what_if": panel},
            "fast_reply": {"grade": "C", "what_if": None},
        },
        "skipped_levers": {"follow_up": {"en": "not recorded", "ja": "記録がありません"}},
    }


def ranked() -> pd.DataFrame:
    risk = [0.9, 0.6, 0.25, 0.1, 0.05]
    return pd.DataFrame(
        {"risk": risk, "tier": ["high", "high", "medium", "low", "low"],
         "customer_id": [f"C{number}" for number in range(5)]}
    )  # fmt: skip


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    features = {
        name: Feature(
            name,
            family,
            unit,
            better,
            FAMILIES[family].lever,
            Words(en, en + ": {value} (typical retained customer: {typical})."),
            Words(ja, ja + "は{value}です（継続しているお客様の標準は{typical}）。"),
        )
        for name, family, unit, better, en, ja, *_ in ROWS
    }
    return Catalog(
        features,
        FAMILIES,
        kpis=KPIS,
        panels=PANELS,
        levers=LEVERS,
        claims=CLAIMS,
        caveats=CAVEATS,
        reasons=REASONS,
    )


def estimate(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def metrics(task: str) -> dict[str, Any]:
    churn = task == "churn"
    rate = 0.064 if churn else 0.291

    def scores(auc: float, loss: float, lift: float) -> dict[str, Any]:
        return {
            "auc": estimate(auc, 0.012),
            "pr_auc": estimate(rate * lift * 0.7, 0.01),
            "log_loss": estimate(loss, 0.004),
            "brier": estimate(rate * 0.9, 0.002),
            "ece": estimate(0.006, 0.002),
            "lift_top_decile": estimate(lift, 0.22),
            "calibration_slope": estimate(0.98, 0.05),
            "calibration_intercept": estimate(-0.02, 0.09),
        }

    return {
        "skipped": None,
        "n": 41_230,
        "positives": round(41_230 * rate),
        "base_rate": rate,
        "test_as_of": ["2025-01-01", "2025-02-01", "2025-03-01", "2025-04-01"],
        "model": scores(0.764, 0.2143, 3.14),
        "baselines": {
            "prior": scores(0.5, 0.2381, 1.0),
            "recency": scores(0.611, 0.2312, 1.6),
            "rfm_logistic": scores(0.668, 0.2268, 2.05),
        },
        "best_baseline": "rfm_logistic",
        "gain_over_best_baseline": {
            "log_loss": estimate(0.0125, 0.0021),
            "auc": estimate(0.096, 0.011),
        },
        "beats_best_baseline": True,
        "gain_of_support_features": {
            "log_loss": estimate(0.0031, 0.0011) if churn else estimate(-0.0002, 0.0009),
            "auc": estimate(0.011, 0.004),
        },
        "gain_of_levers": {"log_loss": estimate(0.0004, 0.0009), "auc": estimate(0.001, 0.002)},
        "value": {"costs": {"customer_value": 30_000.0}, "empc": estimate(9.3, 4.0)},
    }


def evaluation(task: str) -> dict[str, Any]:
    rate = metrics(task)["base_rate"]
    reliability = [
        {"bin": i, "n": 4123, "predicted": rate * s, "observed": rate * s * (1.06 - 0.01 * i)}
        for i, s in enumerate((0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.1, 1.5, 2.1, 2.6))
    ]
    for row in reliability:
        half = 1.96 * math.sqrt(row["observed"] * (1 - row["observed"]) / row["n"])
        row |= {"low": row["observed"] - half, "high": row["observed"] + half}
    gains = [
        {"share_contacted": i / 20, "share_found": (i / 20) ** 0.5, "lift": (i / 20) ** -0.5}
        for i in range(1, 21)
    ]
    by_as_of = [
        {"as_of": day, "n": 10_300 + i, "positives": 660, "base_rate": rate,
         "auc": auc, "auc_low": auc - 0.02, "auc_high": auc + 0.02, "log_loss": 0.214}
        for i, (day, auc) in enumerate(
            [("2025-01-01", 0.771), ("2025-02-01", 0.768), ("2025-03-01", 0.757),
             ("2025-04-01", 0.76)]
        )
    ]  # fmt: skip
    slices = [
        {"dimension": "plan", "value": value, "n": 9000, "customers": 3000, "flag": flag}
        for value, flag in (("annual", ""), ("monthly", "level, missed"))
    ]
    return {
        "metrics": metrics(task),
        "slices": pd.DataFrame(slices),
        "reliability": pd.DataFrame(reliability),
        "gains": pd.DataFrame(gains),
        "by_as_of": pd.DataFrame(by_as_of),
    }


def explanation(task: str) -> dict[str, Any]:
    sign = 1 if task == "churn" else -1
    rate = metrics(task)["base_rate"]
    features, dependence, families = [], [], []
    for name, family, unit, better, _, _, size, slope, agrees in ROWS:
        lever = FAMILIES[family].lever
        half = 0.01
        families.append(
            {"family": family, "lever": lever, "mean_abs_shap": size * 1.2,
             "low": size * 1.1, "high": size * 1.32, "share": size / 1.06}
        )  # fmt: skip
        features.append(
            {"feature": name, "family": family, "lever": lever, "mean_abs_shap": size,
             "low": size - half, "high": size + half, "direction": sign * slope,
             "direction_low": sign * slope - 0.05, "direction_high": sign * slope + 0.05,
             "better": better, "agrees": agrees}
        )  # fmt: skip
        bins = BINS.get(unit, [])
        known = [value for value in bins if value is not None]
        for number, value in enumerate(bins):
            rank = known.index(value) / (len(known) - 1) - 0.5 if value is not None else -0.1
            shap = sign * slope * rank
            observed = rate * math.exp(shap)
            dependence.append(
                {"feature": name, "bin": number, "n": 900 + 210 * number, "value": value,
                 "shap": shap, "shap_low": shap - 0.03, "shap_high": shap + 0.03,
                 "observed_rate": observed, "observed_low": observed * 0.9,
                 "observed_high": observed * 1.1}
            )  # fmt: skip
    families += [
        {"family": family, "lever": True, "mean_abs_shap": size, "low": size * 0.9,
         "high": size * 1.1, "share": 0.02}
        for family, size in (("sentiment", 0.045), ("channels", 0.038), ("returns", 0.012))
    ]  # fmt: skip
    return {
        "summary": {"skipped": None, "rows": 20_000, "base_log_odds": -2.9,
                    "additivity_max_error": 3e-13},
        "families": pd.DataFrame(families),
        "features": pd.DataFrame(features),
        "dependence": pd.DataFrame(dependence),
    }  # fmt: skip


def segments() -> pd.DataFrame:
    rows = [
        ("segment", "premium", 3120, 0.041, 88),
        ("segment", "standard", 15_210, 0.071, 1422),
        ("language", "ja", 15_830, 0.061, 1190),
        ("language", "en", 1840, 0.083, 241),
        ("language", "ko", 610, 0.097, 70),
        ("language", "zh", 21, 0.12, 3),
        ("plan", "annual", 4980, 0.045, 210),
        ("plan", "monthly", 13_350, 0.076, 1300),
    ]
    columns = ["dimension", "value", "customers", "mean_risk", "high_risk_customers"]
    return pd.DataFrame(rows, columns=columns)


def results(catalog: Catalog) -> dict[str, Any]:
    """The arguments of `build_facts`."""
    tasks = ("churn", "repeat_purchase")
    labels = {
        task: {
            "definition": "contractual" if task == "churn" else "purchase",
            "gap_days": 7,
            "horizon_days": 90 if task == "churn" else 60,
            "lag_days": 10,
            "skipped": None,
            "by_as_of": [
                {"as_of": f"2025-0{month}-01", "eligible": 10_420,
                 "labelled": 10_300 if month < 5 else 0,
                 "positives": 660 if month < 5 else 0, "immature": 0 if month < 5 else 10_350,
                 "gap_exits": 70}
                for month in range(1, 7)
            ],
            "ineligible": {"tenure below 28 days": 812},
        }
        for task in tasks
    }  # fmt: skip
    table = {
        "read": 120_411,
        "kept": 120_180,
        "quarantined": 171,
        "duplicates": 60,
        "reasons": {"before sign-up": 120, "customer unknown": 51},
        "first_known_at": "2023-01-01T00:02:11+00:00",
        "last_known_at": "2025-06-30T23:51:00+00:00",
        "lateness_days_p99": 2.4,
    }
    clear = {"quarantined": 0, "duplicates": 0, "reasons": {}}
    return {
        "contract": {
            "source": "world",
            "description": {
                "en": "A simulated subscription company with a support centre in Tokyo.",
                "ja": "東京にサポートセンターを置く、架空の定期購入サービス会社です。",
            },
            "timezone": "Asia/Tokyo",
            "currency": "JPY",
            "observed_until": "2025-06-30",
            "tables": {
                "customers": {**table, **clear, "read": 20_000, "kept": 20_000},
                "tickets": table,
                "surveys": {**table, **clear, "read": 20_311, "kept": 20_311},
            },
            "absent": ["web_sessions", "returns"],
            "warnings": [{"table": "surveys", "message": "lateness p99 is 8.1 days"}],
        },
        "summary": {
            "as_of": ["2023-07-01", "2025-06-01", "2025-01-01"],
            "rows": 402_113,
            "customers": 20_000,
            "features": 162,
            "tasks": labels,
        },
        "evaluation": {task: evaluation(task) for task in tasks},
        "explanation": {task: explanation(task) for task in tasks},
        "segments": {task: segments() for task in tasks},
        "catalog": catalog,
        "kpis": {
            "table": kpi_table(),
            "summary": {
                "absent": [
                    {
                        "kpi": "cost",
                        "panel": "P9",
                        "en": "Cost needs wage rates.",
                        "ja": "費用には単価が必要です。",
                    }
                ]
            },
        },
        "claims": claims(),
        "effects": {"table": effect_table(), "summary": effect_summary()},
        "scores": {task: ranked() for task in tasks},
        "about": {
            "company": "Sakura Direct",
            "data": "3f9c1a7be02d",
            "model_churn": "a81b0c",
            "model_repeat_purchase": "77de12",
        },
    }


@pytest.fixture
def arguments(catalog: Catalog) -> dict[str, Any]:
    return results(catalog)


@pytest.fixture(scope="session")
def facts(catalog: Catalog) -> dict[str, Any]:
    return build_facts(**results(catalog))


@pytest.fixture(scope="session")
def pages(facts: dict[str, Any], catalog: Catalog) -> dict[str, str]:
    """The report in each language."""
    return {language: render(facts, language, catalog) for language in LANGUAGES}


def save(arguments: Mapping[str, Any], facts: Mapping[str, Any], root: Path) -> None:
    """Write the artifacts that the arguments of `build_facts` were read from."""

    def put(file: str, content: Any) -> None:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False)
        else:
            path.write_text(json.dumps(content), encoding="utf-8")

    put("contract.json", arguments["contract"])
    put("features/summary.json", arguments["summary"])
    put("reports/facts.json", facts)
    for part in ("evaluation", "explanation"):
        for task, found in arguments[part].items():
            for name, content in found.items():
                kind = "csv" if isinstance(content, pd.DataFrame) else "json"
                put(f"{part}/{task}/{name}.{kind}", content)
    for task, table in arguments["segments"].items():
        put(f"score/{task}/segments.csv", table)
    for part in ("kpis", "effects"):
        if arguments[part]:
            put(f"{part}/{part}.csv", arguments[part]["table"])
    put("kpis/claims.json", arguments["claims"])
    put("effects/summary.json", arguments["effects"]["summary"])


@pytest.fixture(scope="session")
def saved(
    tmp_path_factory: pytest.TempPathFactory, catalog: Catalog, facts: dict[str, Any]
) -> Path:
    """The artifacts of `facts`."""
    root = tmp_path_factory.mktemp("artifacts")
    save(results(catalog), facts, root)
    return root
