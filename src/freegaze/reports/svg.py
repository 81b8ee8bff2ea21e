"""Figures as bytes, SVG for a page and PNG for elsewhere, the same bytes each time."""

from __future__ import annotations

import io
import re

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from freegaze.reports.style import PX_PER_INCH, RC, any_script

_TAG = re.compile(r"<[a-zA-Z][^>]*>")
_FONT = re.compile(r"font-family: [^;\"]*;? ?")
_NUMBER = re.compile(r"(\d\.\d\d)\d+")


def figure_to_svg(figure: Figure, name: str, description: str) -> Markup:
    """Draw a figure as SVG to set into an HTML page.

    Args:
        figure: Figure to draw.
        name: Letters, digits and hyphens, unique in the page; all ids in the drawing start with it,
            as two drawings must not share any.
        description: Text for screen readers.

    Returns:
        The ``<svg>`` element: scales to the width of its container and carries its description.
        An image to those who cannot see it, a group of links where artists have addresses.
    """
    stream = io.StringIO()
    with mpl.rc_context({**RC, "svg.hashsalt": name}), any_script():
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", text, flags=re.DOTALL)
    text = _TAG.sub(lambda tag: _own(tag.group(), name), text)
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", text)
    width = round(figure.get_figwidth() * PX_PER_INCH)
    head, _, body = text.partition(">")
    view_box = re.search(r'viewBox="[^"]*"', head)
    assert view_box is not None, "matplotlib always writes a viewBox"
    role = "group" if "<a " in body else "img"  # an image's links could not be reached
    label = escape(" ".join(description.split()))
    return Markup(
        f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {view_box.group()} role="{role}" '
        f'aria-label="{label}" style="max-width:{width}px">{body}'
    )


def _own(tag: str, name: str) -> str:
    """Prefix a tag's ids, leave the font to the page, round numbers to a hundredth of a pixel."""
    if tag.startswith("<a "):
        return tag.replace(' target="_blank"', "")  # they lead to other parts of the page
    for before in ('id="', 'href="#', "url(#"):
        tag = tag.replace(before, f"{before}{name}-")
    return _NUMBER.sub(r"\1", _FONT.sub("", tag))


def figure_to_png(figure: Figure, pixel_ratio: float = 2.0, background: str = "white") -> bytes:
    """Draw a figure as PNG.

    Args:
        figure: Figure to draw.
        pixel_ratio: Image pixels for each CSS pixel.
        background: Color behind it.

    Returns:
        The file's bytes; they hold no date, so that the same figure gives the same file.
    """
    stream = io.BytesIO()
    with mpl.rc_context(RC), any_script():
        figure.savefig(
            stream,
            format="png",
            dpi=PX_PER_INCH * pixel_ratio,
            facecolor=background,
            metadata={"Software": None},
        )
    return stream.getvalue()
