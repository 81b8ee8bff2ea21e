"""Rectification and dropout in one pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 1 << 18
"""Elements worked on at a time: their masks (1 MB) stay in the processor's cache."""

_INTEGER = {torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float16: torch.int16}


def rectify_and_drop(values: Tensor, probability: float, *, is_inner: bool = False) -> Tensor:
    """Set negative values to zero, and each value with some probability; ``values`` are lost.

    Unlike ``torch.nn.Dropout`` this does not scale what is kept by 1 / (1 - probability): the
    caller scales the layer before it, which costs nothing. For probability 0.5 one random bit per
    element is spread over the element's bits and cleared with AND; nothing is stored for the
    backward pass but the output. The random state is PyTorch's.

    Args:
        values: Any dense tensor, contiguous or channels-last.
        probability: Chance of each element to be set to zero.
        is_inner: Whether only the next layer reads the result. The backward pass may then
            write its gradient over it, which saves a map; PyTorch refuses a second such pass.

    Returns:
        The remaining values, in the storage of ``values`` where possible.
    """
    if probability == 0:
        return F.relu_(values)
    if probability != 0.5 or values.dtype not in _INTEGER:
        kept = torch.empty_like(values).bernoulli_(1 - probability)
        return F.relu_(values) * kept
    return _RectifyAndHalve.apply(values, is_inner)  # type: ignore[return-value]


def rectify_and_drop_plainly(values: Tensor, probability: float) -> Tensor:
    """Rectify and drop by PyTorch's own operations, drawing as ``rectify_and_drop`` draws.

    Args:
        values: Any dense tensor, contiguous or channels-last; kept as it is.
        probability: Chance of each element to be set to zero.

    Returns:
        The remaining values, divided by the share that is kept, as ``torch.nn.Dropout`` does.
    """
    with torch.no_grad():
        kept = rectify_and_drop(torch.ones_like(values), probability)
    return F.relu(values) * kept / (1 - probability)


class _RectifyAndHalve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, is_inner: bool) -> Tensor:
        ctx.is_inner = is_inner
        if values.is_cuda:  # one launch for all of it; bits would be many
            values.clamp_min_(0).mul_(torch.empty_like(values, dtype=torch.bool).bernoulli_())
            ctx.mark_dirty(values)
            ctx.save_for_backward(values)
            return values
        flat = _flat_view(values)
        bits = flat.view(_INTEGER[flat.dtype])
        width = 8 * bits.element_size()
        coins = _random_words(bits.numel(), bits.dtype, bits.device)
        places = torch.arange(width, dtype=bits.dtype, device=bits.device)[:, None]
        for start in range(0, bits.numel(), CHUNK):
            part = bits[start : start + CHUNK]
            words = coins[start // width : start // width + -(-part.numel() // width)]
            # A coin shifted to the sign and back down fills the element with ones or zeros.
            mask = (words << places) >> (width - 1)
            flat[start : start + CHUNK].clamp_min_(0)
            part.bitwise_and_(mask.view(-1)[: part.numel()])
        ctx.mark_dirty(values)
        ctx.save_for_backward(values)
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (output,) = ctx.saved_tensors
        target = output.detach() if ctx.is_inner else torch.empty_like(output)
        rectify = torch.ops.aten.threshold_backward.grad_input
        return rectify(gradients[0], output, 0, grad_input=target), None


def _random_words(n_bits: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    low, high = torch.iinfo(torch.int64).min, torch.iinfo(torch.int64).max
    return torch.randint(low, high, (-(-n_bits // 64),), device=device).view(dtype)


def _flat_view(values: Tensor) -> Tensor:
    if values.dim() == 4 and values.is_contiguous(memory_format=torch.channels_last):
        return values.permute(0, 2, 3, 1).view(-1)
    return values.view(-1)
