"""Read ``.npy`` files that may be damaged or malicious; write them with a checksum.

No pickled object is loaded. The data are read only after the shape in the header has been compared
with the size of the file. Every fault raises a ``DataError`` with the name of the file.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import math
import os
import tempfile
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from freegaze.errors import DataError
from freegaze.files.kinds import describe_kind, describe_missing

CHUNK_BYTES = 1 << 24
"""Arrays are hashed and written in pieces of 16 MiB, so that memory use does not depend on size."""

IN_MEMORY_BYTES = 1 << 28
"""A new video above 256 MiB is kept in a temporary file, so that it may be larger than memory."""

UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    SyntaxError,
    OverflowError,
    MemoryError,
    RecursionError,
    IndexError,
    AttributeError,
    SystemError,
    RuntimeError,  # zipfile's error for an encrypted member, or an unknown compression
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Errors of numpy, zipfile, zlib, h5py and pandas for a damaged file."""

_MAX_EXPANSION = 200
_EXPANSION_FLOOR_BYTES = 1 << 28
"""Recorded data never shrink 200-fold; checked above 256 MiB, where a zip bomb starts to hurt."""

_LAST_CODE_POINT = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """Content of the header of a ``.npy`` file.

    Args:
        shape: Length of each axis.
        dtype: Type of one element.
        is_fortran: Whether the first axis varies fastest.
        offset: Bytes before the data.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    offset: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * self.dtype.itemsize


def is_plain_dtype(dtype: np.dtype[Any]) -> bool:
    """Return whether a type is bool, an integer, a float of at most 64 bits, or text."""
    if dtype.fields is not None or dtype.subdtype is not None or dtype.hasobject:
        return False
    return dtype.kind in "biuUS" or (dtype.kind == "f" and dtype.itemsize <= 8)


def read_npy_header(path: Path) -> ArrayHeader:
    """Read and check the header of a ``.npy`` file, without its data.

    Args:
        path: The file.

    Raises:
        DataError: If the file is missing, no ``.npy``, shorter or longer than its header says, or
            holds anything but plain numbers or text.
    """
    with parsing(path), path.open("rb") as file:
        header = parse_header(file)
        size = path.stat().st_size
    check_size(header, size, str(path))
    return header


def read_npy(path: Path) -> np.ndarray:
    """Read a ``.npy`` file into memory, in native byte order.

    Args:
        path: The file.

    Raises:
        DataError: In the same cases as ``read_npy_header``, or if there is too little memory.
    """
    header = read_npy_header(path)
    with parsing(path), path.open("rb") as file:
        file.seek(header.offset)
        return read_data(file, header, str(path))


def npy_chunks(path: Path) -> Iterator[np.ndarray]:
    """Read a ``.npy`` file in pieces of about ``CHUNK_BYTES`` along its first axis.

    Args:
        path: The file; its array has at least one axis.

    Yields:
        Consecutive pieces, in native byte order.

    Raises:
        DataError: In the same cases as ``read_npy``.
    """
    header = read_npy_header(path)
    if header.is_fortran or header.n_bytes <= CHUNK_BYTES:
        yield from array_chunks(read_npy(path))
        return
    n_rows, *row = header.shape
    rows = max(1, CHUNK_BYTES * n_rows // header.n_bytes)
    with path.open("rb") as file:
        file.seek(header.offset)
        for start in range(0, n_rows, rows):
            piece = replace(header, shape=(min(rows, n_rows - start), *row))
            with parsing(path):
                array = read_data(file, piece, str(path))
            yield array


def map_npy(path: Path) -> np.ndarray:
    """Map a ``.npy`` file into memory: pages are read on access, and writes do not change the file.

    Args:
        path: The file.

    Returns:
        A writable array (as ``torch.from_numpy`` requires) whose changes never reach the file.

    Raises:
        DataError: In the same cases as ``read_npy_header``.
    """
    header = read_npy_header(path)
    if not header.n_bytes or not header.dtype.isnative or header.dtype.kind in "US":
        return read_npy(path)
    order = "F" if header.is_fortran else "C"
    with parsing(path):
        return np.asarray(np.memmap(path, header.dtype, "c", header.offset, header.shape, order))


def write_npy(
    path: Path, chunks: Iterable[np.ndarray], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> str:
    """Write a ``.npy`` file piece by piece and flush it to the disk.

    Args:
        path: New file.
        chunks: Consecutive pieces along the first axis.
        shape: Shape of the whole.
        dtype: Type of an element; written in native byte order.

    Returns:
        The sha256 of the file, in hexadecimal.
    """
    sha = hashlib.sha256()
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    start = io.BytesIO()
    np.lib.format.write_array_header_1_0(start, header)
    with path.open("xb") as file:
        for piece in itertools.chain([start.getvalue()], _as_bytes(chunks, dtype)):
            file.write(piece)
            sha.update(piece)
        file.flush()
        os.fsync(file.fileno())
    return sha.hexdigest()


def array_chunks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Cut an array along its first axis into pieces of about ``CHUNK_BYTES``."""
    if array.ndim == 0 or not array.size:
        yield array
        return
    rows = max(1, CHUNK_BYTES // max(1, array.nbytes // len(array)))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def new_frames(shape: tuple[int, ...], folder: Path | None = None) -> np.ndarray:
    """Return zeros of type uint8 for a video: in memory, or in a file if larger than 256 MiB.

    The file has no name, so that it disappears with the array.

    Args:
        shape: Shape of the array.
        folder: Folder of the temporary file; without it, that of the system.

    Raises:
        DataError: If memory or disk have too little room, which would otherwise end the process at
            some write.
    """
    n_bytes = math.prod(shape)
    try:
        if n_bytes <= IN_MEMORY_BYTES:
            return np.zeros(shape, np.uint8)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, n_bytes)
            return np.asarray(np.memmap(file, np.uint8, "w+", shape=shape))
    except (MemoryError, OSError, ValueError, OverflowError) as error:
        raise DataError(
            f"no room for {n_bytes / 1e9:.3g} GB of video in {folder or tempfile.gettempdir()} "
            f"({error}); free some space, or state a smaller `frame_size` or a wider bin"
        ) from None


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal, read in pieces.

    Raises:
        DataError: If it cannot be read.
    """
    with parsing(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Read a small file, unless it is longer than any that is genuine.

    Raises:
        DataError: If it cannot be read, or is longer.
    """
    with parsing(path), path.open("rb") as file:
        size = min(path.stat().st_size, max_bytes)  # Python reserves memory for as much
        content = file.read(size + 1)
    if len(content) > max_bytes:
        raise DataError(f"{path} is longer than {max_bytes} bytes; write it again")
    return content


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """Convert errors of a parser into one ``DataError`` line with the name of the file.

    Args:
        path: The file that is read within.

    Raises:
        DataError: If the file does not exist or cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        what = describe_missing(path) or "does not exist; check the path, or restore the file"
        raise DataError(f"{path} {what}") from None
    except UNREADABLE as error:
        raise unreadable(path, error) from None


class UnsupportedTypeError(ValueError):
    """An array is whole, but holds another type than is read; the message has the remedy."""


def unreadable(path: Path, error: BaseException) -> DataError:
    """Convert an error of a parser into one line about the file."""
    if isinstance(error, UnsupportedTypeError):
        return DataError(f"{path}: {error}")
    kind = describe_kind(path)
    if kind is not None:
        return DataError(f"{path} is {kind}")
    first = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{path} cannot be read ({first}); is it complete? Copy or write it again")


def _as_bytes(chunks: Iterable[np.ndarray], dtype: np.dtype[Any]) -> Iterator[bytes]:
    for chunk in chunks:
        yield np.ascontiguousarray(chunk, dtype).tobytes()


def parse_header(file: io.BufferedIOBase) -> ArrayHeader:
    """Parse the header at a file's position; raises one of ``UNREADABLE`` if it is none."""
    shape, is_fortran, dtype = raw_header(file)
    if any(n < 0 for n in shape):
        raise ValueError(f"impossible shape {shape}")
    if not is_plain_dtype(dtype):
        raise UnsupportedTypeError(_why_unsupported(dtype))
    return ArrayHeader(tuple(map(int, shape)), dtype, is_fortran, file.tell())


def raw_header(file: io.BufferedIOBase) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type of a header, of any type; raises one of ``UNREADABLE``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy and the parser comment on odd headers
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(file)
        if version == (2, 0):
            return np.lib.format.read_array_header_2_0(file)
        raise ValueError(f".npy version {version} is not used for plain arrays")


def _why_unsupported(dtype: np.dtype[Any]) -> str:
    """Return what an array that is not read holds, and how to save it."""
    if dtype.hasobject:
        return (
            "it holds Python objects, which are not read; write numbers, or text with "
            "np.save(file, array.astype(str))"
        )
    if dtype.names:
        return (
            f"a structured array with fields {', '.join(dtype.names[:9])}; save its fields as "
            "arrays: np.savez(file, **{name: array[name] for name in array.dtype.names})"
        )
    remedy = "; save array.astype(float)" if dtype.kind == "f" else ""
    return f"expected plain numbers or text, got {dtype}{remedy}"


def check_size(header: ArrayHeader, size: int, where: str) -> None:
    """Raise ``DataError`` unless ``size`` bytes are what the header and its data take."""
    expected = header.offset + header.n_bytes
    if size != expected:
        what = "is cut short" if size < expected else "is longer than its header says"
        raise DataError(
            f"{where} {what}: shape {header.shape} of {header.dtype} takes {expected} bytes, there "
            f"are {size}; copy or write it again"
        )


def check_expansion(where: str, n_stored: int, n_bytes: int) -> None:
    """Check that an array is not much larger than its compressed data in the file.

    Args:
        where: File and array, for the message.
        n_stored: Bytes in the file.
        n_bytes: Bytes of the array.

    Raises:
        DataError: If it is.
    """
    if n_bytes > max(_EXPANSION_FLOOR_BYTES, _MAX_EXPANSION * n_stored):
        raise DataError(
            f"{where} expands from {n_stored} to {n_bytes} bytes, more than recorded data do; if "
            "it is genuine, write it uncompressed"
        )


def read_data(file: io.BufferedIOBase, header: ArrayHeader, where: str) -> np.ndarray:
    """Read what follows a header, in pieces, into native byte order.

    Raises one of ``UNREADABLE`` if the data end early, ``DataError`` if text is not Unicode.
    """
    flat = np.empty(math.prod(header.shape), header.dtype)
    if flat.nbytes:
        view = flat.view(np.uint8)
        done = 0
        while done < len(view):
            piece = file.read(min(CHUNK_BYTES, len(view) - done))
            if not piece:
                raise EOFError(f"{where} ends after {done} of {len(view)} bytes")
            view[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
            done += len(piece)
    if header.dtype.kind == "U":
        _check_text(flat, where)
    if header.dtype.kind == "S":  # text as bytes, as MATLAB and HDF5 have it
        flat = np.char.decode(flat, "utf-8")
        return flat.reshape(header.shape, order="F" if header.is_fortran else "C")
    array = flat.reshape(header.shape, order="F" if header.is_fortran else "C")
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _check_text(flat: np.ndarray, where: str) -> None:
    if not flat.nbytes:
        return
    codes = flat.view(np.dtype(np.uint32).newbyteorder(flat.dtype.byteorder))
    low, high = _SURROGATES
    if ((codes > _LAST_CODE_POINT) | ((codes >= low) & (codes <= high))).any():
        raise DataError(f"{where} holds text that is not Unicode; write it again")
