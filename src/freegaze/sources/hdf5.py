"""HDF5 files that may be damaged: looked through in a process of its own before they are opened.

On some damaged files libhdf5 never comes to an end, or takes the whole process down with it;
neither can be caught from inside.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from freegaze.errors import DataError

SIGNATURE = b"\x89HDF\r\n\x1a\n"

CHECK_S = 60.0
"""Only names, attributes and headers are read, which takes well below a second."""

_PROGRAM = """
import sys, h5py
def look(name, thing):
    dict(thing.attrs)
    if isinstance(thing, h5py.Dataset):
        thing.shape, thing.dtype, thing.chunks
        if thing.size:
            thing[(0,) * thing.ndim]
with h5py.File(sys.argv[1], "r") as file:
    look("/", file)
    file.visititems(look)
"""


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does."""
    try:
        with path.open("rb") as file:
            return file.read(len(SIGNATURE)) == SIGNATURE
    except (OSError, ValueError):
        return False


def check_hdf5(path: Path) -> None:
    """Make sure that a file can be looked through without hanging or crashing.

    What is merely wrong in it is left to the reader, who knows what it should be.

    Args:
        path: The file.

    Raises:
        DataError: If it is no HDF5 file, or one on which libhdf5 hangs or crashes.
    """
    if not is_hdf5(path):
        raise DataError(f"{path} is no HDF5 file; check the path, or copy it again")
    command = [sys.executable, "-I", "-c", _PROGRAM, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=CHECK_S, check=False)
    except subprocess.TimeoutExpired:
        raise DataError(
            f"{path} cannot be looked through within {CHECK_S:g} s; it is damaged, copy or write "
            "it again"
        ) from None
    if done.returncode < 0:  # ended by a signal
        raise DataError(f"{path} crashes the HDF5 library; it is damaged, copy or write it again")
