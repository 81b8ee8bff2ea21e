"""Differences between models with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from freegaze.reports.figures.rows import name_rows
from freegaze.reports.style import (
    INK,
    MODEL,
    house_style,
    new_figure,
)

ROW_PX = 34


@dataclass(frozen=True)
class Difference:
    """A difference with its interval; NaN where it is not defined.

    Args:
        name: Name of the comparison.
        value: The difference.
        low: Lower end of its interval.
        high: Upper end.
    """

    name: str
    value: float
    low: float
    high: float


@house_style
def draw_differences(differences: Sequence[Difference], label: str, width_px: float) -> Figure:
    """Draw differences one below the other, with a line at no difference.

    Args:
        differences: Differences from top to bottom.
        label: Name of the difference, with its unit.
        width_px: Width in CSS pixels; the height follows from the number of rows.
    """
    n_rows = len(differences)
    figure, (ax,) = new_figure(width_px, 60 + ROW_PX * n_rows)
    rows = np.arange(n_rows)[::-1]
    values = np.array([(d.value, d.low, d.high) for d in differences], dtype=float).reshape(-1, 3)
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.hlines(rows, values[:, 1], values[:, 2], color=MODEL, linewidth=2, alpha=0.5)
    ax.plot(values[:, 0], rows, "o", color=MODEL, markersize=6)
    name_rows(ax, [difference.name for difference in differences], label)
    return figure
