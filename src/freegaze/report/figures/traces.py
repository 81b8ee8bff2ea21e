"""What was recorded and what was predicted, in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from freegaze.report.style import (
    MODEL,
    RECORDED,
    TRUTH,
    figure_legend,
    house_style,
    label_axes,
    new_figure,
    quiet_grid,
)


@dataclass(frozen=True)
class Trace:
    """One neuron's responses over a stretch of test bins.

    Args:
        time_s: Time of each bin from the start of the session.
        recorded: What was recorded.
        predicted: What was predicted.
        attainable: What could be predicted given what was recorded, where that is known.
    """

    time_s: Float[np.ndarray, " time"]
    recorded: Float[np.ndarray, " time"]
    predicted: Float[np.ndarray, " time"]
    attainable: Float[np.ndarray, " time"] | None = None

    def first(self, duration_s: float) -> Trace:
        """Return its first seconds."""
        keep = self.time_s < self.time_s[0] + duration_s
        rest = None if self.attainable is None else self.attainable[keep]
        return Trace(self.time_s[keep], self.recorded[keep], self.predicted[keep], rest)


@house_style
def draw_trace(
    trace: Trace, label: str, width_px: float, height_px: float, has_legend: bool
) -> Figure:
    """Draw a neuron's recorded and predicted responses against time.

    Args:
        trace: The stretch.
        label: What the responses are, with their unit.
        width_px: Width in CSS pixels.
        height_px: Height in CSS pixels.
        has_legend: Whether the lines are explained above.
    """
    figure, (ax,) = new_figure(width_px, height_px)
    ax.fill_between(
        trace.time_s, 0, trace.recorded, color=RECORDED, alpha=0.4, linewidth=0, label="recorded"
    )
    if trace.attainable is not None:
        ax.plot(trace.time_s, trace.attainable, color=TRUTH, linewidth=1, label="attainable")
    ax.plot(trace.time_s, trace.predicted, color=MODEL, label="predicted")
    ax.set_xlim(trace.time_s[0], trace.time_s[-1])
    ax.set_ylim(bottom=min(0.0, float(trace.recorded.min()), float(trace.predicted.min())))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4))
    quiet_grid(ax)
    label_axes(ax, "time in the session (s)", label)
    if has_legend:
        figure_legend(figure, ax, n_columns=3)
    return figure
