"""A run in one picture: traces, scores and displacement side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure, SubFigure

from freegaze.reports.figures.displacement import plot_displacement
from freegaze.reports.figures.scores import Scores, plot_score_pairs
from freegaze.reports.figures.traces import Trace, plot_trace
from freegaze.reports.style import (
    PX_PER_INCH,
    TEXT_PX,
    color_of,
    house_style,
    label_axes,
    marker_of,
)

WIDTH_PX = 830
"""As wide as a README is shown; drawn with 1.5 image pixels each it is 1,245 px wide."""

TRACES_PX, PANELS_PX = 300, 260
"""Heights of the upper and the lower half."""


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
        response_label: Name of the responses, with their unit.
        pairs: Panels of scores.
        shifts: Panels of displacement.

    Returns:
        The figure, ``WIDTH_PX`` wide; without panels it is the traces alone.
    """
    n_panels = len(pairs) + len(shifts)
    heights = [TRACES_PX, PANELS_PX] if n_panels else [TRACES_PX]
    figure = Figure(
        figsize=(WIDTH_PX / PX_PER_INCH, sum(heights) / PX_PER_INCH),
        layout="constrained",
        facecolor="white",
    )
    halves = figure.subfigures(len(heights), 1, height_ratios=heights, hspace=0.03, squeeze=False)
    _plot_traces(halves[0, 0], traces, response_label)
    if n_panels:
        axes = halves[1, 0].subplots(1, n_panels, squeeze=False)[0]
        _plot_pairs(axes[: len(pairs)], pairs)
        _plot_shifts(axes[len(pairs) :], shifts)
    return figure


def _plot_traces(half: SubFigure, traces: Sequence[tuple[str, Trace]], label: str) -> None:
    axes = half.subplots(len(traces), 1, squeeze=False, sharex=True)[:, 0]
    for ax, (title, trace) in zip(axes, traces, strict=True):
        plot_trace(ax, trace, "", WIDTH_PX)
        ax.set_title(title, fontweight="bold", pad=18)  # above the times of the parts
        ax.set_xlabel(ax.get_xlabel() if ax is axes[-1] else "")
    half.supylabel(label, fontsize=TEXT_PX)
    handles, labels = axes[0].get_legend_handles_labels()
    half.legend(handles[::-1], labels[::-1], loc="outside upper right", ncols=3, handlelength=1.3)


def _plot_pairs(axes: np.ndarray, pairs: Sequence[OverviewPair]) -> None:
    for i, (ax, pair) in enumerate(zip(axes, pairs, strict=True)):
        plot_score_pairs(ax, pair.model, pair.other, color_of(i), marker_of(i + 1))
        label_axes(ax, pair.other_label, pair.model_label)


def _plot_shifts(axes: np.ndarray, shifts: Sequence[OverviewShift]) -> None:
    for ax, shift in zip(axes, shifts, strict=True):
        plot_displacement(ax, shift.angle, shift.fitted, shift.truth)
        label_axes(ax, shift.angle_label, shift.label)
        ax.set_box_aspect(1)
        if shift.truth is not None:
            ax.legend(markerscale=2, handletextpad=0.3, handlelength=1)
