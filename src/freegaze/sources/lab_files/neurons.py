"""Neurons in tables and arrays, and functions that all readers of neurons share."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from freegaze.errors import DataError, DataWarning, ShapeError
from freegaze.files.npz import NpzReader
from freegaze.recording.recording import ResponseKind
from freegaze.registry import require_name
from freegaze.sources.alignment.clock import ClockConfig, read_times, warn_of_samples
from freegaze.sources.alignment.streams import EventStream, ResponseStream, make_samples
from freegaze.sources.lab_files.arrays import read_array
from freegaze.sources.lab_files.config_responses import (
    ArrayResponsesConfig,
    SpikesConfig,
    SpikeTableConfig,
    SpikeTrainsConfig,
)
from freegaze.sources.lab_files.matlab import read_mat
from freegaze.sources.lab_files.tabular import read_table, to_labels
from freegaze.sources.lab_files.timed import TimedConfig
from freegaze.sources.lab_files.times import parse_times, times_of

_RATE_TOLERANCE = 0.1
"""Clocks differ by far less, numbers of planes and channels by more."""


def read_spike_table(config: SpikeTableConfig, folder: Path) -> EventStream:
    """Read a table with one row per spike. Rows without a time and a unit are left out.

    Raises:
        DataError: If the file or a column is missing or wrong, or a row lacks its time or unit.
    """
    file = folder / config.file
    table = read_table(file, config)
    where = f"{file}, column {config.time!r}"
    times, units = table.column(config.time), table.column(config.unit)
    is_blank = np.asarray(pd.isna(times)) & np.asarray(pd.isna(units))
    warn_of_blanks(is_blank, str(file))
    seconds = parse_times(times[~is_blank])
    if seconds is None:
        raise DataError(f"{where} holds no times")
    seconds = read_times(seconds, where)
    warn_of_samples([seconds], config.clock, where)
    seconds = config.clock.to_session(seconds)
    labels = to_labels(units[~is_blank], f"{file}, column {config.unit!r}")
    names, units = np.unique(np.array(labels, dtype=np.str_), return_inverse=True)
    by_unit = spikes_by_unit(units, seconds, list(range(len(names))))
    return EventStream(str(file), by_unit, tuple(names.tolist()), extent_of(config))


def read_spike_trains(config: SpikeTrainsConfig, folder: Path) -> EventStream:
    """Read one list of spike times per unit.

    Raises:
        DataError: If the file is missing, or holds no spike times.
    """
    file = folder / config.file
    if file.suffix.lower() == ".mat":
        arrays = read_mat(file)
    else:
        with NpzReader(file) as reader:
            arrays = {name: reader.read(name) for name in reader.headers}
    trains = arrays if config.variable is None else _cells_of(arrays, config.variable, file)
    own = [read_times(np.ravel(t), f"{file}: unit {name}") for name, t in trains.items()]
    warn_of_samples(own, config.clock, str(file))
    times = [config.clock.to_session(train) for train in own]
    return EventStream(str(file), times, tuple(trains), extent_of(config))


def _cells_of(arrays: dict[str, np.ndarray], variable: str, file: Path) -> dict[str, np.ndarray]:
    require_name(variable, arrays, f"{file} has no")
    if arrays[variable].dtype.kind != "O":
        raise DataError(f"{file}: {variable} is no cell array of spike times")
    return {str(i + 1): np.asarray(train) for i, train in enumerate(arrays[variable])}


def read_array_responses(config: ArrayResponsesConfig, folder: Path) -> ResponseStream:
    """Read responses from an array, (time, neuron) or (neuron, time).

    Raises:
        DataError: If the file is missing or damaged.
        ShapeError: If it has another number of axes, or more neurons than samples while ``axes`` is
            not stated.
    """
    file = folder / config.file
    values = np.asarray(read_array(file, config.variable))
    if values.ndim != 2 or 0 in values.shape:
        raise ShapeError(f"{file}: expected (time, neuron), got {values.shape}")
    if config.axes is None and values.shape[1] > values.shape[0]:
        raise ShapeError(
            f"{file}: shape {values.shape} would be {values.shape[1]} neurons of {values.shape[0]} "
            "samples; state `axes: neuron_time` if neurons are its rows, `axes: time_neuron` if not"
        )
    if config.axes == "neuron_time":
        values = values.T
    times, rows = times_of(config, len(values), folder, str(file))
    names = [str(i) for i in range(values.shape[1])]
    return make_responses(str(file), times, values[rows], names, config.response_kind, config)


def make_responses(
    where: str,
    times: np.ndarray,
    values: np.ndarray,
    names: list[str],
    kind: ResponseKind,
    config: TimedConfig,
) -> ResponseStream:
    """Make a stream of sampled responses.

    Args:
        where: File, for messages.
        times: Times as the device wrote them, (time,).
        values: (time, neuron), NaN where lost.
        names: Names of the neurons.
        kind: Kind of the values.
        config: Clock, gaps and order of the samples.

    Raises:
        DataError: If no neuron has any value.
    """
    if values.dtype.kind not in "biuf":
        raise DataError(f"{where}: expected numbers, got {values.dtype}")
    if not np.isfinite(values).any():
        raise DataError(f"{where}: NaN throughout, for all {len(names)} neurons; restore the file")
    stream = make_samples(
        where,
        times,
        values,
        names,
        [""] * len(names),
        clock=config.clock or ClockConfig(),
        max_gap_s=config.max_gap_s,
        is_sorting=config.sort,
    )
    return ResponseStream(stream, kind)


def warn_of_rate(stated_hz: float | None, nominal_hz: float, where: str) -> None:
    """Warn of a stated rate that is far from the nominal one in a program's files.

    The nominal rate itself is not used: imaging at 29.97 Hz that is called 30 Hz is 0.6 s early
    after 10 minutes.
    """
    if stated_hz is None or not 0 < nominal_hz < np.inf:
        return
    if abs(stated_hz / nominal_hz - 1) > _RATE_TOLERANCE:
        warnings.warn(
            f"{where}: `rate_hz` is {stated_hz:g} but its own parameters state {nominal_hz:g} Hz; "
            "is one the rate of planes and the other that of volumes?",
            DataWarning,
            stacklevel=4,
        )


def warn_of_blanks(is_blank: np.ndarray, where: str) -> None:
    """Warn of rows that are left out because they are empty."""
    rows = np.flatnonzero(is_blank).tolist()
    if rows:
        told = ", ".join(map(str, rows[:9])) + (" ..." if len(rows) > 9 else "")
        warnings.warn(
            f"{where}: {len(rows)} empty rows are left out (row {told})", DataWarning, stacklevel=2
        )


def spikes_by_unit(units: np.ndarray, times: np.ndarray, wanted: list[int]) -> list[np.ndarray]:
    """Return the spike times of each wanted unit.

    Args:
        units: Unit of each spike.
        times: Time of each spike.
        wanted: Units, rising.
    """
    order = np.argsort(units, kind="stable")
    units, times = units[order], times[order]
    first = np.searchsorted(units, wanted)
    last = np.searchsorted(units, wanted, side="right")
    return [times[a:b] for a, b in zip(first, last, strict=True)]


def extent_of(config: SpikesConfig) -> tuple[float, float] | None:
    """Return start and end of the recording on the session's clock, if a duration is stated."""
    if config.duration_s is None:
        return None
    own = np.array([0.0, config.duration_s / config.clock.scale_to_s])
    start, stop = config.clock.to_session(own).tolist()
    return start, stop
