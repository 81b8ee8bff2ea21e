"""Rows of arrays on disk, read in pieces that leave memory after use."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from freegaze.files.arrays import parsing, read_npy_header


class MappedRows:
    """A ``.npy`` file of which some rows are read at a time.

    The file is mapped anew for each read and released at once, so that pages that were read do not
    add up in memory.

    Args:
        path: The file.

    Raises:
        DataError: If it is missing or damaged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.npy"
        >>> np.save(path, np.arange(6).reshape(3, 2))
        >>> MappedRows(path).read(1, 3).tolist()
        [[2, 3], [4, 5]]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._header = read_npy_header(path)

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
        """Return a copy of contiguous rows.

        Args:
            start: First row.
            stop: One past the last row.
            column: The only place along the last axis to read, which stays as an axis of length 1.

        Raises:
            DataError: If the file cannot be read any more.
        """
        columns = slice(None) if column is None else slice(column, column + 1)
        return self._copy((slice(start, stop), ..., columns))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of some rows, in the order given.

        Args:
            rows: Numbers of the rows, (n,).

        Raises:
            DataError: If the file cannot be read any more.
        """
        return self._copy(rows)

    def _copy(self, where: Any) -> np.ndarray:
        header = self._header
        if not header.n_bytes:
            return np.zeros(header.shape, header.dtype)[where]
        order = "F" if header.is_fortran else "C"
        with parsing(self.path):
            mapped = np.memmap(self.path, header.dtype, "r", header.offset, header.shape, order)
            return np.array(mapped[where], header.dtype.newbyteorder("="))
