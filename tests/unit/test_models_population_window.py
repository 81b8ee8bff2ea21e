"""Window of a population, found from responses to a Gabor at a known place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import freegaze
from builders import make_recording
from freegaze.recording.recording import Recording

SIZE, FIELD = (40, 56), (40.0, 13.0)
SETTINGS = {
    "model.shifter": "none",
    "model.window": "auto",
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
    n_bins = 1200
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


@pytest.mark.parametrize("model", ["cnn"])
def test_the_window_lies_around_the_field_and_is_kept(tmp_path: Path, model: str):
    recording = make_local_recording()
    encoder = freegaze.fit(recording, tmp_path / "run", model=model, settings=SETTINGS)
    window = encoder.encoder.gaze().window
    assert float(window.magnification) > 1.2
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
