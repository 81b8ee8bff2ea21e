"""Window of a population, found from responses to a Gabor at a known place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import freegaze
from builders import make_recording
from freegaze.errors import CheckpointError
from freegaze.models.parts import population_window
from freegaze.models.parts.energy_head import LocalEnergyHead
from freegaze.nn.window import Window
from freegaze.recording.recording import Recording
from freegaze.weights import load_weights

SIZE, FIELD = (36, 44), (31.0, 12.0)
SETTINGS = {
    "model.shifter": "none",
    "model.window": "found",
    "data.history": 1,
    "data.lag": 0,
    "data.min_rate_hz": 0,
    "split.gap_s": 0.1,
    "training.max_passes": 1,
    "training.device": "cpu",
}


def make_local_recording() -> Recording:
    """Counts that follow the energy of one small Gabor in white noise."""
    rng = np.random.default_rng(0)
    n_bins = 500
    frames = rng.integers(0, 256, (n_bins, *SIZE), dtype=np.uint8)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    envelope = np.exp(-((x - FIELD[0]) ** 2 + (y - FIELD[1]) ** 2) / (2 * 1.6**2))
    video = frames.astype(float) - 127.5
    pair = [(video * envelope * f(2 * np.pi * x / 6)).sum((1, 2)) for f in (np.cos, np.sin)]
    energy = np.hypot(*pair)
    counts = rng.poisson(6 * (energy / energy.mean())[:, None] ** 2 * np.ones(2))
    return replace(
        make_recording(n_bins=n_bins, n_neurons=2),
        frames=frames,
        frame_index=np.arange(n_bins),
        responses=counts.astype(np.float32),
        reference_rates={},
    )


@pytest.mark.slow  # the search takes 15 s
def test_the_window_lies_around_the_field_and_is_kept(tmp_path: Path):
    recording = make_local_recording()
    encoder = freegaze.fit(recording, tmp_path / "run", model="cnn", settings=SETTINGS)
    window = encoder.encoder.gaze().window
    assert float(window.magnification) > 1.1
    across, down = window.axes()
    for axis, side, place in ((across, SIZE[1], FIELD[0]), (down, SIZE[0], FIELD[1])):
        pixels = (axis + 1) * (side - 1) / 2
        assert float(pixels.min()) < place - 2
        assert float(pixels.max()) > place + 2
    again = freegaze.load_encoder(tmp_path / "run").encoder.gaze().window
    assert again.center.tolist() == window.center.tolist()
    # Beyond the window the prediction depends on no pixel.
    outside = replace(recording, frames=recording.frames.copy())
    outside.frames[:, -2:] = 0
    known = [encoder.predict(one, "test").rates for one in (recording, outside)]
    np.testing.assert_array_equal(*known)


def test_weights_of_an_earlier_version_have_no_window_and_are_loaded():
    window = Window((30, 40))
    load_weights(window, {}, "an old file")
    assert float(window.magnification) == 1
    with pytest.raises(CheckpointError, match="unknown weight 'other'"):
        load_weights(window, {"other": window.center}, "an old file")


@pytest.mark.parametrize(("sd", "magnification"), [(2.0, 1.5), (3.0, 1.2), (9.0, 1.0)])
def test_the_height_of_the_window_is_ten_standard_deviations(
    tmp_path: Path, monkeypatch, sd: float, magnification: float
):
    """But at least 24 pixels, and at most the frame's 36."""

    def search_session(head: LocalEnergyHead, *_: Any) -> None:
        head.energies.center.copy_(torch.tensor(FIELD))
        head.window_sd.fill_(sd)

    monkeypatch.setattr(population_window, "search_session", search_session)
    recording = make_recording(frame_size=SIZE)
    encoder = freegaze.fit(recording, tmp_path / "run", model="cnn", settings=SETTINGS)
    window = encoder.encoder.gaze().window
    assert float(window.magnification) == pytest.approx(magnification)
    height, width = (side / magnification for side in SIZE)
    inside = [min(max(FIELD[0], width / 2 - 0.5), SIZE[1] - width / 2 - 0.5)]
    inside += [min(max(FIELD[1], height / 2 - 0.5), SIZE[0] - height / 2 - 0.5)]
    assert window.center.tolist() == pytest.approx(inside)
    # The refit and a loaded encoder have the same window.
    assert freegaze.load_encoder(tmp_path / "run").encoder.gaze().window.center.tolist() == (
        window.center.tolist()
    )


def test_small_frames_are_left_whole_without_a_search(tmp_path: Path, monkeypatch):
    def search_session(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(population_window, "search_session", search_session)
    recording = make_recording(frame_size=(24, 32))
    encoder = freegaze.fit(recording, tmp_path / "run", model="cnn", settings=SETTINGS)
    assert float(encoder.encoder.gaze().window.magnification) == 1


def test_only_frames_that_stay_have_a_window_by_default(tmp_path: Path):
    recording = make_recording(frame_size=(24, 32))
    settings = {**SETTINGS, "model.window": "auto"}
    still = freegaze.fit(recording, tmp_path / "still", model="cnn", settings=settings)
    assert still.encoder.gaze().window is not None
    settings["model.shifter"] = {"columns": ["theta", "phi"]}
    moved = freegaze.fit(recording, tmp_path / "moved", model="cnn", settings=settings)
    assert moved.encoder.gaze().window is None
