"""Quality checks of a recording, and the bins that they concern."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from freegaze.files.artifact import strict_json
from freegaze.files.atomic import write_file
from freegaze.quality.checks import QualityReport, check_quality
from freegaze.quality.grades import runs
from freegaze.quality.plausibility import ANGLES, SPEED
from freegaze.recording.columns import find_column
from freegaze.recording.recording import Recording
from freegaze.recording.store import open_store
from freegaze.recording.units import conversion_factor

LIMITS = {"theta": ANGLES.amber, "phi": ANGLES.amber, "speed": SPEED.amber}
"""Largest plausible size of a column, in its unit of the data dictionary."""

SILENT_S = 2.0
"""A second or two without a spike of any neuron is rare in a population, and more is an outage."""


def write_flags(store: Path, report_file: Path, flags_file: Path) -> None:
    """Check a store and write the result for the server; runs in a process of its own.

    Args:
        store: The store.
        report_file: JSON file for the checks and the names of the flags; written last.
        flags_file: ``.npy`` file for the flags that concern any bin, (time, flag).

    Raises:
        DataError: If the store or a file cannot be read or written.
    """
    recording = open_store(store)
    report = check_quality(recording)
    flags = flagged_bins(recording, report)
    flags = {name: flagged for name, flagged in flags.items() if flagged.any()}
    columns = [np.zeros((recording.n_bins, 0), dtype=bool), *(f[:, None] for f in flags.values())]
    np.save(flags_file, np.ascontiguousarray(np.concatenate(columns, axis=1)))
    write_file(report_file, strict_json(describe_quality(report) | {"flags": list(flags)}))


def describe_quality(report: QualityReport) -> dict[str, Any]:
    """Return the checks as plain values."""
    checks = [{"title": c.title, "status": c.status, "sentence": c.sentence} for c in report.checks]
    return {"status": report.status, "checks": checks}


def flagged_bins(
    recording: Recording, report: QualityReport
) -> dict[str, Bool[np.ndarray, " time"]]:
    """Return the bins that quality checks concern, by the name of the flag.

    Args:
        recording: The recording.
        report: Its quality checks.

    Returns:
        Lost tracking per group of columns, values beyond plausible limits, frozen video, and times
        at which no neuron responds for 2 s or more.
    """
    flags: dict[str, Bool[np.ndarray, " time"]] = {}
    for name, values in zip(recording.behavior_names, recording.behavior.T, strict=True):
        group = find_column(name).group or name
        lost = flags.setdefault(f"lost: {group}", np.zeros(recording.n_bins, dtype=bool))
        lost |= np.isnan(values)
    return flags | {
        "implausible value": _implausible(recording),
        "frozen video": _frozen(recording, report),
        "no response": _silent(recording),
    }


def _implausible(recording: Recording) -> np.ndarray:
    found = np.zeros(recording.n_bins, dtype=bool)
    columns = zip(recording.behavior_names, recording.behavior_units, strict=True)
    for name, unit in columns:
        if name in LIMITS:
            factor = conversion_factor(unit, find_column(name).unit) or 1.0
            with np.errstate(invalid="ignore"):
                found |= np.abs(recording.column(name)) * factor >= LIMITS[name]
    return found


def _frozen(recording: Recording, report: QualityReport) -> np.ndarray:
    found = np.zeros(recording.n_bins, dtype=bool)
    data = report.check("video_freezes").data
    if "start_bin" in data:
        lengths = np.rint(data["length_s"] / recording.bin_width_s).astype(int)
        for start, length in zip(data["start_bin"], lengths, strict=True):
            found[start : start + length] = True
    return found


def _silent(recording: Recording) -> np.ndarray:
    is_silent = np.ones(recording.n_bins, dtype=bool)
    step = max(1, (1 << 22) // max(1, recording.n_neurons))
    for start in range(0, recording.n_bins, step):
        piece = recording.responses[start : start + step]
        is_silent[start : start + step] = ~(np.nan_to_num(piece) != 0).any(1)
    found = np.zeros(recording.n_bins, dtype=bool)
    for start, length in zip(*runs(is_silent, recording.segment_index()), strict=True):
        if length * recording.bin_width_s >= SILENT_S:
            found[start : start + length] = True
    return found
