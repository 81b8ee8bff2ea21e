"""Clocks of a raw session: whole hours between files, and the board against the cameras.

The computer stamps the frames of cameras. The board of the electrodes samples spikes and inertial
sensors; its clock has an offset and a drift. The eyes turn against the head, so that the lag
between eye velocity (camera) and head velocity (board) gives offset and drift.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import linregress, theilslopes

from freegaze.errors import DataError
from freegaze.quality.eye_gyroscope import WEAK_R, WINDOW_S, EyeGyroLags, measure_lags
from freegaze.sources.alignment.bins import interpolate, make_bins
from freegaze.sources.alignment.clock import ClockConfig
from freegaze.sources.alignment.streams import SampleStream

APART_S = 600.0
"""Files of one session begin within ten minutes, or a clock is wrong (as in the laboratory)."""

ZONES_S = (7 * 3600.0, 8 * 3600.0)
"""Some files are stamped in Greenwich, others in Pacific time: 7 hours apart in summer, else 8."""

GRID_S = 1 / 60
"""Grid on which eye and head are compared: the eye camera's frames."""

LONGEST_S = 12 * 3600.0
"""Times that span more than this are in another unit or from another session."""

_MIN_WINDOWS = 3
"""A line through two points has no uncertainty."""

_FAR = 4 * 1.4826
"""Four robust standard deviations: windows further from the line are left out, and moments with a
faster eye (saccades), too."""


@dataclass(frozen=True)
class BoardClock:
    """The clock of the board on the cameras' clock, with standard errors.

    Args:
        offset_s: Camera time at which the board's clock reads 0.
        offset_se_s: Standard error of it.
        drift: Seconds that the cameras gain on the board in each second.
        drift_se: Standard error of it.
        largest_se_s: Largest standard error of the board's time anywhere in the session.
        n_windows: Number of windows of 60 s that the line is fitted to.
        n_left_out: Number of windows that were not used or are far from the line.
        r: Correlation of eye and head velocity at the session's lag.
    """

    offset_s: float
    offset_se_s: float
    drift: float
    drift_se: float
    largest_se_s: float
    n_windows: int
    n_left_out: int
    r: float

    @property
    def clock(self) -> ClockConfig:
        """Return the clock for streams that the board sampled."""
        return ClockConfig(offset_s=self.offset_s, drift=self.drift)

    def told(self) -> dict[str, Any]:
        """Return plain values for the provenance."""
        return {**asdict(self), "estimated": True, "window_s": WINDOW_S}


def correct_zone(times: np.ndarray, start_s: float, where: str) -> tuple[np.ndarray, float]:
    """Return times after the board's start, and the hours that had to be added.

    Args:
        times: Times of day in seconds, finite.
        start_s: Time of day at which the board began.
        where: Name of the values, for messages.

    Raises:
        DataError: If they begin neither within ten minutes nor seven or eight hours away.
    """
    since = times - start_s
    if not len(since):
        return since, 0.0
    first = float(since.min())
    for shift in (0.0, *ZONES_S, *(-zone for zone in ZONES_S)):
        if abs(first + shift) <= APART_S:
            return since + shift, shift / 3600
    raise DataError(
        f"{where}: begins {first:.6g} s after the electrodes; expected at most {APART_S:g} s, or "
        "7 or 8 hours where time zones were mixed; is it of this session?"
    )


def estimate_board_clock(eye: SampleStream, head: SampleStream, largest_se_s: float) -> BoardClock:
    """Estimate the board's clock by the eye's answer to turns of the head.

    In windows of 60 s the velocities of both are correlated at lags of up to 1 s; a line through
    the lags is offset and drift. The eye's own delay, some 10 ms, counts as offset.

    Args:
        eye: Eye samples on the cameras' clock, with a column ``theta``.
        head: Samples of the head sensor on the board's own clock, with a column ``gz`` in degrees
            per second.
        largest_se_s: Largest accepted standard error anywhere in the session.

    Returns:
        The clock.

    Raises:
        DataError: If eye and head do not determine the clock, which must then be stated.
    """
    lags, start = _lags(eye, head)
    if not abs(lags.r) >= WEAK_R:
        raise untold_clock(f"their velocities are hardly correlated (r = {lags.r:.2f} at best)")
    known = np.isfinite(lags.window_lag_s)
    time_s, lag_s = lags.time_s[known] + start, lags.window_lag_s[known]
    if len(time_s) >= _MIN_WINDOWS:
        slope, intercept, *_ = np.array(theilslopes(lag_s, time_s))
        away = np.abs(lag_s - intercept - slope * time_s)
        near = away <= max(_FAR * float(np.median(away)), GRID_S)
        time_s, lag_s = time_s[near], lag_s[near]
    if len(time_s) < _MIN_WINDOWS:
        raise untold_clock(f"only {len(time_s)} windows of {WINDOW_S:g} s show them together")
    line: Any = linregress(time_s, lag_s)
    middle = time_s.mean()
    ends = np.array([lags.time_s[0], lags.time_s[-1]]) + start - middle
    # The mean lag and the slope err independently.
    mean_se = line.intercept_stderr**2 - (line.stderr * middle) ** 2
    errors = np.sqrt(max(mean_se, 0.0) + (line.stderr * ends) ** 2)
    found = BoardClock(
        offset_s=float(line.intercept),
        offset_se_s=float(line.intercept_stderr),
        drift=float(line.slope),
        drift_se=float(line.stderr),
        largest_se_s=float(errors.max()),
        n_windows=len(time_s),
        n_left_out=len(known) - len(time_s),
        r=lags.r,
    )
    if found.largest_se_s > largest_se_s:
        raise untold_clock(f"the clock stays uncertain by {1e3 * found.largest_se_s:.0f} ms")
    return found


def _lags(eye: SampleStream, head: SampleStream) -> tuple[EyeGyroLags, float]:
    """Return the lags, and when the first window begins on the board's clock."""
    start = max(eye.times[0], head.times[0])
    stop = min(eye.times[-1], head.times[-1])
    if not WINDOW_S <= stop - start <= LONGEST_S:
        raise untold_clock(
            f"they share {max(stop - start, 0.0):.3g} s, expected {WINDOW_S:g} to {LONGEST_S:g} s"
        )
    grid = make_bins(start, stop, GRID_S).centers
    theta = eye.values[:, eye.columns.index("theta")]
    turn = head.values[:, head.columns.index("gz")]
    # Summed to an angle first, so that both are differences over the same time.
    steps = np.diff(head.times, prepend=head.times[0])
    heading = np.cumsum(np.nan_to_num(turn) * steps)
    turned: np.ndarray = np.asarray(np.gradient(np.interp(grid, head.times, heading), GRID_S))
    turned[np.isnan(interpolate(head.times, turn, grid, head.max_gap_s))] = np.nan
    known = interpolate(eye.times, theta, grid, eye.max_gap_s)
    speed = np.abs(np.gradient(known, GRID_S))
    if np.isfinite(speed).any():
        # Saccades follow the head, and late: with them the eye seems 5 ms early (virtual mouse).
        known[speed > _FAR * np.nanmedian(speed)] = np.nan
    return measure_lags(known, turned, np.zeros(len(grid), np.int64), GRID_S), float(start)


def untold_clock(why: str) -> DataError:
    """Return the error that the clock cannot be estimated, with the remedy."""
    return DataError(
        f"the clock of the electrodes cannot be estimated from eye and gyroscope: {why}; state "
        "`clock`, such as {offset_s: -0.1, drift: 1.14e-4}, the laboratory's usual"
    )
