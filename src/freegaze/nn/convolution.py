"""The first convolution of a core, which has one input channel and is slow as such."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def convolve_gray(
    frames: Float[Tensor, "batch 1 height width"],
    weight: Float[Tensor, "channel 1 k k"],
    bias: Float[Tensor, " channel"] | None,
    stride: int,
) -> Float[Tensor, "batch channel h w"]:
    """Convolve frames of one channel: the same sums as ``torch.nn.functional.conv2d``, only faster.

    The rows that a filter covers, and the columns between two steps of the stride, are laid side by
    side as channels. What is left is a convolution of height 1, stride 1 and many channels, which
    processors do well: with 7 x 7 filters and stride 2, 14 channels and filters of 1 x 4.

    Args:
        frames: Gray frames.
        weight: Square filters.
        bias: One number a filter, or ``None``.
        stride: Step in pixels, down and across.

    Returns:
        Maps in channels-last layout, without padding at the borders.
    """
    size = weight.shape[-1]
    steps = -(-size // stride)
    n_columns = (frames.shape[-1] - size) // stride + steps
    padded = F.pad(frames[:, 0], (0, max(0, n_columns * stride - frames.shape[-1])))
    rows = padded[..., : n_columns * stride].unfold(1, size, stride)  # batch, h, column, row
    stacked = rows.unflatten(2, (n_columns, stride)).flatten(3).permute(0, 3, 1, 2)
    return F.conv2d(stacked, _stack_filters(weight, stride, steps), bias)


def _stack_filters(weight: Tensor, stride: int, steps: int) -> Tensor:
    size = weight.shape[-1]
    whole = F.pad(weight[:, 0], (0, steps * stride - size)).unflatten(2, (steps, stride))
    stacked = whole.permute(0, 3, 1, 2).flatten(1, 2).unsqueeze(2)  # stride and row, then step
    return stacked.contiguous(memory_format=torch.channels_last)
