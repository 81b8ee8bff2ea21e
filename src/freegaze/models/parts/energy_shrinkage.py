"""Shrinkage of predictions towards the mean response, by gains in held-out folds."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from freegaze.nn.gained_response import GainedResponse

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Tried shares of the distance from the mean response."""

DOUBT = 2.0
"""Number of standard errors over folds that is subtracted from a gain. The same folds have chosen
window and penalties, so that their gains are too high, above all with few neurons. On ``ay5_u005``,
a recording of macaque V1 with six neurons, test scores are .014 bits per spike below the mean rate
with 1 and .007 with 2."""


def choose_shares(
    response: GainedResponse,
    visual: Float[Tensor, "window neuron"],
    behavior: Float[Tensor, "window feature"],
    responses: Float[Tensor, "window neuron"],
    folds: Integer[Tensor, " window"],
) -> Float[Tensor, " neuron"]:
    """Choose the share of each neuron's distance from its mean response that is predicted.

    The gain of a share is its gain in likelihood over the mean response. It is computed in each
    fold, and counted as its mean over folds minus ``DOUBT`` standard errors. So an uncertain gain
    counts less, and the share is 0 if no share has a gain.

    Args:
        response: Fitted response with a share of 1.
        visual: Drives by weights that were fitted without the fold.
        behavior: Recent behavior.
        responses: Observed responses.
        folds: Fold of each window.

    Returns:
        The shares, each one of ``SHARES``.
    """
    rates = response(visual, behavior)
    at_mean = response.losses(response.mean.expand_as(rates), responses)
    gains = []
    for share in SHARES:
        shrunk = response.mean + share * (rates - response.mean)
        gain = at_mean - response.losses(shrunk, responses)
        gains.append(torch.stack([gain[folds == k].mean(0) for k in folds.unique()]))
    return torch.tensor(SHARES).to(rates)[certain_gain(torch.stack(gains)).argmax(0)]


def certain_gain(
    gains: Float[Tensor, "share fold neuron"],
) -> Float[Tensor, "share neuron"]:
    """Return the mean over folds minus ``DOUBT`` standard errors."""
    n_folds = gains.shape[1]
    return gains.mean(1) - DOUBT * gains.std(1) / math.sqrt(n_folds)
