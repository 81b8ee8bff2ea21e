"""Conversion of arrays from files of laboratories into the arrays of a ``Recording``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.registry import require_names
from freegaze.sources.remote.addresses import as_address

_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|\ud800-\udfff]+")
_LONGEST_NAME = 100
"""Number of bytes. File systems allow 255, including endings such as ``_quality.html``."""


@contextmanager
def errors_name(path: Path | str) -> Iterator[None]:
    """Put a file's name before the message of any ``DataError`` raised inside.

    A message that already names the file, or another one in its folder, does not change.
    """
    try:
        yield
    except DataError as error:
        folder = Path(path).parent
        is_whole = folder == Path() or as_address(path) is not None
        named = str(path if is_whole else folder)
        if str(error).startswith(named):
            raise
        raise type(error)(f"{path}: {error}") from None


def safe_name(text: str, otherwise: str) -> str:
    """Return a name that any file system allows as the name of one folder.

    Args:
        text: Free text, such as a session id with slashes.
        otherwise: Name to return if nothing is left of it.

    Example:
        >>> safe_name("2021/07/09 J553RT", "a"), safe_name("../..", "a")
        ('2021_07_09 J553RT', 'a')
    """
    name = _UNSAFE.sub("_", text).strip(". _")
    if len(name.encode()) > _LONGEST_NAME:
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]  # tells long names apart
        name = f"{name.encode()[:_LONGEST_NAME].decode(errors='ignore')}_{digest}"
    return name or otherwise


def is_file(path: Path) -> bool:
    """Return whether a file exists; a path that the system does not allow does not exist."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def to_float32(array: np.ndarray, where: str) -> np.ndarray:
    """Return numbers as float32.

    Args:
        array: Any array.
        where: Name of the array, for the message.

    Raises:
        DataError: If it contains text or truth values.
    """
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{where}: expected numbers, got {array.dtype}; write floats, NaN where lost"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # too large becomes inf, refused later
        return np.ascontiguousarray(array, dtype=np.float32)


def to_column(array: np.ndarray, where: str) -> np.ndarray:
    """Return one signal as float32 of shape (time,); (time, 1) is accepted.

    Raises:
        ShapeError: If it has another shape.
        DataError: If it holds no numbers.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ShapeError(f"{where}: expected one number per bin, got shape {array.shape}")
    return to_float32(array, where)


def to_gray(frames: np.ndarray, where: str, remedy: str = "scale to 0..255") -> np.ndarray:
    """Return video as uint8, without changing its values.

    Args:
        frames: Shape (time, height, width); uint8, or numbers that are whole and in 0..255.
        where: Name of the array, for the message.
        remedy: Remedy for other values.

    Raises:
        ShapeError: If it has another shape, or frames have no pixels.
        DataError: If values would change: scale the video to 0..255 first.
    """
    if frames.ndim != 3 or 0 in frames.shape[1:]:
        raise ShapeError(
            f"{where}: expected (time, height, width) of gray video, got {frames.shape}"
        )
    if frames.dtype == np.uint8:
        return frames
    if frames.dtype.kind in "iuf" and frames.size:
        low, high = frames.min(), frames.max()
        if low >= 0 and high <= 255 and (frames == np.floor(frames)).all():
            return frames.astype(np.uint8)
        found = f"{frames.dtype} from {low:g} to {high:g}"
        if np.isnan(low):
            found, remedy = f"{frames.dtype} with NaN", "leave these frames out"
    else:
        found = str(frames.dtype)
    raise DataError(f"{where}: expected gray values 0..255 (uint8), got {found}; {remedy}")


def to_index(array: np.ndarray, where: str) -> np.ndarray:
    """Return whole numbers, one per bin, as int64 of shape (time,).

    Raises:
        ShapeError: If it has another shape.
        DataError: If a number is not whole.
    """
    if array.ndim != 1:
        raise ShapeError(f"{where}: expected one whole number per bin, got shape {array.shape}")
    if array.dtype.kind in "iu":
        if len(array) and int(array.max()) > np.iinfo(np.int64).max:
            raise DataError(f"{where}: {array.max()} is too large a number")
        return array.astype(np.int64)
    is_whole = array.dtype.kind == "f" and (np.abs(array) < 2**53).all()
    if not is_whole or (array != np.round(array)).any():
        raise DataError(f"{where}: expected whole numbers, got {array.dtype} with other values")
    return array.astype(np.int64)


def to_scalar(array: np.ndarray, where: str) -> float:
    """Return a single number.

    Raises:
        DataError: If there is not exactly one.
    """
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise DataError(f"{where}: expected one number, got {array.dtype} of shape {array.shape}")
    return float(array.reshape(-1)[0])


def to_names(array: np.ndarray, where: str) -> tuple[str, ...]:
    """Return names, shape (n,), as text.

    Raises:
        DataError: If they are no text.
    """
    if array.ndim != 1 or array.dtype.kind not in "U":
        raise DataError(
            f"{where}: expected a list of names (text), got {array.dtype} of shape {array.shape}"
        )
    return tuple(str(name) for name in array)


def kept_columns(names: Sequence[str], leave_out: Sequence[str]) -> list[str]:
    """Return the behavior columns that are not left out, in order.

    Raises:
        DataError: If there is no column of a name to leave out; the message lists the nearest.
    """
    require_names(leave_out, names, "leave_out: no behavior column")
    return [name for name in names if name not in leave_out]


def name_units(ids: np.ndarray | None, n_neurons: int, where: str) -> tuple[str, ...]:
    """Name neurons by the file's own names or numbers; by their order where there are none.

    Args:
        ids: Shape (n_neurons,), or ``None``.
        n_neurons: Number of neurons.
        where: Name of the array, for the message.

    Raises:
        ShapeError: If there is not one name per neuron.
    """
    names = np.arange(n_neurons) if ids is None else ids
    if names.shape != (n_neurons,):
        raise ShapeError(
            f"{where} has shape {names.shape}, expected one name or number for {n_neurons} units"
        )
    return tuple(map(str, names.tolist()))


def stack_columns(
    columns: Mapping[str, np.ndarray], n_bins: int, where: str, leave_out: Mapping[str, str]
) -> np.ndarray:
    """Stack behavior signals, (time, column), float32.

    Args:
        columns: Each signal by its key in the file.
        n_bins: Number of bins.
        where: File and group, for messages.
        leave_out: Our name of each key; the option ``leave_out`` takes these names.

    Raises:
        ShapeError: If a signal has another length.
        DataError: If it holds no numbers, or only NaN.
    """
    stacked = np.empty((n_bins, len(columns)), np.float32)
    for i, (key, array) in enumerate(columns.items()):
        column = to_column(array, f"{where}/{key}")
        if len(column) != n_bins:
            raise ShapeError(f"{where}/{key} has {len(column)} values, expected {n_bins} bins")
        if np.isnan(column).all():
            raise DataError(
                f"{where}/{key}: NaN throughout; restore it, or leave the column out "
                f"(`leave_out: [{leave_out[key]}]`)"
            )
        stacked[:, i] = column
    return stacked
