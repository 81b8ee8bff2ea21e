"""Gradient ascent: closed forms for linear neurons, each of the four parts, bounds and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from freegaze.errors import ConfigError, ShapeError
from freegaze.explanation.fields.ascent import (
    BatchRoughness,
    Bounds,
    Converged,
    FixedNorm,
    FixedSteps,
    PaperClimb,
    Roughness,
    SmoothClimb,
    ascend,
    blur,
    laplacian,
    own_rate,
)
from type_checks import unchecked

SHAPE = (2, 1, 8, 10)
FIELDS = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
STILL = torch.zeros(3, 2, 1)


def linear(video: Tensor, behavior: Tensor) -> Tensor:
    """Three linear neurons; the mean of behavior adds to all."""
    return torch.einsum("phcyx,nhcyx->pn", video, FIELDS) + behavior.mean((1, 2))[:, None]


def squared(video: Tensor, behavior: Tensor) -> Tensor:
    return linear(video, behavior) ** 2


def starts(n: int = 3, seed: int = 1) -> Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def climb(predict: Any = linear, n: int = 3, **options: Any) -> Any:
    given = {"climb": SmoothClimb(1.0, 0.0), "stopping": FixedSteps(2), **options}
    return ascend(predict, torch.arange(n), starts(n), STILL[:n], **given)


def test_one_turn_reaches_the_best_picture_of_a_norm() -> None:
    found = climb(postprocess=[FixedNorm(5.0)], stopping=FixedSteps(1))
    best = 5 * FIELDS / FIELDS.flatten(1).norm(dim=1)[:, None, None, None, None]
    np.testing.assert_allclose(found.video, best[:, :, 0], atol=1e-5)


def test_smaller_turns_and_smoothing_converge_to_the_smoothed_field() -> None:
    found = climb(
        climb=SmoothClimb(0.5, 1.2), postprocess=[FixedNorm(5.0)], stopping=FixedSteps(40)
    )
    smooth = blur(FIELDS, 1.2)
    best = 5 * smooth / smooth.flatten(1).norm(dim=1)[:, None, None, None, None]
    np.testing.assert_allclose(found.video, best[:, :, 0], atol=1e-5)
    assert (np.diff(found.gains, axis=0) >= -1e-4).all()


def test_the_sign_of_the_start_decides_for_an_energy_cell() -> None:
    found = climb(squared, postprocess=[FixedNorm(5.0)], stopping=FixedSteps(3))
    sides = np.sign((starts() * FIELDS).sum((1, 2, 3, 4)).numpy())
    best = 5 * FIELDS / FIELDS.flatten(1).norm(dim=1)[:, None, None, None, None]
    np.testing.assert_allclose(
        found.video, sides[:, None, None, None] * best[:, :, 0].numpy(), atol=1e-5
    )


def test_gains_are_the_objective_less_penalties_of_the_pictures_on_the_way() -> None:
    found = climb(
        objective=lambda rates, neurons: 2 * own_rate(rates, neurons),
        penalties=[Roughness(0.3), Roughness(0.1)],
        stopping=FixedSteps(1),
    )
    start = starts()
    expected = 2 * linear(start, STILL).diagonal() - 0.4 * laplacian(start).flatten(1).norm(dim=1)
    np.testing.assert_allclose(found.gains[0], expected, rtol=1e-5)
    assert found.gains.shape == (1, 3)
    assert found.n_gradients == 3


def test_a_picture_that_stopped_costs_nothing_and_stays() -> None:
    """The first starts at its goal and stops at once; it ends as alone, and others go on."""

    class First:
        def __call__(self, gains: Any) -> np.ndarray:
            return np.array([True, len(gains) >= 3, len(gains) >= 5])

    found = climb(climb=PaperClimb(), stopping=First())
    assert found.n_gradients == 1 + 3 + 5
    for n, steps in enumerate((1, 3, 5)):
        alone = ascend(
            *(linear, torch.tensor([n]), starts()[n : n + 1], STILL[:1]),
            climb=PaperClimb(),
            stopping=FixedSteps(steps),
        )
        np.testing.assert_allclose(found.video[n], alone.video[0], rtol=1e-6)
        assert (found.gains[steps - 1 :, n] == found.gains[steps - 1, n]).all()


def test_converged_looks_at_each_picture_over_its_patience() -> None:
    stop = Converged(tolerance=0.1, patience=2, max_steps=6)
    gains = [np.array([1.0, 1.0]), np.array([2.0, 1.05]), np.array([3.0, 1.08])]
    assert stop(gains[:2]).tolist() == [False, False]
    assert stop(gains).tolist() == [False, True]
    assert stop(gains * 2).tolist() == [True, True]  # six steps are the most
    assert FixedSteps(2)(gains[:1]).tolist() == [False, False]
    assert FixedSteps(2)(gains[:2]).tolist() == [True, True]


def test_bounds_and_norm_hold_from_before_the_first_step() -> None:
    seen: list[Tensor] = []

    def watch(video: Tensor, behavior: Tensor) -> Tensor:
        seen.append(video.detach().clone())
        return linear(video, behavior)

    found = climb(watch, climb=PaperClimb(), postprocess=[Bounds(-0.2, 0.3)])
    for video in [*seen[1:], torch.from_numpy(found.video)]:  # the first call only asks
        assert video.min() >= -0.2
        assert video.max() <= 0.3
    norms = np.linalg.norm(climb(postprocess=[FixedNorm(2.5)]).video.reshape(3, -1), axis=1)
    np.testing.assert_allclose(norms, 2.5, rtol=1e-5)
    assert (FixedNorm(3.0)(torch.zeros(1, *SHAPE)) == 0).all()


def test_starts_are_not_changed() -> None:
    start, states = starts(), STILL.clone()
    ascend(
        *(linear, torch.arange(3), start, states),
        climb=PaperClimb(),
        stopping=FixedSteps(2),
        is_behavior_optimized=True,
    )
    assert torch.equal(start, starts())
    assert torch.equal(states, STILL)


def test_behavior_climbs_where_asked() -> None:
    fixed = climb(climb=PaperClimb())
    moved = climb(climb=PaperClimb(), is_behavior_optimized=True)
    assert (fixed.behavior == 0).all()
    np.testing.assert_allclose(moved.behavior, 0.2, atol=1e-3)  # Adam: two steps of 0.1 upwards


def test_roughness_is_of_each_picture_or_of_the_whole_batch() -> None:
    video = starts(4)
    frames = video.flatten(0, 1)
    each = sum(  # neighbors by hand, borders left out
        4 * frames[..., 1:-1, 1:-1]
        - frames[..., a : a + 6, b : b + 8]
        - frames[..., c : c + 6, d : d + 8]
        for a, b, c, d in ((0, 1, 2, 1),)
    )
    each = each - frames[..., 1:7, 0:8] - frames[..., 1:7, 2:10]
    sizes = each.reshape(4, -1).norm(dim=1)
    torch.testing.assert_close(Roughness(0.5)(video), 0.5 * sizes)
    torch.testing.assert_close(BatchRoughness(0.5)(video), 0.5 * sizes.norm().expand(4))
    flat = torch.linspace(0, 1, 10).expand(1, 2, 1, 8, 10)  # a slope is not rough
    torch.testing.assert_close(Roughness(1.0)(flat), torch.zeros(1), atol=1e-5, rtol=0)


def test_blur_is_a_normalized_gaussian() -> None:
    spot = torch.zeros(1, 1, 1, 21, 21)
    spot[..., 10, 10] = 1.0
    smooth = blur(spot, 2.0)[0, 0, 0]
    y, x = torch.meshgrid(torch.arange(21) - 10, torch.arange(21) - 10, indexing="ij")
    exact = torch.exp(-(x**2 + y**2) / 8)
    exact = exact * ((x.abs() <= 6) & (y.abs() <= 6))
    torch.testing.assert_close(smooth, exact / exact.sum())
    assert blur(spot, 0.0) is spot


class Dropping(nn.Module):
    def forward(self, video: Tensor, behavior: Tensor) -> Tensor:
        return linear(F.dropout(video, 0.5, self.training), behavior)


def test_the_seed_decides_dropout_and_the_caller_keeps_its_own() -> None:
    def run(seed: int) -> np.ndarray:
        return climb(Dropping(), has_dropout=True, seed=seed, stopping=FixedSteps(1)).gains

    torch.manual_seed(9)
    before = torch.random.get_rng_state()
    first = run(3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (first == run(3)).all()
    assert (first != run(4)).all()
    assert (climb(Dropping(), seed=3).gains == climb(linear).gains).all()


def test_a_start_without_gradient_stays() -> None:
    def asleep(video: Tensor, behavior: Tensor) -> Tensor:
        return F.relu(linear(video, behavior) - 1e6)

    found = climb(asleep)
    np.testing.assert_array_equal(found.video, starts()[:, :, 0])


@unchecked()
def test_what_cannot_climb_is_named() -> None:
    options = {"climb": SmoothClimb(), "stopping": FixedSteps(1)}
    with pytest.raises(ShapeError, match="2 neurons, 3 behaviors and 3 pictures"):
        ascend(linear, torch.arange(2), starts(), STILL, **options)
    with pytest.raises(ShapeError, match="0 pictures"):
        ascend(linear, torch.arange(0), starts(0), STILL[:0], **options)
    for neurons in (torch.tensor([0, 1, 3]), torch.tensor([-1, 0, 1])):
        with pytest.raises(ConfigError, match="numbered 0 to 2"):
            ascend(linear, neurons, starts(), STILL, **options)
    for is_optimized in (False, True):
        with pytest.raises(ConfigError, match="does not read the video"):
            climb(lambda v, b: b.mean(1).expand(-1, 3), is_behavior_optimized=is_optimized)
