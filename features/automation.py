"""What bots and self-service settle, and where they get in the way (METHODS S3, S45-S48)."""

from features.aggregates import count, days_since_last, decayed, last, mean, share, total
from features.declare import Declared, Family

FAMILY = Family(
    "automation",
    lever=True,
    en="Bots and self-service",
    ja="ボット・セルフサービス",
    play_en="Have a person take over from the bot and settle the problem.",
    play_ja="ボットから担当者へ引き継ぎ、問題を解決してください。",
)

FEATURES = (
    Declared(
        "bot_reply_share",
        "reply",
        share("is_bot", 0.2),
        "share",
        None,
        "Replies written by a bot",
        "ボットによる返信の割合",
        "{value} of the replies of the last {window} were written by a bot; for customers who stay"
        " it is typically {typical}",
        "直近{window}の返信のうちボットによるものは{value}です（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S45",),
    ),
    Declared(
        "bot_reply_count",
        "reply",
        total("is_bot"),
        "count",
        None,
        "Bot replies",
        "ボットの返信回数",
        "A bot replied {value} times in the last {window}; for customers who stay it is typically"
        " {typical}",
        "直近{window}のボットの返信は{value}回です（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=("S45",),
    ),
    Declared(
        "bot_acknowledgement_seconds_mean",
        "bot_acknowledgement",
        mean("seconds"),
        "seconds",
        "lower",
        "Mean time to the automatic acknowledgement",
        "自動受付返信までの平均時間",
        "The automatic acknowledgement took {value} on average in the last {window}; for customers"
        " who stay it is typically {typical}",
        "直近{window}の自動受付返信までの時間は平均{value}です（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S3",),
    ),
    Declared(
        "bot_turns_mean",
        "bot_due_24h",
        mean("turns"),
        "count",
        "lower",
        "Bot replies before a person answered",
        "人が応答するまでのボットの返信回数",
        "A bot replied {value} times per ticket before a person answered in the last {window}; for"
        " customers who stay it is typically {typical}",
        "直近{window}の問い合わせでは、"
        "人が応答するまでにボットが1件あたり平均{value}回返信しています"
        "（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=(
            "S45",
            "S47",
        ),
    ),
    Declared(
        "bot_handoff_hours_mean",
        "bot_due_24h",
        mean("handoff_hours"),
        "hours",
        "lower",
        "Mean time from bot to person",
        "ボットから人への引き継ぎまでの平均時間",
        "From the bot's first reply to a person it took {value} on average in the last {window},"
        " counting at most 24 hours; for customers who stay it is typically {typical}",
        "直近{window}のボットから人への引き継ぎは平均{value}です（24時間を上限に計算）"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S47",),
    ),
    Declared(
        "bot_resolved_share",
        "bot_settled_72h",
        share("resolved_by_bot", 0.2),
        "share",
        "higher",
        "Bot tickets resolved without a person",
        "ボットだけで解決した割合",
        "{value} of the tickets a bot took in the last {window} were resolved without a person; for"
        " customers who stay it is typically {typical}",
        "直近{window}にボットが受け付けた問い合わせのうち、ボットだけで解決したのは{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S45",),
    ),
    Declared(
        "bot_not_understood_share",
        "reply",
        share("not_understood", 0.2),
        "share",
        "lower",
        "Bot replies that did not understand",
        "ボットが理解できなかった返信の割合",
        "The bot did not understand in {value} of its replies of the last {window}; for customers"
        " who stay it is typically {typical}",
        "直近{window}のボットの返信のうち、理解できなかったものは{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S46",),
        columns=("messages.not_understood",),
    ),
    Declared(
        "bot_trap_decayed",
        "bot_due_24h",
        decayed("trapped"),
        "level",
        "lower",
        "Recent serious problems stuck with a bot (weighted by recency)",
        "ボット対応から抜け出せなかった最近の重要な問い合わせ（直近重視の加重値）",
        "Recent serious problems that got stuck with a bot (old ones count less) come to {value};"
        " for customers who stay it is typically {typical}",
        "ボット対応から抜け出せなかった最近の重要な問い合わせ（古いものほど軽く数えた合計）は{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S47",),
        columns=("tickets.severity",),
    ),
    Declared(
        "self_service_count",
        "self_service",
        count(),
        "count",
        "higher",
        "Self-service visits",
        "セルフサービスの利用回数",
        "Self-service visits in the last {window} came to {value}; for customers who stay it is"
        " typically {typical}",
        "直近{window}のセルフサービスの利用は{value}回です（継続されるお客様の目安：{typical}回）",
        items=("S48",),
    ),
    Declared(
        "self_service_success_share",
        "self_service_due",
        share("succeeded", 0.8),
        "share",
        "higher",
        "Self-service without a ticket",
        "セルフサービスでの自己解決率",
        "{value} of the self-service visits of the last {window} needed no ticket; for customers"
        " who stay it is typically {typical}",
        "直近{window}のセルフサービスの利用のうち、問い合わせに至らなかったのは{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S48",),
    ),
    Declared(
        "days_since_self_service",
        "self_service",
        days_since_last(),
        "days",
        None,
        "Days since the last self-service visit",
        "最後のセルフサービス利用からの日数",
        "The last self-service visit was {value} ago; for customers who stay it is typically"
        " {typical}",
        "最後のセルフサービスの利用から{value}がたっています（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S48",),
    ),
    Declared(
        "self_service_guide_count",
        "self_service",
        count("guide"),
        "count",
        "higher",
        "Videos, manuals and troubleshooters used",
        "動画・マニュアル・診断ツールの利用回数",
        "Videos, manuals and troubleshooters used in the last {window} came to {value};"
        " customers who stay typically use {typical}",
        "直近{window}の動画・マニュアル・診断ツールの利用は{value}回です"
        "（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=("S48",),
    ),
    Declared(
        "self_service_community_count",
        "self_service",
        count("community"),
        "count",
        "higher",
        "Visits to the community",
        "コミュニティの利用回数",
        "Visits to the community in the last {window} came to {value};"
        " customers who stay typically make {typical}",
        "直近{window}のコミュニティの利用は{value}回です（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=("S48",),
    ),
    Declared(
        "self_service_decayed",
        "self_service",
        decayed(),
        "level",
        "higher",
        "Recent self-service visits (weighted by recency)",
        "最近のセルフサービス利用（直近重視の加重値）",
        "Recent self-service use (old ones count less) is {value};"
        " for customers who stay it is typically {typical}",
        "最近のセルフサービス利用（古いものほど軽く数えた合計）は{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S48", "S49"),
    ),
    Declared(
        "self_service_success_last",
        "self_service_due",
        last("succeeded"),
        "flag",
        "higher",
        "Latest self-service visit without a ticket in 72 hours",
        "直近のセルフサービスでの自己解決（72時間以内の問い合わせなし）",
        "The latest self-service visit made a ticket unnecessary: {value};"
        " with customers who stay it is typically {typical}",
        "直近のセルフサービス利用で自己解決できたか：{value}（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S48", "S49"),
    ),
)
