"""Times and signals in CSV and ``.npy`` files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from freegaze.errors import DataError
from freegaze.files.arrays import parsing, read_npy
from freegaze.registry import nearest_names
from freegaze.sources.alignment.clock import read_times
from freegaze.sources.alignment.streams import SampleStream, make_samples, regular_times
from freegaze.sources.lab_files.config import CsvConfig, NpyConfig
from freegaze.sources.lab_files.timed import TimedConfig


def read_csv(file: Path, separator: str = ",") -> pd.DataFrame:
    """Read a table with a header; columns are named by text.

    Raises:
        DataError: If the file is missing or no table.
    """
    with parsing(file):
        frame = pd.read_csv(file, sep=separator, low_memory=False, skipinitialspace=True)
        frame.columns = [str(name).strip() for name in frame.columns]
        return frame


def pick_column(frame: pd.DataFrame, name: str, file: Path) -> np.ndarray:
    """Return one column.

    Raises:
        DataError: If there is none of that name, or several.
    """
    names = [str(n) for n in frame.columns]
    if names.count(name) != 1:
        what = "no column" if name not in names else "several columns"
        raise DataError(f"{file} has {what} {name!r} ({nearest_names(name, names)})")
    return frame[name].to_numpy()


def to_numbers(column: np.ndarray, where: str) -> np.ndarray:
    """Return a column as float64, empty fields as NaN.

    Raises:
        DataError: If it holds text that is no number.
    """
    if column.dtype.kind in "biuf":
        return column.astype(np.float64)
    try:
        numbers: Any = pd.to_numeric(pd.Series(column))
        return numbers.to_numpy(np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{where}: expected numbers ({' '.join(str(error).split())})") from None


def read_timestamps(file: Path, column: str | int | None) -> np.ndarray:
    """Read one time per row, in the file's own unit.

    Args:
        file: ``.npy``, or a CSV or text file with or without a header.
        column: Name, or number from 0, of the column where there are several.

    Raises:
        DataError: If the file is missing, has several columns, or holds no times.
    """
    if file.suffix == ".npy":
        return read_times(read_npy(file), str(file))
    with parsing(file):
        table = pd.read_csv(file, header=None, dtype=str, low_memory=False, skipinitialspace=True)
        texts = table.to_numpy(dtype=object)
    if isinstance(column, str):
        header = [str(text).strip() for text in texts[0]]
        if column not in header:
            raise DataError(f"{file} has no column {column!r} ({nearest_names(column, header)})")
        picked = texts[1:, header.index(column)]
    else:
        if texts.shape[1] != 1 and column is None:
            raise DataError(
                f"{file} has {texts.shape[1]} columns; state `timestamps_column`, one of "
                f"{', '.join(map(str, texts[0][:9]))} or a number from 0"
            )
        if not 0 <= (column or 0) < texts.shape[1]:
            raise DataError(f"{file} has {texts.shape[1]} columns, no column {column}")
        picked = texts[:, column or 0]
        if len(picked) and _seconds(picked[:1]) is None:  # a header
            picked = picked[1:]
    times = _seconds(picked)
    if times is None:
        raise DataError(f"{file}: expected one time a row, such as 12.05 or 2021-07-09T14:03:21.12")
    return read_times(times, str(file))


def times_of(config: TimedConfig, n: int, folder: Path, where: str) -> np.ndarray:
    """Return the own times of a file's ``n`` rows or frames.

    Raises:
        DataError: If neither timestamps nor a rate are given, or there are more or fewer.
    """
    if config.rate_hz is not None:
        return regular_times(n, config.rate_hz)
    if config.timestamps is None:
        raise DataError(f"{where}: has no times; give `timestamps` or `rate_hz`")
    file = folder / config.timestamps
    times = read_timestamps(file, config.timestamps_column)
    if len(times) != n:
        raise DataError(
            f"{where} has {n} rows or frames but {file} {len(times)} times; give one a row"
        )
    return times


def own_times(
    config: TimedConfig, frame: pd.DataFrame, time: str | None, file: Path, folder: Path
) -> np.ndarray:
    """Return the own times of a table's rows, which may stand in one of its columns.

    Args:
        config: The stream.
        frame: The table.
        time: Column with the times, or ``None``.
        file: The table's file, for messages.
        folder: What the paths are relative to.

    Raises:
        DataError: If times are stated twice or not at all, or the column holds none.
    """
    if time is None:
        return times_of(config, len(frame), folder, str(file))
    if config.timestamps is not None or config.rate_hz is not None:
        raise DataError(f"{file}: give `time`, `timestamps` or `rate_hz`, not two of them")
    picked = pick_column(frame, time, file)
    seconds = _seconds(picked) if picked.dtype.kind not in "iuf" else picked
    if seconds is None:
        raise DataError(f"{file}: column {time!r} holds no times")
    return read_times(seconds, f"{file}, column {time!r}")


def read_csv_stream(name: str, config: CsvConfig, folder: Path) -> SampleStream:
    """Read signals from a CSV.

    Raises:
        DataError: Naming the file and the column that is missing or wrong.
    """
    file = folder / config.file
    frame = read_csv(file, config.separator)
    columns = [
        to_numbers(pick_column(frame, source, file), f"{file}, column {source!r}")
        for source in config.columns.values()
    ]
    times = own_times(config, frame, config.time, file, folder)
    return _samples(name, config, times, np.column_stack(columns), tuple(config.columns))


def read_npy_stream(name: str, config: NpyConfig, folder: Path) -> SampleStream:
    """Read signals from an ``.npy`` file.

    Raises:
        DataError: If the file is broken, or its shape does not fit the columns and times.
    """
    file = folder / config.file
    values = read_npy(file)
    if values.ndim not in (1, 2):
        raise DataError(f"{file}: expected (time,) or (time, column), got {values.shape}")
    times = times_of(config, len(values), folder, str(file))
    return _samples(name, config, times, values, config.columns)


def _samples(
    name: str,
    config: CsvConfig | NpyConfig,
    times: np.ndarray,
    values: np.ndarray,
    columns: tuple[str, ...],
) -> SampleStream:
    for column in config.units:
        if column not in columns:
            raise DataError(
                f"behavior.{name}.units: no column {column!r} "
                f"({nearest_names(column, list(columns))})"
            )
    return make_samples(
        f"behavior.{name}",
        times,
        values,
        columns,
        tuple(config.units.get(column, "") for column in columns),
        clock=config.clock,
        max_gap_s=config.max_gap_s,
        is_sorting=config.sort,
    )


def _seconds(texts: np.ndarray) -> np.ndarray | None:
    """Read numbers, dates or times of day as seconds; ``None`` if they are none of these."""
    series: Any = pd.Series(texts)
    for parse in _PARSERS:
        try:
            return parse(series).to_numpy(np.float64)
        except (ValueError, TypeError, OverflowError, AttributeError):
            continue
    return None


def _since_1970(series: Any) -> Any:
    dates: Any = pd.to_datetime(series, format="ISO8601", utc=True)
    return (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds()


_PARSERS: tuple[Callable[[Any], Any], ...] = (
    pd.to_numeric,
    _since_1970,
    lambda series: pd.to_timedelta(series).dt.total_seconds(),
)
"""Readers of numbers, dates and times of day, tried in this order."""
