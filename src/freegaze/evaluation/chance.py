"""The correlation that a prediction gets by chance: against other minutes or other trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Integer

from freegaze.fitted.encoder import Prediction
from freegaze.metrics.metric import ScoreContext
from freegaze.metrics.nulls import (
    MAX_SHIFT_S,
    MIN_SHIFT_S,
    NullScores,
    permutation_null,
    time_shift_null,
)
from freegaze.recording.recording import Recording

METRIC = "correlation"
"""The score that is compared with chance."""

LOST_SHARE = 0.25
"""Share of the predicted time that the longest shift may take from each end."""


@dataclass(frozen=True)
class Chance:
    """Correlations by chance.

    Args:
        correlation: Mean correlation by chance of each neuron, (neuron,); NaN where none is known.
        p: How probable a correlation as high as the true one is by chance, (neuron,); for shifts
            the conservative bound, which n shifts to a side keep at 1 / (1 + n) or above.
        method: ``time shift``, ``trial permutation``, or ``none`` where less than two minutes (or
            two trials) were predicted.
        n_null: Number of shifts or permutations.
    """

    correlation: Float[np.ndarray, " neuron"]
    p: Float[np.ndarray, " neuron"]
    method: str
    n_null: int

    def columns(self) -> dict[str, np.ndarray]:
        """Return columns of the table of scores."""
        return {f"{METRIC}_null": self.correlation, f"{METRIC}_p": self.p}

    def select(self, neurons: np.ndarray | slice) -> Chance:
        """Return some of the neurons."""
        return Chance(self.correlation[neurons], self.p[neurons], self.method, self.n_null)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain = {"correlation": self.correlation.tolist(), "p": self.p.tolist()}
        return {**plain, "method": self.method, "n_null": self.n_null}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Chance:
        """Rebuild from ``to_dict``."""
        numbers = {key: np.array(values[key], dtype=np.float64) for key in ("correlation", "p")}
        return cls(**numbers, method=str(values["method"]), n_null=int(values["n_null"]))


def chance_correlation(
    recording: Recording,
    prediction: Prediction,
    is_scored: Bool[np.ndarray, " window"],
    baseline: Float[np.ndarray, " neuron"],
    seed: int = 0,
) -> Chance:
    """Correlate predictions with what was recorded at other times.

    Where all scored bins lie in trials, trials are permuted: what is the same in every trial is
    then part of the chance. Elsewhere predictions are shifted by one to three minutes along all
    predicted bins, one after the other. A shift across a break or a bin without prediction is
    longer in truth, never shorter.

    Args:
        recording: The session, with the predicted neurons in the predicted order.
        prediction: Of the scored bins at least; the more bins of the session, the more shifts.
        is_scored: Which of the predicted bins are scored.
        baseline: Mean response per bin of each neuron over training bins.
        seed: Of the permutations.

    Returns:
        Correlations by chance.
    """
    segment = recording.segment_index()[prediction.targets]
    in_trial = np.array([s.trial for s in recording.segments])[segment]
    if in_trial[is_scored].all():
        return _by_permutation(recording, prediction, is_scored, segment, baseline, seed)
    return _by_shift(recording, prediction, is_scored, baseline)


def unknown_chance(n_neurons: int) -> Chance:
    """Return what is said of chance where it cannot be told."""
    return Chance(np.full(n_neurons, np.nan), np.full(n_neurons, np.nan), "none", 0)


def _by_permutation(
    recording: Recording,
    prediction: Prediction,
    is_scored: np.ndarray,
    segment: Integer[np.ndarray, " window"],
    baseline: np.ndarray,
    seed: int,
) -> Chance:
    trials = segment[is_scored]
    if len(np.unique(trials)) < 2:
        return unknown_chance(len(prediction.unit_ids))
    observed = recording.responses[prediction.targets[is_scored]]
    context = _context(recording, baseline, trials)
    null = permutation_null(METRIC, prediction.rates[is_scored], observed, context, seed=seed)
    return _as_chance(null, "trial permutation")


def _by_shift(
    recording: Recording, prediction: Prediction, is_scored: np.ndarray, baseline: np.ndarray
) -> Chance:
    n_bins = len(prediction.targets)
    longest_s = min(MAX_SHIFT_S, LOST_SHARE * n_bins * recording.bin_width_s)
    reach = int(longest_s / recording.bin_width_s)
    if longest_s < MIN_SHIFT_S or not is_scored[reach : n_bins - reach].any():
        return unknown_chance(len(prediction.unit_ids))
    null = time_shift_null(
        METRIC,
        prediction.rates,
        recording.responses[prediction.targets],
        _context(recording, baseline, np.zeros(n_bins, dtype=np.int64)),
        scored=is_scored,
        max_shift_s=longest_s,
    )
    return _as_chance(null, "time shift")


def _context(recording: Recording, baseline: np.ndarray, segment_ids: np.ndarray) -> ScoreContext:
    kind = str(recording.response_kind)
    return ScoreContext(baseline, segment_ids, recording.bin_width_s, kind)


def _as_chance(null: NullScores, method: str) -> Chance:
    return Chance(null.mean, null.p_conservative, method, null.n_null)
