"""The population: parameters of each neuron, drawn once at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from freegaze.simulation.camera import deg_per_px, pixel_grid
from freegaze.simulation.processes import STEP_S

KIND_SHARES = {"simple": 60, "complex": 40}
"""Percent of the neurons; of those without visual drive the kind is only a name."""

MODULATION_SHARES = {
    "multiplicative": 30,
    "additive": 15,
    "mixed": 15,
    "visual_only": 25,
    "behavior_only": 10,
    "untuned": 5,
}
"""Percent of the neurons by how behavior acts on them."""

VISUAL = ("multiplicative", "additive", "mixed", "visual_only")
GAIN_MODULATED = ("multiplicative", "mixed")
POSITION_MODULATED = ("additive", "mixed", "behavior_only")
GAIN_SIGNALS = ("speed", "pupil_radius")
POSITION_SIGNALS = ("pitch", "roll", "theta", "phi")

FREQUENCY_CPD = (0.02, 0.08)
"""Spatial frequencies in mouse V1, cycles per degree."""

SIGMA_DEG = (4.5, 13.0)
"""Envelope of receptive fields in mouse V1: some 10 to 30 degrees across."""

LATENCY_S = (0.06, 0.15)
"""Peak latency; below 60 ms much of the kernel would lie within the bin that is to be predicted."""

RATE_RANGE_HZ = (0.5, 20.0)
RATE_MEDIAN_HZ, RATE_LOG_SD = 4.3, 0.85
"""Mean rates: 63 % above the 3 Hz filter, as 68 of 108, 32 of 52 and 49 of 63 in the real
sessions."""

LUMINANCE_WEIGHT = (0.0, 0.8)
"""Height of the envelope that is added to the receptive field of a simple cell, of either sign.
Neurons in mouse V1 respond to brightness as well as to contrast. The brightness of the walls makes
rates vary over seconds."""

KERNEL_STEPS = 20
"""Length of the temporal kernel: 0.32 s, about the six bins that models look back."""

NORMALIZED_SHARE, SURROUND_SHARE = 0.3, 0.3
"""Shares of visual neurons with divisive contrast gain and with a suppressive surround."""


@dataclass(frozen=True)
class Population:
    """Fixed properties of the neurons; first axis neuron everywhere.

    Args:
        kind: "simple" or "complex".
        modulation: One of ``MODULATION_SHARES``.
        receptive_field: Gabor on the retina in cosine and sine phase, (n, 2, height, width), unit
            norm; zero where there is no visual drive, and in sine phase for simple cells.
        pool: Weights over which local contrast is measured, (n, height, width), sum 1; zero where
            none.
        pool_strength: Strength with which that contrast divides the drive.
        temporal_kernel: Response to a flash at each step after it, (n, KERNEL_STEPS).
        latency_s: Time of the kernel's peak.
        threshold: Drive, in standard deviations, at which firing starts.
        steepness: Exponent of the nonlinearity.
        baseline: Share of the visual part of the rate that fires without a stimulus.
        behavior_coefficients: For each signal, what a standard deviation of it adds: to the log
            gain (speed, pupil_radius) or to the drive of position tuning (pitch, roll, theta, phi).
        position_share: Share of the mean rate that comes from position tuning.
        mean_rate_hz: Mean rate.
        latent_coefficient: Effect of the shared latent on the log rate.
        drift_coefficient: Standard deviation of the slow drift of the log rate.
    """

    kind: np.ndarray
    modulation: np.ndarray
    receptive_field: np.ndarray
    pool: np.ndarray
    pool_strength: np.ndarray
    temporal_kernel: np.ndarray
    latency_s: np.ndarray
    threshold: np.ndarray
    steepness: np.ndarray
    baseline: np.ndarray
    behavior_coefficients: Mapping[str, np.ndarray]
    position_share: np.ndarray
    mean_rate_hz: np.ndarray
    latent_coefficient: np.ndarray
    drift_coefficient: np.ndarray


def largest_remainder(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Divide a whole number by shares; what rounding leaves goes to the largest remainders.

    Args:
        shares: Positive weights by name.
        total: Number to divide.

    Returns:
        Whole numbers by name that add up to ``total``.

    Example:
        >>> largest_remainder({"a": 60, "b": 40}, 7)
        {'a': 4, 'b': 3}
    """
    whole = sum(shares.values())
    exact = {name: total * share / whole for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def unit_names(n_neurons: int) -> tuple[str, ...]:
    """Return the ``unit_id`` of each neuron."""
    return tuple(f"unit_{i:03d}" for i in range(n_neurons))


def make_population(
    n_neurons: int,
    frame_size: tuple[int, int],
    rng: np.random.Generator,
    *,
    is_vision_only: bool = False,
    latent_strength: float = 0.0,
    drift_strength: float = 0.0,
) -> Population:
    """Draw the neurons of a session.

    Args:
        n_neurons: Number of neurons.
        frame_size: (height, width) of the retinal frame.
        rng: Source of randomness.
        is_vision_only: Make every neuron "visual_only" (the track ``null``).
        latent_strength: Median over neurons of the coefficient on the latent signal they share.
        drift_strength: Median over neurons of the standard deviation of slow drift.

    Returns:
        The population.
    """
    shares = {"visual_only": 1} if is_vision_only else MODULATION_SHARES
    kind = _assign(KIND_SHARES, n_neurons, rng)
    modulation = _assign(shares, n_neurons, rng)
    is_visual = np.isin(modulation, VISUAL)
    fields, pool = _receptive_fields(kind == "simple", frame_size, rng)
    fields[kind == "simple", 1] = 0.0
    fields[~is_visual] = 0.0
    pool_strength = _pool_strength(n_neurons, rng) * is_visual
    pool[pool_strength == 0] = 0.0
    latency = rng.uniform(*LATENCY_S, n_neurons)
    quantiles = ndtri((rng.permutation(n_neurons) + 0.5) / n_neurons)
    mean_rate = np.clip(RATE_MEDIAN_HZ * np.exp(RATE_LOG_SD * quantiles), *RATE_RANGE_HZ)
    return Population(
        kind=kind,
        modulation=modulation,
        receptive_field=fields,
        pool=pool,
        pool_strength=pool_strength,
        temporal_kernel=_temporal_kernels(latency, rng),
        latency_s=latency,
        threshold=rng.uniform(-0.5, 0.5, n_neurons),
        steepness=rng.uniform(1.0, 1.4, n_neurons),
        baseline=rng.uniform(0.48, 0.82, n_neurons),
        behavior_coefficients=_behavior_coefficients(modulation, rng),
        position_share=_position_share(modulation, rng),
        mean_rate_hz=mean_rate,
        latent_coefficient=latent_strength * rng.lognormal(0.0, 0.5, n_neurons),
        drift_coefficient=drift_strength * rng.lognormal(0.0, 0.5, n_neurons),
    )


def _assign(shares: Mapping[str, float], n: int, rng: np.random.Generator) -> np.ndarray:
    counts = largest_remainder(shares, n)
    return rng.permutation(np.repeat(list(counts), list(counts.values())))


def _receptive_fields(
    is_simple: np.ndarray, frame_size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Gabors in two phases, and the pools (own size or 2.5 times that) around them."""
    n = len(is_simple)
    x, y = (pixel_grid(frame_size) * deg_per_px(frame_size)).T
    # Uniform in an ellipse that leaves room for the eye's movements within the camera's 120 x 90
    # degrees.
    radius, direction = np.sqrt(rng.random(n)), 2 * np.pi * rng.random(n)
    center_x, center_y = 26.0 * radius * np.cos(direction), 16.0 * radius * np.sin(direction)
    frequency = np.exp(rng.uniform(np.log(FREQUENCY_CPD[0]), np.log(FREQUENCY_CPD[1]), n))
    sigma = np.clip(rng.uniform(0.25, 0.45, n) / frequency, *SIGMA_DEG)
    aspect, tilt = rng.uniform(0.7, 1.2, n), np.pi * rng.random(n)
    phase = 2 * np.pi * rng.random(n)
    dx, dy = x - center_x[:, None], y - center_y[:, None]
    along = dx * np.cos(tilt)[:, None] + dy * np.sin(tilt)[:, None]
    across = dy * np.cos(tilt)[:, None] - dx * np.sin(tilt)[:, None]
    distance2 = along**2 + (across * aspect[:, None]) ** 2
    envelope = np.exp(-distance2 / (2 * sigma[:, None] ** 2))
    wave = 2 * np.pi * frequency[:, None] * along + phase[:, None]
    gabors = envelope[:, None] * np.stack([np.cos(wave), np.sin(wave)], axis=1)
    luminance = rng.uniform(*LUMINANCE_WEIGHT, n) * rng.choice([-1.0, 1.0], n) * is_simple
    gabors += (luminance[:, None] * envelope)[:, None]
    gabors /= np.linalg.norm(gabors, axis=(1, 2), keepdims=True) / np.sqrt(2)
    width = sigma * np.where(
        rng.random(n) < SURROUND_SHARE / (SURROUND_SHARE + NORMALIZED_SHARE), 2.5, 1.0
    )
    pool = np.exp(-(dx**2 + dy**2) / (2 * width[:, None] ** 2))
    pool /= pool.sum(axis=1, keepdims=True)
    return gabors.reshape(n, 2, *frame_size), pool.reshape(n, *frame_size)


def _pool_strength(n: int, rng: np.random.Generator) -> np.ndarray:
    has_pool = rng.random(n) < NORMALIZED_SHARE + SURROUND_SHARE
    return np.where(has_pool, rng.uniform(0.5, 2.0, n), 0.0)


def _temporal_kernels(latency_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Biphasic kernels: a positive lobe at the latency, a weaker negative one 50 to 90 ms later."""
    time = (np.arange(KERNEL_STEPS) + 0.5) * STEP_S
    n = len(latency_s)
    width = 0.012 + 0.12 * latency_s
    undershoot, later = rng.uniform(0.2, 0.6, n), latency_s + rng.uniform(0.05, 0.09, n)

    def lobe(center: np.ndarray, sd: np.ndarray) -> np.ndarray:
        bump = np.exp(-((time - center[:, None]) ** 2) / (2 * sd[:, None] ** 2))
        return bump / bump.sum(axis=1, keepdims=True)

    return lobe(latency_s, width) - undershoot[:, None] * lobe(later, 1.4 * width)


def _behavior_coefficients(
    modulation: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    n = len(modulation)
    has_gain = np.isin(modulation, GAIN_MODULATED)
    has_position = np.isin(modulation, POSITION_MODULATED)
    # Walking and arousal mostly raise rates in V1, so that gains are positive on average.
    gains = {s: np.where(has_gain, rng.normal(0.3, 0.2, n), 0.0) for s in GAIN_SIGNALS}
    positions = {s: np.where(has_position, rng.normal(0.0, 0.55, n), 0.0) for s in POSITION_SIGNALS}
    return gains | positions


def _position_share(modulation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    share = np.where(
        np.isin(modulation, POSITION_MODULATED), rng.uniform(0.2, 0.45, len(modulation)), 0.0
    )
    return np.where(modulation == "behavior_only", 1.0, share)
