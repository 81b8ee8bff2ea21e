"""Saliency: closed forms, one backward pass a neuron, and everything left as found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F

import model_checks as checks
from builders import make_recording
from fake_encoder import fake_fit
from freegaze.config import build_config
from freegaze.dataset.behavior import fit_behavior_transform
from freegaze.errors import ConfigError, ShapeError
from freegaze.explanation.fields.gradients import gradient_fields
from freegaze.explanation.saliency.derivatives import (
    behavior_saliency,
    integrated_saliency,
)
from freegaze.models.cnn import CNN
from freegaze.models.encoder import MODELS, AbstractEncoder
from freegaze.models.parts.gaze import GazeCorrection
from freegaze.nn.sampling import sample_bilinear
from type_checks import unchecked

SMALL_CORE = {"channels": [4], "kernels": [5], "strides": [2]}
OPTIONS: dict[str, dict[str, Any]] = {
    "cnn": {"core": SMALL_CORE},
    "cnn_gru": {"core": SMALL_CORE, "features": "all_prod"},
    "timm": {"core": {"network": "mobilenetv3_small_050", "stages": 2}},
}


def make_double(name: str) -> AbstractEncoder:
    kind = MODELS.get(name)
    config = build_config(kind.Config, OPTIONS.get(name, {}))
    return checks.scramble(checks.make_encoder(kind, config, frame_size=(40, 48))).double()


def noise(encoder: AbstractEncoder, n: int = 3) -> tuple[Tensor, Tensor]:
    video, behavior = checks.make_inputs(encoder, encoder.history, batch=n)
    return video.double(), 0.5 * behavior.double()


def by_backward(predict: Callable[..., Tensor], video: Tensor, behavior: Tensor) -> np.ndarray:
    """One backward pass a window and neuron, summed over the bins of the window."""
    out = []
    for w in range(len(video)):
        point = behavior[w : w + 1].clone().requires_grad_()
        rates = predict(video[w : w + 1], point)[0]
        rows = []
        for rate in rates:
            if not rate.requires_grad:
                rows.append(torch.zeros(behavior.shape[2], dtype=behavior.dtype))
                continue
            (found,) = torch.autograd.grad(rate, point, retain_graph=True, allow_unused=True)
            empty = torch.zeros_like(point)
            rows.append((empty if found is None else found)[0].sum(0))
        out.append(torch.stack(rows))
    return torch.stack(out).numpy()


@pytest.mark.parametrize("name", list(MODELS))
def test_fast_saliency_is_one_backward_pass_a_neuron_on_every_encoder(name: str) -> None:
    encoder = make_double(name).eval()
    video, behavior = noise(encoder)
    names = next(iter(encoder.sessions.values())).behavior_names

    def predict(frames: Tensor, states: Tensor) -> Tensor:
        return encoder(frames, states, "mouse.1")

    total = behavior_saliency(predict, video, behavior, names).partial  # a function has no gaze
    expected = by_backward(predict, video, behavior)
    scale = np.abs(expected).max(initial=1e-12)
    assert np.abs(total - expected).max(initial=0) / scale < 1e-4
    if encoder.inputs in ("behavior", "both"):
        assert np.abs(total).max() > 0


class OneSession(torch.nn.Module):
    """An encoder that answers for one session, so that its modules can be seen."""

    def __init__(self, encoder: AbstractEncoder) -> None:
        super().__init__()
        self.inner = encoder

    def forward(self, video: Tensor, behavior: Tensor) -> Tensor:
        return self.inner(video, behavior, "mouse.1")


@pytest.mark.parametrize("name", ["cnn", "cnn_gru", "sensorium", "autoencoder", "glm"])
def test_the_path_through_the_shifter_is_apart(name: str) -> None:
    model = OneSession(make_double(name)).eval()
    video, behavior = noise(model.inner)
    names = next(iter(model.inner.sessions.values())).behavior_names
    found = behavior_saliency(model, video, behavior, names)
    np.testing.assert_allclose(found.total, by_backward(model, video, behavior), atol=1e-9)
    displaced = {
        tuple(module.columns.positions.tolist())
        for module in model.modules()
        if isinstance(module, GazeCorrection)
    }
    assert displaced
    read = {names[i] for places in displaced for i in places}
    for i, signal in enumerate(names):
        has_gaze = np.abs(found.via_gaze[..., i]).max() > 1e-12
        assert has_gaze == (signal in read), signal
    if name not in (
        "cnn_gru",
        "glm",
    ):  # they see the picture only: all that gaze does, it does by moving it
        seen = [n in ("theta", "phi", "pitch", "roll") for n in names]
        assert np.abs(found.partial[..., seen]).max() < 1e-12


def test_a_session_is_named_without_hiding_the_encoder() -> None:
    encoder = make_double("cnn").eval()
    video, behavior = noise(encoder)
    names = next(iter(encoder.sessions.values())).behavior_names
    found = behavior_saliency(encoder, video, behavior, names, session="mouse 2")
    assert found.partial.shape == (3, 3, len(names))
    assert np.abs(found.via_gaze).max() > 0
    assert (found.partial == 0).all()
    line = integrated_saliency(encoder, video, behavior, names, session="mouse 2", steps=2)
    assert np.abs(line.via_gaze).max() > 0
    assert gradient_fields(encoder, video, behavior, session="mouse 2").mean.shape[0] == 3


@pytest.mark.filterwarnings("ignore:Input Tensor .* did not already require gradients")
@pytest.mark.parametrize("name", ["cnn", "cnn_gru", "sensorium", "behavior_only", "glm"])
def test_captum_says_the_same(name: str) -> None:
    """Both paths together are what it knows of; it sees each neuron as a function of its own."""
    encoder = make_double(name).eval()
    video, behavior = noise(encoder)
    names = next(iter(encoder.sessions.values())).behavior_names
    found = behavior_saliency(encoder, video, behavior, names, session="mouse.1")
    line = integrated_saliency(encoder, video, behavior, names, session="mouse.1", steps=8)
    for neuron in range(found.partial.shape[1]):

        def rate(states: Tensor, neuron: int = neuron) -> Tensor:
            frames = video.repeat(len(states) // len(video), 1, 1, 1, 1)
            return encoder(frames, states, "mouse.1")[:, neuron]

        slopes = captum.attr.Saliency(rate).attribute(behavior.clone(), abs=False).sum(1)
        np.testing.assert_allclose(found.total[:, neuron], slopes, atol=1e-10)
        gradients = captum.attr.IntegratedGradients(rate)
        parts = gradients.attribute(behavior, n_steps=8, method="gausslegendre").sum(1)
        assert parts.abs().max() > 1e-6
        # Its points on the line are float32.
        np.testing.assert_allclose(line.total[:, neuron], parts.detach(), rtol=1e-5, atol=1e-6)


class LooksTwice(CNN):
    """An encoder without one displacement a frame: it also looks at the frame upside down."""

    def encode(self, video: Tensor, behavior: Tensor, session: str | None = None) -> Tensor:
        turned = super().encode(video.flip(-2), behavior, session)
        return super().encode(video, behavior, session) + turned.tanh()


def test_an_encoder_that_displaces_twice_is_differentiated_as_a_whole() -> None:
    config = build_config(CNN.Config, OPTIONS["cnn"])
    made = checks.make_encoder(LooksTwice, config, frame_size=(40, 48))
    encoder = checks.scramble(made).double().eval()
    video, behavior = noise(encoder)
    names = next(iter(encoder.sessions.values())).behavior_names
    found = behavior_saliency(encoder, video, behavior, names, session="mouse.1")
    expected = by_backward(partial(encoder, session="mouse.1"), video, behavior)
    np.testing.assert_allclose(found.via_gaze, expected, atol=1e-12)
    assert np.abs(expected).max() > 1e-3
    assert (found.partial == 0).all()


def test_products_count_for_their_factors() -> None:
    recording = make_recording(n_bins=300)
    names = ("speed", "theta", "speed*theta")
    transform = fit_behavior_transform(recording, names, np.arange(200))
    signals = torch.from_numpy(transform.signals(recording)[:60]).double().reshape(20, 3, 2)
    weights = torch.tensor([[1.0, 0.5], [-2.0, 0.0], [0.7, 3.0]], dtype=torch.float64)

    def predict(_: Tensor, features: Tensor) -> Tensor:
        return features.sum(1) @ weights

    found = behavior_saliency(
        predict, torch.zeros(20, 3, 1, 2, 2), signals, transform.signal_names, transform.features
    )
    _, s_theta, s_product = transform.feature_scale[0], *transform.feature_scale[1:]
    s_speed = transform.feature_scale[0]
    speed, theta = signals.unbind(-1)
    d_speed = 3 * weights[0] / s_speed + theta.sum(1, keepdim=True) * weights[2] / s_product
    d_theta = 3 * weights[1] / s_theta + speed.sum(1, keepdim=True) * weights[2] / s_product
    np.testing.assert_allclose(found.partial[..., 0], d_speed, rtol=1e-6)
    np.testing.assert_allclose(found.partial[..., 1], d_theta, rtol=1e-6)


def test_an_exponential_model_has_its_rate_as_slope() -> None:
    weights = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    signals = torch.randn(30, 1, 2, generator=torch.Generator().manual_seed(1))

    def predict(_: Tensor, features: Tensor) -> Tensor:
        return (features[:, 0] @ weights).exp()

    video = torch.zeros(30, 1, 1, 2, 2)
    found = behavior_saliency(predict, video, signals, ("a", "b"), batch=7)
    expected = predict(video, signals)[..., None] * weights.T
    np.testing.assert_allclose(found.partial, expected, rtol=1e-5)
    np.testing.assert_allclose(found.mean("signed"), expected.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.mean(), expected.abs().mean(0), rtol=1e-5)
    assert (found.via_gaze == 0).all()


def test_integrated_gradients_add_up_to_the_difference() -> None:
    kind, values = MODELS.get("cnn_gru"), {**OPTIONS["cnn_gru"], "shifter": "none"}
    encoder = checks.make_encoder(kind, build_config(kind.Config, values), frame_size=(40, 48))
    model = OneSession(checks.scramble(encoder).double()).eval()
    video, behavior = noise(model.inner)
    names = next(iter(model.inner.sessions.values())).behavior_names
    found = integrated_saliency(model, video, behavior, names)
    with torch.no_grad():
        gained = model(video, behavior) - model(video, torch.zeros_like(behavior))
    np.testing.assert_allclose(found.partial.sum(-1), gained.numpy(), rtol=1e-6, atol=1e-8)
    assert gained.abs().max() > 0.01


def test_integrated_gradients_of_a_square() -> None:
    signals = torch.randn(10, 1, 2, dtype=torch.float64)
    baseline = torch.tensor([0.5, -1.0], dtype=torch.float64)

    def predict(_: Tensor, features: Tensor) -> Tensor:
        return (features[:, 0] ** 2).sum(1, keepdim=True)

    found = integrated_saliency(
        predict, torch.zeros(10, 1, 1, 2, 2), signals, ("a", "b"), baseline=baseline, steps=3
    )
    np.testing.assert_allclose(found.partial[:, 0], signals[:, 0] ** 2 - baseline**2, atol=1e-12)


def test_an_encoder_that_does_not_look_has_no_picture() -> None:
    model = OneSession(make_double("behavior_only"))
    video, behavior = noise(model.inner)
    assert (gradient_fields(model, video, behavior).mean == 0).all()
    model = OneSession(make_double("mean_rate"))
    assert (gradient_fields(model, *noise(model.inner)).mean == 0).all()


def test_everything_is_left_as_found() -> None:
    model = OneSession(make_double("cnn_gru")).train()
    next(model.inner.children()).eval()  # a mode of its own, which must survive
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    video, behavior = noise(model.inner)
    names = next(iter(model.inner.sessions.values())).behavior_names
    modes = [module.training for module in model.modules()]
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    behavior_saliency(model, video, behavior, names)
    integrated_saliency(model, video, behavior, names, steps=2)
    gradient_fields(model, video, behavior)
    assert [module.training for module in model.modules()] == modes
    assert all((parameter.grad == 2).all() for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
    assert video.grad is None
    assert not video.requires_grad


def test_modes_come_back_after_an_error() -> None:
    model = OneSession(make_double("cnn")).train()
    video, behavior = noise(model.inner)
    names = next(iter(model.inner.sessions.values())).behavior_names

    def broken(_: Tensor) -> Tensor:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        behavior_saliency(model, video, behavior, names, broken)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_fitted_encoder_is_a_callable_like_any() -> None:
    encoder = fake_fit([make_recording()])
    video, signals = torch.zeros(5, 3, 1, 6, 8), torch.randn(5, 3, 1)
    found = behavior_saliency(encoder, video, signals, ("speed",))
    np.testing.assert_allclose(
        found.partial, by_backward(encoder, video, signals), rtol=1e-5, atol=1e-7
    )


@unchecked()
def test_what_does_not_fit_is_named() -> None:
    video, signals = torch.zeros(5, 3, 1, 6, 8), torch.zeros(5, 3, 2)

    def predict(_: Tensor, features: Tensor) -> Tensor:
        return features.sum(1)

    with pytest.raises(ShapeError, match="2 names"):
        behavior_saliency(predict, video, signals, ("speed",))
    with pytest.raises(ShapeError, match="same windows"):
        behavior_saliency(predict, video[:4], signals, ("a", "b"))
    with pytest.raises(ConfigError, match="at least one window"):
        behavior_saliency(predict, video[:0], signals[:0], ("a", "b"))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's own preparation
@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_sampling_carries_tangents_of_maps_and_points(padding: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    maps, maps_t = (torch.randn(2, 3, 5, 7, generator=generator).double() for _ in range(2))
    grid = 1.3 * (2 * torch.rand(2, 4, 6, 2, generator=generator).double() - 1)
    grid_t = torch.randn(2, 4, 6, 2, generator=generator).double()
    with forward_ad.dual_level():
        out = sample_bilinear(
            forward_ad.make_dual(maps, maps_t), forward_ad.make_dual(grid, grid_t), padding
        )
        value, tangent = forward_ad.unpack_dual(out)
    plain = F.grid_sample(maps, grid, "bilinear", padding, align_corners=True)
    assert torch.equal(value, plain)
    step = 1e-7
    ahead, behind = (
        F.grid_sample(maps + s * maps_t, grid + s * grid_t, "bilinear", padding, align_corners=True)
        for s in (step, -step)
    )
    torch.testing.assert_close(tangent, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-6)
