"""Sorted spikes in the laboratory's table as pandas writes it: ``{column: {row: value}}``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freegaze.errors import DataError
from freegaze.files.arrays import parsing
from freegaze.sources.alignment.clock import read_times


@dataclass(frozen=True)
class SortedSpikes:
    """Spikes of the units that were kept.

    Args:
        start_s: Time of day at which the board began, in seconds.
        unit_ids: Row of each unit in the table.
        times: Spikes of each unit in seconds on the board's clock, which begins at 0.
        left_out: Number of units with each label that is not kept.
    """

    start_s: float
    unit_ids: tuple[str, ...]
    times: list[np.ndarray]
    left_out: dict[str, int]


def read_spikes(file: Path, groups: tuple[str, ...]) -> SortedSpikes:
    """Read the units with the wanted labels.

    Args:
        file: ``*_ephys_merge.json``.
        groups: Labels of units to keep.

    Raises:
        DataError: If the file is damaged, lacks a column, or has no such unit.
    """
    with parsing(file), file.open("rb") as stream:
        table: Any = json.load(stream)
    columns = {name: _column(table, name, file) for name in ("group", "spikeT", "t0")}
    labels = {row: str(label) for row, label in columns["group"].items()}
    kept = [row for row, label in labels.items() if label in groups]
    if not kept:
        raise DataError(
            f"{file}: no unit's group is {' or '.join(groups)} (there are "
            f"{', '.join(sorted(set(labels.values()))[:9]) or 'no units'}); state `groups`"
        )
    times = [_times(columns["spikeT"].get(row), f"{file}: spikeT of unit {row}") for row in kept]
    first: list[Any] = [columns["t0"].get(row) for row in kept]
    starts = {float(start) for start in first if _is_number(start)}
    if len(starts) != 1:
        raise DataError(f"{file}: t0 must be one time in seconds for all units, got {len(starts)}")
    others = [label for label in labels.values() if label not in groups]
    left_out = {label: others.count(label) for label in sorted(set(others))}
    return SortedSpikes(starts.pop(), tuple(kept), times, left_out)


def _column(table: Any, name: str, file: Path) -> dict[str, Any]:
    column = table.get(name) if isinstance(table, dict) else None
    if not isinstance(column, dict):
        raise DataError(
            f"{file}: expected a table with a column {name!r} as pandas writes it; export the "
            "sorted units again"
        )
    return column


def _times(value: Any, where: str) -> np.ndarray:
    if not isinstance(value, list) or not all(map(_is_number, value)):
        raise DataError(f"{where}: expected a list of times in seconds")
    return read_times(np.array(value, np.float64), where)


def _is_number(value: Any) -> bool:
    """Return whether a value of JSON is a finite number (JSON allows NaN and any integer)."""
    return type(value) in (int, float) and abs(value) < 1e12
