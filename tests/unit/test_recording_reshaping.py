"""Resized frames and stretches that train, then test."""

from dataclasses import replace

import numpy as np
import pytest

from builders import make_recording, make_trial_recording
from freegaze.errors import ConfigError, DataError
from freegaze.files import arrays as array_files
from freegaze.recording.recording import Segment
from freegaze.recording.reshaping import cut_segments, resize_video
from freegaze.sources.tiny import make_tiny_recording


def test_halving_is_the_mean_of_four():
    r = make_tiny_recording(0)
    small = resize_video(r, (6, 8))
    blocks = r.frames.reshape(-1, 6, 2, 8, 2).astype(float).mean(axis=(2, 4))
    np.testing.assert_array_equal(small.frames, np.rint(blocks))
    assert small.frames.dtype == np.uint8


def test_doubling_repeats_pixels():
    r = make_tiny_recording(0)
    large = resize_video(r, (24, 32))
    np.testing.assert_array_equal(large.frames, r.frames.repeat(2, 1).repeat(2, 2))
    np.testing.assert_array_equal(resize_video(large, (12, 16)).frames, r.frames)


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (13, 3)])
def test_any_size_weighs_by_area(size):
    r = make_tiny_recording(1)
    new = resize_video(r, size).frames[0]
    height, width = r.frame_size
    for i in range(size[0]):
        for j in range(size[1]):
            top, bottom = i * height / size[0], (i + 1) * height / size[0]
            left, right = j * width / size[1], (j + 1) * width / size[1]
            total = area = 0.0
            for y in range(height):
                for x in range(width):
                    dy = max(0.0, min(bottom, y + 1) - max(top, y))
                    dx = max(0.0, min(right, x + 1) - max(left, x))
                    total += dy * dx * float(r.frames[0, y, x])
                    area += dy * dx
            assert abs(new[i, j] - total / area) <= 0.5 + 1e-6


def test_the_calibration_follows_the_aspect():
    r = replace(make_tiny_recording(0), deg_per_px=0.5)
    assert resize_video(r, (6, 8)).deg_per_px == 1.0
    assert resize_video(r, (6, 16)).deg_per_px is None


def test_a_large_video_goes_through_a_temporary_file(tmp_path, monkeypatch):
    monkeypatch.setattr(array_files, "IN_MEMORY_BYTES", 100)
    r = make_tiny_recording(0)
    told = []
    small = resize_video(r, (6, 8), tmp_path, lambda done, total: told.append((done, total)))
    assert isinstance(small.frames.base, np.memmap)
    assert list(tmp_path.iterdir()) == []
    assert told == [(240, 240)]
    monkeypatch.undo()
    np.testing.assert_array_equal(small.frames, resize_video(r, (6, 8)).frames)
    monkeypatch.setattr(array_files, "IN_MEMORY_BYTES", 100)
    with pytest.raises(DataError, match="no room.*nowhere.*free some space"):
        resize_video(r, (6, 8), tmp_path / "nowhere")


def test_a_frame_has_pixels():
    with pytest.raises(ConfigError, match="at least one pixel"):
        resize_video(make_tiny_recording(0), (0, 8))


def test_stretches_train_then_test():
    r = cut_segments(make_recording(n_bins=103), 10, 0.3)
    assert [s.role for s in r.segments] == ["train", "test"] * 10
    lengths = np.array([s.n_bins for s in r.segments]).reshape(10, 2)
    assert (abs(lengths.sum(1) - 10.3) < 1).all()
    assert set(lengths[:, 1]) == {3}


def test_gaps_stay_and_given_roles_go():
    r = make_recording(n_bins=100, segments=[Segment(0, 13), Segment(13, 100)])
    cut = cut_segments(r, 2, 0.2)
    assert [s.start for s in cut.segments] == [0, 13, 40, 50, 90]
    assert [s.role for s in cut.segments] == ["train", "train", "test", "train", "test"]
    given = make_recording(n_bins=100, roles=("train", "test"))
    assert len(cut_segments(given, 3, 0.2).segments) == 6


def test_what_cannot_be_cut():
    with pytest.raises(DataError, match="consists of trials"):
        cut_segments(make_trial_recording(), 2, 0.3)
    with pytest.raises(DataError, match="too few for 60 segments"):
        cut_segments(make_recording(n_bins=100), 60, 0.3)
    for n, test in ((0, 0.3), (3, 0.0), (3, 1.0)):
        with pytest.raises(ConfigError, match="expected at least 1 segment"):
            cut_segments(make_recording(n_bins=100), n, test)
