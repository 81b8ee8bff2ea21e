"""A small NWB file, written with pynwb, in which each stream has its own rate."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path

from freegaze.sources.nwb.opening import require_pynwb
from freegaze.sources.tiny import FRAME_RATE_HZ, IMU_RATE_HZ, make_tiny_streams


def write_tiny_nwb(file: Path, seed: int) -> Path:
    """Write units, a video, eye, head and running like a laboratory.

    Args:
        file: File to write.
        seed: Decides all numbers.

    Raises:
        DataError: If pynwb is not installed.
    """
    pynwb = require_pynwb()
    behavior, streams = pynwb.behavior, make_tiny_streams(seed)
    root = pynwb.NWBFile(
        session_description="A mouse explores an arena",
        identifier=f"tiny-{seed}",
        session_start_time=datetime(2021, 7, 9, 14, 0, tzinfo=UTC),
    )
    root.add_unit_column("quality", "Label of the sorting")
    for i, times in enumerate(streams.spike_times):
        root.add_unit(id=10 + i, spike_times=times, quality="good" if i else "mua")
    root.add_acquisition(
        pynwb.image.ImageSeries(
            name="world_camera",
            data=streams.frames,
            unit="n.a.",
            timestamps=streams.frame_times,
        )
    )
    gaze = behavior.SpatialSeries(
        name="gaze",
        description="Horizontal and vertical angle of the eye",
        data=streams.gaze,
        reference_frame="eye in the head, straight ahead is (0, 0)",
        unit="deg",
        timestamps=streams.frame_times,
    )
    radius = pynwb.TimeSeries(
        name="pupil_radius",
        data=streams.pupil_radius,
        unit="px",
        timestamps=streams.frame_times,
    )
    speed = pynwb.TimeSeries(
        name="speed",
        data=streams.speed,
        unit="cm/s",
        starting_time=0.5 / FRAME_RATE_HZ,
        rate=FRAME_RATE_HZ,
    )
    head = [
        pynwb.TimeSeries(
            name=name,
            data=streams.imu[:, i],
            unit=unit,
            starting_time=0.5 / IMU_RATE_HZ,
            rate=IMU_RATE_HZ,
        )
        for i, (name, unit) in enumerate((("pitch", "deg"), ("roll", "deg"), ("gz", "deg/s")))
    ]
    module = root.create_processing_module("behavior", "Processed behavior")
    module.add(behavior.EyeTracking(spatial_series=gaze))
    module.add(behavior.PupilTracking(time_series=radius))
    module.add(behavior.BehavioralTimeSeries(time_series=[speed, *head]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynwb comments on some versions of numpy and h5py
        with pynwb.NWBHDF5IO(str(file), "w") as io:
            io.write(root)
    return file
