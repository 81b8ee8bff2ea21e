"""Independent sources of randomness, one for each part of the virtual mouse."""

from __future__ import annotations

import numpy as np

STREAMS = (
    *("world", "walk", "head", "eye", "loss", "noise"),
    *("population", "latent", "drift", "spikes", "redraws"),
)
"""Each part has its own stream, so that none depends on how much another draws: more neurons, or a
noisier eye, leave the path as it is. The order is part of the version."""


def random_streams(seed: int) -> dict[str, np.random.Generator]:
    """Return the sources of randomness of a session, by the name of the part.

    Args:
        seed: Seed of the session.

    Returns:
        One generator for each of ``STREAMS``.
    """
    children = np.random.SeedSequence(seed).spawn(len(STREAMS))
    return {
        name: np.random.default_rng(child) for name, child in zip(STREAMS, children, strict=True)
    }
