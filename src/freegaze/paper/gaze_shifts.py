"""Responses around gaze shifts, observed and predicted, of every neuron of a session."""

from __future__ import annotations

import numpy as np
import pandas as pd
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
    finish_axes,
    label_axes,
    new_figure,
    print_style,
)

KINDS = {"observed": (RECORDED, "-"), "predicted": (MODEL, "--")}
SHORTEST_PX, LINE_PX = 70, 2.2


@print_style
def draw_gaze_shifts(shifts: pd.DataFrame, title: str) -> Figure:
    """Draw the mean over neurons, and every neuron as a line of colors.

    Each neuron is divided by its own mean. Neurons are sorted by the time at which the prediction
    in the first direction is largest.

    Args:
        shifts: ``gaze_shifts`` of a ``SessionExplanation``.
        title: The session.

    Returns:
        A figure of a page's width.
    """
    ratios = {
        (str(direction), kind): _over_mean(own, kind)
        for direction, own in shifts.groupby("direction", sort=False)
        for kind in KINDS
    }
    events = {
        str(direction): int(own["n_events"].to_numpy().max())
        for direction, own in shifts.groupby("direction", sort=False)
    }
    offsets_s = np.unique(shifts["offset_s"].to_numpy(float))
    first = next(own for (_, kind), own in ratios.items() if kind == "predicted")
    order = np.argsort(np.nan_to_num(first, nan=-np.inf).argmax(1), kind="stable")
    n_columns, maps_px = len(ratios), max(SHORTEST_PX, LINE_PX * len(first))
    figure, axes = new_figure(PRINT_PX, 150 + maps_px, 2, n_columns, height_ratios=[75, maps_px])
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=PRINT_RC["font.size"])
    grid = axes[0].get_gridspec()
    assert grid is not None, "axes were made in a grid"
    shared: Axes | None = None
    for ax in axes[:n_columns]:
        ax.remove()
    for i, (direction, n_events) in enumerate(events.items()):
        top = figure.add_subplot(grid[0, 2 * i : 2 * i + 2], facecolor="none", sharey=shared)
        shared = shared or top
        for kind, (color, style) in KINDS.items():
            values = ratios[direction, kind]
            silent = ~np.isfinite(values).any()
            mean = np.ones(len(offsets_s)) if silent else np.nanmean(values, 0)
            top.plot(offsets_s, mean, style, color=color, label=kind)
        top.axvline(0, color=INK, linewidth=0.6, linestyle=":")
        finish_axes(top, "time from shift (s)", "" if i else "response / its mean", n_y=4)
        top.set_title(f"{direction}ward, {n_events} shifts", fontweight="bold")
    assert shared is not None, "there is a direction"
    figure.legend(
        *shared.get_legend_handles_labels(), loc="upper right", ncols=2, borderaxespad=0.2
    )
    half = np.diff(offsets_s).mean() / 2 if len(offsets_s) > 1 else 0.5
    extent = (offsets_s[0] - half, offsets_s[-1] + half, len(first) + 0.5, 0.5)
    known = np.abs(np.concatenate([own.ravel() for own in ratios.values()]) - 1)
    known = known[np.isfinite(known)]
    reach = (float(np.quantile(known, 0.98)) if len(known) else 0.0) or 1.0
    image = None
    for i, ((_, kind), values) in enumerate(ratios.items()):
        ax = axes[n_columns + i]
        image = ax.imshow(
            values[order],
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
        label_axes(ax, "time from shift (s)", "" if i else "neuron")
    assert image is not None, "there is a direction"
    bar = figure.colorbar(image, ax=axes[n_columns:], extend="both", pad=0.01)
    bar.set_label("response / its mean")
    bar.outline.set_linewidth(PRINT_RC["axes.linewidth"])
    return figure


def _over_mean(shifts: pd.DataFrame, kind: str) -> np.ndarray:
    """Return each neuron's response over its mean, (neuron, offset); NaN for a silent neuron."""
    values = shifts.pivot(index="unit_id", columns="offset_s", values=kind).to_numpy(float)
    mean = values.mean(1, keepdims=True)
    return np.divide(values, mean, out=np.full_like(values, np.nan), where=np.abs(mean) > 0)
