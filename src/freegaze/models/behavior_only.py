"""Encoder without vision: responses from behavior alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.errors import ConfigError
from freegaze.models.encoder import AbstractEncoder, register_model
from freegaze.models.parts.columns import Columns
from freegaze.models.parts.head import Head
from freegaze.nn.recurrent import GatedRecurrentUnit


class BehaviorOnlyConfig(StrictConfig):
    """Choices of the behavior-only encoder.

    Args:
        features: Behavior features, by set or by name.
        temporal: ``"linear"`` weighs every feature of every bin of the window, ``"gru"`` reads the
            window with a recurrent unit.
        n_hidden: Hidden units of the recurrent unit.
        l1: Weight of the mean absolute feature weight in the loss.
    """

    features: str | tuple[str, ...] = "recorded"
    temporal: Literal["linear", "gru"] = "linear"
    n_hidden: int = Field(default=64, ge=1)
    l1: float = Field(default=0.0, ge=0)


class BehaviorHead(Head):
    """One session's part: columns, recurrent unit or none, output weights."""

    def __init__(self, config: BehaviorOnlyConfig, dims: EncoderDims) -> None:
        super().__init__(dims, has_bias=False)
        self.columns = Columns(dims, config.features, "behavior_only")
        n_inputs = self.columns.n_features
        if not n_inputs:
            raise ConfigError(
                "behavior_only needs at least one behavior feature, got none; name some in "
                "`features`, or choose the model mean_rate"
            )
        is_recurrent = config.temporal == "gru"
        self.gru = GatedRecurrentUnit(n_inputs, config.n_hidden) if is_recurrent else None
        n_hidden = config.n_hidden if is_recurrent else n_inputs * dims.history
        self.output = nn.Linear(n_hidden, dims.n_neurons)
        nn.init.zeros_(self.output.weight)  # starts as the mean response


@register_model("behavior_only")
class BehaviorOnly(AbstractEncoder):
    """Predicts responses from behavior alone, by a generalized linear model or a small GRU."""

    Config = BehaviorOnlyConfig
    inputs = "behavior"

    def __init__(self, config: BehaviorOnlyConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.add_heads(lambda dims: BehaviorHead(config, dims))
        self.l1 = config.l1

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Return the selected features; the video is ignored."""
        return self.head(session).columns(behavior)

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Read each window and apply the response link."""
        head = self.head(session)
        hidden = features.flatten(1) if head.gru is None else head.gru(features)
        return head.link_response(head.output(hidden))

    def penalties(self, session: str | None = None) -> dict[str, Tensor]:
        """Return the L1 penalty on the weights that read the features."""
        if not self.l1:
            return {}
        head = self.head(session)
        weight = head.output.weight if head.gru is None else head.gru.input_weight
        return {"behavior_l1": self.l1 * weight.abs().mean()}
