"""Lag of the eye camera behind the gyroscope: a check of both clocks.

The eye counters the head, so that the velocities of both have the same time course. If their clocks
have an offset, one velocity is shifted in time. If the clocks drift, the shift grows over time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import theilslopes

from freegaze.quality.grades import Check, Scale
from freegaze.recording.recording import Recording

WINDOW_S = 60.0
"""Length of the windows in which the lag is measured, as in the Niell lab's alignment."""

MAX_LAG_S = 1.0
"""Lags searched; eyes answer within 0.1 s, so a larger lag is an error of the clocks."""

WEAK_R = 0.15
"""Below this the eye does not visibly counter the head (measured in a real mouse: -0.5)."""

EYE_GYRO = Scale("eye_gyro", "Eye against gyro", "bins of lag", 1.5, 3.0)
"""Largest of offset and drift over the session. A lag of 0.1 s (the Niell lab's usual offset before
its correction) is 2 bins of 48 ms; with 1.5 bins the wrong frame is shifted."""

_MIN_SHARE = 0.3
"""A window with fewer valid bins than this is not used."""


@dataclass(frozen=True)
class EyeGyroLags:
    """Lags of the eye behind the gyroscope, positive where the eye follows.

    Args:
        lag_s: Over the whole session; NaN if nothing is known of both at once.
        r: Height of that peak, with its sign.
        time_s: Middle of each window.
        window_lag_s: Lag in each window, NaN in windows that are not used.
        window_r: Height of each window's peak, with the session's sign.
        lags_s: Lags tried.
        r_by_lag: Correlation over the whole session at each of them.
    """

    lag_s: float
    r: float
    time_s: Float[np.ndarray, " n_windows"]
    window_lag_s: Float[np.ndarray, " n_windows"]
    window_r: Float[np.ndarray, " n_windows"]
    lags_s: Float[np.ndarray, " n_lags"]
    r_by_lag: Float[np.ndarray, " n_lags"]


def check_eye_gyro(recording: Recording) -> Check:
    """Correlate horizontal eye velocity with yaw velocity, minute by minute, and grade the sign.

    A lag is positive where the eye follows the gyro. Data: ``time_s``, ``lag_s`` and ``r``
    (n_windows,), NaN in windows that are not used; ``lags_s`` and ``r_by_lag`` (n_lags,) over the
    whole session.
    """
    missing = [name for name in ("theta", "gz") if name not in recording.behavior_names]
    if missing:
        return EYE_GYRO.not_available(f"there is no column {missing[0]}")
    if recording.duration_s < WINDOW_S:
        return EYE_GYRO.not_available(f"the recording is shorter than {WINDOW_S:g} s")
    width_s = recording.bin_width_s
    found = measure_lags(
        recording.column("theta"), recording.column("gz"), recording.segment_index(), width_s
    )
    if not np.isfinite(found.r):
        return EYE_GYRO.not_available("theta and gz are never known together")
    drift_s = _drift(found.time_s, found.window_lag_s) * recording.duration_s
    data = {"time_s": found.time_s, "lag_s": found.window_lag_s, "r": found.window_r}
    data |= {"lags_s": found.lags_s, "r_by_lag": found.r_by_lag}
    if abs(found.r) < WEAK_R:
        sentence = (
            f"Eye and head velocity are hardly correlated (r = {found.r:.2f} at best): the clocks "
            f"differ by more than {MAX_LAG_S:g} s, a column is wrong, or the eye is badly tracked."
        )
        return EYE_GYRO.judge("amber", sentence, **data)
    if found.r > 0:
        sentence = (
            f"theta or gz has the opposite sign: eye and head turn to the same side (r = "
            f"{found.r:.2f}), but the eye counters the head. Gaze shifts, which add both, come out "
            "about twice as often; negate theta or gz where the recording is written."
        )
        return EYE_GYRO.judge("red", sentence, **data)
    sentence = (
        f"The eye follows the gyro by {found.lag_s * 1e3:.0f} ms (r = {found.r:.2f}), and "
        f"the lag drifts by {drift_s * 1e3:.0f} ms over the session."
    )
    return EYE_GYRO.grade(max(abs(found.lag_s), abs(drift_s)) / width_s, sentence, **data)


def measure_lags(
    theta: Float[np.ndarray, " n_bins"],
    turn: Float[np.ndarray, " n_bins"],
    segment: Int[np.ndarray, " n_bins"],
    width_s: float,
) -> EyeGyroLags:
    """Correlate horizontal eye velocity with yaw velocity, in the whole session and by minutes.

    Args:
        theta: Horizontal angle of the eye in equal bins, NaN where lost.
        turn: Yaw velocity of the head in the same bins, in any unit.
        segment: Number of the contiguous segment that each bin is in.
        width_s: Width of a bin.

    Returns:
        The lags, to a fraction of a bin.
    """
    eye, turn = angle_velocity(theta, segment), turn.astype(np.float64)
    n_lags = max(2, round(MAX_LAG_S / width_s))
    window = np.arange(len(eye)) // max(1, round(WINDOW_S / width_s))
    lags = np.arange(-n_lags, n_lags + 1)
    whole = _correlations(eye, turn, segment, np.zeros_like(window), lags)[0]
    time_s = (np.arange(int(window[-1]) + 1) + 0.5) * WINDOW_S
    sign = np.sign(whole[np.nanargmax(np.abs(whole))]) if np.isfinite(whole).any() else np.nan
    lag, r = _peak(sign * whole, lags)
    by_window = [_peak(sign * row, lags) for row in _correlations(eye, turn, segment, window, lags)]
    window_lag, strength = np.array(by_window).T
    window_lag[~(strength >= WEAK_R)] = np.nan
    return EyeGyroLags(
        lag_s=lag * width_s,
        r=float(sign * r),
        time_s=time_s,
        window_lag_s=window_lag * width_s,
        window_r=sign * strength,
        lags_s=lags * width_s,
        r_by_lag=whole,
    )


def angle_velocity(
    angle: Float[np.ndarray, " n_bins"], segment: Int[np.ndarray, " n_bins"]
) -> Float[np.ndarray, " n_bins"]:
    """Return an angle's change per bin by central differences, so that it belongs to its bin.

    Args:
        angle: Angle in bins of equal width, NaN where lost.
        segment: Number of the contiguous segment that each bin is in.

    Returns:
        NaN at the borders of segments and where a neighbor is lost.
    """
    velocity = np.full(len(angle), np.nan)
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
    """Return the lag's slope in s/s (Theil-Sen); 0 if its 99 % interval holds 0."""
    good = np.isfinite(lag)
    if good.sum() < 5:
        return 0.0
    slope, _, low, high = np.array(theilslopes(lag[good], time_s[good], 0.99))
    return float(slope) if low * high > 0 else 0.0
