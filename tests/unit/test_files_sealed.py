"""Files that belong together: all of one time, whatever happens on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from freegaze.errors import DataError
from freegaze.files.sealed import CHECKSUMS, check_sealed, write_sealed
from freegaze.recording.verification import verify_files

FIRST = {"a.csv": b"1", "b.npz": b"2", "about.json": b"{}"}
SECOND = {"a.csv": b"3", "b.npz": b"4", "about.json": b"[]"}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != CHECKSUMS}


def test_files_are_written_replaced_and_verified(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "er"
    write_sealed(folder, FIRST)
    assert contents(folder) == FIRST
    write_sealed(folder, SECOND)
    assert contents(folder) == SECOND
    check_sealed(folder, list(SECOND))
    assert {check.verdict for check in verify_files(tmp_path)} == {"ok"}


@pytest.mark.parametrize("name", FIRST)
@pytest.mark.parametrize("content", [b"", b"x", None])
def test_a_file_that_changed_or_went_is_named(tmp_path: Path, name: str, content) -> None:
    write_sealed(tmp_path, FIRST)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        check_sealed(tmp_path, [name])
    check_sealed(tmp_path, [n for n in FIRST if n != name])


def test_a_list_that_is_none_is_refused_and_one_that_is_missing_says_nothing(tmp_path) -> None:
    write_sealed(tmp_path, FIRST)
    (tmp_path / CHECKSUMS).write_text("nonsense")
    with pytest.raises(DataError, match="no list of checksums"):
        check_sealed(tmp_path, ["a.csv"])
    (tmp_path / CHECKSUMS).write_text("")
    with pytest.raises(DataError):
        check_sealed(tmp_path, ["a.csv"])
    (tmp_path / CHECKSUMS).unlink()
    check_sealed(tmp_path, ["a.csv"])


@pytest.mark.parametrize("n", range(3))
def test_a_disk_that_fills_up_changes_nothing(tmp_path: Path, monkeypatch, n: int) -> None:
    write_sealed(tmp_path, FIRST)
    left = iter(range(n))

    def fill_up(_: int) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fill_up)
    with pytest.raises(DataError, match="No space left on device"):
        write_sealed(tmp_path, SECOND)
    monkeypatch.undo()
    assert contents(tmp_path) == FIRST
    check_sealed(tmp_path, list(FIRST))


class KilledError(Exception):
    """Stands for a process that is killed."""


@pytest.mark.parametrize("n", range(5))
def test_killed_between_old_and_new_nothing_is_believed(tmp_path: Path, monkeypatch, n) -> None:
    """With the mark gone, readers see nothing; with it there, all files are of one time."""
    write_sealed(tmp_path, FIRST)
    left, replace = iter(range(n)), Path.replace

    def kill(self: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise KilledError
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", kill)
    if n < 4:
        with pytest.raises(KilledError):
            write_sealed(tmp_path, SECOND)
        assert not (tmp_path / "about.json").exists()
    else:
        write_sealed(tmp_path, SECOND)
        assert contents(tmp_path) == SECOND
