"""What the facts of each stream are called, in English and Japanese, for the catalog."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, tuple[str, str]] = {
    # tickets
    "ticket_opened": ("tickets opened", "新しい問い合わせ"),
    "ticket_by_profile": (
        "tickets opened, seen with the customer's profile of that time",
        "新しい問い合わせ（その時点のお客様情報と照合）",
    ),
    "resolved": ("resolutions of tickets", "問い合わせの解決"),
    "first_resolved": ("first resolutions of tickets", "問い合わせの最初の解決"),
    "resolution_target_due": (
        "tickets whose resolution target has passed",
        "解決目標の期限を過ぎた問い合わせ",
    ),
    "settled_72h": ("tickets 72 hours after opening", "開始から72時間たった問い合わせ"),
    "settled_14d": ("tickets 14 days after opening", "開始から14日たった問い合わせ"),
    "first_contact_resolution": (
        "tickets 7 days after their first resolution",
        "最初の解決から7日たった問い合わせ",
    ),
    "first_contact_pending": (
        "tickets resolved less than 7 days ago",
        "解決から7日たっていない問い合わせ",
    ),
    "open_ticket": ("tickets open now", "未解決の問い合わせ"),
    "followed_up_10d": (
        "tickets 10 days after their first resolution",
        "最初の解決から10日たった問い合わせ",
    ),
    "reopening": ("reopened tickets", "再オープン"),
    "escalation": ("escalations", "エスカレーション"),
    "handoff": ("transfers and escalations", "担当の引き継ぎ"),
    "product_complaint": (
        "tickets about a product, with what others say about it",
        "商品に関する問い合わせ（他のお客様の苦情率と照合）",
    ),
    "cancellation_ticket": ("tickets about cancelling", "解約に関する問い合わせ"),
    "retention_contact": ("contacts that try to keep the customer", "引き止めの連絡"),
    "cancel_request": ("requests to cancel", "解約の申し出"),
    # replies and messages
    "first_response": ("first human replies to tickets", "担当者による初回応答"),
    "response_due": ("tickets 24 hours after opening", "開始から24時間たった問い合わせ"),
    "response_target_due": (
        "tickets whose response target has passed",
        "応答目標の期限を過ぎた問い合わせ",
    ),
    "awaiting_response": (
        "tickets waiting for a first human reply now",
        "担当者の初回応答を待っている問い合わせ",
    ),
    "reply_due": (
        "customer messages 24 hours after they were written",
        "送信から24時間たったお客様のメッセージ",
    ),
    "response_by_channel": (
        "first human replies, compared across channels",
        "初回応答（チャネル間の比較）",
    ),
    "silence_14d": ("tickets 14 days after opening", "開始から14日たった問い合わせ"),
    "handled_14d": ("tickets 14 days after opening", "開始から14日たった問い合わせ"),
    "bot_acknowledgement": ("first bot replies to tickets", "ボットの最初の返信"),
    "bot_due_24h": (
        "tickets with a bot, 24 hours after opening",
        "ボットが対応し、開始から24時間たった問い合わせ",
    ),
    "bot_settled_72h": (
        "tickets with a bot, 72 hours after opening",
        "ボットが対応し、開始から72時間たった問い合わせ",
    ),
    "reply": ("public replies by agents and bots", "担当者・ボットの返信"),
    "customer_message": ("messages by the customer", "お客様のメッセージ"),
    # agents
    "call": ("phone calls", "通話"),
    "qa_review": ("quality reviews of tickets", "応対品質の評価"),
    "assignment": ("assignments of tickets to agents", "担当者への割り当て"),
    # voice
    "survey_answer": ("survey answers", "アンケートの回答"),
    "survey_comment": ("comments in survey answers", "アンケートの自由記述"),
    "survey_due": ("surveys sent at least 7 days ago", "送付から7日たったアンケート"),
    "feedback": ("steps of feedback", "ご意見の各段階"),
    "feedback_open": ("feedback without a decision now", "対応未定のご意見"),
    "feedback_untold": (
        "feedback acted on of which the customer was not told yet",
        "改善したが未報告のご意見",
    ),
    "review": ("public reviews", "レビュー"),
    "review_due": (
        "reviews posted at least 7 days ago (time to the answer capped there)",
        "投稿から7日たったレビュー（返信までの時間は7日を上限）",
    ),
    "review_unanswered": ("reviews without an answer now", "未返信のレビュー"),
    "mention": (
        "public mentions matched to the customer (unknown without one)",
        "お客様と照合できたSNSでの言及（なければ不明）",
    ),
    "referral": ("referrals made", "紹介"),
    "referral_due": ("referrals made at least 30 days ago", "30日たった紹介"),
    "referral_pending": ("referrals younger than 30 days", "30日たっていない紹介"),
    # care
    "outreach": ("contacts the company sent", "会社からの連絡"),
    "delight": ("thanks, birthday perks and surprises", "お礼・誕生日特典・サプライズ"),
    "outreach_due": (
        "contacts sent at least 7 days ago whose opening can be seen",
        "送信から7日たった連絡（開封を確認できるもの）",
    ),
    "early_help": (
        "help and tips sent before the customer's first ticket",
        "初めての問い合わせの前に送った案内",
    ),
    "offer": ("personal and related offers", "個別・関連商品の提案"),
    "offer_due": ("offers made at least 14 days ago", "14日たった提案"),
    "offer_pending": ("offers younger than 14 days", "14日たっていない提案"),
    "follow_up_7d": (
        "deliveries and resolutions at least 10 days ago, with a follow-up on days 4 to 10 or not",
        "10日たった配送・解決（4〜10日目のフォローの有無）",
    ),
    "follow_up_30d": (
        "deliveries and resolutions at least 33 days ago, with a follow-up on days 27 to 33 or not",
        "33日たった配送・解決（27〜33日目のフォローの有無）",
    ),
    "follow_up_checked": ("follow-ups sent at least 7 days ago", "7日たったフォローアップ"),
    "complaint": (
        "complaints: tickets of the highest severity or on the topic complaint",
        "苦情（深刻度が最も高い、または苦情に分類された問い合わせ）",
    ),
    "complaint_due": (
        "complaints at least 14 days old (solved in 7 days, then the next CSAT)",
        "14日たった苦情（7日以内の解決と、その後のCSAT）",
    ),
    "well_served_60d": (
        "tickets solved within 72 hours and rated 75 or more, 60 days after",
        "72時間以内に解決しCSATが75以上で、60日たった問い合わせ",
    ),
    "self_service": ("uses of self-service", "セルフサービスの利用"),
    "self_service_due": (
        "uses of self-service at least 72 hours ago",
        "72時間たったセルフサービスの利用",
    ),
    # commerce
    "loyalty": ("movements in the loyalty programme", "ロイヤルティプログラムの動き"),
    "membership": (
        "current memberships of the loyalty programme",
        "現在のロイヤルティ会員資格",
    ),
    "tier_change": ("changes of tier", "会員ランクの変動"),
    "points_earned": ("earnings of points", "ポイントの獲得"),
    "points_expiring": (
        "earned points that expire in the next 90 days (redemptions not subtracted)",
        "今後90日以内に失効する獲得ポイント（利用分は差し引かない）",
    ),
    "order": ("orders", "注文"),
    "cancelled_order": ("cancelled orders", "キャンセルされた注文"),
    "payment": ("orders and, negative, refunds", "注文（正）と返金（負）"),
    "contact_stage": (
        "tickets 14 days after opening, by the nearest order",
        "開始から14日たった問い合わせ（最も近い注文で区分）",
    ),
    "return": ("returns", "返品"),
    "return_price": (
        "returns, against the customer's mean order",
        "返品（お客様の平均注文金額との比較）",
    ),
    "return_due": (
        "returns asked for at least 14 days ago (time to the refund capped there)",
        "申請から14日たった返品（返金までの日数は14日を上限）",
    ),
    "return_open": ("returns not settled now", "処理中の返品"),
    "return_step": ("steps of returns", "返品の各段階"),
    "subscription": ("changes of the subscription", "契約の変更"),
    "visit": ("visits to the site", "サイトの訪問"),
    "profile": ("versions of the customer's profile", "お客様情報"),
}
