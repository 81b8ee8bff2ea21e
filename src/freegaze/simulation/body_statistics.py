"""Statistics of measured head and eye movements, to be set beside those of a real mouse."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from freegaze.simulation.processes import STEP_S

JUMP_DEG_S = 250.0
"""Eye speed above which a step counts as saccade-like."""

TURN_DEG_S = 30.0
"""Yaw speed above which the head counts as turning."""

MOVING_CM_S = 2.0
"""Speed above which the mouse counts as moving, as in the lab's own analyses."""

GAZE_STILL_DEG_S = 60.0
"""Gaze speed below which the gaze counts as fixating."""


def decay_time_s(signal: np.ndarray) -> float:
    """Return when the autocorrelation falls to 1/e, interpolated between steps.

    Args:
        signal: Shape (n_steps,), no NaN; products at each lag are averaged over all pairs.

    Returns:
        Seconds; NaN for a constant.
    """
    x = signal - signal.mean()
    if not x.any():
        return float("nan")
    n = len(x)
    spectrum = np.fft.rfft(x, 2 * n)
    products = np.fft.irfft(np.abs(spectrum) ** 2)[:n] / np.arange(n, 0, -1)
    correlation = products / products[0]
    # All products of a signal of zero mean add up to zero, so that some lag must be below.
    i = int(np.flatnonzero(correlation < np.exp(-1))[0])
    return (i - (np.exp(-1) - correlation[i]) / (correlation[i - 1] - correlation[i])) * STEP_S


def regression(target: np.ndarray, *predictors: np.ndarray) -> tuple[np.ndarray, float]:
    """Regress a signal linearly on others, where all are known.

    Args:
        target: Shape (n_steps,), may hold NaN.
        predictors: Shape (n_steps,) each.

    Returns:
        One slope per predictor, and the share of variance explained.
    """
    known = np.isfinite(target)
    design = np.column_stack([np.ones(known.sum()), *(p[known] for p in predictors)])
    y = target[known]
    weights = np.linalg.lstsq(design, y, rcond=None)[0]
    return weights[1:], float(1 - np.var(y - design @ weights) / np.var(y))


def jumps_per_s(angle: np.ndarray) -> float:
    """Return how often speed rises above ``JUMP_DEG_S``, over the time when it is known.

    Args:
        angle: Eye angle in degrees, shape (n_steps,), NaN where lost.

    Returns:
        Jumps per second; neighboring fast steps are one jump.
    """
    speed = np.abs(np.diff(angle)) / STEP_S
    fast = np.nan_to_num(speed) > JUMP_DEG_S
    onsets = np.count_nonzero(fast[1:] & ~fast[:-1]) + int(fast[0])
    return onsets / (np.isfinite(speed).sum() * STEP_S)


def body_statistics(path: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Summarize one session's movements as measured, and the eye's true gain.

    Args:
        path: ``Truth.path``: signals at every 16 ms step.

    Returns:
        Each statistic by the name it has in the realism card.
    """
    signals = {
        "head pitch": path["pitch"],
        "head roll": path["roll"],
        "yaw velocity": path["gz"],
        "pitch velocity": path["pitch_velocity"],
        "roll velocity": path["roll_velocity"],
        "theta": path["theta"],
        "phi": path["phi"],
    }
    statistics: dict[str, float] = {}
    for name, signal in signals.items():
        statistics |= _distribution(name, np.asarray(signal, dtype=np.float64))
    yaw_speed = np.abs(path["gz"])
    statistics["yaw speed, share above 30 deg/s"] = float(np.mean(yaw_speed > TURN_DEG_S))
    statistics["yaw speed, median"] = float(np.median(yaw_speed))
    statistics["yaw speed, 90th percentile"] = float(np.percentile(yaw_speed, 90))
    return statistics | _eye_statistics(path) | _walking_statistics(path) | _gaze_statistics(path)


def _distribution(name: str, signal: np.ndarray) -> dict[str, float]:
    known = signal[np.isfinite(signal)]
    low, high = np.percentile(known, [1, 99])
    statistics = {
        f"{name}, mean": float(known.mean()),
        f"{name}, sd": float(known.std()),
        f"{name}, 1st percentile": float(low),
        f"{name}, 99th percentile": float(high),
    }
    if len(known) == len(signal):
        statistics[f"{name}, 1/e time"] = decay_time_s(signal)
    return statistics


def _eye_statistics(path: Mapping[str, np.ndarray]) -> dict[str, float]:
    posture = (path["pitch"], path["roll"])
    statistics: dict[str, float] = {}
    for name in ("theta", "phi"):
        slopes, explained = regression(path[name], *posture)
        statistics[f"{name}, slope on pitch"], statistics[f"{name}, slope on roll"] = slopes
        statistics[f"{name}, R2 on pitch and roll"] = explained
    slopes, _ = regression(path["true_torsion"], path["true_pitch"], path["true_roll"])
    statistics["torsion, slope on pitch"], statistics["torsion, slope on roll"] = slopes
    eye_velocity, yaw_velocity = np.diff(path["theta"]) / STEP_S, path["gz"][1:]
    slope, explained = regression(eye_velocity, yaw_velocity)
    statistics["theta velocity on yaw velocity, slope"] = float(slope[0])
    statistics["theta velocity on yaw velocity, r"] = float(np.sign(slope[0]) * explained**0.5)
    statistics["eye gain between saccades (true)"] = compensation_gain(path)
    statistics["saccade-like jumps per second"] = jumps_per_s(path["theta"])
    statistics["share of frames without tracking"] = float(np.isnan(path["theta"]).mean())
    return statistics


def compensation_gain(path: Mapping[str, np.ndarray]) -> float:
    """Return minus the slope of true eye velocity on true yaw velocity between saccades.

    Args:
        path: ``Truth.path``.

    Returns:
        1 would hold the gaze still.
    """
    jumps = np.asarray(path["true_saccade"], dtype=bool)
    between = ~(jumps[1:] | jumps[:-1])
    eye = np.where(between, np.diff(path["true_theta"]), np.nan)
    slope, _ = regression(eye, np.diff(path["true_yaw"]))
    return float(-slope[0])


def _walking_statistics(path: Mapping[str, np.ndarray]) -> dict[str, float]:
    moving = path["speed"] > MOVING_CM_S
    return {
        "share of time moving": float(moving.mean()),
        "speed when moving, median": float(np.median(path["speed"][moving])),
    }


def _gaze_statistics(path: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Horizontal gaze (head and eye together), true, and how long it stays slow."""
    speed = np.abs(np.diff(path["true_yaw"] + path["true_theta"])) / STEP_S
    still = np.concatenate([[False], speed < GAZE_STILL_DEG_S, [False]]).astype(int)
    starts, stops = np.flatnonzero(np.diff(still) == 1), np.flatnonzero(np.diff(still) == -1)
    return {
        "gaze speed, median": float(np.median(speed)),
        "gaze speed, 90th percentile": float(np.percentile(speed, 90)),
        "fixation length, median": float(np.median(stops - starts) * STEP_S),
        "fixation length, mean": float(np.mean(stops - starts) * STEP_S),
    }
