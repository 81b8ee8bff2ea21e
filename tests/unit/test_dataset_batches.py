"""Batches against plain indexing, and the scaling of video."""

import json
import tracemalloc
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from builders import make_recording
from freegaze.dataset import batches
from freegaze.dataset.batches import (
    Preparation,
    SessionTensors,
    VideoScaling,
    fit_video_scaling,
    sequence_chunks,
    shuffled_sequences,
)
from freegaze.dataset.behavior import fit_behavior_transform
from freegaze.runs.run_folder import recording_checksum


def prepared(recording, rule="standardize"):
    train = recording.bins_of("train")
    behavior = fit_behavior_transform(recording, ["speed", "speed*theta"], train)
    return Preparation(behavior, fit_video_scaling(recording, train, rule))


def test_gather_equals_plain_indexing():
    recording = make_recording(n_bins=60)
    tensors = SessionTensors(recording, prepared(recording), history=3, lag=2)
    batch = tensors.gather(torch.tensor([10, 30]), n_windows=4)
    features = tensors.preparation.behavior.features(tensors.signals)
    scaling = tensors.preparation.video
    for row, first in enumerate((10, 30)):
        bins = range(first - 2 - 3 + 1, first - 2 + 4)
        frames = np.stack([recording.frames[recording.frame_index[b]] for b in bins])
        expected = frames * np.float32(scaling.scale) + np.float32(scaling.offset)
        np.testing.assert_allclose(batch.video[row, :, 0].numpy(), expected, atol=1e-6)
        torch.testing.assert_close(batch.behavior[row], features[list(bins)])
        np.testing.assert_array_equal(
            batch.responses[row].numpy(), recording.responses[first : first + 4]
        )


def test_standardized_video_has_mean_zero_and_sd_one_on_training_bins():
    recording = make_recording(n_bins=90)
    tensors = SessionTensors(recording, prepared(recording), history=1)
    train = tensors.video(torch.from_numpy(recording.bins_of("train")))
    assert abs(float(train.mean())) < 1e-5
    assert abs(float(train.std(correction=0)) - 1) < 1e-5
    changed = replace(recording, frames=recording.frames.copy())
    changed.frames[recording.bins_of("test")] = 255
    assert prepared(changed).video == prepared(recording).video


def test_minmax_scales_each_segment_by_its_own_levels():
    recording = make_recording(n_bins=30)
    recording.frames[:10] //= 4
    scaling = VideoScaling("minmax_segment", low=-1, high=1)
    preparation = Preparation(prepared(recording).behavior, scaling)
    video = SessionTensors(recording, preparation, history=1).video(torch.arange(30))
    for part in (video[:10], video[10:20], video[20:]):
        assert float(part.min()) == -1
        assert abs(float(part.max()) - 1) < 1e-6


def test_a_constant_video_stays_finite():
    recording = make_recording(n_bins=30)
    recording.frames[:] = 7
    for rule in ("standardize", "unit", "minmax_segment"):
        tensors = SessionTensors(recording, prepared(recording, rule), history=1)
        assert torch.isfinite(tensors.video(torch.arange(30))).all()


def test_shuffled_sequences_depend_on_the_seed_alone():
    targets = np.arange(5, 105)
    first, again, other = (
        torch.cat(shuffled_sequences(targets, 4, 8, seed)).tolist() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert sorted(first) == list(range(min(first), min(first) + 100, 4))


def test_chunks_cover_every_window_once():
    targets = np.r_[3:20, 30:35]
    chunks = list(sequence_chunks(targets, 8))
    assert np.concatenate([np.arange(f, f + n) for f, n in chunks]).tolist() == targets.tolist()
    assert max(n for _, n in chunks) <= 8


def test_preparation_survives_json():
    preparation = prepared(make_recording(n_bins=40))
    plain = json.loads(json.dumps(asdict(preparation)))
    assert TypeAdapter(Preparation).validate_python(plain) == preparation


def test_video_is_shared_with_the_recording_not_copied():
    recording = make_recording(n_bins=40)
    tensors = SessionTensors(recording, prepared(recording), history=1)
    assert tensors.frames.data_ptr() == recording.frames.ctypes.data


def test_a_read_only_video_is_shared_too(tmp_path: Path):
    recording = make_recording(n_bins=40)
    np.save(tmp_path / "frames.npy", recording.frames)
    mapped = np.asarray(np.load(tmp_path / "frames.npy", mmap_mode="r"))
    tensors = SessionTensors(replace(recording, frames=mapped), prepared(recording), history=1)
    assert tensors.frames.data_ptr() == mapped.ctypes.data
    torch.testing.assert_close(
        tensors.video(torch.arange(40)),
        SessionTensors(recording, prepared(recording), history=1).video(torch.arange(40)),
        rtol=0,
        atol=0,
    )


def test_scaling_is_that_of_all_frames_at_once(monkeypatch):
    recording = make_recording(n_bins=90)
    whole = [prepared(recording, rule).video for rule in ("standardize", "minmax_segment")]
    ends = [video.per_segment(recording) for video in whole]
    monkeypatch.setattr(batches, "PART_PIXELS", 7 * 6 * 8)
    pieces = [prepared(recording, rule).video for rule in ("standardize", "minmax_segment")]
    assert pieces == whole
    for video, expected in zip(pieces, ends, strict=True):
        np.testing.assert_array_equal(video.per_segment(recording), expected)


def fit_scaling(recording):
    return fit_video_scaling(recording, recording.bins_of("train"))


@pytest.mark.parametrize("measure", [fit_scaling, recording_checksum])
def test_memory_does_not_grow_with_the_session_or_the_frames(measure) -> None:
    """4,096 frames of 240 x 320 at a time took 0.3 GB, and 2.5 GB to count their gray levels."""
    recording = make_recording(n_bins=900, frame_size=(240, 320))
    tracemalloc.start()
    try:
        measure(recording)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < recording.frames.nbytes
