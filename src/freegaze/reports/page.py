"""A page made of sections, written as one HTML file without other files.

To add a section, copy ``sections/_template.py`` and name its builder in ``report.py``. Templates
escape every value: text from a source is shown and never run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from freegaze.files.atomic import write_file
from freegaze.reports.svg import figure_to_svg

WIDE_PX, NARROW_PX = 1000, 350
"""Widths that figures across the page are drawn for; the style sheet shows one of the two."""


@dataclass(frozen=True)
class Panel:
    """A figure with its words.

    Args:
        drawings: The drawing by where it is shown: ``any``, or ``wide`` and ``narrow``.
        title: Short heading.
        caption: Description of the figure, and how to read it.
    """

    drawings: Mapping[str, Markup]
    title: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """One part of a page.

    Args:
        key: Anchor, letters and hyphens only. Its template is ``sections/<key>.html.j2``; without
            one, ``content`` has a ``lead`` and ``panels``.
        title: Heading.
        content: Values that the template shows.
    """

    key: str
    title: str
    content: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """A whole page.

    Args:
        kicker: A word above the title.
        title: Title.
        summary: One sentence.
        facts: Key numbers: (value, what it is).
        sections: Parts, in order.
        footer: Last line.
        verdict: What a reader asks first: (question, answer).
        styles: Names of the style sheets in ``templates/`` that are written into the page.
        scripts: Names of the scripts that are written into the page, in this order; they share one
            scope.
    """

    kicker: str
    title: str
    summary: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    footer: str = ""
    verdict: Sequence[tuple[str, str]] = ()
    styles: Sequence[str] = ("page.css",)
    scripts: Sequence[str] = ("page.js",)


def panel(figure: Figure, name: str, description: str, title: str = "", caption: str = "") -> Panel:
    """Make a panel of a figure that is readable at every width as it is."""
    return Panel({"any": figure_to_svg(figure, name, description)}, title, caption)


def wide_panel(
    draw: Callable[[float], Figure],
    name: str,
    description: str,
    title: str = "",
    caption: str = "",
) -> Panel:
    """Make a panel of a figure across the page, drawn once for screens and once for phones.

    Args:
        draw: Draws the figure at a width in CSS pixels.
        name: Unique in the page.
        description: Description for readers who cannot see the figure.
        title: Short heading.
        caption: Description of the figure, and how to read it.
    """
    drawings = {
        kind: figure_to_svg(draw(width), f"{name}-{kind}", description)
        for kind, width in (("wide", WIDE_PX), ("narrow", NARROW_PX))
    }
    return Panel(drawings, title, caption)


def render_page(page: Page) -> str:
    """Return a page as HTML with its style, script and figures inside."""
    environment = Environment(
        loader=PackageLoader("freegaze.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    loader = environment.loader
    assert loader is not None, "given above"
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    styles = [loader.get_source(environment, name)[0] for name in page.styles]
    scripts = [loader.get_source(environment, name)[0] for name in page.scripts]
    return environment.get_template("page.html.j2").render(
        page=page,
        styles=[Markup(style) for style in styles],
        scripts=[Markup(script) for script in scripts],
        script_hashes=[_source_hash(script) for script in scripts],
    )


def write_page(page: Page, path: Path) -> Path:
    """Write a page, whole or not at all.

    Raises:
        DataError: If the file cannot be written.
    """
    return write_file(path, render_page(page))


def _source_hash(script: str) -> str:
    """Name a script of ours for the page's security policy, so that no other runs in it."""
    digest = hashlib.sha256(script.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()
