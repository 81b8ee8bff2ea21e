"""A small folder of files in the formats of Kilosort, phy, DeepLabCut, FFmpeg and pandas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from freegaze.errors import DataError
from freegaze.sources.alignment.readers import require_av
from freegaze.sources.tiny import FRAME_RATE_HZ, TinyStreams, make_tiny_streams

SAMPLING_RATE_HZ = 30_000.0
N_POINTS = 8


def write_tiny_lab_folder(path: Path, seed: int) -> Path:
    """Write a session and return its YAML.

    The movie is lossless (FFV1); without PyAV the frames are an ``.npy``.

    Args:
        path: Empty folder.
        seed: Decides all numbers.
    """
    streams = make_tiny_streams(seed)
    _write_kilosort(path / "kilosort", streams)
    video = _write_video(path, streams)
    write_deeplabcut_csv(path / "eyeDLC.csv", streams)
    imu = pd.DataFrame(streams.imu, columns=["pitch_deg", "roll_deg", "gyro_z"])
    imu.insert(0, "time", streams.imu_times)
    imu.to_csv(path / "imu.csv", index=False)
    np.save(path / "speed.npy", streams.speed)
    np.save(path / "speed_times.npy", streams.frame_times)
    config = {
        "bin_width_s": 0.05,
        "responses": {"kind": "kilosort", "folder": "kilosort", "groups": ["good", "mua"]},
        "video": {**video, "timestamps": "world_times.csv", "frames": "mean"},
        "behavior": {
            "eye": {
                "kind": "deeplabcut",
                "file": "eyeDLC.csv",
                "timestamps": "world_times.csv",
                "theta_deg_per_px": 0.5,
                "phi_deg_per_px": -0.5,
            },
            "imu": {
                "kind": "csv",
                "file": "imu.csv",
                "time": "time",
                "columns": {"pitch": "pitch_deg", "roll": "roll_deg", "gz": "gyro_z"},
                "units": {"pitch": "deg", "roll": "deg", "gz": "deg/s"},
            },
            "wheel": {
                "kind": "npy",
                "file": "speed.npy",
                "timestamps": "speed_times.npy",
                "columns": ["speed"],
                "units": {"speed": "cm/s"},
            },
        },
    }
    file = path / "tiny.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return file


def write_movie(
    file: Path, frames: np.ndarray, rate_hz: float, codec: str = "ffv1", pixels: str = "gray"
) -> None:
    """Write a movie with PyAV.

    Args:
        file: avi for FFV1, mp4 for libx264.
        frames: (time, height, width), uint8.
        rate_hz: Frames per second, a whole number.
        codec: FFmpeg's name of the encoder; FFV1 loses nothing.
        pixels: FFmpeg's name of the pixels' format.

    Raises:
        DataError: If PyAV is not installed.
    """
    av = require_av()
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=round(rate_hz))
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt = pixels
        stream.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())


def write_deeplabcut_csv(file: Path, streams: TinyStreams) -> pd.DataFrame:
    """Write points around the pupil, three rows of header; return the table."""
    frame = deeplabcut_table(streams)
    frame.to_csv(file)
    return frame


def deeplabcut_table(streams: TinyStreams) -> pd.DataFrame:
    """Return points around the pupil as DeepLabCut's table, with low likelihoods where lost."""
    angle = np.linspace(0, 2 * np.pi, N_POINTS, endpoint=False)
    lost = np.isnan(streams.pupil_radius)
    radius = np.where(lost, 10.0, streams.pupil_radius)[:, None]
    center = np.where(lost[:, None], 0.0, streams.gaze / [0.5, -0.5])
    center += np.array([160.0, 120.0])
    x = center[:, :1] + radius * np.cos(angle)
    y = center[:, 1:] + 0.8 * radius * np.sin(angle)
    sure = np.where(lost, 0.2, 0.99)[:, None] * np.ones(N_POINTS)
    columns = pd.MultiIndex.from_product(
        [["DLC_resnet50"], [f"pupil{i}" for i in range(N_POINTS)], ["x", "y", "likelihood"]],
        names=["scorer", "bodyparts", "coords"],
    )
    return pd.DataFrame(np.stack([x, y, sure], axis=-1).reshape(len(x), -1), columns=columns)


def _write_kilosort(folder: Path, streams: TinyStreams) -> None:
    folder.mkdir()
    clusters = np.repeat([0, 2, 3, 7], [len(t) for t in streams.spike_times])
    samples = np.round(np.concatenate(streams.spike_times) * SAMPLING_RATE_HZ).astype(np.uint64)
    order = np.argsort(samples, kind="stable")
    np.save(folder / "spike_times.npy", samples[order][:, None])
    np.save(folder / "spike_clusters.npy", clusters[order].astype(np.int32))
    labels = {"cluster_id": [0, 1, 2, 3, 7], "group": ["good", "noise", "good", "mua", "good"]}
    pd.DataFrame(labels).to_csv(folder / "cluster_group.tsv", sep="\t", index=False)
    (folder / "params.py").write_text(
        f"dat_path = 'continuous.dat'\nn_channels_dat = 64\ndtype = 'int16'\n"
        f"sample_rate = {SAMPLING_RATE_HZ}\nhp_filtered = False\n"
    )


def _write_video(folder: Path, streams: TinyStreams) -> dict[str, str]:
    times = pd.DataFrame({"time": streams.frame_times})
    times.to_csv(folder / "world_times.csv", index=False)
    try:
        write_movie(folder / "world.avi", streams.frames, FRAME_RATE_HZ)
    except DataError:
        np.save(folder / "world.npy", streams.frames)
        return {"kind": "npy", "file": "world.npy"}
    return {"kind": "movie", "file": "world.avi"}
