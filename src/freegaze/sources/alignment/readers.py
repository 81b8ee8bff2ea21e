"""Videos as frame readers: arrays (also on disk), and movie files through PyAV."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from freegaze.errors import DataError, DataWarning, ShapeError
from freegaze.files.arrays import unreadable
from freegaze.files.kinds import describe_missing
from freegaze.sources.alignment.frames import AbstractFrameReader
from freegaze.sources.conversion import is_file, to_gray

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in gray, ITU-R BT.601, as movie files use."""

_CHUNK_BYTES = 1 << 24

_COLORS = (1, 3, 4)
"""Gray, colors, and colors with opacity."""

_FEW = 20
"""Number of frames that are checked before the whole video is."""

_OWN_START = ("avi", "h264", "hevc", "m4v", "mjpeg", "mpegts", "mpeg")
"""Formats whose first time has no meaning: they have none, or start anywhere."""

_PICTURES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
_TO_MOVIE = "`ffmpeg -framerate RATE -i NAME%04d.png -c:v ffv1 movie.mkv`"
_MISSING_S = 1.0
"""A movie whose frames end earlier than stated by this, and by a tenth, may be cut short."""


class ArrayFrames(AbstractFrameReader):
    """Frames of an array, which are read in parts because it may be on disk (``.npy``, HDF5).

    Args:
        array: Shape (frame, height, width), or with 1, 3 or 4 colors at the end or after the first
            axis; of four colors the last is opacity.
        where: File and name, for messages.
        gray_range: Values that become black and white; ``None`` if they are 0 and 255.
        is_turned: Whether frames of the array are (width, height).

    Raises:
        ShapeError: If it has another shape.
        DataError: If its only levels are 0 and 1 and ``gray_range`` is not given.
    """

    def __init__(
        self,
        array: Any,
        where: str,
        gray_range: tuple[float, float] | None = None,
        is_turned: bool = False,
    ) -> None:
        shape = tuple(int(n) for n in array.shape)
        is_color_last = len(shape) == 4 and shape[3] in _COLORS
        self.is_color_first = len(shape) == 4 and shape[1] in _COLORS and not is_color_last
        if (len(shape) != 3 and not is_color_last and not self.is_color_first) or 0 in shape:
            raise ShapeError(
                f"{where}: expected video (frame, height, width), or (..., 3) in color, got {shape}"
            )
        self.array, self.where, self.gray_range, self.shape = array, where, gray_range, shape
        self.is_turned = is_turned
        if gray_range is None and self._has_two_levels():
            raise DataError(
                f"{where}: holds no other gray values than 0 and 1, of 0..255; state `gray_range: "
                "[0, 1]` if they are black and white"
            )

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Give the wanted frames, in order; see ``AbstractFrameReader``.

        Raises:
            DataError: If gray values are not 0..255, or the file is damaged.
        """
        n_rows = max(1, _CHUNK_BYTES // int(np.prod(self.shape[1:]) * self.array.dtype.itemsize))
        at = 0
        while at < len(wanted):
            start = int(wanted[at])
            stop = min(start + n_rows, len(self))
            until = int(np.searchsorted(wanted, stop))
            piece = self._gray(np.asarray(self.array[start : int(wanted[until - 1]) + 1]))
            for number in wanted[at:until].tolist():
                yield number, piece[number - start]
            at = until

    def _has_two_levels(self) -> bool:
        """Return whether all values are 0 or 1, and both are there.

        Other values are usually found in a few frames; only without them all are read.
        """
        if self.array.dtype.kind not in "biuf":
            return False
        few = np.unique(np.linspace(0, len(self) - 1, _FEW).astype(int)).tolist()
        if not all(_is_zero_or_one(np.asarray(self.array[i])) for i in few):
            return False
        n_rows = max(1, _CHUNK_BYTES // int(np.prod(self.shape[1:]) * self.array.dtype.itemsize))
        found: set[int] = set()
        for start in range(0, len(self), n_rows):
            piece = np.asarray(self.array[start : start + n_rows])
            if not _is_zero_or_one(piece):
                return False
            found |= set(np.unique(piece).astype(int).tolist())
        return len(found) > 1

    def _gray(self, piece: np.ndarray) -> np.ndarray:
        if piece.dtype.kind not in "biuf":
            raise DataError(f"{self.where}: expected gray values as numbers, got {piece.dtype}")
        piece = np.moveaxis(piece, 1, 3) if self.is_color_first else piece
        piece = np.swapaxes(piece, 1, 2) if self.is_turned else piece
        if piece.ndim == 4 and piece.shape[3] == 1:
            piece = piece[..., 0]
        elif piece.ndim == 4:
            if piece.shape[3] == 4 and (piece[..., 3] != piece[0, 0, 0, 3]).any():
                raise DataError(
                    f"{self.where}: opacity differs between pixels; write the video without it"
                )
            piece = piece[..., :3] @ _LUMA
            if self.gray_range is None:
                piece = np.floor(piece + 0.5)
        if self.gray_range is None:
            remedy = "state `gray_range: [BLACK, WHITE]`, or scale to 0..255"
            return to_gray(piece, self.where, remedy)
        low, high = self.gray_range
        scaled = (piece.astype(np.float32) - low) * (255 / (high - low))
        if np.isnan(scaled).any():
            raise DataError(f"{self.where}: video holds NaN; leave those frames out")
        return np.clip(np.floor(scaled + 0.5), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class MovieScan:
    """Frames of a movie, found without decoding them where that is possible.

    Args:
        n_frames: Number of frames that are shown.
        times: Time of each frame in seconds, if the movie states it.
        places: If some frames are empty (they repeat the frame before them): number of each other
            frame among all announced ones.
    """

    n_frames: int
    times: Float[np.ndarray, " n_frames"] | None
    places: Integer[np.ndarray, " n_frames"] | None = None

    @property
    def n_announced(self) -> int:
        """Number of frames, empty ones included."""
        return self.n_frames if self.places is None else int(self.places[-1]) + 1


class MovieFrames(AbstractFrameReader):
    """Frames of a movie file, decoded from front to back.

    Args:
        file: mp4, avi or any other format that FFmpeg reads.
        n_frames: Number of its frames, from ``scan_movie``.

    Raises:
        DataError: If PyAV is not installed or the file does not exist.
    """

    def __init__(self, file: Path, n_frames: int) -> None:
        require_av()
        _check_is_there(file)
        self.file, self.n_frames = file, n_frames

    def __len__(self) -> int:
        return self.n_frames

    def read(self, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Give the wanted frames, in order; see ``AbstractFrameReader``.

        Raises:
            DataError: If the file is damaged, or has another number of frames than it announces.
        """
        n_decoded = 0
        at = 0
        for picture in _decode(self.file):
            if at < len(wanted) and n_decoded == wanted[at]:
                yield n_decoded, picture()
                at += 1
            n_decoded += 1
        if n_decoded != self.n_frames:
            raise DataError(
                f"{self.file} announces {self.n_frames} frames but {n_decoded} can be decoded; "
                "write it again, for example with `ffmpeg -i IN -fps_mode passthrough OUT.mkv`"
            )


class PartFrames(AbstractFrameReader):
    """Some consecutive frames of a video.

    Args:
        reader: The video.
        part: Frames to read.
    """

    def __init__(self, reader: AbstractFrameReader, part: slice) -> None:
        self.reader = reader
        self.start, self.stop, _ = part.indices(len(reader))

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Give the wanted frames, in order; see ``AbstractFrameReader``."""
        for number, frame in self.reader.read(wanted + self.start):
            yield number - self.start, frame


def require_av() -> Any:
    """Import PyAV.

    Raises:
        DataError: If it is not installed.
    """
    try:
        import av
    except ImportError:
        raise DataError(
            "movie files need PyAV; install it with `pip install freegaze[video]`"
        ) from None
    return av


def scan_movie(file: Path) -> MovieScan:
    """Find the frames of a movie and their times.

    Frames that an edit list hides are not counted. The times of a movie that begins later than 0
    stay, except in formats without a start.

    Args:
        file: The movie.

    Returns:
        Its frames, in the order in which they are shown.

    Raises:
        DataError: If the file is missing or damaged.
    """
    with _opened_movie(file) as container:
        stream = container.streams.video[0]
        packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
        stamps, decoding = [p.pts for p in packets], [p.dts for p in packets]
        unit, n_announced = float(stream.time_base or 0), int(stream.frames)
        name = container.format.name
        stated_s = (container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0
        n_videos = len(container.streams.video)
    if n_videos > 1:
        _warn(f"{file} holds {n_videos} videos, of which the first is read; extract another one")
    if not stamps or None in stamps or not unit:
        return MovieScan(sum(1 for _ in _decode(file)), None)
    times = np.sort(np.array(stamps, np.float64)) * unit  # packets come in the order of decoding
    if any(kind in _OWN_START for kind in name.split(",")):
        times = times - times[0]
    missing_s = stated_s - times[-1] - np.diff(times, append=times[-1]).max()
    if missing_s > max(_MISSING_S, 0.1 * stated_s):
        _warn(
            f"{file} states a duration of {stated_s:.6g} s but its frames end at "
            f"{times[-1]:.6g} s; is it complete?"
        )
    places = None
    if name == "avi" and None not in decoding:  # counts its frames, the empty ones too
        places = np.sort(np.array(decoding, np.int64))
        if places[0] < 0 or places[-1] < len(places) or n_announced <= len(places):
            places = None
    return MovieScan(len(times), times, places)


def _decode(file: Path) -> Iterator[Any]:
    """Yield, for each frame, a function that returns it in gray (skipped frames cost less)."""
    with _opened_movie(file) as container:
        size = None
        for frame in container.decode(video=0):
            size = size or (frame.height, frame.width)
            if (frame.height, frame.width) != size:
                raise DataError(f"{file}: frames change size in the middle of the movie")
            yield lambda frame=frame: _upright(frame)


def _upright(frame: Any) -> np.ndarray:
    """Return a gray frame rotated as players show it."""
    picture = frame.to_ndarray(format="gray")
    turns = round(getattr(frame, "rotation", 0) / 90)
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _is_zero_or_one(values: np.ndarray) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _check_is_there(file: Path) -> None:
    if os.path.isdir(file):  # false for a name that is too long
        raise DataError(
            f"{file} is a folder; give the movie in it, or make one of its pictures: {_TO_MOVIE}"
        )
    if not is_file(file):  # never an address: FFmpeg would open one
        what = describe_missing(file) or "does not exist; check the path of the movie"
        raise DataError(f"{file} {what}")
    if file.suffix.lower() in _PICTURES:
        raise DataError(
            f"{file} is a picture, or a stack of which only the first would be shown; save a stack "
            "as an array (`np.save('stack.npy', tifffile.imread(...))`, `kind: npy`), or make a "
            f"movie of pictures: {_TO_MOVIE}"
        )


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=4)


@contextmanager
def _opened_movie(file: Path) -> Iterator[Any]:
    av = require_av()
    _check_is_there(file)
    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise DataError(f"{file} holds no video; check the path of the movie")
            yield container
    except (av.FFmpegError, OSError, ValueError, IndexError, RuntimeError) as error:
        raise unreadable(file, error) from None


class JoinedFrames(AbstractFrameReader):
    """Movies that follow one another, as one.

    Args:
        parts: The movies in order.
    """

    def __init__(self, parts: Sequence[AbstractFrameReader]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def read(self, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Give the wanted frames, in order; see ``AbstractFrameReader``."""
        start = 0
        for part in self.parts:
            mine = wanted[(wanted >= start) & (wanted < start + len(part))] - start
            for number, frame in part.read(mine) if len(mine) else ():
                yield start + number, frame
            start += len(part)
