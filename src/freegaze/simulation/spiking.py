"""Spike counts from expected counts: Poisson, with a dead time, or more variable than Poisson."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float

from freegaze.errors import ConfigError, NumericsError

Spiking = Literal["poisson", "refractory", "gamma_poisson"]

REFRACTORY_S = 0.003
"""Dead time after a spike."""

GAMMA_SHAPE = 4.0
"""Shape of the multiplicative gamma noise of each bin: variance mean + mean**2 / 4."""


def draw_spikes(
    rate: Float[np.ndarray, "time n_neurons"],
    bin_width_s: float,
    spiking: Spiking,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw spike counts.

    Args:
        rate: Expected count of each bin, shape (time, n_neurons).
        bin_width_s: Width of a bin.
        spiking: "poisson"; "refractory" (Poisson with a dead time, its hazard raised so that the
            mean stays); "gamma_poisson" (mean multiplied by gamma noise, independent over bins).
        rng: Source of randomness.

    Returns:
        Counts, float32, shape (time, n_neurons).

    Raises:
        ConfigError: If the kind of spiking is unknown.
        NumericsError: If a rate is negative or not finite.
    """
    if not (np.isfinite(rate).all() and (rate >= 0).all()):
        raise NumericsError("expected counts must be finite and >= 0 before spikes can be drawn")
    if spiking == "poisson":
        return _poisson(rate, rng.random(rate.shape))
    if spiking == "gamma_poisson":
        noise = rng.gamma(GAMMA_SHAPE, 1 / GAMMA_SHAPE, rate.shape)
        return _poisson(rate * noise, rng.random(rate.shape))
    if spiking == "refractory":
        columns = [_refractory(column, bin_width_s, rng) for column in rate.T]
        return np.stack(columns, axis=1).astype(np.float32)
    raise ConfigError(f"spiking must be poisson, refractory or gamma_poisson, got {spiking!r}")


def _poisson(mean: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Invert the cumulative distribution, one uniform number per bin.

    Unlike a generator that draws as many numbers as it needs, this keeps every other bin's spikes
    the same when a rate differs in its last digit, as between machines.
    """
    mean = mean.astype(np.float64)
    term = np.exp(-mean)
    cumulative = term.copy()
    counts = np.zeros(mean.shape, dtype=np.float32)
    # 12 standard deviations above the largest mean; rounding in the sum cannot keep the loop going.
    for k in range(1, int(mean.max(initial=0) + 12 * np.sqrt(mean.max(initial=0)) + 20)):
        above = uniform > cumulative
        if not above.any():
            break
        counts += above
        term *= mean / k
        cumulative += term
    return counts


def _refractory(mean: np.ndarray, bin_width_s: float, rng: np.random.Generator) -> np.ndarray:
    """Thin a faster Poisson process: spikes within the dead time of the last one are dropped."""
    rate_hz = mean / bin_width_s
    if rate_hz.max(initial=0) * REFRACTORY_S >= 0.9:
        raise NumericsError(
            f"a rate of {rate_hz.max():.0f} Hz is too high for a dead time of "
            f"{REFRACTORY_S} s; use `poisson`"
        )
    hazard = mean / (1 - rate_hz * REFRACTORY_S)
    n_candidates = rng.poisson(hazard)
    bins = np.repeat(np.arange(len(mean)), n_candidates)
    times = np.sort((bins + rng.random(len(bins))) * bin_width_s)
    while True:
        too_soon = np.diff(times, prepend=-np.inf) < REFRACTORY_S
        # Only the first of a chain is surely dropped: the next ones were measured from it.
        first = too_soon & ~np.concatenate([[False], too_soon[:-1]])
        if not first.any():
            break
        times = times[~first]
    return np.bincount(
        (times / bin_width_s).astype(int).clip(0, len(mean) - 1), minlength=len(mean)
    )
