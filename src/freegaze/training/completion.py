"""Completion of an encoder of which the optimizer fits one part only."""

from __future__ import annotations

import time

from freegaze.models.encoder import AbstractEncoder
from freegaze.training.loop import Fit


def complete(fit: Fit, whole: AbstractEncoder, like: AbstractEncoder | None = None) -> None:
    """Fit the rest of an encoder whose trained part is fitted, and note what it took.

    Args:
        fit: Fit of the encoder's ``trained`` part.
        whole: The encoder.
        like: Encoder that was completed on training windows; see ``AbstractEncoder.complete``.
    """
    if whole is fit.encoder:
        return
    began = time.monotonic()
    found = whole.to(fit.accelerator.device).complete(fit.sessions, fit.validation, like)
    # It is computed again after an interruption; checkpoints are of the trained part alone.
    fit.state.history[-1] |= {"completion_s": time.monotonic() - began, **found}
    if fit.accelerator.is_main_process:
        fit.folder.write_metrics(fit.state.history)
