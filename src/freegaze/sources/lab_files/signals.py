"""Signals of behavior in tables and arrays, and events as steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from freegaze.errors import DataError
from freegaze.registry import nearest_names, require_names
from freegaze.sources.alignment.clock import read_times, warn_of_units
from freegaze.sources.alignment.streams import SampleStream, make_samples
from freegaze.sources.lab_files.arrays import read_array
from freegaze.sources.lab_files.config import ArrayConfig, EventsConfig, TableConfig
from freegaze.sources.lab_files.tabular import Table, read_table, to_labels
from freegaze.sources.lab_files.times import time_column, times_of, times_of_table

_BEFORE_S = 86_400.0
"""Signals of events are 0 from one day before the first event."""


def read_table_stream(name: str, config: TableConfig, folder: Path) -> SampleStream:
    """Read signals from a table.

    Raises:
        DataError: If the file or a column is missing or wrong; the message names it.
    """
    file = folder / config.file
    table = read_table(file, config)
    values = np.column_stack([table.numbers(source) for source in config.columns.values()])
    times, rows = times_of_table(config, table, config.time, folder)
    return _samples(name, config, times, values[rows], tuple(config.columns))


def read_array_stream(name: str, config: ArrayConfig, folder: Path) -> SampleStream:
    """Read signals from an array.

    Raises:
        DataError: If the file is broken, or its shape does not fit the columns and times.
    """
    file = folder / config.file
    values = np.asarray(read_array(file, config.variable))
    if values.ndim not in (1, 2) or values.dtype.kind not in "biuf":
        raise DataError(
            f"{file}: expected numbers, (time,) or (time, column), got {values.dtype} of shape "
            f"{values.shape}"
        )
    columns = config.columns
    if values.ndim == 1 or (len(columns) == 1 and len(values) == 1):  # MATLAB's rows
        values = values.reshape(-1, 1)
    if values.shape[1] != len(columns):
        raise DataError(
            f"{file}: shape {values.shape} but {len(columns)} `columns` ({', '.join(columns)}); "
            "name each column"
        )
    if config.time is None:
        times, rows = times_of(config, len(values), folder, str(file))
        return _samples(name, config, times, values[rows], columns)
    if config.timestamps is not None or config.rate_hz is not None:
        raise DataError(f"{file}: give `time`, `timestamps` or `rate_hz`, not two of them")
    require_names([config.time], columns, f"{file}: `time` must be one of `columns`, got")
    at = columns.index(config.time)
    where = f"{file}, column {config.time!r}"
    times = read_times(values[:, at], where)
    warn_of_units(times, config.clock, where)
    kept = [i for i in range(len(columns)) if i != at]
    return _samples(name, config, times, values[:, kept], tuple(columns[i] for i in kept))


def read_events(name: str, config: EventsConfig, folder: Path) -> SampleStream:
    """Read events as signals that step up at their starts and down at their stops.

    Raises:
        DataError: If a column is missing or wrong, an event stops before it starts, no event has a
            wanted label, or events of one signal with different values overlap.
    """
    file = folder / config.file
    table = read_table(file, config)
    starts = config.clock.to_session(time_column(table, config.start))
    if config.stop is not None:
        stops = config.clock.to_session(time_column(table, config.stop))
    else:
        lasts = table.numbers(str(config.duration)) * config.clock.scale_to_s
        stops = starts + (1 + config.clock.drift) * lasts
    wrong = np.flatnonzero(~(stops >= starts))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"{file}: row {row} is an event from {starts[row]:.6g} to {stops[row]:.6g} s; expected "
            "a stop after its start"
        )
    edges = np.unique(np.r_[starts, stops])
    if not len(edges):
        raise DataError(f"{file}: holds no event")
    signals = _event_values(table, config)
    columns = [_steps(edges, starts, stops, value, f"{file}: {c}") for c, value in signals.items()]
    times = np.r_[edges[0] - _BEFORE_S, edges]
    values = np.column_stack([np.r_[0.0, column] for column in columns])
    return make_samples(
        f"behavior.{name}",
        times,
        values,
        tuple(signals),
        ("",) * len(signals),
        max_gap_s=np.inf,
        is_stepping=True,
    )


def _event_values(table: Table, config: EventsConfig) -> dict[str, np.ndarray]:
    """Return the value of each signal within each event; NaN in events that are not its own."""
    if config.label is None:
        if len(config.columns) != 1:
            raise DataError(
                f"{table.file}: without `label` all events are of one signal; name one in `columns`"
            )
        ((ours, source),) = config.columns.items()
        return {ours: np.ones(len(table)) if source is None else table.numbers(source)}
    labels = np.array(to_labels(table.column(config.label), f"{table.file}, {config.label!r}"))
    values = {}
    for ours, label in config.columns.items():
        is_own = labels == (ours if label is None else label)
        if not is_own.any():
            raise DataError(
                f"{table.file}: no event is labeled {label or ours!r} "
                f"({nearest_names(label or ours, sorted(set(labels.tolist())))})"
            )
        values[ours] = np.where(is_own, 1.0, np.nan)
    return values


def _steps(
    edges: np.ndarray, starts: np.ndarray, stops: np.ndarray, value: np.ndarray, where: str
) -> np.ndarray:
    """Return the value after each edge: that of the event around it, or 0 between events."""
    out = np.zeros(len(edges))
    taken = np.zeros(len(edges), bool)
    for row in np.flatnonzero(np.isfinite(value)).tolist():
        inside = slice(*np.searchsorted(edges, [starts[row], stops[row]]).tolist())
        if (taken[inside] & (out[inside] != value[row])).any():
            raise DataError(
                f"{where}: the event from {starts[row]:.6g} to {stops[row]:.6g} s overlaps one "
                "with another value; read them as two signals"
            )
        out[inside], taken[inside] = value[row], True
    return out


def _samples(
    name: str,
    config: TableConfig | ArrayConfig,
    times: np.ndarray,
    values: np.ndarray,
    columns: tuple[str, ...],
) -> SampleStream:
    require_names(config.units, columns, f"behavior.{name}.units: no column")
    if config.lost_values:
        is_lost = np.isin(values, config.lost_values)
        if not is_lost.any():
            raise DataError(
                f"behavior.{name}.lost_values: no sample is {list(config.lost_values)}; leave "
                "it out"
            )
        values = np.where(is_lost, np.nan, values)
    is_stepping = config.interpolation == "previous"
    return make_samples(
        f"behavior.{name}",
        times,
        values,
        columns,
        tuple(config.units.get(column, "") for column in columns),
        clock=config.clock,
        max_gap_s=np.inf if is_stepping and config.max_gap_s is None else config.max_gap_s,
        is_sorting=config.sort,
        is_stepping=is_stepping,
    )
