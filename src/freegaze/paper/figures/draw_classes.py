"""Figure 5: which behavior modulates how many neurons, and how saliency is spread over neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from freegaze.reports.style import (
    INK,
    MODEL,
    MUTED,
    PRINT_PX,
    PRINT_TEXT_PX,
    count_ticks,
    few_ticks,
    label_axes,
    marker_of,
    new_figure,
    print_style,
    quiet_grid,
)

COLUMNS = 4
ROW_PX = 82
BARS_PX = 150
N_BINS = 20
LIGHT = "#9ecae1"


@dataclass(frozen=True)
class Bar:
    """One group of bars.

    Args:
        label: Below it.
        shares: Share of neurons by what is counted, 0 to 1; one bar each.
        sessions: Share in each session, of the first bar.
        expected: Share to be expected from noise; NaN where that is not known.
    """

    label: str
    shares: Mapping[str, float]
    sessions: Sequence[float]
    expected: float = float("nan")


@print_style
def draw_classes(
    bars: Sequence[Bar],
    sessions: Sequence[str],
    saliency: Mapping[str, Float[np.ndarray, " neuron"]],
    label: str,
    threshold: float | None = None,
) -> Figure:
    """Draw shares of neurons as bars, and a histogram of saliency for each signal.

    Args:
        bars: From left to right.
        sessions: Names of the sessions, in the order of each bar's.
        saliency: Of each neuron, by signal.
        label: What saliency is, with its unit.
        threshold: Value, of either sign, that is marked in histograms.

    Returns:
        A figure of a page's width.
    """
    n_rows = -(-len(saliency) // COLUMNS)
    figure, axes = new_figure(
        PRINT_PX,
        BARS_PX + ROW_PX * n_rows + 15,
        1 + n_rows,
        COLUMNS,
        height_ratios=[BARS_PX, *[ROW_PX] * n_rows],
    )
    grid = axes[0].get_gridspec()
    assert grid is not None, "axes were made in a grid"
    for ax in axes[:COLUMNS]:
        ax.remove()
    top = figure.add_subplot(grid[0, :], facecolor="none")
    _bars(top, bars, sessions)
    values = np.concatenate([v[np.isfinite(v)] for v in saliency.values()] or [np.zeros(0)])
    edges = _edges(values, threshold is not None)
    panels = axes[COLUMNS:]
    for i, (name, own) in enumerate(saliency.items()):
        _histogram(panels[i], name, own, edges, threshold)
        panels[i].set_ylabel("neurons" if i % COLUMNS == 0 else "")
    figure.supxlabel(label, fontsize=PRINT_TEXT_PX)
    for ax in panels[len(saliency) :]:
        ax.set_visible(False)
    return figure


def _bars(ax: Axes, bars: Sequence[Bar], sessions: Sequence[str]) -> None:
    names = list(bars[0].shares)
    width = 0.8 / len(names)
    places = np.arange(len(bars))
    for k, name in enumerate(names):
        left = places - 0.4 + (k + 0.5) * width
        color, hatch = (MODEL, None) if k == 0 else (LIGHT, "////")
        heights = [100 * bar.shares[name] for bar in bars]
        ax.bar(left, heights, 0.9 * width, color=color, hatch=hatch, edgecolor="white", label=name)
    if len(sessions) > 1:
        for i, session in enumerate(sessions):
            shares = [100 * bar.sessions[i] for bar in bars]
            spread = (i - (len(sessions) - 1) / 2) * min(0.12, 0.6 * width / len(sessions))
            ax.plot(
                places - 0.4 + width / 2 + spread,
                shares,
                marker_of(i),
                color="white",
                markeredgecolor=INK,
                markeredgewidth=0.7,
                markersize=3.8,
                clip_on=False,  # many lie at zero
                zorder=3,
                label=session,
            )
    expected = 100 * np.array([bar.expected for bar in bars])
    if np.isfinite(expected).any():
        ax.hlines(
            expected, places - 0.42, places + 0.42, color=INK, linestyle=":", label="in noise"
        )
    ax.set_xticks(places, [bar.label for bar in bars])
    ax.tick_params(axis="x", length=0, labelcolor=INK)
    ax.set_ylim(0, None)
    quiet_grid(ax)
    label_axes(ax, "", "neurons (%)")
    if len(ax.get_legend_handles_labels()[0]) > 1:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=6, borderaxespad=0.2)


def _edges(values: np.ndarray, is_signed: bool) -> np.ndarray:
    """Bins that hold 99 % of the values; what lies beyond is counted in the last ones."""
    reach = float(np.quantile(np.abs(values), 0.99)) if len(values) else 1.0
    reach = reach or 1.0
    return np.linspace(-reach if is_signed else 0.0, reach, N_BINS + 1)


def _histogram(
    ax: Axes, name: str, values: np.ndarray, edges: np.ndarray, threshold: float | None
) -> None:
    known = np.clip(values[np.isfinite(values)], edges[0], edges[-1])
    heights, _ = np.histogram(known, edges)
    ax.stairs(heights, edges, fill=True, color=MODEL, alpha=0.85)
    for value in () if threshold is None else (-threshold, threshold):
        ax.axvline(value, color=MUTED, linestyle=":", linewidth=0.9)
    ax.set_title(name, pad=2)
    ax.set_ylim(0, max(1.0, 1.1 * heights.max()))
    few_ticks(ax, 3, 3)
    count_ticks(ax, 3, "y")
    quiet_grid(ax)
