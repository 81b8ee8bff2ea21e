"""States that no instrument records: a fast and a slow latent that neurons share, and drift."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from freegaze.simulation.processes import ornstein_uhlenbeck, slow_process
from freegaze.simulation.vm2.neurons import Neurons
from freegaze.standard_scores import standardize

FAST_S, SLOW_S, DRIFT_S = 0.8, 60.0, 300.0
"""Time constants; the slow latent is arousal beyond what the pupil shows."""


def draw_latents(
    neurons: Neurons, n_steps: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "step n"], Float[np.ndarray, " step"]]:
    """Draw what multiplies rates unseen.

    Args:
        neurons: The neurons.
        n_steps: Length.
        rng: Source of randomness.

    Returns:
        Logarithm of the factor on each rate, and the fast latent.
    """
    fast = standardize(ornstein_uhlenbeck(rng, n_steps, FAST_S)[:, 0])
    slow = slow_process(rng, n_steps, SLOW_S, 2.0)
    drift = standardize(ornstein_uhlenbeck(rng, n_steps, DRIFT_S, len(neurons.kind)))
    log_factor = drift * neurons.drift_coefficient
    log_factor += fast[:, None] * neurons.latent_coefficient
    log_factor += slow[:, None] * neurons.slow_latent_coefficient
    return log_factor.astype(np.float32), fast
