"""Traces of suite2p, of one plane or several."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from freegaze.errors import DataError, DataWarning, ShapeError
from freegaze.files.arrays import read_npy
from freegaze.files.plain_pickle import read_pickled_npy
from freegaze.recording.recording import ResponseKind
from freegaze.sources.alignment.streams import ResponseStream
from freegaze.sources.conversion import is_file
from freegaze.sources.lab_files.config_responses import Suite2pConfig
from freegaze.sources.lab_files.neurons import make_responses, warn_of_rate
from freegaze.sources.lab_files.times import times_of

_PLANE = re.compile(r"plane(\d+)")


def read_suite2p(config: Suite2pConfig, folder: Path) -> ResponseStream:
    """Read suite2p's traces of the cells.

    Raises:
        DataError: If a file is missing or damaged, or nothing is a cell.
        ShapeError: If files disagree in shape.
    """
    root = folder / config.folder
    planes = _planes(root, config)
    traces, names = [], []
    for prefix, place in planes.items():
        plane, cells = _read_plane(place, config)
        settings = _settings(place)
        nominal_hz = settings.get("fs")
        if isinstance(nominal_hz, float | int) and not isinstance(nominal_hz, bool):
            warn_of_rate(config.rate_hz, nominal_hz, str(place))
        if config.bad_frames == "lost":
            plane = _without_bad_frames(plane, settings, place)
        traces.append(plane)
        names += [f"{prefix}{cell}" for cell in cells.tolist()]
    if not names:
        raise DataError(f"{root}: no region is a cell; set `only_cells: false` to take all")
    lengths = sorted({plane.shape[1] for plane in traces})
    if lengths[-1] - lengths[0] > 1:
        raise ShapeError(f"{root}: planes have {lengths[0]} to {lengths[-1]} samples; choose one")
    if len(lengths) > 1:
        warnings.warn(
            f"{root}: the last volume is incomplete and left out ({lengths[0]} samples are kept)",
            DataWarning,
            stacklevel=2,
        )
    values = np.concatenate([plane[:, : lengths[0]] for plane in traces]).T
    times, rows = times_of(config, len(values), folder, str(root), "samples")
    kind = ResponseKind.INFERRED_SPIKES if config.signal == "spks" else ResponseKind.FLUORESCENCE
    return make_responses(str(root), times, values[rows], names, kind, config)


def _planes(root: Path, config: Suite2pConfig) -> dict[str, Path]:
    """Return the folders to read, by the prefix of the names of their neurons."""
    if root.suffix.lower() == ".mat":
        raise DataError(
            f"{root} is a file for MATLAB; give its folder, or read one variable of it with `kind: "
            "array`, `variable: spks` and `axes: neuron_time` (all regions, not only cells)"
        )
    if is_file(root / f"{config.signal}.npy"):
        found = _PLANE.fullmatch(root.name)
        if config.plane not in (None, int(found[1]) if found else None):
            raise DataError(f"{root} is one plane; leave out `plane`, or give the folder above it")
        return {"": root}
    numbered = {
        int(found[1]): place
        for place in (sorted(root.iterdir()) if root.is_dir() else [])
        if (found := _PLANE.fullmatch(place.name)) and place.is_dir()
    }
    if not numbered:
        raise DataError(
            f"{root} holds neither {config.signal}.npy nor folders plane0, plane1 ...; give the "
            "folder `suite2p` or one of its planes"
        )
    if config.plane is not None:
        if config.plane not in numbered:
            raise DataError(f"{root} has no plane {config.plane} (there are {sorted(numbered)})")
        return {"": numbered[config.plane]}
    empty = [n for n in sorted(numbered) if not is_file(numbered[n] / f"{config.signal}.npy")]
    if empty and len(empty) < len(numbered):  # of the flyback, which suite2p skips
        there = ", ".join(map(str, empty))
        warnings.warn(
            f"{root}: planes {there} have no {config.signal}.npy and are left out",
            DataWarning,
            stacklevel=3,
        )
        numbered = {n: place for n, place in numbered.items() if n not in empty}
    is_one = len(numbered) == 1
    return {"" if is_one else f"plane{n}_": numbered[n] for n in sorted(numbered)}


def _read_plane(root: Path, config: Suite2pConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return the traces of a plane's cells, (cell, time), and the cells' numbers."""
    traces = _read_traces(root / f"{config.signal}.npy")
    if config.signal == "F" and config.neuropil:
        around = _read_traces(root / "Fneu.npy")
        if around.shape != traces.shape:
            raise ShapeError(f"{root}: F has shape {traces.shape} but Fneu {around.shape}")
        traces = traces - config.neuropil * around
    cells = np.arange(len(traces))
    if config.only_cells:
        is_cell = read_npy(root / "iscell.npy")
        is_table = is_cell.ndim == 1 or (is_cell.ndim == 2 and is_cell.shape[1] > 0)
        is_table = is_table and len(is_cell) == len(traces)
        if not is_table or is_cell.dtype.kind not in "biuf":
            raise ShapeError(
                f"{root / 'iscell.npy'}: shape {is_cell.shape} of {is_cell.dtype}, expected one "
                f"row for each of {len(traces)} regions"
            )
        cells = np.flatnonzero((is_cell if is_cell.ndim == 1 else is_cell[:, 0]) > 0)
    return traces[cells], cells


def _settings(root: Path) -> dict[str, Any]:
    """Return what suite2p keeps beside the traces: settings, and frames that it marks as bad."""
    for name in ("ops.npy", "reg_outputs.npy"):
        if is_file(root / name):
            found = read_pickled_npy(root / name)
            if isinstance(found, dict) and ("badframes" in found or "fs" in found):
                return found
    return {}


def _without_bad_frames(traces: np.ndarray, settings: dict[str, Any], root: Path) -> np.ndarray:
    """Return traces that are NaN in the frames that suite2p marks as bad."""
    bad = settings.get("badframes")
    if not isinstance(bad, np.ndarray) or bad.dtype.kind not in "biuf" or not bad.any():
        return traces
    if bad.shape != traces.shape[1:]:
        raise ShapeError(
            f"{root}: `badframes` has shape {bad.shape}, expected one for each of "
            f"{traces.shape[1]} samples; state `bad_frames: kept` to ignore it"
        )
    warnings.warn(
        f"{root}: {int(bad.astype(bool).sum())} of {bad.size} samples are marked in suite2p's "
        "`badframes` and count as lost (`bad_frames: kept` keeps them)",
        DataWarning,
        stacklevel=3,
    )
    traces = traces.astype(np.float32)
    traces[:, bad.astype(bool)] = np.nan
    return traces


def _read_traces(file: Path) -> np.ndarray:
    traces = read_npy(file)
    if traces.ndim != 2 or traces.dtype.kind not in "iuf":
        raise ShapeError(
            f"{file}: expected numbers (region, time), got {traces.dtype} of shape {traces.shape}"
        )
    return traces
