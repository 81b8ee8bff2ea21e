"""Picking a part's behavior features out of all features by position."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Columns(nn.Module):
    """Selects features; the positions move with the module to its device.

    Args:
        positions: Positions among all features, in the order in which the part wants them.
    """

    positions: Tensor

    def __init__(self, positions: list[int]) -> None:
        super().__init__()
        self.register_buffer("positions", torch.tensor(positions), persistent=False)

    def forward(
        self, behavior: Float[Tensor, "*batch feature"]
    ) -> Float[Tensor, "*batch selected"]:
        """Return the selected features."""
        return behavior.index_select(-1, self.positions)
