"""Predicted rates beside the recording they predict, in one NWB file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from freegaze.errors import DataError, ShapeError
from freegaze.files.hdf5 import read_whole
from freegaze.recording.recording import Recording
from freegaze.registry import require_name, require_names
from freegaze.sources.nwb.opening import check_columns, opened_nwb, require_pynwb
from freegaze.sources.nwb.writing import (
    MODULE,
    bin_times,
    fill_nwb,
    make_table,
    response_unit,
    safe_name,
    unfinished_nwb,
)

PREDICTED = "predicted_rates"


def write_predictions(
    file: Path | str,
    recording: Recording,
    rates: Float[np.ndarray, "n_rows n_neurons"],
    targets: Integer[np.ndarray, " n_rows"],
    unit_ids: Sequence[str],
    *,
    name: str = PREDICTED,
    description: str = "",
    is_new: bool = False,
) -> Path:
    """Add predicted rates of each unit to an NWB file.

    ``processing/freegaze/NAME`` is a TimeSeries (row, neuron) of expected counts per bin at the
    centers of the predicted bins, ``NAME_bins`` holds the numbers of these bins, and the table
    ``NAME_units`` names the columns. At the end, the complete new file replaces it.

    Args:
        file: An NWB file.
        recording: The predicted recording, as opened from this file.
        rates: Expected responses per bin.
        targets: The predicted bins, in order.
        unit_ids: Name of each column.
        name: Name of the series.
        description: The encoder that predicted them.
        is_new: Whether to write the recording into a new file first; an existing file is not
            replaced.

    Returns:
        The file.

    Raises:
        ShapeError: If shapes disagree.
        DataError: If pynwb is missing, the file cannot be read or written or has such a series, or
            the recording lacks a unit or bin.

    Example:
        >>> made = encoder.predict(recording)
        >>> write_predictions(
        ...     "session.nwb", recording, made.rates, made.targets, made.unit_ids
        ... ).name
        'session.nwb'
    """
    target = Path(file)
    _check(recording, rates, targets, unit_ids, str(target))
    with unfinished_nwb(target, overwrite=not is_new) as partial:
        if is_new:
            fill_nwb(partial, recording)
        elif target.is_file():
            shutil.copyfile(target, partial)
        else:
            raise DataError(f"{target} does not exist; write the recording first")
        stored = safe_name(name)
        with opened_nwb(partial, "a") as (io, root):
            module = root.processing.get(MODULE) or root.create_processing_module(
                MODULE, "Predictions of encoding models"
            )
            if stored in module.data_interfaces:
                raise DataError(f"the file has predictions {stored!r}; choose another `name`")
            for part in _parts(recording, rates, targets, unit_ids, stored, description):
                module.add(part)
            io.write(root)
    return target


def read_predictions(
    file: Path | str, name: str = PREDICTED
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Read what ``write_predictions`` wrote.

    Args:
        file: An NWB file.
        name: Name of the series.

    Returns:
        Rates (row, neuron), the predicted bins, and the names of the neurons.

    Raises:
        DataError: If there are no such predictions.
    """
    stored = safe_name(name)
    with opened_nwb(Path(file)) as (_, root):
        module = root.processing.get(MODULE)
        names = list(getattr(module, "data_interfaces", {}))
        known = [n.removesuffix("_bins") for n in names if n.endswith("_bins")]
        if stored not in known:
            require_name(name, known, f"{file} has no predictions")
        rates, bins = (read_whole(module[n].data) for n in (stored, f"{stored}_bins"))
        units = check_columns(module[f"{stored}_units"])
        return rates, bins, tuple(str(n) for n in units["unit_id"][:])


def _check(
    recording: Recording,
    rates: np.ndarray,
    targets: np.ndarray,
    unit_ids: Sequence[str],
    where: str,
) -> None:
    if rates.shape != (len(targets), len(unit_ids)) or not rates.size:
        raise ShapeError(
            f"{where}: rates of shape {rates.shape} for {len(targets)} bins and "
            f"{len(unit_ids)} units; both must agree"
        )
    what = f"{where}: session {recording.session_id!r} has no unit"
    require_names(sorted(unit_ids), recording.unit_ids, what)
    if targets.min() < 0 or targets.max() >= recording.n_bins or (np.diff(targets) <= 0).any():
        raise DataError(
            f"{where}: targets must be bins 0..{recording.n_bins - 1} in order, each once"
        )


def _parts(
    recording: Recording,
    rates: np.ndarray,
    targets: np.ndarray,
    unit_ids: Sequence[str],
    name: str,
    description: str,
) -> list[Any]:
    pynwb = require_pynwb()
    times = bin_times(recording)[targets]
    series = pynwb.TimeSeries(
        name=name,
        description=(
            f"Expected responses of each unit in a bin of {recording.bin_width_s:g} s, (row, "
            f"neuron); units are in {name}_units. {description}".strip()
        ),
        data=pynwb.H5DataIO(rates, compression="gzip"),
        unit=response_unit(recording.response_kind),
        timestamps=times,
    )
    bins = pynwb.TimeSeries(
        name=f"{name}_bins",
        description=f"Bin of the recording that each row of {name} predicts",
        data=targets.astype(np.int64),
        unit="n.a.",
        timestamps=times,
    )
    names = {"unit_id": ("The recording's name of each unit", list(unit_ids))}
    units = make_table(f"{name}_units", f"Columns of {name}", names)
    return [series, bins, units]
