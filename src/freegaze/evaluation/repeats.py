"""Repeats of a stimulus within the trials of a recording, for noise ceilings."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
from jaxtyping import Integer

from freegaze.errors import DataError
from freegaze.recording.recording import Recording, Segment
from freegaze.registry import require_name

NOT_REPEATED = -1
"""Label of bins outside trials, or whose stimulus is shown once."""


def repeat_cells(
    recording: Recording,
    targets: Integer[np.ndarray, " window"],
    condition: str | None = None,
) -> Integer[np.ndarray, " window"]:
    """Label scored bins that show one stimulus at one time in the trial, in at least two trials.

    Args:
        recording: The session; bins of segments that are no trials are never repeats.
        targets: The scored bins, in order of time.
        condition: Per-bin annotation whose value names the stimulus of a trial. By default trials
            show the same stimulus when they show the same frames in the same order.

    Returns:
        One number for each pair of stimulus and time that occurs at least twice, else -1.

    Raises:
        DataError: If there is no such annotation, or it changes within a trial.
    """

    def name_of(trial: Segment) -> Hashable:
        if condition is not None:
            return trial_condition(recording, trial, condition)
        return recording.frame_index[trial.start : trial.stop].astype(np.int64).tobytes()

    stimulus, time = trial_positions(recording, targets, name_of)
    pairs = np.stack([stimulus, time], axis=1)
    _, cell, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    is_repeated = (stimulus != NOT_REPEATED) & (counts[cell] > 1)
    return np.where(is_repeated, cell, NOT_REPEATED)


def trial_positions(
    recording: Recording,
    bins: Integer[np.ndarray, " bin"],
    name_of: Callable[[Segment], Hashable],
) -> tuple[Integer[np.ndarray, " bin"], Integer[np.ndarray, " bin"]]:
    """Find the stimulus and the time in the trial of each bin.

    Args:
        recording: The session.
        bins: Bins in order of time.
        name_of: Names the stimulus of a trial.

    Returns:
        Number of the stimulus, and bin of the trial; both `NOT_REPEATED` for bins outside trials.
    """
    stimulus, time = np.full((2, len(bins)), NOT_REPEATED)
    numbers: dict[Hashable, int] = {}
    for trial in (segment for segment in recording.segments if segment.trial):
        low, high = np.searchsorted(bins, (trial.start, trial.stop))
        if high > low:
            stimulus[low:high] = numbers.setdefault(name_of(trial), len(numbers))
            time[low:high] = bins[low:high] - trial.start
    return stimulus, time


def condition_numbers(
    recording: Recording, targets: Integer[np.ndarray, " window"], condition: str
) -> Integer[np.ndarray, " window"]:
    """Number the conditions of scored bins.

    Args:
        recording: The session.
        targets: The scored bins, in order of time.
        condition: Annotation that names the condition of a trial.

    Returns:
        One number per condition; `NOT_REPEATED` for bins outside trials.

    Raises:
        DataError: If there is no such annotation, or it changes within a trial.
    """

    def name_of(trial: Segment) -> Hashable:
        return trial_condition(recording, trial, condition)

    return trial_positions(recording, targets, name_of)[0]


def trial_condition(recording: Recording, trial: Segment, condition: str) -> Hashable:
    """Return the value of an annotation in a trial, which must be one for all its bins.

    Args:
        recording: The session.
        trial: One of its segments.
        condition: Name of the annotation.

    Raises:
        DataError: If there is no such annotation, or it changes within the trial.
    """
    what = f"session {recording.session_id!r} has no annotation"
    require_name(condition, recording.annotations, what)
    found = np.unique(recording.annotations[condition][trial.start : trial.stop])
    if len(found) != 1:
        raise DataError(
            f"session {recording.session_id!r}: {condition!r} takes {len(found)} values in the "
            f"trial of bins {trial.start}..{trial.stop}, expected one; name a condition that lasts "
            "for whole trials"
        )
    value = found[0].item()
    return "missing" if value != value else value  # NaN is unequal to itself, but one condition
