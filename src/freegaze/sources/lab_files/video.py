"""Videos in movies and arrays."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from freegaze.errors import DataError, DataWarning, ShapeError
from freegaze.sources.alignment.frames import AbstractFrameReader
from freegaze.sources.alignment.readers import (
    ArrayFrames,
    MovieFrames,
    MovieScan,
    PartFrames,
    scan_movie,
)
from freegaze.sources.alignment.streams import FrameStream, make_frames, regular_times
from freegaze.sources.lab_files.arrays import read_array
from freegaze.sources.lab_files.config import ArrayVideoConfig, MovieConfig
from freegaze.sources.lab_files.sensors import undistorted
from freegaze.sources.lab_files.times import match_times, read_timestamps, times_of

_MANY = 4
"""A last axis that is longer by more than this factor is probably time."""


def read_video(video: MovieConfig | ArrayVideoConfig | None, folder: Path) -> FrameStream | None:
    """Find the frames of a video and their times; its pixels are read later.

    Raises:
        DataError: If the file is missing or damaged, or there is not one time per frame.
    """
    if video is None:
        return None
    file = folder / video.file
    reader: AbstractFrameReader
    if isinstance(video, MovieConfig):
        scan = scan_movie(file)
        reader = MovieFrames(file, scan.n_frames)
        times, part = _movie_times(scan, video, folder, file)
    else:
        reader = ArrayFrames(_frames_first(video, file), str(file), video.gray_range)
        times, part = times_of(video, len(reader), folder, str(file), "frames")
    if len(times) != len(reader):
        reader = PartFrames(reader, part)
    return make_frames(
        str(file),
        times,
        reader if video.lens is None else undistorted(reader, video.lens, str(file)),
        clock=video.clock,
        rule=video.frames,
        max_gap_s=video.max_gap_s,
        frame_size=video.frame_size,
        is_sorting=video.sort,
    )


def _movie_times(
    scan: MovieScan, video: MovieConfig, folder: Path, file: Path
) -> tuple[np.ndarray, slice]:
    """Return the times of a movie's frames: from timestamps, a stated rate, or its own."""
    whole = slice(0, scan.n_frames)
    if video.rate_hz is not None:
        return regular_times(scan.n_frames, video.rate_hz), whole
    if video.timestamps is None:
        if scan.times is None:
            raise DataError(f"{file} gives its frames no times; give `timestamps` or `rate_hz`")
        return scan.times, whole
    stamps = folder / video.timestamps
    times = read_timestamps(stamps, video.timestamps_column)
    n_empty = scan.n_announced - scan.n_frames
    if scan.places is not None and len(times) == scan.n_announced:
        warnings.warn(
            f"{file}: {n_empty} of {scan.n_announced} frames are empty (they repeat the frame "
            "before them); their times are left out",
            DataWarning,
            stacklevel=2,
        )
        return times[scan.places], whole
    return match_times(times, scan.n_frames, video, str(file), stamps, "frames")


def _frames_first(video: ArrayVideoConfig, file: Path) -> np.ndarray:
    """Return an array with its axes in the order time, height, width, color."""
    array = read_array(file, video.variable)
    if video.axes is None:
        _check_order(array, file)
        return array
    if array.ndim != len(video.axes):
        raise ShapeError(f"{file}: shape {array.shape} but axes {', '.join(video.axes)}")
    order = [video.axes.index(a) for a in ("time", "height", "width", "color") if a in video.axes]
    return array.transpose(order)


def _check_order(array: np.ndarray, file: Path) -> None:
    """Refuse an array whose last axis seems to be time, and ask for the order of its axes."""
    if array.ndim == 3 and array.shape[2] > _MANY * max(array.shape[:2]):
        raise ShapeError(
            f"{file}: shape {array.shape} would be {array.shape[0]} frames of {array.shape[1]} x "
            f"{array.shape[2]} px; state `axes: [height, width, time]` if time is the last axis, "
            "`axes: [time, height, width]` if not"
        )
