"""Further kinds of input from public reports: read right, named, or refused with the cure.

`docs/develop/log.md` lists them with what happened before.
"""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import yaml

from freegaze.errors import DataError, DataWarning, ShapeError
from freegaze.recording.recording import Recording
from freegaze.sources.alignment.readers import scan_movie
from freegaze.sources.lab_files.config import DeepLabCutConfig
from freegaze.sources.lab_files.config_points import MovementConfig
from freegaze.sources.lab_files.eye_points import read_points
from freegaze.sources.lab_files.tabular import read_table
from freegaze.sources.lab_files.times import read_timestamps
from freegaze.sources.source import open_recordings

RATE_HZ, N = 100, 300
SPIKES = {"kind": "spike_table", "file": "spikes.csv", "duration_s": 3.0}


def opened(folder: Path, **config: Any) -> Recording:
    (folder / "spikes.csv").write_text("time,unit\n0.0,a\n1.5,a\n3.0,a\n")
    file = folder / "s.yaml"
    file.write_text(yaml.safe_dump({"bin_width_s": 0.1, "responses": SPIKES, **config}))
    (recording,) = open_recordings("files", file)
    return recording


def signal(folder: Path, times: np.ndarray, **config: Any) -> np.ndarray:
    """Return, in bins of 0.1 s, a signal that counts its samples."""
    np.save(folder / "t.npy", times)
    np.save(folder / "v.npy", np.arange(times.size, dtype=float))
    stream = {"kind": "npy", "file": "v.npy", "columns": ["v"], "timestamps": "t.npy", **config}
    return opened(folder, behavior={"x": stream}).column("v")


REGULAR = np.arange(N) / RATE_HZ
COUNTED = np.arange(5.0, N, 10)
"""Samples of ``REGULAR`` at the centers of bins of 0.1 s."""


def test_times_in_one_row(tmp_path: Path):
    np.testing.assert_allclose(signal(tmp_path, REGULAR[None]), COUNTED, atol=1e-4)


def test_a_signed_counter_that_passes_its_largest_number(tmp_path: Path):
    first = 2**31 - 1_000_000
    counter = (first + (1e6 * REGULAR).astype(np.int64) + 2**31) % 2**32 - 2**31
    clock = {"scale_to_s": 1e-6, "wraps_at": 2**32, "offset_s": -first * 1e-6}
    found = signal(tmp_path, counter.astype(np.int32), clock=clock)
    np.testing.assert_allclose(found, COUNTED, atol=1e-3)


def test_dates_in_days_are_asked_about(tmp_path: Path):
    """MATLAB's datenum resolves 10 us in our time."""
    days = 738_346.5 + REGULAR / 86_400
    with pytest.warns(DataWarning, match="`scale_to_s: 86400`"), pytest.raises(DataError):
        signal(tmp_path, days)
    clock = {"scale_to_s": 86_400, "offset_s": -738_346.5 * 86_400}
    np.testing.assert_allclose(signal(tmp_path, days, clock=clock), COUNTED, atol=0.02)


def test_numbers_of_frames_as_times_are_asked_about(tmp_path: Path):
    with pytest.warns(DataWarning, match=r"its times are 0, 1, 2 .*state `scale_to_s`"):
        signal(tmp_path, np.arange(N))
    found = signal(tmp_path, np.arange(N), clock={"scale_to_s": 1 / RATE_HZ})
    np.testing.assert_allclose(found, COUNTED, atol=1e-4)


def test_a_stated_rate_of_one_hertz_is_believed(tmp_path: Path):
    np.save(tmp_path / "v.npy", np.arange(N, dtype=float))
    stream = {"kind": "npy", "file": "v.npy", "columns": ["v"], "rate_hz": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        opened(tmp_path, behavior={"x": stream})


READ_TIMES = {
    "twelve hours": ("11:59:59.5 AM\n12:00:00.5 PM\n01:00:00 pm\n", [43_199.5, 43_200.5, 46_800]),
    "midnight of twelve hours": ("12:00:01 AM\n12:00:02AM\n", [1, 2]),
    "UTC behind a blank": (
        "1970-01-01 00:00:01 UTC\n1970-01-01 00:00:02.5 UTC\n",
        [1, 2.5],
    ),
    "an offset behind a blank": (
        "1970-01-01 02:00:01 +02:00\n1970-01-01 02:00:02 +02:00\n",
        [1, 2],
    ),
}


@pytest.mark.parametrize("kind", READ_TIMES)
def test_times_of_day_and_zones(kind: str, tmp_path: Path):
    text, expected = READ_TIMES[kind]
    (tmp_path / "t.csv").write_text(text)
    np.testing.assert_allclose(read_timestamps(tmp_path / "t.csv", None), expected)


def test_negative_numbers_beside_times_of_day_stay_a_column(tmp_path: Path):
    (tmp_path / "t.txt").write_text("10:00:01 -1234\n10:00:02 -1235\n")
    np.testing.assert_allclose(read_timestamps(tmp_path / "t.txt", 1), [-1234, -1235])


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.#INF", np.nan), ("#DIV/0!", np.nan), ("\u22121.5", -1.5), ("\u00a01.5", 1.5)],
)
def test_numbers_as_programs_write_them(text: str, value: float, tmp_path: Path):
    (tmp_path / "a.csv").write_text(f"t,v\n0,{text}\n1,2.5\n", encoding="utf-8")
    np.testing.assert_array_equal(read_table(tmp_path / "a.csv").numbers("v"), [value, 2.5])


def test_numbers_of_other_notations_are_not_taken_for_a_row_of_units(tmp_path: Path):
    (tmp_path / "a.csv").write_text("t,v\n0,0x10\n1,0x11\n")
    with pytest.raises(DataError, match="row 0 holds '0x10'$"):
        read_table(tmp_path / "a.csv").numbers("v")


@pytest.mark.parametrize(("unit", "factor"), [("deg", 1.0), ("rad", np.pi / 180)])
def test_a_heading_that_wraps_is_asked_about(unit: str, factor: float, tmp_path: Path):
    """Between 359 and 1 deg lies 0, not 180."""
    times = np.arange(0.025, 3.1, 0.05)  # no sample at the center of a bin
    heading = (340.0 + 40 * times) % 360
    pd.DataFrame({"t": times, "v": heading * factor}).to_csv(tmp_path / "a.csv", index=False)
    table = {"kind": "table", "file": "a.csv", "time": "t"}

    def read(name: str) -> np.ndarray:
        stream = {**table, "columns": {name: "v"}, "units": {name: unit}}
        return opened(tmp_path, behavior={"x": stream}).column(name)

    with pytest.warns(DataWarning, match="jumps 1 times by about 360 deg.*call it `yaw`"):
        read("heading")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        found = read("yaw")
    right = 340 + 40 * np.arange(0.05, 3, 0.1)
    np.testing.assert_allclose((found - right + 180) % 360 - 180, 0, atol=1e-3)


SAMPLES = np.array([10, 500, 30_000, 45_000])


def sorted_spikes(folder: Path, **config: Any) -> Recording:
    files = {"spike_times": SAMPLES, "spike_clusters": np.array([0, 1, 0, 1])}
    labels = config.pop("labels", "cluster_id\tgroup\n0\tgood\n1\tgood\n")
    for name, array in files.items():
        np.save(folder / f"{name}.npy", config.pop(name, array))
    (folder / "params.py").write_text("sample_rate = 30000.0\n")
    (folder / "cluster_group.tsv").write_text(labels)
    return opened(folder, responses={"kind": "kilosort", "folder": ".", **config})


def test_sorted_spikes_in_one_row(tmp_path: Path):
    assert sorted_spikes(tmp_path, spike_times=SAMPLES[None]).unit_ids == ("0", "1")


def test_negative_samples_without_a_sign_are_named(tmp_path: Path):
    samples = np.array([2**64 - 5, *SAMPLES[1:]], np.uint64)
    with pytest.raises(DataError, match="row 0 is 1.8.*a number has overflowed; export.*int64"):
        sorted_spikes(tmp_path, spike_times=samples)


def test_spikes_after_the_end_are_named(tmp_path: Path):
    with pytest.warns(DataWarning, match="1 of 4 spikes lie outside.*from 0 to 1.2 s"):
        recording = sorted_spikes(tmp_path, duration_s=1.2)
    assert recording.responses.sum() == 3


@pytest.mark.parametrize("labels", ["0\tgood\n", "0\tgood\n1\t\n"])
def test_clusters_that_phy_does_not_list_are_unsorted(labels: str, tmp_path: Path):
    labels = f"cluster_id\tgroup\n{labels}"
    assert sorted_spikes(tmp_path, labels=labels, groups=["unsorted"]).unit_ids == ("1",)
    assert sorted_spikes(tmp_path, labels=labels).unit_ids == ("0",)


def test_a_file_without_labels(tmp_path: Path):
    with pytest.raises(DataError, match="none has a label.; state `groups`"):
        sorted_spikes(tmp_path, labels="cluster_id\tgroup\n")
    assert len(sorted_spikes(tmp_path, labels="cluster_id\tgroup\n", groups=[]).unit_ids) == 2


def planes(folder: Path, *names: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    for name in names:
        place = folder / "suite2p" / name
        place.mkdir(parents=True)
        np.save(place / "spks.npy", rng.gamma(1, 1, (3, 60)))
        np.save(place / "iscell.npy", np.ones((3, 2)))
    return {"kind": "suite2p", "folder": "suite2p", "rate_hz": 10}


def test_planes_of_the_flyback_are_left_out(tmp_path: Path):
    responses = planes(tmp_path, "plane0", "plane1")
    (tmp_path / "suite2p/plane2").mkdir()
    with pytest.warns(DataWarning, match=r"planes 2 have no spks\.npy and are left out"):
        recording = opened(tmp_path, responses=responses)
    assert recording.unit_ids == tuple(f"plane{p}_{i}" for p in (0, 1) for i in range(3))


def test_the_file_of_suite2p_for_matlab(tmp_path: Path):
    spks = np.random.default_rng(0).gamma(1, 1, (3, 60))
    scipy.io.savemat(tmp_path / "Fall.mat", {"spks": spks, "iscell": np.ones((3, 2))})
    responses = {"kind": "suite2p", "folder": "Fall.mat", "rate_hz": 10}
    with pytest.raises(DataError, match="`kind: array`, `variable: spks` and `axes: neuron_time`"):
        opened(tmp_path, responses=responses)
    cure = {"kind": "array", "file": "Fall.mat", "variable": "spks", "axes": "neuron_time"}
    found = opened(tmp_path, responses={**cure, "rate_hz": 10, "response_kind": "inferred_spikes"})
    np.testing.assert_allclose(found.responses.sum(), spks.sum(), rtol=1e-4)


def poses(file: Path, **arrays: Any) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("netCDF4")
    names = {"space": ["x", "y"], "keypoints": ["a", "b"], "individuals": ["m"]}
    attributes = {"time_unit": arrays.pop("time_unit", "frames")}
    times = arrays.pop("time", np.arange(5))
    points = np.arange(20.0).reshape(5, 2, 2, 1)
    everything = {"position": (("time", *names), points), **arrays}
    xarray.Dataset(everything, {"time": times, **names}, attributes).to_netcdf(file)


def test_a_confidence_per_individual_is_that_of_its_points(tmp_path: Path):
    confidence = np.linspace(0.5, 0.9, 5)[:, None]
    poses(tmp_path / "e.nc", confidence=(("time", "individuals"), confidence))
    found = read_points(MovementConfig(file="e.nc"), tmp_path)
    np.testing.assert_allclose(found.likelihood, np.repeat(confidence, 2, axis=1))
    poses(tmp_path / "e.nc", confidence=(("time", "other"), np.ones((5, 3))))
    with pytest.raises(ShapeError, match="confidence has"):
        read_points(MovementConfig(file="e.nc"), tmp_path)


def test_poses_that_begin_at_a_later_frame(tmp_path: Path):
    poses(tmp_path / "e.nc", time=np.arange(100, 105))
    found = read_points(MovementConfig(file="e.nc"), tmp_path)
    np.testing.assert_array_equal(found.frames, np.arange(100, 105))
    poses(tmp_path / "e.nc", time=np.array([104, 103, 102, 101, 100]))
    turned = read_points(MovementConfig(file="e.nc"), tmp_path)
    np.testing.assert_array_equal(turned.xy, found.xy[::-1])


def test_rows_of_poses_that_are_named_by_times(tmp_path: Path):
    header = "scorer,n,n,n\nbodyparts,a,a,a\ncoords,x,y,likelihood\n"
    rows = "".join(f"{i / 100},1,2,1\n" for i in range(5))
    (tmp_path / "e.csv").write_text(header + rows)
    with pytest.raises(DataError, match="row 1 is of frame 0.01.*`frame_numbers: false`"):
        read_points(DeepLabCutConfig(file="e.csv"), tmp_path)
    config = DeepLabCutConfig(file="e.csv", frame_numbers=False)
    np.testing.assert_array_equal(read_points(config, tmp_path).frames, np.arange(5))


def write_movie(file: Path, n: int = 90, n_videos: int = 1) -> None:
    av = pytest.importorskip("av")
    with av.open(str(file), "w") as container:
        streams = [container.add_stream("ffv1", rate=30) for _ in range(n_videos)]
        for stream in streams:
            stream.height, stream.width, stream.pix_fmt = 48, 64, "gray"
        for i in range(n):
            for stream in streams:
                gray = np.full((48, 64), 20 + 2 * i, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(gray, format="gray")))
        for stream in streams:
            container.mux(stream.encode())


def test_pictures_are_no_movie(tmp_path: Path):
    """FFmpeg opens a stack of pictures as a movie of its first."""
    for name in ("a.tif", "a.png"):
        (tmp_path / name).write_bytes(b"II*\x00")
        with pytest.raises(DataError, match="only the first would be shown; save a stack"):
            scan_movie(tmp_path / name)
    with pytest.raises(DataError, match="is a folder; give the movie in it, or make one"):
        scan_movie(tmp_path)
    with pytest.raises(DataError, match="does not exist; check the path"):
        scan_movie(tmp_path / ("x" * 300))


def test_a_movie_that_was_cut_short(tmp_path: Path):
    write_movie(tmp_path / "a.mkv")
    content = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "b.mkv").write_bytes(content[: len(content) // 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        assert scan_movie(tmp_path / "a.mkv").n_frames == 90
    with pytest.warns(DataWarning, match=r"states a duration of 3 s but its frames end at 1\.\d"):
        assert scan_movie(tmp_path / "b.mkv").n_frames < 60


def test_one_of_several_videos_in_a_file(tmp_path: Path):
    write_movie(tmp_path / "a.mkv", n=3, n_videos=2)
    with pytest.warns(DataWarning, match="holds 2 videos, of which the first is read"):
        scan_movie(tmp_path / "a.mkv")


NO_NWB = {
    "a web page": (b"<!DOCTYPE html><html>", "is a web page, not the file itself; download"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "run `git lfs pull`"),
    "git-annex": (b"/annex/objects/SHA256E-s100--00.nwb\n", "run `git annex get`"),
}


@pytest.mark.parametrize("kind", NO_NWB)
def test_pointers_and_pages_instead_of_nwb(kind: str, tmp_path: Path):
    content, message = NO_NWB[kind]
    (tmp_path / "a.nwb").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_recordings("nwb", tmp_path / "a.nwb")


def test_links_without_their_content(tmp_path: Path):
    (tmp_path / "a.nwb").symlink_to(".git/annex/objects/xx/SHA256E-s100--00.nwb")
    with pytest.raises(DataError, match="link of git-annex.*run `git annex get`"):
        open_recordings("nwb", tmp_path / "a.nwb")
    (tmp_path / "b.csv").symlink_to("gone.csv")
    with pytest.raises(DataError, match=r"is a link to gone\.csv, which does not exist"):
        read_table(tmp_path / "b.csv")


TIMES = np.arange(1000) / 100
WAVE = np.sin(TIMES)


def write_nwb(file: Path, fill: Any, spikes: np.ndarray | None = None) -> None:
    pynwb = pytest.importorskip("pynwb")
    nwb = pynwb.NWBFile("d", "i", datetime(2021, 1, 1, tzinfo=UTC), session_id="s")
    train = np.linspace(0.001, 9.999, 60) if spikes is None else spikes
    nwb.add_unit(spike_times=train)
    fill(pynwb, nwb, nwb.create_processing_module("behavior", "b"))
    with pynwb.NWBHDF5IO(str(file), "w") as io:
        io.write(nwb)


def read_nwb(file: Path, **options: Any) -> Recording:
    (recording,) = open_recordings("nwb", file, **{"video": "none", **options})
    return recording


def add_speed(pynwb: Any, nwb: Any, module: Any) -> None:
    module.add(pynwb.TimeSeries(name="speed", data=WAVE, unit="cm/s", rate=100.0))


def test_hdf5_that_is_no_nwb(tmp_path: Path):
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file["nwb_version"] = "NWB-1.0.6"
    with pytest.raises(DataError, match="none of NWB 2.*if it is of NWB 1"):
        read_nwb(tmp_path / "a.nwb")


def test_timestamps_of_nwb_that_are_numbers_of_frames(tmp_path: Path):
    def fill(pynwb: Any, nwb: Any, module: Any) -> None:
        stamps = np.arange(1000.0)
        module.add(pynwb.TimeSeries(name="p", data=stamps, unit="px", timestamps=stamps))

    write_nwb(tmp_path / "a.nwb", fill)
    with pytest.warns(DataWarning, match=r"p: its times are 0, 1, 2 .* `scale_to_s`"):
        read_nwb(tmp_path / "a.nwb")
    found = read_nwb(tmp_path / "a.nwb", clocks={"p": {"scale_to_s": 0.01}})
    times = found.annotations["time_s"]
    np.testing.assert_allclose(found.column("p"), 100 * times, atol=0.1)


def test_spikes_of_nwb_that_are_numbers_of_samples(tmp_path: Path):
    samples = np.linspace(30, 299_970, 60).round()
    write_nwb(tmp_path / "a.nwb", lambda *_: None, samples)
    with pytest.warns(DataWarning, match="all spike times are whole numbers.*`scale_to_s`"):
        read_nwb(tmp_path / "a.nwb", bin_width_s=10.0, slow_bins=True)
    found = read_nwb(tmp_path / "a.nwb", clocks={"units": {"scale_to_s": 1 / 30_000}})
    assert found.n_bins == 199
    assert found.responses.sum() == 59  # the last bin is incomplete


def test_series_of_nwb_that_are_turned_over(tmp_path: Path):
    def fill(pynwb: Any, nwb: Any, module: Any) -> None:
        data = np.column_stack([WAVE, WAVE])
        module.add(pynwb.TimeSeries(name="v", data=data, unit="cm/s", timestamps=TIMES))

    write_nwb(tmp_path / "a.nwb", fill)
    with h5py.File(tmp_path / "a.nwb", "a") as file:
        series: Any = file["processing/behavior/v"]
        attributes = dict(series["data"].attrs)
        del series["data"]
        series["data"] = np.stack([WAVE, WAVE])
        series["data"].attrs.update(attributes)
    with pytest.warns(DataWarning, match=r"shape \(2, 1000\).*1000 timestamps: time must be the"):
        assert read_nwb(tmp_path / "a.nwb").behavior_names == ()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_events_of_nwb_are_no_signal(tmp_path: Path):
    """Interpolated between events, they would be lost in most bins."""

    def fill(pynwb: Any, nwb: Any, module: Any) -> None:
        licks = [1.0, 2.0, 4.0, 5.0, 8.0]
        series = pynwb.TimeSeries(name="lick", data=np.ones(5), unit="n.a.", timestamps=licks)
        module.add(pynwb.behavior.BehavioralEvents(time_series=series))

    write_nwb(tmp_path / "a.nwb", fill)
    with pytest.warns(DataWarning, match="lick holds events, no signal, and is left out"):
        assert read_nwb(tmp_path / "a.nwb").behavior_names == ()
    assert read_nwb(tmp_path / "a.nwb", behavior={"lick": "lick"}).behavior_names == ("lick",)


def test_an_interval_of_nwb_without_an_end(tmp_path: Path):
    def fill(pynwb: Any, nwb: Any, module: Any) -> None:
        add_speed(pynwb, nwb, module)
        nwb.add_trial(start_time=0.0, stop_time=3.0)
        nwb.add_trial(start_time=3.0, stop_time=np.nan)

    write_nwb(tmp_path / "a.nwb", fill)
    with pytest.warns(DataWarning, match="trials: 1 intervals without an end are left out"):
        assert read_nwb(tmp_path / "a.nwb", segments="trials").n_bins == 59


def write_poses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write points of a type like that of ndx-pose, which is kept in the file."""
    pynwb = pytest.importorskip("pynwb")
    spec = pynwb.spec
    monkeypatch.chdir(folder)  # the builder writes into the current folder
    builder = spec.NWBNamespaceBuilder("x", "ndx-points", version="0.1.0", author="a", contact="c")
    builder.include_type("SpatialSeries", namespace="core")
    confidence = spec.NWBDatasetSpec("c", "float", shape=(None,), dims=("t",), name="confidence")
    series = spec.NWBGroupSpec(
        "points",
        neurodata_type_def="TrackedSeries",
        neurodata_type_inc="SpatialSeries",
        datasets=[confidence],
    )
    builder.add_spec("points.extensions.yaml", series)
    builder.export("points.namespace.yaml")
    pynwb.load_namespaces("points.namespace.yaml")
    tracked = pynwb.get_class("TrackedSeries", "ndx-points")

    def fill(pynwb: Any, nwb: Any, module: Any) -> None:
        sure = np.where((TIMES >= 4) & (TIMES < 6), 0.1, 0.9).astype(np.float32)
        xy, about = np.column_stack([WAVE, WAVE]), {"unit": "px", "reference_frame": "eye"}
        module.add(tracked(name="pupil", data=xy, confidence=sure, rate=100.0, **about))
        add_speed(pynwb, nwb, module)

    write_nwb(folder / "a.nwb", fill)
    return folder / "a.nwb"


def test_points_of_low_confidence_in_nwb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = write_poses(tmp_path, monkeypatch)
    columns = {"pupil_x": "pupil[0]"}
    with pytest.warns(DataWarning, match="200 of 1000 samples have a `confidence` below 0.5"):
        read_nwb(file, behavior=columns)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        found = read_nwb(file, behavior=columns, min_confidence=0.5)
    time = found.annotations["time_s"]
    is_lost = np.isnan(found.column("pupil_x"))
    np.testing.assert_array_equal(is_lost, (time > 4) & (time < 5.99))
    with pytest.raises(DataError, match="`min_confidence` does not apply"):
        read_nwb(file, behavior={"speed": "speed"}, min_confidence=0.5)


MOVIES = {
    "path of Windows": ("videos\\cam.mkv", "videos/cam.mkv", None),
    "blank as %20": ("my%20cam.mkv", "my cam.mkv", None),
    "path of another machine": ("/home/other/cam.mkv", "cam.mkv", "cam.mkv beside the NWB file"),
    "disk of another machine": ("D:\\data\\cam.mkv", "cam.mkv", "cam.mkv beside the NWB file"),
    "folder that was left behind": ("../cam.mkv", "cam.mkv", "cam.mkv beside the NWB file"),
}


def add_movie(path: str) -> Any:
    def fill(pynwb: Any, nwb: Any, module: Any) -> None:
        more = (
            {"num_samples": 90} if "num_samples" in pynwb.image.ImageSeries.__init__.__doc__ else {}
        )
        nwb.add_acquisition(
            pynwb.image.ImageSeries(
                name="cam",
                external_file=[path],
                format="external",
                rate=30.0,
                unit="n.a.",
                starting_frame=[0],
                **more,
            )
        )

    return fill


@pytest.mark.parametrize("kind", MOVIES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_movies_of_nwb_at_other_paths(kind: str, tmp_path: Path):
    path, place, message = MOVIES[kind]
    (tmp_path / place).parent.mkdir(exist_ok=True)
    write_movie(tmp_path / place)
    write_nwb(tmp_path / "a.nwb", add_movie(path))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        found = read_nwb(tmp_path / "a.nwb", video="cam", bin_width_s=0.1)
    told = [str(w.message) for w in caught if isinstance(w.message, DataWarning)]
    assert [message in text for text in told] == ([] if message is None else [True])
    assert found.n_bins == 29
    shown = found.frames[found.frame_index][:, 0, 0]  # bins begin with the first spike, at 1 ms
    np.testing.assert_array_equal(shown, 24 + 6 * np.arange(29))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_movie_of_nwb_at_an_address(tmp_path: Path):
    write_nwb(tmp_path / "a.nwb", add_movie("https://example.org/cam.mkv"))
    with pytest.raises(DataError, match=r"at https://example.org/cam.mkv.*download it into the f"):
        read_nwb(tmp_path / "a.nwb", video="cam")
