"""Baseline: mean response to the same condition at the same time of other trials."""

from __future__ import annotations

from collections.abc import Hashable
from typing import cast

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer

from freegaze.dataset.splits import Split
from freegaze.errors import DataError
from freegaze.evaluation.repeats import trial_condition, trial_positions
from freegaze.fitted.encoder import Prediction
from freegaze.recording.recording import Recording, Role, Segment


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
    rates = condition_rates(recording, split, condition, targets)
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


def condition_rates(
    recording: Recording,
    split: Split,
    condition: str | None,
    targets: Integer[np.ndarray, " window"],
) -> Float[np.ndarray, "window neuron"]:
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
    places = pd.MultiIndex.from_arrays([stimulus, time])
    responses = pd.DataFrame(recording.responses[bins[averaged]].astype(np.float64))
    responses.index = places[averaged]
    means = cast(pd.DataFrame, responses.groupby(level=[0, 1]).mean())
    return means.reindex(places[np.searchsorted(bins, targets)]).to_numpy(np.float32)
