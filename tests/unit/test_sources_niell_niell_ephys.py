"""Raw ephys folders of the Niell lab: files, units, signs, hours, and the board's clock."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from builders import copy_tiny
from freegaze.errors import ConfigError, DataError, FreegazeError
from freegaze.recording.recording import Recording
from freegaze.sources.alignment.clock import ClockConfig
from freegaze.sources.alignment.streams import SampleStream, make_samples
from freegaze.sources.niell.ephys_clocks import (
    APART_S,
    correct_zone,
    estimate_board_clock,
)
from freegaze.sources.niell.ephys_tiny import TINY_CLOCK, write_session
from freegaze.sources.source import detect_source, open_recordings
from freegaze.sources.tiny import TinyStreams, make_tiny_streams

NAME = "070921_J553RT_control_Rig2_fm1"
SAME = ClockConfig()


@pytest.fixture
def session(tmp_path: Path) -> Path:
    copy_tiny("niell_ephys", tmp_path)
    return tmp_path / "070921" / "J553RT" / "fm1"


def opened(path: Path, **options) -> Recording:
    (recording,) = open_recordings("niell_ephys", path, **{"clock": TINY_CLOCK, **options})
    return recording


def change_nc(file: Path, change: Callable[[Any], Any]) -> None:
    """Read a file with xarray, and write it anew."""
    with xr.open_dataset(file) as data:
        changed = change(data.load())
    changed.to_netcdf(file, engine="netcdf4")


def change_merge(session: Path, change: Callable[[dict], object]) -> None:
    file = session / f"{NAME}_ephys_merge.json"
    table = json.loads(file.read_text())
    change(table)
    file.write_text(json.dumps(table))


def test_every_stream_comes_back_on_the_cameras_clock(session: Path):
    truth = make_tiny_streams(0)
    r = opened(session)
    assert r.session_id == NAME
    np.testing.assert_allclose(r.annotations["time_s"], (np.arange(240) + 0.5) * 0.05, atol=1e-6)
    edges = np.arange(241) * 0.05
    counts = np.column_stack([np.histogram(t, edges)[0] for t in truth.spike_times])
    np.testing.assert_array_equal(r.responses, counts)
    # Three frames of 1/60 s lie in each bin.
    frames = truth.frames.reshape(240, 3, 12, 16).mean(1)
    np.testing.assert_array_equal(r.video(), np.floor(frames + 0.5))
    for name, signal in (("theta", truth.gaze[:, 0]), ("phi", truth.gaze[:, 1])):
        expected = signal.reshape(240, 3)[:, 1]  # the middle frame is at the bin's center
        np.testing.assert_allclose(r.column(name), expected, atol=1e-4)
    centers = r.annotations["time_s"]
    for name, i in (("pitch", 0), ("roll", 1), ("gz", 2)):
        expected = np.interp(centers, truth.imu_times, truth.imu[:, i])
        np.testing.assert_allclose(r.column(name), expected, atol=1e-2)
    np.testing.assert_allclose(r.column("speed"), truth.speed.reshape(240, 3)[:, 1], atol=1e-4)
    units = dict(zip(r.behavior_names, r.behavior_units, strict=True))
    assert units["theta"] == units["phi"] == units["pitch"] == "deg"
    assert (units["pupil_radius"], units["gz"], units["speed"]) == ("px", "deg/s", "cm/s")


def test_only_good_units_are_kept_under_their_rows(session: Path):
    r = opened(session)
    assert r.unit_ids == ("1", "2", "3", "4")
    assert r.provenance["units_left_out"] == {"noise": 1}
    both = opened(session, groups=("good", "noise"))
    assert both.unit_ids == ("0", "1", "2", "3", "4")
    assert both.responses[:, 0].sum() == 2, "spikes in any order"
    with pytest.raises(DataError, match=r"no unit's group is mua \(there are good, noise\)"):
        opened(session, groups=("mua",))


def test_phi_is_turned_around_only_when_asked(session: Path):
    plain, turned = opened(session), opened(session, flip_phi=True)
    np.testing.assert_array_equal(turned.column("phi"), -plain.column("phi"))
    np.testing.assert_array_equal(turned.column("theta"), plain.column("theta"))
    assert plain.provenance["phi"] == "as the eye camera's"
    assert turned.provenance["phi"] == "turned around"


def test_speed_above_25_is_lost(session: Path):
    def run(data: Any) -> Any:
        data["TOP1_props"][300:330, 0] = 25.5
        data["TOP1_props"][400:430, 0] = 25.0
        return data

    change_nc(session / f"{NAME}_TOP1.nc", run)
    speed = opened(session).column("speed")
    assert np.isnan(speed[100:110]).all()
    assert not np.isnan(speed[:100]).any()
    np.testing.assert_allclose(speed[134:143], 25.0)


@pytest.mark.parametrize("hours", [-8, 8])
def test_eight_hours_are_put_right_and_told(session: Path, hours: int):
    plain = opened(session)
    for end in ("world", "REYE"):
        change_nc(
            session / f"{NAME}_{end}.nc",
            lambda d: d.assign_coords(timestamps=d.timestamps + 3600 * hours),
        )
    shifted = opened(session)
    assert shifted.provenance["hours_added"] == {"world": -hours, "eye": -hours}
    np.testing.assert_array_equal(shifted.responses, plain.responses)
    np.testing.assert_allclose(shifted.behavior, plain.behavior, atol=1e-3)


def test_other_hours_are_refused():
    times = np.array([100.0, 101.0])
    assert correct_zone(times, 90.0, "f")[0].tolist() == [10, 11]
    back, hours = correct_zone(times - 8 * 3600, 90.0, "f")
    assert (back.tolist(), hours) == ([10, 11], 8)
    back, hours = correct_zone(times + 7 * 3600, 90.0, "f")
    assert (back.tolist(), hours) == ([10, 11], -7)
    for wrong in (3600.0, 8 * 3600 + APART_S + 20, -6 * 3600):
        with pytest.raises(DataError, match="f: begins .* s after the electrodes"):
            correct_zone(times + wrong, 90.0, "f")


def test_files_without_labels_are_read_in_the_usual_order(session: Path):
    plain = opened(session)
    for end, axis in (("REYE", "ellipse_params"), ("imu", "channel"), ("TOP1", "prop")):
        change_nc(session / f"{NAME}_{end}.nc", lambda d, axis=axis: d.drop_vars(axis))
    np.testing.assert_array_equal(opened(session).behavior, plain.behavior)


def test_labels_decide_not_places(session: Path):
    plain = opened(session)
    change_nc(session / f"{NAME}_REYE.nc", lambda d: d.isel(ellipse_params=[3, 2, 1, 0]))
    np.testing.assert_array_equal(opened(session).behavior, plain.behavior)


def test_an_array_without_a_name_is_the_imu(session: Path):
    """``DataArray.to_netcdf`` calls it so when it was given none."""
    plain = opened(session)
    change_nc(
        session / f"{NAME}_imu.nc",
        lambda d: d.rename(IMU_data="__xarray_dataarray_variable__"),
    )
    np.testing.assert_array_equal(opened(session).behavior, plain.behavior)


def test_a_head_fixed_session_has_a_ball_and_states_its_clock(tmp_path: Path):
    write_session(tmp_path, "a_hf1_wn", make_tiny_streams(1), TINY_CLOCK, is_head_fixed=True)
    r = opened(tmp_path)
    assert r.behavior_names == ("theta", "phi", "pupil_radius", "speed")
    assert r.provenance["board_clock"] == {
        "scale_to_s": 1.0,
        "offset_s": -0.1,
        "drift": 1.14e-4,
        "wraps_at": None,
        "estimated": False,
    }
    with pytest.raises(DataError, match=r"there is no \*_imu\.nc; state `clock`"):
        open_recordings("niell_ephys", tmp_path)


def test_the_board_tells_how_long_it_ran_where_no_head_was_sampled(tmp_path: Path):
    streams = make_tiny_streams(1)
    streams = replace(streams, spike_times=tuple(t[(t > 3) & (t < 9)] for t in streams.spike_times))
    write_session(tmp_path, "a", streams, TINY_CLOCK, is_head_fixed=True)
    assert opened(tmp_path).n_bins >= 235
    (tmp_path / "a_Ephys_BonsaiBoardTS.csv").unlink()
    assert opened(tmp_path).n_bins < 125


def test_sessions_are_found_three_folders_deep(session: Path, tmp_path: Path):
    assert detect_source(tmp_path) == detect_source(session) == "niell_ephys"
    write_session(session.parent, "b_hf1_wn", make_tiny_streams(1), TINY_CLOCK, is_head_fixed=True)
    found = open_recordings("niell_ephys", tmp_path, clock=TINY_CLOCK)
    assert [r.session_id for r in found] == [NAME, "b_hf1_wn"]
    assert opened(session / f"{NAME}_ephys_merge.json").session_id == NAME
    shutil.copytree(session, session.parent / "copy")
    with pytest.raises(DataError, match=f"session '{NAME}' is in .*copy and in .*fm1"):
        open_recordings("niell_ephys", tmp_path)


def test_capitals_do_not_matter_but_two_files_do(session: Path):
    (session / f"{NAME}_REYE.nc").rename(session / f"{NAME}_Reye.nc")
    assert "theta" in opened(session).behavior_names
    shutil.copy(session / f"{NAME}_Reye.nc", session / f"{NAME}_2_REYE.nc")
    with pytest.raises(DataError, match=r"are all \*_reye\.nc"):
        opened(session)


def test_columns_can_be_left_out(session: Path):
    r = opened(session, leave_out=("gz", "pitch", "roll", "phi"))
    assert r.behavior_names == ("theta", "pupil_radius", "speed")
    with pytest.raises(DataError, match="no behavior column 'gaze'"):
        opened(session, leave_out=("gaze",))


def test_samples_out_of_order_are_refused_or_sorted(session: Path):
    plain = opened(session)
    for end in ("world", "REYE"):
        change_nc(session / f"{NAME}_{end}.nc", lambda d: d.isel(frame=slice(None, None, -1)))
    with pytest.raises(DataError, match=r"REYE\.nc: time goes back"):
        opened(session)
    back = opened(session, sort=True)
    np.testing.assert_allclose(back.behavior, plain.behavior, atol=1e-6)
    np.testing.assert_array_equal(back.video(), plain.video())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("t0"), "a column 't0'"),
        (lambda t: t["t0"].update({"2": 5.0}), "t0 must be one time in seconds"),
        (lambda t: t["t0"].update({str(i): "noon" for i in range(5)}), "got 0"),
        (lambda t: t["spikeT"].update({"2": 3.0}), "spikeT of unit 2: expected a list of times"),
        (lambda t: t["spikeT"].update({"2": [0.1, float("nan")]}), "spikeT of unit 2"),
        (lambda t: t["spikeT"].pop("2"), "spikeT of unit 2: expected a list"),
        (lambda t: t.update(group=["good"] * 5), "a column 'group'"),
    ],
)
def test_a_wrong_table_of_spikes_is_named(session: Path, change, message: str):
    change_merge(session, change)
    with pytest.raises(DataError, match=message):
        opened(session)


@pytest.mark.parametrize(
    ("end", "change", "message"),
    [
        ("world", lambda d: d.drop_vars("WORLD_video"), "holds no WORLD_video"),
        ("world", lambda d: d.drop_vars("timestamps"), "holds no timestamps"),
        ("REYE", lambda d: d.drop_vars("timestamps"), "holds no timestamps"),
        ("imu", lambda d: d.drop_vars("IMU_data"), "expected an array IMU_data|variable"),
        ("imu", lambda d: d.isel(channel=slice(5)), "has, along channel, no column 'gyro_z'"),
        ("TOP1", lambda d: d.isel(prop=0), r"expected numbers \(time, prop\)"),
    ],
)
def test_what_a_file_lacks_is_named(session: Path, end: str, change, message: str):
    change_nc(session / f"{NAME}_{end}.nc", change)
    with pytest.raises(FreegazeError, match=message) as error:
        opened(session)
    assert f"{NAME}_{end}.nc" in str(error.value)


def test_a_missing_camera_is_named(session: Path):
    (session / f"{NAME}_world.nc").unlink()
    with pytest.raises(DataError, match=r"holds no \*_world\.nc"):
        opened(session)
    with pytest.raises(ConfigError, match="clock"):
        opened(session, clock={"offset": 1})


# ---------------------------------------------------------------- the clock of the board


def eye_and_head(
    minutes: float, clock: ClockConfig, r: float, seed: int = 0
) -> tuple[SampleStream, SampleStream]:
    """An eye whose velocity counters the head's with correlation ``r``, on two clocks."""
    rng = np.random.default_rng(seed)
    rate_hz, n = 300.0, int(300 * 60 * minutes)
    times = np.arange(n) / rate_hz
    spectrum = np.fft.rfft(rng.normal(size=(2, n)))
    spectrum *= np.exp(-(np.fft.rfftfreq(n, 1 / rate_hz) ** 2) / (2 * 3.0**2))  # up to some 3 Hz
    head, other = np.fft.irfft(spectrum, n)
    head, other = head / head.std(), other / other.std()
    eye = np.cumsum(-r * head + np.sqrt(1 - r**2) * other) / rate_hz
    own = (times - clock.offset_s) / (1 + clock.drift)
    frames = slice(None, None, 5)  # 60 Hz
    return (
        make_samples("eye", times[frames], 40 * eye[frames], ["theta"], ["deg"]),
        make_samples("head", own, 100 * head, ["gz"], ["deg/s"]),
    )


@pytest.mark.parametrize("offset_s", [-0.1, 0.0, 0.3])
@pytest.mark.parametrize("drift", [-1e-4, 1.14e-4])
def test_the_clock_is_estimated_within_its_uncertainty(offset_s: float, drift: float):
    found = estimate_board_clock(
        *eye_and_head(8, ClockConfig(offset_s=offset_s, drift=drift), 0.6), largest_se_s=0.02
    )
    assert found.offset_s == pytest.approx(offset_s, abs=4 * found.offset_se_s + 1e-3)
    assert found.drift == pytest.approx(drift, abs=4 * found.drift_se + 1e-6)
    assert found.largest_se_s < 0.003
    assert found.r < -0.5
    assert (found.n_windows, found.n_left_out) == (8, 0)


def test_standard_errors_are_those_of_repetition():
    """Over 20 made-up sessions the errors of drift are as large as their standard errors say.

    The mean square of 20 standard normals is within 0.3 to 2.2 but once in a thousand.
    """
    clock = ClockConfig(offset_s=-0.1, drift=1e-4)
    found = [
        estimate_board_clock(*eye_and_head(6, clock, 0.5, seed), largest_se_s=0.05)
        for seed in range(20)
    ]
    ratio = np.mean([((f.drift - 1e-4) / f.drift_se) ** 2 for f in found])
    # With four degrees of freedom the squares are of a t: twice as large in the mean.
    assert 0.3 < ratio / 2 < 3


def test_a_bad_minute_is_left_out():
    eye, head = eye_and_head(8, ClockConfig(offset_s=-0.1, drift=1e-4), 0.8)
    values = head.values.copy()
    part = (head.times > 120) & (head.times < 180)
    values[part] = np.roll(values[part], 60, axis=0)  # 0.2 s late
    found = estimate_board_clock(eye, replace(head, values=values), 0.02)
    assert (found.n_windows, found.n_left_out) == (7, 1)
    assert found.drift == pytest.approx(1e-4, abs=1e-5)


def test_eyes_that_tell_nothing_are_refused():
    eye, head = eye_and_head(4, SAME, 0.0)
    with pytest.raises(DataError, match=r"hardly correlated .*; state `clock`"):
        estimate_board_clock(eye, head, 0.02)
    with pytest.raises(DataError, match=r"they share 30 s, expected 60"):
        estimate_board_clock(*eye_and_head(0.5, SAME, 0.8), 0.02)
    with pytest.raises(DataError, match="only 2 windows"):
        estimate_board_clock(*eye_and_head(2, SAME, 0.8), 0.02)
    with pytest.raises(DataError, match="stays uncertain by"):
        estimate_board_clock(*eye_and_head(4, SAME, 0.3), 1e-5)


@pytest.fixture(scope="module")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recording]:
    """Six simulated minutes as the laboratory's files; board 100 ms away and drifting by 1e-4."""
    from freegaze.simulation import SimulationConfig, simulate

    config = SimulationConfig(
        minutes=6, n_neurons=4, seed=1, frame_size=(12, 16), n_segments=2, track="affine"
    )
    recording, truth = simulate(config)
    rng = np.random.default_rng(0)
    step = recording.bin_width_s / 3
    times = (np.arange(3 * recording.n_bins) + 0.5) * step
    spikes = []
    for unit in range(recording.n_neurons):
        bins = np.repeat(np.arange(recording.n_bins), recording.responses[:, unit].astype(int))
        spikes.append((bins + rng.uniform(0.01, 0.99, len(bins))) * recording.bin_width_s)
    path = {name: signal.astype(float) for name, signal in truth.path.items()}
    imu_times = np.arange(0, times[-1], 1 / 300)
    # The virtual gyroscope's value belongs to the middle between two steps.
    imu = [
        np.interp(imu_times, times - lead, path[name])
        for name, lead in (("pitch", 0), ("roll", 0), ("gz", step / 2))
    ]
    streams = TinyStreams(
        spike_times=tuple(spikes),
        frames=np.repeat(recording.video(), 3, axis=0),
        frame_times=times,
        gaze=np.column_stack([path["theta"], path["phi"]]),
        pupil_radius=path["pupil_radius"],
        imu_times=imu_times,
        imu=np.column_stack(imu),
        speed=path["speed"],
    )
    folder = tmp_path_factory.mktemp("drifting")
    write_session(folder, "sim", streams, ClockConfig(offset_s=-0.1, drift=1e-4))
    return folder, recording


def test_an_unknown_clock_is_found_within_5_ms(drifting):
    folder, recording = drifting
    (found,) = open_recordings("niell_ephys", folder, bin_width_s=recording.bin_width_s)
    told = found.provenance["board_clock"]
    assert told["estimated"]
    for at in (0.0, 180.0, 360.0):
        error = told["offset_s"] + 0.1 + (told["drift"] - 1e-4) * at
        assert abs(error) < 0.0025  # found: 1.2 ms
    assert told["drift"] == pytest.approx(1e-4, abs=4 * told["drift_se"])
    # Spikes on the true clock are counted exactly; on the estimated one a few per cent of them,
    # within 5 ms of an edge of a bin of 48 ms, may be in the next.
    clock = ClockConfig(offset_s=-0.1, drift=1e-4)
    (exact,) = open_recordings(
        "niell_ephys", folder, bin_width_s=recording.bin_width_s, clock=clock
    )
    first = round((exact.annotations["time_s"][0] - 0.024) / 0.048)
    part = slice(first, first + exact.n_bins)
    np.testing.assert_array_equal(exact.responses, recording.responses[part])
    np.testing.assert_array_equal(exact.video(), recording.video(np.arange(part.start, part.stop)))
    edges = np.r_[found.annotations["time_s"] - 0.024, found.annotations["time_s"][-1] + 0.024]
    assert abs(found.responses.sum() - recording.responses.sum()) <= 4
    assert edges[0] == pytest.approx(0.0, abs=0.005)
