"""Linear weights over the bins of a window."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

START = (0.4, 0.5, 0.1)
"""First weights of the last bin and the two before: cortex responds after some 50 to 150 ms, one to
three bins of 48 ms."""

GAIN = 5.0
"""Kernels are stored divided by this, so that an optimizer with equal steps for every weight moves
them faster: a kernel has few weights and has to find its latency before filters can settle. On a
simulated session with known gaze, start and gain together raised the share of the attainable
correlation after five passes from 0.57 to 0.64."""


class TemporalKernels(nn.Module):
    """Sums each neuron's own streams over the bins of a window with its own weights.

    Args:
        history: Bins of a window.
        n_streams: Numbers per neuron and bin.
        n_neurons: Number of neurons.
    """

    def __init__(self, history: int, n_streams: int, n_neurons: int) -> None:
        super().__init__()
        start = torch.zeros(history)
        latest = torch.tensor(START[:history]).flip(0)
        start[-len(latest) :] = latest / latest.sum()
        self.stored = nn.Parameter((start / GAIN)[:, None, None].repeat(1, n_streams, n_neurons))

    @property
    def weight(self) -> Float[Tensor, "history stream neuron"]:
        """The kernels."""
        return GAIN * self.stored

    def forward(
        self, streams: Float[Tensor, "batch history stream neuron"]
    ) -> Float[Tensor, "batch neuron"]:
        """Return one number per neuron."""
        return (streams * self.weight).sum((1, 2))


class LaggedLinear(nn.Module):
    """A linear map of a whole window in two steps, so that overlapping windows share the first.

    Every frame is weighed once for each position that it can have in a window. A window is then the
    sum over its bins of the numbers for their positions.

    Args:
        bins: Positions in a window that have weights, from 0.
        n_inputs: Numbers per bin.
        n_outputs: Numbers per window.
        scale: Weights are stored divided by this. With ``n_inputs ** -0.5`` a step that moves all
            weights of many alike inputs together changes the sum as little as a step of few.
    """

    def __init__(
        self, bins: Sequence[int], n_inputs: int, n_outputs: int, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.bins = list(bins)
        self.n_outputs = n_outputs
        self.scale = scale
        self.weight = nn.Parameter(torch.zeros(len(self.bins), n_outputs, n_inputs))

    def forward(self, inputs: Float[Tensor, "batch input"]) -> Float[Tensor, "batch drive"]:
        """Weigh each bin's inputs for each position, (batch, position * output)."""
        return inputs @ self.scaled_weight().flatten(0, 1).T.to(inputs.dtype)

    def scaled_weight(self) -> Float[Tensor, "place output input"]:
        """Return the weights in units of the output."""
        return self.scale * self.weight

    def sum_window(
        self, drives: Float[Tensor, "batch history drive"]
    ) -> Float[Tensor, "batch output"]:
        """Sum the result of ``forward`` of each bin of a window at the bin's position."""
        by_place = drives.unflatten(2, (len(self.bins), self.n_outputs))
        return torch.stack([by_place[:, b, i] for i, b in enumerate(self.bins)]).sum(0)
