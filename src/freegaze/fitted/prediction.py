"""Predict the windows of a session, each frame encoded once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from freegaze.dataset.batches import SessionTensors, sequence_chunks
from freegaze.models.encoder import AbstractEncoder

PREDICTION_WINDOWS = 256
"""Windows predicted at once in validation; more does not run faster on a CPU."""


def predict_windows(
    encoder: AbstractEncoder, tensors: SessionTensors, targets: np.ndarray
) -> Tensor:
    """Predict windows in evaluation mode, encoding each frame of consecutive windows once.

    Args:
        encoder: The encoder, in evaluation mode.
        tensors: The session.
        targets: Target bins in order of time.

    Returns:
        Expected response of each window, (window, neuron), float32.
    """
    parts = []
    with torch.no_grad():
        for first, n_windows in sequence_chunks(targets, PREDICTION_WINDOWS):
            batch = tensors.gather(torch.tensor([first]), n_windows)
            predicted = encoder.predict_sequence(batch.video, batch.behavior, batch.session_id)
            parts.append(predicted[0].float())
    return torch.cat(parts)
