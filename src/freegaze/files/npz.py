"""Read ``.npz`` files that may be damaged or malicious, headers first."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from freegaze.errors import DataError
from freegaze.files.arrays import (
    ArrayHeader,
    check_expansion,
    check_size,
    parse_header,
    parsing,
    read_data,
)


class NpzReader:
    """An open ``.npz`` whose headers have been checked and whose arrays are read on demand.

    Args:
        path: The file.

    Attributes:
        headers: Shape and type of each array by name.

    Raises:
        DataError: If it is no ``.npz``, damaged, or an array's header and size disagree.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.npz"
        >>> np.savez(path, x=np.arange(3))
        >>> with NpzReader(path) as file:
        ...     file.headers["x"].shape, file.read("x").tolist()
        ((3,), [0, 1, 2])
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.headers: dict[str, ArrayHeader] = {}
        self._members: dict[str, zipfile.ZipInfo] = {}
        with parsing(path):
            self._zip = zipfile.ZipFile(path)
        try:
            for member in self._zip.infolist():
                self._enter(member)
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> NpzReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def read(self, name: str) -> np.ndarray:
        """Read one array into memory, in native byte order.

        Args:
            name: Name of the array, without ``.npy``.

        Raises:
            DataError: If it is not there, or damaged.
        """
        if name not in self.headers:
            raise DataError(f"{self.path} holds no array {name!r}")
        with parsing(self.path), self._open(self._members[name]) as file:
            header = parse_header(file)
            array = read_data(file, header, f"{self.path}: {name}")
            if file.read(1):  # reading to the end makes zipfile compare the checksum
                raise ValueError(f"{name} is longer than its header says")
            return array

    def rows(self, name: str) -> Iterator[np.ndarray]:
        """Read an array piece by piece along its first axis, for arrays larger than memory.

        Args:
            name: Its name, without ``.npy``; the last axis varies fastest.

        Raises:
            DataError: If it is not there, or damaged.
        """
        if name not in self.headers:
            raise DataError(f"{self.path} holds no array {name!r}")
        with parsing(self.path), self._open(self._members[name]) as file:
            header = parse_header(file)
            if header.is_fortran:
                raise ValueError(f"{name} is not stored row by row")
            row = replace(header, shape=header.shape[1:])
            for _ in range(header.shape[0]):
                yield read_data(file, row, f"{self.path}: {name}")

    def _open(self, member: zipfile.ZipInfo) -> io.BufferedIOBase:
        return cast(io.BufferedIOBase, self._zip.open(member))  # a ZipExtFile, which is one

    def _enter(self, member: zipfile.ZipInfo) -> None:
        name = member.filename.removesuffix(".npy")
        where = f"{self.path}: {name}"
        if name in self.headers or name == member.filename:
            raise DataError(f"{where}: an .npz holds each NAME.npy once and nothing else")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{where}: unknown compression; write it with np.savez_compressed")
        with parsing(self.path), self._open(member) as file:
            header = parse_header(file)
        check_size(header, member.file_size, where)
        check_expansion(where, member.compress_size, header.n_bytes)
        self.headers[name] = header
        self._members[name] = member


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of a ``.npz`` by name.

    Raises:
        DataError: In the same cases as ``NpzReader``.
    """
    with NpzReader(path) as file:
        return {name: file.read(name) for name in file.headers}
