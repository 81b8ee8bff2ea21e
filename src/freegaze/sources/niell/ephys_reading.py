"""The netCDF files of a session, as streams. netCDF4 is HDF5, which is read with care."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.hdf5 import Hdf5Reader
from freegaze.sources.alignment.clock import read_times

FASTEST_CM_S = 25.0
"""No mouse runs faster in the arena; the top camera lost it (as in the laboratory's pipeline)."""

ELLIPSE = ("theta", "phi", "longaxis", "shortaxis", "X0", "Y0", "ellipse_phi")
IMU = (
    *("acc_x_raw", "acc_y_raw", "acc_z_raw", "gyro_x_raw", "gyro_y_raw", "gyro_z_raw"),
    *("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z", "roll", "pitch"),
)
TOP = ("speed",)
BALL_TIMES = ("timestamps",)
BALL_SPEEDS = ("cm_per_sec", "speed_cmpersec")
"""Order of columns in files without labels, and what the ball's columns have been called."""

_UNNAMED = "__xarray_dataarray_variable__"
"""What xarray calls an array that was given no name."""


def read_eye(file: Path, is_phi_flipped: bool) -> tuple[np.ndarray, np.ndarray]:
    """Read theta and phi in degrees and the pupil's long axis in px.

    Args:
        file: ``*_REYE.nc``.
        is_phi_flipped: Whether phi shall be the negative of what is in the file.

    Returns:
        Times of day (frame,), and values (frame, 3), NaN where tracking was lost.

    Raises:
        DataError: If the file is damaged or lacks an array.
    """
    with Hdf5Reader(file) as reader:
        names = ("theta", "phi", "longaxis")
        theta, phi, axis = _columns(reader, "REYE_ellipse_params", "ellipse_params", ELLIPSE, names)
        sign = -1.0 if is_phi_flipped else 1.0
        values = np.column_stack([np.rad2deg(theta), sign * np.rad2deg(phi), axis])
        return _stamps(reader, len(values)), values


def read_head(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read yaw velocity in degrees a second, pitch and roll in degrees.

    Returns:
        Times of day (sample,) on the board's clock, and values (sample, 3).

    Raises:
        DataError: If the file is damaged or lacks an array.
    """
    with Hdf5Reader(file) as reader:
        array = "IMU_data" if "IMU_data" in reader.headers else _UNNAMED
        columns = _columns(reader, array, "channel", IMU, ("gyro_z", "pitch", "roll"))
        values = np.column_stack(columns)
        return _stamps(reader, len(values), ("timestamps", "sample")), values


def read_top_speed(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read speed in cm/s by the top camera, NaN above 25 cm/s.

    Returns:
        Times of day (frame,), and values (frame, 1).

    Raises:
        DataError: If the file is damaged or lacks an array.
    """
    with Hdf5Reader(file) as reader:
        (speed,) = _columns(reader, "TOP1_props", "prop", TOP, ("speed",))
        with np.errstate(invalid="ignore"):
            speed = np.where(speed > FASTEST_CM_S, np.nan, speed)
        return _stamps(reader, len(speed)), speed[:, None]


def read_ball_speed(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read speed in cm/s on the ball, of head-fixed sessions.

    Returns:
        Times of day (sample,), and values (sample, 1).

    Raises:
        DataError: If the file is damaged or its columns have no or other labels.
    """
    with Hdf5Reader(file) as reader:
        labels = _labels(reader, "move_params") or ()
        speed = next((name for name in BALL_SPEEDS if name in labels), None)
        if speed is None:
            raise DataError(
                f"{file}: expected labels move_params with timestamps and {BALL_SPEEDS[0]}, got "
                f"{', '.join(labels[:9]) or 'none'}"
            )
        array = "BALL_data" if "BALL_data" in reader.headers else _UNNAMED
        times, values = _columns(reader, array, "move_params", labels, (*BALL_TIMES, speed))
        return times, values[:, None]


def read_video_times(reader: Hdf5Reader) -> np.ndarray:
    """Return the times of day of the frames of ``WORLD_video``.

    Raises:
        DataError: If one is missing.
    """
    if "WORLD_video" not in reader.headers:
        raise DataError(f"{reader.path} holds no WORLD_video; run the laboratory's preprocessing")
    shape = reader.headers["WORLD_video"].shape
    return _stamps(reader, shape[0] if shape else 0)


def _stamps(reader: Hdf5Reader, n: int, names: tuple[str, ...] = ("timestamps",)) -> np.ndarray:
    there = [name for name in names if name in reader.headers]
    if not there:
        raise DataError(f"{reader.path} holds no {' nor '.join(names)}, the times of its rows")
    times = read_times(reader.read(there[0]), f"{reader.path}: {there[0]}")
    if len(times) != n:
        raise ShapeError(f"{reader.path}: {len(times)} {there[0]} for {n} rows; give one a row")
    return times


def _columns(
    reader: Hdf5Reader,
    array: str,
    axis: str,
    usual: tuple[str, ...],
    wanted: tuple[str, ...],
) -> list[np.ndarray]:
    """Return columns of an array by their labels; by the usual order where it has none."""
    if array not in reader.headers:
        why = reader.unread.get(array, "it is not there")
        raise DataError(f"{reader.path}: expected an array {array}: {why}")
    values = reader.read(array)
    labels = _labels(reader, axis) or usual
    if values.ndim != 2 or values.dtype.kind not in "iuf":
        raise ShapeError(
            f"{reader.path}: {array}: expected numbers (time, {axis}), got {values.dtype} of shape "
            f"{values.shape}"
        )
    places = [labels.index(name) if name in labels else len(labels) for name in wanted]
    for name, place in zip(wanted, places, strict=True):
        if place >= values.shape[1] or place >= len(labels):
            raise DataError(f"{reader.path}: {array} has no column {name} along {axis}")
    return [values[:, place].astype(np.float64) for place in places]


def _labels(reader: Hdf5Reader, axis: str) -> tuple[str, ...] | None:
    return reader.read_names(axis) if reader.has_names(axis) else None
