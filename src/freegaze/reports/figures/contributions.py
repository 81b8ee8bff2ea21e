"""Figure of unique contributions per neuron, and of the numbers of neurons by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation

from freegaze.reports.style import (
    FAINT,
    GROUP_COLORS,
    INK,
    MUTED,
    PX_PER_INCH,
    SMALL_PX,
    count_ticks,
    finish_axes,
    house_style,
    label_axes,
    new_figure,
    quiet_grid,
)

ROW_PX = 96
CHARACTER_PX = 6.4
"""Width of a letter of small text, for leaving out labels that would not fit."""


@dataclass(frozen=True)
class GroupBars:
    """Contribution of one group to each neuron.

    Args:
        name: The group.
        added_percent: Share of the deviance that it adds, (neuron,); NaN where unknown.
        is_significant: Whether it adds significantly, (neuron,).
        is_tested: Whether this was tested, (neuron,); everywhere by default.
    """

    name: str
    added_percent: Float[np.ndarray, " neuron"]
    is_significant: Bool[np.ndarray, " neuron"]
    is_tested: Bool[np.ndarray, " neuron"] | None = None


@house_style
def draw_contributions(
    groups: Sequence[GroupBars], bands: Sequence[tuple[str, int]], width_px: float
) -> Figure:
    """Draw a row of bars for each group, neurons side by side and classes apart.

    Args:
        groups: Groups from top to bottom.
        bands: Classes of neurons from left to right, with the number of neurons in each.
        width_px: Width in CSS pixels; the height follows from the number of groups.

    Returns:
        The figure. Behavior shares one scale; vision, which adds more, has its own.
    """
    figure, axes = new_figure(width_px, 50 + ROW_PX * len(groups), len(groups), 1, sharex=True)
    places = band_places([n for _, n in bands])
    behavior = [group.added_percent for group in groups if group.name != "vision"]
    for ax, group in zip(axes, groups, strict=True):
        plot_group_bars(ax, group, places, width_px)
        shared = [group.added_percent] if group.name == "vision" else behavior
        ax.set_ylim(_limits(np.concatenate(shared)))
    axes[0].set_xlim(places[0] - 0.8, places[-1] + 0.8)
    axes[0].set_xticks([])
    label_bands(axes[-1], bands, places, width_px)
    axes[-1].set_xlabel("neurons by class, best predicted first", labelpad=24)
    figure.supylabel("added deviance explained (%)", fontsize=12, color=INK)
    return figure


def plot_group_bars(ax: Axes, group: GroupBars, places: np.ndarray, width_px: float) -> None:
    """Draw what one group adds into axes, neurons at ``places``; see ``draw_contributions``."""
    color = GROUP_COLORS.get(group.name, INK)
    sure = group.is_significant
    ax.bar(places[sure], group.added_percent[sure], 0.78, color=color)
    tested = np.ones_like(sure) if group.is_tested is None else group.is_tested
    for bars, style in ((~sure & tested, "-"), (~sure & ~tested, ":")):
        ax.bar(
            *(places[bars], group.added_percent[bars], 0.74),
            color="none",
            edgecolor=FAINT,
            linewidth=0.8,
            linestyle=style,
        )
    if sure.any():  # a line without points would upset the layout
        ax.plot(
            *(places[sure], np.full(int(sure.sum()), 1.04), "o"),
            color=color,
            transform=ax.get_xaxis_transform(),
            clip_on=False,
            markersize=4 if width_px > 500 else 2.6,
        )
    ax.set_title(group.name, fontweight="bold", pad=9)
    ax.axhline(0, color=FAINT, linewidth=0.8)
    ax.tick_params(bottom=False)
    ax.spines["bottom"].set_visible(False)
    finish_axes(ax, n_y=3)


@house_style
def draw_class_counts(counts: Sequence[tuple[str, int]], width_px: float) -> Figure:
    """Draw how many neurons there are of each class.

    Args:
        counts: Class and number, from top to bottom.
        width_px: Width in CSS pixels.
    """
    figure, (ax,) = new_figure(width_px, 54 + 27 * len(counts))
    rows = np.arange(len(counts))[::-1]
    numbers = np.array([n for _, n in counts])
    colors = [GROUP_COLORS.get(name, MUTED) for name, _ in counts]
    ax.barh(rows, numbers, 0.62, color=colors)
    for row, n in zip(rows, numbers, strict=True):
        ax.annotate(
            str(n), (n, row), xytext=(5, 0), textcoords="offset points", va="center", color=INK
        )
    ax.set_yticks(rows, [name for name, _ in counts], color=INK, fontsize=12)
    ax.tick_params(left=False)
    ax.set_xlim(0, 1.12 * max(1, int(numbers.max(initial=0))))
    count_ticks(ax, 6)
    quiet_grid(ax, "x")
    label_axes(ax, "neurons", "")
    return figure


def band_places(sizes: Sequence[int]) -> Float[np.ndarray, " neuron"]:
    """Return the places of neurons from left to right, with a gap between classes."""
    gaps = np.repeat(np.arange(len(sizes)), sizes)
    return np.arange(len(gaps)) + 1.0 * gaps


def label_bands(
    ax: Axes, bands: Sequence[tuple[str, int]], places: np.ndarray, width_px: float
) -> None:
    """Name the classes below the axes where there is room, with a line in their color."""
    px_per_place = 0.85 * width_px / (places[-1] - places[0] + 1.6)
    line_at, name_at = (
        ax.get_xaxis_transform() + ScaledTranslation(0, -y / PX_PER_INCH, ax.figure.dpi_scale_trans)
        for y in (6, 10)
    )
    first, free = 0, -np.inf
    for name, n in bands:
        left, right = places[first] - 0.4, places[first + n - 1] + 0.4
        ax.plot(
            *([left, right], [0, 0]),
            color=GROUP_COLORS.get(name, MUTED),
            linewidth=3,
            clip_on=False,
            transform=line_at,
            solid_capstyle="butt",
        )
        if left >= free:
            ax.text(left, 0, name, transform=name_at, va="top", fontsize=SMALL_PX, color=MUTED)
            free = left + (len(name) + 1) * CHARACTER_PX / px_per_place
        first += n


def link_neurons(figure: Figure, bands: Sequence[tuple[str, int]], hrefs: Sequence[str]) -> Figure:
    """Make each neuron's column of a chart lead to its address, over all rows of axes at once.

    Args:
        figure: One column of axes that share x, neurons at ``band_places``.
        bands: Classes of neurons from left to right, with the number of neurons in each.
        hrefs: Address of each neuron, from left to right.

    Returns:
        The figure.
    """
    first = figure.axes[0]
    grid = first.get_gridspec()
    assert grid is not None, "made by new_figure"
    ax = figure.add_subplot(grid[:, :], sharex=first, frameon=False)
    ax.set_axis_off()
    for place, href in zip(band_places([n for _, n in bands]), hrefs, strict=True):
        column = Rectangle(
            (place - 0.5, 0), 1, 1, transform=ax.get_xaxis_transform(), fill=False, linewidth=0
        )
        column.set_url(href)
        ax.add_patch(column)
    return figure


def _limits(values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    low = min(0.0, float(known.min(initial=0.0)))
    high = max(float(known.max(initial=0.0)), 1.0)
    return low - 0.04 * (high - low) * (low < 0), high + 0.06 * (high - low)
