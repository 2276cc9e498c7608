"""The leadership report: one facts dictionary, one self-contained page per language.

`build_facts` decides what is said, `Page` and the sections put it into words, the template lays it
out. Both languages are rendered from the same facts.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import caveats, changes, factors, levers, panels, risk, sources, trust
from reports.facts import Facts, build_facts
from reports.page import Page
from reports.wording import Catalog, Wording, clean

__all__ = ["build_facts", "render"]

TEMPLATES = Path(__file__).parent / "templates"
SECTIONS = {
    "caveats": caveats,
    "changes": changes,
    "factors": factors,
    "levers": levers,
    "panels": panels,
    "risk": risk,
    "sources": sources,
    "trust": trust,
}


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(facts: Facts, language: str, catalog: Catalog) -> str:
    """The report in one language as one HTML file; the same facts give the same bytes.

    The page may run no script but its own: the policy names that one by its hash.
    """
    style, script = (
        (TEMPLATES / f"leadership.{kind}").read_text(encoding="utf-8") for kind in ("css", "js")
    )
    page = Page(facts, catalog, Wording(language))
    return (
        _environment()
        .get_template("leadership.html")
        .render(
            p=page,
            w=page.w,
            facts=facts,
            clean=clean,
            style=Markup(style),
            script=Markup(script),
            script_hash=script_hash(script),
            **SECTIONS,
        )
    )


def script_hash(script: str) -> str:
    """A script's name in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
