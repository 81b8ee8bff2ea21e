"""NWB files in Zarr: folders of chunks, as hdmf-zarr writes them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from freegaze.errors import DataError
from freegaze.files.arrays import check_expansion
from freegaze.files.plain_pickle import load_plain

_GROUP, _ARRAY, _ATTRIBUTES, _THIRD = ".zgroup", ".zarray", ".zattrs", "zarr.json"
_PICKLE = "pickle"
_HERE = "."
_MOST_OBJECTS = 100_000


def is_zarr(path: Path) -> bool:
    """Return whether a path is a folder of Zarr, of any version."""
    return path.is_dir() and any((path / name).is_file() for name in (_GROUP, _THIRD))


@contextmanager
def opened_zarr(path: Path) -> Iterator[Any]:
    """Give the reader of an NWB file in Zarr.

    Objects that earlier versions of hdmf-zarr pickled are read as plain values; nothing is run.

    Args:
        path: The folder.

    Raises:
        DataError: If hdmf-zarr is missing, or the folder is damaged, of version 3, or names parts
            that lie elsewhere.
    """
    _check(path)
    try:
        from hdmf_zarr import NWBZarrIO  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DataError(
            f"{path} is an NWB file in Zarr; install its reader with `pip install "
            "freegaze[nwb-zarr]`"
        ) from None
    with _plain_pickles(), NWBZarrIO(path=str(path), mode="r") as io:
        yield io


def _check(path: Path) -> None:
    """Look through names, links and sizes before any other code opens the folder."""
    if (path / _THIRD).is_file():
        raise DataError(
            f"{path} is written in Zarr 3, which hdmf-zarr below 0.14 does not read; write it with "
            "`zarr_format=2`"
        )
    for n, file in enumerate(sorted(path.rglob(".z*"))):
        if n > _MOST_OBJECTS:
            raise DataError(f"{path} holds more than {_MOST_OBJECTS} objects, as no NWB file does")
        if file.name == _ATTRIBUTES:
            links = _read(file).get("zarr_link", [])
            if any(link.get("source", _HERE) != _HERE for link in links):
                raise DataError(
                    f"{file.parent}: a part lies in another file; export the file whole, without "
                    "links"
                )
        elif file.name == _ARRAY:
            header = _read(file)
            stored = sum(chunk.stat().st_size for chunk in file.parent.rglob("*"))
            size = math.prod(int(length) for length in header["shape"])
            check_expansion(str(file.parent), stored, size * _item_bytes(header["dtype"]))


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (ValueError, OSError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{file} is damaged; copy the folder again")
    return found


def _item_bytes(dtype: Any) -> int:
    """Return the size of an element; structured types are lists of fields."""
    if isinstance(dtype, list):
        return sum(_item_bytes(field[1]) for field in dtype)
    return np.dtype(dtype).itemsize


@contextmanager
def _plain_pickles() -> Iterator[None]:
    """Let numcodecs decode pickled objects as plain values, as it refuses or runs them itself."""
    from numcodecs.registry import codec_registry  # pyright: ignore[reportMissingImports]

    before = codec_registry.get(_PICKLE)
    codec_registry[_PICKLE] = _plain_codec()
    try:
        yield
    finally:
        if before is None:
            del codec_registry[_PICKLE]
        else:
            codec_registry[_PICKLE] = before


def _plain_codec() -> Any:
    from numcodecs.abc import Codec  # pyright: ignore[reportMissingImports]

    class PlainPickle(Codec):
        """Decoder of pickled objects that runs nothing."""

        codec_id = _PICKLE

        def __init__(self, **_: Any) -> None:
            pass

        def encode(self, buf: Any) -> Any:
            raise DataError("objects are not pickled")

        def decode(self, buf: Any, out: Any = None) -> Any:
            found = load_plain(bytes(memoryview(buf)), _REFERENCES)
            if out is None:
                return found
            np.copyto(out, found)
            return out

    return PlainPickle


class _PlainDict:
    """Makes a dictionary, such as hdmf-zarr's references are; a pickle cannot change it."""

    __slots__ = ()

    def __call__(self, *items: Any) -> dict[Any, Any]:
        return dict(*items)


_REFERENCES = {("hdmf_zarr.utils", "ZarrReference"): _PlainDict()}
