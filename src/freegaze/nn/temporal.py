"""Linear temporal kernels, one a neuron."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class TemporalKernels(nn.Module):
    """Sums each neuron's own streams over the bins of a window with its own weights.

    Args:
        history: Bins of a window.
        n_streams: Numbers a neuron and bin.
        n_neurons: Number of neurons.
    """

    def __init__(self, history: int, n_streams: int, n_neurons: int) -> None:
        super().__init__()
        # An even average to start from, so that every stream is heard from the first step on.
        self.weight = nn.Parameter(torch.full((history, n_streams, n_neurons), 1 / history))

    def forward(
        self, streams: Float[Tensor, "batch history stream neuron"]
    ) -> Float[Tensor, "batch neuron"]:
        """Return one number a neuron."""
        return (streams * self.weight).sum((1, 2))
