"""Array files that may be broken, and writing that happens whole or not at all."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from freegaze.errors import DataError
from freegaze.files import arrays as array_files
from freegaze.files.arrays import (
    file_sha256,
    map_npy,
    npy_chunks,
    read_npy,
    read_npy_header,
)
from freegaze.files.atomic import atomic_file, atomic_folder
from freegaze.files.npz import NpzReader
from freegaze.recording.manifest import MANIFEST, is_store, read_manifest


@pytest.mark.parametrize("read", [read_npy_header, read_npy, map_npy, file_sha256, NpzReader])
def test_missing_files_and_folders_are_named(read, tmp_path: Path):
    with pytest.raises(DataError, match=r"nothing\.npy (does not exist|cannot be read)"):
        read(tmp_path / "nothing.npy")
    with pytest.raises(DataError, match=f"{tmp_path.name} cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize(
    "array",
    [np.array(3.5), np.zeros((0, 4)), np.array(["é", ""]), np.arange(3) > 1, np.zeros(3, "f2")],
    ids=["scalar", "empty", "text", "bool", "half"],
)
def test_every_plain_array_comes_back(array: np.ndarray, tmp_path: Path):
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", a=array)
    with NpzReader(tmp_path / "a.npz") as reader:
        from_archive = reader.read("a")
    for again in (read_npy(tmp_path / "a.npy"), map_npy(tmp_path / "a.npy"), from_archive):
        np.testing.assert_array_equal(again, array, strict=True)


@pytest.mark.parametrize("dtype", ["O", "c8", "M8[s]", "V3", "i4,f8", "(2,)f4"])
def test_other_types_are_refused(dtype: str, tmp_path: Path):
    np.save(tmp_path / "a.npy", np.zeros(2, np.dtype(dtype)), allow_pickle=True)
    if dtype == "(2,)f4":  # becomes a plain axis when the array is made
        assert read_npy(tmp_path / "a.npy").shape == (2, 2)
    else:
        why = "holds Python objects|structured array with fields f0, f1|expected plain numbers"
        with pytest.raises(DataError, match=rf"a\.npy: .*({why})"):
            read_npy(tmp_path / "a.npy")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([b"\xff\xfe\xfd"]))
    with pytest.raises(DataError, match=r"a\.npy cannot be read"):
        read_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("code", [0x110000, 0xD800])
def test_text_that_is_not_unicode_is_refused(code: int, tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([65, code], "<u4").view("<U2"))
    with pytest.raises(DataError, match=r"a\.npy holds text that is not Unicode"):
        read_npy(tmp_path / "a.npy")


def test_a_file_that_shrinks_between_header_and_data(tmp_path: Path, monkeypatch):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(10))
    header = read_npy_header(path)
    path.write_bytes(path.read_bytes()[:-8])
    monkeypatch.setattr("freegaze.files.arrays.read_npy_header", lambda _: header)
    with pytest.raises(DataError, match="ends after 72 of 80 bytes"):
        read_npy(path)
    with pytest.raises(DataError, match=r"a\.npy cannot be read"):
        map_npy(path)


def test_archives_with_other_compression_or_unknown_names(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    with (
        NpzReader(tmp_path / "a.npz") as reader,
        pytest.raises(DataError, match="holds no array 'y'"),
    ):
        reader.read("y")
    content = zipfile.ZipFile(tmp_path / "a.npz").read("x.npy")
    for kind, message in ((zipfile.ZIP_BZIP2, "unknown compression"), (zipfile.ZIP_STORED, "")):
        with zipfile.ZipFile(tmp_path / "b.npz", "w", kind) as archive:
            archive.writestr("x.npy", content if message else content[:-1])
        with pytest.raises(DataError, match=message or "cut short"):
            NpzReader(tmp_path / "b.npz")
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("x.npy", b"no header")
    with pytest.raises(DataError, match=r"c\.npz cannot be read"):
        NpzReader(tmp_path / "c.npz")


def test_an_archive_member_that_lies_about_its_size(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.arange(100))
    content = (tmp_path / "a.npz").read_bytes()
    n_bytes = (100 * 8 + 128).to_bytes(4, "little")
    assert content.count(n_bytes) >= 2
    lie = content.replace(n_bytes, (100 * 8 + 129).to_bytes(4, "little"))
    (tmp_path / "a.npz").write_bytes(lie)
    with pytest.raises(DataError, match=r"a\.npz"):
        NpzReader(tmp_path / "a.npz").read("x")


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path):
    target = tmp_path / "deep" / "a.txt"

    def write(text: str, overwrite: bool, then: Exception | None = None) -> None:
        with atomic_file(target, overwrite) as partial:
            partial.write_text(text)
            if then:
                raise then

    with pytest.raises(KeyError):
        write("one", False, KeyError("x"))
    assert list(target.parent.iterdir()) == []
    write("one", False)
    with pytest.raises(DataError, match="exists already"):
        write("two", False)
    with pytest.raises(DataError, match=r"a\.txt cannot be written \(no space\)"):
        write("two", True, OSError("no space"))
    assert target.read_text() == "one"
    write("two", True)
    assert target.read_text() == "two"
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


def leave(target: Path) -> None:
    """Leave what a process that was killed while it wrote to a place leaves."""
    program = (
        "import os, sys, pathlib; from freegaze.files.atomic import atomic_folder\n"
        "with atomic_folder(pathlib.Path(sys.argv[1]), lambda _: True) as folder:\n"
        "    (folder / 'half').write_text('written')\n"
    )
    subprocess.run([sys.executable, "-c", f"{program}    os._exit(1)", str(target)], check=False)


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path):
    target = tmp_path / "out"
    leave(target)
    leave(tmp_path / "out.more")  # another place, although its name begins alike
    (tmp_path / ".out.mine").write_text("a file of the user's")
    assert len(list(tmp_path.iterdir())) == 3
    with atomic_folder(target) as partial:
        (partial / "a").write_text("x")
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names[0] == ".out.mine"
    assert names[1].startswith(".out.more.partial-")
    assert names[2:] == ["out"]
    assert [p.name for p in target.iterdir()] == ["a"]


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path):
    target = tmp_path / "out"
    with atomic_file(target) as first:
        first.write_text("first")
        program = (
            "import sys, pathlib; from freegaze.files.atomic import atomic_file\n"
            "with atomic_file(pathlib.Path(sys.argv[1])) as partial: partial.write_text('second')"
        )
        subprocess.run([sys.executable, "-c", program, str(target)], check=True)
        assert target.read_text() == "second"
        assert first.read_text() == "first"
    assert target.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_was_moved_away_by_a_killed_process_comes_back(tmp_path: Path):
    """It was killed between its two renames: the old folder is hidden, the new one not there."""
    target, old = tmp_path / "out", tmp_path / ".out.old-0123abcd"
    old.mkdir()
    (old / "precious").write_text("x")
    with pytest.raises(DataError, match="exists already"), atomic_folder(target):
        raise AssertionError("it must be asked about")
    assert (target / "precious").read_text() == "x"
    target.rename(old)
    target.mkdir()
    with atomic_folder(target) as partial:
        (partial / "a").write_text("x")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path):
    target = tmp_path / "out"

    def fill(then: Exception | None = None) -> None:
        with atomic_folder(target, may_replace=lambda _: True) as partial:
            (partial / "inner").mkdir()
            (partial / "inner" / "a").write_text("x")
            if then:
                raise then

    with pytest.raises(KeyError):
        fill(KeyError("x"))
    assert list(tmp_path.iterdir()) == []
    fill()
    fill()
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == [
        "out",
        "out/inner",
        "out/inner/a",
    ]


def test_a_place_that_cannot_be_a_folder(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(DataError, match="cannot be written"),
        atomic_folder(tmp_path / "file" / "out") as _,
    ):
        pass
    with (
        pytest.raises(DataError, match="cannot be written"),
        atomic_file(tmp_path / "file" / "out") as _,
    ):
        pass


def test_a_manifest_that_is_a_folder(tmp_path: Path):
    (tmp_path / MANIFEST).mkdir()
    assert not is_store(tmp_path)
    with pytest.raises(DataError, match="holds no manifest"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<i4", ">i4"])
def test_pieces_of_a_file_are_the_file(order: str, dtype: str, tmp_path: Path, monkeypatch):
    array = np.asarray(np.arange(11 * 3 * 2).reshape(11, 3, 2), dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    monkeypatch.setattr(array_files, "CHUNK_BYTES", 4 * 3 * 2 * 4)
    pieces = list(npy_chunks(tmp_path / "a.npy"))
    assert [len(piece) for piece in pieces] == [4, 4, 3]
    assert all(piece.dtype == np.int32 for piece in pieces)
    np.testing.assert_array_equal(np.concatenate(pieces), array)


def test_a_file_that_is_cut_while_it_is_read_in_pieces(tmp_path: Path, monkeypatch):
    file = tmp_path / "a.npy"
    np.save(file, np.arange(40_000))  # more than the file object reads ahead
    monkeypatch.setattr(array_files, "CHUNK_BYTES", 8 * 10_000)
    pieces = npy_chunks(file)
    np.testing.assert_array_equal(next(pieces), np.arange(10_000))
    with file.open("r+b") as opened:
        opened.truncate(8 * 11_000)
    with pytest.raises(DataError, match="a.npy cannot be read"):
        list(pieces)
