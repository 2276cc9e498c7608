"""Every fact stream by name, one file per part of the customer's life."""

from __future__ import annotations

from features.streams import agents, care, commerce, replies, tickets, voice

STREAMS = (
    *tickets.STREAMS,
    *replies.STREAMS,
    *agents.STREAMS,
    *voice.STREAMS,
    *care.STREAMS,
    *commerce.STREAMS,
)

STREAM = {stream.name: stream for stream in STREAMS}
