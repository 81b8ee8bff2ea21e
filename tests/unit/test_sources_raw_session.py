"""A raw session of the virtual mouse, written by other libraries, through one YAML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.spatial.transform import Rotation

from freegaze.recording.recording import Recording
from freegaze.sources.alignment.assembly import TIME
from freegaze.sources.lab_files.tiny import write_movie
from freegaze.sources.source import open_recordings

OFFSET_S, DRIFT = 0.2, 5e-5
"""The computer of cameras and IMU against the probe, whose clock is the session's."""

STEP_S = 0.016


def on_computer(session_s: np.ndarray) -> np.ndarray:
    return (session_s - OFFSET_S) / (1 + DRIFT)


def write_spikes(folder: Path, recording: Recording, rng: np.random.Generator) -> None:
    """The folder that Kilosort leaves."""
    folder.mkdir()
    bins, units = np.nonzero(recording.responses)
    repeats = recording.responses[bins, units].astype(int)
    bins, units = np.repeat(bins, repeats), np.repeat(units, repeats)
    times = (bins + rng.uniform(0.01, 0.99, len(bins))) * recording.bin_width_s
    order = np.argsort(times)
    np.save(folder / "spike_times.npy", np.round(times[order] * 30_000).astype(np.int64))
    np.save(folder / "spike_clusters.npy", units[order].astype(np.int32))
    labels = pd.DataFrame({"cluster_id": range(recording.n_neurons), "KSLabel": "good"})
    labels.to_csv(folder / "cluster_KSLabel.tsv", sep="\t", index=False)
    (folder / "params.py").write_text("sample_rate = 30000.0\n")


def write_eye(file: Path, path: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Eight points on the pupil's edge, as DeepLabCut tracks them with 0.3 px of noise."""
    theta, phi = np.deg2rad(path["true_theta"]), np.deg2rad(path["true_phi"])
    forward = np.stack(
        [np.cos(phi) * np.sin(theta), np.sin(phi), np.cos(phi) * np.cos(theta)], axis=-1
    )
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    down = np.cross(forward, right)
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)[:, None, None]
    radius = 20.0
    points = 80.0 * forward + radius * (np.cos(angle) * right + np.sin(angle) * down)
    points = points[..., :2].transpose(1, 0, 2) + np.array([160.0, 120.0])
    points = points + rng.normal(0, 0.3, points.shape)
    sure = np.full((*points.shape[:2], 1), 0.99)
    columns = pd.MultiIndex.from_product(
        [["net"], [f"p{i}" for i in range(8)], ["x", "y", "likelihood"]],
        names=["scorer", "bodyparts", "coords"],
    )
    values = np.concatenate([points, sure], -1).reshape(len(points), -1)
    pd.DataFrame(values, columns=columns).to_csv(file)


def write_imu(file: Path, path: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Accelerometer and gyroscope at 300 Hz with noise, a bias, and times in milliseconds."""
    n = len(path["true_yaw"])
    steps = (np.arange(n) + 0.5) * STEP_S
    times = np.arange(steps[0], steps[-1], 1 / 300)
    yaw, pitch, roll = (
        np.interp(times, steps, np.unwrap(path[f"true_{name}"], period=360.0))
        for name in ("yaw", "pitch", "roll")
    )
    attitude = (
        Rotation.from_rotvec(yaw[:, None] * [0, 0, 1], degrees=True)
        * Rotation.from_rotvec(-pitch[:, None] * [0, 1, 0], degrees=True)
        * Rotation.from_rotvec(roll[:, None] * [1, 0, 0], degrees=True)
    )
    turns = np.rad2deg((attitude[:-1].inv() * attitude[1:]).as_rotvec()) * 300
    rotation = np.concatenate([turns[:1], (turns[1:] + turns[:-1]) / 2, turns[-1:]])
    rotation += np.array([1.0, -0.5, 0.8]) + rng.normal(0, 0.5, rotation.shape)
    acceleration = attitude.inv().apply([0.0, 0.0, 1.0]) + rng.normal(0, 0.05, rotation.shape)
    table = pd.DataFrame(np.column_stack([1000 * on_computer(times), acceleration, rotation]))
    table.columns = ["ms", "ax", "ay", "az", "gx", "gy", "gz"]
    table.to_csv(file, index=False)


Raw = tuple[Path, Recording, dict[str, np.ndarray]]
"""The YAML, the simulation, and the true path of head and eyes."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Raw:
    return write_raw_session(tmp_path_factory.mktemp("raw"), minutes=4, n_neurons=4)


def write_raw_session(folder: Path, minutes: float, n_neurons: int) -> Raw:
    from freegaze.simulation import SimulationConfig, simulate

    config = SimulationConfig(
        minutes=minutes, n_neurons=n_neurons, seed=1, frame_size=(24, 32), track="affine"
    )
    recording, truth = simulate(config)
    rng = np.random.default_rng(0)
    path = {name: np.asarray(signal, np.float64) for name, signal in truth.path.items()}
    width, n_bins = recording.bin_width_s, recording.n_bins
    write_spikes(folder / "sorted", recording, rng)
    write_movie(folder / "world.mp4", recording.video(), 25.0, "libx264", "yuv420p")
    frame_times = on_computer((np.arange(n_bins) + 0.5) * width)
    pd.DataFrame({"t": frame_times}).to_csv(folder / "world.csv", index=False)
    write_eye(folder / "eyeDLC.csv", path, rng)
    eye_times = on_computer((np.arange(len(path["true_theta"])) + 0.5) * STEP_S)
    np.save(folder / "eye_times.npy", eye_times)
    write_imu(folder / "imu.csv", path, rng)
    pulses = np.cumsum(rng.uniform(0.5, 1.5, int(n_bins * width) - 10))
    kept = rng.random((2, len(pulses))) > 0.03  # both devices miss some
    np.savetxt(folder / "ttl_probe.txt", pulses[kept[0]] + rng.normal(0, 1e-4, kept[0].sum()))
    np.savetxt(folder / "ttl_computer.txt", on_computer(pulses[kept[1]]))
    clock: dict[str, Any] = {
        "kind": "pulses",
        "own": "ttl_computer.txt",
        "session": "ttl_probe.txt",
    }
    (folder / "ttl_ms.txt").write_text(
        "\n".join(f"{1000 * float(t):.6f}" for t in on_computer(pulses[kept[1]]))
    )
    session = {
        "bin_width_s": width,
        "start_s": 0.0,
        "stop_s": n_bins * width,
        "responses": {"kind": "kilosort", "folder": "sorted", "duration_s": n_bins * width},
        "video": {
            "kind": "movie",
            "file": "world.mp4",
            "timestamps": "world.csv",
            "clock": clock,
        },
        "behavior": {
            "eye": {
                "kind": "deeplabcut",
                "file": "eyeDLC.csv",
                "timestamps": "eye_times.npy",
                "clock": clock,
                "gaze": {},
            },
            "head": {
                "kind": "imu",
                "file": "imu.csv",
                "time": "ms",
                "clock": {**clock, "own": "ttl_ms.txt", "scale_to_s": 0.001},
                "acceleration": ["ax", "ay", "az"],
                "rotation": ["gx", "gy", "gz"],
            },
        },
    }
    file = folder / "session.yaml"
    file.write_text(yaml.safe_dump(session))
    return file, recording, path


def check_raw_session(raw: Raw) -> Recording:
    """Spikes are exact, times within 5 ms, angles within 1 degree (median), frames those shown."""
    file, recording, path = raw
    (found,) = open_recordings("files", file)
    np.testing.assert_array_equal(found.responses, recording.responses)
    centers = found.annotations[TIME]
    steps = (np.arange(len(path["true_pitch"])) + 0.5) * STEP_S
    for name in ("pitch", "roll", "theta", "phi"):
        true = np.interp(centers, steps, path[f"true_{name}"])
        assert np.nanmedian(np.abs(found.column(name) - true)) < 1.0, name
    for stream in ("video", "behavior.eye", "behavior.head"):
        quality = found.provenance["clocks"][stream]
        assert quality["residual_ms"] < 0.5
    clock = found.provenance["config"]["video"]["clock"]
    ends = np.array([0.0, found.duration_s])
    error = clock["offset_s"] + (1 + clock["drift"]) * on_computer(ends) - ends
    assert np.abs(error).max() < 0.005
    # limited range and compression change gray values, not which frame a bin shows
    shown = found.video().astype(float) - recording.video()
    assert np.abs(shown).mean() < 6
    return found


def test_a_raw_session_comes_back(raw: Raw):
    check_raw_session(raw)


def test_the_movie_has_frames_out_of_order(raw):
    """B-frames: packets come in another order than frames are shown."""
    import av

    file, _, _ = raw
    with av.open(str(file.parent / "world.mp4")) as container:
        stamps = [p.pts for p in container.demux(container.streams.video[0]) if p.size]
    assert (np.diff(stamps) < 0).any()


SEEDS = (0, 1, 2)
SETTINGS = {"model.name": "glm", "training.max_passes": 20, "data.min_rate_hz": 0}


def mean_correlation(session: Recording, folder: Path) -> float:
    """Return the mean test correlation over neurons and seeds of the fit."""
    import freegaze

    found = []
    for seed in SEEDS:
        settings = {**SETTINGS, "training.seed": seed}
        encoder = freegaze.fit(session, folder / str(seed), settings=settings, device="cpu")
        table = freegaze.evaluate(encoder, session, draws=20).table
        found.append(float(table["correlation"].mean()))
    print(folder.name, [f"{value:.4f}" for value in found])
    return float(np.mean(found))


@pytest.mark.slow
def test_a_fit_on_a_raw_session_is_as_good_as_one_on_the_simulation(tmp_path: Path):
    """The same columns, segments, recipe and seeds; only what the raw files changed differs."""
    raw = write_raw_session(tmp_path, minutes=10, n_neurons=20)
    found, recording = check_raw_session(raw), raw[1]
    assert found.n_bins == recording.n_bins
    found = replace(found, segments=recording.segments)
    names = ("theta", "phi", "pitch", "roll")
    scores = {}
    for name, session in (("simulation", recording), ("raw", found)):
        kept = [session.behavior_names.index(column) for column in names]
        same_columns = replace(
            session,
            behavior=session.behavior[:, kept],
            behavior_names=names,
            behavior_units=("deg",) * 4,
        )
        scores[name] = mean_correlation(same_columns, tmp_path / name)
    print(scores)
    assert scores["simulation"] > 0.1
    assert scores["raw"] == pytest.approx(scores["simulation"], rel=0.05)
