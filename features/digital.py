"""How well the site works for the customer (METHODS S44, S73).

While the customer refuses tracking, everything measured on the site is missing, never 0.
"""

from features.aggregates import geomean, quantile, share, total
from features.declare import Declared, Family

FAMILY = Family(
    "digital",
    lever=True,
    en="Site experience",
    ja="サイトの使いやすさ",
    play_en="Ask what went wrong on the site, help to finish it now, and pass the fault on.",
    play_ja="サイトで困った点を伺い、その場で手続きを完了し、不具合を担当部署に伝えてください。",
)

FEATURES = (
    Declared(
        "page_load_seconds_p75",
        "visit",
        quantile("load_seconds", 0.75),
        "seconds",
        "lower",
        "Page load time (75th percentile)",
        "ページの表示時間（75パーセンタイル）",
        "Three in four pages of the last {window} were ready within {value};"
        " for customers who stay it is typically {typical}",
        "直近{window}のページ表示時間（75パーセンタイル）は{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S73",),
        columns=("web_sessions.load_ms",),
    ),
    Declared(
        "page_error_count",
        "visit",
        total("page_errors"),
        "count",
        "lower",
        "Pages not found and clicks without effect",
        "ページエラー・反応のない操作の回数",
        "Page errors and clicks without effect in the last {window} came to {value};"
        " customers who stay typically meet {typical}",
        "直近{window}のページエラーや反応のない操作は{value}回です"
        "（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=("S73",),
        columns=("web_sessions.page_errors",),
    ),
    Declared(
        "checkout_failure_count",
        "visit",
        total("checkout_failures"),
        "count",
        "lower",
        "Failed checkouts",
        "購入手続きの失敗回数",
        "Failed checkouts in the last {window} came to {value};"
        " customers who stay typically meet {typical}",
        "直近{window}の購入手続きの失敗は{value}回です（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=("S73",),
        columns=("web_sessions.checkout_failures",),
    ),
    Declared(
        "checkout_payment_failure_count",
        "visit",
        total("payment_failures"),
        "count",
        "lower",
        "Payments that failed on the site",
        "サイトでの決済失敗の回数",
        "Payments that failed on the site in the last {window} came to {value};"
        " customers who stay typically meet {typical}",
        "直近{window}のサイトでの決済失敗は{value}回です（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=("S73",),
        columns=("web_sessions.payment_failures",),
    ),
    Declared(
        "mobile_share",
        "visit",
        share("mobile", 0.5),
        "share",
        None,
        "Visits by mobile phone",
        "スマートフォンでの訪問の割合",
        "{value} of the visits of the last {window} were by mobile phone;"
        " for customers who stay it is typically {typical}",
        "直近{window}の訪問のうちスマートフォンは{value}です（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S73",),
        columns=("web_sessions.device",),
    ),
    Declared(
        "support_search_count",
        "visit",
        total("searches"),
        "count",
        "lower",
        "Searches for help on the site",
        "サイト内でのサポート検索回数",
        "Searches for help on the site in the last {window} came to {value};"
        " customers who stay typically make {typical}",
        "直近{window}のサイト内でのサポート検索は{value}回です"
        "（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=("S44", "S72"),
        columns=("web_sessions.support_searches",),
    ),
    Declared(
        "contact_page_count",
        "visit",
        total("contact_page"),
        "count",
        None,
        "Views of the contact page",
        "お問い合わせページの閲覧回数",
        "Views of the contact page in the last {window} came to {value};"
        " customers who stay typically have {typical}",
        "直近{window}のお問い合わせページの閲覧は{value}回です"
        "（継続されるお客様の目安：{typical}回）",
        windows="longest",
        items=("S44",),
        columns=("web_sessions.contact_page_views",),
    ),
    Declared(
        "contact_search_minutes",
        "visit",
        geomean("contact_minutes"),
        "minutes",
        "lower",
        "Minutes from searching for help to a contact",
        "サポートを探し始めてから問い合わせまでの時間",
        "From searching for help to a contact it took {value} in the last {window};"
        " customers who stay typically need {typical}",
        "直近{window}では、サポートを探し始めてから問い合わせまで{value}かかっています"
        "（継続されるお客様の目安：{typical}）",
        windows="longest",
        items=("S44",),
        columns=("web_sessions.contact_minutes",),
    ),
)
