"""Scores of many rows in several sessions, one row of marks each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from freegaze.reports.style import (
    BASELINE_COLORS,
    INK,
    MARKERS,
    PAPER,
    SMALL_PX,
    finish_axes,
    house_style,
    new_figure,
)

ROW_PX = 40


@dataclass(frozen=True)
class RowScores:
    """One score of a row in every session, NaN where it is missing.

    Args:
        label: The row.
        values: Value of each session.
        lows: Lower ends of their intervals.
        highs: Upper ends.
        printed: Value that the original paper prints for each session.
    """

    label: str
    values: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]
    printed: Sequence[float]


@house_style
def draw_rows(
    rows: Sequence[RowScores], sessions: Sequence[str], label: str, width_px: float
) -> Figure:
    """Draw each row's score in every session with its interval, and the mean over sessions.

    Args:
        rows: Rows from top to bottom.
        sessions: Names of the sessions, in the order of the values.
        label: Name of the score, with its unit.
        width_px: Width in CSS pixels; the height follows from the number of rows.
    """
    figure, (ax,) = new_figure(width_px, 90 + ROW_PX * len(rows))
    places = np.arange(len(rows))[::-1]
    offsets = np.linspace(0.12, -0.22, len(sessions)) if len(sessions) > 1 else np.zeros(1)
    for i, session in enumerate(sessions):
        color, marker = BASELINE_COLORS[i % len(BASELINE_COLORS)], MARKERS[i % len(MARKERS)]
        values, lows, highs, printed = (
            np.array([getattr(row, name)[i] for row in rows], dtype=float)
            for name in ("values", "lows", "highs", "printed")
        )
        ax.hlines(places + offsets[i], lows, highs, color=color, linewidth=1.6, alpha=0.6)
        ax.plot(values, places + offsets[i], marker, color=color, markersize=5, label=session)
        if np.isfinite(printed).any():
            ax.plot(
                *(printed, places + offsets[i], marker),
                markerfacecolor="none",
                color=color,
                markersize=8,
                label=f"{session}, printed",
            )
    means = [_mean(row.values) for row in rows]
    ax.vlines(means, places - 0.3, places + 0.2, color=INK, linewidth=2, label="mean")
    name_rows(ax, [row.label for row in rows], label)
    columns = 2 if width_px < 500 else 4
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2)
    return figure


def name_rows(ax: Axes, names: Sequence[str], label: str) -> None:
    """Write the name of each row above its marks, in the place of a vertical axis.

    Args:
        ax: Axes whose rows are at the places n - 1 (top) to 0.
        names: Names from top to bottom.
        label: Name of the horizontal axis, with its unit.
    """
    at = ax.get_yaxis_transform()
    for place, name in zip(reversed(range(len(names))), names, strict=True):
        text = ax.text(0.0, place + 0.28, name, transform=at, fontsize=SMALL_PX)
        text.set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 1.5})
    ax.set_ylim(-0.5, len(names) - 0.2)
    ax.spines["left"].set_visible(False)
    finish_axes(ax, label, grid="x")
    ax.set_yticks([])


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
