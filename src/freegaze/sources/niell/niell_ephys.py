"""Raw ephys sessions of the Niell laboratory, in folders after its preprocessing.

::

    DATE/ANIMAL/fm1/NAME_ephys_merge.json    sorted spikes, on the clock of the electrodes' board
                    NAME_world.nc            WORLD_video, timestamps
                    NAME_REYE.nc             REYE_ellipse_params (theta, phi in radians), timestamps
                    NAME_imu.nc              IMU_data (gyroscope, roll, pitch), on the board's clock
                    NAME_TOP1.nc             TOP1_props (speed), timestamps
                    NAME_speed.nc            BALL_data (speed on the ball), head-fixed only
                    NAME_Ephys_BonsaiBoardTS.csv

The session's clock is that of the cameras, from the start of the board.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from freegaze.errors import DataError
from freegaze.files.arrays import parsing
from freegaze.files.hdf5 import Hdf5Reader
from freegaze.recording.columns import find_column
from freegaze.recording.recording import Recording
from freegaze.sources.alignment.assembly import Streams, align_streams
from freegaze.sources.alignment.clock import ClockConfig
from freegaze.sources.alignment.frames import FrameRule
from freegaze.sources.alignment.readers import ArrayFrames
from freegaze.sources.alignment.streams import (
    EventStream,
    SampleStream,
    make_frames,
    make_samples,
    without_columns,
)
from freegaze.sources.lab_files.times import read_timestamps
from freegaze.sources.niell.ephys_clocks import (
    correct_zone,
    estimate_board_clock,
    untold_clock,
)
from freegaze.sources.niell.ephys_reading import (
    read_ball_speed,
    read_eye,
    read_head,
    read_top_speed,
    read_video_times,
)
from freegaze.sources.niell.ephys_session import SessionFiles, find_files, find_sessions
from freegaze.sources.niell.ephys_spikes import SortedSpikes, read_spikes
from freegaze.sources.niell.ephys_tiny import TINY_CLOCK, write_tiny_session
from freegaze.sources.source import AbstractSource, SourceOptions, register_source

EYE_COLUMNS = ("theta", "phi", "pupil_radius")
HEAD_COLUMNS = ("gz", "pitch", "roll")
SPEED_COLUMNS = ("speed",)


class NiellEphysOptions(SourceOptions):
    """Options of raw sessions; a session is named by the beginning of its files' names.

    Args:
        bin_width_s: Width of a bin.
        frame_size: (height, width) to scale video to; by default that of the file (120 x 160; the
            laboratory halves it once more).
        frames: Frame that a bin shows: the mean of the frames in it, the middle one, or the
            nearest.
        groups: Labels of the units to keep.
        clock: Clock of the electrodes' board, which samples spikes and head, on the cameras' clock.
            By default, it is estimated from eye and gyroscope. The laboratory's own ``offset0`` and
            ``drift_rate`` are minus these.
        flip_phi: Whether the sign of phi is flipped, as in the laboratory's ``*_ephys_props.h5``.
            By default, phi is that of the eye camera, as in ``ModelData_all.h5`` and the files of
            Xu et al.
        sort: Whether samples and frames may be out of order; if so, they are sorted.
        leave_out: Behavior columns that are not kept.
    """

    bin_width_s: float = Field(default=0.05, gt=0)
    frame_size: tuple[int, int] | None = None
    frames: FrameRule = "mean"
    groups: tuple[str, ...] = ("good",)
    clock: ClockConfig | None = None
    flip_phi: bool = False
    sort: bool = False
    leave_out: tuple[str, ...] = ()


@register_source("niell_ephys")
class NiellEphysSource(AbstractSource[NiellEphysOptions]):
    """Freely moving and head-fixed sessions before they were binned."""

    Options: ClassVar = NiellEphysOptions
    description: ClassVar = "Raw ephys folders of the Niell lab: *_ephys_merge.json, *_world.nc ..."
    citation: ClassVar = (
        "Parker, Abe, Leonard, Martins, Niell (2022). Joint coding of visual input and eye/head "
        "position in V1 of freely moving mice. Neuron 110"
    )
    tiny_options: ClassVar = {"clock": TINY_CLOCK.model_dump()}  # too short to be estimated

    def find_sessions(self, path: Path, options: NiellEphysOptions) -> dict[str, Path]:
        """Find the sorted spikes of each session, up to three folders deep."""
        return find_sessions(path)

    def open_session(self, path: Path, name: str, options: NiellEphysOptions) -> Recording:
        """Read the files beside the sorted spikes, and align them."""
        files = find_files(path)
        world = files.need("world")
        spikes = read_spikes(path, options.groups)
        cameras, head, zones = _read_behavior(files, spikes.start_s, options)
        clock, told = _board_clock(cameras.get("eye"), head, options)
        if head is not None:
            head = replace(head, times=clock.to_session(head.times))
        units = EventStream(
            str(path),
            [clock.to_session(times) for times in spikes.times],
            spikes.unit_ids,
            _extent(files, spikes, head, clock),
        )
        with Hdf5Reader(world) as reader, parsing(world):
            since, zones["world"] = correct_zone(
                read_video_times(reader), spikes.start_s, str(world)
            )
            video = make_frames(
                str(world),
                since,
                ArrayFrames(reader.on_disk("WORLD_video"), str(world)),
                rule=options.frames,
                frame_size=options.frame_size,
                is_sorting=options.sort,
            )
            streams = [*cameras.values(), *([] if head is None else [head])]
            return align_streams(
                Streams(units, without_columns(streams, options.leave_out), video),
                name,
                options.bin_width_s,
                provenance={
                    "files": {kind: str(file) for kind, file in files.found.items()},
                    "board_clock": told,
                    "hours_added": {kind: hours for kind, hours in zones.items() if hours},
                    "phi": "turned around" if options.flip_phi else "as the eye camera's",
                    "units_left_out": spikes.left_out,
                },
            )

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write a session by pandas and xarray, like the laboratory's programs."""
        return write_tiny_session(path, seed)


def _read_behavior(
    files: SessionFiles, start_s: float, options: NiellEphysOptions
) -> tuple[dict[str, SampleStream], SampleStream | None, dict[str, float]]:
    """Return the cameras' streams, the head on the board's clock, and the hours added to each."""
    read = {
        "eye": (lambda file: read_eye(file, options.flip_phi), EYE_COLUMNS),
        "imu": (read_head, HEAD_COLUMNS),
        "top": (read_top_speed, SPEED_COLUMNS),
        "ball": (read_ball_speed, SPEED_COLUMNS),
    }
    if "top" in files.found:  # both measure running; the ball is for head-fixed sessions
        del read["ball"]
    if options.flip_phi and "eye" not in files.found:
        raise DataError("`flip_phi` applies to the eye, and there is no *_REYE.nc; leave it out")
    streams, zones = {}, {}
    for kind, (reader, columns) in read.items():
        if kind in files.found:
            file = files.found[kind]
            times, values = reader(file)
            since, zones[kind] = correct_zone(times, start_s, str(file))
            streams[kind] = make_samples(
                file.name,
                since,
                values,
                columns,
                [find_column(name).unit for name in columns],
                is_sorting=options.sort,
            )
    head = streams.pop("imu", None)
    return streams, head, zones


def _board_clock(
    eye: SampleStream | None, head: SampleStream | None, options: NiellEphysOptions
) -> tuple[ClockConfig, dict[str, Any]]:
    if options.clock is not None:
        return options.clock, {**options.clock.model_dump(), "estimated": False}
    if eye is None or head is None:
        raise untold_clock(f"there is no *{'_imu.nc' if head is None else '_REYE.nc'}")
    found = estimate_board_clock(eye, head, largest_se_s=options.bin_width_s / 2)
    return found.clock, found.told()


def _extent(
    files: SessionFiles, spikes: SortedSpikes, head: SampleStream | None, clock: ClockConfig
) -> tuple[float, float] | None:
    """Return the time in which the board ran: while it sampled the head, or by its own times."""
    if head is not None:
        return head.span()
    if "board" not in files.found:
        return None
    stamps = read_timestamps(files.found["board"], None)
    if not len(stamps) or not stamps[-1] > stamps[0]:
        raise DataError(f"{files.found['board']}: expected times that increase")
    start, stop = clock.to_session(np.array([0.0, stamps[-1] - stamps[0]])).tolist()
    return start, stop
