"""Style of all figures: one palette, one type size, few lines.

Colors are those of Okabe and Ito, which color-blind readers can distinguish. No meaning is given by
color alone. Sizes are in CSS pixels, so that a figure's text is as large as the text of the page
around it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Literal, TypeVar, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from freegaze.recording import columns

INK = "#24272c"
PAPER = "#fbfbf9"
MUTED = "#646b75"
FAINT = "#b9bec6"
HAIRLINE = "#e3e5e8"
MODEL = "#0072b2"
TRUTH = "#009e73"

BASELINE_COLORS = ("#d55e00", "#cc79a7", "#e69f00", "#56b4e9", "#009e73", "#7a6a53")
"""Colors of other runs, in the order in which they are named."""

MARKERS = ("o", "s", "D", "^", "v", "P")
"""Shapes that go with them."""

RECORDED = "#8a9099"

GROUP_COLORS = {
    "vision": "#4a505a",
    **columns.GROUP_COLORS,
    "mixed": "#7a6a53",
    "none": FAINT,
}
"""Contributions to neurons, and classes of neurons by them."""

PX_PER_INCH = 72
"""A figure of 72 units an inch has SVG units that are CSS pixels."""

TEXT_PX = 12
SMALL_PX = 11

RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": TEXT_PX,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT_PX,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": TEXT_PX,
    "axes.titlecolor": INK,
    "axes.unicode_minus": True,
    "figure.dpi": PX_PER_INCH,
    "legend.fontsize": SMALL_PX,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a unit id is only a dollar sign
    "svg.fonttype": "none",  # text stays text: selectable, searchable, in the page's own font
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": SMALL_PX,
    "ytick.labelsize": SMALL_PX,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
}
"""Settings in force while a figure is made; never set for the whole process."""

PRINT_PX, COLUMN_PX = 518, 252
"""Widths of a page and of a column in print, 183 and 89 mm, in units of 1/72 inch."""

PRINT_TEXT_PX, PRINT_SMALL_PX = 8, 7
"""Type sizes in print, in points."""

PRINT_RC: dict[Any, Any] = {
    **RC,
    "axes.labelsize": PRINT_TEXT_PX,
    "axes.linewidth": 0.6,
    "axes.titlesize": PRINT_TEXT_PX,
    "font.size": PRINT_TEXT_PX,
    "hatch.linewidth": 0.6,
    "legend.fontsize": PRINT_SMALL_PX,
    "lines.linewidth": 1.1,
    "pdf.fonttype": 42,  # letters as letters, which journals and editors of figures ask for
    "xtick.labelsize": PRINT_SMALL_PX,
    "xtick.major.size": 2.5,
    "ytick.labelsize": PRINT_SMALL_PX,
    "ytick.major.size": 2.5,
}
"""Settings of figures for print."""

DIVERGING = "coolwarm"
"""Blue to red through gray, as in the original; color-blind readers can distinguish both ends."""


F = TypeVar("F", bound=Callable[..., Any])


def house_style(draw: F) -> F:
    """Run a function that draws with the settings of the house, and leave matplotlib as found."""
    return _styled(draw, RC)


def print_style(draw: F) -> F:
    """Run a function that draws for print, and leave matplotlib as found."""
    return _styled(draw, PRINT_RC)


def _styled(draw: F, settings: dict[Any, Any]) -> F:
    @wraps(draw)
    def styled(*args: Any, **options: Any) -> Any:
        with mpl.rc_context(settings):
            return draw(*args, **options)

    return cast(F, styled)


@contextmanager
def any_script() -> Iterator[None]:
    """Allow names in any script: matplotlib warns of letters that only the reader's fonts have."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(
    width_px: float, height_px: float, n_rows: int = 1, n_columns: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Make an empty figure, without touching pyplot; call from a function in ``house_style``.

    Args:
        width_px: Width in CSS pixels.
        height_px: Height in CSS pixels.
        n_rows: Rows of axes.
        n_columns: Columns of axes.
        options: Handed to ``Figure.subplots`` (``sharex``, ``height_ratios`` ...).

    Returns:
        The figure and its axes, row by row.
    """
    size = (width_px / PX_PER_INCH, height_px / PX_PER_INCH)
    figure = Figure(figsize=size, layout="constrained", facecolor="none")
    axes = figure.subplots(n_rows, n_columns, squeeze=False, **options)
    for ax in axes.flat:
        ax.set_facecolor("none")
    return figure, list(axes.flat)


def finish_axes(
    ax: Axes,
    x: str = "",
    y: str = "",
    *,
    grid: Literal["both", "x", "y"] = "y",
    n_x: int = 6,
    n_y: int = 6,
) -> None:
    """Put ticks on few round numbers, draw hairlines behind the data, and name both axes.

    Args:
        ax: The axes.
        x: Name of the horizontal axis, with its unit.
        y: Name of the vertical axis, with its unit.
        grid: Axes with hairlines.
        n_x: Most intervals between ticks of the horizontal axis.
        n_y: Most intervals between ticks of the vertical axis.
    """
    few_ticks(ax, n_x, n_y)
    quiet_grid(ax, grid)
    label_axes(ax, x, y)


def label_axes(ax: Axes, x: str, y: str, title: str = "") -> None:
    """Name both axes with their units."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if title:
        ax.set_title(title, fontweight="bold")


def quiet_grid(ax: Axes, axis: Literal["both", "x", "y"] = "y") -> None:
    """Draw hairlines behind the data, for reading values."""
    ax.grid(axis=axis, color=HAIRLINE, linewidth=0.8, zorder=0)
    ax.set_axisbelow(True)


def few_ticks(ax: Axes, n_x: int = 6, n_y: int = 6) -> None:
    """Put ticks on few round numbers only."""
    for axis, n in ((ax.xaxis, n_x), (ax.yaxis, n_y)):
        axis.set_major_locator(MaxNLocator(nbins=n, steps=[1, 2, 2.5, 5, 10]))


def count_ticks(ax: Axes, n: int, axis: Literal["x", "y"] = "x") -> None:
    """Put ticks of an axis on whole numbers, for counts."""
    (ax.xaxis if axis == "x" else ax.yaxis).set_major_locator(
        MaxNLocator(nbins=n, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )


def figure_legend(figure: Figure, ax: Axes, n_columns: int, marker_scale: float = 1.0) -> None:
    """Explain the marks above the axes, where they cover no data; the last drawn comes first."""
    handles, labels = ax.get_legend_handles_labels()
    legend = figure.legend(
        handles[::-1],
        labels[::-1],
        loc="outside upper left",
        ncols=n_columns,
        handlelength=1.3,
        handletextpad=0.5,
        columnspacing=1.5,
        markerscale=marker_scale,
        borderaxespad=0.2,
    )
    for handle in legend.legend_handles:
        if handle is not None and marker_scale > 1:
            handle.set_alpha(1.0)


def color_of(number: int) -> str:
    """Return the color of the baseline of that number."""
    return BASELINE_COLORS[number % len(BASELINE_COLORS)]


def marker_of(number: int) -> str:
    """Return the shape that goes with it."""
    return MARKERS[number % len(MARKERS)]
