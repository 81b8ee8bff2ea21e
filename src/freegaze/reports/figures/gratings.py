"""Figure of the tuning of all neurons to gratings."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from freegaze.reports.style import (
    INK,
    MODEL,
    count_ticks,
    house_style,
    label_axes,
    new_figure,
    quiet_grid,
)

N_BINS = 12


@house_style
def draw_gratings(table: pd.DataFrame, width_px: float) -> Figure:
    """Draw histograms of preferred orientation, spatial frequency and both indices of selectivity.

    Args:
        table: The table ``gratings`` of one explanation or several; NaN is left out.
        width_px: Width in CSS pixels.
    """
    is_wide = width_px > 560
    figure, axes = new_figure(width_px, 210 if is_wide else 400, *((1, 4) if is_wide else (2, 2)))
    frequency, unit = "frequency_cpp", "cycles/px"
    if "frequency_cpd" in table and len(_known(table, "frequency_cpd")):
        frequency, unit = "frequency_cpd", "cycles/°"
    known = _known(table, frequency)
    ends = (float(known.min()), float(known.max()) * 1.001) if len(known) else (0.01, 0.1)
    columns = {
        "orientation_deg": ("orientation (°)", np.linspace(0, 180, N_BINS + 1)),
        frequency: (f"spatial frequency ({unit})", np.geomspace(*ends, N_BINS + 1)),
        "osi": ("orientation selectivity", np.linspace(0, 1, N_BINS + 1)),
        "dsi": ("direction selectivity", np.linspace(0, 1, N_BINS + 1)),
    }
    for ax, (column, (label, edges)) in zip(axes, columns.items(), strict=True):
        values = _known(table, column)
        ax.hist(values, bins=list(edges), color=MODEL)
        if column == frequency:
            ax.set_xscale("log")
            ax.set_xticks([edges[0], edges[-1]], [f"{edges[0]:.2g}", f"{edges[-1]:.2g}"])
            ax.minorticks_off()
        elif len(values):
            ax.axvline(float(np.median(values)), color=INK, linewidth=1, linestyle=":")
        label_axes(ax, label, "neurons" if ax in (axes[0], *(axes[2:3] * (not is_wide))) else "")
        count_ticks(ax, 4, "y")
        quiet_grid(ax)
    return figure


def _known(table: pd.DataFrame, column: str) -> np.ndarray:
    values = table[column].to_numpy(np.float64)
    return values[np.isfinite(values)]
