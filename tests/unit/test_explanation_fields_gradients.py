"""Receptive fields by gradient: linear cells, energy models, and fields in fewer numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import model_checks as checks
from freegaze.config import build_config
from freegaze.errors import ConfigError, ShapeError
from freegaze.explanation.fields.ascent import blur
from freegaze.explanation.fields.gabor import fit_gabor
from freegaze.explanation.fields.gradients import (
    NEURONS_AT_ONCE,
    gradient_fields,
    separate,
    summarize_field,
)
from freegaze.models.encoder import MODELS
from type_checks import unchecked

SIZE, HISTORY = (14, 18), 2
Y, X = np.mgrid[: SIZE[0], : SIZE[1]]


def gabor(phase: float) -> np.ndarray:
    envelope = np.exp(-((X - 9) ** 2 + (Y - 6) ** 2) / 12)
    return envelope * np.cos(0.9 * (X - 9) + phase)


EVEN, ODD = gabor(0.0), gabor(-np.pi / 2)
COURSE = np.array([0.5, -1.0])
PAIR = torch.from_numpy(
    np.stack([np.multiply.outer(COURSE, EVEN), np.multiply.outer(COURSE, ODD)])
).float()


def cells(video: Tensor, behavior: Tensor) -> Tensor:
    """A linear cell, an energy model, a cell in between, and one that does not look."""
    drive = torch.einsum("whyx,nhyx->wn", video[:, :, 0], PAIR)
    gain = 1 + behavior.mean((1, 2))
    energy = (drive**2).sum(1) / 10
    rates = [drive[:, 0], energy, drive[:, 0] + 0.3 * energy, 0 * energy]
    return torch.stack(rates, 1) * gain[:, None]


def test_smoothing_gradients_smooths_their_mean() -> None:
    video, still = noise(20), torch.zeros(20, HISTORY, 1)
    sharp = torch.from_numpy(gradient_fields(cells, video, still, blur_px=0).mean)
    smooth = gradient_fields(cells, video, still, blur_px=1.5).mean
    np.testing.assert_allclose(smooth, blur(sharp[:, :, None], 1.5)[:, :, 0], atol=1e-6)


def noise(n: int = 300, seed: int = 0) -> Tensor:
    return torch.randn(n, HISTORY, 1, *SIZE, generator=torch.Generator().manual_seed(seed))


def test_a_linear_cell_has_one_field_and_an_energy_model_a_pair_in_quadrature() -> None:
    video = noise()
    found = gradient_fields(cells, video, torch.zeros(300, HISTORY, 1), blur_px=0, batch=77)
    np.testing.assert_allclose(found.mean[0], PAIR[0], atol=1e-6)
    assert found.invariance[0] == pytest.approx(0, abs=1e-9)
    assert found.invariance[1] > 0.9
    assert 0 < found.invariance[2] < found.invariance[1]
    assert np.isnan(found.invariance[3])
    # The pair spans what the two filters span.
    pair = found.subspace[1].reshape(2, -1).astype(float)
    basis = np.linalg.qr(PAIR.reshape(2, -1).numpy().astype(float).T)[0]
    assert np.linalg.norm(pair @ basis) == pytest.approx(np.linalg.norm(pair), rel=1e-5)
    # Drives are independent with as much variance, so that both directions vary alike: sampled
    # over 300 windows, a ratio of sds is within 4 / sqrt(2 * 300) = 0.16 of 1.
    sizes = np.linalg.norm(pair, axis=1)
    assert sizes[1] / sizes[0] == pytest.approx(
        min(EVEN.std(), ODD.std()) / max(EVEN.std(), ODD.std()), abs=0.2
    )
    assert pair[0] @ pair[1] == pytest.approx(0, abs=1e-3 * sizes[0] * sizes[1])
    pictures = found.pictures(1)
    assert pictures.shape == (2, *SIZE)
    fit = fit_gabor(pictures)
    assert fit.explained > 0.99
    assert fit.center_px == pytest.approx((9, 6), abs=0.3)
    assert fit.frequency == pytest.approx(0.9 / (2 * np.pi), rel=0.1)
    one = found.pictures(0)
    assert one.shape == (1, *SIZE)
    assert abs(np.corrcoef(one.ravel(), EVEN.ravel())[0, 1]) > 0.9999


def test_moments_are_those_of_the_gradients() -> None:
    video = noise(20)
    found = gradient_fields(cells, video, torch.zeros(20, HISTORY, 1), blur_px=0)
    gradients = []
    for window in video:
        point = window[None].clone().requires_grad_()
        rate = cells(point, torch.zeros(1, HISTORY, 1))[0, 2]
        gradients.append(torch.autograd.grad(rate, point)[0][0, :, 0].numpy().ravel())
    gradients = np.array(gradients, dtype=float)
    np.testing.assert_allclose(found.mean[2].ravel(), gradients.mean(0), atol=1e-6)
    varying = gradients - gradients.mean(0)
    share = (varying**2).sum() / (gradients**2).sum()
    assert found.invariance[2] == pytest.approx(share, rel=1e-5)
    covariance = varying.T @ varying / len(varying)
    values, vectors = np.linalg.eigh(covariance)
    for k in range(2):
        expected = vectors[:, -1 - k] * np.sqrt(values[-1 - k])
        own = found.subspace[2, k].ravel()
        np.testing.assert_allclose(own * np.sign(own @ expected), expected, atol=1e-5)


def test_behavior_is_the_state_that_pictures_are_seen_in() -> None:
    video = noise(5)
    still = gradient_fields(cells, video, torch.zeros(5, HISTORY, 1))
    running = gradient_fields(cells, video, torch.ones(5, HISTORY, 1))
    np.testing.assert_allclose(running.mean, 2 * still.mean, rtol=1e-5)


def test_no_shifter_moves_retinal_images() -> None:
    kind = MODELS.get("glm")
    encoder = checks.make_encoder(kind, build_config(kind.Config, {}), frame_size=(12, 16))
    checks.scramble(encoder)
    video, behavior = checks.make_inputs(encoder, encoder.history, batch=4)
    told: list[tuple[int, int]] = []
    found = gradient_fields(
        *(encoder, video, behavior),
        session="mouse.1",
        blur_px=0,
        progress=lambda *p: told.append(p),
    )
    gaze = encoder.head("mouse.1").gaze
    assert encoder.shift(behavior[:, 0], "mouse.1").abs().max() > 0.1
    gaze.forward = lambda frames, _: frames
    point = video.clone().requires_grad_()
    rates = encoder(point, behavior, "mouse.1")
    (expected,) = torch.autograd.grad(rates[:, 3].mean(), point)
    np.testing.assert_allclose(found.mean[3], expected.sum(0)[:, 0], atol=1e-6)
    assert told == [(n, 5) for n in range(1, 6)]


def test_more_neurons_than_fit_at_once_are_all_there() -> None:
    n_neurons = NEURONS_AT_ONCE + 3
    fields = torch.randn(n_neurons, HISTORY, *SIZE, generator=torch.Generator().manual_seed(3))

    def many(video: Tensor, behavior: Tensor) -> Tensor:
        return torch.einsum("whyx,nhyx->wn", video[:, :, 0], fields)

    found = gradient_fields(many, noise(4), torch.zeros(4, HISTORY, 1), blur_px=0)
    np.testing.assert_allclose(found.mean, fields, atol=1e-6)


def test_a_stack_is_separated_best() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(4, 2)), rng.normal(size=(2, 6, 5))
    stack = np.einsum("mk,kyx->myx", left, right)
    pictures, mixing, share = separate(stack, 2)
    np.testing.assert_allclose(np.einsum("mk,kyx->myx", mixing, pictures), stack, atol=1e-12)
    assert share == pytest.approx(1)
    one, _, share = separate(stack, 1)
    values = np.linalg.svd(stack.reshape(4, -1), compute_uv=False)
    assert share == pytest.approx(values[0] ** 2 / (values**2).sum())
    assert np.linalg.norm(one) == pytest.approx(values[0])
    assert np.isnan(separate(np.zeros((3, 4, 5)), 1)[2])
    assert len(separate(stack[:1], 2)[0]) == 1


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_summary_is_signed_as_the_field_at_its_peak(sign: float) -> None:
    course = np.array([0.2, -0.9, 0.4]) * sign
    picture = np.abs(EVEN) + 0.1
    summary = summarize_field(np.multiply.outer(course, picture))
    assert summary.peak == 1
    np.testing.assert_allclose(summary.at_peak, course[1] * picture)
    assert summary.separability == pytest.approx(1)
    rebuilt = np.multiply.outer(summary.temporal, summary.spatial)
    np.testing.assert_allclose(rebuilt, np.multiply.outer(course, picture), atol=1e-12)
    assert summary.temporal[1] > 0
    assert np.linalg.norm(summary.temporal) == pytest.approx(1)


@unchecked()
def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ShapeError, match="same windows"):
        gradient_fields(cells, noise(4), torch.zeros(3, HISTORY, 1))
    with pytest.raises(ConfigError, match="three windows, got 2"):
        gradient_fields(cells, noise(2), torch.zeros(2, HISTORY, 1))
