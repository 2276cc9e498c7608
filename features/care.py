"""What support does beyond the answer: follow-up, personal and proactive care (METHODS S50-S56)."""

from features.aggregates import count, days_since_last, decayed, share
from features.declare import Declared, Family

FAMILY = Family(
    "care",
    lever=True,
    en="Follow-up and personal care",
    ja="フォローアップ・個別対応",
    play_en="Follow up on the last ticket within a week and ask whether all is well.",
    play_ja="直近の問い合わせについて1週間以内にフォローし、状況を伺ってください。",
)

FEATURES = (
    Declared(
        "follow_up_share",
        "followed_up_10d",
        share("followed", 0.4),
        "share",
        "higher",
        "Resolved tickets followed up",
        "解決後のフォローアップ率",
    ),
    Declared(
        "follow_up_decayed",
        "outreach",
        decayed("follow_up"),
        "level",
        "higher",
        "Recent follow-ups (weighted by recency)",
        "最近のフォローアップ（直近重視の加重値）",
        windows="none",
    ),
    Declared(
        "personal_handling_share",
        "settled_72h",
        share("personal", 0.5),
        "share",
        "higher",
        "Tickets handled with the customer's history",
        "履歴を確認した対応の割合",
        windows="longest",
    ),
    Declared(
        "personal_offer_count",
        "outreach",
        count("personal_offer"),
        "count",
        "higher",
        "Personal offers",
        "個別提案の回数",
        windows="longest",
    ),
    Declared(
        "proactive_help_count",
        "outreach",
        count("proactive_help"),
        "count",
        "higher",
        "Proactive help",
        "先回りの案内の回数",
        windows="longest",
    ),
    Declared(
        "thank_you_count",
        "outreach",
        count("thank_you"),
        "count",
        "higher",
        "Thank-you messages",
        "お礼の連絡の回数",
        windows="longest",
    ),
    Declared(
        "days_since_last_outreach",
        "outreach",
        days_since_last(),
        "days",
        None,
        "Days since the company last wrote",
        "最後の働きかけからの日数",
        windows="none",
    ),
)
