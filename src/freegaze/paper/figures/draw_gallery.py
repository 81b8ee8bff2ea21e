"""Figures 4 and C1: pictures of what excites the best neurons, in rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from freegaze.reports.style import (
    DIVERGING,
    INK,
    MUTED,
    PRINT_PX,
    PRINT_RC,
    PRINT_SMALL_PX,
    PX_PER_INCH,
    print_style,
)
from freegaze.reports.wording import fixed, shorten

ACROSS = 8
"""Pictures in a row where each neuron has one."""

MARGIN_PX, GAP_PX, GROUP_GAP_PX, LABEL_PX, BAR_PX = 4, 3, 9, 11, 40


@print_style
def draw_gallery(
    pictures: Float[np.ndarray, "neuron column height width"],
    unit_ids: Sequence[str],
    correlations: Float[np.ndarray, " neuron"],
    columns: Sequence[str],
    limit: float,
    unit: str,
    title: str,
    deg_per_px: float | None = None,
) -> Figure:
    """Draw pictures, those of a neuron side by side, from the best neuron on.

    Args:
        pictures: Any number for each neuron.
        unit_ids: Names of the neurons.
        correlations: How well each is predicted.
        columns: What each of a neuron's pictures is.
        limit: Value at which colors end; NaN for each picture's own largest.
        unit: What colors mean.
        title: The session.
        deg_per_px: Degrees a pixel, for the scale bar, where they are known.

    Returns:
        A figure of a page's width.
    """
    n_neurons, n_each, height, width = pictures.shape
    groups = max(1, (ACROSS + 1) // n_each) if n_each > 1 else ACROSS
    n_rows = -(-n_neurons // groups)
    gaps = groups * (n_each - 1) * GAP_PX + (groups - 1) * (GROUP_GAP_PX if n_each > 1 else GAP_PX)
    wide = (PRINT_PX - 2 * MARGIN_PX - gaps) / (groups * n_each)
    tall = wide * height / width
    head = LABEL_PX if n_each > 1 else 0
    total = MARGIN_PX + head + n_rows * (LABEL_PX + tall + GAP_PX) + BAR_PX
    figure = Figure(figsize=(PRINT_PX / PX_PER_INCH, total / PX_PER_INCH), facecolor="none")
    first = None
    for i in range(n_neurons):
        row, group = divmod(i, groups)
        for k in range(n_each):
            gap = GROUP_GAP_PX if n_each > 1 else GAP_PX
            left = (
                MARGIN_PX + group * (n_each * (wide + GAP_PX) - GAP_PX + gap) + k * (wide + GAP_PX)
            )
            below = total - MARGIN_PX - head - (row + 1) * (LABEL_PX + tall) - row * GAP_PX
            ax = figure.add_axes((left / PRINT_PX, below / total, wide / PRINT_PX, tall / total))
            _picture(ax, pictures[i, k], limit)
            first = first or ax
            if k == 0:
                name = shorten(unit_ids[i], max(8, int(n_each * wide / 5) - 6))
                _label(ax, f"{name}  {fixed(float(correlations[i]), 2)}", 2)
            if row == 0 and n_each > 1:
                _label(ax, columns[k], LABEL_PX + 2, MUTED)
    bottom = figure.add_axes((0, 0, 1, (BAR_PX - GAP_PX) / total))
    bottom.set_axis_off()
    _color_bar(figure, limit, unit, total)
    if first is not None:
        _scale_bar(bottom, title, wide, width, deg_per_px)
    return figure


def _picture(ax: Axes, picture: np.ndarray, limit: float) -> None:
    own = float(np.abs(picture).max()) or 1.0
    reach = limit if np.isfinite(limit) else own
    ax.imshow(picture, cmap=DIVERGING, vmin=-reach, vmax=reach, interpolation="none", aspect="auto")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _label(ax: Axes, text: str, above_px: float, color: str = INK) -> None:
    ax.annotate(
        text,
        (0, 1),
        (0, above_px),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=PRINT_SMALL_PX - 1,
        color=color,
        annotation_clip=False,
    )


def _color_bar(figure: Figure, limit: float, unit: str, total: float) -> None:
    reach = limit if np.isfinite(limit) else 1.0
    ax = figure.add_axes((1 - 160 / PRINT_PX, 24 / total, 150 / PRINT_PX, 6 / total))
    colors = ScalarMappable(Normalize(-reach, reach), DIVERGING)
    bar = figure.colorbar(
        colors,
        cax=ax,
        orientation="horizontal",
        ticks=[-reach, 0, reach],
        extend="both" if np.isfinite(limit) else "neither",
    )
    bar.outline.set_linewidth(PRINT_RC["axes.linewidth"])
    bar.set_label(unit, fontsize=PRINT_SMALL_PX, labelpad=1)


def _scale_bar(ax: Axes, title: str, wide_px: float, width: int, deg_per_px: float | None) -> None:
    """Draw how wide a round number of pixels or degrees is, and say what labels mean."""
    across = width * (deg_per_px or 1.0)
    length = next(n for n in (100, 50, 20, 10, 5, 2, 1, 0) if n <= across / 2) or across / 2
    unit = "px" if deg_per_px is None else "°"
    share = length / across * wide_px / PRINT_PX
    left = MARGIN_PX / PRINT_PX
    ax.set(xlim=(0, 1), ylim=(0, BAR_PX - GAP_PX))
    ax.plot([left, left + share], [26, 26], color=INK, linewidth=1.6, solid_capstyle="butt")
    ax.text(left, 22, f"{length:g} {unit}".replace(" °", "°"), va="top", fontsize=PRINT_SMALL_PX)
    ax.text(
        left + wide_px / PRINT_PX + 0.03,
        22,
        f"{shorten(title)}: above each, neuron and its correlation",
        va="center",
        color=MUTED,
        fontsize=PRINT_SMALL_PX,
    )
