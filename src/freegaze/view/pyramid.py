"""Signals at coarser and coarser time: smallest, mean and largest value of 8, 64, 512 ... bins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from freegaze.files.arrays import parsing
from freegaze.view.rows import ArrayRows

FACTOR = 8
"""Bins of a level that become one of the next. All levels together take 4/7 of the original."""

PIECE_BYTES = 1 << 22
"""Bytes that are reduced at a time."""


class Pyramid:
    """A signal of many bins, of which any range is read with about as many points as asked for.

    Levels are written when they are first needed. The time and memory of a read depend on the
    number of points, and not on the length of the range.

    Args:
        rows: The signal, (time, column); NaN where it is missing.
        folder: Existing folder for the levels.
        name: Beginning of their file names.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> np.save(folder / "x.npy", np.arange(128.0)[:, None])
        >>> signal = Pyramid(ArrayRows(folder / "x.npy"), folder, "x")
        >>> signal.read(0, 128, 2)[:, :, 0].tolist()
        [[0.0, 64.0], [31.5, 95.5], [63.0, 127.0]]
    """

    def __init__(self, rows: ArrayRows, folder: Path, name: str) -> None:
        self.rows = rows
        self._folder, self._name = folder, name
        self._levels: list[ArrayRows] = []
        self._lock = threading.Lock()

    def read(
        self, start: int, stop: int, n_points: int, column: int | None = None
    ) -> Float[np.ndarray, "3 point column"]:
        """Return smallest, mean and largest value in equal parts of a range.

        Where parts are longer than the bins of a level, their ends are rounded to it.

        Args:
            start: First bin.
            stop: One past the last bin.
            n_points: Number of parts; with fewer bins, each bin is one.
            column: The only column to read.

        Raises:
            DataError: If a file cannot be read or written.
        """
        n_points = min(n_points, stop - start)
        depth = 0
        while FACTOR ** (depth + 1) * n_points <= stop - start:
            depth += 1
        width = FACTOR**depth
        first, last = start // width, -(-stop // width)
        read = self._level(depth).read if depth else self.rows.read
        starts = (np.linspace(start, stop, n_points + 1)[:-1] / width).astype(np.int64) - first
        low, total, n_known, high = _reduce(read(first, last, column), starts)
        return np.stack([low, _mean(total, n_known), high])

    def ends(self) -> Float[np.ndarray, "2 column"]:
        """Return the smallest and the largest mean of 8 bins of each column, NaN for none."""
        level = self._level(1)
        rows = max(1, PIECE_BYTES // level.row_bytes)
        low = high = np.full(self.rows.row_shape, np.nan, np.float32)
        for start in range(0, level.n_rows, rows):
            planes = level.read(start, start + rows)
            mean = _mean(planes[:, 1], planes[:, 2])
            low = np.fmin(low, np.fmin.reduce(mean))
            high = np.fmax(high, np.fmax.reduce(mean))
        return np.stack([low, high])

    def _level(self, depth: int) -> ArrayRows:
        with self._lock:
            while len(self._levels) < depth:
                self._levels.append(self._write(len(self._levels) + 1))
            return self._levels[depth - 1]

    def _write(self, depth: int) -> ArrayRows:
        path = self._folder / f"{self._name}_{depth}.npy"
        below = self._levels[-1] if self._levels else self.rows
        shape = (-(-below.n_rows // FACTOR), 4, *self.rows.row_shape)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        with parsing(path), path.open("xb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for piece in _coarser(below):
                file.write(piece.astype("<f4", copy=False).data)
        return ArrayRows(path)


def _coarser(below: ArrayRows) -> Iterator[np.ndarray]:
    """Give the next level, piece by piece: (row, 4, column) each."""
    n = FACTOR * max(1, PIECE_BYTES // (FACTOR * below.row_bytes))
    for start in range(0, below.n_rows, n):
        rows = below.read(start, min(start + n, below.n_rows))
        planes = _reduce(rows, np.arange(0, len(rows), FACTOR))
        yield np.ascontiguousarray(planes.swapaxes(0, 1))


def _reduce(rows: np.ndarray, starts: np.ndarray) -> Float[np.ndarray, "4 part column"]:
    """Reduce parts of rows to smallest, sum, number and largest; what is missing is left out.

    Args:
        rows: The signal, (row, column), or one of its levels, (row, 4, column).
        starts: First row of each part.
    """
    if rows.ndim == 3:
        low, total, n_known, high = rows.swapaxes(0, 1)
    else:
        low = high = rows
        is_known = np.isfinite(rows)
        total, n_known = np.where(is_known, rows, 0), is_known
    planes = [
        np.fmin.reduceat(low, starts, axis=0),
        np.add.reduceat(total, starts, axis=0, dtype=np.float32),
        np.add.reduceat(n_known, starts, axis=0, dtype=np.float32),
        np.fmax.reduceat(high, starts, axis=0),
    ]
    return np.stack(planes).astype(np.float32)


def _mean(total: np.ndarray, n_known: np.ndarray) -> np.ndarray:
    return np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan).astype(np.float32)
