"""Baseline: the mean training response of each neuron."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.models.encoder import AbstractEncoder, register_model
from freegaze.models.parts.link import response_link
from freegaze.nn.response import Link, apply_link, invert_link
from freegaze.nn.sessions import PerSession


class MeanRateConfig(StrictConfig):
    """There is nothing to choose."""


@register_model("mean_rate")
class MeanRate(AbstractEncoder):
    """Predicts one constant a neuron: the mean of its training responses.

    ``initialize`` sets the constant. It is not trained: Poisson and Gaussian losses are least there
    already, and the noise of batches would only move it away.
    """

    Config = MeanRateConfig
    inputs = "none"

    def __init__(self, config: MeanRateConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.heads = PerSession({name: _Constant(dims) for name, dims in sessions.items()})

    @classmethod
    def required_features(
        cls, config: MeanRateConfig, recorded: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Name no feature."""
        return ()

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Return nothing but the shape: zero numbers a bin."""
        return behavior.new_zeros((*behavior.shape[:2], 1))

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Return the constants, once for each window."""
        head = self.heads.of(self.session_name(session))
        return apply_link(head.bias, head.link).expand(len(features), -1)

    def initialize(self, session: str, mean_response: Float[Tensor, " neuron"]) -> None:
        """Set a session's constants to its neurons' mean training response."""
        head = self.heads.of(session)
        head.bias.data.copy_(invert_link(mean_response, head.link))


class _Constant(nn.Module):
    def __init__(self, dims: EncoderDims) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(dims.n_neurons), requires_grad=False)
        self.link: Link = response_link(dims.response_kind)
