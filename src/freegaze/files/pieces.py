"""Pieces of a long computation on disk, so that it can be stopped and continued."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from freegaze.errors import CheckpointError
from freegaze.files.artifact import npz_bytes
from freegaze.files.atomic import write_file

Arrays = Mapping[str, np.ndarray]

MARK_BYTES = hashlib.sha256().digest_size


class Pieces:
    """Named groups of arrays in a folder, each computed once.

    Args:
        folder: Folder of the pieces. Its last name is a fingerprint of all that pieces depend on,
            so that those of other settings are never used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """Return a piece from disk, or compute and keep it.

        A file that has changed since it was written counts as missing.

        Args:
            name: Name of the piece.
            compute: Makes its arrays.

        Raises:
            DataError: If the disk refuses; existing pieces then stay.
        """
        path = self.folder / f"{name}.npz"
        arrays = load_piece(path)
        if arrays is None:
            arrays = dict(compute())
            save_piece(path, arrays)
        return arrays

    def remove(self, others: bool = True) -> None:
        """Remove all pieces.

        Args:
            others: Remove those of other settings too.
        """
        shutil.rmtree(self.folder.parent if others else self.folder, ignore_errors=True)
        with suppress(OSError):  # it is not empty, or gone
            self.folder.parent.rmdir()


def save_piece(path: Path, arrays: Arrays) -> None:
    """Write arrays with a checksum behind them: numpy's own misses a shape that became smaller.

    Args:
        path: The file; ``numpy.load`` ignores the checksum as the archive's comment.
        arrays: Arrays by name.

    Raises:
        DataError: If the disk refuses; an existing file then stays.
    """
    content = npz_bytes(arrays, is_compressed=False)
    write_file(path, content + hashlib.sha256(content).digest())


def require_piece(path: Path) -> Arrays:
    """Return the arrays of a file that must be there.

    Args:
        path: A file that ``save_piece`` wrote.

    Raises:
        CheckpointError: If it is missing or broken.
    """
    arrays = load_piece(path)
    if arrays is None:
        raise CheckpointError(f"{path} is missing or broken; run this again")
    return arrays


def load_piece(path: Path) -> Arrays | None:
    """Return the arrays of a file; ``None`` where it is not there, or not as it was written.

    Args:
        path: A file that ``save_piece`` wrote.
    """
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    content, mark = whole[:-MARK_BYTES], whole[-MARK_BYTES:]
    if hashlib.sha256(content).digest() != mark:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as npz:
        return dict(npz)
