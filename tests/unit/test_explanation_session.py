"""The visual drive of encoders of every kind, and signals without gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from builders import make_recording
from fake_encoder import built_fit, fake_fit
from figure_runs import make_behaving
from freegaze.errors import DataError
from freegaze.explanation.session import ExplainedSession
from freegaze.models.callables import gaze_given

CORE = {"channels": [4], "kernels": [5], "strides": [2]}
IMAGE = {"core": CORE, "shifter": {"kind": "image"}}
READOUT = {"core": CORE, "readout": {"kind": "gaussian"}, "shifter": {"kind": "readout"}}


@pytest.mark.parametrize("options", [IMAGE, READOUT], ids=["image", "readout"])
def test_the_drive_of_an_encoder_that_only_sees_is_its_prediction(
    options: Mapping[str, Any],
) -> None:
    """Gaze is as it was whatever follows it; behavior has nothing else to do in these."""
    recording = make_behaving("s")
    encoder = built_fit([recording], "cnn", options)
    session = ExplainedSession(encoder, recording)
    predicted = encoder.predict(recording)
    assert (predicted.targets == session.targets[None]).all()
    # float32 sums of at most 4 * 6 * 8 products, in stretches of another length
    np.testing.assert_allclose(session.visual_drive(), predicted.rates, rtol=1e-4, atol=1e-6)
    bins = session.bins(session.targets["test"][:20])
    with torch.no_grad():
        still = encoder(session.video(bins), session.still(20))
        features = session.behavior.features(session.signals(bins)).flatten(0, 1)
        with gaze_given(encoder, features):
            given = encoder(session.video(bins), session.still(20))
        as_it_was = encoder(session.video(bins), features.unflatten(0, bins.shape))
    torch.testing.assert_close(given, as_it_was)
    assert (still - as_it_was).abs().max() > 1e-4  # gaze matters here
    gaze = next(m for m in encoder.encoder.modules() if hasattr(m, "readout_shifter"))
    assert not gaze.columns._forward_hooks


@pytest.mark.parametrize("model", ["cnn_gru", "glm"])
def test_the_drive_is_what_windows_give_one_by_one(model: str) -> None:
    recording = make_behaving("s")
    options = {"core": CORE} if model == "cnn_gru" else {"downsample": 2}
    session = ExplainedSession(built_fit([recording], model, options), recording)
    drive, encoder = session.visual_drive(), session.encoder
    for row in (0, 130, len(drive) - 1):
        bins = session.bins(session.targets[None][[row]])
        features = session.behavior.features(session.signals(bins[0]))
        with torch.no_grad(), gaze_given(encoder, features):
            plain = encoder(session.video(bins), session.still(1))[0]
        np.testing.assert_allclose(drive[row], plain.numpy(), rtol=1e-4, atol=1e-6)


def test_an_encoder_without_video_has_a_flat_drive() -> None:
    recording = make_recording(n_bins=600)
    drive = ExplainedSession(fake_fit([recording]), recording).visual_drive()
    assert np.ptp(drive, axis=0).max() < 1e-6
    assert (drive > 0).all()


def test_the_median_behavior_is_the_median_of_training_bins() -> None:
    recording = make_recording(n_bins=600, lost_share=0.1)
    session = ExplainedSession(
        built_fit([recording], "behavior_only", {"features": ["speed", "theta"]}), recording
    )
    training = session.encoder.split(recording).bins("train")
    speed = recording.column("speed")[training].astype(np.float64)
    place = session.behavior.signal_names.index("speed")
    expected = (np.median(speed) - speed.mean()) / speed.std()
    assert float(session.median_features[place]) == pytest.approx(expected, abs=1e-5)


def test_recorded_signals_have_no_gaps_and_a_column_lost_in_training_is_flat() -> None:
    recording = make_recording(n_bins=600, lost_share=0.1)
    behavior = recording.behavior.copy()
    behavior[:200, 2] = np.nan  # phi, in all training bins
    recording = replace(recording, behavior=behavior)
    session = ExplainedSession(fake_fit([recording]), recording)
    assert list(session.recorded_signals) == list(recording.behavior_names)
    signals = np.column_stack(list(session.recorded_signals.values()))
    training = session.encoder.split(recording).bins("train")
    assert np.isfinite(signals).all()
    assert (signals[:, 2] == 0).all()
    np.testing.assert_allclose(signals[training, :2].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(signals[training, :2].std(0), 1, rtol=1e-4)


def test_who_was_not_fitted_is_not_explained() -> None:
    recording = make_recording(n_bins=400)
    encoder = fake_fit([recording])
    with pytest.raises(DataError, match="not on 'other'"):
        ExplainedSession(encoder, replace(recording, session_id="other"))
    with pytest.raises(DataError, match="lacks the fitted neuron 'unit_0'"):
        ExplainedSession(encoder, recording.select_neurons([1, 2]))
