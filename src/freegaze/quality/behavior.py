"""Checks of the behavior columns: missing values, gaps, when tracking is lost, constants."""

from __future__ import annotations

import numpy as np

from freegaze.quality.grades import Check, Scale, longest_run
from freegaze.recording.recording import Recording

WINDOW_S = 60.0
"""Time courses are drawn in windows of a minute."""

MISSING = Scale("missing_values", "Missing values", "share of bins", 0.12, 0.30)
"""3 to 12 % of frames are lost in good recordings of freely moving mice; with 30 % of bins gone,
most windows of a few bins hold a guess."""

GAPS = Scale("gaps", "Longest gap", "s", 5.0, 30.0)
"""Head posture changes within 20 to 30 s (1/e), so what fills a gap of 30 s is made up."""

LOSS = Scale("loss_against_behavior", "Tracking loss against behavior", "share of bins", 0.10, 0.30)
"""A difference of 10 % between calm and lively bins makes 'good tracking only' another behavior."""

CONSTANT = Scale("constant_columns", "Constant columns", "columns", 1, 1)
"""A signal that never changes is a broken sensor, and cannot be standardized."""

_EYE = ("theta", "phi", "pupil_radius")
_MOVEMENT = ("speed", "gz")
_N_QUANTILES = 5


def check_missing(recording: Recording) -> Check:
    """Grade the column with the largest share of missing values.

    Data: ``share`` (n_behavior,); ``share_over_time`` (n_windows, n_behavior) at ``time_s``.
    """
    is_lost = np.isnan(recording.behavior)
    if not is_lost.size:
        return MISSING.not_available("no behavior was recorded")
    share = is_lost.mean(0)
    worst = int(np.argmax(share))
    window = max(1, round(WINDOW_S / recording.bin_width_s))
    starts = np.arange(0, recording.n_bins, window)
    over_time = np.add.reduceat(is_lost, starts, axis=0, dtype=float)
    over_time /= np.diff(np.append(starts, recording.n_bins))[:, None]
    name = recording.behavior_names[worst]
    sentence = (
        f"{name} is missing in {share[worst]:.1%} of the bins, more than any other column."
        if share[worst]
        else "No value is missing."
    )
    return MISSING.grade(
        share[worst],
        sentence,
        share=share,
        share_over_time=over_time,
        time_s=starts * recording.bin_width_s,
    )


def check_gaps(recording: Recording) -> Check:
    """Grade the longest gap of any column.

    Data: ``longest_s`` (n_behavior,), ``start_bin`` (n_behavior,).
    """
    if not recording.behavior_names:
        return GAPS.not_available("no behavior was recorded")
    segment = recording.segment_index()
    found = [longest_run(np.isnan(column), segment) for column in recording.behavior.T]
    starts, lengths = np.array(found).T
    longest_s = lengths * recording.bin_width_s
    worst = int(np.argmax(longest_s))
    sentence = (
        f"The longest gap is {longest_s[worst]:.1f} s of {recording.behavior_names[worst]}, "
        f"from bin {starts[worst]} on."
        if longest_s[worst]
        else "No column has a gap."
    )
    return GAPS.grade(longest_s[worst], sentence, longest_s=longest_s, start_bin=starts)


def check_loss_against_behavior(recording: Recording) -> Check:
    """Grade how much more often the eye is lost in one fifth of movement than in another.

    Data, for each of speed and ``|gz|`` that was recorded: ``{name}_loss`` (5,), the share of bins
    without eye tracking in each fifth, and ``{name}_edges`` (6,), the limits of the fifths.
    """
    eye = [name for name in _EYE if name in recording.behavior_names]
    movement = [name for name in _MOVEMENT if name in recording.behavior_names]
    if not eye or not movement:
        missing = "eye column (theta, phi, pupil_radius)" if not eye else "speed or gz"
        return LOSS.not_available(f"there is no {missing}")
    if recording.duration_s < _N_QUANTILES * WINDOW_S:
        return LOSS.not_available(f"that needs {_N_QUANTILES * WINDOW_S:g} s, a minute a fifth")
    is_lost = np.any([np.isnan(recording.column(name)) for name in eye], axis=0)
    data: dict[str, np.ndarray] = {}
    spread = {}
    for name in movement:
        values = np.abs(recording.column(name))
        data[f"{name}_loss"], data[f"{name}_edges"] = _loss_by_quantile(values, is_lost)
        rates = data[f"{name}_loss"]
        spread[name] = np.nanmax(rates) - np.nanmin(rates)
    worst = max(spread, key=lambda name: spread[name])
    rates = data[f"{worst}_loss"]
    sentence = (
        f"By fifths of |{worst}|, the eye is lost in {np.nanmin(rates):.1%} to "
        f"{np.nanmax(rates):.1%} of the bins."
        if is_lost.any()
        else "The eye is never lost."
    )
    return LOSS.grade(spread[worst], sentence, **data)


def check_constant_columns(recording: Recording) -> Check:
    """Count the behavior columns that hold one value only. Data: ``is_constant`` (n_behavior,)."""
    if not recording.behavior_names:
        return CONSTANT.not_available("no behavior was recorded")
    is_constant = np.nanmin(recording.behavior, 0) == np.nanmax(recording.behavior, 0)
    names = [n for n, c in zip(recording.behavior_names, is_constant, strict=True) if c]
    sentence = (
        f"{', '.join(names)} never changes: leave it out." if names else "Every column changes."
    )
    return CONSTANT.grade(len(names), sentence, is_constant=is_constant)


def _loss_by_quantile(values: np.ndarray, is_lost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(values)
    edges = np.quantile(values[known], np.linspace(0, 1, _N_QUANTILES + 1))
    # A signal that often stands still has equal quantiles; its lowest fifths then are one.
    fifth = np.searchsorted(edges[1:-1], values[known], side="right")
    n = np.bincount(fifth, minlength=_N_QUANTILES)
    n_lost = np.bincount(fifth, weights=is_lost[known], minlength=_N_QUANTILES)
    return np.divide(n_lost, n, out=np.full(_N_QUANTILES, np.nan), where=n > 0), edges
