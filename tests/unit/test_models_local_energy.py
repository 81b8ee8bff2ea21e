"""The convex encoder, fitted to responses of known energies."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import freegaze
from builders import make_recording
from freegaze.fitted.encoder import FittedEncoder
from freegaze.models.parts.energy_window import descend
from freegaze.recording.recording import Recording, ResponseKind

SETTINGS = {
    "model.shifter": "none",
    "model.wavelengths": [4.0, 7.0],
    "model.n_orientations": 4,
    "model.places": [3, 3],
    "model.features": [],
    "data.min_rate_hz": 0,
    "data.lag": 0,
    "split.gap_s": 0.1,
    "training.device": "cpu",
}


def make_energy_recording(kind: ResponseKind, history: int) -> Recording:
    """Responses to the energy of one Gabor, one and two bins before."""
    rng = np.random.default_rng(0)
    n_bins, size = 2000, (24, 32)
    recording = make_recording(n_bins=n_bins)
    frames = rng.integers(0, 256, (n_bins, *size), dtype=np.uint8)
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    envelope = np.exp(-((x - 20) ** 2 + (y - 9) ** 2) / (2 * 3.5**2))
    video = frames.astype(float) - 127.5
    pair = [(video * envelope * f(2 * np.pi * x / 7)).sum((1, 2)) for f in (np.cos, np.sin)]
    energy = np.hypot(*pair)
    energy /= energy.mean()
    drive = energy if history == 1 else 0.7 * np.roll(energy, 1) + 0.3 * np.roll(energy, 2)
    if kind is ResponseKind.FLUORESCENCE:
        responses = np.stack([drive + 0.1 * rng.standard_normal(n_bins), -drive], 1)
    else:
        responses = rng.poisson(np.stack([3 * drive, np.ones(n_bins)], 1))
    return replace(
        recording,
        frames=frames,
        frame_index=np.arange(n_bins),
        responses=responses.astype(np.float32),
        response_kind=kind,
        unit_ids=("energy", "other"),
        reference_rates={},
    )


def fit_energy(recording: Recording, history: int, run: Path) -> FittedEncoder:
    settings = {**SETTINGS, "data.history": history}
    return freegaze.fit(recording, run, model="local_energy", settings=settings)


@pytest.fixture(scope="module")
def counts() -> Recording:
    return make_energy_recording(ResponseKind.SPIKE_COUNTS, 1)


@pytest.fixture(scope="module")
def of_counts(counts: Recording, tmp_path_factory: pytest.TempPathFactory) -> FittedEncoder:
    return fit_energy(counts, 1, tmp_path_factory.mktemp("counts") / "run")


def test_an_energy_is_found_in_counts(counts: Recording, of_counts: FittedEncoder) -> None:
    assert_found(of_counts, counts, 1)


@pytest.mark.parametrize(
    ("kind", "history"),
    [
        (ResponseKind.SPIKE_COUNTS, 3),
        (ResponseKind.FLUORESCENCE, 1),
        (ResponseKind.FLUORESCENCE, 3),
    ],
)
def test_an_energy_is_found(tmp_path: Path, kind: ResponseKind, history: int) -> None:
    recording = make_energy_recording(kind, history)
    assert_found(fit_energy(recording, history, tmp_path / "run"), recording, history)


def assert_found(encoder: FittedEncoder, recording: Recording, history: int) -> None:
    kind = recording.response_kind
    head = encoder.encoder.head(None)
    center, sd = head.energies.center, float(head.window_sd)
    assert float((center - torch.tensor([20.0, 9.0])).norm()) < max(4.0, sd)
    found = encoder.predict(recording, "test")
    observed = recording.responses[found.targets]
    correlation = np.corrcoef(found.rates[:, 0], observed[:, 0])[0, 1]
    if kind is ResponseKind.FLUORESCENCE:
        assert correlation > 0.8
    else:  # of Poisson counts, a perfect prediction reaches the root of 1 - mean / variance
        assert correlation > 0.7 * np.sqrt(1 - observed[:, 0].mean() / observed[:, 0].var())
        assert found.rates[:, 1].std() < 0.1  # the other neuron is untuned
    if history == 3:
        kernel = head.kernel[:, 0] / head.kernel[:, 0].sum()
        torch.testing.assert_close(kernel, torch.tensor([0.3, 0.7, 0.0]), atol=0.1, rtol=0)


def test_a_fit_is_reproducible_and_loads(
    counts: Recording, of_counts: FittedEncoder, tmp_path: Path
) -> None:
    first, again = of_counts, fit_energy(counts, 1, tmp_path / "again")
    assert first.run is not None
    loaded = freegaze.load_encoder(first.run)
    for name, value in first.encoder.state_dict().items():
        assert torch.equal(value, again.encoder.state_dict()[name]), name
        assert torch.equal(value, loaded.encoder.state_dict()[name]), name
    head = first.encoder.head(None)
    sd = head.weight_sd.unflatten(1, (head.energies.n_features, -1))
    is_used = head.set_weights[head.energies.set_index] > 0
    assert (sd[:, is_used] > 0).all()
    assert (sd[:, ~is_used] == 0).all()  # a prior variance of zero


def test_descending_ends_at_a_minimum_and_computes_each_error_once() -> None:
    asked = []

    def error_of(x: int) -> float:
        asked.append(x)
        return abs(x - 7)

    assert descend(error_of, [0, 20], lambda x: [x - 1, x + 1]) == 7
    assert len(asked) == len(set(asked))
