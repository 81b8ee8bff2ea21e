"""A small session in the files of the Niell laboratory, written by pandas and xarray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from freegaze.errors import DataError
from freegaze.sources.alignment.clock import ClockConfig
from freegaze.sources.niell.ephys_reading import ELLIPSE, IMU
from freegaze.sources.tiny import TinyStreams, make_tiny_streams

TINY_CLOCK = ClockConfig(offset_s=-0.1, drift=1.14e-4)
"""Usual clock of the board in the laboratory."""

START_S = 13.5 * 3600
"""Time of day at which the board begins in small sessions, 13:30."""


def write_tiny_session(path: Path, seed: int) -> Path:
    """Write a dozen seconds into ``DATE/ANIMAL/fm1``, and return the path to open.

    Args:
        path: Empty folder.
        seed: Decides all numbers.

    Raises:
        DataError: If xarray or netCDF4 are not installed.
    """
    folder = path / "070921" / "J553RT" / "fm1"
    folder.mkdir(parents=True)
    write_session(folder, "070921_J553RT_control_Rig2_fm1", make_tiny_streams(seed), TINY_CLOCK)
    return path


def write_session(
    folder: Path,
    name: str,
    streams: TinyStreams,
    clock: ClockConfig,
    *,
    start_s: float = START_S,
    is_head_fixed: bool = False,
) -> None:
    """Write a freely moving or head-fixed session.

    Args:
        folder: Where, and beginning of each file's name.
        name: Beginning of each file's name.
        streams: Streams on the cameras' clock, from the start of the board.
        clock: Clock of the board on the cameras' clock.
        start_s: Time of day at which the board began.
        is_head_fixed: Whether to write speed on the ball, and neither head nor top camera.

    Raises:
        DataError: If xarray or netCDF4 are not installed.
    """
    xr = require_xarray()
    base = str(folder / name)
    stamps = start_s + streams.frame_times
    video = xr.DataArray(streams.frames, dims=("frame", "x", "y"), name="WORLD_video")
    _save(video.assign_coords(timestamps=("frame", stamps)), f"{base}_world.nc", zlib=True)
    n = len(stamps)
    theta, phi = np.deg2rad(streams.gaze).T
    columns = {"theta": theta, "phi": phi, "longaxis": streams.pupil_radius}
    columns["shortaxis"] = 0.9 * streams.pupil_radius
    ellipse = np.column_stack([columns.get(label, np.zeros(n)) for label in ELLIPSE])
    _save(
        _labeled(xr, "REYE_ellipse_params", ellipse, "ellipse_params", ELLIPSE, stamps),
        f"{base}_REYE.nc",
    )
    imu_times = start_s + _board_times(streams.imu_times, clock)
    if is_head_fixed:
        labels = ("timestamps", "cm_per_sec")
        ball = xr.DataArray(
            np.column_stack([stamps, streams.speed]),
            coords=[("frame", range(n)), ("move_params", list(labels))],
            name="BALL_data",
        )
        _save(ball, f"{base}_speed.nc")
    else:
        values: dict[str, np.ndarray] = dict(
            zip(("pitch", "roll", "gyro_z"), streams.imu.T, strict=True)
        )
        zeros = np.zeros(len(streams.imu))
        imu = np.column_stack([values.get(label, zeros) for label in IMU])
        samples = xr.DataArray(imu, dims=("sample", "channel"), name="IMU_data")
        coords: dict[str, Any] = {"sample": imu_times, "channel": list(IMU)}
        _save(samples.assign_coords(coords), f"{base}_imu.nc")
        top = np.column_stack([streams.speed, np.zeros(n)])
        _save(
            _labeled(xr, "TOP1_props", top, "prop", ("speed", "head_yaw"), stamps),
            f"{base}_TOP1.nc",
        )
    _write_merge(Path(f"{base}_ephys_merge.json"), streams, clock, start_s)
    ends = imu_times[:: max(1, len(imu_times) // 50)]
    texts = [str(pd.Timestamp(0) + pd.Timedelta(seconds=t)).split(" ")[1] for t in (start_s, *ends)]
    Path(f"{base}_Ephys_BonsaiBoardTS.csv").write_text("\n".join(texts) + "\n")


def require_xarray() -> Any:
    """Import xarray, which is only needed to write such a session.

    Raises:
        DataError: If it or netCDF4 is not installed.
    """
    try:
        import netCDF4  # noqa: F401 - the engine
        import xarray
    except ImportError:
        raise DataError(
            "writing netCDF files needs xarray and netCDF4; install them with pip"
        ) from None
    return xarray


def _write_merge(file: Path, streams: TinyStreams, clock: ClockConfig, start_s: float) -> None:
    """Write the units, the first of noise, with the columns in the laboratory's order."""
    n = len(streams.spike_times) + 1
    times = [[0.5, 0.25], *(_board_times(t, clock).tolist() for t in streams.spike_times)]
    table = {
        "cluster_id": range(n),
        "Amplitude": 100.0,
        "ContamPct": 5.0,
        "KSLabel": "good",
        "amp": 30.0,
        "ch": range(n),
        "depth": 0.0,
        "fr": [len(t) / 12 for t in times],
        "group": ["noise", *["good"] * (n - 1)],
        "n_spikes": [len(t) for t in times],
        "sh": 0,
        "spikeT": times,
        "t0": start_s,
    }
    pd.DataFrame(table).to_json(file)


def _board_times(times: np.ndarray, clock: ClockConfig) -> np.ndarray:
    """Return the times that the board writes at times of the cameras."""
    return (times - clock.offset_s) / (1 + clock.drift)


def _labeled(
    xr: Any, name: str, values: np.ndarray, axis: str, labels: tuple[str, ...], stamps: np.ndarray
) -> Any:
    coords = [("frame", range(len(values))), (axis, list(labels))]
    array = xr.DataArray(values, coords=coords, name=name)
    return array.assign_coords(timestamps=("frame", stamps))


def _save(array: Any, file: str, zlib: bool = False) -> None:
    array.to_netcdf(file, engine="netcdf4", encoding={array.name: {"zlib": zlib}})
