"""Times of rows and frames: from a file of timestamps, or from a constant rate."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from freegaze.errors import DataError, DataWarning
from freegaze.files.arrays import parsing, read_npy
from freegaze.registry import require_name
from freegaze.sources.alignment.clock import read_times, warn_of_units
from freegaze.sources.alignment.streams import regular_times
from freegaze.sources.lab_files.tabular import PARQUET, Table, read_table, text_encoding
from freegaze.sources.lab_files.timed import TimedConfig

_DAY_S = 86_400.0
_DATE_AND_TIME = re.compile(r"(\d{4}[-/]\d{2}[-/]\d{2})[ \t]+(\d{1,2}:\d{2})")
"""A date and a time of day with a blank between them; they are one time."""
_ZONE = re.compile(
    r"(\d{4}[-/]\d{2}[-/]\d{2}T[\d:.]+)[ \t]+(?:(UTC|GMT|Z)|([+-]\d{2}:\d{2}))(?=\s|$)"
)
"""A time zone behind a date and a time, with a blank before it."""
_TWELVE = re.compile(r"(\d{1,2})(:\d{2}(?::\d{2}(?:\.\d+)?)?)[ \t]*([AP])M\b", re.IGNORECASE)
"""A time of day that counts to twelve."""
_OTHER_DATE = re.compile(r"\s*\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
"""A date that begins with the day or the month."""
_DECIMAL_COMMA = re.compile(r"\s*-?\d+,\d+\s*")


def read_timestamps(file: Path, column: str | int | None) -> np.ndarray:
    """Read one time per row, in the file's own unit.

    Args:
        file: ``.npy``, ``.mat``, ``.npz``, Parquet, or a text file with or without a header, whose
            columns are separated by commas, semicolons, tabs or blanks.
        column: Name of the column, or its number from 0, if there are several.

    Raises:
        DataError: If the file is missing, has several columns, or holds no times.
    """
    ending = file.suffix.lower()
    if ending == ".npy":
        picked = _npy_column(read_npy(file), file, column)
    elif ending in (".mat", ".npz", *PARQUET):
        picked = _table_column(file, column)
    else:
        picked = _text_column(file, column)
    times = parse_times(picked)
    if times is None:
        raise DataError(
            f"{file}: expected one time per row, such as 12.05 or 2021-07-09T14:03:21.12; "
            f"{_first_wrong(picked)}"
        )
    times = read_times(times, str(file))
    if len(times) > 2 and (times == times[0]).all():
        raise DataError(
            f"{file}: all {len(times)} times are equal ({picked[0]}); state another "
            "`timestamps_column`, or write dates with their time of day"
        )
    return times


def times_of(
    config: TimedConfig, n: int, folder: Path, where: str, what: str = "rows or frames"
) -> tuple[np.ndarray, slice]:
    """Return a file's own times of its ``n`` rows or frames, and which of these to use.

    All are used, unless their number differs from that of the times and ``surplus`` allows it.

    Raises:
        DataError: If neither timestamps nor a rate are given, or the numbers differ.
    """
    if config.rate_hz is not None:
        return regular_times(n, config.rate_hz), slice(0, n)
    if config.timestamps is None:
        raise DataError(f"{where}: has no times; give `timestamps` or `rate_hz`")
    file = folder / config.timestamps
    return match_times(
        read_timestamps(file, config.timestamps_column), n, config, where, file, what
    )


def times_of_table(
    config: TimedConfig, table: Table, time: str | None, folder: Path
) -> tuple[np.ndarray, slice]:
    """Return a table's own times of its rows, which may be in one of its columns.

    Args:
        config: The stream.
        table: The table.
        time: Column with the times, or ``None``.
        folder: Folder that the path of the timestamps is relative to.

    Returns:
        Times, and which rows to use.

    Raises:
        DataError: If times are stated twice or not at all, or the column holds none.
    """
    if time is None:
        return times_of(config, len(table), folder, str(table.file))
    if config.timestamps is not None or config.rate_hz is not None:
        raise DataError(f"{table.file}: give `time`, `timestamps` or `rate_hz`, not two of them")
    times = time_column(table, time)
    warn_of_units(times, config.clock, f"{table.file}, column {time!r}")
    return times, slice(None)


def time_column(table: Table, name: str) -> np.ndarray:
    """Return a column of times.

    Raises:
        DataError: If there is no such column, or it holds none.
    """
    column = table.column(name)
    times = parse_times(column)
    if times is None:
        raise DataError(f"{table.file}: column {name!r} holds no times: {_first_wrong(column)}")
    return read_times(times, f"{table.file}, column {name!r}")


def match_times(
    times: np.ndarray, n: int, config: TimedConfig, where: str, file: Path, what: str
) -> tuple[np.ndarray, slice]:
    """Return as many times as rows or frames, and which of ``n`` rows or frames to use.

    Raises:
        DataError: If the numbers differ and ``surplus`` is ``refuse``.
    """
    warn_of_units(times, config.clock, str(file))
    more = len(times) - n
    if not more:
        return times, slice(0, n)
    if config.surplus == "refuse":
        which = "times" if more > 0 else what
        raise DataError(
            f"{where} has {n} {what} but {file} {len(times)} times; give one per row, or leave out "
            f"the {abs(more)} surplus {which} with `surplus: last` (or `first`)"
        )
    warnings.warn(
        f"{where} has {n} {what} but {file} {len(times)} times: the {config.surplus} {abs(more)} "
        "are left out, as `surplus` asks",
        DataWarning,
        stacklevel=2,
    )
    kept = min(n, len(times))
    is_last = config.surplus == "last"
    rows = slice(0, kept) if is_last else slice(n - kept, n)
    return (times[:kept] if is_last else times[len(times) - kept :]), rows


def parse_times(column: np.ndarray) -> np.ndarray | None:
    """Read numbers, dates or times of day as seconds; ``None`` if they are none of these.

    Dates count from 1970. Times of day count from midnight, and continue to count after the next
    midnight.
    """
    if column.dtype.kind in "iuf":
        return column.astype(np.float64)
    series: Any = pd.Series(column)
    if column.dtype.kind == "O":
        series = series.map(lambda text: _plain_time(text) if isinstance(text, str) else text)
    for parse in _PARSERS:
        try:
            return parse(series).to_numpy(np.float64)
        except (ValueError, TypeError, OverflowError, AttributeError):
            continue
    return None


def _plain_time(text: str) -> str:
    """Return a time without blanks inside, its zone as an offset, and hours that count to 24.

    Example:
        >>> _plain_time("2021-07-09 2:03:21 PM UTC"), _plain_time("12:30:00 am")
        ('2021-07-09T14:03:21Z', '00:30:00')
    """
    text = text.strip()
    if " " not in text and "\t" not in text and text[-1:] not in ("M", "m"):
        return text
    joined = _DATE_AND_TIME.sub(r"\1T\2", _TWELVE.sub(_to_24_hours, text))
    return _ZONE.sub(lambda found: found[1] + (found[3] or "Z"), joined)


def _to_24_hours(found: re.Match[str]) -> str:
    is_afternoon = found[3].upper() == "P"
    return f"{int(found[1]) % 12 + 12 * is_afternoon:02d}{found[2]}"


def _first_wrong(column: np.ndarray) -> str:
    """Return the first row that is no time, and the remedy."""
    for row, value in enumerate(column.tolist()):
        if parse_times(np.array([value], object)) is None:
            is_date = isinstance(value, str) and _OTHER_DATE.match(value) is not None
            hint = "; which number is the month is open, write dates as 2021-07-09"
            return f"row {row} is {value!r}{hint if is_date else ''}"
    return "numbers, dates and times of day are mixed"


def _npy_column(array: np.ndarray, file: Path, column: str | int | None) -> np.ndarray:
    if array.ndim != 2:
        return array
    if 1 in array.shape and column is None:  # MATLAB's vectors are columns or rows
        return array.reshape(-1)
    if not isinstance(column, int) or not 0 <= column < array.shape[1]:
        raise DataError(
            f"{file} has shape {array.shape}; state `timestamps_column`, a number from 0 to "
            f"{array.shape[1] - 1}"
        )
    return array[:, column]


def _table_column(file: Path, column: str | int | None) -> np.ndarray:
    table = read_table(file)
    if column is None and len(table.names) != 1:
        raise DataError(
            f"{file} has {len(table.names)} columns; state `timestamps_column`, one of "
            f"{', '.join(table.names[:9])} or a number from 0"
        )
    if isinstance(column, str):
        return table.column(column)
    if not 0 <= (column or 0) < len(table.names):
        raise DataError(f"{file} has {len(table.names)} columns, no column {column}")
    return table.columns[column or 0]


def _text_column(file: Path, column: str | int | None) -> np.ndarray:
    texts = _read_texts(file)
    if isinstance(column, str):
        header = [str(text).strip() for text in texts[0]]
        require_name(column, header, f"{file} has no column")
        return texts[1:, header.index(column)]
    if texts.shape[1] != 1 and column is None:
        raise DataError(
            f"{file} has {texts.shape[1]} columns; state `timestamps_column`, one of "
            f"{', '.join(map(str, texts[0][:9]))} or a number from 0 (where the comma is a decimal "
            "sign, write a point)"
        )
    if not 0 <= (column or 0) < texts.shape[1]:
        raise DataError(f"{file} has {texts.shape[1]} columns, no column {column}")
    picked = texts[:, column or 0]
    return picked[1:] if len(picked) and parse_times(picked[:1]) is None else picked  # a header


def _read_texts(file: Path) -> np.ndarray:
    """Return all fields of a text file as text, (row, column)."""
    with parsing(file):
        text = file.read_text(encoding=text_encoding(file))
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        lines = [line for line in lines if not line.startswith("#")]
        if not lines:
            raise DataError(f"{file}: holds no row")
        last = lines[-1]
        separator = next((s for s in (";", "\t", ",") if s in last), None)
        if separator is None and parse_times(np.array([last], object)) is None:
            separator = r"\s+"
            if _OTHER_DATE.match(last):
                raise DataError(f"{file}: {_first_wrong(np.array([last], object))}")
            lines = [_plain_time(line) for line in lines]
        table = pd.read_csv(
            io.StringIO("\n".join(lines)),
            header=None,
            dtype=str,
            sep=separator or ",",
            skipinitialspace=True,
        )
        while table.shape[1] > 1 and table.iloc[:, -1].isna().all():  # rows end in a separator
            table = table.iloc[:, :-1]
        texts = table.to_numpy(dtype=object, copy=True)
        return texts if separator == "," else _with_points(texts)


def _with_points(texts: np.ndarray) -> np.ndarray:
    """Replace decimal commas; commas do not separate columns here."""
    is_comma = np.array(
        [isinstance(text, str) and bool(_DECIMAL_COMMA.fullmatch(text)) for text in texts.flat]
    ).reshape(texts.shape)
    texts[is_comma] = [text.replace(",", ".") for text in texts[is_comma]]
    return texts


def _since_1970(series: Any) -> Any:
    dates: Any = pd.to_datetime(series, format="ISO8601", utc=True)
    return (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds()


def _since_midnight(series: Any) -> Any:
    seconds = pd.to_timedelta(series).dt.total_seconds()
    is_time_of_day = bool(seconds.between(0, _DAY_S).all())
    midnights = (seconds.diff() < -_DAY_S / 2).cumsum() if is_time_of_day else 0
    return seconds + _DAY_S * midnights


_PARSERS: tuple[Callable[[Any], Any], ...] = (pd.to_numeric, _since_1970, _since_midnight)
"""Readers of numbers, dates and times of day, tried in this order."""
