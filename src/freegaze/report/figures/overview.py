"""A run in one picture: traces, scores and displacement side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from freegaze.report.figures.displacement import plot_displacement
from freegaze.report.figures.scores import Scores, plot_score_pairs
from freegaze.report.figures.traces import Trace, plot_trace
from freegaze.report.style import (
    PX_PER_INCH,
    color_of,
    house_style,
    label_axes,
    marker_of,
)

SIZE_PX = (830, 560)
"""As wide as a README is shown; drawn with 1.5 image pixels each it is 1,245 px wide."""


@dataclass(frozen=True)
class OverviewPair:
    """Scores of the model (vertical) against another's (horizontal)."""

    model: Scores
    other: Scores
    model_label: str
    other_label: str


@dataclass(frozen=True)
class OverviewShift:
    """One component of the displacement against an angle, with the names of both axes."""

    angle: Float[np.ndarray, " time"]
    fitted: Float[np.ndarray, " time"]
    truth: Float[np.ndarray, " time"] | None
    angle_label: str
    label: str


@house_style
def draw_overview(
    traces: Sequence[tuple[str, Trace]],
    response_label: str,
    pairs: Sequence[OverviewPair],
    shifts: Sequence[OverviewShift],
) -> Figure:
    """Draw traces above, scores and displacement below.

    Args:
        traces: Title and responses of some neurons.
        response_label: What the responses are, with their unit.
        pairs: Panels of scores.
        shifts: Panels of displacement.

    Returns:
        The figure, ``SIZE_PX`` large.
    """
    width_px, height_px = SIZE_PX
    figure = Figure(
        figsize=(width_px / PX_PER_INCH, height_px / PX_PER_INCH),
        layout="constrained",
        facecolor="white",
    )
    halves = figure.subfigures(2, 1, height_ratios=[1.15, 1], hspace=0.03, squeeze=False)
    top, bottom = halves[:, 0]
    axes = top.subplots(len(traces), 1, squeeze=False, sharex=True)[:, 0]
    for i, (ax, (title, trace)) in enumerate(zip(axes, traces, strict=True)):
        plot_trace(ax, trace, response_label, width_px)
        ax.set_title(title, fontweight="bold", pad=18 if len(trace.stretches()) > 1 else 6)
        if i < len(traces) - 1:
            ax.set_xlabel("")
    handles, labels = axes[0].get_legend_handles_labels()
    top.legend(handles[::-1], labels[::-1], loc="outside upper right", ncols=3, handlelength=1.3)
    axes = bottom.subplots(1, len(pairs) + len(shifts), squeeze=False)[0]
    for i, (ax, pair) in enumerate(zip(axes, pairs, strict=False)):
        plot_score_pairs(ax, pair.model, pair.other, color_of(i), marker_of(i + 1))
        label_axes(ax, pair.other_label, pair.model_label)
    for ax, shift in zip(axes[len(pairs) :], shifts, strict=True):
        plot_displacement(ax, shift.angle, shift.fitted, shift.truth)
        label_axes(ax, shift.angle_label, shift.label)
        ax.set_box_aspect(1)
        if shift.truth is not None:
            ax.legend(markerscale=2, handletextpad=0.3, handlelength=1)
    return figure
