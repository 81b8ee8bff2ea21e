"""Penalties on weights that know where they look."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def roughness(
    fields: Float[Tensor, "lag neuron height width"],
) -> Float[Tensor, " neuron"]:
    """Return the sum of squared differences between neighbors in time, height and width.

    Args:
        fields: Receptive fields, one picture a lag.
    """
    total = fields.diff(dim=2).square().sum((0, 2, 3)) + fields.diff(dim=3).square().sum((0, 2, 3))
    return total + fields.diff(dim=0).square().sum((0, 2, 3))
