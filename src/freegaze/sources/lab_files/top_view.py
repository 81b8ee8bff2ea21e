"""Running speed and heading from tracked points of laboratory files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from freegaze.sources.alignment.streams import SampleStream, make_samples
from freegaze.sources.lab_files.config_points import (
    DeepLabCutConfig,
    MovementConfig,
    SleapConfig,
)
from freegaze.sources.lab_files.eye_points import read_points, times_of_frames
from freegaze.sources.lab_files.sensor_config import TopViewConfig
from freegaze.sources.lab_files.sensors import renamed
from freegaze.sources.sensors.top_view import heading, running_speed


def read_top_view(name: str, config: TopViewConfig, folder: Path) -> SampleStream:
    """Read tracked points and compute ``speed``, and ``yaw`` from two points of the head.

    Args:
        name: Name of the stream, for messages.
        config: File and points.
        folder: Folder that the file's path is relative to.

    Raises:
        DataError: If the file is missing or damaged, or a point is not in it.
    """
    file = folder / config.file
    if config.tracker == "sleap":
        points = read_points(SleapConfig(file=config.file, track=config.track), folder)
    elif config.tracker == "movement":
        points = read_points(MovementConfig(file=config.file, individual=config.track), folder)
    else:
        points = read_points(DeepLabCutConfig(file=config.file), folder)
    wanted = [point for point in (config.point, config.front, config.back) if point is not None]
    points.pick(wanted, file)
    times, rows = times_of_frames(config, points, folder, file)
    is_lost = points.likelihood < config.min_likelihood
    positions = np.where(is_lost[..., None], np.nan, points.xy.astype(np.float64))
    body, *head = (positions[:, points.names.index(point)] for point in wanted)
    raw = make_samples(
        f"behavior.{name}",
        times,
        np.column_stack([body, *head])[rows],
        [f"{point} {axis}" for point in wanted for axis in "xy"],
        ["px"] * (2 * len(wanted)),
        clock=config.clock,
        max_gap_s=config.max_gap_s,
        is_sorting=config.sort,
    )
    speed, quality = running_speed(
        raw.times,
        raw.values[:, :2],
        config.px_per_cm,
        config.smoothing_s,
        config.max_speed_cm_s,
        f"{file} (behavior.{name})",
    )
    columns, units, values = ["speed"], ["cm/s"], [speed]
    if head:
        front, back = raw.values[:, 2:4], raw.values[:, 4:6]
        columns, units = [*columns, "yaw"], [*units, "deg"]
        values.append(heading(front, back, is_from_below=config.seen_from == "below"))
    return make_samples(
        f"behavior.{name}",
        raw.times,
        np.column_stack(values),
        renamed(columns, config.rename, name),
        units,
        max_gap_s=raw.max_gap_s,
        quality=quality,
    )
