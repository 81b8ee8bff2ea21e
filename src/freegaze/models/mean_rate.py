"""Baseline: mean training response."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.models.encoder import AbstractEncoder, register_model
from freegaze.models.parts.head import Head


class MeanRateConfig(StrictConfig):
    """No options."""


@register_model("mean_rate")
class MeanRate(AbstractEncoder):
    """Predicts one constant per neuron: the mean of its training responses.

    ``initialize`` sets the constant. It is not trained: Poisson and Gaussian losses already have
    their minimum at the mean, and the noise of batches would only move the constant away.
    """

    Config = MeanRateConfig
    inputs = "none"

    def __init__(self, config: MeanRateConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.add_heads(Head)
        self.requires_grad_(False)

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Return a zero for each bin; only the shape of the input is used."""
        return behavior.new_zeros((*behavior.shape[:2], 1))

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Return the same constants for each window."""
        head = self.head(session)
        return head.link_response(torch.zeros_like(head.bias)).expand(len(features), -1)
