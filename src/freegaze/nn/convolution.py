"""Convolutions in which PyTorch is slow: of one input channel, and their forward derivatives."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F


def convolve(
    maps: Float[Tensor, "batch plane height width"],
    weight: Float[Tensor, "channel plane k l"],
    bias: Float[Tensor, " channel"] | None,
    stride: int = 1,
) -> Float[Tensor, "batch channel h w"]:
    """Convolve as ``torch.nn.functional.conv2d`` does, with faster forward derivatives by maps.

    PyTorch's own also convolve the maps with the derivative of the filters, even where it is zero.

    Args:
        maps: What is convolved.
        weight: Filters, which forward derivatives take for constant.
        bias: One number a filter, or ``None``.
        stride: Step in pixels, down and across.
    """
    if torch.compiler.is_compiling():  # nobody compiles forward derivatives
        return F.conv2d(maps, weight, bias, stride)
    plain, tangent = forward_ad.unpack_dual(maps)
    if tangent is None:
        return F.conv2d(maps, weight, bias, stride)
    return forward_ad.make_dual(
        F.conv2d(plain, weight, bias, stride), F.conv2d(tangent, weight, None, stride)
    )


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
    return convolve(stacked, _stack_filters(weight, stride, steps), bias)


def _stack_filters(weight: Tensor, stride: int, steps: int) -> Tensor:
    size = weight.shape[-1]
    whole = F.pad(weight[:, 0], (0, steps * stride - size)).unflatten(2, (steps, stride))
    stacked = whole.permute(0, 3, 1, 2).flatten(1, 2).unsqueeze(2)  # stride and row, then step
    return stacked.contiguous(memory_format=torch.channels_last)
