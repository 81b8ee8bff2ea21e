"""Traces of CaImAn's components, as its HDF5 files keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.arrays import parsing
from freegaze.files.hdf5 import opened_hdf5, read_whole
from freegaze.recording.recording import ResponseKind
from freegaze.sources.alignment.streams import ResponseStream
from freegaze.sources.lab_files.config_responses import CaimanConfig
from freegaze.sources.lab_files.neurons import make_responses, warn_of_rate
from freegaze.sources.lab_files.times import times_of


def read_caiman(config: CaimanConfig, folder: Path) -> ResponseStream:
    """Read one trace per component, (component, time) in the file.

    Args:
        config: Keys that name the file and signal.
        folder: What the file's path is relative to.

    Returns:
        The traces; neurons are named by the number of their component.

    Raises:
        DataError: If the file is damaged or of another program, the signal was not computed, or no
            component was accepted.
        ShapeError: If arrays disagree in shape.

    Source:
        Giovannucci et al. (2019), eLife 8:e38173; the layout is that of ``CNMF.save``: attributes
        of ``Estimates`` as data sets, ``NoneType`` where there is none.
    """
    file = folder / config.file
    with parsing(file), opened_hdf5(file) as store:
        estimates: Any = store.get("estimates")
        if not isinstance(estimates, h5py.Group):
            raise DataError(f"{file} holds no group `estimates`; is it a file of `CNMF.save`?")
        traces = _numbers(estimates, config.signal)
        accepted = _numbers(estimates, "idx_components")
        rate = _numbers(store.get("params/data", {}), "fr")
    if traces is None:
        raise DataError(
            f"{file}: {config.signal!r} was not computed; choose another `signal` (S, C, F_dff)"
        )
    if traces.ndim != 2:
        raise ShapeError(f"{file}: {config.signal} has shape {traces.shape}, expected two axes")
    components = np.arange(len(traces))
    if config.only_accepted:
        components = _accepted(accepted, len(traces), file)
    if rate is not None and rate.size == 1:
        warn_of_rate(config.rate_hz, float(rate.reshape(-1)[0]), str(file))
    values = traces[components].T
    times, rows = times_of(config, len(values), folder, str(file), "samples")
    kind = ResponseKind.INFERRED_SPIKES if config.signal == "S" else ResponseKind.FLUORESCENCE
    names = [str(component) for component in components.tolist()]
    return make_responses(str(file), times, values[rows], names, kind, config)


def _numbers(group: Any, name: str) -> np.ndarray | None:
    """Return an array, ``None`` where there is none or the text ``NoneType`` stands for it."""
    item = group.get(name) if group is not None else None
    if not isinstance(item, h5py.Dataset):
        return None
    values = read_whole(item)
    return values if values.dtype.kind in "biuf" else None


def _accepted(accepted: np.ndarray | None, n: int, file: Path) -> np.ndarray:
    """Return the numbers of the accepted components."""
    if accepted is None:
        raise DataError(
            f"{file}: its components were not evaluated (no `idx_components`), or only accepted "
            f"ones are left; state `only_accepted: false` to take all {n}"
        )
    numbers = np.unique(accepted)
    is_number = (numbers >= 0) & (numbers < n) & (numbers == np.round(numbers))
    if accepted.dtype.kind == "b" or not is_number.all():
        raise ShapeError(f"{file}: `idx_components` are {numbers[:5]}, expected numbers below {n}")
    if not len(numbers):
        raise DataError(f"{file}: no component was accepted; state `only_accepted: false`")
    return numbers.astype(np.int64)
