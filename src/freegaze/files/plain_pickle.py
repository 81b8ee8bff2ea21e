"""Plain values of pickles: numbers, text, lists, dictionaries and numpy arrays. Nothing is run.

Programs of this field keep dictionaries in ``.npy`` files, which numpy pickles. Python's own reader
of pickles calls whatever function the file names. Here a file can name none: each name stands for a
maker of plain values below, and what has no maker is left out.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from freegaze.errors import DataError
from freegaze.files.arrays import parsing, raw_header

_KINDS = "biufcSUO"
_LARGEST_ITEM = 1 << 16


class Unread:
    """Stands for a value of a pickle that is no plain value."""

    __slots__ = ()

    def __call__(self, *_: object) -> Unread:
        """Stand for what a function would have made of such a value."""
        return self

    def __setstate__(self, state: object) -> None:
        """Forget the state of an object that is not read."""

    def append(self, item: object) -> None:
        """Forget an item."""

    def extend(self, items: object) -> None:
        """Forget items."""

    def __setitem__(self, key: object, value: object) -> None:
        """Forget an entry."""


UNREAD = Unread()


def read_pickled_npy(path: Path) -> Any:
    """Read the value that ``numpy.save`` pickled, such as a dictionary.

    Args:
        path: An ``.npy`` file of Python objects.

    Returns:
        The value; parts of other types are ``UNREAD``. An array of one object is that object.

    Raises:
        DataError: If the file is missing, damaged, or holds plain numbers.

    Example:
        >>> np.save("ops.npy", np.array({"fs": 30.0}))
        >>> read_pickled_npy(Path("ops.npy"))["fs"]
        30.0
    """
    with parsing(path), path.open("rb") as file:
        _, _, dtype = raw_header(file)
        if not dtype.hasobject:
            raise DataError(f"{path} holds an array of {dtype}, expected a dictionary")
        value = load_plain(file.read())
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value.item()
    return value


def load_plain(content: bytes, names: Mapping[tuple[str, str], Any] | None = None) -> Any:
    """Return the plain values of a pickle.

    Args:
        content: The pickle.
        names: Makers of further values, by module and name; each an object that cannot be changed.

    Raises:
        ValueError: If the pickle is damaged.
    """
    try:
        found = _PlainUnpickler(content, names or {}).load()
    except pickle.PickleError as error:
        raise ValueError(str(error)) from None
    return _resolved(found, {})


_Unpickler: Any = pickle._Unpickler  # pyright: ignore[reportAttributeAccessIssue]
"""Reader of pickles in Python; that in C takes memory for any number that a file states."""


class _PlainUnpickler(_Unpickler):
    """Reader of pickles that finds no function or class but those of ``_MAKERS``."""

    dispatch: ClassVar = dict(_Unpickler.dispatch)

    def __init__(self, content: bytes, names: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")  # bytes as Python 2 pickled them
        self._makers = {**_MAKERS, **names}

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
        return self._makers.get((module, name), UNREAD)

    def _load_new(self) -> None:
        """Call what stands for a class, as a pickle makes an object of it."""
        args = self.stack.pop()
        self.stack.append(self.stack.pop()(*args))

    dispatch[pickle.NEWOBJ[0]] = _load_new


class _Dtype:
    """Type of an array: its name, and the byte order that its state adds."""

    __slots__ = ("name", "order")

    def __init__(self, name: object) -> None:
        self.name, self.order = str(name), "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = str(state[1])

    def dtype(self) -> np.dtype[Any] | None:
        """Return the type, ``None`` if it is none of numbers, text or objects."""
        dtype = np.dtype(self.name)
        if dtype.kind not in _KINDS or dtype.itemsize > _LARGEST_ITEM:
            return None
        return dtype.newbyteorder(self.order) if self.order in ("<", ">", "=") else dtype


class _Array:
    """An array that a later state of the pickle fills."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Any = UNREAD

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, content = state
        self.value = _array(content, dtype, shape, "F" if is_fortran else "C")


class _Maker:
    """A function of ours that stands for one that a pickle names; a pickle cannot change it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __setattr__(self, name: str, value: object) -> None:
        raise ValueError(f"a pickle that would change {name}")


def _array(content: Any, dtype: Any, shape: Any, order: str) -> Any:
    kind = dtype.dtype() if isinstance(dtype, _Dtype) else None
    if kind is None:
        return UNREAD
    sizes = tuple(int(n) for n in shape)
    if kind.kind == "O":
        if len(content) != math.prod(sizes):
            raise ValueError(f"an array of shape {sizes} of {len(content)} objects")
        cells = np.empty(len(content), object)
        for i, item in enumerate(content):
            cells[i] = item
        return cells.reshape(sizes, order=order)  # pyright: ignore[reportCallIssue, reportArgumentType]
    plain = np.frombuffer(_as_bytes(content), kind)
    return plain.reshape(sizes, order=order).copy()  # pyright: ignore[reportCallIssue, reportArgumentType]


def _scalar(dtype: Any, content: Any = None) -> Any:
    found = _array(content, dtype, (1,), "C") if content is not None else UNREAD
    return found[0] if isinstance(found, np.ndarray) else UNREAD


def _as_bytes(content: Any) -> bytes:
    return content.encode("latin1") if isinstance(content, str) else bytes(memoryview(content))


def _encoded(text: str, _: str = "latin1") -> bytes:
    return str(text).encode("latin1")


_MAKERS: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _Maker(lambda name, *_: _Dtype(name)),
    ("numpy.core.multiarray", "_reconstruct"): _Maker(lambda *_: _Array()),
    ("numpy.core.multiarray", "scalar"): _Maker(_scalar),
    ("numpy.core.numeric", "_frombuffer"): _Maker(
        lambda content, dtype, shape, order: _array(content, dtype, shape, str(order))
    ),
    ("_codecs", "encode"): _Maker(_encoded),
    ("collections", "OrderedDict"): _Maker(lambda *items: dict(*items)),
    ("builtins", "bytes"): _Maker(lambda *content: _as_bytes(*content) if content else b""),
    ("builtins", "bytearray"): _Maker(lambda *content: _as_bytes(*content) if content else b""),
    ("builtins", "list"): _Maker(lambda *items: list(*items)),
    ("builtins", "set"): _Maker(lambda *items: list(*items)),
}
"""What stands for each name that pickles of plain values use."""


def _resolved(value: Any, seen: dict[int, Any]) -> Any:
    """Replace what the makers made by values of Python and numpy."""
    if isinstance(value, _Dtype):
        return UNREAD
    if not isinstance(value, _Array | np.ndarray | dict | list | tuple | set | frozenset):
        return value
    if id(value) in seen:
        return seen[id(value)][1]
    if isinstance(value, _Array):
        new = _resolved(value.value, seen)
    elif isinstance(value, np.ndarray):
        new = value
        if value.dtype.kind == "O":
            for i, item in enumerate(value.flat):
                value.flat[i] = _resolved(item, seen)
    elif isinstance(value, dict):
        new = seen.setdefault(id(value), (value, {}))[1]
        for key, item in value.items():
            if isinstance(key, str | int | float | bytes | bool):
                new[key] = _resolved(item, seen)
    elif isinstance(value, list):
        new = seen.setdefault(id(value), (value, []))[1]
        new.extend(_resolved(item, seen) for item in value)
    else:
        new = tuple(_resolved(item, seen) for item in value)
    seen[id(value)] = (value, new)  # with the value, so that its id stays its own
    return new
