"""What explainers promise on every encoder: exact derivatives, and everything left as found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import model_checks as checks
from freegaze.config import build_config
from freegaze.dataset.behavior import BehaviorTransform
from freegaze.dataset.features import base_signals
from freegaze.explanation.fields.ascent import (
    FixedNorm,
    FixedSteps,
    PaperClimb,
    Roughness,
    SmoothClimb,
    ascend,
)
from freegaze.explanation.fields.gradients import gradient_fields
from freegaze.explanation.saliency.derivatives import (
    behavior_saliency,
    integrated_saliency,
)
from freegaze.models.encoder import MODELS, AbstractEncoder
from freegaze.models.parts.gaze import GazeCorrection
from freegaze.nn.shifter import ShifterConfig

CORE = {"channels": [4, 6], "kernels": [5, 3], "strides": [2, 2]}
PAPER_SHIFTER = ShifterConfig.paper(1 / 5.5, hidden=8).model_dump()
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "cnn": {"default": {"core": CORE}, "paper_shifter": {"core": CORE, "shifter": PAPER_SHIFTER}},
    "cnn_gru": {
        "default": {"core": CORE, "features": "all_prod"},
        "paper_like": {
            "core": CORE,
            "features": "all_prod",
            "readout": "linear",
            "own_gain": False,
            "linear_path": False,
            "kernels": False,
            "shifter": PAPER_SHIFTER,
            "normalize_streams": True,
            "normalize_behavior": True,
        },
        "planes": {"core": CORE, "planes": ["speed", "theta"], "features": "orig_prod"},
    },
    "autoencoder": {"default": {"core": CORE, "n_latent": 12}},
    "sensorium": {"default": {}, "image": {"shifter": "image"}},
    "timm": {"default": {"core": {"network": "mobilenetv3_small_050", "stages": 2}}},
    "behavior_only": {
        "default": {"features": "all_prod"},
        "gru": {"features": "velo_prod", "temporal": "gru", "n_hidden": 4},
    },
    "glm": {"default": {"position": "all_prod"}, "additive": {"kind": "additive"}},
}
CASES = [
    (name, variant, values)
    for name in MODELS
    for variant, values in VARIANTS.get(name, {"default": {}}).items()
]
SESSION = "mouse.1"
N_NEURONS = checks.SESSIONS[SESSION]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def encoder(request: pytest.FixtureRequest) -> AbstractEncoder:
    """An encoder of two sessions in float64, every weight off its start."""
    kind = MODELS.get(request.param[0])
    config = build_config(kind.Config, request.param[2])
    made = checks.scramble(checks.make_encoder(kind, config, frame_size=(40, 48)))
    for module in made.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            assert module.running_var is not None
            module.running_var += 0.3 * torch.rand(module.running_var.shape)
    return made.double().eval()


def names_of(encoder: AbstractEncoder) -> tuple[str, ...]:
    return encoder.sessions[SESSION].behavior_names


def noise(encoder: AbstractEncoder, n: int = 3) -> tuple[Tensor, Tensor]:
    video, behavior = checks.make_inputs(encoder, encoder.history, batch=n)
    return video.double(), 0.5 * behavior.double()


def transform_of(encoder: AbstractEncoder) -> BehaviorTransform:
    """Products and derivatives of standardized signals, with centers and scales of all sizes."""
    names = names_of(encoder)
    rng = np.random.default_rng(0)
    n_signals, n_features = len(base_signals(names)), len(names)
    return BehaviorTransform(
        names,
        "interpolate",
        "gap_aware",
        signal_center=(0.0,) * n_signals,
        signal_scale=(1.0,) * n_signals,
        feature_center=tuple(rng.normal(size=n_features).tolist()),
        feature_scale=tuple(rng.uniform(0.5, 2.0, n_features).tolist()),
        fill_values=(0.0,) * n_signals,
    )


def one_backward_a_neuron(rates: Callable[[Tensor], Tensor], signals: Tensor) -> np.ndarray:
    """Windows do not know of each other, so that one pass serves them all."""
    found = []
    for neuron in range(N_NEURONS):
        point = signals.clone().requires_grad_()
        rate = rates(point)[:, neuron].sum()
        gradient = torch.zeros_like(point)
        if rate.requires_grad:
            (seen,) = torch.autograd.grad(rate, point, allow_unused=True)
            gradient = gradient if seen is None else seen
        found.append(gradient.sum(1))
    return torch.stack(found, 1).numpy()


def test_saliency_is_one_backward_pass_a_neuron(
    encoder: AbstractEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To 1e-4 of the largest is promised; in float64 only rounding is left."""
    transform = transform_of(encoder)
    video, _ = noise(encoder, n=5)
    generator = torch.Generator().manual_seed(5)
    n_signals = len(transform.signal_names)
    signals = torch.randn(5, 3, n_signals, generator=generator, dtype=torch.float64)
    found = behavior_saliency(
        *(encoder, video, signals, transform.signal_names, transform.features),
        session=SESSION,
        batch=2,
    )

    def rates(point: Tensor) -> Tensor:
        return encoder(video, transform.features(point), SESSION)

    total = one_backward_a_neuron(rates, signals)
    look, offset = GazeCorrection.forward, GazeCorrection.offset
    monkeypatch.setattr(GazeCorrection, "forward", lambda s, f, b: look(s, f, b.detach()))
    monkeypatch.setattr(GazeCorrection, "offset", lambda s, b: offset(s, b.detach()))
    held = one_backward_a_neuron(rates, signals)
    size = np.abs(total).max(initial=1e-30)
    assert np.abs(found.total - total).max(initial=0) <= 1e-9 * size
    assert np.abs(found.partial - held).max(initial=0) <= 1e-9 * size
    if encoder.inputs in ("behavior", "both"):
        assert size > 1e-6
    has_shifter = encoder.shift(torch.zeros(1, len(names_of(encoder))).double(), SESSION)
    assert (np.abs(found.via_gaze).max(initial=0) > 1e-6 * size) == (has_shifter is not None)


@pytest.mark.parametrize("climb", [SmoothClimb(0.4, 1.0), PaperClimb()], ids=["smooth", "adam"])
def test_many_neurons_climb_as_each_does_alone(encoder: AbstractEncoder, climb: Any) -> None:
    if encoder.inputs not in ("video", "both"):
        pytest.skip("it does not look")
    video, behavior = noise(encoder, n=N_NEURONS)
    neurons = torch.arange(N_NEURONS).flip(0)

    def run(part: slice) -> np.ndarray:
        return ascend(
            *(encoder, neurons[part], video[part], behavior[part]),
            climb=climb,
            stopping=FixedSteps(4),
            penalties=[Roughness(0.001)],
            postprocess=[FixedNorm(20.0)],
            session=SESSION,
        ).video

    together = run(slice(None))
    alone = np.concatenate([run(slice(n, n + 1)) for n in range(N_NEURONS)])
    assert np.abs(together - alone).max() <= 1e-4 * np.abs(alone).max()
    assert np.abs(together - 20 * video[:, :, 0].numpy()).max() > 1e-3


class BrokenError(Exception):
    """What a callable may raise."""


def run_all(encoder: AbstractEncoder) -> list[str]:
    """Run every explainer and return the names of those that raised ``BrokenError``."""
    video, behavior = noise(encoder)
    neurons, names = torch.arange(3), names_of(encoder)
    calls: dict[str, Callable[[], Any]] = {
        "saliency": lambda: behavior_saliency(encoder, video, behavior, names, session=SESSION),
        "integrated": lambda: integrated_saliency(
            encoder, video, behavior, names, session=SESSION, steps=2
        ),
        "fields": lambda: gradient_fields(encoder, video, behavior, session=SESSION),
    }
    if encoder.inputs in ("video", "both"):
        for has_dropout in (False, True):
            calls[f"ascent {has_dropout}"] = lambda has_dropout=has_dropout: ascend(
                *(encoder, neurons, video, behavior),
                climb=PaperClimb(),
                stopping=FixedSteps(2),
                session=SESSION,
                has_dropout=has_dropout,
                is_behavior_optimized=has_dropout,
                is_retinal=not has_dropout,
            )
    raised = []
    for name, call in calls.items():
        try:
            call()
        except BrokenError:
            raised.append(name)
    assert raised in ([], list(calls))
    assert not video.requires_grad
    assert not behavior.requires_grad
    return raised


def state_of(encoder: AbstractEncoder) -> dict[str, Any]:
    modules = dict(encoder.named_modules())
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    parameters = dict(encoder.named_parameters())
    return {
        "modes": {name: module.training for name, module in modules.items()},
        "hooks": {name: [len(getattr(m, h)) for h in hooks] for name, m in modules.items()},
        "own": {name: sorted(vars(module)) for name, module in modules.items()},
        "wanted": {name: p.requires_grad for name, p in parameters.items()},
        "gradients": {n: None if p.grad is None else p.grad.sum() for n, p in parameters.items()},
        "weights": {name: value.clone() for name, value in encoder.state_dict().items()},
        "random": torch.random.get_rng_state(),
    }


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    for part, value in before.items():
        if part == "random":
            assert torch.equal(value, after[part])
        elif part == "weights":
            assert all(torch.equal(v, after[part][n]) for n, v in value.items())
        else:
            assert value == after[part], part


@pytest.mark.parametrize("is_broken", [False, True], ids=["whole", "broken"])
def test_everything_is_left_as_found(encoder: AbstractEncoder, is_broken: bool) -> None:
    encoder.train()
    for module in list(encoder.modules())[1::2]:
        module.training = False  # a mode of its own, which must survive
    parameters = list(encoder.parameters())
    for parameter in parameters[::2]:
        parameter.grad = torch.full_like(parameter, 2.0)
    for parameter in parameters[1::3]:
        parameter.requires_grad_(False)
    encoder.register_forward_hook(lambda *_: None)
    if is_broken:
        _break(encoder)
    before = state_of(encoder)
    raised = run_all(encoder)
    assert bool(raised) == is_broken
    assert_same(before, state_of(encoder))


def _break(encoder: AbstractEncoder) -> None:
    """Let the encoder fail on its way, after its shifter."""

    def respond(*_: Any, **__: Any) -> Tensor:
        raise BrokenError

    encoder.respond = respond
