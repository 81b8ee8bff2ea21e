"""Keys that all streams of the YAML share: their times, and the layout of their tables."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from freegaze.config import StrictConfig
from freegaze.sources.lab_files.clocks import AnyClockConfig, FileName, StatedClockConfig


class TimedConfig(StrictConfig):
    """Times of the rows, samples or frames of a file.

    Args:
        timestamps: File with one time per row (CSV, text, ``.npy``, ``.mat`` or Parquet), in
            seconds unless the clock states another unit. 2021-07-09T14:03:21.12 is read as seconds
            since 1970, 14:03:21.12 as seconds since midnight; times of day may pass midnight.
        timestamps_column: Name of the column with the times, or its number from 0; by default, the
            only one.
        rate_hz: Constant rate of samples, the first at 0, instead of timestamps.
        surplus: Reaction to different numbers of times and of rows or frames: ``refuse`` stops;
            ``last`` or ``first`` leaves out the surplus ones at that end, with a warning.
        clock: Conversion of these times to the session's clock.
        sort: Whether rows may be out of order; if so, they are sorted.
        max_gap_s: Wider gaps between samples are not filled; by default three typical intervals.
    """

    timestamps: FileName | None = None
    timestamps_column: str | int | None = None
    rate_hz: float | None = Field(default=None, gt=0)
    surplus: Literal["refuse", "last", "first"] = "refuse"
    clock: AnyClockConfig = StatedClockConfig()
    sort: bool = False
    max_gap_s: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _has_one_time(self) -> TimedConfig:
        if self.timestamps is not None and self.rate_hz is not None:
            raise ValueError("give `timestamps` or `rate_hz`, not both")
        if self.timestamps is None:
            for name in sorted({"timestamps_column", "surplus"} & self.model_fields_set):
                raise ValueError(f"`{name}` applies to `timestamps`, which are not given")
        return self


class TableFormat(StrictConfig):
    """Layout of a table in a text file; Parquet and ``.mat`` files need none of it.

    Args:
        separator: Separator of columns; ``" "`` stands for any number of blanks. By default, it is
            the comma, semicolon or tab that the first row has; in ``.ssv`` and ``.txt`` it can also
            be blanks.
        header: Whether the first row names the columns; without names they are 0, 1, 2 ...
        skip_lines: Number of lines before the header, or before the first row if there is no
            header.
        decimal: Decimal sign of numbers.
    """

    separator: str | None = Field(default=None, min_length=1, max_length=1)
    header: bool = True
    skip_lines: int = Field(default=0, ge=0)
    decimal: Literal[".", ","] = "."
