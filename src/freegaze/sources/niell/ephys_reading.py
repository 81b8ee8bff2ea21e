"""The netCDF files of a session as streams, read as HDF5 after a check of their headers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.hdf5 import Hdf5Reader
from freegaze.registry import require_names
from freegaze.sources.alignment.clock import read_times

FASTEST_CM_S = 25.0
"""Fastest speed of a mouse in the arena; faster ones are errors of the top camera's tracking, as in
the laboratory's pipeline."""

ELLIPSE = ("theta", "phi", "longaxis", "shortaxis", "X0", "Y0", "ellipse_phi")
IMU = (
    *("acc_x_raw", "acc_y_raw", "acc_z_raw", "gyro_x_raw", "gyro_y_raw", "gyro_z_raw"),
    *("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z", "roll", "pitch"),
)
TOP = ("speed",)
BALL_TIMES = ("timestamps",)
BALL_SPEEDS = ("cm_per_sec", "speed_cmpersec")
"""Order of columns in files without labels, and names that the ball's columns have had."""

_UNNAMED = "__xarray_dataarray_variable__"
"""Name that xarray gives to an array without one."""


def read_eye(file: Path, is_phi_flipped: bool) -> tuple[np.ndarray, np.ndarray]:
    """Read theta and phi in degrees and the pupil's long axis in px.

    Args:
        file: ``*_REYE.nc``.
        is_phi_flipped: Whether phi is the negative of the file's.

    Returns:
        Times of day (frame,), and values (frame, 3), NaN where tracking was lost.

    Raises:
        DataError: If the file is damaged or lacks an array.
    """
    wanted = ("theta", "phi", "longaxis")
    times, values = _read(file, ("REYE_ellipse_params",), "ellipse_params", ELLIPSE, wanted)
    values[:, :2] = np.rad2deg(values[:, :2])
    values[:, 1] *= -1.0 if is_phi_flipped else 1.0
    return times, values


def read_head(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read yaw velocity in degrees per second, pitch and roll in degrees.

    Returns:
        Times of day (sample,) on the board's clock, and values (sample, 3).

    Raises:
        DataError: If the file is damaged or lacks an array.
    """
    wanted, stamps = ("gyro_z", "pitch", "roll"), ("timestamps", "sample")
    return _read(file, ("IMU_data", _UNNAMED), "channel", IMU, wanted, stamps)


def read_top_speed(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read speed in cm/s by the top camera, NaN above 25 cm/s.

    Returns:
        Times of day (frame,), and values (frame, 1).

    Raises:
        DataError: If the file is damaged or lacks an array.
    """
    times, speed = _read(file, ("TOP1_props",), "prop", TOP, ("speed",))
    with np.errstate(invalid="ignore"):
        return times, np.where(speed > FASTEST_CM_S, np.nan, speed)


def read_ball_speed(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read speed in cm/s on the ball, of head-fixed sessions.

    Returns:
        Times of day (sample,), and values (sample, 1).

    Raises:
        DataError: If the file is damaged or its columns have no or other labels.
    """
    with Hdf5Reader(file) as reader:
        labels = reader.read_names("move_params") or ()
        speed = next((name for name in BALL_SPEEDS if name in labels), None)
        if speed is None:
            raise DataError(
                f"{file}: expected labels move_params with timestamps and {BALL_SPEEDS[0]}, got "
                f"{', '.join(labels[:9]) or 'none'}"
            )
        wanted = (*BALL_TIMES, speed)
        both = _columns(reader, ("BALL_data", _UNNAMED), "move_params", labels, wanted)
        return both[:, 0], both[:, 1:]


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
        raise ShapeError(f"{reader.path}: {len(times)} {there[0]} for {n} rows; give one per row")
    return times


def _read(
    file: Path,
    arrays: tuple[str, ...],
    axis: str,
    usual: tuple[str, ...],
    wanted: tuple[str, ...],
    stamps: tuple[str, ...] = ("timestamps",),
) -> tuple[np.ndarray, np.ndarray]:
    """Return times of day and columns of an array; see ``_columns``."""
    with Hdf5Reader(file) as reader:
        values = _columns(reader, arrays, axis, usual, wanted)
        return _stamps(reader, len(values), stamps), values


def _columns(
    reader: Hdf5Reader,
    arrays: tuple[str, ...],
    axis: str,
    usual: tuple[str, ...],
    wanted: tuple[str, ...],
) -> np.ndarray:
    """Return columns, (time, column), of the first existing array.

    They are found by their labels, or by the usual order where the array has none.
    """
    array = next((name for name in arrays if name in reader.headers), None)
    if array is None:
        why = reader.unread.get(arrays[0], "it is not there")
        raise DataError(f"{reader.path}: expected an array {arrays[0]}: {why}")
    values = reader.read(array)
    labels = reader.read_names(axis) or usual
    if values.ndim != 2 or values.dtype.kind not in "iuf":
        raise ShapeError(
            f"{reader.path}: {array}: expected numbers (time, {axis}), got {values.dtype} of shape "
            f"{values.shape}"
        )
    known = labels[: values.shape[1]]
    require_names(wanted, known, f"{reader.path}: {array} has, along {axis}, no column")
    return values[:, [known.index(name) for name in wanted]].astype(np.float64)
