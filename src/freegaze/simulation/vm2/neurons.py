"""Neurons of VM-2: parameters of each neuron, drawn once at the start.

Everything is drawn whatever violations are chosen. A violation that is off leaves the neurons as
they are in all else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from freegaze.simulation.population import (
    GAIN_MODULATED,
    GAIN_SIGNALS,
    POSITION_MODULATED,
    POSITION_SIGNALS,
    RATE_LOG_SD,
    RATE_MEDIAN_HZ,
    RATE_RANGE_HZ,
    VISUAL,
    Population,
    largest_remainder,
)
from freegaze.simulation.processes import STEP_S
from freegaze.simulation.vm2.fields import draw_fields
from freegaze.simulation.vm2.gaze_shifts import GAZE_SIGNALS

FAMILY_SHARES = {"simple": 36, "complex": 26, "natural": 26, "direction": 12}
"""Percent of the neurons. In mouse V1 about an eighth is selective for direction (DSI above .5)."""

MODULATION_SHARES = {
    "multiplicative": 30,
    "additive": 12,
    "mixed": 14,
    "visual_only": 39,
    "behavior_only": 3,
    "untuned": 2,
}
"""Percent of the neurons by how behavior acts on them."""

GAIN_MEAN, GAIN_SD = 0.2, 0.16
"""What a standard deviation of speed or pupil adds to the log gain."""

POSITION_SHARE = (0.1, 0.3)
"""Share of the mean rate that comes from position tuning and gaze shifts."""

LUMINANCE_DRIVE = (0.5, 1.6)
"""Weight of brightness over the pool in the drive, of either sign, where the field has 1."""

TAPS = 60
"""Length of the temporal kernel: 0.96 s."""

LATENCY_S, SHORT_LATENCY_S = (0.03, 0.20), (0.06, 0.15)
"""Peak latencies with and without the violation ``long_kernels``."""

LATENT_MEAN, DRIFT_MEAN = (0.16, 0.13), 0.15
"""Mean effect of the fast and the slow shared latent, and of drift, on the log rate."""

BEHAVIOR_DELAYS_S = (0.08, 0.3, 1.0)
"""Time constants through which behavior acts; without ``curved_tuning`` the first alone."""


@dataclass(frozen=True)
class Neurons(Population):
    """Fixed properties of the neurons, beyond those of ``Population``.

    ``kind`` is "complex" for neurons with two phases. ``pool`` and ``pool_strength`` are of the
    surround, or of the neuron's own field.

    Args:
        family: "simple", "complex", "natural" or "direction".
        quadrature_kernel: Second temporal kernel of direction-selective neurons, (n, TAPS).
        slow_latent_coefficient: Effect of the slow shared latent on the log rate.
        traits: Everything else by name, (n,) each; stored with the truth.
    """

    family: np.ndarray
    quadrature_kernel: np.ndarray
    slow_latent_coefficient: np.ndarray
    traits: Mapping[str, np.ndarray]


def make_neurons(
    n_neurons: int,
    frame_size: tuple[int, int],
    violations: Collection[str],
    rng: np.random.Generator,
) -> Neurons:
    """Draw the neurons of a session.

    Args:
        n_neurons: Number of neurons.
        frame_size: (height, width) of the retinal frame.
        violations: Names of the violations that are on.
        rng: Source of randomness.

    Returns:
        The neurons.
    """
    family = _assign(FAMILY_SHARES, n_neurons, rng)
    modulation = _assign(MODULATION_SHARES, n_neurons, rng)
    is_visual = np.isin(modulation, VISUAL)
    if "direction" not in violations:
        family[family == "direction"] = "complex"
    fields, pool, strength = draw_fields(family, "natural_fields" in violations, frame_size, rng)
    if "natural_fields" not in violations:
        family[family == "natural"] = "simple"
    fields[~is_visual] = 0.0
    pool[~is_visual] = 0.0
    latency, kernel, quadrature = _kernels(n_neurons, "long_kernels" in violations, rng)
    quantiles = ndtri((rng.permutation(n_neurons) + 0.5) / n_neurons)
    n = n_neurons
    has_latents = float("latents" in violations)
    return Neurons(
        kind=np.where(np.isin(family, ("complex", "direction")), "complex", "simple"),
        modulation=modulation,
        receptive_field=fields,
        pool=pool,
        pool_strength=strength * is_visual * ("normalization" in violations),
        temporal_kernel=kernel,
        latency_s=latency,
        threshold=rng.uniform(-0.6, 0.4, n),
        steepness=rng.uniform(1.0, 1.6, n),
        baseline=rng.uniform(0.15, 0.55, n),
        mean_rate_hz=np.clip(RATE_MEDIAN_HZ * np.exp(RATE_LOG_SD * quantiles), *RATE_RANGE_HZ),
        latent_coefficient=has_latents * LATENT_MEAN[0] * _of_mixed_sign(n, rng),
        slow_latent_coefficient=has_latents * LATENT_MEAN[1] * _of_mixed_sign(n, rng),
        drift_coefficient=has_latents * DRIFT_MEAN * rng.lognormal(0.0, 0.5, n),
        behavior_coefficients=_behavior_coefficients(modulation, violations, rng),
        position_share=_position_share(modulation, rng),
        family=family,
        quadrature_kernel=quadrature,
        traits=_traits(family, violations, rng),
    )


def _assign(shares: Mapping[str, float], n: int, rng: np.random.Generator) -> np.ndarray:
    counts = largest_remainder(shares, n)
    return rng.permutation(np.repeat(list(counts), list(counts.values())))


def _of_mixed_sign(n: int, rng: np.random.Generator) -> np.ndarray:
    """Log-normal sizes around 1, a tenth of them negative."""
    return rng.lognormal(-0.12, 0.5, n) * np.where(rng.random(n) < 0.1, -1.0, 1.0)


def _kernels(
    n: int, is_long: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw latencies, biphasic kernels and their quadrature, with tails where they are long."""
    time = (np.arange(TAPS) + 0.5) * STEP_S
    share = rng.random(n)
    low, high = LATENCY_S if is_long else SHORT_LATENCY_S
    latency = low + (high - low) * share
    undershoot = rng.uniform(0.1, 0.6, n)
    later = latency + rng.uniform(0.05, 0.09, n)
    tail_s, tail = rng.uniform(0.15, 0.5, n), rng.uniform(0.1, 0.6, n) * is_long
    width = 0.012 + 0.12 * latency

    def lobe(center: np.ndarray, sd: np.ndarray) -> np.ndarray:
        bump = np.exp(-((time - center[:, None]) ** 2) / (2 * sd[:, None] ** 2))
        return bump / bump.sum(axis=1, keepdims=True)

    since = np.maximum(time - latency[:, None], 0.0)
    decay = (1 - np.exp(-since / 0.03)) * np.exp(-since / tail_s[:, None])
    decay /= decay.sum(axis=1, keepdims=True)
    kernel = lobe(latency, width) - undershoot[:, None] * lobe(later, 1.4 * width)
    # The quadrature kernel peaks about a quarter of a cycle (of 4 Hz) later.
    delayed = lobe(latency + 0.06, 1.3 * width) - undershoot[:, None] * lobe(
        later + 0.06, 1.7 * width
    )
    return latency, kernel + tail[:, None] * decay, delayed


def _behavior_coefficients(
    modulation: np.ndarray, violations: Collection[str], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw effects of behavior by signal."""
    n = len(modulation)
    has_gain = np.isin(modulation, GAIN_MODULATED)
    has_position = np.isin(modulation, POSITION_MODULATED)
    coefficients = {
        s: np.where(has_gain, rng.normal(GAIN_MEAN, GAIN_SD, n), 0.0) for s in GAIN_SIGNALS
    }
    for signal in POSITION_SIGNALS:
        coefficients[signal] = np.where(has_position, rng.normal(0.0, 0.55, n), 0.0)
    for signal in GAZE_SIGNALS:
        # Each neuron with an additive part responds to each kind by chance of a half.
        does = has_position & (rng.random(n) < 0.5) & ("gaze_shifts" in violations)
        coefficients[signal] = np.where(does, rng.normal(0.5, 0.9, n), 0.0)
    return coefficients


def _position_share(modulation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the share of the rate that is additive."""
    share = rng.uniform(*POSITION_SHARE, len(modulation))
    share = np.where(np.isin(modulation, POSITION_MODULATED), share, 0.0)
    return np.where(modulation == "behavior_only", 1.0, share)


def _traits(
    family: np.ndarray, violations: Collection[str], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw adaptation, spike history and shapes of tuning curves."""
    n = len(family)
    adapts, curved = "adaptation" in violations, "curved_tuning" in violations
    remembers = float("history" in violations)
    traits = {
        "family": family,
        "luminance_adaptation": adapts * rng.uniform(0.1, 0.7, n),
        "luminance_adaptation_s": rng.choice([1.0, 2.5, 6.0], n),
        "contrast_adaptation": adapts * rng.uniform(0.1, 1.0, n),
        "contrast_adaptation_s": rng.choice([1.0, 2.5, 6.0], n),
        "luminance_drive": rng.uniform(*LUMINANCE_DRIVE, n) * rng.choice([-1.0, 1.0], n),
        "saturation": rng.uniform(4.0, 10.0, n),
        "refractory": np.full(n, remembers),
        "burst": remembers * np.where(rng.random(n) < 0.25, rng.uniform(1.0, 4.0, n), 0.0),
        "spike_adaptation": remembers * rng.uniform(0.05, 0.5, n),
        "behavior_delay_s": np.where(
            curved, rng.choice(BEHAVIOR_DELAYS_S, n), BEHAVIOR_DELAYS_S[0]
        ),
        "event_delay_s": rng.uniform(0.03, 0.15, n),
    }
    for signal in (*GAIN_SIGNALS, *POSITION_SIGNALS):
        peaked = curved & (rng.random(n) < 0.5)
        traits[f"peak_{signal}"] = np.where(peaked, rng.normal(0.3, 0.8, n), np.nan)
    return traits
