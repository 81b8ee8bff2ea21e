"""Videos as frame readers: arrays (also on disk), and movie files through PyAV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.sources.alignment.frames import AbstractFrameReader
from freegaze.sources.conversion import is_file, to_gray

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in gray, ITU-R BT.601, as movie files use."""

_CHUNK_BYTES = 1 << 24


class ArrayFrames(AbstractFrameReader):
    """Frames of an array that may lie on disk (an ``.npy`` or HDF5 data set), read in pieces.

    Args:
        array: Shape (frame, height, width), or with 3 colors at the end.
        where: File and name, for messages.
        gray_range: Values that become black and white; ``None`` where they are 0..255 already.
        is_turned: Whether frames of the array are (width, height).

    Raises:
        ShapeError: If it has another shape.
    """

    def __init__(
        self,
        array: Any,
        where: str,
        gray_range: tuple[float, float] | None = None,
        is_turned: bool = False,
    ) -> None:
        shape = tuple(int(n) for n in array.shape)
        if len(shape) not in (3, 4) or shape[3:] not in ((), (3,)) or 0 in shape:
            raise ShapeError(
                f"{where}: expected video (frame, height, width), or (..., 3) in color, got {shape}"
            )
        self.array, self.where, self.gray_range, self.shape = array, where, gray_range, shape
        self.is_turned = is_turned

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

    def _gray(self, piece: np.ndarray) -> np.ndarray:
        if piece.dtype.kind not in "iuf":
            raise DataError(f"{self.where}: expected gray values as numbers, got {piece.dtype}")
        piece = np.swapaxes(piece, 1, 2) if self.is_turned else piece
        if piece.ndim == 4:
            piece = piece @ _LUMA
            if self.gray_range is None:
                piece = np.floor(piece + 0.5)
        if self.gray_range is None:
            return to_gray(piece, self.where)
        low, high = self.gray_range
        scaled = (piece.astype(np.float32) - low) * (255 / (high - low))
        if np.isnan(scaled).any():
            raise DataError(f"{self.where}: video holds NaN; leave those frames out")
        return np.clip(np.floor(scaled + 0.5), 0, 255).astype(np.uint8)


class MovieFrames(AbstractFrameReader):
    """Frames of a movie file, decoded from front to back.

    Args:
        file: mp4, avi or whatever else FFmpeg reads.
        n_frames: How many it shall have: as many as there are timestamps.

    Raises:
        DataError: If PyAV is not installed or the file does not exist.
    """

    def __init__(self, file: Path, n_frames: int) -> None:
        require_av()
        if not is_file(file):  # never an address: FFmpeg would open one
            raise DataError(f"{file} does not exist; check the path of the movie")
        self.file, self.n_frames = file, n_frames

    def __len__(self) -> int:
        return self.n_frames

    def read(self, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Give the wanted frames, in order; see ``AbstractFrameReader``.

        Raises:
            DataError: If the file is damaged or has another number of frames than timestamps.
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
                f"{self.file} has {n_decoded} frames but there are {self.n_frames} timestamps; "
                "give the timestamps of this movie, one a frame"
            )


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


def movie_times(file: Path) -> np.ndarray:
    """Return the times that a movie itself gives its frames, in seconds, without decoding them.

    Raises:
        DataError: If the file is damaged or frames have no times.
    """
    with _opened_movie(file) as container:
        stream = container.streams.video[0]
        stamps = [p.pts for p in container.demux(stream) if p.size]
        unit = float(stream.time_base or 0)
    if not stamps or None in stamps or not unit:
        raise DataError(f"{file} gives its frames no times; give `timestamps` or `rate_hz`")
    times = np.sort(np.array(stamps, np.float64)) * unit  # packets come in the order of decoding
    return times - times[0]


def _decode(file: Path) -> Iterator[Any]:
    """Give a function for each frame, which makes its gray frame (skipped frames cost less)."""
    with _opened_movie(file) as container:
        size = None
        for frame in container.decode(video=0):
            size = size or (frame.height, frame.width)
            if (frame.height, frame.width) != size:
                raise DataError(f"{file}: frames change size in the middle of the movie")
            yield lambda frame=frame: frame.to_ndarray(format="gray")


@contextmanager
def _opened_movie(file: Path) -> Iterator[Any]:
    av = require_av()
    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise DataError(f"{file} holds no video; check the path of the movie")
            yield container
    except (av.FFmpegError, OSError, ValueError, IndexError, RuntimeError) as error:
        what = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{file} cannot be decoded ({what}); is it complete? Copy it again"
        ) from None


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
