"""Template of an encoder: copy it to ``NAME.py`` and replace every part.

This one predicts responses linearly from a coarse frame and some behavior of each bin of a window.
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
from freegaze.models.encoder import AbstractEncoder, register_model
from freegaze.models.parts.columns import Columns
from freegaze.models.parts.head import Head


class TemplateConfig(StrictConfig):
    """Options of the encoder; every option needs a default.

    Args:
        features: Behavior features, by set or by name.
        n_tiles: Tiles, down and across, that the frame is averaged over.
    """

    features: str | tuple[str, ...] = "recorded"
    n_tiles: int = Field(default=4, ge=1)


class TemplateHead(Head):
    """Part of one session, since sessions differ in neurons; ``output`` has the biases."""

    def __init__(self, config: TemplateConfig, dims: EncoderDims) -> None:
        super().__init__(dims, has_bias=False)
        self.columns = Columns(dims, config.features, "the template")
        n_inputs = dims.history * (config.n_tiles**2 + self.columns.n_features)
        self.output = nn.Linear(n_inputs, dims.n_neurons)


@register_model("template")
class Template(AbstractEncoder):
    """One sentence about the encoder; below it, where it comes from."""

    Config = TemplateConfig
    inputs = "both"

    def __init__(self, config: TemplateConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.n_tiles = config.n_tiles
        self.add_heads(lambda dims: TemplateHead(config, dims))

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Compute the features of each bin, once for all windows with that bin."""
        head = self.head(session)
        tiles = F.adaptive_avg_pool2d(video.flatten(0, 1), self.n_tiles).flatten(1)
        return torch.cat([tiles.unflatten(0, video.shape[:2]), head.columns(behavior)], dim=2)

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Compute the response to each window."""
        head = self.head(session)
        return head.link_response(head.output(features.flatten(1)))
