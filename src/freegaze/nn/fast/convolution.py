"""Convolutions of one input channel, and gradients of others, faster than PyTorch's own."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight


def convolve(
    maps: Float[Tensor, "batch plane height width"],
    weight: Float[Tensor, "channel plane k l"],
    bias: Float[Tensor, " channel"] | None,
    stride: int = 1,
) -> Float[Tensor, "batch channel h w"]:
    """Convolve as ``torch.nn.functional.conv2d`` does, with faster derivatives.

    PyTorch's own forward derivatives also convolve the maps with the derivative of the filters,
    even where it is zero. For the gradient of large filters see ``weight_gradient``.

    Args:
        maps: Input maps.
        weight: Filters, which forward derivatives take for constant.
        bias: One number a filter, or ``None``.
        stride: Step in pixels, down and across.
    """
    if torch.compiler.is_compiling():  # nobody compiles forward derivatives
        return F.conv2d(maps, weight, bias, stride)
    plain, tangent = forward_ad.unpack_dual(maps)
    if tangent is None:
        if bias is None and weight.requires_grad and _pays(maps, weight, stride):
            return _Convolve.apply(maps, weight, stride)  # type: ignore[return-value]
        return F.conv2d(maps, weight, bias, stride)
    return forward_ad.make_dual(
        F.conv2d(plain, weight, bias, stride), F.conv2d(tangent, weight, None, stride)
    )


def weight_gradient(
    maps: Float[Tensor, "batch plane height width"],
    size: tuple[int, ...],
    gradient: Float[Tensor, "batch channel h w"],
    stride: int,
) -> Float[Tensor, "channel plane k l"]:
    """Return the gradient of filters: the sums of ``torch.nn.grad.conv2d_weight``, only faster.

    The columns between two steps of the stride are laid side by side as channels, so that filters
    move by one. The filters' last columns, which make no whole step, are done one by one.

    Args:
        maps: Input maps, without padding.
        size: Shape of the filters, ``(channel, plane, k, l)``.
        gradient: Gradient of the loss by the convolution's output.
        stride: Step in pixels, down and across; no more than the filters are wide.
    """
    n_out, n_in, height, width = size
    n_steps, n_places = width // stride, gradient.shape[-1]
    by_one: Any = (stride, 1)  # down and across; the library takes both, its signature one
    used = (n_places - 1 + n_steps) * stride
    columns = maps[..., :used].permute(0, 2, 3, 1).unflatten(2, (-1, stride))
    stacked = columns.flatten(3).permute(0, 3, 1, 2)
    whole = conv2d_weight(stacked, (n_out, stride * n_in, height, n_steps), gradient, by_one)
    found = [whole.unflatten(1, (stride, n_in)).permute(0, 2, 3, 4, 1).flatten(3)]
    for column in range(n_steps * stride, width):
        read = maps[..., column::stride][..., :n_places]
        found.append(conv2d_weight(read, (n_out, n_in, height, 1), gradient, by_one))
    return torch.cat(found, dim=3)


def _pays(maps: Tensor, weight: Tensor, stride: int) -> bool:
    # Measured: a fifth less time for 128 channels and 7 x 7 filters of stride 2; with fewer of
    # either, another stride, or half precision, PyTorch's own is as fast or faster.
    if maps.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    is_large = weight.shape[1] >= 128 and min(weight.shape[2:]) >= 7
    return is_large and stride == 2 and maps.dtype == torch.float32


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.stride = stride
        return F.conv2d(maps, weight, None, stride)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (gradient,) = gradients
        maps, weight = ctx.saved_tensors
        by_weight = weight_gradient(maps, weight.shape, gradient, ctx.stride)  # its copies go first
        by_maps = None
        if ctx.needs_input_grad[0]:
            by_maps = conv2d_input(maps.shape, weight, gradient, ctx.stride)
        return by_maps, by_weight, None


def convolve_gray(
    frames: Float[Tensor, "batch 1 height width"],
    weight: Float[Tensor, "channel 1 k k"],
    bias: Float[Tensor, " channel"] | None,
    stride: int,
) -> Float[Tensor, "batch channel h w"]:
    """Convolve frames of one channel: the same sums as ``torch.nn.functional.conv2d``, only faster.

    The rows that a filter covers, and the columns between two steps of the stride, are laid side by
    side as channels. The rest is a convolution of height 1, stride 1 and many channels, which
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
