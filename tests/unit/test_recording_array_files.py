"""Array files that may be broken, and writing that happens whole or not at all."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from freegaze.errors import DataError
from freegaze.recording import array_files
from freegaze.recording.array_files import (
    file_sha256,
    map_npy,
    npy_chunks,
    read_npy,
    read_npy_header,
)
from freegaze.recording.atomic import atomic_file, atomic_folder
from freegaze.recording.manifest import MANIFEST, is_store, read_manifest
from freegaze.recording.npz_files import NpzReader


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


@pytest.mark.parametrize("dtype", ["O", "c8", "M8[s]", "V3", "S3", "i4,f8", "(2,)f4"])
def test_other_types_are_refused(dtype: str, tmp_path: Path):
    np.save(tmp_path / "a.npy", np.zeros(2, np.dtype(dtype)), allow_pickle=True)
    if dtype == "(2,)f4":  # becomes a plain axis when the array is made
        assert read_npy(tmp_path / "a.npy").shape == (2, 2)
    else:
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
    monkeypatch.setattr("freegaze.recording.array_files.read_npy_header", lambda _: header)
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
