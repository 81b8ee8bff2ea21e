"""Checks of the neurons: too quiet, drifting, or there twice."""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student_t

from freegaze.quality.grades import Check, Scale
from freegaze.recording.recording import Recording, ResponseKind

MIN_RATE_HZ = 3.0
"""Xu et al. (2023) leave out neurons below 3 Hz."""

QUIET = Scale("quiet_units", "Units below 3 Hz", "share of units", 0.5, 1.0)
"""The original kept 62 to 78 % of its units; fewer than half is unusual, none cannot be fitted."""

DRIFT = Scale("rate_drift", "Rate drift", "share of units", 0.1, 0.3)
"""Units whose rate changes by half of its mean over the session, more than chance."""

DUPLICATES = Scale("duplicate_units", "Duplicate units", "units", 1, 3)
"""Pairs of units that seem to be one."""

DRIFT_CHANGE = 0.5
DRIFT_P = 0.01
DUPLICATE_R = 0.9
"""Counts of different neurons of mouse V1 correlate below 0.5; 0.9 is one neuron found twice."""
EXCESS_R = 0.3
"""A correlation that exists in the same bin but not in the next comes from shared spikes."""
COARSE_S = 0.1
"""In wider bins, or without neighboring bins, a shared stimulus looks like shared spikes."""

_N_BLOCKS = 10
_MIN_BLOCK_S = 20.0  # as long as the blocks that intervals resample


def check_quiet_units(recording: Recording) -> Check:
    """Grade the share of neurons below 3 Hz. Data: ``rate_hz`` (n_neurons,)."""
    if recording.response_kind is ResponseKind.FLUORESCENCE:
        return QUIET.not_available("fluorescence has no rate")
    rates = recording.rates_hz()
    n_quiet = int((rates < MIN_RATE_HZ).sum())
    sentence = f"{n_quiet} of {len(rates)} units fire below {MIN_RATE_HZ:g} Hz."
    return QUIET.grade(n_quiet / len(rates), sentence, rate_hz=rates)


def check_rate_drift(recording: Recording) -> Check:
    """Grade the share of neurons whose response has a trend over the session.

    The trend is a straight line through the means of ten tenths, its error widened by their
    autocorrelation. Measured on steady units whose rates forget within a minute, p < 0.01 in 1 %
    of them at 60 min, 2 % at 20 min and 4 % at 10 min.
    Data: ``rate_over_time`` (10, n_neurons), mean response per bin in each tenth;
    ``relative_change`` and ``p`` (n_neurons,).
    """
    if recording.duration_s < _N_BLOCKS * _MIN_BLOCK_S:
        return DRIFT.not_available(f"the recording is shorter than {_N_BLOCKS * _MIN_BLOCK_S:g} s")
    parts = np.array_split(recording.responses, _N_BLOCKS)
    blocks = np.array([part.mean(0, dtype=np.float64) for part in parts])
    change, p = _trend(blocks)
    if recording.response_kind is ResponseKind.FLUORESCENCE:
        scale, of_what = recording.responses.std(0, dtype=np.float64), "standard deviation"
    else:
        scale, of_what = blocks.mean(0), "mean"
    relative = np.divide(change, scale, out=np.zeros_like(change), where=scale > 0)
    drifts = (np.abs(relative) >= DRIFT_CHANGE) & (p < DRIFT_P)
    sentence = (
        f"{int(drifts.sum())} of {len(p)} units change by half of their {of_what} or more over the "
        f"session (p < {DRIFT_P:g} each)."
    )
    data = {"rate_over_time": blocks, "relative_change": relative, "p": p}
    return DRIFT.grade(drifts.mean(), sentence, **data)


def check_duplicates(recording: Recording) -> Check:
    """Count the pairs of units that are one, or share spikes.

    Two units may follow one stimulus or one state. What both do in a bin is therefore taken without
    the mean response to the bin's frame, where frames repeat, and without the mean of the
    neighboring bins: only shared spikes are left. Data: ``pairs`` (n_pairs, 2), column numbers;
    ``r`` (n_pairs,), their count correlation; ``excess`` (n_pairs,), that of what is left.
    """
    if recording.n_neurons < 2 or recording.n_bins < 3:
        return DUPLICATES.not_available("that needs two units and three bins")
    left, is_fine = _unshared(recording)
    excess = left.T @ left
    suspect = np.triu(excess > (EXCESS_R if is_fine else DUPLICATE_R), k=1)
    pairs, beyond = np.argwhere(suspect), excess[suspect]
    if not len(pairs):
        if is_fine:
            return DUPLICATES.grade(0, "No two units are alike.", pairs=pairs, r=beyond)
        return DUPLICATES.not_available(
            f"no two units are equal, but bins of {recording.bin_width_s * 1e3:.0f} ms are too "
            "coarse to know whether units share spikes"
        )
    every = _standardized(recording.responses)
    r = (every[:, pairs[:, 0]] * every[:, pairs[:, 1]]).sum(0)
    first = int(np.argmax(beyond))
    a, b = (recording.unit_ids[i] for i in pairs[first])
    sentence = (
        f"{len(pairs)} pairs of units seem to be one neuron, first of all {a} and {b} "
        f"(count correlation {r[first]:.2f}): keep one of them."
    )
    return DUPLICATES.grade(len(pairs), sentence, pairs=pairs, r=r, excess=beyond)


def _unshared(recording: Recording) -> tuple[np.ndarray, bool]:
    """Responses without what frames and neighboring bins predict, standardized, (bin, unit).

    The second value is whether bins are narrow enough, and have neighbors, for what is left to be
    shared spikes.
    """
    responses = recording.responses.astype(np.float64)
    _, frame, count = np.unique(recording.frame_index, return_inverse=True, return_counts=True)
    if len(count) <= recording.n_bins / 2:
        order = np.argsort(frame, kind="stable")
        starts = np.cumsum(count) - count
        means = np.add.reduceat(responses[order], starts, axis=0) / count[:, None]
        responses -= means[frame]
        responses = responses[count[frame] > 1] if recording.bin_width_s > COARSE_S else responses
    if recording.bin_width_s > COARSE_S:
        return _standardized(responses), False
    segment = recording.segment_index()
    middle = np.flatnonzero(segment[2:] == segment[:-2]) + 1
    if len(middle) < 2:
        return _standardized(responses), False
    around = (responses[middle - 1] + responses[middle + 1]) / 2
    return _standardized(responses[middle] - around), True


def _trend(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Change along a fitted line over the whole session, and its p, both (n_neurons,)."""
    n = len(blocks)
    x = np.arange(n) - (n - 1) / 2
    y = blocks - blocks.mean(0)
    slope = x @ y / (x @ x)
    residual = y - x[:, None] * slope
    power = (residual**2).sum(0)
    lag_one = (residual[1:] * residual[:-1]).sum(0)
    rho = np.divide(lag_one, power, out=np.zeros(len(power)), where=power > 0)
    # Residuals of a fitted line show less autocorrelation than there is, by about (1 + 4 rho) / n.
    rho = np.clip(rho + (1 + 4 * rho) / n, 0.0, 0.95)
    inflation = (1 + rho) / (1 - rho)  # of a mean's variance, for noise that forgets exponentially
    error = np.sqrt(power / (n - 2) * inflation / (x @ x))
    t = np.divide(slope, error, out=np.zeros_like(slope), where=error > 0)
    return slope * n, 2 * student_t.sf(np.abs(t), n - 2)


def _standardized(responses: np.ndarray) -> np.ndarray:
    centered = responses - responses.mean(0, dtype=np.float64)
    norm = np.sqrt((centered**2).sum(0))
    return np.divide(centered, norm, out=np.zeros_like(centered), where=norm > 0)
