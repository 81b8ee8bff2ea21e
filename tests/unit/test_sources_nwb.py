"""NWB: anybody's files read, recordings and predictions written, checked by other programs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from builders import copy_tiny, make_recording, make_trial_recording
from comparing import assert_same_recording
from freegaze.cli.app import app
from freegaze.errors import ConfigError, DataError, ShapeError
from freegaze.recording.recording import Recording, ResponseKind
from freegaze.sources.alignment.assembly import TIME
from freegaze.sources.lab_files.tiny import write_movie
from freegaze.sources.nwb.listing import list_nwb
from freegaze.sources.nwb.predictions import read_predictions, write_predictions
from freegaze.sources.nwb.writing import write_nwb
from freegaze.sources.source import SOURCES, open_recordings
from freegaze.sources.targets import convert
from freegaze.sources.tiny import make_tiny_recording, make_tiny_streams

pytestmark = pytest.mark.filterwarnings("ignore")  # pynwb, hdmf and pynapple comment freely


def opened(file: Path, **options: Any) -> Recording:
    (recording,) = open_recordings("nwb", file, **options)
    return recording


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return copy_tiny("nwb", tmp_path)


def add_to(file: Path, change: Callable[[Any, Any], None]) -> Path:
    """Change a file with pynwb; ``change(pynwb, root)``."""
    import pynwb

    with pynwb.NWBHDF5IO(str(file), "a") as io:
        root = io.read()
        change(pynwb, root)
        io.write(root)
    return file


def test_streams_of_a_file_are_put_onto_bins(tiny: Path):
    streams, found = make_tiny_streams(0), opened(tiny, bin_width_s=0.048)
    centers = found.annotations[TIME]
    edges = np.append(centers - 0.024, centers[-1] + 0.024)
    for unit, times in enumerate(streams.spike_times):
        counts = np.histogram(times, edges)[0]
        np.testing.assert_array_equal(found.responses[:, unit], counts)
    assert found.unit_ids == ("10", "11", "12", "13")
    bin_of = np.searchsorted(edges, streams.frame_times, side="right") - 1
    means = [streams.frames[bin_of == k].mean(0) for k in range(found.n_bins)]
    np.testing.assert_array_equal(found.video(), np.floor(np.stack(means) + 0.5))
    roll = np.interp(centers, streams.imu_times, streams.imu[:, 1])
    np.testing.assert_allclose(found.column("roll"), roll, atol=1e-4)
    lost = np.isnan(found.column("gaze_x"))
    gap = streams.frame_times[[199, 230]]
    np.testing.assert_array_equal(lost, (centers > gap[0]) & (centers < gap[1]))
    names = ("gz", "pitch", "roll", "speed", "gaze_x", "gaze_y", "pupil_radius")
    assert found.behavior_names == names


def test_series_are_chosen_and_named(tiny: Path):
    chosen = {"theta": "gaze[0]", "phi": "EyeTracking/gaze[1]", "speed": "speed"}
    found = opened(tiny, behavior=chosen, keep_units={"quality": ["good"]}, leave_out=["speed"])
    assert found.behavior_names == ("theta", "phi")
    assert found.behavior_units == ("deg", "deg")
    assert found.unit_ids == ("11", "12", "13")
    np.testing.assert_array_equal(found.column("phi"), opened(tiny).column("gaze_y"))


def test_clocks_of_series_and_of_units(tiny: Path):
    plain = opened(tiny, start_s=1.0, stop_s=9.0)
    moved = {"offset_s": 0.5}
    names = ("units", "world_camera", "gaze", "speed", "gz", "pitch", "roll", "pupil_radius")
    shifted = opened(tiny, start_s=1.5, stop_s=9.5, clocks=dict.fromkeys(names, moved))
    assert_same_recording(plain, shifted, but=("behavior", "annotations"))
    np.testing.assert_allclose(plain.behavior, shifted.behavior, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"video": "wrld_camera"}, r"video: the file has no 'wrld_camera' \(nearest: world_camera"),
        ({"behavior": {"theta": "gaze"}}, r"gaze has 2 columns; choose one, for example gaze\[0\]"),
        ({"behavior": {"theta": "gaze[2]"}}, "gaze has 2 columns"),
        ({"behavior": {"theta": "gaz"}}, r"behavior\.theta: the file has no 'gaz' \(nearest"),
        ({"keep_units": {"qality": ["good"]}}, r"no column 'qality' \(nearest: quality"),
        ({"keep_units": {"quality": ["great"]}}, "no unit is left"),
        ({"clocks": {"camera": {"offset_s": 1.0}}}, r"'camera' is no series in use"),
        ({"responses": "gaze", "response_kind": "spike_counts"}, "must be whole|negative"),
        ({"segments": "trials"}, "segments: the file has no 'trials'"),
        ({"leave_out": ["sped"]}, r"no behavior column 'sped' \(nearest: speed"),
        ({"clocks": {"units": {"offset_s": 99.0}}}, "do not overlap.*units|responses"),
    ],
)
def test_mistakes_are_told_in_one_line_with_what_there_is(options, message, tiny: Path):
    with pytest.raises(DataError, match=message) as caught:
        opened(tiny, **options)
    assert "\n" not in str(caught.value)
    assert str(tiny) in str(caught.value)


def test_a_choice_lists_the_candidates(tiny: Path):
    def second_video(pynwb, root):
        frames = np.zeros((20, 3, 4), np.uint8)
        root.add_acquisition(
            pynwb.image.ImageSeries(name="eye_camera", data=frames, unit="n.a.", rate=10.0)
        )

    add_to(tiny, second_video)
    with pytest.raises(
        DataError,
        match=r"2 image series.*acquisition/eye_camera \(ImageSeries\), acquisition/world_camera "
        r"\(ImageSeries\); choose with `video`",
    ):
        opened(tiny)
    assert opened(tiny, video="world_camera").frame_size == (12, 16)
    assert opened(tiny, video="none").frame_size == (1, 1)


def test_a_file_says_what_is_in_it(tiny: Path, monkeypatch):
    rows = {row["name"]: row for row in list_nwb(tiny)}
    assert rows["units"]["shape"] == "4 rows: quality, spike_times"
    assert rows["acquisition/world_camera"]["shape"] == "(720, 12, 16)"
    gaze = rows["processing/behavior/EyeTracking/gaze"]
    assert (gaze["type"], gaze["unit"]) == ("SpatialSeries", "deg")
    assert gaze["rate"] == "about 60 Hz, timestamps"
    assert rows["processing/behavior/BehavioralTimeSeries/speed"]["rate"] == "60 Hz"
    monkeypatch.chdir(tiny.parent)
    monkeypatch.setenv("COLUMNS", "200")
    text = CliRunner().invoke(app, ["inspect", "tiny.nwb"]).stdout
    assert "processing/behavior/EyeTracking/gaze" in text
    assert "quality check written to tiny_quality.html" in text
    text = CliRunner().invoke(app, ["inspect", "tiny.nwb", "--option", "video=world"]).stdout
    assert "processing/behavior/EyeTracking/gaze" in text
    assert "not opened as a recording: tiny.nwb: video: the file has no 'world'" in text


@pytest.mark.parametrize("n_files", [1, 2])
def test_external_movies_beside_the_file(n_files: int, tiny: Path):
    streams = make_tiny_streams(0)
    cuts = np.linspace(0, 720, n_files + 1).astype(int)
    names = [f"world{i}.avi" for i in range(n_files)]
    for i, name in enumerate(names):
        write_movie(tiny.parent / name, streams.frames[cuts[i] : cuts[i + 1]], 60.0)

    times = {"timestamps": streams.frame_times}
    if n_files == 1:
        times = {"starting_time": 0.5 / 60, "rate": 60.0, "num_samples": 720}

    def external(pynwb, root):
        root.add_acquisition(
            pynwb.image.ImageSeries(
                name="outside",
                external_file=names,
                starting_frame=cuts[:-1].tolist(),
                format="external",
                unit="n.a.",
                **times,
            )
        )

    add_to(tiny, external)
    inside = opened(tiny, video="world_camera")
    assert_same_recording(inside, opened(tiny, video="outside"))
    (tiny.parent / names[-1]).unlink()
    with pytest.raises(DataError, match=rf"{names[-1]} does not exist; put it there"):
        opened(tiny, video="outside")


def test_trials_become_segments(tiny: Path):
    def trials(_, root):
        for start in (1.0, 3.0, 6.5):
            root.add_trial(start_time=start, stop_time=start + 1.0)

    found = opened(add_to(tiny, trials), segments="trials", start_s=0.0, stop_s=11.0)
    assert [s.n_bins for s in found.segments] == [20, 20, 20]
    assert all(s.trial for s in found.segments)
    np.testing.assert_allclose(found.annotations[TIME][[0, 20, 40]], [1.025, 3.025, 6.525])


def test_fluorescence_of_regions(tiny: Path):
    traces = np.random.default_rng(0).normal(size=(360, 3))

    def imaging(pynwb, root):
        device = root.create_device("scope")
        channel = pynwb.ophys.OpticalChannel("green", "GCaMP", 510.0)
        plane = root.create_imaging_plane(
            "plane", channel, "V1", device, 900.0, "GCaMP", "V1", imaging_rate=30.0
        )
        cells = pynwb.ophys.PlaneSegmentation("cells", plane, name="cells")
        for _ in range(3):
            cells.add_roi(image_mask=np.ones((2, 2)))
        region = cells.create_roi_table_region("all", region=[2, 0, 1])
        series = pynwb.ophys.RoiResponseSeries("dff", traces, "a.u.", region, rate=30.0)
        module = root.create_processing_module("ophys", "x")
        module.add(pynwb.ophys.ImageSegmentation(plane_segmentations=[cells]))
        module.add(pynwb.ophys.DfOverF(roi_response_series=[series]))

    add_to(tiny, imaging)
    found = opened(tiny, responses="dff")
    assert found.response_kind is ResponseKind.FLUORESCENCE
    assert found.unit_ids == ("2", "0", "1")
    expected = np.interp(found.annotations[TIME], np.arange(360) / 30, traces[:, 1])
    np.testing.assert_allclose(found.responses[:, 1], expected, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["units/spike_times", "acquisition/world_camera/timestamps"],
)
def test_arrays_of_terabytes_in_a_small_file_are_refused(name: str, tiny: Path):
    import h5py

    with h5py.File(tiny, "a") as file:
        attributes = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, (10**12,), "f8", chunks=(1 << 20,)).attrs.update(attributes)
    with pytest.raises(DataError, match=rf"{name} expands from 0 to \d+ bytes"):
        opened(tiny)


def test_a_file_that_leads_to_another_is_refused(tiny: Path):
    import h5py

    with h5py.File(tiny, "a") as file:
        file["acquisition/outside"] = h5py.ExternalLink("/etc/other.h5", "x")
    with pytest.raises(DataError, match="acquisition/outside lies in another file; store the"):
        opened(tiny)


def special(recording: Recording) -> Recording:
    """The same with shared frames, odd names, annotations of many types, and a calibration."""
    n = recording.n_bins
    r = replace(
        recording,
        frames=recording.frames[:7],
        frame_index=np.arange(n) % 7,
        behavior_names=("speed*", "a/b", "a_b"),
        annotations={
            "stimulus": np.array(["on", "off"])[np.arange(n) % 2],
            "../../outside": np.arange(n),
            "is_lit": np.arange(n) % 3 == 0,
            "eye_xy": np.random.default_rng(0).normal(size=(n, 2)),
        },
        deg_per_px=1.5,
        provenance={"source": "made up", "options": {"seed": 3, "names": ["a", {"b": None}]}},
    )
    frames = r.frames.copy()
    return replace(r, frames=frames)


@pytest.mark.parametrize(
    "recording",
    [
        make_tiny_recording(0),
        special(make_recording(lost_share=0.2)),
        make_recording(kind=ResponseKind.FLUORESCENCE, roles=(None, "test")),
        make_recording(kind=ResponseKind.INFERRED_SPIKES),
    ],
    ids=["counts", "special", "fluorescence", "inferred"],
)
def test_what_is_written_comes_back_the_same(recording: Recording, tmp_path: Path):
    file = write_nwb(recording, tmp_path / "own.nwb")
    found = opened(file)
    assert_same_recording(found, recording)
    way = {"name": "nwb", "path": str(file), "options": {}}
    own = {**recording.provenance, "opened_from": str(file), "opened": way}
    assert dict(found.provenance) == own
    again = write_nwb(found, tmp_path / "again.nwb")
    assert_same_recording(opened(again), recording)


def test_frames_that_no_bin_shows_are_not_written(tmp_path: Path):
    recording = make_trial_recording()
    found = opened(write_nwb(recording, tmp_path / "own.nwb"))
    assert len(found.frames) < len(recording.frames)
    np.testing.assert_array_equal(found.video(), recording.video())
    assert_same_recording(found, recording, but=("frames", "frame_index"))


def test_bins_with_holes_keep_their_times(tiny: Path, tmp_path: Path):
    def trials(_, root):
        for start in (1.0, 3.0):
            root.add_trial(start_time=start, stop_time=start + 1.0)

    first = opened(add_to(tiny, trials), segments="trials")
    file = write_nwb(first, tmp_path / "own.nwb")
    assert_same_recording(opened(file), first)
    import pynwb

    with pynwb.NWBHDF5IO(str(file), "r") as io:
        series = io.read().acquisition["head_camera"]
        np.testing.assert_array_equal(series.timestamps[:], first.annotations[TIME])


def test_files_of_ours_hold_bins_already(tmp_path: Path):
    file = write_nwb(make_tiny_recording(0), tmp_path / "own.nwb")
    assert "speed" not in opened(file, leave_out=["speed"]).behavior_names
    assert opened(file, min_rate_hz=7.0).n_neurons < 5
    with pytest.raises(ConfigError, match="so that `bin_width_s` cannot be chosen"):
        opened(file, bin_width_s=0.1)


def test_what_cannot_be_written_is_refused_and_nothing_is_left(tmp_path: Path):
    recording = make_tiny_recording(0)
    with pytest.raises(DataError, match=r"must end in \.nwb"):
        write_nwb(recording, tmp_path / "a.h5")
    odd = replace(recording, annotations={"when": np.zeros(recording.n_bins, "M8[s]")})
    with pytest.raises(DataError, match="annotation 'when' is datetime64"):
        write_nwb(odd, tmp_path / "a.nwb")
    assert list(tmp_path.iterdir()) == []
    file = write_nwb(recording, tmp_path / "a.nwb")
    with pytest.raises(DataError, match="exists already"):
        write_nwb(recording, file)
    write_nwb(recording, file, overwrite=True)


def predicted(recording: Recording) -> tuple[np.ndarray, np.ndarray, list[str]]:
    targets = recording.bins_of("test")
    rates = np.random.default_rng(0).exponential(1.0, (len(targets), 2)).astype(np.float32)
    return rates, targets, [recording.unit_ids[3], recording.unit_ids[0]]


def test_the_inspector_has_no_critical_message(tmp_path: Path):
    from nwbinspector import Importance, inspect_nwbfile

    recording = make_tiny_recording(0)
    file = write_nwb(recording, tmp_path / "own.nwb")
    write_predictions(file, recording, *predicted(recording))
    found = {m.check_function_name: m.importance for m in inspect_nwbfile(nwbfile_path=file)}
    assert not [n for n, i in found.items() if i in (Importance.CRITICAL, Importance.ERROR)]
    assert {n for n, i in found.items() if i is Importance.BEST_PRACTICE_VIOLATION} <= {
        "check_subject_species_exists",  # a recording does not know it
        "check_regular_timestamps",
    }
    full = {"subject_id": "J553RT", "species": "Mus musculus", "sex": "M", "age": "P90D"}
    start = datetime(2021, 7, 9, 14, tzinfo=UTC)
    write_nwb(recording, file, session_start_time=start, subject=full, overwrite=True)
    left = list(inspect_nwbfile(nwbfile_path=file))
    assert {m.importance for m in left} == {Importance.BEST_PRACTICE_SUGGESTION}


@pytest.mark.parametrize("source", ["niell2022", "niell2p", "sensorium", "files", "nwb"])
def test_what_other_formats_become_is_read_by_other_programs(source: str, tmp_path: Path):
    """Converted: no critical message of the inspector, and pynapple finds the same numbers."""
    import pynapple
    from nwbinspector import Importance, inspect_nwbfile

    opener = SOURCES.get(source)
    path, options = opener().write_tiny(tmp_path, 0), dict(opener.tiny_options)
    for written in convert(source, path, "nwb", tmp_path / "out", options):
        found = {m.check_function_name: m.importance for m in inspect_nwbfile(written.path)}
        assert not [n for n, i in found.items() if i in (Importance.CRITICAL, Importance.ERROR)]
        recording, data = opened(written.path), pynapple.load_file(str(written.path))
        responses = np.asarray(data[recording.response_kind.value].d)
        np.testing.assert_array_equal(responses, recording.responses)
        for name in recording.behavior_names:
            np.testing.assert_array_equal(data[name].d, recording.column(name))
        starts = np.asarray(data["segments"]["start"])
        times = np.asarray(data[recording.response_kind.value].t)
        edges = [times[s.start] - recording.bin_width_s / 2 for s in recording.segments]
        np.testing.assert_allclose(starts, edges, atol=1e-6)


def test_pynapple_reads_the_same(tmp_path: Path):
    import pynapple

    recording = special(make_recording(lost_share=0.2))
    recording = replace(recording, behavior_names=("speed", "theta", "phi"))
    file = write_nwb(recording, tmp_path / "own.nwb")
    rates, targets, units = predicted(recording)
    write_predictions(file, recording, rates, targets, units)
    data = pynapple.load_file(str(file))
    centers = (np.arange(recording.n_bins) + 0.5) * recording.bin_width_s
    for name in recording.behavior_names:
        np.testing.assert_allclose(data[name].t, centers, atol=1e-9)
        np.testing.assert_array_equal(data[name].d, recording.column(name))
    np.testing.assert_array_equal(np.asarray(data["spike_counts"].d), recording.responses)
    np.testing.assert_array_equal(np.asarray(data["head_camera"].d), recording.video())
    np.testing.assert_array_equal(np.asarray(data["predicted_rates"].d), rates)
    np.testing.assert_allclose(data["predicted_rates"].t, centers[targets], atol=1e-9)
    segments = data["segments"]
    lengths = np.asarray(segments["end"]) - np.asarray(segments["start"])
    expected = [s.n_bins * recording.bin_width_s for s in recording.segments]
    np.testing.assert_allclose(lengths, expected, atol=1e-6)


def test_predictions_come_back_and_the_recording_stays(tiny: Path):
    recording = opened(tiny)
    targets = np.arange(10, 60, 2)
    rates = np.random.default_rng(0).exponential(1.0, (25, 2))
    write_predictions(tiny, recording, rates, targets, ["12", "10"], description="CNN-GRU, seed 1")
    write_predictions(tiny, recording, rates + 1, targets, ["12", "10"], name="glm/2")
    found, bins, units = read_predictions(tiny)
    np.testing.assert_array_equal(found, rates)
    np.testing.assert_array_equal(bins, targets)
    assert units == ("12", "10")
    np.testing.assert_array_equal(read_predictions(tiny, "glm/2")[0], rates + 1)
    behavior = {n: n for n in ("speed", "gz", "pitch", "roll", "pupil_radius")}
    a, b = (opened(tiny, behavior=behavior) for _ in range(2))
    assert_same_recording(a, b)
    with pytest.raises(DataError, match=r"no predictions 'cnn' \(nearest"):
        read_predictions(tiny, "cnn")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"unit_ids": ["12", "99"]}, DataError, "no unit '99'"),
        ({"unit_ids": ["12"]}, ShapeError, "rates of shape"),
        ({"targets": np.array([5, 4, 6])}, DataError, "in order, each once"),
        ({"targets": np.array([1, 2, 9999])}, DataError, "must be bins 0"),
        ({"file": "gone.nwb"}, DataError, "gone.nwb does not exist; write the recording first"),
    ],
)
def test_predictions_that_do_not_fit_change_nothing(change, error, message, tiny: Path):
    recording, before = opened(tiny), tiny.read_bytes()
    good = {"unit_ids": ["12", "10"], "targets": np.arange(3), "rates": np.ones((3, 2))}
    file = tiny.parent / change.pop("file", tiny.name)
    with pytest.raises(error, match=message):
        write_predictions(file, recording, **{**good, **change})
    assert tiny.read_bytes() == before
    assert [p.name for p in tiny.parent.iterdir()] == [tiny.name]


def test_predictions_are_not_taken_for_behavior(tiny: Path):
    before = opened(tiny)
    rates = np.ones((before.n_bins, 2))
    write_predictions(tiny, before, rates, np.arange(before.n_bins), ["12", "10"])
    assert_same_recording(opened(tiny), before)


WITHOUT = """
import sys
for name in ("pynwb", "av"):
    sys.modules[name] = None
from pathlib import Path
import freegaze.sources
from freegaze.errors import DataError
from freegaze.sources.source import detect_source, open_recordings
from freegaze.sources.nwb.writing import write_nwb
from freegaze.sources.tiny import make_tiny_recording
folder = Path(sys.argv[1])
assert detect_source(folder / "tiny.nwb") == "nwb"
for call in (
    lambda: open_recordings("nwb", folder / "tiny.nwb"),
    lambda: write_nwb(make_tiny_recording(0), folder / "own.nwb"),
    lambda: open_recordings("files", folder / "lab" / "tiny.yaml"),
):
    try:
        call()
    except DataError as error:
        print(error)
"""


def test_without_the_extras_one_line_says_what_to_install(tiny: Path):
    from freegaze.sources.lab_files.source import FilesSource

    (tiny.parent / "lab").mkdir()
    FilesSource().write_tiny(tiny.parent / "lab", 0)
    command = [sys.executable, "-c", WITHOUT, str(tiny.parent)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = result.stdout.splitlines()
    assert len(lines) == 3, result.stderr
    assert all("`pip install freegaze[nwb]`" in line for line in lines[:2])
    assert "`pip install freegaze[video]`" in lines[2]
