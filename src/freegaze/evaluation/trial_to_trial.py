"""Stimulus-locked and trial-to-trial parts of scores, for recordings with conditions.

A prediction may score above a condition mean because the mean is noisy, or because it follows what
changes from trial to trial. The two are told apart here: by the score that the mean would have
without noise, and by the correlation of what condition means leave of predictions and responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer, Shaped

from freegaze.evaluation.condition_mean import ConditionMeans
from freegaze.metrics.alignment_tests import FEWEST_TRIALS, LEAST_LEFT, residual_trial_test
from freegaze.metrics.ceilings import correlation_without_noise
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.metrics.false_discovery import adjust_p
from freegaze.metrics.nulls import equal_trials

RATE = 0.05
"""False discovery rate over neurons at which a neuron is said to be followed."""

NOT_TESTED = "not tested"


@dataclass(frozen=True)
class TrialToTrial:
    """What condition means explain of each neuron, and what predictions explain beyond them.

    Args:
        mean_without_noise: Correlation that the condition mean of the training trials would reach
            without the noise of few trials; NaN where there is too little signal.
        correlation: Correlation of predictions with responses after the mean of each condition at
            each time in the trial, over scored trials, was taken out of both.
        p: Probability of a correlation as high by chance; NaN where it was not tested.
        least_p: The least p that the test can give.
        reason: Reason why nothing was tested; empty where something was.
    """

    mean_without_noise: Float[np.ndarray, " neuron"]
    correlation: Float[np.ndarray, " neuron"]
    p: Float[np.ndarray, " neuron"]
    least_p: float = float("nan")
    reason: str = ""

    @property
    def answers(self) -> Shaped[np.ndarray, " neuron"]:
        """Whether trial-to-trial changes are followed: ``yes``, ``no`` or ``not tested``."""
        q = adjust_p(self.p)
        return np.select([np.isnan(q), q <= RATE], [NOT_TESTED, "yes"], "no").astype(object)

    def columns(self) -> dict[str, np.ndarray]:
        """Return columns of the table of scores."""
        return {
            "condition_mean_without_noise_correlation": self.mean_without_noise,
            "trial_to_trial_correlation": self.correlation,
            "trial_to_trial_p": self.p,
            "trial_to_trial_p_least": np.full(len(self.p), self.least_p),
            "follows_trials": self.answers,
        }

    def sentence(self) -> str:
        """Return how many neurons are followed from trial to trial, or why it was not tested."""
        n_tested = int(np.isfinite(self.p).sum())
        if not n_tested:
            return NOT_TESTED + (f" ({self.reason})" if self.reason else "")
        n_other = len(self.p) - n_tested
        return (
            f"beyond chance in {(self.answers == 'yes').sum()} of {n_tested} neurons (false "
            f"discovery rate {RATE:.0%}; mean correlation {np.nanmean(self.correlation):.3f} after "
            "condition means)" + (f", {n_other} not tested" if n_other else "")
        )

    def select(self, neurons: np.ndarray | slice) -> TrialToTrial:
        """Return some of the neurons."""
        names = ("mean_without_noise", "correlation", "p")
        return replace(self, **{name: getattr(self, name)[neurons] for name in names})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        names = ("mean_without_noise", "correlation", "p")
        plain = {name: getattr(self, name).tolist() for name in names}
        return {**plain, "least_p": self.least_p, "reason": self.reason}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialToTrial:
        """Rebuild from ``to_dict``."""
        names = ("mean_without_noise", "correlation", "p")
        arrays = {name: np.array(values[name], dtype=np.float64) for name in names}
        least_p = values["least_p"]
        return cls(
            **arrays,
            least_p=float("nan") if least_p is None else float(least_p),
            reason=str(values["reason"]),
        )


def trial_to_trial(
    rates: Float[np.ndarray, "window neuron"],
    observed: Float[np.ndarray, "window neuron"],
    means: ConditionMeans,
    repeat_cells: Integer[np.ndarray, " window"],
    segment_ids: Integer[np.ndarray, " window"],
    conditions: Integer[np.ndarray, " window"],
    seed: int = 0,
) -> TrialToTrial:
    """Separate what is locked to the condition from what changes from trial to trial.

    Args:
        rates: Predicted responses of the scored bins.
        observed: Recorded responses of the same bins.
        means: Mean training responses to the condition of each scored bin.
        repeat_cells: Number of the condition and time of each scored bin, -1 where shown once.
        segment_ids: Number of the trial of each scored bin.
        conditions: Number of the condition of each scored bin, -1 outside trials.
        seed: Seed of the permutations.

    Returns:
        The parts of each neuron.
    """
    nothing = np.full(observed.shape[1], np.nan)
    without_noise = nothing
    if means.is_complete:
        without_noise = correlation_without_noise(means.rates, means.noise, observed, means.places)
    repeated = repeat_cells >= 0
    if not repeated.any():
        reason = "no condition is scored in two trials"
        return TrialToTrial(without_noise, nothing, nothing.copy(), reason=reason)
    cells = repeat_cells[repeated]
    left = single_bin_correlation(
        _around_means(rates[repeated], cells), _around_means(observed[repeated], cells)
    )
    trials = equal_trials(segment_ids)
    if (conditions[trials] < 0).any():
        reason = "scored bins lie outside trials"
        return TrialToTrial(without_noise, left, nothing.copy(), reason=reason)
    test = residual_trial_test(rates, observed, trials, conditions[trials[:, 0]], seed)
    reason = ""
    if np.isnan(test.least_p):
        reason = f"too few trials: {FEWEST_TRIALS} must be left after condition means and drift"
    elif np.isnan(test.p).all():
        reason = "predictions do not differ between trials of a condition"
    return TrialToTrial(without_noise, left, test.p, test.least_p, reason)


def _around_means(
    values: Float[np.ndarray, "window neuron"], cells: Integer[np.ndarray, " window"]
) -> Float[np.ndarray, "window neuron"]:
    """Subtract the mean of each cell; what is left by rounding alone is 0."""
    means = pd.DataFrame(values.astype(np.float64)).groupby(cells).transform("mean")
    left = values - means.to_numpy(np.float64)
    left[:, left.var(0) < LEAST_LEFT * values.var(0)] = 0.0
    return left
