"""The plays: what is suggested to whom, and what a slip in the file is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.contracts import TABLES
from features.catalog import FAMILIES, features
from reports import plays
from reports.lists import spreadsheet_safe
from reports.plays import Plays, PlaysError

LEVERS = ("resolution", "channels")
FEATURES = {
    "open_ticket_count": ["open_ticket_count"],
    "csat_last": ["csat_last"],
    "language": ["language"],
    "language_match_share": ["language_match_share_30d", "language_match_share_365d"],
}
GOOD = """
plays:
  - name: call_back
    when: {open_ticket_count: {at_least: 1}}
    en: Call back.
    ja: 折り返してください。
  - name: native
    reason: [channels]
    when: {language_match_share: {below: 0.5}, language: {is: ko}}
    en: A native speaker takes over.
    ja: 母語話者に引き継いでください。
  - name: any
    reason: [resolution, channels]
    en: Fix it.
    ja: 解決してください。
none:
  en: Nothing to do.
  ja: 対応不要です。
"""


def read(text: str, tmp_path: Path) -> Plays:
    path = tmp_path / "plays.yaml"
    path.write_text(text, encoding="utf-8")
    return plays.load(LEVERS, FEATURES, path)


def test_the_first_play_that_fits_is_suggested(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {
            "open_ticket_count": [2.0, 0, 0, np.nan, 0],
            "language_match_share_365d": [0.1, 0.1, 0.9, 0.1, 0.1],
            "language": ["ko", "ko", "ko", None, "ko"],
        }
    )
    chosen, idle = read(GOOD, tmp_path).choose(
        rows, ["channels", "channels", "channels", "channels", None]
    )
    # The last customer's reasons are background only: no support play.
    assert chosen.tolist() == ["call_back", "native", "any", "any", None]
    assert idle == []


def test_an_open_ticket_is_called_back_whatever_the_reasons(tmp_path: Path) -> None:
    rows = pd.DataFrame({"open_ticket_count": [1.0]})
    chosen, idle = read(GOOD, tmp_path).choose(rows, [None])
    assert chosen.tolist() == ["call_back"]
    # A play about facts that the source does not have fits nobody, and is named.
    assert idle == ["native"]


def test_the_projects_own_plays_answer_every_support_factor_in_both_languages() -> None:
    names: dict[str, list[str]] = {}
    for feature in features([30, 90, 180, 365], [table.name for table in TABLES]):
        names.setdefault(feature.name, []).append(feature.name)
        names.setdefault(feature.base, []).append(feature.name)
    levers = [key for key, family in FAMILIES.items() if family.lever]
    book = plays.load(levers, names)
    rows = pd.DataFrame(np.nan, index=range(len(levers)), columns=list(book.columns))
    chosen, idle = book.choose(rows, levers)
    assert None not in chosen.tolist() and not idle
    for text in book.texts.values():
        assert set(text) == {"en", "ja"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[channels]", "[chanels]", "native: 'chanels' is no support factor; there are channels"),
        ("    ja: 折り返してください。\n", "", "call_back: the text in ja is missing"),
        ("    ja: 折り返してください。\n", "    ja: ''\n", "call_back: the text in ja is missing"),
        ("open_ticket_count:", "open_tickets:", "there is no feature 'open_tickets'"),
        ("at_least: 1", "atleast: 1", "open_ticket_count needs one of above, at_least"),
        ("at_least: 1", "at_least: many", "'many' is no number"),
        ("name: native", "name: call_back", "two plays are called call_back"),
        ("[resolution, channels]", "[channels]", "no play without `when` answers .* resolution"),
        ("none:", "nothing:", "exactly two parts"),
        ("    en: Fix it.", "    en: Fix it.\n    en: Or not.", "'en' is given twice"),
        ("en: Fix it.", "text: Fix it.", "any: there is no 'text'"),
        ("en: Fix it.", f"en: {'x' * 400}", "400 characters; use at most 300"),
        ("- name: any\n    reason", "- reason", "play 3 needs a name"),
        ("name: any", "name: none", "must not be called none"),
        ("en: Nothing to do.", "en: [Nothing", "not valid YAML"),
    ],
)
def test_a_slip_is_told_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert GOOD.count(old)
    with pytest.raises(PlaysError, match=message):
        read(GOOD.replace(old, new, 1), tmp_path)


def test_markup_formulas_and_odd_characters_stay_text(tmp_path: Path) -> None:
    text = GOOD.replace("en: Call back.", 'en: "=HYPERLINK(\\"x\\")<b>\\u202Eabc\\n\\u0007"')
    said = read(text, tmp_path).texts["call_back"]["en"]
    assert said == '=HYPERLINK("x")<b>abc'
    assert spreadsheet_safe(said) == "'" + said
