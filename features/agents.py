"""Agent skill and attitude, as reviews and records show them (METHODS S12, S40, S58-S63).

Only some tickets are reviewed; no review is missing, never average.
"""

from features.aggregates import decayed, mean, share
from features.declare import Declared, Family

FAMILY = Family(
    "agents",
    lever=True,
    en="Agent skill and attitude",
    ja="担当者のスキル・応対姿勢",
    play_en="Route the customer's next ticket to an experienced agent with high quality reviews.",
    play_ja="次回の問い合わせは、応対品質評価の高い経験豊富な担当者に割り当ててください。",
)

FEATURES = (
    Declared(
        "qa_empathy_mean",
        "qa_review",
        mean("empathy"),
        "score",
        "higher",
        "Quality review: empathy (0-100)",
        "応対品質評価：共感・親しみやすさ（0〜100）",
        "Quality reviews of the last {window} gave empathy {value} of 100; for customers who stay"
        " it is typically {typical}",
        "直近{window}の応対品質評価の「共感・親しみやすさ」は{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S58",),
        columns=("qa_reviews.empathy",),
    ),
    Declared(
        "qa_listening_mean",
        "qa_review",
        mean("listening"),
        "score",
        "higher",
        "Quality review: listening (0-100)",
        "応対品質評価：傾聴（0〜100）",
        "Quality reviews of the last {window} gave listening {value} of 100; for customers who stay"
        " it is typically {typical}",
        "直近{window}の応対品質評価の「傾聴」は{value}です（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S59",),
        columns=("qa_reviews.listening",),
    ),
    Declared(
        "qa_clarity_mean",
        "qa_review",
        mean("clarity"),
        "score",
        "higher",
        "Quality review: clarity (0-100)",
        "応対品質評価：分かりやすさ（0〜100）",
        "Quality reviews of the last {window} gave clarity {value} of 100; for customers who stay"
        " it is typically {typical}",
        "直近{window}の応対品質評価の「分かりやすさ」は{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S60",),
        columns=("qa_reviews.clarity",),
    ),
    Declared(
        "qa_accuracy_mean",
        "qa_review",
        mean("accuracy"),
        "score",
        "higher",
        "Quality review: accuracy (0-100)",
        "応対品質評価：正確さ（0〜100）",
        "Quality reviews of the last {window} gave accuracy {value} of 100; for customers who stay"
        " it is typically {typical}",
        "直近{window}の応対品質評価の「正確さ」は{value}です（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S60",),
        columns=("qa_reviews.accuracy",),
    ),
    Declared(
        "qa_tone_mean",
        "qa_review",
        mean("tone"),
        "score",
        "higher",
        "Quality review: tone (0-100)",
        "応対品質評価：言葉づかい（0〜100）",
        "Quality reviews of the last {window} gave tone {value} of 100; for customers who stay it"
        " is typically {typical}",
        "直近{window}の応対品質評価の「言葉づかい」は{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S61",),
        columns=("qa_reviews.tone",),
    ),
    Declared(
        "qa_language_mean",
        "qa_review",
        mean("language_skill"),
        "score",
        "higher",
        "Quality review: language skill (0-100)",
        "応対品質評価：語学力（0〜100）",
        "Quality reviews of the last {window} gave language skill {value} of 100; for customers who"
        " stay it is typically {typical}",
        "直近{window}の応対品質評価の「語学力」は{value}です（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S40",),
        columns=("qa_reviews.language",),
    ),
    Declared(
        "clarifying_question_share",
        "reply",
        share("clarifies", 0.1),
        "share",
        None,
        "Replies that ask what the customer means",
        "お客様の意図を確認した返信の割合",
        "{value} of the agents' replies of the last {window} asked what the customer meant; for"
        " customers who stay it is typically {typical}",
        "直近{window}の返信のうちお客様の意図を確認したものは{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S59",),
        columns=("messages.asks_to_clarify",),
    ),
    Declared(
        "correction_decayed",
        "reply",
        decayed("corrects"),
        "level",
        "lower",
        "Recent corrections of wrong answers (weighted by recency)",
        "最近の誤回答の訂正（直近重視の加重値）",
        "Recent corrections of wrong answers (old ones count less) come to {value}; for customers"
        " who stay it is typically {typical}",
        "最近の誤回答の訂正（古いものほど軽く数えた合計）は{value}です（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S60",),
        columns=("messages.corrects",),
    ),
    Declared(
        "call_handle_minutes_mean",
        "call",
        mean("handle_minutes"),
        "minutes",
        None,
        "Mean handling time of a call (AHT)",
        "電話の平均処理時間（AHT）",
        "Calls of the last {window} took {value} to handle on average; for customers who stay it is"
        " typically {typical}",
        "直近{window}の電話の平均処理時間は{value}です（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S12",),
        columns=("calls.talk_seconds",),
    ),
    Declared(
        "agent_tenure_days_mean",
        "assignment",
        mean("tenure_days"),
        "days",
        "higher",
        "Mean experience of the agents",
        "担当者の平均経験日数",
        "The agents of the last {window} had worked in support for {value} on average; for"
        " customers who stay it is typically {typical}",
        "直近{window}の担当者の経験は平均{value}です（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S63",),
        columns=("ticket_events.agent_tenure_days",),
    ),
    Declared(
        "agent_training_hours_mean",
        "assignment",
        mean("training_hours"),
        "hours",
        "higher",
        "Mean training of the agents in the 90 days before",
        "担当者の直前90日間の平均研修時間",
        "The agents of the last {window} had {value} of training on average in the 90 days before;"
        " for customers who stay it is typically {typical}",
        "直近{window}の担当者が直前90日間に受けた研修は平均{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S63",),
        columns=("ticket_events.agent_training_hours",),
    ),
)
