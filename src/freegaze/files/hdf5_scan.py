"""Scan HDF5 files that may be damaged or malicious, before any other code opens them.

On some damaged files libhdf5 hangs or crashes. Neither can be caught in the same process, so the
scan runs in a separate process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from freegaze.errors import DataError
from freegaze.files.arrays import parsing, unreadable

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_STARTS = (0, 512, 1024, 2048)
"""Where HDF5 may begin; MATLAB puts a text of 512 bytes before it."""

CHECK_S = 60.0
"""Only names, attributes and headers are read, which takes well below a second."""

_PROGRAM = """
import json, math, sys, h5py
outside = []
def look(name, thing):
    if isinstance(thing, h5py.Group):
        for key in thing:
            if isinstance(thing.get(key, getlink=True), h5py.ExternalLink):
                outside.append(f"{name}/{key}")
    elif thing.external or thing.is_virtual:
        outside.append(name)
        return
    try:
        dict(thing.attrs)
        if isinstance(thing, h5py.Dataset) and thing.size:
            n_bytes = math.prod(thing.chunks or (1,)) * thing.dtype.itemsize
            if n_bytes <= 1 << 28:  # a chunk is read whole
                thing[(0,) * thing.ndim]
    except Exception:  # only wrong values: the reader of the format checks them
        pass
error = ""
try:
    with h5py.File(sys.argv[1], "r", locking="best-effort") as file:
        look("", file)
        file.visititems(look)
except Exception as caught:
    error = str(caught) or type(caught).__name__
print(json.dumps([error, [name.lstrip("/") for name in outside]]))
"""


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does."""
    try:
        return _has_signature(path)
    except DataError:
        return False


def look_through(path: Path) -> tuple[str, ...]:
    """Make sure that a file can be looked through without hanging or crashing.

    Args:
        path: The file.

    Returns:
        Paths of links to other files, and of arrays whose values lie in other files.

    Raises:
        DataError: If it is missing, no HDF5 file, damaged, or one on which libhdf5 hangs or
            crashes.
    """
    if not _has_signature(path):
        raise DataError(
            f"{path} is no HDF5 file (wrong first bytes); check the path, or copy it again"
        )
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
    if done.returncode:  # Python or h5py did not even start
        raise unreadable(path, OSError(done.stderr.decode(errors="replace")[-200:]))
    error, outside = json.loads(done.stdout)
    if error:
        raise unreadable(path, OSError(error))
    return tuple(outside)


def check_hdf5(path: Path) -> None:
    """Look through a file that must hold everything itself.

    Args:
        path: The file.

    Raises:
        DataError: As ``look_through``, or if a part lies in another file.
    """
    outside = look_through(path)
    if outside:
        raise DataError(
            f"{path}: {outside[0]} lies in another file; store the values themselves in this one"
        )


def _has_signature(path: Path) -> bool:
    with parsing(path), path.open("rb") as file:
        head = file.read(max(_STARTS) + len(SIGNATURE))
    return any(head.startswith(SIGNATURE, start) for start in _STARTS)
