"""Files that belong together: all of one time, whatever happens on the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from freegaze.errors import CheckpointError, DataError
from freegaze.files.artifact import CHECKSUMS, Artifact, Content, write_sealed
from freegaze.files.checksums import check_files
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
    check_files(folder / CHECKSUMS, list(SECOND))
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
        check_files(tmp_path / CHECKSUMS, [name])
    check_files(tmp_path / CHECKSUMS, [n for n in FIRST if n != name])


def test_a_list_that_is_none_is_refused_and_one_that_is_missing_says_nothing(tmp_path) -> None:
    write_sealed(tmp_path, FIRST)
    (tmp_path / CHECKSUMS).write_text("nonsense")
    with pytest.raises(DataError, match="no list of checksums"):
        check_files(tmp_path / CHECKSUMS, ["a.csv"])
    (tmp_path / CHECKSUMS).write_text("")
    with pytest.raises(DataError):
        check_files(tmp_path / CHECKSUMS, ["a.csv"])
    (tmp_path / CHECKSUMS).unlink()
    check_files(tmp_path / CHECKSUMS, ["a.csv"])


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
    check_files(tmp_path / CHECKSUMS, list(FIRST))


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


def kind(has_parquet: bool = True) -> Artifact:
    return Artifact(
        what="note",
        command="freegaze note {run}",
        about="note.json",
        tables=("words",),
        arrays="numbers.npz",
        has_parquet=has_parquet,
    )


WORDS = pd.DataFrame({"unit_id": ["01", "2"], "score": [0.1 + 0.2, np.nan]})
NOTE = Content(
    {"mean": float("nan"), "parts": [1, {"high": float("inf")}]},
    {"words": WORDS},
    {"fields/a": np.arange(3.0), "fields/b/c": np.array(["ö", "x"]), "other": np.array(7)},
)


@pytest.mark.parametrize("has_parquet", [True, False])
def test_an_artifact_comes_back_checked(tmp_path: Path, has_parquet: bool) -> None:
    note = kind(has_parquet)
    assert not note.is_whole(tmp_path)
    note.write(tmp_path, NOTE)
    assert note.is_whole(tmp_path)
    read = note.read(tmp_path, "RUN", lambda content: content)
    assert read.about == {"mean": None, "parts": [1, {"high": None}]}
    assert read.about == note.read_about(tmp_path, "RUN")
    pd.testing.assert_frame_equal(read.tables["words"], WORDS, check_dtype=has_parquet, rtol=0)
    assert set(read.arrays) == set(NOTE.arrays)
    for name, array in NOTE.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array)
    assert list(read.group("fields")) == ["a", "b/c"]
    assert {check.verdict for check in verify_files(tmp_path)} == {"ok"}


def test_json_of_an_artifact_has_no_numbers_that_json_lacks(tmp_path: Path) -> None:
    kind().write(tmp_path, NOTE)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads((tmp_path / "note.json").read_text(), parse_constant=refuse)


def test_a_missing_artifact_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no note in .*note\.json.*`freegaze note RUN`"):
        kind().read(tmp_path, "RUN", lambda content: content)


@pytest.mark.parametrize("name", ["words.parquet", "numbers.npz", "note.json"])
def test_a_broken_artifact_is_cured_as_its_message_says(tmp_path: Path, name: str) -> None:
    note = kind()
    note.write(tmp_path, NOTE)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-9])
    with pytest.raises(CheckpointError, match=rf"{name} has changed.*remove note\.json there"):
        note.read(tmp_path, "RUN", lambda content: content)
    (tmp_path / CHECKSUMS).unlink()  # of a version that wrote none
    with pytest.raises(CheckpointError, match="broken.*`freegaze note RUN` again"):
        note.read(tmp_path, "RUN", lambda content: content)
    (tmp_path / "note.json").unlink()
    assert not note.is_whole(tmp_path)
    note.write(tmp_path, NOTE)
    note.read(tmp_path, "RUN", lambda content: content)


def test_values_that_do_not_fit_are_a_broken_artifact(tmp_path: Path) -> None:
    kind().write(tmp_path, NOTE)
    with pytest.raises(CheckpointError, match="the note in .* is broken.*absent"):
        kind().read(tmp_path, "RUN", lambda content: content.arrays["absent"])
