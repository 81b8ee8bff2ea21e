"""From a figure to files for print: PDF, SVG and PNG, the same bytes each time."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from freegaze.files.atomic import write_file
from freegaze.reports.style import PRINT_RC
from freegaze.reports.svg import any_script

PNG_DPI = 300

_OPTIONS: dict[str, dict[str, Any]] = {
    "pdf": {"metadata": {"CreationDate": None, "Creator": None, "Producer": None}},
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "png": {"metadata": {"Software": None}, "dpi": PNG_DPI},
}


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PDF, SVG (text stays text) and PNG of 300 dpi, on white.

    Args:
        figure: What to write, drawn in ``print_style``.
        stem: The files' path without their suffix; files that are there are replaced.

    Returns:
        The three files.

    Raises:
        DataError: If the disk refuses.
    """
    paths = []
    for suffix, options in _OPTIONS.items():
        stream = io.BytesIO()
        with mpl.rc_context({**PRINT_RC, "svg.hashsalt": stem.name}), any_script():
            figure.savefig(stream, format=suffix, facecolor="white", **options)
        path = stem.with_name(f"{stem.name}.{suffix}")
        paths.append(write_file(path, stream.getvalue()))
    return paths
