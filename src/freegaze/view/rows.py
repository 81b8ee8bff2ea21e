"""Rows of arrays on disk, of which a few are in memory at a time."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from freegaze.errors import DataError
from freegaze.files.arrays import parsing, read_npy_header

PIECE_BYTES = 1 << 20
"""Bytes that are read at a time where one column is kept."""


class ArrayRows:
    """A ``.npy`` file of which some rows are read at a time.

    Args:
        path: The file.

    Raises:
        DataError: If it is missing or damaged, or not stored row by row.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.npy"
        >>> np.save(path, np.arange(6).reshape(3, 2))
        >>> ArrayRows(path).read(1, 3).tolist()
        [[2, 3], [4, 5]]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._header = read_npy_header(path)
        if self._header.is_fortran and len(self._header.shape) > 1:
            raise DataError(f"{path} is not stored row by row; write the store again")

    @property
    def n_rows(self) -> int:
        """Length of the first axis."""
        return self._header.shape[0]

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Lengths of the other axes."""
        return self._header.shape[1:]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return max(1, math.prod(self.row_shape) * self._header.dtype.itemsize)

    def read(self, start: int, stop: int, column: int | None = None) -> np.ndarray:
        """Return contiguous rows.

        Args:
            start: First row.
            stop: One past the last row.
            column: The only place along the last axis to keep, as an axis of length 1.

        Raises:
            DataError: If the file cannot be read any more.
        """
        stop = min(stop, self.n_rows)
        if column is None:
            return self._rows(start, stop)
        n = max(1, PIECE_BYTES // self.row_bytes)
        pieces = [
            self._rows(first, min(first + n, stop))[..., column : column + 1].copy()
            for first in range(start, stop, n)
        ]
        return np.concatenate(pieces)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, in the order given.

        Args:
            rows: Numbers of the rows, (n,).

        Raises:
            DataError: If the file cannot be read any more.
        """
        header = self._header
        if not header.n_bytes:
            return np.zeros(header.shape, header.dtype)[rows]
        with parsing(self.path):
            mapped = np.memmap(self.path, header.dtype, "r", header.offset, header.shape)
            return np.array(mapped[rows], header.dtype.newbyteorder("="))

    def _rows(self, start: int, stop: int) -> np.ndarray:
        header, n = self._header, math.prod(self.row_shape)
        with parsing(self.path), self.path.open("rb") as file:
            file.seek(header.offset + start * n * header.dtype.itemsize)
            flat = np.fromfile(file, header.dtype, (stop - start) * n)
            rows = flat.reshape(stop - start, *self.row_shape)
        return rows.astype(header.dtype.newbyteorder("="), copy=False)
