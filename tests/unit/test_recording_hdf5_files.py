"""HDF5 files: plain arrays within the file, and a clear line about everything else."""

import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from freegaze.errors import DataError
from freegaze.recording.hdf5_files import Hdf5Reader, is_hdf5


def write(path: Path, **values) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            file[name.replace("__", "/")] = value
    return path


def test_nested_groups_are_paths(tmp_path: Path):
    path = write(tmp_path / "a.h5", mouse__fm1__speed=np.arange(3), mouse__hfwn__t=[1.0], x=2)
    with Hdf5Reader(path) as file:
        assert file.groups() == ["mouse"]
        assert file.groups("mouse") == ["fm1", "hfwn"]
        assert file.keys("mouse/fm1") == ["speed"]
        assert file.keys() == ["x"]
        assert file.read("x") == 2


def test_bytes_come_in_native_order_and_pieces_join(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("freegaze.recording.hdf5_files.CHUNK_BYTES", 64)
    values = np.arange(60, dtype=">f8").reshape(20, 3)
    with Hdf5Reader(write(tmp_path / "a.h5", v=values)) as file:
        pieces = list(file.chunks("v"))
        assert len(pieces) == 10
        assert pieces[0].dtype.isnative
        np.testing.assert_array_equal(np.concatenate(pieces), values)
        assert file.read("v").dtype.isnative


def test_truth_values_stay_truth_values(tmp_path: Path):
    with Hdf5Reader(write(tmp_path / "a.h5", on=np.array([True, False]))) as file:
        assert file.read("on").tolist() == [True, False]


@pytest.mark.parametrize("value", ["text", [b"a"], np.zeros(2, [("a", "i4")]), np.zeros(2, "c8")])
def test_what_is_no_plain_number_is_named_when_it_is_asked_for(tmp_path: Path, value):
    with Hdf5Reader(write(tmp_path / "a.h5", odd=value, ok=1)) as file:
        assert "odd" in file.unread
        assert file.read("ok") == 1
        with pytest.raises(DataError, match="odd cannot be used: expected plain numbers"):
            file.read("odd")


def test_links_lead_nowhere(tmp_path: Path):
    secret = write(tmp_path / "secret.h5", x=np.arange(3))
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["outside"] = h5py.ExternalLink(str(secret), "x")
        file["soft"] = h5py.SoftLink("/nowhere")
        file["raw"] = 1
    with Hdf5Reader(path) as file:
        assert set(file.unread) == {"outside", "soft"}
        with pytest.raises(DataError, match="outside cannot be used: it is a link"):
            file.read("outside")


def test_values_outside_the_file_are_not_read(tmp_path: Path):
    (tmp_path / "raw.bin").write_bytes(bytes(32))
    secret = write(tmp_path / "secret.h5", x=np.arange(4.0))
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", (4,), "f8", external=[(str(tmp_path / "raw.bin"), 0, 32)])
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource(str(secret), "x", shape=(4,))
        file.create_virtual_dataset("virtual", layout)
    with Hdf5Reader(path) as file:
        for name in ("raw", "virtual"):
            with pytest.raises(DataError, match="lie in another file"):
                file.read(name)


def test_groups_in_a_circle_end(tmp_path: Path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("a")
        group["again"] = group
    start = time.monotonic()
    with pytest.raises(DataError, match="deeper than 8 groups"):
        Hdf5Reader(path)
    assert time.monotonic() - start < 5


def test_a_petabyte_of_nothing_is_refused(tmp_path: Path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("none", (10**12, 100), "f8", chunks=(1000, 100))
        file.create_dataset("bomb", (2**29,), "u1", chunks=(2**24,), compression=9)
        file["bomb"][: 2**24] = 0
    with Hdf5Reader(path) as file:
        for name in ("none", "bomb"):
            with pytest.raises(DataError, match="more than recorded data do"):
                file.read(name)
            with pytest.raises(DataError, match="more than recorded data do"):
                next(file.chunks(name))


def test_compression_is_read_and_the_checksum_kept(tmp_path: Path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("v", data=np.arange(999), compression=4, shuffle=True, fletcher32=True)
        file.create_dataset("l", data=np.arange(999), compression="lzf")
    with Hdf5Reader(path) as file:
        np.testing.assert_array_equal(file.read("v"), np.arange(999))
        np.testing.assert_array_equal(file.read("l"), np.arange(999))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_what_is_no_hdf5_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.h5"):
        Hdf5Reader(path)
    assert is_hdf5(path) is (len(content) > 10)
    with pytest.raises(DataError, match="does not exist"):
        Hdf5Reader(tmp_path / "b.h5")
    assert not is_hdf5(tmp_path)


def test_a_name_that_is_not_there(tmp_path: Path):
    with Hdf5Reader(write(tmp_path / "a.h5", x=1)) as file, pytest.raises(DataError, match="'y'"):
        file.read("y")
