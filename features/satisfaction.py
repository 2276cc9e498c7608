"""What customers answer when asked: CSAT, NPS, CES on 0-100 (METHODS S17-S23).

No answer is missing, never neutral: who answers is not random.
"""

from features.aggregates import count, days_since_last, last, mean, share
from features.declare import Declared, Family

FAMILY = Family(
    "satisfaction",
    lever=True,
    en="Stated satisfaction",
    ja="満足度アンケート",
    play_en="Call the customer about the low rating and agree on what would put it right.",
    play_ja="低い評価についてお電話で事情を伺い、改善策を合意してください。",
)

FEATURES = (
    Declared(
        "csat_mean",
        "survey_answer",
        mean("csat"),
        "score",
        "higher",
        "Customer satisfaction (CSAT, 0-100)",
        "顧客満足度（CSAT、0〜100）",
        windows="longest",
    ),
    Declared(
        "csat_last",
        "survey_answer",
        last("csat"),
        "score",
        "higher",
        "Latest customer satisfaction (CSAT, 0-100)",
        "直近の顧客満足度（CSAT、0〜100）",
        windows="none",
    ),
    Declared(
        "csat_low_share",
        "survey_answer",
        share("csat_low", 0.2),
        "share",
        "lower",
        "Low satisfaction ratings",
        "低評価の割合",
        windows="longest",
    ),
    Declared(
        "nps_last",
        "survey_answer",
        last("nps"),
        "score",
        "higher",
        "Latest recommendation score (0-100)",
        "直近の推奨度（0〜100）",
        windows="none",
    ),
    Declared(
        "ces_last",
        "survey_answer",
        last("ces"),
        "score",
        "higher",
        "Latest ease score (CES, 0-100, high = easy)",
        "直近の顧客努力指標（CES、0〜100、高いほど容易）",
        windows="none",
    ),
    Declared(
        "survey_answer_share",
        "survey_due",
        share("answered", 0.35),
        "share",
        "higher",
        "Surveys answered",
        "アンケート回答率",
        windows="longest",
    ),
    Declared(
        "survey_sent_count",
        "survey_due",
        count(),
        "count",
        None,
        "Surveys sent",
        "アンケート送付数",
        windows="longest",
    ),
    Declared(
        "days_since_last_answer",
        "survey_answer",
        days_since_last(),
        "days",
        None,
        "Days since the last survey answer",
        "最後のアンケート回答からの日数",
        windows="none",
    ),
)
