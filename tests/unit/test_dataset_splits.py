"""Splits and windows: hand-worked cases and plain-loop oracles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import make_recording, make_trial_recording
from freegaze.dataset.splits import ROLES, Split, split_recording
from freegaze.dataset.windows import (
    check_leaks,
    contiguous_runs,
    cut_sequences,
    input_bins,
    window_targets,
)
from freegaze.errors import DataError
from freegaze.recording.recording import Segment


def roles(split):
    letters = {"train": "r", "validation": "v", "test": "e"}
    return "".join("-" if c < 0 else letters[ROLES[c]] for c in split.codes)


def test_tail_keeps_given_roles_and_gaps_free():
    segments = [Segment(0, 10, "train"), Segment(10, 15, "test"), Segment(15, 25, "train")]
    recording = make_recording(n_bins=25, segments=segments, bin_width_s=1.0)
    split = split_recording(recording, "tail", validation=0.4, gap_s=1)
    assert roles(split) == "rrrrr-vvv-eeeee-rrrr-vvvv"


def test_auto_chooses_by_the_roles_there_are():
    given_all = make_recording(n_bins=90, bin_width_s=1.0)
    assert split_recording(given_all, gap_s=0).bins("validation").tolist() == list(range(30, 60))
    train_test = make_recording(n_bins=100, roles=("train", "test"), bin_width_s=1.0)
    assert len(split_recording(train_test, gap_s=0).bins("validation")) == 10
    unmarked = make_recording(n_bins=100, roles=(None,), bin_width_s=1.0)
    split = split_recording(unmarked, gap_s=0, n_blocks=2)
    assert len(split.bins("test")) == 20
    assert len(split.bins("train")) == 60


def test_missing_roles_are_an_error():
    recording = make_recording(n_bins=100, roles=("train", "test"))
    with pytest.raises(DataError, match="no validation bins"):
        split_recording(recording, "given")
    with pytest.raises(DataError, match="gap"):
        split_recording(recording, "tail", gap_s=100)


def test_paper_tail_counts_windows_and_straddles():
    recording = make_recording(
        n_bins=35, segments=[Segment(0, 24, "train"), Segment(24, 35, "test")]
    )
    for history, n_train, n_all in ((1, 18, 23), (3, 16, 21)):
        split = split_recording(recording, "paper_tail", history=history)
        count = [
            len(window_targets(recording.segments, history, split=split, role=role))
            for role in ("train", "validation")
        ]
        assert count == [n_train, n_all - n_train]


def test_blocks_keep_trials_whole():
    trials = make_trial_recording()
    split = split_recording(trials, "blocks", n_blocks=2)
    for segment in trials.segments:
        assert len(set(split.codes[segment.bins()])) == 1


@pytest.mark.parametrize(("history", "lag"), [(1, 1), (3, 1), (2, 3), (5, -2), (1, 0)])
def test_windows_equal_a_plain_loop(history, lag):
    segments = [Segment(0, 12, "train"), Segment(12, 20, "test"), Segment(20, 22, "train")]
    expected = [
        t
        for s in segments
        for t in range(s.start, s.stop)
        if all(s.start <= b < s.stop for b in range(t - lag - history + 1, t - lag + 1))
    ]
    targets = window_targets(segments, history, lag)
    assert targets.tolist() == expected
    assert (input_bins(targets, history, lag)[:, -1] == targets - lag).all()


def test_windows_of_a_role_keep_all_bins_in_the_role():
    codes = np.array([0, 0, 0, 0, 1, 1, 1, -1, 2, 2, 2], dtype=np.int8)
    segments = [Segment(0, 11)]
    split = Split(codes, gap_s=0)
    assert window_targets(segments, 2, split=split, role="train").tolist() == [2, 3]
    assert window_targets(segments, 2, split=split, role="validation").tolist() == [6]
    straddling = Split(codes, gap_s=0, is_straddling=True)
    assert window_targets(segments, 2, split=straddling, role="validation").tolist() == [4, 5, 6]


def test_unusable_bins_take_their_windows_with_them():
    usable = np.ones(10, dtype=bool)
    usable[4] = False
    assert window_targets([Segment(0, 10)], 2, usable=usable).tolist() == [2, 3, 7, 8, 9]


def test_a_leak_is_found():
    segments = [Segment(0, 20)]
    codes = np.array([0] * 10 + [2] * 10, dtype=np.int8)
    with pytest.raises(DataError, match="closer than the gap"):
        check_leaks(segments, Split(codes, gap_s=2.0), 2, 1, bin_width_s=1.0)
    with pytest.raises(DataError, match="share bin"):
        check_leaks(segments, Split(codes, gap_s=0.0, is_straddling=True), 2, 1, bin_width_s=1.0)
    codes[8:10] = -1
    check_leaks(segments, Split(codes, gap_s=2.0), 2, 1, bin_width_s=1.0)


@settings(deadline=None, max_examples=60)
@given(
    n_bins=st.integers(60, 300),
    gap_s=st.floats(0, 5),
    history=st.integers(1, 6),
    lag=st.integers(-2, 3),
    n_blocks=st.integers(1, 4),
)
def test_no_split_of_ours_leaks(n_bins, gap_s, history, lag, n_blocks):
    recording = make_recording(n_bins=n_bins, roles=(None,), bin_width_s=1.0)
    try:
        split = split_recording(recording, "blocks", gap_s=gap_s, n_blocks=n_blocks)
    except DataError:
        return  # too short for such gaps, and said so
    check_leaks(recording.segments, split, history, lag, 1.0)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 200), unique=True, max_size=80), st.integers(1, 9), st.integers(0, 99)
)
def test_stretches_hold_consecutive_windows_once_each(bins, n_windows, seed):
    targets = np.array(sorted(bins), dtype=np.int64)
    firsts = cut_sequences(targets, n_windows, np.random.default_rng(seed))
    covered = (firsts[:, None] + np.arange(n_windows)).ravel()
    assert len(set(covered)) == len(covered)
    assert set(covered) <= set(bins)
    n_left_out = sum((stop - start) % n_windows for start, stop in contiguous_runs(targets))
    assert len(covered) == len(bins) - n_left_out


def test_impossible_splits_are_refused():
    recording = make_recording(n_bins=40, roles=(None,), bin_width_s=1.0)
    with pytest.raises(DataError, match="leaves no train bins"):
        split_recording(recording, "blocks", n_blocks=2, gap_s=40)


def test_a_share_that_is_less_than_a_bin_is_refused():
    segments = [Segment(0, 10, "train"), Segment(10, 20, "test")]
    recording = make_recording(n_bins=20, segments=segments, bin_width_s=1.0)
    with pytest.raises(DataError, match="no validation bins of 20"):
        split_recording(recording, "tail", validation=0.01, gap_s=0)


def test_history_below_one_is_an_error():
    with pytest.raises(DataError, match="at least 1"):
        window_targets([Segment(0, 5)], 0)


def test_a_short_trial_hides_no_test_bin_behind_it():
    segments = [Segment(0, 20, "train"), Segment(20, 21, "test", True), Segment(21, 40, "test")]
    recording = make_recording(n_bins=40, bin_width_s=1.0, segments=segments)
    split = split_recording(recording, "given", gap_s=3.0, needed=("train", "test"))
    assert split.bins("train").tolist() == list(range(18))  # 18 and 19 are within 3 bins of bin 21
