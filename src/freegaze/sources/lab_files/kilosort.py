"""Sorted spikes of Kilosort (1 to 4) and phy."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from freegaze.errors import DataError, DataWarning, ShapeError
from freegaze.files.arrays import parsing, read_npy
from freegaze.registry import nearest_names
from freegaze.sources.alignment.clock import read_times
from freegaze.sources.alignment.streams import EventStream
from freegaze.sources.conversion import is_file, to_index
from freegaze.sources.lab_files.config_responses import KilosortConfig
from freegaze.sources.lab_files.neurons import extent_of, spikes_by_unit, warn_of_blanks
from freegaze.sources.lab_files.tabular import read_table, to_numbers
from freegaze.sources.lab_files.timed import TableFormat

_LABEL_FILES = (
    ("cluster_group.tsv", ("group", "KSLabel")),
    ("cluster_groups.csv", ("group",)),
    ("cluster_info.tsv", ("group", "KSLabel")),
    ("cluster_KSLabel.tsv", ("KSLabel",)),
)
"""Files in which phy and Kilosort keep the labels of clusters, the curated ones first."""

_CLUSTERS = ("spike_clusters.npy", "spike_templates.npy")
"""Files with the cluster of each spike, the curated one first; both agree before any merge."""

_SAMPLE_RATE = re.compile(
    r"^\s*sample_rate\s*=\s*(?:np\.float(?:32|64)\()?([0-9._eE+]+)\)?\s*(?:#.*)?$", re.MULTILINE
)
"""As phy and spikeinterface write it; the latter as ``np.float64(30000.0)`` with numpy 2."""


_MOST_SAMPLES = 2.0**53
"""Larger numbers are negative ones that were stored without their sign."""
_UNSORTED = "unsorted"
"""Label of clusters without a label in files that list only those with one, as phy writes them."""


def read_kilosort(config: KilosortConfig, folder: Path) -> EventStream:
    """Read the spikes of the clusters with the wanted labels.

    Raises:
        DataError: If a file is missing or damaged, or no cluster has such a label.
    """
    root = folder / config.folder
    samples = read_times(read_npy(root / "spike_times.npy"), str(root / "spike_times.npy"))
    file = next((root / name for name in _CLUSTERS if is_file(root / name)), root / _CLUSTERS[0])
    clusters = to_index(read_npy(file).reshape(-1), str(file))
    if len(samples) != len(clusters):
        raise ShapeError(
            f"{root}: {len(samples)} spike_times but {len(clusters)} {file.stem}; both need one "
            "row per spike"
        )
    rate_hz = config.sampling_rate_hz or _sampling_rate(root / "params.py")
    _check_samples(samples, rate_hz, root / "spike_times.npy")
    wanted = _with_spikes(_wanted_clusters(root, config.groups, clusters), clusters, root)
    times = spikes_by_unit(clusters, config.clock.to_session(samples / rate_hz), wanted)
    return EventStream(str(root), times, tuple(map(str, wanted)), extent_of(config))


def _check_samples(samples: np.ndarray, rate_hz: float, file: Path) -> None:
    """Refuse spike times that are not sample numbers; warn of those before the first sample."""
    is_whole = samples == np.round(samples)
    if rate_hz != 1 and not is_whole.all():
        row = int((~is_whole).argmax())
        raise DataError(
            f"{file}: row {row} is {samples[row]:.6g}, expected whole numbers of samples; if these "
            "are seconds state `sampling_rate_hz: 1`"
        )
    early = samples[samples < 0]
    if (len(early) and early.min() < -rate_hz) or (samples > _MOST_SAMPLES).any():
        row = int(samples.argmin() if len(early) else samples.argmax())
        raise DataError(
            f"{file}: row {row} is {samples[row]:.6g}, long before the first or after the last "
            "sample, as where a number has overflowed; export the spikes as int64"
        )
    if len(early):
        warnings.warn(
            f"{file}: {len(early)} spikes lie before the first sample (down to {early.min():g})",
            DataWarning,
            stacklevel=3,
        )


def _sampling_rate(file: Path) -> float:
    """Find the rate in a Python file, without running it."""
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


def _wanted_clusters(root: Path, groups: tuple[str, ...], clusters: np.ndarray) -> list[int]:
    if not groups:
        return np.unique(clusters).tolist()
    for name, columns in _LABEL_FILES:
        if is_file(root / name):
            return _labeled(root / name, columns, groups, clusters)
    raise DataError(
        f"{root} holds neither {' nor '.join(n for n, _ in _LABEL_FILES)}; state `groups: []` to "
        "take every cluster"
    )


def _labeled(
    file: Path, columns: tuple[str, ...], groups: tuple[str, ...], clusters: np.ndarray
) -> list[int]:
    """Return the clusters with a wanted label; those without an id or a label are ``unsorted``."""
    table = read_table(file, TableFormat())
    label = next((c for c in columns if c in table.names), None)
    key = next((c for c in ("cluster_id", "id") if c in table.names), None)
    if label is None or key is None:
        raise DataError(f"{file}: expected columns cluster_id and group, got {list(table.names)}")
    where = f"{file}, column {key!r}"
    ids = to_numbers(table.column(key), where)
    warn_of_blanks(np.isnan(ids), where)
    labels = table.column(label)
    is_row = ~np.isnan(ids) & ~np.asarray(pd.isna(labels))
    names = [str(text).strip() for text in labels[is_row].tolist()]
    numbers = to_index(ids[is_row], where).tolist()
    picked = sorted({c for c, text in zip(numbers, names, strict=True) if text in groups})
    if _UNSORTED in groups:
        picked = sorted({*picked, *(set(np.unique(clusters).tolist()) - set(numbers))})
    if not picked:
        there = nearest_names(groups[0], sorted(set(names))) if names else "none has a label"
        raise DataError(
            f"{file}: no cluster is labeled {' or '.join(groups)} ({there}); state `groups` (`[]` "
            "takes every cluster)"
        )
    return picked


def _with_spikes(wanted: list[int], clusters: np.ndarray, root: Path) -> list[int]:
    """Leave out clusters without a spike, such as those that were merged into others."""
    there = set(np.unique(clusters).tolist())
    gone = [cluster for cluster in wanted if cluster not in there]
    if gone:
        warnings.warn(
            f"{root}: clusters without a spike are left out: {', '.join(map(str, gone[:20]))}",
            DataWarning,
            stacklevel=2,
        )
    if len(gone) == len(wanted):
        raise DataError(f"{root}: no wanted cluster has a spike; is spike_clusters.npy its own?")
    return [cluster for cluster in wanted if cluster in there]
