"""The keys of a recording as one ``.npz`` of plain arrays, read and written.

========================== ================== ==================================================
key                        shape              meaning
========================== ================== ==================================================
``bin_width_s``            one number         width of a time bin in seconds
``response_kind``          one string         spike_counts, inferred_spikes or fluorescence
``responses``              (T, N)             one row per bin
``video``                  (T, H, W)          gray frames 0..255; or instead of it:
``frames``                 (K, H, W)          shared frames
``frame_index``            (T,)               which frame each bin saw
``behavior``               (T, F)             one column a signal, NaN where it was lost
``behavior_names``         (F,) text          speed, pitch, roll, phi, theta, pupil_radius ...
``behavior_units``         (F,) text          cm/s, deg, px ...
``segment``                (T,) whole numbers contiguous segments: a new number begins a new one
``split``                  (T,) text          optional: train, validation, test or empty
``trial``                  (T,) bool          optional: whether the segment is one trial
``unit_ids``               (N,) text, numbers optional: names of the neurons
``deg_per_px``             one number         optional: calibration of the camera
``reference_rates/NAME``   (T, N)             optional: expected responses known from elsewhere
anything else              (T, ...)           kept as annotation of each bin
========================== ================== ==================================================
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.atomic import atomic_file
from freegaze.files.npz import NpzReader
from freegaze.recording.recording import Recording, ResponseKind, Role, Segment, check_responses
from freegaze.registry import require_names
from freegaze.sources.conversion import (
    kept_columns,
    name_units,
    to_float32,
    to_gray,
    to_index,
    to_names,
    to_scalar,
)

_REQUIRED = (
    *("bin_width_s", "response_kind", "responses", "segment"),
    *("behavior", "behavior_names", "behavior_units"),
)
_VIDEO = ("video", "frames", "frame_index")
_OPTIONAL = ("split", "trial", "unit_ids", "deg_per_px")
_REFERENCE = "reference_rates/"
_PER_BIN = ("responses", "segment", "behavior", "video", "frame_index", "split", "trial")


def read_arrays(file: Path, leave_out: tuple[str, ...] = ()) -> tuple[Recording, list[str]]:
    """Read one ``.npz``.

    Args:
        file: The file; its name without ``.npz`` becomes the session's.
        leave_out: Behavior columns not to read.

    Returns:
        The recording, and the keys that were not understood (first axis not time).

    Raises:
        DataError: If a key is missing or impossible; the message names it.
        ShapeError: If lengths disagree.
    """
    with NpzReader(file) as reader:
        n_bins = _check_headers(reader)
        frames, frame_index = _read_video(reader, n_bins)
        behavior, names, units = _read_behavior(reader, leave_out)
        kind = _read_kind(reader)
        responses = to_float32(reader.read("responses"), "responses")
        check_responses(responses, kind, "responses")
        annotations, rates, ignored = _read_rest(reader, n_bins)
        optional = {name: reader.read(name) for name in _OPTIONAL if name in reader.headers}
        segment = to_index(reader.read("segment"), "segment")
        bin_width_s = to_scalar(reader.read("bin_width_s"), "bin_width_s")
    scale = optional.get("deg_per_px")
    recording = Recording(
        session_id=file.stem,
        bin_width_s=bin_width_s,
        frames=frames,
        frame_index=frame_index,
        behavior=behavior,
        behavior_names=names,
        behavior_units=units,
        responses=responses,
        response_kind=kind,
        unit_ids=name_units(optional.get("unit_ids"), responses.shape[1], "unit_ids"),
        segments=_cut(segment, optional.get("split"), optional.get("trial")),
        annotations=annotations,
        reference_rates=rates,
        deg_per_px=None if scale is None else to_scalar(scale, "deg_per_px"),
    )
    return recording, ignored


def write_arrays(recording: Recording, file: Path | str, overwrite: bool = False) -> Path:
    """Write a recording as one ``.npz``, uncompressed.

    The layout holds everything but the provenance; the session is named by the file.

    Args:
        recording: Recording to write.
        file: File to write; its name ends in ``.npz``.
        overwrite: Whether an existing file may be replaced.

    Returns:
        The file.

    Raises:
        DataError: If the file exists, has another ending, an annotation has the name of a key of
            the layout, or the disk refuses.
    """
    target = Path(file)
    if target.suffix != ".npz":
        raise DataError(f"{target}: the name must end in .npz")
    r = recording
    known = {*_REQUIRED, *_VIDEO, *_OPTIONAL}
    for name in r.annotations:
        if name in known or name.startswith(_REFERENCE):
            raise DataError(f"{target}: annotation {name!r} has the name of a key; rename it")
    lengths = [s.n_bins for s in r.segments]
    arrays: dict[str, np.ndarray] = {
        "bin_width_s": np.array(r.bin_width_s),
        "response_kind": np.array(r.response_kind.value),
        "responses": r.responses,
        "behavior": r.behavior,
        "behavior_names": np.array(r.behavior_names, dtype=np.str_),
        "behavior_units": np.array(r.behavior_units, dtype=np.str_),
        "segment": r.segment_index(),
        "split": np.repeat(np.array([s.role or "" for s in r.segments]), lengths),
        "trial": r.is_in_trial(),
        "unit_ids": np.array(r.unit_ids),
        **({} if r.deg_per_px is None else {"deg_per_px": np.array(r.deg_per_px)}),
        **_video_arrays(r),
        **{_REFERENCE + name: rates for name, rates in r.reference_rates.items()},
        **{name: np.asarray(array) for name, array in r.annotations.items()},
    }
    with atomic_file(target, overwrite) as partial, partial.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
    return target


def _video_arrays(r: Recording) -> dict[str, np.ndarray]:
    if np.array_equal(r.frame_index, np.arange(len(r.frames))):
        return {"video": r.frames}
    return {"frames": r.frames, "frame_index": r.frame_index}


def _check_headers(reader: NpzReader) -> int:
    shapes = {name: header.shape for name, header in reader.headers.items()}
    require_names(_REQUIRED, shapes, "missing key", remedy="; add it")
    if tuple(name for name in _VIDEO if name in shapes) not in (_VIDEO[:1], _VIDEO[1:]):
        raise DataError("expected `video`, or `frames` with `frame_index`; write one of the two")
    for name in ("responses", "behavior"):
        if len(shapes[name]) != 2:
            raise ShapeError(f"{name} must have 2 axes (time, column), got shape {shapes[name]}")
    n_bins = shapes["responses"][0]
    if n_bins == 0:
        raise DataError("responses hold 0 bins; is the recording complete?")
    for name in _PER_BIN:
        if name in shapes and shapes[name][:1] != (n_bins,):
            raise ShapeError(
                f"{name} has shape {shapes[name]} but responses {shapes['responses']}; both need "
                "one row per bin"
            )
    return n_bins


def _read_video(reader: NpzReader, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    if "video" in reader.headers:
        return to_gray(reader.read("video"), "video"), np.arange(n_bins)
    frames = to_gray(reader.read("frames"), "frames")
    return frames, to_index(reader.read("frame_index"), "frame_index")


def _read_behavior(
    reader: NpzReader, leave_out: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    values = to_float32(reader.read("behavior"), "behavior")
    names, units = (_read_names(reader, key) for key in ("behavior_names", "behavior_units"))
    if not len(names) == len(units) == values.shape[1]:
        raise ShapeError(
            f"behavior has {values.shape[1]} columns, but there are {len(names)} behavior_names "
            f"and {len(units)} behavior_units; name every column"
        )
    kept = [names.index(name) for name in kept_columns(names, leave_out)]
    return values[:, kept], tuple(names[i] for i in kept), tuple(units[i] for i in kept)


def _read_names(reader: NpzReader, key: str) -> tuple[str, ...]:
    if reader.headers[key].shape == (0,):  # numpy makes an empty list one of floats
        return ()
    return to_names(reader.read(key), key)


def _read_kind(reader: NpzReader) -> ResponseKind:
    text = reader.read("response_kind")
    value = str(text.reshape(-1)[0]) if text.size == 1 else str(text.shape)
    if value not in list(ResponseKind):
        raise DataError(f"response_kind must be one of {', '.join(ResponseKind)}, got {value!r}")
    return ResponseKind(value)


def _read_rest(
    reader: NpzReader, n_bins: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list[str]]:
    annotations, rates, ignored = {}, {}, []
    for name, header in reader.headers.items():
        if name in (*_REQUIRED, *_VIDEO, *_OPTIONAL):
            continue
        if name.startswith(_REFERENCE):
            rates[name.removeprefix(_REFERENCE)] = to_float32(reader.read(name), name)
        elif header.shape[:1] == (n_bins,):
            annotations[name] = reader.read(name)
        else:
            ignored.append(name)
    return annotations, rates, ignored


def _cut(
    segment: np.ndarray, split: np.ndarray | None, trial: np.ndarray | None
) -> tuple[Segment, ...]:
    roles = np.full(len(segment), "") if split is None else split
    flags = np.zeros(len(segment), bool) if trial is None else trial
    if roles.ndim != 1 or roles.dtype.kind != "U" or flags.ndim != 1 or flags.dtype != bool:
        raise DataError("split must be one string per bin, and trial one true or false per bin")
    unknown = sorted(set(np.unique(roles).tolist()) - {"", *get_args(Role)})
    if unknown:
        raise DataError(
            f"split holds {unknown[0]!r}, expected train, validation, test or an empty string"
        )
    is_new = segment[1:] != segment[:-1]
    is_new |= (roles[1:] != roles[:-1]) | (flags[1:] != flags[:-1])
    starts = [0, *(np.flatnonzero(is_new) + 1).tolist(), len(segment)]
    return tuple(
        Segment(start, stop, str(roles[start]) or None, bool(flags[start]))  # type: ignore[arg-type]
        for start, stop in pairwise(starts)
    )
