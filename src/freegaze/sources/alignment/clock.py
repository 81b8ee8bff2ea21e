"""Conversion of the times of a device to the clock of the session."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from pydantic import Field

from freegaze.config import StrictConfig
from freegaze.errors import DataError, DataWarning, ShapeError

_RESTART_S = 1.0
"""Clocks jitter by less than this, and spikes that are merely out of order go back often."""
_MANY_FRAMES, _MANY_SPIKES = 100, 20
"""So many times in a row that are whole numbers are not whole seconds by chance."""
_DAYS = ((30_000.0, 60_000.0), (650_000.0, 800_000.0))
"""Days of our time in spreadsheets, which count from 1900, and in MATLAB, which counts from 0."""
_MOST_HZ = 10_000.0
"""Rate of no signal of behavior and no camera of an experiment that lasts for hours."""


class ClockConfig(StrictConfig):
    """Conversion of a stream's own clock to the clock of the session.

    ``session time = offset_s + (1 + drift) * scale_to_s * own time``.

    Args:
        scale_to_s: Seconds in one unit of the stream's times: 0.001 for milliseconds, 1/30000 for
            samples at 30 kHz.
        offset_s: Session time at which the stream's clock reads 0.
        drift: Seconds that the session gains on the stream in each of the stream's seconds; 1e-4 is
            0.36 s an hour.
        wraps_at: Number of units after which the counter of the stream begins again at 0, such as
            4294967296 of 32 bits; ``None`` if it never does.
    """

    scale_to_s: float = Field(default=1.0, gt=0)
    offset_s: float = 0.0
    drift: float = Field(default=0.0, gt=-1, lt=1)
    wraps_at: float | None = Field(default=None, gt=0)

    def to_session(self, times: np.ndarray) -> Float[np.ndarray, " n"]:
        """Return times in seconds on the clock of the session, float64, shape (n,).

        With ``wraps_at``, a step back by more than half of it is a new round of the counter.
        """
        own = times.astype(np.float64)
        if self.wraps_at is not None and len(own):
            rounds = np.cumsum(np.diff(own, prepend=own[0]) < -self.wraps_at / 2)
            own = own + self.wraps_at * rounds
        return self.offset_s + (1.0 + self.drift) * self.scale_to_s * own


def read_times(times: np.ndarray, where: str) -> Float[np.ndarray, " n"]:
    """Check times, and return them as float64.

    Args:
        times: Shape (n,), (n, 1) or (1, n), numbers.
        where: Name of the values, for messages.

    Raises:
        ShapeError: If there is not one time per row.
        DataError: If they are not finite numbers.
    """
    if times.ndim == 2 and 1 in times.shape:
        times = times.reshape(-1)
    if times.ndim != 1:
        raise ShapeError(f"{where}: expected one time a row, got shape {times.shape}")
    if times.dtype.kind not in "iuf":
        raise DataError(f"{where}: expected times as numbers, got {times.dtype}")
    if times.dtype == np.float32:  # the decimal that was stored: 600.1 and not 600.09998
        times = times.astype(np.str_)
    times = times.astype(np.float64)
    bad = ~np.isfinite(times)
    if bad.any():
        raise DataError(
            f"{where}: the time of row {int(bad.argmax())} is {times[bad.argmax()]} (and "
            f"{int(bad.sum()) - 1} more are not finite); remove these rows"
        )
    return times


def order_of(times: np.ndarray, where: str, is_sorting: bool) -> np.ndarray | None:
    """Return the order that sorts times, or ``None`` where they are in order (equal ones may be).

    Args:
        times: Finite, shape (n,).
        where: Name of the values, for the message.
        is_sorting: Whether to accept times that go back.

    Raises:
        DataError: If times go back and that is not accepted: a clock that was reset looks the same,
            and sorting would then mix two parts of the session.
    """
    back = np.flatnonzero(np.diff(times) < 0)
    if not len(back):
        return None
    if not is_sorting:
        i = int(back[0])
        raise DataError(
            f"{where}: time goes back {len(back)} times, first from {times[i]:.6g} to "
            f"{times[i + 1]:.6g} s at row {i + 1}; if the rows are merely out of order ask for "
            f"`sort`, if the clock was reset cut the file there{_reason(times[i + 1] - times[i])}"
        )
    return np.argsort(times, kind="stable")


def _reason(step_s: float) -> str:
    """Return the cause of a step back by a known amount."""
    if abs(step_s + 3600) < 60:
        return "; a step back by an hour is the end of daylight saving, write times in UTC"
    return "; if a counter began again at its largest number state `wraps_at` of the clock"


def warn_of_units(times: np.ndarray, clock: ClockConfig, where: str) -> None:
    """Warn of times that are probably no seconds: numbers of frames, or days.

    Args:
        times: Of samples or frames as their file gives them, (n,).
        clock: Their clock; where it states a unit, nothing is checked.
        where: Name of the values, for the message.
    """
    is_plain = times.ndim == 1 and times.size > 2 and times.dtype.kind in "iuf"
    if clock.scale_to_s != 1 or not is_plain or not np.isfinite(times).all():
        return  # what is no time is refused elsewhere
    times = times.astype(np.float64)
    steps = np.diff(times)
    if len(times) >= _MANY_FRAMES and (steps == 1).all() and times[0] == np.round(times[0]):
        _warn(
            f"{where}: its times are {times[0]:.0f}, {times[1]:.0f}, {times[2]:.0f} ... s, as "
            "numbers of frames are; if so state `scale_to_s` of the clock (1 / rate)"
        )
    are_days = any(low < times.min() <= times.max() < high for low, high in _DAYS)
    if are_days and 0 < np.median(steps) < 1 / _MOST_HZ:
        _warn(
            f"{where}: its times are {times[0]:.6f}, {times[1]:.6f} ... s, as dates in days are "
            "(MATLAB's datenum, spreadsheets); if so state `scale_to_s: 86400` of the clock"
        )


def warn_of_samples(trains: Sequence[np.ndarray], clock: ClockConfig, where: str) -> None:
    """Warn of spike times that are whole numbers, as numbers of samples are.

    Args:
        trains: Spike times of each unit as the file gives them.
        clock: Their clock; where it states a unit, nothing is checked.
        where: Name of the values, for the message.
    """
    if clock.scale_to_s != 1:
        return
    if sum(map(len, trains)) >= _MANY_SPIKES and all((t == np.round(t)).all() for t in trains):
        _warn(
            f"{where}: all spike times are whole numbers, as numbers of samples are; if so state "
            "`scale_to_s` of the clock (1 / rate of samples)"
        )


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=4)


def check_restart(times: np.ndarray, where: str) -> None:
    """Refuse times of events if their clock seems to begin again.

    Events may be out of order, for example if spikes were sorted by amplitude. Times that rise
    except for few steps back, one of them by more than a second, come from two recordings one after
    the other.

    Args:
        times: Spike times of one unit, in the order of the file.
        where: Name of the values, for the message.

    Raises:
        DataError: If so.
    """
    steps = np.diff(times)
    back = np.flatnonzero(steps < 0)
    if not len(back) or len(back) > len(steps) / 10 or steps.min() > -_RESTART_S:
        return
    i = int(steps.argmin())
    raise DataError(
        f"{where}: time goes back from {times[i]:.6g} to {times[i + 1]:.6g} s at spike {i + 1}, as "
        "where a clock begins again; cut the file there or join the clocks, and if the spikes are "
        "merely out of order sort them (NWB: option `sort: [units]`)"
    )


def time_step(times: np.ndarray) -> float:
    """Return the smallest interval between different times, or 0 without any.

    If events are frequent, or several share a time, it is the resolution of the clock.
    """
    steps = np.diff(np.sort(times))
    steps = steps[steps > 0]
    return float(steps.min()) if len(steps) else 0.0


def typical_interval(times: np.ndarray) -> float:
    """Return the median interval between samples of different times, or 0 for a single one."""
    steps = np.diff(times)
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 0.0
