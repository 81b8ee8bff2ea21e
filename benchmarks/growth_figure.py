"""Draw how time and memory grow: a column for each of length, neurons, frame size and history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from freegaze.reports.style import (
    BASELINE_COLORS,
    MODEL,
    MUTED,
    TRUTH,
    figure_legend,
    house_style,
    label_axes,
    new_figure,
    quiet_grid,
)

X_LABELS = {
    "minutes": "Session length (min)",
    "neurons": "Neurons",
    "height": "Frame size (pixels)",
    "history": "History (bins of 48 ms)",
}
CURVES = {
    "train": ("Fit, one pass", MODEL, "o"),
    "evaluate": ("Evaluate", BASELINE_COLORS[0], "s"),
    "predict": ("Predict", BASELINE_COLORS[1], "D"),
    "saliency": ("Saliency, 128 windows", BASELINE_COLORS[2], "^"),
    "prepare": ("Prepare", BASELINE_COLORS[3], "v"),
}
MEMORY = {
    "all_peak": ("Peak, with pages of the mapped video", TRUTH, "P"),
    "own_peak": ("Peak of own memory", BASELINE_COLORS[5], "X"),
}
MEGABYTE = 1e6
DOTTED = (0, (1, 2))
TICKS_S = (0.01, 0.1, 1, 10, 100)
TICKS_MB = (50, 100, 200, 500, 1000, 2000)


@house_style
def draw_growth(found: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw time above memory, both on logarithmic axes, and write ``.svg`` and ``.png``.

    Args:
        found: For each axis its points, as ``growth.measure_axis`` returns them.
        path: Where, without ending.
    """
    figure, axes = new_figure(1000, 560, 2, len(found), sharey="row")
    for column, (axis, rows) in enumerate(found.items()):
        top, bottom = axes[column], axes[len(found) + column]
        _draw(top, rows, CURVES, 1.0, "train", TICKS_S)
        _draw(bottom, rows, MEMORY, MEGABYTE, "all_peak", TICKS_MB)
        label_axes(top, "", "Processor time (s)" if column == 0 else "")
        label_axes(bottom, X_LABELS[axis], "Memory added (MB)" if column == 0 else "")
    for ax in axes:
        quiet_grid(ax)
    axes[len(found)].set_ylim(bottom=30)
    # One legend for both rows: an axes that holds all their marks
    for label, color, marker in (*CURVES.values(), *MEMORY.values()):
        axes[0].plot([], [], marker=marker, color=color, label=label)
    axes[0].plot([], [], color=MUTED, linestyle=DOTTED, label="Linear")
    figure_legend(figure, axes[0], 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".svg"), facecolor="white")
    figure.savefig(path.with_suffix(".png"), facecolor="white", dpi=144)


def _draw(
    ax: Axes,
    rows: Sequence[Mapping[str, Any]],
    curves: Mapping[str, tuple[str, str, str]],
    unit: float,
    reference: str,
    ticks: Sequence[float],
) -> None:
    """Draw curves, and through the last point of one of them what linear growth would be."""
    x = np.array([row["x"] for row in rows])
    for key, (_, color, marker) in curves.items():
        y = np.array([row[key] for row in rows]) / unit
        ax.plot(x, y, marker=marker, color=color, markersize=5)
        if key == reference:
            ax.plot(x, y[-1] * x / x[-1], color=MUTED, linestyle=DOTTED, linewidth=1, zorder=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(FixedLocator(list(x)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FixedFormatter([f"{value:,.0f}" for value in x]))
    ax.yaxis.set_major_locator(FixedLocator(list(ticks)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FixedFormatter([f"{value:,g}" for value in ticks]))
