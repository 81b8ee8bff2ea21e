"""The optimizer, its learning rate and the running average of weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from freegaze.runs.config import TrainingConfig

PLATEAU_FACTOR, PLATEAU_PATIENCE, PLATEAU_THRESHOLD, PLATEAU_LOWEST = 0.3, 5, 1e-6, 1e-4
"""Of the Sensorium competition's schedule: factor on the learning rate, passes to wait, smallest
change of the monitored value that counts, smallest learning rate."""


def make_optimizer(
    encoder: nn.Module, config: TrainingConfig, device: torch.device
) -> torch.optim.Optimizer:
    """Return AdamW whose weight decay leaves biases, norms and other vectors alone."""
    matrices = [p for p in encoder.parameters() if p.ndim > 1]
    vectors = [p for p in encoder.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    fused = device.type in ("cpu", "cuda")
    if device.type != "cuda":
        return torch.optim.AdamW(groups, lr=config.learning_rate, fused=fused)
    # A recorded step reads the rate from the device.
    rate = torch.tensor(config.learning_rate, device=device)
    return torch.optim.AdamW(groups, lr=rate, fused=fused, capturable=True)


def parameter_order(encoder: nn.Module) -> list[str]:
    """Return the names of an encoder's parameters, in the order of its optimizer."""
    is_matrix = {name: p.ndim > 1 for name, p in encoder.named_parameters()}
    return sorted(is_matrix, key=lambda name: not is_matrix[name])


def parameter_places(encoder: nn.Module, order: Sequence[str] | None = None) -> list[int]:
    """Return the place of each parameter of an encoder in the optimizer of all sessions.

    Args:
        encoder: The encoder, with the heads of some sessions.
        order: Names of the parameters of all sessions, see ``parameter_order``; those of
            ``encoder`` by default.
    """
    own = parameter_order(encoder)
    places = {name: place for place, name in enumerate(order or own)}
    return [places[name] for name in own]


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def rate_factor(config: TrainingConfig, step: int, n_steps: int) -> float:
    """Return the factor on the learning rate at a step of ``n_steps`` in all."""
    if config.schedule in ("constant", "plateau"):
        return 1.0
    warm_up = max(1, n_steps // 20)
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(1, n_steps - warm_up)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


def average_share(config: TrainingConfig, step: int) -> float:
    """Return the share that a step's weights get in the running average of weights.

    The decay grows over the first steps, or the average of a short fit would consist of its initial
    weights.

    Args:
        config: The recipe.
        step: Steps taken before this one in all passes.

    Returns:
        1 minus the decay, which is (1 + step) / (10 + step), but at most ``average_decay``.

    Source: ``tf.train.ExponentialMovingAverage`` with ``num_updates``.
    """
    return 1 - min(config.average_decay, (1 + step) / (10 + step))


def update_average(average: nn.Module, encoder: nn.Module, share: Tensor) -> None:
    """Update the exponential moving average of the weights; integer buffers are copied.

    Args:
        average: Changed in place.
        encoder: A module of the same weights.
        share: Share of the new weights in the average, a tensor on their device.
    """
    pairs = zip(average.state_dict().values(), encoder.state_dict().values(), strict=True)
    with torch.no_grad():
        for mean, now in pairs:
            if mean.is_floating_point():
                mean.lerp_(now, share.to(mean.dtype))
            else:
                mean.copy_(now)
