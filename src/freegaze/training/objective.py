"""The objective of a training step: loss of a batch and penalties, in one module."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from freegaze.dataset.batches import Batch
from freegaze.models.encoder import AbstractEncoder
from freegaze.nn.precision import at_least_float32
from freegaze.training.losses import Loss


class Objective(nn.Module):
    """The loss of a batch and all penalties.

    Args:
        encoder: The encoder that is fitted.
        losses: Mean loss of each session.
        n_training_windows: Windows of each session, if the loss is summed over a batch and scaled
            by the square root of training windows over windows of the batch (the Sensorium
            competition's); by default the mean is minimized.
        is_compiled: Whether the encoder's part of it is compiled.

    Source: Willeke et al. (2022), code of the Sensorium baseline, for the summed loss.
    """

    def __init__(
        self,
        encoder: AbstractEncoder,
        losses: Mapping[str, Loss],
        n_training_windows: Mapping[str, int] | None = None,
        is_compiled: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.losses = dict(losses)
        self.n_training_windows = n_training_windows
        self._predict = torch.compile(self._see) if is_compiled else self._see

    def forward(
        self, batch: Batch, share: float = 1.0, n_windows: int | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what is minimized, and its parts by name.

        Args:
            batch: The batch, or this process's part of it.
            share: Factor on means over the part; see ``processes.own_part``.
            n_windows: Windows of the whole batch, where this is a part.

        Returns:
            The sum to be differentiated; and ``loss`` (a mean), ``objective`` where the loss is a
            scaled sum, and each penalty, without gradients.
        """
        session = batch.session_id
        predicted, of_batch = self._predict(batch.video, batch.behavior, session)
        with torch.autocast(predicted.device.type, enabled=False):
            observed = batch.responses
            mean = share * self.losses[session](at_least_float32(predicted), observed)
            parts = {"loss": mean}
            if self.n_training_windows is not None:
                n_windows = n_windows or observed.shape[:-1].numel()
                scale = math.sqrt(self.n_training_windows[session] / n_windows)
                parts["objective"] = scale * n_windows * observed.shape[-1] * mean
            penalties = {name: share * value for name, value in of_batch.items()}
            penalties |= self.encoder.penalties(session)
        minimized = parts.get("objective", mean) + sum(penalties.values())
        return minimized, {name: v.detach() for name, v in (parts | penalties).items()}

    def _see(
        self, video: Tensor, behavior: Tensor, session: str
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the responses of a batch's windows, and the penalties on the batch."""
        features = self.encoder.encode(video, behavior, session)
        penalties = self.encoder.batch_penalties(video, behavior, features, session)
        return self.encoder.respond_sequence(features, session), dict(penalties)
