"""Gaussian readout: one position of the maps per neuron, learned by sampling around it."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.nn.readouts import ChannelReadout
from freegaze.nn.sampling import sample_bilinear


class GaussianReadoutConfig(StrictConfig):
    """First positions of neurons, and the penalty on their weights.

    Positions run from -1 to 1 across the maps.

    Args:
        kind: ``"gaussian"``.
        position_range: Neurons start at positions drawn evenly from minus to plus this.
        spread_range: Elements of the matrix that spreads a neuron's samples start between minus and
            plus this.
        l1: Weight of the sum of absolute feature weights of all neurons.
    """

    kind: Literal["gaussian"] = "gaussian"
    position_range: PositiveFloat = 0.3
    spread_range: PositiveFloat = 0.1
    l1: float = Field(default=0.0, ge=0)

    @classmethod
    def paper(cls) -> GaussianReadoutConfig:
        """Return the settings of the Sensorium competition's baseline.

        Source: Willeke et al. (2022), code; Xu et al. (2023), code.
        """
        return cls(l1=0.0076)

    def build(
        self, map_size: tuple[int, int, int], n_neurons: int, has_bias: bool
    ) -> GaussianReadout:
        """Build the readout."""
        return GaussianReadout(
            map_size[0], n_neurons, has_bias, self.position_range, self.spread_range, self.l1
        )


class GaussianReadout(ChannelReadout):
    """Reads the channels at one point per neuron.

    In training the point is drawn around the neuron's mean position for each image, so that the
    position gets a gradient from as far as the spread reaches; otherwise it is the mean position.

    Args:
        n_channels: Channels of the maps.
        n_neurons: Number of neurons.
        has_bias: Whether each neuron has a bias.
        position_range: See ``GaussianReadoutConfig``.
        spread_range: See ``GaussianReadoutConfig``.
        l1: See ``GaussianReadoutConfig``.

    Source: Lurz et al. (2021), "Generalization in data-driven models of primary visual cortex",
        with a full covariance.
    """

    def __init__(
        self,
        n_channels: int,
        n_neurons: int,
        has_bias: bool,
        position_range: float,
        spread_range: float,
        l1: float,
    ) -> None:
        super().__init__()
        self.position = nn.Parameter(_uniform((n_neurons, 2), position_range))
        self.spread = nn.Parameter(_uniform((n_neurons, 2, 2), spread_range))
        self.add_weights(n_channels, n_neurons, has_bias, l1)

    def forward(
        self,
        maps: Float[Tensor, "batch channel h w"],
        offset: Float[Tensor, "batch 2"] | None = None,
    ) -> Float[Tensor, "batch neuron"]:
        """Return one number per neuron.

        Args:
            maps: Feature maps.
            offset: Shift (x, y) of all positions in each frame. The maps are zero outside.
        """
        points = self._points(len(maps))
        if offset is not None:
            points = points + offset[:, None]
        grid = points.unsqueeze(2).to(maps.dtype)
        return self.weigh(sample_bilinear(maps, grid).squeeze(3))

    def constrain(self) -> None:
        """Return positions that left the maps to their edge."""
        self.position.data.clamp_(-1, 1)

    def _points(self, n_images: int) -> Float[Tensor, "batch neuron 2"]:
        position = self.position.expand(n_images, -1, -1)
        if not self.training:
            return position
        noise = torch.randn_like(position)
        drawn = position + torch.einsum("nij,bnj->bni", self.spread, noise)
        return drawn.clamp(-1, 1)


def _uniform(shape: tuple[int, ...], half_width: float) -> Tensor:
    return torch.empty(shape).uniform_(-half_width, half_width)
