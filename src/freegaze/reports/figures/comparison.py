"""Differences between models with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from freegaze.reports.style import (
    INK,
    MODEL,
    PAPER,
    SMALL_PX,
    few_ticks,
    house_style,
    label_axes,
    new_figure,
    quiet_grid,
)

ROW_PX = 34


@dataclass(frozen=True)
class Difference:
    """A difference with its interval; NaN where it is not defined.

    Args:
        name: What was compared, where.
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
        differences: From top to bottom.
        label: What differs, with its unit.
        width_px: Width in CSS pixels; the height follows from the number of rows.
    """
    n_rows = len(differences)
    figure, (ax,) = new_figure(width_px, 60 + ROW_PX * n_rows)
    rows = np.arange(n_rows)[::-1]
    values = np.array([(d.value, d.low, d.high) for d in differences], dtype=float).reshape(-1, 3)
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.hlines(rows, values[:, 1], values[:, 2], color=MODEL, linewidth=2, alpha=0.5)
    ax.plot(values[:, 0], rows, "o", color=MODEL, markersize=6)
    for row, difference in zip(rows, differences, strict=True):
        place = ax.get_yaxis_transform()
        name = ax.text(0.0, row + 0.28, difference.name, transform=place, fontsize=SMALL_PX)
        name.set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 1.5})
    ax.set_ylim(-0.5, n_rows - 0.2)
    ax.spines["left"].set_visible(False)
    few_ticks(ax)
    ax.set_yticks([])
    quiet_grid(ax, "x")
    label_axes(ax, label, "")
    return figure
