"""Scan HDF5 files that may be damaged or malicious, before any other code opens them.

On some damaged files libhdf5 hangs or crashes. Neither can be caught in the same process, so the
scan runs in a separate process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from freegaze.errors import DataError
from freegaze.files.arrays import parsing, unreadable
from freegaze.files.kinds import describe_kind

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_STARTS = (0, 512, 1024, 2048)
"""Where HDF5 may begin; MATLAB puts a text of 512 bytes before it."""

CHECK_S = 60.0
"""Only names, attributes and headers are read, which takes well below a second."""

_PROGRAM = """
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
        if reads_values and isinstance(thing, h5py.Dataset) and thing.size:
            n_bytes = math.prod(thing.chunks or (1,)) * thing.dtype.itemsize
            if n_bytes <= 1 << 28:  # a chunk is read whole
                thing[(0,) * thing.ndim]
    except Exception:  # only wrong values: the reader of the format checks them
        pass
error = ""
try:
    with h5py.File(place, "r", **options) as file:
        look("", file)
        file.visititems(look)
except Exception as caught:
    error = str(caught) or type(caught).__name__
stated = str(getattr(place, "failure", None) or "")
print(json.dumps([error, stated, [name.lstrip("/") for name in outside]]))
"""


@dataclass(frozen=True)
class Scan:
    """The way in which a separate process opens a file.

    Args:
        opening: Lines of Python that set ``place`` (what h5py opens; its attribute ``failure``, if
            any, is the error to report), ``options`` of h5py's ``File``, and ``reads_values``
            (whether the first chunk of each array is read).
        arguments: ``sys.argv[2:]`` of these lines.
        n_read: Number that grows as long as the process gets on; one that does not grow for
            ``CHECK_S`` seconds ends it.
    """

    opening: str = 'place, options, reads_values = sys.argv[1], {"locking": "best-effort"}, True\n'
    arguments: tuple[str, ...] = ()
    n_read: Callable[[], int] = field(default=lambda: 0)


LOCAL = Scan()


def is_hdf5(path: Path) -> bool:
    """Return whether a file begins as HDF5 does."""
    try:
        return _has_signature(path)
    except DataError:
        return False


def look_through(path: Path, scan: Scan = LOCAL) -> tuple[str, ...]:
    """Make sure that a file can be looked through without hanging or crashing.

    A file on this machine that has not changed since it was looked through is not looked through
    again.

    Args:
        path: The file.
        scan: Settings of its opening.

    Returns:
        Paths of links to other files, and of arrays whose values lie in other files.

    Raises:
        DataError: If it is missing, no HDF5 file, damaged, or one on which libhdf5 hangs or
            crashes.
    """
    if not _has_signature(path):
        wrong = "no HDF5 file (wrong first bytes); check the path, or copy it again"
        what = describe_kind(path) or wrong
        raise DataError(f"{path} is {what}")
    if scan is not LOCAL:
        return _scan(path, scan)
    state = path.stat()
    return _scan_local(path, (state.st_ino, state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=1024)
def _scan_local(path: Path, state: tuple[int, int, int]) -> tuple[str, ...]:
    """Scan a file once per state of it; a file that is refused is scanned again."""
    return _scan(path, LOCAL)


def _scan(path: Path, scan: Scan) -> tuple[str, ...]:
    program = "import json, math, sys, h5py\n" + scan.opening + _PROGRAM
    command = [sys.executable, "-I", "-c", program, str(path), *scan.arguments]
    done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with done:
        output, errors = _wait(done, path, scan)
    if done.returncode < 0:  # ended by a signal
        raise DataError(f"{path} crashes the HDF5 library; it is damaged, copy or write it again")
    if done.returncode:  # Python or h5py did not even start
        raise unreadable(path, OSError(errors.decode(errors="replace")[-200:]))
    error, stated, outside = json.loads(output)
    if stated:
        raise DataError(stated)
    if error:
        raise unreadable(path, OSError(error))
    return tuple(outside)


def check_hdf5(path: Path, scan: Scan = LOCAL) -> None:
    """Look through a file that must hold everything itself.

    Args:
        path: The file.
        scan: Settings of its opening.

    Raises:
        DataError: In the same cases as ``look_through``, or if a part lies in another file.
    """
    outside = look_through(path, scan)
    if outside:
        raise DataError(
            f"{path}: {outside[0]} lies in another file; store the values themselves in this one"
        )


def _wait(process: subprocess.Popen[bytes], path: Path, scan: Scan) -> tuple[bytes, bytes]:
    """Return the output of a process that gets on, and end one that does not."""
    n_read = -1
    while (now := scan.n_read()) > n_read:
        n_read = now
        try:
            return process.communicate(timeout=CHECK_S)
        except subprocess.TimeoutExpired:
            continue
        except BaseException:
            process.kill()
            raise
    process.kill()
    raise DataError(
        f"{path} cannot be looked through within {CHECK_S:g} s; it is damaged, copy or write it "
        "again"
    )


def _has_signature(path: Path) -> bool:
    with parsing(path), path.open("rb") as file:
        head = file.read(max(_STARTS) + len(SIGNATURE))
    return any(head.startswith(SIGNATURE, start) for start in _STARTS)
