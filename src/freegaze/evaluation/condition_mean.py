"""Baseline: mean response to the same condition at the same time of other trials."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from jaxtyping import Float, Integer

from freegaze.dataset.splits import Split
from freegaze.errors import DataError
from freegaze.evaluation.repeats import trial_condition
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

    Without a model of the stimulus this is the best guess for a cell that only follows it; what a
    model wins beyond is due to changes from trial to trial. It cannot predict new conditions.

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
    if targets is None:
        targets = np.concatenate([_bins(s, split.is_role(role)) for s in _trials(recording)])
    means = _training_means(recording, split, condition)
    rates = np.empty((len(targets), recording.n_neurons), dtype=np.float32)
    is_predicted = np.zeros(len(targets), dtype=bool)
    for trial in _trials(recording):
        here = (targets >= trial.start) & (targets < trial.stop)
        if here.any():
            key = _key(recording, trial, condition)
            rates[here] = _look_up(means, key, targets[here] - trial.start, recording, condition)
        is_predicted |= here
    if not is_predicted.all():
        raise DataError(
            f"session {recording.session_id!r}: bin {targets[~is_predicted][0]} is in no trial; "
            "give bins of trials only"
        )
    return Prediction(recording.session_id, targets, rates, recording.unit_ids)


def _training_means(
    recording: Recording, split: Split, condition: str | None
) -> dict[Hashable, Float[np.ndarray, "time neuron"]]:
    """Mean training response of each condition at each time in the trial; NaN where none."""
    is_training = split.is_role("train")
    longest = max(trial.n_bins for trial in _trials(recording))
    sums: dict[Hashable, np.ndarray] = {}
    counts: dict[Hashable, np.ndarray] = {}
    for trial in _trials(recording):
        bins = _bins(trial, is_training)
        if len(bins):
            key = _key(recording, trial, condition)
            total = sums.setdefault(key, np.zeros((longest, recording.n_neurons)))
            total[bins - trial.start] += recording.responses[bins]
            counts.setdefault(key, np.zeros((longest, 1)))[bins - trial.start] += 1
    with np.errstate(invalid="ignore"):
        return {key: sums[key] / counts[key] for key in sums}


def _look_up(
    means: dict[Hashable, np.ndarray],
    key: Hashable,
    times: np.ndarray,
    recording: Recording,
    condition: str | None,
) -> np.ndarray:
    found = means[key][times] if key in means else np.full((len(times), 1), np.nan)
    if np.isnan(found).any():
        what = f"{condition} = {key}" if condition else "any condition"
        raise DataError(
            f"session {recording.session_id!r}: no training trial of {what} has bin "
            f"{times[np.isnan(found).any(1)][0]} of a trial; train on more trials, or predict fewer"
        )
    return found


def _key(recording: Recording, trial: Segment, condition: str | None) -> Hashable:
    return None if condition is None else trial_condition(recording, trial, condition)


def _trials(recording: Recording) -> list[Segment]:
    trials = [segment for segment in recording.segments if segment.trial]
    if not trials:
        raise DataError(
            f"session {recording.session_id!r} has no trials, so there is no mean over them; mark "
            "its segments as trials where it is opened"
        )
    return trials


def _bins(trial: Segment, is_wanted: np.ndarray) -> np.ndarray:
    return trial.start + np.flatnonzero(is_wanted[trial.start : trial.stop])
