"""Sensorium core: one full convolution, then depth-separable ones."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.errors import ConfigError
from freegaze.nn.cores import AbstractCore
from freegaze.nn.fast.batch_norm import BatchNorm2d
from freegaze.nn.penalties import curvature


class SeparableCoreConfig(StrictConfig):
    """A first layer of full filters, then depth-separable layers that keep the map's size.

    Args:
        kind: ``"separable"``.
        channels: Filters of every layer.
        input_kernel: Height and width of the first layer's filters in pixels, without padding.
        kernel: Height and width of the later layers' filters; odd.
        layers: Layers in all.
        downsample: Pixels of the frame, down and across, that are averaged into one first.
        momentum: Weight of the newest batch in the running statistics of normalization.
        laplace: Weight of the penalty on rough filters of the first layer, see
            ``freegaze.nn.penalties.curvature``.

    Source: Willeke et al. (2022), "The Sensorium competition", code of its baseline.
    """

    kind: Literal["separable"] = "separable"
    channels: int = Field(default=32, ge=1)
    input_kernel: int = Field(default=7, ge=1)
    kernel: int = Field(default=5, ge=1)
    layers: int = Field(default=4, ge=1)
    downsample: int = Field(default=2, ge=1)
    momentum: float = Field(default=0.1, gt=0, le=1)
    laplace: float = Field(default=0.1, ge=0)

    @classmethod
    def paper(cls) -> SeparableCoreConfig:
        """Return the competition's core, as the original used it.

        Source: Xu et al. (2023), code; sinzlab/sensorium's settings of 2022.
        """
        return cls(
            channels=64, input_kernel=9, kernel=7, downsample=1, momentum=0.9, laplace=6.3831
        )

    def build(self, n_planes: int = 1) -> SeparableCore:
        """Build the core for ``n_planes`` input channels.

        Raises:
            ConfigError: If ``kernel`` is even.
        """
        if self.kernel % 2 == 0:
            raise ConfigError(f"core.kernel must be odd to keep the map's size, got {self.kernel}")
        return SeparableCore(
            n_planes,
            self.channels,
            self.input_kernel,
            self.kernel,
            self.layers,
            self.downsample,
            self.momentum,
            self.laplace,
        )


class SeparableCore(AbstractCore):
    """Stacks layers of convolution, batch normalization and ELU, and returns the last layer's maps.

    Args:
        n_planes: Input channels: the gray frame, and one constant plane per behavior feature.
        channels: Filters of every layer.
        input_kernel: Height and width of the first layer's filters.
        kernel: Height and width of the later layers' filters.
        n_layers: Layers in all.
        downsample: Pixels of the frame, down and across, that are averaged into one first.
        momentum: Weight of the newest batch in running statistics.
        laplace: Weight of the penalty on rough first filters.
    """

    def __init__(
        self,
        n_planes: int,
        channels: int,
        input_kernel: int,
        kernel: int,
        n_layers: int,
        downsample: int,
        momentum: float,
        laplace: float,
    ) -> None:
        super().__init__()
        self.input_kernel, self.downsample, self.laplace = input_kernel, downsample, laplace
        self.step_px = downsample
        first = nn.Conv2d(n_planes, channels, input_kernel, bias=False)
        self.layers = nn.Sequential(_layer(first, channels, momentum))
        for _ in range(n_layers - 1):
            convolution = nn.Sequential(
                nn.Conv2d(channels, channels, 1),
                nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels),
                nn.Conv2d(channels, channels, 1),
            )
            self.layers.append(_layer(convolution, channels, momentum))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def first_filters(self) -> Float[Tensor, "channel plane k k"]:
        """Filters of the first layer."""
        return self.layers[0].convolution.weight  # type: ignore[return-value, union-attr]

    def forward(
        self, frames: Float[Tensor, "batch plane height width"]
    ) -> Float[Tensor, "batch channel h w"]:
        """Return the last layer's maps of each frame."""
        return self.layers(self.coarse(frames))

    def map_size(self, frame_size: tuple[int, int]) -> tuple[int, int, int]:
        """Return (channels, height, width) of the maps of frames of (height, width) pixels.

        Raises:
            ConfigError: If the first layer's filters are larger than the frame.
        """
        height, width = (side // self.downsample for side in frame_size)
        if self.input_kernel > min(height, width):
            raise ConfigError(
                f"frames of {frame_size[0]} x {frame_size[1]} px are too small for this core: its "
                f"first filters are {self.input_kernel} x {self.input_kernel} but its input is "
                f"{height} x {width}; use a smaller `input_kernel` or `downsample`"
            )
        cut = self.input_kernel - 1
        return self.first_filters.shape[0], height - cut, width - cut

    def penalties(self) -> dict[str, Tensor]:
        """Return the penalty on rough filters of the first layer."""
        return {"laplace": self.laplace * curvature(self.first_filters)} if self.laplace else {}


def _layer(convolution: nn.Module, channels: int, momentum: float) -> nn.Module:
    norm = BatchNorm2d(channels, momentum=momentum)
    return nn.Sequential(OrderedDict(convolution=convolution, norm=norm, activation=nn.ELU()))
