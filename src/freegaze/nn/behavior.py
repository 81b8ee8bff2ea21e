"""Behavior encoder: from behavior features to numbers per neuron."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from freegaze.nn.fast.batch_norm import BatchNorm1d


class BehaviorEncoder(nn.Module):
    """Weighs behavior features for every neuron.

    Args:
        n_features: Number of features.
        n_neurons: Number of neurons.
        is_normalized: Whether features are batch-normalized first, as in the original; standardized
            features do not need it.
        n_outputs: Numbers per neuron; all neurons' first ones come first, then their second ones.

    Source: Xu et al. (2023), code.
    """

    def __init__(
        self, n_features: int, n_neurons: int, is_normalized: bool, n_outputs: int = 1
    ) -> None:
        super().__init__()
        self.n_outputs = n_outputs
        self.norm = BatchNorm1d(n_features) if is_normalized else None
        self.linear = nn.Linear(n_features, n_outputs * n_neurons)

    def forward(self, behavior: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch output"]:
        """Return ``n_outputs`` numbers per neuron."""
        return self.linear(behavior if self.norm is None else self.norm(behavior))
