"""Splits and windows: hand-worked cases and plain-loop oracles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import make_recording, make_trial_recording
from freegaze.dataset.splits import ROLES, Split, split_recording
from freegaze.dataset.stimuli import are_stimuli_repeated, find_seen_stimuli
from freegaze.dataset.windows import (
    check_leaks,
    contiguous_runs,
    cut_sequences,
    input_bins,
    window_targets,
)
from freegaze.errors import ConfigError, DataError
from freegaze.recording.recording import Segment
from freegaze.sources import open_recordings


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


def make_drifting_recording(n_trials=32, n_bins=10):
    """Gratings of 4 orientations that drift both ways, each after 3 bins of one blank frame."""
    rng = np.random.default_rng(3)
    orientations = rng.integers(0, 256, (4, n_bins - 3, 6, 8), dtype=np.uint8)
    trials = []
    for direction in range(8):
        drift = orientations[direction % 4]
        trials.append(drift if direction < 4 else drift[::-1])
    blank = np.full((n_trials, 3, 6, 8), 128, np.uint8)
    shown = np.stack([trials[i % 8] for i in range(n_trials)])
    base = make_recording(
        n_bins=n_trials * n_bins,
        segments=[Segment(i * n_bins, (i + 1) * n_bins, None, True) for i in range(n_trials)],
    )
    return replace(
        base,
        frames=np.concatenate([blank, shown], axis=1).reshape(-1, 6, 8),
        annotations={"direction_deg": np.repeat(np.arange(n_trials) % 8 * 45.0, n_bins)},
    )


def shown_by_role(recording, split):
    """Bytes of the frames of each role, by a plain loop."""
    frames = [
        {recording.frames[recording.frame_index[b]].tobytes() for b in split.bins(role)}
        for role in ROLES
    ]
    blank = {f for f in frames[0] if len(set(f)) == 1}
    return [f - blank for f in frames]


def test_auto_holds_out_stimuli_that_repeat():
    recording = make_drifting_recording()
    split = split_recording(recording)
    train, validation, test = shown_by_role(recording, split)
    assert train
    assert validation
    assert test
    assert not train & test
    assert not train & validation
    assert not validation & test
    orientation = recording.annotations["direction_deg"] % 180
    assert [len(np.unique(orientation[split.bins(role)])) for role in ROLES] == [2, 1, 1]
    seen = find_seen_stimuli(recording, split.bins("train"), split.bins("test"))
    assert (seen.frames, seen.blank) == (0, 0.3)
    check_leaks(recording.segments, split, 1, 0, recording.bin_width_s)


def test_blocks_of_repeated_stimuli_say_what_training_saw():
    recording = make_drifting_recording()
    split = split_recording(recording, "blocks", n_blocks=2)
    train, _, test = shown_by_role(recording, split)
    shown = [recording.frames[b].tobytes() in train for b in split.bins("test")]
    seen = find_seen_stimuli(recording, split.bins("train"), split.bins("test"))
    assert test
    assert seen.frames == np.mean(shown) > 0.3
    assert "also" not in seen.sentence()
    assert f"{seen.frames:.1%}" in seen.sentence()


def test_a_condition_that_is_named_is_on_one_side():
    recording = make_trial_recording(n_conditions=6)
    unmarked = recording.with_segments([replace(s, role=None) for s in recording.segments])
    named = replace(
        unmarked,
        frame_index=np.arange(unmarked.n_bins),  # controls: other frames, the same condition
        annotations={"movie": unmarked.annotations["stimulus_direction_deg"]},
    )
    split = split_recording(named, condition="movie")
    sides = [set(named.annotations["movie"][split.bins(role)]) for role in ROLES]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert not (sides[0] | sides[1]) & sides[2]
    with pytest.raises(ConfigError, match=r"split\.condition"):
        split_recording(named, condition="movies")


@pytest.mark.parametrize("n_trials", [15, 40, 60, 61, 128])
def test_blocks_of_trials_come_near_the_shares(n_trials):
    segments = [Segment(i * 5, i * 5 + 5, None, True) for i in range(n_trials)]
    recording = make_recording(n_bins=5 * n_trials, segments=segments)
    for validation, test in ((0.2, 0.2), (0.1, 0.3), (0.25, 0.15)):
        split = split_recording(recording, "blocks", validation=validation, test=test)
        asked = (1 - validation - test, validation, test)
        for role, share in zip(ROLES, asked, strict=True):
            # Either cut is half a trial off at most, or more in blocks of one or two trials.
            assert abs(len(split.bins(role)) / 5 - share * n_trials) <= (1 if n_trials > 20 else 2)


def test_a_camera_that_freezes_repeats_no_stimulus():
    recording = make_recording(n_bins=400, roles=(None,), bin_width_s=1.0)
    recording.frames[100:350] = recording.frames[100]
    assert not are_stimuli_repeated(recording)
    assert split_recording(recording).method == "blocks"


def test_a_movie_that_is_shown_again_is_cut_at_the_same_times():
    movie = np.tile(np.arange(200), 5)
    recording = make_recording(n_bins=1000, roles=(None,), bin_width_s=0.1)
    recording = replace(recording, frame_index=movie)
    split = split_recording(recording)
    assert split.method == "stimulus"
    sides = [set(movie[split.bins(role)]) for role in ROLES]
    assert not sides[0] & (sides[1] | sides[2])
    assert not sides[1] & sides[2]
    check_leaks(recording.segments, split, 3, 1, 0.1)


@pytest.mark.parametrize("name", ["mrcuts24", "mrcuts25", "mrcuts26", "mrcuts28"])
def test_orientations_of_recorded_gratings_are_held_out(name):
    recording = open_shared(f"park2023_mouse_v1/{name}.npz")
    unmarked = recording.with_segments([replace(s, role=None) for s in recording.segments])
    split = split_recording(unmarked)
    orientation = recording.annotations["stimulus_direction_deg"] % 180
    assert [len(np.unique(orientation[split.bins(role)])) for role in ROLES] == [2, 1, 1]
    train, validation, test = shown_by_role(unmarked, split)
    assert not train & test
    assert not train & validation
    seen = find_seen_stimuli(unmarked, split.bins("train"), split.bins("test"))
    assert seen.frames == 0
    assert seen.blank > 0.3
    check_leaks(unmarked.segments, split, 16, 0, unmarked.bin_width_s)


@pytest.mark.parametrize("name", ["ay2_u003", "ay4_u001", "ay4_u005", "ay5_u005"])
def test_movies_of_recorded_neurons_are_held_out(name):
    recording = open_shared(f"macaque_v1_natural_movies/{name}.npz")
    unmarked = recording.with_segments([replace(s, role=None) for s in recording.segments])
    split = split_recording(unmarked)
    for label in (recording.annotations["condition"], recording.frame_index):
        sides = [set(label[split.bins(role)]) for role in ROLES]
        assert all(sides)
        assert not sides[0] & sides[2]
        assert not sides[0] & sides[1]
    shares = [len(split.bins(role)) / unmarked.n_bins for role in ROLES]
    assert np.allclose(shares, [0.6, 0.2, 0.2], atol=0.05)
    check_leaks(unmarked.segments, split, 1, 0, unmarked.bin_width_s)


def open_shared(path):
    """Open a recording that is not part of the project, or skip."""
    file = Path(__file__).parents[3] / "shared" / "data" / path
    if not file.exists():
        pytest.skip(f"{path} is not in ../shared/data")
    return open_recordings("arrays", file)[0]
