"""A gated recurrent unit from plain tensor operations."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class GatedRecurrentUnit(nn.Module):
    """Reads a short window and returns its last hidden state, starting from zeros.

    Same mathematics and parameters as ``torch.nn.GRU`` with one layer. Plain operations can be
    differentiated in evaluation mode on a GPU, mapped by ``torch.func``, and run in mixed
    precision, none of which holds for the built-in; for windows of a few bins they are as fast.

    Args:
        n_inputs: Numbers per bin.
        n_hidden: Size of the hidden state.
    """

    def __init__(self, n_inputs: int, n_hidden: int) -> None:
        super().__init__()
        self.input_weight = nn.Parameter(torch.empty(3 * n_hidden, n_inputs))
        self.hidden_weight = nn.Parameter(torch.empty(3 * n_hidden, n_hidden))
        self.input_bias = nn.Parameter(torch.empty(3 * n_hidden))
        self.hidden_bias = nn.Parameter(torch.empty(3 * n_hidden))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(n_hidden**-0.5), n_hidden**-0.5)  # as torch.nn.GRU

    def forward(self, inputs: Float[Tensor, "batch time feature"]) -> Float[Tensor, "batch hidden"]:
        """Return the hidden state after the last bin of each window."""
        from_inputs = F.linear(inputs, self.input_weight, self.input_bias)
        hidden = from_inputs.new_zeros(len(inputs), self.hidden_weight.shape[1])
        for now in from_inputs.unbind(1):
            hidden = self._step(now, hidden)
        return hidden

    def _step(self, from_inputs: Tensor, hidden: Tensor) -> Tensor:
        n_hidden = hidden.shape[1]
        from_hidden = F.linear(hidden, self.hidden_weight, self.hidden_bias)
        gates = torch.sigmoid(from_inputs[:, : 2 * n_hidden] + from_hidden[:, : 2 * n_hidden])
        reset, keep = gates.chunk(2, dim=1)
        new = torch.tanh(from_inputs[:, 2 * n_hidden :] + reset * from_hidden[:, 2 * n_hidden :])
        return torch.lerp(new, hidden, keep)
