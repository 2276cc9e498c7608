"""The state of the contract (METHODS S67, context)."""

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
        windows="none",
    ),
    Declared(
        "days_to_renewal",
        "subscription",
        days_until("term_end_day"),
        "days",
        None,
        "Days until the paid term ends",
        "契約更新までの日数",
        windows="none",
    ),
    Declared(
        "renewal_count",
        "subscription",
        count("renewal"),
        "count",
        "higher",
        "Renewals",
        "更新回数",
        windows="longest",
    ),
    Declared(
        "payment_failure_count",
        "subscription",
        count("payment_failure"),
        "count",
        "lower",
        "Failed payments",
        "支払い失敗の回数",
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
        windows="none",
    ),
)

ATTRIBUTES = (Attribute("plan", "subscriptions", "plan", "Plan", "プラン"),)
