"""Functions of one's own: any differentiable one is explained, any other is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from freegaze.errors import DataError
from freegaze.explanation.fields.ascent import FixedSteps, SmoothClimb, ascend
from freegaze.explanation.fields.gradients import gradient_fields
from freegaze.explanation.saliency.derivatives import behavior_saliency, integrated_saliency

Rates = Callable[[Tensor, Tensor], Tensor]
WEIGHTS = torch.tensor([[1.0, -2.0], [0.5, 3.0]])  # (signal, neuron)


def linear(video: Tensor, behavior: Tensor) -> Tensor:
    brightness = 20 * video.mean((1, 2, 3, 4))[:, None]
    return brightness * torch.tensor([1.0, 2.0]) + behavior.mean(1) @ WEIGHTS


def in_numpy(video: Tensor, behavior: Tensor) -> Tensor:
    return torch.from_numpy(linear(torch.from_numpy(video.numpy()), behavior).numpy())


def detached(video: Tensor, behavior: Tensor) -> Tensor:
    return linear(video.detach(), behavior.detach())


def through_items(video: Tensor, behavior: Tensor) -> Tensor:
    rows = linear(video, behavior)
    return torch.tensor([[value.item() for value in row] for row in rows])


def without_gradients(video: Tensor, behavior: Tensor) -> Tensor:
    with torch.no_grad():
        return linear(video, behavior)


def in_steps(video: Tensor, behavior: Tensor) -> Tensor:
    return (10 * linear(video, behavior)).round()


def counting(video: Tensor, behavior: Tensor) -> Tensor:
    return (linear(video, behavior) > 0).float()


def partly_detached(video: Tensor, behavior: Tensor) -> Tensor:
    rates = linear(video, behavior)
    return torch.stack([rates[:, 0], rates[:, 1].detach()], 1)


BROKEN: tuple[Rates, ...] = (
    *(in_numpy, detached, through_items, without_gradients, in_steps, counting, partly_detached),
)


def inputs(n: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    video = torch.randn(n, 3, 1, 6, 8, generator=generator)
    return video, torch.randn(n, 3, 2, generator=generator)


EXPLAINERS: dict[str, Callable[[Rates], object]] = {
    "fields": lambda rates: gradient_fields(rates, *inputs()),
    "saliency": lambda rates: behavior_saliency(rates, *inputs(), ("speed", "roll")),
    "integrated": lambda rates: integrated_saliency(rates, *inputs(), ("speed", "roll"), steps=2),
    "ascent": lambda rates: ascend(
        *(rates, torch.arange(6) % 2, *inputs()), climb=SmoothClimb(), stopping=FixedSteps(2)
    ),
}


@pytest.mark.parametrize("rates", BROKEN, ids=lambda rates: rates.__name__)
@pytest.mark.parametrize("name", ["fields", "saliency", "integrated"])
def test_a_function_without_derivative_is_an_error_not_zeros(name: str, rates: Rates) -> None:
    if rates is without_gradients and name != "fields":
        video, behavior = inputs()  # forward derivatives pass through it
        found = behavior_saliency(rates, video, behavior, ("speed", "roll"))
        np.testing.assert_allclose(found.partial[0], WEIGHTS.T, rtol=1e-5)
        return
    with pytest.raises(DataError, match="not differentiable") as error:
        EXPLAINERS[name](rates)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("rates", BROKEN[:-1], ids=lambda rates: rates.__name__)
def test_there_is_no_ascent_without_derivative(rates: Rates) -> None:
    with pytest.raises(DataError, match="not differentiable"):
        EXPLAINERS["ascent"](rates)


@pytest.mark.parametrize("name", list(EXPLAINERS))
def test_rates_are_a_tensor_of_windows_and_neurons(name: str) -> None:
    for wrong in (lambda v, b: linear(v, b)[0], lambda v, b: linear(v, b).T, lambda v, b: 1.0):
        with pytest.raises(DataError, match=r"rates as a tensor \(window, neuron\) for"):
            EXPLAINERS[name](wrong)


def test_zero_is_right_where_rates_do_not_depend_or_are_flat() -> None:
    video, behavior = inputs()
    fields = gradient_fields(lambda v, b: b.mean(1) @ WEIGHTS + 0 * v.sum(), video, behavior)
    assert (fields.mean == 0).all()
    fields = gradient_fields(lambda v, b: b.mean(1) @ WEIGHTS, video, behavior[:1].expand(6, 3, 2))
    assert (fields.mean == 0).all()
    assert (
        gradient_fields(lambda v, b: F.relu(linear(v, b) - 99), video, behavior).mean == 0
    ).all()
    names = ("speed", "roll")
    found = behavior_saliency(lambda v, b: v.mean((1, 2, 3, 4))[:, None], video, behavior, names)
    assert (found.partial == 0).all()


def test_operations_without_forward_derivative_are_differentiated_backward() -> None:
    """The sampler of PyTorch and recurrent units have none, or none for many at once."""
    unit = torch.nn.GRU(2, 4, batch_first=True)
    grid = F.affine_grid(torch.eye(2, 3)[None], [1, 1, 6, 8], align_corners=False)

    def sampled(video: Tensor, behavior: Tensor) -> Tensor:
        moved = grid.expand(len(video), -1, -1, -1) + 0.1 * behavior[:, -1, None, None]
        seen = F.grid_sample(video[:, -1], moved, align_corners=False).square().mean((1, 2, 3))
        return torch.stack([seen, unit(behavior)[0][:, -1].sum(1)], 1)

    video, behavior = inputs()
    found = behavior_saliency(sampled, video, behavior, ("speed", "roll"), batch=4)
    point = behavior.clone().requires_grad_()
    for neuron in range(2):
        (expected,) = torch.autograd.grad(sampled(video, point)[:, neuron].sum(), point)
        assert expected.any()
        np.testing.assert_allclose(found.partial[:, neuron], expected.sum(1), rtol=1e-4, atol=1e-6)
    assert (found.via_gaze == 0).all()


def test_errors_of_the_function_itself_stay_as_they_are() -> None:
    def broken(video: Tensor, behavior: Tensor) -> Tensor:
        raise RuntimeError("out of coffee")

    for name in EXPLAINERS:
        with pytest.raises(RuntimeError, match="out of coffee"):
            EXPLAINERS[name](broken)
