"""Response links: unbounded numbers to expected responses, and their inverses."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Link = Literal["softplus", "elu1", "relu", "identity"]

LOWEST_MEAN_RESPONSE = 1e-3
"""A silent neuron starts here instead of at minus infinity: one event in 1,000 bins."""


def apply_link(values: Tensor, link: Link) -> Tensor:
    """Turn a readout's values into expected responses per bin.

    Args:
        values: Any shape.
        link: ``"softplus"`` for counts and inferred spikes, ``"elu1"`` (ELU + 1) likewise in
            Willeke et al. (2022), ``"identity"`` for fluorescence, ``"relu"`` as in Parker et al.
            (2022).
    """
    if link == "softplus":
        return F.softplus(values)
    if link == "elu1":
        return F.elu(values) + 1
    return F.relu(values) if link == "relu" else values


def invert_link(mean_response: Tensor, link: Link) -> Tensor:
    """Return the value whose expected response is ``mean_response``, to start a bias from.

    Args:
        mean_response: Mean response per bin of each neuron.
        link: The link that will be applied.
    """
    if link in ("relu", "identity"):
        return mean_response.clone()
    at_least = mean_response.clamp_min(LOWEST_MEAN_RESPONSE)
    if link == "elu1":
        return torch.where(at_least > 1, at_least - 1, at_least.log())
    return torch.log(torch.expm1(at_least))
