"""Receptive fields: numbers of a field, starts and norms of ascents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fake_encoder import built_fit
from figure_runs import make_behaving
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.fields.ascent import Ascent, ascend
from freegaze.explanation.fields.fields import METHODS
from freegaze.explanation.fields.gabor import describe_field
from freegaze.explanation.fields.gabor_models import GaborModels
from freegaze.explanation.session import ExplainedSession
from freegaze.recording.recording import ResponseKind

CONFIG = ExplainConfig(n_windows=6, n_starts=2, ascent_steps=2)


def test_numbers_of_a_field_by_hand() -> None:
    """A Gaussian at (15, 8) of 20 x 24 pixels, strongest in the second of four bins."""
    y, x = np.mgrid[:20, :24]
    blob = np.exp(-((x - 15) ** 2 + (y - 8) ** 2) / (2 * 2.5**2)) * np.cos(0.8 * (x - 15))
    field = np.array([0.2, 1.0, -0.5, 0.1])[:, None, None] * blob
    row = describe_field(field, lag=1, bin_width_s=0.05, deg_per_px=1.5)
    # The latest bin lies one lag before the target, the second of four two bins before that.
    assert row["delay_s"] == pytest.approx(3 * 0.05)
    assert row["separability"] == pytest.approx(1)
    assert (row["center_x_px"], row["center_y_px"]) == pytest.approx((15, 8), abs=0.05)
    # From the middle of the frame, at (11.5, 9.5), in degrees.
    assert row["center_x_deg"] == pytest.approx((15 - 11.5) * 1.5, abs=0.1)
    assert row["center_y_deg"] == pytest.approx((8 - 9.5) * 1.5, abs=0.1)
    assert row["frequency_cpp"] == pytest.approx(0.8 / (2 * np.pi), rel=0.02)
    assert row["frequency_cpd"] == pytest.approx(row["frequency_cpp"] / 1.5)
    assert row["sigma_along_deg"] == pytest.approx(1.5 * row["sigma_along_px"])
    assert row["explained"] > 0.99
    plain = describe_field(field, lag=1, bin_width_s=0.05, deg_per_px=None)
    assert not any(key.endswith(("_deg", "_cpd")) for key in set(plain) - set(GABOR_ANGLES))
    # A phase-invariant cell is described by its pair, which lies elsewhere.
    pair = np.stack([np.roll(blob, -6, 1), np.roll(blob, -6, 1)])
    moved = describe_field(field, pair, lag=1, bin_width_s=0.05, deg_per_px=None)
    assert moved["center_x_px"] == pytest.approx(9, abs=0.05)
    assert moved["delay_s"] == row["delay_s"]


GABOR_ANGLES = ("orientation_deg", "phase_deg")


def test_a_flat_field_has_no_numbers_and_a_row_all_the_same() -> None:
    row = describe_field(np.zeros((3, 8, 9)), bin_width_s=0.05, deg_per_px=1.5)
    assert np.isnan(list(row.values())).all()
    seen = describe_field(np.eye(9)[None].repeat(3, 0), bin_width_s=0.05, deg_per_px=1.5)
    assert list(row) == list(seen)


def test_ascents_start_elsewhere_for_each_neuron_and_keep_the_norm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recording = make_behaving("s", n_neurons=2)
    core = {"channels": [4], "kernels": [5], "strides": [2]}
    session = ExplainedSession(built_fit([recording], "cnn", {"core": core}), recording)
    bins = session.bins(session.sample("train", 6, 0))
    norms = [float(np.linalg.norm(v.numpy())) for v in session.retinal_video(bins)]
    norm = np.sort(norms)[2]  # torch's median: the lower middle
    starts: list[torch.Tensor] = []
    ends: list[np.ndarray] = []

    def watched(encoder, neurons, video, behavior, **options) -> Ascent:
        assert (behavior == session.median_features).all()
        starts.append(video)
        found = ascend(encoder, neurons, video, behavior, **options)
        ends.append(found.video)
        return found

    monkeypatch.setattr("freegaze.explanation.fields.fields.ascend", watched)
    for _ in range(2):
        found = METHODS["ascent"].find(session, CONFIG)
        for neuron, end in enumerate(ends[-2:]):
            np.testing.assert_allclose(np.linalg.norm(end.reshape(2, -1), axis=1), norm, rtol=1e-4)
            np.testing.assert_allclose(found["field"][neuron], end.mean(0), rtol=1e-6)
    assert torch.equal(starts[0], starts[2])
    assert not torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0][0], starts[0][1])
    np.testing.assert_array_equal(ends[0], ends[2])
    METHODS["ascent"].find(session, CONFIG.model_copy(update={"seed": 1}))
    assert not torch.equal(starts[0], starts[4])


@pytest.mark.parametrize("kind", [ResponseKind.SPIKE_COUNTS, ResponseKind.FLUORESCENCE])
def test_gabor_models_are_told_what_behavior_does(
    monkeypatch: pytest.MonkeyPatch, kind: ResponseKind
) -> None:
    """Counts: what it multiplies by, within bounds. Fluorescence: what it adds is taken away."""
    recording = replace(make_behaving("s", n_neurons=2), response_kind=kind)
    core = {"channels": [4], "kernels": [5], "strides": [2]}
    session = ExplainedSession(built_fit([recording], "cnn", {"core": core}), recording)
    training = session.targets["train"]
    rates = session.encoder.predict(recording, targets=training).rates
    gains = np.linspace(0.05, 9, len(session.targets[None]))[:, None]
    whole = session.encoder.predict(recording, targets=session.targets[None]).rates
    told = {}

    def watched(frames, targets, responses, history, lag, *, gain, noise) -> GaborModels:
        told.update(gain=gain, responses=responses, noise=noise, frames=frames(targets[:2]))
        np.testing.assert_array_equal(targets, training)
        return GaborModels(np.zeros(2, bool), np.zeros((2, 3, 4, 5)), np.zeros((2, 2, 4, 5)))

    monkeypatch.setattr("freegaze.explanation.fields.fields.fit_gabor_models", watched)
    session.drive = whole / gains
    found = METHODS["gabor"].find(session, CONFIG)
    assert set(found) == {"field", "pair", "is_energy"}
    drive = (whole / gains)[np.isin(session.targets[None], training)]
    bins = torch.from_numpy(training[:2])
    np.testing.assert_array_equal(told["frames"], session.retinal_video(bins)[:, 0])
    if kind == ResponseKind.FLUORESCENCE:
        assert told["gain"] is None
        assert told["noise"] == "gaussian"
        expected = session.recording.responses[training] - (rates - drive)
        np.testing.assert_allclose(told["responses"], expected, rtol=1e-5, atol=1e-6)
    else:
        assert told["noise"] == "poisson"
        expected = np.clip(gains[np.isin(session.targets[None], training)], 0.2, 5)
        np.testing.assert_allclose(told["gain"], expected.repeat(2, 1), rtol=1e-4)
        np.testing.assert_array_equal(told["responses"], session.recording.responses[training])
