"""What the original's loaders return: behavior in every mode, windows, scaled video (Q2 to Q9)."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from freegaze.dataset.batches import Preparation, SessionTensors, VideoScaling
from freegaze.dataset.behavior import fit_behavior_transform
from freegaze.dataset.features import resolve_features
from freegaze.dataset.splits import split_recording
from freegaze.dataset.windows import window_targets
from freegaze.sources import open_recordings

FOLDER = Path(__file__).parent
GOLDEN = np.load(FOLDER / "dataset.npz")
MODES = ("orig", "velo", "all", "orig_prod", "velo_prod", "all_prod")
POLICIES = {"nan_zero": "zero", "nan_interp": "interpolate"}


@pytest.fixture(scope="module")
def recording():
    return open_recordings("xu2023", FOLDER / "xu2023_tiny", units="paper")[0]


def close(ours: np.ndarray, golden: np.ndarray) -> bool:
    return bool(np.abs(ours - golden).max() <= 1e-5 * np.abs(golden).max())


def nth_segment(recording, role, number):
    return [s for s in recording.segments if s.role == role][number]


def paper_transform(recording, mode, policy):
    return fit_behavior_transform(
        recording,
        resolve_features(mode, recording.behavior_names),
        recording.bins_of("train"),
        nan_policy=policy,
        derivative="paper",
        standardize=False,
    )


@pytest.mark.parametrize(
    ("policy", "mode", "role"), list(product(POLICIES, MODES, ("train", "test")))
)
def test_behavior_features_in_every_mode(recording, policy, mode, role):
    transform = paper_transform(recording, mode, POLICIES[policy])
    features = transform.features(torch.from_numpy(transform.signals(recording))).numpy()
    golden = GOLDEN[f"behavior__{policy}__{mode}__{role}_seg3"]
    segment = nth_segment(recording, role, 3)
    assert close(features[segment.start : segment.start + len(golden)], golden)


@pytest.mark.parametrize("history", [1, 3])
def test_windows_and_their_split(recording, history):
    golden = {k: GOLDEN[f"windows__history_{history}__{k}"] for k in ("n", "n_train")}
    segment = nth_segment(recording, "train", 7)
    split = split_recording(recording, "paper_tail", history=history)
    counts = []
    for role in ("train", "validation"):
        targets = window_targets(recording.segments, history, split=split, role=role)
        counts.append(int(((targets >= segment.start) & (targets < segment.stop)).sum()))
    assert counts == [golden["n_train"], golden["n"] - golden["n_train"]]


@pytest.mark.parametrize("history", [1, 3])
def test_the_last_window(recording, history):
    transform = paper_transform(recording, "all", "zero")
    preparation = Preparation(transform, VideoScaling("minmax_segment"))
    tensors = SessionTensors(recording, preparation, history)
    last = nth_segment(recording, "train", 7).stop - 1
    batch = tensors.gather(torch.tensor([last]), 1)
    golden = {
        k: GOLDEN[f"windows__history_{history}__last_{k}"] for k in ("video", "behavior", "spikes")
    }
    assert close(batch.video[0, :, 0].numpy(), golden["video"].reshape(history, 60, 80))
    assert close(batch.behavior[0].numpy(), golden["behavior"])
    assert close(batch.responses[0, 0].numpy(), golden["spikes"])


def test_video_scaled_to_minus_one_and_one(recording):
    scaling = VideoScaling("minmax_segment", low=-1.0, high=1.0)
    preparation = Preparation(paper_transform(recording, "orig", "zero"), scaling)
    first = nth_segment(recording, "test", 7).start
    video = SessionTensors(recording, preparation, 1).video(torch.tensor([first]))
    assert close(video[0].numpy(), GOLDEN["video__minus1_plus1__test_seg7_first"][0])
