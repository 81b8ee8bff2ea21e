"""Derivatives of predicted rates by behavior signals."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import jvp, vmap

from freegaze.errors import ConfigError, ShapeError
from freegaze.models.callables import (
    Predict,
    core_given,
    core_watched,
    encoder_of,
    gaze_held,
    gaze_nudged,
    gaze_stopped,
    gradients_by_neuron,
    has_gaze,
    rates_of,
    require_derivatives,
    undisturbed,
)
from freegaze.models.encoder import AbstractEncoder

Summary = Literal["signed", "absolute"]


@dataclass(frozen=True, eq=False)
class BehaviorSaliency:
    """Derivatives of rates by behavior signals.

    Args:
        signals: Names of the signals, columns and derivatives.
        partial: Derivative by each signal with the retinal image held still, in expected counts per
            bin, for one unit of the signal (one training sd where signals are standardized), over
            the whole window at once: (window, neuron, signal).
        via_gaze: Additional change because the shifter moves the frame: (window, neuron, signal).
    """

    signals: tuple[str, ...]
    partial: Float[np.ndarray, "window neuron signal"]
    via_gaze: Float[np.ndarray, "window neuron signal"]

    @property
    def total(self) -> Float[np.ndarray, "window neuron signal"]:
        """Both paths together, as in the original."""
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
    batch: int = 20,
) -> BehaviorSaliency:
    """Differentiate all rates by all behavior signals.

    Forward derivatives serve all neurons and bins of the window: each signal is moved in all bins
    at once. Products and derivatives count for the signals that they are computed from, as
    ``features`` is differentiated too.

    Args:
        predict: The encoder, called as ``predict(video, features)``.
        video: Frames of each window, scaled as for the fit.
        signals: Behavior signals of the same bins, scaled as for the fit.
        names: Name of each signal.
        features: Function from signals to the encoder's features
            (``freegaze.dataset.behavior.BehaviorTransform.features``); by default signals are
            the features.
        session: Session of the neurons; may be left out where there is one session.
        batch: Windows at a time.

    Returns:
        The derivatives.

    Raises:
        ShapeError: If video, signals and names do not fit each other.
        DataError: If the function is not differentiable.

    Source: deviations Q34 and Q38.

    Example:
        >>> weights = torch.tensor([[1.0, 0.0], [2.0, 3.0]])  # (signal, neuron)
        >>> linear = lambda video, behavior: behavior.sum(1) @ weights
        >>> video, signals = torch.zeros(4, 2, 1, 3, 3), torch.zeros(4, 2, 2)
        >>> behavior_saliency(linear, video, signals, ("speed", "roll")).partial[0].T.tolist()
        [[2.0, 0.0], [4.0, 6.0]]
    """
    _check(video, signals, names)
    with undisturbed(predict):
        found = _derivatives(
            predict, session, video, signals, features, _axes(signals, len(names)), batch
        )
    return BehaviorSaliency(names, *found)


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
    batch: int = 20,
) -> BehaviorSaliency:
    """Attribute rates to signals by integrated gradients.

    Along the straight line from the baseline, derivatives times the distance gone are added up;
    the sum over signals of both paths is the rate minus that at the baseline.

    Args:
        predict: Encoder, as for ``behavior_saliency``.
        video: Frames of the windows; they are the same at all points of the line.
        signals: Recorded behavior in the windows, the end of the line.
        names: Names of the signals.
        features: Function from signals to the encoder's features.
        session: Session of the neurons.
        baseline: Start of the line; without it, zero, the training mean of standardized signals.
        steps: Points of the Gauss-Legendre rule on the line.
        batch: Windows at a time.

    Returns:
        Attributions in expected counts per bin.

    Raises:
        ShapeError: If video, signals and names do not fit each other.
        DataError: If the function is not differentiable.

    Source: Sundararajan, Taly and Yan (2017), Axiomatic attribution for deep networks.
    """
    _check(video, signals, names)
    start = torch.zeros(len(names)) if baseline is None else baseline
    way = signals - start.to(signals)
    directions = way * _axes(signals, len(names))
    points, weights = np.polynomial.legendre.leggauss(steps)
    held = via_gaze = 0.0
    with undisturbed(predict):
        for place, weight in zip((points + 1) / 2, weights / 2, strict=True):
            at = start.to(signals) + float(place) * way
            found = _derivatives(predict, session, video, at, features, directions, batch)
            held, via_gaze = held + weight * found[0], via_gaze + weight * found[1]
    return BehaviorSaliency(names, np.asarray(held), np.asarray(via_gaze))


def _derivatives(
    predict: Predict,
    session: str | None,
    video: Tensor,
    signals: Tensor,
    features: Callable[[Tensor], Tensor] | None,
    directions: Tensor,
    batch: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return derivatives with the retinal image held, and through gaze.

    Both are (window, neuron, direction).

    Args:
        predict: The encoder.
        session: Session of the neurons.
        video: Frames.
        signals: Point at which to differentiate.
        features: Function from signals to the encoder's features; the same if left out.
        directions: Movements of the signals, (direction, window, history, signal).
        batch: Windows at a time.
    """
    call, features = rates_of(predict, session), features or nn.Identity()
    if not len(directions):
        with torch.no_grad():
            rates = call(video, features(signals))
        nothing = np.zeros((*rates.shape, 0), dtype=np.float32)
        return nothing, nothing
    encoder = encoder_of(predict)
    parts = []
    for first in range(0, len(video), batch):
        part = slice(first, first + batch)
        point = (video[part], signals[part], features, directions[:, part])
        with torch.no_grad(), warnings.catch_warnings():
            # PyTorch's own, when it first prepares forward derivatives.
            warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
            # Of operations without a rule for many derivatives, which are taken one by one.
            warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
            found = None if encoder is None else _frame_by_frame(encoder, session, *point)
            if found is None:
                found = _as_a_whole(predict, session, *point)
        parts.append([tangent.movedim(0, -1).cpu().numpy() for tangent in found])
    held, via_gaze = (np.concatenate(column) for column in zip(*parts, strict=True))
    is_zero = np.abs(held).max((0, 2)) + np.abs(via_gaze).max((0, 2)) == 0
    require_derivatives(
        lambda moved: call(video[:batch], features(moved)), signals[:batch], is_zero, "behavior"
    )
    return held, via_gaze


def _frame_by_frame(
    encoder: AbstractEncoder,
    session: str | None,
    video: Tensor,
    signals: Tensor,
    features: Callable[[Tensor], Tensor],
    directions: Tensor,
) -> tuple[Tensor, Tensor] | None:
    """Move signals with displacements held, and displacements by themselves; then add both up.

    However many signals there are, vision is computed once and moves along the three axes of a
    displacement only, which serve all signals that gaze depends on. ``None`` for an encoder that
    displaces more than once on its way, so that a frame has no one displacement.
    """
    still, axes = signals.new_zeros(3), torch.eye(3).to(signals)

    def nudge(by: Tensor) -> tuple[Tensor, ...]:
        with gaze_nudged(encoder, by), core_watched(encoder) as maps:
            return (encoder.encode(video, features(signals), session), *maps)

    (encoded, *maps), (by_axis, *_) = vmap(lambda axis: jvp(nudge, (still,), (axis,))[:2])(axes)
    encoded, maps = encoded[0], [value[0] for value in maps]
    displacers: list[nn.Module] = []

    def move(moved: Tensor) -> tuple[Tensor, ...]:
        with core_given(encoder, maps), gaze_stopped(encoder) as (found, angles):
            encoded = encoder.encode(video, features(moved), session)
        displacers.extend(found)
        return (encoded, *angles)

    values, (by_signal, *turned) = vmap(lambda way: jvp(move, (signals,), (way,))[:2])(directions)
    if len(turned) > 1:
        return None

    def respond(change: Tensor) -> Tensor:
        return jvp(partial(encoder.respond, session=session), (encoded,), (change,))[1]

    if not turned:
        held = vmap(respond)(by_signal)
        return held, torch.zeros_like(held)
    (displacer,), angles = displacers, values[1][0]
    by_angle = vmap(lambda angle: jvp(displacer, (angles,), (angle.expand_as(angles),))[1])(
        torch.eye(angles.shape[1]).to(angles)
    )
    n_windows, history = video.shape[:2]
    gone = torch.einsum("sfc,cfa->sfa", turned[0], by_angle).unflatten(1, (n_windows, history))
    by_axis = by_axis[: gone.shape[-1]]
    if len(directions) <= len(by_axis) * history:  # moving each signal is less than each bin
        through_gaze = torch.einsum("swta,awtd->swtd", gone, by_axis)
        held, via_gaze = vmap(respond)(torch.cat([by_signal, through_gaze])).chunk(2)
        return held, via_gaze
    # One displacement of one bin at a time, (axis and bin, window, bin, number).
    alone = torch.eye(history).to(signals)[:, None, :, None]
    rates = vmap(respond)(torch.cat([by_signal, (by_axis[:, None] * alone).flatten(0, 1)]))
    held, displaced = rates[: len(by_signal)], rates[len(by_signal) :]
    displaced = displaced.unflatten(0, (len(by_axis), history))
    return held, torch.einsum("swta,atwn->swn", gone, displaced)


def _as_a_whole(
    predict: Predict,
    session: str | None,
    video: Tensor,
    signals: Tensor,
    features: Callable[[Tensor], Tensor],
    directions: Tensor,
) -> tuple[Tensor, Tensor]:
    """Move signals before any function; the part of its shifters is a difference.

    By forward derivatives, or by one backward pass per neuron where an operation has no forward
    derivative.
    """
    call = rates_of(predict, session)

    def rates(moved: Tensor) -> Tensor:
        return call(video, features(moved))

    def differentiate() -> Tensor:
        try:
            return vmap(lambda way: jvp(rates, (signals,), (way,))[1])(directions)
        except (NotImplementedError, RuntimeError):
            neurons = range(rates(signals).shape[1])
            gradients = torch.stack(gradients_by_neuron(rates, signals, neurons))
            return torch.einsum("nwts,dwts->dwn", gradients, directions)

    with gaze_held(predict):
        held = differentiate()
    if not has_gaze(predict):
        return held, torch.zeros_like(held)
    return held, differentiate() - held


def _axes(signals: Tensor, n: int) -> Tensor:
    """Return steps of one along each signal in all bins, (direction, window, history, signal)."""
    return torch.eye(n).to(signals)[:, None, None].expand(-1, *signals.shape)


def _check(video: Tensor, behavior: Tensor, names: tuple[str, ...]) -> None:
    if video.shape[:2] != behavior.shape[:2]:
        raise ShapeError(
            f"expected video and behavior of the same windows and bins, got {tuple(video.shape)} "
            f"and {tuple(behavior.shape)}"
        )
    if len(names) != behavior.shape[2]:
        raise ShapeError(f"expected {behavior.shape[2]} names of signals, got {', '.join(names)}")
    if not len(video):
        raise ConfigError("saliency needs at least one window; choose bins of another role")
