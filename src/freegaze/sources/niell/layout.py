"""What the files of the Niell laboratory have in common: clocks, columns, names of units."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.recording.recording import Segment
from freegaze.sources.conversion import to_column

_GAP = 1.5
"""Two bins further apart than this many bin widths have a gap between them."""
_JITTER = 0.1
"""Bins are equal when their distances differ by less than this share (float32 seconds do)."""


def read_clock(
    time_s: np.ndarray | None, n_bins: int, usual_width_s: float, where: str
) -> tuple[float, tuple[Segment, ...]]:
    """Return bin width and segments: a new one after each gap in time.

    Args:
        time_s: Start of each bin in seconds, (time,), or ``None`` where the file has no clock.
        n_bins: Number of bins.
        usual_width_s: Width to assume without a clock, or with a single bin.
        where: What it is, for messages.

    Raises:
        ShapeError: If there is not one time a bin.
        DataError: If times are missing, do not increase, or bins are not equal.
    """
    if time_s is None:
        return usual_width_s, (Segment(0, n_bins),)
    if time_s.shape != (n_bins,) or time_s.dtype.kind not in "iuf":
        raise ShapeError(f"{where}: expected {n_bins} times, got {time_s.shape} of {time_s.dtype}")
    if n_bins == 1:
        return usual_width_s, (Segment(0, 1),)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(time_s.astype(np.float64))
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        at = int(np.flatnonzero(~(steps > 0) | ~np.isfinite(steps))[0])
        raise DataError(
            f"{where}: times must increase, but bin {at} is at {time_s[at]} s and the next at "
            f"{time_s[at + 1]} s; sort the bins, or remove doubled ones"
        )
    width_s = float(f"{np.median(steps):.6g}")
    is_gap = steps > _GAP * width_s
    uneven = ~is_gap & (np.abs(steps - width_s) > _JITTER * width_s)
    if uneven.any():
        at = int(np.flatnonzero(uneven)[0])
        raise DataError(
            f"{where}: bins must be equally wide, but most are {width_s:g} s and bin {at} is "
            f"{steps[at]:g} s; bin the recording again"
        )
    ends = [0, *(np.flatnonzero(is_gap) + 1).tolist(), n_bins]
    return width_s, tuple(Segment(start, stop) for start, stop in pairwise(ends))


def stack_columns(
    columns: Mapping[str, np.ndarray], n_bins: int, where: str, remedy: str
) -> np.ndarray:
    """Stack behavior signals, (time, len(columns)), float32.

    Args:
        columns: Each signal by its key in the file.
        n_bins: Number of bins.
        where: File and group, for messages.
        remedy: What to do about a column of NaN only; ``{name}`` is its key.

    Raises:
        ShapeError: If a signal has another length.
        DataError: If it holds no numbers, or only NaN.
    """
    stacked = []
    for key, array in columns.items():
        column = to_column(array, f"{where}/{key}")
        if len(column) != n_bins:
            raise ShapeError(f"{where}/{key} has {len(column)} values, expected {n_bins} bins")
        if np.isnan(column).all():
            raise DataError(f"{where}/{key}: NaN throughout; {remedy.format(name=key)}")
        stacked.append(column)
    return np.stack(stacked, axis=1) if stacked else np.empty((n_bins, 0), np.float32)


def name_units(numbers: np.ndarray | None, n_neurons: int, where: str) -> tuple[str, ...]:
    """Name units by the file's own numbers; one that comes again gets ``#2``, ``#3`` ...

    Raises:
        ShapeError: If there is not one number a unit.
    """
    if numbers is None:
        return tuple(str(i) for i in range(n_neurons))
    if numbers.shape != (n_neurons,):
        raise ShapeError(f"{where}: expected a number for {n_neurons} units, got {numbers.shape}")
    seen: dict[str, int] = {}
    names = []
    for number in numbers.tolist():
        is_whole = isinstance(number, float) and number.is_integer()
        name = str(int(number) if is_whole else number)
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(names)
