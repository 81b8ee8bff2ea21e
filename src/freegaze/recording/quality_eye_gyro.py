"""Does the eye counter the head, in time? It tests the clocks of eye camera and gyro."""

from __future__ import annotations

import numpy as np
from scipy.stats import theilslopes

from freegaze.recording.quality_grades import Check, Scale
from freegaze.recording.recording import Recording

WINDOW_S = 60.0
"""Length of the windows in which the lag is measured, as in the Niell lab's alignment."""

MAX_LAG_S = 1.0
"""Lags searched; eyes answer within 0.1 s, so a larger lag is an error of the clocks."""

EYE_GYRO = Scale("eye_gyro", "Eye against gyro", "bins of lag", 1.5, 3.0)
"""Largest of offset and drift over the session. A lag of 0.1 s (the Niell lab's usual offset before
its correction) is 2 bins of 48 ms; with 1.5 bins the wrong frame is shifted."""

_WEAK_R = 0.15
"""Below this the eye does not visibly counter the head (measured in a real mouse: -0.5)."""
_MIN_SHARE = 0.3
"""A window with fewer valid bins than this tells nothing."""


def check_eye_gyro(recording: Recording) -> Check:
    """Correlate horizontal eye velocity with yaw velocity, minute by minute.

    A lag is positive where the eye follows the gyro. Data: ``time_s``, ``lag_s`` and ``r``
    (n_windows,), NaN in windows that tell nothing; ``lags_s`` and ``r_by_lag`` (n_lags,) over the
    whole session.
    """
    missing = [name for name in ("theta", "gz") if name not in recording.behavior_names]
    if missing:
        return EYE_GYRO.not_available(f"there is no column {missing[0]}")
    if recording.duration_s < WINDOW_S:
        return EYE_GYRO.not_available(f"the recording is shorter than {WINDOW_S:g} s")
    width_s = recording.bin_width_s
    segment = recording.segment_index()
    eye = _velocity(recording.column("theta"), segment)
    gyro = recording.column("gz").astype(np.float64)
    n_lags = max(2, round(MAX_LAG_S / width_s))
    window = np.arange(recording.n_bins) // max(1, round(WINDOW_S / width_s))
    lags = np.arange(-n_lags, n_lags + 1)
    whole = _correlations(eye, gyro, segment, np.zeros_like(window), lags)[0]
    if not np.isfinite(whole).any():
        return EYE_GYRO.not_available("theta and gz are never known together")
    sign = np.sign(whole[np.nanargmax(np.abs(whole))])
    offset, r = _peak(sign * whole, lags)
    by_window = [_peak(sign * row, lags) for row in _correlations(eye, gyro, segment, window, lags)]
    lag, strength = np.array(by_window).T
    lag[~(strength >= _WEAK_R)] = np.nan
    time_s = (np.arange(len(lag)) + 0.5) * WINDOW_S
    drift = _drift(time_s, lag) * recording.duration_s
    data = {"time_s": time_s, "lag_s": lag * width_s, "r": sign * strength}
    data |= {"lags_s": lags * width_s, "r_by_lag": whole}
    if r < _WEAK_R:
        sentence = (
            f"Eye and head velocity are hardly correlated (r = {sign * r:.2f} at best): the clocks "
            f"differ by more than {MAX_LAG_S:g} s, a column is wrong, or the eye is badly tracked."
        )
        return EYE_GYRO.doubt(sentence, **data)
    sentence = (
        f"The eye follows the gyro by {offset * width_s * 1e3:.0f} ms (r = {sign * r:.2f}), and "
        f"the lag drifts by {drift * width_s * 1e3:.0f} ms over the session."
    )
    return EYE_GYRO.grade(max(abs(offset), abs(drift)), sentence, **data)


def _velocity(angle: np.ndarray, segment: np.ndarray) -> np.ndarray:
    velocity = np.full(len(angle), np.nan)
    # Central differences, so that velocity and gyro belong to the middle of the same bin.
    velocity[1:-1] = (angle[2:].astype(np.float64) - angle[:-2]) / 2
    is_border = np.ones(len(angle), bool)
    is_border[1:-1] = segment[2:] != segment[:-2]
    velocity[is_border] = np.nan
    return velocity


def _correlations(
    eye: np.ndarray, gyro: np.ndarray, segment: np.ndarray, window: np.ndarray, lags: np.ndarray
) -> np.ndarray:
    """Pearson r of eye[t + lag] and gyro[t] by (window, lag), within segments."""
    n_bins, n_windows = len(eye), int(window[-1]) + 1
    r = np.full((n_windows, len(lags)), np.nan)
    for i, lag in enumerate(lags):
        t = np.arange(max(0, -lag), n_bins - max(0, lag))
        x, y = eye[t + lag], gyro[t]
        good = np.isfinite(x) & np.isfinite(y) & (segment[t] == segment[t + lag])
        r[:, i] = _r_by_group(x[good], y[good], window[t[good]], np.bincount(window))
    return r


def _r_by_group(x: np.ndarray, y: np.ndarray, group: np.ndarray, size: np.ndarray) -> np.ndarray:
    n = np.bincount(group, minlength=len(size))

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(group, values, len(size)) / np.maximum(n, 1)

    x, y = x - mean(x)[group], y - mean(y)[group]
    scale = np.sqrt(mean(x * x) * mean(y * y))
    good = (n >= np.maximum(3, _MIN_SHARE * size)) & (scale > 0)
    return np.divide(mean(x * y), scale, out=np.full(len(size), np.nan), where=good)


def _peak(r: np.ndarray, lags: np.ndarray) -> tuple[float, float]:
    """Lag (in bins, to a fraction by a parabola) and height of the largest correlation."""
    if not np.isfinite(r).any():
        return np.nan, np.nan
    top = int(np.nanargmax(r))
    shift = 0.0
    if 0 < top < len(r) - 1:
        left, middle, right = r[top - 1 : top + 2]
        bend = left - 2 * middle + right
        if bend < 0:
            shift = 0.5 * (left - right) / bend
    return float(lags[top] + shift), float(r[top])


def _drift(time_s: np.ndarray, lag: np.ndarray) -> float:
    """Slope of the lag in bins a second (Theil-Sen); 0 unless its 99 % interval leaves 0 out."""
    good = np.isfinite(lag)
    if good.sum() < 5:
        return 0.0
    slope, _, low, high = np.array(theilslopes(lag[good], time_s[good], 0.99))
    return float(slope) if low * high > 0 else 0.0
