"""ModelData_all.h5: blocks, clocks, units, video; every fault named by group and key."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from freegaze.errors import ConfigError, DataError, ShapeError
from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.sources.niell.niell2022 import Niell2022Source
from freegaze.sources.source import open_recordings
from freegaze.sources.tiny import make_tiny_recording

FM1 = "070921_TINY/fm1"


def changed(folder: Path, change: Callable[[h5py.File], None]) -> Path:
    file = Niell2022Source().write_tiny(folder, 0)
    with h5py.File(file, "r+") as stream:
        change(stream)
    return file


def put(stream: h5py.File, key: str, value) -> None:
    if key in stream:
        del stream[key]
    stream[key] = value


def open_changed(folder: Path, key: str, value, **options) -> Recording:
    def change(stream: h5py.File) -> None:
        put(stream, f"{FM1}/{key}", value)

    return open_recordings("niell2022", changed(folder, change), **options)[0]


def test_the_block_comes_back_as_it_was_written(tmp_path: Path):
    truth = make_tiny_recording(0)
    (r,) = open_recordings("niell2022", Niell2022Source().write_tiny(tmp_path, 0))
    assert (r.session_id, r.bin_width_s) == ("070921_TINY", 0.05)
    assert r.response_kind is ResponseKind.SPIKE_COUNTS
    np.testing.assert_array_equal(r.responses, truth.responses)
    for name in truth.behavior_names:
        np.testing.assert_array_equal(r.column(name), truth.column(name))
    units = dict(zip(r.behavior_names, r.behavior_units, strict=True))
    assert units["theta"] == units["phi"] == units["pitch"] == "deg"
    assert (units["speed"], units["pupil_radius"], units["gz"]) == ("cm/s", "px", "raw")
    assert r.unit_ids == ("3", "7", "8", "21", "40")
    assert r.segments == (Segment(0, 240),)
    np.testing.assert_allclose(r.annotations["time_s"], np.arange(240) * 0.05)
    assert r.annotations["is_active"].dtype == bool
    gray = r.provenance["gray"]
    contrast = (truth.video().astype(float) - 128) / 40
    back = gray["black"] + r.frames / 255.0 * (gray["white"] - gray["black"])
    assert np.abs(back - contrast).max() <= gray["largest_rounding"] + 1e-9


def test_white_noise_has_the_same_units_and_no_head(tmp_path: Path):
    file = Niell2022Source().write_tiny(tmp_path, 0)
    (r,) = open_recordings("niell2022", file, block="hfwn")
    assert (r.n_bins, r.session_id) == (100, "070921_TINY")
    assert r.behavior_names == ("phi", "theta", "pupil_radius")
    assert r.unit_ids == open_recordings("niell2022", file)[0].unit_ids
    with pytest.raises(ConfigError, match="block"):
        open_recordings("niell2022", file, block="fm2")


def test_a_file_of_one_block_opens(tmp_path: Path):
    published, own = Niell2022Source().write_tiny(tmp_path, 0), tmp_path / "ModelData_dt050.h5"
    with h5py.File(published) as source, h5py.File(own, "w") as target:
        for key in source[FM1]:
            source.copy(f"{FM1}/{key}", target)
    (r,) = open_recordings("niell2022", own)
    assert (r.session_id, r.n_bins) == ("ModelData_dt050", 240)
    names = [r.session_id for r in open_recordings("niell2022", tmp_path)]
    assert names == ["070921_TINY", "ModelData_dt050"]


def test_a_gap_in_time_is_a_new_segment(tmp_path: Path):
    time_s = np.arange(240) * 0.05
    time_s[100:] += 3.0
    r = open_changed(tmp_path, "model_t", time_s)
    assert r.segments == (Segment(0, 100), Segment(100, 240))


def test_float32_seconds_are_equal_bins(tmp_path: Path):
    r = open_changed(tmp_path, "model_t", (3600 + np.arange(240) * 0.05).astype("f4"))
    assert r.bin_width_s == pytest.approx(0.05, rel=1e-2)
    assert len(r.segments) == 1


def test_a_session_without_a_clock_has_the_published_bins(tmp_path: Path):
    file = changed(tmp_path, lambda stream: stream.__delitem__(f"{FM1}/model_t"))
    assert open_recordings("niell2022", file)[0].bin_width_s == 0.05


def test_units_that_come_twice_are_told_apart(tmp_path: Path):
    r = open_changed(tmp_path, "unit_nums", [4.0, 4.0, 5.5, 4.0, 9.0])
    assert r.unit_ids == ("4", "4#2", "5.5", "4#3", "9")


def test_uint8_video_is_kept_and_lost_frames_are_marked(tmp_path: Path):
    frames = make_tiny_recording(5).frames
    np.testing.assert_array_equal(open_changed(tmp_path, "model_vid_sm", frames).frames, frames)
    (tmp_path / "lost").mkdir()
    lost = frames.astype(float)
    lost[7] = np.nan
    r = open_changed(tmp_path / "lost", "model_vid_sm", lost)
    assert np.flatnonzero(r.annotations["is_video_lost"]).tolist() == [7]
    assert r.provenance["gray"]["lost_frames"] == 1


def test_columns_of_nan_only_can_be_left_out(tmp_path: Path):
    with pytest.raises(DataError, match="fm1/model_th: NaN throughout.*leave_out"):
        open_changed(tmp_path, "model_th", np.full(240, np.nan))
    file = next(tmp_path.glob("*.h5"))
    (r,) = open_recordings("niell2022", file, leave_out=["theta"])
    assert "theta" not in r.behavior_names
    with pytest.raises(DataError, match="no behavior column 'teta'.*nearest: theta"):
        open_recordings("niell2022", file, leave_out=["teta"])


def test_further_arrays_are_kept_or_told(tmp_path: Path):
    def change(stream: h5py.File) -> None:
        stream[f"{FM1}/model_dth"] = np.arange(240)
        stream[f"{FM1}/weights"] = np.zeros((3, 3))
        stream[f"{FM1}/model_vid_sm_shift"] = np.zeros((240, 3, 4))

    (r,) = open_recordings("niell2022", changed(tmp_path, change))
    assert r.annotations["model_dth"].tolist() == list(range(240))
    assert r.provenance["ignored_keys"] == ["weights"]
    (file,) = tmp_path.glob("*.h5")
    (shifted,) = open_recordings("niell2022", file, video="model_vid_sm_shift")
    assert shifted.frame_size == (3, 4)


@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        (
            "model_nsp",
            np.ones((240, 5)) / 2,
            DataError,
            "fm1/model_nsp: spike_counts must be whole",
        ),
        ("model_nsp", -np.ones((240, 5)), DataError, "cannot be negative"),
        ("model_nsp", np.full((240, 5), np.nan), DataError, "must be finite"),
        ("model_nsp", np.zeros(240), ShapeError, r"expected \(time, unit\)"),
        ("model_nsp", np.zeros((0, 5)), ShapeError, r"expected \(time, unit\)"),
        ("model_vid_sm", np.zeros((240, 12)), ShapeError, r"model_vid_sm: expected \(time, height"),
        ("model_vid_sm", np.zeros((100, 12, 16)), ShapeError, "with 240 bins"),
        ("model_vid_sm", b"film", DataError, "no model_vid_sm that can be read.*plain numbers"),
        ("model_th", np.zeros(239), ShapeError, "model_th has 239 values, expected 240 bins"),
        ("model_th", np.full(240, np.inf), DataError, "'theta' is infinite"),
        ("model_t", np.zeros(240), DataError, "model_t: times must increase"),
        ("model_t", np.full(240, np.nan), DataError, "times must increase"),
        ("model_t", np.arange(240) ** 1.1, DataError, "equally wide"),
        ("model_t", np.arange(5.0), ShapeError, "expected 240 times"),
        (
            "unit_nums",
            np.arange(4),
            ShapeError,
            r"unit_nums has shape \(4,\), expected one name or number for 5",
        ),
    ],
)
def test_faults_name_group_and_key(tmp_path: Path, key, value, error, message):
    with pytest.raises(error, match=message):
        open_changed(tmp_path, key, value)


def test_missing_keys_and_blocks_are_named(tmp_path: Path):
    file = changed(tmp_path, lambda stream: stream.__delitem__(f"{FM1}/model_vid_sm"))
    with pytest.raises(DataError, match="fm1 holds no model_vid_sm.*there are"):
        open_recordings("niell2022", file)
    with h5py.File(file, "r+") as stream:
        del stream[f"{FM1}/model_nsp"]
    with pytest.raises(DataError, match="no SESSION/fm1/model_nsp.*blocks are hfwn.*`block`"):
        open_recordings("niell2022", file)
    with h5py.File(file, "r+") as stream:
        stream[f"{FM1}/model_nsp"] = "text"
        del stream["070921_TINY/hfwn"]
    with pytest.raises(DataError, match="fm1/model_nsp cannot be used"):
        open_recordings("niell2022", file)


def test_quiet_units_are_left_out(tmp_path: Path):
    (r,) = open_recordings("niell2022", Niell2022Source().write_tiny(tmp_path, 0), min_rate_hz=7)
    assert 0 < r.n_neurons < 5
