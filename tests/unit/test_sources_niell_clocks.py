"""Raw files whose devices keep their own time: 100 ms away, and drifting by 1e-4."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pynwb
import pytest
import yaml

from freegaze.errors import DataError
from freegaze.recording.recording import Recording
from freegaze.simulation import SimulationConfig, simulate
from freegaze.sources.alignment.clock import ClockConfig
from freegaze.sources.niell.ephys_clocks import correct_zone
from freegaze.sources.source import open_recordings

CLOCKS = {
    "units": ClockConfig(offset_s=0.1, drift=1e-4),
    "imu": ClockConfig(offset_s=-0.1, drift=-1e-4),
    "camera": ClockConfig(),
}
IMU_HZ, SAMPLES_HZ = 300.0, 30_000.0
NAMES = ("pitch", "roll", "time")
"""The last one is the time of the session itself: what it says beside a bin is the error."""


@dataclass
class Raw:
    """A simulated session as its devices saw it, all on the session's clock."""

    recording: Recording
    spikes: list[np.ndarray]
    frames: np.ndarray
    frame_times: np.ndarray
    imu: np.ndarray
    imu_times: np.ndarray


def own(device: str, times: np.ndarray) -> np.ndarray:
    """What a device's clock reads at times of the session."""
    return (times - CLOCKS[device].offset_s) / (1 + CLOCKS[device].drift)


@pytest.fixture(scope="module")
def raw() -> Raw:
    config = SimulationConfig(
        minutes=6, n_neurons=4, seed=1, frame_size=(12, 16), n_segments=2, track="affine"
    )
    recording, truth = simulate(config)
    rng = np.random.default_rng(0)
    width, spikes = recording.bin_width_s, []
    for counts in recording.responses.T.astype(int):
        bins = np.repeat(np.arange(recording.n_bins), counts)
        spikes.append(np.sort((bins + rng.uniform(0.01, 0.99, len(bins))) * width))
    times = (np.arange(3 * recording.n_bins) + 0.5) * width / 3
    imu_times = np.arange(-0.5, times[-1] + 0.5, 1 / IMU_HZ)
    imu = [np.interp(imu_times, times, truth.path[name].astype(float)) for name in NAMES[:2]]
    frames = np.repeat(recording.video(), 3, axis=0)
    return Raw(recording, spikes, frames, times, np.column_stack([*imu, imu_times]), imu_times)


def write_files(raw: Raw, folder: Path, clocks: dict[str, ClockConfig]) -> Path:
    """Kilosort, frames with times, and a CSV of the inertial sensors in milliseconds."""
    (folder / "kilosort").mkdir()
    units = np.repeat(np.arange(4), [len(times) for times in raw.spikes])
    samples = np.round((own("units", np.concatenate(raw.spikes)) + 1) * SAMPLES_HZ)  # begun before
    order = np.argsort(samples, kind="stable")
    np.save(folder / "kilosort" / "spike_times.npy", samples[order].astype(np.uint64))
    np.save(folder / "kilosort" / "spike_clusters.npy", units[order])
    labels = pd.DataFrame({"cluster_id": range(4), "group": "good"})
    labels.to_csv(folder / "kilosort" / "cluster_group.tsv", sep="\t", index=False)
    (folder / "kilosort" / "params.py").write_text(f"sample_rate = {SAMPLES_HZ}\n")
    np.save(folder / "film.npy", raw.frames)
    np.save(folder / "film_times.npy", own("camera", raw.frame_times))
    table = pd.DataFrame(raw.imu, columns=list(NAMES))
    table.insert(0, "ms", own("imu", raw.imu_times) * 1000)
    table.to_csv(folder / "imu.csv", index=False)
    unit = clocks["units"]
    begun = unit.model_copy(update={"offset_s": unit.offset_s - (1 + unit.drift)})
    config = {
        "bin_width_s": raw.recording.bin_width_s,
        "start_s": 0.0,
        "responses": {"kind": "kilosort", "folder": "kilosort", "clock": begun.model_dump()},
        "video": {"kind": "npy", "file": "film.npy", "timestamps": "film_times.npy"},
        "behavior": {
            "imu": {
                "kind": "csv",
                "file": "imu.csv",
                "time": "ms",
                "columns": {name: name for name in NAMES},
                "clock": {**clocks["imu"].model_dump(), "scale_to_s": 0.001},
            }
        },
    }
    (folder / "session.yaml").write_text(yaml.safe_dump(config))
    return folder / "session.yaml"


def open_files(raw: Raw, folder: Path, clocks: dict[str, ClockConfig]) -> Recording:
    (recording,) = open_recordings("files", write_files(raw, folder, clocks))
    return recording


def open_nwb(raw: Raw, folder: Path, clocks: dict[str, ClockConfig]) -> Recording:
    root = pynwb.NWBFile("A mouse", "clocks", datetime(2021, 7, 9, 14, 0, tzinfo=UTC))
    for times in raw.spikes:
        root.add_unit(spike_times=own("units", times))
    times = own("camera", raw.frame_times)
    series = pynwb.image.ImageSeries(name="film", data=raw.frames, unit="n.a.", timestamps=times)
    root.add_acquisition(series)
    module = root.create_processing_module("behavior", "Processed behavior")
    for name, values in zip(NAMES, raw.imu.T, strict=True):
        times = own("imu", raw.imu_times)
        module.add(pynwb.TimeSeries(name=name, data=values, unit="deg", timestamps=times))
    with pynwb.NWBHDF5IO(str(folder / "session.nwb"), "w") as io:
        io.write(root)
    on = {"units": clocks["units"], **dict.fromkeys(NAMES, clocks["imu"])}
    (recording,) = open_recordings(
        "nwb",
        folder / "session.nwb",
        bin_width_s=raw.recording.bin_width_s,
        start_s=0.0,
        clocks={name: clock.model_dump() for name, clock in on.items()},
    )
    return recording


Open = Callable[[Raw, Path, dict[str, ClockConfig]], Recording]


@pytest.mark.parametrize("open_raw", [open_files, open_nwb])
def test_known_clocks_are_taken_back(raw: Raw, open_raw: Open, tmp_path: Path) -> None:
    """Spikes are counted exactly; behavior is what lies between its samples."""
    found = open_raw(raw, tmp_path, CLOCKS)
    n, width = found.n_bins, raw.recording.bin_width_s
    assert n >= raw.recording.n_bins - 1  # the last spikes may come before the last bin's end
    centers = (np.arange(n) + 0.5) * width
    np.testing.assert_allclose(found.column("time"), centers, atol=1e-4)  # asked for: 5 ms
    np.testing.assert_array_equal(found.responses, raw.recording.responses[:n])
    np.testing.assert_array_equal(found.video(), raw.recording.video(slice(n)))
    for i, name in enumerate(NAMES[:2]):
        # Between samples h apart a straight line is off by h * h / 8 of the curvature at most.
        bend = np.abs(np.diff(raw.imu[:, i], 2)).max() / 8
        exact = np.interp(centers, raw.imu_times, raw.imu[:, i])
        np.testing.assert_allclose(found.column(name), exact, atol=bend + 1e-4)


@pytest.mark.parametrize("open_raw", [open_files, open_nwb])
def test_clocks_that_are_left_out_are_100_ms_wrong(
    raw: Raw, open_raw: Open, tmp_path: Path
) -> None:
    """So that the test above can fail."""
    found = open_raw(raw, tmp_path, dict.fromkeys(CLOCKS, ClockConfig()))
    centers = found.annotations["time_s"]
    assert np.abs(found.column("time") - centers).min() > 0.06
    assert np.abs(found.responses - raw.recording.responses[: found.n_bins]).mean() > 0.1


@pytest.mark.parametrize("hours", [-8, -7, 0, 7, 8])
def test_hours_between_time_zones_in_summer_and_winter(hours: int):
    times = 50_001.0 + np.arange(5)
    since, added = correct_zone(times + 3600 * hours, 50_000.0, "world")
    np.testing.assert_allclose(since, 1 + np.arange(5))
    assert added == -hours
    with pytest.raises(DataError, match="7 or 8 hours where time zones were mixed"):
        correct_zone(times + 3600 * 7.5, 50_000.0, "world")
