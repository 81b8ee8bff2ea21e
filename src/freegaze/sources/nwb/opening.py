"""Opening of NWB files, with a message of one line for each failure."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py

from freegaze.errors import DataError, DataWarning, FreegazeError
from freegaze.files.arrays import unreadable
from freegaze.files.hdf5 import check_dataset, load_filters
from freegaze.files.hdf5_scan import check_hdf5
from freegaze.sources.nwb.zarr_store import is_zarr, opened_zarr
from freegaze.sources.remote.blocks import BlockFile, address_of, open_blocks
from freegaze.sources.remote.hdf5 import check_remote_hdf5

_NO_NAMESPACE = re.compile(r"'([^']+)' not a namespace")
_NO_TYPE = "No data_type found for builder root"
_MOST_LEFT_OUT = 20
"""A file with more objects that pynwb refuses counts as damaged."""


def require_pynwb() -> Any:
    """Import pynwb only when it is used, since this takes a second.

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
    """Yield the open file and its root; any error of parsing becomes a ``DataError``.

    Args:
        path: The file.
        mode: ``r`` to read, ``a`` to add to it.

    Raises:
        DataError: If pynwb is missing, or the file is damaged or no NWB file.
    """
    pynwb = require_pynwb()
    address = address_of(path)
    blocks: BlockFile | None = None
    if is_zarr(path):
        if mode != "r":
            raise DataError(f"{path} is in Zarr, to which nothing is added; write a new file")
    elif address is None:
        check_hdf5(path)
    else:
        check_remote_hdf5(path)
    load_filters()  # pynwb reads data sets by itself
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pynwb comments on other versions and old layouts
            warnings.simplefilter("always", DataWarning)
            with ExitStack() as stack:
                if is_zarr(path):
                    io = stack.enter_context(opened_zarr(path))
                elif address is None:
                    io = stack.enter_context(pynwb.NWBHDF5IO(str(path), mode))
                else:
                    blocks = stack.enter_context(open_blocks(path))
                    file = stack.enter_context(h5py.File(blocks, "r"))
                    io = stack.enter_context(pynwb.NWBHDF5IO(file=file, mode="r"))
                yield io, _read_what_fits(io, path) if mode == "r" else io.read()
    except Exception as error:
        if blocks is not None and blocks.failure is not None:
            raise blocks.failure from None  # h5py replaces it by an error of its own
        raise _refused(path, error) from error


def _refused(path: Path, error: Exception) -> Exception:
    """Turn the errors of hdmf on broken files, which have many types, into one line."""
    if isinstance(error, FreegazeError):
        return error
    extension = _NO_NAMESPACE.search(str(error))
    if extension:
        return DataError(
            f"{path} needs the NWB extension {extension[1]}, which is neither in the file nor "
            f"installed; install it, usually by `pip install {extension[1]}`"
        )
    if _NO_TYPE in str(error):
        return DataError(
            f"{path} is an HDF5 file, but none of NWB 2, as its root has no neurodata type; write "
            "it again with pynwb if it is of NWB 1"
        )
    return unreadable(path, error)


def _read_what_fits(io: Any, path: Path) -> Any:
    """Read a file without objects that pynwb refuses, such as timestamps of shape (2, n)."""
    from hdmf.build import ConstructError

    root = io.read_builder()
    for _ in range(_MOST_LEFT_OUT):
        try:
            return io.manager.construct(root)
        except ConstructError as error:
            broken = error.args[0]
            if broken.parent is None or broken.parent is root:
                raise
            broken.parent.groups.pop(broken.name, None)
            broken.parent.pop(broken.name, None)
            warnings.warn(
                f"{path}: {broken.path.removeprefix('root/')} is left out, as pynwb refuses it "
                f"({' '.join(str(error.args[-1]).split())})",
                DataWarning,
                stacklevel=6,
            )
    return io.manager.construct(root)


def check_columns(table: Any, *names: str) -> Any:
    """Check that columns of a table are not far larger than their stored bytes.

    Args:
        table: A table of an open file; columns in memory already are not checked.
        names: Columns of the table that will be read; all by default.

    Returns:
        The table.

    Raises:
        DataError: If a column is.
    """
    for column in (table.id, *table.columns):
        name = column.name.removesuffix("_index")  # ragged columns have one
        is_read = column is table.id or not names or name in names
        if is_read and isinstance(column.data, h5py.Dataset):
            check_dataset(column.data)
    return table
