"""The tone of the customer's own messages (METHODS S24, S58). Scored by `features.polarity`."""

from features.aggregates import days_since_last, decayed, last, lowest, mean, share, trend
from features.declare import Declared, Family

FAMILY = Family(
    "sentiment",
    lever=True,
    en="Tone of messages",
    ja="メッセージの感情",
    play_en="Read the latest messages and answer the complaint personally.",
    play_ja="直近のメッセージを確認し、ご不満に個別にお応えください。",
)

FEATURES = (
    Declared(
        "message_tone_mean",
        "customer_message",
        mean("polarity"),
        "tone",
        "higher",
        "Mean tone of messages",
        "メッセージの感情（平均）",
    ),
    Declared(
        "message_tone_min",
        "customer_message",
        lowest("polarity"),
        "tone",
        "higher",
        "Most negative message",
        "最も否定的なメッセージ",
        windows="longest",
    ),
    Declared(
        "message_tone_last",
        "customer_message",
        last("polarity"),
        "tone",
        "higher",
        "Tone of the latest message",
        "直近メッセージの感情",
        windows="none",
    ),
    Declared(
        "negative_message_share",
        "customer_message",
        share("negative", 0.4),
        "share",
        "lower",
        "Negative messages",
        "否定的なメッセージの割合",
        windows="longest",
    ),
    Declared(
        "message_tone_decayed",
        "customer_message",
        decayed("polarity"),
        "level",
        "higher",
        "Recent tone of messages (weighted by recency)",
        "最近のメッセージの感情（直近重視の加重値）",
        windows="none",
    ),
    Declared(
        "message_tone_trend",
        "customer_message",
        trend("polarity"),
        "tone",
        "higher",
        "Change in tone of messages",
        "メッセージの感情の変化",
        windows="longest",
    ),
    Declared(
        "days_since_last_message",
        "customer_message",
        days_since_last(),
        "days",
        None,
        "Days since the last message",
        "最後のメッセージからの日数",
        windows="none",
    ),
)
