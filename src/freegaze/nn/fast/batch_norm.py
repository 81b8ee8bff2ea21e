"""Batch normalization of batches that come in parts, in one process or in several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from freegaze.nn.fast.dropout import CHUNK
from freegaze.nn.precision import at_least_float32

_IS_DIVIDED: ContextVar[bool] = ContextVar("is_divided", default=False)


@contextmanager
def divided_batch(is_divided: bool = True) -> Iterator[None]:
    """Normalize by statistics over the parts that all processes hold.

    Args:
        is_divided: Whether each process holds a part of its own; else each one holds all of it.
    """
    token = _IS_DIVIDED.set(is_divided)
    try:
        yield
    finally:
        _IS_DIVIDED.reset(token)


def normalize_parts(
    parts: Sequence[Tensor],
    norm: nn.BatchNorm1d | nn.BatchNorm2d,
    gain: float = 1.0,
    *,
    is_inner: bool = True,
) -> Sequence[Tensor]:
    """Normalize a training batch that comes in parts, by statistics of the whole batch.

    Args:
        parts: Values of the batch, (some of the batch, channel, ...) each, or of this process's
            part within ``divided_batch``.
        norm: Batch normalization: its weights, and its running statistics, which are updated.
        gain: Factor on the result.
        is_inner: Whether nothing else reads the parts. The backward pass then writes their gradient
            over them, which saves as much memory, and PyTorch refuses a second such pass.
    """
    weight, bias = (norm.weight, norm.bias) if gain == 1 else (norm.weight * gain, norm.bias * gain)
    running, momentum = (norm.running_mean, norm.running_var), norm.momentum or 0.0
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    if len(parts) == 1 and not _IS_DIVIDED.get():
        return [F.batch_norm(parts[0], *running, weight, bias, True, momentum, norm.eps)]
    mean, variance, n_values = _moments(parts)
    unbiased = variance * n_values / (n_values - 1)
    with torch.no_grad():
        for average, now in zip(running, (mean, unbiased), strict=True):
            assert average is not None
            average.lerp_(now, momentum)
    options = mean, variance, n_values, norm.eps, is_inner
    return _NormalizeParts.apply(weight, bias, *options, *parts)  # type: ignore[return-value]


@torch.no_grad()
def _moments(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and variance of each channel over all parts of all processes, and their size."""
    zeros = at_least_float32(parts[0].new_zeros(parts[0].shape[1]))
    found = [torch.batch_norm_update_stats(p, zeros, zeros.clone(), 0.0) for p in parts]
    means, variances = (torch.stack(kind) for kind in zip(*found, strict=True))
    sizes = zeros.new_tensor([[part[:, 0].numel()] for part in parts])
    n_values = _sum_over_processes(sizes.sum())
    mean = _sum_over_processes((means * sizes).sum(0)) / n_values
    squares = (variances + (means - mean).square()) * sizes
    return mean, _sum_over_processes(squares.sum(0)) / n_values, n_values


class BatchNorm1d(nn.BatchNorm1d):
    """``torch.nn.BatchNorm1d``, also for batches divided among processes."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalize by the batch in training, as learned otherwise."""
        if not self.training:
            return super().forward(input)
        return normalize_parts([input], self, is_inner=False)[0]


class BatchNorm2d(nn.BatchNorm2d):
    """``torch.nn.BatchNorm2d``, also for batches divided among processes."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalize by the batch in training, as learned otherwise."""
        if not self.training:
            return super().forward(input)
        return normalize_parts([input], self, is_inner=False)[0]


class _NormalizeParts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        n_values: Tensor,
        eps: float,
        is_inner: bool,
        *parts: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.eps, ctx.is_inner, ctx.is_divided = eps, is_inner, _IS_DIVIDED.get()
        ctx.save_for_backward(weight, mean, torch.rsqrt(variance + eps), n_values, *parts)
        statistics = mean, variance, weight, bias
        return tuple(F.batch_norm(part, *statistics, training=False, eps=eps) for part in parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, mean, rate, n_values, *parts = ctx.saved_tensors
        sums = torch.zeros(2, len(weight), dtype=mean.dtype, device=mean.device)
        for part, above in zip(parts, gradients, strict=True):
            given = above, part, weight, None, None, mean, rate, True, ctx.eps
            _, *own = torch.ops.aten.native_batch_norm_backward(*given, (False, True, True))
            sums += torch.stack(own)
        by_weight, by_bias = sums.unbind()
        with divided_batch(ctx.is_divided):
            means = _sum_over_processes(sums) / n_values
        scale = weight * rate
        slope = -scale * rate * means[0]
        offset = -scale * means[1] - slope * mean
        by_part = [
            _add_scaled(part if ctx.is_inner else part.clone(), slope, offset, above, scale)
            for part, above in zip(parts, gradients, strict=True)
        ]
        return by_weight, by_bias, *(None,) * 5, *by_part


def _add_scaled(
    values: Tensor, slope: Tensor, offset: Tensor, others: Tensor, scale: Tensor
) -> Tensor:
    """Return values * slope + offset + others * scale, channel by channel, in their own storage."""
    rows, other_rows = (t.movedim(1, -1).reshape(-1, len(slope)) for t in (values, others))
    step = max(1, CHUNK // len(slope))
    for part, other in zip(rows.split(step), other_rows.split(step), strict=True):
        own = part if part.dtype == slope.dtype else None
        total = torch.addcmul(offset, part, slope, out=own).addcmul_(other, scale)
        if own is None:  # of half precision
            part.copy_(total)
    return rows.view(values.movedim(1, -1).shape).movedim(-1, 1)


def _sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of what all processes hold within ``divided_batch``, else the same."""
    total = values.clone()
    if _IS_DIVIDED.get():
        distributed.all_reduce(total)
    return total
