"""Folds of training windows by conditions, frames, trials or time."""

from dataclasses import replace

import numpy as np

from builders import make_recording
from freegaze.dataset.folds import BLOCKS_PER_FOLD, assign_folds, group_windows
from freegaze.dataset.splits import Split
from freegaze.recording.recording import Recording, Segment


def make_trials(n_trials: int = 12, n_bins: int = 4) -> tuple[Recording, Split, np.ndarray]:
    """Trials of which the last third tests, each with a frame of its own."""
    recording = make_recording(n_bins=n_trials * n_bins)
    segments = tuple(
        Segment(i * n_bins, (i + 1) * n_bins, None, trial=True) for i in range(n_trials)
    )
    codes = np.repeat(np.where(np.arange(n_trials) < 2 * n_trials // 3, 0, 2), n_bins)
    split = Split(codes.astype(np.int8), 0.0)
    trial = np.repeat(np.arange(n_trials), n_bins)
    return replace(recording, segments=segments, frame_index=trial), split, trial


def test_conditions_that_are_new_in_the_test_stay_together() -> None:
    recording, split, trial = make_trials()
    condition = np.array(list("aabbccddxxyy"))[trial]
    recording = replace(recording, annotations={"condition": condition})
    targets = split.bins("train")
    folds = assign_folds(recording, split, targets, 2)
    assert [int(folds[condition[targets] == c][0]) for c in "abcd"] == [0, 1, 0, 1]
    for c in "abcd":
        assert len(set(folds[condition[targets] == c])) == 1


def test_conditions_of_the_test_do_not_group() -> None:
    recording, split, trial = make_trials()
    condition = np.array(list("abababababab"))[trial]
    shown = replace(recording, annotations={"condition": condition}, frame_index=0 * trial)
    targets = split.bins("train")
    assert (group_windows(shown, split, targets) == trial[targets]).all()


def test_repeated_frames_stay_together() -> None:
    recording, split, trial = make_trials()
    frames = np.array([0, 1, 2, 0, 1, 2, 0, 1, 3, 4, 3, 4])[trial]
    recording = replace(recording, frame_index=frames)
    targets = split.bins("train")
    assert (group_windows(recording, split, targets) == frames[targets]).all()


def test_a_movie_is_cut_into_blocks_of_time() -> None:
    recording = make_recording(n_bins=300)
    split = Split(np.zeros(300, dtype=np.int8), 0.0)
    folds = assign_folds(recording, split, np.arange(300), 5)
    assert (np.bincount(folds) == 60).all()
    assert np.count_nonzero(np.diff(folds)) == 5 * BLOCKS_PER_FOLD - 1


def test_a_fold_holds_at_least_two_groups_where_there_are_four() -> None:
    recording, split, trial = make_trials(15)
    condition = np.array(list("abcdefgabcxyxyx"))[trial]
    recording = replace(recording, annotations={"condition": condition})
    targets = split.bins("train")
    folds = assign_folds(recording, split, targets, 5)
    groups = [len(set(condition[targets][folds == k])) for k in range(folds.max() + 1)]
    assert groups == [3, 2, 2]
