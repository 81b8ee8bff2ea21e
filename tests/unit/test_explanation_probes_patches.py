"""Squares, patches and scrambled frames shown to functions with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from freegaze.errors import ConfigError, ShapeError
from freegaze.explanation.probes.patches import PatchGrating, default_diameters, show_patches
from freegaze.explanation.probes.scrambled import scramble_phases, show_scrambled
from freegaze.explanation.probes.squares import describe_squares, show_squares
from type_checks import unchecked

SIZE, HISTORY, LEVEL = (24, 30), 3, 0.3
X, Y = 17.0, 9.0
GRATING = PatchGrating(40.0, 0.15, 0.0, X, Y)


def typical(n: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    video = LEVEL + torch.randn(n, HISTORY, 1, *SIZE, generator=generator)
    return video, torch.zeros(n, HISTORY, 2)


def contrast_of(video: Tensor) -> float:
    return float(video.flatten(-2).std(-1, correction=0).median())


def distance() -> np.ndarray:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.hypot(x - X, y - Y)


# squares


def test_squares_map_a_linear_neuron_exactly():
    rng = np.random.default_rng(0)
    field = torch.from_numpy(rng.normal(size=(HISTORY, *SIZE))).float()

    def linear(video: Tensor, behavior: Tensor) -> Tensor:
        return 5 + torch.einsum("wthv,thv->w", video[:, :, 0] - LEVEL, field)[:, None]

    video, behavior = typical()
    found = show_squares(linear, video, behavior, size_px=4, contrast=1.5, batch=7)
    assert found.light.shape == (1, HISTORY, 6, 8)
    assert found.x_px.tolist() == [*np.arange(1.5, 28, 4), 28.5]  # the last column is cut
    step = 1.5 * contrast_of(video)
    for age in range(HISTORY):
        for row in range(6):
            for column in range(8):
                place = (age, slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4))
                expected = step * float(field[place].sum())
                assert found.light[0, age, row, column] == pytest.approx(expected, abs=1e-3)
    np.testing.assert_allclose(found.dark, -found.light, atol=1e-3)


@pytest.mark.parametrize(("sign", "polarity"), [(1.0, 1.0), (-1.0, -1.0), (0.0, 0.0)])
def test_place_delay_and_polarity(sign: float, polarity: float):
    """A rectified Gaussian field of one sign, or its square for both signs, one bin ago."""
    field = torch.from_numpy(np.exp(-(distance() ** 2) / (2 * 3.0**2))).float()
    video, behavior = typical()
    level = float(video.mean())

    def rates(video: Tensor, behavior: Tensor) -> Tensor:
        drive = ((video[:, -2, 0] - level) * field).sum((1, 2))
        return (0.1 + (torch.relu(sign * drive) if sign else drive**2))[:, None]

    tuning = describe_squares(show_squares(rates, video, behavior, size_px=2), 0)
    assert abs(tuning.x_px - X) < 0.5
    assert abs(tuning.y_px - Y) < 0.5
    assert tuning.bins_ago == 1
    assert tuning.polarity == pytest.approx(polarity, abs=1e-3)


def test_a_neuron_that_squares_do_not_change_has_no_place():
    tuning = describe_squares(show_squares(lambda v, b: v.new_ones(len(v), 1), *typical()), 0)
    assert np.isnan([tuning.x_px, tuning.y_px, tuning.bins_ago, tuning.polarity]).all()


# patches


def test_sizes_of_a_suppressed_energy_neuron():
    """Contrast energy within 5 px, minus a part of that within 10 px: known for every patch."""
    center = torch.from_numpy((distance() <= 5).astype(np.float32))
    outer = torch.from_numpy((distance() <= 10).astype(np.float32))

    def rates(video: Tensor, behavior: Tensor) -> Tensor:
        energy = (video[:, -1, 0] - LEVEL).square()
        return (50 + (energy * center).sum((1, 2)) - 0.3 * (energy * outer).sum((1, 2)))[:, None]

    video, behavior = typical()
    video = video - video.mean() + LEVEL
    sizes = np.array([4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 60.0])
    (found,) = show_patches(rates, video, behavior, [GRATING], bin_width_s=0.05, diameters_px=sizes)
    assert found is not None
    expected = []
    for size in sizes:  # over 8 phases, the mean of a squared cosine is a half
        disc = np.clip(size / 2 + 0.5 - distance(), 0, 1)
        energy = contrast_of(video) ** 2 * disc**2
        rise = (energy * center.numpy()).sum() - 0.3 * (energy * outer.numpy()).sum()
        expected.append(max(rise, 0.0))
    np.testing.assert_allclose(found.by_size, expected, rtol=1e-3, atol=1e-3)
    assert 8 < found.diameter_px <= 10
    assert found.suppression == pytest.approx(1 - expected[-1] / max(expected), abs=1e-3)


def test_contrast_of_half_the_response_of_a_saturating_neuron():
    """Energy over energy plus a constant: half of the response at contrast 2 is known."""
    disc = torch.from_numpy((distance() <= 6).astype(np.float32))
    video, behavior = typical()
    video = video - video.mean() + LEVEL
    unit = contrast_of(video) ** 2 * float(disc.sum())  # mean energy over phases at contrast 1
    half = 0.5**2 * unit

    def rates(video: Tensor, behavior: Tensor) -> Tensor:
        energy = ((video[:, -1, 0] - LEVEL).square() * disc).sum((1, 2))
        return (energy / (energy + half))[:, None]

    contrasts = np.geomspace(0.05, 2, 25).tolist()
    (found,) = show_patches(
        rates, video, behavior, [GRATING], bin_width_s=0.05, contrasts=contrasts
    )
    assert found is not None
    top = 4 / (4 + 0.25)  # response at contrast 2, relative to its bound
    expected = np.sqrt(0.25 * (top / 2) / (1 - top / 2))
    assert found.contrast_half == pytest.approx(expected, rel=0.05)


def test_a_simple_neuron_responds_by_its_first_harmonic():
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    along = (x - X) * np.cos(np.deg2rad(40)) + (y - Y) * np.sin(np.deg2rad(40))
    envelope = np.exp(-(distance() ** 2) / (2 * 2.5**2))
    field = torch.from_numpy(envelope * np.cos(2 * np.pi * 0.15 * along)).float()

    def linear(video: Tensor, behavior: Tensor) -> Tensor:
        return 9 + ((video[:, -1, 0] - LEVEL) * field).sum((1, 2))[:, None]

    grating = PatchGrating(40.0, 0.15, 0.0, X, Y, is_first_harmonic=True)
    rise, first = (
        show_patches(linear, *typical(), [g], bin_width_s=0.05)[0] for g in (GRATING, grating)
    )
    assert rise is not None
    assert first is not None
    assert first.by_size.max() > 50 * rise.by_size.max()
    assert abs(first.suppression) < 0.05
    ratio = first.by_contrast / first.contrasts
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)  # linear in contrast
    assert first.contrast_half == pytest.approx(1.0, rel=0.01)


def test_patches_of_left_out_and_undriven_neurons():
    def deaf(video: Tensor, behavior: Tensor) -> Tensor:
        return torch.full((len(video), 2), 3.0)

    left_out, undriven = show_patches(deaf, *typical(), [None, GRATING], bin_width_s=0.05)
    assert left_out is None
    assert undriven is not None
    assert np.isnan([undriven.diameter_px, undriven.suppression, undriven.contrast_half]).all()


@unchecked()
def test_wrong_patches_are_refused():
    video, behavior = typical()

    def one(video: Tensor, behavior: Tensor) -> Tensor:
        return video.new_ones(len(video), 1)

    with pytest.raises(ShapeError, match="one grating for each of 1 neurons, got 2"):
        show_patches(one, video, behavior, [GRATING, GRATING], bin_width_s=0.05)
    with pytest.raises(ConfigError, match="contrasts of patches must be positive and ascending"):
        show_patches(one, video, behavior, [GRATING], bin_width_s=0.05, contrasts=[1.0, 0.5])
    with pytest.raises(ConfigError, match="diameters"):
        show_patches(
            one, video, behavior, [GRATING], bin_width_s=0.05, diameters_px=np.array([0.0, 1.0])
        )
    with pytest.raises(ConfigError, match="side of a square"):
        show_squares(one, video, behavior, size_px=-1)


def test_the_largest_patch_covers_a_frame_from_its_corner():
    assert default_diameters(SIZE)[-1] / 2 >= max(SIZE)


# scrambled frames


def test_scrambling_keeps_every_spatial_frequency_and_movement():
    video, _ = typical(3)
    moved = torch.roll(video[:, :1], 2, -1)
    video = torch.cat([video, moved], 1)
    scrambled = scramble_phases(video, seed=4)
    sizes = [torch.fft.fft2(v.double()).abs() for v in (video, scrambled)]
    torch.testing.assert_close(sizes[0], sizes[1], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(scrambled[:, -1], torch.roll(scrambled[:, 0], 2, -1))
    assert abs(torch.corrcoef(torch.stack([video.flatten(), scrambled.flatten()]))[0, 1]) < 0.2


def test_edges_are_lost_and_energy_is_not():
    """Frames with one bright square: the largest value needs aligned phases, the variance does
    not."""
    video = torch.zeros(20, HISTORY, 1, *SIZE)
    for n in range(20):
        video[n, :, 0, n % 18 : n % 18 + 6, n : n + 6] = 1.0

    def rates(video: Tensor, behavior: Tensor) -> Tensor:
        latest = video[:, -1, 0]
        deviation = latest - latest.mean((1, 2), keepdim=True)
        return torch.stack([latest.var((1, 2)), (deviation**4).mean((1, 2))], 1)

    found = show_scrambled(rates, video, torch.zeros(20, HISTORY, 1))
    assert found.modulation[0] == pytest.approx(0, abs=1e-5)
    assert found.modulation[1] > 0.3
    assert found.natural.shape == found.scrambled.shape == (20, 2)
