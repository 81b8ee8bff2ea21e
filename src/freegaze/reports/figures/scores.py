"""Figures of scores per neuron, alone and against another model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from freegaze.reports.style import (
    FAINT,
    MODEL,
    TRUTH,
    color_of,
    count_ticks,
    few_ticks,
    figure_legend,
    finish_axes,
    house_style,
    label_axes,
    marker_of,
    new_figure,
    quiet_grid,
)


@dataclass(frozen=True)
class Scores:
    """One score of each neuron, with its interval.

    Args:
        value: The score, (neuron,); NaN where it is not defined.
        low: Lower end of its interval.
        high: Upper end.
    """

    value: Float[np.ndarray, " neuron"]
    low: Float[np.ndarray, " neuron"]
    high: Float[np.ndarray, " neuron"]

    def pick(self, order: np.ndarray) -> Scores:
        """Return the scores of some neurons, in the order given."""
        return Scores(self.value[order], self.low[order], self.high[order])


@house_style
def draw_score_strip(
    scores: Scores,
    baselines: Mapping[str, Float[np.ndarray, " neuron"]],
    attainable: Float[np.ndarray, " neuron"] | None,
    model: str,
    label: str,
    width_px: float,
    height_px: float,
) -> Figure:
    """Draw every neuron's score with its interval, neurons in order of their score.

    Args:
        scores: Scores of the model.
        baselines: Scores of other models for the same neurons, by name.
        attainable: Score that the recorded inputs allow, if it is known.
        model: Name of the model.
        label: Name of the score, with its unit.
        width_px: Width in CSS pixels.
        height_px: Height in CSS pixels.
    """
    figure, (ax,) = new_figure(width_px, height_px)
    plot_score_strip(ax, scores, baselines, attainable, model, label)
    figure_legend(figure, ax, n_columns=4 if width_px > 500 else 2)
    return figure


def plot_score_strip(
    ax: Axes,
    scores: Scores,
    baselines: Mapping[str, Float[np.ndarray, " neuron"]],
    attainable: Float[np.ndarray, " neuron"] | None,
    model: str,
    label: str,
) -> None:
    """Draw every neuron's score into axes; see ``draw_score_strip``."""
    order = np.argsort(scores.value)[::-1]  # NaN sorts last, so first when turned round
    order = order[np.isfinite(scores.value[order])]
    rank = np.arange(1, len(order) + 1)
    shown = scores.pick(order)
    ax.axhline(0, color=FAINT, linewidth=0.8)
    if attainable is not None:
        ax.plot(rank, attainable[order], "_", color=TRUTH, markersize=9, label="attainable")
    for i, (name, other) in enumerate(baselines.items()):
        ax.plot(
            rank,
            other[order],
            marker_of(i + 1),
            markerfacecolor="none",
            color=color_of(i),
            markersize=4,
            label=name,
        )
    ax.vlines(rank, shown.low, shown.high, color=MODEL, linewidth=1.2, alpha=0.45)
    ax.plot(rank, shown.value, "o", color=MODEL, markersize=4.5, label=model)
    ax.set_xlim(0.2, max(len(order), 1) + 0.8)
    finish_axes(ax, "neuron, best first", label)
    count_ticks(ax, 10)


@house_style
def draw_score_pairs(
    model: Scores,
    other: Scores,
    model_label: str,
    other_label: str,
    color: str,
    marker: str,
    width_px: float,
    height_px: float,
) -> Figure:
    """Draw two models' scores of the same neurons against each other.

    Args:
        model: Scores on the vertical axis.
        other: Scores on the horizontal axis.
        model_label: Name of that axis.
        other_label: Name of the other.
        color: Color of the dots.
        marker: Shape of the dots.
        width_px: Width in CSS pixels.
        height_px: Height in CSS pixels.

    Returns:
        The figure; above the diagonal the model is better.
    """
    figure, (ax,) = new_figure(width_px, height_px)
    plot_score_pairs(ax, model, other, color, marker)
    label_axes(ax, other_label, model_label)
    return figure


def plot_score_pairs(ax: Axes, model: Scores, other: Scores, color: str, marker: str) -> None:
    """Draw two models' scores into axes; see ``draw_score_pairs``."""
    ax.hlines(model.value, other.low, other.high, color=color, linewidth=0.8, alpha=0.3)
    ax.vlines(other.value, model.low, model.high, color=color, linewidth=0.8, alpha=0.3)
    ax.plot(
        other.value,
        model.value,
        marker,
        color=color,
        markersize=5,
        markeredgecolor="white",
        markeredgewidth=0.6,
    )
    _draw_diagonal(ax, np.concatenate([model.value, other.value]))
    quiet_grid(ax, "both")


def _draw_diagonal(ax: Axes, values: Float[np.ndarray, " score"]) -> None:
    """Give both axes one range and draw the diagonal; only far ends of intervals are cut."""
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.12 * ((high - low) or 1.0)
    limits = (low - margin, high + margin)
    ax.plot(limits, limits, color=FAINT, linewidth=1, zorder=0)
    ax.set_xlim(limits)
    ax.set_ylim(limits)
    ax.set_box_aspect(1)
    few_ticks(ax)
