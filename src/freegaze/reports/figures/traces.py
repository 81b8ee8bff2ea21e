"""Figure of recorded and predicted responses over time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from freegaze.reports.style import (
    FAINT,
    MODEL,
    MUTED,
    RECORDED,
    SMALL_PX,
    TRUTH,
    figure_legend,
    finish_axes,
    house_style,
    new_figure,
)


@dataclass(frozen=True)
class Trace:
    """One neuron's responses over some test bins.

    Args:
        time_s: Time of each bin from the start of the session; it may jump.
        bin_width_s: Width of a bin in seconds.
        recorded: Recorded responses.
        predicted: Predicted responses.
        attainable: Prediction that the recorded inputs allow, if it is known.
    """

    time_s: Float[np.ndarray, " time"]
    bin_width_s: float
    recorded: Float[np.ndarray, " time"]
    predicted: Float[np.ndarray, " time"]
    attainable: Float[np.ndarray, " time"] | None = None

    def first(self, duration_s: float) -> Trace:
        """Return its first seconds."""
        n = round(duration_s / self.bin_width_s)
        rest = None if self.attainable is None else self.attainable[:n]
        return Trace(self.time_s[:n], self.bin_width_s, self.recorded[:n], self.predicted[:n], rest)

    def parts(self) -> list[slice]:
        """Return the contiguous parts, in which time does not jump."""
        jumps = np.flatnonzero(np.diff(self.time_s) > 1.5 * self.bin_width_s) + 1
        edges = [0, *jumps.tolist(), len(self.time_s)]
        return [slice(a, b) for a, b in pairwise(edges)]


@house_style
def draw_trace(
    trace: Trace, label: str, width_px: float, height_px: float, has_legend: bool
) -> Figure:
    """Draw a neuron's recorded and predicted responses against time.

    Args:
        trace: Trace to draw; contiguous parts are joined, with a line and the session time at each.
        label: Name of the responses, with their unit.
        width_px: Width in CSS pixels.
        height_px: Height in CSS pixels.
        has_legend: Whether the lines are explained above.
    """
    figure, (ax,) = new_figure(width_px, height_px)
    plot_trace(ax, trace, label, width_px)
    if has_legend:
        figure_legend(figure, ax, n_columns=3)
    return figure


def plot_trace(ax: Axes, trace: Trace, label: str, width_px: float) -> None:
    """Draw a trace into axes that are ``width_px`` wide; see ``draw_trace``."""
    shown_s = np.arange(len(trace.time_s)) * trace.bin_width_s
    fill = {"color": RECORDED, "alpha": 0.4, "linewidth": 0}
    for i, part in enumerate(trace.parts()):
        names = ("recorded", "attainable", "predicted") if i == 0 else ("", "", "")
        ax.fill_between(shown_s[part], 0, trace.recorded[part], label=names[0], **fill)
        if trace.attainable is not None:
            ax.plot(shown_s[part], trace.attainable[part], color=TRUTH, lw=1.1, label=names[1])
        ax.plot(shown_s[part], trace.predicted[part], color=MODEL, lw=1.5, label=names[2])
    ax.set_xlim(shown_s[0], shown_s[-1] + trace.bin_width_s)
    ax.set_ylim(bottom=min(0.0, float(trace.recorded.min()), float(trace.predicted.min())))
    finish_axes(ax, "test time (s)", label, n_x=8, n_y=4)
    _mark_parts(ax, trace, 70 * len(shown_s) / width_px)


def _mark_parts(ax: Axes, trace: Trace, n_bins_of_label: float) -> None:
    """Draw a line where time jumps, and write the time of the session where there is room."""
    free = 0.0
    for part in trace.parts():
        x = part.start * trace.bin_width_s
        if part.start:
            ax.axvline(x, color=FAINT, linewidth=0.8)
        if part.start >= free:
            time = f"at {trace.time_s[part.start]:.0f} s"
            place = ax.get_xaxis_transform()
            ax.text(x, 1.01, time, transform=place, fontsize=SMALL_PX, color=MUTED, va="bottom")
            free = part.start + n_bins_of_label
