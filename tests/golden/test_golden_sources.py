"""What the original's loader returns for a made-up session, against our reading of it."""

from pathlib import Path

import numpy as np
import pytest

from freegaze.recording.recording import Recording
from freegaze.sources.source import open_recordings

HERE = Path(__file__).parent
COLUMNS = ("speed", "pitch", "roll", "phi", "theta", "pupil_radius")


@pytest.fixture(scope="module")
def recording() -> Recording:
    (opened,) = open_recordings("xu2023", HERE / "xu2023_tiny", units="paper")
    return opened


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(HERE / "dataset.npz") as file:
        return {name: file[name] for name in file.files}


def test_the_papers_units_and_their_counts(recording: Recording, golden):
    last = recording.segments[2 * 7].stop - 1  # segment 7, train
    for history in (1, 3):
        expected = golden[f"windows__history_{history}__last_spikes"]
        np.testing.assert_array_equal(recording.responses[last], expected)


@pytest.mark.parametrize(("split", "part"), [("train", 0), ("test", 1)])
def test_behavior_of_one_bin_samples(split: str, part: int, recording: Recording, golden):
    segment = recording.segments[2 * 3 + part]
    expected = golden[f"behavior__nan_zero__orig__{split}_seg3"]
    columns = np.stack([recording.column(name) for name in COLUMNS], axis=1)
    found = np.nan_to_num(columns[segment.bins()[:-1]])
    np.testing.assert_array_equal(found, expected)


def test_video_of_the_last_sample(recording: Recording, golden):
    segment = recording.segments[2 * 7]
    video = recording.video(segment.bins()).astype(np.float32)
    scaled = (video - video.min()) / (video.max() - video.min())
    expected = golden["windows__history_3__last_video"][:, 0]
    np.testing.assert_allclose(scaled[-4:-1], expected, rtol=0, atol=1e-5)


def test_all_segments_are_there(recording: Recording):
    lengths = [(s.role, s.n_bins) for s in recording.segments]
    assert lengths == [("train", 24), ("test", 11)] * 10
