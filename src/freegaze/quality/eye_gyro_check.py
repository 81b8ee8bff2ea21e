"""Check of the clocks of eye camera and gyroscope: eye movements that counter head rotation."""

from __future__ import annotations

import numpy as np
from scipy.stats import theilslopes

from freegaze.quality.eye_gyro import MAX_LAG_S, WEAK_R, WINDOW_S, measure_lags
from freegaze.quality.grades import Check, Scale
from freegaze.recording.recording import Recording

EYE_GYRO = Scale("eye_gyro", "Eye against gyro", "bins of lag", 1.5, 3.0)
"""Largest of offset and drift over the session. A lag of 0.1 s (the Niell lab's usual offset before
its correction) is 2 bins of 48 ms; with 1.5 bins the wrong frame is shifted."""


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
        return EYE_GYRO.doubt(sentence, **data)
    sentence = (
        f"The eye follows the gyro by {found.lag_s * 1e3:.0f} ms (r = {found.r:.2f}), and "
        f"the lag drifts by {drift_s * 1e3:.0f} ms over the session."
    )
    return EYE_GYRO.grade(max(abs(found.lag_s), abs(drift_s)) / width_s, sentence, **data)


def _drift(time_s: np.ndarray, lag: np.ndarray) -> float:
    """Slope of the lag in seconds a second (Theil-Sen); 0 unless its 99 % interval leaves 0 out."""
    good = np.isfinite(lag)
    if good.sum() < 5:
        return 0.0
    slope, _, low, high = np.array(theilslopes(lag[good], time_s[good], 0.99))
    return float(slope) if low * high > 0 else 0.0
