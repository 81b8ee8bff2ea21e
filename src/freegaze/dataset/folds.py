"""Folds: splits of a session in which each fold tests once, and folds of training windows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Integer

from freegaze.dataset.splits import (
    ROLES,
    Split,
    leave_gaps,
    require_roles,
    trial_starts,
)
from freegaze.dataset.stimuli import CONDITION, are_stimuli_repeated, group_stimuli
from freegaze.errors import DataError
from freegaze.recording.recording import Recording

BLOCKS_PER_FOLD = 4
"""Number of time blocks of each fold in a continuous recording."""

LEAST_BLOCK_GAPS = 5
LEAST_BLOCK_WINDOWS = 5
"""A block of a fold has at least 5 gaps plus 5 windows: a training block loses 2 of both."""


def split_fold(
    recording: Recording,
    *,
    n_folds: int,
    fold: int,
    validation: float = 0.2,
    gap_s: float = 2.0,
    history: int = 1,
    lag: int = 1,
    condition: str | None = None,
) -> Split:
    """Split a recording so that one fold tests and blocks of the other folds train and validate.

    The session is cut into blocks of time, which go to the folds in turn; a trial is never cut. If
    trials repeat enough stimuli, stimuli go to the folds in turn instead, so that training and test
    share no stimulus (see ``freegaze.dataset.stimuli``). Over all folds, each bin that has a full
    window is the target of exactly one test window. For this, test bins begin one window before a
    test block: these bins are read and not predicted. Roles of the recording's segments are not
    used.

    Args:
        recording: The session.
        n_folds: Number of folds, at least 2.
        fold: The fold that tests, from 0.
        validation: Share of the blocks of the other folds that validate, at least one block.
        gap_s: Seconds kept free between training bins and bins of another role.
        history: Input bins of a window.
        lag: Target bin minus last input bin.
        condition: Annotation whose values are kept together where stimuli repeat. Without it, the
            annotation ``condition`` is used if the recording has it.

    Returns:
        The split.

    Raises:
        DataError: If there is no such fold, there are fewer blocks or trials than folds, or nothing
            is left to train on.

    Example:
        >>> recording = recordings[0]
        >>> tested = [split_fold(recording, n_folds=3, fold=k).bins("test") for k in range(3)]
        >>> sorted(set(np.concatenate(tested))) == list(range(recording.n_bins))
        True
    """
    if not 0 <= fold < n_folds:
        raise DataError(f"fold {fold} of {n_folds} does not exist; folds count from 0")
    reach = max(lag + history - 1, 0), max(-lag, 0)
    gap_bins = int(np.ceil(gap_s / recording.bin_width_s))
    shortest = LEAST_BLOCK_GAPS * gap_bins + LEAST_BLOCK_WINDOWS * (sum(reach) + 1)
    block = _stimulus_blocks(recording, n_folds, condition)
    if block is None:
        block = _fold_blocks(recording, n_folds, validation, shortest)
    size = np.bincount(block)
    n_blocks = len(size)
    if n_blocks < n_folds:
        raise DataError(
            f"session {recording.session_id!r}: {n_blocks} blocks or trials cannot be shared by "
            f"{n_folds} folds; choose at most {n_blocks}"
        )
    turn = np.empty(n_blocks, dtype=np.int64)
    turn[np.argsort(-size, kind="stable") if _is_uneven(size) else slice(None)] = np.arange(
        n_blocks
    )
    is_test_block = turn % n_folds == fold
    others = np.flatnonzero(~is_test_block)
    n_validation = min(max(1, round(validation * len(others))), max(1, len(others) - 1))
    # Spread evenly, from the middle of each part, so that validation is of the whole session.
    places = ((np.arange(n_validation) + 0.5) * len(others) / n_validation).astype(int)
    role = np.where(is_test_block, ROLES.index("test"), ROLES.index("train")).astype(np.int8)
    role[others[places]] = ROLES.index("validation")
    codes = role[block]
    is_read = _read_by(codes == ROLES.index("test"), recording, reach)
    codes[is_read] = ROLES.index("test")
    split = Split(leave_gaps(codes, recording, gap_s), gap_s, method="folds")
    require_roles(split, recording, "folds", ROLES)
    return split


def _is_uneven(size: Integer[np.ndarray, " block"]) -> bool:
    """Return whether sizes differ so much that blocks go to folds in order of size, not of time."""
    return bool(size.max() > 2 * size.min())


def _stimulus_blocks(
    recording: Recording, n_folds: int, condition: str | None
) -> Integer[np.ndarray, " time"] | None:
    """Return the group of stimuli of each bin, ``None`` where stimuli cannot make folds."""
    if not recording.is_in_trial().all() or not are_stimuli_repeated(recording, condition):
        return None
    group = group_stimuli(recording, condition)
    # Without one fold, at least two groups are needed to train and to validate.
    return group if group.max() + 1 >= max(n_folds, n_folds // 2 + 2) + 1 else None


def _fold_blocks(
    recording: Recording, n_folds: int, validation: float, shortest: int
) -> Integer[np.ndarray, " time"]:
    """Return the number of each bin's block of at least ``shortest`` bins, or of whole trials."""
    # With few folds more blocks are needed, or one block of validation is more than its share.
    n_blocks = max(BLOCKS_PER_FOLD * n_folds, int(np.ceil(2 / validation)) + n_folds)
    if not recording.is_in_trial().all():  # trials have no gaps
        n_blocks = max(2 * n_folds, min(n_blocks, recording.n_bins // shortest))
    block = trial_starts(recording) * n_blocks // recording.n_bins
    return np.unique(block, return_inverse=True)[1]


def _read_by(is_tested: np.ndarray, recording: Recording, reach: tuple[int, int]) -> np.ndarray:
    """Return the bins that windows of tested bins read, inside their segments.

    Args:
        is_tested: Whether each bin is predicted.
        recording: The session.
        reach: Bins that a window reads before its target, and after it.
    """
    is_read = is_tested.copy()
    before, after = reach
    for segment in recording.segments:
        inside = slice(segment.start, segment.stop)
        tested = np.flatnonzero(is_tested[inside])
        for offset in range(-before, after + 1):
            near = tested + offset
            is_read[inside][near[(near >= 0) & (near < segment.n_bins)]] = True
    return is_read


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
        split: Split of the session.
        targets: Target bins of the windows, in order of time.
        n_folds: Largest number of folds. With four groups or more, each fold has at least two
            groups. Choices made with one movie held out at a time did not carry over to new movies.

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
    n_folds = min(n_folds, max(2, len(order) // 2))
    return order[np.unique(groups, return_inverse=True)[1]] % n_folds


def group_windows(
    recording: Recording, split: Split, targets: Integer[np.ndarray, " window"]
) -> Integer[np.ndarray, " window"]:
    """Return the number of each window's group; see ``assign_folds``.

    Args:
        recording: The session.
        split: Split of the session.
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
    if len(targets) and recording.is_in_trial()[targets].all():
        return recording.segment_index()[targets]
    return _blocks(len(targets), 5 * BLOCKS_PER_FOLD)


def _sets_apart(labels: np.ndarray, training: np.ndarray, test: np.ndarray) -> bool:
    """Return whether training bins have several labels, and share none with test bins."""
    known = np.unique(labels[training])
    return len(known) > 1 and not np.isin(labels[test], known).any()


def _blocks(n_windows: int, n_blocks: int) -> np.ndarray:
    return np.arange(n_windows) * min(n_blocks, n_windows) // max(n_windows, 1)
