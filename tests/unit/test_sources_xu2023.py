"""The original's folders: everything found, in order, and every fault named by its file."""

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from builders import make_recording
from comparing import assert_same_recording
from freegaze.errors import DataError, ShapeError
from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.sources.source import open_recordings
from freegaze.sources.tiny import make_tiny_recording
from freegaze.sources.xu2023.layout import BEHAVIOR_KEYS, write_xu2023
from freegaze.sources.xu2023.source import PAPER_DROPPED_UNITS, Xu2023Source


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Xu2023Source().write_tiny(tmp_path, seed=1)


@pytest.fixture
def session(root: Path) -> Path:
    return root / "tiny"


def open_one(path: Path, **options) -> Recording:
    (recording,) = open_recordings("xu2023", path, **options)
    return recording


def test_segments_come_in_physical_order_with_their_roles(root: Path):
    recording = open_one(root, units="all")
    expected = make_tiny_recording(1)
    assert_same_recording(recording, expected, but=("behavior_units",))
    assert [s.role for s in recording.segments] == ["train", "test", "train", "test"]
    assert recording.bin_width_s == 0.048


def test_a_session_folder_opens_as_well(root: Path, monkeypatch: pytest.MonkeyPatch):
    assert_same_recording(open_one(root), open_one(root / "tiny"))
    monkeypatch.chdir(root / "tiny")
    assert open_one(Path(".")).session_id == "tiny"


def test_ten_or_more_segments_are_in_the_order_of_their_numbers(tmp_path: Path):
    base = make_tiny_recording(0)
    ends = np.linspace(0, 240, 25).astype(int)
    segments = [
        Segment(int(a), int(b), ("train", "test")[i % 2]) for i, (a, b) in enumerate(pairwise(ends))
    ]
    recording = base.with_segments(segments)
    write_xu2023(recording, tmp_path)
    assert len(list(tmp_path.glob("tiny/train_nsp_seg_*.npy"))) == 12
    assert_same_recording(open_one(tmp_path, units="all"), recording, but=("behavior_units",))


def test_each_video_kind_is_its_own(root: Path, session: Path):
    for i, kind in enumerate(("vid_mean", "vid_middle", "vid_shift_mean", "vid_shift_middle")):
        for file in session.glob(f"*_{kind}_seg_*.npy"):
            np.save(file, np.full((36 + 48 * ("train" in file.name), 12, 16), i, np.uint8))
        assert (open_one(root, video=kind).frames == i).all()


def test_a_missing_video_kind_is_named(root: Path, session: Path):
    (session / "test_vid_middle_seg_1.npy").unlink()
    with pytest.raises(DataError, match=r"test_vid_middle_seg_1\.npy does not exist.*choose"):
        open_one(root, video="vid_middle")
    open_one(root)


def test_video_of_whole_floats_is_accepted_and_others_refused(root: Path, session: Path):
    file = session / "train_vid_mean_seg_0.npy"
    video = np.load(file)
    np.save(file, video.astype(np.float64))
    np.testing.assert_array_equal(open_one(root).frames[:84], video)
    np.save(file, video / 255)
    with pytest.raises(DataError, match=r"train_vid_mean_seg_0\.npy: expected gray values"):
        open_one(root)


def test_units_by_training_rate(root: Path, session: Path):
    for k in (0, 1):
        for split in ("train", "test"):
            file = session / f"{split}_nsp_seg_{k}.npy"
            counts = np.load(file)
            counts[:, 2] = 0 if split == "train" else 9  # lively, but not in training bins
            np.save(file, counts)
    assert open_one(root).unit_ids == ("0", "1", "3", "4")
    assert open_one(root, units="all").unit_ids == ("0", "1", "2", "3", "4")
    rates = open_one(root, units="all").rates_hz("train")
    kept = open_one(root, min_rate_hz=7.0).unit_ids
    assert kept == tuple(str(i) for i in np.flatnonzero(rates >= 7.0))


def test_no_neuron_above_threshold_names_the_session(root: Path):
    with pytest.raises(DataError, match=r"tiny: .*no neuron fires at 900 Hz.*lower `min_rate_hz`"):
        open_one(root, min_rate_hz=900)


@pytest.mark.parametrize("name", PAPER_DROPPED_UNITS)
def test_units_of_the_paper(name: str, root: Path, session: Path):
    n_units, dropped = PAPER_DROPPED_UNITS[name]
    kept = {"070921_J553RT": 68, "101521_J559NC": 49, "110421_J569LT": 32}[name]
    session.rename(root / name)
    for file in root.glob("*/*_nsp_*.npy"):
        np.save(file, np.zeros((len(np.load(file)), n_units)))
    recording = open_one(root, units="paper")
    assert recording.n_neurons == kept
    assert not {int(unit) for unit in recording.unit_ids} & set(dropped)


def test_units_of_the_paper_only_for_its_sessions(root: Path, session: Path):
    with pytest.raises(DataError, match="no list for session 'tiny'.*choose `units: rate`"):
        open_one(root, units="paper")
    session.rename(root / "070921_J553RT")
    with pytest.raises(ShapeError, match="expects 108 units.*got 5"):
        open_one(root, units="paper")


def test_gz_is_optional_but_not_in_part(root: Path, session: Path):
    files = list(session.glob("*_gz_*.npy"))
    files[0].unlink()
    with pytest.raises(DataError, match=f"{files[0].name} does not exist"):
        open_one(root)
    for file in files[1:]:
        file.unlink()
    assert "gz" not in open_one(root).behavior_names


def test_columns_can_be_left_out(root: Path, session: Path):
    for file in session.glob("*_th_*.npy"):
        file.unlink()
    with pytest.raises(DataError, match=r"train_th_seg_0\.npy does not exist"):
        open_one(root)
    assert "theta" not in open_one(root, leave_out=["theta"]).behavior_names
    assert open_one(root, leave_out=[n for n, _ in BEHAVIOR_KEYS.values()]).behavior.shape[1] == 0
    with pytest.raises(DataError, match="no behavior column 'th'"):
        open_one(root, leave_out=["th"])


def test_sessions_are_picked_in_the_order_asked_for(root: Path, session: Path):
    shutil.copytree(session, root / "second")
    assert [r.session_id for r in open_recordings("xu2023", root)] == ["second", "tiny"]
    picked = open_recordings("xu2023", root, sessions=["tiny", "second"])
    assert [r.session_id for r in picked] == ["tiny", "second"]
    with pytest.raises(DataError, match="no session 'tini' .nearest: tiny"):
        open_recordings("xu2023", root, sessions=["tini"])


def replace_array(file: Path, change) -> None:
    np.save(file, change(np.load(file)), allow_pickle=True)


FAULTS = {
    "short": ("test_pitch_seg_1", lambda a: a[:-1], ShapeError, "test_nsp_seg_1.npy has 36 bins"),
    "text": ("train_roll_seg_0", lambda a: a.astype(str), DataError, "expected numbers"),
    "objects": ("train_roll_seg_0", lambda a: a.astype(object), DataError, "holds Python objects"),
    "negative": ("test_nsp_seg_0", lambda a: a - 1, DataError, "cannot be negative"),
    "fraction": ("test_nsp_seg_0", lambda a: a + 0.5, DataError, "must be whole"),
    "lost spikes": ("test_nsp_seg_0", lambda a: a * np.nan, DataError, "must be finite"),
    "units": ("train_nsp_seg_1", lambda a: a[:, 1:], ShapeError, "segments of a session"),
    "size": ("train_vid_mean_seg_1", lambda a: a[:, 1:], ShapeError, "segments of a session"),
    "flat spikes": ("train_nsp_seg_0", lambda a: a[:, 0], ShapeError, "spike counts"),
    "two columns": ("train_phi_seg_0", lambda a: np.stack([a, a], 1), ShapeError, "one number"),
}


@pytest.mark.parametrize(("name", "change", "error", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_name_the_file(name, change, error, message, root: Path, session: Path):
    replace_array(session / f"{name}.npy", change)
    with pytest.raises(error) as caught:
        open_one(root)
    text = str(caught.value)
    assert f"{name}.npy" in text
    assert message in text
    assert "\n" not in text


def test_video_without_a_second_axis(root: Path, session: Path):
    for file in session.glob("*_vid_mean_seg_*.npy"):
        replace_array(file, lambda a: a[:, 0])
    with pytest.raises(ShapeError, match=r"train_vid_mean_seg_0\.npy: expected .*gray video"):
        open_one(root)


def test_truncated_files_are_named(root: Path, session: Path):
    file = session / "train_speed_seg_0.npy"
    content = file.read_bytes()
    for n in (0, 5, 60, len(content) - 1):
        file.write_bytes(content[:n])
        with pytest.raises(DataError, match=r"train_speed_seg_0\.npy"):
            open_one(root)


def test_a_column_of_nan_only_names_the_files_and_the_remedy(root: Path, session: Path):
    for file in session.glob("*_eyerad_seg_*.npy"):
        replace_array(file, lambda a: a * np.nan)
    with pytest.raises(DataError, match=r"_eyerad_seg_.*leave_out: .pupil_radius"):
        open_one(root)


def test_an_infinite_value_names_the_session(root: Path, session: Path):
    replace_array(session / "train_speed_seg_0.npy", lambda a: a + 1e300)
    with pytest.raises(DataError, match="tiny: .*'speed' is infinite"):
        open_one(root)


def test_written_files_are_those_of_the_original(tmp_path: Path):
    recording = make_tiny_recording(5)
    middle = 255 - recording.frames
    folder = write_xu2023(recording, tmp_path, {"vid_mean": recording.frames, "vid_middle": middle})
    assert len(list(folder.iterdir())) == 4 * (1 + 7 + 2)
    assert np.load(folder / "train_nsp_seg_0.npy").dtype == np.float64
    assert np.load(folder / "test_eyerad_seg_1.npy").shape == (36,)
    np.testing.assert_array_equal(open_one(tmp_path, video="vid_middle").frames, middle)
    assert_same_recording(
        open_one(tmp_path, units="all"), recording, but=("behavior_units", "unit_ids")
    )


def test_a_session_is_replaced_only_when_asked(tmp_path: Path):
    write_xu2023(make_tiny_recording(1), tmp_path)
    with pytest.raises(DataError, match="exists already"):
        write_xu2023(make_tiny_recording(2), tmp_path)
    write_xu2023(make_tiny_recording(2), tmp_path, overwrite=True)
    np.testing.assert_array_equal(open_one(tmp_path).frames, make_tiny_recording(2).frames)


def test_what_the_layout_cannot_hold_is_refused(tmp_path: Path):
    tiny = make_tiny_recording(1)
    fluorescence = make_recording(kind=ResponseKind.FLUORESCENCE)
    undecided = tiny.with_segments([Segment(0, 240)])
    other = replace(tiny, behavior_names=("x", *tiny.behavior_names[1:]))
    for recording, message in (
        (fluorescence, "holds fluorescence"),
        (replace(tiny, bin_width_s=0.05), "bins are 0.05 s wide"),
        (undecided, "train and test in turn"),
        (other, "no place for behavior 'x'"),
    ):
        with pytest.raises(DataError, match=message):
            write_xu2023(recording, tmp_path)
    assert list(tmp_path.iterdir()) == []
