"""Open an NWB file, and say in one line why that fails."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from freegaze.errors import DataError, FreegazeError
from freegaze.recording.array_files import unreadable

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def require_pynwb() -> Any:
    """Import pynwb, which takes a second, only when it is used.

    Raises:
        DataError: If it is not installed.
    """
    try:
        import pynwb
    except ImportError:
        raise DataError(
            "NWB files need pynwb; install it with `pip install freegaze[nwb]`"
        ) from None
    return pynwb


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does."""
    try:
        with path.open("rb") as file:
            return file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE
    except OSError:
        return False


@contextmanager
def opened_nwb(path: Path, mode: str = "r") -> Iterator[tuple[Any, Any]]:
    """Give the open file and its root; whatever parsing it raises becomes a ``DataError``.

    Args:
        path: The file.
        mode: ``r`` to read, ``a`` to add to it.

    Raises:
        DataError: If pynwb is missing, or the file is no NWB file or damaged.
    """
    pynwb = require_pynwb()
    if not is_hdf5(path):
        raise DataError(f"{path} is no NWB file (HDF5); check the path, or copy it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pynwb comments on other versions and old layouts
            with pynwb.NWBHDF5IO(str(path), mode) as io:
                yield io, io.read()
    except FreegazeError:
        raise
    except Exception as error:  # hdmf raises many types of its own on files that are broken
        raise unreadable(path, error) from error
