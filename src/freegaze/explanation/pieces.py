"""Pieces of a long computation on disk, so that it can be stopped and continued."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from freegaze.recording.array_files import UNREADABLE
from freegaze.recording.atomic import atomic_file

Arrays = Mapping[str, np.ndarray]


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

        A file that cannot be read counts as missing.

        Args:
            name: Of the piece.
            compute: Makes its arrays.

        Raises:
            DataError: If the disk refuses; pieces that were there stay.
        """
        path = self.folder / f"{name}.npz"
        if path.is_file():
            try:
                with path.open("rb") as file, np.load(file, allow_pickle=False) as npz:
                    return {key: npz[key] for key in npz.files}
            except UNREADABLE:
                pass
        arrays = dict(compute())
        with atomic_file(path, overwrite=True) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        return arrays

    def remove(self) -> None:
        """Remove all pieces, those of other settings too."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
