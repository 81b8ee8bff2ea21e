"""Reading of tracked points on the eye, as a pupil or as points."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from freegaze.errors import DataError, DataWarning
from freegaze.files.arrays import parsing
from freegaze.sources.alignment.streams import SampleStream, make_samples
from freegaze.sources.lab_files.config_points import (
    AniposeConfig,
    DeepLabCutConfig,
    MovementConfig,
    PupilConfig,
    SleapConfig,
)
from freegaze.sources.lab_files.pose.anipose import read_anipose
from freegaze.sources.lab_files.pose.deeplabcut import read_deeplabcut_csv, read_deeplabcut_h5
from freegaze.sources.lab_files.pose.movement import read_movement
from freegaze.sources.lab_files.pose.points import Points
from freegaze.sources.lab_files.pose.sleap import read_sleap_csv, read_sleap_h5
from freegaze.sources.lab_files.sensors import gaze_columns, linear_gaze, renamed
from freegaze.sources.lab_files.timed import TimedConfig
from freegaze.sources.lab_files.times import match_times, read_timestamps
from freegaze.sources.sensors.pupil import MIN_POINTS, fit_pupil

PointsConfig = DeepLabCutConfig | SleapConfig | MovementConfig | AniposeConfig


def read_pupil(name: str, config: PointsConfig, folder: Path) -> SampleStream:
    """Read tracked points and fit the pupil to them.

    Args:
        name: Name of the stream, for messages.
        config: File, and settings of the fit.
        folder: Folder that the file's path is relative to.

    Raises:
        DataError: If the file is missing, damaged or of another layout, or a point is not in it.
    """
    file = folder / config.file
    points = read_points(config, folder)
    times, rows = times_of_frames(config, points, folder, file)
    quality: dict[str, float] = {}
    if config.shape == "points":
        columns, units, values = _point_columns(points, config, file)
    else:
        columns, units, values, quality = _pupil_columns(points, config, file)
    return make_samples(
        f"behavior.{name}",
        times,
        values[rows],
        renamed(columns, config.rename, name),
        units,
        clock=config.clock,
        max_gap_s=config.max_gap_s,
        is_sorting=config.sort,
        quality=quality,
    )


def read_points(config: PointsConfig, folder: Path) -> Points:
    """Read the tracked points of one animal.

    Args:
        config: Keys that name the file.
        folder: Folder that the file's path is relative to.

    Raises:
        DataError: If the file is missing, damaged, of another layout, or without frames.
    """
    file = folder / config.file
    is_hdf = file.suffix.lower() in (".h5", ".hdf5", ".slp")
    with parsing(file):
        if isinstance(config, DeepLabCutConfig):
            points = (read_deeplabcut_h5 if is_hdf else read_deeplabcut_csv)(file, config)
        elif isinstance(config, MovementConfig):
            points = read_movement(file, config)
        elif isinstance(config, AniposeConfig):
            points = read_anipose(file)
        else:
            points = (read_sleap_h5 if is_hdf else read_sleap_csv)(file, config)
    if not len(points.xy):
        raise DataError(f"{file}: holds no frame; was the movie tracked?")
    return points


def times_of_frames(
    config: TimedConfig, points: Points, folder: Path, file: Path
) -> tuple[np.ndarray, slice]:
    """Return the times of numbered frames, and the rows to use.

    Args:
        config: Keys that state the times; by default, the times of the tracker's file are used.
        points: Tracked points, with the number of each row's frame in the movie, rising from 0 or
            later.
        folder: Folder that the path of the timestamps is relative to.
        file: The tracker's file, for messages.

    Raises:
        DataError: If there are no times, or not one per frame of the movie.
    """
    frames = points.frames
    if config.rate_hz is not None:
        return frames / config.rate_hz, slice(None)
    if config.timestamps is None and points.times is not None:
        return points.times, slice(None)
    if config.timestamps is None:
        raise DataError(f"{file}: has no times; give `timestamps` or `rate_hz`")
    stamps = folder / config.timestamps
    times = read_timestamps(stamps, config.timestamps_column)
    n_frames = int(frames[-1]) + 1
    if n_frames == len(frames):
        return match_times(times, n_frames, config, str(file), stamps, "frames")
    if config.surplus != "refuse":
        times, kept = match_times(times, n_frames, config, str(file), stamps, "frames")
        rows = slice(*np.searchsorted(frames, [kept.start, kept.stop]).tolist())
        return times[frames[rows] - kept.start], rows
    if len(times) < n_frames:
        raise DataError(
            f"{file}: its frame numbers go to {n_frames - 1} but {stamps} has {len(times)} times; "
            "give one for each frame of the movie, or leave out the frames without one by "
            "`surplus: last` (or `first`)"
        )
    if len(times) > n_frames:
        warnings.warn(
            f"{file}: its frame numbers go to {n_frames - 1} and {stamps} has {len(times)} times; "
            f"the last {len(times) - n_frames} frames count as lost",
            DataWarning,
            stacklevel=2,
        )
    return times[frames], slice(None)


def _point_columns(
    points: Points, config: PupilConfig, file: Path
) -> tuple[list[str], list[str], np.ndarray]:
    """Return the points themselves, NaN where their likelihood is too low."""
    axes = {"x": points.xy[..., 0], "y": points.xy[..., 1]}
    if points.z is not None:
        axes["z"] = points.z
    unit = "px" if points.z is None else ""
    columns, values = [], []
    for i in points.pick(config.points, file):
        is_good = points.likelihood[:, i] >= config.min_likelihood
        for axis, coordinate in axes.items():
            columns.append(f"{points.names[i]}_{axis}")
            values.append(np.where(is_good, coordinate[:, i], np.nan))
    return columns, [unit] * len(columns), np.column_stack(values)


def _pupil_columns(
    points: Points, config: PupilConfig, file: Path
) -> tuple[list[str], list[str], np.ndarray, dict[str, float]]:
    if points.z is not None:
        raise DataError(
            f"{file}: points have three coordinates; a pupil is fitted in the camera's picture: "
            "state `shape: points` to read x, y and z as columns"
        )
    picked = points.pick(config.points, file)
    likelihood = points.likelihood[:, picked]
    is_good = likelihood >= config.min_likelihood
    fitted = fit_pupil(points.xy[:, picked].astype(np.float64), is_good, config.shape)
    if np.isnan(fitted[:, 0]).all():
        raise DataError(f"{file}: {_why_no_pupil(likelihood, config)}")
    n_columns = 2 if config.shape == "center" else 3
    columns = ["pupil_x", "pupil_y", "pupil_radius"][:n_columns]
    units, values = ["px"] * n_columns, [*fitted[:, :n_columns].T]
    angles = linear_gaze(fitted[:, 0], fitted[:, 1], config)
    columns, values = [*columns, *angles], [*values, *angles.values()]
    units += ["deg"] * len(angles)
    quality: dict[str, float] = {}
    if config.gaze is not None:
        found, quality = gaze_columns(fitted, is_good.mean(1), config.gaze, str(file))
        columns, values = [*columns, "theta", "phi"], [*values, *found]
        units += ["deg", "deg"]
    return columns, units, np.column_stack(values), quality


def _why_no_pupil(likelihood: np.ndarray, config: PupilConfig) -> str:
    """Return the reason why no frame has a pupil, and the remedy."""
    n_points, needed = likelihood.shape[1], MIN_POINTS[config.shape]
    smaller = [shape for shape, n in MIN_POINTS.items() if n < needed and n <= n_points]
    others = " or ".join(f"`shape: {shape}` ({MIN_POINTS[shape]})" for shape in smaller)
    if n_points < needed:
        return (
            f"no frame has enough points for a pupil: {config.shape} needs {needed}, {n_points} "
            f"are there; choose {others}"
        )
    n_good = int((likelihood >= config.min_likelihood).sum(axis=1).max())
    if n_good >= needed:
        return (
            f"no frame has a pupil: no {config.shape} passes through its points; choose other "
            f"`points`, or {others or 'check the tracking'}"
        )
    best = float(np.sort(likelihood, axis=1)[:, -needed].max())
    reached = [f"`shape: {s}` ({MIN_POINTS[s]})" for s in smaller if MIN_POINTS[s] <= n_good]
    cures = [f"lower `min_likelihood` to at most {best:.3g}"] if best > 0 else []
    cures += [f"choose {' or '.join(reached)}"] if reached else []
    return (
        f"no frame has enough points for a pupil: {config.shape} needs {needed} with a likelihood "
        f"of {config.min_likelihood:g}, the best frame has {n_good} of {n_points}; "
        f"{', or '.join(cures) or 'track the movie again'}"
    )
