"""The correlation that a prediction gets by chance: against other minutes or other trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Integer

from freegaze.fitted.encoder import Prediction
from freegaze.metrics.alignment_tests import (
    FEWEST_TRIALS,
    AlignmentTest,
    longest_shift,
    shift_test,
    trial_test,
)
from freegaze.metrics.metric import ScoreContext
from freegaze.metrics.nulls import NullScores, equal_trials, permutation_null, time_shift_null
from freegaze.recording.recording import Recording

METRIC = "correlation"
"""The score that is compared with chance."""

LOST_SHARE = 0.25
"""Share of the predicted time that the longest shift may take from each end."""

SHORTEST_REACH_S = 30.0
"""Longest shift, in seconds, below which nothing is tested: the signals hardly change in it."""


@dataclass(frozen=True)
class Chance:
    """Correlations by chance.

    Args:
        correlation: Mean correlation by chance of each neuron, (neuron,); NaN where none is known.
        p: How probable a correlation as high as the true one is by chance, (neuron,), slow parts
            taken out (see ``freegaze.metrics.alignment_tests``); NaN where it was not tested.
        method: ``time shift``, ``trial permutation``, or ``none`` where nothing was tested.
        n_null: Number of shifts or permutations behind ``correlation``.
        least_p: The least p that the test can give; NaN where nothing was tested.
        n_bins: Scored bins that the test is of.
        reason: Reason why nothing was tested; empty if something was.
    """

    correlation: Float[np.ndarray, " neuron"]
    p: Float[np.ndarray, " neuron"]
    method: str
    n_null: int
    least_p: float = float("nan")
    n_bins: int = 0
    reason: str = ""

    def columns(self) -> dict[str, np.ndarray]:
        """Return columns of the table of scores."""
        return {
            f"{METRIC}_null": self.correlation,
            f"{METRIC}_p": self.p,
            f"{METRIC}_p_least": np.full(len(self.p), self.least_p),
        }

    def sentence(self) -> str:
        """Return how chance was tested and the least p possible, or why it was not tested."""
        if not np.isfinite(self.least_p):
            return f"not tested ({self.reason})" if self.reason else "not tested"
        return f"{self.method}, p at least {self.least_p:.2g}"

    def about(self) -> dict[str, Any]:
        """Return how chance was found, as plain values."""
        return {
            "method": self.method,
            "n_null": self.n_null,
            "least_p": self.least_p,
            "n_bins": self.n_bins,
            "reason": self.reason,
        }

    def select(self, neurons: np.ndarray | slice) -> Chance:
        """Return some of the neurons."""
        return replace(self, correlation=self.correlation[neurons], p=self.p[neurons])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain = {"correlation": self.correlation.tolist(), "p": self.p.tolist()}
        return {**plain, **self.about()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Chance:
        """Rebuild from ``to_dict``."""
        numbers = {key: np.array(values[key], dtype=np.float64) for key in ("correlation", "p")}
        least_p = values.get("least_p")  # evaluations of version 0.1 have neither it nor a reason
        return cls(
            **numbers,
            method=str(values["method"]),
            n_null=int(values["n_null"]),
            least_p=float("nan") if least_p is None else float(least_p),
            n_bins=int(values.get("n_bins", 0)),
            reason=str(values.get("reason", "")),
        )


def chance_correlation(
    recording: Recording,
    prediction: Prediction,
    is_scored: Bool[np.ndarray, " window"],
    baseline: Float[np.ndarray, " neuron"],
    seed: int = 0,
) -> Chance:
    """Correlate predictions with what was recorded at other times.

    Where all scored bins lie in trials, trials are permuted: what is the same in every trial is
    then part of the chance. Elsewhere predictions are shifted along all predicted bins, one after
    the other, as far as half of the scored bins allow. A shift across a break or a bin without
    prediction is longer in truth, never shorter.

    Args:
        recording: The session, with the predicted neurons in the predicted order.
        prediction: Predicted responses, in the scored bins at least. Predictions in more bins allow
            more shifts.
        is_scored: Whether each predicted bin is scored.
        baseline: Mean response per bin of each neuron over training bins.
        seed: Seed of the permutations.

    Returns:
        Correlations by chance.
    """
    segment = recording.segment_index()[prediction.targets]
    if recording.is_in_trial()[prediction.targets][is_scored].all():
        return _by_permutation(recording, prediction, is_scored, segment, baseline, seed)
    return _by_shift(recording, prediction, is_scored, baseline)


def unknown_chance(n_neurons: int, reason: str) -> Chance:
    """Return what is reported where chance is not tested.

    Args:
        n_neurons: Number of neurons.
        reason: Reason why chance is not tested, as text.
    """
    nothing = np.full(n_neurons, np.nan)
    return Chance(nothing, nothing.copy(), "none", 0, reason=reason)


def _by_permutation(
    recording: Recording,
    prediction: Prediction,
    is_scored: np.ndarray,
    segment: Integer[np.ndarray, " window"],
    baseline: np.ndarray,
    seed: int,
) -> Chance:
    trials = equal_trials(segment[is_scored])
    if len(trials) < FEWEST_TRIALS:
        return unknown_chance(
            len(prediction.unit_ids),
            f"{len(trials)} scored trials of one length, at least {FEWEST_TRIALS} are needed",
        )
    rates, observed = (
        prediction.rates[is_scored],
        recording.responses[prediction.targets[is_scored]],
    )
    context = _context(recording, baseline, segment[is_scored])
    null = permutation_null(METRIC, rates, observed, context, seed=seed)
    return _as_chance(null, trial_test(rates, observed, trials, seed), "trial permutation")


def _by_shift(
    recording: Recording, prediction: Prediction, is_scored: np.ndarray, baseline: np.ndarray
) -> Chance:
    reach = longest_shift(is_scored, LOST_SHARE)
    if reach * recording.bin_width_s < SHORTEST_REACH_S:
        return unknown_chance(
            len(prediction.unit_ids),
            f"predictions can be shifted by {reach * recording.bin_width_s:.3g} s, at least "
            f"{SHORTEST_REACH_S:g} s are needed; predict a longer recording",
        )
    rates, observed = prediction.rates, recording.responses[prediction.targets]
    null = time_shift_null(
        METRIC,
        rates,
        observed,
        _context(recording, baseline, np.zeros(len(rates), dtype=np.int64)),
        scored=is_scored,
        max_shift_s=reach * recording.bin_width_s,
    )
    test = shift_test(rates, observed, is_scored, reach, recording.bin_width_s)
    return _as_chance(null, test, "time shift")


def _context(recording: Recording, baseline: np.ndarray, segment_ids: np.ndarray) -> ScoreContext:
    return ScoreContext(baseline, segment_ids, recording.bin_width_s, str(recording.response_kind))


def _as_chance(null: NullScores, test: AlignmentTest, method: str) -> Chance:
    return Chance(null.mean, test.p, method, null.n_null, test.least_p, null.n_bins)
