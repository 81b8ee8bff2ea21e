"""Responses around gaze shifts, observed and predicted, of every neuron of a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from freegaze.reports.style import (
    DIVERGING,
    INK,
    MODEL,
    PRINT_PX,
    PRINT_RC,
    RECORDED,
    count_ticks,
    few_ticks,
    label_axes,
    new_figure,
    print_style,
    quiet_grid,
)

KINDS = ("observed", "predicted")
SHORTEST_PX, LINE_PX = 70, 2.2


@dataclass(frozen=True)
class ShiftResponses:
    """Responses of a session's neurons around shifts in one direction.

    Args:
        observed: Response over its mean, of each neuron at each time.
        predicted: The same of the prediction.
        n_events: Shifts that were averaged.
    """

    observed: Float[np.ndarray, "neuron offset"]
    predicted: Float[np.ndarray, "neuron offset"]
    n_events: int


@print_style
def draw_gaze_shifts(
    offsets_s: Float[np.ndarray, " offset"], responses: Mapping[str, ShiftResponses], title: str
) -> Figure:
    """Draw the mean over neurons, and every neuron as a line of colors.

    Args:
        offsets_s: Times from the shift in seconds.
        responses: By direction; neurons in the order in which they are drawn, from the top.
        title: The session.

    Returns:
        A figure of a page's width.
    """
    n_neurons = max((len(r.observed) for r in responses.values()), default=0)
    maps_px = max(SHORTEST_PX, LINE_PX * n_neurons)
    figure, axes = new_figure(
        PRINT_PX,
        150 + maps_px,
        2,
        2 * len(responses),
        height_ratios=[75, maps_px],
    )
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=PRINT_RC["font.size"])
    half = np.diff(offsets_s).mean() / 2 if len(offsets_s) > 1 else 0.5
    extent = (float(offsets_s[0] - half), float(offsets_s[-1] + half), n_neurons + 0.5, 0.5)
    reach = _reach(responses)
    grid, image = axes[0].get_gridspec(), None
    assert grid is not None, "axes were made in a grid"
    for ax in axes[: 2 * len(responses)]:
        ax.remove()
    shared: Axes | None = None
    for i, (direction, own) in enumerate(responses.items()):
        top = figure.add_subplot(grid[0, 2 * i : 2 * i + 2], facecolor="none", sharey=shared)
        shared = shared or top
        _means(top, offsets_s, own, f"{direction}ward, {own.n_events} shifts", is_first=i == 0)
        for k, kind in enumerate(KINDS):
            ax = axes[2 * len(responses) + 2 * i + k]
            image = ax.imshow(
                getattr(own, kind),
                cmap=DIVERGING,
                vmin=1 - reach,
                vmax=1 + reach,
                aspect="auto",
                extent=extent,
                interpolation="none",
            )
            ax.axvline(0, color=INK, linewidth=0.6, linestyle=":")
            few_ticks(ax, 4, 5)
            count_ticks(ax, 5, "y")
            ax.set_title(kind)
            label_axes(ax, "time from shift (s)", "neuron" if i == k == 0 else "")
    if shared is not None:  # beside the title, where it covers no line
        handles = shared.get_legend_handles_labels()
        figure.legend(*handles, loc="upper right", ncols=2, borderaxespad=0.2)
    if image is not None:
        bar = figure.colorbar(image, ax=axes[2 * len(responses) :], extend="both", pad=0.01)
        bar.set_label("response / its mean")
        bar.outline.set_linewidth(PRINT_RC["axes.linewidth"])
    return figure


def _means(
    ax: Axes, offsets_s: np.ndarray, own: ShiftResponses, title: str, is_first: bool
) -> None:
    for kind, color, style in (("observed", RECORDED, "-"), ("predicted", MODEL, "--")):
        values = getattr(own, kind)
        mean = np.nanmean(values, 0) if np.isfinite(values).any() else np.full(len(offsets_s), 1.0)
        ax.plot(offsets_s, mean, style, color=color, label=kind)
    ax.axvline(0, color=INK, linewidth=0.6, linestyle=":")
    few_ticks(ax, 6, 4)
    quiet_grid(ax)
    label_axes(ax, "time from shift (s)", "response / its mean" if is_first else "", title)


def _reach(responses: Mapping[str, ShiftResponses]) -> float:
    """Return how far from 1 colors go: 98 % of the values."""
    values = np.concatenate([getattr(r, k).ravel() for r in responses.values() for k in KINDS])
    known = np.abs(values[np.isfinite(values)] - 1)
    return (float(np.quantile(known, 0.98)) if len(known) else 0.0) or 1.0
