"""Keys of the YAML of the source ``files``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from freegaze.config import StrictConfig
from freegaze.sources.alignment.assembly import SegmentConfig
from freegaze.sources.alignment.frames import FrameRule
from freegaze.sources.lab_files.clocks import AnyClockConfig, StatedClockConfig
from freegaze.sources.lab_files.config_points import (
    AniposeConfig,
    DeepLabCutConfig,
    FacemapConfig,
    MovementConfig,
    SleapConfig,
)
from freegaze.sources.lab_files.config_responses import ResponsesConfig
from freegaze.sources.lab_files.sensor_config import (
    ImuConfig,
    LensConfig,
    TopViewConfig,
)
from freegaze.sources.lab_files.timed import FileName, TableFormat, TimedConfig


class TableConfig(TimedConfig, TableFormat):
    """Signals in columns of a table (CSV, Parquet, ``.mat`` or ``.npz``); see ``TableFormat``.

    Args:
        file: The file.
        time: Column with the times, if they are in this file.
        columns: Our name of each signal, and its column in the file.
        units: Unit of each signal, by our name.
        interpolation: Interpolation between samples: ``linear``; or ``previous``, for numbers of
            trials and other steps, which keeps the last value.
        lost_values: Numbers that stand for a lost sample in any of these columns.
    """

    kind: Literal["table", "csv"] = "table"
    file: FileName
    time: str | None = None
    columns: dict[str, str] = Field(min_length=1)
    units: dict[str, str] = Field(default_factory=dict)
    interpolation: Literal["linear", "previous"] = "linear"
    lost_values: tuple[float, ...] = ()


class EventsConfig(TableFormat):
    """Events with a start and a stop, as signals that are 1 within an event and 0 outside.

    Args:
        file: Table with one row per event.
        start: Column with the starts.
        stop: Column with the stops; or give ``duration``.
        duration: Column with the durations, in the unit of the starts.
        label: Column with the kind of each event.
        columns: Our name of each signal, and the label of its events. Without ``label``: one name,
            and the column with the signal's value within each event (``null`` for the value 1).
        clock: Conversion of the times to the session's clock.
    """

    kind: Literal["events"] = "events"
    file: FileName
    start: str = "start"
    stop: str | None = None
    duration: str | None = None
    label: str | None = None
    columns: dict[str, str | None] = Field(min_length=1)
    clock: AnyClockConfig = StatedClockConfig()

    @model_validator(mode="after")
    def _has_one_end(self) -> EventsConfig:
        if (self.stop is None) == (self.duration is None):
            raise ValueError("give `stop` or `duration`, one of them")
        return self


class ArrayConfig(TimedConfig):
    """An array, one row per sample: ``.npy``, or a variable of ``.mat``, ``.npz`` or HDF5.

    Args:
        file: The file, shape (time,) or (time, column).
        variable: Name of the array in a file of several.
        columns: Our name of each column.
        time: Name, among these, of the column with the times; it is not a signal then.
        units: Unit of each signal, by our name.
        interpolation: Interpolation between samples; see ``TableConfig``.
        lost_values: Numbers that stand for a lost sample.
    """

    kind: Literal["npy", "array"] = "npy"
    file: FileName
    variable: str | None = None
    columns: tuple[str, ...] = Field(min_length=1)
    time: str | None = None
    units: dict[str, str] = Field(default_factory=dict)
    interpolation: Literal["linear", "previous"] = "linear"
    lost_values: tuple[float, ...] = ()


BehaviorConfig = Annotated[
    TableConfig
    | ArrayConfig
    | EventsConfig
    | DeepLabCutConfig
    | SleapConfig
    | MovementConfig
    | AniposeConfig
    | FacemapConfig
    | ImuConfig
    | TopViewConfig,
    Field(discriminator="kind"),
]


VideoAxis = Literal["time", "height", "width", "color"]


class VideoConfig(TimedConfig):
    """A video.

    Args:
        file: The file.
        frames: Frame that a bin shows: the mean of the frames in it, the middle one, or the
            nearest.
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
    """An mp4, avi or other movie; without timestamps or a rate, its own times are used."""

    kind: Literal["movie"] = "movie"


class ArrayVideoConfig(VideoConfig):
    """Frames in an ``.npy`` file, or in a variable of ``.mat`` or ``.npz``; see ``VideoConfig``.

    Args:
        variable: Name of the array in a file of several.
        axes: Order of the axes; (time, height, width), also with a color axis, by default.
        gray_range: Values that become black and white, if they are not 0 and 255.
    """

    kind: Literal["npy", "array"] = "npy"
    variable: str | None = None
    axes: tuple[VideoAxis, ...] | None = None
    gray_range: tuple[float, float] | None = None

    @field_validator("axes")
    @classmethod
    def _is_an_order(cls, axes: tuple[VideoAxis, ...] | None) -> tuple[VideoAxis, ...] | None:
        named = set(axes or ()) | {"color"}
        if axes is not None and (len(set(axes)) != len(axes) or named != set(get_args(VideoAxis))):
            raise ValueError("name time, height and width once each, and color where there is one")
        return axes

    @field_validator("gray_range")
    @classmethod
    def _rises(cls, values: tuple[float, float] | None) -> tuple[float, float] | None:
        if values is not None and not values[0] < values[1]:
            raise ValueError("black must be less than white")
        return values


AnyVideoConfig = Annotated[MovieConfig | ArrayVideoConfig, Field(discriminator="kind")]


class SessionConfig(StrictConfig):
    """Files of one session; paths are relative to the YAML.

    Args:
        session_id: Name of the session; by default the name of the YAML.
        starts_at: Date and time at which the session's clock reads 0; needed if a clock states its
            own.
        bin_width_s: Width of a bin.
        start_s: Left edge of the first bin. Without it, the first bin begins with the later of
            responses and video.
        stop_s: No bin ends after this.
        responses: The neurons.
        video: The video; without it, every bin shows one black pixel.
        behavior: Streams of signals by name.
        segments: Parts of the session that become segments; bins outside them are left out. By
            default, the session is one segment.
        deg_per_px: Degrees per pixel of the scaled frames. Without it, the value follows from the
            video's ``lens`` if this has the projection ``equidistant``.
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
