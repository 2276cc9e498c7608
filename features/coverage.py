"""The 76 rows of METHODS section A: which features measure each, or where else it is answered.

A row is measured by features where it is a matter of the single customer. Rows about the company
as a whole (a correlation, a claim, a change of policy) are answered by a panel or report, if at
all; and for some there is no defensible measure, which is said with its reason. Every panel is
filled by KPIs, claims or the results of a stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.catalog import SOURCES
from features.declare import Declared
from features.kpis import KPIS

Answer = Literal["features", "company", "not measurable"]


@dataclass(frozen=True)
class Item:
    """One row: its number, short name, METHODS' panels and, beyond features, what to know."""

    key: str
    en: str
    ja: str
    panels: tuple[str, ...]
    en_note: str = ""
    ja_note: str = ""
    measurable: bool = True


PANELS: dict[str, tuple[str, str]] = {
    "P1": ("retention", "継続"),
    "P2": ("response", "応答"),
    "P3": ("resolution and escalation", "解決・エスカレーション"),
    "P4": ("voice of the customer", "お客様の声"),
    "P5": ("channel, 24 h and language", "チャネル・24時間・言語"),
    "P6": ("automation and self-service", "自動化・セルフサービス"),
    "P7": ("personal care and follow-up", "個別対応・フォローアップ"),
    "P8": ("loyalty, returns and trust", "ロイヤルティ・返品・信頼"),
    "P9": ("agents and cost", "担当者・コスト"),
    "P10": ("associations", "関連"),
    "P11": ("estimated effects", "推定効果"),
    "P12": ("customers at risk", "離反リスクのあるお客様"),
    "P13": ("digital", "デジタル"),
    "P14": ("claims check", "主張の検証"),
    "P15": ("data quality", "データ品質"),
}

SECTIONS: dict[str, str] = {
    "P10": "explanation",
    "P11": "effects",
    "P12": "score",
    "P14": "claims",
} | {panel: "kpis" for panel in PANELS if panel not in ("P10", "P11", "P12", "P14")}
"""Which results fill a panel: KPIs (features.kpis), claims (models.claims), or a stage's folder."""

_NO_RATES = (
    "Cost needs wage and fee rates, which are no events of a customer and not among the canonical"
    " tables; the handling time it is made of is measured (S12).",
    "費用の算出には人件費などの単価が必要ですが、お客様ごとの記録ではなく標準テーブルにありません。"
    "その元となる対応時間は測定しています（S12）。",
)
_CLAIM = (
    "A claim about the company as a whole, not a fact about one customer; the features named are"
    " what it is checked with.",
    "会社全体についての主張であり、お客様ごとの事実ではありません。検証には挙げた特徴量を使います。",
)

ITEMS: tuple[Item, ...] = (
    Item("S1", "First response time", "初回応答時間", ("P2",)),
    Item("S2", "Average response time", "平均応答時間", ("P2",)),
    Item("S3", "Automatic replies", "自動返信", ("P6",)),
    Item("S4", "Slow replies", "遅い返信", ("P2", "P14")),
    Item("S5", "Waiting on the phone", "電話の待ち時間", ("P2",)),
    Item("S6", "Resolution time", "解決時間", ("P3",)),
    Item("S7", "First-contact resolution", "一次解決率", ("P3",)),
    Item("S8", "Eventual resolution", "解決率", ("P3",)),
    Item("S9", "Recurring issues", "問題の再発", ("P3",)),
    Item("S10", "Escalation", "エスカレーション", ("P3",)),
    Item("S11", "Agents' own authority", "担当者の裁量", ("P9",)),
    Item("S12", "Handling time", "対応時間（AHT）", ("P9",)),
    Item("S13", "Cost of support", "対応コスト", ("P9",), *_NO_RATES),
    Item("S14", "Staffing and backlog", "人員と滞留", ("P9",)),
    Item("S15", "Targets missed", "目標（SLA）の未達", ("P2", "P3")),
    Item(
        "S16",
        "Industry comparison",
        "業界比較",
        ("P2", "P3", "P4"),
        "A figure to compare with, no feature: declared as the benchmark of the features it is"
        " about and always shown as unverified.",
        "比較のための数値であり特徴量ではありません。該当する特徴量に文献値として付し、"
        "未検証と明記します。",
    ),
    Item("S17", "Customer satisfaction (CSAT)", "顧客満足度（CSAT）", ("P4",)),
    Item("S18", "Satisfaction by touchpoint", "接点別の満足度", ("P4",)),
    Item("S19", "Surveys and their modes", "アンケートとその方法", ("P4",)),
    Item("S20", "Incentives for answering", "回答の特典", ("P4",)),
    Item("S21", "Net promoter score", "NPS", ("P4",)),
    Item("S22", "NPS and performance", "NPSと業績", ("P14",), *_CLAIM),
    Item("S23", "Customer effort score", "顧客努力指標（CES）", ("P4",)),
    Item("S24", "Detailed feedback", "具体的なご意見", ("P4",)),
    Item("S25", "Interviews and sessions", "インタビュー・座談会", ("P4",)),
    Item("S26", "Social media", "SNSの声", ("P4",)),
    Item("S27", "Reviews", "レビュー", ("P4",)),
    Item("S28", "Replies to reviews", "レビューへの返信", ("P4",)),
    Item("S29", "Referrals", "紹介", ("P8",)),
    Item("S30", "Feedback acted upon", "ご意見の反映", ("P4", "P14")),
    Item(
        "S31",
        "Voice turned into improvement",
        "声からの改善",
        ("P4",),
        "Per customer only what became of their own feedback; which products were improved is not"
        " in the canonical tables.",
        "お客様ごとにわかるのは、ご自身のご意見がどうなったかまでです。どの商品が改善されたかは"
        "標準テーブルにありません。",
    ),
    Item("S32", "Complaints by product", "商品別の苦情", ("P3",)),
    Item("S33", "Service recovery", "苦情対応・挽回", ("P3", "P14")),
    Item("S34", "Preferred channel", "希望チャネル", ("P5",)),
    Item(
        "S35",
        "Strengths of channels",
        "チャネルの強み",
        ("P5",),
        "A comparison of channels over all customers, to be adjusted for the kind of case; per"
        " customer there are the shares of channels (S34) and their consistency (S42).",
        "全お客様にわたるチャネル間の比較であり、問い合わせ内容の違いを調整する必要があります。"
        "お客様ごとには、チャネルの割合（S34）と一貫性（S42）を測定します。",
    ),
    Item("S36", "Nights and weekends", "夜間・休日", ("P5",)),
    Item("S37", "Cost of 24 hours", "24時間対応の負担", ("P9",), *_NO_RATES),
    Item("S38", "Time zones", "時差", ("P5",)),
    Item("S39", "Languages", "多言語", ("P5",)),
    Item("S40", "Translation quality", "翻訳の質", ("P5",)),
    Item("S41", "Unified history", "履歴の一元化", ("P5",)),
    Item("S42", "Consistent quality", "品質の一貫性", ("P5",)),
    Item("S43", "Stages of the purchase", "購入前・購入中・購入後", ("P5",)),
    Item("S44", "Finding the contact", "窓口の見つけやすさ", ("P13",)),
    Item("S45", "Chatbot", "チャットボット", ("P6",)),
    Item("S46", "Scope of the bot", "ボットの対応範囲", ("P6",)),
    Item("S47", "From bot to human", "ボットから人へ", ("P6",)),
    Item("S48", "Self-service", "セルフサービス", ("P6",)),
    Item(
        "S49",
        "Self-service and contacts",
        "セルフサービスと問い合わせ",
        ("P14",),
        "Use and success are measured per customer. Whether use lowers contacts is a claim about"
        " all customers; age is kept for slices and never a feature.",
        "利用と自己解決はお客様ごとに測定します。利用が問い合わせを減らすかは全体についての主張です。"
        "年齢は集計の区分にのみ使い、特徴量にはしません。",
    ),
    Item("S50", "Anticipating needs", "先回りの支援", ("P7",)),
    Item("S51", "Personal support", "個別対応", ("P7",)),
    Item("S52", "Related offers", "関連商品の提案", ("P7",)),
    Item("S53", "Exceeding expectations", "期待を超える対応", ("P7",)),
    Item("S54", "Follow-up", "フォローアップ", ("P7",)),
    Item("S55", "Keeping informed", "経過の連絡", ("P7",)),
    Item("S56", "Problems found early", "早期発見", ("P7",)),
    Item(
        "S57",
        "Unified, accurate records",
        "正確な顧客情報",
        ("P15",),
        "A property of the source, not of one customer: the contract report counts what was set"
        " aside, duplicated or late.",
        "お客様ごとではなくデータ元の性質です。検査結果に、除外・重複・遅延の件数を示します。",
    ),
    Item("S58", "Empathy", "共感", ("P4", "P14")),
    Item("S59", "Listening", "傾聴", ("P9",)),
    Item("S60", "Clarity and accuracy", "明瞭さ・正確さ", ("P9",)),
    Item("S61", "Fitting tone", "適切な語調", ("P9",)),
    Item("S62", "Ownership", "担当の一貫性", ("P3",)),
    Item("S63", "Training", "教育・研修", ("P9",)),
    Item("S64", "Trust", "信頼", ("P8",)),
    Item("S65", "Warranty and returns", "保証・返品", ("P8",)),
    Item("S66", "Loyalty programme", "ロイヤルティプログラム", ("P8", "P14")),
    Item("S67", "Discounts and sale notices", "割引・セール案内", ("P8",)),
    Item("S68", "Buying again after good service", "良い対応後の再購入", ("P14",)),
    Item(
        "S69",
        "Repeat rate and retention",
        "リピート率・継続率",
        ("P1",),
        "Also what the models predict: the labels churn and repeat_purchase.",
        "モデルの予測対象（解約・リピート購入）でもあります。",
    ),
    Item(
        "S70",
        "Lifetime value",
        "顧客生涯価値",
        ("P1",),
        "Revenue less refunds: the canonical tables have no costs, so no margin.",
        "売上から返金を差し引いた額です。標準テーブルに原価がないため、粗利ではありません。",
    ),
    Item("S71", "Sustainability", "社会貢献・環境", ("P8",)),
    Item("S72", "Behaviour on the site", "サイトでの行動", ("P13",)),
    Item(
        "S73",
        "Quality of the site",
        "サイトの品質",
        ("P13",),
        "Speed, faults, checkout, payment and mobile use; content, social proof and calls to"
        " action leave no trace in a visit.",
        "速度・不具合・購入手続き・決済・モバイル利用を測定します。内容や口コミ表示、導線の良し悪しは"
        "訪問の記録に残りません。",
    ),
    Item(
        "S74",
        "Continuous improvement",
        "継続的な改善",
        ("P11",),
        "A series of the company's changes: the canonical tables hold no log of them, and a"
        " change that all customers see at once tells no two apart.",
        "会社の施策変更の記録が必要ですが、標準テーブルにありません。また、全員に同時に及ぶ変更は"
        "お客様どうしの違いになりません。",
        measurable=False,
    ),
    Item(
        "S75",
        "Claims of consultancies",
        "調査会社の主張",
        ("P14",),
        "Figures quoted without a source that could be checked; they are not facts about a"
        " customer. Where a feature has such a figure it is its benchmark, marked unverified.",
        "出典を確かめられない数値であり、お客様の事実ではありません。該当する特徴量には"
        "未検証の文献値として示します。",
        measurable=False,
    ),
    Item(
        "S76",
        "Competitive edge and reputation",
        "競争優位・評判",
        ("P14",),
        "There is no defensible measure per customer.",
        "お客様ごとに測定できる妥当な指標がありません。",
        measurable=False,
    ),
)


def measured() -> dict[str, tuple[str, ...]]:
    """Row -> the base names of the features declared to measure it, in catalog order.

    A comparison with the industry (S16) is what a declared benchmark is.
    """
    found: dict[str, list[str]] = {item.key: [] for item in ITEMS}
    for source in (source for sources in SOURCES.values() for source in sources):
        for key in source.items:
            found[key].append(source.base)
        if isinstance(source, Declared) and source.benchmark is not None:
            found["S16"].append(source.base)
    return {key: tuple(dict.fromkeys(names)) for key, names in found.items()}


def shown() -> dict[str, tuple[str, ...]]:
    """Row -> the KPIs that show it for the company as a whole, in the order of the report.

    A comparison with the industry (S16) is the line that a KPI is drawn against.
    """
    return {
        item.key: tuple(
            kpi.key for kpi in KPIS if item.key in kpi.items or (item.key == "S16" and kpi.lines)
        )
        for item in ITEMS
    }


def answered(item: Item) -> Answer:
    """Whether features measure a row, it is about the company as a whole, or it has no measure."""
    if measured()[item.key]:
        return "features"
    return "company" if item.measurable else "not measurable"
