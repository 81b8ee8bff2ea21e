"""*_preproc.h5: no camera, unless one asks for a blank one; lengths off by one."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from freegaze.errors import DataError, ShapeError
from freegaze.recording.recording import Recording, ResponseKind
from freegaze.sources.niell.niell2p import Niell2pSource
from freegaze.sources.source import open_recordings


def tiny(folder: Path, **changes) -> Path:
    file = Niell2pSource().write_tiny(folder, 0)
    with h5py.File(file, "r+") as stream:
        for key, value in changes.items():
            if key in stream:
                del stream[key]
            if value is not None:
                stream[key] = value
    return file


def open_blank(file: Path, **options) -> Recording:
    return open_recordings("niell2p", file, blank_video=True, **options)[0]


def test_without_a_camera_it_is_refused_in_one_line(tmp_path: Path):
    with pytest.raises(DataError, match="holds no camera video.*`blank_video: true`") as caught:
        open_recordings("niell2p", tiny(tmp_path))
    assert "\n" not in str(caught.value)


def test_cells_become_columns(tmp_path: Path):
    file = tiny(tmp_path)
    r = open_blank(file)
    with h5py.File(file) as stream:
        np.testing.assert_array_equal(r.responses, stream["norm_spikes"][()].T)
        np.testing.assert_array_equal(r.annotations["is_light"], stream["ltdk_state_vec"][()])
        yaw = stream["head_yaw_deg"][()].astype(np.float32)
    np.testing.assert_array_equal(r.column("yaw"), yaw)
    assert r.session_id == "250218_DMM_DMM038_rec_01"
    assert r.response_kind is ResponseKind.INFERRED_SPIKES
    assert r.bin_width_s == pytest.approx(1 / 7.5, rel=1e-5)
    assert np.ptp(r.video()) == 0
    assert {"theta", "pxls2cm", "ltdk"} == set(r.provenance["ignored_keys"])


def test_responses_are_chosen(tmp_path: Path):
    file = tiny(tmp_path)
    assert open_blank(file, responses="norm_dFF").response_kind is ResponseKind.FLUORESCENCE
    assert open_blank(file, responses="s2p_spks").responses.max() > 1
    with pytest.raises(DataError, match="no raw_dFF .of such keys: norm_spikes"):
        open_blank(file, responses="raw_dFF")


def test_a_bin_too_many_is_cut_and_one_too_few_is_lost(tmp_path: Path):
    file = tiny(tmp_path, head_yaw_deg=np.arange(241.0), twopT=np.arange(241) / 7.5)
    r = open_blank(file)
    assert r.column("yaw")[-1] == 239
    assert np.isnan(r.column("speed")[-1])
    assert set(r.provenance["fitted_lengths"]) == {"speed", "head_yaw_deg"}
    (tmp_path / "b").mkdir()
    with pytest.raises(ShapeError, match="head_yaw_deg has 242 values"):
        open_blank(tiny(tmp_path / "b", head_yaw_deg=np.arange(242.0)))


def test_silent_cells_are_left_out_and_told(tmp_path: Path):
    spikes = np.random.default_rng(0).random((5, 240))
    spikes[2] = np.nan
    r = open_blank(tiny(tmp_path, norm_spikes=spikes))
    assert r.unit_ids == ("0", "1", "3", "4")
    assert r.provenance["silent_cells_left_out"] == ["2"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"norm_spikes": np.zeros(240)}, ShapeError, "cell, time"),
        ({"norm_spikes": np.full((5, 240), np.nan)}, DataError, "NaN throughout"),
        ({"norm_spikes": -np.ones((5, 240))}, DataError, "negative"),
        ({"twopT": np.arange(100.0)}, ShapeError, "expected 240 times"),
        ({"theta_interp": np.full(240, np.nan)}, DataError, "theta_interp: NaN throughout"),
        ({"theta_interp": np.zeros((240, 2))}, ShapeError, "one number per bin"),
        ({"theta_interp": np.zeros(239, bool)}, ShapeError, "239 values"),
    ],
)
def test_faults_are_named(tmp_path: Path, changes, error, message):
    with pytest.raises(error, match=message):
        open_blank(tiny(tmp_path, **changes))


def test_what_may_be_missing(tmp_path: Path):
    file = tiny(tmp_path, twopT=None, matlab_cellinds=np.arange(9), theta_interp=None)
    r = open_blank(file, leave_out=["phi"])
    assert r.bin_width_s == 1 / 7.5
    assert r.unit_ids == ("0", "1", "2", "3", "4")
    assert r.behavior_names == ("speed", "yaw")
    with pytest.raises(DataError, match="no behavior column 'theta'"):
        open_blank(file, leave_out=["theta"])
