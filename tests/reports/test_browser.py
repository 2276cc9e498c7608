"""The report in a real browser: it fits, answers to mouse and keyboard, and anyone can read it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from pipelines import pdf

SIZES = {"laptop": (1366, 768), "phone": (360, 740)}
LANGUAGES = ("en", "ja")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MEASURE = """() => ({
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    figures: document.querySelectorAll('figure').length,
    charts: [...document.querySelectorAll('.chart > svg')]
        .filter(svg => svg.querySelectorAll('text').length > 2
            && (svg.getBoundingClientRect().width > 180 || !svg.checkVisibility())).length,
})"""
JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
A4 = {"width": 695, "height": 1024}
"""A4 less its margins of 13 mm, in pixels of 1/96 inch."""


@dataclass
class Opened:
    """A page and what went wrong on it."""

    page: Page
    address: str
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.fail("these tests need a browser: `apt-get install chromium fonts-noto-cjk`")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=SWITCHES)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, pages: dict[str, str]) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for language, text in pages.items():
        (folder / f"{language}.html").write_text(text, encoding="utf-8")
    return {language: folder / f"{language}.html" for language in pages}


def opened(browser: Browser, file: Path, width: int, height: int) -> Opened:
    page = browser.new_page(viewport={"width": width, "height": height})
    found = Opened(page, file.as_uri())
    page.on("console", lambda message: found.problems.append(message.text))
    page.on("pageerror", lambda error: found.problems.append(str(error)))
    page.on("request", lambda request: found.requests.append(request.url))
    page.goto(found.address)
    return found


@pytest.fixture
def laptop(browser: Browser, files: dict[str, Path]) -> Iterator[Page]:
    found = opened(browser, files["en"], *SIZES["laptop"])
    yield found.page
    found.page.close()
    assert found.problems == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_opens_offline_and_fits(
    browser: Browser, files: dict[str, Path], language: str, size: str
) -> None:
    found = opened(browser, files[language], *SIZES[size])
    folded = found.page.evaluate(MEASURE)
    found.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    unfolded = found.page.evaluate(MEASURE)
    found.page.close()
    assert found.problems == []
    assert found.requests == [found.address]
    for measured in (folded, unfolded):
        assert measured["overflow"] == 0
        assert measured["figures"] == measured["charts"] > 20


@pytest.mark.parametrize(
    ("language", "size", "unfolded"),
    [("en", "laptop", []), ("ja", "phone", []), ("ja", "laptop", ["#support", "#effects"])],
)
def test_nothing_keeps_people_with_disabilities_from_reading(
    browser: Browser, files: dict[str, Path], language: str, size: str, unfolded: list[str]
) -> None:
    """All that is on screen; and two sections with everything in them unfolded."""
    found = opened(browser, files[language], *SIZES[size])
    context = {"include": unfolded} if unfolded else None
    if unfolded:
        found.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    results = Axe().run(found.page, context, {"resultTypes": ["violations"]})
    found.page.close()
    assert results.response["passes"]
    serious = [
        (one["id"], [node["html"][:200] for node in one["nodes"][:3]])
        for one in results.response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


def tip(page: Page) -> str:
    return " ".join(page.inner_text("#tip").split()) if page.is_visible("#tip") else ""


def test_a_tooltip_shows_the_row_of_the_table_under_the_pointer(laptop: Page) -> None:
    laptop.hover("#findings .chart [data-row='1']")
    shown = tip(laptop)
    assert "Escalated" in shown and "+5.6 (+4.2 to +7.0)" in shown and "Grade B" in shown
    laptop.hover("h1")
    assert tip(laptop) == ""


def test_the_arrow_keys_read_a_chart_point_by_point(laptop: Page) -> None:
    laptop.focus("#findings .chart")
    laptop.keyboard.press("ArrowRight")
    assert "Resolved at first contact" in tip(laptop)
    laptop.keyboard.press("ArrowRight")
    assert "Escalated" in tip(laptop)
    laptop.keyboard.press("End")
    assert "Loyalty enrolment" in tip(laptop)
    laptop.keyboard.press("Escape")
    assert tip(laptop) == ""


def test_every_chart_can_be_reached_by_keyboard_and_answers(laptop: Page) -> None:
    """The tip of the first point of each chart is not empty."""
    laptop.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    silent = laptop.evaluate(
        """() => [...document.querySelectorAll('.chart')].filter(chart => {
            chart.focus();
            chart.dispatchEvent(new KeyboardEvent('keydown', {key: 'Home', bubbles: true}));
            return document.activeElement !== chart || tip.hidden || !tip.textContent.trim();
        }).length"""
    )
    assert silent == 0


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_family_unfolds_to_its_features(laptop: Page, by: str) -> None:
    button = laptop.locator("#factors button.unfold", has_text="Response time").first
    feature = laptop.locator("#factors .child", has_text="Typical first response time").first
    assert not feature.is_visible()
    if by == "mouse":
        button.click()
    else:
        button.focus()
        laptop.keyboard.press("Enter")
    assert feature.is_visible() and button.get_attribute("aria-expanded") == "true"


def columns(page: Page) -> list[str]:
    return page.eval_on_selector_all(
        "#table-channel thead th", "cells => cells.filter(c => !c.hidden).map(c => c.textContent)"
    )


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_the_channel_filter_leaves_one_channel_beside_all(laptop: Page, by: str) -> None:
    everything = columns(laptop)
    assert everything == ["Figure", "All", "Mail", "Phone", "Chat", "In person"]
    select = "select[data-table='table-channel']"
    if by == "mouse":
        laptop.select_option(select, label="Phone")
    else:
        laptop.focus(select)
        laptop.keyboard.type("Phone")
    assert columns(laptop) == ["Figure", "All", "Phone"]
    laptop.select_option(select, value="")
    assert columns(laptop) == everything


def test_the_first_printed_page_holds_the_findings_and_their_chart(
    browser: Browser, files: dict[str, Path]
) -> None:
    for language, file in files.items():
        page = opened(browser, file, **A4).page
        page.emulate_media(media="print")
        bottom = page.evaluate(
            "() => document.querySelector('#findings').getBoundingClientRect().bottom"
        )
        page.close()
        assert bottom <= A4["height"], language


@pytest.mark.parametrize("language", LANGUAGES)
def test_on_paper_everything_is_unfolded_and_nothing_is_cut(
    browser: Browser, files: dict[str, Path], language: str
) -> None:
    page = opened(browser, files[language], **A4).page
    page.emulate_media(media="print")
    cut = page.evaluate(
        """() => [...document.querySelectorAll('main table')].filter(t => {
            const box = t.getBoundingClientRect();
            return box.width && box.right > document.documentElement.clientWidth + 1;
        }).map(t => t.caption.textContent)"""
    )
    folded = page.evaluate(
        """() => [...document.querySelectorAll(
            'main > section:not(#findings) tbody tr')].filter(r => !r.checkVisibility()).length"""
    )
    page.close()
    assert cut == []
    assert folded == 0


def fonts(session: CDPSession, page: Page) -> dict[str, bool]:
    """The fonts that glyphs of the page's texts were drawn with, and whether each is installed."""
    session.send("DOM.enable")
    session.send("CSS.enable")
    root: dict[str, Any] = session.send("DOM.getDocument")["root"]
    body = session.send("DOM.querySelector", {"nodeId": root["nodeId"], "selector": "body"})
    every = session.send("DOM.querySelectorAll", {"nodeId": body["nodeId"], "selector": "*"})
    found: dict[str, bool] = {}
    for node in every["nodeIds"][:400]:
        used = session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
        found |= {font["familyName"]: bool(font["glyphCount"]) for font in used}
    return found


def test_japanese_is_drawn_with_a_japanese_font(browser: Browser, files: dict[str, Path]) -> None:
    """The fallback for unified ideographs is often Chinese, whose characters look foreign."""
    page = opened(browser, files["ja"], *SIZES["laptop"]).page
    used = fonts(page.context.new_cdp_session(page), page)
    page.close()
    cjk = [name for name in used if re.search("CJK|Gothic|Hiragino|Noto Sans JP|Meiryo", name)]
    assert cjk and not [name for name in cjk if re.search(r"\b(SC|TC|HK|KR)\b", name)]


def test_the_pdf_holds_its_fonts_and_its_japanese(files: dict[str, Path], tmp_path: Path) -> None:
    """Chromium embeds the glyphs of CFF fonts such as Noto Sans CJK without the font's name, so
    the proof is that every font is embedded, and that the text can be read back whole."""
    printed = tmp_path / "ja.pdf"
    pdf.write(files["ja"], printed)
    listed = subprocess.run(["pdffonts", printed], capture_output=True, text=True, check=True)
    lines = listed.stdout.splitlines()[2:]
    assert lines
    # The columns emb, sub, uni are followed by an object number of two parts.
    assert all(line.split()[-5] == "yes" for line in lines)
    text = subprocess.run(["pdftotext", printed, "-"], capture_output=True, text=True, check=True)
    said = re.sub(r"\s", "", text.stdout)
    for words in ("三つの要点", "一次解決", "顧客努力指標", "解約リスク", "用語集"):
        assert words in said
    assert "\ufffd" not in said and "□" not in said
    assert len(JAPANESE.findall(said)) > 3000
