"""Clocks, names of units and further arrays of the Niell laboratory's HDF5 files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.hdf5 import Hdf5Reader
from freegaze.recording.recording import Segment
from freegaze.sources.conversion import name_units

_GAP = 1.5
"""There is a gap between two bins that are further apart than this many bin widths."""
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
        where: Name of the array, for messages.

    Raises:
        ShapeError: If there is not one time per bin.
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


def number_units(numbers: np.ndarray | None, n_neurons: int, where: str) -> tuple[str, ...]:
    """Name units by the file's own numbers; a repeated number gets ``#2``, ``#3`` ...

    Raises:
        ShapeError: If there is not one number per unit.
    """
    seen: Counter[str] = Counter()
    names = []
    for number in name_units(numbers, n_neurons, where):
        name = number.removesuffix(".0")
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(names)


def read_annotations(
    reader: Hdf5Reader, keys: Mapping[str, str], n_bins: int, known: Mapping[str, str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read further arrays with one value per bin, and list the keys that hold none.

    Args:
        reader: The open file.
        keys: Key of each array to read, and its full name in the file.
        n_bins: Number of bins.
        known: Our names of keys; any other key keeps its own.
    """
    fitting = {key for key, name in keys.items() if reader.headers[name].shape == (n_bins,)}
    arrays = {known.get(k, k): reader.read(name) for k, name in keys.items() if k in fitting}
    return arrays, [key for key in keys if key not in fitting]
