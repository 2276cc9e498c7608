"""The reports in a real browser: nothing is fetched, nothing fails, nothing sticks out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

SIZES = {"laptop": (1366, 768), "phone": (360, 740)}
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
    charts: [...document.querySelectorAll('figure > svg')]
        .filter(svg => svg.getBoundingClientRect().width > 200
            && svg.getBoundingClientRect().height > 60
            && svg.querySelectorAll('text').length > 2).length,
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.fail("these tests need a browser: `apt-get install chromium fonts-noto-cjk`")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=SWITCHES)
        yield launched
        launched.close()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_report_opens_offline_and_fits(
    browser: Browser, tmp_path: Path, pages: dict[str, str], language: str, size: str
) -> None:
    file = tmp_path / f"{language}.html"
    file.write_text(pages[language], encoding="utf-8")
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height})
    problems: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    measured = page.evaluate(MEASURE)
    page.close()
    assert problems == []
    assert requests == [file.as_uri()]
    assert measured["overflow"] == 0
    assert measured["figures"] == measured["charts"] > 20


def test_the_first_printed_page_holds_the_findings_and_their_chart(
    browser: Browser, tmp_path: Path, pages: dict[str, str]
) -> None:
    """A4 less margins, 1 px = 1/96 inch: everything before the model section fits on one page."""
    for language, text in pages.items():
        file = tmp_path / f"{language}.html"
        file.write_text(text, encoding="utf-8")
        page = browser.new_page(viewport={"width": 688, "height": 1016})
        page.emulate_media(media="print")
        page.goto(file.as_uri())
        bottom = page.evaluate(
            "() => document.querySelector('#findings').getBoundingClientRect().bottom"
        )
        page.close()
        assert bottom <= 1016, language
