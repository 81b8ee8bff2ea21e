"""Reading of tables as named columns: text, Parquet, MATLAB and ``.npz``."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from freegaze.errors import DataError
from freegaze.files.arrays import parsing
from freegaze.files.npz import NpzReader
from freegaze.registry import nearest_names
from freegaze.sources.lab_files.matlab import read_mat
from freegaze.sources.lab_files.timed import TableFormat

PARQUET = (".parquet", ".pqt", ".pq", ".feather", ".arrow")
_BLANKS = (".ssv", ".txt", ".dat")
_SHEETS = (".xlsx", ".xls", ".ods", ".numbers")
_MOST_COLUMNS = 64
"""A matrix with more columns is read as an array."""
_COMMENTS = ("#", "%")
_LOST = ("-", "--", "1.#INF", "-1.#INF", "#DIV/0!", "#NUM!", "#VALUE!", "#REF!")
"""Texts of fields without a value, in addition to those of pandas (empty, NA, NaN, None ...)."""
_ENCODINGS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Args:
        file: File that they come from.
        names: Name of each column.
        columns: Values of each column, (row,); fields without a value are NaN.
    """

    file: Path
    names: tuple[str, ...]
    columns: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def column(self, name: str) -> np.ndarray:
        """Return one column.

        Raises:
            DataError: If there is no column of this name, or several.
        """
        if self.names.count(name) != 1:
            what = "no column" if name not in self.names else "several columns"
            raise DataError(
                f"{self.file} has {what} {name!r} ({nearest_names(name, list(self.names))}; where "
                "lines stand before the header, state `skip_lines`)"
            )
        return self.columns[self.names.index(name)]

    def numbers(self, name: str) -> np.ndarray:
        """Return one column as float64, empty fields as NaN.

        Raises:
            DataError: If there is no such column, or it holds text that is no number.
        """
        return to_numbers(self.column(name), f"{self.file}, column {name!r}")


def read_table(file: Path, layout: TableFormat | None = None) -> Table:
    """Read a table.

    Args:
        file: Text with one row per line (also compressed, ``.gz``), Parquet or Feather, or ``.mat``
            or ``.npz``, whose variables of equal length are the columns: ``speed``, ``imu.pitch``
            for a field, ``gaze[0]`` for a column of a matrix.
        layout: Layout of a text file.

    Raises:
        DataError: If the file is missing or holds no table.
    """
    ending = file.suffix.lower()
    if ending in _SHEETS:
        raise DataError(f"{file} is a spreadsheet; save it as CSV")
    if ending in (".mat", ".npz", *PARQUET):
        _refuse_layout(file, layout)
    if ending == ".mat":
        return _from_arrays(file, read_mat(file))
    if ending == ".npz":
        with NpzReader(file) as reader:
            return _from_arrays(file, {name: reader.read(name) for name in reader.headers})
    if ending in PARQUET:
        with parsing(file):
            read: Any = pd.read_feather if ending in (".feather", ".arrow") else pd.read_parquet
            frame = read(file)
        if any(name is not None for name in frame.index.names):
            frame = frame.reset_index()
        names = tuple(str(name) for name in frame.columns)
        return Table(file, names, tuple(frame.iloc[:, i].to_numpy() for i in range(len(names))))
    with parsing(file):
        return _read_text(file, layout or TableFormat())


def to_numbers(column: np.ndarray, where: str) -> np.ndarray:
    """Return a column as float64, empty fields as NaN.

    Raises:
        DataError: If it holds text that is no number.
    """
    if column.dtype.kind in "biuf":
        return column.astype(np.float64)
    series: Any = pd.Series(column)
    numbers: Any = pd.to_numeric(series, errors="coerce")
    if (numbers.isna() & series.notna()).any():
        numbers = pd.to_numeric(series.map(_plain), errors="coerce")
    wrong = np.flatnonzero(numbers.isna() & series.notna())
    if len(wrong):
        text = str(column[wrong[0]])
        raise DataError(
            f"{where}: expected numbers, row {wrong[0]} holds {text!r}{_hint(text, int(wrong[0]))}"
        )
    return numbers.to_numpy(np.float64)


def _plain(value: Any) -> Any:
    """Return text without blanks around it and with the hyphen as its minus sign."""
    return value.strip().replace("\u2212", "-") if isinstance(value, str) else value


def _hint(text: str, row: int) -> str:
    """Return the remedy for text among numbers."""
    if "," in text and "." in text:
        return "; write numbers without a sign between thousands"
    if "," in text:
        return "; where numbers have a comma, state `decimal`"
    if row == 0 and not any(letter.isdigit() for letter in text):
        return (
            "; where a row of units stands below the header, state `header: false` and skip both "
            "by `skip_lines` (columns are 0, 1, 2 ...)"
        )
    return ""


def to_labels(column: np.ndarray, where: str) -> list[str]:
    """Return names or numbers as text, whole numbers without decimals.

    Raises:
        DataError: If one is empty.
    """
    is_empty = np.asarray(pd.isna(column))
    if is_empty.any():
        row = int(is_empty.argmax())
        raise DataError(
            f"{where}: row {row} is empty (and {int(is_empty.sum()) - 1} more); fill or remove "
            "these rows"
        )
    if column.dtype.kind == "f" and (column == np.round(column)).all():
        column = column.astype(np.int64)
    return [str(label).strip() for label in column.tolist()]


def _refuse_layout(file: Path, layout: TableFormat | None) -> None:
    stated = set(TableFormat.model_fields) & (layout.model_fields_set if layout else set())
    if stated:
        raise DataError(
            f"{file}: `{min(stated)}` describes the layout of text and does not apply to a file "
            f"`{file.suffix}`; leave it out"
        )


def _from_arrays(file: Path, arrays: dict[str, np.ndarray]) -> Table:
    """Use variables as columns; those of another length than most are left out."""
    found: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if array.ndim == 2 and 1 in array.shape:
            array = array.reshape(-1)
        if array.ndim == 1:
            found[name] = array
        elif array.ndim == 2 and array.shape[-1] <= _MOST_COLUMNS:
            found |= {f"{name}[{i}]": column for i, column in enumerate(array.T)}
    lengths = [len(array) for array in found.values() if len(array) > 1]
    if not lengths:
        raise DataError(f"{file} holds no variable of numbers, one per row")
    n_rows = max(set(lengths), key=lambda n: (lengths.count(n), n))
    kept = {name: array for name, array in found.items() if len(array) == n_rows}
    return Table(file, tuple(kept), tuple(kept.values()))


def _read_text(file: Path, layout: TableFormat) -> Table:
    encoding = text_encoding(file)
    n_before, first, is_comment = _first_row(file, encoding, layout)
    separator = layout.separator or _guess_separator(file, first)
    split: dict[str, Any] = {"sep": r"\s+" if separator == " " else separator}
    names: list[str] = []
    if layout.header:
        names = _names(first.lstrip("#% ") if is_comment else first, separator)
        if not any(_is_text(name) for name in names):
            raise DataError(
                f"{file}: its first row ({', '.join(names[:4])}) holds numbers; state `header: "
                "false` (columns are 0, 1, 2 ...), or `skip_lines` where lines stand before it"
            )
    try:
        body = pd.read_csv(
            file,
            header=None,
            skiprows=n_before + layout.header,
            skipinitialspace=True,
            low_memory=False,
            decimal=layout.decimal,
            encoding=encoding,
            na_values=_LOST,
            **split,
        )
    except pd.errors.EmptyDataError:
        body = pd.DataFrame()
    except pd.errors.ParserError as error:
        raise DataError(
            f"{file}: rows have different numbers of columns ({' '.join(str(error).split())}); "
            "where lines stand before the header state `skip_lines`, or another `separator`"
        ) from None
    body = _without_comments(body)
    columns = [body.iloc[:, i] for i in range(body.shape[1])]
    if not layout.header:
        names = [str(i) for i in range(len(columns))]
    if not len(body):
        columns = [pd.Series(dtype=np.float64) for _ in names]
    while len(columns) > len(names) and columns[-1].isna().all():  # each row ends in a separator
        columns.pop()
    if len(columns) != len(names):
        raise DataError(
            f"{file}: {len(names)} names in its header but {len(columns)} columns below; where "
            "lines stand before the header state `skip_lines`, or another `separator`"
        )
    return Table(file, tuple(names), tuple(column.to_numpy() for column in columns))


def _without_comments(body: pd.DataFrame) -> pd.DataFrame:
    """Leave out rows of comments below the header, such as the last line of some programs."""
    if not body.shape[1] or body.iloc[:, 0].dtype.kind in "biuf":
        return body
    is_comment = [isinstance(v, str) and v.startswith(_COMMENTS) for v in body.iloc[:, 0]]
    kept: Any = body.loc[~np.array(is_comment)]
    return kept


def text_encoding(file: Path) -> str:
    """Return the encoding of a text file: by its first bytes, UTF-8, or Western European."""
    with file.open("rb") as stream:
        head = stream.read(1 << 16)
    for mark, name in _ENCODINGS:
        if head.startswith(mark):
            return name
    if head.startswith(b"\x1f\x8b"):
        return "utf-8"
    _check_end(file)
    try:
        head[: max(len(head) - 4, 0)].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(head) - 8 and b"\x00" not in head:
            return "cp1252"
    return "utf-8"


def _check_end(file: Path) -> None:
    """Refuse a text file that ends in null bytes."""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - 16))
        if b"\x00" in stream.read(16):
            raise DataError(
                f"{file} ends in null bytes, as after a power cut while it was written; remove "
                "them, and the last row if it is incomplete"
            )


def _lines(file: Path, encoding: str) -> Iterator[str]:
    import gzip

    opener: Any = gzip.open if file.suffix.lower() == ".gz" else open
    with opener(file, "rt", encoding=encoding, newline=None) as stream:
        yield from stream


def _first_row(file: Path, encoding: str, layout: TableFormat) -> tuple[int, str, bool]:
    """Return the number of lines before the first row, this row, and whether it is a comment."""
    comment: tuple[int, str] | None = None
    lines = _lines(file, encoding)
    for number, line in enumerate(itertools.islice(lines, layout.skip_lines, None)):
        text, at = line.strip(), number + layout.skip_lines
        if not text:
            continue
        if text.startswith(_COMMENTS):
            comment = (at, text)
        elif comment and layout.header and not _has_text(text):
            return *comment, True  # as numpy writes the names of columns
        else:
            return at, line.rstrip("\r\n"), False
    raise DataError(f"{file}: holds no row")


def _guess_separator(file: Path, first: str) -> str:
    counts = {separator: first.count(separator) for separator in (";", "\t", ",")}
    most = max(counts, key=lambda separator: counts[separator])  # of equal ones no decimal comma
    if counts[most]:
        return most
    return " " if Path(file.name.lower().removesuffix(".gz")).suffix in _BLANKS else ","


def _names(row: str, separator: str) -> list[str]:
    if separator == " ":
        return row.split()
    names = [name.strip() for name in next(csv.reader([row], delimiter=separator), [])]
    while names and not names[-1]:
        names.pop()
    return names


def _has_text(row: str) -> bool:
    return any(map(_is_text, row.replace(";", ",").replace("\t", ",").split(",")))


def _is_text(field: str) -> bool:
    try:
        float(field.strip() or "nan")
    except ValueError:
        return True
    return False
