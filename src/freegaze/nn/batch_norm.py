"""Batch normalization of batches that several processes may hold a part of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

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


def normalize_by_batch(
    values: Float[Tensor, "batch channel *place"],
    norm: nn.BatchNorm1d | nn.BatchNorm2d,
    gain: float = 1.0,
) -> Float[Tensor, "batch channel *place"]:
    """Normalize a training batch and update the running statistics.

    Within ``divided_batch`` mean and variance are those of all processes' parts together, and so
    are gradients, on processors too, where PyTorch's own ``SyncBatchNorm`` does not run.

    Args:
        values: The batch, or this process's part of it.
        norm: Its weights and running statistics.
        gain: Factor on the result.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    weight, bias = norm.weight, norm.bias
    if gain != 1:
        weight, bias = weight * gain, bias * gain
    momentum = norm.momentum or 0.0
    if not _IS_DIVIDED.get():
        running = norm.running_mean, norm.running_var
        return F.batch_norm(values, *running, weight, bias, True, momentum, norm.eps)
    exact = at_least_float32(values).movedim(1, -1)
    places = tuple(range(exact.dim() - 1))
    n_values = _sum_over_processes(exact.new_tensor(exact[..., 0].numel()))
    mean = _sum_over_processes(exact.sum(places)) / n_values
    centered = exact - mean
    variance = _sum_over_processes(centered.square().sum(places)) / n_values
    with torch.no_grad():
        norm.running_mean.lerp_(mean, momentum)
        norm.running_var.lerp_(variance * n_values / (n_values - 1), momentum)
    scaled = centered * (weight * torch.rsqrt(variance + norm.eps)) + bias
    return scaled.movedim(-1, 1).to(values.dtype)


class BatchNorm1d(nn.BatchNorm1d):
    """``torch.nn.BatchNorm1d`` that knows batches divided among processes."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalize by the batch in training, as learned otherwise."""
        return normalize_by_batch(input, self) if self.training else super().forward(input)


class BatchNorm2d(nn.BatchNorm2d):
    """``torch.nn.BatchNorm2d`` that knows batches divided among processes."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalize by the batch in training, as learned otherwise."""
        return normalize_by_batch(input, self) if self.training else super().forward(input)


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        # Each process's loss depends on each process's values through the sum.
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


def _sum_over_processes(values: Tensor) -> Tensor:
    return _SumOverProcesses.apply(values)  # type: ignore[return-value]
