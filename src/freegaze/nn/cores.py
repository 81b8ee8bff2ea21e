"""Convolutional cores: from frames to feature maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from math import prod
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from freegaze.config import StrictConfig
from freegaze.errors import ConfigError
from freegaze.nn.fast.batch_norm import BatchNorm2d, normalize_parts
from freegaze.nn.fast.convolution import convolve, convolve_gray
from freegaze.nn.fast.dropout import rectify_and_drop, rectify_and_drop_plainly

PART_ELEMENTS = 8 << 20
"""Elements of the largest maps that are worked on at a time on a processor. Gradients are computed
for this many at once, which bounds memory and the gaps that freed maps leave in it."""


class AbstractCore(nn.Module, ABC):
    """Turns frames of any size into feature maps.

    Attributes:
        step_px: Pixels of the frame, down and across, from one element of the maps to the next.
        downsample: Pixels of the frame, down and across, that are averaged into one first.
        is_fast: Whether hand-written gradients are used, where the core has them; see ``set_fast``.
    """

    step_px: int
    downsample: int
    is_fast: bool = True

    def coarse(
        self, frames: Float[Tensor, "batch plane height width"]
    ) -> Float[Tensor, "batch plane h w"]:
        """Return the frames that the first layer reads."""
        return F.avg_pool2d(frames, self.downsample) if self.downsample > 1 else frames

    @abstractmethod
    def map_size(self, frame_size: tuple[int, int]) -> tuple[int, int, int]:
        """Return (channels, height, width) of the maps of frames of (height, width) pixels.

        Raises:
            ConfigError: If nothing would be left of such frames.
        """

    def penalties(self) -> dict[str, Tensor]:
        """Return penalties on the weights by name, each already weighted."""
        return {}

    def load_pretrained(self) -> None:
        """Load weights trained elsewhere at the start of a fit; by default a no-op."""


def set_fast(module: nn.Module, is_fast: bool) -> None:
    """Choose between hand-written and plain gradients in all cores of a module.

    Both compute the same up to rounding. The plain ones are PyTorch's own layers.

    Args:
        module: A core, or an encoder with one.
        is_fast: Whether hand-written gradients are used.
    """
    for part in module.modules():
        if isinstance(part, AbstractCore):
            part.is_fast = is_fast


class CoreConfig(StrictConfig):
    """Blocks of convolution, batch normalization, rectification and dropout.

    Args:
        kind: ``"conv"``.
        channels: Filters of each block.
        kernels: Height and width of each block's filters, in pixels of the map that it reads.
        strides: Step of each block.
        dropout: Chance of each element of a block's output to be dropped in training.
        downsample: Pixels of the frame, down and across, that are averaged into one before the
            first block.
        bias: Whether convolutions have a bias, which the normalization after them undoes; the
            original's have one.
    """

    kind: Literal["conv"] = "conv"
    channels: tuple[int, ...] = Field(default=(16, 32), min_length=1)
    kernels: tuple[int, ...] = (7, 5)
    strides: tuple[int, ...] = (1, 2)
    downsample: int = Field(default=2, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    bias: bool = False

    @model_validator(mode="after")
    def _check_lengths(self) -> CoreConfig:
        if not len(self.channels) == len(self.kernels) == len(self.strides):
            raise ValueError("channels, kernels and strides need one number per block each")
        if min(*self.channels, *self.kernels, *self.strides) < 1:
            raise ValueError("channels, kernels and strides must be at least 1")
        return self

    @classmethod
    def paper(cls) -> CoreConfig:
        """Return the original's core: three blocks of 128, 64 and 32 filters, dropout 0.5.

        Source: Xu et al. (2023), code; deviation Q19.
        """
        return cls(
            channels=(128, 64, 32),
            kernels=(7, 7, 7),
            strides=(2, 2, 2),
            downsample=1,
            dropout=0.5,
            bias=True,
        )

    def build(self, n_planes: int = 1) -> ConvCore:
        """Build the core for ``n_planes`` input channels."""
        return ConvCore(
            n_planes,
            self.channels,
            self.kernels,
            self.strides,
            self.downsample,
            self.dropout,
            self.bias,
        )


class ConvCore(AbstractCore):
    """A stack of ``ConvBlock``.

    Args:
        n_planes: Input channels: the gray frame, and one constant plane per behavior feature.
        channels: Filters of each block.
        kernels: Height and width of the filters of each block.
        strides: Step of each block.
        downsample: Pixels of the frame, down and across, that are averaged into one first.
        dropout: Chance of an element to be dropped in training.
        has_bias: Whether convolutions have a bias.
    """

    def __init__(
        self,
        n_planes: int,
        channels: tuple[int, ...],
        kernels: tuple[int, ...],
        strides: tuple[int, ...],
        downsample: int,
        dropout: float,
        has_bias: bool,
    ) -> None:
        super().__init__()
        self.channels, self.kernels, self.strides = channels, kernels, strides
        self.downsample = downsample
        self.step_px = downsample * prod(strides)
        self.blocks = nn.Sequential()
        shapes = zip((n_planes, *channels[:-1]), channels, kernels, strides, strict=True)
        for block, shape in enumerate(shapes, start=1):
            is_inner = block < len(channels)
            self.blocks.append(ConvBlock(*shape, dropout, has_bias, is_inner))

    def forward(
        self, frames: Float[Tensor, "batch plane height width"]
    ) -> Float[Tensor, "batch channel h w"]:
        """Return the feature maps of each frame."""
        maps = self.coarse(frames)
        if self.is_fast:
            return _whole(list(self.blocks(maps.chunk(self._n_parts(maps)))))
        for block in self.blocks:
            assert isinstance(block, ConvBlock)
            maps = block.plain(maps)
        return maps

    def _n_parts(self, images: Tensor) -> int:
        # A GPU would launch more for nothing, and sums of half precision cost as much as they save.
        if images.is_cuda or torch.is_autocast_enabled("cpu"):
            return 1
        height, width = (side * self.downsample for side in images.shape[-2:])
        sizes = zip(self.channels, self.map_sizes((height, width))[1:], strict=True)
        most = max(n_channels * prod(size) for n_channels, size in sizes)
        return max(1, -(-len(images) * most // PART_ELEMENTS))

    def map_size(self, frame_size: tuple[int, int]) -> tuple[int, int, int]:
        """Return (channels, height, width) of the maps of frames of (height, width) pixels.

        Raises:
            ConfigError: Naming the first block whose filters are larger than the map that it reads.
        """
        return (self.channels[-1], *self.map_sizes(frame_size)[-1])

    def map_sizes(self, frame_size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return (height, width) of the first block's input, then of each block's output.

        Raises:
            ConfigError: Naming the first block whose filters are larger than the map that it reads.
        """
        height, width = (side // self.downsample for side in frame_size)
        sizes = [(height, width)]
        for block, (kernel, stride) in enumerate(zip(self.kernels, self.strides, strict=True)):
            if kernel > min(height, width):
                raise ConfigError(
                    f"frames of {frame_size[0]} x {frame_size[1]} px are too small for this core: "
                    f"block {block} has {kernel} x {kernel} filters but its input is {height} x "
                    f"{width}; use fewer blocks, or smaller `kernels`, `strides` or `downsample`"
                )
            height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
            sizes.append((height, width))
        return sizes


class ConvBlock(nn.Module):
    """Convolution without padding, batch normalization, rectification, dropout.

    Args:
        n_in: Channels of the input.
        n_out: Number of filters.
        kernel: Height and width of the filters.
        stride: Step in pixels.
        dropout: Chance of an element to be dropped in training.
        has_bias: Whether the convolution has a bias.
        is_inner: Whether only another block reads the output (see ``rectify_and_drop``).
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int,
        stride: int,
        dropout: float,
        has_bias: bool,
        is_inner: bool,
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(n_in, n_out, kernel, stride, bias=has_bias)
        self.norm = BatchNorm2d(n_out)
        self.dropout, self.is_inner = dropout, is_inner
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, parts: Iterable[Float[Tensor, "_ n_in height width"]]
    ) -> Iterator[Float[Tensor, "_ n_out h w"]]:
        """Yield the block's maps of each part of a batch, in channels-last layout.

        A block takes a part when it needs it. Where no statistics of the whole batch are needed,
        each part passes all blocks before the next part does, and so do the gradients.
        """
        # Dropout divides the kept elements by their share. Rectification commutes with that, so the
        # few numbers of the normalization are divided instead of the maps.
        probability = self.dropout if self.training else 0.0
        normalized = self._by_batch if self.norm.training else self._as_learned
        for maps in normalized(parts, 1 / (1 - probability)):
            yield rectify_and_drop(maps, probability, is_inner=self.is_inner)

    def plain(
        self, maps: Float[Tensor, "batch n_in height width"]
    ) -> Float[Tensor, "batch n_out h w"]:
        """Return the block's maps of a whole batch by PyTorch's own layers: ``forward``'s twin."""
        layer, bias = self.convolution, self.convolution.bias
        if bias is not None and self.norm.training:
            bias = bias.detach()  # its gradient is zero but for rounding
        convolved = F.conv2d(maps, layer.weight, bias, layer.stride)
        return rectify_and_drop_plainly(self.norm(convolved), self.dropout * self.training)

    def _by_batch(self, parts: Iterable[Tensor], gain: float) -> Iterable[Tensor]:
        layer, norm = self.convolution, self.norm
        if layer.bias is not None:
            # The normalization subtracts a bias again. Only the running mean contains it, and keeps
            # 1 - momentum of what is added before.
            assert norm.running_mean is not None
            assert norm.momentum is not None
            share = norm.momentum / (1 - norm.momentum)
            # As data: a graph with this norm in it several times keeps it, but never reads it.
            norm.running_mean.data.add_(layer.bias.data, alpha=share)
        convolved = [_convolve(maps, layer.weight, None, layer.stride[0]) for maps in parts]
        is_small = sum(maps.numel() for maps in convolved) <= PART_ELEMENTS
        return normalize_parts([_whole(convolved)] if is_small else convolved, norm, gain)

    def _as_learned(self, parts: Iterable[Tensor], gain: float) -> Iterable[Tensor]:
        """Scale filters instead of maps, which are many more numbers."""
        layer, norm = self.convolution, self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * gain * torch.rsqrt(norm.running_var + norm.eps)
        mean = norm.running_mean if layer.bias is None else norm.running_mean - layer.bias
        weight = layer.weight * scale[:, None, None, None]
        bias = norm.bias * gain - mean * scale
        return (_convolve(maps, weight, bias, layer.stride[0]) for maps in parts)


def _whole(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _convolve(maps: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    if weight.shape[1] == 1:
        return convolve_gray(maps, weight, bias, stride)
    return convolve(maps, weight, bias, stride)
