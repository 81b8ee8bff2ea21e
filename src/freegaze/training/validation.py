"""Validation of an encoder: loss and correlation over the validation windows of all sessions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from freegaze.dataset.batches import SessionTensors
from freegaze.fitted.prediction import predict_windows
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.models.encoder import AbstractEncoder
from freegaze.runs.config import TrainingConfig
from freegaze.training.losses import Loss


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
        losses, correlations = [], []
        encoder.eval()
        for name, targets in self.targets.items():
            predicted = predict_windows(encoder, self.tensors[name], targets)
            observed = self.tensors[name].responses[torch.from_numpy(targets)]
            losses += self._losses(name, predicted, observed)
            if torch.isfinite(predicted).all():
                pair = predicted.cpu().numpy(), observed.cpu().numpy()
                correlations.append(single_bin_correlation(*pair))
        known = np.concatenate([*correlations, np.empty(0)])
        known = known[np.isfinite(known)]
        values, weights = zip(*losses, strict=True)
        correlation = float(known.mean()) if len(known) else math.nan
        return float(np.average(values, weights=weights)), correlation

    def _losses(self, session: str, predicted: Tensor, observed: Tensor) -> list[tuple[float, int]]:
        """Return losses and their weights in the mean."""
        loss = self.losses[session]
        is_by_window = self.config.validation_mean == "windows"
        size = len(observed) if is_by_window else self.config.batch_windows
        parts = zip(predicted.split(size), observed.split(size), strict=True)
        return [(float(loss(p, o)), len(p) if is_by_window else 1) for p, o in parts]
