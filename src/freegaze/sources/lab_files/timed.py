"""Keys of the YAML that every stream with times of its own shares."""

from __future__ import annotations

from pydantic import Field, model_validator

from freegaze.config import StrictConfig
from freegaze.sources.lab_files.clocks import AnyClockConfig, FileName, StatedClockConfig


class TimedConfig(StrictConfig):
    """Times of the rows, samples or frames of a file.

    Args:
        timestamps: File with one time per row (CSV, text or ``.npy``), in seconds unless the clock
            states another unit; 2021-07-09T14:03:21.12 is read as seconds since 1970, and
            14:03:21.12 as seconds since midnight.
        timestamps_column: Which column of a CSV with a header; its only one by default.
        rate_hz: Constant rate of samples, the first at 0, instead of timestamps.
        clock: How these times read on the session's clock.
        sort: Whether rows may be out of order; they are sorted then.
        max_gap_s: Wider gaps between samples are not filled; by default three typical intervals.
    """

    timestamps: FileName | None = None
    timestamps_column: str | int | None = None
    rate_hz: float | None = Field(default=None, gt=0)
    clock: AnyClockConfig = StatedClockConfig()
    sort: bool = False
    max_gap_s: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _has_one_time(self) -> TimedConfig:
        if self.timestamps is not None and self.rate_hz is not None:
            raise ValueError("give `timestamps` or `rate_hz`, not both")
        return self
