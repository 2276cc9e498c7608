"""The leadership report: one facts dictionary, one self-contained page per language.

`build_facts` decides what is said, `Page` puts it into words, the template lays it out. Both
languages are rendered from the same facts.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.facts import Facts, build_facts
from reports.page import Page
from reports.wording import Catalog, Wording, clean

__all__ = ["build_facts", "render"]


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(facts: Facts, language: str, catalog: Catalog) -> str:
    """The report in one language as one HTML file; the same facts give the same bytes."""
    environment = _environment()
    style, _, _ = environment.loader.get_source(environment, "leadership.css")  # type: ignore[union-attr]
    page = Page(facts, catalog, Wording(language))
    return environment.get_template("leadership.html").render(
        p=page, w=page.w, facts=facts, clean=clean, style=Markup(style)
    )
