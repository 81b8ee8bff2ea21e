"""Pieces of a long computation on disk, so that it can be stopped and continued."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freegaze.errors import CheckpointError
from freegaze.files.artifact import npz_bytes
from freegaze.files.atomic import write_file

Arrays = Mapping[str, np.ndarray]

MARK_BYTES = hashlib.sha256().digest_size


class ElsewhereError(Exception):
    """A piece belongs to the share of another process, which has not computed it yet."""


@dataclass(frozen=True)
class Share:
    """One of several shares of numbered pieces, which are dealt out in turn.

    Args:
        number: Number of the share, from 0.
        of: Number of shares.

    Example:
        >>> [index for index in range(5) if Share(1, 2).has(index)]
        [1, 3]
    """

    number: int = 0
    of: int = 1

    def has(self, index: int) -> bool:
        """Return whether a piece belongs to this share."""
        return index % self.of == self.number


class Pieces:
    """Named groups of arrays in a folder, each computed once.

    Args:
        folder: Folder of the pieces. Its last name is a fingerprint of all that pieces depend on,
            so that those of other settings are never used.
        share: Pieces that this process computes; all by default.

    Attributes:
        own: Files of the pieces of the share that are on the disk, once they were asked for.
    """

    def __init__(self, folder: Path, share: Share | None = None) -> None:
        self.folder, self.share = folder, share or Share()
        self.own: list[Path] = []

    def get(self, name: str, compute: Callable[[], Arrays], index: int | None = None) -> Arrays:
        """Return a piece from disk, or compute and keep it.

        A file that has changed since it was written counts as missing.

        Args:
            name: Name of the piece.
            compute: Makes its arrays.
            index: Number by which it belongs to a share; ``None`` for a piece of every share.

        Raises:
            DataError: If the disk refuses; existing pieces then stay.
            ElsewhereError: If it is missing and belongs to another share.
        """
        path = self.folder / f"{name}.npz"
        arrays, is_own = load_piece(path), index is None or self.share.has(index)
        if arrays is None and not is_own:
            raise ElsewhereError(name)
        if arrays is None:
            arrays = dict(compute())
            save_piece(path, arrays)
        if is_own:
            self.own.append(path)
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
