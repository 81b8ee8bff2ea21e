"""Baseline: mean response to the same condition at the same time of other trials."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer

from freegaze.dataset.splits import Split
from freegaze.errors import DataError
from freegaze.evaluation.repeats import trial_condition, trial_positions
from freegaze.fitted.encoder import Prediction
from freegaze.recording.recording import Recording, Role, Segment


@dataclass(frozen=True)
class ConditionMeans:
    """Mean training responses to the condition of each bin at its time in the trial.

    Args:
        rates: Means; NaN where there is no training bin of the condition and time.
        noise: Variance of each mean as an estimate, from the spread of the trials behind it. Where
            a mean is over one trial, the spread is that of the other conditions and times.
        places: Number of the condition and time in the trial of each bin; equal numbers share a
            mean.
    """

    rates: Float[np.ndarray, "window neuron"]
    noise: Float[np.ndarray, "window neuron"]
    places: Integer[np.ndarray, " window"]

    @property
    def is_complete(self) -> bool:
        """Whether all bins have a mean."""
        return not np.isnan(self.rates).any()

    def select(
        self, bins: np.ndarray | slice = slice(None), neurons: np.ndarray | slice = slice(None)
    ) -> ConditionMeans:
        """Return some of the bins and some of the neurons, in the order given."""
        return ConditionMeans(
            self.rates[bins][:, neurons], self.noise[bins][:, neurons], self.places[bins]
        )


def join_means(parts: Sequence[ConditionMeans]) -> ConditionMeans:
    """Put the means of several folds behind each other; folds share no mean.

    Args:
        parts: Condition means of each fold, for the same neurons.
    """
    first = np.cumsum([0, *(int(p.places.max()) + 1 for p in parts[:-1])])
    return ConditionMeans(
        np.concatenate([p.rates for p in parts]),
        np.concatenate([p.noise for p in parts]),
        np.concatenate([p.places + n for p, n in zip(parts, first, strict=True)]),
    )


def condition_mean(
    recording: Recording,
    split: Split,
    condition: str | None = "stimulus_direction_deg",
    *,
    role: Role = "test",
    targets: Integer[np.ndarray, " window"] | None = None,
) -> Prediction:
    """Predict trials by the mean training response to their condition at each time in the trial.

    It cannot predict new conditions. A mean over few trials is noisy: a model that scores higher
    does not therefore follow single trials.

    Args:
        recording: A session with trials.
        split: Roles of the bins; means are over training bins only.
        condition: Annotation that names the condition of a trial; ``None`` takes the mean over all
            trials, by time in the trial alone.
        role: Predict the trial bins of this role.
        targets: Predict these bins (in order of time) instead, such as those of an encoder.

    Returns:
        The predicted bins and mean responses.

    Raises:
        DataError: If there are no trials, or a condition or time in the trial was never trained on.
    """
    segments = recording.segments
    is_in_trial = recording.is_in_trial()
    if not is_in_trial.any():
        raise DataError(
            f"session {recording.session_id!r} has no trials, so there is no mean over them; mark "
            "its segments as trials where it is opened"
        )
    if targets is None:
        targets = np.flatnonzero(is_in_trial & split.is_role(role))
    rates = condition_means(recording, split, condition, targets).rates
    if np.isnan(rates).any():
        bin_ = targets[np.isnan(rates).any(1)][0]
        trial = segments[recording.segment_index()[bin_]]
        if not trial.trial:
            raise DataError(
                f"session {recording.session_id!r}: bin {bin_} is in no trial; give bins of trials "
                "only"
            )
        what = "any condition"
        if condition is not None:
            what = f"{condition} = {trial_condition(recording, trial, condition)}"
        raise DataError(
            f"session {recording.session_id!r}: no training trial of {what} has bin "
            f"{bin_ - trial.start} of a trial; train on more trials, or predict fewer"
        )
    return Prediction(recording.session_id, targets, rates, recording.unit_ids)


def condition_means(
    recording: Recording,
    split: Split,
    condition: str | None,
    targets: Integer[np.ndarray, " window"],
) -> ConditionMeans:
    """Average training responses to the condition of each bin at its time in the trial.

    Args:
        recording: The session.
        split: Roles of the bins; means are over training bins only.
        condition: Annotation that names the condition of a trial; ``None`` takes all trials.
        targets: Bins to predict, in order of time.

    Returns:
        Mean responses; NaN for bins outside trials, or whose condition and time in the trial have
        no training bin.

    Raises:
        DataError: If there is no such annotation, or it changes within a trial.
    """

    def name_of(trial: Segment) -> Hashable:
        return None if condition is None else trial_condition(recording, trial, condition)

    training = split.bins("train")
    bins = np.union1d(training, targets)
    stimulus, time = trial_positions(recording, bins, name_of)
    averaged = np.isin(bins, training) & (time >= 0)
    places = np.unique(np.stack([stimulus, time], axis=1), axis=0, return_inverse=True)[1].ravel()
    responses = pd.DataFrame(recording.responses[bins[averaged]].astype(np.float64))
    by_place = responses.groupby(places[averaged])
    wanted = places[np.searchsorted(bins, targets)]
    means, spread = (cast(pd.DataFrame, by_place.agg(f)) for f in ("mean", "var"))
    noise = spread.fillna(spread.mean()).div(by_place.size(), axis=0)
    return ConditionMeans(
        means.reindex(wanted).to_numpy(np.float32), noise.reindex(wanted).to_numpy(), wanted
    )
