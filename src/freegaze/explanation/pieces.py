"""Pieces of a long computation on disk, so that it can be stopped and continued."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from freegaze.files.atomic import atomic_file

Arrays = Mapping[str, np.ndarray]

MARK_BYTES = hashlib.sha256().digest_size


class Pieces:
    """Named groups of arrays in a folder, each computed once.

    Args:
        folder: Where they lie. Its last name is a fingerprint of all that pieces depend on, so that
            those of other settings are never taken for these.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """Return a piece from disk, or compute and keep it.

        A file that is not as it was written counts as missing.

        Args:
            name: Of the piece.
            compute: Makes its arrays.

        Raises:
            DataError: If the disk refuses; pieces that were there stay.
        """
        path = self.folder / f"{name}.npz"
        arrays = load_piece(path)
        if arrays is None:
            arrays = dict(compute())
            save_piece(path, arrays)
        return arrays

    def remove(self) -> None:
        """Remove all pieces, those of other settings too."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)


def save_piece(path: Path, arrays: Arrays) -> None:
    """Write arrays with a checksum behind them: numpy's own misses a shape that became smaller.

    Args:
        path: The file, of which ``numpy.load`` takes the checksum for a comment.
        arrays: By name.

    Raises:
        DataError: If the disk refuses; a file that was there stays.
    """
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # pyright: ignore[reportArgumentType]
    content = stream.getvalue()
    with atomic_file(path, overwrite=True) as partial:
        partial.write_bytes(content + hashlib.sha256(content).digest())


def load_piece(path: Path) -> Arrays | None:
    """Return the arrays of a file; ``None`` where it is not there, or not as it was written.

    Args:
        path: As ``save_piece`` wrote it.
    """
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    content, mark = whole[:-MARK_BYTES], whole[-MARK_BYTES:]
    if hashlib.sha256(content).digest() != mark:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as npz:
        return {key: npz[key] for key in npz.files}
