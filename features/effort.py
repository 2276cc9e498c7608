"""How much work the customer has to put in (METHODS S5, S9, S10, S41, S62)."""

from features.aggregates import count, days_since_last, decayed, highest, mean, share
from features.declare import Declared, Family

FAMILY = Family(
    "effort",
    lever=True,
    en="Customer effort and escalation",
    ja="お客様の手間・エスカレーション",
    play_en="Name one owner for the customer so that nothing has to be explained twice.",
    play_ja="担当者を一人に定め、お客様が同じ説明を繰り返さずに済むようにしてください。",
)

FEATURES = (
    Declared(
        "ticket_count",
        "ticket_opened",
        count(),
        "count",
        "lower",
        "Support tickets",
        "問い合わせ件数",
        "Support tickets in the last {window} came to {value}; customers who stay typically open"
        " {typical}",
        "直近{window}の問い合わせは{value}件です（継続されるお客様の目安：{typical}件）",
        items=("S9",),
    ),
    Declared(
        "ticket_decayed",
        "ticket_opened",
        decayed(),
        "level",
        "lower",
        "Recent support tickets (weighted by recency)",
        "最近の問い合わせ（直近重視の加重値）",
        "Recent support tickets (old ones count less) come to {value}; for customers who stay it is"
        " typically {typical}",
        "最近の問い合わせ（古いものほど軽く数えた合計）は{value}です（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S9",),
    ),
    Declared(
        "days_since_last_ticket",
        "ticket_opened",
        days_since_last(),
        "days",
        None,
        "Days since the last ticket",
        "最後の問い合わせからの日数",
        "The last ticket was opened {value} ago; for customers who stay it is typically {typical}",
        "最後の問い合わせから{value}がたっています（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S9",),
    ),
    Declared(
        "repeat_issue_count",
        "ticket_opened",
        decayed("repeats"),
        "level",
        "lower",
        "Recent repeat tickets on the same issue (weighted by recency)",
        "同じ内容の最近の再問い合わせ（直近重視の加重値）",
        "Recent tickets that repeat an issue of the 30 days before (old ones count less) come to"
        " {value}; for customers who stay it is typically {typical}",
        "30日以内に繰り返された同じ内容の最近の問い合わせ（古いものほど軽く数えた合計）は{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S9",),
        columns=("tickets.topic",),
    ),
    Declared(
        "escalation_share",
        "settled_72h",
        share("escalated", 0.1),
        "share",
        "lower",
        "Escalated tickets",
        "エスカレーション率",
        "{value} of the tickets of the last {window} were escalated; for customers who stay it is"
        " typically {typical}",
        "直近{window}のエスカレーション率は{value}です（継続されるお客様の目安：{typical}）",
        items=("S10",),
    ),
    Declared(
        "escalation_decayed",
        "escalation",
        decayed(),
        "level",
        "lower",
        "Recent escalations (weighted by recency)",
        "最近のエスカレーション（直近重視の加重値）",
        "Recent escalations (old ones count less) come to {value}; for customers who stay it is"
        " typically {typical}",
        "最近のエスカレーション（古いものほど軽く数えた合計）は{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S10",),
    ),
    Declared(
        "days_since_last_escalation",
        "escalation",
        days_since_last(),
        "days",
        "higher",
        "Days since the last escalation",
        "最後のエスカレーションからの日数",
        "The last escalation was {value} ago; for customers who stay it is typically {typical}",
        "最後のエスカレーションから{value}がたっています（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S10",),
    ),
    Declared(
        "reopening_decayed",
        "reopening",
        decayed(),
        "level",
        "lower",
        "Recent reopened tickets (weighted by recency)",
        "最近の再オープン（直近重視の加重値）",
        "Recent reopened tickets (old ones count less) come to {value}; for customers who stay it"
        " is typically {typical}",
        "最近の再オープン（古いものほど軽く数えた合計）は{value}です（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S9",),
    ),
    Declared(
        "reopening_count",
        "reopening",
        count(),
        "count",
        "lower",
        "Reopened tickets",
        "再オープンの件数",
        "Tickets were reopened {value} times in the last {window}; for customers who stay it is"
        " typically {typical}",
        "直近{window}の再オープンは{value}回です（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=("S9",),
    ),
    Declared(
        "handoff_decayed",
        "handoff",
        decayed(),
        "level",
        "lower",
        "Recent transfers and escalations (weighted by recency)",
        "最近の引き継ぎ（転送・エスカレーション）（直近重視の加重値）",
        "Recent transfers and escalations (old ones count less) come to {value}; for customers who"
        " stay it is typically {typical}",
        "最近の引き継ぎ（転送・エスカレーション）（古いものほど軽く数えた合計）は{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="none",
        items=(
            "S41",
            "S62",
        ),
    ),
    Declared(
        "context_passed_share",
        "handoff",
        share("context_passed", 0.8),
        "share",
        "higher",
        "Transfers in which the history went along",
        "経緯が共有された引き継ぎの割合",
        "In {value} of the transfers of the last {window} the history went along; for customers who"
        " stay it is typically {typical}",
        "直近{window}の引き継ぎのうち経緯が共有されたのは{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S41",),
        columns=("ticket_events.context_passed",),
    ),
    Declared(
        "repeat_info_decayed",
        "reply",
        decayed("asks_again"),
        "level",
        "lower",
        "Recent questions the customer had already answered (weighted by recency)",
        "すでに伝えた内容を再度尋ねた最近の件数（直近重視の加重値）",
        "Recent questions that the customer had already answered (old ones count less) come to"
        " {value}; for customers who stay it is typically {typical}",
        "すでに伝えた内容を再度尋ねた最近の件数（古いものほど軽く数えた合計）は{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S41",),
        columns=("messages.asks_again",),
    ),
    Declared(
        "owner_changes_mean",
        "settled_14d",
        mean("owner_changes"),
        "count",
        "lower",
        "Changes of owner per ticket",
        "1件あたりの担当者の交代回数",
        "A ticket of the last {window} changed hands {value} times on average; for customers who"
        " stay it is typically {typical}",
        "直近{window}の問い合わせでは1件あたり平均{value}回担当者が交代しています"
        "（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=("S62",),
        columns=("ticket_events.agent_id",),
    ),
    Declared(
        "agents_per_ticket_max",
        "handled_14d",
        highest("agents"),
        "count",
        "lower",
        "Most agents on one ticket",
        "1件に関わった担当者数（最大）",
        "Up to {value} agents worked on one ticket of the last {window}; for customers who stay it"
        " is typically {typical}",
        "直近{window}の問い合わせでは1件に最大{value}名の担当者が関わっています"
        "（継続されるお客様の目安：{typical}名）",
        windows="longest",
        items=("S62",),
        columns=("messages.agent_id",),
    ),
    Declared(
        "customer_messages_mean",
        "handled_14d",
        mean("customer_messages"),
        "count",
        "lower",
        "Customer messages per ticket",
        "1件あたりのお客様の発信回数",
        "The customer wrote {value} times per ticket in the last {window}; for customers who stay"
        " it is typically {typical}",
        "直近{window}の問い合わせでは1件あたり{value}回ご連絡いただいています"
        "（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=(
            "S7",
            "S41",
        ),
    ),
    Declared(
        "call_hold_minutes_mean",
        "call",
        mean("hold_minutes"),
        "minutes",
        "lower",
        "Mean time on hold",
        "電話の平均保留時間",
        "Calls of the last {window} were on hold for {value} on average; for customers who stay it"
        " is typically {typical}",
        "直近{window}の電話の保留時間は平均{value}です（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=(
            "S5",
            "S12",
        ),
        columns=("calls.hold_seconds",),
    ),
)
