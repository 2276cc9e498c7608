"""What the company does on its own account, and self-service (METHODS S48-S56)."""

from __future__ import annotations

from features.declare import Stream, flag, one_if, simple

STREAMS: tuple[Stream, ...] = (
    simple(
        "outreach",
        "outreach",
        follow_up=one_if("kind = 'follow_up'"),
        proactive_help=one_if("kind = 'proactive_help'"),
        personal_offer=one_if("kind = 'personal_offer'"),
        thank_you=one_if("kind = 'thank_you'"),
    ),
    simple(
        "self_service",
        "selfservice",
    ),
    Stream(
        "self_service_due",
        ("selfservice", "tickets"),
        ("succeeded",),
        f"""
        SELECT customer_id, known_from + INTERVAL 72 HOUR AS first_known, first_known AS known_from,
               withdrawn AS known_until, event_id AS tie, {flag("NOT asked")} AS succeeded
        FROM (
            SELECT *, EXISTS (SELECT 1 FROM ticket
                WHERE ticket.customer_id = visit.customer_id
                  AND opened_at BETWEEN visit.event_at AND visit.event_at + INTERVAL 72 HOUR
                  AND opened_known <= visit.known_from + INTERVAL 72 HOUR) AS asked
            FROM selfservice_first AS visit
        )
        """,
    ),
)
