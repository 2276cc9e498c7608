"""What tickets meet when they come in: load and product, which no agent decides (S14, S32)."""

from features.aggregates import last, mean
from features.declare import Declared, Family

FAMILY = Family(
    "demand",
    lever=False,
    en="Load and product at intake",
    ja="受付時の混雑・対象商品",
)

FEATURES = (
    Declared(
        "queue_backlog_mean",
        "ticket_opened",
        mean("backlog"),
        "count",
        "lower",
        "Open tickets in the queue at intake",
        "受付時の待ち件数（平均）",
        "Tickets of the last {window} met a queue of {value} on average; for customers who stay it"
        " is typically {typical}",
        "直近{window}の問い合わせの受付時の待ち件数は平均{value}件です"
        "（継続されるお客様の目安：{typical}件）",
        windows="longest",
        items=("S14",),
        columns=("tickets.queue_backlog",),
    ),
    Declared(
        "queue_backlog_last",
        "ticket_opened",
        last("backlog"),
        "count",
        "lower",
        "Open tickets in the queue at the latest intake",
        "直近の受付時の待ち件数",
        "The latest ticket met a queue of {value};"
        " for customers who stay it is typically {typical}",
        "直近の問い合わせの受付時の待ち件数は{value}件です（継続されるお客様の目安：{typical}件）",
        windows="none",
        items=("S14",),
        columns=("tickets.queue_backlog",),
    ),
    Declared(
        "product_complaint_rate",
        "product_complaint",
        last("rate"),
        "share",
        "lower",
        "Complaints among other customers' tickets about the same product",
        "同じ商品への他のお客様の問い合わせに占める苦情の割合",
        "{value} of other customers' tickets about the same product were complaints; for customers"
        " who stay it is typically {typical}",
        "同じ商品への他のお客様の問い合わせのうち苦情は{value}です"
        "（継続されるお客様の目安：{typical}）",
        windows="none",
        items=("S32",),
        columns=("tickets.product_id", "tickets.severity"),
    ),
)
