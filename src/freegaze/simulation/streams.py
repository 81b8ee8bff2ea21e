"""Independent sources of randomness, one for each part of the virtual mouse."""

from __future__ import annotations

import numpy as np

STREAMS = (
    *("world", "walk", "head", "eye", "loss", "noise"),
    *("population", "latent", "drift", "spikes", "redraws"),
)
"""Each part has its own stream, so that none depends on how much another draws: more neurons, or a
noisier eye, leave the path as it is. The order is part of the version."""


STREAMS_2 = (*STREAMS, "gaze_shifts", "calibration", "averaging", "instruments")
"""Parts of ``VM-2``."""


def random_streams(seed: int, mouse: str = "VM-1") -> dict[str, np.random.Generator]:
    """Return the sources of randomness of a session, by the name of the part.

    Args:
        seed: Seed of the session.
        mouse: "VM-1" or "VM-2"; the same seed gives another session in each.

    Returns:
        One generator for each of ``STREAMS``, or for VM-2 of ``STREAMS_2``.
    """
    names, root = (STREAMS, seed) if mouse == "VM-1" else (STREAMS_2, [2, seed])
    children = np.random.SeedSequence(root).spawn(len(names))
    return {name: np.random.default_rng(child) for name, child in zip(names, children, strict=True)}
