"""Exact reading of a recording that ``writing`` wrote."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.arrays import new_frames
from freegaze.files.hdf5 import read_whole
from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.sources.alignment.readers import ArrayFrames
from freegaze.sources.conversion import kept_columns, to_float32, to_index
from freegaze.sources.nwb.opening import check_columns
from freegaze.sources.nwb.writing import (
    FRAME_INDEX,
    LAYOUT_VERSION,
    MODULE,
    NEURONS,
    NOTES,
    RECORDING,
    SEGMENTS,
    SERIES,
    VIDEO,
    response_place,
)


def is_own(root: Any) -> bool:
    """Return whether a file contains a recording that ``write_nwb`` wrote."""
    return MODULE in root.processing and RECORDING in root.processing[MODULE].data_interfaces


def read_own(root: Any, leave_out: tuple[str, ...]) -> Recording:
    """Read a recording from an open file.

    Args:
        root: The open file's root.
        leave_out: Behavior columns not to read.

    Raises:
        DataError: If a part is missing or has a later layout.
        ShapeError: If lengths disagree.
    """
    own = root.processing[MODULE]
    table = check_columns(own[RECORDING])
    fields = {name: table[name][0] for name in table.colnames}
    if int(fields["layout_version"]) > LAYOUT_VERSION:
        raise DataError(
            f"written by a later freegaze (layout {fields['layout_version']}); update freegaze"
        )
    kind = ResponseKind(str(fields["response_kind"]))
    name, module, _ = response_place(kind)
    responses = to_float32(read_whole(root.processing[module][name].data), name)
    frames, frame_index = _read_frames(root, own, len(responses))
    behavior, annotations, rates = _read_series(root, own)
    behavior = {name: behavior[name] for name in kept_columns(list(behavior), leave_out)}
    columns = [to_float32(array, n) for n, (array, _) in behavior.items()]
    scale = fields.get("deg_per_px")
    return Recording(
        session_id=str(fields["session_id"]),
        bin_width_s=float(fields["bin_width_s"]),
        frames=frames,
        frame_index=frame_index,
        behavior=np.column_stack(columns) if columns else np.empty((len(responses), 0), np.float32),
        behavior_names=tuple(behavior),
        behavior_units=tuple(unit for _, unit in behavior.values()),
        responses=responses,
        response_kind=kind,
        unit_ids=tuple(str(n) for n in check_columns(own[NEURONS])["unit_id"][:]),
        segments=_read_segments(root),
        annotations={n: array for n, (array, _) in annotations.items()},
        reference_rates={n: to_float32(array, n) for n, (array, _) in rates.items()},
        deg_per_px=None if scale is None else float(scale),
        provenance=json.loads(str(root.notes))[NOTES],
    )


def _read_frames(root: Any, own: Any, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    reader = ArrayFrames(root.acquisition[VIDEO].data, VIDEO)
    if len(reader) != n_bins:
        raise ShapeError(f"{VIDEO} has {len(reader)} frames for {n_bins} bins")
    wanted = np.arange(n_bins)
    frame_index = wanted
    if FRAME_INDEX in own.data_interfaces:
        stored = to_index(read_whole(own[FRAME_INDEX].data), FRAME_INDEX)
        if len(stored) != n_bins:
            raise ShapeError(f"{FRAME_INDEX} has {len(stored)} rows for {n_bins} bins")
        _, wanted, frame_index = np.unique(stored, return_index=True, return_inverse=True)
    place = {int(bin_): i for i, bin_ in enumerate(wanted)}
    frames = new_frames((len(wanted), *reader.shape[1:3]))
    for bin_, frame in reader.read(np.sort(wanted)):
        frames[place[bin_]] = frame
    return frames, frame_index


_Found = dict[str, tuple[np.ndarray, str]]


def _read_series(root: Any, own: Any) -> tuple[_Found, _Found, _Found]:
    found: dict[str, _Found] = {"behavior": {}, "annotation": {}, "reference_rate": {}}
    if SERIES in own.data_interfaces:
        table = check_columns(own[SERIES])
        columns = (table[name][:] for name in ("kind", "true_name", "unit", "place"))
        for kind, name, unit, place in zip(*columns, strict=True):
            module, *inside = str(place).split("/")
            thing = root.processing[module]
            for part in inside:
                thing = thing[part]
            array = read_whole(thing.data)
            array = array.astype(np.str_) if array.dtype.kind == "O" else array
            found[str(kind)][str(name)] = (array, str(unit))
    return found["behavior"], found["annotation"], found["reference_rate"]


def _read_segments(root: Any) -> tuple[Segment, ...]:
    table = check_columns(root.intervals[SEGMENTS])
    columns = (table[name][:] for name in ("start_bin", "stop_bin", "role", "trial"))
    return tuple(
        Segment(int(start), int(stop), str(role) or None, bool(trial))  # type: ignore[arg-type]
        for start, stop, role, trial in zip(*columns, strict=True)
    )
