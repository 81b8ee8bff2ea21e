"""Penalties on the roughness of filters and receptive fields."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def roughness(
    fields: Float[Tensor, "lag neuron height width"],
) -> Float[Tensor, " neuron"]:
    """Return the sum of squared differences between neighbors in time, height and width.

    Args:
        fields: Receptive fields, one frame per lag.
    """
    total = fields.diff(dim=2).square().sum((0, 2, 3)) + fields.diff(dim=3).square().sum((0, 2, 3))
    return total + fields.diff(dim=0).square().sum((0, 2, 3))


def curvature(filters: Float[Tensor, "channel plane height width"]) -> Float[Tensor, ""]:
    """Return how rough filters are, whatever their size: 0 flat, 20 on average for white noise.

    Args:
        filters: Filters; all input channels are treated the same.

    Returns:
        Sum of squares of the filters' discrete Laplacians, over the sum of squares of the filters.
        Outside a filter is zero.

    Source: the penalty ``LaplaceL2norm`` of the package neuralpredictors, which Willeke et al.
    (2022) apply to their core.
    """
    padded = F.pad(filters, (1, 1, 1, 1))
    down, across = padded[..., 1:-1].diff(n=2, dim=-2), padded[..., 1:-1, :].diff(n=2, dim=-1)
    rough = down + across
    return rough.square().sum() / filters.square().sum()
