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
        "On a scale from −1 to 1 the messages of the last {window} have a mean tone of {value}; for"
        " customers who stay it is typically {typical}",
        "直近{window}のメッセージの感情（−1〜1）は平均{value}です"
        "（継続されるお客様の目安：{typical}）",
        items=(
            "S24",
            "S58",
        ),
        columns=("messages.text",),
    ),
    Declared(
        "message_tone_min",
        "customer_message",
        lowest("polarity"),
        "tone",
        "higher",
        "Most negative message",
        "最も否定的なメッセージ",
        "The most negative message of the last {window} has a tone of {value}; for customers who"
        " stay it is typically {typical}",
        "直近{window}で最も否定的なメッセージの感情（−1〜1）は{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S24",),
        columns=("messages.text",),
    ),
    Declared(
        "message_tone_last",
        "customer_message",
        last("polarity"),
        "tone",
        "higher",
        "Tone of the latest message",
        "直近メッセージの感情",
        "The latest message has a tone of {value};"
        " for customers who stay it is typically {typical}",
        "直近のメッセージの感情（−1〜1）は{value}です（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S24",),
        columns=("messages.text",),
    ),
    Declared(
        "negative_message_share",
        "customer_message",
        share("negative", 0.4),
        "share",
        "lower",
        "Negative messages",
        "否定的なメッセージの割合",
        "{value} of the messages of the last {window} are negative; for customers who stay it is"
        " typically {typical}",
        "直近{window}のメッセージのうち否定的なものは{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S24",),
        columns=("messages.text",),
    ),
    Declared(
        "message_tone_decayed",
        "customer_message",
        decayed("polarity"),
        "level",
        "higher",
        "Recent tone of messages (weighted by recency)",
        "最近のメッセージの感情（直近重視の加重値）",
        "The tone of recent messages (old ones count less) comes to {value}; for customers who stay"
        " it is typically {typical}",
        "最近のメッセージの感情（古いものほど軽く数えた合計）は{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S24",),
        columns=("messages.text",),
    ),
    Declared(
        "message_tone_trend",
        "customer_message",
        trend("polarity"),
        "tone",
        "higher",
        "Change in tone of messages",
        "メッセージの感情の変化",
        "The tone of messages changed by {value} against the {window} before; for customers who"
        " stay it is typically {typical}",
        "メッセージの感情は、その前の{window}と比べて{value}の変化です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S24",),
        columns=("messages.text",),
    ),
    Declared(
        "days_since_last_message",
        "customer_message",
        days_since_last(),
        "days",
        None,
        "Days since the last message",
        "最後のメッセージからの日数",
        "The last message came {value} ago; for customers who stay it is typically {typical}",
        "最後のメッセージから{value}がたっています（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S24",),
    ),
)
