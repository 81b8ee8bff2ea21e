"""Folds of training windows, held out by the groups that set training and test apart."""

from __future__ import annotations

import numpy as np
from jaxtyping import Integer

from freegaze.dataset.splits import Split
from freegaze.recording.recording import Recording

CONDITION = "condition"
"""Annotation that names what was shown in each bin, where a recording has it."""

BLOCKS_PER_FOLD = 4
"""Blocks of time of each fold of a continuous recording."""


def assign_folds(
    recording: Recording,
    split: Split,
    targets: Integer[np.ndarray, " window"],
    n_folds: int,
) -> Integer[np.ndarray, " window"]:
    """Give each training window a fold, so that folds differ as training and test do.

    Windows of one group are in one fold. Groups are the values of the annotation ``condition`` if
    no test bin has a condition of a training bin; else the frames if they repeat and no test bin
    shows a frame of a training bin; else trials; else blocks of time. Groups take turns.

    Args:
        recording: The session.
        split: Its split.
        targets: Target bins of the windows, in order of time.
        n_folds: Folds at most; there are fewer where there are fewer groups.

    Returns:
        The fold of each window, from 0.

    Example:
        >>> from freegaze.dataset.splits import split_recording
        >>> recording = recordings[0]
        >>> split = split_recording(recording)
        >>> folds = assign_folds(recording, split, split.bins("train"), 5)
        >>> sorted(set(folds.tolist()))
        [0, 1, 2, 3, 4]
    """
    groups = group_windows(recording, split, targets)
    order = np.unique(groups, return_index=True)[1].argsort().argsort()
    if len(order) < 2:
        groups = _blocks(len(targets), n_folds)
        order = np.arange(groups.max() + 1)
    return order[np.unique(groups, return_inverse=True)[1]] % n_folds


def group_windows(
    recording: Recording, split: Split, targets: Integer[np.ndarray, " window"]
) -> Integer[np.ndarray, " window"]:
    """Return the number of each window's group; see ``assign_folds``.

    Args:
        recording: The session.
        split: Its split.
        targets: Target bins of the windows, in order of time.
    """
    test = split.bins("test")
    labels = recording.annotations.get(CONDITION)
    if labels is not None and labels.ndim == 1 and _sets_apart(labels, targets, test):
        return np.unique(labels[targets], return_inverse=True)[1]
    frames = recording.frame_index
    n_frames = len(np.unique(frames[targets]))
    if 2 * n_frames <= len(targets) and _sets_apart(frames, targets, test):
        return np.unique(frames[targets], return_inverse=True)[1]
    segment = recording.segment_index()[targets]
    if len(targets) and all(recording.segments[i].trial for i in np.unique(segment)):
        return segment
    return _blocks(len(targets), 5 * BLOCKS_PER_FOLD)


def _sets_apart(labels: np.ndarray, training: np.ndarray, test: np.ndarray) -> bool:
    """Return whether labels of training bins are several, and none is that of a test bin."""
    known = np.unique(labels[training])
    return len(known) > 1 and not np.isin(labels[test], known).any()


def _blocks(n_windows: int, n_blocks: int) -> np.ndarray:
    return np.arange(n_windows) * min(n_blocks, n_windows) // max(n_windows, 1)
