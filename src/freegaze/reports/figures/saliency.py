"""Figure of the saliency of each behavior signal for each neuron."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from freegaze.reports.figures.contributions import band_places, label_bands
from freegaze.reports.pictures import sequential_map
from freegaze.reports.style import INK, PAPER, house_style, new_figure

ROW_PX = 21

FADED = 0.25
"""Strength of the color where a test finds no more than chance."""


@house_style
def draw_saliency(
    signals: Sequence[str],
    partial: Float[np.ndarray, "signal neuron"],
    gaze_signals: Sequence[str],
    via_gaze: Float[np.ndarray, "gaze_signal neuron"],
    bands: Sequence[tuple[str, int]],
    limit: float,
    width_px: float,
    is_faded: Bool[np.ndarray, "signal neuron"] | None = None,
) -> Figure:
    """Draw a heat map, neurons side by side and classes apart, with the part via gaze below.

    Args:
        signals: Rows of the upper map.
        partial: Mean size of the derivative with the retinal image held still.
        gaze_signals: Rows of the lower map; none where nothing comes through a shifter.
        via_gaze: Mean size of what comes through the shifter.
        bands: Classes of neurons from left to right, with the number of neurons in each.
        limit: End of the color scale, which starts at 0.
        width_px: Width in CSS pixels; the height follows from the number of rows.
        is_faded: Where the upper map is faded; nowhere by default.
    """
    maps = [("retinal image held still", signals, partial)]
    if gaze_signals:
        maps.append(("via gaze: what the shifter moves", gaze_signals, via_gaze))
    rows = [len(names) for _, names, _ in maps]
    figure, axes = new_figure(
        *(width_px, 60 + 34 * len(maps) + ROW_PX * sum(rows), len(maps), 1),
        sharex=True,
        height_ratios=rows,
    )
    figure.set_layout_engine("constrained", h_pad=0.1)
    places = band_places([n for _, n in bands])
    faded = [is_faded, None]
    for ax, (title, names, values), faint in zip(axes, maps, faded, strict=False):
        _plot_map(ax, names, values, places, limit, faint)
        ax.set_title(title, fontweight="bold", pad=7)
    axes[0].set_xlim(places[0] - 0.8, places[-1] + 0.8)
    label_bands(axes[-1], bands, places, width_px)
    axes[-1].set_xlabel("neurons by class, best predicted first", labelpad=24)
    return figure


def _plot_map(
    ax: Axes,
    names: Sequence[str],
    values: np.ndarray,
    places: np.ndarray,
    limit: float,
    is_faded: np.ndarray | None,
) -> None:
    """Set an image into the axes: a pixel each, so that many neurons make no larger file."""
    spread = np.full((len(names), round(places[-1] - places[0]) + 1), np.nan)
    columns = np.rint(places - places[0]).astype(int)
    spread[:, columns] = np.where(np.isfinite(values), values, -1.0)
    colors = sequential_map()
    pixels = colors(np.ma.masked_less(np.nan_to_num(spread), 0) / (limit or 1.0))
    if is_faded is not None:
        faint = np.zeros(spread.shape, dtype=bool)
        faint[:, columns] = is_faded
        pixels[faint, 3] = FADED
    pixels[np.isnan(spread)] = 0.0  # between classes
    ax.imshow(
        pixels,
        extent=(places[0] - 0.5, places[-1] + 0.5, len(names) - 0.5, -0.5),
        aspect="auto",
        interpolation="none",
    )
    ax.set_yticks(range(len(names)), list(names), color=INK)
    ax.set_xticks([])
    ax.hlines(np.arange(len(names) - 1) + 0.5, *ax.get_xlim(), color=PAPER, linewidth=1)
    ax.tick_params(left=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
