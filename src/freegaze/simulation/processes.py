"""Random processes that the body and the brain are made of, on an even time grid."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtri

from freegaze.standard_scores import standardize

STEP_S = 0.016
"""One step of the simulation: 62.5 Hz, close to the 60 Hz of the deinterlaced cameras."""

STEPS_PER_BIN = 3
"""A bin of 48 ms holds three steps."""

BIN_S = STEP_S * STEPS_PER_BIN
"""Width of a bin of the recording in seconds."""


def low_pass(
    signal: np.ndarray, time_constant_s: float, initial: np.ndarray | None = None
) -> np.ndarray:
    """Smooth causally with an exponential, along the first axis.

    Args:
        signal: Shape (time, ...).
        time_constant_s: Time constant in seconds.
        initial: Value before the start; the signal's first value by default.

    Returns:
        Same shape.
    """
    keep = np.exp(-STEP_S / time_constant_s)
    start = signal[:1] if initial is None else np.broadcast_to(initial, signal[:1].shape)
    return np.asarray(lfilter([1 - keep], [1, -keep], signal, axis=0, zi=keep * start)[0])


def ornstein_uhlenbeck(
    rng: np.random.Generator, n_steps: int, time_constant_s: float, n_columns: int = 1
) -> np.ndarray:
    """Draw stationary processes of zero mean, unit variance and exponential autocorrelation.

    Args:
        rng: Source of randomness.
        n_steps: Length.
        time_constant_s: Time at which the autocorrelation is 1/e.
        n_columns: Number of independent processes.

    Returns:
        Shape (n_steps, n_columns).
    """
    keep = np.exp(-STEP_S / time_constant_s)
    noise = rng.standard_normal((n_steps, n_columns))
    start = keep * rng.standard_normal((1, n_columns))
    return np.asarray(lfilter([np.sqrt(1 - keep**2)], [1, -keep], noise, axis=0, zi=start)[0])


def slow_process(
    rng: np.random.Generator, n_steps: int, time_constant_s: float, smooth_s: float
) -> np.ndarray:
    """Draw a slow process whose mean, variance and autocorrelation hold in every session.

    A process with a time constant of 20 s takes only about fifteen independent values in 10
    minutes, so that statistics would differ much between sessions. Here the power spectrum
    (that of an Ornstein-Uhlenbeck process, smoothed once more) is exact and only the phases are
    random; the end of the session therefore joins its start.

    Args:
        rng: Source of randomness.
        n_steps: Length.
        time_constant_s: Time at which the autocorrelation is 1/e.
        smooth_s: Time constant of the smoothing, which makes the process differentiable.

    Returns:
        Shape (n_steps,), zero mean and unit variance.
    """
    omega = 2 * np.pi * np.fft.rfftfreq(n_steps, STEP_S)
    power = 1 / ((1 + (omega * time_constant_s) ** 2) * (1 + (omega * smooth_s) ** 2))
    # What is slower than the session would be its mean, which is fixed; the slowest wave takes it
    # on (one-sided powers count twice, the mean once).
    power[1] += power[0] / 2
    power[0] = 0.0
    phase = np.exp(2j * np.pi * rng.random(len(omega)))
    return standardize(np.fft.irfft(np.sqrt(power) * phase, n_steps))


def normal_scores(signal: np.ndarray) -> np.ndarray:
    """Replace values by the normal quantiles of their ranks: exactly normal, in the same order."""
    ranks = np.empty(len(signal))
    ranks[np.argsort(signal, kind="stable")] = np.arange(len(signal))
    return ndtri((ranks + 0.5) / len(signal))


def on_off(
    rng: np.random.Generator, n_steps: int, on_s: float, off_s: float, min_s: float
) -> np.ndarray:
    """Draw alternating bouts with exponential durations, each at least ``min_s`` long.

    Args:
        rng: Source of randomness.
        n_steps: Length.
        on_s: Mean duration of a bout.
        off_s: Mean duration of a pause.
        min_s: Shortest duration of either.

    Returns:
        Booleans, shape (n_steps,).
    """
    n_pairs = int(n_steps * STEP_S / (on_s + off_s) * 2) + 20
    means = np.array([off_s, on_s])
    durations = min_s + rng.exponential(means - min_s, (n_pairs, 2))
    edges = np.cumsum(durations.ravel()) - rng.random() * off_s
    return np.searchsorted(edges, np.arange(n_steps) * STEP_S, side="right") % 2 == 1


def bin_mean(signal: np.ndarray) -> np.ndarray:
    """Average the three steps of each bin, along the first axis."""
    return signal.reshape(-1, STEPS_PER_BIN, *signal.shape[1:]).mean(axis=1)
