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
"""A correlation that is there in the same bin and gone in the next is of shared spikes."""

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

    Data: ``pairs`` (n_pairs, 2), column numbers; ``r`` (n_pairs,), their count correlation;
    ``excess`` (n_pairs,), by how much it exceeds that with the neighboring bin.
    """
    if recording.n_neurons < 2 or recording.n_bins < 3:
        return DUPLICATES.not_available("that needs two units and three bins")
    same, neighbor = _correlation(recording, 0), _correlation(recording, 1)
    excess = same - (neighbor + neighbor.T) / 2
    suspect = np.triu((same > DUPLICATE_R) | (excess > EXCESS_R), k=1)
    pairs = np.argwhere(suspect)
    r, beyond = same[suspect], excess[suspect]
    if len(pairs):
        first = int(np.argmax(r))
        a, b = (recording.unit_ids[i] for i in pairs[first])
        sentence = (
            f"{len(pairs)} pairs of units seem to be one neuron, first of all {a} and {b} "
            f"(count correlation {r[first]:.2f}): keep one of them."
        )
    else:
        sentence = "No two units are alike."
    return DUPLICATES.grade(len(pairs), sentence, pairs=pairs, r=r, excess=beyond)


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


def _correlation(recording: Recording, lag: int) -> np.ndarray:
    """Pearson r of each unit with each unit ``lag`` bins later, (n_neurons, n_neurons)."""
    segment = recording.segment_index()
    t = np.arange(recording.n_bins - lag)
    t = t[segment[t] == segment[t + lag]]
    if len(t) < 2:
        return np.zeros((recording.n_neurons, recording.n_neurons))
    return _standardized(recording.responses[t]).T @ _standardized(recording.responses[t + lag])


def _standardized(responses: np.ndarray) -> np.ndarray:
    centered = responses - responses.mean(0, dtype=np.float64)
    norm = np.sqrt((centered**2).sum(0))
    return np.divide(centered, norm, out=np.zeros_like(centered), where=norm > 0)
