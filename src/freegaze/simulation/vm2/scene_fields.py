"""Receptive fields learned from scenes: independent components of patches of dead leaves.

The scenes are textures of boxes that no session has. The basis is the same in all sessions.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.ndimage import map_coordinates

from freegaze.simulation.world import make_world

SCENE_SEED = 20_262
"""Fixed, so that all sessions have the same basis."""

PATCH_PX, N_PATCHES, N_ITERATIONS = 12, 6000, 25
"""Side of a patch in texels, patches, and steps of the fixed-point iteration."""

WHITENING_SHARE = 0.02
"""Ridge on the variance of each direction, of the mean variance: noise is not amplified."""


@lru_cache(maxsize=1)
def scene_basis() -> Float[np.ndarray, "n side side"]:
    """Learn a basis of patches of scenes by symmetric independent component analysis.

    Whitening is symmetric (no signs or order of eigenvectors to be chosen), so that the basis is
    the same on every machine up to rounding.

    Returns:
        Filters of zero mean and unit norm, at most one per pixel of a patch; those that are
        spread over the whole patch, so that it would cut them off, are left out.

    Source:
        Hyvarinen (1999), doi:10.1109/72.761722, fixed-point iteration with tanh.

    Example:
        >>> basis = scene_basis()
        >>> basis.shape[1:], bool(len(basis) > 40)
        ((12, 12), True)
    """
    rng = np.random.default_rng(SCENE_SEED)
    patches = _patches(rng)
    covariance = patches.T @ patches / len(patches)
    values, vectors = np.linalg.eigh(covariance)
    scale = 1 / np.sqrt(np.maximum(values, 0.0) + WHITENING_SHARE * values.mean())
    whitening = (vectors * scale) @ vectors.T
    white = patches @ whitening
    weights = _symmetric(rng.standard_normal((patches.shape[1],) * 2))
    for _ in range(N_ITERATIONS):
        shaped = np.tanh(white @ weights.T)
        slope = (1 - shaped**2).mean(axis=0)
        weights = _symmetric(shaped.T @ white / len(white) - slope[:, None] * weights)
    filters = weights @ whitening
    filters -= filters.mean(axis=1, keepdims=True)
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    basis = _compact(filters.reshape(-1, PATCH_PX, PATCH_PX))
    basis.setflags(write=False)
    return basis


def place_patch(
    patch: Float[np.ndarray, "side side"],
    points_deg: Float[np.ndarray, "pixel 2"],
    center_deg: tuple[float, float],
    size_deg: float,
    turn_rad: float,
) -> Float[np.ndarray, " pixel"]:
    """Draw a patch on the retina, its middle of energy at the center.

    Args:
        patch: The patch.
        points_deg: Places (x, y) of the pixels.
        center_deg: Where the patch's middle of energy goes.
        size_deg: Side of the patch.
        turn_rad: Angle by which it is turned.

    Returns:
        Values at the pixels; 0 outside of the patch, fading within its outer quarter.
    """
    offset = (points_deg - np.asarray(center_deg)) / size_deg * len(patch)
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)
    x = cos * offset[:, 0] + sin * offset[:, 1]
    y = cos * offset[:, 1] - sin * offset[:, 0]
    middle = _middle(patch)
    values = map_coordinates(patch, [y + middle[0], x + middle[1]], order=1, cval=0.0)
    distance = np.hypot(x, y) / (0.5 * len(patch))
    fade = np.clip((1.25 - distance) / 0.5, 0.0, 1.0)
    return values * fade


def _patches(rng: np.random.Generator) -> np.ndarray:
    """Cut patches of zero mean out of the textures of a box."""
    world = make_world(rng)
    rows = world.atlas.shape[0] // world.n_levels
    texture = world.atlas[:rows].numpy().astype(np.float64)
    tops = rng.integers(0, rows - PATCH_PX, 2 * N_PATCHES)
    lefts = rng.integers(0, texture.shape[1] - PATCH_PX, 2 * N_PATCHES)
    cut = np.lib.stride_tricks.sliding_window_view(texture, (PATCH_PX, PATCH_PX))[tops, lefts]
    flat = cut.reshape(len(cut), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    # The atlas repeats its last column where faces are narrower: no structure, no patch.
    return flat[np.linalg.norm(flat, axis=1) > 0.3][:N_PATCHES]


def _symmetric(weights: np.ndarray) -> np.ndarray:
    """Make rows orthonormal without preferring any."""
    values, vectors = np.linalg.eigh(weights @ weights.T)
    return (vectors / np.sqrt(np.maximum(values, 1e-12))) @ vectors.T @ weights


def _middle(patch: np.ndarray) -> np.ndarray:
    energy = patch**2 / (patch**2).sum()
    places = np.arange(len(patch))
    return np.array([energy.sum(axis=1) @ places, energy.sum(axis=0) @ places])


def _compact(filters: np.ndarray) -> np.ndarray:
    """Keep filters whose energy lies within a third of the patch around its own middle."""
    places = np.mgrid[:PATCH_PX, :PATCH_PX]
    spread = []
    for patch in filters:
        away = np.hypot(*(places - _middle(patch)[:, None, None]))
        spread.append(np.sqrt((patch**2 * away**2).sum()))
    return filters[np.array(spread) < PATCH_PX / 3]
