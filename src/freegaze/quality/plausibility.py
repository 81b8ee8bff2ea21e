"""Checks of values and times that no mouse and no clock has."""

from __future__ import annotations

from typing import Any

import numpy as np

from freegaze.quality.grades import Check, Scale
from freegaze.recording.columns import find_column
from freegaze.recording.recording import Recording, ResponseKind
from freegaze.recording.units import conversion_factor

ANGLES = Scale("eye_angles", "Largest eye angle", "deg", 60.0, 90.0)
"""Eyes of mice turn by about 20 deg to each side; beyond 90 deg the unit or the column is wrong."""

SPEED = Scale("largest_speed", "Largest speed", "cm/s", 120.0, 200.0)
"""Mice rarely run faster than 1 m/s, and never at 2 m/s."""

RESOLUTION = Scale("time_resolution", "Resolution of times", "bins", 0.5, 1.0)
"""Times coarser than a bin put spikes and frames into other bins than those they belong to."""

SPANS = Scale("stream_spans", "Time not shared by all streams", "share of the longest", 0.1, 0.5)
"""Streams of one session begin and end together; a wrong clock moves one against the others."""

ENDED = Scale("ended_trains", "Spike trains that end early", "units", 1, 3)
"""A silent end as long as that has no chance in a unit that fires as before."""

DOUBLED = Scale("doubled_spikes", "Spikes counted twice", "share of a unit's spikes", 0.01, 0.05)
"""No neuron fires twice within 0.1 ms. Units of several neurons at 100 Hz do for 1 % of spikes."""

DOUBLED_S = 1e-4
"""Interval within which two spikes of a unit are one."""

_SILENT_SHARE = 0.1
_EXPECTED_SPIKES = 100.0
"""Spikes that a unit would have fired during the silence; bursts and pauses explain fewer."""


def check_eye_angles(recording: Recording) -> Check:
    """Grade the largest angle of the eye. Data: ``largest`` (n_columns,)."""
    names = [name for name in ("theta", "phi") if name in recording.behavior_names]
    if not names:
        return ANGLES.not_available("there is no theta or phi")
    largest = np.array([_largest(recording, name) for name in names])
    worst = int(np.argmax(largest))
    sentence = f"{names[worst]} reaches {largest[worst]:.4g} deg from zero."
    return ANGLES.grade(largest[worst], sentence, largest=largest)


def check_speed(recording: Recording) -> Check:
    """Grade the largest speed."""
    if "speed" not in recording.behavior_names:
        return SPEED.not_available("there is no speed")
    largest = _largest(recording, "speed")
    return SPEED.grade(largest, f"speed reaches {largest:.4g} cm/s.")


def check_time_resolution(recording: Recording) -> Check:
    """Grade the coarsest clock of the streams. Data: ``resolution_s`` (n_streams,)."""
    streams = recorded_streams(recording)
    if not streams:
        return RESOLUTION.not_available("the source gave bins, not times")
    found = np.array([float(stream["resolution_s"]) for stream in streams])
    worst = int(np.argmax(found))
    sentence = (
        f"The times of {streams[worst]['name']} are multiples of {found[worst]:.3g} s."
        if found[worst]
        else "No stream has times coarser than its samples."
    )
    return RESOLUTION.grade(found[worst] / recording.bin_width_s, sentence, resolution_s=found)


def check_stream_spans(recording: Recording) -> Check:
    """Grade the share of the longest stream that not all streams cover.

    Data: ``start_s`` and ``stop_s`` (n_streams,).
    """
    streams = recorded_streams(recording)
    if len(streams) < 2:
        return SPANS.not_available("the times of two streams are not known")
    start, stop = (np.array([float(s[key]) for s in streams]) for key in ("start_s", "stop_s"))
    shared = max(0.0, stop.min() - start.max())
    longest = (stop - start).max()
    share = 1 - shared / longest if longest > 0 else 0.0
    shortest = streams[int(np.argmin(stop - start))]
    sentence = (
        f"All streams share {shared:.5g} s of {longest:.5g} s; {shortest['name']} lasts from "
        f"{shortest['start_s']:.5g} to {shortest['stop_s']:.5g} s."
    )
    return SPANS.grade(share, sentence, start_s=start, stop_s=stop)


def check_ended_trains(recording: Recording) -> Check:
    """Count the units that are silent from some time on, or until some time.

    Data: ``silent_s`` (n_neurons,), the longer silence at either end.
    """
    if recording.response_kind is not ResponseKind.SPIKE_COUNTS:
        return ENDED.not_available("these responses are no spikes")
    is_active = recording.responses > 0
    n_bins = recording.n_bins
    first = np.argmax(is_active, axis=0)
    last = n_bins - 1 - np.argmax(is_active[::-1], axis=0)
    fires = is_active.any(axis=0)
    silent = np.where(fires, np.maximum(first, n_bins - 1 - last), 0)
    length = np.maximum(last - first + 1, 1)
    expected = recording.responses.sum(axis=0, dtype=np.float64) / length * silent
    has_ended = (silent > _SILENT_SHARE * n_bins) & (expected > _EXPECTED_SPIKES)
    silent_s = silent * recording.bin_width_s
    names = [recording.unit_ids[i] for i in np.flatnonzero(has_ended)]
    worst = int(np.argmax(np.where(has_ended, expected, 0)))
    sentence = (
        f"{len(names)} of {recording.n_neurons} units are silent at one end, unit "
        f"{recording.unit_ids[worst]} for {silent_s[worst]:.4g} s in which "
        f"{expected[worst]:.0f} spikes were expected."
        if names
        else "No unit falls silent for good."
    )
    return ENDED.grade(len(names), sentence, silent_s=silent_s)


def check_doubled_spikes(recording: Recording) -> Check:
    """Grade the share of spikes that follow another of the same unit within 0.1 ms.

    Data: ``share`` (n_units of the source,).
    """
    found = [s for s in recorded_streams(recording) if s.get("doubled")]
    if not found:
        return DOUBLED.not_available("the times of single spikes are unknown, or coarse")
    share = np.array([float(value) for value in found[0]["doubled"].values()])
    worst = int(np.argmax(share))
    sentence = (
        f"Unit {list(found[0]['doubled'])[worst]} has {share[worst]:.1%} of its spikes within 0.1 "
        "ms of another of its own, which no neuron has: remove doubled spikes in the sorting, or "
        "name the unit in `leave_out_neurons`."
        if share[worst] >= DOUBLED.amber
        else f"At most {share[worst]:.2%} of a unit's spikes follow another within 0.1 ms."
    )
    return DOUBLED.grade(share[worst], sentence, share=share)


def recorded_streams(recording: Recording) -> list[dict[str, Any]]:
    """Return what the provenance keeps of each stream's times; empty for sources of bins."""
    alignment = recording.provenance.get("alignment", {})
    streams = alignment.get("streams", []) if isinstance(alignment, dict) else []
    return [s for s in streams if {"name", "start_s", "stop_s", "resolution_s"} <= set(s)]


def _largest(recording: Recording, name: str) -> float:
    """Return the largest absolute value of a column, in the unit of the data dictionary."""
    unit = recording.behavior_units[recording.behavior_names.index(name)]
    factor = conversion_factor(unit, find_column(name).unit) or 1.0
    return float(np.nanmax(np.abs(recording.column(name)))) * factor
