"""Every changed byte is found, wherever a checksum was kept."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from builders import make_recording
from freegaze.errors import DataError
from freegaze.recording.recording import Recording, Segment
from freegaze.recording.store import save_store
from freegaze.recording.verification import verify_files
from freegaze.runs.config import RunConfig
from freegaze.runs.run_folder import RunFolder

EVERY = 7


@pytest.fixture
def store(tmp_path: Path) -> Path:
    recording = make_recording(n_bins=12, n_neurons=2, frame_size=(2, 3), roles=("train",))
    return save_store(recording, tmp_path / "store")


def verdicts(folder: Path) -> dict[str, str]:
    return {str(c.path.relative_to(folder)): c.verdict for c in verify_files(folder)}


def test_a_store_is_whole(store: Path):
    found = verdicts(store)
    assert set(found.values()) == {"ok"}
    assert {"frames.npy", "manifest.json", "manifest.sha256"} <= set(found)
    assert all(name.startswith("store/") for name in verdicts(store.parent))


def flips(content: bytes, every: int):
    for at in range(0, len(content), every):
        changed = bytearray(content)
        changed[at] ^= 1 << (at % 8)
        yield at, bytes(changed)


def test_every_flipped_byte_of_a_store_is_found(store: Path):
    n_flips = 0
    for file in sorted(p for p in store.rglob("*") if p.is_file()):
        content = file.read_bytes()
        for at, changed in flips(content, EVERY):
            file.write_bytes(changed)
            assert any(c.is_damaged for c in verify_files(store)), f"{file.name}, byte {at}"
            n_flips += 1
        file.write_bytes(content)
    assert n_flips > 300
    assert not any(c.is_damaged for c in verify_files(store))


def test_what_is_missing_or_cut_is_named(store: Path):
    (store / "behavior.npy").unlink()
    (store / "frames.npy").write_bytes((store / "frames.npy").read_bytes()[:-1])
    found = verdicts(store)
    assert found["behavior.npy"] == "missing"
    assert found["frames.npy"] == "changed"
    assert found["responses.npy"] == "ok"


def test_a_store_without_its_last_checksum(store: Path):
    (store / "manifest.sha256").unlink()
    assert verdicts(store)["manifest.sha256"] == "missing"


def test_files_that_nobody_vouches_for_are_said_to_be(store: Path):
    (store / "notes.txt").write_text("mine")
    assert verdicts(store)["notes.txt"] == "not covered"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = RunFolder(tmp_path / "run")
    folder.create(RunConfig(), [make_recording(n_bins=12)])
    folder.write_metrics([{"pass": 0, "validation_loss": 1.0}])
    folder.encoder.write_bytes(np.random.default_rng(0).bytes(400))
    folder.seal()
    return folder.path


def test_every_flipped_byte_of_a_run_is_found(run: Path):
    assert set(verdicts(run).values()) == {"ok"}
    for file in sorted(run.iterdir()):
        content = file.read_bytes()
        for at, changed in flips(content, EVERY):
            file.write_bytes(changed)
            assert any(c.is_damaged for c in verify_files(run)), f"{file.name}, byte {at}"
        file.write_bytes(content)


def test_sha256sum_agrees(run: Path):
    command = ["sha256sum", "--check", "--quiet", "checksums.sha256"]
    assert subprocess.run(command, cwd=run, check=False).returncode == 0


def test_fetched_files_are_compared(tmp_path: Path, store: Path):
    digest = json.loads((store / "manifest.json").read_text())["arrays"]["frames"]["sha256"]
    folder = tmp_path / "fetched"
    folder.mkdir()
    (folder / "a.zip").write_bytes((store / "frames.npy").read_bytes())
    (folder / "checksums.json").write_text(json.dumps({"a.zip": {"sha256": digest}}))
    assert verdicts(folder) == {"a.zip": "ok", "checksums.json": "ok"}
    (folder / "a.zip").write_bytes(b"x")
    assert verdicts(folder)["a.zip"] == "changed"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.sha256", "hello\n"),
        ("a.sha256", "0" * 64 + "  x"),
        ("a.sha256", "0" * 64 + "  ../x\n"),
        ("a.sha256", "0" * 64 + "  /etc/passwd\n"),
        ("a.sha256", "\ud800"),
        ("checksums.json", "{"),
        ("checksums.json", "[1]"),
        ("checksums.json", '{"../x": {"sha256": "0"}}'),
        ("checksums.json", '{"a\\u0000": {"sha256": "0"}}'),
    ],
)
def test_lists_that_are_none_are_damage(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    (check,) = verify_files(tmp_path)
    assert (check.verdict, check.is_damaged) == ("unreadable", True)
    assert "\n" not in check.detail


def test_a_damaged_manifest_does_not_stop_the_rest(tmp_path: Path, store: Path):
    (store / "manifest.json").write_text('{"format": "freegaze-store"')
    save_store(_other(), tmp_path / "other")
    found = verdicts(tmp_path)
    assert found["store/manifest.json"] == "unreadable"
    assert found["other/frames.npy"] == "ok"


def _other() -> Recording:
    return make_recording(n_bins=6, n_neurons=1, segments=[Segment(0, 6)])


def test_nothing_to_compare_with(tmp_path: Path):
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(DataError, match="holds no checksums"):
        list(verify_files(tmp_path))
    with pytest.raises(DataError, match="is no folder"):
        list(verify_files(tmp_path / "x.txt"))
