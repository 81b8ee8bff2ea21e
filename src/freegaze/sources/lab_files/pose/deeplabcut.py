"""Points of DeepLabCut and Lightning Pose: CSV, and h5 in both layouts of pandas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from freegaze.errors import DataError, ShapeError
from freegaze.files.arrays import UNREADABLE
from freegaze.files.hdf5 import opened_hdf5, read_whole
from freegaze.files.plain_pickle import load_plain
from freegaze.sources.lab_files.config_points import DeepLabCutConfig
from freegaze.sources.lab_files.pose.points import (
    Points,
    certain_by_hand,
    pick_animal,
    to_frame_numbers,
)
from freegaze.sources.lab_files.tabular import to_numbers

_LEVELS = ("scorer", "individuals", "bodyparts", "coords")
_USUAL_TABLE = "df_with_missing"
_MOST_LIKELY = 2.0
"""Largest accepted likelihood. Sums of confidences exceed 1 a little, percentages by far."""

Column = tuple[str, ...]
"""Names of a column: scorer, individual (if there are several animals), point, coordinate."""


def read_deeplabcut_csv(file: Path, config: DeepLabCutConfig) -> Points:
    """Read a CSV with header rows scorer, (individuals,) bodyparts and coords.

    Raises:
        DataError: If the header differs, or the points are incomplete.
    """
    if config.table is not None:
        raise DataError(f"{file}: `table` applies to an h5, not to a CSV; leave it out")
    layout = _layout(file)
    head = pd.read_csv(file, header=None, nrows=len(_LEVELS), dtype=str, **layout)
    head = head.to_numpy(dtype=object)
    labels = [str(row[0]).strip() for row in head]
    n_rows = next((i for i, label in enumerate(labels) if label not in _LEVELS), len(labels))
    if labels[max(n_rows - 2, 0) : n_rows] != ["bodyparts", "coords"]:
        raise DataError(
            f"{file}: expected header rows scorer, (individuals,) bodyparts and coords as "
            f"DeepLabCut writes them, got {', '.join(labels)}; read other tables with `kind: table`"
        )
    columns = [tuple(str(name).strip() for name in column) for column in head[:n_rows, 1:].T]
    rows = pd.read_csv(file, header=None, skiprows=n_rows, low_memory=False, **layout)
    if rows.shape[1] != len(columns) + 1:
        raise DataError(f"{file}: {len(columns)} columns in its header, {rows.shape[1] - 1} below")
    if not len(rows):
        raise DataError(f"{file}: holds no frame; was the movie tracked?")
    values = [to_numbers(rows.iloc[:, i + 1].to_numpy(), str(file)) for i in range(len(columns))]
    is_animal = "individuals" in labels[:n_rows]
    return _points(
        file, columns, np.column_stack(values), rows.iloc[:, 0].to_numpy(), config, is_animal
    )


def _layout(file: Path) -> dict[str, Any]:
    """Return the layout of a table that a spreadsheet program may have saved with semicolons."""
    with file.open("rb") as stream:
        is_resaved = stream.readline().removeprefix(b"\xef\xbb\xbf").startswith(b"scorer;")
    return {"sep": ";", "decimal": ","} if is_resaved else {}


def read_deeplabcut_h5(file: Path, config: DeepLabCutConfig) -> Points:
    """Read a table that pandas wrote with PyTables, without running code from the file.

    Raises:
        DataError: If the file is damaged or holds several tables, or the points are incomplete.
    """
    with opened_hdf5(file) as store:
        if "tracks" in store and "node_names" in store:
            raise DataError(f"{file} is an analysis file of SLEAP; state `kind: sleap`")
        tables = [name for name, group in store.items() if isinstance(group, h5py.Group)]
        group: Any = store[_pick_table(file, tables, config.table)]
        read = _read_queryable if "table" in group else _read_fixed
        columns, values, index = read(group, file)
    if values.shape[1:] != (len(columns),):
        raise ShapeError(f"{file}: {len(columns)} columns named, {values.shape[1:]} there")
    if not len(values):
        raise DataError(f"{file}: holds no frame; was the movie tracked?")
    return _points(file, columns, values, index, config, len(columns[0]) > 3)


def _pick_table(file: Path, tables: list[str], wanted: str | None) -> str:
    if wanted is None and _USUAL_TABLE in tables:
        return _USUAL_TABLE
    if wanted is None and len(tables) == 1:
        return tables[0]
    if wanted is None or wanted not in tables:
        there = ", ".join(tables[:9]) or "none"
        raise DataError(f"{file}: expected one table of points, got {there}; state `table`")
    return wanted


def _read_queryable(group: Any, file: Path) -> tuple[list[Column], np.ndarray, np.ndarray | None]:
    """Read pandas' format ``table``: one row per frame."""
    if "non_index_axes" not in group.attrs:
        raise DataError(f"{file}: {group.name} names no columns; save it with pandas, or as CSV")
    axes = _plain_pickle(group.attrs["non_index_axes"], file)
    rows = read_whole(group["table"])
    fields = rows.dtype.names or ()
    blocks = [n for n in fields if n.startswith("values_block")]
    if len(blocks) != 1:
        raise DataError(f"{file}: expected all values of one type; save the table as CSV instead")
    columns = [tuple(map(str, column)) for column in axes[0][1]]
    values = np.atleast_2d(rows[blocks[0]]).astype(np.float64).reshape(len(rows), -1)
    return columns, values, rows["index"] if "index" in fields else None


def _read_fixed(group: Any, file: Path) -> tuple[list[Column], np.ndarray, np.ndarray | None]:
    """Read pandas' format ``fixed``: names of columns, index and values as arrays."""
    if "block0_values" not in group or "block1_values" in group:
        raise DataError(
            f"{file}: {group.name} is no table of numbers as pandas writes it; save it as CSV"
        )
    n_levels = int(group.attrs.get("axis0_nlevels", 0))
    if n_levels < len(_LEVELS) - 1:
        raise DataError(f"{file}: {group.name} names no points; save the table with pandas, or CSV")
    names = []
    for i in range(n_levels):
        level = [_text(name) for name in read_whole(group[f"block0_items_level{i}"]).tolist()]
        codes = read_whole(group[f"block0_items_label{i}"])
        names.append([level[code] for code in codes.tolist()])
    values = read_whole(group["block0_values"]).astype(np.float64)
    index = read_whole(group["axis1"]) if "axis1" in group else None
    return list(zip(*names, strict=True)), values, index


def _points(
    file: Path,
    columns: list[Column],
    values: np.ndarray,
    index: np.ndarray | None,
    config: DeepLabCutConfig,
    has_animals: bool,
) -> Points:
    if has_animals:
        animal = pick_animal(list(dict.fromkeys(c[-3] for c in columns)), config.individual, file)
        kept = [i for i, column in enumerate(columns) if column[-3] == animal]
        columns, values = [columns[i] for i in kept], values[:, kept]
    elif config.individual is not None:
        raise DataError(f"{file} names no individuals; leave out `individual`")
    place = {(column[-2], column[-1]): i for i, column in enumerate(columns)}
    names = list(dict.fromkeys(part for part, _ in place))
    missing = [(name, c) for name in names for c in ("x", "y") if (name, c) not in place]
    if missing or not names or len(place) != len(columns):
        what = f"{missing[0]} is missing" if missing else "a point occurs twice"
        raise DataError(f"{file}: expected x and y of each point once, {what}")

    def coordinate(axis: str) -> np.ndarray | None:
        if not all((name, axis) in place for name in names):
            return None
        return values[:, [place[name, axis] for name in names]]

    xy = np.stack([values[:, [place[n, c] for n in names]] for c in ("x", "y")], axis=-1)
    stated, z = coordinate("likelihood"), coordinate("z")
    if stated is not None and np.nanmax(stated, initial=0.0) > _MOST_LIKELY:
        raise DataError(
            f"{file}: likelihoods go up to {np.nanmax(stated):g}, expected 0..1; divide "
            "percentages by 100"
        )
    likelihood = certain_by_hand(xy, stated)
    frames = np.arange(len(xy))
    if config.frame_numbers and index is not None:
        frames = _frames(index, file)
    order = np.argsort(frames, kind="stable")
    return Points(
        tuple(names), frames[order], xy[order], likelihood[order], None if z is None else z[order]
    )


def _frames(index: np.ndarray, file: Path) -> np.ndarray:
    where = f"{file}, first column"
    try:
        numbers = to_numbers(index, where)
    except DataError:
        raise DataError(
            f"{file}: rows are named {_text(index[0])!r} ..., expected frame numbers; labels for "
            "training are no tracked movie (`frame_numbers: false` takes rows as frames 0, 1 ...)"
        ) from None
    try:
        return to_frame_numbers(numbers, where)
    except DataError as error:
        raise DataError(f"{error} (`frame_numbers: false` takes rows as frames 0, 1 ...)") from None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _plain_pickle(stored: Any, file: Path) -> Any:
    data = stored if isinstance(stored, bytes) else bytes(np.asarray(stored).tobytes())
    try:
        return load_plain(data)
    except UNREADABLE:
        raise DataError(
            f"{file}: names of its columns cannot be read; export CSV instead"
        ) from None
