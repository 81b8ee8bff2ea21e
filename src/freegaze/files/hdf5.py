"""Read HDF5 files that may be damaged or malicious, headers first.

Only plain arrays that lie in the file itself are read: no link to another file, no data outside it.
Filters that h5py lacks come from the package hdf5plugin, where it is installed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from freegaze.errors import DataError
from freegaze.files.arrays import (
    CHUNK_BYTES,
    UNREADABLE,
    check_expansion,
    is_plain_dtype,
    parsing,
    unreadable,
)
from freegaze.files.hdf5_scan import check_hdf5, look_through

_FILTERS = (1, 2, 3, 32000)
"""deflate, shuffle, fletcher32 and h5py's lzf; others come from hdf5plugin."""
_FILTER_NAMES = {
    307: "bzip2",
    32001: "blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32026: "blosc2",
    32017: "SZ",
    32018: "FCIDECOMP",
}
_FILTER_REMEDY = "install it with `pip install hdf5plugin` (part of `freegaze[nwb]`)"
_NO_FILTER = (
    "the installed hdf5plugin lacks it: `pip install --upgrade hdf5plugin`, or write the file with "
    "gzip"
)
_MAX_DEPTH = 8
_MAX_OBJECTS = 100_000
"""Groups may hold each other in a circle; recordings hold some hundred arrays."""
_MAX_NAMES = 1000


@dataclass(frozen=True, slots=True)
class Hdf5Header:
    """Shape and type of an array according to the file.

    Args:
        shape: Length of each axis.
        dtype: Type of one element, in the file's byte order.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Hdf5Reader:
    """An open HDF5 file: nested groups as paths ``a/b/c``, arrays read on demand.

    Args:
        path: The file.

    Attributes:
        headers: Shape and type of each plain array by its path.
        unread: Reason for not reading each other object, by its path.

    Raises:
        DataError: If it is no HDF5 file, or damaged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.h5"
        >>> with h5py.File(path, "w") as file:
        ...     file["mouse/speed"] = np.arange(3)
        >>> with Hdf5Reader(path) as file:
        ...     file.headers["mouse/speed"].shape, file.read("mouse/speed").tolist()
        ((3,), [0, 1, 2])
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.headers: dict[str, Hdf5Header] = {}
        self.unread: dict[str, str] = {}
        self._names: set[str] = set()
        self._n_objects = 0
        look_through(path)  # arrays in other files are refused when they are read
        with parsing(path), ExitStack() as stack:
            self._file = stack.enter_context(h5py.File(path, "r", locking="best-effort"))
            self._walk(self._file, "")
            stack.pop_all()  # left open unless the walk fails

    def __enter__(self) -> Hdf5Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def groups(self, within: str = "") -> list[str]:
        """Return the names of the groups directly in a group (by default in the file)."""
        return sorted({name.split("/", 1)[0] for name in self._inside(within) if "/" in name})

    def keys(self, within: str = "") -> list[str]:
        """Return the names of the plain arrays directly in a group."""
        return [name for name in self._inside(within) if "/" not in name]

    def read(self, name: str) -> np.ndarray:
        """Read one array into memory, in native byte order.

        Raises:
            DataError: If it is not there, is not plain, or is damaged.
        """
        dataset = self.on_disk(name)
        with parsing(self.path):
            array = np.asarray(dataset[()])
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def chunks(self, name: str) -> Iterator[np.ndarray]:
        """Read one array in consecutive pieces along its first axis, of about 16 MiB.

        Raises:
            DataError: In the same cases as ``read``.
        """
        header = self._header(name)
        row_bytes = max(1, math.prod(header.shape[1:]) * header.dtype.itemsize)
        rows = max(1, CHUNK_BYTES // row_bytes)
        dataset = self.on_disk(name)
        for start in range(0, header.shape[0], rows):
            with parsing(self.path):
                piece = np.asarray(dataset[start : start + rows])
            yield piece.astype(piece.dtype.newbyteorder("="), copy=False)

    def on_disk(self, name: str) -> h5py.Dataset:
        """Return one array to be read in pieces while this reader is open.

        Raises:
            DataError: In the same cases as ``read``.
        """
        self._header(name)
        with parsing(self.path):
            dataset = self._file[name]
            assert isinstance(dataset, h5py.Dataset)
            check_dataset(dataset)
            return dataset

    def read_names(self, name: str) -> tuple[str, ...] | None:
        """Read a short list of text, such as the labels of an axis; it is no plain array.

        Returns:
            The texts, ``None`` where there is no such list of this name.

        Raises:
            DataError: If it is damaged.
        """
        if name not in self._names:
            return None
        with parsing(self.path):
            dataset = self._file[name]
            assert isinstance(dataset, h5py.Dataset)
            return tuple(str(text) for text in dataset.asstr()[()])

    def _header(self, name: str) -> Hdf5Header:
        if name in self.unread:
            raise DataError(f"{self.path}: {name} cannot be used: {self.unread[name]}")
        if name not in self.headers:
            raise DataError(f"{self.path} holds no array {name!r}")
        return self.headers[name]

    def _inside(self, group: str) -> list[str]:
        start = f"{group}/" if group else ""
        return [n.removeprefix(start) for n in self.headers if n.startswith(start)]

    def _walk(self, group: h5py.Group, path: str, depth: int = 0) -> None:
        for key in map(str, group):
            self._n_objects += 1
            name = f"{path}/{key}" if path else key
            if depth >= _MAX_DEPTH or self._n_objects > _MAX_OBJECTS:
                raise DataError(
                    f"{self.path}: {name} lies deeper than {_MAX_DEPTH} groups, or there are more "
                    f"than {_MAX_OBJECTS} arrays; no recording of a known format looks like that"
                )
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                self.unread[name] = "it is a link; store the array itself"
                continue
            item = group[key]
            if isinstance(item, h5py.Group):
                self._walk(item, name, depth + 1)
            elif isinstance(item, h5py.Dataset):
                self._enter(name, item)

    def _enter(self, name: str, dataset: h5py.Dataset) -> None:
        try:
            shape, dtype = dataset.shape, dataset.dtype
            is_text = h5py.check_string_dtype(dtype) is not None
            if is_text and shape is not None and len(shape) == 1 and shape[0] <= _MAX_NAMES:
                is_elsewhere = dataset.is_virtual or dataset.external
                self._names |= set() if is_elsewhere else {name}
            if shape is None or not is_plain_dtype(dtype) or dtype.kind == "U":
                self.unread[name] = f"expected plain numbers, got {dtype}"
                return
            missing = missing_filter(dataset)
            if dataset.is_virtual or dataset.external:
                self.unread[name] = "its values lie in another file; store the array itself"
            elif missing is not None:
                self.unread[name] = f"it is {missing}"
            else:
                self.headers[name] = Hdf5Header(tuple(int(n) for n in shape), dtype)
        except UNREADABLE as error:
            self.unread[name] = " ".join(str(error).split())[:200] or type(error).__name__


@contextmanager
def opened_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file of more than plain arrays, every part of which lies in the file itself.

    Read its arrays with ``read_whole``.

    Args:
        path: The file.

    Raises:
        DataError: If it is no HDF5 file, damaged, or a part lies in another file.
    """
    check_hdf5(path)
    with h5py.File(path, "r", locking="best-effort") as file:
        yield file


def read_whole(dataset: Any) -> np.ndarray:
    """Read an array of an open file into memory, unless it is far larger than what is stored.

    Args:
        dataset: The array in the file; one that is in memory already comes back as it is.

    Raises:
        DataError: If it is too large to be genuine.
    """
    if not isinstance(dataset, h5py.Dataset):
        return np.asarray(dataset)
    check_dataset(dataset)
    try:
        return np.asarray(dataset[()])
    except OSError as error:
        raise _undecodable(dataset, error) from None


def _added_filters(dataset: h5py.Dataset) -> list[int]:
    """Return the filters of a data set that h5py does not bring along."""
    plist = dataset.id.get_create_plist()
    codes = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    return [code for code in codes if code not in _FILTERS]


def missing_filter(dataset: h5py.Dataset) -> str | None:
    """Return which filter of a data set cannot be decoded, and the remedy; ``None`` if all can."""
    for code in _added_filters(dataset):
        remedy = _NO_FILTER if load_filters() else _FILTER_REMEDY
        if not h5py.h5z.filter_avail(code):
            return f"{_filter_name(code)}; {remedy}"
    return None


def load_filters() -> bool:
    """Make the filters of hdf5plugin known to h5py; return whether that package is installed."""
    if find_spec("hdf5plugin") is None:
        return False
    import_module("hdf5plugin")  # registers its filters
    return True


def _filter_name(code: int) -> str:
    name = _FILTER_NAMES.get(code, "a filter of its own")
    return f"compressed by {name} (HDF5 filter {code}), which h5py does not bring along"


def _undecodable(dataset: h5py.Dataset, error: OSError) -> DataError:
    """Turn what h5py raised on reading a data set into one line."""
    path, name = Path(dataset.file.filename), (dataset.name or "").lstrip("/")
    added = _added_filters(dataset)
    if not added:
        return unreadable(path, error)
    what = " ".join(str(error).split())[:100]
    return DataError(
        f"{path}: {name} is {_filter_name(added[0])}, and cannot be decoded ({what}); update the "
        "package hdf5plugin, or write the file with gzip"
    )


def check_dataset(dataset: h5py.Dataset) -> None:
    """Make sure that an array is not far larger than what the file stores of it.

    Raises:
        DataError: If it is.
    """
    n_stored = min(dataset.id.get_storage_size(), dataset.file.id.get_filesize())
    n_bytes = math.prod(dataset.shape or (0,)) * dataset.dtype.itemsize
    n_chunk = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    where = f"{dataset.file.filename}: {(dataset.name or '').lstrip('/')}"
    missing = missing_filter(dataset)
    if missing is not None:
        raise DataError(f"{where} is {missing}")
    check_expansion(where, n_stored, max(n_bytes, n_chunk))
