"""Figure of the shifter's displacement beside gaze and the true displacement."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from freegaze.reports.style import (
    FAINT,
    MODEL,
    TRUTH,
    figure_legend,
    finish_axes,
    house_style,
    label_axes,
    new_figure,
)


@house_style
def draw_displacement(
    angle: Float[np.ndarray, " time"],
    fitted: Float[np.ndarray, " time"],
    truth: Float[np.ndarray, " time"] | None,
    angle_label: str,
    displacement_label: str,
    width_px: float,
    height_px: float,
) -> Figure:
    """Draw one component of the shifter's displacement against an angle of eye or head.

    Args:
        angle: Angle in each bin shown.
        fitted: Displacement in the same bins.
        truth: Displacement that undoes the eye's true movement, where that is known.
        angle_label: Name of the angle, with its unit.
        displacement_label: Name of the displacement, with its unit.
        width_px: Width in CSS pixels.
        height_px: Height in CSS pixels.
    """
    figure, (ax,) = new_figure(width_px, height_px)
    plot_displacement(ax, angle, fitted, truth)
    label_axes(ax, angle_label, displacement_label)
    if truth is not None:
        figure_legend(figure, ax, n_columns=2, marker_scale=2)
    return figure


def plot_displacement(
    ax: Axes,
    angle: Float[np.ndarray, " time"],
    fitted: Float[np.ndarray, " time"],
    truth: Float[np.ndarray, " time"] | None,
) -> None:
    """Draw displacement against an angle into axes; see ``draw_displacement``."""
    dots: dict[str, Any] = {"markersize": 3, "markeredgewidth": 0, "linestyle": "none"}
    if truth is not None:
        ax.plot(angle, truth, marker="s", color=TRUTH, alpha=0.35, label="truth", **dots)
    ax.plot(angle, fitted, marker="o", color=MODEL, alpha=0.45, label="fitted", **dots)
    finish_axes(ax, grid="both")


@house_style
def draw_displacement_truth(
    truth: Float[np.ndarray, " time"],
    fitted: Float[np.ndarray, " time"],
    component: str,
    unit: str,
    width_px: float,
    height_px: float,
) -> Figure:
    """Draw one component of the fitted displacement against the true one.

    Args:
        truth: True displacement in each bin shown.
        fitted: Fitted displacement in the same bins.
        component: Name of the component.
        unit: Unit of the component.
        width_px: Width in CSS pixels.
        height_px: Height in CSS pixels.

    Returns:
        The figure; a perfect shifter's dots lie on the diagonal.
    """
    figure, (ax,) = new_figure(width_px, height_px)
    both = np.concatenate([truth, fitted])
    limits = (float(both.min()), float(both.max()))
    ax.plot(limits, limits, color=FAINT, linewidth=1)
    ax.plot(truth, fitted, "o", color=MODEL, markersize=3, markeredgewidth=0, alpha=0.45)
    ax.set_box_aspect(1)
    finish_axes(ax, f"true {component} ({unit})", f"fitted {component} ({unit})", grid="both")
    return figure
