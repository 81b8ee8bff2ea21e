"""Histograms over neurons of what probes of the encoder found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
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


@dataclass(frozen=True)
class Histogram:
    """One panel.

    Args:
        column: Column of the table.
        label: Label of the axis, with its unit.
        ends: Ends of the axis; those of the values where there are none.
        is_logarithmic: Whether bins are even in the logarithm.
    """

    column: str
    label: str
    ends: tuple[float, float] | None = None
    is_logarithmic: bool = False


def grating_histograms(table: pd.DataFrame) -> list[Histogram]:
    """Return the panels of the table ``gratings``."""
    frequency, unit = "frequency_cpp", "cycles/px"
    if "frequency_cpd" in table and len(known(table, "frequency_cpd")):
        frequency, unit = "frequency_cpd", "cycles/°"
    return [
        Histogram("orientation_deg", "orientation (°)", (0, 180)),
        Histogram(frequency, f"spatial frequency ({unit})", is_logarithmic=True),
        Histogram("osi", "orientation selectivity", (0, 1)),
        Histogram("dsi", "direction selectivity", (0, 1)),
    ]


def patch_histograms(table: pd.DataFrame) -> list[Histogram]:
    """Return the panels of the tables ``squares``, ``patches`` and ``scrambled``, joined."""
    diameter, unit = "diameter_px", "px"
    if "diameter_deg" in table and len(known(table, "diameter_deg")):
        diameter, unit = "diameter_deg", "°"
    every = [
        Histogram("polarity", "polarity: dark to light", (-1, 1)),
        Histogram(diameter, f"preferred diameter ({unit})", is_logarithmic=True),
        Histogram("suppression", "surround suppression", (0, 1)),
        Histogram("modulation", "natural against scrambled", (-1, 1)),
    ]
    return [panel for panel in every if len(known(table, panel.column))]


@house_style
def draw_histograms(table: pd.DataFrame, panels: Sequence[Histogram], width_px: float) -> Figure:
    """Draw the numbers of neurons by value, with the median.

    Args:
        table: One row per neuron; NaN is left out.
        panels: At most four.
        width_px: Width in CSS pixels.
    """
    across = 4 if width_px > 560 else 2
    rows = -(-len(panels) // across)
    figure, axes = new_figure(width_px, 210 * rows if across == 4 else 200 * rows, rows, across)
    for number, ax in enumerate(axes):
        if number >= len(panels):
            ax.set_axis_off()
            continue
        panel = panels[number]
        values = known(table, panel.column)
        ax.hist(values, bins=list(_edges(panel, values)), color=MODEL)
        if panel.is_logarithmic:
            ax.set_xscale("log")
            ends = [float(values.min()), float(values.max())] if len(values) else [0.01, 0.1]
            ax.set_xticks(ends, [f"{end:.2g}" for end in ends])
            ax.minorticks_off()
        elif len(values):
            ax.axvline(float(np.median(values)), color=INK, linewidth=1, linestyle=":")
        label_axes(ax, panel.label, "neurons" if number % across == 0 else "")
        count_ticks(ax, 4, "y")
        quiet_grid(ax)
    return figure


def _edges(panel: Histogram, values: np.ndarray) -> Float[np.ndarray, " edge"]:
    if panel.ends is not None:
        return np.linspace(*panel.ends, N_BINS + 1)
    ends = (float(values.min()), float(values.max()) * 1.001) if len(values) else (0.01, 0.1)
    return np.geomspace(*ends, N_BINS + 1)


def known(table: pd.DataFrame, column: str) -> Float[np.ndarray, " neuron"]:
    """Return the finite values of a column; none where the table lacks it."""
    values = table[column].to_numpy(np.float64) if column in table else np.empty(0)
    return values[np.isfinite(values)]
