"""Neurons of an NWB file: tables of units and of regions of interest."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from freegaze.errors import DataError, DataWarning, ShapeError
from freegaze.files.hdf5 import read_whole
from freegaze.registry import require_name
from freegaze.sources.alignment.clock import ClockConfig, read_times, warn_of_samples
from freegaze.sources.alignment.streams import EventStream
from freegaze.sources.nwb.opening import check_columns

_PROBES = ("probe", "probe_name", "probe_id", "electrode_group", "device_name")
"""Columns that name the probe of a unit; the first existing one is used."""
_REJECTED = {"rejected": True, "accepted": False, "is_cell": False, "iscell": False}
"""Columns of regions of interest, and the value of a region that is no cell."""


def read_units(
    table: Any,
    where: str,
    keep: Mapping[str, Sequence[Any]],
    clock: ClockConfig,
    is_sorting: bool,
) -> EventStream:
    """Read the spikes of a table of units.

    Args:
        table: Table with a column ``spike_times``.
        where: Path of the table.
        keep: Values that columns must have.
        clock: Conversion of the times to the session's clock.
        is_sorting: Whether times may be in any order.

    Returns:
        The spikes. Units count as observed in the intervals that their ``obs_intervals`` share.
        Without this column, they count as observed between first and last spike of each probe.

    Raises:
        DataError: If a column is missing, no unit is left, or no time was observed by all.
    """
    probe = next((name for name in _PROBES if name in table.colnames), None)
    named = "unit_name" if "unit_name" in table.colnames else None
    check_columns(table, "spike_times", "unit_name", "obs_intervals", *_PROBES, *keep)
    picked = np.flatnonzero(keep_rows(table, keep, where)).tolist()
    names = [_text(v) for v in (table[named][:] if named else table.id[:])]
    probes = [_text(v) for v in table[probe][:]] if probe else [""] * len(names)
    index = table["spike_times"]
    own = [_spike_times(np.asarray(index[i]), f"{where}, unit {names[i]}") for i in picked]
    warn_of_samples(own, clock, where)
    times = [clock.to_session(train) for train in own]
    ids = name_neurons([names[i] for i in picked], [probes[i] for i in picked])
    if "obs_intervals" in table.colnames:
        spans = [np.asarray(table["obs_intervals"][i], np.float64) for i in picked]
        observed = _observed_by_all([s for s in spans if s.size], where, clock)
    else:
        observed = _span_of_probes(times, [probes[i] for i in picked], where)
    stream = EventStream(where, times, ids, observed=observed, is_sorting=is_sorting)
    _warn_of_unobserved_spikes(stream)
    return stream


def keep_rows(table: Any, keep: Mapping[str, Sequence[Any]], where: str) -> np.ndarray:
    """Return which rows of a table have one of the wanted values in each column.

    ``true``, ``1``, ``1.0`` and their texts are one value, since programs write flags in all these
    ways.

    Raises:
        DataError: If a column is missing, or no row is left.
    """
    kept = np.ones(len(table), bool)
    for column, allowed in keep.items():
        require_name(column, table.colnames, f"keep_units: {where} has no column")
        values = [_text(v) for v in table[column][:]]
        wanted = {_canonical(_text(v)) for v in allowed}
        kept &= np.array([_canonical(v) in wanted for v in values], bool)
        if not kept.any():
            found = ", ".join(sorted(set(values))[:20])
            raise DataError(f"keep_units: no unit is left; {column} of {where} holds {found}")
    return kept


def pick_regions(
    series: Any, n_columns: int, keep: Mapping[str, Sequence[Any]], where: str
) -> tuple[list[int], tuple[str, ...]]:
    """Choose the columns of a series of responses, and name them.

    Args:
        series: Series with or without ``rois``.
        n_columns: Number of its columns.
        keep: Values that columns of the table of regions must have.
        where: Path of the series.

    Returns:
        Numbers of the columns to keep, and the id of the region of each.

    Raises:
        DataError: If ``keep`` is given for a series without a table, or no region is left.
        ShapeError: If there is not one region per column.
    """
    region = getattr(series, "rois", None)
    if region is None:
        if keep:
            raise DataError(
                f"keep_units: {where} has no table of regions to choose by; leave it out, or name "
                "neurons with `leave_out_neurons`"
            )
        return list(range(n_columns)), tuple(str(i) for i in range(n_columns))
    table = check_columns(region.table, *keep)
    rows = read_whole(region.data)
    if len(rows) != n_columns or (len(rows) and not 0 <= rows.min() <= rows.max() < len(table)):
        raise ShapeError(
            f"{where} has {n_columns} columns but names {len(rows)} regions of a table of "
            f"{len(table)}"
        )
    kept = keep_rows(table, keep, region.table.name)[rows]
    if not kept.any():
        raise DataError(f"keep_units: no region of {where} is left")
    _warn_of_rejected(table, rows[kept], where)
    ids = read_whole(table.id.data)
    picked = np.flatnonzero(kept).tolist()
    return picked, tuple(str(ids[rows[i]]) for i in picked)


def name_neurons(names: Sequence[str], probes: Sequence[str]) -> tuple[str, ...]:
    """Name neurons uniquely: by probe where names repeat, then by number.

    Example:
        >>> name_neurons(["0", "1", "0"], ["A", "A", "B"]), name_neurons(["0", "0"], ["", ""])
        (('A_0', 'A_1', 'B_0'), ('0', '0#2'))
    """
    if len(set(names)) < len(names) and any(probes):
        names = [f"{probe}_{name}" for probe, name in zip(probes, names, strict=True)]
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(unique)


def _spike_times(times: np.ndarray, where: str) -> np.ndarray:
    is_lost = np.isnan(times) if times.dtype.kind == "f" else np.zeros(times.shape, bool)
    if is_lost.any() and times.ndim == 1:
        _warn(f"{where}: {int(is_lost.sum())} of {len(times)} spikes have no time and are left out")
        times = times[~is_lost]
    return read_times(times, where)


def _observed_by_all(
    spans: Sequence[np.ndarray], where: str, clock: ClockConfig
) -> Float[np.ndarray, "n 2"] | None:
    """Return the intervals that all units share; warn if they differ."""
    if not spans:
        return None
    for span in spans:
        if span.ndim != 2 or span.shape[1] != 2 or not (span[:, 0] <= span[:, 1]).all():
            raise ShapeError(
                f"{where}: obs_intervals must be pairs of start and stop, got shape {span.shape}"
            )
    session = [
        clock.to_session(read_times(s.reshape(-1), f"{where}, obs_intervals")).reshape(-1, 2)
        for s in spans
    ]
    times = np.concatenate([s[:, side] for s in session for side in (0, 1)])
    signs = np.concatenate([np.full(len(s), sign) for s in session for sign in (1, -1)])
    order = np.lexsort((-signs, times))
    depth = np.cumsum(signs[order])
    ends = np.flatnonzero((depth[:-1] == len(session)) & (signs[order][1:] == -1))
    shared = np.column_stack([times[order][ends], times[order][ends + 1]])
    shared = shared[shared[:, 1] > shared[:, 0]]
    longest = max(float(np.diff(s, axis=1).sum()) for s in session)
    if not len(shared):
        raise DataError(
            f"{where}: no time was observed by all units (obs_intervals); choose units that were "
            "recorded together with `keep_units` or `leave_out_neurons`"
        )
    found = float(np.diff(shared, axis=1).sum())
    if found < longest - 1e-6:
        _warn(
            f"{where}: all units were observed for {found:.6g} s, some for {longest:.6g} s; other "
            "bins are left out. To keep them choose units with `keep_units` or `leave_out_neurons`"
        )
    return shared


def _span_of_probes(
    times: Sequence[np.ndarray], probes: Sequence[str], where: str
) -> Float[np.ndarray, "1 2"] | None:
    """Return the time from first to last spike that all probes share."""
    spans = []
    for probe in sorted(set(probes)):
        filled = [t for t, p in zip(times, probes, strict=True) if p == probe and len(t)]
        if filled:
            spans.append((min(t.min() for t in filled), max(t.max() for t in filled)))
    if len(spans) < 2:
        return None
    start, stop = max(a for a, _ in spans), min(b for _, b in spans)
    if not start < stop:
        raise DataError(f"{where}: its probes have no time in common; choose one with `keep_units`")
    return np.array([[start, stop]])


def _warn_of_unobserved_spikes(stream: EventStream) -> None:
    if stream.observed is None:
        return
    outside = 0
    for times in stream.times:
        at = np.searchsorted(stream.observed[:, 0], times, side="right") - 1
        stop = np.r_[stream.observed[:, 1], -np.inf][at]
        outside += int((times > stop + 1e-6).sum())
    total = sum(len(times) for times in stream.times)
    if outside > total / 100:
        _warn(
            f"{stream.name}: {outside} of {total} spikes lie outside the time that was observed by "
            "all units, and are not counted"
        )


def _warn_of_rejected(table: Any, rows: np.ndarray, where: str) -> None:
    for name in table.colnames:
        mark = _REJECTED.get(str(name).lower())
        if mark is None:
            continue
        flags = np.array([_canonical(_text(v)) == 1.0 for v in table[name][:]])[rows]
        n_rejected = int((flags == mark).sum())
        if n_rejected:
            wanted = "false" if mark else "true"
            _warn(
                f"{where}: {n_rejected} of {len(rows)} regions are no cells by the column {name!r} "
                f"and are kept; leave them out with `keep_units={{{name}: [{wanted}]}}`"
            )
            return


def _text(value: Any) -> str:
    """Return a label as text; a group of electrodes or a device has a name."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    name = getattr(value, "name", None)
    return str(name) if isinstance(name, str) else str(value)


def _canonical(text: str) -> str | float:
    """Return one value for all ways to write a flag or a number."""
    text = text.strip()
    if text.lower() in ("true", "false"):
        return float(text.lower() == "true")
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=4)
