"""Selection of a part's behavior features by position."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from freegaze.dataset.dims import EncoderDims


class Columns(nn.Module):
    """Selects the behavior features that a part reads.

    Args:
        dims: Sizes and names of the session.
        features: Features by set or by name, in the order in which the part reads them.
        part: The part's name, for messages.

    Raises:
        ConfigError: If the session lacks one of them.
    """

    positions: Tensor

    def __init__(self, dims: EncoderDims, features: str | Sequence[str], part: str) -> None:
        super().__init__()
        positions = dims.columns(features, part)
        self.n_features = len(positions)
        self.register_buffer(
            "positions", torch.tensor(positions, dtype=torch.int64), persistent=False
        )

    def forward(
        self, behavior: Float[Tensor, "*batch feature"]
    ) -> Float[Tensor, "*batch selected"]:
        """Return the selected features."""
        return behavior.index_select(-1, self.positions)
