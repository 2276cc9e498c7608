"""What customers say of their own accord: feedback, reviews, mentions, referrals (METHODS S24-S31).

A public mention is known only where it could be matched to the customer, so a customer without
any is missing, never 0.
"""

from features.aggregates import count, days_since_first, days_since_last, last, mean, share, total
from features.declare import Attribute, Declared, Family

FAMILY = Family(
    "voice",
    lever=True,
    en="Feedback, reviews and referrals",
    ja="お客様の声（ご意見・レビュー・紹介）",
    play_en="Answer the open feedback or review, and tell the customer what was done about it.",
    play_ja="未対応のご意見やレビューに返信し、どう改善したかをお伝えください。",
)

FEATURES = (
    Declared(
        "feedback_count",
        "feedback",
        count("given"),
        "count",
        None,
        "Pieces of feedback given",
        "ご意見の件数",
        "Feedback given in the last {window} came to {value}; customers who stay typically"
        " give {typical}",
        "直近{window}にいただいたご意見は{value}件です（継続されるお客様の目安：{typical}件）",
        windows="longest",
        items=("S24", "S30"),
    ),
    Declared(
        "feedback_session_count",
        "feedback",
        count("session"),
        "count",
        "higher",
        "Feedback sessions attended",
        "座談会・インタビューの参加回数",
        "Feedback sessions attended in the last {window} came to {value};"
        " customers who stay typically attend {typical}",
        "直近{window}の座談会・インタビューへの参加は{value}回です"
        "（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=("S25",),
    ),
    Declared(
        "feedback_open_count",
        "feedback_open",
        count(),
        "count",
        "lower",
        "Feedback that awaits a decision",
        "対応未定のご意見の件数",
        "Feedback that still awaits a decision comes to {value};"
        " for customers who stay it is typically {typical}",
        "対応が決まっていないご意見が{value}件あります（継続されるお客様の目安：{typical}件）",
        windows="none",
        items=("S30",),
    ),
    Declared(
        "feedback_open_days",
        "feedback_open",
        days_since_first(),
        "days",
        "lower",
        "Age of the oldest feedback without a decision",
        "対応未定のご意見の最長経過日数",
        "The oldest feedback without a decision has waited {value};"
        " for customers who stay it is typically {typical}",
        "対応が決まっていない最も古いご意見は{value}経過しています"
        "（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S30",),
    ),
    Declared(
        "feedback_acted_on_count",
        "feedback",
        count("acted_on"),
        "count",
        "higher",
        "Feedback acted on",
        "改善に生かされたご意見の件数",
        "Feedback acted on in the last {window} came to {value};"
        " for customers who stay it is typically {typical}",
        "直近{window}に改善に生かされたご意見は{value}件です（継続されるお客様の目安：{typical}件）",
        windows="longest",
        items=("S30", "S31"),
    ),
    Declared(
        "feedback_acted_on_share",
        "feedback",
        share("accepted", 0.4),
        "share",
        "higher",
        "Decided feedback that was acted on",
        "判断済みのご意見のうち改善に生かされた割合",
        "{value} of the feedback decided in the last {window} was acted on;"
        " for customers who stay it is typically {typical}",
        "直近{window}に判断されたご意見のうち改善に生かされたのは{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S30", "S31"),
    ),
    Declared(
        "feedback_notified_count",
        "feedback",
        count("notified"),
        "count",
        "higher",
        "Times the customer was told what became of the feedback",
        "ご意見への対応を報告した回数",
        "The customer was told what became of the feedback {value}× in the last {window};"
        " for customers who stay it is typically {typical}×",
        "直近{window}にご意見への対応を報告した回数は{value}回です"
        "（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=("S30",),
    ),
    Declared(
        "feedback_untold_count",
        "feedback_untold",
        count(),
        "count",
        "lower",
        "Feedback acted on without telling the customer",
        "改善したが未報告のご意見の件数",
        "Feedback that was acted on without telling the customer comes to {value};"
        " for customers who stay it is typically {typical}",
        "改善したもののお客様に報告していないご意見が{value}件あります"
        "（継続されるお客様の目安：{typical}件）",
        windows="none",
        items=("S30",),
    ),
    Declared(
        "review_count",
        "review",
        count(),
        "count",
        None,
        "Public reviews",
        "レビューの投稿数",
        "Public reviews in the last {window} came to {value}; customers who stay typically"
        " write {typical}",
        "直近{window}のレビュー投稿は{value}件です（継続されるお客様の目安：{typical}件）",
        windows="longest",
        items=("S27",),
    ),
    Declared(
        "review_rating_mean",
        "review",
        mean("rating"),
        "score",
        "higher",
        "Mean rating in reviews (1-5 stars)",
        "レビューの平均評価（星1〜5）",
        "Reviews of the last {window} give {value} of 5 stars on average;"
        " customers who stay typically give {typical}",
        "直近{window}のレビューの平均評価は5点満点で{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S27",),
        columns=("reviews.rating",),
    ),
    Declared(
        "review_rating_last",
        "review",
        last("rating"),
        "score",
        "higher",
        "Rating in the latest review (1-5 stars)",
        "直近のレビューの評価（星1〜5）",
        "The latest review gives {value} of 5 stars; customers who stay typically give {typical}",
        "直近のレビューの評価は5点満点で{value}です（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S27",),
        columns=("reviews.rating",),
    ),
    Declared(
        "negative_review_count",
        "review",
        count("negative"),
        "count",
        "lower",
        "Negative reviews (1-2 stars)",
        "低評価レビューの件数（星1〜2）",
        "Reviews with one or two stars in the last {window} came to {value};"
        " customers who stay typically write {typical}",
        "直近{window}の星1〜2のレビューは{value}件です（継続されるお客様の目安：{typical}件）",
        windows="longest",
        items=("S27",),
        columns=("reviews.rating",),
    ),
    Declared(
        "review_reply_share",
        "review_due",
        share("answered", 0.5),
        "share",
        "higher",
        "Reviews answered within 7 days",
        "7日以内に返信したレビューの割合",
        "{value} of the reviews of the last {window} were answered within 7 days;"
        " for customers who stay it is typically {typical}",
        "直近{window}のレビューのうち7日以内に返信したのは{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S28",),
    ),
    Declared(
        "review_reply_hours",
        "review_due",
        mean("hours"),
        "hours",
        "lower",
        "Time until a review is answered (at most 7 days)",
        "レビューへの返信までの時間（上限7日）",
        "Reviews of the last {window} were answered after {value} on average (counting 7 days at"
        " most); for customers who stay it is typically {typical}",
        "直近{window}のレビューへの返信までの時間は平均{value}です（上限7日で計算。"
        "継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S28",),
    ),
    Declared(
        "review_unanswered_count",
        "review_unanswered",
        count(),
        "count",
        "lower",
        "Reviews without an answer",
        "未返信のレビュー件数",
        "Reviews that still have no answer come to {value};"
        " for customers who stay it is typically {typical}",
        "返信していないレビューが{value}件あります（継続されるお客様の目安：{typical}件）",
        windows="none",
        items=("S28",),
    ),
    Declared(
        "mention_number",
        "mention",
        last("number"),
        "count",
        None,
        "Public mentions matched so far",
        "SNSでの言及（照合できた累計件数）",
        "Public mentions matched to the customer so far come to {value};"
        " for customers who stay it is typically {typical}",
        "照合できたSNSでの言及は累計{value}件です（継続されるお客様の目安：{typical}件）",
        windows="none",
        items=("S26",),
    ),
    Declared(
        "mention_tone_mean",
        "mention",
        mean("tone"),
        "tone",
        "higher",
        "Mean tone of public mentions",
        "SNSでの言及の感情（平均）",
        "Public mentions of the last {window} have a mean tone of {value} (from −1 to 1);"
        " for customers who stay it is typically {typical}",
        "直近{window}のSNSでの言及の感情は平均{value}です（−1〜1。"
        "継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S26",),
        columns=("social_mentions.tone",),
    ),
    Declared(
        "negative_mention_share",
        "mention",
        share("negative", 0.3),
        "share",
        "lower",
        "Negative public mentions",
        "SNSでの否定的な言及の割合",
        "{value} of the public mentions of the last {window} are negative;"
        " for customers who stay it is typically {typical}",
        "直近{window}のSNSでの言及のうち否定的なものは{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S26",),
        columns=("social_mentions.tone",),
    ),
    Declared(
        "days_since_last_mention",
        "mention",
        days_since_last(),
        "days",
        None,
        "Days since the last public mention",
        "最後のSNSでの言及からの日数",
        "The last public mention was {value} ago; for customers who stay it is typically {typical}",
        "最後のSNSでの言及から{value}がたっています（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S26",),
    ),
    Declared(
        "referral_count",
        "referral",
        count(),
        "count",
        "higher",
        "People referred",
        "紹介した人数",
        "People referred in the last {window} came to {value};"
        " customers who stay typically refer {typical}",
        "直近{window}の紹介は{value}人です（継続されるお客様の目安：{typical}人）",
        windows="longest",
        items=("S29",),
    ),
    Declared(
        "referral_converted_count",
        "referral_due",
        total("converted"),
        "count",
        "higher",
        "Referrals that became customers within 30 days",
        "30日以内に成約した紹介の人数",
        "Referrals of the last {window} that became customers within 30 days came to {value};"
        " for customers who stay it is typically {typical}",
        "直近{window}の紹介のうち30日以内の成約は{value}人です"
        "（継続されるお客様の目安：{typical}人）",
        windows="longest",
        items=("S29",),
    ),
    Declared(
        "referral_converted_share",
        "referral_due",
        share("converted", 0.3),
        "share",
        "higher",
        "Share of referrals that became customers within 30 days",
        "紹介の成約率（30日以内）",
        "{value} of the referrals of the last {window} became customers within 30 days;"
        " for customers who stay it is typically {typical}",
        "直近{window}の紹介の成約率（30日以内）は{value}です（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S29",),
    ),
    Declared(
        "referral_pending_count",
        "referral_pending",
        count(),
        "count",
        None,
        "Referrals younger than 30 days",
        "結果待ちの紹介の人数（30日未満）",
        "Referrals whose 30 days are not over yet come to {value};"
        " for customers who stay it is typically {typical}",
        "紹介から30日たっていない結果待ちの方が{value}人います"
        "（継続されるお客様の目安：{typical}人）",
        windows="none",
        items=("S29",),
    ),
)

ATTRIBUTES = (
    Attribute(
        "feedback_topic",
        "feedback",
        "topic",
        "Topic of the latest feedback",
        "直近のご意見のテーマ",
        "The latest feedback is about {value}; with customers who stay it is most often {typical}",
        "直近のご意見のテーマは「{value}」です（継続されるお客様で最も多いのは「{typical}」）",
        items=("S24",),
    ),
)
