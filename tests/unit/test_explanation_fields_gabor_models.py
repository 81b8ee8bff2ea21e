"""Gabor models find what responses were made of, and say which kind of cell made them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from freegaze.errors import ConfigError, DataError
from freegaze.explanation.fields.gabor import fit_gabor
from freegaze.explanation.fields.gabor_models import GaborModels, fit_gabor_models
from type_checks import unchecked

SIZE, HISTORY, N_BINS = (24, 32), 3, 9000
COURSE = np.array([-0.3, 1.0, 0.2])
"""Of all cells, oldest bin first."""

CENTERS = np.array([[18.0, 10.0], [9.0, 14.0], [21.0, 15.0]])


SIGMA = 2.8
NEAR = SIGMA / 2
"""A place drawn at random lies 10 px away. Two thousand events leave a pure wave 0.1 to 0.4 px; a
constant under the envelope costs some of what tells its middle, and leaves about 1 px."""


def make_video(rng: np.random.Generator) -> np.ndarray:
    """White noise smoothed by 1.5 px and, as scenes are, over some bins."""
    noise = gaussian_filter(rng.normal(size=(N_BINS, *SIZE)), (1.0, 1.5, 1.5))
    return (noise / noise.std()).astype(np.float32)


def make_filters() -> np.ndarray:
    """Cosine and sine phase of three cells; the second's waves ride on a bright middle."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    filters = []
    for (x0, y0), angle, constant in zip(CENTERS, (0.4, 1.7, 2.5), (0.0, 0.6, 0.0), strict=True):
        along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
        envelope = np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * SIGMA**2))
        wave = 2 * np.pi * 0.12 * along + 1.2
        filters.append([envelope * (np.cos(wave) + constant), envelope * np.sin(wave)])
    out = np.array(filters)
    return out / np.linalg.norm(out, axis=(2, 3), keepdims=True)


def make_drives(video: np.ndarray) -> np.ndarray:
    """Two linear cells and the energy of a pair, each of unit variance, (bin, 3)."""
    seen = np.einsum("thw,nphw->tnp", video, make_filters())
    past = np.stack([np.roll(seen, HISTORY - place, 0) for place in range(HISTORY)])
    late = np.einsum("k,ktnp->tnp", COURSE, past)
    drives = np.column_stack([late[:, :2, 0], np.hypot(late[:, 2, 0], late[:, 2, 1])])
    return (drives - drives.mean(0)) / drives.std(0)


@pytest.fixture(scope="module")
def video() -> np.ndarray:
    return make_video(np.random.default_rng(0))


def fit(video: np.ndarray, responses: np.ndarray, **options) -> GaborModels:
    targets = np.arange(HISTORY, N_BINS)
    if "gain" in options:
        options["gain"] = options["gain"][targets]
    return fit_gabor_models(
        lambda bins: torch.from_numpy(video[bins]), targets, responses[targets], HISTORY, **options
    )


def middles(found: GaborModels) -> np.ndarray:
    """The energy of a pair in quadrature is the squared envelope."""
    energy = (found.pair.astype(np.float64) ** 2).sum(1)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.column_stack([(energy * x).sum((1, 2)), (energy * y).sum((1, 2))]) / energy.sum(
        (1, 2)
    ).reshape(-1, 1)


def check(found: GaborModels) -> None:
    np.testing.assert_array_equal(found.is_energy, [False, False, True])
    assert np.hypot(*(middles(found) - CENTERS).T).max() < NEAR
    filters = make_filters()
    for i in (0, 1):
        true = COURSE[:, None, None] * filters[i, 0]
        assert (found.field[i] * true).sum() / np.linalg.norm(true) > 0.95
    assert fit_gabor(found.pair[2]).frequency == pytest.approx(0.12, abs=0.015)
    np.testing.assert_allclose(np.linalg.norm(found.field.reshape(3, -1), axis=1), 1, rtol=1e-5)


def test_spikes_tell_where_and_what_kind(video: np.ndarray) -> None:
    rates = 0.15 * np.logaddexp(0, 1.5 * make_drives(video)) + 0.1
    check(fit(video, np.random.default_rng(1).poisson(rates).astype(np.float32)))


def test_so_do_values_of_any_sign(video: np.ndarray) -> None:
    drives = make_drives(video)
    values = np.logaddexp(0, 1.5 * drives) - 3 + np.random.default_rng(2).normal(size=drives.shape)
    check(fit(video, values.astype(np.float32), noise="gaussian"))


def test_behavior_that_follows_the_scene_is_not_taken_for_vision(video: np.ndarray) -> None:
    """A gain rises with the brightness of a corner, where nothing looks."""
    drives = make_drives(video)
    corner = video[:, 14:22, 2:8].mean((1, 2))
    gain = np.exp(0.8 * np.roll(corner, 1) / corner.std())[:, None].repeat(3, 1)
    rates = gain * (0.06 * np.logaddexp(0, 1.5 * drives) + 0.1)
    responses = np.random.default_rng(3).poisson(rates).astype(np.float32)
    away = np.hypot(*(middles(fit(video, responses)) - CENTERS).T)
    known = np.hypot(*(middles(fit(video, responses, gain=gain.astype(np.float32))) - CENTERS).T)
    assert known.max() < NEAR
    assert away.max() > 3 * NEAR


def test_a_silent_neuron_has_no_field_and_disturbs_nobody(video: np.ndarray) -> None:
    rates = 0.15 * np.logaddexp(0, 1.5 * make_drives(video)) + 0.1
    responses = np.random.default_rng(1).poisson(rates).astype(np.float32)
    with_silent = np.insert(responses, 1, 0, axis=1)
    found = fit(video, with_silent)
    assert not found.field[1].any()
    assert not found.pair[1].any()
    assert not found.is_energy[1]
    assert np.isfinite(found.field).all()
    np.testing.assert_array_equal(np.delete(found.is_energy, 1), [False, False, True])
    assert np.isfinite(fit(np.zeros_like(video), responses).field).all()


@unchecked()
def test_what_cannot_be_fitted_is_named() -> None:
    video, nothing = np.zeros((5, 8, 8), np.float32), np.zeros((0, 2), np.float32)
    frames = lambda bins: torch.from_numpy(video[bins])  # noqa: E731
    with pytest.raises(DataError, match="at least one bin"):
        fit_gabor_models(frames, np.arange(0), nothing, 2)
    with pytest.raises(ConfigError, match="history of 0"):
        fit_gabor_models(frames, np.arange(2, 4), np.ones((2, 1), np.float32), 0)
