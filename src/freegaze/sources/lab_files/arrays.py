"""Arrays of files that hold one or several: ``.npy``, ``.npz``, ``.mat`` and HDF5."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from freegaze.errors import DataError
from freegaze.files.arrays import map_npy
from freegaze.files.hdf5 import Hdf5Reader
from freegaze.files.npz import NpzReader
from freegaze.registry import require_name
from freegaze.sources.lab_files.matlab import read_mat

_HDF5 = (".h5", ".hdf5", ".nc")


def read_array(file: Path, variable: str | None) -> np.ndarray:
    """Read one array; the array of an ``.npy`` is mapped into memory.

    Args:
        file: The file.
        variable: Name of the array; it may be left out if there is only one.

    Raises:
        DataError: If the file is missing or damaged, or it is unclear which array is meant.
    """
    ending = file.suffix.lower()
    if ending == ".mat":
        arrays = read_mat(file)
        return arrays[_pick(list(arrays), variable, file)]
    if ending == ".npz":
        with NpzReader(file) as reader:
            return reader.read(_pick(list(reader.headers), variable, file))
    if ending in _HDF5:
        with Hdf5Reader(file) as store:
            return store.read(_pick(list(store.headers), variable, file))
    if variable is not None:
        raise DataError(f"{file} holds one array without a name; leave out `variable`")
    return map_npy(file)


def _pick(known: list[str], variable: str | None, file: Path) -> str:
    if variable is None and len(known) == 1:
        return known[0]
    if variable is None:
        there = ", ".join(known[:9]) or "none"
        raise DataError(f"{file} holds {len(known)} arrays ({there}); state `variable`")
    require_name(variable, known, f"{file} holds no array")
    return variable
