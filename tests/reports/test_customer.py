from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from data.contracts import TABLES
from features.catalog import FAMILIES, features
from reports.customer import Event, Score, View, customer_page, customer_text
from reports.wording import LANGUAGES, Catalog, texts

FEATURES = {feature.name: feature for feature in features((90,), [table.name for table in TABLES])}
CATALOG = Catalog(FEATURES, FAMILIES)
DAY = datetime(2025, 5, 31, 15, tzinfo=UTC)  # 1 June in Tokyo


def at(hour: int) -> datetime:
    return datetime(2025, 5, 20, hour, tzinfo=UTC)


VIEW = View(
    customer_id="C000007",
    as_of=DAY,
    time_zone="Asia/Tokyo",
    currency="JPY",
    scores=(
        Score(
            "churn",
            "immature",
            probability=0.123,
            base_rate=0.051,
            reasons=(
                {
                    "feature": "ticket_count_90d",
                    "value": 5.0,
                    "value_text": None,
                    "typical": 1.0,
                    "typical_text": None,
                },
            ),
            contributions=(("ticket_count_90d", 0.42),),
        ),
        Score("repeat_purchase", "no order in 365 days"),
    ),
    timeline=(
        Event("tickets", "opened", at(1), at(1), {"topic": "billing", "severity": 3}),
        Event("orders", "placed", at(2), datetime(2025, 5, 25, tzinfo=UTC), {"amount": 4980}),
    ),
    features={"ticket_count_90d": 5.0, "first_response_hours_typical_90d": None},
)


def test_the_text_says_what_is_known_on_the_day() -> None:
    text = customer_text(VIEW, CATALOG, "en")
    assert "C000007 as of June 1, 2025" in text
    assert "Risk of leaving: 12.3% (all customers: 5.1%)" in text
    assert "not scored, no order in 365 days" in text
    assert "2025-05-20 10:00  Ticket opened (topic: billing; severity: 3)" in text
    assert "Order (amount: ¥4,980)" in text


def test_the_japanese_text_holds_no_english_sentence() -> None:
    text = customer_text(VIEW, CATALOG, "ja")
    assert "お客様 C000007（2025年6月1日時点）" in text
    assert "解約リスク：12.3%（全体：5.1%）" in text
    assert "問い合わせ開始（" in text
    assert "注文（金額：￥4,980）" in text
    assert not any(word in text for word in ("Ticket", "Order", "Risk", "not scored"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_tells_what_was_known_only_later(language: str) -> None:
    page = customer_page(VIEW, CATALOG, language)
    assert f'<html lang="{language}">' in page
    assert page.count("2025-05-25 09:00") == 1  # the order; the ticket was known at once
    assert "0.42" in page
    assert "http" not in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_comes_from_data_is_only_ever_text(language: str) -> None:
    evil = "<script>alert(1)</script>\u202e\x1b[31m"
    view = replace(
        VIEW,
        customer_id=evil,
        timeline=(Event("tickets", evil, at(1), at(1), {"topic": evil}),),
    )
    page, text = customer_page(view, CATALOG, language), customer_text(view, CATALOG, language)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page + text
    assert "\x1b" not in page + text


def test_every_kind_of_the_contract_has_words() -> None:
    from pipelines.customer import KINDS

    known = texts("ja")["customer"]["kinds"]
    for table in TABLES:
        own = {column.name: column.allowed or () for column in table.columns}
        if KINDS.get(table.name, "").endswith("action"):
            kinds = [f"{k}.{a}" for k in own.get("kind", ("",)) for a in own["action"]]
        elif table.name in ("orders", "messages"):
            kinds = list(own[KINDS[table.name]])
        else:
            kinds = list(own.get("kind", ()))
        for kind in kinds:
            assert f"{table.name}.{kind.removeprefix('.')}" in known, f"{table.name}.{kind}"
