"""Open an NWB file, and say in one line why that fails."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from freegaze.errors import DataError, FreegazeError
from freegaze.recording.array_files import unreadable
from freegaze.sources.hdf5 import check_hdf5


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
    check_hdf5(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pynwb comments on other versions and old layouts
            with pynwb.NWBHDF5IO(str(path), mode) as io:
                yield io, io.read()
    except FreegazeError:
        raise
    except Exception as error:  # hdmf raises many types of its own on files that are broken
        raise unreadable(path, error) from error
