"""Template of an encoder. Copy it to ``NAME.py``, replace every part; there is nothing else to do.

This one predicts responses linearly from a coarse picture and some behavior of each bin of a
window.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import resolve_features
from freegaze.models.encoder import AbstractEncoder, register_model
from freegaze.models.parts.columns import Columns
from freegaze.models.parts.link import response_link
from freegaze.nn.precision import at_least_float32
from freegaze.nn.response import Link, apply_link, invert_link
from freegaze.nn.sessions import PerSession


class TemplateConfig(StrictConfig):
    """What the user may choose; every option needs a default.

    Args:
        features: Behavior features, by set or by name.
        n_tiles: Tiles, down and across, that the picture is averaged over.
    """

    features: str | tuple[str, ...] = "recorded"
    n_tiles: int = Field(default=4, ge=1)


@register_model("template")
class Template(AbstractEncoder):
    """One sentence about the encoder; below it, where it comes from."""

    Config = TemplateConfig
    inputs = "both"

    def __init__(self, config: TemplateConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.n_tiles = config.n_tiles
        self.heads = PerSession({name: _Head(config, dims) for name, dims in sessions.items()})

    @classmethod
    def required_features(
        cls, config: TemplateConfig, recorded: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Name every behavior feature that any part reads."""
        return resolve_features(config.features, recorded)

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Do here what needs one bin only: it is done once for all windows that hold the bin."""
        head = self.heads.of(self.session_name(session))
        tiles = F.adaptive_avg_pool2d(video.flatten(0, 1), self.n_tiles).flatten(1)
        return torch.cat([tiles.unflatten(0, video.shape[:2]), head.columns(behavior)], dim=2)

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Do here what needs a whole window."""
        head = self.heads.of(self.session_name(session))
        return apply_link(at_least_float32(head.output(features.flatten(1))), head.link)

    def initialize(self, session: str, mean_response: Float[Tensor, " neuron"]) -> None:
        """Start from each neuron's mean training response; fits are faster and safer so."""
        head = self.heads.of(session)
        head.output.bias.data.copy_(invert_link(mean_response, head.link))


class _Head(nn.Module):
    """What each session has of its own, as sessions differ in neurons."""

    def __init__(self, config: TemplateConfig, dims: EncoderDims) -> None:
        super().__init__()
        names = resolve_features(config.features, dims.recorded or dims.behavior_names)
        self.columns = Columns(dims.columns(names, "the template"))
        n_inputs = dims.history * (config.n_tiles**2 + len(names))
        self.output = nn.Linear(n_inputs, dims.n_neurons)
        self.link: Link = response_link(dims.response_kind)
