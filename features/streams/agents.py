"""The people and the phone lines behind the answers (METHODS S5, S12, S58-S61, S63)."""

from __future__ import annotations

from features.declare import Stream, flag, simple

_SPOKEN = "NOT coalesce(abandoned, false)"

STREAMS: tuple[Stream, ...] = (
    simple(
        "call",
        "calls",
        # How long somebody who hung up would have waited is not known.
        wait_minutes=f"CASE WHEN {_SPOKEN} THEN wait_seconds / 60 END",
        hold_minutes=f"CASE WHEN {_SPOKEN} THEN hold_seconds / 60 END",
        handle_minutes=f"""CASE WHEN {_SPOKEN} THEN
            (talk_seconds + coalesce(hold_seconds, 0) + coalesce(wrap_seconds, 0)) / 60 END""",
        abandoned=flag("abandoned"),
    ),
    simple(
        "qa_review",
        "qa_reviews",
        empathy="empathy",
        listening="listening",
        clarity="clarity",
        accuracy="accuracy",
        tone="tone",
        language_skill="language",
    ),
    simple(
        "assignment",
        "ticket_events",
        "kind IN ('assigned', 'transferred', 'escalated')",
        tenure_days="agent_tenure_days",
        training_hours="agent_training_hours",
    ),
)
