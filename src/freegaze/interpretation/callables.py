"""What explainers take: a function from video and behavior to rates, left as it was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from freegaze.errors import ShapeError
from freegaze.models._gaze import GazeCorrection
from freegaze.models.encoder import AbstractEncoder

Predict = Callable[..., Tensor]
"""From video (window, history, 1, height, width) and features (window, history, feature), and the
session where there are several, to rates (window, neuron): an encoder, a fitted encoder, or any
function of the two. A function hides what is inside: nothing of it counts as a shifter."""


def of_session(predict: Predict, session: str | None) -> Predict:
    """Return the function for one session's neurons."""
    return predict if session is None else partial(predict, session=session)


def modules_of(predict: Predict) -> list[nn.Module]:
    """Return the modules behind a callable: itself, or the encoder that a fitted one holds."""
    root = predict if isinstance(predict, nn.Module) else getattr(predict, "encoder", None)
    return list(root.modules()) if isinstance(root, nn.Module) else []


def encoder_of(predict: Predict) -> AbstractEncoder | None:
    """Return the encoder that a callable is, or that a fitted one holds."""
    root = predict if isinstance(predict, nn.Module) else getattr(predict, "encoder", None)
    return root if isinstance(root, AbstractEncoder) else None


def has_gaze(predict: Predict) -> bool:
    """Tell whether a callable holds anything that follows gaze."""
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
def gaze_nudged(predict: Predict, nudge: Tensor) -> Iterator[list[Tensor]]:
    """Stop derivatives at every displacement and add the same small one to all, (axis,).

    Yields:
        A list that fills with displacements, derivatives included, as shifters are called.
    """
    found: list[Tensor] = []

    def hook(*parts: Any) -> Tensor:
        found.append(parts[2])
        return parts[2].detach() + nudge[: parts[2].shape[1]]

    with _hooked(predict, _displacers, hook):
        yield found


def _displacers(gaze: GazeCorrection) -> list[nn.Module]:
    image = [] if gaze.shifter is None else [gaze.shifter.displacement]
    return [*image, *([] if gaze.readout_shifter is None else [gaze.readout_shifter])]


@contextmanager
def seen_by_retina(predict: Predict) -> Iterator[None]:
    """Take video for retinal images: image shifters leave frames where they are."""
    with _hooked(predict, lambda gaze: [gaze], lambda *parts: parts[1][0]):
        yield


def retinal_video(
    predict: Predict, video: Tensor, behavior: Tensor, *, session: str | None = None
) -> Tensor:
    """Return the frames as the shifter moved them, or as they are without one.

    Args:
        predict: The encoder.
        video: Frames of each window, (window, history, 1, height, width), scaled as for the fit.
        behavior: Features of the same bins, (window, history, feature).
        session: Whose eye; may be left out where there is one session.

    Returns:
        Retinal images, shaped as the video.

    Raises:
        ShapeError: If video and behavior differ in windows or bins.
    """
    if video.shape[:2] != behavior.shape[:2]:
        raise ShapeError(
            f"expected video and behavior of the same windows and bins, got {tuple(video.shape)} "
            f"and {tuple(behavior.shape)}"
        )
    seen: list[Tensor] = []
    watched = _hooked(predict, lambda gaze: [gaze], lambda *parts: seen.append(parts[2]))
    with torch.no_grad(), undisturbed(predict), watched:
        of_session(predict, session)(video, behavior)
    return video if not seen else torch.cat(seen).reshape(video.shape)


@contextmanager
def _hooked(
    predict: Predict,
    places: Callable[[GazeCorrection], list[nn.Module]],
    hook: Callable[..., Tensor | None],
) -> Iterator[None]:
    with ExitStack() as stack:
        for module in modules_of(predict):
            for place in places(module) if isinstance(module, GazeCorrection) else ():
                stack.callback(place.register_forward_hook(hook).remove)
        yield
