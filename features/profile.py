"""Who the customer is and how much they use the service: context, never a lever (METHODS S66,
S71, S72)."""

from features.aggregates import days_since, days_since_last, decayed, last, total, trend
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
        "The customer signed up {value} ago; for customers who stay it is typically {typical}",
        "登録から{value}がたっています（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S69",),
    ),
    Declared(
        "loyalty_tenure_days",
        "loyalty",
        days_since("enrolled_day"),
        "days",
        "higher",
        "Days in the loyalty programme",
        "ロイヤルティ会員日数",
        "The customer joined the loyalty programme {value} ago;"
        " for customers who stay it is typically {typical}",
        "ロイヤルティ会員になってから{value}がたっています（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S66",),
    ),
    Declared(
        "csr_opt_in",
        "profile",
        last("csr"),
        "flag",
        None,
        "Takes part in the sustainability programme",
        "サステナビリティ活動への参加",
        "Takes part in the sustainability programme: {value};"
        " customers who stay: typically {typical}",
        "サステナビリティ活動への参加：{value}（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S71",),
        columns=("customers.csr_opt_in",),
    ),
    Declared(
        "ticket_severity_decayed",
        "ticket_opened",
        decayed("severity"),
        "level",
        "lower",
        "Recent severity of problems (weighted by recency)",
        "最近の問題の深刻度（直近重視の加重値）",
        "The severity of recent problems (old ones count less) comes to {value};"
        " for customers who stay it is typically {typical}",
        "最近の問題の深刻度（古いものほど軽く数えた合計）は{value}です（継続されるお客様の目安：{typical}）",
        windows="none",
        columns=("tickets.severity",),
    ),
    Declared(
        "visit_count",
        "visit",
        total("visits"),
        "count",
        "higher",
        "Visits",
        "利用回数",
        "Visits in the last {window} came to {value}; customers who stay typically make {typical}",
        "直近{window}の利用は{value}回です（継続されるお客様の目安：{typical}回）",
        items=("S72",),
        columns=("web_sessions.visits",),
    ),
    Declared(
        "visit_trend",
        "visit",
        trend("visits"),
        "count",
        "higher",
        "Change in visits",
        "利用回数の変化",
        "Visits per period changed by {value} against the {window} before;"
        " for customers who stay it is typically {typical}",
        "1期間あたりの利用は、その前の{window}と比べて{value}回の変化です"
        "（継続されるお客様の目安：{typical}回）",
        items=("S72",),
        columns=("web_sessions.visits",),
    ),
    Declared(
        "visit_decayed",
        "visit",
        decayed("visits"),
        "level",
        "higher",
        "Recent visits (weighted by recency)",
        "最近の利用（直近重視の加重値）",
        "Recent visits (old ones count less) come to {value};"
        " for customers who stay it is typically {typical}",
        "最近の利用（古いものほど軽く数えた合計）は{value}です（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S72",),
        columns=("web_sessions.visits",),
    ),
    Declared(
        "days_since_last_visit",
        "visit",
        days_since_last(),
        "days",
        "lower",
        "Days since the last visit",
        "最後の利用からの日数",
        "The last visit was {value} ago; for customers who stay it is typically {typical}",
        "最後の利用から{value}がたっています（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S72",),
    ),
)


def _attribute(column: str, en: str, ja: str, items: tuple[str, ...] = ()) -> Attribute:
    """A column of the customer's profile; all read alike."""
    return Attribute(
        column,
        "customers",
        column,
        en,
        ja,
        f"{en}: {{value}}; with customers who stay it is most often {{typical}}",
        f"{ja}は「{{value}}」です（継続されるお客様で最も多いのは「{{typical}}」）",
        items=items,
    )


ATTRIBUTES = (
    _attribute("language", "Language", "言語", ("S39",)),
    _attribute("country", "Country", "国"),
    _attribute("region", "Region", "地域"),
    _attribute("segment", "Segment", "顧客区分"),
    _attribute("acquisition", "Acquisition", "獲得経路"),
    _attribute("relationship", "Relationship", "契約形態"),
    _attribute("channel_pref", "Preferred channel", "希望チャネル", ("S34",)),
)
