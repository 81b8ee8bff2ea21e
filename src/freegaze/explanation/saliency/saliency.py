"""Saliency of behavior for a session's neurons."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from freegaze.dataset.features import source_column
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.saliency.derivatives import behavior_saliency, integrated_saliency
from freegaze.explanation.saliency.significance import signal_tests
from freegaze.explanation.session import ExplainedSession
from freegaze.files.pieces import Arrays
from freegaze.metrics.blocks import TimeBlocks
from freegaze.metrics.bootstrap import DRAWS, draw_blocks, resample_blocks
from freegaze.metrics.intervals import neuron_intervals
from freegaze.metrics.scales import IDENTITY

ENDS = ("absolute_low", "absolute_high", "signed_low", "signed_high")
"""Columns of the ends of intervals."""

STEPS = 8
"""Points of the rule that integrates gradients."""


def saliency_table(session: ExplainedSession, config: ExplainConfig) -> pd.DataFrame:
    """Return the derivatives of rates by behavior signals, for one training sd of each signal.

    Intervals of means over windows resample blocks of time, or trials: they hold for other minutes
    of the same session and for this fit. ``freegaze explain --refits`` shows how far fits differ.
    p is of the test in ``freegaze.explanation.saliency.significance``.

    Args:
        session: The session.
        config: Number of test windows to average over, of shifts, and rate of false discoveries.

    Returns:
        ``SessionExplanation.saliency``.
    """
    arrays = saliency_arrays(session, config)
    # The sd in the unit that the encoder is given: derivatives are for one of that unit.
    scale = session.training_signals.std(0)
    names, recorded = session.behavior.signal_names, session.recording.behavior_names
    table = (
        pd.MultiIndex.from_product([session.recording.unit_ids, names], names=["unit_id", "signal"])
        .to_frame(index=False)
        .astype(object)
    )
    table["base"] = [source_column(name, recorded)[0] for name in table["signal"]]
    for key in ("absolute", "signed", "via_gaze", *ENDS):
        table[key] = (arrays[key] * scale).ravel()
    table["integrated"] = arrays["integrated"].ravel()  # counts already, whatever the unit
    return pd.concat([table, signal_tests(session, config)], axis=1)


def saliency_arrays(session: ExplainedSession, config: ExplainConfig) -> Arrays:
    """Return the means of derivatives over windows and their intervals, (neuron, signal) each.

    Args:
        session: The session.
        config: Number of test windows, and the seed.
    """
    return session.keep("saliency", lambda: _derivatives(session, config))


def _derivatives(session: ExplainedSession, config: ExplainConfig) -> Arrays:
    targets = session.sample("test", config.n_saliency_windows, config.seed)
    bins = session.bins(targets)
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
    blocks, rng = session.blocks(targets, "test"), np.random.default_rng(config.seed)
    counts = draw_blocks(blocks.n_blocks, DRAWS, rng)
    ends = {
        key: end
        for name, values in (("absolute", np.abs(found.partial)), ("signed", found.partial))
        for key, end in zip(
            (f"{name}_low", f"{name}_high"), mean_ends(values, blocks, counts), strict=True
        )
    }
    return {
        **ends,
        "absolute": found.mean("absolute"),
        "signed": found.mean("signed"),
        "via_gaze": np.abs(found.via_gaze).mean(0),
        "integrated": whole.mean("absolute"),
    }


def mean_ends(
    values: Float[np.ndarray, "window neuron signal"],
    blocks: TimeBlocks,
    counts: Float[np.ndarray, "draw block"],
) -> tuple[Float[np.ndarray, "neuron signal"], Float[np.ndarray, "neuron signal"]]:
    """Return both ends of the interval of each mean over windows; NaN with too few blocks.

    Args:
        values: One value per window, neuron and signal.
        blocks: Blocks of the windows.
        counts: Number of times that each block is drawn; see
            ``freegaze.metrics.bootstrap.draw_blocks``.
    """

    def mean(sums: np.ndarray) -> np.ndarray:
        return sums[..., 0, :] / np.maximum(sums[..., 1, :], 1)

    low, high = np.full(values.shape[1:], np.nan), np.full(values.shape[1:], np.nan)
    for signal in range(values.shape[2]):  # all at once would need gigabytes
        chosen = values[:, :, signal].astype(np.float64)
        both = np.stack([chosen, np.ones_like(chosen)], 1)
        drawn = resample_blocks(blocks, partial(_sums, both), mean, counts)
        found = neuron_intervals(drawn, IDENTITY)
        low[:, signal], high[:, signal] = found.low, found.high
    return low, high


def _sums(values: np.ndarray, blocks: TimeBlocks) -> np.ndarray:
    return blocks.sums(values)
