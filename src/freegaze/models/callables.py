"""Encoders as functions of video and behavior, evaluated without a lasting change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.autograd import forward_ad

from freegaze.errors import DataError
from freegaze.models.encoder import AbstractEncoder
from freegaze.models.parts.gaze import GazeCorrection

LEAVES_TORCH = "it leaves PyTorch (NumPy, `.detach()`, `.item()`, `torch.no_grad()`)"
"""Reason for which a function carries no derivative."""

Predict = Callable[..., Tensor]
"""From video (window, history, 1, height, width) and features (window, history, feature), and the
session where there are several, to rates (window, neuron): an encoder, a fitted encoder, or any
differentiable function of the two. Shifters are only found in encoders: the inside of a function is
not known."""


def rates_of(predict: Predict, session: str | None = None) -> Predict:
    """Return a function of video and features to the rates of one session's neurons.

    Args:
        predict: The encoder, or any function.
        session: Name of the session, where there are several.

    Returns:
        A function that raises ``DataError`` if ``predict`` leaves PyTorch or returns anything but
        rates (window, neuron).
    """

    def rates(video: Tensor, behavior: Tensor) -> Tensor:
        try:
            found = predict(video, behavior, **({} if session is None else {"session": session}))
        except RuntimeError as error:
            if "requires grad" not in str(error):
                raise
            raise DataError(f"the function is not differentiable: {LEAVES_TORCH}") from error
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(video):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise DataError(
                f"expected rates as a tensor (window, neuron) for {len(video)} windows, got {shape}"
            )
        return found

    return rates


def gradients_by_neuron(
    rates: Callable[[Tensor], Tensor], point: Float[Tensor, "*window"], neurons: range
) -> list[Float[Tensor, "*window"]]:
    """Differentiate the rates of some neurons by an input, one backward pass per neuron.

    Windows must not depend on each other.

    Args:
        rates: Function from the input to rates (window, neuron).
        point: Point at which to differentiate.
        neurons: Numbers of the neurons.

    Returns:
        One gradient per neuron; zeros for rates that carry no derivative.
    """
    with torch.enable_grad():
        leaf = point.detach().requires_grad_()
        totals = rates(leaf).sum(0).unbind()
    return [
        torch.autograd.grad(totals[n], leaf, retain_graph=True, materialize_grads=True)[0]
        if totals[n].requires_grad
        else torch.zeros_like(point)
        for n in neurons
    ]


def require_derivatives(
    rates: Callable[[Tensor], Tensor],
    point: Float[Tensor, "window history *rest"],
    is_zero: Bool[np.ndarray, " neuron"],
    what: str,
) -> None:
    """Refuse a function whose rates change with an input although the derivative is zero.

    Zero is right where rates do not depend on the input, or are flat around it. It exchanges
    windows: where rates then differ, one of both derivatives cannot be zero.

    Args:
        rates: Function from the input to rates (window, neuron).
        point: Windows at which derivatives were computed.
        is_zero: Neurons of which all derivatives were zero.
        what: Name of the input.

    Raises:
        DataError: If the function is not differentiable.
    """
    other = point.flip(0, 1)
    with torch.no_grad():
        before, after = rates(point), rates(other)
    change, size = (after - before).abs().amax(0), before.abs().amax(0)
    changed = (change > 1e-5 * size).cpu().numpy()
    for neuron in np.flatnonzero(is_zero & changed).tolist():
        (slope,) = gradients_by_neuron(rates, other, range(neuron, neuron + 1))
        if not slope.any():
            raise DataError(
                f"the function is not differentiable by {what}: the rate of neuron {neuron} "
                f"changes with it, but its derivative is zero. Either {LEAVES_TORCH}, or it takes "
                "steps (rounding, comparing, counting)"
            )


def modules_of(predict: Predict) -> list[nn.Module]:
    """Return the modules behind a callable: itself, or the encoder that a fitted one holds."""
    root = predict if isinstance(predict, nn.Module) else getattr(predict, "encoder", None)
    return list(root.modules()) if isinstance(root, nn.Module) else []


def encoder_of(predict: Predict) -> AbstractEncoder | None:
    """Return the encoder that a callable is, or that a fitted one holds."""
    root = predict if isinstance(predict, nn.Module) else getattr(predict, "encoder", None)
    return root if isinstance(root, AbstractEncoder) else None


def has_gaze(predict: Predict) -> bool:
    """Return whether a callable holds a part that corrects for gaze."""
    return any(isinstance(module, GazeCorrection) for module in modules_of(predict))


@contextmanager
def undisturbed(predict: Predict, has_dropout: bool = False) -> Iterator[None]:
    """Evaluate without dropout and batch statistics, then leave modes and gradients as they were.

    Args:
        predict: The function.
        has_dropout: Leave everything but batch normalization in training mode, as the original's
            analyses did (deviation Q34).
    """
    modules = modules_of(predict)
    modes = [module.training for module in modules]
    parameters = [p for module in modules for p in module.parameters(recurse=False)]
    wanted = [parameter.requires_grad for parameter in parameters]
    try:
        for module in modules:
            module.training = has_dropout and not isinstance(
                module, nn.modules.batchnorm._BatchNorm
            )
        for parameter in parameters:  # only inputs are differentiated, which saves half the work
            parameter.requires_grad_(False)
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        for parameter, flag in zip(parameters, wanted, strict=True):
            parameter.requires_grad_(flag)


@contextmanager
def gaze_held(predict: Predict) -> Iterator[None]:
    """Stop derivatives at every shifter, so that the retinal image counts as given."""
    with _hooked(predict, lambda gaze: [gaze.columns], lambda *parts: parts[2].detach()):
        yield


@contextmanager
def gaze_given(predict: Predict, behavior: Float[Tensor, "bin feature"]) -> Iterator[None]:
    """Let shifters of images and readouts read this behavior instead of the given one.

    Args:
        predict: The function.
        behavior: Features of exactly the bins of the later call.
    """
    # A module's forward, unlike a call of it, runs no hooks: this one is not called again.
    with _hooked(predict, lambda gaze: [gaze.columns], lambda *parts: parts[0].forward(behavior)):
        yield


@contextmanager
def gaze_nudged(predict: Predict, nudge: Float[Tensor, " axis"]) -> Iterator[None]:
    """Add the same displacement to every displacement, on the axes that both have."""
    with _hooked(predict, _displacers, lambda *parts: parts[2] + nudge[: parts[2].shape[1]]):
        yield


@contextmanager
def gaze_stopped(predict: Predict) -> Iterator[tuple[list[nn.Module], list[Tensor]]]:
    """Stop derivatives at the modules that turn angles into displacements.

    Yields:
        Two lists that each call of an encoder extends: the modules, and their angles, which carry
            derivatives.
    """
    modules: list[nn.Module] = []
    angles: list[Tensor] = []

    def hook(module: nn.Module, given: tuple[Tensor]) -> Tensor:
        modules.append(module)
        angles.append(given[0])
        return given[0].detach()

    with ExitStack() as stack:
        for place in _places(predict, _displacers):
            stack.callback(place.register_forward_pre_hook(hook).remove)
        yield modules, angles


@contextmanager
def core_watched(encoder: AbstractEncoder) -> Iterator[list[Tensor]]:
    """Yield a list to which each call of the core appends its maps."""
    maps: list[Tensor] = []
    with ExitStack() as stack:
        if isinstance(core := getattr(encoder, "core", None), nn.Module):
            handle = core.register_forward_hook(lambda *parts: maps.append(parts[2]))
            stack.callback(handle.remove)
        yield maps


@contextmanager
def core_given(encoder: AbstractEncoder, maps: Sequence[Tensor]) -> Iterator[None]:
    """Return the given maps instead of calling a core on frames without a forward derivative."""
    if len(maps) != 1:
        yield
        return
    core = encoder.get_submodule("core")
    forward = core.forward

    def recall(frames: Tensor) -> Tensor:
        has_derivative = forward_ad.unpack_dual(frames).tangent is not None
        return forward(frames) if has_derivative else maps[0]

    core.forward = recall  # the instance's own, before the class's
    try:
        yield
    finally:
        del core.forward


def _displacers(gaze: GazeCorrection) -> list[nn.Module]:
    image = [] if gaze.shifter is None else [gaze.shifter.displacement]
    return [*image, *([] if gaze.readout_shifter is None else [gaze.readout_shifter])]


@contextmanager
def seen_by_retina(predict: Predict) -> Iterator[None]:
    """Treat video as retinal frames: image shifters do not move them."""
    with _hooked(predict, lambda gaze: [gaze], lambda *parts: parts[1][0]):
        yield


@contextmanager
def _hooked(
    predict: Predict,
    places: Callable[[GazeCorrection], list[nn.Module]],
    hook: Callable[..., Tensor | None],
) -> Iterator[None]:
    with ExitStack() as stack:
        for place in _places(predict, places):
            stack.callback(place.register_forward_hook(hook).remove)
        yield


def _places(
    predict: Predict, places: Callable[[GazeCorrection], list[nn.Module]]
) -> list[nn.Module]:
    gazes = [module for module in modules_of(predict) if isinstance(module, GazeCorrection)]
    return [place for gaze in gazes for place in places(gaze)]
