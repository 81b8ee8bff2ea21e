"""Validation of an encoder: loss and correlation over the validation windows of all sessions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from freegaze.dataset.batches import SessionTensors
from freegaze.fitted.prediction import predict_windows
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.models.encoder import AbstractEncoder
from freegaze.runs.config import TrainingConfig
from freegaze.training.losses import Loss


@dataclass(frozen=True)
class SessionValidation:
    """Validation of one session.

    Args:
        losses: Mean losses of parts, and their weights in the mean.
        correlations: Single-bin correlation of each neuron; none where predictions are not finite.
    """

    losses: list[tuple[float, int]]
    correlations: Float[np.ndarray, " neuron"]


def joint_validation(sessions: Mapping[str, SessionValidation]) -> tuple[float, float]:
    """Return the mean loss over windows or batches, and the mean correlation over neurons.

    Args:
        sessions: Validation of each session, in their order.
    """
    losses = [loss for session in sessions.values() for loss in session.losses]
    known = np.concatenate([session.correlations for session in sessions.values()])
    known = known[np.isfinite(known)]
    values, weights = zip(*losses, strict=True)
    correlation = float(known.mean()) if len(known) else math.nan
    return float(np.average(values, weights=weights)), correlation


@dataclass(frozen=True)
class Validation:
    """Computes the loss and the correlation of an encoder on windows that it was not fitted to.

    Args:
        tensors: Each session on a device.
        targets: Target bins of each session's validation windows.
        losses: Mean loss of each session.
        config: The recipe; its ``validation_mean`` and ``batch_windows`` are used.
    """

    tensors: Mapping[str, SessionTensors]
    targets: Mapping[str, np.ndarray]
    losses: Mapping[str, Loss]
    config: TrainingConfig

    def __call__(self, encoder: AbstractEncoder) -> tuple[float, float]:
        """Return the loss over all validation windows of all sessions, and the correlation.

        Args:
            encoder: The encoder; it is put into evaluation mode.

        Returns:
            The mean loss over windows or batches, and the mean over all neurons of the single-bin
            correlation, without neurons whose responses or predictions never change.
        """
        return joint_validation(self.of_sessions(encoder))

    def of_sessions(self, encoder: AbstractEncoder) -> dict[str, SessionValidation]:
        """Return the losses and correlations of each session; see the call for the argument."""
        found = {}
        for name in self.targets:
            predicted, observed = self.predict(encoder, name), self._observed(name)
            correlations = np.empty(0)
            if torch.isfinite(predicted).all():
                pair = predicted.cpu().numpy(), observed.cpu().numpy()
                correlations = single_bin_correlation(*pair)
            losses = self._losses(name, predicted, observed)
            found[name] = SessionValidation(losses, correlations)
        return found

    def predict(self, encoder: AbstractEncoder, session: str) -> Tensor:
        """Return what an encoder, put into evaluation mode, predicts for a session's windows."""
        return predict_windows(encoder.eval(), self.tensors[session], self.targets[session])

    def loss(self, session: str, predicted: Tensor) -> float:
        """Return the loss of predictions for a session's windows."""
        observed = self._observed(session)
        values, weights = zip(*self._losses(session, predicted, observed), strict=True)
        return float(np.average(values, weights=weights))

    def _observed(self, session: str) -> Tensor:
        return self.tensors[session].responses[torch.from_numpy(self.targets[session])]

    def _losses(self, session: str, predicted: Tensor, observed: Tensor) -> list[tuple[float, int]]:
        """Return losses and their weights in the mean."""
        loss = self.losses[session]
        is_by_window = self.config.validation_mean == "windows"
        size = len(observed) if is_by_window else self.config.batch_windows
        parts = zip(predicted.split(size), observed.split(size), strict=True)
        return [(float(loss(p, o)), len(p) if is_by_window else 1) for p, o in parts]
