"""Figure 3: each neuron's correlation from vision alone, and from vision and behavior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from freegaze.reports.style import (
    BASELINE_COLORS,
    COLUMN_PX,
    FAINT,
    MODEL,
    MUTED,
    PRINT_PX,
    PRINT_SMALL_PX,
    color_of,
    count_ticks,
    few_ticks,
    label_axes,
    marker_of,
    new_figure,
    print_style,
    quiet_grid,
)
from freegaze.reports.wording import shorten

COLUMNS = 4
BAND_PX = 255
FEWEST_BINS, MOST_BINS = 8, 16
VISION, MULTIMODAL = "vision alone", "vision and behavior"


@dataclass(frozen=True)
class CorrelationPanel:
    """One scatter with the histograms below it.

    Args:
        title: The session, or all of them.
        vision: Correlation of each neuron.
        multimodal: The same neurons.
        groups: Number of each neuron's session, which decides its mark.
        note: Two short lines about the difference.
    """

    title: str
    vision: Float[np.ndarray, " neuron"]
    multimodal: Float[np.ndarray, " neuron"]
    groups: Sequence[int]
    note: tuple[str, str]


@print_style
def draw_correlations(panels: Sequence[CorrelationPanel]) -> Figure:
    """Draw scatters of two models' correlations, and histograms of both.

    Args:
        panels: From left to right, four in a band.

    Returns:
        A figure of a page's width.
    """
    n_columns = min(COLUMNS, len(panels))
    n_bands = -(-len(panels) // n_columns)
    if n_columns == 1:  # side by side, as one below the other would be too narrow for words
        figure, axes = new_figure(1.25 * COLUMN_PX, 0.65 * BAND_PX, 1, 2)
    else:
        figure, axes = new_figure(
            PRINT_PX * n_columns / COLUMNS,
            BAND_PX * n_bands,
            2 * n_bands,
            n_columns,
            height_ratios=[5, 3] * n_bands,
        )
    values = np.concatenate([v for p in panels for v in (p.vision, p.multimodal)])
    known = values[np.isfinite(values)]
    low, high = float(np.min(known, initial=0.0)), float(np.max(known, initial=0.1))
    limits = (low - 0.04 * (high - low), high + 0.04 * (high - low))
    for ax in axes:
        ax.set_visible(False)
    for i, panel in enumerate(panels):
        place = i // n_columns * 2 * n_columns + i % n_columns
        top, bottom = axes[place], axes[place + n_columns]
        _scatter(top, panel, limits, is_first=i % n_columns == 0)
        _histograms(bottom, panel, limits, is_first=i % n_columns == 0)
    axes[n_columns].legend(
        loc="upper left", borderaxespad=0, handlelength=1.2, handletextpad=0.5, labelspacing=0.2
    )
    return figure


def _scatter(
    ax: Axes, panel: CorrelationPanel, limits: tuple[float, float], is_first: bool
) -> None:
    ax.set_visible(True)
    ax.plot(limits, limits, color=FAINT, linewidth=0.8, zorder=1)
    groups = np.asarray(panel.groups)
    for group in sorted(set(panel.groups)):
        own = groups == group
        ax.plot(
            panel.vision[own],
            panel.multimodal[own],
            linestyle="none",
            marker=marker_of(group),
            color=color_of(group),
            markersize=3.6,
            markeredgewidth=0.3,
            markeredgecolor="white",
            alpha=0.85,
        )
    note = ax.text(0, 1.03, "\n".join(panel.note), transform=ax.transAxes)
    note.set(fontsize=PRINT_SMALL_PX, linespacing=1.3, color=MUTED)
    ax.set(xlim=limits, ylim=limits)
    ax.set_box_aspect(1)
    few_ticks(ax, 4, 4)
    quiet_grid(ax, "both")
    label_axes(ax, f"r, {VISION}", f"r, {MULTIMODAL}" if is_first else "")
    ax.set_title(shorten(panel.title, 22), fontweight="bold", pad=25)


def _histograms(
    ax: Axes, panel: CorrelationPanel, limits: tuple[float, float], is_first: bool
) -> None:
    ax.set_visible(True)
    n_bins = int(np.clip(2 * np.sqrt(len(panel.vision)), FEWEST_BINS, MOST_BINS))
    edges = np.linspace(*limits, n_bins + 1)
    for values, name, color, style in (
        (panel.vision, VISION, BASELINE_COLORS[0], "--"),
        (panel.multimodal, MULTIMODAL, MODEL, "-"),
    ):
        known = values[np.isfinite(values)]
        heights, _ = np.histogram(known, edges)
        ax.stairs(heights, edges, fill=True, color=color, alpha=0.15)
        ax.stairs(heights, edges, color=color, linestyle=style, linewidth=1.2, label=name)
        if len(known):
            fill = "white" if style == "--" else color  # so that a gray copy tells them apart
            ax.plot(
                *(float(known.mean()), 0, "^"),
                color=color,
                markerfacecolor=fill,
                markersize=4,
                clip_on=False,
                zorder=3,
            )
    ax.set_xlim(limits)
    highest = max(1.0, ax.dataLim.y1)
    ax.set_ylim(0, 1.45 * highest if is_first else 1.1 * highest)  # room for the legend
    few_ticks(ax, 4, 4)
    count_ticks(ax, 4, "y")
    quiet_grid(ax)
    label_axes(ax, "correlation r", "neurons" if is_first else "")
