"""Figure of the loss against passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from freegaze.reports.style import (
    INK,
    MODEL,
    MUTED,
    SMALL_PX,
    count_ticks,
    figure_legend,
    finish_axes,
    house_style,
    new_figure,
)


@house_style
def draw_training(
    passes: Sequence[Mapping[str, Any]],
    kept: int,
    loss_label: str,
    width_px: float,
    height_px: float,
) -> Figure:
    """Draw training and validation loss against passes over the data.

    Args:
        passes: Lines of a run's ``metrics.jsonl``: ``pass``, ``train_loss``, ``validation_loss``.
        kept: Place among them of the pass whose weights were kept.
        loss_label: Name of the loss, with its unit.
        width_px: Width in CSS pixels.
        height_px: Height in CSS pixels.

    Returns:
        The figure; the pass that was kept is marked.
    """
    figure, (ax,) = new_figure(width_px, height_px)
    number = [line["pass"] for line in passes]
    validation = [line["validation_loss"] for line in passes]
    marker = "o" if len(passes) == 1 else None  # one point makes no line
    ax.plot(number, [p["train_loss"] for p in passes], color=MUTED, label="training", marker=marker)
    ax.plot(number, validation, color=MODEL, label="validation", marker=marker)
    ax.plot(number[kept], validation[kept], "o", color=MODEL, markersize=6)
    ax.annotate(
        f"kept: pass {number[kept]}",
        (number[kept], validation[kept]),
        xytext=(0, 10),
        textcoords="offset points",
        ha="right" if kept > len(passes) / 2 else "left",
        fontsize=SMALL_PX,
        color=INK,
    )
    ax.margins(y=0.18)
    finish_axes(ax, "pass over the training data", loss_label)
    count_ticks(ax, 10)
    figure_legend(figure, ax, n_columns=2)
    return figure
