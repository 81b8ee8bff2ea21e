"""Saliency of behavior for a session's neurons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from freegaze.dataset.features import source_column
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.saliency.derivatives import behavior_saliency, integrated_saliency
from freegaze.explanation.session import ExplainedSession
from freegaze.files.pieces import Arrays

STEPS = 8
"""Points of the rule that integrates gradients."""


def saliency_table(session: ExplainedSession, config: ExplainConfig) -> pd.DataFrame:
    """Return the derivatives of rates by behavior signals, for one training sd of each signal.

    Args:
        session: The session.
        config: How many test windows to average over.

    Returns:
        ``SessionExplanation.saliency``.
    """
    arrays = session.keep("saliency", lambda: _derivatives(session, config))
    # The sd in the unit that the encoder is given: derivatives are for one of that unit.
    scale = session.training_signals.std(0)
    names, recorded = session.behavior.signal_names, session.recording.behavior_names
    table = (
        pd.MultiIndex.from_product([session.recording.unit_ids, names], names=["unit_id", "signal"])
        .to_frame(index=False)
        .astype(object)
    )
    table["base"] = [source_column(name, recorded)[0] for name in table["signal"]]
    for key in ("absolute", "signed", "via_gaze"):
        table[key] = (arrays[key] * scale).ravel()
    table["integrated"] = arrays["integrated"].ravel()  # counts already, whatever the unit
    return table


def _derivatives(session: ExplainedSession, config: ExplainConfig) -> Arrays:
    bins = session.bins(session.sample("test", config.n_saliency_windows, config.seed))
    inputs = {
        "predict": session.encoder,
        "video": session.video(bins),
        "signals": session.signals(bins),
        "names": session.behavior.signal_names,
        "features": session.behavior.features,
        "session": session.session_id,
    }
    found = behavior_saliency(**inputs)
    mean = torch.from_numpy(session.training_signals.mean(0))  # not 0 in raw units
    whole = integrated_saliency(**inputs, baseline=mean, steps=STEPS)
    return {
        "absolute": found.mean("absolute"),
        "signed": found.mean("signed"),
        "via_gaze": np.abs(found.via_gaze).mean(0),
        "integrated": whole.mean("absolute"),
    }
