"""Readouts: from feature maps to one number per neuron."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from freegaze.config import StrictConfig
from freegaze.errors import ConfigError


class AbstractReadout(nn.Module):
    """Turns feature maps into one number per neuron."""

    def penalties(self) -> dict[str, Tensor]:
        """Return penalties on the weights by name, each already weighted."""
        return {}

    def constrain(self) -> None:
        """Return weights to their range after a step of the optimizer; by default a no-op."""


class ChannelReadout(AbstractReadout):
    """Readout that weighs what it found of each channel of the maps."""

    def add_weights(self, n_channels: int, n_neurons: int, has_bias: bool, l1: float) -> None:
        """Add the weights of channels, equal at first, and a bias per neuron.

        Args:
            n_channels: Channels of the maps.
            n_neurons: Number of neurons.
            has_bias: Whether each neuron has a bias.
            l1: Weight of the sum of absolute weights of all neurons.
        """
        self.features = nn.Parameter(torch.full((n_channels, n_neurons), 1 / n_channels))
        self.bias = nn.Parameter(torch.zeros(n_neurons)) if has_bias else None
        self.l1 = l1

    def weigh(self, found: Float[Tensor, "batch channel neuron"]) -> Float[Tensor, "batch neuron"]:
        """Return the weighted sum over channels."""
        values = (found * self.features).sum(1)
        return values if self.bias is None else values + self.bias

    def penalties(self) -> dict[str, Tensor]:
        """Return the penalty on the weights of channels."""
        return {"readout_l1": self.l1 * self.features.abs().sum()} if self.l1 else {}


class LinearReadoutConfig(StrictConfig):
    """Every neuron weighs every element of the maps.

    Args:
        kind: ``"linear"``.
    """

    kind: Literal["linear"] = "linear"

    def build(
        self, map_size: tuple[int, int, int], n_neurons: int, has_bias: bool
    ) -> LinearReadout:
        """Build the readout."""
        return LinearReadout(map_size, n_neurons, has_bias)


class FactorizedReadoutConfig(StrictConfig):
    """Every neuron has one mask over places and one weight per channel.

    Args:
        kind: ``"factorized"``.
    """

    kind: Literal["factorized"] = "factorized"

    def build(
        self, map_size: tuple[int, int, int], n_neurons: int, has_bias: bool
    ) -> FactorizedReadout:
        """Build the readout."""
        return FactorizedReadout(map_size, n_neurons, has_bias)


class LinearReadout(AbstractReadout):
    """Weighs every element of the maps for every neuron.

    Args:
        map_size: (channels, height, width) of the maps.
        n_neurons: Number of neurons.
        has_bias: Whether each neuron has a bias.
    """

    def __init__(self, map_size: tuple[int, int, int], n_neurons: int, has_bias: bool) -> None:
        super().__init__()
        n_channels, height, width = map_size
        self.linear = nn.Linear(n_channels * height * width, n_neurons, bias=has_bias)

    def forward(self, maps: Float[Tensor, "batch channel h w"]) -> Float[Tensor, "batch neuron"]:
        """Return one number per neuron."""
        return self.linear(maps.flatten(1))


class FactorizedReadout(AbstractReadout):
    """Averages each channel of the maps under each neuron's own mask, then weighs the channels.

    It has about a tenth of the linear readout's weights.

    Args:
        map_size: (channels, height, width) of the maps.
        n_neurons: Number of neurons.
        has_bias: Whether each neuron has a bias.

    Source: Klindt et al. (2017), "Neural system identification for large populations".
    """

    def __init__(self, map_size: tuple[int, int, int], n_neurons: int, has_bias: bool) -> None:
        super().__init__()
        n_channels, height, width = map_size
        n_places = height * width
        # Even masks that see everything: maps of unit variance give values of about unit variance.
        self.mask = nn.Parameter((1 + torch.randn(n_neurons, n_places)) / n_places**0.5)
        self.channels = nn.Parameter(torch.randn(n_neurons, n_channels) / (2 * n_channels) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(n_neurons)) if has_bias else None

    def forward(self, maps: Float[Tensor, "batch channel h w"]) -> Float[Tensor, "batch neuron"]:
        """Return one number per neuron."""
        seen = maps.flatten(2) @ self.mask.T.to(maps.dtype)
        values = (seen * self.channels.T).sum(1)
        return values if self.bias is None else values + self.bias


def coarse_size(frame_size: tuple[int, int], downsample: int, crop: int = 0) -> tuple[int, int]:
    """Return (height, width) of a receptive field over averaged pixels.

    Args:
        frame_size: (height, width) of the frames in pixels.
        downsample: Pixels, down and across, that are averaged into one.
        crop: Averaged pixels that are cut off at each border.

    Raises:
        ConfigError: If nothing is left of the frame.
    """
    height, width = (side // downsample - 2 * crop for side in frame_size)
    if min(height, width) < 1:
        raise ConfigError(
            f"frames of {frame_size[0]} x {frame_size[1]} px leave nothing after `downsample` "
            f"{downsample}{f' and `crop` {crop}' if crop else ''}; lower it"
        )
    return height, width


class PixelReadout(nn.Module):
    """Linear receptive fields in pixels of the frame, added to what the core contributes.

    Starts from zero weights.

    Args:
        frame_size: (height, width) of the frames in pixels.
        downsample: Pixels, down and across, that are averaged into one.
        n_neurons: Number of neurons.

    Raises:
        ConfigError: If nothing is left of the frame.
    """

    def __init__(self, frame_size: tuple[int, int], downsample: int, n_neurons: int) -> None:
        super().__init__()
        self.downsample = downsample
        self.field = nn.Parameter(torch.zeros(n_neurons, *coarse_size(frame_size, downsample)))

    def forward(
        self, frames: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch neuron"]:
        """Return one number per neuron."""
        coarse = F.avg_pool2d(frames, self.downsample).flatten(1)
        return coarse @ self.field.flatten(1).T.to(coarse.dtype)
