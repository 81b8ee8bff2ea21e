"""Losses of a fit."""

from __future__ import annotations

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from freegaze.errors import ConfigError
from freegaze.plugins import is_own
from freegaze.recording.recording import ResponseKind
from freegaze.runs.own_code import LOSSES, Loss

EPSILON = 1e-8
"""Added to a rate before its logarithm, as torch's own Poisson loss does."""


def poisson_loss(
    rate: Float[Tensor, "*batch neuron"], response: Float[Tensor, "*batch neuron"]
) -> Float[Tensor, ""]:
    """Return the mean Poisson negative log-likelihood without its constant.

    Args:
        rate: Expected counts per bin, never negative.
        response: Observed counts or inferred spikes.

    Returns:
        Mean over all bins and neurons of ``rate - response * log(rate + 1e-8)``.
    """
    return (rate - response * torch.log(rate + EPSILON)).mean()


def gaussian_loss(variance: Float[Tensor, " neuron"]) -> Loss:
    """Return a squared error with equal weight of all neurons.

    Args:
        variance: Each neuron's variance over training bins.

    Returns:
        A function of (predicted, observed): mean of the squared error over the variance.
    """
    weight = 1 / torch.where(variance > 0, variance, torch.ones_like(variance))

    def loss(predicted: Tensor, observed: Tensor) -> Tensor:
        return ((predicted - observed).square() * weight).mean()

    return loss


def choose_loss(
    name: str,
    kind: ResponseKind,
    responses: Float[Tensor, "time neuron"],
    training_bins: Integer[Tensor, " bin"],
) -> Loss:
    """Return the mean loss for the kind of responses, or the loss of the given name.

    Args:
        name: ``auto`` takes ``gaussian`` for fluorescence and ``poisson`` for the rest;
            ``poisson_sum`` is ``poisson`` until ``objective.Objective`` scales it;
            ``FILE.py:function`` is a loss that ``runs.own_code.use_loss`` made known.
        kind: Kind of the responses.
        responses: Responses in all bins.
        training_bins: Indices of those that the weights of the Gaussian loss come from.

    Raises:
        RegistryError: If a loss of the user's own is not known in this process.
    """
    if is_own(name):
        return _checked(name, LOSSES.get(name))
    if name == "auto":
        name = "gaussian" if kind is ResponseKind.FLUORESCENCE else "poisson"
    if name in ("poisson", "poisson_sum"):
        return poisson_loss
    return gaussian_loss(responses[training_bins].var(0, correction=0))


def _checked(name: str, loss: Loss) -> Loss:
    """Check what a loss of the user's own returns."""

    def checked(predicted: Tensor, observed: Tensor) -> Tensor:
        value = loss(predicted, observed)
        if not isinstance(value, Tensor) or value.shape != ():
            what = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ConfigError(
                f"training.loss {name}: expected one number, a tensor of shape (), got {what}; "
                "return the mean over bins and neurons"
            )
        return value

    return checked
