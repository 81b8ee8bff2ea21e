"""Plain values of pickles come back; nothing that a pickle names is run."""

from __future__ import annotations

import collections
import datetime
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freegaze.errors import DataError
from freegaze.files.arrays import UNREADABLE
from freegaze.files.plain_pickle import UNREAD, load_plain, read_pickled_npy

PLAIN: dict[str, Any] = {
    "number": 30.0,
    "text": "é",
    "bytes": b"xy\xff",
    "none": None,
    "list": [1, [2.5, "a"]],
    "tuple": (1, (2, 3)),
    "numpy number": np.float32(3.5),
    "numpy whole number": np.int64(7),
    "array": np.arange(6).reshape(2, 3),
    "other byte order": np.arange(4, dtype=">f4"),
    "other order of axes": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 2)),
    "texts": np.array(["ab", "c"]),
    "objects": np.array([1, "a", None, np.arange(2)], object),
    "ordered": collections.OrderedDict(a=np.arange(3)),
}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        if a.dtype.kind == "O":
            return a.shape == b.shape and all(same(x, y) for x, y in zip(a, b, strict=True))
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return set(a) == set(b) and all(same(a[key], b[key]) for key in a)
    return a == b


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_of_every_protocol_come_back(protocol: int):
    found = load_plain(pickle.dumps(PLAIN, protocol))
    for key, value in PLAIN.items():
        assert same(value, found[key]), key


def test_a_dictionary_that_numpy_saved(tmp_path: Path):
    np.save(tmp_path / "a.npy", PLAIN)  # pyright: ignore[reportArgumentType]
    assert same(PLAIN, read_pickled_npy(tmp_path / "a.npy"))


def test_other_objects_are_left_out():
    given = {"date": datetime.datetime(2021, 7, 9), "path": Path("a"), "fs": 30.0}
    given["table"] = np.zeros(2, [("a", "i4")])
    found = load_plain(pickle.dumps(given))
    assert found == {"date": UNREAD, "path": UNREAD, "fs": 30.0, "table": UNREAD}


def test_a_list_in_itself_ends():
    given: list[Any] = [1]
    given.append(given)
    found = load_plain(pickle.dumps(given))
    assert found[0] == 1
    assert found[1] is found


class Runs:
    """Its pickle calls a function of the system."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("function", [os.mkdir, eval, exec, getattr, np.save])
def test_functions_are_not_called(function: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    code = pickle.dumps({"a": Runs(function, "made"), "fs": 1.0})
    assert load_plain(code) == {"a": UNREAD, "fs": 1.0}
    assert not list(tmp_path.iterdir())


def test_makers_cannot_be_changed_by_a_pickle():
    """BUILD with a state of slots would set attributes of what the pickle has named."""
    code = b"cnumpy\ndtype\n(N}X\x05\x00\x00\x00_callK\x01stb."
    with pytest.raises(UNREADABLE):
        load_plain(code)
    assert load_plain(pickle.dumps(np.float64(2.0))) == 2.0


@pytest.mark.parametrize("length", [1 << 40, 1 << 62])
def test_numbers_in_a_pickle_take_no_memory(length: int):
    array = pickle.dumps(np.zeros(3), 2).replace(
        b"K\x03\x85", b"\x8a\x08" + length.to_bytes(8, "little") + b"\x85"
    )
    with pytest.raises(UNREADABLE):
        load_plain(array)
    with pytest.raises(UNREADABLE):
        load_plain(b"\x80\x04K\x01r\xff\xff\xff\xff" + b"h\x00.")  # place of a value in the memo


def test_what_is_no_dictionary_is_named(tmp_path: Path):
    np.save(tmp_path / "plain.npy", np.arange(3))
    with pytest.raises(DataError, match="holds an array of int64, expected a dictionary"):
        read_pickled_npy(tmp_path / "plain.npy")
    np.save(tmp_path / "a.npy", {"a": np.arange(100)})  # pyright: ignore[reportArgumentType]
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"a\.npy cannot be read.*is it complete"):
        read_pickled_npy(tmp_path / "a.npy")
