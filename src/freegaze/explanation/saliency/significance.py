"""Tests of whether responses follow what an encoder changes with each behavior signal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.contributions.groups import COLLINEAR, NO, UNTESTED, YES
from freegaze.explanation.contributions.predictors import BEHAVIOR_BINS, Predictors
from freegaze.explanation.contributions.regression import signal_columns, signal_test
from freegaze.explanation.contributions.selection import discoveries
from freegaze.explanation.session import ExplainedSession
from freegaze.files.pieces import Arrays

FLOOR = 1e-3
"""Rates below this share of a neuron's mean rate count as that share before their logarithm."""


def signal_tests(session: ExplainedSession, config: ExplainConfig) -> pd.DataFrame:
    """Test for each neuron and signal whether test bins follow the encoder's use of the signal.

    The effect of a signal is the prediction with it minus that with the signal at its training
    median, the retinal frame held; of log rates for counts. The test asks whether responses of test
    bins rise with this effect beyond what the rest explains: the prediction without the signal, the
    scene, and all other signals but copies of this one. Chance is the effect shifted in time. The
    path through the shifter is not tested.

    Args:
        session: The session.
        config: Number of shifts and rate of false discoveries.

    Returns:
        One row per neuron and signal, in the order of the table of saliency: ``p``, ``least_p``,
        ``answer`` (false discoveries are controlled over all neurons and signals) and ``reason``.
    """
    names, n_neurons = session.behavior.signal_names, session.recording.n_neurons
    predictors, whole = Predictors(session), _Scale(session)
    recent = {name: predictors.recent(s, BEHAVIOR_BINS) for name, s in _signals(session).items()}
    columns = {name: signal_columns(_standardized(signal)) for name, signal in recent.items()}

    def test(signal: int) -> Arrays:
        without, effect = whole.split(session.rates_without(signal))
        rest = {name: columns[name] for name in _others(names[signal], recent)}
        found = [
            signal_test(
                predictors.data(neuron, without[:, neuron], rest),
                effect[:, neuron],
                n_shifts=config.n_shifts,
            )
            for neuron in range(n_neurons)
        ]
        return {
            "p": np.array([[one.p, one.least_p] for one in found]),
            "untested": np.array([one.untested for one in found], dtype=str),
        }

    pieces = [f"saliency_test_{i:03d}" for i in range(len(names))]
    kept = session.keep_each(pieces, test, "tests of signals")
    p = np.stack([arrays["p"] for arrays in kept], 1) if kept else np.empty((n_neurons, 0, 2))
    is_real = discoveries(p[..., 0], config.false_discovery_rate)
    answers = np.where(np.isnan(p[..., 0]), UNTESTED, np.where(is_real, YES, NO))
    reasons = [arrays["untested"][neuron] for neuron in range(n_neurons) for arrays in kept]
    return pd.DataFrame(
        {
            "p": p[..., 0].ravel(),
            "least_p": p[..., 1].ravel(),
            "answer": answers.ravel(),
            "reason": np.array(reasons, dtype=object),
        }
    )


class _Scale:
    """The scale on which effects add: logarithms of rates for counts, values otherwise."""

    def __init__(self, session: ExplainedSession) -> None:
        self.has_counts = session.has_counts
        self.rates = session.rates_without(None).astype(np.float64)
        self.floor = FLOOR * np.maximum(self.rates.mean(0), 1e-6)

    def split(
        self, without: Float[np.ndarray, "window neuron"]
    ) -> tuple[Float[np.ndarray, "window neuron"], Float[np.ndarray, "window neuron"]]:
        """Return the prediction without a signal, and the effect of the signal."""
        without = without.astype(np.float64)
        if not self.has_counts:
            return without, self.rates - without
        with_signal, left = (np.log(np.maximum(r, self.floor)) for r in (self.rates, without))
        return without, with_signal - left


def _signals(session: ExplainedSession) -> dict[str, Float[np.ndarray, " time"]]:
    """Return the recorded signals, and those that only the encoder's features are made of."""
    every = torch.arange(session.recording.n_bins, device=session.encoder.device)
    own = session.signals(every).cpu().numpy().astype(np.float64)
    recorded = {n: s.astype(np.float64) for n, s in session.recorded_signals.items()}
    return {**dict(zip(session.behavior.signal_names, own.T, strict=True)), **recorded}


def _others(name: str, signals: Mapping[str, np.ndarray]) -> list[str]:
    """Return all other signals that are no copies of one."""
    own = _standardized(signals[name])
    return [
        other
        for other, signal in signals.items()
        if other != name and (own @ _standardized(signal) / len(own)) ** 2 < COLLINEAR
    ]


def _standardized(signal: Float[np.ndarray, " window"]) -> Float[np.ndarray, " window"]:
    sd = signal.std()
    return (signal - signal.mean()) / (sd if sd > 0 else 1.0)
