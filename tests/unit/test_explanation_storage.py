"""Explanations and pieces on disk: round trips, odd names, broken files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from builders import make_recording
from freegaze.errors import CheckpointError, DataError
from freegaze.explanation.result import (
    EXPLANATION,
    FOLDER,
    TABLES,
    SessionExplanation,
    is_explained,
    load_explanation,
    load_explanations,
    save_explanation,
    session_folder,
    settings_of,
)
from freegaze.files.pieces import Pieces
from report_runs import make_explanation

ODD = ["mouse", "a/b", "..", ".", "", "...", "%2E", "../../etc", "Größe 7", "a\\b:c*?", "nul\n"]


def made(session_id: str = "mouse", **options: float | None) -> SessionExplanation:
    return make_explanation(make_recording(session_id=session_id, n_neurons=3), **options)


@pytest.mark.parametrize("scale", [None, 1.5])
def test_what_is_written_is_read(tmp_path: Path, scale: float | None) -> None:
    written = made(deg_per_px=scale)
    save_explanation(tmp_path, written, {"seed": 3})
    read = load_explanation(tmp_path, "mouse")
    assert (read.unit_ids, read.bin_width_s, read.lag) == (written.unit_ids, 0.05, 1)
    assert read.deg_per_px == scale
    for name in ("fields", "pairs"):
        there, here = getattr(written, name), getattr(read, name)
        assert list(there) == list(here)
        for method, field in there.items():
            np.testing.assert_array_equal(here[method], field)
            assert here[method].dtype == field.dtype
    for name in TABLES:
        table = getattr(written, name)
        pd.testing.assert_frame_equal(getattr(read, name), table, check_dtype=False)
        anyone = pd.read_csv(session_folder(tmp_path, "mouse") / f"{name}.csv")
        assert list(anyone) == list(table)
        assert len(anyone) == len(table)
    assert settings_of(tmp_path, "mouse") == {"seed": 3}
    assert settings_of(tmp_path, "other") is None


def test_odd_names_of_sessions_are_folders_of_their_own(tmp_path: Path) -> None:
    for name in ODD:
        save_explanation(tmp_path, made(name), {"name": name})
    folders = {session_folder(tmp_path, name) for name in ODD}
    assert len(folders) == len(ODD)
    assert {folder.parent for folder in folders} == {tmp_path / FOLDER}
    assert sorted(p.name for p in tmp_path.iterdir()) == [FOLDER]
    assert {e.session_id for e in load_explanations(tmp_path)} == set(ODD)
    for name in ODD:
        assert load_explanation(tmp_path, name).session_id == name
        assert settings_of(tmp_path, name) == {"name": name}


def test_sessions_come_in_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        save_explanation(tmp_path, made(name), {})
    assert [e.session_id for e in load_explanations(tmp_path)] == ["a", "b", "c"]


class StoppedError(Exception):
    """Stands for a process that is killed."""


@pytest.mark.parametrize("n_moved", [0, 1, 7, 13])
def test_an_unfinished_explanation_is_not_believed(tmp_path: Path, monkeypatch, n_moved) -> None:
    """Killed while the new files take the place of the old ones, it counts as not made."""
    save_explanation(tmp_path, made(), {})
    moves, replace = iter(range(n_moved)), Path.replace

    def stop(self: Path, target: Path) -> Path:
        if next(moves, None) is None:
            raise StoppedError
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(StoppedError):
        save_explanation(tmp_path, made(), {"seed": 4})
    monkeypatch.undo()
    assert (session_folder(tmp_path, "mouse") / "neurons.parquet").is_file()
    assert not is_explained(tmp_path)
    assert settings_of(tmp_path, "mouse") is None
    with pytest.raises(CheckpointError, match="no explanation in .* run `freegaze explain"):
        load_explanation(tmp_path, "mouse")


def test_a_full_disk_leaves_the_explanation_that_was_there(tmp_path: Path, monkeypatch) -> None:
    save_explanation(tmp_path, made(), {"seed": 3})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match="No space left on device.*nothing was changed"):
        save_explanation(tmp_path, made(), {"seed": 4})
    monkeypatch.undo()
    assert settings_of(tmp_path, "mouse") == {"seed": 3}
    load_explanation(tmp_path, "mouse")


def test_files_of_another_explanation_are_not_taken_for_its_own(tmp_path: Path) -> None:
    folder = save_explanation(tmp_path, made(), {})
    table = pd.read_parquet(folder / "saliency.parquet")
    table.assign(absolute=0.0).to_parquet(folder / "saliency.parquet", index=False)
    with pytest.raises(
        CheckpointError, match=r"saliency\.parquet has changed.*remove about.json there"
    ):
        load_explanation(tmp_path, "mouse")


def test_what_a_killed_process_left_half_written_goes(tmp_path: Path) -> None:
    folder = session_folder(tmp_path, "mouse")
    folder.mkdir(parents=True)
    left = folder / ".about.json.partial-0123abcd"
    left.mkdir()
    (left / "saliency.csv").write_text("unit_id,sig")
    save_explanation(tmp_path, made(), {})
    assert len(list(folder.iterdir())) == 2 * len(TABLES) + 3
    load_explanation(tmp_path, "mouse")


def mangled(whole: bytes, rng: np.random.Generator, n: int) -> list[bytes]:
    """Cut off, or some bytes changed."""
    cut = [whole[: rng.integers(len(whole))] for _ in range(n // 3)]
    changed = []
    for _ in range(n - len(cut)):
        content = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            content[rng.integers(len(content))] ^= rng.integers(1, 256)
        changed.append(bytes(content))
    return [b"", *cut, *changed]


@pytest.mark.parametrize("name", [EXPLANATION.about, "fields.npz", "saliency.parquet"])
def test_a_broken_file_is_one_line_that_says_what_to_do(tmp_path: Path, name: str) -> None:
    save_explanation(tmp_path, made(), {})
    path = session_folder(tmp_path, "mouse") / name
    errors = []
    for content in mangled(path.read_bytes(), np.random.default_rng(0), 60):
        path.write_bytes(content)
        try:
            load_explanation(tmp_path, "mouse")  # a changed number may be read
        except CheckpointError as error:
            errors.append(str(error))
    assert len(errors) > 30
    assert all("remove about.json there and run `freegaze explain" in error for error in errors)
    assert not any("\n" in error for error in errors)
    path.unlink()
    with pytest.raises(CheckpointError):
        load_explanation(tmp_path, "mouse")


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"lag": 1}', "\udcff"])
def test_what_was_explained_must_be_readable(tmp_path: Path, content: str) -> None:
    save_explanation(tmp_path, made(), {})
    path = session_folder(tmp_path, "mouse") / EXPLANATION.about
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match="remove about.json there"):
        load_explanation(tmp_path, "mouse")
    if content == '{"lag": 1}':
        assert settings_of(tmp_path, "mouse") is None  # it is made anew
    else:
        with pytest.raises(CheckpointError, match="remove about.json there"):
            settings_of(tmp_path, "mouse")


def test_a_file_of_pickles_is_not_opened(tmp_path: Path) -> None:
    save_explanation(tmp_path, made(), {})
    fields = np.array([{"a": 1}], dtype=object)
    np.savez(session_folder(tmp_path, "mouse") / "fields.npz", **{"fields/gradient": fields})
    with pytest.raises(CheckpointError, match="is broken"):
        load_explanation(tmp_path, "mouse")


def test_numbers_in_about_are_plain(tmp_path: Path) -> None:
    folder = save_explanation(tmp_path, made(), {"blur_px": 1.5})
    about = json.loads((folder / EXPLANATION.about).read_text())
    assert about["unit_ids"] == ["unit_0", "unit_1", "unit_2"]
    assert about["settings"] == {"blur_px": 1.5}


def changed_somewhere(whole: bytes) -> list[bytes]:
    """One byte changed: each of the first and last ones, some of those between."""
    places = [*range(300), *range(300, len(whole) - 300, 500), *range(len(whole) - 300, len(whole))]
    return [whole[:i] + bytes([whole[i] ^ 8]) + whole[i + 1 :] for i in places]


def test_a_damaged_piece_is_computed_again(tmp_path: Path) -> None:
    """By its checksum. Those in the file miss a bit that makes 00 of the shape's 80."""
    pieces = Pieces(tmp_path / "pieces" / "mark")
    right = {"a": np.arange(6400.0, dtype=np.float32).reshape(80, 80)}
    pieces.get("one", lambda: right)
    path = tmp_path / "pieces" / "mark" / "one.npz"
    whole, calls = path.read_bytes(), []
    damaged = changed_somewhere(whole) + mangled(whole, np.random.default_rng(1), 60)
    for n, content in enumerate(damaged):
        path.write_bytes(content)
        found = pieces.get("one", lambda: calls.append(1) or right)
        np.testing.assert_array_equal(found["a"], right["a"])
        assert len(calls) == n + 1
        assert path.read_bytes() == whole  # and kept
    pieces.get("one", lambda: calls.append(1) or right)
    assert len(calls) == len(damaged)
