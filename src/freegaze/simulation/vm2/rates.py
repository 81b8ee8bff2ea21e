"""Expected counts of VM-2: of what truly happened, and of what was recorded alone.

The rate of a step is ``(1 - share) * visual * gain + share * position``, times what no instrument
records, times the effect of a neuron's own spikes (``history``). Constants are learned once, from
what truly happened.

``oracle`` is the mean over a neuron's own spikes of the true expected counts. ``attainable`` is the
mean over own spikes, latents and drift, for drives that are computed from recorded frames and
recorded behavior.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from jaxtyping import Float

from freegaze.simulation.processes import BIN_S, STEPS_PER_BIN
from freegaze.simulation.rates import Drives
from freegaze.simulation.vm2.behavior import gain_and_position
from freegaze.simulation.vm2.history import History, average_counts
from freegaze.simulation.vm2.latents import draw_latents
from freegaze.simulation.vm2.neurons import Neurons
from freegaze.simulation.vm2.visual import VisualScale, visual_part

N_DRAWS = 16
"""Simulations that are averaged. Where a neuron's spikes change its rate by half, the mean of a bin
is known to about 5 % of itself; modulation by what was recorded is ten times as large."""

N_CORRECTIONS = 3
"""Rounds in which rates are scaled until spikes have the wanted mean."""


@dataclass(frozen=True)
class RateScale:
    """Constants of the rates, learned from what truly happened.

    Args:
        visual: Those of the visual part.
        position_mean: Mean of the additive part, (n_neurons,).
        factor: From the unit-free rate to the expected count of a step without an effect of
            spikes, (n_neurons,).
    """

    visual: VisualScale
    position_mean: np.ndarray
    factor: np.ndarray


def true_rates(
    neurons: Neurons,
    drives: Drives,
    signals: Mapping[str, Float[np.ndarray, " step"]],
    log_latents: Float[np.ndarray, "step n"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "step n"], RateScale]:
    """Return expected counts of each step without an effect of spikes, and the constants.

    Args:
        neurons: The neurons.
        drives: Responses of their filters to what fell on the retina.
        signals: True behavior at each step.
        log_latents: Logarithm of the factor that no instrument records.
        rng: Source of randomness of the simulations that set the mean rate.

    Returns:
        Rates whose spikes have the neurons' mean rates; the constants.
    """
    rate, visual, position_mean = _without_latents(neurons, drives, signals)
    rate *= np.exp(log_latents)
    wanted = neurons.mean_rate_hz * BIN_S / STEPS_PER_BIN
    factor = wanted / rate.mean(axis=0)
    history = History.from_traits(neurons.traits)
    for _ in range(0 if history.is_none else N_CORRECTIONS):
        mean = average_counts([rate * factor.astype(np.float32)], history, rng).mean(axis=0)
        factor *= wanted * STEPS_PER_BIN / mean
    return rate * factor.astype(np.float32), RateScale(visual, position_mean, factor)


def oracle_counts(
    neurons: Neurons,
    rate: Float[np.ndarray, "step n"],
    rng: np.random.Generator,
    n_workers: int = 1,
) -> Float[np.ndarray, "bin n"]:
    """Average expected counts over the neurons' own spikes.

    Args:
        neurons: The neurons.
        rate: From ``true_rates``.
        rng: Source of randomness.
        n_workers: Simulations at a time.

    Returns:
        Expected count of each bin, float32.
    """
    history = History.from_traits(neurons.traits)
    draws = repeat(rate, 1 if history.is_none else N_DRAWS)
    return average_counts(draws, history, rng, n_workers).astype(np.float32)


def recorded_counts(
    neurons: Neurons,
    scale: RateScale,
    drives: Drives,
    signals: Mapping[str, Float[np.ndarray, " step"]],
    rng: np.random.Generator,
    n_workers: int = 1,
) -> Float[np.ndarray, "bin n"]:
    """Average expected counts over own spikes, latents and drift, given what was recorded.

    Latents come in pairs of opposite sign, which takes their first-order noise out of the mean.

    Args:
        neurons: The neurons.
        scale: Constants, from ``true_rates``.
        drives: Responses of the filters to recorded frames.
        signals: Recorded behavior at each step.
        rng: Source of randomness.
        n_workers: Simulations at a time.

    Returns:
        Expected count of each bin.
    """
    rate, *_ = _without_latents(neurons, drives, signals, scale)
    rate *= scale.factor.astype(np.float32)
    history, (latents, spikes) = History.from_traits(neurons.traits), rng.spawn(2)
    return average_counts(_with_latents(neurons, rate, latents), history, spikes, n_workers)


def _with_latents(
    neurons: Neurons, rate: np.ndarray, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Give the rate under drawn latents, draw after draw."""
    for _ in range(N_DRAWS // 2):
        log_latents, _ = draw_latents(neurons, len(rate), rng)
        for sign in (1, -1):
            yield rate * np.exp(sign * log_latents)


def _without_latents(
    neurons: Neurons,
    drives: Drives,
    signals: Mapping[str, np.ndarray],
    scale: RateScale | None = None,
) -> tuple[np.ndarray, VisualScale, np.ndarray]:
    visual, constants = visual_part(neurons, drives, None if scale is None else scale.visual)
    gain, position = gain_and_position(neurons.behavior_coefficients, neurons.traits, signals)
    position_mean = position.mean(axis=0) if scale is None else scale.position_mean
    share = neurons.position_share
    rate = (1 - share) * visual * gain + share * (position / position_mean)
    return rate.astype(np.float32), constants, position_mean
