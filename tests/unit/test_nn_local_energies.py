"""Features of frames at places, against Gabors written out pixel by pixel."""

import math

import numpy as np
import pytest
import torch

from freegaze.nn.local_energies import ENVELOPE, REACH, SETS, LocalEnergies


def make_energies() -> LocalEnergies:
    energies = LocalEnergies((24, 32), (4.0, 7.0), 4, (3, 5))
    energies.center.copy_(torch.tensor([14.3, 11.6]))
    energies.spacing.fill_(2.5)
    return energies


def gabor_pair(
    wavelength: float, angle: float, center: tuple[float, float], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Even and odd Gabor over a frame that is continued by its border pixels."""
    margin = 40
    sigma = ENVELOPE * wavelength
    pairs = np.zeros((2, *size))
    for i in range(-margin, size[0] + margin):
        for j in range(-margin, size[1] + margin):
            x, y = j - center[0], i - center[1]
            if max(abs(x), abs(y)) > REACH * sigma:
                continue
            envelope = math.exp(-(x * x + y * y) / (2 * sigma**2)) / (sigma * (math.pi / 2) ** 0.5)
            phase = 2 * math.pi / wavelength * (x * math.cos(angle) + y * math.sin(angle))
            row, column = min(max(i, 0), size[0] - 1), min(max(j, 0), size[1] - 1)
            pairs[0, row, column] += envelope * math.cos(phase)
            pairs[1, row, column] += envelope * math.sin(phase)
    return pairs[0], pairs[1]


@pytest.mark.parametrize("place", [0, 7, 14])
def test_pairs_are_gabors_at_the_places(place: int) -> None:
    energies = make_energies()
    frames = torch.randn(3, 1, 24, 32, generator=torch.Generator().manual_seed(0))
    even, odd = energies.pairs(frames)
    x, y = energies.places()[place].tolist()
    for k, wavelength in enumerate((4.0, 7.0)):
        expected = gabor_pair(wavelength, math.pi / 4, (x, y), (24, 32))
        for found, gabor in zip((even, odd), expected, strict=True):
            by_hand = (frames[:, 0].double().numpy() * gabor).sum((1, 2))
            np.testing.assert_allclose(found[:, k, 1, place].numpy(), by_hand, atol=1e-4)


def test_an_even_gabor_has_norm_one() -> None:
    even, _ = gabor_pair(7.0, 0.3, (14.3, 11.6), (24, 32))
    assert np.linalg.norm(even) == pytest.approx(1, abs=0.01)


def test_energy_does_not_depend_on_the_phase_of_a_grating() -> None:
    energies = make_energies()
    x = torch.arange(32) * (2 * math.pi / 7)
    gratings = torch.stack([torch.cos(x + p).expand(24, 32) for p in torch.arange(8) * 0.7])
    features = energies(gratings[:, None])
    energy = features[:, energies.set_index == SETS.index("energy"), 7]
    best = energy[:, 4]  # wavelength 7, orientation 0
    assert float(best.std() / best.mean()) < 0.03
    phases = features[:, energies.set_index == SETS.index("phase"), 7]
    # The sd of half a rectified sinusoid is its amplitude times sqrt(1/4 - 1/pi^2), or 0.39.
    assert float(phases.std(0).max()) > 0.35 * float(best.mean())


def test_normalized_energy_saturates_with_contrast() -> None:
    energies = make_energies()
    frames = torch.randn(2, 1, 24, 32, generator=torch.Generator().manual_seed(1))
    energies.fit_contrast(frames)
    own = energies.set_index == SETS.index("normalized")
    low, high = energies(frames)[:, own], energies(10 * frames)[:, own]
    assert (high < 5 * low).all()
    assert (high > low).all()
    assert float(high.max()) <= math.sqrt(4)  # of one orientation alone among four


def test_sets_have_their_sizes() -> None:
    counts = torch.bincount(make_energies().set_index).tolist()
    assert counts == [2 * 4, 2 * 16, 2 * 4, 2]
