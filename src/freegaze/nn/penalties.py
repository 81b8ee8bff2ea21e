"""Penalties on weights that know where they look."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def roughness(
    fields: Float[Tensor, "lag neuron height width"],
) -> Float[Tensor, " neuron"]:
    """Return the sum of squared differences between neighbors in time, height and width.

    Args:
        fields: Receptive fields, one picture a lag.
    """
    total = fields.diff(dim=2).square().sum((0, 2, 3)) + fields.diff(dim=3).square().sum((0, 2, 3))
    return total + fields.diff(dim=0).square().sum((0, 2, 3))


def curvature(filters: Float[Tensor, "channel plane height width"]) -> Float[Tensor, ""]:
    """Return how rough filters are, whatever their size: 0 flat, 20 on average for white noise.

    Args:
        filters: Filters; planes are treated alike.

    Returns:
        Sum of squares of the filters' discrete Laplacians, over the sum of squares of the filters.
        Outside a filter is zero.

    Source: neuralpredictors, the penalty ``LaplaceL2norm``; its core of Willeke et al. (2022).
    """
    kernel = filters.new_tensor([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]])
    planes = filters.flatten(0, 1).unsqueeze(1)
    rough = F.conv2d(planes, kernel[None, None], padding=1)
    return rough.square().sum() / filters.square().sum()
