"""What explainers do to a callable: find its encoder, hold its gaze, leave it as found."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

import model_checks as checks
from builders import make_recording
from fake_encoder import fake_fit
from freegaze.config import build_config
from freegaze.models.callables import (
    core_given,
    core_watched,
    encoder_of,
    gaze_held,
    gaze_nudged,
    gaze_stopped,
    has_gaze,
    modules_of,
    rates_of,
    seen_by_retina,
    undisturbed,
)
from freegaze.models.encoder import MODELS, AbstractEncoder
from freegaze.nn.warp import warp_frames

CORE = {"channels": [4], "kernels": [5], "strides": [2], "dropout": 0.5}


def make(name: str = "cnn", **values: object) -> AbstractEncoder:
    kind = MODELS.get(name)
    values = {"core": CORE, **values} if name != "glm" else values
    config = build_config(kind.Config, values)
    return checks.scramble(checks.make_encoder(kind, config, frame_size=(20, 24))).eval()


def inputs(encoder: AbstractEncoder, n: int = 2) -> tuple[Tensor, Tensor]:
    return checks.make_inputs(encoder, encoder.history, batch=n)


def test_an_encoder_is_found_where_it_is() -> None:
    encoder, fitted = make(), fake_fit([make_recording()])
    assert encoder_of(encoder) is encoder
    assert encoder_of(fitted) is fitted.encoder
    assert encoder_of(nn.Sequential(encoder)) is None
    assert encoder_of(lambda video, behavior: behavior) is None
    assert set(modules_of(fitted)) == set(fitted.encoder.modules())
    assert modules_of(partial(encoder, session="mouse.1")) == []
    assert has_gaze(nn.Sequential(encoder))
    assert not has_gaze(fitted)


def test_a_session_is_named_or_not() -> None:
    def predict(video: Tensor, behavior: Tensor, session: str = "own") -> Tensor:
        return torch.full((len(video), 2), float(len(session)))

    two = torch.zeros(2, 1)
    assert (rates_of(predict)(two, two) == 3).all()
    assert (rates_of(predict, "b")(two, two) == 1).all()


def test_dropout_is_on_only_where_asked_and_normalization_never_learns() -> None:
    encoder = make("cnn").train()
    norms = [m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    video, behavior = inputs(encoder)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    call = rates_of(encoder, "mouse.1")
    with undisturbed(encoder):
        assert not any(module.training for module in encoder.modules())
        assert torch.equal(call(video, behavior), call(video, behavior))
        assert not any(p.requires_grad for p in encoder.parameters())
    with undisturbed(encoder, has_dropout=True):
        assert not any(norm.training for norm in norms)
        assert encoder.training
        assert not torch.equal(call(video, behavior), call(video, behavior))
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    assert all(module.training for module in encoder.modules())
    assert all(p.requires_grad for p in encoder.parameters())


def test_held_gaze_moves_pictures_without_derivatives() -> None:
    encoder = make("cnn")
    video, behavior = inputs(encoder)
    call = rates_of(encoder, "mouse.1")
    behavior.requires_grad_()
    free = call(video, behavior)
    with gaze_held(encoder):
        held = call(video, behavior)
    assert torch.equal(free, held)
    assert torch.autograd.grad(free.sum(), behavior)[0].abs().max() > 0
    (found,) = torch.autograd.grad(held.sum(), behavior, allow_unused=True)
    assert found is None or not found.any()


def test_a_nudge_is_added_to_the_displacement() -> None:
    encoder = make("cnn")
    _, behavior = inputs(encoder)
    gaze = encoder.head("mouse.1").vision.gaze
    plain = gaze.displacement(behavior[:, 0])
    with gaze_nudged(encoder, torch.tensor([1.0, -2.0, 3.0])):
        moved = gaze.displacement(behavior[:, 0])
    torch.testing.assert_close(moved - plain, torch.tensor([[1.0, -2.0, 3.0]]).expand(2, 3))
    readout = make("sensorium", core={"kind": "separable", "channels": 4})
    shifter = readout.head("mouse.1").vision.gaze
    plain = shifter.offset(behavior[:, 0])
    with gaze_nudged(readout, torch.tensor([0.1, -0.2, 3.0])):
        moved = shifter.offset(behavior[:, 0])
    torch.testing.assert_close(moved - plain, torch.tensor([[0.1, -0.2]]).expand(2, 2))
    assert torch.equal(shifter.offset(behavior[:, 0]), plain)


def test_angles_are_told_and_stopped() -> None:
    encoder = make("cnn")
    _, behavior = inputs(encoder)
    gaze = encoder.head("mouse.1").vision.gaze
    state = behavior[:, 0].requires_grad_()
    with gaze_stopped(encoder) as (modules, angles):
        displacement = gaze.displacement(state)
    assert modules == [gaze.shifter.displacement]
    assert torch.equal(angles[0], gaze.columns(state))
    assert (angles[0].requires_grad, len(angles)) == (True, 1)
    (found,) = torch.autograd.grad(displacement.sum(), state, allow_unused=True)
    assert found is None
    assert not gaze.shifter.displacement._forward_pre_hooks


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's own preparation
def test_a_core_answers_from_memory_only_where_frames_stand_still() -> None:
    encoder = make("cnn")
    video, behavior = inputs(encoder)
    call = rates_of(encoder, "mouse.1")
    with core_watched(encoder) as maps:
        plain = call(video, behavior)
    assert len(maps) == 1
    with core_given(encoder, [torch.zeros_like(maps[0])]):
        recalled = call(video, behavior)
        moved, tangent = torch.func.jvp(
            lambda v: call(v, behavior), (video,), (torch.ones_like(video),)
        )
    assert not torch.equal(recalled, plain)
    torch.testing.assert_close(moved, plain)
    assert tangent.abs().max() > 0
    assert torch.equal(call(video, behavior), plain)
    assert "forward" not in vars(encoder.core)
    with core_watched(make("glm")) as maps, core_given(make("glm"), maps):
        assert maps == []


def test_retinal_images_are_what_the_shifter_makes_of_frames() -> None:
    encoder = make("cnn")
    video, behavior = inputs(encoder)
    seen = encoder.see(video.flatten(0, 1), behavior.flatten(0, 1), "mouse 2")
    found = seen.reshape(video.shape)
    gaze = encoder.head("mouse 2").vision.gaze
    displacement = encoder.shift(behavior.flatten(0, 1), "mouse 2")
    expected = warp_frames(video.flatten(0, 1), displacement, gaze.shifter.center)
    torch.testing.assert_close(found, expected.reshape(video.shape))
    assert (found - video).abs().max() > 0.1
    with seen_by_retina(encoder):  # what was moved once is not moved again
        again = encoder(found, behavior, "mouse 2")
    torch.testing.assert_close(again, encoder(video, behavior, "mouse 2"))


def test_without_a_shifter_retinal_images_are_the_frames() -> None:
    encoder = make("cnn", shifter="none")
    video, behavior = inputs(encoder)
    frames, states = video.flatten(0, 1), behavior.flatten(0, 1)
    assert torch.equal(encoder.see(frames, states, "mouse.1"), frames)
