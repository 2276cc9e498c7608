"""Who the customer is and how much they use the service: context, never a lever."""

from features.aggregates import days_since, days_since_last, decayed, total, trend
from features.declare import Attribute, Declared, Family

FAMILY = Family("profile", lever=False, en="Profile and usage", ja="属性・利用状況")

FEATURES = (
    Declared(
        "tenure_days",
        "profile",
        days_since("signup_day"),
        "days",
        "higher",
        "Days since sign-up",
        "登録からの日数",
        windows="none",
    ),
    Declared(
        "loyalty_tenure_days",
        "loyalty",
        days_since("enrolled_day"),
        "days",
        "higher",
        "Days in the loyalty programme",
        "ロイヤルティ会員日数",
        windows="none",
    ),
    Declared(
        "ticket_severity_decayed",
        "ticket_opened",
        decayed("severity"),
        "level",
        "lower",
        "Recent severity of problems (weighted by recency)",
        "最近の問題の深刻度（直近重視の加重値）",
        windows="none",
    ),
    Declared("visit_count", "visit", total("visits"), "count", "higher", "Visits", "利用回数"),
    Declared(
        "visit_trend",
        "visit",
        trend("visits"),
        "count",
        "higher",
        "Change in visits",
        "利用回数の変化",
    ),
    Declared(
        "visit_decayed",
        "visit",
        decayed("visits"),
        "level",
        "higher",
        "Recent visits (weighted by recency)",
        "最近の利用（直近重視の加重値）",
        windows="none",
    ),
    Declared(
        "days_since_last_visit",
        "visit",
        days_since_last(),
        "days",
        "lower",
        "Days since the last visit",
        "最後の利用からの日数",
        windows="none",
    ),
)

ATTRIBUTES = (
    Attribute("language", "customers", "language", "Language", "言語"),
    Attribute("country", "customers", "country", "Country", "国"),
    Attribute("region", "customers", "region", "Region", "地域"),
    Attribute("segment", "customers", "segment", "Segment", "顧客区分"),
    Attribute("acquisition", "customers", "acquisition", "Acquisition", "獲得経路"),
    Attribute("relationship", "customers", "relationship", "Relationship", "契約形態"),
    Attribute("channel_pref", "customers", "channel_pref", "Preferred channel", "希望チャネル"),
)
