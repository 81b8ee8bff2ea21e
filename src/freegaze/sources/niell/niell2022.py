"""The public file of Parker et al. (2022), ``ModelData_all.h5``.

::

    SESSION/fm1/model_KEY     freely moving, bins of 50 ms
    SESSION/hfwn/model_KEY    head-fixed, white noise; the same units, no head or running

A file of one block of one session (``ModelData_*.h5`` with ``model_KEY`` at its root) opens too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import h5py
import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.hdf5 import Hdf5Reader
from freegaze.files.hdf5_scan import is_hdf5
from freegaze.recording.recording import Recording, ResponseKind, check_responses
from freegaze.sources.conversion import kept_columns, stack_columns, to_float32
from freegaze.sources.gray import find_gray_scale, lost_frames
from freegaze.sources.niell.layout import number_units, read_annotations, read_clock
from freegaze.sources.source import AbstractSource, SourceOptions, find_files, register_source
from freegaze.sources.tiny import make_tiny_recording
from freegaze.sources.xu2023 import layout

BIN_WIDTH_S = 0.05
"""Bin width of the published file; its ``model_t`` agrees."""

BEHAVIOR_KEYS = {f"model_{key}": column for key, column in layout.BEHAVIOR_KEYS.items()}
"""Name and unit of the column behind each key; the same pipeline wrote the files of Xu et al."""

ANNOTATION_KEYS = {"model_t": "time_s", "model_active": "is_active"}
RESPONSES = "model_nsp"
UNITS = "unit_nums"

VideoKey = Literal["model_vid_sm", "model_vid_sm_shift"]


class Niell2022Options(SourceOptions):
    """Options of ``ModelData_all.h5``.

    Args:
        block: Freely moving (``fm1``) or head-fixed white noise (``hfwn``).
        video: Video as seen by the camera, or corrected for the eyes (not in the published file).
        leave_out: Behavior columns not to read.
    """

    block: Literal["fm1", "hfwn"] = "fm1"
    video: VideoKey = "model_vid_sm"
    leave_out: tuple[str, ...] = ()


@register_source("niell2022")
class Niell2022Source(AbstractSource[Niell2022Options]):
    """Sessions of Parker et al. (2022): one HDF5 file of nested groups."""

    Options: ClassVar = Niell2022Options
    description: ClassVar = "ModelData_all.h5 of Parker et al. (2022): freely moving and head-fixed"
    citation: ClassVar = (
        "Parker, Abe, Leonard, Martins, Niell (2022). Joint coding of visual input and eye/head "
        "position in V1 of freely moving mice. Neuron 110. Data: doi.org/10.5061/dryad.sf7m0cg92"
    )

    def find_sessions(self, path: Path, options: Niell2022Options) -> dict[str, Path]:
        """Find the sessions with the block, in one file or in every ``ModelData*.h5``."""
        found: dict[str, Path] = {}
        for file in find_files(path, "ModelData*.h5").values():
            with Hdf5Reader(file) as reader:
                for name in _find_blocks(reader, options.block):
                    if name in found:
                        raise DataError(f"session {name!r} is in {found[name]} and in {file}")
                    found[name] = file
        return found

    def open_session(self, path: Path, name: str, options: Niell2022Options) -> Recording:
        """Read one block of one session."""
        with Hdf5Reader(path) as reader:
            group = _find_blocks(reader, options.block)[name]
            where = f"{path}: {group or 'root'}"
            present = {k: f"{group}/{k}" if group else k for k in reader.keys(group)}
            shape = reader.headers[present[RESPONSES]].shape
            if len(shape) != 2 or 0 in shape:
                raise ShapeError(f"{where}/{RESPONSES}: expected (time, unit) counts, got {shape}")
            n_bins, n_units = shape
            known = {BEHAVIOR_KEYS[key][0]: key for key in BEHAVIOR_KEYS if key in present}
            columns = kept_columns(list(known), options.leave_out)
            time_s = reader.read(present["model_t"]) if "model_t" in present else None
            units = reader.read(present[UNITS]) if UNITS in present else None
            width_s, segments = read_clock(time_s, n_bins, BIN_WIDTH_S, f"{where}/model_t")
            responses = to_float32(reader.read(present[RESPONSES]), f"{where}/{RESPONSES}")
            check_responses(responses, ResponseKind.SPIKE_COUNTS, f"{where}/{RESPONSES}")
            frames, told, lost = _read_video(reader, present, options.video, n_bins, where)
            used = (*BEHAVIOR_KEYS, RESPONSES, UNITS, *get_args(VideoKey))
            further = {key: full for key, full in present.items() if key not in used}
            annotations, ignored = read_annotations(reader, further, n_bins, ANNOTATION_KEYS)
            if lost.any():
                annotations["is_video_lost"] = lost
            return Recording(
                session_id=name,
                bin_width_s=width_s,
                frames=frames,
                frame_index=np.arange(n_bins),
                behavior=stack_columns(
                    {known[c]: reader.read(present[known[c]]) for c in columns},
                    n_bins,
                    where,
                    {key: column for column, key in known.items()},
                ),
                behavior_names=tuple(columns),
                behavior_units=tuple(BEHAVIOR_KEYS[known[c]][1] for c in columns),
                responses=responses,
                response_kind=ResponseKind.SPIKE_COUNTS,
                unit_ids=number_units(units, n_units, f"{where}/{UNITS}"),
                segments=segments,
                annotations=annotations,
                provenance={"group": group, "ignored_keys": ignored, **told},
            )

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write both blocks of a session with the keys of the published file."""
        r = make_tiny_recording(seed)
        file = path / "ModelData_all.h5"
        contrast = (r.video().astype(np.float64) - 128) / 40  # z-scored by pixel, floats
        behavior = {key: r.column(ours) for key, (ours, _) in BEHAVIOR_KEYS.items()}
        values = {RESPONSES: r.responses, "model_vid_sm": contrast} | behavior
        values["model_t"] = np.arange(0, r.n_bins * BIN_WIDTH_S, BIN_WIDTH_S)
        values["model_active"] = np.abs(r.column("gz")) > 0.5
        head_fixed = ("model_eyerad", RESPONSES, "model_phi", "model_t", "model_th", "model_vid_sm")
        with h5py.File(file, "w") as stream:
            for block, keys in (("fm1", list(values)), ("hfwn", head_fixed)):
                for key in keys:
                    array = values[key][:100] if block == "hfwn" else values[key]
                    is_flag = array.dtype == bool
                    stream[f"070921_TINY/{block}/{key}"] = array if is_flag else array.astype(float)
                stream[f"070921_TINY/{block}/{UNITS}"] = np.array([3, 7, 8, 21, 40])
        return file

    def looks_like(self, path: Path) -> bool:
        """Return whether a file, or one in the folder, is HDF5 with any such block."""
        return any(map(_has_block, find_files(path, "ModelData*.h5").values()))


def _find_blocks(reader: Hdf5Reader, block: str) -> dict[str, str]:
    """Return the group of each session that has the block."""
    if RESPONSES in reader.keys():  # noqa: SIM118 - a method with an argument, no dictionary
        return {reader.path.stem: ""}
    found, others = {}, set()
    for session in reader.groups():
        blocks = [b for b in reader.groups(session) if RESPONSES in reader.keys(f"{session}/{b}")]
        others |= set(blocks)
        if block in blocks:
            found[session] = f"{session}/{block}"
    if not found:
        unread = [n for n in reader.unread if n.split("/")[-1] == RESPONSES]
        if unread:
            raise DataError(
                f"{reader.path}: {unread[0]} cannot be used: {reader.unread[unread[0]]}"
            )
        there = f"its blocks are {', '.join(sorted(others))}" if others else "nor any other block"
        raise DataError(
            f"{reader.path} holds no SESSION/{block}/{RESPONSES} ({there}); check the path and "
            "the option `block`"
        )
    return found


def _has_block(file: Path) -> bool:
    if not is_hdf5(file):
        return False
    try:
        with Hdf5Reader(file) as reader:
            names = [name.split("/") for name in reader.headers]
    except DataError:
        return False
    return any(n[-1] == RESPONSES and len(n) in (1, 3) for n in names)


def _read_video(
    reader: Hdf5Reader, present: dict[str, str], key: str, n_bins: int, where: str
) -> tuple[np.ndarray, dict[str, Any], np.ndarray]:
    if key not in present:
        unread = next((r for n, r in reader.unread.items() if n.split("/")[-1] == key), None)
        what = f"it cannot be used: {unread}" if unread else f"there are {', '.join(present)}"
        raise DataError(f"{where} holds no {key} that can be read ({what})")
    name = present[key]
    shape = reader.headers[name].shape
    if len(shape) != 3 or shape[0] != n_bins or 0 in shape:
        raise ShapeError(
            f"{where}/{key}: expected (time, height, width) with {n_bins} bins, got {shape}"
        )
    scale = find_gray_scale(lambda: reader.chunks(name), f"{where}/{key}")
    frames = np.empty(shape, np.uint8)
    lost = np.zeros(n_bins, bool)
    start = 0
    for piece in reader.chunks(name):
        stop = start + len(piece)
        frames[start:stop] = scale.apply(piece)
        lost[start:stop] = lost_frames(piece)
        start = stop
    return frames, scale.describe(), lost
