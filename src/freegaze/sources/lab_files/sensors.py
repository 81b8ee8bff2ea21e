"""Sensors in files of laboratories, and the columns that are computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from freegaze.errors import ConfigError, DataError
from freegaze.registry import require_names
from freegaze.sources.alignment.frames import AbstractFrameReader
from freegaze.sources.alignment.streams import SampleStream, make_samples
from freegaze.sources.lab_files.config_points import FacemapConfig, PupilConfig
from freegaze.sources.lab_files.sensor_config import GazeConfig, ImuConfig, LensConfig
from freegaze.sources.lab_files.tabular import read_table
from freegaze.sources.lab_files.times import times_of_table
from freegaze.sources.sensors.eye import EyeCalibration, calibrate_eye, eye_angles
from freegaze.sources.sensors.head import head_posture
from freegaze.sources.sensors.lens import Lens, UndistortedFrames

STANDARD_GRAVITY = 9.80665
"""Meters per second squared in 1 g."""


def read_imu(name: str, config: ImuConfig, folder: Path) -> SampleStream:
    """Read an accelerometer and a gyroscope and compute the posture of the head.

    Args:
        name: Name of the stream, for messages.
        config: Files and columns.
        folder: Folder that the file's path is relative to.

    Returns:
        ``pitch`` and ``roll`` in degrees, ``yaw_velocity`` about the vertical and ``gz`` about the
        head's own axis in degrees per second.

    Raises:
        DataError: If a file, a column or an axis is wrong; the message names it.
    """
    file = folder / config.file
    table = read_table(file, config)
    acceleration, rotation = (
        np.column_stack([table.numbers(column) for column in columns])
        for columns in (config.acceleration, config.rotation)
    )
    times, rows = times_of_table(config, table, config.time, folder)
    gravity = STANDARD_GRAVITY if config.acceleration_unit == "m/s^2" else 1.0
    degrees = 180 / np.pi if config.rotation_unit == "rad/s" else 1.0
    raw = make_samples(
        f"behavior.{name}",
        times,
        np.column_stack(
            [
                _turned(acceleration, config.axes) * (config.acceleration_scale / gravity),
                _turned(rotation, config.axes) * (config.rotation_scale * degrees),
            ]
        )[rows],
        ["forward", "left", "up", "roll_rate", "pitch_rate", "yaw_rate"],
        ["g"] * 3 + ["deg/s"] * 3,
        clock=config.clock,
        max_gap_s=config.max_gap_s,
        is_sorting=config.sort,
    )
    posture = head_posture(
        raw.times,
        raw.values[:, :3],
        raw.values[:, 3:],
        config.smoothing_s,
        raw.max_gap_s,
        f"{file} (behavior.{name})",
    )
    values = [posture.pitch_deg, posture.roll_deg, posture.yaw_velocity_deg_s, raw.values[:, 5]]
    return make_samples(
        f"behavior.{name}",
        raw.times,
        np.column_stack(values),
        renamed(["pitch", "roll", "yaw_velocity", "gz"], config.rename, name),
        ["deg", "deg", "deg/s", "deg/s"],
        max_gap_s=raw.max_gap_s,
        quality=posture.quality,
    )


def gaze_columns(
    ellipses: Float[np.ndarray, "time 5"],
    n_found: Float[np.ndarray, " time"],
    config: GazeConfig,
    where: str,
) -> tuple[list[np.ndarray], dict[str, float]]:
    """Return theta and phi in degrees of fitted pupils, and quality numbers.

    Args:
        ellipses: Ellipses as ``fit_pupil`` returns them.
        n_found: Share of the points that were found in each frame, 0..1; frames with all of them
            calibrate the camera.
        config: Reference and signs.
        where: Stream, for messages.

    Raises:
        DataError: If the camera cannot be calibrated.
    """
    if config.center_px is None or config.scale_px is None:
        camera = calibrate_eye(ellipses, n_found >= 1, config.max_axis_ratio, where)
    else:
        camera = EyeCalibration(config.center_px, config.scale_px)
    theta, phi = eye_angles(ellipses[:, 0], ellipses[:, 1], camera)
    known = np.isfinite(theta)
    if not known.any():
        raise DataError(
            f"{where}: no pupil lies within `scale_px` = {camera.scale_px:.4g} of `center_px`; "
            "check the calibration, in pixels of this video"
        )
    quality = {
        **camera.quality(),
        "share_tracked": float(known.mean()),
        "reference_theta_deg": 0.0,
        "reference_phi_deg": 0.0,
    }
    if config.reference == "median":
        middle = float(np.median(theta[known])), float(np.median(phi[known]))
        theta, phi = theta - middle[0], phi - middle[1]
        quality |= {"reference_theta_deg": middle[0], "reference_phi_deg": middle[1]}
    theta = theta if config.theta_positive == "right" else -theta
    return [theta, phi if config.phi_positive == "down" else -phi], quality


def linear_gaze(
    x_px: Float[np.ndarray, " time"],
    y_px: Float[np.ndarray, " time"],
    config: PupilConfig | FacemapConfig,
) -> dict[str, np.ndarray]:
    """Return theta and phi as linear functions of the pupil's position, where they are asked for.

    Args:
        x_px: Horizontal position of the pupil, NaN where lost.
        y_px: Vertical position.
        config: Degrees per pixel.
    """
    scales = {"theta": (config.theta_deg_per_px, x_px), "phi": (config.phi_deg_per_px, y_px)}
    return {
        name: scale * (position - np.nanmedian(position))
        for name, (scale, position) in scales.items()
        if scale is not None
    }


def undistorted(reader: AbstractFrameReader, config: LensConfig, where: str) -> UndistortedFrames:
    """Return a reader of undistorted frames."""
    lens = Lens(config.model, config.focal_px, config.center_px, config.coefficients)
    return UndistortedFrames(reader, lens, config.projection, config.calibrated_size, where)


def renamed(columns: Sequence[str], rename: Mapping[str, str], stream: str) -> list[str]:
    """Return the names of a stream's columns, some of them replaced.

    Raises:
        ConfigError: If a column to rename is not there.
    """
    require_names(rename, columns, f"behavior.{stream}.rename: no column", ConfigError)
    return [rename.get(name, name) for name in columns]


def check_distinct(streams: Sequence[SampleStream]) -> None:
    """Check that no two streams have a column of the same name.

    Raises:
        DataError: If two do; the message names both, and the option that renames one.
    """
    owner: dict[str, str] = {}
    for stream in streams:
        for column in stream.columns:
            if column in owner:
                raise DataError(
                    f"{owner[column]} and {stream.name} hold {column!r} more than once together; "
                    f"state `rename: {{{column}: {column}_2}}` in one of them (in `csv` and `npy` "
                    "another name in `columns`)"
                )
            owner[column] = stream.name


def _turned(vectors: np.ndarray, axes: tuple[str, str, str]) -> np.ndarray:
    """Return vectors along forward, left and up."""
    picked = [vectors[:, "xyz".index(axis[-1])] for axis in axes]
    signs = [-1.0 if axis.startswith("-") else 1.0 for axis in axes]
    return np.column_stack(picked) * signs
