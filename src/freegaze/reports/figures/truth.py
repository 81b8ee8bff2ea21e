"""Figure of receptive fields against the truth of a simulation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from freegaze.reports.style import (
    INK,
    MODEL,
    TRUTH,
    house_style,
    label_axes,
    new_figure,
    quiet_grid,
)


@house_style
def draw_field_truth(
    correlations: Mapping[str, Float[np.ndarray, " neuron"]], width_px: float
) -> Figure:
    """Draw each neuron's correlation of the found with the true receptive field, by method.

    Args:
        correlations: Correlations by method, from top to bottom; NaN is left out.
        width_px: Width in CSS pixels.
    """
    figure, (ax,) = new_figure(width_px, 70 + 27 * len(correlations))
    rows = np.arange(len(correlations))[::-1]
    for row, values in zip(rows, correlations.values(), strict=True):
        known = values[np.isfinite(values)]
        ax.plot(known, np.full(len(known), row), "o", color=MODEL, markersize=4, alpha=0.45)
        if len(known):
            ax.plot(np.median(known), row, "|", color=INK, markersize=16, markeredgewidth=2)
    ax.axvline(1, color=TRUTH, linewidth=1)
    ax.set_yticks(rows, list(correlations), color=INK)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.tick_params(left=False)
    quiet_grid(ax, "x")
    label_axes(ax, "correlation with the true receptive field", "")
    return figure
