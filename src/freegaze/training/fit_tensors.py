"""Tensors of a fit in its checkpoint: weights, running average, best weights, optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from freegaze.models.encoder import AbstractEncoder
from freegaze.weights import load_weights


def fit_tensors(
    encoder: AbstractEncoder,
    average: AbstractEncoder,
    best: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    places: Sequence[int],
) -> dict[str, Tensor]:
    """Return all tensors of a fit by name.

    Args:
        encoder: The encoder.
        average: The running average of its weights; ``encoder`` itself where there is none.
        best: The best weights so far.
        optimizer: The optimizer.
        places: Number of each of its parameters among those of all sessions.
    """
    tensors = {f"weights/{k}": v for k, v in encoder.state_dict().items()}
    tensors |= {f"best/{k}": v for k, v in best.items()}
    if average is not encoder:
        tensors |= {f"average/{k}": v for k, v in average.state_dict().items()}
    for index, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{places[index]}/{k}": v for k, v in entry.items()}
    return tensors


def load_fit_tensors(
    tensors: Mapping[str, Tensor],
    encoder: AbstractEncoder,
    average: AbstractEncoder,
    optimizer: torch.optim.Optimizer,
    places: Sequence[int],
    where: str,
    *,
    is_of_all: bool = False,
) -> dict[str, Tensor]:
    """Put the tensors of a checkpoint in their places.

    Args:
        tensors: Result of ``fit_tensors``.
        encoder: Changed in place.
        average: Changed in place, unless it is ``encoder``.
        optimizer: Changed in place.
        places: Number of each of its parameters among those of all sessions.
        where: The file, for messages.
        is_of_all: Whether the tensors are of more sessions than the encoder has.

    Returns:
        The best weights.

    Raises:
        CheckpointError: If the tensors are those of another encoder.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = tensor
    if is_of_all:
        own = encoder.state_dict().keys()
        for part in ("weights", "average", "best"):
            parts[part] = {k: v for k, v in parts.get(part, {}).items() if k in own}
    load_weights(encoder, parts.get("weights", {}), where)
    if average is not encoder:
        load_weights(average, parts.get("average", {}), where)
    state = optimizer.state_dict()
    indices = {place: index for index, place in enumerate(places)}
    for key, tensor in parts.get("optimizer", {}).items():
        place, _, name = key.partition("/")
        if int(place) in indices:
            state["state"].setdefault(indices[int(place)], {})[name] = tensor
    optimizer.load_state_dict(state)
    return parts.get("best", {})
