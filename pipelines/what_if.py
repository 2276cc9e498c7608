"""The command `retention what-if`: what pulling a support lever more often would change."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from data.errors import InputError
from models import scenario
from models.effects import LEVER
from pipelines import params, paths, stage

Language = Literal["en", "ja"]

DURATIONS = {
    "first_response_hours": (("first_response_1h", 1.0), ("first_response_15min", 0.25)),
    "resolution_hours": (("resolution_24h", 24.0),),
}
"""Durations that may be shortened, and the levers (with their limits) that then move."""

_RELATIVE = re.compile(r"([+-]\d+(?:\.\d+)?)%")
_POINTS = re.compile(r"([+-]\d+(?:\.\d+)?)pp")
_ABSOLUTE = re.compile(r"(\d+(?:\.\d+)?)%")


def main(asked: Sequence[str], language: Language) -> None:
    """Print one line per lever. Raises InputError where the data do not support an answer."""
    found = stage.read_json(paths.EFFECTS / "summary.json")
    if found["skipped"] is not None:
        raise InputError(found["skipped"][language])
    currency = stage.read_json(paths.CONTRACT)["currency"]
    value = params.load().value.churn.customer_value
    lines = [answer(text, found, value, currency, language) for text in asked]
    lines += footnotes(len(lines), found["horizon_days"], language)
    sys.stdout.write("\n".join(lines) + "\n")


def answer(
    text: str, found: Mapping[str, Any], value: float, currency: str, language: Language
) -> str:
    """The sentence about one `lever=change`. Raises InputError when it is refused."""
    key, after = wanted(text, found)
    lever = found["levers"][key]
    refused = scenario.refusal(lever, after)
    if refused is not None:
        raise InputError(f"{text}: {refused[language == 'ja']}")
    result = scenario.change(lever, after)
    money = sorted(-n * value for n in (result.low, result.high))
    if language == "ja":
        return (
            f"{lever['label']['ja']}（{_percent(result.share_before)}→"
            f"{_percent(result.share_after)}、年間{result.tickets:,}件のお問い合わせ）:"
            f" 解約者数の変化 {result.departures:+,.0f}人"
            f"（95%信頼区間 {result.low:+,.0f}～{result.high:+,.0f}人）、"
            f"金額 {-result.departures * value:+,.0f} {currency}"
            f"（{money[0]:+,.0f}～{money[1]:+,.0f}）。等級{lever['grade']}"
        )
    return (
        f"{lever['label']['en']} ({_percent(result.share_before)} ->"
        f" {_percent(result.share_after)} of {result.tickets:,} tickets a year): change in"
        f" customers who leave {result.departures:+,.0f} (95 % interval {result.low:+,.0f} to"
        f" {result.high:+,.0f}), worth {-result.departures * value:+,.0f} {currency}"
        f" ({money[0]:+,.0f} to {money[1]:+,.0f}). Grade {lever['grade']}"
    )


def footnotes(levers: int, horizon_days: int, language: Language) -> list[str]:
    """What the figures do and do not say."""
    if language == "ja":
        lines = [
            f"受付から{horizon_days}日以内の解約について。波及効果や対応余力の変化は含みません。"
        ]
        return lines + (
            ["効果は重なるため、複数の施策の数値は合計できません。"] if levers > 1 else []
        )
    lines = [f"Within {horizon_days} days of each ticket; no spillover, no change of capacity."]
    return lines + (["The levers overlap: do not add them up."] if levers > 1 else [])


def wanted(text: str, found: Mapping[str, Any]) -> tuple[str, float]:
    """The lever and the share of tickets that `lever=change` asks for."""
    name, sign, change = text.partition("=")
    if not sign:
        raise InputError(f"{text!r}: write a lever and a change, e.g. fcr=85% or fcr=+5pp")
    if name in DURATIONS:
        return _shorter(name, change, text, found)
    if name not in LEVER:
        raise InputError(f"{name!r} is not a lever: {', '.join((*LEVER, *DURATIONS))}")
    if name not in found["levers"]:
        reason = found["skipped_levers"][name]["en"]
        raise InputError(f"{name}: there is no estimate: {reason}")
    share = float(found["levers"][name]["share"])
    if match := _POINTS.fullmatch(change):
        after = share + float(match[1]) / 100
    elif match := _RELATIVE.fullmatch(change):
        after = share * (1 + float(match[1]) / 100)
    elif match := _ABSOLUTE.fullmatch(change):
        after = float(match[1]) / 100
    else:
        raise InputError(f"{text!r}: give a share (85%), points (+5pp) or a relative change (-10%)")
    if not 0 <= after <= 1:
        raise InputError(f"{text!r}: {after:.0%} is not a share of tickets")
    return name, after


def _shorter(name: str, change: str, text: str, found: Mapping[str, Any]) -> tuple[str, float]:
    """The share within the limit if every duration changed by so much."""
    match = _RELATIVE.fullmatch(change)
    if match is None or float(match[1]) <= -100:
        raise InputError(f"{text!r}: give a relative change of the hours, e.g. {name}=-50%")
    known = [(key, limit) for key, limit in DURATIONS[name] if key in found["levers"]]
    if not known:
        raise InputError(f"{name}: there is no estimate for it in this source")
    usable = [pair for pair in known if found["levers"][pair[0]]["grade"] in ("A", "B")]
    key, limit = (usable or known)[0]
    factor = 1 + float(match[1]) / 100
    return key, scenario.share_of_hours(found["levers"][key]["hours"], limit, factor)


def _percent(share: float) -> str:
    return f"{share:.1%}"
