"""Options of NWB files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from freegaze.recording.recording import ResponseKind
from freegaze.sources.alignment.clock import ClockConfig
from freegaze.sources.alignment.frames import FrameRule
from freegaze.sources.source import SourceOptions

Label = bool | int | float | str
Labels = Annotated[
    tuple[Label, ...],
    BeforeValidator(lambda given: given if isinstance(given, list | tuple) else (given,)),
]
"""Values of a column of labels; a single one needs no brackets."""


class NwbOptions(SourceOptions):
    """Options of NWB files. A series is named by its path in the file or the end of it.

    Files that freegaze wrote hold bins already and need none of these; only ``sessions``,
    ``min_rate_hz``, ``leave_out_neurons`` and ``leave_out`` apply to them. An option without a use
    in the file is refused.

    Args:
        leave_out: Behavior columns not to read.
        bin_width_s: Width of a bin, 0.05 s by default.
        start_s: Left edge of the first bin. Without it, the first bin begins with the later of
            responses and video.
        stop_s: No bin ends after this.
        responses: ``units`` (spikes), or a series with one column per neuron. Without it, ``units``
            are read if the file has them, else the only series of regions of interest.
        response_kind: Kind of a series of responses; fluorescence by default.
        keep_units: Values that a column of ``units``, or of the table of regions of interest, must
            have: ``{quality: [good], is_cell: [true]}``.
        units: Unit of a behavior column, if the file states another or none.
        keep_invalid_times: Whether bins within ``invalid_times`` are kept.
        video: The image series, or the index series of the shown pictures; ``none`` stands for one
            black pixel. Without it, the only series is read.
        video_order: Order of the axes after time, which NWB does not define.
        gray_range: Values that become black and white, if they are not 0 and 255.
        frames: Frame that a bin shows: the mean of the frames in it, the middle one, or the
            nearest.
        frame_size: [height, width] to scale to.
        behavior: Our name of each column, and its series (``SERIES[COLUMN]`` for one of several
            columns). Without it, every series of behavior is read under its own name.
        lost_values: Numbers, as they are stored, that stand for a lost sample of a series of
            behavior: ``{pupil_radius: [-1]}``.
        min_confidence: Samples of tracked points (types of ndx-pose) with a lower ``confidence``
            are lost; without it, all count as certain.
        max_gap_s: Wider gaps between samples are not filled; by default three typical intervals.
        clocks: Clock of a series (or of ``units``): offset, drift and unit of its times.
        sort: Series whose samples may be out of order.
        segments: Table of intervals whose rows become segments (with ``trials``, each is one
            trial); bins between them are left out.
    """

    leave_out: tuple[str, ...] = ()
    bin_width_s: float | None = Field(default=None, gt=0)
    start_s: float | None = None
    stop_s: float | None = None
    responses: str | None = None
    response_kind: ResponseKind | None = None
    keep_units: dict[str, Labels] = Field(default_factory=dict)
    units: dict[str, str] = Field(default_factory=dict)
    keep_invalid_times: bool = False
    video: str | None = None
    video_order: Literal["height_width", "width_height"] = "height_width"
    gray_range: tuple[float, float] | None = None
    frames: FrameRule = "mean"
    frame_size: tuple[int, int] | None = None
    behavior: dict[str, str] | None = None
    lost_values: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    min_confidence: float | None = Field(default=None, ge=0, le=1)
    max_gap_s: float | None = Field(default=None, gt=0)
    clocks: dict[str, ClockConfig] = Field(default_factory=dict)
    sort: tuple[str, ...] = ()
    segments: str | None = None
