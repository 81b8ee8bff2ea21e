"""Plain arrays in one .npz: every key, trials, segments, and every fault named."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from builders import make_recording, make_trial_recording
from comparing import assert_same_recording
from freegaze.errors import DataError, ShapeError
from freegaze.files import arrays as array_files
from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.sources.arrays.layout import write_arrays
from freegaze.sources.source import open_recordings

DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "park2023_mouse_v1"


def plain(**changes) -> dict[str, np.ndarray]:
    arrays = {
        "bin_width_s": 0.05,
        "response_kind": "spike_counts",
        "responses": np.arange(24).reshape(8, 3) % 4,
        "video": np.zeros((8, 4, 5), np.uint8),
        "behavior": np.arange(16.0).reshape(8, 2),
        "behavior_names": ["speed", "theta"],
        "behavior_units": ["cm/s", "deg"],
        "segment": [0, 0, 0, 1, 1, 1, 1, 1],
    } | changes
    return {key: np.asarray(value) for key, value in arrays.items() if value is not None}


def open_plain(folder: Path, options: dict | None = None, **changes) -> Recording:
    np.savez(folder / "mine.npz", **plain(**changes))
    (recording,) = open_recordings("arrays", folder / "mine.npz", **(options or {}))
    return recording


def test_the_smallest_file_opens(tmp_path: Path):
    r = open_plain(tmp_path)
    assert r.session_id == "mine"
    assert r.segments == (Segment(0, 3), Segment(3, 8))
    assert r.unit_ids == ("0", "1", "2")
    assert r.behavior.dtype == r.responses.dtype == np.float32


def test_segments_are_cut_where_the_role_changes(tmp_path: Path):
    split = ["train"] * 3 + ["train"] * 2 + ["test"] * 2 + [""]
    r = open_plain(tmp_path, split=split)
    assert r.segments == (
        Segment(0, 3, "train"),
        Segment(3, 5, "train"),
        Segment(5, 7, "test"),
        Segment(7, 8, None),
    )


def test_a_segment_number_that_comes_back_is_a_new_segment(tmp_path: Path):
    r = open_plain(tmp_path, segment=[0, 0, 5, 5, 0, 0, 0, 0])
    assert [s.start for s in r.segments] == [0, 2, 4]


def test_frames_may_be_shared(tmp_path: Path):
    frames = np.arange(40).reshape(2, 4, 5)
    r = open_plain(tmp_path, video=None, frames=frames, frame_index=[0, 1] * 4)
    np.testing.assert_array_equal(r.video()[5], frames[1])
    with pytest.raises(DataError, match="points to frame 2"):
        open_plain(tmp_path, video=None, frames=frames, frame_index=[0, 2] * 4)


def test_other_keys_are_annotations_or_told(tmp_path: Path):
    r = open_plain(tmp_path, light=np.arange(8), picture=np.zeros((2, 2)), note="x")
    assert list(r.annotations) == ["light"]
    assert r.provenance["ignored_keys"] == ["picture", "note"]


def test_optional_keys(tmp_path: Path):
    rates = {"reference_rates/oracle": np.ones((8, 3))}
    r = open_plain(tmp_path, unit_ids=[7, 8, 9], deg_per_px=1.5, **rates)
    assert r.unit_ids == ("7", "8", "9")
    assert r.deg_per_px == 1.5
    assert list(r.reference_rates) == ["oracle"]


def test_trials_are_guessed_from_equal_short_segments(tmp_path: Path):
    even = {"segment": [0, 0, 1, 1, 2, 2, 3, 3]}
    r = open_plain(tmp_path, **even)
    assert all(s.trial for s in r.segments)
    assert "every segment is one trial" in r.provenance["trials"]
    r = open_plain(tmp_path, {"trials": False}, **even)
    assert not any(s.trial for s in r.segments)
    assert not any(s.trial for s in open_plain(tmp_path).segments)
    assert all(s.trial for s in open_plain(tmp_path, {"trials": True}).segments)
    # 2 bins of 10 s: as long as the blocks of time that intervals resample
    slow = open_plain(tmp_path, {"slow_bins": True}, bin_width_s=10.0, **even)
    assert not any(s.trial for s in slow.segments)
    assert not any(s.trial for s in open_plain(tmp_path, segment=np.zeros(8, int)).segments)


def test_a_folder_of_files_is_one_session_each(tmp_path: Path):
    for name in ("b", "a"):
        np.savez_compressed(tmp_path / f"{name}.npz", **plain())
    assert [r.session_id for r in open_recordings("arrays", tmp_path)] == ["a", "b"]
    assert [r.session_id for r in open_recordings("arrays", tmp_path, sessions=["b"])] == ["b"]


def test_columns_can_be_left_out(tmp_path: Path):
    r = open_plain(tmp_path, {"leave_out": ["speed"]})
    assert r.behavior_names == ("theta",)
    assert r.behavior_units == ("deg",)
    with pytest.raises(DataError, match="no behavior column 'sped' .nearest: speed"):
        open_plain(tmp_path, {"leave_out": ["sped"]})


def test_no_behavior_at_all(tmp_path: Path):
    r = open_plain(tmp_path, behavior=np.zeros((8, 0)), behavior_names=[], behavior_units=[])
    assert r.behavior.shape == (8, 0)


def test_rate_threshold_counts_training_bins(tmp_path: Path):
    responses = np.zeros((8, 3))
    responses[0, 0] = responses[7, 1] = 1
    split = ["train"] * 3 + ["test"] * 5
    r = open_plain(tmp_path, {"min_rate_hz": 0.1}, responses=responses, split=split)
    assert r.unit_ids == ("0",)


FAULTS = {
    "missing key": ({"responses": None}, "missing key 'responses'"),
    "both videos": ({"frames": np.zeros((1, 4, 5))}, "expected `video`, or"),
    "no video": ({"video": None}, "expected `video`, or"),
    "kind": ({"response_kind": "spikes"}, "response_kind must be one of"),
    "negative": ({"responses": np.full((8, 3), -1)}, "cannot be negative"),
    "fraction": ({"responses": np.full((8, 3), 0.5)}, "must be whole"),
    "lengths": ({"segment": np.zeros(7, int)}, "both need one row per bin"),
    "axes": ({"responses": np.zeros(8)}, "must have 2 axes"),
    "text behavior": ({"behavior": np.full((8, 2), "x")}, "behavior: expected numbers"),
    "nan column": ({"behavior": np.full((8, 2), np.nan)}, "NaN throughout"),
    "names": ({"behavior_names": ["a"]}, "name every column"),
    "no names": ({"behavior_names": [1, 2]}, "expected a list of names"),
    "same names": ({"behavior_names": ["a", "a"]}, "more than once"),
    "role": ({"split": ["judge"] * 8}, "split holds 'judge'"),
    "split numbers": ({"split": np.zeros(8)}, "one string"),
    "bin width": ({"bin_width_s": 0.0}, "must be a positive number"),
    "bin widths": ({"bin_width_s": [0.1, 0.2]}, "expected one number"),
    "gray": ({"video": np.full((8, 4, 5), 0.5)}, "expected gray values"),
    "empty": ({"video": np.zeros((8, 0, 5))}, "expected (time, height, width)"),
    "unit ids": ({"unit_ids": ["a"]}, "unit_ids has shape (1,)"),
    "rates": ({"reference_rates/x": np.zeros((8, 2))}, "reference_rates['x']"),
    "objects": ({"light": np.array([object()] * 8)}, "holds Python objects"),
}


@pytest.mark.parametrize(("changes", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_name_the_file(changes: dict, message: str, tmp_path: Path):
    with pytest.raises(DataError) as caught:
        open_plain(tmp_path, **changes)
    text = str(caught.value)
    assert text.startswith(str(tmp_path / "mine.npz"))
    assert message in text
    assert "\n" not in text


def test_no_bins_are_refused(tmp_path: Path):
    empty = {key: value[:0] for key, value in plain().items() if len(value.shape) > 1}
    with pytest.raises(DataError, match="0 bins"):
        open_plain(tmp_path, segment=np.zeros(0, int), **empty)


def test_shape_errors_are_shape_errors(tmp_path: Path):
    with pytest.raises(ShapeError):
        open_plain(tmp_path, segment=np.zeros(7, int))


def test_truncated_and_foreign_files(tmp_path: Path):
    file = tmp_path / "mine.npz"
    np.savez(file, **plain())
    content = file.read_bytes()
    for n in (0, 10, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:n])
        with pytest.raises(
            DataError, match=r"mine\.npz (cannot be read|is empty).*[Cc]opy or write it again"
        ):
            open_recordings("arrays", file)


def test_damaged_data_are_found_by_their_checksum(tmp_path: Path):
    file = tmp_path / "mine.npz"
    np.savez(file, **plain(video=np.full((8, 4, 5), 77, np.uint8)))
    content = file.read_bytes()
    at = content.index(bytes([77] * 20))
    file.write_bytes(content[:at] + b"\x00" + content[at + 1 :])
    with pytest.raises(DataError, match=r"mine\.npz cannot be read \(Bad CRC"):
        open_recordings("arrays", file)


def test_arrays_that_expand_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(array_files, "_EXPANSION_FLOOR_BYTES", 100_000)
    np.savez_compressed(tmp_path / "bomb.npz", **plain(bomb=np.zeros(1_000_000, np.uint8)))
    with pytest.raises(DataError, match=r"bomb\.npz: bomb expands from \d+ to 1000000 bytes"):
        open_recordings("arrays", tmp_path / "bomb.npz")


@pytest.mark.parametrize("name", ["responses.npy", "notes.txt"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice_or_of_another_kind(name: str, tmp_path: Path):
    file = tmp_path / "mine.npz"
    np.savez(file, **plain())
    with zipfile.ZipFile(file, "a") as archive:
        content = archive.read("responses.npy")
        archive.writestr(name, content)
    with pytest.raises(DataError, match=r"holds each NAME\.npy once"):
        open_recordings("arrays", file)


def test_writing_and_reading_are_inverse(tmp_path: Path):
    recordings = [replace(make_recording(kind=kind), deg_per_px=1.5) for kind in ResponseKind] + [
        make_trial_recording()
    ]
    for i, recording in enumerate(recordings):
        file = write_arrays(recording, tmp_path / str(i) / f"{recording.session_id}.npz")
        (again,) = open_recordings("arrays", file)
        assert_same_recording(recording, again)


def test_writing_refuses(tmp_path: Path):
    recording = make_recording()
    with pytest.raises(DataError, match=r"must end in \.npz"):
        write_arrays(recording, tmp_path / "a.zip")
    file = write_arrays(recording, tmp_path / "a.npz")
    with pytest.raises(DataError, match="exists already"):
        write_arrays(recording, file)
    write_arrays(recording, file, overwrite=True)
    clash = replace(recording, annotations={"split": np.zeros(400)})
    with pytest.raises(DataError, match="annotation 'split' has the name of a key"):
        write_arrays(clash, tmp_path / "b.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real recordings in {DATA}")
def test_real_recordings_open():
    recordings = open_recordings("arrays", DATA)
    counts = {recording.session_id: recording.n_neurons for recording in recordings}
    expected = {"mrcuts24": 28, "mrcuts25": 53, "mrcuts26": 74, "mrcuts28": 56}
    assert counts.items() <= expected.items()
    first = recordings[0]
    assert first.response_kind is ResponseKind.FLUORESCENCE
    assert len(first.segments) == 128
    assert all(s.trial and s.n_bins == 49 for s in first.segments)
    assert "stimulus_direction_deg" in first.annotations
