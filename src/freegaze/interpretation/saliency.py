"""How each neuron's predicted rate changes with each behavior signal and with the picture."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad

from freegaze.errors import ConfigError, ShapeError
from freegaze.interpretation.callables import Predict, gaze_held, of_session, undisturbed

Summary = Literal["signed", "absolute"]


@dataclass(frozen=True, eq=False)
class BehaviorSaliency:
    """Derivatives of rates by behavior signals.

    Args:
        signals: Names of the signals, columns and derivatives.
        partial: By each signal with the retinal image held still, in expected counts a bin for one
            unit of the signal (one training sd where signals are standardized), over the whole
            window at once: (window, neuron, signal).
        via_gaze: What comes on top because the shifter moves the picture: (window, neuron, signal).
    """

    signals: tuple[str, ...]
    partial: Float[np.ndarray, "window neuron signal"]
    via_gaze: Float[np.ndarray, "window neuron signal"]

    @property
    def total(self) -> Float[np.ndarray, "window neuron signal"]:
        """Both paths together, which is all that the original looked at."""
        return self.partial + self.via_gaze

    def mean(self, summary: Summary = "absolute") -> Float[np.ndarray, "neuron signal"]:
        """Average the partial derivative over windows.

        Args:
            summary: ``absolute`` averages sizes; ``signed`` lets signs cancel, as the original did
                (deviation Q38).
        """
        return (np.abs(self.partial) if summary == "absolute" else self.partial).mean(0)


def behavior_saliency(
    predict: Predict,
    video: Float[Tensor, "window history 1 height width"],
    signals: Float[Tensor, "window history signal"],
    names: tuple[str, ...],
    features: Callable[[Tensor], Tensor] | None = None,
    *,
    session: str | None = None,
    batch: int = 128,
) -> BehaviorSaliency:
    """Differentiate all rates by all behavior signals.

    One forward derivative a signal serves all neurons and bins of the window: each signal is
    moved in all bins at once. Products and derivatives count for what they are made of, as
    ``features`` is differentiated too.

    Args:
        predict: The encoder, called as ``predict(video, features)``.
        video: Frames of each window, scaled as for the fit.
        signals: Behavior signals of the same bins, scaled as for the fit.
        names: Name of each signal.
        features: From signals to the encoder's features
            (``freegaze.recording.behavior.BehaviorTransform.features``); by default signals are
            the features.
        session: Whose neurons answer; may be left out where there is one session.
        batch: Windows at a time.

    Returns:
        The derivatives.

    Raises:
        ShapeError: If video, signals and names do not fit each other.

    Source: deviations Q34 and Q38.

    Example:
        >>> weights = torch.tensor([[1.0, 0.0], [2.0, 3.0]])  # (signal, neuron)
        >>> linear = lambda video, behavior: behavior.sum(1) @ weights
        >>> video, signals = torch.zeros(4, 2, 1, 3, 3), torch.zeros(4, 2, 2)
        >>> behavior_saliency(linear, video, signals, ("speed", "roll")).partial[0].T.tolist()
        [[2.0, 0.0], [4.0, 6.0]]
    """
    _check(video, signals, names)
    steps = [
        torch.zeros_like(signals[0]).index_fill_(1, torch.tensor([i]), 1.0)
        for i in range(len(names))
    ]
    directions = [step.expand_as(signals) for step in steps]
    call = of_session(predict, session)
    with undisturbed(predict):
        total = _derivatives(call, video, signals, features, directions, batch)
        with gaze_held(predict):
            held = _derivatives(call, video, signals, features, directions, batch)
    return BehaviorSaliency(names, held, total - held)


def integrated_saliency(
    predict: Predict,
    video: Float[Tensor, "window history 1 height width"],
    signals: Float[Tensor, "window history signal"],
    names: tuple[str, ...],
    features: Callable[[Tensor], Tensor] | None = None,
    *,
    session: str | None = None,
    baseline: Float[Tensor, " signal"] | None = None,
    steps: int = 16,
    batch: int = 128,
) -> BehaviorSaliency:
    """Attribute rates to signals by integrated gradients.

    Along the straight line from the baseline, derivatives times the distance gone are added up;
    the sum over signals of both paths is the rate minus that at the baseline.

    Args:
        predict: As for ``behavior_saliency``.
        video: As there; it is not part of the line.
        signals: As there.
        names: As there.
        features: As there.
        session: As there.
        baseline: Where the line starts; zero, the training mean of standardized signals, if left
            out.
        steps: Points of the Gauss-Legendre rule on the line.
        batch: Windows at a time.

    Returns:
        Attributions in expected counts a bin.

    Raises:
        ShapeError: If video, signals and names do not fit each other.

    Source: Sundararajan, Taly and Yan (2017), Axiomatic attribution for deep networks.
    """
    _check(video, signals, names)
    start = torch.zeros(len(names)) if baseline is None else baseline
    way = signals - start.to(signals)
    directions = [
        way * (torch.arange(len(names), device=way.device) == i) for i in range(len(names))
    ]
    points, weights = np.polynomial.legendre.leggauss(steps)
    total = held = 0.0
    with undisturbed(predict):
        for place, weight in zip((points + 1) / 2, weights / 2, strict=True):
            at = start.to(signals) + float(place) * way
            arguments = (of_session(predict, session), video, at, features, directions, batch)
            total = total + weight * _derivatives(*arguments)
            with gaze_held(predict):
                held = held + weight * _derivatives(*arguments)
    return BehaviorSaliency(names, np.asarray(held), np.asarray(total - held))


def mean_video_gradient(
    predict: Predict,
    video: Float[Tensor, "window history 1 height width"],
    behavior: Float[Tensor, "window history feature"],
    *,
    session: str | None = None,
    batch: int = 128,
) -> Float[np.ndarray, "neuron history height width"]:
    """Average over windows the derivative of each rate by the gray levels of the video.

    Args:
        predict: The encoder.
        video: Frames of each window, scaled as for the fit.
        behavior: Features of the same bins.
        session: Whose neurons answer; may be left out where there is one session.
        batch: Windows at a time.

    Returns:
        For each neuron a picture of every bin of the window, oldest first; zero for an encoder
        that does not look.

    Raises:
        ShapeError: If video and behavior differ in windows or bins.
    """
    _check(video, behavior, None)
    call = of_session(predict, session)
    total: Tensor | None = None
    with undisturbed(predict):
        for first in range(0, len(video), batch):
            part = video[first : first + batch].detach().requires_grad_()
            rates = call(part, behavior[first : first + batch]).sum(0)
            pictures = torch.stack([_gradient(rate, part).sum(0)[:, 0] for rate in rates])
            total = pictures if total is None else total + pictures
    assert total is not None, "there is at least one window"
    return (total / len(video)).cpu().numpy()


def _gradient(rate: Tensor, video: Tensor) -> Tensor:
    if not rate.requires_grad:
        return torch.zeros_like(video)
    (found,) = torch.autograd.grad(rate, video, retain_graph=True, allow_unused=True)
    return torch.zeros_like(video) if found is None else found


def _derivatives(
    predict: Predict,
    video: Tensor,
    signals: Tensor,
    features: Callable[[Tensor], Tensor] | None,
    directions: list[Tensor],
    batch: int,
) -> np.ndarray:
    """Return derivatives (window, neuron, direction)."""
    if not directions:
        with torch.no_grad():
            rates = predict(video, signals if features is None else features(signals))
        return np.zeros((*rates.shape, 0), dtype=np.float32)
    parts = []
    for first in range(0, len(video), batch):
        part = slice(first, first + batch)
        columns = [
            _derivative(predict, video[part], signals[part], features, direction[part])
            for direction in directions
        ]
        parts.append(torch.stack(columns, -1).cpu())
    return torch.cat(parts).numpy()


@torch.no_grad()
def _derivative(
    predict: Predict,
    video: Tensor,
    signals: Tensor,
    features: Callable[[Tensor], Tensor] | None,
    direction: Tensor,
) -> Tensor:
    with forward_ad.dual_level():
        with warnings.catch_warnings():  # PyTorch's own, when it first prepares forward derivatives
            warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
            moved = forward_ad.make_dual(signals, direction.contiguous())
        rates = predict(video, moved if features is None else features(moved))
        value, tangent = forward_ad.unpack_dual(rates)
        return torch.zeros_like(value) if tangent is None else tangent.clone()


def _check(video: Tensor, behavior: Tensor, names: tuple[str, ...] | None) -> None:
    if video.shape[:2] != behavior.shape[:2]:
        raise ShapeError(
            f"expected video and behavior of the same windows and bins, got {tuple(video.shape)} "
            f"and {tuple(behavior.shape)}"
        )
    if names is not None and len(names) != behavior.shape[2]:
        raise ShapeError(f"expected {behavior.shape[2]} names of signals, got {', '.join(names)}")
    if not len(video):
        raise ConfigError("saliency needs at least one window; choose bins of another role")
