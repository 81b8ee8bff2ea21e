"""Time courses of a recording's quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from freegaze.reports.style import (
    FAINT,
    INK,
    MODEL,
    MUTED,
    SMALL_PX,
    color_of,
    figure_legend,
    finish_axes,
    house_style,
    label_axes,
    marker_of,
    new_figure,
)
from freegaze.reports.wording import shorten

SIZE_PX = (320, 240)


@house_style
def draw_lost_tracking(
    time_s: Float[np.ndarray, " window"],
    share: Float[np.ndarray, "window column"],
    names: Sequence[str],
) -> Figure:
    """Draw the share of bins without a value over time, for columns that lack any.

    Args:
        time_s: Start of each window.
        share: Share of its bins in which a column is missing.
        names: Name of each column.
    """
    figure, (ax,) = new_figure(*SIZE_PX)
    groups: dict[bytes, list[int]] = {}
    for i in np.flatnonzero(share.any(axis=0)):
        groups.setdefault(share[:, i].tobytes(), []).append(int(i))
    for number, columns in enumerate(groups.values()):
        ax.plot(
            time_s / 60,
            100 * share[:, columns[0]],
            color=color_of(number),
            marker=marker_of(number),
            markersize=3,
            label=shorten(", ".join(names[i] for i in columns)),
        )
    ax.set_ylim(bottom=0)
    finish_axes(ax, "time in the session (min)", "missing (% of bins)")
    figure_legend(figure, ax, n_columns=1)
    return figure


@house_style
def draw_loss_by_movement(loss: Mapping[str, Float[np.ndarray, " fifth"]]) -> Figure:
    """Draw how often the eye is lost, from the calmest to the liveliest fifth of bins.

    Args:
        loss: Share of bins without eye tracking in each fifth, by name of the movement.
    """
    figure, (ax,) = new_figure(*SIZE_PX)
    for number, (name, share) in enumerate(loss.items()):
        ax.plot(
            np.arange(1, len(share) + 1),
            100 * share,
            color=color_of(number),
            marker=marker_of(number),
            markersize=5,
            label=f"by |{shorten(name, 16)}|",
        )
    ax.set_ylim(bottom=0)
    finish_axes(ax, "fifth of bins, least movement first", "eye lost (% of bins)")
    figure_legend(figure, ax, n_columns=2)
    return figure


@house_style
def draw_eye_gyro_lag(
    time_s: Float[np.ndarray, " window"],
    lag_s: Float[np.ndarray, " window"],
    amber_s: float,
    red_s: float,
) -> Figure:
    """Draw by how much the eye follows the gyro, minute by minute.

    Args:
        time_s: Middle of each window.
        lag_s: Lag of the strongest correlation; NaN where no correlation is clear.
        amber_s: Lag from which the check is amber.
        red_s: Lag from which it is red.
    """
    figure, (ax,) = new_figure(*SIZE_PX)
    for limit, word in ((amber_s, "amber"), (red_s, "red")):
        for sign in (-1, 1):
            ax.axhline(sign * limit * 1000, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
        ax.text(
            0.99,
            limit * 1000,
            f"{word} beyond",
            transform=ax.get_yaxis_transform(),
            ha="right",
            va="bottom",
            fontsize=SMALL_PX,
            color=MUTED,
        )
    ax.plot(time_s / 60, lag_s * 1000, "o-", color=MODEL, markersize=4)
    ax.set_ylim(-1.5 * red_s * 1000, 1.5 * red_s * 1000)
    finish_axes(ax, "time in the session (min)", "lag of the eye (ms)")
    return figure


@house_style
def draw_eye_gyro_correlation(
    lags_s: Float[np.ndarray, " lag"], r_by_lag: Float[np.ndarray, " lag"]
) -> Figure:
    """Draw the correlation of eye and head velocity at each lag."""
    figure, (ax,) = new_figure(*SIZE_PX)
    ax.axhline(0, color=FAINT, linewidth=0.8)
    ax.axvline(0, color=FAINT, linewidth=0.8)
    ax.plot(lags_s * 1000, r_by_lag, color=MODEL)
    finish_axes(ax, "lag of the eye behind the gyro (ms)", "correlation of velocities (r)")
    return figure


@house_style
def draw_rate_drift(
    rate_over_time: Float[np.ndarray, "tenth unit"],
    has_drift: np.ndarray,
    duration_s: float,
    is_relative: bool = True,
) -> Figure:
    """Draw every unit's response over the session.

    Args:
        rate_over_time: Mean response in tenths of the session.
        has_drift: Whether each unit is said to drift.
        duration_s: Length of the session.
        is_relative: Whether to divide by each unit's mean; not for responses of any sign.
    """
    figure, (ax,) = new_figure(*SIZE_PX)
    mean = rate_over_time.mean(0)
    shown = rate_over_time / np.where(mean > 0, mean, 1.0) if is_relative else rate_over_time
    time_min = (np.arange(len(shown)) + 0.5) / len(shown) * duration_s / 60
    ax.axhline(1 if is_relative else 0, color=INK, linewidth=0.8)
    for flag, color, width, word in (
        (False, FAINT, 0.8, "steady"),
        (True, color_of(0), 1.2, "drifting"),
    ):
        lines = ax.plot(time_min, shown[:, has_drift == flag], color=color, linewidth=width)
        if lines:
            lines[0].set_label(f"{word} ({len(lines)})")
    finish_axes(
        ax, "time in the session (min)", "response / its mean" if is_relative else "response"
    )
    figure_legend(figure, ax, n_columns=2)
    return figure


@house_style
def draw_rates(rate_hz: Float[np.ndarray, " unit"], threshold_hz: float) -> Figure:
    """Draw the mean rate of every unit, in order, with the threshold for fitting."""
    figure, (ax,) = new_figure(*SIZE_PX)
    shown = np.sort(rate_hz)[::-1]
    ax.axhline(threshold_hz, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.text(
        0.99,
        threshold_hz,
        f"{threshold_hz:g} Hz",
        transform=ax.get_yaxis_transform(),
        ha="right",
        va="bottom",
        fontsize=SMALL_PX,
        color=MUTED,
    )
    ax.plot(np.arange(1, len(shown) + 1), shown, "o", color=MODEL, markersize=3.5)
    ax.set_ylim(bottom=0)
    finish_axes(ax, "unit, fastest first", "mean rate (Hz)")
    return figure


@house_style
def draw_freezes(
    start_s: Float[np.ndarray, " freeze"], length_s: Float[np.ndarray, " freeze"], duration_s: float
) -> Figure:
    """Draw when the video stood still, and for how long."""
    figure, (ax,) = new_figure(*SIZE_PX)
    ax.vlines(start_s / 60, 0, length_s, color=color_of(0), linewidth=1.2)
    ax.plot(start_s / 60, length_s, "o", color=color_of(0), markersize=4)
    ax.set_xlim(0, duration_s / 60)
    ax.set_ylim(bottom=0)
    finish_axes(ax, "time in the session (min)", "length of a freeze (s)")
    return figure


@house_style
def draw_streams(
    names: Sequence[str],
    spans_s: Float[np.ndarray, "stream 2"],
    gaps_s: Sequence[Sequence[Sequence[float]]],
) -> Figure:
    """Draw when each stream was recorded, on one time axis, with its gaps.

    Args:
        names: Name of each stream.
        spans_s: Start and stop of each.
        gaps_s: Start and stop of the gaps of each.
    """
    figure, (ax,) = new_figure(*SIZE_PX)
    for row, (span, gaps) in enumerate(zip(spans_s / 60, gaps_s, strict=True)):
        ax.plot(span, [row, row], color=color_of(0), linewidth=6, solid_capstyle="butt")
        for start, stop in gaps:
            ax.plot([start / 60, stop / 60], [row, row], "w", linewidth=6, solid_capstyle="butt")
    ax.set_yticks(range(len(names)), [shorten(name.rsplit("/", 1)[-1], 16) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    label_axes(ax, "time on the session's clock (min)", "")
    return figure
