"""Laboratory files: each format as its program writes it, clocks of their own, one YAML."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

from builders import copy_tiny
from comparing import assert_same_recording
from freegaze.errors import ConfigError, DataError
from freegaze.recording.recording import Recording, ResponseKind
from freegaze.sources.alignment.assembly import TIME
from freegaze.sources.alignment.clock import ClockConfig
from freegaze.sources.lab_files.config import DeepLabCutConfig, SleapConfig
from freegaze.sources.lab_files.eye_points import read_pupil
from freegaze.sources.lab_files.times import read_timestamps
from freegaze.sources.lab_files.tiny import deeplabcut_table, write_movie
from freegaze.sources.source import detect_source, open_recordings
from freegaze.sources.tiny import make_tiny_streams

OFFSET_S, DRIFT = 0.1, 1e-4


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return copy_tiny("files", tmp_path)


def edit(file: Path, **changes: Any) -> Path:
    """Change keys, ``a__b=value``, of a YAML; ``None`` removes one."""
    config = yaml.safe_load(file.read_text())
    for key, value in changes.items():
        *parents, last = key.split("__")
        node = config
        for name in parents:
            node = node.setdefault(name, {})
        if value is None:
            node.pop(last)
        else:
            node[last] = value
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return file


def opened(file: Path, **options: Any) -> Recording:
    (recording,) = open_recordings("files", file, **options)
    return recording


def test_a_folder_of_lab_files_comes_back_as_it_was(lab: Path):
    streams, found = make_tiny_streams(0), opened(lab)
    centers = found.annotations[TIME]
    edges = np.append(centers - 0.025, centers[-1] + 0.025)
    for unit, times in enumerate(streams.spike_times):
        on_clock = np.round(times * 30_000) / 30_000
        counts = np.histogram(on_clock, edges)[0]
        np.testing.assert_array_equal(found.responses[:, unit], counts)
    assert found.unit_ids == ("0", "2", "3", "7")
    bin_of = np.searchsorted(edges, streams.frame_times, side="right") - 1
    means = [streams.frames[bin_of == k].mean(0) for k in range(found.n_bins)]
    np.testing.assert_array_equal(found.video(), np.floor(np.stack(means) + 0.5))
    pitch = np.interp(centers, streams.imu_times, streams.imu[:, 0])
    np.testing.assert_allclose(found.column("pitch"), pitch, atol=1e-4)
    known = np.isfinite(found.column("pupil_radius"))
    assert 0.9 < known.mean() < 1
    radius = np.interp(centers, streams.frame_times, streams.pupil_radius)
    np.testing.assert_allclose(found.column("pupil_radius")[known], radius[known], atol=1e-3)
    theta = np.interp(centers, streams.frame_times, streams.gaze[:, 0])
    difference = found.column("theta")[known] - theta[known]
    np.testing.assert_allclose(difference, difference[0], atol=1e-3)
    assert dict(zip(found.behavior_names, found.behavior_units, strict=True))["gz"] == "deg/s"


def test_labels_select_clusters(lab: Path):
    found = opened(edit(lab, responses__groups=["good"]))
    assert found.unit_ids == ("0", "2", "7")
    with pytest.raises(
        DataError, match=r"cluster_group.tsv: no cluster is labeled god \(nearest: good"
    ):
        opened(edit(lab, responses__groups=["god"]))
    folder = lab.parent / "kilosort"
    table = pd.read_csv(folder / "cluster_group.tsv", sep="\t")
    (folder / "cluster_group.tsv").unlink()
    table.insert(1, "depth", 1.5)
    table.to_csv(folder / "cluster_info.tsv", sep="\t", index=False)
    assert opened(edit(lab, responses__groups=["mua"])).unit_ids == ("3",)


def test_the_sampling_rate_is_read_and_params_is_not_run(lab: Path):
    params = lab.parent / "kilosort" / "params.py"
    params.write_text("import os\nos.makedirs('owned')\nsample_rate = 30000.\n")
    assert opened(lab).n_bins > 200
    assert not any(folder.joinpath("owned").exists() for folder in (Path(), lab.parent))
    params.write_text("sample_rate = rate\n")
    with pytest.raises(DataError, match="sampling_rate_hz"):
        opened(lab)
    assert opened(edit(lab, responses__sampling_rate_hz=30_000)).n_bins > 200


def test_the_video_may_be_scaled_or_left_out(lab: Path):
    assert opened(edit(lab, video__frame_size=[6, 8])).frame_size == (6, 8)
    without = opened(edit(lab, video=None))
    assert without.frame_size == (1, 1)
    np.testing.assert_array_equal(without.frame_index, 0)


def test_a_movie_must_have_as_many_frames_as_timestamps(lab: Path):
    times = pd.read_csv(lab.parent / "world_times.csv")
    times.iloc[:-3].to_csv(lab.parent / "world_times.csv", index=False)
    with pytest.raises(
        DataError, match="has 720 frames but .*717 times; .* 3 surplus frames with `surplus: last`"
    ):
        opened(edit(lab, behavior__eye=None))


def test_an_mp4_brings_its_own_times(lab: Path):
    frames = np.repeat(np.arange(0, 240, 20, dtype=np.uint8), 60)[:, None, None]
    frames = frames * np.ones((16, 16), np.uint8)
    write_movie(lab.parent / "world.mp4", frames, 60.0, "libx264", "yuv420p")
    edit(lab, video={"kind": "movie", "file": "world.mp4", "frames": "middle"})
    found = opened(lab)
    seconds = np.floor(found.annotations[TIME] + 1e-9)
    inside = np.abs(found.annotations[TIME] - np.round(found.annotations[TIME])) > 0.1
    shown = found.video()[:, 8, 8].astype(int)
    assert np.abs(shown - 20 * seconds)[inside].max() <= 6  # compression, and limited range


def test_suite2p_traces_of_cells(lab: Path):
    rng = np.random.default_rng(0)
    folder = lab.parent / "plane0"
    folder.mkdir()
    spks = rng.exponential(1.0, (6, 360)).astype(np.float32)
    np.save(folder / "spks.npy", spks)
    np.save(folder / "F.npy", spks - 2)
    np.save(folder / "Fneu.npy", np.ones_like(spks))
    np.save(folder / "iscell.npy", np.array([[1, 0.9], [0, 0.1], *[[1, 0.7]] * 4]))
    suite2p = {"kind": "suite2p", "folder": "plane0", "rate_hz": 30.0}
    edit(lab, responses=suite2p, bin_width_s=1 / 30, behavior=None, video=None)
    found = opened(lab)
    assert found.response_kind is ResponseKind.INFERRED_SPIKES
    assert found.unit_ids == ("0", "2", "3", "4", "5")
    np.testing.assert_allclose(found.responses, spks[[0, 2, 3, 4, 5]].T, rtol=1e-4)
    wide = opened(edit(lab, bin_width_s=0.1))
    np.testing.assert_allclose(wide.responses.sum(), found.responses.sum(), rtol=1e-4)
    edit(lab, responses__signal="F", responses__neuropil=0.7, bin_width_s=1 / 30)
    found = opened(lab)
    assert found.response_kind is ResponseKind.FLUORESCENCE
    np.testing.assert_allclose(found.responses[:, 0], spks[0] - 2.7, rtol=1e-3, atol=1e-4)
    with pytest.raises(DataError, match="has no times; give `timestamps` or `rate_hz`"):
        opened(edit(lab, responses__rate_hz=None))


def test_spikes_in_a_table(lab: Path):
    rows = [(0.01 * i, f"n{i % 3}") for i in range(1000)]
    pd.DataFrame(rows, columns=["t", "cell"]).to_csv(lab.parent / "s.csv", index=False)
    table = {"kind": "spike_table", "file": "s.csv", "time": "t", "unit": "cell"}
    found = opened(edit(lab, responses=table))
    assert found.unit_ids == ("n0", "n1", "n2")
    assert found.responses.sum() == pytest.approx(100 * found.duration_s, abs=1)


@pytest.mark.parametrize("is_hdf", [False, True], ids=["csv", "h5"])
def test_deeplabcut_in_both_of_its_formats(is_hdf: bool, lab: Path):
    table = deeplabcut_table(make_tiny_streams(0))
    expected = opened(lab)
    if is_hdf:
        table.to_hdf(lab.parent / "eyeDLC.h5", key="df_with_missing", format="table", mode="w")
        edit(lab, behavior__eye__file="eyeDLC.h5")
    assert_same_recording(opened(lab), expected)


def test_names_in_a_deeplabcut_file_run_nothing(tmp_path: Path):
    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "owned").mkdir, ())

    file = tmp_path / "eye.h5"
    deeplabcut_table(make_tiny_streams(0)).to_hdf(
        file, key="df_with_missing", format="table", mode="w"
    )
    with h5py.File(file, "a") as store:
        store["df_with_missing"].attrs["non_index_axes"] = np.void(pickle.dumps(Evil(), 0))
    with pytest.raises(DataError, match=r"eye\.h5"):
        read_pupil("eye", DeepLabCutConfig(file="eye.h5", rate_hz=60.0), tmp_path)
    assert not (tmp_path / "owned").exists()


def sleap_points() -> tuple[np.ndarray, np.ndarray]:
    """x, y, score (frame, point, 3) around a pupil at (50, 40), radius growing from 5."""
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    radius = 5 + 0.1 * np.arange(30)
    xy = np.stack([50 + radius[:, None] * np.cos(angle), 40 + radius[:, None] * np.sin(angle)], -1)
    xy[7] = np.nan
    return np.concatenate([xy, np.full((30, 8, 1), 0.95)], -1), radius


def test_sleap_in_both_of_its_formats(tmp_path: Path):
    points, radius = sleap_points()
    names = [f"p{i}" for i in range(8)]
    columns = {"track": "", "frame_idx": np.arange(30), "instance.score": 0.9}
    for i, name in enumerate(names):
        for j, part in enumerate(("x", "y", "score")):
            columns[f"{name}.{part}"] = points[:, i, j]
    pd.DataFrame(columns).drop(index=7).to_csv(tmp_path / "eye.csv", index=False)
    with h5py.File(tmp_path / "eye.h5", "w") as store:
        store["tracks"] = points[..., :2].transpose(2, 1, 0)[None]
        store["point_scores"] = points[..., 2].T[None]
        store["node_names"] = np.array(names, dtype="S")
        store["track_names"] = np.array([], dtype="S1")
    for file in ("eye.csv", "eye.h5"):
        config = SleapConfig(file=file, rate_hz=30.0, shape="circle")
        found = read_pupil("eye", config, tmp_path)
        assert found.columns == ("pupil_x", "pupil_y", "pupil_radius")
        is_known = np.isfinite(found.values).all(axis=1)  # frame 7: no row, or a row of NaN
        frames = np.round(found.times * 30).astype(int)
        np.testing.assert_array_equal(frames[is_known], np.delete(np.arange(30), 7))
        np.testing.assert_allclose(found.values[is_known, 0], 50, atol=1e-9)
        np.testing.assert_allclose(found.values[is_known, 2], np.delete(radius, 7), atol=1e-9)


def test_times_as_numbers_dates_and_times_of_day(tmp_path: Path):
    for text in (
        "1.5\n2.5\n4\n",
        "time\n1.5\n2.5\n4\n",
        "1970-01-01T00:00:01.5\n1970-01-01T00:00:02.5Z\n1969-12-31T19:00:04-05:00\n",
        "00:00:01.5\n00:00:02.5\n00:00:04.0\n",
    ):
        (tmp_path / "t.csv").write_text(text)
        np.testing.assert_allclose(read_timestamps(tmp_path / "t.csv", None), [1.5, 2.5, 4])
    (tmp_path / "t.csv").write_text("frame,t\n0,1.5\n1,2.5\n")
    np.testing.assert_allclose(read_timestamps(tmp_path / "t.csv", "t"), [1.5, 2.5])
    np.testing.assert_allclose(read_timestamps(tmp_path / "t.csv", 1), [1.5, 2.5])
    with pytest.raises(DataError, match="has 2 columns; state `timestamps_column`"):
        read_timestamps(tmp_path / "t.csv", None)
    (tmp_path / "t.csv").write_text("1.5\nlater\n")
    with pytest.raises(DataError, match="expected one time per row.*row 1 is 'later'"):
        read_timestamps(tmp_path / "t.csv", None)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"behavior__imu__colums": {}},
            ConfigError,
            r"line \d+: unknown key 'behavior\.imu\.colums'.*columns",
        ),
        ({"responses__kind": "kilosrt"}, ConfigError, r"tiny\.yaml, line \d+: responses"),
        ({"video__clock": {"drift": 2.0}}, ConfigError, r"line \d+: video\.clock\.drift"),
        (
            {"behavior__imu__columns": {"pitch": "pitch"}},
            DataError,
            r"no column 'pitch' \(nearest: pitch_deg",
        ),
        ({"behavior__imu__units": {"pich": "deg"}}, DataError, r"'pich' \(nearest: pitch"),
        ({"behavior__imu__file": "gone.csv"}, DataError, r"gone\.csv does not exist"),
        ({"behavior__eye__points": ["pupil9"]}, DataError, r"no point 'pupil9' \(nearest: pupil"),
        ({"behavior__eye__min_likelihood": 1.0}, DataError, "no frame has enough points"),
        ({"video__file": "https://example.org/a.avi"}, DataError, "does not exist"),
        ({"video__clock": {"offset_s": 500.0}}, DataError, "do not overlap"),
        (
            {"behavior__wheel__columns": ["pitch"], "behavior__wheel__units": {}},
            DataError,
            "'pitch' more than once",
        ),
    ],
)
def test_mistakes_are_told_in_one_line(change, error, message, lab: Path):
    with pytest.raises(error, match=message) as caught:
        opened(edit(lab, **change))
    assert "\n" not in str(caught.value)
    assert str(lab.parent) in str(caught.value)


def test_streams_may_be_left_out_when_opening(lab: Path):
    assert opened(lab, leave_out=("eye", "wheel")).behavior_names == ("pitch", "roll", "gz")
    with pytest.raises(ConfigError, match="no behavior stream 'ear'"):
        opened(lab, leave_out=("ear",))


def test_a_folder_of_several_sessions(lab: Path):
    (lab.parent / "second.yaml").write_text(lab.read_text() + "session_id: other\n")
    (lab.parent / "config.yaml").write_text("model: {name: glm}\n")
    assert detect_source(lab.parent) == "files"
    found = open_recordings("files", lab.parent)
    assert [r.session_id for r in found] == ["other", "tiny"]


def own_times(times: np.ndarray, clock: ClockConfig) -> np.ndarray:
    """What a device with this clock writes at session times."""
    return (times - clock.offset_s) / (1 + clock.drift)


@pytest.fixture(scope="module")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recording, Any]:
    """Four simulated minutes as raw files; camera and eye tracker on clocks that drift apart."""
    from freegaze.simulation import SimulationConfig, simulate

    config = SimulationConfig(
        minutes=4, n_neurons=4, seed=1, frame_size=(12, 16), n_segments=2, track="affine"
    )
    recording, truth = simulate(config)
    folder = tmp_path_factory.mktemp("drifting")
    rng = np.random.default_rng(0)
    camera = ClockConfig(offset_s=OFFSET_S, drift=DRIFT)
    probe = ClockConfig(offset_s=-OFFSET_S, drift=-DRIFT)
    n_bins, width = recording.n_bins, recording.bin_width_s
    spikes = []
    for unit in range(recording.n_neurons):
        bins = np.repeat(np.arange(n_bins), recording.responses[:, unit].astype(int))
        times = (bins + rng.uniform(0.01, 0.99, len(bins))) * width
        spikes.append(np.column_stack([own_times(times, probe), np.full(len(bins), unit)]))
    rows = np.concatenate(spikes)
    rows = rows[np.argsort(rows[:, 0])]
    (folder / "ks").mkdir()
    samples = np.round((rows[:, 0] - rows[0, 0]) * 30_000).astype(np.uint64)
    np.save(folder / "ks" / "spike_times.npy", samples)
    np.save(folder / "ks" / "spike_clusters.npy", rows[:, 1].astype(np.int32))
    labels = pd.DataFrame({"cluster_id": range(4), "group": "good"})
    labels.to_csv(folder / "ks" / "cluster_group.tsv", sep="\t", index=False)
    write_movie(folder / "world.avi", recording.video(), 60.0)
    frame_times = own_times((np.arange(n_bins) + 0.5) * width, camera)
    pd.DataFrame({"t": frame_times}).to_csv(folder / "world.csv", index=False)
    step = width / 3
    path = {n: truth.path[n] for n in ("theta", "phi", "true_yaw", "true_pitch")}
    signals = pd.DataFrame(path)
    signals["t"] = 1000 * own_times((np.arange(len(signals)) + 0.5) * step, camera)
    signals.to_csv(folder / "eye.csv", index=False)
    probe_start = probe.offset_s + (1 + probe.drift) * rows[0, 0]
    session = {
        "bin_width_s": width,
        "start_s": 0.0,
        "stop_s": n_bins * width,
        "responses": {
            "kind": "kilosort",
            "folder": "ks",
            "sampling_rate_hz": 30_000.0,
            "clock": {"offset_s": float(probe_start), "drift": -DRIFT},
        },
        "video": {
            "kind": "movie",
            "file": "world.avi",
            "timestamps": "world.csv",
            "clock": {"offset_s": OFFSET_S, "drift": DRIFT},
        },
        "behavior": {
            "eye": {
                "kind": "csv",
                "file": "eye.csv",
                "time": "t",
                "columns": {"theta": "theta", "phi": "phi", "true_pitch": "true_pitch"},
                "clock": {"offset_s": OFFSET_S, "drift": DRIFT, "scale_to_s": 0.001},
            }
        },
    }
    file = folder / "session.yaml"
    file.write_text(yaml.safe_dump(session))
    return file, recording, truth


def lag_s(found: np.ndarray, signal: np.ndarray, centers: np.ndarray, step_s: float) -> float:
    """Shift in time that makes a signal agree best with what was found at the centers of bins."""
    times = (np.arange(len(signal)) + 0.5) * step_s
    shifts = np.arange(-0.2, 0.2, 0.0005)
    errors = [np.nanmean((np.interp(centers + s, times, signal) - found) ** 2) for s in shifts]
    return float(shifts[int(np.argmin(errors))])


def test_known_clocks_bring_a_session_back_within_5_ms(drifting):
    file, recording, truth = drifting
    found = opened(file)
    np.testing.assert_array_equal(found.responses, recording.responses)
    np.testing.assert_array_equal(found.video(), recording.video())
    centers = found.annotations[TIME]
    np.testing.assert_allclose(centers, (np.arange(recording.n_bins) + 0.5) * 0.048, atol=1e-9)
    signal, step = truth.path["true_pitch"].astype(float), recording.bin_width_s / 3
    for part in (slice(0, 1000), slice(-1000, None)):  # at the end too, after 24 ms of drift
        lag = lag_s(found.column("true_pitch")[part], signal, centers[part], step)
        assert abs(lag) < 0.005
    exact = np.interp(centers, (np.arange(len(signal)) + 0.5) * step, signal)
    np.testing.assert_allclose(found.column("true_pitch"), exact, atol=1e-3)


def test_without_its_clock_the_session_is_off(drifting, tmp_path):
    """The same measure sees 100 ms where the offset, and 24 ms more where the drift is not told."""
    file, recording, truth = drifting
    config = yaml.safe_load(file.read_text())
    signal, step = truth.path["true_pitch"].astype(float), recording.bin_width_s / 3
    for changes, expected in (({"offset_s": 0.0}, 0.1), ({"drift": 0.0}, DRIFT * 216)):
        config["behavior"]["eye"]["clock"] |= {"offset_s": OFFSET_S, "drift": DRIFT} | changes
        wrong = file.parent / "wrong.yaml"
        wrong.write_text(yaml.safe_dump(config))
        found = opened(wrong)
        part = slice(-1000, None)
        lag = lag_s(found.column("true_pitch")[part], signal, found.annotations[TIME][part], step)
        assert abs(abs(lag) - expected) < 0.005
