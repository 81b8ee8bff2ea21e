"""Drawings that can be set into a page: own ids, escaped text, the same bytes each time."""

import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np

from freegaze.reports.style import PAPER, house_style, label_axes, new_figure
from freegaze.reports.svg import figure_to_png, figure_to_svg

HOSTILE = '<script>alert("x")</script> url(#a) id="b" $\\frac{$'


@house_style
def drawing(label="time (s)"):
    figure, (ax,) = new_figure(300, 200)
    ax.plot([0, 1, 2], [0.123456, -1, 3], "o-")
    label_axes(ax, label, "rate (Hz)", "title")
    return figure


def test_same_figure_gives_same_bytes():
    assert figure_to_svg(drawing(), "a", "d") == figure_to_svg(drawing(), "a", "d")
    assert figure_to_png(drawing()) == figure_to_png(drawing())


def test_svg_is_well_formed_and_keeps_text_as_text():
    root = ET.fromstring(figure_to_svg(drawing(), "a", "what it shows"))
    texts = [e.text for e in root.iter() if e.tag.endswith("text")]
    assert {"time (s)", "rate (Hz)", "title"} <= set(texts)
    assert root.get("aria-label") == "what it shows"
    assert root.get("viewBox") == "0 0 300 200"


def test_ids_start_with_the_name_and_every_reference_is_defined():
    svg = figure_to_svg(drawing(), "mine", "d")
    ids = re.findall(r'\bid="([^"]*)"', svg)
    used = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg)
    assert ids
    assert all(i.startswith("mine-") for i in ids)
    assert {a or b for a, b in used} <= set(ids)


def test_no_style_leaks_into_the_page():
    svg = figure_to_svg(drawing(), "a", "d")
    assert "<style" not in svg
    assert "font-family" not in svg
    assert "<metadata" not in svg


def test_text_is_escaped_and_shown_as_it_is():
    svg = figure_to_svg(drawing(HOSTILE), "a", HOSTILE)
    root = ET.fromstring(svg)
    assert "<script" not in svg
    assert HOSTILE in [e.text for e in root.iter() if e.tag.endswith("text")]
    assert root.get("aria-label") == HOSTILE


def test_letters_that_matplotlib_lacks_are_no_warning():
    assert "小鼠" in figure_to_svg(drawing("小鼠 (s)"), "a", "d")
    assert figure_to_png(drawing("小鼠 (s)")).startswith(b"\x89PNG")


def test_png_has_the_size_asked_for():
    header = figure_to_png(drawing(), pixel_ratio=1.5, background=PAPER)[16:24]
    assert np.frombuffer(header, ">u4").tolist() == [450, 300]


def test_drawing_leaves_settings_as_found():
    before = dict(mpl.rcParams)
    figure_to_svg(drawing(), "a", "d")
    assert dict(mpl.rcParams) == before
