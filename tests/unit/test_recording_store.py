"""The store: the same comes back, nothing is half written, no changed byte goes unseen."""

import errno
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from builders import make_recording, make_trial_recording
from comparing import assert_same_recording
from freegaze.errors import DataError, ShapeError
from freegaze.files import arrays as array_files
from freegaze.recording import store
from freegaze.recording.manifest import MANIFEST, MANIFEST_SUM
from freegaze.recording.recording import Recording
from freegaze.recording.store import is_store, open_store, save_store
from freegaze.recording.verification import verify_files


@pytest.fixture
def recording() -> Recording:
    return replace(
        make_trial_recording(n_trials=8),
        annotations={
            "a/b c": np.arange(160).reshape(160, 1),
            "a_b_c": np.array(["é", "x"] * 80),
            "is_good": np.arange(160) > 3,
        },
        deg_per_px=1.5,
        provenance={"source": "made up", "path": Path("here"), "n": np.int64(3), "t": (1, 2)},
    )


def damaged(folder: Path) -> list[str]:
    """Return the names of damaged files, and what is said about them."""
    return [f"{c.path.name} {c.verdict}" for c in verify_files(folder) if c.is_damaged]


def edit_manifest(folder: Path, edit) -> None:
    values = json.loads((folder / MANIFEST).read_text())
    edit(values)
    (folder / MANIFEST).write_text(json.dumps(values))


def test_the_same_comes_back(recording: Recording, tmp_path: Path):
    again = open_store(save_store(recording, tmp_path / "deep" / "store"), verify=True)
    assert_same_recording(recording, again)
    assert again.provenance == {"source": "made up", "path": "here", "n": 3, "t": [1, 2]}
    assert all(s.trial for s in again.segments)


def test_frames_are_mapped_and_writing_into_them_stays_private(tmp_path: Path):
    recording = make_recording()
    folder = save_store(recording, tmp_path / "store")
    opened = open_store(folder)
    assert isinstance(opened.frames.base, np.memmap)
    torch.from_numpy(opened.frames)  # warns, so fails, if the array is read-only
    opened.frames[:] = 0
    np.testing.assert_array_equal(open_store(folder, verify=True).frames, recording.frames)


def test_a_mapped_recording_can_be_saved_again(tmp_path: Path):
    first = open_store(save_store(make_recording(), tmp_path / "one"))
    assert_same_recording(first, open_store(save_store(first, tmp_path / "two")))


def test_large_arrays_are_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(array_files, "CHUNK_BYTES", 1000)
    recording = make_recording()
    sizes = [len(piece) for piece in array_files.array_chunks(recording.frames)]
    assert sum(sizes) == 400
    assert max(sizes) == 1000 // 48
    assert_same_recording(recording, open_store(save_store(recording, tmp_path / "s"), verify=True))


def test_checksums_are_those_of_the_files(tmp_path: Path):
    folder = save_store(make_recording(), tmp_path / "store")
    entries = json.loads((folder / MANIFEST).read_text())["arrays"]
    for entry in entries.values():
        content = (folder / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    digest, name = (folder / MANIFEST_SUM).read_text().split()
    assert name == MANIFEST
    assert digest == hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def test_verify_finds_any_changed_byte(tmp_path: Path):
    folder = save_store(make_recording(n_bins=20), tmp_path / "store")
    assert damaged(folder) == []
    rng = np.random.default_rng(0)
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        content = bytearray(path.read_bytes())
        for at in rng.integers(len(content), size=5):
            old = content[at]
            content[at] = old ^ 1
            path.write_bytes(content)
            problems = damaged(folder)
            assert problems, f"byte {at} of {path.name}"
            assert any(p.startswith(path.name) for p in problems) or path.name == MANIFEST_SUM
            content[at] = old
        path.write_bytes(content)
    assert damaged(folder) == []


def test_verify_finds_a_missing_file(tmp_path: Path):
    folder = save_store(make_recording(), tmp_path / "store")
    (folder / "responses.npy").unlink()
    assert damaged(folder) == ["responses.npy missing"]
    with pytest.raises(DataError, match=r"responses\.npy does not exist"):
        open_store(folder)
    with pytest.raises(DataError, match=r"responses\.npy.*is missing"):
        open_store(folder, verify=True)


def test_nothing_is_overwritten_unasked(tmp_path: Path):
    one, two = make_recording(seed=1), make_recording(seed=2)
    folder = save_store(one, tmp_path / "store")
    with pytest.raises(DataError, match="exists already; allow overwriting"):
        save_store(two, folder)
    assert_same_recording(one, open_store(folder))
    save_store(two, folder, overwrite=True)
    assert_same_recording(two, open_store(folder, verify=True))
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


def test_what_is_no_store_is_never_replaced(tmp_path: Path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("precious")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(mine)
    for name, why in (("mine", "not a store"), ("file", "not a folder"), ("link", "not a folder")):
        with pytest.raises(DataError, match=why):
            save_store(make_recording(), tmp_path / name, overwrite=True)
    assert (mine / "notes.txt").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    assert is_store(save_store(make_recording(), tmp_path / "empty"))


def test_a_full_disk_leaves_the_old_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    old = make_recording(seed=1)
    folder = save_store(old, tmp_path / "store")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(array_files.os, "fsync", full)
    with pytest.raises(DataError, match="No space left"):
        save_store(make_recording(seed=2), folder, overwrite=True)
    monkeypatch.undo()
    assert_same_recording(old, open_store(folder, verify=True))
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


def test_a_failing_rename_puts_the_old_store_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    old = make_recording(seed=1)
    folder = save_store(old, tmp_path / "store")
    rename = Path.rename

    def fail_once(self: Path, target: Path) -> Path:
        if "partial" in self.name:
            raise OSError(errno.EIO, "broken")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises(DataError, match="broken"):
        save_store(make_recording(seed=2), folder, overwrite=True)
    assert_same_recording(old, open_store(folder, verify=True))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("provenance", {"x": object()}, "provenance cannot be written"),
        ("provenance", {"x": float("nan")}, "provenance cannot be written"),
        ("annotations", {"x": np.array([object()] * 400)}, "annotations 'x' is of type object"),
    ],
)
def test_what_a_store_cannot_hold_is_refused(field, value, message, tmp_path: Path):
    with pytest.raises(DataError, match=message):
        save_store(replace(make_recording(), **{field: value}), tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


HOSTILE = {
    "unknown format": lambda m: m.update(format="other"),
    "unknown version": lambda m: m.update(version=2),
    "unknown key": lambda m: m.update(surprise=1),
    "missing key": lambda m: m.pop("unit_ids"),
    "missing array": lambda m: m["arrays"].pop("behavior"),
    "unknown array": lambda m: m["arrays"].update(other=m["arrays"]["frames"]),
    "absolute path": lambda m: m["arrays"]["frames"].update(file="/etc/passwd"),
    "path upwards": lambda m: m["arrays"]["frames"].update(file="../frames.npy"),
    "wrong shape": lambda m: m["arrays"]["frames"].update(shape=[1, 6, 8]),
    "wrong dtype": lambda m: m["arrays"]["frames"].update(dtype="|i1"),
    "array in another's place": lambda m: m["arrays"].update(frames=m["arrays"]["behavior"]),
    "segments that overlap": lambda m: m["segments"][1].update(start=0),
    "names for other columns": lambda m: m.update(behavior_names=["a"], behavior_units=["b"]),
    "impossible bin width": lambda m: m.update(bin_width_s=-1),
    "unknown role": lambda m: m["segments"][0].update(role="judge"),
}


@pytest.mark.parametrize("edit", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_manifests_are_refused_by_name(edit, tmp_path: Path):
    folder = save_store(make_recording(), tmp_path / "store")
    edit_manifest(folder, edit)
    with pytest.raises(DataError, match=str(folder)) as caught:
        open_store(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', "[" * 100_000, '{"a": NaN}', "\x00\xff"])
def test_manifests_that_are_no_object_are_refused(text: str, tmp_path: Path):
    folder = save_store(make_recording(), tmp_path / "store")
    (folder / MANIFEST).write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match="manifest.json"):
        open_store(folder)


def test_a_link_out_of_the_store_is_refused(tmp_path: Path):
    folder = save_store(make_recording(), tmp_path / "store")
    outside = (folder / "frames.npy").rename(tmp_path / "frames.npy")
    (folder / "frames.npy").symlink_to(outside)
    with pytest.raises(DataError, match="outside the store"):
        open_store(folder)


def test_pickles_are_never_loaded(tmp_path: Path):
    folder = save_store(make_recording(), tmp_path / "store")
    np.save(folder / "behavior.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(
        DataError, match=r"behavior\.npy: it holds Python objects, which are not read"
    ):
        open_store(folder)


def test_truncated_and_lengthened_files_are_refused(tmp_path: Path):
    folder = save_store(make_recording(), tmp_path / "store")
    path = folder / "frames.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match="cut short"):
        open_store(folder)
    path.write_bytes(content + b"x")
    with pytest.raises(DataError, match="longer than its header"):
        open_store(folder)
    path.write_bytes(content[:7])
    with pytest.raises(DataError, match="cannot be read"):
        open_store(folder)


def test_folders_that_are_no_store(tmp_path: Path):
    with pytest.raises(DataError, match="does not exist"):
        open_store(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no manifest"):
        open_store(tmp_path)
    assert not is_store(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b"x")
    os.truncate(tmp_path / MANIFEST, (1 << 26) + 1)
    with pytest.raises(DataError, match="longer than"):
        open_store(tmp_path)


def test_wrong_kinds_are_shape_errors(tmp_path: Path):
    folder = save_store(make_recording(), tmp_path / "store")
    np.save(folder / "frame_index.npy", np.arange(400.0))

    def retype(manifest: dict) -> None:
        manifest["arrays"]["frame_index"]["dtype"] = "<f8"

    edit_manifest(folder, retype)
    with pytest.raises(ShapeError, match="frame_index"):
        open_store(folder)


def test_big_endian_and_fortran_arrays_are_read_as_native(tmp_path: Path):
    array = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "a.npy", np.asfortranarray(array.astype(">f4")))
    for read in (array_files.read_npy, array_files.map_npy):
        again = read(tmp_path / "a.npy")
        np.testing.assert_array_equal(again, array)
        assert again.dtype.isnative
    assert store.read_npy_header(tmp_path / "a.npy").is_fortran


def test_a_checksum_file_that_is_gone_counts_as_changed(tmp_path: Path):
    folder = save_store(make_recording(), tmp_path / "store")
    (folder / MANIFEST_SUM).unlink()
    assert damaged(folder) == ["manifest.sha256 missing"]
    with pytest.raises(DataError, match=r"manifest\.sha256 is missing; restore"):
        open_store(folder, verify=True)


def test_an_unknown_key_of_a_segment_is_refused(tmp_path: Path):
    folder = save_store(make_recording(), tmp_path / "store")
    edit_manifest(folder, lambda manifest: manifest["segments"][0].update(note="x"))
    with pytest.raises(DataError, match="segments.*note"):
        open_store(folder)


def test_arrays_in_the_provenance_become_lists(tmp_path: Path):
    recording = replace(make_recording(), provenance={"x": np.arange(2)})
    assert open_store(save_store(recording, tmp_path / "s")).provenance == {"x": [0, 1]}
