"""What explainers take: a function from video and behavior to rates, left as it was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from torch import Tensor, nn

from freegaze.models._gaze import GazeCorrection

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
    with _hooked(predict, lambda gaze: gaze.columns, lambda *parts: parts[2].detach()):
        yield


@contextmanager
def seen_by_retina(predict: Predict) -> Iterator[None]:
    """Take video for retinal images: image shifters leave frames where they are."""
    with _hooked(predict, lambda gaze: gaze, lambda *parts: parts[1][0]):
        yield


@contextmanager
def _hooked(
    predict: Predict,
    place: Callable[[GazeCorrection], nn.Module],
    hook: Callable[..., Tensor | None],
) -> Iterator[None]:
    with ExitStack() as stack:
        for module in modules_of(predict):
            if isinstance(module, GazeCorrection):
                handle = place(module).register_forward_hook(hook)
                stack.callback(handle.remove)
        yield
