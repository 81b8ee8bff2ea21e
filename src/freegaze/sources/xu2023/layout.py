"""The files of Xu et al. (2023), ``SESSION/{train,test}_KEY_seg_K.npy``: found, read, written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.arrays import (
    ArrayHeader,
    array_chunks,
    npy_chunks,
    read_npy,
    read_npy_header,
    write_npy,
)
from freegaze.files.atomic import atomic_folder
from freegaze.recording.columns import name_columns
from freegaze.recording.recording import Recording, ResponseKind, Role, Segment, check_responses
from freegaze.sources.conversion import to_column, to_float32, to_gray
from freegaze.sources.tiny import XU_BIN_WIDTH_S

BEHAVIOR_KEYS = name_columns(
    {
        **{name: name for name in ("speed", "gz", "pitch", "roll", "phi")},
        "th": "theta",
        "eyerad": "pupil_radius",
    },
    gz="raw",
)
"""Name and unit of the column of each key, by the pipeline that wrote the files (they state no
units)."""

VideoKind = Literal["vid_mean", "vid_middle", "vid_shift_mean", "vid_shift_middle"]

SPLITS: tuple[Role, Role] = ("train", "test")
_FILE = re.compile(r"(train|test)_([a-z_]+)_seg_(\d{1,6})\.npy")
RESPONSES = "nsp"


class SegmentFiles:
    """One segment of one session: all keys of ``{split}_*_seg_{number}.npy``, headers checked.

    Args:
        folder: The session's folder.
        split: Training or test.
        number: Number of the segment.
        keys: Keys to read.

    Attributes:
        split: Split as given.
        files: Path of each key.
        headers: Shape and type of each key.

    Raises:
        DataError: If a file is missing or broken.
        ShapeError: If keys differ in length.
    """

    def __init__(self, folder: Path, split: Role, number: int, keys: list[str]) -> None:
        self.split: Role = split
        self.files = {key: part_file(folder, split, key, number) for key in keys}
        self.headers: dict[str, ArrayHeader] = {}
        for key, file in self.files.items():
            if not file.is_file():
                raise DataError(
                    f"{file} does not exist, although the session has other files of segment "
                    f"{number}; restore it" + (" or choose another video" if "vid" in key else "")
                )
            self.headers[key] = read_npy_header(file)
        self._check_lengths()

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return self.headers[RESPONSES].shape[0]

    def read(self, key: str) -> np.ndarray:
        """Read one key's array."""
        return read_npy(self.files[key])

    def read_column(self, key: str) -> np.ndarray:
        """Read one key's array as a signal, (time,), float32."""
        return to_column(self.read(key), str(self.files[key]))

    def _check_lengths(self) -> None:
        first = self.files[RESPONSES]
        if len(self.headers[RESPONSES].shape) != 2 or 0 in self.headers[RESPONSES].shape:
            raise ShapeError(
                f"{first}: expected (time, neuron) spike counts, got shape "
                f"{self.headers[RESPONSES].shape}"
            )
        for key, header in self.headers.items():
            if header.shape[:1] != (self.n_bins,):
                raise ShapeError(
                    f"{self.files[key]} has shape {header.shape} but {first} has {self.n_bins} "
                    "bins; all keys of a segment must have one row per bin, so cut them alike"
                )


def part_file(folder: Path, split: Role | None, key: str, number: int) -> Path:
    """Return the path of one key of one segment."""
    return folder / f"{split}_{key}_seg_{number}.npy"


def is_session(folder: Path) -> bool:
    """Return whether a folder contains spike counts of a session."""
    return any((m := _FILE.fullmatch(p.name)) and m[2] == RESPONSES for p in folder.iterdir())


def find_parts(folder: Path, keys: list[str]) -> list[SegmentFiles]:
    """Find all segments of a session, training and test in turn.

    Args:
        folder: The session's folder.
        keys: Keys to read.

    Raises:
        DataError: If a file is missing or broken; ShapeError if lengths differ.
    """
    matches = [m for p in folder.iterdir() if (m := _FILE.fullmatch(p.name)) and m[2] in keys]
    n_segments = 1 + max(int(m[3]) for m in matches)
    return [SegmentFiles(folder, split, k, keys) for k in range(n_segments) for split in SPLITS]


def segments_of(parts: list[SegmentFiles]) -> tuple[Segment, ...]:
    """Return the segments in physical order, with their roles."""
    ends = np.cumsum([0, *(part.n_bins for part in parts)]).tolist()
    return tuple(Segment(ends[i], ends[i + 1], part.split) for i, part in enumerate(parts))


def _check_same(parts: list[SegmentFiles], key: str) -> tuple[int, ...]:
    shape = parts[0].headers[key].shape[1:]
    for part in parts:
        if part.headers[key].shape[1:] != shape:
            raise ShapeError(
                f"{part.files[key]} has {part.headers[key].shape[1:]} values per bin but "
                f"{parts[0].files[key]} has {shape}; segments of a session must agree"
            )
    return shape


def read_video(parts: list[SegmentFiles], kind: str) -> np.ndarray:
    """Read one kind of video of all segments, (time, height, width), uint8.

    Raises:
        ShapeError: If frame sizes differ.
        DataError: If values are no gray levels 0..255.
    """
    shape = _check_same(parts, kind)
    if len(shape) != 2:
        raise ShapeError(
            f"{parts[0].files[kind]}: expected (time, height, width) of gray video, got "
            f"{parts[0].headers[kind].shape}"
        )
    frames = np.empty((sum(part.n_bins for part in parts), *shape), np.uint8)
    start = 0
    for part in parts:
        for piece in npy_chunks(part.files[kind]):
            frames[start : start + len(piece)] = to_gray(piece, str(part.files[kind]))
            start += len(piece)
    return frames


def read_responses(parts: list[SegmentFiles]) -> np.ndarray:
    """Read spike counts of all segments, (time, n_neurons), float32.

    Raises:
        ShapeError: If numbers of neurons differ.
        DataError: If counts are negative or fractional.
    """
    _check_same(parts, RESPONSES)
    pieces = []
    for part in parts:
        file = str(part.files[RESPONSES])
        counts = to_float32(part.read(RESPONSES), file)
        check_responses(counts, ResponseKind.SPIKE_COUNTS, file)
        pieces.append(counts)
    return np.concatenate(pieces)


def write_xu2023(
    recording: Recording,
    root: Path | str,
    videos: Mapping[VideoKind, np.ndarray] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a recording in the original's layout, which its notebooks can read.

    Spike counts and behavior are float64, as in the original; video is uint8. The layout cannot
    hold unit ids, units, annotations, calibration or provenance.

    Args:
        recording: Spike counts in 48 ms bins, in segments that train and test in turn.
        root: Folder for the folder of the session.
        videos: Each kind of video, (time, height, width), uint8; without it, the recording's video
            is ``vid_mean``.
        overwrite: Whether an existing session may be replaced.

    Returns:
        The session's folder.

    Raises:
        DataError: If the layout cannot hold the recording, the folder exists, or the disk refuses.
    """
    _check_writable(recording)
    arrays: dict[str, np.ndarray] = {RESPONSES: recording.responses}
    arrays |= {
        key: recording.column(name)
        for key, (name, _) in BEHAVIOR_KEYS.items()
        if name in recording.behavior_names
    }
    target = Path(root) / recording.session_id
    remedy = "allow overwriting, or choose another place"
    with atomic_folder(target, lambda p: overwrite and is_session(p), remedy) as folder:
        for i, segment in enumerate(recording.segments):
            bins = segment.bins()
            pieces = {key: array[bins].astype(np.float64) for key, array in arrays.items()}
            for kind in videos or ("vid_mean",):
                pieces[kind] = videos[kind][bins] if videos else recording.video(bins)
            for key, piece in pieces.items():
                file = part_file(folder, segment.role, key, i // 2)
                write_npy(file, array_chunks(piece), piece.shape, piece.dtype)
    return target


def _check_writable(r: Recording) -> None:
    roles = [s.role for s in r.segments]
    ours = [name for name, _ in BEHAVIOR_KEYS.values()]
    other = [name for name in r.behavior_names if name not in ours]
    if r.response_kind is not ResponseKind.SPIKE_COUNTS:
        problem = f"it holds {r.response_kind.value}, the layout spike counts"
    elif not np.isclose(r.bin_width_s, XU_BIN_WIDTH_S):
        problem = f"its bins are {r.bin_width_s:g} s wide, those of the layout {XU_BIN_WIDTH_S:g} s"
    elif roles != [*SPLITS] * (len(roles) // 2):
        problem = "its segments do not train and test in turn"
        if not r.is_in_trial().any():
            problem += " (cut it with --segments 10 --test 0.3)"
    elif other:
        problem = f"the layout has no place for behavior {other[0]!r}"
    else:
        return
    raise DataError(
        f"session {r.session_id!r} cannot be written as xu2023: {problem}; write a store instead"
    )
