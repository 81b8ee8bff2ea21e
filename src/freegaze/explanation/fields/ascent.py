"""The input that excites a neuron most, found by climbing the gradient of its predicted rate.

Four small parts make a protocol: an objective, penalties, what is done to pictures after each step,
and when to stop. All of them work on many pictures at once, each with a neuron of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor
from torch.nn import functional as F

from freegaze.errors import ConfigError, ShapeError
from freegaze.explanation.fields.gradients import blur
from freegaze.models.callables import (
    Predict,
    rates_of,
    require_derivatives,
    seen_by_retina,
    undisturbed,
)

LAPLACE = ((0.0, -1.0, 0.0), (-1.0, 4.0, -1.0), (0.0, -1.0, 0.0))


Objective = Callable[
    [Float[Tensor, "picture neuron"], Integer[Tensor, " picture"]], Float[Tensor, " picture"]
]
"""``(rates, neurons)`` to what is maximized, one number per picture."""

Penalty = Callable[[Float[Tensor, "picture history 1 height width"]], Float[Tensor, " picture"]]
"""Pictures to what is minimized, one number per picture."""

Postprocess = Callable[
    [Float[Tensor, "picture history 1 height width"]],
    Float[Tensor, "picture history 1 height width"],
]
"""Pictures to the pictures that replace them after each step."""

Stopping = Callable[[Sequence[Float[np.ndarray, " picture"]]], Bool[np.ndarray, " picture"]]
"""Objective less penalties at each step so far, to whether each picture is done."""

Step = Callable[[list[Tensor], float], None]
"""``(gradients of the loss, total loss)``: moves the inputs in place."""

Climb = Callable[[list[Tensor]], Step]
"""Inputs to the step that moves them."""


def own_rate(rates: Tensor, neurons: Tensor) -> Tensor:
    """Return each picture's own neuron's rate: the plain objective."""
    return rates.gather(1, neurons[:, None])[:, 0]


@dataclass(frozen=True)
class Roughness:
    """Norm of the Laplacian of each picture by itself, all bins of the window together.

    Args:
        weight: Expected counts that a norm of 1 costs.
    """

    weight: float = 0.01

    def __call__(self, video: Tensor) -> Tensor:
        """Return the weighted norms."""
        return self.weight * laplacian(video).flatten(1).norm(dim=1)


@dataclass(frozen=True)
class BatchRoughness:
    """Norm of the Laplacian of a whole batch, which counts once for every picture (deviation Q35).

    Args:
        weight: Expected counts that a norm of 1 costs each picture.
    """

    weight: float = 0.01

    def __call__(self, video: Tensor) -> Tensor:
        """Return the same weighted norm for every picture."""
        return (self.weight * laplacian(video).norm()).expand(len(video))


@dataclass(frozen=True)
class FixedNorm:
    """Scale each picture, all bins together, to a given norm.

    Args:
        norm: Norm in units of the scaled video.
    """

    norm: float

    def __call__(self, video: Tensor) -> Tensor:
        """Return the scaled pictures."""
        size = video.flatten(1).norm(dim=1).clamp_min(1e-12)
        return video * (self.norm / size)[:, None, None, None, None]


@dataclass(frozen=True)
class Bounds:
    """Clip gray levels.

    Args:
        low: Lowest level, scaled as the video.
        high: Highest level.
    """

    low: float
    high: float

    def __call__(self, video: Tensor) -> Tensor:
        """Return the clipped pictures."""
        return video.clamp(self.low, self.high)


@dataclass(frozen=True)
class FixedSteps:
    """Stop after a number of steps.

    Args:
        steps: Number of steps.
    """

    steps: int

    def __call__(self, gains: Sequence[np.ndarray]) -> np.ndarray:
        """Return whether they were made."""
        return np.full(len(gains[-1]), len(gains) >= self.steps)


@dataclass(frozen=True)
class Converged:
    """Stop when a picture has not gained more than a share of its value over some steps.

    Args:
        tolerance: The share.
        patience: The steps.
        max_steps: Most steps.
    """

    tolerance: float = 1e-3
    patience: int = 5
    max_steps: int = 60

    def __call__(self, gains: Sequence[np.ndarray]) -> np.ndarray:
        """Return which images have converged."""
        if len(gains) <= self.patience or len(gains) >= self.max_steps:
            return np.full(len(gains[-1]), len(gains) >= self.max_steps)
        gained = gains[-1] - gains[-1 - self.patience]
        return gained <= self.tolerance * np.abs(gains[-1])


@dataclass(frozen=True)
class SmoothClimb:
    """Turn each picture some way towards its smoothed gradient; for use with a fixed norm.

    For a linear neuron, one whole turn reaches the best picture of a given norm.

    Args:
        turn: Share of the way, 1 forgets the picture.
        blur_px: Standard deviation of the Gaussian that smooths gradients in space, in pixels.
    """

    turn: float = 0.5
    blur_px: float = 1.0

    def __call__(self, inputs: list[Tensor]) -> Step:
        """Return the step."""

        def step(gradients: list[Tensor], loss: float) -> None:
            del loss
            video, gradient = inputs[0], blur(-gradients[0], self.blur_px)
            size = video.flatten(1).norm(dim=1)[:, None, None, None, None]
            length = gradient.flatten(1).norm(dim=1)[:, None, None, None, None]
            towards = torch.where(length > 0, size * gradient / length.clamp_min(1e-30), video)
            video.lerp_(towards, self.turn)

        return step


@dataclass(frozen=True)
class PaperClimb:
    """Adam with weight decay on the input, its rate cut when the loss stands still (Q35).

    Args:
        learning_rate: Learning rate of Adam.
        weight_decay: Weight decay, added to gradients.
        patience: Steps without a better loss.
        factor: Factor on the learning rate after these steps.
        min_rate: Lowest learning rate.
    """

    learning_rate: float = 0.1
    weight_decay: float = 0.02
    patience: int = 20
    factor: float = 0.2
    min_rate: float = 1e-5

    def __call__(self, inputs: list[Tensor]) -> Step:
        """Return the step."""
        adam = torch.optim.Adam(inputs, lr=self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            adam, patience=self.patience, factor=self.factor, min_lr=self.min_rate
        )

        def step(gradients: list[Tensor], loss: float) -> None:
            for tensor, gradient in zip(inputs, gradients, strict=True):
                tensor.grad = gradient
            adam.step()
            adam.zero_grad()
            schedule.step(loss)

        return step


@dataclass(frozen=True, eq=False)
class Ascent:
    """End of an ascent.

    Args:
        video: The pictures, (picture, history, height, width).
        behavior: The behavior that they were seen in, (picture, history, feature); changed where it
            was optimized too.
        gains: Objective less penalties before each step, (step, picture); of a picture that has
            stopped, the last.
        n_gradients: Image gradients that were computed, for all pictures.
    """

    video: Float[np.ndarray, "picture history height width"]
    behavior: Float[np.ndarray, "picture history feature"]
    gains: Float[np.ndarray, "step picture"]
    n_gradients: int


def ascend(
    predict: Predict,
    neurons: Integer[Tensor, " picture"],
    video: Float[Tensor, "picture history 1 height width"],
    behavior: Float[Tensor, "picture history feature"],
    *,
    climb: Climb,
    stopping: Stopping,
    objective: Objective = own_rate,
    penalties: Sequence[Penalty] = (),
    postprocess: Sequence[Postprocess] = (),
    session: str | None = None,
    is_retinal: bool = True,
    is_behavior_optimized: bool = False,
    has_dropout: bool = False,
    seed: int = 0,
) -> Ascent:
    """Climb from some pictures, each for a neuron of its own.

    Images are independent unless a penalty, dropout or the climb's rate couples them. Each stops by
    itself, and does not change while others continue.

    Args:
        predict: The encoder.
        neurons: Number of each picture's neuron.
        video: Pictures to start from, scaled as for the fit; they are not changed.
        behavior: Features in which they are seen.
        climb: Rule of the steps.
        stopping: Rule of stopping.
        objective: Value to be increased.
        penalties: Values to be decreased.
        postprocess: Functions that change pictures before the first and after each step, in order.
        session: Session of the neurons; may be left out where there is one session.
        is_retinal: Whether pictures are retinal images, which no shifter moves.
        is_behavior_optimized: Whether behavior climbs too.
        has_dropout: Whether dropout stays on (deviation Q34).
        seed: Seed of dropout; the caller's random state does not change.

    Returns:
        The pictures at the end.

    Raises:
        ShapeError: If neurons, video and behavior differ in number.
        ConfigError: If a neuron does not exist, or the encoder does not read the video.
        DataError: If the function is not differentiable.
    """
    if not len(neurons) == len(video) == len(behavior) or not len(video):
        raise ShapeError(
            f"expected a neuron and a behavior for each picture, got {len(neurons)} neurons, "
            f"{len(behavior)} behaviors and {len(video)} pictures"
        )
    call = rates_of(predict, session)
    video, behavior = video.detach().clone(), behavior.detach().clone()
    for change in postprocess:
        video = change(video)
    inputs = [video, behavior] if is_behavior_optimized else [video]
    step = climb(inputs)
    gains: list[np.ndarray] = []
    is_climbing = torch.ones(len(video), dtype=torch.bool, device=video.device)
    n_gradients = 0
    with undisturbed(predict, has_dropout), ExitStack() as stack:
        if has_dropout:
            devices = [video.device] if video.is_cuda else []
            stack.enter_context(torch.random.fork_rng(devices=devices))
        _check_climbable(call, neurons, video, behavior)
        if has_dropout:
            torch.manual_seed(seed)
        if is_retinal:
            stack.enter_context(seen_by_retina(predict))
        while bool(is_climbing.any()):
            leaves = [tensor[is_climbing].requires_grad_() for tensor in inputs]
            states = leaves[1] if is_behavior_optimized else behavior[is_climbing]
            gain = objective(call(leaves[0], states), neurons[is_climbing])
            for penalty in penalties:
                gain = gain - penalty(leaves[0])
            gradients = torch.autograd.grad(-gain.sum(), leaves, materialize_grads=True)
            n_gradients += len(leaves[0])
            gained = gain.detach().cpu().numpy()
            gains.append(gains[-1].copy() if gains else np.empty_like(gained))
            gains[-1][is_climbing.cpu().numpy()] = gained
            with torch.no_grad():
                before = [tensor.clone() for tensor in inputs]
                step([_spread(g, is_climbing) for g in gradients], -float(gain.detach().sum()))
                for change in postprocess:
                    video.copy_(change(video))
                for tensor, old in zip(inputs, before, strict=True):
                    tensor[~is_climbing] = old[~is_climbing]
            is_climbing &= ~torch.from_numpy(stopping(gains)).to(video.device)
    return Ascent(
        video[:, :, 0].cpu().numpy(), behavior.cpu().numpy(), np.stack(gains), n_gradients
    )


def _spread(gradient: Tensor, is_climbing: Tensor) -> Tensor:
    """Return the gradient with zeros for pictures that stopped."""
    out = gradient.new_zeros(len(is_climbing), *gradient.shape[1:])
    out[is_climbing] = gradient
    return out


def laplacian(video: Tensor) -> Tensor:
    """Filter each frame with the discrete Laplacian, without its border."""
    kernel = video.new_tensor(LAPLACE)[None, None]
    return F.conv2d(video.flatten(0, 1), kernel).unflatten(0, video.shape[:2])


def _check_climbable(call: Predict, neurons: Tensor, video: Tensor, behavior: Tensor) -> None:
    seen = video[:1].clone().requires_grad_()
    rates = call(seen, behavior[:1])
    low, high = int(neurons.min()), int(neurons.max())
    if low < 0 or high >= rates.shape[1]:
        raise ConfigError(f"neurons are numbered 0 to {rates.shape[1] - 1}, got {low} to {high}")
    found = None
    if rates.requires_grad:
        (found,) = torch.autograd.grad(rates.sum(), seen, allow_unused=True)
    if found is None or not found.any():
        is_asked = np.isin(np.arange(rates.shape[1]), neurons.cpu().numpy())
        require_derivatives(lambda frames: call(frames, behavior), video, is_asked, "video")
    if found is None:
        raise ConfigError("the encoder does not read the video: there is no gradient to follow")
