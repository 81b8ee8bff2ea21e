"""Keys that every stream of the YAML shares: its times, and the layout of its table."""

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
        timestamps_column: Name of the column with the times, or its number from 0; the only one by
            default.
        rate_hz: Constant rate of samples, the first at 0, instead of timestamps.
        surplus: What happens if there are more times than rows or frames, or fewer: ``refuse``, or
            leave out the ``last`` or the ``first`` of those that are too many, with a warning.
        clock: How these times read on the session's clock.
        sort: Whether rows may be out of order; they are sorted then.
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
        separator: Between columns; ``" "`` stands for any number of blanks. By default a comma, a
            semicolon or a tab, whichever the first row has, and blanks in ``.ssv`` and ``.txt``.
        header: Whether the first row names the columns; without names they are 0, 1, 2 ...
        skip_lines: Lines before the header, or before the first row where there is none.
        decimal: Sign between whole and decimal digits of numbers.
    """

    separator: str | None = Field(default=None, min_length=1, max_length=1)
    header: bool = True
    skip_lines: int = Field(default=0, ge=0)
    decimal: Literal[".", ","] = "."
