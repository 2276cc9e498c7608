"""What customers say when asked or in public: surveys (METHODS S17-S31)."""

from __future__ import annotations

from features.declare import Stream, flag, scaled, simple

STREAMS: tuple[Stream, ...] = (
    simple(
        "survey_answer",
        "surveys",
        "action = 'answered'",
        csat=scaled("csat"),
        csat_low=f"CASE WHEN kind = 'csat' THEN {flag(scaled('csat') + ' <= 25')} END",
        nps=scaled("nps"),
        ces=scaled("ces"),
    ),
    Stream(
        "survey_due",
        ("surveys",),
        ("answered",),
        f"""
        SELECT customer_id, sent_known + INTERVAL 7 DAY AS first_known, first_known AS known_from,
               withdrawn AS known_until, survey_id AS tie,
               {flag("coalesce(answer_known <= sent_known + INTERVAL 7 DAY, false)")} AS answered
        FROM (
            SELECT survey_id, customer_id, known_from AS sent_known, withdrawn FROM surveys_first
            WHERE action = 'sent'
            QUALIFY row_number() OVER (PARTITION BY survey_id ORDER BY known_from, event_id) = 1
        )
        LEFT JOIN (
            SELECT survey_id, min(known_from) AS answer_known FROM surveys_first
            WHERE action = 'answered' GROUP BY survey_id
        ) USING (survey_id)
        """,
    ),
)
