"""Receptive fields of VM-2 on the retina, and the pools that divide the drive."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from freegaze.simulation.camera import deg_per_px, pixel_grid
from freegaze.simulation.vm2.scene_fields import place_patch, scene_basis

FREQUENCY_CPD, SIGMA_DEG = (0.01, 0.05), (7.0, 20.0)
"""Spatial frequencies and envelopes; fields in mouse V1 are 10 to 40 degrees across."""

PATCH_DEG = (30.0, 70.0)
"""Side of the patch that a learned field fills."""

LUMINANCE_WEIGHT = (0.5, 2.0)
"""Height of the envelope that is added to the field of a neuron of one phase, of either sign."""

NORMALIZED_SHARE, SURROUND_SHARE = 0.35, 0.35
"""Shares of neurons that their own contrast divides, and that of a surround."""

CENTER_RANGE_DEG = (26.0, 16.0)
"""Half axes of the ellipse of centers, which leaves room for the movements of the eye."""


def draw_fields(
    family: np.ndarray,
    has_scene_fields: bool,
    frame_size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "n 2 height width"], Float[np.ndarray, "n height width"], np.ndarray]:
    """Draw fields in two phases, pools, and how strongly the contrast of a pool divides.

    Args:
        family: Family of each neuron.
        has_scene_fields: Whether neurons of the family "natural" have learned fields; Gabor fields
            of the same place otherwise.
        frame_size: (height, width) of the retinal frame.
        rng: Source of randomness.

    Returns:
        Fields of unit norm, the second phase zero for neurons of one phase; pools of sum 1; the
        strength of division (0 where there is none).
    """
    n = len(family)
    points = pixel_grid(frame_size) * deg_per_px(frame_size)
    radius, direction = np.sqrt(rng.random(n)), 2 * np.pi * rng.random(n)
    center = radius[:, None] * np.column_stack([np.cos(direction), np.sin(direction)])
    center *= CENTER_RANGE_DEG
    low, high = np.log(FREQUENCY_CPD)
    frequency = np.exp(rng.uniform(low, high, n))
    sigma = np.clip(rng.uniform(0.25, 0.45, n) / frequency, *SIGMA_DEG)
    aspect, tilt = rng.uniform(0.7, 1.2, n), np.pi * rng.random(n)
    phase = 2 * np.pi * rng.random(n)
    dx, dy = (points[:, i] - center[:, i, None] for i in range(2))
    along = dx * np.cos(tilt)[:, None] + dy * np.sin(tilt)[:, None]
    across = dy * np.cos(tilt)[:, None] - dx * np.sin(tilt)[:, None]
    squared = along**2 + (across * aspect[:, None]) ** 2
    envelope = np.exp(-squared / (2 * sigma[:, None] ** 2))
    wave = 2 * np.pi * frequency[:, None] * along + phase[:, None]
    fields = envelope[:, None] * np.stack([np.cos(wave), np.sin(wave)], axis=1)
    has_one = np.isin(family, ("simple", "natural"))
    basis = scene_basis() if has_scene_fields else None
    size, turn, choice = rng.uniform(*PATCH_DEG, n), 2 * np.pi * rng.random(n), rng.random(n)
    if basis is not None:
        for i in np.flatnonzero(family == "natural"):
            patch = basis[int(choice[i] * len(basis))]
            where = (float(center[i, 0]), float(center[i, 1]))
            learned = place_patch(patch, points, where, float(size[i]), float(turn[i]))
            fields[i, 0] = learned / np.linalg.norm(learned) * np.linalg.norm(fields[i, 0])
    luminance = rng.uniform(*LUMINANCE_WEIGHT, n) * rng.choice([-1.0, 1.0], n) * has_one
    fields[:, 0] += luminance[:, None] * envelope
    fields[has_one, 1] = 0.0
    fields /= np.sqrt((fields**2).sum(axis=(1, 2), keepdims=True) / (2 - has_one)[:, None, None])
    kind = rng.random(n)
    width = sigma * np.where(kind < NORMALIZED_SHARE, 1.0, 2.5)
    pool = np.exp(-(dx**2 + dy**2) / (2 * width[:, None] ** 2))
    pool /= pool.sum(axis=1, keepdims=True)
    strength = np.where(kind < NORMALIZED_SHARE + SURROUND_SHARE, rng.uniform(0.5, 2.5, n), 0.0)
    return fields.reshape(n, 2, *frame_size), pool.reshape(n, *frame_size), strength
