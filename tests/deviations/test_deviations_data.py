"""Both sides of the original's quirks in reading data: Q2 to Q10."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from builders import make_recording
from freegaze.dataset.batches import Preparation, SessionTensors, fit_video_scaling
from freegaze.dataset.behavior import fit_behavior_transform
from freegaze.dataset.features import FEATURE_SETS
from freegaze.dataset.splits import split_recording
from freegaze.dataset.windows import check_leaks, window_targets
from freegaze.recording.recording import Segment

SEGMENTS = (Segment(0, 60, "train"), Segment(60, 90, "test"), Segment(90, 150, "train"))


@pytest.fixture
def recording():
    made = make_recording(n_bins=150, segments=SEGMENTS, bin_width_s=0.048)
    behavior = made.behavior + np.float32(20)  # far from zero, as a pupil's radius is
    behavior[70:75] = np.nan
    behavior[20:24] = np.nan
    return replace(made, behavior=behavior)


def features(recording, names, *, is_paper):
    transform = fit_behavior_transform(
        recording,
        names,
        recording.bins_of("train"),
        nan_policy="zero" if is_paper else "interpolate",
        derivative="paper" if is_paper else "gap_aware",
        standardize=False,
    )
    return transform.features(torch.from_numpy(transform.signals(recording))).numpy()


def video(recording, rule):
    train = recording.bins_of("train")
    preparation = Preparation(
        fit_behavior_transform(recording, [], train), fit_video_scaling(recording, train, rule)
    )
    return SessionTensors(recording, preparation, 1).video(torch.arange(recording.n_bins))


def test_q2_brightness_scale(recording):
    recording.frames[60:90] //= 2  # the test segment is darker
    paper, default = video(recording, "minmax_segment"), video(recording, "standardize")
    assert paper[60:90].max() == paper[:60].max() == 1  # its own range: the difference is lost
    assert default[60:90].mean() < default[:60].mean() - 0.5


def test_q3_lost_tracking(recording):
    paper = features(recording, ["speed"], is_paper=True)[20:24, 0]
    default = features(recording, ["speed"], is_paper=False)[19:25, 0]
    assert (paper == 0).all()
    assert (np.diff(np.sign(np.diff(default))) == 0).all()  # a straight line across the gap


def test_q4_derivatives_at_segment_starts_and_gaps(recording):
    paper = features(recording, ["d_speed"], is_paper=True)[:, 0]
    default = features(recording, ["d_speed"], is_paper=False)[:, 0]
    jumps = [0, 60, 90, 20, 24]
    assert (np.abs(paper[jumps]) > 10).all()
    assert (np.abs(default[jumps] * 0.048) < 2).all()


def test_q5_derivatives_per_bin_or_second(recording):
    x = recording.column("speed")
    paper = features(recording, ["d_speed"], is_paper=True)[5, 0]
    default = features(recording, ["d_speed"], is_paper=False)[5, 0]
    assert paper == pytest.approx(x[5] - x[4], rel=1e-4)
    assert default == pytest.approx((x[5] - x[4]) / 0.048, rel=1e-4)


def test_q6_products_of_raw_or_standardized_signals(recording):
    assert not any(a == b for a, b in (n.split("*") for n in FEATURE_SETS["all_prod"][11:]))
    paper = features(recording, ["speed", "theta", "speed*theta"], is_paper=True)
    np.testing.assert_allclose(paper[:, 2], paper[:, 0] * paper[:, 1], rtol=1e-5)
    train = recording.bins_of("train")
    transform = fit_behavior_transform(recording, ["speed", "speed*theta"], train)
    default = transform.features(torch.from_numpy(transform.signals(recording))).numpy()
    raw_correlation = abs(np.corrcoef(paper[train, 0], paper[train, 2])[0, 1])
    assert abs(np.corrcoef(default[train].T)[0, 1]) < raw_correlation


def test_q8_history_decides_which_bins_are_scored(recording):
    split = split_recording(recording, "paper_tail")
    counts = [
        len(window_targets(SEGMENTS, history, split=split, role="test")) for history in (1, 4, 8)
    ]
    assert counts == [29, 26, 22]  # `freegaze compare` scores the bins that all runs share


def test_q9_windows_across_the_border_to_validation(recording):
    paper = split_recording(recording, "paper_tail", history=4)
    default = split_recording(recording, "tail", gap_s=0.2)
    for split, crosses in ((paper, True), (default, False)):
        targets = window_targets(SEGMENTS, 4, split=split, role="validation")
        inputs = targets[:, None] + np.arange(-4, 0)
        assert split.is_role("train")[inputs].any() == crosses
    check_leaks(SEGMENTS, default, 4, 1, 0.048)
    gap = default.bins("validation")[0] - default.bins("train")[default.bins("train") < 60][-1]
    assert (gap - 1) * 0.048 >= 0.2


def test_q10_lag_is_an_option(recording):
    original = window_targets(SEGMENTS, 2, lag=1)
    seeing_its_own_bin = window_targets(SEGMENTS, 2, lag=0)
    assert original[0] == 2
    assert seeing_its_own_bin[0] == 1
