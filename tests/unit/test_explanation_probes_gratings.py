"""Gratings shown to functions whose tuning has a closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from freegaze.errors import ConfigError, DataError, ShapeError
from freegaze.explanation.probes.gratings import (
    GratingResponses,
    Gratings,
    GratingTuning,
    default_gratings,
    describe_gratings,
    show_gratings,
)
from type_checks import unchecked

SIZE, HISTORY, WIDTH_S = (30, 36), 5, 0.05


def gabor(orientation_deg: float, cycles: float, phase: float, sigma: float = 4.5) -> Tensor:
    """Return a Gabor function in the middle of the frame."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] - (np.array(SIZE)[:, None, None] - 1) / 2
    turn = np.deg2rad(orientation_deg)
    along = x * np.cos(turn) + y * np.sin(turn)
    envelope = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    return torch.from_numpy(envelope * np.cos(2 * np.pi * cycles * along + phase)).float()


def typical(level: float = 0.3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    video = level + torch.randn(4, HISTORY, 1, *SIZE, generator=generator)
    return video, torch.zeros(4, HISTORY, 2)


def latest(video: Tensor, field: Tensor) -> Tensor:
    return (video[:, -1, 0] * field).sum((1, 2))


def tuning_of(predict, **options) -> GratingTuning:
    found = show_gratings(predict, *typical(), bin_width_s=WIDTH_S, **options)
    return describe_gratings(found, 0)


@pytest.mark.parametrize(("orientation", "cycles"), [(0.0, 0.13), (37.0, 0.11), (140.0, 0.12)])
def test_an_energy_model_has_its_own_orientation_and_frequency(orientation, cycles):
    pair = [gabor(orientation, cycles, phase) for phase in (0.0, np.pi / 2)]

    def energy(video: Tensor, behavior: Tensor) -> Tensor:
        return (0.2 + sum(latest(video - 0.3, g) ** 2 for g in pair))[:, None]

    found = tuning_of(energy)
    assert found.response == "mean"
    # Leakage of the finite Gabor function into its own conjugate moves both by less than this.
    assert abs((found.orientation_deg - orientation + 90) % 180 - 90) < 1.5
    assert abs(np.log2(found.frequency_cpp / cycles)) < 0.12
    assert found.osi > 0.95
    assert found.dsi < 0.05
    assert found.f1_f0 < 0.05


@pytest.mark.parametrize("phase_deg", [0.0, 60.0, -120.0])
def test_a_linear_neuron_follows_its_transform(phase_deg):
    """Its mean rate never changes, so that only the first harmonic has a tuning: exactly |W|."""
    field = gabor(30.0, 0.13, np.deg2rad(phase_deg))

    def linear(video: Tensor, behavior: Tensor) -> Tensor:
        return 9.0 + latest(video - 0.3, field)[:, None]

    video, behavior = typical()
    gratings = default_gratings(SIZE, WIDTH_S)
    found = show_gratings(linear, video, behavior, bin_width_s=WIDTH_S, contrast=0.5)
    tuning = describe_gratings(found, 0)
    amplitude = np.sqrt(2) * 0.5 * float(video.flatten(-2).std(-1, correction=0).median())
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] - (np.array(SIZE)[:, None, None] - 1) / 2
    for d, direction in enumerate(np.deg2rad(gratings.directions_deg)):
        for f, cycles in enumerate(gratings.frequencies_cpp):
            along = x * np.cos(direction) + y * np.sin(direction)
            transform = (field.numpy() * np.exp(2j * np.pi * cycles * along)).sum()
            size = np.abs(found.harmonic[0, d, f])
            np.testing.assert_allclose(size, amplitude * np.abs(transform), atol=2e-4)
    # In float32, because the blank's level is a mean of 61440 numbers.
    np.testing.assert_allclose(found.mean[0], found.blank[0], atol=1e-3)
    assert tuning.response == "first harmonic"
    assert tuning.f1_f0 > 100
    assert abs((tuning.phase_deg - phase_deg + 180) % 360 - 180) < 1.0
    assert abs(tuning.orientation_deg - 30) < 1.5


@pytest.mark.parametrize(("weight", "dsi"), [(1.0, 0.0), (0.25, 0.6), (0.0, 1.0)])
@pytest.mark.parametrize("direction", [60.0, 240.0])
def test_direction_selectivity_is_that_of_the_two_filters(weight, dsi, direction):
    """Two filters in quadrature, of which the other one has this weight.

    At 4 Hz the window of 5 bins of 50 ms holds one cycle, so that each filter is blind to the
    opposite direction, and to static gratings.
    """
    even, odd = (gabor(direction, 0.13, phase) for phase in (0.0, -np.pi / 2))
    turn = 2 * np.pi * 4.0 * WIDTH_S * torch.arange(1 - HISTORY, 1)

    def one_way(video: Tensor, sign: float) -> Tensor:
        even_drive = torch.einsum("wthv,hv->wt", video[:, :, 0] - 0.3, even)
        odd_drive = torch.einsum("wthv,hv->wt", video[:, :, 0] - 0.3, odd)
        drive = torch.complex(even_drive, odd_drive)
        return (drive * torch.exp(sign * 1j * turn)).sum(1).abs() ** 2

    def rates(video: Tensor, behavior: Tensor) -> Tensor:
        return (one_way(video, -1.0) + weight * one_way(video, 1.0))[:, None]

    gratings = Gratings(np.arange(16) * 22.5, np.array([0.09, 0.13, 0.18]), np.array([0.0, 4.0]))
    found = tuning_of(rates, gratings=gratings)
    assert found.dsi == pytest.approx(dsi, abs=0.02)
    assert found.temporal_hz == 4.0
    if weight < 1:
        other = (found.direction_deg - direction + 180) % 360 - 180
        assert min(abs(other), 180 - abs(other)) < 1.5
    mirrored = tuning_of(
        lambda v, b: (weight * one_way(v, -1.0) + one_way(v, 1.0))[:, None], gratings=gratings
    )
    if weight < 1:
        turned = (found.direction_deg - mirrored.direction_deg) % 360
        assert turned == pytest.approx(180, abs=1e-3)


def test_a_grating_drifts_towards_its_direction():
    """A bright stripe under 0 degrees moves to the right: a later pixel is further right."""
    gratings = Gratings(np.arange(4) * 90.0, np.array([1 / 16]), np.array([2.0]))
    seen: list[Tensor] = []

    def watch(video: Tensor, behavior: Tensor) -> Tensor:
        seen.append(video)
        return video[:, -1, 0, 0, :1]

    show_gratings(watch, *typical(0.0), bin_width_s=WIDTH_S, gratings=gratings)
    windows = torch.cat(seen[1:])[:, :, 0]  # the first is the blank
    first = windows[0]  # direction 0, phase 0
    step = 16 * 2.0 * WIDTH_S  # wavelength times cycles per bin: 1.6 px
    bright = first[:, 0, :16].argmax(1).numpy()
    assert (np.diff(bright) % 16).tolist() == pytest.approx([step] * (HISTORY - 1), abs=1)
    down = windows[8]  # direction 90 degrees: downwards as displayed
    bright = down[:, :16, 0].argmax(1).numpy()
    assert (np.diff(bright) % 16).tolist() == pytest.approx([step] * (HISTORY - 1), abs=1)


def test_what_no_grating_drives_has_no_tuning():
    def deaf(video: Tensor, behavior: Tensor) -> Tensor:
        return torch.full((len(video), 1), 3.0)

    def suppressed(video: Tensor, behavior: Tensor) -> Tensor:
        return 5.0 - (video - 0.3).square().mean((1, 2, 3, 4))[:, None]

    assert tuning_of(deaf).response == "none"
    assert np.isnan(tuning_of(deaf).orientation_deg)
    found = show_gratings(suppressed, *typical(), bin_width_s=WIDTH_S)
    assert (found.mean < found.blank[0]).all()


def test_only_static_gratings_have_no_direction():
    gratings = Gratings(np.arange(8) * 45.0, np.array([0.09, 0.13]), np.array([0.0]))
    found = tuning_of(lambda v, b: 1 + latest(v, gabor(90, 0.13, 0))[:, None], gratings=gratings)
    assert found.orientation_deg == pytest.approx(90, abs=1)
    assert np.isnan(found.direction_deg)
    assert np.isnan(found.dsi)


@unchecked()
def test_wrong_input_is_refused():
    video, behavior = typical()
    with pytest.raises(ShapeError, match="same windows"):
        show_gratings(lambda v, b: v, video, behavior[:2], bin_width_s=WIDTH_S)
    with pytest.raises(ConfigError, match="contrast"):
        show_gratings(lambda v, b: v, video, behavior, bin_width_s=WIDTH_S, contrast=0.0)
    with pytest.raises(DataError, match="expected rates"):
        show_gratings(lambda v, b: v, video, behavior, bin_width_s=WIDTH_S)
    with pytest.raises(ConfigError, match="evenly spaced"):
        Gratings(np.array([0.0, 10.0, 20.0, 30.0]), np.array([0.1]), np.array([0.0]))
    with pytest.raises(ConfigError, match="3 phases"):
        Gratings(np.arange(4) * 90.0, np.array([0.1]), np.array([0.0]), n_phases=2)


def test_curves_pass_through_the_best_grating():
    rng = np.random.default_rng(0)
    gratings = default_gratings((16, 20), 0.1)
    assert gratings.temporal_hz.max() * 0.1 <= 0.4
    mean = rng.uniform(1, 2, (1, *gratings.shape))
    zeros = np.zeros(mean.shape, dtype=complex)
    found = GratingResponses(gratings, mean, zeros, np.array([0.5]), np.array([2.0]))
    tuning = describe_gratings(found, 0)
    for curve in (tuning.by_direction, tuning.by_frequency, tuning.by_temporal):
        assert curve.max() == tuning.largest == pytest.approx(mean.max() - 0.5)
