"""HDF5 files: plain arrays within the file, and a clear line about everything else."""

import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from freegaze.errors import DataError
from freegaze.files import hdf5_scan as hdf5_look
from freegaze.files.hdf5 import Hdf5Reader, opened_hdf5, read_whole
from freegaze.files.hdf5_scan import is_hdf5


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
    monkeypatch.setattr("freegaze.files.hdf5.CHUNK_BYTES", 64)
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


def with_parts_elsewhere(folder: Path) -> dict[str, Path]:
    """One file for each way in which a part can lie in another one."""
    (folder / "raw.bin").write_bytes(bytes(32))
    other = write(folder / "other.h5", x=np.arange(4.0))
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(str(other), "x", shape=(4,))
    files = {n: write(folder / f"{n}.h5", ok=np.arange(3)) for n in ("link", "raw", "virtual")}
    with h5py.File(files["link"], "a") as file:
        file["mouse/part"] = h5py.ExternalLink(str(other), "x")
    with h5py.File(files["raw"], "a") as file:
        outside = [(str(folder / "raw.bin"), 0, 32)]
        file.create_dataset("mouse/part", (4,), "f8", external=outside)
    with h5py.File(files["virtual"], "a") as file:
        file.create_virtual_dataset("mouse/part", layout)
    return files


@pytest.mark.parametrize("kind", ["link", "raw", "virtual"])
def test_a_file_that_must_hold_everything_itself(kind: str, tmp_path: Path):
    path = with_parts_elsewhere(tmp_path)[kind]
    assert hdf5_look.look_through(path) == ("mouse/part",)
    with pytest.raises(DataError, match="mouse/part lies in another file"), opened_hdf5(path):
        pass
    with Hdf5Reader(path) as file:  # asks only when the part is wanted
        assert file.read("ok").tolist() == [0, 1, 2]


def test_links_within_the_file_are_its_own(tmp_path: Path):
    path = write(tmp_path / "a.h5", x=np.arange(3))
    with h5py.File(path, "a") as file:
        file["again"] = h5py.SoftLink("/x")
    with opened_hdf5(path) as file:
        assert read_whole(file["again"]).tolist() == [0, 1, 2]
    assert read_whole([1, 2]).tolist() == [1, 2]  # in memory already


def test_whole_arrays_are_no_larger_than_what_is_stored(tmp_path: Path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("mouse/none", (10**12, 100), "f8", chunks=(1000, 100))
    with (
        opened_hdf5(path) as file,
        pytest.raises(DataError, match="a.h5: mouse/none expands from 0"),
    ):
        read_whole(file["mouse/none"])


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import time; time.sleep(60)", "cannot be looked through within 1 s"),
        ("import os; os.abort()", "crashes the HDF5 library"),
        ("import nothing_of_that_name", "cannot be read .*nothing_of_that_name"),
    ],
)
@pytest.mark.parametrize("opener", [Hdf5Reader, lambda path: opened_hdf5(path).__enter__()])
def test_a_library_that_hangs_or_crashes_is_told(program, message, opener, tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_look, "_PROGRAM", program)
    monkeypatch.setattr(hdf5_look, "CHECK_S", 1.0)
    path = write(tmp_path / "a.h5", x=1)
    with pytest.raises(DataError, match=message) as caught:
        opener(path)
    assert "\n" not in str(caught.value)


def test_filters_of_hdf5plugin_are_found_and_others_named(tmp_path: Path):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    values = np.arange(1000.0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=values, **hdf5plugin.Zstd())
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((10,))
        plan.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((10,))
        h5py.h5d.create(file.id, b"b", h5py.h5t.IEEE_F64LE, space, plan)
    with Hdf5Reader(tmp_path / "a.h5") as reader:
        np.testing.assert_array_equal(reader.read("a"), values)
        with pytest.raises(DataError, match="filter 32099.*--upgrade hdf5plugin"):
            reader.read("b")
