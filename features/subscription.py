"""The state of the contract (METHODS S67, S69): context."""

from features.aggregates import count, days_since, days_until, last
from features.declare import Attribute, Declared, Family

FAMILY = Family("subscription", lever=False, en="Contract", ja="契約")

FEATURES = (
    Declared(
        "subscription_tenure_days",
        "subscription",
        days_since("started_day"),
        "days",
        "higher",
        "Days since the contract started",
        "契約日数",
        "The contract started {value} ago; for customers who stay it is typically {typical}",
        "契約開始から{value}がたっています（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S69",),
    ),
    Declared(
        "days_to_renewal",
        "subscription",
        days_until("term_end_day"),
        "days",
        None,
        "Days until the paid term ends",
        "契約更新までの日数",
        "The paid term has {value} left (negative: it is over);"
        " for customers who stay it is typically {typical}",
        "契約期間の残りは{value}です（負の値は満了後。継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S69",),
        columns=("subscriptions.term_end",),
    ),
    Declared(
        "renewal_count",
        "subscription",
        count("renewal"),
        "count",
        "higher",
        "Renewals",
        "更新回数",
        "Renewals in the last {window} came to {value};"
        " customers who stay typically have {typical}",
        "直近{window}の契約更新は{value}回です（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=("S69",),
    ),
    Declared(
        "payment_failure_count",
        "subscription",
        count("payment_failure"),
        "count",
        "lower",
        "Failed payments",
        "支払い失敗の回数",
        "Failed payments in the last {window} came to {value};"
        " customers who stay typically have {typical}",
        "直近{window}の支払いの失敗は{value}回です（継続されるお客様の目安：{typical}回）",
        windows="longest",
    ),
    Declared(
        "subscription_price",
        "subscription",
        last("price"),
        "currency",
        None,
        "Monthly price",
        "月額料金",
        "The monthly price is {value}; for customers who stay it is typically {typical}",
        "月額料金は{value}です（継続されるお客様の目安：{typical}）",
        windows="none",
        columns=("subscriptions.price",),
    ),
)

ATTRIBUTES = (
    Attribute(
        "plan",
        "subscriptions",
        "plan",
        "Plan",
        "プラン",
        "The plan is {value}; with customers who stay it is most often {typical}",
        "プランは「{value}」です（継続されるお客様で最も多いのは「{typical}」）",
    ),
)
