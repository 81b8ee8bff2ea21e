"""Neurons of Kilosort, phy, suite2p and plain files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.arrays import parsing, read_npy
from freegaze.recording.recording import ResponseKind
from freegaze.registry import nearest_names
from freegaze.sources.alignment.clock import read_times
from freegaze.sources.alignment.streams import EventStream, ResponseStream, make_samples
from freegaze.sources.conversion import is_file, to_index
from freegaze.sources.lab_files.config import (
    KilosortConfig,
    NpyResponsesConfig,
    SpikesConfig,
    SpikeTableConfig,
    Suite2pConfig,
)
from freegaze.sources.lab_files.tables import (
    pick_column,
    read_csv,
    times_of,
    to_numbers,
)

_LABEL_FILES = (
    ("cluster_group.tsv", ("group", "KSLabel")),
    ("cluster_info.tsv", ("group", "KSLabel")),
    ("cluster_KSLabel.tsv", ("KSLabel",)),
)
"""Where phy and Kilosort keep a cluster's label, the curated one first."""

_SAMPLE_RATE = re.compile(r"^\s*sample_rate\s*=\s*([0-9.eE+]+)\s*(?:#.*)?$", re.MULTILINE)


def read_kilosort(config: KilosortConfig, folder: Path) -> EventStream:
    """Read the spikes of the clusters with the wanted labels.

    Raises:
        DataError: If a file is missing or damaged, or no cluster has such a label.
    """
    root = folder / config.folder
    samples = read_times(read_npy(root / "spike_times.npy"), str(root / "spike_times.npy"))
    clusters = read_npy(root / "spike_clusters.npy")
    clusters = to_index(clusters.reshape(-1), str(root / "spike_clusters.npy"))
    if len(samples) != len(clusters):
        raise ShapeError(
            f"{root}: {len(samples)} spike_times but {len(clusters)} spike_clusters; both need one "
            "row per spike"
        )
    rate_hz = config.sampling_rate_hz or _sampling_rate(root / "params.py")
    wanted = _wanted_clusters(root, config.groups)
    times = _by_unit(clusters, config.clock.to_session(samples / rate_hz), wanted)
    extent = _extent(config)
    return EventStream(str(root), times, tuple(map(str, wanted)), extent)


def read_spike_table(config: SpikeTableConfig, folder: Path) -> EventStream:
    """Read a CSV with one row per spike.

    Raises:
        DataError: If the file or a column is missing or wrong.
    """
    file = folder / config.file
    frame = read_csv(file)
    column = to_numbers(pick_column(frame, config.time, file), f"{file}, column {config.time!r}")
    times = config.clock.to_session(read_times(column, f"{file}, column {config.time!r}"))
    labels = [str(label) for label in pick_column(frame, config.unit, file).tolist()]
    names, units = np.unique(np.array(labels, dtype=np.str_), return_inverse=True)
    by_unit = _by_unit(units, times, list(range(len(names))))
    return EventStream(str(file), by_unit, tuple(names.tolist()), _extent(config))


def read_suite2p(config: Suite2pConfig, folder: Path) -> ResponseStream:
    """Read suite2p's traces of the cells.

    Raises:
        DataError: If a file is missing or damaged, or nothing is a cell.
        ShapeError: If files disagree in shape.
    """
    root = folder / config.folder
    traces = _read_traces(root / f"{config.signal}.npy")
    if config.signal == "F" and config.neuropil:
        around = _read_traces(root / "Fneu.npy")
        if around.shape != traces.shape:
            raise ShapeError(f"{root}: F has shape {traces.shape} but Fneu {around.shape}")
        traces = traces - config.neuropil * around
    cells = np.arange(len(traces))
    if config.only_cells:
        is_cell = read_npy(root / "iscell.npy")
        if is_cell.shape[:1] != traces.shape[:1] or is_cell.dtype.kind not in "biuf":
            raise ShapeError(
                f"{root / 'iscell.npy'}: shape {is_cell.shape} of {is_cell.dtype}, expected one "
                f"row for each of {len(traces)} regions"
            )
        cells = np.flatnonzero((is_cell if is_cell.ndim == 1 else is_cell[:, 0]) > 0)
    if not len(cells):
        raise DataError(f"{root}: no region is a cell; set `only_cells: false` to take all")
    kind = ResponseKind.INFERRED_SPIKES if config.signal == "spks" else ResponseKind.FLUORESCENCE
    times = times_of(config, traces.shape[1], folder, str(root))
    names = [str(cell) for cell in cells.tolist()]
    stream = make_samples(
        str(root),
        times,
        traces[cells].T,
        names,
        [""] * len(names),
        clock=config.clock,
        max_gap_s=config.max_gap_s,
        is_sorting=config.sort,
    )
    return ResponseStream(stream, kind)


def read_npy_responses(config: NpyResponsesConfig, folder: Path) -> ResponseStream:
    """Read responses from an ``.npy`` file, (time, neuron).

    Raises:
        DataError: If the file is missing or damaged.
    """
    file = folder / config.file
    values = read_npy(file)
    if values.ndim != 2 or 0 in values.shape:
        raise ShapeError(f"{file}: expected (time, neuron), got {values.shape}")
    names = [str(i) for i in range(values.shape[1])]
    stream = make_samples(
        str(file),
        times_of(config, len(values), folder, str(file)),
        values,
        names,
        [""] * len(names),
        clock=config.clock,
        max_gap_s=config.max_gap_s,
        is_sorting=config.sort,
    )
    return ResponseStream(stream, config.response_kind)


def _read_traces(file: Path) -> np.ndarray:
    traces = read_npy(file)
    if traces.ndim != 2 or traces.dtype.kind not in "iuf":
        raise ShapeError(
            f"{file}: expected numbers (region, time), got {traces.dtype} of shape {traces.shape}"
        )
    return traces


def _sampling_rate(file: Path) -> float:
    """Look for the rate in a Python file, without running it."""
    if not is_file(file):
        raise DataError(f"{file} does not exist; state `sampling_rate_hz`")
    with parsing(file):
        found = _SAMPLE_RATE.search(file.read_text(encoding="utf-8", errors="replace"))
    try:
        rate_hz = float(found[1]) if found else 0.0
    except ValueError:
        rate_hz = 0.0
    if not 0 < rate_hz < float("inf"):
        raise DataError(f"{file} states no `sample_rate`; state `sampling_rate_hz`")
    return rate_hz


def _wanted_clusters(root: Path, groups: tuple[str, ...]) -> list[int]:
    for name, columns in _LABEL_FILES:
        file = root / name
        if not is_file(file):
            continue
        frame = read_csv(file, "\t")
        known = [str(n) for n in frame.columns]
        label = next((c for c in columns if c in known), None)
        key = next((c for c in ("cluster_id", "id") if c in known), None)
        if label is None or key is None:
            raise DataError(f"{file}: expected columns cluster_id and group, got {known}")
        labels = [str(text) for text in frame[label].tolist()]
        clusters = to_numbers(frame[key].to_numpy(), f"{file}, column {key!r}")
        ids = to_index(clusters, f"{file}, column {key!r}").tolist()
        picked = sorted({c for c, text in zip(ids, labels, strict=True) if text in groups})
        if not picked:
            raise DataError(
                f"{file}: no cluster is labeled {' or '.join(groups)} "
                f"({nearest_names(groups[0] if groups else '', sorted(set(labels)))}); state "
                "`groups`"
            )
        return picked
    raise DataError(f"{root} holds neither {' nor '.join(n for n, _ in _LABEL_FILES)}")


def _by_unit(units: np.ndarray, times: np.ndarray, wanted: list[int]) -> list[np.ndarray]:
    order = np.argsort(units, kind="stable")
    units, times = units[order], times[order]
    first = np.searchsorted(units, wanted)
    last = np.searchsorted(units, wanted, side="right")
    return [times[a:b] for a, b in zip(first, last, strict=True)]


def _extent(config: SpikesConfig) -> tuple[float, float] | None:
    if config.duration_s is None:
        return None
    own = np.array([0.0, config.duration_s / config.clock.scale_to_s])
    start, stop = config.clock.to_session(own).tolist()
    return start, stop
