"""The original's saliency: the mean derivative of each rate by each behavior feature."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from freegaze.errors import DataError
from freegaze.fitted.encoder import FittedEncoder
from freegaze.models.callables import undisturbed
from freegaze.progress import Progress
from freegaze.recording.recording import Recording

BATCH = 256
"""Windows at a time, as in the original."""


def paper_saliency(
    encoder: FittedEncoder,
    recording: Recording,
    windows: int | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Float[np.ndarray, "neuron feature"]:
    """Average over test windows the derivative of each rate by each feature, signs and all.

    As in the original (deviations Q34, Q38) dropout stays on, products count as inputs of their
    own, units are the encoder's (raw, in the ``paper`` version), and the effect of a feature
    through the shifter is part of it.

    Args:
        encoder: Any fitted encoder.
        recording: The session.
        windows: Number of test windows, evenly spread; all by default.
        seed: Fixes dropout on one machine.
        progress: Called with the number of windows done.

    Returns:
        Expected counts per bin for one unit of each of ``encoder.behavior_names``, summed over the
        bins of a window.

    Raises:
        DataError: If there is no test window.

    Source: Xu et al. (2023), notebook of Figure 5.
    """
    targets = encoder.targets(recording, "test")
    if not len(targets):
        raise DataError(f"session {recording.session_id!r} has no test window to take saliency of")
    if windows is not None and windows < len(targets):
        targets = targets[np.linspace(0, len(targets) - 1, windows).round().astype(int)]
    tensors, session_id = encoder.tensors(recording), recording.session_id
    dims = encoder.sessions[session_id].dims
    total = np.zeros((dims.n_neurons, len(dims.behavior_names)))
    devices = [encoder.device] if encoder.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), undisturbed(encoder, has_dropout=True):
        torch.manual_seed(seed)
        for first in range(0, len(targets), BATCH):
            if progress is not None:
                progress("saliency", first, len(targets))
            part = torch.from_numpy(targets[first : first + BATCH])
            batch = tensors.gather(part, 1)
            behavior = batch.behavior.requires_grad_()
            rates = encoder(batch.video, behavior, session_id).sum(0)
            if not rates.requires_grad:  # it does not read behavior
                continue
            for neuron, rate in enumerate(rates):
                (found,) = torch.autograd.grad(
                    rate, behavior, retain_graph=True, materialize_grads=True
                )
                total[neuron] += found.sum((0, 1)).double().cpu().numpy()
    return total / len(targets)
