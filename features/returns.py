"""How easily things go back (METHODS S65)."""

from features.aggregates import count, days_since_last, mean, total
from features.declare import Declared, Family

FAMILY = Family(
    "returns",
    lever=True,
    en="Returns and refunds",
    ja="返品・返金",
    play_en="Speed up the refund and explain the remaining steps.",
    play_ja="返金を急ぎ、残りの手続きをご説明ください。",
)

FEATURES = (
    Declared("return_count", "return", count(), "count", "lower", "Returns", "返品回数"),
    Declared(
        "return_amount",
        "return",
        total("amount"),
        "currency",
        "lower",
        "Amount returned",
        "返品金額",
        windows="longest",
    ),
    Declared(
        "days_since_last_return",
        "return",
        days_since_last(),
        "days",
        None,
        "Days since the last return",
        "最後の返品からの日数",
        windows="none",
    ),
    Declared(
        "refund_days_mean",
        "refund",
        mean("days"),
        "days",
        "lower",
        "Days from return request to refund",
        "返品申請から返金までの日数",
        windows="longest",
    ),
)
