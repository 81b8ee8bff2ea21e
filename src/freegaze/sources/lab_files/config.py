"""Keys of the YAML of the source ``files``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from freegaze.config import StrictConfig
from freegaze.recording.recording import ResponseKind
from freegaze.sources.alignment.assembly import SegmentConfig
from freegaze.sources.alignment.frames import FrameRule
from freegaze.sources.lab_files.clocks import AnyClockConfig, FileName, StatedClockConfig
from freegaze.sources.lab_files.sensor_config import (
    GazeConfig,
    ImuConfig,
    LensConfig,
    TopViewConfig,
)
from freegaze.sources.lab_files.timed import TimedConfig


class CsvConfig(TimedConfig):
    """Columns of a CSV file with a header.

    Args:
        file: The file.
        time: Column with the times, where they are in this file.
        columns: Our name of each signal, and its column in the file.
        units: Unit of each signal, by our name.
        separator: Between columns.
    """

    kind: Literal["csv"] = "csv"
    file: FileName
    time: str | None = None
    columns: dict[str, str] = Field(min_length=1)
    units: dict[str, str] = Field(default_factory=dict)
    separator: str = Field(default=",", min_length=1, max_length=1)


class NpyConfig(TimedConfig):
    """An ``.npy`` array, one row per sample.

    Args:
        file: The file, shape (time,) or (time, column).
        columns: Our name of each column.
        units: Unit of each signal, by our name.
    """

    kind: Literal["npy"] = "npy"
    file: FileName
    columns: tuple[str, ...] = Field(min_length=1)
    units: dict[str, str] = Field(default_factory=dict)


class PupilConfig(TimedConfig):
    """A pupil from tracked points on its edge: pupil_x, pupil_y and pupil_radius in px.

    Args:
        file: CSV or h5 as the tracker writes it.
        points: Points on the edge of the pupil; all by default.
        min_likelihood: Points below this likelihood are not used.
        shape: ``ellipse`` (at least 5 points; its radius is half the long axis), ``circle`` (3),
            or ``center``, their mean, without a radius.
        theta_deg_per_px: If given, ``theta`` = this times (pupil_x - median); its sign decides
            which side is positive.
        phi_deg_per_px: If given, ``phi`` = this times (pupil_y - median).
        gaze: Angles of the eye by a model of eye and camera, calibrated by the axes of the
            ellipses; ``{}`` for its defaults.
        rename: Other names of the columns, such as ``{theta: theta_left}``.
    """

    file: FileName
    points: tuple[str, ...] | None = None
    min_likelihood: float = Field(default=0.9, ge=0, le=1)
    shape: Literal["ellipse", "circle", "center"] = "ellipse"
    theta_deg_per_px: float | None = None
    phi_deg_per_px: float | None = None
    gaze: GazeConfig | None = None
    rename: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_one_gaze(self) -> PupilConfig:
        if self.gaze is not None and self.shape != "ellipse":
            raise ValueError("`gaze` needs `shape: ellipse`")
        linear = self.theta_deg_per_px is not None or self.phi_deg_per_px is not None
        if self.gaze is not None and linear:
            raise ValueError("give `gaze`, or `theta_deg_per_px` and `phi_deg_per_px`, not both")
        return self


class DeepLabCutConfig(PupilConfig):
    """Points of DeepLabCut; see ``PupilConfig``."""

    kind: Literal["deeplabcut"] = "deeplabcut"


class SleapConfig(PupilConfig):
    """Points of SLEAP (analysis CSV or h5); see ``PupilConfig``.

    Args:
        track: Name of the track, where there are several.
    """

    kind: Literal["sleap"] = "sleap"
    track: str | None = None


BehaviorConfig = Annotated[
    CsvConfig | NpyConfig | DeepLabCutConfig | SleapConfig | ImuConfig | TopViewConfig,
    Field(discriminator="kind"),
]


class VideoConfig(TimedConfig):
    """A video.

    Args:
        file: The file.
        frames: What a bin shows of the frames in it: their mean, the middle one, or the nearest.
        frame_size: [height, width] to scale to.
        lens: Calibration of the camera; with it frames are undistorted before they are scaled.
    """

    file: FileName
    frames: FrameRule = "mean"
    lens: LensConfig | None = None
    frame_size: tuple[int, int] | None = None

    @field_validator("frame_size")
    @classmethod
    def _is_a_size(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        if size is not None and not all(1 <= n <= 10_000 for n in size):
            raise ValueError("height and width must be 1..10000")
        return size


class MovieConfig(VideoConfig):
    """An mp4, avi or other movie; without timestamps or a rate its own times are used."""

    kind: Literal["movie"] = "movie"


class NpyVideoConfig(VideoConfig):
    """Frames in an ``.npy`` file, (time, height, width); see ``VideoConfig``.

    Args:
        gray_range: Values that become black and white, where they are not 0..255.
    """

    kind: Literal["npy"] = "npy"
    gray_range: tuple[float, float] | None = None

    @field_validator("gray_range")
    @classmethod
    def _rises(cls, values: tuple[float, float] | None) -> tuple[float, float] | None:
        if values is not None and not values[0] < values[1]:
            raise ValueError("black must be less than white")
        return values


AnyVideoConfig = Annotated[MovieConfig | NpyVideoConfig, Field(discriminator="kind")]


class SpikesConfig(StrictConfig):
    """Spikes of units on one clock.

    Args:
        duration_s: Length of the recording on its own clock; by default it is taken to last from
            the first to the last spike of any unit.
        clock: How its seconds read on the session's clock.
    """

    duration_s: float | None = Field(default=None, gt=0)
    clock: AnyClockConfig = StatedClockConfig()


class KilosortConfig(SpikesConfig):
    """A folder of Kilosort or phy; see ``SpikesConfig``.

    Args:
        folder: With ``spike_times.npy``, ``spike_clusters.npy`` and ``cluster_group.tsv`` or
            ``cluster_info.tsv``.
        groups: Labels of the clusters to take.
        sampling_rate_hz: Samples per second; from ``params.py`` by default.
    """

    kind: Literal["kilosort"] = "kilosort"
    folder: FileName
    groups: tuple[str, ...] = ("good",)
    sampling_rate_hz: float | None = Field(default=None, gt=0)


class SpikeTableConfig(SpikesConfig):
    """A CSV with one row per spike; see ``SpikesConfig``.

    Args:
        file: The file.
        time: Column of the times.
        unit: Column of the units' names.
    """

    kind: Literal["spike_table"] = "spike_table"
    file: FileName
    time: str = "time"
    unit: str = "unit"


class Suite2pConfig(TimedConfig):
    """A folder of suite2p (``plane0``); its rate must be given, as ``ops.npy`` is a pickle.

    Args:
        folder: With ``spks.npy``, ``F.npy`` and ``iscell.npy``.
        signal: ``spks`` (inferred spikes) or ``F`` (fluorescence).
        neuropil: Share of ``Fneu.npy`` subtracted from ``F``; suite2p itself uses 0.7.
        only_cells: Whether to leave out regions that are no cell in ``iscell.npy``.
    """

    kind: Literal["suite2p"] = "suite2p"
    folder: FileName
    signal: Literal["spks", "F"] = "spks"
    neuropil: float = 0.0
    only_cells: bool = True


class NpyResponsesConfig(TimedConfig):
    """Responses in an ``.npy`` file, (time, neuron).

    Args:
        file: The file.
        response_kind: What they are; counts are taken to be binned already.
    """

    kind: Literal["npy"] = "npy"
    file: FileName
    response_kind: ResponseKind


ResponsesConfig = Annotated[
    KilosortConfig | SpikeTableConfig | Suite2pConfig | NpyResponsesConfig,
    Field(discriminator="kind"),
]


class SessionConfig(StrictConfig):
    """Files of one session; paths are relative to the YAML.

    Args:
        session_id: Name of the session; by default that of the YAML.
        starts_at: Date and time at which the session's clock reads 0, where clocks state theirs.
        bin_width_s: Width of a bin.
        start_s: Left edge of the first bin; by default when responses and video have both begun.
        stop_s: No bin ends after this.
        responses: The neurons.
        video: The video; left out, one black pixel.
        behavior: Signals, each stream by a name of its own.
        segments: Parts of the session to keep, each a segment; by default all, in one.
        deg_per_px: Calibration of the camera, of the pixels as scaled; by default that of the
            video's ``lens``, where it makes equidistant frames.
    """

    session_id: str | None = Field(default=None, min_length=1)
    starts_at: datetime | None = None
    bin_width_s: float = Field(default=0.05, gt=0)
    start_s: float | None = None
    stop_s: float | None = None
    responses: ResponsesConfig
    video: AnyVideoConfig | None = None
    behavior: dict[str, BehaviorConfig] = Field(default_factory=dict)
    segments: tuple[SegmentConfig, ...] | None = None
    deg_per_px: float | None = Field(default=None, gt=0)
