"""Pooled readout: each neuron averages the maps under a Gaussian of learned place and width."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.nn.readouts import ChannelReadout

NARROWEST = 0.5
"""Smallest standard deviation in elements of the maps; a narrower Gaussian falls between them."""


class PooledReadoutConfig(StrictConfig):
    """First places and widths of the Gaussians, and the penalty on their weights.

    Positions run from -1 to 1 across the maps.

    Args:
        kind: ``"pooled"``.
        position_range: Neurons start at positions drawn evenly from minus to plus this.
        start_sd: First standard deviation, in positions along the shorter side of the maps.
        l1: Weight of the sum of absolute feature weights of all neurons.
    """

    kind: Literal["pooled"] = "pooled"
    position_range: float = Field(default=0.1, ge=0)
    start_sd: PositiveFloat = 0.3
    l1: float = Field(default=0.0, ge=0)

    def build(
        self, map_size: tuple[int, int, int], n_neurons: int, has_bias: bool
    ) -> PooledReadout:
        """Build the readout."""
        return PooledReadout(
            map_size, n_neurons, has_bias, self.position_range, self.start_sd, self.l1
        )


class PooledReadout(ChannelReadout):
    """Averages each channel under a round Gaussian of each neuron, then weighs the channels.

    Args:
        map_size: (channels, height, width) of the maps.
        n_neurons: Number of neurons.
        has_bias: Whether each neuron has a bias.
        position_range: See ``PooledReadoutConfig``.
        start_sd: See ``PooledReadoutConfig``.
        l1: See ``PooledReadoutConfig``.

    Attributes:
        position: Middle (x, y) of each neuron's Gaussian, from -1 to 1 across the maps.
        log_sd: Logarithm of its standard deviation in elements of the maps.
    """

    def __init__(
        self,
        map_size: tuple[int, int, int],
        n_neurons: int,
        has_bias: bool,
        position_range: float,
        start_sd: float,
        l1: float,
    ) -> None:
        super().__init__()
        n_channels, self.height, self.width = map_size
        drawn = torch.empty(n_neurons, 2).uniform_(-1, 1)
        self.position = nn.Parameter(position_range * drawn)
        sd = max(NARROWEST, start_sd * (min(self.height, self.width) - 1) / 2)
        self.log_sd = nn.Parameter(torch.full((n_neurons,), math.log(sd)))
        self.add_weights(n_channels, n_neurons, has_bias, l1)

    def forward(
        self,
        maps: Float[Tensor, "batch channel h w"],
        offset: Float[Tensor, "batch 2"] | None = None,
    ) -> Float[Tensor, "batch neuron"]:
        """Return one number per neuron.

        Args:
            maps: Feature maps.
            offset: Shift (x, y) of all positions in each frame.
        """
        if offset is None:
            across, down = self._profiles(self.position)
            mask = torch.einsum("nh,nw->nhw", down, across).flatten(1).to(maps.dtype)
            seen = maps.flatten(2) @ mask.T
        else:
            across, down = self._profiles(self.position + offset[:, None])
            by_row = torch.einsum("bchw,bnw->bchn", maps, across.to(maps.dtype))
            seen = torch.einsum("bchn,bnh->bcn", by_row, down.to(maps.dtype))
        return self.weigh(seen)

    def constrain(self) -> None:
        """Return positions that left the maps to their edge, and widths to what maps resolve."""
        self.position.data.clamp_(-1, 1)
        widest = max(NARROWEST, max(self.height, self.width))
        self.log_sd.data.clamp_(math.log(NARROWEST), math.log(widest))

    def _profiles(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """Return normalized weights of columns and of rows, (*batch, neuron, column or row)."""
        profiles = []
        for axis, size in enumerate((self.width, self.height)):
            middle = (position[..., axis, None] + 1) * (size - 1) / 2
            places = torch.arange(size, dtype=position.dtype, device=position.device)
            steps = (places - middle) * torch.exp(-self.log_sd)[:, None]
            profiles.append(torch.softmax(-(steps**2) / 2, -1))
        return profiles[0], profiles[1]
