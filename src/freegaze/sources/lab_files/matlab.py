"""Variables of ``.mat`` files, of MATLAB's versions 4 to 7 (scipy) and 7.3 (HDF5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.sparse import issparse

from freegaze.errors import DataError
from freegaze.files.arrays import check_expansion, parsing
from freegaze.files.hdf5 import opened_hdf5, read_whole

_DEPTH = 4
"""Deepest level of structures in structures that is read."""

_HIDDEN = ("#refs#", "#subsystem#")


def read_mat(file: Path) -> dict[str, np.ndarray]:
    """Read the numeric and text variables of a ``.mat`` file.

    Fields of a structure are named ``structure.field``. Cell arrays of numbers come back as arrays
    of type object with one array per cell.

    Args:
        file: The file.

    Raises:
        DataError: If the file is missing or damaged, or holds no such variable.
    """
    with parsing(file):
        with file.open("rb") as stream:
            is_hdf5 = b"MATLAB 7.3" in stream.read(128)
        found = _read_hdf5(file) if is_hdf5 else _read_old(file)
    if not found:
        raise DataError(
            f"{file} holds no variable of numbers; MATLAB's tables, times and objects must "
            "be saved as structures: s = table2struct(T, 'ToScalar', true)"
        )
    return found


def _read_old(file: Path) -> dict[str, np.ndarray]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        variables = loadmat(file, simplify_cells=True)
    except (MatReadError, NotImplementedError) as error:
        raise ValueError(str(error)) from None
    return dict(_flat({k: v for k, v in variables.items() if not k.startswith("__")}, ""))


def _flat(values: dict[str, Any], path: str, depth: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    for key, value in values.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            if depth < _DEPTH:
                yield from _flat(value, name, depth + 1)
        elif isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
            for field in value[0]:  # an array of structures, which share their fields
                yield f"{name}.{field}", _cells([np.asarray(item[field]) for item in value])
        elif isinstance(value, list):
            yield name, _cells([np.asarray(item) for item in value])
        elif issparse(value):
            yield name, _dense(value, name)
        else:
            array = np.asarray(value)
            if array.dtype.kind == "O" and all(isinstance(v, np.ndarray) for v in array.flat):
                yield name, _cells(list(array.flat))
            elif array.dtype.kind in "biufU":
                yield name, array


def _dense(matrix: Any, name: str) -> np.ndarray:
    """Return a sparse matrix as an array, unless this needs an absurd amount of memory."""
    stored = matrix.data.nbytes + matrix.indices.nbytes
    check_expansion(f"the sparse {name}", stored, int(np.prod(matrix.shape)) * 8)
    return matrix.toarray()


def _read_hdf5(file: Path) -> dict[str, np.ndarray]:
    with opened_hdf5(file) as store:
        return dict(_flat_hdf5(store, store, ""))


def _flat_hdf5(
    store: h5py.File, group: h5py.Group, path: str, depth: int = 0
) -> Iterator[tuple[str, np.ndarray]]:
    for key in map(str, group):
        item: Any = group[key]
        name = f"{path}.{key}" if path else key
        kind = _text(item.attrs.get("MATLAB_class", b""))
        if key in _HIDDEN:
            continue
        if isinstance(item, h5py.Group):
            if depth < _DEPTH:
                yield from _flat_hdf5(store, item, name, depth + 1)
        elif item.dtype.kind == "O" and kind == "cell":
            parts: list[Any] = [store[reference] for reference in read_whole(item).reshape(-1)]
            if all(isinstance(p, h5py.Dataset) and p.dtype.kind in "biuf" for p in parts):
                yield name, _cells([_column(read_whole(p), p) for p in parts])
        elif item.dtype.kind in "biuf" and kind != "char":
            yield name, _column(read_whole(item), item)
        elif kind == "char":
            yield name, np.array("".join(map(chr, read_whole(item).reshape(-1).tolist())))


def _column(values: np.ndarray, item: h5py.Dataset) -> np.ndarray:
    """Return an array in MATLAB's order of axes; vectors have one axis, as scipy gives them."""
    if "MATLAB_empty" in item.attrs:
        return np.empty(0)
    values = values.T
    return values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values


def _cells(parts: list[np.ndarray]) -> np.ndarray:
    cells = np.empty(len(parts), object)
    for i, part in enumerate(parts):
        cells[i] = part
    return cells


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
