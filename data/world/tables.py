"""The raw tables of a simulated history, as the company would export them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from data.world import care, commerce, support, voice
from data.world.draws import Array
from data.world.record import Scene

PREFIXES = {
    "customers": "C",
    "subscriptions": "SB",
    "orders": "OR",
    "returns": "RT",
    "tickets": "TK",
    "ticket_events": "TE",
    "messages": "MS",
    "surveys": "SV",
    "outreach": "OU",
    "loyalty": "LO",
    "selfservice": "SS",
    "web_sessions": "WS",
    "calls": "CA",
    "qa_reviews": "QA",
    "reviews": "RV",
    "social_mentions": "SM",
    "referrals": "RF",
    "feedback": "FB",
}


def _out_of_range(column: str, value: float) -> Callable[[dict, Array], None]:
    def fault(columns: dict, broken: Array) -> None:
        changed = columns[column].copy()
        changed[broken & ~np.isnan(changed)] = value
        columns[column] = changed

    return fault


FAULTS = {
    "orders": _out_of_range("amount", -1.0),
    "returns": _out_of_range("amount", -1.0),
    "tickets": _out_of_range("severity", 9.0),
    "surveys": _out_of_range("value", 99.0),
    "loyalty": _out_of_range("points", -1.0),
    "web_sessions": _out_of_range("visits", -1.0),
    "subscriptions": _out_of_range("price", -1.0),
}
"""What a broken row of each table looks like, besides the faults every table has."""


def all_tables(scene: Scene) -> dict[str, pa.Table]:
    """Every canonical table of the scene's customers, as the company would export it."""
    placed = commerce.place_orders(scene)
    story = support.tell(scene)
    rows = {
        "customers": commerce.customers(scene, placed),
        "subscriptions": commerce.subscriptions(scene),
        "orders": commerce.orders(scene, placed),
        "returns": commerce.returns(scene, placed),
        "tickets": support.tickets(scene, story),
        "ticket_events": support.ticket_events(scene, story),
        "messages": support.messages(scene, story),
        "calls": support.calls(scene, story),
        "qa_reviews": support.qa_reviews(scene, story),
        "surveys": voice.surveys(scene, story, placed),
        "outreach": care.outreach(scene, story, placed),
        "loyalty": commerce.loyalty(scene, placed),
        "selfservice": care.selfservice(scene, story),
        "web_sessions": commerce.web_sessions(scene),
        "reviews": voice.reviews(scene, placed),
        "social_mentions": voice.social_mentions(scene),
        "referrals": voice.referrals(scene),
        "feedback": voice.feedback(scene, story),
    }
    return {name: scene.recorder.table(name, PREFIXES[name], part) for name, part in rows.items()}
