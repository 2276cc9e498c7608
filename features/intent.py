"""Signs that the customer is already leaving (METHODS C, near-label guard).

Such features predict departure because they announce it, so they are context, a family of their
own, and headline figures are repeated without them.
"""

from features.aggregates import count, days_since_last
from features.declare import Declared, Family

FAMILY = Family(
    "intent",
    lever=False,
    en="Announced departure",
    ja="解約の意思表示",
)

FEATURES = (
    Declared(
        "cancellation_ticket_count",
        "cancellation_ticket",
        count(),
        "count",
        "lower",
        "Tickets about cancellation",
        "解約に関する問い合わせ件数",
        "Tickets about cancellation in the last {window} came to {value}; for customers who stay it"
        " is typically {typical}",
        "直近{window}の解約に関する問い合わせは{value}件です（継続されるお客様の目安：{typical}件）",
        windows="longest",
        columns=("tickets.topic",),
    ),
    Declared(
        "days_since_cancellation_ticket",
        "cancellation_ticket",
        days_since_last(),
        "days",
        "higher",
        "Days since the last ticket about cancellation",
        "最後の解約に関する問い合わせからの日数",
        "The last ticket about cancellation was opened {value} ago; for customers who stay it is"
        " typically {typical}",
        "最後の解約に関する問い合わせから{value}がたっています（継続されるお客様の目安：{typical}）",
        windows="none",
        columns=("tickets.topic",),
    ),
    Declared(
        "retention_contact_count",
        "retention_contact",
        count(),
        "count",
        "lower",
        "Contacts by the retention team",
        "引き止めの連絡回数",
        "Contacts by the retention team in the last {window} came to {value}; for customers who"
        " stay it is typically {typical}",
        "直近{window}の引き止めの連絡は{value}回です（継続されるお客様の目安：{typical}回）",
        windows="longest",
        columns=("outreach.campaign",),
    ),
    Declared(
        "cancel_request_count",
        "cancel_request",
        count(),
        "count",
        "lower",
        "Requests to cancel a contract",
        "解約の申し込み件数",
        "Requests to cancel a contract came to {value} in the last {window};"
        " for customers who stay it is typically {typical}",
        "直近{window}の解約の申し込みは{value}件です（継続されるお客様の目安：{typical}件）",
        windows="longest",
    ),
)
