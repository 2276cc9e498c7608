"""How fast support answers (METHODS S1, S2, S15)."""

from features.aggregates import count, days_since_first, geomean, last, quantile, share, trend
from features.declare import Declared, Family

FAMILY = Family(
    "responsiveness",
    lever=True,
    en="Response time",
    ja="応答の速さ",
    play_en="Have the ticket's owner call back and give a first answer within one hour.",
    play_ja="担当者から折り返し連絡し、1時間以内に最初の回答をお伝えください。",
)

FEATURES = (
    Declared(
        "first_response_hours_typical",
        "first_response",
        geomean("hours"),
        "hours",
        "lower",
        "Typical first response time",
        "初回応答時間（代表値）",
    ),
    Declared(
        "first_response_hours_p90",
        "first_response",
        quantile("hours", 0.9),
        "hours",
        "lower",
        "Slowest tenth of first responses",
        "初回応答時間（90パーセンタイル）",
        windows="longest",
    ),
    Declared(
        "first_response_hours_last",
        "first_response",
        last("hours"),
        "hours",
        "lower",
        "Latest first response time",
        "直近の初回応答時間",
        windows="none",
    ),
    Declared(
        "first_response_within_1h_share",
        "first_response",
        share("within_1h", 0.4),
        "share",
        "higher",
        "First responses within one hour",
        "1時間以内の初回応答率",
    ),
    Declared(
        "first_response_hours_trend",
        "first_response",
        trend("hours"),
        "hours",
        "lower",
        "Change in first response time",
        "初回応答時間の変化",
        windows="longest",
    ),
    Declared(
        "answered_within_24h_share",
        "response_due",
        share("answered", 0.9),
        "share",
        "higher",
        "Tickets answered within 24 hours",
        "24時間以内の応答率",
    ),
    Declared(
        "awaiting_response_count",
        "awaiting_response",
        count(),
        "count",
        "lower",
        "Tickets waiting for a first response",
        "初回応答待ちの問い合わせ件数",
        windows="longest",
    ),
    Declared(
        "awaiting_response_days",
        "awaiting_response",
        days_since_first(),
        "days",
        "lower",
        "Longest current wait for a first response",
        "初回応答待ちの最長日数",
        windows="none",
    ),
)
