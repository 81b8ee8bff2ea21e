"""Trials of a sweep as parallel coordinates, and the importance of its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from freegaze.reports.style import FAINT, INK, MODEL, MUTED, finish_axes, house_style, new_figure

ROW_PX, HEIGHT_PX = 34, 340


@house_style
def draw_parallel(
    settings: Mapping[str, Sequence[str | float]], losses: Sequence[float], width_px: float
) -> Figure:
    """Draw a line per trial through its settings to its validation loss; low losses are dark.

    Args:
        settings: Values of each setting, one per trial; text for choices.
        losses: Validation losses, one per trial.
        width_px: Width in CSS pixels.
    """
    figure, (ax,) = new_figure(width_px, HEIGHT_PX)
    axes = [_on_axis(values) for values in settings.values()] + [_on_axis(losses)]
    places = np.arange(len(axes))
    heights = np.array([heights for heights, _ in axes]).reshape(len(axes), len(losses))
    ranks = np.argsort(np.argsort(losses)) / max(1, len(losses) - 1)
    colors = mpl.colormaps["viridis"](ranks)
    for trial in np.argsort(losses)[::-1]:
        ax.plot(places, heights[:, trial], color=colors[trial], linewidth=1.2, alpha=0.8)
    for place, (_, ticks) in enumerate(axes):
        ax.axvline(place, color=FAINT, linewidth=0.8)
        for height, text in ticks:
            ax.text(place + 0.03, height, text, color=MUTED, fontsize=10, va="center")
    ax.set_xticks(places, [*settings, "validation loss"], rotation=20, ha="right")
    ax.set_yticks([])
    ax.set_ylim(-0.06, 1.06)
    ax.set_xlim(-0.2, len(axes) - 0.5)
    return figure


@house_style
def draw_importance(importance: Mapping[str, float], width_px: float) -> Figure:
    """Draw the share of each setting in the differences of validation loss.

    Args:
        importance: Share by setting.
        width_px: Width in CSS pixels.
    """
    figure, (ax,) = new_figure(width_px, 70 + ROW_PX * len(importance))
    places = np.arange(len(importance))[::-1]
    ax.barh(places, list(importance.values()), color=MODEL, height=0.5)
    for place, value in zip(places, importance.values(), strict=True):
        ax.text(value + 0.01, place, f"{value:.2f}", va="center", color=INK)
    finish_axes(ax, "importance", grid="x")
    ax.set_yticks(places, list(importance))
    ax.set_xlim(0, 1.1)
    return figure


def _on_axis(values: Sequence[str | float]) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Return heights of values between 0 and 1, and ticks with their text."""
    if any(isinstance(value, str) for value in values):
        names = sorted(set(map(str, values)))
        steps = {name: (i + 0.5) / len(names) for i, name in enumerate(names)}
        return np.array([steps[str(value)] for value in values]), [(h, n) for n, h in steps.items()]
    numbers = np.array(values, dtype=float)
    low, high = numbers.min(initial=np.inf), numbers.max(initial=-np.inf)
    is_log = low > 0 and high / low > 30
    scaled, ends = (np.log(x) if is_log else x for x in (numbers, np.array([low, high])))
    span = max(ends[1] - ends[0], np.finfo(float).tiny)
    return (scaled - ends[0]) / span, [(0.0, f"{low:.3g}"), (1.0, f"{high:.3g}")]
